//! What the parts of a load cost, learned from the loads of other experiments.

use std::collections::BTreeMap;

use apitap_core::config::DecodePath;

use super::load::Load;
use super::setting::{Keys, Setting, Stage};
use crate::stats::least_squares::Sums;
use crate::stats::sample::median;

/// Processor seconds of a stage: once for each load, and for each row, and for each page or flush.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Cost {
    pub(super) once: f64,
    by_row: f64,
    by_event: f64,
}

impl Cost {
    /// Of so many rows, pages and flushes.
    pub(super) fn of(self, stage: Stage, rows: f64, pages: f64, flushes: f64) -> f64 {
        let events = if goes_by_page(stage) { pages } else { flushes };
        self.once + self.by_row * rows + self.by_event * events
    }
}

/// Whether a stage works page by page. The others work flush by flush.
fn goes_by_page(stage: Stage) -> bool {
    matches!(stage, Stage::Fetch | Stage::Scan | Stage::Other)
}

/// Costs by what they depend on, and times that no stage has.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Costs {
    by_key: BTreeMap<String, Cost>,
    /// From a request to the end of its page, without the round trip.
    page_seconds: BTreeMap<String, f64>,
    /// Round trips to PostgreSQL that no flush waits for: to connect, look up, begin and commit.
    pub(super) other_trips: f64,
    /// From the start of a load to its first row, without waiting for pages and round trips.
    pub(super) start_seconds: f64,
    /// What a statement that is waited for takes beyond its processor time and its round trip: wake-ups.
    pub(super) wake_seconds: f64,
}

/// Where no scenario varies the round trip to PostgreSQL: the eight that a load by COPY counts, and four to connect.
const OTHER_TRIPS: f64 = 12.0;

/// Where no load of a run has one statement under way.
const WAKE_SECONDS: f64 = 2e-4;

/// Share of the other round trips that come before the first row.
const TRIPS_BEFORE_ROWS: f64 = 0.75;

/// Rows of the largest load ÷ those of the smallest, from which a cost by load and one by row can be told apart.
const LEAST_RANGE_OF_ROWS: f64 = 4.0;

/// The same of rows by page or flush, for a cost by row and one by page.
const LEAST_RANGE_OF_EVENTS: f64 = 2.0;

/// Seconds below which a figure is as good as zero: relative errors of less would be all that counts.
const SMALLEST_SECONDS: f64 = 1e-4;

/// Flushes from which the first row says when the load began, and not when its batch was full.
const MANY_FLUSHES: f64 = 5.0;

