//! A comparison of commands from its first server to its last sample.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::Utc;

use super::arm::Arm;
use super::report;
use super::results::{CommandResults, Record};
use super::served::Served;
use crate::fingerprint::Fingerprint;
use crate::format::{Count, Whole};
use crate::measure::command::CommandLoad;
use crate::measure::interrupt::Interrupt;
use crate::measure::load::{ArmLoad, ArmUnderTest, Loader, Target};
use crate::measure::progress::{Progress, Step};
use crate::measure::schedule::{Schedule, warm_ups};
use crate::measure::session::{EndedBy, NothingTaken, start};
use crate::measure::table::TableBefore;
use crate::measure::{Ending, Executor, Plan, take_samples};
use crate::run_folder::RunFolder;
use crate::samples::{Outcome, Samples};
use crate::stats::{BLOCKS_PER_SESSION, LEAST_SESSIONS};
use testkit::postgres::{PostgresOptions, PostgresServer, URL, libpq_variables};
use testkit::workload::Psql;

/// What to compare, and how.
pub(crate) struct Options {
    /// This program, which is also the supervisor and the API.
    pub(crate) program: PathBuf,
    /// The command as it was typed, without passwords.
    pub(crate) command: Vec<String>,
    /// The commands, the first as the measure of the others.
    pub(crate) arms: Vec<Arm>,
    /// Hides the passwords in a command, for files.
    pub(crate) redacted: fn(&str) -> String,
    /// What runs before each sample, untimed.
    pub(crate) prepare: Option<String>,
    /// What else the report is to say.
    pub(crate) notes: Vec<String>,
    /// What they load: the name of a workload, or the path of its definition or of a recording.
    pub(crate) workload: String,
    /// Rows of a load.
    pub(crate) rows: u64,
    /// How often each runs.
    pub(crate) blocks: NonZero<usize>,
    /// Seed of the order.
    pub(crate) seed: u64,
    /// How long a command may take.
    pub(crate) limit: Duration,
    /// The server.
    pub(crate) postgres: PostgresOptions,
    /// Folder for the run's own folder.
    pub(crate) out: PathBuf,
}

/// A comparison that can be reported, complete or not.
#[derive(Debug)]
pub(crate) struct Compared {
    /// Its folder.
    pub(crate) folder: RunFolder,
    /// What it found.
    pub(crate) results: CommandResults,
    /// What ended it early.
    pub(crate) ended_by: Option<EndedBy>,
}

/// An arm that did not load the right rows in its warm-up, so that there is nothing to compare.
#[derive(Debug)]
pub(crate) struct UselessArm {
    arm: String,
    reason: String,
    /// Whether it loaded wrong data; else it failed.
    pub(crate) is_wrong_data: bool,
}

impl std::fmt::Display for UselessArm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.is_wrong_data {
            true => "loaded wrong data",
            false => "failed",
        };
        write!(f, "{} {what} in its warm-up: {}", self.arm, self.reason)
    }
}

impl std::error::Error for UselessArm {}

/// Takes the samples and writes the report. After an interrupt or an error, what was taken before is kept.
///
/// # Errors
/// [`UselessArm`] and [`NothingTaken`], where no sample of a block was taken before; and when no server can be had
/// or the folder cannot be written.
pub(crate) async fn run(options: Options) -> Result<Compared> {
    let mut interrupt = Interrupt::listen()?;
    let server = start(&options.postgres, &mut interrupt).await?;
    let server = server.context(NothingTaken)?;
    eprintln!("PostgreSQL {} ({})", server.version(), server.kind());
    let fingerprint = Fingerprint::take(Some(&server));
    let now = Utc::now();
    let folder = RunFolder::create(&options.out, now, &fingerprint.build.git_commit)?;
    let has_sessions =
        server.kind() != URL && options.blocks.get() >= LEAST_SESSIONS * BLOCKS_PER_SESSION;
    let in_files = |arm: &Arm| Arm {
        command: (options.redacted)(&arm.command),
        ..arm.clone()
    };
    let record = Record {
        started_at: now.into(),
        command: options.command.clone(),
        seed: options.seed,
        workload: options.workload.clone(),
        rows: options.rows,
        blocks: options.blocks.get(),
        blocks_per_session: NonZero::new(BLOCKS_PER_SESSION).filter(|_| has_sessions),
        arms: options.arms.iter().map(in_files).collect(),
        prepare: options.prepare.as_deref().map(options.redacted),
        notes: options.notes.clone(),
        fingerprint: serde_json::to_value(&fingerprint)?,
    };
    // A killed run can be read too.
    report::write(
        folder.path(),
        &CommandResults::new(&record, &Samples::default()),
    )?;
    drop(folder.journal()?);
    let mut session = Session {
        options,
        folder,
        record,
        interrupt,
    };
    let mut ended_by = match session.all(server).await {
        Ok(Ending::Complete) => None,
        Ok(Ending::Interrupted) => Some(EndedBy::Interrupt),
        Err(error) => Some(EndedBy::Error(error)),
    };
    let Session { folder, record, .. } = session;
    let results = CommandResults::new(&record, &folder.samples()?);
    if let Some(ended_by) = ended_by.take_if(|_| !results.has_figures()) {
        let path = folder.path();
        let removed = std::fs::remove_dir_all(path);
        removed.with_context(|| format!("cannot remove {}", path.display()))?;
        return Err(match ended_by {
            EndedBy::Error(error) => error,
            EndedBy::Interrupt => NothingTaken.into(),
        });
    }
    report::write(folder.path(), &results)?;
    Ok(Compared {
        folder,
        results,
        ended_by,
    })
}

