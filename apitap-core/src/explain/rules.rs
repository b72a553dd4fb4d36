//! The changes that may be advised, each with what it leaves of the parts of the time.
//!
//! There is a rule where the suite has measured a gain, or docs/tuning.md gives a reason. What a change leaves of a
//! part comes from the same measurements: processor times of the arms of an experiment, and their profiles.
//! `write.batch_rows` and `write.in_flight` have none: COPY takes the place of statements, gains what these could,
//! and does not depend on them. Neither have knobs of which no difference was found.

use std::num::NonZeroUsize;

use super::{Advice, Facts, Measured};
use crate::budget::{Gain, Left, Moments, Part};
use crate::config::{Config, DecodePath, WriteCommit, WriteMethod, WriteMode};
use crate::pipeline_file::EngineBlock;
use crate::run_report::RunReport;
use crate::server_watch::Looks;

/// A gain that is named: the middle between the least and the most that a change could bring. Identical loads may
/// differ by nearly as much on a busy machine.
const WORTH_NAMING: f64 = 1.1;

/// Requests at a time that may be advised: those that `apitap-bench tune` tries.
const CONCURRENCIES: [usize; 5] = [2, 4, 8, 16, 32];

/// Of the most that more requests could gain, the share that is enough.
const ENOUGH: f64 = 0.8;

/// Requests sent again, of all, from which on an API has enough of them.
const TOO_MANY_RETRIES: f64 = 0.01;

/// Processors that a second lane, or a second connection of a server on this machine, needs.
const CORES_FOR_A_LANE: f64 = 0.75;
const CORES_FOR_A_CONNECTION: f64 = 0.25;

/// What the rules look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) report: &'a RunReport,
    pub(super) facts: &'a Facts,
    pub(super) moments: &'a Moments,
    pub(super) looks: Option<&'a Looks>,
}

/// A change that would help.
struct Candidate {
    change: Vec<String>,
    gain: Gain,
    why: &'static str,
    measured: Option<Measured>,
}

impl Candidate {
    /// What candidates are ranked by.
    fn middle(&self) -> f64 {
        (self.gain.at_least * self.gain.at_most).sqrt()
    }
}

/// The changes, along the way of a row. Of equally good ones, the last is taken.
const RULES: [fn(&Case<'_>) -> Option<Candidate>; 8] = [
    more_requests,
    larger_pages,
    kept_connections,
    tape,
    second_lane,
    streaming,
    second_connection,
    copy_binary,
];

/// The change that would help most; none if none would.
pub(super) fn best(case: &Case<'_>) -> Option<Advice> {
    let found = RULES.iter().filter_map(|rule| rule(case));
    let worth = found.filter(|candidate| candidate.middle() >= WORTH_NAMING);
    let best = worth.max_by(|a, b| a.middle().total_cmp(&b.middle()))?;
    Some(Advice {
        engine: EngineBlock::of(&case.with(&best.change)?),
        change: best.change,
        gain: best.gain,
        why: best.why,
        measured: best.measured,
    })
}

impl Case<'_> {
    fn config(&self) -> &Config {
        &self.report.config
    }

    /// The configuration of the run with a change; none if the engine refuses it.
    fn with(&self, change: &[String]) -> Option<Config> {
        let config = self.config().clone();
        let mut change = change.iter();
        change.try_fold(config, |config, one| config.with(one)).ok()
    }

    fn candidate(
        &self,
        change: &[&str],
        left: &[Left],
        why: &'static str,
        measured: Option<Measured>,
    ) -> Candidate {
        Candidate {
            change: change.iter().map(|one| (*one).to_owned()).collect(),
            gain: self.moments.gain(left),
            why,
            measured,
        }
    }

    /// The same for a change that does not shrink parts, but spreads them over more processors.
    fn spread(
        &self,
        change: &[&str],
        left: &[Left],
        why: &'static str,
        measured: Option<Measured>,
    ) -> Candidate {
        Candidate {
            gain: self.moments.gain_by_spreading(left),
            ..self.candidate(change, left, why, measured)
        }
    }

    /// Processors of this machine that had nothing to do, as a mean.
    fn free_cores(&self) -> f64 {
        let server = match (self.facts.server_is_here, self.looks) {
            (false, _) => 0.0,
            (true, Some(looks)) => looks.running,
            // It may have kept a processor busy for each connection.
            (true, None) => self.config().write.connections.get() as f64,
        };
        let client = self.facts.cpu_seconds / self.report.wall_seconds;
        self.facts.cores as f64 - client - server
    }

    /// Pages with rows of a source, as a mean.
    fn pages(&self) -> u64 {
        self.report.http.pages / self.facts.sources.max(1) as u64
    }

    /// Whether the API refused requests, or failed.
    pub(super) fn is_refused(&self) -> bool {
        let http = self.report.http;
        http.retries as f64 > TOO_MANY_RETRIES * http.requests as f64
    }
}

