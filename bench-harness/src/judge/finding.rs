//! Baseline and candidate compared, judged, and held against the claim.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SamplesByScenario;
use super::arm::{blocks, by_session, log_ratios};
use super::control::{Control, Differing, Wide, stays_within_bound};
use super::family::{self, Family, judge_together};
use crate::experiment::{Definition, IDENTICAL, ScenarioPlan, Setting};
use crate::metric::Metric;
use crate::run_record::{RunRecord, Scenario};
use crate::samples::Samples;
use crate::stats::{
    ClaimVerdict, Expected, Judged, Limits, Threshold, Verdict, claim_verdict, is_within,
    sessions_to_decide,
};

/// A candidate compared with the baseline of its scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Experiment by id.
    pub experiment: String,
    /// Scenario by name.
    pub scenario: String,
    /// Preset of both arms; absent where each names its own.
    pub on: Option<String>,
    /// Place in the experiment's grid; empty outside of one.
    pub cell: Vec<Setting>,
    /// Arm by name.
    pub candidate: String,
    /// Whether this is the candidate that the claim is about.
    pub is_headline: bool,
    /// What became of the quantity that the claim is about, after everything that weakens it.
    pub verdict: Verdict,
    /// What that says of the claim, here.
    pub claim: ClaimVerdict,
    /// The largest gain that could be seen here, if the stage that the change touches took no time at all; absent
    /// where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// Why `verdict` and `claim` are weaker than the figures alone would have them.
    pub weakened: Option<Weakened>,
    /// The quantity of the claim first, then time and the processor time of both sides.
    pub measures: Vec<Measure>,
    /// The same comparison once more, where it was flagged and the run confirms.
    pub confirmation: Option<Confirmation>,
    /// Blocks in which an arm has no figure, and which the comparison therefore lacks.
    pub blocks_dropped: usize,
    /// Whether the verdict is only indicative: the control of its preset is not established.
    #[serde(default)]
    pub is_indicative: bool,
    /// How many more blocks would decide about the claim, if the estimate and its noise stay; absent where it is
    /// decided, or where ten times as many would not do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks_to_decide: Option<usize>,
}

/// One quantity compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// The quantity.
    pub metric: Metric,
    /// Below what difference nobody needs to care: the smallest effect of interest, or the noise of the
    /// machine where that is larger.
    pub threshold: Threshold,
    /// The smallest effect of interest, within which arms are equivalent; absent where it is `threshold`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smallest_effect: Option<Threshold>,
    /// Candidate ÷ baseline, judged; absent if no block has both.
    pub judged: Option<Judged>,
}

/// What makes a verdict weaker than its figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Weakened {
    /// Arms that are the same differed in this run.
    IdenticalArmsDiffer,
    /// Measured once more, the verdict was another one, or there was no figure.
    Unconfirmed,
    /// Measured once more, the difference was there, and what it says of the claim was not.
    ClaimUnconfirmed,
}

/// A comparison that was measured once more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// Scenario by name.
    pub scenario: String,
    /// What it found by itself; absent if no block has both arms.
    pub judged: Option<Judged>,
    /// Whether it found the same: improved again, or regressed again.
    pub agrees: bool,
    /// What it says of the claim by itself.
    pub claim: ClaimVerdict,
}

impl Measure {
    fn limits(&self) -> Limits {
        Limits {
            smallest: self.smallest_effect.unwrap_or(self.threshold),
            noise: self.threshold,
        }
    }
}

impl Finding {
    /// The quantity that the claim is about.
    #[must_use]
    pub fn leading(&self) -> Option<&Judged> {
        self.measures.first()?.judged.as_ref()
    }

    /// The judgement of one quantity.
    #[must_use]
    pub fn judged(&self, metric: Metric) -> Option<&Judged> {
        let measure = self.measures.iter().find(|one| one.metric == metric)?;
        measure.judged.as_ref()
    }

    /// How many times less the candidate costs; above 1 is better.
    #[must_use]
    pub fn gain(&self) -> Option<f64> {
        Some(1.0 / self.leading()?.comparison.ratio)
    }

