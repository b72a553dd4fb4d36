//! Profiles: where the time of each pair of arms went, and why one takes less.

use serde_json::Value;

use super::words::{figure, listed};
use super::{environment, paragraph};
use crate::profile::budget::{Budget, Part};
use crate::profile::delta::Delta;
use crate::profile::results::{ArmProfile, LEAST_COVERAGE, ProfileResults};
use crate::report::document::{
    Block, BudgetBar, Cell, Chart, CourseLine, Document, Plot, Section, Table, Tone,
};
use crate::report::units::{Bytes, Count, Number, Percent, Seconds, Times, Whole, one_line};

/// Parts that are named of what removing could gain.
const NAMED: usize = 3;

/// Functions that are listed of each stage that allocates.
const SITES: usize = 3;

/// Parts below this share of the difference are not named in a sentence.
const WORTH_NAMING: f64 = 0.1;

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
        format!("{place} · {}", Count::of(subject.rounds, "round"))
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

const ABOUT: &str = "Sampled loads tell processor time by stack, watched loads wall time by part; neither \
    enters a comparison. Processor time is in µs for 1,000 rows. A part of the budget gets its share of \
    every moment in which it was at work: of two at work, half each; what is at work in no part is \
    unexplained. At most: how many times as fast a load could be if the part cost nothing, given what \
    every other part needs. A difference that may as well be none is grey; each has an interval of its \
    own at 95%, so of a hundred that are noise five would seem to differ.";

/// In one sentence: what became of the baseline's time, and what bounds the candidate.
#[must_use]
pub(in crate::report) fn sentence(profile: &ProfileResults) -> String {
    let [baseline, candidate] = &profile.arms;
    let (Some(before), Some(after)) = (&baseline.budget, &candidate.budget) else {
        return "No load was watched, so nothing says where the time went.".to_owned();
    };
    let (before, after) = (
        PerRow::of(before, profile.subject.rows[0]),
        PerRow::of(after, profile.subject.rows[1]),
    );
    let difference = before.wall - after.wall;
    let mut moved: Vec<(Part, f64)> = Part::ALL
        .into_iter()
        .map(|part| (part, before.part(part) - after.part(part)))
        .filter(|(_, change)| {
            change * difference > 0.0 && change.abs() >= WORTH_NAMING * difference.abs()
        })
        .collect();
    moved.sort_by(|(_, a), (_, b)| b.abs().total_cmp(&a.abs()));
    let named: Vec<String> = moved
        .iter()
        .map(|(part, change)| format!("{} ({part})", Seconds(change.abs() / 1e6)))
        .collect();
    let (more, less) = (one_line(&baseline.name), one_line(&candidate.name));
    let compared = format!(
        "{more} spends {} on 1,000 rows and {less} {}",
        Seconds(before.wall / 1e6),
        Seconds(after.wall / 1e6)
    );
    let went = match (difference >= 0.0, named.is_empty()) {
        (_, true) => "no part accounts for the difference by itself".to_owned(),
        (true, false) => format!("what is saved is {}", listed(&named)),
        (false, false) => format!("what is added is {}", listed(&named)),
    };
    format!(
        "{compared}: {went}; {less} is bound by {}.",
        bound(after.budget)
    )
}

/// The bottleneck with its share, and what its removal could gain.
fn bound(budget: &Budget) -> String {
    let part = budget.bottleneck;
    let gain = budget.part(part).map_or(1.0, |one| one.gain_at_most);
    format!(
        "{part}, {} of its time, without which it would be {} as fast at most",
        Percent(budget.share(part)),
        Times(gain)
    )
}

/// A budget in µs per 1,000 rows.
struct PerRow<'a> {
    budget: &'a Budget,
    scale: f64,
    wall: f64,
}

impl<'a> PerRow<'a> {
    fn of(budget: &'a Budget, rows: u64) -> Self {
        let scale = 1e9 / rows.max(1) as f64;
        Self {
            budget,
            scale,
            wall: budget.wall_seconds * scale,
        }
    }

    fn part(&self, part: Part) -> f64 {
        self.budget
            .part(part)
            .map_or(0.0, |one| one.seconds * self.scale)
    }
}

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
    section.push(Block::Table(pictures(profile)));
    section.blocks.extend(budget(profile).map(Block::Chart));
    section.blocks.extend(next(profile).map(Block::List));
    section.push(Block::Table(stages(profile)));
    section.push(Block::Table(quality(profile)));
    if !profile.crates.is_empty() {
        section.push(Block::Table(deltas(
            "Processor time by crate",
            "Crate",
            &profile.crates,
        )));
        let functions = deltas(
            "Functions whose processor time differs most, with all that they call",
            "Function",
            &profile.functions,
        );
        section.push(Block::Table(functions));
    }
    section.push(Block::Table(figures(profile)));
    section
        .blocks
        .extend(courses(profile).into_iter().map(Block::Chart));
    section.blocks.extend(server(profile).map(Block::Table));
    section.blocks.extend(heap(profile).map(Block::Table));
    section
}

