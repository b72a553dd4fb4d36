//! Profiles: where the time of each pair of arms went, and why one takes less.

mod budget;
mod deltas;
mod figures;
mod sentence;
mod server;
mod stages;

use serde_json::Value;

use self::budget::{budget, next};
use self::deltas::grew;
use self::figures::{courses, figures};
use self::sentence::sentence;
use self::server::{heap, server};
use self::stages::{quality, stages};
use super::format::listed;
use super::{environment, paragraph};
use crate::format::{Count, Percent, Whole, one_line};
use crate::profile::flamegraph::LEGEND;
use crate::profile::results::{LEAST_COVERAGE, ProfileResults};
use crate::report::document::{Block, Cell, Document, Frames, Section, Table, Tone};

/// A document of profiles alone.
pub(in crate::report) fn document(profiles: &[ProfileResults]) -> Document {
    let subtitle = profiles.first().map(|profile| {
        let subject = &profile.subject;
        let build = subject
            .fingerprint
            .pointer("/build/profile")
            .and_then(Value::as_str);
        let place = environment::place(
            &subject.fingerprint,
            subject.started_at,
            build.unwrap_or("unknown"),
        );
        format!("{place} · {}", Count::new(subject.rounds, "round"))
    });
    let mut about = Section::new("how-to-read", "How to read this");
    about.push(paragraph(ABOUT));
    let parts: Vec<Section> = profiles.iter().map(section).collect();
    Document {
        title: "Where the time goes, profiled".to_owned(),
        subtitle: subtitle.unwrap_or_default(),
        sections: parts.into_iter().chain([about]).collect(),
    }
}

const ABOUT: &str = "Sampled loads give processor time by stack, watched loads wall time by part; neither \
    enters a comparison. Processor time is in µs for 1,000 rows. Every moment is shared between the parts of the \
    budget that were at work in it: of two, half each. Where none was, it is unexplained. At most: how many times as \
    fast a load could be if the part cost nothing, given what every other part needs. ~ marks a difference whose \
    interval includes 0. Each interval has 95% by itself, so of a hundred that are noise five seem to differ.";

fn section(profile: &ProfileResults) -> Section {
    let id = &profile.folder;
    let mut section = Section::new(id, one_line(&profile.subject.scenario));
    section.push(Block::Verdict {
        tone: Tone::Plain,
        word: "Where the time went".to_owned(),
        text: sentence(profile),
    });
    section
        .blocks
        .extend(doubts(profile).into_iter().map(Block::Warning));
    section.push(paragraph(format!(
        "Compared: {} of {} rows against {} of {} rows.",
        one_line(&profile.subject.arms[1]),
        Whole(profile.subject.rows[1]),
        one_line(&profile.subject.arms[0]),
        Whole(profile.subject.rows[0])
    )));
    let parts = [
        (
            "pictures",
            PICTURES,
            vec![
                Block::Frames(frames(profile)),
                Block::Table(pictures(profile)),
            ],
        ),
        (
            "time",
            BUDGET,
            budget(profile)
                .map(Block::Chart)
                .into_iter()
                .chain(next(profile).map(Block::List))
                .collect(),
        ),
        (
            "stages",
            STAGES,
            vec![
                Block::Table(stages(profile)),
                Block::Table(quality(profile)),
            ],
        ),
        ("grew", GREW, grew(profile)),
        (
            "figures",
            FIGURES,
            std::iter::once(Block::Table(figures(profile)))
                .chain(courses(profile).into_iter().map(Block::Chart))
                .collect(),
        ),
        (
            "server",
            SERVER,
            server(profile).map(Block::Table).into_iter().collect(),
        ),
        (
            "memory",
            MEMORY,
            heap(profile).map(Block::Table).into_iter().collect(),
        ),
    ];
    section.parts = parts
        .into_iter()
        .filter(|(_, _, blocks): &(_, _, Vec<Block>)| !blocks.is_empty())
        .map(|(name, title, blocks)| Section {
            blocks,
            ..Section::new(format!("{id}-{name}"), title)
        })
        .collect();
    section
}

