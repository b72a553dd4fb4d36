//! Cells and short texts that several sections have.

use std::fmt::Display;

use crate::experiment::{
    API_ROUND_TRIP, Definition, POSTGRES_ROUND_TRIP, ROWS, ScenarioPlan, Setting, Value,
};
use crate::format::{Percent, Promise, Range, Times, one_line, plain};
use crate::judge::{ExperimentResults, Finding, PartOf, Reason, Results, Step, Weakened};
use crate::metric::Metric;
use crate::report::document::{Cell, Tone};
use crate::samples::Timestamp;
use crate::stats::{ClaimVerdict, Comparison, Judged, Verdict};

pub(super) fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Improved => Tone::Better,
        Verdict::Regressed => Tone::Worse,
        Verdict::Equivalent => Tone::Same,
        Verdict::Inconclusive => Tone::Open,
    }
}

pub(super) fn claim_tone(verdict: ClaimVerdict) -> Tone {
    match verdict {
        ClaimVerdict::Supported | ClaimVerdict::Exceeded => Tone::Yes,
        ClaimVerdict::Refuted => Tone::No,
        ClaimVerdict::Inconclusive | ClaimVerdict::NotTestable => Tone::Unknown,
    }
}

/// `10.0×–100×`, and of what if not of time.
pub(super) fn promise(definition: &Definition) -> String {
    let promise = Promise(definition.expected);
    match definition.metric {
        Metric::WallSeconds => promise.to_string(),
        metric => format!("{promise} ({metric})"),
    }
}

/// A finding in a sentence: `3.17× faster (3.05–3.30)`, `inconclusive, 1.03× (0.96–1.11)`.
pub(super) fn measured(finding: &Finding, confidence: f64) -> String {
    let (Some(judged), Some(measure)) = (finding.leading(), finding.measures.first()) else {
        return "not measured".to_owned();
    };
    let gain = judged.comparison.inverted();
    let (factor, range) = (Times(gain.ratio), Range::new(&gain, confidence));
    match finding.verdict {
        Verdict::Improved => format!("{factor} {} ({range})", better(measure.metric)),
        Verdict::Regressed => format!("{factor} ({range}), {}", worse(measure.metric)),
        Verdict::Equivalent if gain.includes_one() => {
            format!("no difference, {factor} ({range})")
        }
        Verdict::Equivalent => format!("no difference that matters, {factor} ({range})"),
        Verdict::Inconclusive => format!("inconclusive, {factor} ({range})"),
    }
}

fn better(metric: Metric) -> String {
    match metric {
        Metric::WallSeconds => "faster".to_owned(),
        Metric::FirstRowSeconds => "faster to the first row".to_owned(),
        Metric::WriteSeconds => "faster to write".to_owned(),
        other => format!("less {other}"),
    }
}

fn worse(metric: Metric) -> String {
    match metric {
        Metric::WallSeconds => "slower".to_owned(),
        Metric::FirstRowSeconds => "slower to the first row".to_owned(),
        Metric::WriteSeconds => "slower to write".to_owned(),
        other => format!("more {other}"),
    }
}

/// The gain in a cell: `3.17× (3.05–3.30)`, and `~ (0.98–1.03)` where no difference shows.
pub(super) fn gain_cell(finding: Option<&Finding>, confidence: f64) -> Cell {
    let Some((finding, judged)) = finding.and_then(|one| Some((one, one.leading()?))) else {
        return Cell::absent();
    };
    compared_cell(judged, finding.verdict, confidence)
}

/// The gain in any quantity of a finding, without its interval: `3.17×`, `~`.
pub(super) fn measure_cell(finding: &Finding, metric: Metric) -> Cell {
    finding.judged(metric).map_or_else(Cell::absent, |judged| {
        let verdict = match finding.weakened {
            Some(Weakened::IdenticalArmsDiffer) => Verdict::Inconclusive,
            _ => judged.verdict,
        };
        let gain = judged.comparison.inverted();
        let text = if shows_none(&gain, verdict) {
            "~".to_owned()
        } else {
            Times(gain.ratio).to_string()
        };
        Cell::figure(text, gain.ratio).toned(tone(verdict))
    })
}

/// The same of a second measurement.
pub(super) fn again_cell(second: &Judged, confidence: f64) -> Cell {
    compared_cell(second, second.verdict, confidence)
}

fn compared_cell(judged: &Judged, verdict: Verdict, confidence: f64) -> Cell {
    let gain = judged.comparison.inverted();
    Cell::figure(in_short(&gain, verdict, confidence), gain.ratio).toned(tone(verdict))
}

/// Whether "no difference" is among what the blocks allow. Holm's procedure may find a difference whose
/// interval reaches to 1.
fn shows_none(gain: &Comparison, verdict: Verdict) -> bool {
    gain.includes_one() && !matches!(verdict, Verdict::Improved | Verdict::Regressed)
}

fn in_short(gain: &Comparison, verdict: Verdict, confidence: f64) -> String {
    let range = Range::new(gain, confidence);
    if shows_none(gain, verdict) {
        format!("~ ({range})")
    } else {
        format!("{} ({range})", Times(gain.ratio))
    }
}

