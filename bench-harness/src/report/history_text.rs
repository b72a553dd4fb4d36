//! A history on a terminal, within 100 columns unless names are longer.

use std::fmt::Write as _;

use crate::format::{Change as Share, Count, Measured, Number, Percent, Whole};
use crate::judge::history::series::{Change, Direction, History, Series};
use crate::samples::Timestamp;

/// Characters of a commit that are shown, as in the names of folders.
const SHORT_COMMIT_CHARS: usize = 8;

/// Most results of a series that are drawn, the latest ones.
const SPARK_CHARS: usize = 30;

/// Levels of a drawing, from low to high; an odd number, so that equal values are in the middle.
const SPARKS: [char; 7] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇'];

/// The smallest factor that a drawing spans: noise of a few per cent must not look like a mountain.
const LEAST_RANGE: f64 = 1.2;

/// Renders `history`: what changed, worse first, then the rest.
#[must_use]
pub(crate) fn render(history: &History) -> String {
    let mut text = head(history);
    let (changed, unchanged): (Vec<_>, Vec<_>) = history
        .series
        .iter()
        .partition(|series| !series.changes.is_empty());
    for series in changed {
        text += &changes(series, history);
    }
    let of_one_arm = |a: &&Series, b: &&Series| name(a, history) == name(b, history);
    for of_arm in unchanged.chunk_by(of_one_arm) {
        let Some(first) = of_arm.first() else {
            continue;
        };
        let _ = writeln!(text, "\n{}", name(first, history));
        for series in of_arm {
            let _ = writeln!(
                text,
                "  {:<36} {:<SPARK_CHARS$} {}",
                words(&series.metric),
                sparkline(series),
                latest(series)
            );
        }
    }
    text.push('\n');
    text += &caution(history);
    text
}

fn head(history: &History) -> String {
    let runs = history.runs();
    let (Some(first), Some(last)) = (runs.first(), runs.last()) else {
        return "No series matches.\n".to_owned();
    };
    let mut text = format!(
        "{} of {}, {} to {}\n",
        format_args!("{} series", Whole(history.series.len() as u64)),
        Count::new(runs.len(), "run"),
        day(*first),
        day(*last)
    );
    for place in history.machines() {
        let _ = writeln!(text, "machine {}  {}", place.digest, place.name);
    }
    text
}

fn changes(series: &Series, history: &History) -> String {
    let mut text = format!(
        "\n{} {}: {}\n  {} {}\n",
        series.direction().map_or("", sign),
        name(series, history),
        words(&series.metric),
        sparkline(series),
        latest(series)
    );
    for change in &series.changes {
        text += &sentences(change, series);
    }
    text
}

/// By how much a series changed, and since when.
fn sentences(change: &Change, series: &Series) -> String {
    let relative = change.relative;
    format!(
        "  {}: {} ({} to {}), {} → {}, p {}\n    since commit {} of {}; the run before was commit {}\n",
        word(change.direction),
        Share(relative.estimate),
        Share(relative.low),
        Share(relative.high),
        Measured(change.before, &series.unit),
        Measured(change.after, &series.unit),
        Number(change.p_value),
        short(&change.commit),
        day(change.started_at),
        short(&change.commit_before),
    )
}

/// What a direction is called.
#[must_use]
pub(crate) fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Worse => "worse",
        Direction::Better => "better",
        Direction::Unclear => "changed",
    }
}

fn sign(direction: Direction) -> &'static str {
    match direction {
        Direction::Worse => "▼",
        Direction::Better => "▲",
        Direction::Unclear => "?",
    }
}

/// How many changes are expected by chance, and which series are too short.
#[must_use]
pub(crate) fn caution(history: &History) -> String {
    let (long, all) = (history.long_enough(), history.series.len());
    let mut text = format!(
        "A series needs {} runs before a change can be found: {} of {} series have them.\n",
        2 * history.min_segment,
        Whole(long as u64),
        Whole(all as u64)
    );
    let _ = writeln!(
        text,
        "At a significance level of {}, about {} of these series show a change by chance.",
        Percent(history.significance),
        Number(history.significance * long as f64)
    );
    text
}

/// Scenario, arm and rows, and the place where there are several.
fn name(series: &Series, history: &History) -> String {
    let place = if history.machines().len() > 1 {
        format!(", on {}", series.machine.digest)
    } else {
        String::new()
    };
    format!(
        "{}, {}, {} rows{place}",
        series.scenario,
        series.arm,
        Whole(series.rows)
    )
}

/// A metric's name as words.
#[must_use]
pub(crate) fn words(metric: &str) -> String {
    metric.replace('_', " ")
}

fn latest(series: &Series) -> String {
    let value = series.points.last().map_or(f64::NAN, |point| point.value);
    format!(
        "{} ({})",
        Measured(value, &series.unit),
        Count::new(series.points.len(), "run")
    )
}

/// The first characters of a commit.
#[must_use]
pub(crate) fn short(commit: &str) -> String {
    commit.chars().take(SHORT_COMMIT_CHARS).collect()
}

/// The day of a time in UTC.
#[must_use]
pub(crate) fn day(time: Timestamp) -> String {
    time.to_string().chars().take("2026-01-01".len()).collect()
}

/// The latest results as bars, by their logarithms.
fn sparkline(series: &Series) -> String {
    let from = series.points.len().saturating_sub(SPARK_CHARS);
    let logarithms = series.points[from..].iter().map(|point| point.value.ln());
    let logarithms: Vec<f64> = logarithms.collect();
    let (low, high) = logarithms
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), one| {
            (low.min(*one), high.max(*one))
        });
    let range = (high - low).max(LEAST_RANGE.ln());
    let bottom = (low + high - range) / 2.0;
    let top = SPARKS.len() - 1;
    let spark = |value: &f64| {
        // A cast of what is beyond stops at the edge.
        let level = ((value - bottom) / range * top as f64).round() as usize;
        SPARKS[level.min(top)]
    };
    logarithms.iter().map(spark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::history::example;

    #[test]
    fn what_became_worse_comes_first() {
        let entries = example::entries(14, 8, 1.25);
        insta::assert_snapshot!(render(&History::new(&entries, &[], 0.01)));
    }

    #[test]
    fn machines_are_named_where_there_are_several_and_no_series_says_so() {
        let mut entries = example::entries(2, 9, 1.0);
        if let Some(last) = entries.last_mut() {
            last.machine.digest = "another".to_owned();
        }
        let text = render(&History::new(&entries, &[], 0.01));
        assert!(text.contains("rows, on another\n"), "{text}");
        let text = render(&History::new(&entries, &["nothing".to_owned()], 0.01));
        assert!(text.starts_with("No series matches.\n"), "{text}");
    }
}
