//! A comparison of two runs on a terminal, within 100 columns.

use super::document::{Block, Cell, Table};
use super::terminal::{Colour, block};
use crate::format::{Count, Range, Seconds, Times};
use crate::judge::compare::{
    ArmComparison, Gain, GainComparison, MetricComparison, RunComparison, RunHead,
};
use crate::metric::Metric;
use crate::stats::{Comparison, Correction, Verdict};

/// Characters of a commit that are shown, as in the names of folders.
const SHORT_COMMIT_CHARS: usize = 8;

const CAUTION: &str = "The runs were made at different times, so they also differ by what else the machine \
    did. Before you believe a small difference, measure both revisions alternately on one host, as \
    `apitap-bench gate` does.";

/// Renders `comparison`: what was refused, the arms, and the gains whose verdicts differ.
#[must_use]
pub(crate) fn render(comparison: &RunComparison) -> String {
    let mut parts = vec![heads(comparison)];
    parts.extend(left_out(comparison));
    parts.extend(arms(comparison));
    parts.push(tally(comparison));
    parts.extend(gains(comparison));
    parts.push(Block::Paragraph(CAUTION.to_owned()));
    let mut text = String::new();
    for part in &parts {
        // A table follows its heading.
        if !text.is_empty() && !matches!(part, Block::Table(_)) {
            text.push('\n');
        }
        for line in block(part, Colour::Never) {
            text += &line;
            text.push('\n');
        }
    }
    text
}

fn heads(comparison: &RunComparison) -> Block {
    let head = |name: &str, run: &RunHead| {
        let commit: String = run.git_commit.chars().take(SHORT_COMMIT_CHARS).collect();
        let changes = match run.git_dirty {
            Some(true) => " with uncommitted changes",
            Some(false) | None => "",
        };
        format!("{name}: {}, commit {commit}{changes}", run.started_at)
    };
    Block::List(vec![head("A", &comparison.a), head("B", &comparison.b)])
}

fn left_out(comparison: &RunComparison) -> Option<Block> {
    let refused = comparison.refused.iter();
    let refused = refused.map(|scenario| format!("Not compared: {scenario}"));
    let only = [("A", &comparison.only_in_a), ("B", &comparison.only_in_b)];
    let only = only.into_iter().filter(|(_, names)| !names.is_empty());
    let only = only.map(|(run, names)| format!("Only in {run}: {}", names.join("; ")));
    let items: Vec<String> = refused.chain(only).collect();
    (!items.is_empty()).then_some(Block::List(items))
}

/// The arms of every scenario.
fn arms(comparison: &RunComparison) -> Vec<Block> {
    let scenarios = comparison.arms.chunk_by(|a, b| a.scenario == b.scenario);
    scenarios
        .flat_map(|arms| {
            let name = arms.first().map_or("", |arm| arm.scenario.as_str());
            let mut table = Table::new(name, &["Arm", ">A", ">B", ">B ÷ A", "Verdict"]);
            table.rows = arms
                .iter()
                .flat_map(rows)
                .map(|(label, metric)| {
                    let figures = figures(metric, comparison.confidence_level);
                    std::iter::once(Cell::text(label)).chain(figures).collect()
                })
                .collect();
            [Block::Paragraph(name.to_owned()), Block::Table(table)]
        })
        .collect()
}

/// The time of an arm, and any other metric with another conclusive verdict.
fn rows(arm: &ArmComparison) -> impl Iterator<Item = (String, &MetricComparison)> {
    let verdict = |metric: &MetricComparison| metric.judged.map(|judged| judged.verdict);
    let time = arm.measures.first();
    let others = arm.measures.iter().skip(1).filter(move |other| {
        verdict(other) != time.and_then(verdict)
            && verdict(other).is_some_and(|one| one != Verdict::Inconclusive)
    });
    let time = time.map(|time| (arm.arm.clone(), time));
    let others = others.map(|other| (format!("{}, {}", arm.arm, other.metric), other));
    time.into_iter().chain(others)
}

