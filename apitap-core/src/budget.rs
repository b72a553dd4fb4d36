//! Where the wall time of a load went: parts that add up to it.
//!
//! Stages overlap, so their busy times do not add up. The engine keeps, for every set of activities,
//! how long just these were under way ([`ActivityTime`](crate::concurrency_time::ActivityTime)); what
//! the server did meanwhile is looked up now and then beside the set of that moment ([`Seen`]).
//! Together they say how long each combination lasted. A moment in which several parts were at work is shared out equally between
//! them; one in which none was is *unexplained*.
//!
//! What a part's removal could gain is bounded from what the others need (after Amdahl, *Validity of
//! the single processor approach*, AFIPS 1967): the moments without it remain, and so does the time
//! that each other resource needs for itself. A change that makes parts shorter gains at least what it
//! takes from the moments in which nothing else was at work.

mod bound;
#[cfg(test)]
pub(crate) mod example;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::bound::Needs;
use crate::concurrency_time::{Activity, ActivitySet};
use crate::run_report::RunReport;

/// Fewest looks at the server beside one set of activities that are taken for what it did then; with
/// fewer, all looks beside the same kind of wait are taken.
const LEAST_LOOKS: f64 = 5.0;

/// A part of the wall time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A lane has nothing to do until a page arrives.
    HttpWait,
    /// The engine works on requests.
    Fetch,
    /// It looks through pages for their rows.
    Scan,
    /// JSON becomes columns.
    Decode,
    /// The schema is inferred.
    Infer,
    /// SQL is planned and run.
    Sql,
    /// Columns become PostgreSQL's format.
    Encode,
    /// The connection is driven.
    Send,
    /// The engine waits for the server and the server for the engine: round trips, wake-ups.
    SendWait,
    /// A backend of the server computes.
    ServerCpu,
    /// A backend waits for WAL, files or locks.
    ServerIo,
    /// None of these.
    Unexplained,
}

impl Part {
    /// All there are, in the order of the pipeline.
    pub const ALL: [Self; 12] = [
        Self::HttpWait,
        Self::Fetch,
        Self::Scan,
        Self::Decode,
        Self::Infer,
        Self::Sql,
        Self::Encode,
        Self::Send,
        Self::SendWait,
        Self::ServerCpu,
        Self::ServerIo,
        Self::Unexplained,
    ];

    fn of_work(activity: Activity) -> Option<Self> {
        Some(match activity {
            Activity::Fetch => Self::Fetch,
            Activity::Scan => Self::Scan,
            Activity::Decode => Self::Decode,
            Activity::Infer => Self::Infer,
            Activity::Sql => Self::Sql,
            Activity::Encode => Self::Encode,
            Activity::Send => Self::Send,
            Activity::Request
            | Activity::PageWait
            | Activity::ChannelWait
            | Activity::ServerWait => return None,
        })
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HttpWait => "HTTP wait",
            Self::Fetch => "requests",
            Self::Scan => "page scan",
            Self::Decode => "decode",
            Self::Infer => "infer",
            Self::Sql => "SQL",
            Self::Encode => "encode",
            Self::Send => "send",
            Self::SendWait => "send wait",
            Self::ServerCpu => "server CPU",
            Self::ServerIo => "server WAL and I/O",
            Self::Unexplained => "unexplained",
        })
    }
}

/// What the server's backends of a load were doing at one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ServerState {
    /// At least one computes, or would if it had a processor.
    Running,
    /// None computes; one waits for WAL, files, locks or another process of the server.
    Waiting,
    /// All wait for the client, or there is none.
    Idle,
}

/// How often the server was seen in a state while the engine did these things.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// What the engine was doing.
    pub active: Vec<Activity>,
    /// What the server was doing.
    pub server: ServerState,
    /// Looks; a half where the engine moved on during one.
    pub looks: f64,
}

/// A load that was watched.
#[derive(Debug, Clone, Copy)]
pub struct Watched<'a> {
    /// The engine's account.
    pub report: &'a RunReport,
    /// Looks at the server.
    pub seen: &'a [Seen],
    /// Processor time of the server; `None` where it cannot be seen. Its processes are then taken to need all
    /// the time in which they were seen at work, on processors of their own.
    pub server_cpu_seconds: Option<f64>,
}

/// The parts of an arm's wall time, as means over its watched loads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Loads that were watched.
    pub loads: usize,
    /// Looks at the server in all of them.
    pub looks: f64,
    /// Wall time of a load, by the engine's own clock.
    pub wall_seconds: f64,
    /// The parts, in the order of the pipeline. Their seconds add up to the account's own total,
    /// which is the wall time but for the reading of clocks.
    pub parts: Vec<PartTime>,
    /// The part whose removal could gain the most.
    pub bottleneck: Part,
}

