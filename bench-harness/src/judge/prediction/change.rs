//! What becomes of a load in another setting.

use super::costs::Costs;
use super::load::Load;
use super::pipeline::Pipeline;
use super::setting::{ByStage, Keys, Setting, Stage};

/// A gain in wall time, and what it rests on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expectation {
    /// How many times as fast.
    pub(super) gain: f64,
    /// The same if what the change touches, or what is unknown of it, took no time.
    pub(super) at_most: f64,
    /// Whether the model knows no difference between the settings.
    pub(super) is_same: bool,
    /// Stages whose costs in the new setting were measured nowhere else; they are taken as they were.
    pub(super) unknown: Vec<Stage>,
}

/// Processor seconds below which it does not matter what a stage costs.
const NEGLIGIBLE_SECONDS: f64 = 1e-3;

/// Share of the wall time that its start can be at most.
const MOST_OF_WALL: f64 = 0.9;

/// Least that a page takes, on the fastest machine.
const LEAST_PAGE_SECONDS: f64 = 1e-5;

/// Difference of a gain from 1 that is only that of an overlap found in steps.
const NO_DIFFERENCE: f64 = 1e-4;

impl Expectation {
    /// The gain of `load` in the setting `to`.
    pub(super) fn new(load: &Load, to: &Setting, costs: &Costs) -> Self {
        let before = before(load, costs);
        let (after, unknown) = after(load, to, &before, costs);
        let fit = before.fit(load.wall_seconds);
        let gain = |one: &Pipeline<'_>| load.wall_seconds / one.wall(fit, load.setting.rows);
        let touched = if unknown.is_empty() {
            touched(&load.setting, to)
        } else {
            unknown.clone()
        };
        let mut free = after.clone();
        free.cpu = ByStage::new(|stage| {
            if touched.contains(&stage) {
                0.0
            } else {
                after.cpu.of(stage)
            }
        });
        if touched.contains(&Stage::Fetch) || touched.contains(&Stage::Other) {
            // What a request takes beyond its way is the client's too.
            free.page_seconds = free.page_seconds.min(to.api_round_trip);
        }
        Self {
            gain: gain(&after),
            at_most: gain(&free).max(1.0),
            is_same: gain(&after).ln().abs() < NO_DIFFERENCE,
            unknown,
        }
    }
}

/// The load as it is.
fn before<'a>(load: &'a Load, costs: &Costs) -> Pipeline<'a> {
    let setting = &load.setting;
    let start = start(setting, load.page_seconds, costs);
    Pipeline {
        setting,
        cpu: ByStage::new(|stage| (load.cpu.of(stage) - costs.once(stage, &load.keys)).max(0.0)),
        pages: load.pages,
        flushes: load.flushes,
        page_seconds: load.page_seconds,
        start_seconds: start.min(load.wall_seconds * MOST_OF_WALL),
        wake_seconds: if setting.waits_for_answers() {
            costs.wake(load)
        } else {
            costs.wake_seconds
        },
    }
}

/// The load as it would be, and the stages of which that is not known.
fn after<'a>(
    load: &Load,
    to: &'a Setting,
    before: &Pipeline<'_>,
    costs: &Costs,
) -> (Pipeline<'a>, Vec<Stage>) {
    let from = &load.setting;
    let keys = to.keys();
    let (pages, flushes) = counts(load, to);
    let page_seconds = page_seconds(load, to, costs);
    let longer = start(to, page_seconds, costs) - start(from, load.page_seconds, costs);
    let unknown = Stage::ALL.into_iter().filter(|stage| {
        load.keys.of(*stage) != keys.of(*stage)
            && costs.cost(*stage, &keys).is_none()
            && load.cpu.of(*stage) > NEGLIGIBLE_SECONDS
    });
    let pipeline = Pipeline {
        setting: to,
        cpu: ByStage::new(|stage| {
            cpu_seconds(stage, load, (to.rows, pages, flushes), &keys, costs)
        }),
        pages,
        flushes,
        page_seconds,
        start_seconds: (before.start_seconds + longer).max(0.0),
        wake_seconds: before.wake_seconds,
    };
    (pipeline, unknown.collect())
}

/// Pages and flushes of the load in another setting.
fn counts(load: &Load, to: &Setting) -> (f64, f64) {
    let from = &load.setting;
    let more = to.rows / from.rows;
    let page_rows = to.config.source.page_rows;
    let pages = if page_rows == from.config.source.page_rows {
        load.pages * more
    } else {
        (to.rows / page_rows.get() as f64).ceil()
    };
    let flushes = if to.flush_rows() == from.flush_rows() {
        load.flushes * more
    } else {
        (to.rows / to.flush_rows()).ceil()
    };
    (pages, flushes)
}

/// Processor time of a stage in another setting, beyond what every load costs once.
fn cpu_seconds(
    stage: Stage,
    load: &Load,
    (rows, pages, flushes): (f64, f64, f64),
    keys: &Keys,
    costs: &Costs,
) -> f64 {
    let now = load.cpu.of(stage);
    let scaled = now * rows / load.setting.rows;
    let Some((key, cost)) = costs.cost(stage, keys) else {
        return scaled;
    };
    let elsewhere = cost.of(stage, rows, pages, flushes);
    let seconds = match costs.cost(stage, &load.keys) {
        // The same way costs more or less as rows, pages and flushes do.
        Some((old, _)) if old == key => {
            let model = cost.of(stage, load.setting.rows, load.pages, load.flushes);
            if model > 0.0 {
                now * elsewhere / model
            } else {
                scaled
            }
        }
        // Another way costs what it costs elsewhere.
        _ => elsewhere,
    };
    (seconds - cost.once).max(0.0)
}

/// From a request to the end of its page, in another setting.
fn page_seconds(load: &Load, to: &Setting, costs: &Costs) -> f64 {
    let from = &load.setting;
    let reuses = |setting: &Setting| setting.config.source.reuse_connections;
    let own = load.page_seconds - from.api_round_trip;
    let elsewhere = (reuses(to) != reuses(from))
        .then(|| costs.page_seconds(to))
        .flatten();
    (elsewhere.unwrap_or(own) + to.api_round_trip).max(LEAST_PAGE_SECONDS)
}

/// Until the first row, and all waiting that is for neither pages nor flushes.
fn start(setting: &Setting, page_seconds: f64, costs: &Costs) -> f64 {
    costs.start_seconds
        + setting.first_pages() * page_seconds
        + costs.other_trips * setting.postgres_round_trip
}

/// Stages that could take another time in the new setting.
fn touched(from: &Setting, to: &Setting) -> Vec<Stage> {
    let (old, new) = (&from.config, &to.config);
    let client = Stage::ALL.into_iter().filter(|one| *one != Stage::Server);
    let parts = [
        (
            old.source != new.source,
            vec![Stage::Fetch, Stage::Scan, Stage::Other],
        ),
        (
            old.decode != new.decode || old.counter != new.counter || old.channel != new.channel,
            vec![Stage::Decode, Stage::Other],
        ),
        (old.transform != new.transform, vec![Stage::Sql]),
        (
            old.write != new.write,
            vec![Stage::Encode, Stage::Send, Stage::Server],
        ),
        (old.observe != new.observe, client.collect()),
    ];
    let touched = parts.into_iter().filter(|(is_touched, _)| *is_touched);
    touched.flat_map(|(_, stages)| stages).collect()
}
