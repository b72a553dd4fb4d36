//! Where the wall time of a load went: parts that add up to it.
//!
//! Stages overlap, so their busy times do not add up. The engine keeps, for every set of activities,
//! how long just these were under way ([`ActivityTime`]); what the server did meanwhile is looked up
//! now and then beside the set of that moment ([`Seen`]). Together they say how long each
//! combination lasted. A moment in which several parts were at work is shared out equally between
//! them; one in which none was is *unexplained*.
//!
//! What a part's removal could gain is bounded from what the others need (after Amdahl, *Validity of
//! the single processor approach*, AFIPS 1967): the moments without it remain, and so does the time
//! that each other resource needs for itself.

use std::collections::BTreeMap;
use std::fmt;

use apitap_core::RunReport;
use apitap_core::concurrency_time::{Activity, ActivitySet, ActivityTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod bound;

pub(crate) use self::bound::Needs;

/// Fewest looks at the server beside one set of activities that are taken for what it did then; with
/// fewer, all looks beside the same kind of wait are taken.
const LEAST_LOOKS: f64 = 5.0;

/// A part of the wall time.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
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
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
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
    /// Processor time of the server; `None` where it cannot be seen.
    pub server_cpu_seconds: Option<f64>,
}

/// The parts of an arm's wall time, as means over its watched loads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
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

impl Budget {
    /// The budget of an arm with `cores` processors for engine and server; `None` where no load was
    /// watched, or one keeps no account, as with `observe=off`.
    #[must_use]
    pub fn new(loads: &[Watched<'_>], cores: usize) -> Option<Self> {
        let keeps_account = |load: &Watched<'_>| !load.report.activities.is_empty();
        if loads.is_empty() || !loads.iter().all(keeps_account) {
            return None;
        }
        let server = ServerStates::new(loads);
        let mean = |of: &dyn Fn(&Watched<'_>) -> f64| {
            loads.iter().map(of).sum::<f64>() / loads.len() as f64
        };
        let mut shares: BTreeMap<Part, (f64, f64)> = BTreeMap::new();
        for ActivityTime { active, seconds } in
            loads.iter().flat_map(|load| &load.report.activities)
        {
            let active: ActivitySet = active.iter().copied().collect();
            for (state, probability) in server.beside(active) {
                let parts = at_work(active, state);
                let time = seconds * probability / loads.len() as f64;
                for part in &parts {
                    let (share, all) = shares.entry(*part).or_default();
                    *share += time / parts.len() as f64;
                    *all += time;
                }
            }
        }
        let wall_seconds = mean(&|load| load.report.wall_seconds);
        let active = |part| shares.get(&part).map_or(0.0, |(_, all)| *all);
        let needs = Needs::new(loads, &active, cores);
        let parts: Vec<PartTime> = Part::ALL
            .into_iter()
            .map(|part| PartTime {
                part,
                seconds: shares.get(&part).map_or(0.0, |(share, _)| *share),
                active_seconds: active(part),
                gain_at_most: match part {
                    Part::Unexplained => 1.0,
                    part => wall_seconds / needs.without(&[part]).max(wall_seconds - active(part)),
                },
            })
            .collect();
        let bottleneck = ranked(&parts).first().map(|part| part.part);
        Some(Self {
            loads: loads.len(),
            looks: server.looks,
            wall_seconds,
            bottleneck: bottleneck.unwrap_or(Part::Unexplained),
            parts,
        })
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

#[cfg(test)]
mod tests;