/// One part of the wall time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PartTime {
    /// Which.
    pub part: Part,
    /// Its share of the moments in which it was at work.
    pub seconds: f64,
    /// All the time in which it was at work, whatever else was.
    pub active_seconds: f64,
    /// How many times as fast a load could be at most if the part cost nothing; 1 for what is
    /// unexplained.
    pub gain_at_most: f64,
}

/// How long each combination of parts was at work, as means over watched loads.
#[derive(Debug, Clone)]
pub struct Moments {
    loads: usize,
    looks: f64,
    wall_seconds: f64,
    seconds: BTreeMap<Vec<Part>, f64>,
    needs: Needs,
}

/// What a change leaves of the time of a part: 1 is all of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Left {
    /// The part.
    pub part: Part,
    /// What is left at the least.
    pub least: f64,
    /// What is left at the most.
    pub most: f64,
}

/// How many times as fast a load would be with a change.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Gain {
    /// If it saves nothing but moments in which the changed parts were at work alone, and leaves the most of
    /// them; 1 where even that is not known.
    pub at_least: f64,
    /// If it saves all that the other parts do not need.
    pub at_most: f64,
}

impl Moments {
    /// The moments of an arm with `cores` processors for engine and server; `None` where no load was
    /// watched, or one keeps no account, as with `observe=off`.
    #[must_use]
    pub fn new(loads: &[Watched<'_>], cores: usize) -> Option<Self> {
        let keeps_account = |load: &Watched<'_>| !load.report.activities.is_empty();
        if loads.is_empty() || !loads.iter().all(keeps_account) {
            return None;
        }
        let server = ServerStates::new(loads);
        let count = loads.len() as f64;
        let mut seconds: BTreeMap<Vec<Part>, f64> = BTreeMap::new();
        for time in loads.iter().flat_map(|load| &load.report.activities) {
            let active: ActivitySet = time.active.iter().copied().collect();
            for (state, probability) in server.beside(active) {
                let moments = seconds.entry(at_work(active, state)).or_default();
                *moments += time.seconds * probability / count;
            }
        }
        let walls = loads.iter().map(|load| load.report.wall_seconds);
        let active = |part| active_seconds(&seconds, part);
        Some(Self {
            loads: loads.len(),
            looks: server.looks,
            wall_seconds: walls.sum::<f64>() / count,
            needs: Needs::new(loads, &active, cores),
            seconds,
        })
    }

    /// The parts that they add up to.
    #[must_use]
    pub fn budget(&self) -> Budget {
        let parts: Vec<PartTime> = Part::ALL
            .into_iter()
            .map(|part| PartTime {
                part,
                seconds: self.share_seconds(part),
                active_seconds: active_seconds(&self.seconds, part),
                gain_at_most: match part {
                    Part::Unexplained => 1.0,
                    part => self.gain(&[Left::nothing(part)]).at_most,
                },
            })
            .collect();
        let bottleneck = ranked(&parts).first().map(|part| part.part);
        Budget {
            loads: self.loads,
            looks: self.looks,
            wall_seconds: self.wall_seconds,
            bottleneck: bottleneck.unwrap_or(Part::Unexplained),
            parts,
        }
    }

    /// What a change could gain.
    #[must_use]
    pub fn gain(&self, change: &[Left]) -> Gain {
        self.gain_of(change, |part| left(change, part, |one| one.least))
    }

    /// What a change could gain that spreads its parts over more processors: their work stays.
    #[must_use]
    pub fn gain_by_spreading(&self, change: &[Left]) -> Gain {
        self.gain_of(change, |_| 1.0)
    }

    fn gain_of(&self, change: &[Left], work_left: impl Fn(Part) -> f64) -> Gain {
        let (mut for_certain, mut at_best) = (0.0, 0.0);
        for (parts, seconds) in &self.seconds {
            // A moment lasts as long as the slowest part in it.
            let most = parts.iter().map(|part| left(change, *part, |one| one.most));
            let least = parts
                .iter()
                .map(|part| left(change, *part, |one| one.least));
            for_certain += seconds * (1.0 - most.fold(0.0, f64::max));
            at_best += seconds * (1.0 - least.fold(1.0, f64::min));
        }
        let wall = self.wall_seconds;
        let needed = self
            .needs
            .after(|part| left(change, part, |one| one.least), work_left);
        let at_most = wall / needed.max(wall - at_best);
        Gain {
            at_least: (wall / (wall - for_certain)).min(at_most),
            at_most,
        }
    }

    /// The least wall time if everything overlapped.
    #[must_use]
    pub fn needed_seconds(&self) -> f64 {
        self.needs.without(&[])
    }

    /// A part's share of the moments in which it was at work.
    fn share_seconds(&self, part: Part) -> f64 {
        let moments = self.seconds.iter();
        let with_it = moments.filter(|(parts, _)| parts.contains(&part));
        with_it.fold(0.0, |all, (parts, seconds)| {
            all + seconds / parts.len() as f64
        })
    }
}

/// All the time in which a part was at work.
fn active_seconds(moments: &BTreeMap<Vec<Part>, f64>, part: Part) -> f64 {
    let with_it = moments.iter().filter(|(parts, _)| parts.contains(&part));
    // The sum of nothing would be -0.
    with_it.fold(0.0, |all, (_, seconds)| all + seconds)
}

/// What `change` leaves of a part.
fn left(change: &[Left], part: Part, of: fn(&Left) -> f64) -> f64 {
    let changed = change.iter().find(|one| one.part == part);
    changed.map_or(1.0, of)
}

impl Left {
    /// A part that takes no time any more.
    #[must_use]
    pub fn nothing(part: Part) -> Self {
        Self {
            part,
            least: 0.0,
            most: 0.0,
        }
    }
}

impl Budget {
    /// The budget of an arm with `cores` processors for engine and server; `None` where
    /// [`Moments::new`] has none.
    #[must_use]
    pub fn new(loads: &[Watched<'_>], cores: usize) -> Option<Self> {
        Moments::new(loads, cores).map(|moments| moments.budget())
    }

    /// One of the parts.
    #[must_use]
    pub fn part(&self, part: Part) -> Option<&PartTime> {
        self.parts.iter().find(|one| one.part == part)
    }

    /// A part's share of all parts together.
    #[must_use]
    pub fn share(&self, part: Part) -> f64 {
        let all: f64 = self.parts.iter().map(|one| one.seconds).sum();
        self.part(part).map_or(0.0, |one| one.seconds / all)
    }

    /// The parts by what their removal could gain at most, the largest first, what is unexplained
    /// left out.
    #[must_use]
    pub fn ranked(&self) -> Vec<&PartTime> {
        ranked(&self.parts)
    }
}

fn ranked(parts: &[PartTime]) -> Vec<&PartTime> {
    let mut ranked: Vec<&PartTime> = parts
        .iter()
        .filter(|one| one.part != Part::Unexplained)
        .collect();
    ranked.sort_by(|a, b| {
        let by_gain = b.gain_at_most.total_cmp(&a.gain_at_most);
        by_gain.then(b.seconds.total_cmp(&a.seconds))
    });
    ranked
}

/// The parts that are at work in a moment, *unexplained* if there is none.
fn at_work(active: ActivitySet, server: ServerState) -> Vec<Part> {
    let mut parts: Vec<Part> = active.iter().filter_map(Part::of_work).collect();
    if active.has(Activity::PageWait) && active.has(Activity::Request) {
        parts.push(Part::HttpWait);
    }
    match server {
        ServerState::Running => parts.push(Part::ServerCpu),
        ServerState::Waiting => parts.push(Part::ServerIo),
        ServerState::Idle if active.has(Activity::ServerWait) && parts.is_empty() => {
            parts.push(Part::SendWait);
        }
        ServerState::Idle => {}
    }
    if parts.is_empty() {
        parts.push(Part::Unexplained);
    }
    parts
}

/// What the server did beside each set of activities, over all loads of an arm.
struct ServerStates {
    by_set: BTreeMap<ActivitySet, BTreeMap<ServerState, f64>>,
    /// Where the load waits for the server, and where not.
    by_wait: BTreeMap<bool, BTreeMap<ServerState, f64>>,
    looks: f64,
}

impl ServerStates {
    fn new(loads: &[Watched<'_>]) -> Self {
        let mut states = Self {
            by_set: BTreeMap::new(),
            by_wait: BTreeMap::new(),
            looks: 0.0,
        };
        for seen in loads.iter().flat_map(|load| load.seen) {
            let active: ActivitySet = seen.active.iter().copied().collect();
            let of_set = states.by_set.entry(active).or_default();
            *of_set.entry(seen.server).or_default() += seen.looks;
            let waits = active.has(Activity::ServerWait);
            let of_wait = states.by_wait.entry(waits).or_default();
            *of_wait.entry(seen.server).or_default() += seen.looks;
            states.looks += seen.looks;
        }
        states
    }

    /// Each state with its probability. Nobody looked: idle.
    fn beside(&self, active: ActivitySet) -> Vec<(ServerState, f64)> {
        let looks = |states: &BTreeMap<ServerState, f64>| states.values().sum::<f64>();
        let known = self.by_set.get(&active);
        let enough = known.filter(|states| looks(states) >= LEAST_LOOKS);
        let by_wait = || self.by_wait.get(&active.has(Activity::ServerWait));
        let Some(states) = enough.or_else(by_wait).or(known) else {
            return vec![(ServerState::Idle, 1.0)];
        };
        let all = looks(states);
        states
            .iter()
            .map(|(state, looks)| (*state, looks / all))
            .collect()
    }
}
