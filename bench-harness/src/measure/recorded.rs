//! What a scenario needs whose workload is a recording.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use apitap_core::config::WriteMode;

use super::expected::Expected;
use super::host::{Host, TABLE, program, settings};
use super::load::{ArmLoad, ArmUnderTest};
use super::table::TableBefore;
use crate::experiment::{LoadPlan, ScenarioPlan};
use crate::measure::worker::{PageKind, RecordedLoad, Watch, WorkerJob};
use crate::recording::Header;
use crate::recording::replay::ReplayProcess;
use crate::run_record::Verification;

/// The replay of a recording, and what it must come to.
pub(super) struct Recorded {
    header: Header,
    load: RecordedLoad,
    pub(super) process: ReplayProcess,
}

impl Recorded {
    /// Starts a replay of the recording that is the workload of `plan`.
    pub(super) async fn start(plan: &ScenarioPlan, host: &Host) -> Result<Self> {
        ensure!(
            plan.api_round_trip_ms.is_none(),
            "the latencies of a recording are its own"
        );
        let file = std::path::absolute(Path::new(&plan.workload));
        let file = file.with_context(|| format!("{} is no path", plan.workload))?;
        let header = Header::read(&file)?;
        let process = ReplayProcess::start(&host.program, &file).await?;
        let load = RecordedLoad {
            file,
            servers: process.servers().to_vec(),
            settings: header.pinned.clone(),
        };
        Ok(Self {
            header,
            load,
            process,
        })
    }

    /// What a load must leave in its table.
    fn expected(&self) -> Expected {
        Expected::recorded(&self.header.content)
    }

    /// The arms of `plan`, which load into `database_url`.
    pub(super) fn arms(
        &self,
        plan: &ScenarioPlan,
        host: &Host,
        (database_url, files): (&str, &Path),
    ) -> Result<Vec<ArmUnderTest>> {
        let mut arms = Vec::with_capacity(plan.arms.len());
        for arm in &plan.arms {
            let LoadPlan::Engine {
                preset,
                knobs,
                attach,
                mode,
            } = &arm.load
            else {
                bail!("arm {}: psql cannot load a recording", arm.name);
            };
            let job = WorkerJob {
                source_url: String::new(),
                workload: self.header.module.clone(),
                pages: PageKind::Whole,
                sql: self.header.sql.clone(),
                database_url: database_url.to_owned(),
                table: TABLE.to_owned(),
                mode: mode.unwrap_or(WriteMode::Replace),
                key: Vec::new(),
                watch: Watch::Nothing,
                attach: attach.clone(),
                preset: preset.clone(),
                settings: settings(knobs, files, arms.len())?,
                recorded: Some(self.load.clone()),
            };
            arms.push(ArmUnderTest {
                load: ArmLoad::Engine {
                    program: program(arm, host)?,
                    job: Box::new(job),
                },
                before: TableBefore::none(),
                expected: self.expected(),
            });
        }
        Ok(arms)
    }

    /// How a load is verified.
    pub(super) fn verifications(&self, arms: usize) -> Vec<Verification> {
        vec![self.expected().verification; arms]
    }
}