    /// Whether the claim is true here, or more than true.
    #[must_use]
    pub fn supports_claim(&self) -> bool {
        matches!(self.claim, ClaimVerdict::Supported | ClaimVerdict::Exceeded)
    }

    /// Whether it is so far from "no difference" that it must be measured once more.
    #[must_use]
    pub fn is_flagged(&self) -> bool {
        self.measures.first().is_some_and(is_flagged)
    }

    /// Whether the second measurement took something back.
    #[must_use]
    pub fn is_unconfirmed(&self) -> bool {
        matches!(
            self.weakened,
            Some(Weakened::Unconfirmed | Weakened::ClaimUnconfirmed)
        )
    }

    /// Quantities that are conclusive although the leading one is not.
    pub fn conclusive_besides(&self) -> impl Iterator<Item = (Metric, &Judged)> {
        let inconclusive = self
            .leading()
            .is_none_or(|judged| judged.verdict == Verdict::Inconclusive);
        self.measures.iter().skip(1).filter_map(move |measure| {
            let judged = measure.judged.as_ref()?;
            let says_more = inconclusive && judged.verdict != Verdict::Inconclusive;
            says_more.then_some((measure.metric, judged))
        })
    }
}

/// Every comparison of the run, in the order of its scenarios, the families in which they were
/// judged, and what identical arms showed.
pub(super) fn all(
    run: &RunRecord,
    samples: &SamplesByScenario<'_>,
) -> (Vec<Finding>, Vec<Family>, Control) {
    let mut pairs = pairs(run, samples);
    let families = judge(&mut pairs, run);
    let control = control(&pairs);
    let (again, first): (Vec<Pair<'_>>, Vec<Pair<'_>>) = pairs
        .into_iter()
        .partition(|pair| pair.scenario.plan.confirms.is_some());
    let findings = first
        .into_iter()
        .map(|pair| {
            let again = again.iter().find(|again| {
                again.scenario.plan.confirms.as_ref() == Some(&pair.scenario.plan.name)
                    && again.candidate == pair.candidate
            });
            pair.into_finding(again, &control)
        })
        .collect();
    (findings, families, control)
}

fn control(pairs: &[Pair<'_>]) -> Control {
    let mut control = Control {
        measured: 0,
        differing: Vec::new(),
        wide: Vec::new(),
    };
    for pair in pairs.iter().filter(|one| one.definition.id == IDENTICAL) {
        let measure = pair.measures.first();
        let Some((measure, judged)) = measure.and_then(|one| Some((one, one.judged?))) else {
            continue;
        };
        control.measured += 1;
        let plan = &pair.scenario.plan;
        if !stays_within_bound(&judged.comparison) {
            control.wide.push(Wide {
                scenario: plan.name.clone(),
                on: plan.on.clone(),
            });
        }
        if is_flagged(measure) {
            control.differing.push(Differing {
                scenario: plan.name.clone(),
                on: plan.on.clone(),
                gain: 1.0 / judged.comparison.ratio,
                at_most: judged.comparison.interval.farthest(),
            });
        }
    }
    control
}

/// A candidate beside its baseline, on the way to a finding.
struct Pair<'a> {
    definition: &'a Definition,
    scenario: &'a Scenario,
    candidate: &'a str,
    /// Place among the candidates.
    nth: usize,
    /// Whether any sample of a block was taken.
    was_taken: bool,
    measures: Vec<Measure>,
    /// Log-ratios of each measure, by session.
    log_ratios: Vec<Vec<Vec<f64>>>,
    blocks_per_session: usize,
}

/// Log-ratios of the first candidate of each scenario, of every quantity: of identical arms, their
/// noise.
pub(crate) fn identical_log_ratios(
    run: &RunRecord,
    samples: &Samples,
) -> BTreeMap<String, Vec<(Metric, Vec<f64>)>> {
    let samples = SamplesByScenario::new(samples);
    let of_scenario = |plan: &ScenarioPlan| {
        let samples = samples.scenario(&plan.name);
        let baseline = blocks(samples, &plan.baseline().name);
        let candidate = blocks(samples, &plan.arms.get(1)?.name);
        let noise =
            Metric::COMPARED.map(|metric| (metric, log_ratios(&candidate, &baseline, metric)));
        Some((plan.name.clone(), noise.into()))
    };
    let scenarios = run.scenarios.iter();
    scenarios
        .filter_map(|scenario| of_scenario(&scenario.plan))
        .collect()
}