/// The verdict on a claim, in one word; in two where it is indicative.
pub(super) fn claim_word(experiment: &ExperimentResults) -> String {
    let is_indicative = experiment.deciding().is_some_and(|one| one.is_indicative);
    match experiment.inconclusive {
        Some(Reason::NotMeasured) => "not measured".to_owned(),
        None if is_indicative => format!("{} (indicative)", experiment.verdict),
        _ => experiment.verdict.to_string(),
    }
}

/// Why a claim is inconclusive.
pub(super) fn reason(reason: Reason) -> String {
    match reason {
        Reason::NotMeasured => "not measured".to_owned(),
        Reason::IdenticalArmsDiffer => "identical arms may differ by as much".to_owned(),
        Reason::Unconfirmed => "not confirmed when measured again".to_owned(),
        Reason::TooFewBlocks => "too few blocks".to_owned(),
        Reason::Resolution(share) => format!("effects below {} are not visible", Percent(share)),
        Reason::AroundPromise(floor) => {
            format!("could be above or below the promised {}", Times(floor))
        }
        Reason::AroundThreshold(share) => {
            format!("could be above or below {}", Percent(share))
        }
    }
}

/// What differs in processor time where the claim is inconclusive: `only processor time differs: client 1.30×
/// (1.21–1.40) on before`.
pub(super) fn besides(results: &Results, experiment: &ExperimentResults) -> Option<String> {
    if experiment.verdict != ClaimVerdict::Inconclusive {
        return None;
    }
    let confidence = results.confidence_level;
    let findings = experiment.findings.iter();
    let differing: Vec<String> = findings
        .filter(|finding| finding.is_headline && finding.cell.is_empty())
        .filter(|finding| finding.weakened != Some(Weakened::IdenticalArmsDiffer))
        .flat_map(|finding| {
            finding
                .conclusive_besides()
                .filter_map(move |(metric, judged)| {
                    let side = match metric {
                        Metric::ClientCpuSeconds => "client",
                        Metric::ServerCpuSeconds => "server",
                        _ => return None,
                    };
                    // That a processor time is as before is in the tables.
                    if judged.verdict == Verdict::Equivalent {
                        return None;
                    }
                    let gain = in_short(&judged.comparison.inverted(), judged.verdict, confidence);
                    Some(format!("{side} {gain}{}", on(finding.on.as_deref())))
                })
        })
        .collect();
    (!differing.is_empty())
        .then(|| format!("only processor time differs: {}", differing.join(", ")))
}

/// The presets that a change is part of.
pub(super) fn part_of(step: &Step) -> Cell {
    Cell::text(match step.part_of {
        PartOf::Tuned => "tuned",
        PartOf::Both => "before and tuned",
        PartOf::Neither => "neither",
    })
}

/// ` on before`; nothing where arms name their own preset.
pub(super) fn on(preset: Option<&str>) -> String {
    preset.map_or_else(String::new, |preset| format!(" on {preset}"))
}

/// Where a scenario is: `before`, `2 ms to PostgreSQL, write.batch_rows = 100`.
pub(super) fn place(preset: Option<&str>, cell: &[Setting]) -> String {
    if cell.is_empty() {
        return preset.unwrap_or("as they are").to_owned();
    }
    let settings = cell.iter().map(setting);
    settings.collect::<Vec<_>>().join(", ")
}

/// The same, with a confirmation marked as one.
pub(super) fn scenario_place(plan: &ScenarioPlan) -> String {
    let again = if plan.confirms.is_some() {
        ", again"
    } else {
        ""
    };
    format!("{}{again}", place(plan.on.as_deref(), &plan.cell))
}

/// A parameter at a value: `2 ms to PostgreSQL`, `write.batch_rows = 100`, `mode = append`.
pub(super) fn setting(setting: &Setting) -> String {
    valued(&setting.parameter, &shown(&setting.value))
}

/// A value of a parameter without its name.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Number(number) => plain(*number),
        Value::Text(text) => one_line(text),
    }
}

pub(super) fn valued(parameter: &str, value: &str) -> String {
    match parameter {
        POSTGRES_ROUND_TRIP => format!("{value} ms to PostgreSQL"),
        API_ROUND_TRIP => format!("{value} ms to the API"),
        ROWS => format!("{value} rows"),
        knob => format!("{knob} = {value}"),
    }
}

/// `2026-01-01 00:00 UTC`
pub(super) fn moment(time: Timestamp) -> String {
    let text = time.to_string();
    match (text.get(..10), text.get(11..16)) {
        (Some(day), Some(minute)) => format!("{day} {minute} UTC"),
        _ => text,
    }
}

/// A figure, or the sign that there is none.
pub(super) fn figure<T: Display>(value: Option<f64>, unit: impl Fn(f64) -> T) -> Cell {
    value.map_or_else(Cell::absent, |value| {
        Cell::figure(unit(value).to_string(), value)
    })
}

/// A cell of a name, on one line.
pub(super) fn name(text: &str) -> Cell {
    Cell::text(one_line(text))
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A title as it is within a sentence: `columnar decoding`, but `COPY instead of INSERT`.
pub(super) fn in_sentence(title: &str) -> String {
    let title = one_line(title);
    let mut characters = title.chars();
    match (characters.next(), characters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(characters).collect()
        }
        _ => title,
    }
}

pub(super) fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase());
    first.into_iter().flatten().chain(characters).collect()
}