fn figures(metric: &MetricComparison, confidence: f64) -> [Cell; 4] {
    let median = |value: Option<f64>| {
        value.map_or_else(Cell::absent, |one| Cell::text(Seconds(one).to_string()))
    };
    let (ratio, verdict) = metric.judged.map_or_else(
        || (Cell::absent(), Cell::default()),
        |judged| {
            let ratio = Cell::text(ratio(&judged.comparison, confidence));
            let verdict = Cell::text(word(judged.verdict));
            (ratio, verdict)
        },
    );
    [median(metric.a), median(metric.b), ratio, verdict]
}

/// `1.20× (1.18–1.22)`
fn ratio(comparison: &Comparison, confidence: f64) -> String {
    let range = Range::new(comparison, confidence);
    format!("{} ({range})", Times(comparison.ratio))
}

fn word(verdict: Verdict) -> String {
    match verdict {
        Verdict::Equivalent => "~".to_owned(),
        Verdict::Improved | Verdict::Regressed | Verdict::Inconclusive => verdict.to_string(),
    }
}

/// How many arms have which verdict on their time, and whether that was corrected for their number.
fn tally(comparison: &RunComparison) -> Block {
    let verdicts: Vec<Verdict> = comparison
        .arms
        .iter()
        .filter_map(|arm| Some(arm.measures.first()?.judged?.verdict))
        .collect();
    let counts: Vec<String> = [
        (Verdict::Regressed, "regressed"),
        (Verdict::Improved, "improved"),
        (Verdict::Equivalent, "~ (no difference that matters)"),
        (Verdict::Inconclusive, "inconclusive"),
    ]
    .into_iter()
    .map(|(wanted, word)| (verdicts.iter().filter(|one| **one == wanted).count(), word))
    .filter(|(count, _)| *count > 0)
    .map(|(count, word)| format!("{count} {word}"))
    .collect();
    let arms = Count::new(verdicts.len(), "arm");
    let mut text = format!("Time of {arms} in B against A: {}.", counts.join(", "));
    let is_uncorrected =
        |correction: &Correction| matches!(correction, Correction::None { family } if *family > 1);
    let mut families = comparison.families.iter();
    if families.any(|family| is_uncorrected(&family.correction)) {
        text += " There are too few samples to judge so many arms together. Each was judged alone, so \
                 about one in twenty equal arms may seem to differ.";
    }
    Block::Paragraph(text)
}

fn gains(comparison: &RunComparison) -> Vec<Block> {
    let all = Count::new(comparison.gains.len(), "gain");
    let gains = comparison.gains.iter();
    let differing: Vec<&GainComparison> = gains.filter(|gain| gain.differs()).collect();
    match (comparison.gains.len(), differing.len()) {
        (0, _) => Vec::new(),
        (_, 0) => vec![Block::Paragraph(format!(
            "{all} compared: every verdict is the same in A and B."
        ))],
        (_, count) => {
            let head = format!("{all} compared: {count} with another verdict in B than in A.");
            let items = differing.into_iter();
            let items = items.map(|gain| difference(gain, comparison.confidence_level));
            vec![Block::Paragraph(head), Block::List(items.collect())]
        }
    }
}

fn difference(gain: &GainComparison, confidence: f64) -> String {
    let metric = match gain.metric {
        Metric::WallSeconds => String::new(),
        metric => format!(", {metric}"),
    };
    let side = |one: &Gain| format!("{} {}", ratio(&one.gain, confidence), word(one.verdict));
    let overlap = if gain.intervals_overlap {
        "the intervals overlap"
    } else {
        "the intervals do not overlap"
    };
    format!(
        "{}: {}{metric}: {} in A, {} in B; {overlap}",
        gain.scenario,
        gain.candidate,
        side(&gain.a),
        side(&gain.b)
    )
}
