//! What bounds a run, and the one change that would help most.
//!
//! Pure. From the report of a run, what is known of its job, and what was seen of the server, to the
//! [parts](crate::budget) of its wall time, the part that bounds it, and a change of the configuration with what it
//! could gain. What the configuration has already is never advised.

mod rules;
#[cfg(test)]
mod tests;
mod words;

use std::net::IpAddr;

use serde::Serialize;

use crate::budget::{Gain, Moments, Part, Watched};
use crate::config::WriteMode;
use crate::error::Result;
use crate::job::Job;
use crate::pipeline_file::EngineBlock;
use crate::run_report::RunReport;
use crate::server_watch::Looks;
use crate::source::pagination::Pagination;

/// What a report does not say of its run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Facts {
    /// How many APIs it read.
    pub sources: usize,
    /// Whether pages can be asked for before the ones in front of them have come.
    pub asks_ahead: bool,
    /// Whether requests say how many rows they want.
    pub says_page_rows: bool,
    /// What happened to rows that were there.
    pub mode: WriteMode,
    /// Processors of this machine.
    pub cores: usize,
    /// Whether the server runs on them too.
    pub server_is_here: bool,
    /// Processor time of this process during the run.
    pub cpu_seconds: f64,
}

/// What was seen of the server.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Server {
    /// Nobody looked.
    NotAsked,
    /// It could not be looked at, and why.
    NotSeen(String),
    /// What the looks say.
    Seen(Looks),
}

/// Where the time of a run went, and what to do about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The parts that took time, in the order of the pipeline.
    pub parts: Vec<PartShare>,
    /// The part without which the run could be faster than without any other.
    pub bound_by: Part,
    /// What was seen of the server.
    pub server: Server,
    /// The change that would help most; absent where none would help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<Advice>,
    /// What would help where no knob does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<String>,
}

/// A part of the wall time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PartShare {
    /// Which.
    pub part: Part,
    /// Its share of the moments in which it was at work.
    pub seconds: f64,
    /// The same, of all parts together.
    pub share: f64,
}

/// A change of the configuration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Advice {
    /// The settings to change, as `stage.knob=value`.
    pub change: Vec<String>,
    /// How many times as fast this run would have been.
    pub gain: Gain,
    /// Why it would help, and on what condition.
    pub why: &'static str,
    /// What the suite measured of the same change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// The block `engine` of a pipeline file that comes to the configuration of the run with this change.
    pub engine: EngineBlock,
}

/// A gain that the suite has measured; see docs/results.md.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measured {
    /// The least.
    pub low: f64,
    /// The most.
    pub high: f64,
    /// Under which conditions.
    pub at: &'static str,
    /// The experiment.
    pub experiment: &'static str,
}

impl Facts {
    /// What is known of a run of `job` that took `cpu_seconds` of processor time.
    #[must_use]
    pub fn of(job: &Job, cpu_seconds: f64) -> Self {
        let paginations = || job.sources.iter().map(|source| &source.pagination);
        let host = &job.sink.target.host;
        let address = host.parse::<IpAddr>();
        Self {
            sources: job.sources.len(),
            asks_ahead: paginations().any(Pagination::is_numbered),
            says_page_rows: paginations().any(Pagination::says_page_rows),
            mode: job.sink.mode,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            server_is_here: host.starts_with('/')
                || host == "localhost"
                || address.is_ok_and(|address| address.is_loopback()),
            cpu_seconds,
        }
    }
}

/// Why a server says nothing.
const HIDDEN: &str = "it does not tell what the sessions of the run do; track_activities is off, \
                      or a pooler gives them to another user";

impl Server {
    /// What came of looking at it.
    #[must_use]
    pub fn of(looks: Result<Looks>) -> Self {
        match looks {
            Ok(looks) if looks.answered > 0 => Self::Seen(looks),
            Ok(looks) if looks.asked > 0 => Self::NotSeen(HIDDEN.to_owned()),
            Ok(_) => Self::NotSeen("the run ended before it was asked".to_owned()),
            Err(error) => Self::NotSeen(error.chain()),
        }
    }

    fn looks(&self) -> Option<&Looks> {
        match self {
            Self::Seen(looks) => Some(looks),
            Self::NotAsked | Self::NotSeen(_) => None,
        }
    }
}

impl Explanation {
    /// Explains a run. None if it kept no account of its time, as with `observe=off`.
    #[must_use]
    pub fn new(report: &RunReport, facts: &Facts, server: Server) -> Option<Self> {
        // The process may have run other modules before.
        let mut report = report.clone();
        report.process.cpu_seconds = facts.cpu_seconds;
        let looks = server.looks();
        let watched = Watched {
            report: &report,
            seen: looks.map_or(&[][..], |looks| &looks.seen[..]),
            server_cpu_seconds: looks
                .filter(|_| facts.server_is_here)
                .map(|looks| server_cpu_seconds(looks, &report, facts)),
        };
        let moments = Moments::new(&[watched], facts.cores)?;
        let budget = moments.budget();
        let bound_by = budget.bottleneck;
        let case = rules::Case {
            report: &report,
            facts,
            moments: &moments,
            looks,
        };
        let advice = rules::best(&case);
        let otherwise = match advice {
            Some(_) => None,
            None => Some(words::otherwise(bound_by, &case, &server)),
        };
        let parts = budget.parts.iter().filter(|one| one.seconds > 0.0);
        let parts = parts.map(|one| PartShare {
            part: one.part,
            seconds: one.seconds,
            share: budget.share(one.part),
        });
        Some(Self {
            parts: parts.collect(),
            bound_by,
            advice,
            otherwise,
            server,
        })
    }
}

/// The processor time of a server on this machine, from looks: of a process that waits for a processor they
/// say that it computes, so no more than the processors had left.
fn server_cpu_seconds(looks: &Looks, report: &RunReport, facts: &Facts) -> f64 {
    let wall = report.wall_seconds;
    let left = facts.cores as f64 * wall - facts.cpu_seconds;
    (looks.running * wall).min(left).max(0.0)
}
