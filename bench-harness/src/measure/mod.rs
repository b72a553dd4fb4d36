//! Taking samples: in which order, by which process, and whether they loaded the right rows.
//!
//! [`take_samples`] walks a [`Schedule`] and writes every sample to the journal at once. An
//! [`Executor`] takes a sample. The real one ([`load::Loader`]) starts a process and asks a database;
//! that of the tests invents samples, so the rules are tested without process and database.

mod ceilings;
pub(crate) mod child;
pub(crate) mod command;
pub(crate) mod counters;
pub(crate) mod doctor;
pub(crate) mod expected;
mod host;
pub(crate) mod interrupt;
pub(crate) mod load;
mod oracle;
mod pace;
pub(crate) mod prepare;
pub(crate) mod profiling;
pub(crate) mod progress;
mod recorded;
mod remaining;
pub(crate) mod schedule;
pub(crate) mod server;
pub(crate) mod session;
pub(crate) mod supervise;
pub(crate) mod table;
mod verify;
pub mod worker;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Instant;

use anyhow::Result;

use crate::samples::{Journal, Outcome, Sample, Timestamp};
use interrupt::Interrupt;
use progress::{Progress, Step};
use schedule::Schedule;

/// How often a slot may be repeated after a void sample.
///
/// Twice: steal comes in bursts of seconds, and a pause and a second attempt outlast them. On a host
/// that is busy for longer, more attempts only make the run longer.
const RETRIES_PER_SLOT: usize = 2;

/// Share of a scenario's slots that may be repeated in total, and the least number.
///
/// A fifth limits the time of the run. A host that spoils more samples cannot measure, and the report
/// says so.
const RETRY_SHARE: usize = 5;
const RETRIES_AT_LEAST: usize = 4;

/// Takes one sample; what [`take_samples`] schedules.
pub(crate) trait Executor {
    /// Runs the arm of that step once against a reset table and verifies what it loaded.
    ///
    /// A sample that failed is an outcome and not an error. Dropping the future ends the sample.
    ///
    /// # Errors
    /// When no further sample can be taken, for instance because the server is gone.
    fn sample(&mut self, step: Step) -> impl Future<Output = Result<Outcome>>;

    /// Waits before a void sample is taken again.
    fn settle(&mut self) -> impl Future<Output = ()>;
}

/// What [`take_samples`] is to take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan<'a> {
    /// The scenario, by name.
    pub scenario: &'a str,
    /// Names of the arms, in the order in which the schedule numbers them.
    pub arms: &'a [String],
    /// The arms that run once before the blocks, by number.
    pub warm_ups: &'a [usize],
    /// The order.
    pub schedule: &'a Schedule,
    /// Blocks to take.
    pub missing: &'a BTreeSet<usize>,
}

/// How a scenario ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Every slot was taken.
    Complete,
    /// The user stopped it; the sample under way was dropped.
    Interrupted,
}

/// Takes the warm-ups and then every missing slot of the schedule, and writes each sample to the journal as it
/// ends.
///
/// A void slot is repeated, whatever its arm, within [`RETRIES_PER_SLOT`] and a budget for the
/// scenario. A failed one is not: it would likely fail again, and its failure is a finding.
///
/// # Errors
/// Those of the executor, and when the journal cannot be written. The journal then holds what was
/// taken before.
pub(crate) async fn take_samples<E: Executor>(
    executor: &mut E,
    plan: Plan<'_>,
    journal: &mut Journal,
    progress: &mut Progress,
    interrupt: &mut Interrupt,
) -> Result<Ending> {
    let mut taking = Taking {
        executor,
        plan,
        journal,
        progress,
        interrupt,
    };
    for &arm in plan.warm_ups {
        if taking.take(Step::warm_up(arm)).await?.is_none() {
            return Ok(Ending::Interrupted);
        }
    }
    let slots = plan.missing.len() * plan.arms.len();
    let mut budget = (slots / RETRY_SHARE).max(RETRIES_AT_LEAST);
    let slots = plan.schedule.slots().iter();
    for slot in slots.filter(|slot| plan.missing.contains(&slot.block)) {
        let mut retries = RETRIES_PER_SLOT;
        loop {
            let Some(is_void) = taking.take(Step::slot(slot)).await? else {
                return Ok(Ending::Interrupted);
            };
            if !is_void || retries == 0 || budget == 0 {
                break;
            }
            (retries, budget) = (retries - 1, budget - 1);
            taking.executor.settle().await;
        }
    }
    Ok(Ending::Complete)
}

struct Taking<'a, E> {
    executor: &'a mut E,
    plan: Plan<'a>,
    journal: &'a mut Journal,
    progress: &'a mut Progress,
    interrupt: &'a mut Interrupt,
}

impl<E: Executor> Taking<'_, E> {
    /// Takes one sample and says whether it is void; `None` after an interrupt.
    async fn take(&mut self, step: Step) -> Result<Option<bool>> {
        let arm = &self.plan.arms[step.arm];
        self.progress.began(step, arm);
        let (started_at, begun) = (Timestamp::now(), Instant::now());
        let outcome = tokio::select! {
            // First, because an interrupt may itself be what makes the sample fail.
            biased;
            () = self.interrupt.happened() => return Ok(None),
            outcome = self.executor.sample(step) => outcome?,
        };
        let is_void = outcome.is_void();
        self.progress.ended(step, arm, &outcome, begun.elapsed());
        self.journal.append(&Sample {
            scenario: self.plan.scenario.to_owned(),
            arm: arm.clone(),
            block: step.block,
            position: step.position,
            warm_up: step.warm_up,
            started_at,
            outcome,
        })?;
        Ok(Some(is_void))
    }
}