/// What weakens the figures.
fn doubts(profile: &ProfileResults) -> Vec<String> {
    let mut doubts = Vec::new();
    for arm in profile.uncovered() {
        let coverage = arm.sampling.map_or(0.0, |one| one.coverage);
        doubts.push(format!(
            "{}: {} of the samples that its processor time calls for were taken, less than {}, so functions and crates are not ranked.",
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
                "{}: clocks and samples do not agree on {}.",
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
                "{}: the server could not be looked at; its time is counted as send wait.",
                one_line(&arm.name)
            ));
        }
    }
    doubts
}

/// The files beside the page.
fn pictures(profile: &ProfileResults) -> Table {
    let mut table = Table::new("Flame graphs", &["Picture", "Baseline", "Candidate"]);
    let file =
        |name: &str, text: &str| Cell::text(text).to_file(format!("{}/{name}", profile.folder));
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

fn budget(profile: &ProfileResults) -> Option<Chart> {
    let budgets: Vec<(&ArmProfile, &Budget)> = profile
        .arms
        .iter()
        .filter_map(|arm| Some((arm, arm.budget.as_ref()?)))
        .collect();
    if budgets.is_empty() {
        return None;
    }
    let mut columns = vec!["Part".to_owned()];
    for (arm, _) in &budgets {
        let name = one_line(&arm.name);
        columns.extend([
            format!(">{name}"),
            format!(">{name}, share"),
            format!(">{name}, at most"),
        ]);
    }
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut data = Table::new("Time budget", &columns);
    for part in Part::ALL {
        let mut cells = vec![Cell::text(capital(part))];
        for (_, budget) in &budgets {
            let one = budget.part(part);
            cells.push(figure(one.map(|one| one.seconds), Seconds));
            cells.push(figure(Some(budget.share(part)), Percent));
            cells.push(match one {
                Some(one) if part != Part::Unexplained => figure(Some(one.gain_at_most), Times),
                _ => Cell::absent(),
            });
        }
        data.rows.push(cells);
    }
    let mut total = vec![Cell::text("Wall time")];
    for (_, budget) in &budgets {
        let parts: f64 = budget.parts.iter().map(|part| part.seconds).sum();
        total.extend([
            figure(Some(budget.wall_seconds), Seconds),
            figure(Some(parts / budget.wall_seconds), Percent),
            Cell::absent(),
        ]);
    }
    data.rows.push(total);
    Some(Chart {
        id: format!("{}-budget", profile.folder),
        title: "Where the wall time of a load went".to_owned(),
        plot: Plot::Budget {
            parts: Part::ALL.iter().map(capital).collect(),
            bars: budgets
                .iter()
                .map(|(arm, budget)| BudgetBar {
                    name: one_line(&arm.name),
                    seconds: budget.parts.iter().map(|part| part.seconds).collect(),
                })
                .collect(),
        },
        data,
    })
}

fn capital(part: impl std::borrow::Borrow<Part>) -> String {
    super::words::capitalised(&part.borrow().to_string())
}

/// What to try next on the candidate, the most promising first.
fn next(profile: &ProfileResults) -> Option<Vec<String>> {
    let budget = profile.arms[1].budget.as_ref()?;
    let ranked = budget.ranked();
    let items = ranked.iter().take(NAMED).enumerate().map(|(nth, one)| {
        format!(
            "{} {} ({} at most): {}.",
            if nth == 0 { "To try next:" } else { "Then:" },
            one.part,
            Times(one.gain_at_most),
            one.part.next_step()
        )
    });
    Some(items.collect())
}

/// Processor time by stage, by clocks and by samples.
fn stages(profile: &ProfileResults) -> Table {
    let [a, b] = profile.subject.arms.each_ref().map(|name| one_line(name));
    let columns = [
        "Stage".to_owned(),
        format!(">{a}, by clocks"),
        format!(">{a}, by samples"),
        format!(">{b}, by clocks"),
        format!(">{b}, by samples"),
    ];
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut table = Table::new("Processor time by stage, µs for 1,000 rows", &columns);
    let of = |arm: &ArmProfile, stage: &str| {
        let attribution = arm.attribution.as_ref()?;
        let mut all = attribution.stages.iter().chain([&attribution.other]);
        all.find(|one| one.stage == stage).cloned()
    };
    let names = apitap_core::stage::ALL.iter().map(|(name, _)| *name);
    for name in names.chain(["other"]) {
        let mut cells = vec![Cell::text(name)];
        for arm in &profile.arms {
            let stage = of(arm, name);
            let tone = match &stage {
                Some(stage) if !stage.agrees() => Tone::Worse,
                _ => Tone::Plain,
            };
            cells.push(figure(stage.as_ref().map(|one| one.clocked), Number));
            cells.push(figure(stage.map(|one| one.sampled), Number).toned(tone));
        }
        table.rows.push(cells);
    }
    let mut server = vec![Cell::text("server process")];
    for arm in &profile.arms {
        server.extend([figure(arm.server_cpu, Number), Cell::absent()]);
    }
    table.rows.push(server);
    table
}

fn quality(profile: &ProfileResults) -> Table {
    let mut table = Table::new(
        "How much the samples saw",
        &[
            "Arm",
            ">Loads",
            ">Samples",
            ">Coverage",
            ">Frames without a name",
            ">Cut stacks",
            ">Time while sampled",
        ],
    );
    for arm in &profile.arms {
        let sampling = arm.sampling;
        table.rows.push(vec![
            Cell::text(one_line(&arm.name)),
            count(sampling.map(|one| one.loads as u64)),
            count(sampling.map(|one| one.samples)),
            figure(sampling.map(|one| one.coverage), Percent),
            figure(sampling.map(|one| one.unknown_share), Percent),
            figure(sampling.map(|one| one.truncated_share), Percent),
            figure(sampling.and_then(|one| one.overhead), Times),
        ]);
    }
    table
}

fn deltas(caption: &str, what: &str, deltas: &[Delta]) -> Table {
    let mut table = Table::new(
        caption,
        &[
            what,
            ">Baseline",
            ">Candidate",
            ">Difference",
            ">95% interval",
        ],
    );
    for delta in deltas {
        let tone = match delta {
            noise if noise.is_noise() => Tone::Same,
            less if less.difference < 0.0 => Tone::Better,
            _ => Tone::Worse,
        };
        let interval = delta.interval.map(|one| {
            let text = format!("{} to {}", signed(one.low), signed(one.high));
            Cell::figure(text, one.low)
        });
        table.rows.push(vec![
            Cell::text(one_line(&delta.name)),
            figure(Some(delta.baseline), Number),
            figure(Some(delta.candidate), Number),
            Cell::figure(signed(delta.difference), delta.difference).toned(tone),
            interval.unwrap_or_else(Cell::absent),
        ]);
    }
    table
}

fn count(value: Option<u64>) -> Cell {
    value.map_or_else(Cell::absent, |value| {
        Cell::figure(Whole(value).to_string(), value as f64)
    })
}

fn signed(value: f64) -> String {
    if value < 0.0 {
        format!("-{}", Number(-value))
    } else {
        format!("+{}", Number(value))
    }
}

/// The five figures that the optimization report asks for.
fn figures(profile: &ProfileResults) -> Table {
    let mut table = Table::new(
        "The five figures, medians of watched loads",
        &[
            "Arm",
            ">Rows per second",
            ">HTTP p50",
            ">p95",
            ">p99",
            ">Write p50",
            ">p95",
            ">p99",
            ">Memory",
            ">Send wait",
        ],
    );
    for arm in &profile.arms {
        let figures = arm.figures;
        let mut cells = vec![
            Cell::text(one_line(&arm.name)),
            figure(figures.map(|one| one.rows_per_second), Number),
        ];
        for latency in [
            figures.map(|one| one.http_seconds),
            figures.map(|one| one.write_seconds),
        ] {
            cells.extend((0..3).map(|nth| figure(latency.map(|one| one[nth]), Seconds)));
        }
        cells.push(figure(figures.and_then(|one| one.peak_memory_bytes), Bytes));
        cells.push(figure(figures.map(|one| one.send_wait_seconds), Seconds));
        table.rows.push(cells);
    }
    table
}

/// The same over the time of the load of median length.
fn courses(profile: &ProfileResults) -> Vec<Chart> {
    use crate::profile::results::TimelinePoint as Point;
    type Value = fn(&Point) -> Option<f64>;
    let charts: [(&str, &str, Value, fn(f64) -> String); 5] = [
        (
            "rows",
            "Rows per second",
            |p| Some(p.rows_per_second),
            |v| Number(v).to_string(),
        ),
        (
            "http",
            "HTTP latency, p95 of a tenth of a second",
            |p| p.http_p95_seconds,
            |v| Seconds(v).to_string(),
        ),
        (
            "write",
            "Write latency, likewise",
            |p| p.write_p95_seconds,
            |v| Seconds(v).to_string(),
        ),
        (
            "memory",
            "Memory",
            |p| p.memory_bytes.map(|bytes| bytes as f64),
            |v| Bytes(v).to_string(),
        ),
        (
            "pressure",
            "Share of time that a sender waits for room",
            |p| Some(p.send_wait_share),
            |v| Percent(v).to_string(),
        ),
    ];
    let mut drawn = Vec::new();
    for (id, title, value, print) in charts {
        let lines: Vec<CourseLine> = profile
            .arms
            .iter()
            .map(|arm| CourseLine {
                name: one_line(&arm.name),
                points: arm
                    .timeline
                    .iter()
                    .filter_map(|point| Some((point.seconds, value(point)?)))
                    .collect(),
            })
            .filter(|line| !line.points.is_empty())
            .collect();
        let most = lines
            .iter()
            .flat_map(|line| &line.points)
            .map(|(_, value)| *value)
            .fold(0.0, f64::max);
        // A line along the bottom shows nothing.
        if most <= 0.0 {
            continue;
        }
        let mut data = Table::new(title, &["Arm", ">Second", ">Value"]);
        for line in &lines {
            data.rows.extend(line.points.iter().map(|(at, value)| {
                vec![
                    Cell::text(&line.name),
                    figure(Some(*at), Seconds),
                    Cell::figure(print(*value), *value),
                ]
            }));
        }
        drawn.push(Chart {
            id: format!("{}-{id}", profile.folder),
            title: title.to_owned(),
            plot: Plot::Course {
                top: print(most),
                lines,
            },
            data,
        });
    }
    drawn
}

/// What the server counted.
fn server(profile: &ProfileResults) -> Option<Table> {
    let mut table = Table::new(
        "What the server counted in the load of median length",
        &["Arm", "What", ">Number", ">Time", ">Rows"],
    );
    for arm in &profile.arms {
        let name = || Cell::text(one_line(&arm.name));
        let Some(server) = &arm.server else { continue };
        if let Some(wal) = server.wal {
            table.rows.push(vec![
                name(),
                Cell::text("WAL"),
                figure(Some(wal.bytes), Bytes),
                Cell::absent(),
                Cell::absent(),
            ]);
            table.rows.push(vec![
                name(),
                Cell::text("WAL records"),
                figure(Some(wal.records), Number),
                Cell::absent(),
                Cell::absent(),
            ]);
        }
        if let Some(io) = server.io {
            let calls = io.reads + io.writes + io.extends;
            table.rows.push(vec![
                name(),
                Cell::text("reads, writes and extensions of files"),
                figure(Some(calls), Number),
                figure(Some(io.seconds), Seconds),
                Cell::absent(),
            ]);
        }
        for statement in &server.statements {
            table.rows.push(vec![
                name(),
                Cell::text(one_line(&statement.text)),
                figure(Some(statement.calls), Number),
                figure(Some(statement.seconds), Seconds),
                figure(Some(statement.rows), Number),
            ]);
        }
    }
    (!table.rows.is_empty()).then_some(table)
}

/// Where memory is allocated, by stage and function.
fn heap(profile: &ProfileResults) -> Option<Table> {
    let mut table = Table::new(
        "Where memory is allocated, for each row of a small load",
        &["Arm", "Stage", "Function", ">Allocations", ">Bytes"],
    );
    for arm in &profile.arms {
        let Some(heap) = &arm.heap else { continue };
        let name = || Cell::text(one_line(&arm.name));
        let rows = heap.rows.max(1) as f64;
        let cells = |stage: &str, function: &str, blocks: u64, bytes: u64| {
            vec![
                name(),
                Cell::text(stage),
                Cell::text(one_line(function)),
                figure(Some(blocks as f64 / rows), Number),
                figure(Some(bytes as f64 / rows), Bytes),
            ]
        };
        let profile = &heap.profile;
        table.rows.push(cells(
            "all",
            "all",
            profile.total_blocks,
            profile.total_bytes,
        ));
        for stage in &profile.stages {
            let of_stage = stage.stage.as_deref().unwrap_or("none");
            table
                .rows
                .push(cells(of_stage, "all", stage.blocks, stage.bytes));
            for site in stage.sites.iter().take(SITES) {
                table
                    .rows
                    .push(cells(of_stage, &site.function, site.blocks, site.bytes));
            }
        }
    }
    (!table.rows.is_empty()).then_some(table)
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
                count => format!(" ({})", Count::of(count, "warning")),
            };
            format!(
                "{}: {}{doubts}",
                one_line(&profile.subject.scenario),
                sentence(profile)
            )
        })
        .collect()
}