impl Costs {
    pub(super) fn new<'a>(loads: impl IntoIterator<Item = &'a Load>) -> Self {
        let loads: Vec<&Load> = loads.into_iter().filter(|one| one.is_observed()).collect();
        let mut groups: BTreeMap<&str, (Stage, Vec<&Load>)> = BTreeMap::new();
        for (load, stage) in loads
            .iter()
            .flat_map(|load| Stage::ALL.map(|stage| (*load, stage)))
        {
            for key in load.keys.of(stage) {
                let (_, of_key) = groups
                    .entry(key.as_str())
                    .or_insert_with(|| (stage, Vec::new()));
                of_key.push(load);
            }
        }
        let costs = groups
            .into_iter()
            .filter_map(|(key, (stage, loads))| Some((key.to_owned(), cost(stage, &loads)?)));
        let trips: Vec<f64> = loads.iter().filter_map(|one| one.other_trips).collect();
        let mut costs = Self {
            by_key: costs.collect(),
            page_seconds: page_seconds(&loads),
            other_trips: median(&trips).unwrap_or(OTHER_TRIPS),
            start_seconds: 0.0,
            wake_seconds: 0.0,
        };
        let starts: Vec<f64> = loads.iter().filter_map(|one| costs.start(one)).collect();
        costs.start_seconds = median(&starts).unwrap_or_default();
        let waiting = loads.iter().filter(|one| one.setting.waits_for_answers());
        let wakes: Vec<f64> = waiting.map(|one| costs.wake(one)).collect();
        costs.wake_seconds = median(&wakes).unwrap_or(WAKE_SECONDS);
        costs
    }

    /// The cost of a stage, and what it depends on; `None` where nothing like it was seen.
    pub(super) fn cost(&self, stage: Stage, keys: &Keys) -> Option<(&str, Cost)> {
        keys.of(stage)
            .iter()
            .find_map(|key| self.by_key.get_key_value(key))
            .map(|(key, cost)| (key.as_str(), *cost))
    }

    /// What a stage costs once for each load.
    pub(super) fn once(&self, stage: Stage, keys: &Keys) -> f64 {
        self.cost(stage, keys).map_or(0.0, |(_, cost)| cost.once)
    }

    /// What a page takes beyond the round trip; `None` where no load requests pages like this.
    pub(super) fn page_seconds(&self, setting: &Setting) -> Option<f64> {
        let mut keys = setting.page_keys().into_iter();
        keys.find_map(|key| self.page_seconds.get(&key).copied())
    }

    /// [`Self::wake_seconds`] of one load.
    pub(super) fn wake(&self, load: &Load) -> f64 {
        let computes = load.cpu.of(Stage::Server) - self.once(Stage::Server, &load.keys);
        let travels = load.flushes * load.setting.postgres_round_trip;
        (load.server_wait_seconds - computes - travels).max(0.0) / load.flushes
    }

    /// [`Self::start_seconds`] of one load; `None` if its first row waits for more than that.
    fn start(&self, load: &Load) -> Option<f64> {
        let setting = &load.setting;
        let config = &setting.config;
        let is_prompt = config.decode.path == DecodePath::Tape
            && config.transform.streaming
            && load.flushes >= MANY_FLUSHES;
        let pages = setting.first_pages() * load.page_seconds;
        let trips = TRIPS_BEFORE_ROWS * self.other_trips * setting.postgres_round_trip;
        is_prompt.then_some((load.first_row_seconds? - pages - trips).max(0.0))
    }
}

/// Medians over the loads of each kind.
fn page_seconds(loads: &[&Load]) -> BTreeMap<String, f64> {
    let mut groups: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for load in loads {
        let seconds = (load.page_seconds - load.setting.api_round_trip).max(0.0);
        for key in load.setting.page_keys() {
            groups.entry(key).or_default().push(seconds);
        }
    }
    let medians = groups
        .into_iter()
        .filter_map(|(key, seconds)| Some((key, median(&seconds)?)));
    medians.collect()
}

/// The cost that comes nearest to what the loads took, by relative errors. What they cannot tell apart goes by row.
fn cost(stage: Stage, loads: &[&Load]) -> Option<Cost> {
    let events = |load: &Load| match stage {
        Stage::Decode | Stage::Sql => 0.0,
        stage if goes_by_page(stage) => load.pages,
        _ => load.flushes,
    };
    let range = |of: &dyn Fn(&Load) -> f64| {
        let values = loads.iter().map(|load| of(load));
        let (low, high) = values.fold((f64::MAX, 0.0_f64), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        high / low.max(f64::MIN_POSITIVE)
    };
    let mut columns = vec![1];
    if range(&|load| load.setting.rows) >= LEAST_RANGE_OF_ROWS {
        columns.push(0);
    }
    let has_events = loads.iter().any(|load| events(load) > 0.0);
    if has_events && range(&|load| events(load) / load.setting.rows) >= LEAST_RANGE_OF_EVENTS {
        columns.push(2);
    }
    if loads.iter().all(|load| load.cpu.of(stage) == 0.0) {
        return None;
    }
    let mut sums = Sums::default();
    for load in loads {
        let seconds = load.cpu.of(stage).max(SMALLEST_SECONDS);
        let counts = [1.0, load.setting.rows, events(load)];
        sums.add(counts.map(|count| count / seconds), 1.0);
    }
    let [once, by_row, by_event] = sums.non_negative(&columns)?;
    Some(Cost {
        once,
        by_row,
        by_event,
    })
}
