//! The comparison on a terminal, within 100 columns.

use std::fmt::Write as _;

use super::{Across, ArmAcross, Gain, GainAcross, MeasureAcross, RunHead};
use crate::format::{Count, Range, Seconds, Times};
use crate::samples::Metric;
use crate::stats::{Comparison, Correction, UnpairedJudged, Verdict};

const COLUMNS: usize = 100;

/// Characters of a commit that are shown, as in the names of folders.
const SHORT_COMMIT_CHARS: usize = 8;

const CAUTION: &str = "Two runs at different times also differ by what the machine did between \
                       them: take a small difference here as a reason to alternate both on one \
                       host.";

/// Renders `across`: what was refused, the arms, and the gains that came out otherwise.
#[must_use]
pub(crate) fn render(across: &Across) -> String {
    let parts = [
        heads(across),
        left_out(across),
        arms(across),
        tally(across),
        gains(across),
        wrapped(CAUTION, ""),
    ];
    let present: Vec<&str> = parts
        .iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    present.join("\n")
}

fn heads(across: &Across) -> String {
    format!("A  {}\nB  {}\n", head(&across.a), head(&across.b))
}

fn head(run: &RunHead) -> String {
    let commit: String = run.git_commit.chars().take(SHORT_COMMIT_CHARS).collect();
    let changes = match run.git_dirty {
        Some(true) => " with uncommitted changes",
        Some(false) | None => "",
    };
    format!("{}, commit {commit}{changes}", run.started_at)
}

fn left_out(across: &Across) -> String {
    let mut text = String::new();
    if !across.refused.is_empty() {
        text += "Not compared:\n";
        for scenario in &across.refused {
            text += &wrapped(&scenario.to_string(), "  ");
        }
    }
    for (run, names) in [("A", &across.only_in_a), ("B", &across.only_in_b)] {
        if !names.is_empty() {
            text += &wrapped(&format!("Only in {run}: {}", names.join("; ")), "");
        }
    }
    text
}

/// A row of the table of arms; a scenario's own row has a label alone.
struct Row {
    label: String,
    cells: [String; 4],
}

fn arms(across: &Across) -> String {
    let header = ["A", "B", "B ÷ A", "verdict"].map(str::to_owned);
    let mut rows = vec![Row {
        label: "median time".to_owned(),
        cells: header,
    }];
    for of_scenario in across.arms.chunk_by(|a, b| a.scenario == b.scenario) {
        rows.extend(of_scenario.first().map(|arm| Row {
            label: arm.scenario.clone(),
            cells: Default::default(),
        }));
        for arm in of_scenario {
            rows.extend(rows_of(arm, across.confidence_level));
        }
    }
    laid_out(&rows)
}

fn rows_of(arm: &ArmAcross, confidence: f64) -> Vec<Row> {
    let verdict = |measure: &MeasureAcross| measure.judged.map(|judged| judged.verdict);
    let mut measures = arm.measures.iter();
    let Some(time) = measures.next() else {
        return Vec::new();
    };
    let besides = measures
        .filter(|measure| verdict(measure) != verdict(time))
        .filter(|measure| verdict(measure).is_some_and(|one| one != Verdict::Inconclusive))
        .map(|measure| row(format!("    {}", measure.metric), measure, confidence));
    let of_time = row(format!("  {}", arm.arm), time, confidence);
    std::iter::once(of_time).chain(besides).collect()
}

fn row(label: String, measure: &MeasureAcross, confidence: f64) -> Row {
    let median = |value: Option<f64>| value.map_or("-".to_owned(), |one| Seconds(one).to_string());
    let (ratio, verdict) = measure.judged.map_or_else(
        || ("-".to_owned(), String::new()),
        |UnpairedJudged {
             comparison,
             verdict,
             ..
         }| (figure(&comparison, confidence), sign(verdict)),
    );
    Row {
        label,
        cells: [median(measure.a), median(measure.b), ratio, verdict],
    }
}

/// `1.20× (1.18–1.22)`
fn figure(comparison: &Comparison, confidence: f64) -> String {
    format!(
        "{} ({})",
        Times(comparison.ratio),
        Range::new(comparison, confidence)
    )
}