fn pairs<'a>(run: &'a RunRecord, samples: &SamplesByScenario<'_>) -> Vec<Pair<'a>> {
    let blocks_per_session = run.session_blocks();
    let mut pairs = Vec::new();
    for scenario in &run.scenarios {
        let plan = &scenario.plan;
        let Some(definition) = run.experiments.iter().find(|one| one.id == plan.experiment) else {
            continue;
        };
        let samples = samples.scenario(&plan.name);
        let was_taken = samples.iter().any(|sample| !sample.warm_up);
        let baseline = blocks(samples, &plan.baseline().name);
        let leading = definition.metric;
        let others = Metric::ALWAYS.into_iter().filter(|one| *one != leading);
        let metrics: Vec<Metric> = std::iter::once(leading).chain(others).collect();
        let smallest_effect = run.blocks_per_session.map(|_| definition.smallest_effect());
        // Combinations of changes are there for their shares alone.
        let candidates = if definition.changes.is_empty() {
            plan.arms.len() - 1
        } else {
            1
        };
        for (nth, arm) in plan.arms.iter().skip(1).take(candidates).enumerate() {
            let candidate = blocks(samples, &arm.name);
            pairs.push(Pair {
                definition,
                scenario,
                candidate: &arm.name,
                nth,
                was_taken,
                measures: metrics
                    .iter()
                    .map(|metric| {
                        let noise = scenario.threshold(*metric);
                        Measure {
                            metric: *metric,
                            threshold: smallest_effect.map_or(noise, |one| one.max(noise)),
                            smallest_effect,
                            judged: None,
                        }
                    })
                    .collect(),
                log_ratios: metrics
                    .iter()
                    .map(|metric| by_session(&candidate, &baseline, *metric, blocks_per_session))
                    .collect(),
                blocks_per_session,
            });
        }
    }
    pairs
}