const PICTURES: &str = "Flame graphs";
const BUDGET: &str = "Time budget";
const STAGES: &str = "Processor time by stage, µs for 1,000 rows";
const GREW: &str = "What grew and what shrank, µs for 1,000 rows";
const FIGURES: &str = "The five figures, medians of watched loads";
const SERVER: &str = "What the server counted in the load of median length";
const MEMORY: &str = "Where memory is allocated, for each row of a small load";

/// What weakens the figures.
fn doubts(profile: &ProfileResults) -> Vec<String> {
    let mut doubts = Vec::new();
    for arm in profile.uncovered() {
        let coverage = arm.sampling.map_or(0.0, |one| one.coverage);
        doubts.push(format!(
            "{}: only {} of the expected samples were taken, less than {}, so functions and crates are not ranked.",
            one_line(&arm.name),
            Percent(coverage),
            Percent(LEAST_COVERAGE)
        ));
    }
    for arm in &profile.arms {
        let disagreeing = arm.attribution.as_ref().map(|one| one.disagreeing());
        let names: Vec<String> = disagreeing
            .unwrap_or_default()
            .iter()
            .map(|one| one.stage.clone())
            .collect();
        if !names.is_empty() {
            doubts.push(format!(
                "{}: clocks and samples disagree on {}.",
                one_line(&arm.name),
                listed(&names)
            ));
        }
        if arm
            .budget
            .as_ref()
            .is_some_and(|budget| budget.looks == 0.0)
        {
            doubts.push(format!(
                "{}: the server could not be watched; its time is counted as send wait.",
                one_line(&arm.name)
            ));
        }
    }
    doubts
}

/// The stacks of both arms, their callers above.
fn frames(profile: &ProfileResults) -> Frames {
    let file = |arm: usize, file: &str| {
        let name = one_line(&profile.subject.arms[arm]);
        (name, format!("{}/{file}", profile.folder))
    };
    Frames {
        files: vec![
            file(0, "baseline-icicle.svg"),
            file(1, "candidate-icicle.svg"),
        ],
        legend: LEGEND
            .map(|(colour, text)| (colour.to_owned(), text.to_owned()))
            .to_vec(),
    }
}

/// The files beside the page.
fn pictures(profile: &ProfileResults) -> Table {
    let mut table = Table::new(PICTURES, &["Picture", "Baseline", "Candidate"]);
    let file =
        |name: &str, text: &str| Cell::text(text).with_file(format!("{}/{name}", profile.folder));
    let [baseline, candidate] = profile.subject.arms.each_ref().map(|name| one_line(name));
    table.rows.push(vec![
        Cell::text("flame graph"),
        file("baseline.svg", &baseline),
        file("candidate.svg", &candidate),
    ]);
    table.rows.push(vec![
        Cell::text("icicle, callers above"),
        file("baseline-icicle.svg", &baseline),
        file("candidate-icicle.svg", &candidate),
    ]);
    table.rows.push(vec![
        Cell::text("difference, red is more in the candidate"),
        file(
            "difference-in-baseline.svg",
            "as wide as in the baseline: shows what vanished",
        ),
        file(
            "difference-in-candidate.svg",
            "as wide as in the candidate: shows what is new",
        ),
    ]);
    table.rows.push(vec![
        Cell::text("for pprof"),
        file("baseline.pb.gz", "baseline.pb.gz"),
        file("candidate.pb.gz", "candidate.pb.gz"),
    ]);
    table
}

fn count(value: Option<u64>) -> Cell {
    value.map_or_else(Cell::absent, |value| {
        Cell::figure(Whole(value).to_string(), value as f64)
    })
}

/// Sentences for a terminal.
#[must_use]
pub(in crate::report) fn in_short(profiles: &[ProfileResults]) -> Vec<String> {
    profiles
        .iter()
        .map(|profile| {
            let doubts = doubts(profile);
            let doubts = match doubts.len() {
                0 => String::new(),
                count => format!(" ({})", Count::new(count, "warning")),
            };
            format!(
                "{}: {}{doubts}",
                one_line(&profile.subject.scenario),
                sentence(profile)
            )
        })
        .collect()
}