fn sign(verdict: Verdict) -> String {
    match verdict {
        Verdict::Equivalent => "~".to_owned(),
        Verdict::Improved | Verdict::Regressed | Verdict::Inconclusive => verdict.to_string(),
    }
}

/// Rows in columns as wide as their widest cell. A label gives way where the rest is too wide.
fn laid_out(rows: &[Row]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row.cells[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let [a, b, ratio, verdict] = [0, 1, 2, 3].map(width);
    let gaps = 4 * 2;
    let left = COLUMNS.saturating_sub(a + b + ratio + verdict + gaps);
    let is_arm = |row: &&Row| row.cells.iter().any(|cell| !cell.is_empty());
    let labels = rows
        .iter()
        .filter(is_arm)
        .map(|row| row.label.chars().count());
    let label = labels.max().unwrap_or(0).min(left);
    let mut text = String::new();
    for row in rows {
        let line = if is_arm(&row) {
            let [of_a, of_b, of_both, judged] = &row.cells;
            let name = fitted(&row.label, label);
            format!("{name:<label$}  {of_a:>a$}  {of_b:>b$}  {of_both:<ratio$}  {judged}")
        } else {
            fitted(&row.label, COLUMNS)
        };
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// How the times of the arms came out, and whether that was corrected for their number.
fn tally(across: &Across) -> String {
    let verdicts: Vec<Verdict> = across
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
    .map(|(wanted, words)| (verdicts.iter().filter(|one| **one == wanted).count(), words))
    .filter(|(count, _)| *count > 0)
    .map(|(count, words)| format!("{count} {words}"))
    .collect();
    let arms = Count::new(verdicts.len(), "arm");
    let mut text = format!("Time in B against A, of {arms}: {}.", counts.join(", "));
    let is_uncorrected =
        |correction: &Correction| matches!(correction, Correction::None { family } if *family > 1);
    if across
        .families
        .iter()
        .any(|family| is_uncorrected(&family.correction))
    {
        text += " So few samples could show no difference among so many arms: each was judged \
                 alone, and one in twenty equal ones may seem to differ.";
    }
    wrapped(&text, "")
}

fn gains(across: &Across) -> String {
    let differing: Vec<&GainAcross> = across.gains.iter().filter(|gain| gain.differs()).collect();
    if across.gains.is_empty() {
        return String::new();
    }
    if differing.is_empty() {
        let all = Count::new(across.gains.len(), "gain");
        return format!("Of {all} none has another verdict in B.\n");
    }
    let mut text = format!(
        "Of {}, {} in B another verdict than in A:\n",
        Count::new(across.gains.len(), "gain"),
        if differing.len() == 1 {
            "1 has".to_owned()
        } else {
            format!("{} have", differing.len())
        }
    );
    for gain in differing {
        text += &side_by_side(gain, across.confidence_level);
    }
    text
}

fn side_by_side(gain: &GainAcross, confidence: f64) -> String {
    let metric = match gain.metric {
        Metric::WallSeconds => String::new(),
        metric => format!(", {metric}"),
    };
    let place = format!("{}: {}{metric}", gain.scenario, gain.candidate);
    let [of_a, of_b] = [&gain.a, &gain.b].map(|one: &Gain| figure(&one.gain, confidence));
    let width = of_a.chars().count().max(of_b.chars().count());
    let overlap = if gain.intervals_overlap {
        "the intervals overlap"
    } else {
        "the intervals lie apart"
    };
    let mut text = wrapped(&place, "  ");
    // Writing to a string does not fail.
    let _ = writeln!(text, "    A  {of_a:<width$}  {}", sign(gain.a.verdict));
    let _ = writeln!(
        text,
        "    B  {of_b:<width$}  {}; {overlap}",
        sign(gain.b.verdict)
    );
    text
}

fn fitted(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// `text` in lines that start with `indent`, the second and further ones with twice that.
fn wrapped(text: &str, indent: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= COLUMNS => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) => lines.push(format!("{indent}{indent}{word}")),
            None => lines.push(format!("{indent}{word}")),
        }
    }
    lines.join("\n") + "\n"
}