struct Session {
    options: Options,
    folder: RunFolder,
    record: Record,
    interrupt: Interrupt,
}

impl Session {
    /// Takes all samples, session by session, each on a new server.
    async fn all(&mut self, first: PostgresServer) -> Result<Ending> {
        let blocks = self.record.blocks;
        let of_session = self.record.blocks_per_session.map_or(blocks, NonZero::get);
        let mut server = Some(first);
        for first in (0..blocks).step_by(of_session) {
            let server = match server.take() {
                Some(server) => server,
                None => match start(&self.options.postgres, &mut self.interrupt).await? {
                    Some(server) => server,
                    None => return Ok(Ending::Interrupted),
                },
            };
            let blocks = first..(first + of_session).min(blocks);
            let postmaster = server.postmaster_pid();
            let work = async |url| Box::pin(self.session(url, postmaster, blocks)).await;
            let ending = server.in_own_database("apitap_compare", work).await?;
            if ending == Ending::Interrupted {
                return Ok(ending);
            }
        }
        Ok(Ending::Complete)
    }

    /// Takes the samples of these `blocks` in the database behind `url`.
    async fn session(
        &mut self,
        url: String,
        postmaster: Option<u32>,
        blocks: Range<usize>,
    ) -> Result<Ending> {
        let mut interrupt = self.interrupt.clone();
        let Options {
            program,
            workload,
            rows,
            ..
        } = &self.options;
        let prepared = async {
            let served = Served::start(program, workload, *rows).await?;
            let loader = self.loader(&served, url, postmaster).await?;
            anyhow::Ok((served, loader))
        };
        let (served, loader) = tokio::select! {
            biased;
            () = interrupt.happened() => return Ok(Ending::Interrupted),
            prepared = Box::pin(prepared) => prepared?,
        };
        let arms: Vec<String> = self
            .options
            .arms
            .iter()
            .map(|arm| arm.name.clone())
            .collect();
        let title = format!(
            "{} of {}, {} rows",
            Count::new(arms.len(), "arm"),
            self.options.workload,
            Whole(self.options.rows)
        );
        let schedule = Schedule::new(self.record.seed, arms.len(), self.record.blocks);
        let missing: BTreeSet<usize> = blocks.collect();
        let plan = Plan {
            scenario: &self.options.workload,
            arms: &arms,
            warm_ups: &warm_ups(arms.len(), &missing, |_| false),
            schedule: &schedule,
            missing: &missing,
        };
        let mut progress = Progress::new(title, &plan);
        let mut journal = self.folder.journal()?;
        let mut executor = Arms {
            loader,
            served: &served,
            arms: &mut self.record.arms,
        };
        let taken = take_samples(
            &mut executor,
            plan,
            &mut journal,
            &mut progress,
            &mut self.interrupt,
        );
        let ending = taken.await;
        progress.finish();
        // Its connection ends before its database does.
        drop(executor);
        served.stop().await;
        ending
    }

    /// What runs the arms, and verifies what they loaded.
    async fn loader(
        &self,
        served: &Served,
        url: String,
        postmaster: Option<u32>,
    ) -> Result<Loader> {
        let mut arms = Vec::with_capacity(self.options.arms.len());
        let mut expected = BTreeMap::new();
        for arm in &self.options.arms {
            let is_lenient = arm.empty_text_is_null;
            if let Entry::Vacant(unknown) = expected.entry(is_lenient) {
                unknown.insert(served.expected(is_lenient).await?);
            }
            let mut own: Vec<(&str, String)> = libpq_variables(&url)?;
            let password = own.iter().find(|(name, _)| *name == "PGPASSWORD");
            let secret = password.map(|(_, password)| password.clone());
            own.push(("APITAP_ARM", arm.name.clone()));
            own.push(("APITAP_DATABASE_URL", url.clone()));
            let own = own
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value));
            let load = CommandLoad {
                program: self.options.program.clone(),
                command: arm.command.clone(),
                prepare: self.options.prepare.clone(),
                environment: own.chain(served.environment().iter().cloned()).collect(),
                secret: secret.unwrap_or_default(),
                limit: self.options.limit,
            };
            arms.push(ArmUnderTest {
                load: ArmLoad::Command(load),
                before: TableBefore::empty_database(),
                expected: expected[&is_lenient].clone(),
            });
        }
        let target = Target {
            psql: Psql::new(&url)?,
            database_url: url,
            table: served.table().to_owned(),
            postmaster,
        };
        Loader::new(target, arms, None).await
    }
}

/// Runs the arms, and does not go on with one whose warm-up is of no use.
struct Arms<'a> {
    loader: Loader,
    served: &'a Served,
    /// As they are in the record, to note how their tables differ.
    arms: &'a mut [Arm],
}

impl Executor for Arms<'_> {
    async fn sample(&mut self, step: Step) -> Result<Outcome> {
        let outcome = self.loader.sample(step).await?;
        if !step.warm_up {
            return Ok(outcome);
        }
        let arm = &mut self.arms[step.arm];
        let useless = |reason, is_wrong_data| UselessArm {
            arm: arm.name.clone(),
            reason,
            is_wrong_data,
        };
        match outcome {
            Outcome::Failed { reason } => Err(useless(reason, false).into()),
            Outcome::WrongData { reason } => Err(useless(reason, true).into()),
            Outcome::Measured(_) | Outcome::Void { .. } => {
                arm.differences = self.served.differences(&self.loader.columns().await?);
                Ok(outcome)
            }
        }
    }

    async fn settle(&mut self) {
        self.loader.settle().await;
    }
}
