//! Reports of made loads.

use std::time::Instant;

use crate::concurrency_time::{Activity, ActivityTime};
use crate::config::Config;
use crate::metrics::Metrics;
use crate::run_report::RunReport;

/// A report of a load with these times, its stages' processor seconds as given.
pub(crate) fn report(times: &[(&[Activity], f64)], cpu: &[(&str, f64)]) -> RunReport {
    let (metrics, config) = (Metrics::default(), Config::default());
    let mut report = RunReport::new("m", "t".into(), 1, Instant::now(), &metrics, &config);
    report.wall_seconds = times.iter().map(|(_, seconds)| seconds).sum();
    report.process.cpu_seconds = cpu.iter().map(|(_, seconds)| seconds).sum();
    report.activities = times
        .iter()
        .map(|(active, seconds)| ActivityTime {
            active: active.to_vec(),
            seconds: *seconds,
        })
        .collect();
    for (name, seconds) in cpu {
        let stages = &mut report.stages;
        let stage = match *name {
            "fetch" => &mut stages.fetch,
            "source" => &mut stages.source,
            "decode" => &mut stages.decode,
            "infer" => &mut stages.infer,
            "transform" => &mut stages.transform,
            "encode" => &mut stages.encode,
            "send" => &mut stages.send,
            other => panic!("{other} is no stage"),
        };
        (stage.busy_seconds, stage.cpu_seconds) = (*seconds, *seconds);
    }
    report
}