/// What is left of a part, at the least and at the most.
fn left(part: Part, least: f64, most: f64) -> Left {
    Left { part, least, most }
}

fn more_requests(case: &Case<'_>) -> Option<Candidate> {
    let now = case.config().source.concurrency.get();
    let pages = case.pages();
    if !case.facts.asks_ahead || pages < 3 || case.is_refused() {
        return None;
    }
    // The first page is asked for alone.
    let rounds = |at_once: usize| 1.0 + (pages - 1).div_ceil(at_once as u64) as f64;
    let candidate = |at_once: usize| {
        let rest = rounds(at_once) / rounds(now);
        case.candidate(
            &[&format!("source.concurrency={at_once}")],
            &[left(Part::HttpWait, rest, rest)],
            "pages are numbered, so more can be on their way; the API must answer that many",
            Some(Measured {
                low: 1.49,
                high: 7.13,
                at: "with 10 ms to the API, in pages of 1,000 and of 50 rows",
                experiment: "concurrency",
            }),
        )
    };
    let more = CONCURRENCIES.into_iter().filter(|at_once| *at_once > now);
    let candidates: Vec<Candidate> = more.map(candidate).collect();
    let most = candidates.last()?.gain.at_most;
    // Requests beyond these weigh on the API for little.
    let gains_enough = |one: &Candidate| one.gain.at_most - 1.0 >= ENOUGH * (most - 1.0);
    candidates.into_iter().find(gains_enough)
}

fn larger_pages(case: &Case<'_>) -> Option<Candidate> {
    let report = case.report;
    let asked = case.config().source.page_rows.get() as u64;
    let (pages, sources) = (report.http.pages, case.facts.sources as u64);
    // An API that sends fewer rows than are asked for sends no more when asked for more.
    let is_capped = pages > report.rows_read.div_ceil(asked) + sources;
    let enough = if case.facts.asks_ahead { 1_000 } else { 5_000 };
    let target = [1_000, 5_000].into_iter().find(|target| *target > asked)?;
    if !case.facts.says_page_rows || is_capped || target > enough || pages < 3 {
        return None;
    }
    let rest = report.rows_read.div_ceil(target).max(sources) as f64 / pages as f64;
    Some(case.candidate(
        &[&format!("source.page_rows={target}")],
        &[
            // An API may take as long for as many rows.
            left(Part::HttpWait, rest, 1.0),
            left(Part::Fetch, rest, rest.max(0.25)),
        ],
        "larger pages take fewer round trips; the API must send pages of that size",
        Some(Measured {
            low: 1.35,
            high: 9.39,
            at: "with 0.5 and 10 ms to the API, 1,000 rows instead of 50",
            experiment: "page-size",
        }),
    ))
}

fn kept_connections(case: &Case<'_>) -> Option<Candidate> {
    if case.config().source.reuse_connections {
        return None;
    }
    Some(case.candidate(
        &["source.reuse_connections=true"],
        &[
            // A handshake of TCP and one of TLS take a round trip each.
            left(Part::HttpWait, 0.33, 1.0),
            left(Part::Fetch, 0.03, 0.1),
        ],
        "every request opens a connection of its own",
        // Without latency and TLS, no difference was found.
        None,
    ))
}

fn tape(case: &Case<'_>) -> Option<Candidate> {
    if case.config().decode.path == DecodePath::Tape {
        return None;
    }
    Some(case.candidate(
        &["decode.path=tape"],
        &[left(Part::Decode, 0.08, 0.2)],
        "columns come straight from the bytes, without a value for each row",
        Some(Measured {
            low: 1.4,
            high: 1.4,
            at: "on `tuned`",
            experiment: "decode-path",
        }),
    ))
}

fn second_lane(case: &Case<'_>) -> Option<Candidate> {
    let has_one = case.config().transform.partitions == NonZeroUsize::MIN;
    // A merge has one lane: the last of a load's duplicates wins.
    if !has_one || case.facts.mode == WriteMode::Merge || case.free_cores() < CORES_FOR_A_LANE {
        return None;
    }
    Some(case.spread(
        &["transform.partitions=2"],
        &[left(Part::Decode, 0.5, 0.6), left(Part::Sql, 0.5, 0.6)],
        "a processor is free for a second lane that decodes and runs the SQL; rows lose the order \
         of the API",
        None,
    ))
}

/// While nothing is written, everything before is done, and the other way round.
fn streaming(case: &Case<'_>) -> Option<Candidate> {
    if case.config().transform.streaming {
        return None;
    }
    let wall = case.report.wall_seconds;
    let writing = case.report.write_seconds?;
    let longer = writing.max(wall - writing);
    let least = longer.max(case.moments.needed_seconds());
    Some(Candidate {
        change: vec!["transform.streaming=true".to_owned()],
        gain: Gain {
            at_least: 1.0,
            at_most: wall / least,
        },
        why: "rows are written while others are still read",
        measured: Some(Measured {
            low: 1.22,
            high: 1.31,
            at: "on `tuned` and on `before`",
            experiment: "streaming",
        }),
    })
}