/// Judges every measure of every pair among its like: the leading ones of a family together, and
/// each further quantity by itself.
fn judge(pairs: &mut [Pair<'_>], run: &RunRecord) -> Vec<Family> {
    /// A pair and one of its measures, by index.
    type Member = (usize, usize);
    let mut groups: BTreeMap<(String, Option<Metric>), Vec<Member>> = BTreeMap::new();
    for (index, pair) in pairs.iter().enumerate() {
        let name = family::name(
            &pair.scenario.plan,
            pair.nth,
            run.blocks_per_session.is_some(),
        );
        for (at, measure) in pair.measures.iter().enumerate() {
            let further = (at > 0).then_some(measure.metric);
            let group = groups.entry((name.clone(), further)).or_default();
            group.push((index, at));
        }
    }
    let mut families = Vec::new();
    for ((name, further), members) in groups {
        let sessions: Vec<Vec<Vec<f64>>> = members
            .iter()
            .map(|(pair, at)| std::mem::take(&mut pairs[*pair].log_ratios[*at]))
            .collect();
        let limits: Vec<Limits> = members
            .iter()
            .map(|(pair, at)| pairs[*pair].measures[*at].limits())
            .collect();
        let has_sessions = run.blocks_per_session.is_some();
        let (judged, correction) =
            judge_together(&sessions, &limits, has_sessions, run.confidence_level);
        for ((pair, at), judged) in members.into_iter().zip(judged) {
            pairs[pair].measures[at].judged = judged;
        }
        if further.is_none() {
            families.push(Family { name, correction });
        }
    }
    families
}

impl Pair<'_> {
    /// What the figures amount to, and what they say of the claim, if identical arms differ by up to `doubt`.
    fn verdicts(&self, doubt: f64) -> (Verdict, ClaimVerdict) {
        let leading = self.measures.first();
        let judged = leading.and_then(|measure| Some((measure, measure.judged?)));
        judged.map_or(
            (Verdict::Inconclusive, ClaimVerdict::Inconclusive),
            |(measure, judged)| {
                let expected = self.definition.expected_of(self.candidate);
                let smallest = measure.limits().smallest;
                let doubtful = judged.comparison.widened(doubt);
                let stands = match judged.verdict {
                    _ if doubt <= 1.0 => true,
                    Verdict::Improved | Verdict::Regressed => !doubtful.includes_one(),
                    Verdict::Equivalent => is_within(&doubtful, measure.threshold),
                    Verdict::Inconclusive => true,
                };
                let verdict = match stands {
                    true => judged.verdict,
                    false => Verdict::Inconclusive,
                };
                let claim = match (expected, verdict) {
                    (Expected::Negligible, Verdict::Equivalent) => ClaimVerdict::Supported,
                    _ => claim_verdict(&expected, &doubtful, smallest),
                };
                (verdict, claim)
            },
        )
    }

    /// How many more blocks would decide about the claim.
    fn blocks_to_decide(&self) -> Option<usize> {
        let measure = self.measures.first()?;
        let (judged, smallest) = (measure.judged?, measure.limits().smallest);
        let expected = self.definition.expected_of(self.candidate);
        let sessions = sessions_to_decide(&judged.comparison, judged.sessions?, |one| {
            claim_verdict(&expected, one, smallest) != ClaimVerdict::Inconclusive
        })?;
        Some(sessions * self.blocks_per_session)
    }

    fn into_finding(self, again: Option<&Self>, control: &Control) -> Finding {
        let plan = &self.scenario.plan;
        let leading = self.measures.first();
        let judged = leading.and_then(|measure| measure.judged.as_ref());
        let doubt = match self.definition.id == IDENTICAL {
            true => 1.0,
            false => control.doubt(plan.presets()),
        };
        let (verdict, claim) = self.verdicts(doubt);
        // One that was planned and never run neither agrees nor disagrees.
        let confirmation = again.filter(|again| again.was_taken).map(|again| {
            let (second, second_claim) = again.verdicts(doubt);
            Confirmation {
                scenario: again.scenario.plan.name.clone(),
                judged: again.measures.first().and_then(|measure| measure.judged),
                agrees: second == verdict,
                claim: second_claim,
            }
        });
        let is_flagged = leading.is_some_and(is_flagged);
        let weakened = match &confirmation {
            _ if self.definition.id == IDENTICAL => None,
            _ if (verdict, claim) != self.verdicts(1.0) => Some(Weakened::IdenticalArmsDiffer),
            Some(again) if is_flagged && !again.agrees => Some(Weakened::Unconfirmed),
            Some(again)
                if is_flagged && claim != ClaimVerdict::Inconclusive && again.claim != claim =>
            {
                Some(Weakened::ClaimUnconfirmed)
            }
            _ => None,
        };
        let (verdict, claim) = match weakened {
            None | Some(Weakened::IdenticalArmsDiffer) => (verdict, claim),
            Some(Weakened::ClaimUnconfirmed) => (verdict, ClaimVerdict::Inconclusive),
            Some(_) => (Verdict::Inconclusive, ClaimVerdict::Inconclusive),
        };
        let blocks = judged.map_or(0, |judged| judged.comparison.blocks);
        let is_open = claim == ClaimVerdict::Inconclusive && weakened.is_none();
        let blocks_to_decide = is_open.then(|| self.blocks_to_decide()).flatten();
        Finding {
            blocks_to_decide,
            experiment: plan.experiment.clone(),
            scenario: plan.name.clone(),
            on: plan.on.clone(),
            cell: plan.cell.clone(),
            candidate: self.candidate.to_owned(),
            is_headline: self.nth == 0,
            verdict,
            claim,
            at_most: None,
            weakened,
            confirmation,
            blocks_dropped: plan.blocks.saturating_sub(blocks),
            is_indicative: self.definition.id != IDENTICAL
                && control.leaves_indicative(plan.presets()),
            measures: self.measures,
        }
    }
}

fn is_flagged(measure: &Measure) -> bool {
    measure
        .judged
        .as_ref()
        .is_some_and(|judged| matches!(judged.verdict, Verdict::Improved | Verdict::Regressed))
}
