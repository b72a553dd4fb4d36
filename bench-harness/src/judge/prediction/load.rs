//! What was seen of an arm's loads: where predictions start from.

use std::fmt;

use apitap_core::RunReport;
use apitap_core::config::Observe;

use super::setting::{ByStage, Keys, Setting, Stage};
use crate::experiment::ArmPlan;
use crate::judge::arm::{Blocks, run_report};
use crate::run_record::Scenario;
use crate::samples::Measurements;
use crate::stats::sample::median;

/// What was seen of an arm in a scenario: medians over its blocks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Load {
    pub(super) experiment: String,
    pub(super) scenario: String,
    pub(super) arm: String,
    pub(super) setting: Setting,
    pub(super) keys: Keys,
    pub(super) wall_seconds: f64,
    /// Processor time.
    pub(super) cpu: ByStage,
    /// How long the engine waited for the server, summed over its connections.
    pub(super) server_wait_seconds: f64,
    pub(super) pages: f64,
    pub(super) flushes: f64,
    /// From a request to the end of its page.
    pub(super) page_seconds: f64,
    pub(super) first_row_seconds: Option<f64>,
    /// Round trips to PostgreSQL that no flush waits for, where the same load was measured at a shorter one.
    pub(super) other_trips: Option<f64>,
}

/// Why nothing can be predicted from an arm, or about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It is psql, or another build of the engine.
    NotThisEngine,
    /// It has no sample.
    NotMeasured,
    /// Its samples do not have what the engine says of its stages.
    NoReport,
    /// The server is elsewhere.
    NoServerCpu,
    /// It does other work than the baseline.
    OtherWork,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotThisEngine => "an arm is not this engine",
            Self::NotMeasured => "an arm was not measured",
            Self::NoReport => "samples lack the engine's report",
            Self::NoServerCpu => "the server's processor time is not known",
            Self::OtherWork => "the arms do different work",
        })
    }
}

impl Load {
    pub(super) fn new(
        scenario: &Scenario,
        arm: &ArmPlan,
        blocks: &Blocks<'_>,
        cores: f64,
    ) -> Result<Self, Unusable> {
        let setting = Setting::new(scenario, arm, cores).ok_or(Unusable::NotThisEngine)?;
        if blocks.is_empty() {
            return Err(Unusable::NotMeasured);
        }
        let samples = blocks.values();
        let samples: Option<Vec<(&Measurements, RunReport)>> = samples
            .map(|sample| Some((*sample, run_report(arm, sample)?)))
            .collect();
        let samples = samples.ok_or(Unusable::NoReport)?;
        if samples
            .iter()
            .any(|(one, _)| one.server_cpu_seconds.is_none())
        {
            return Err(Unusable::NoServerCpu);
        }
        let of = |figure: &dyn Fn(&Measurements, &RunReport) -> f64| {
            let figures: Vec<f64> = samples.iter().map(|(one, all)| figure(one, all)).collect();
            median(&figures).ok_or(Unusable::NoReport)
        };
        let mut cpu = ByStage::default();
        for stage in Stage::ALL {
            let seconds = of(&|sample, report| cpu_seconds(stage, sample, report))?;
            cpu.set(stage, seconds);
        }
        let first_rows: Option<Vec<f64>> = samples
            .iter()
            .map(|(sample, _)| sample.first_row_seconds)
            .collect();
        Ok(Self {
            experiment: scenario.plan.experiment.clone(),
            scenario: scenario.plan.name.clone(),
            arm: arm.name.clone(),
            keys: setting.keys(),
            setting,
            wall_seconds: of(&|sample, _| sample.wall_seconds)?,
            cpu,
            server_wait_seconds: of(&|_, report| report.stages.write.wait_seconds)?,
            pages: of(&|_, report| report.http.pages as f64)?.max(1.0),
            flushes: of(&|_, report| report.flushes as f64)?.max(1.0),
            page_seconds: of(&|_, report| report.http_latency.p50_ms / 1e3)?,
            first_row_seconds: first_rows.and_then(|seconds| median(&seconds)),
            other_trips: None,
        })
    }

    /// Whether its stages have times.
    pub(super) fn is_observed(&self) -> bool {
        self.setting.config.observe == Observe::On
    }
}

fn cpu_seconds(stage: Stage, sample: &Measurements, report: &RunReport) -> f64 {
    let stages = &report.stages;
    let of_engine = |stage| match stage {
        Stage::Fetch => stages.fetch.cpu_seconds,
        Stage::Scan => stages.source.cpu_seconds,
        Stage::Decode => stages.decode.cpu_seconds + stages.infer.cpu_seconds,
        Stage::Sql => stages.transform.cpu_seconds,
        Stage::Encode => stages.encode.cpu_seconds,
        Stage::Send => stages.send.cpu_seconds,
        Stage::Other | Stage::Server => 0.0,
    };
    match stage {
        Stage::Other => (sample.client_cpu_seconds - ByStage::new(of_engine).sum()).max(0.0),
        Stage::Server => sample.server_cpu_seconds.unwrap_or_default(),
        stage => of_engine(stage),
    }
}
