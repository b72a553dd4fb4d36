//! What to try next where a part of the time is the bottleneck.

use apitap_core::Config;
use apitap_core::budget::{Budget, Part};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::experiment::Experiment;
use crate::judge::{Step, StepGain};
use crate::stats::Verdict;

/// Parts that advice is given for.
const PARTS: usize = 3;

/// What to try about one part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Advice {
    /// The part.
    pub part: Part,
    /// How many times as fast a load could be at most if the part cost nothing.
    pub gain_at_most: f64,
    /// What to try, the largest measured gain first; empty if the arm has it all.
    pub steps: Vec<NextStep>,
}

/// Something to try.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NextStep {
    /// What to do.
    pub text: String,
    /// The experiment that measures it, by id.
    pub experiment: Option<String>,
    /// What it gained on the arm's preset, where that was measured and the difference matters.
    pub gain: Option<f64>,
}

impl Advice {
    /// Advice for an arm of `config` on a preset. It names nothing that the arm has already, and
    /// nothing that was measured to cost more there.
    pub(super) fn new(
        budget: &Budget,
        (preset, config): (&str, &Config),
        experiments: &[Experiment],
        measured: &[Step],
    ) -> Vec<Self> {
        let has = |id: &str| {
            let experiment = experiments.iter().find(|one| one.id() == id);
            let candidate = experiment.and_then(|one| one.definition.candidates.first());
            candidate.is_some_and(|arm| {
                let changed = arm
                    .knobs
                    .iter()
                    .try_fold(config.clone(), |config, knob| config.with(knob));
                changed.is_ok_and(|changed| changed == *config)
            })
        };
        let gain = |id: &str| -> Option<StepGain> {
            let step = measured.iter().find(|one| one.experiment == id)?;
            match preset {
                "before" => step.added,
                _ => step.taken_out,
            }
        };
        let next = |part: Part| {
            let all = next_steps(part).iter();
            let mut steps: Vec<NextStep> = all
                .filter(|(_, id)| !id.is_some_and(has))
                .map(|(text, id)| (*text, *id, id.and_then(gain)))
                .filter(|(.., gain)| gain.is_none_or(|gain| gain.verdict != Verdict::Regressed))
                .map(|(text, id, gain)| NextStep {
                    text: text.to_owned(),
                    experiment: id.map(str::to_owned),
                    gain: gain
                        .filter(|gain| gain.verdict == Verdict::Improved)
                        .map(|gain| gain.gain),
                })
                .collect();
            steps.sort_by(|a, b| b.gain.unwrap_or(1.0).total_cmp(&a.gain.unwrap_or(1.0)));
            steps
        };
        let ranked = budget.ranked().into_iter().take(PARTS);
        ranked
            .map(|one| Self {
                part: one.part,
                gain_at_most: one.gain_at_most,
                steps: next(one.part),
            })
            .collect()
    }
}

/// What may make a part smaller, with the experiment that measures it.
fn next_steps(part: Part) -> &'static [(&'static str, Option<&'static str>)] {
    match part {
        Part::HttpWait => &[
            ("more requests at a time", Some("concurrency")),
            ("larger pages", Some("page-size")),
            ("connection reuse", Some("connection-reuse")),
        ],
        Part::Fetch => &[("larger pages", Some("page-size"))],
        Part::Scan => &[("smaller bodies: ask the API for fewer fields", None)],
        Part::Decode => &[
            ("columnar decoding", Some("decode-path")),
            ("more lanes", Some("partitions")),
            ("select fewer columns", None),
        ],
        Part::Infer => &[
            ("a smaller sample", Some("sample-size")),
            ("cached schemas", Some("schema-cache")),
            ("declared columns", None),
        ],
        Part::Sql => &[
            ("more lanes", Some("partitions")),
            ("a simpler query", None),
        ],
        Part::Encode => &[
            ("binary COPY", Some("copy-vs-insert")),
            ("parallel connections", Some("parallel-connections")),
        ],
        Part::Send => &[
            ("COPY", Some("copy-vs-insert")),
            ("larger flushes", Some("copy-batch-size")),
        ],
        Part::SendWait => &[
            ("COPY", Some("copy-vs-insert")),
            ("larger flushes", Some("copy-batch-size")),
            ("more statements in flight", Some("pipelining")),
        ],
        Part::ServerCpu => &[
            ("COPY", Some("copy-vs-insert")),
            ("parallel connections", Some("parallel-connections")),
            ("fewer indexes", None),
        ],
        Part::ServerIo => &[(
            "the server\u{2019}s disk, wal_compression and checkpoints; the engine has no knob for it",
            None,
        )],
        Part::Unexplained => &[("a trace: apitap --trace", None)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::ExperimentFiles;

    #[test]
    fn every_experiment_that_is_named_is_there() {
        let experiments = Experiment::all(&ExperimentFiles::find(None)).unwrap();
        for (_, id) in Part::ALL.iter().flat_map(|part| next_steps(*part)) {
            let is_there = |id: &str| experiments.iter().any(|one| one.id() == id);
            assert!(id.is_none_or(is_there), "{id:?}");
        }
    }

    #[test]
    fn advice_names_nothing_that_the_arm_has() {
        let experiments = Experiment::all(&ExperimentFiles::find(None)).unwrap();
        let record = crate::profile::example::record();
        let results = crate::profile::results::ProfileResults::new(&record, 0.95);
        let budget = results.arms[1].budget.as_ref().unwrap();
        for (preset, has_copy) in [("before", false), ("tuned", true)] {
            let config = Config::preset(preset).unwrap();
            let mut budget = budget.clone();
            for part in &mut budget.parts {
                part.gain_at_most = if part.part == Part::Send { 9.0 } else { 1.0 };
            }
            let advice = Advice::new(&budget, (preset, &config), &experiments, &[]);
            assert_eq!(advice[0].part, Part::Send);
            let names_copy = advice[0].steps.iter().any(|step| step.text == "COPY");
            assert_eq!(names_copy, !has_copy, "{preset}");
        }
    }
}
