//! The least wall time that a load needs without one of its parts.

use super::{Part, Watched};
use crate::concurrency_time::{Activity, ActivityTime};
use crate::config::{Config, DecodePath};
use crate::run_report::RunReport;

/// What each resource needs for itself, whatever the others do.
#[derive(Debug, Clone)]
pub struct Needs {
    /// Parts that one resource serves one after the other, each with its seconds.
    chains: Vec<Vec<(Part, f64)>>,
    /// Processor time of each part, and of what belongs to none.
    cpu: Vec<(Option<Part>, f64)>,
    cores: f64,
}

impl Needs {
    /// What the stages of `loads` needed on `cores` processors; `active` says how long a part was at work.
    #[must_use]
    pub fn new(loads: &[Watched<'_>], active: &dyn Fn(Part) -> f64, cores: usize) -> Self {
        let count = loads.len() as f64;
        let mean = |of: &dyn Fn(&Watched<'_>) -> f64| loads.iter().map(of).sum::<f64>() / count;
        let stage = |of: &dyn Fn(&RunReport) -> f64| mean(&|load| of(load.report));
        let fetch = stage(&|report| report.stages.fetch.cpu_seconds);
        let scan = stage(&|report| report.stages.source.cpu_seconds);
        let decode = stage(&|report| report.stages.decode.cpu_seconds);
        let infer = stage(&|report| report.stages.infer.cpu_seconds);
        let sql = stage(&|report| report.stages.transform.cpu_seconds);
        let encode = stage(&|report| report.stages.encode.cpu_seconds);
        let send = stage(&|report| report.stages.send.cpu_seconds);
        let client = stage(&|report| report.process.cpu_seconds);
        let known = fetch + scan + decode + infer + sql + encode + send;
        let is_known = loads.iter().all(|load| load.server_cpu_seconds.is_some());
        let server = mean(&|load| load.server_cpu_seconds.unwrap_or_default());
        let server_at_work = match is_known {
            true => server.min(active(Part::ServerCpu)),
            false => active(Part::ServerCpu),
        };
        // While the engine itself works on a page the API may be done with it.
        let requests = mean(&|load| {
            let api_alone = |time: &&ActivityTime| {
                let has = |one| time.active.contains(&one);
                has(Activity::Request) && !has(Activity::Fetch) && !has(Activity::Scan)
            };
            let times = load.report.activities.iter().filter(api_alone);
            times.map(|time| time.seconds).sum()
        });
        let Width {
            requests: requests_at_once,
            decoders,
            lanes,
            connections,
            parses_apart,
        } = Width::new(&loads[0].report.config);
        let mut chains = vec![
            vec![(Part::HttpWait, requests)],
            vec![
                (Part::Fetch, fetch / requests_at_once),
                (Part::Scan, scan / requests_at_once),
            ],
            vec![(Part::Encode, encode / connections)],
            vec![(Part::Send, send / connections)],
            vec![
                (Part::ServerCpu, server_at_work / connections),
                (Part::ServerIo, active(Part::ServerIo) / connections),
            ],
        ];
        let (decode_alone, sql_alone) =
            ((Part::Decode, decode / decoders), (Part::Sql, sql / lanes));
        if parses_apart {
            chains.extend([vec![decode_alone], vec![sql_alone]]);
        } else {
            chains.push(vec![decode_alone, sql_alone]);
        }
        Self {
            chains,
            cpu: vec![
                (Some(Part::Fetch), fetch),
                (Some(Part::Scan), scan),
                (Some(Part::Decode), decode),
                (Some(Part::Infer), infer),
                (Some(Part::Sql), sql),
                (Some(Part::Encode), encode),
                (Some(Part::Send), send),
                (Some(Part::ServerCpu), server),
                (None, (client - known).max(0.0)),
            ],
            cores: cores.max(1) as f64,
        }
    }

    /// The least wall time without these `parts`.
    #[must_use]
    pub fn without(&self, parts: &[Part]) -> f64 {
        let left = |part| if parts.contains(&part) { 0.0 } else { 1.0 };
        self.after(left, left)
    }

    /// The least wall time when `left` says what is left of the time of a part, and `work_left` of its
    /// processor time.
    pub(super) fn after(&self, left: impl Fn(Part) -> f64, work_left: impl Fn(Part) -> f64) -> f64 {
        let chain = |chain: &Vec<(Part, f64)>| -> f64 {
            let needs = chain.iter().map(|(part, seconds)| seconds * left(*part));
            needs.sum()
        };
        let cpu = self.cpu.iter();
        let processors: f64 = cpu
            .map(|(part, seconds)| seconds * part.map_or(1.0, &work_left))
            .sum();
        let longest = self.chains.iter().map(chain).fold(0.0, f64::max);
        longest.max(processors / self.cores)
    }
}

/// How many of each there are at once.
struct Width {
    requests: f64,
    decoders: f64,
    lanes: f64,
    connections: f64,
    /// Whether pages are parsed by tasks of their own, beside those that run the plan.
    parses_apart: bool,
}

impl Width {
    fn new(config: &Config) -> Self {
        let lanes = config.transform.partitions.get() as f64;
        let parses_apart = config.decode.path == DecodePath::Rows;
        Self {
            requests: config.source.concurrency.get() as f64,
            // On the rows path one task parses and another gathers.
            decoders: if parses_apart { 2.0 * lanes } else { lanes },
            lanes,
            connections: config.write.connections.get() as f64,
            parses_apart,
        }
    }
}
