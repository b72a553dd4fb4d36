//! Results over time: what changed, and a chart of each quantity.

mod chart;

use std::collections::BTreeMap;

use self::chart::chart;
use super::format::capitalised;
use super::paragraph;
use crate::format::{Change as Share, Count, Measured, Number, Whole, one_line};
use crate::judge::history::series::{Change, Direction, History, Series};
use crate::metric::Metric;
use crate::report::document::{Block, Cell, Document, Section, Table, Tone};
use crate::report::history_text::{caution, day, short, word, words};

/// Charts of a page at most, those of what changed first: more make it too large to open.
const MOST_CHARTS: usize = 150;

/// The same of a report, which has all else too.
const MOST_CHARTS_OF_REPORT: usize = 12;

const ABOUT_CHARTS: &str = "A point is the median of a run's blocks, with its quartiles; runs are at equal distances. \
    Vertical lines are changes, horizontal lines the medians between them. Results of other machines, servers, \
    builds or loads are series of their own.";

const ABOUT_CHANGES: &str = "Changes were found by E-divisive with a permutation test. The cause of a change is between \
    the commit of the last run before it and that of the first run after it, unless the machine changed. The search \
    picks the place of the largest change, so sizes are rather too large than too small.";

/// Series of one quantity of one arm, which share a chart.
struct Shared<'a> {
    /// Of the chart, unique.
    id: String,
    /// Never empty.
    series: Vec<&'a Series>,
}

impl Shared<'_> {
    fn first(&self) -> &Series {
        self.series[0]
    }
}

/// The page of `history`.
pub(in crate::report) fn document(history: &History) -> Document {
    let shared = in_charts(history);
    let drawn = &shared[..shared.len().min(MOST_CHARTS)];
    let mut first = Section::new("changes", "What changed");
    first.push(changed(history, drawn));
    if drawn.len() < shared.len() {
        first.push(paragraph(format!(
            "The page has the first {} of {}: name some with a filter to see the others.",
            drawn.len(),
            Count::new(shared.len(), "chart")
        )));
    }
    let by_scenario = in_groups(drawn, |one| &one.first().scenario);
    let sections = by_scenario.iter().map(|charts| of_scenario(charts));
    let mut about = Section::new("how-to-read", "How to read this");
    about.push(paragraph(ABOUT_CHARTS));
    about.push(paragraph(ABOUT_CHANGES));
    about.push(paragraph(one_line(&caution(history))));
    about.push(Block::Table(machines(history)));
    Document {
        title: "Results over time".to_owned(),
        subtitle: subtitle(history),
        sections: std::iter::once(first)
            .chain(sections)
            .chain([about])
            .collect(),
    }
}

/// How the quantities of a run changed up to it, for its report: all that changed, and charts of that and of
/// throughput.
pub(super) fn section(history: &History) -> Section {
    let mut section = Section::new("over-time", "Over time");
    let runs = history.runs().len();
    if runs < 2 {
        section.push(paragraph(
            "No run of this history before this one compares with it: machine, server, build or loads are others.",
        ));
        return section;
    }
    let has_changed = |one: &Shared<'_>| one.series.iter().any(|series| !series.changes.is_empty());
    let is_course = |one: &Shared<'_>| {
        let first = one.first();
        first.points.len() > 1 && first.metric == Metric::RowsPerSecond.name()
    };
    let mut shown = in_charts(history);
    shown.retain(|one| has_changed(one) || is_course(one));
    let all = shown.len();
    shown.truncate(MOST_CHARTS_OF_REPORT);
    section.push(paragraph(format!(
        "{}, this one last. {ABOUT_CHANGES}",
        Count::new(runs, "run")
    )));
    section.push(changed(history, &shown));
    section.push(paragraph(one_line(&caution(history))));
    if shown.len() < all {
        section.push(paragraph(format!(
            "Of {} of throughput and of what changed the first {} are here: \
             apitap-bench history show has more, with a filter those that it names.",
            Count::new(all, "chart"),
            shown.len()
        )));
    }
    let by_arm = in_groups(&shown, |one| (&one.first().scenario, &one.first().arm));
    let titled = |charts: &Vec<&Shared<'_>>| {
        let Series { scenario, arm, .. } = charts[0].first();
        of_arm(charts, &format!("{scenario}, {arm}"))
    };
    section.parts = by_arm.iter().map(titled).collect();
    section
}

fn in_charts(history: &History) -> Vec<Shared<'_>> {
    let groups = in_groups(&history.series, |one| {
        (&one.scenario, &one.arm, &one.metric, &one.unit)
    });
    let numbered = (1..).zip(groups);
    numbered
        .map(|(nth, series)| Shared {
            id: format!("history-{nth}"),
            series,
        })
        .collect()
}