/// Only for `replace`: once its table exists, `append` takes one connection.
fn second_connection(case: &Case<'_>) -> Option<Candidate> {
    let write = &case.config().write;
    let is_possible = case.facts.mode == WriteMode::Replace && write.commit == WriteCommit::Load;
    if !is_possible || write.connections > NonZeroUsize::MIN {
        return None;
    }
    // Whether it is the server that takes the time, only looks say.
    case.looks?;
    if case.facts.server_is_here && case.free_cores() < CORES_FOR_A_CONNECTION {
        return None;
    }
    Some(case.spread(
        &["write.connections=2"],
        &[
            // Two processes need more processor time than one.
            left(Part::Encode, 0.5, 0.6),
            left(Part::Send, 0.5, 0.6),
            left(Part::SendWait, 0.5, 1.0),
            left(Part::ServerCpu, 0.5, 0.6),
            left(Part::ServerIo, 0.5, 1.0),
        ],
        "one process of the server takes all rows, and it must have a processor for a second; rows \
         lose the order of the API",
        Some(Measured {
            low: 1.19,
            high: 1.2,
            at: "on `before` and on `tuned`, with two cores",
            experiment: "parallel-connections",
        }),
    ))
}

fn copy_binary(case: &Case<'_>) -> Option<Candidate> {
    let write = &case.config().write;
    // Of server's processor, encoding and round trips.
    let ([server, encode, trips], why): ([(f64, f64); 3], _) = match write.method {
        WriteMethod::CopyBinary => return None,
        WriteMethod::Insert => (
            [(0.27, 0.33), (0.17, 0.22), (0.05, 0.33)],
            "the server parses every statement, and binds every cell",
        ),
        WriteMethod::Prepared | WriteMethod::Unnest => (
            [(0.5, 0.6), (0.3, 0.8), (0.05, 0.33)],
            "the server binds every cell, and answers every statement",
        ),
        WriteMethod::CopyCsv => (
            [(0.6, 0.7), (0.4, 0.8), (1.0, 1.0)],
            "the server reads every cell from text",
        ),
        // It depends on the types.
        WriteMethod::CopyText => (
            [(0.75, 1.0), (0.5, 1.0), (1.0, 1.0)],
            "the server reads every cell from text, which takes longer for most types",
        ),
    };
    let waits = match case.looks {
        Some(_) => trips,
        // Work and waits of the server are within.
        None => (trips.0.min(server.0), server.1.max(0.5)),
    };
    let mut change = vec!["write.method=copy-binary"];
    if write.commit == WriteCommit::Batch {
        change.push("write.commit=load");
    }
    let measured = Measured {
        low: 1.99,
        high: 3.71,
        at: "on `before` and on `tuned`",
        experiment: "copy-vs-insert",
    };
    Some(case.candidate(
        &change,
        &[
            left(Part::Encode, encode.0, encode.1),
            left(Part::Send, 0.4, 1.0),
            left(Part::SendWait, waits.0, waits.1),
            left(Part::ServerCpu, server.0, server.1),
        ],
        why,
        (write.method == WriteMethod::Insert).then_some(measured),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{facts, looks, waiting};
    use super::*;
    use crate::budget::Watched;

    /// A run in which every rule has something to change.
    #[test]
    fn what_the_suite_measured_is_in_its_report() {
        let mut report = waiting(&[
            "source.concurrency=1",
            "source.page_rows=50",
            "source.reuse_connections=false",
            "decode.path=rows",
            "transform.streaming=false",
            "write.method=insert",
        ]);
        (report.http.pages, report.write_seconds) = (2_000, Some(1.0));
        let facts = Facts {
            mode: WriteMode::Replace,
            cores: 8,
            ..facts()
        };
        let server = looks(0.1, &[]);
        let watched = Watched {
            report: &report,
            seen: &[],
            server_cpu_seconds: None,
        };
        let case = Case {
            report: &report,
            facts: &facts,
            moments: &Moments::new(&[watched], 8).unwrap(),
            looks: server.looks(),
        };
        let path = "../reports/published/2026-11-30-full/report.md";
        let text = std::fs::read_to_string(path).unwrap();
        let mut measured = 0;
        for rule in RULES {
            let candidate = rule(&case).unwrap();
            let Some(figures) = candidate.measured else {
                continue;
            };
            let anchor = format!("<a id=\"{}\"></a>", figures.experiment);
            let (_, section) = text.split_once(&anchor).unwrap();
            let section = section.split("<a id=").next().unwrap();
            for figure in [figures.low, figures.high] {
                let is_there = section.contains(&format!(" {figure:.2}\u{d7}"));
                assert!(is_there, "{}: {figure}", figures.experiment);
            }
            measured += 1;
        }
        assert_eq!(measured, RULES.len() - 2);
    }
}