/// What has one key together, in the order of the first of each.
fn in_groups<'a, T, K: Ord>(
    all: impl IntoIterator<Item = &'a T>,
    key: impl Fn(&'a T) -> K,
) -> Vec<Vec<&'a T>> {
    let mut machines = BTreeMap::new();
    let mut groups: Vec<Vec<&T>> = Vec::new();
    for one in all {
        let nth = *machines.entry(key(one)).or_insert(groups.len());
        match groups.get_mut(nth) {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    groups
}

fn subtitle(history: &History) -> String {
    let runs = history.runs();
    match (runs.first(), runs.last()) {
        (Some(first), Some(last)) => format!(
            "{} from {} to {} · {} series",
            Count::new(runs.len(), "run"),
            day(*first),
            day(*last),
            Whole(history.series.len() as u64)
        ),
        _ => "no result".to_owned(),
    }
}

fn of_scenario(charts: &[&Shared<'_>]) -> Section {
    let (id, name) = (&charts[0].id, &charts[0].first().scenario);
    let by_arm = in_groups(charts.iter().copied(), |one| &one.first().arm);
    let part = |charts: &Vec<&Shared<'_>>| of_arm(charts, &charts[0].first().arm);
    Section {
        parts: by_arm.iter().map(part).collect(),
        ..Section::new(format!("scenario-of-{id}"), one_line(name))
    }
}

fn of_arm(charts: &[&Shared<'_>], title: &str) -> Section {
    Section {
        blocks: charts.iter().map(|one| Block::Chart(chart(one))).collect(),
        ..Section::new(format!("arm-of-{}", charts[0].id), one_line(title))
    }
}

fn changed(history: &History, drawn: &[Shared<'_>]) -> Block {
    let mut columns = vec!["What", ">Change", "Medians", "Since", "Commit before", ">p"];
    // What is the same of all says nothing.
    let has_machines = history.machines().len() > 1;
    if has_machines {
        columns.push("Machine");
    }
    let mut table = Table::new("What changed, worse first", &columns);
    for series in &history.series {
        let chart = drawn
            .iter()
            .find(|shared| shared.series.iter().any(|one| std::ptr::eq(*one, series)));
        let id = chart.map(|shared| shared.id.as_str());
        for change in &series.changes {
            let mut cells = row(series, change, id);
            if has_machines {
                cells.push(Cell::text(&series.machine.digest));
            }
            table.rows.push(cells);
        }
    }
    if table.rows.is_empty() {
        return paragraph("No series changed.");
    }
    Block::Table(table)
}

fn row(series: &Series, change: &Change, chart: Option<&str>) -> Vec<Cell> {
    let relative = &change.relative;
    let value = |value: f64| Measured(value, &series.unit);
    let name = Cell::text(one_line(&format!(
        "{} of {}, {}",
        capitalised(&words(&series.metric)),
        series.scenario,
        series.arm
    )));
    vec![
        match chart {
            Some(id) => name.linked(id),
            None => name,
        },
        Cell::figure(
            format!(
                "{} ({} to {})",
                Share(relative.estimate),
                Share(relative.low),
                Share(relative.high)
            ),
            relative.estimate,
        )
        .toned(tone(change.direction)),
        Cell::text(format!(
            "{} → {}",
            value(change.before),
            value(change.after)
        )),
        Cell::text(format!(
            "{}, {}",
            short(&change.commit),
            day(change.started_at)
        )),
        Cell::text(short(&change.commit_before)),
        Cell::figure(Number(change.p_value).to_string(), change.p_value),
    ]
}

fn tone(direction: Direction) -> Tone {
    match direction {
        Direction::Worse => Tone::Worse,
        Direction::Better => Tone::Better,
        Direction::Unclear => Tone::Open,
    }
}

fn machines(history: &History) -> Table {
    let mut table = Table::new("Machines", &["Machine", "Machine, server and build"]);
    let machines = history.machines().into_iter();
    table.rows = machines
        .map(|place| vec![Cell::text(&place.digest), Cell::text(one_line(&place.name))])
        .collect();
    table
}

/// A change as it is written at its line, such as `▼ +12.5%`.
fn label(change: &Change) -> String {
    let sign = match change.direction {
        Direction::Worse => "▼",
        Direction::Better => "▲",
        Direction::Unclear => "?",
    };
    format!("{sign} {}", Share(change.relative.estimate))
}

/// The same in a table, and what it means.
fn change_cell(change: &Change) -> Cell {
    let share = Share(change.relative.estimate);
    Cell::figure(
        format!("{share}, {}", word(change.direction)),
        change.relative.estimate,
    )
    .toned(tone(change.direction))
}
