//! Candidates that run against each other, block by block.

use std::time::Duration;

use anyhow::{Result, bail};

use super::bench::{Bench, Loaded};
use super::candidates::Candidate;
use crate::measure::schedule::Schedule;
use crate::stats::compare::compare;
use crate::stats::{CONFIDENCE_LEVEL, Comparison, log_ratio};

/// A challenger that takes this many times as long as the fastest so far is given up: it has lost.
const LIMIT_TIMES: u32 = 2;

/// What is added to that limit, for the start of processes.
const LIMIT_AT_LEAST: Duration = Duration::from_secs(1);

/// Loads that nobody gives up: one that takes longer hangs.
pub(super) const NO_LIMIT: Duration = crate::measure::load::SAMPLE_TIMEOUT;

/// One candidate of a contest.
#[derive(Debug, Clone)]
pub(super) struct Arm {
    pub(super) candidate: Candidate,
    /// Its time in each block; none where it did not run, or was spoiled.
    pub(super) seconds: Vec<Option<f64>>,
    /// What its last load took, everything included.
    whole: Option<Duration>,
    /// Why it runs no longer.
    pub(super) out: Option<String>,
}

/// Candidates that run in the same blocks. The first is the one that the others are compared with.
#[derive(Debug, Clone)]
pub(super) struct Contest {
    pub(super) arms: Vec<Arm>,
    rules: Rules,
    /// Blocks in which a load was spoiled twice.
    pub(super) spoiled: usize,
}

/// What ends the part of a candidate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// What a load takes as a rule, everything included.
    pub(super) usual: Duration,
    /// Whether one that is far slower is given up.
    pub(super) gives_up: bool,
    /// Whether requests that must be sent again are a reason: the API does not bear so many.
    pub(super) minds_retries: bool,
}

impl Contest {
    /// Before the first block.
    #[must_use]
    pub(super) fn new(candidates: impl IntoIterator<Item = Candidate>, rules: Rules) -> Self {
        let arm = |candidate| Arm {
            candidate,
            seconds: Vec::new(),
            whole: None,
            out: None,
        };
        Self {
            arms: candidates.into_iter().map(arm).collect(),
            rules,
            spoiled: 0,
        }
    }

    /// The arms that still run, by index.
    #[must_use]
    pub(super) fn running(&self) -> Vec<usize> {
        let arms = self.arms.iter().enumerate();
        arms.filter(|(_, arm)| arm.out.is_none())
            .map(|(index, _)| index)
            .collect()
    }

    /// What a block takes.
    #[must_use]
    pub(super) fn block(&self) -> Duration {
        let running = self.running();
        let wholes = running.iter().map(|index| self.expected(*index));
        wholes.sum()
    }

    /// What a load of an arm takes, everything included.
    #[must_use]
    pub(super) fn expected(&self, index: usize) -> Duration {
        self.arms[index].whole.unwrap_or(self.rules.usual)
    }

    /// Runs every arm that is still in once a block, each block in an order of its own, and stops before
    /// a block that would not end by `until`. Returns whether all blocks were run.
    ///
    /// # Errors
    /// Those of the bench, and when the first arm fails.
    pub(super) async fn run(
        &mut self,
        bench: &mut impl Bench,
        blocks: usize,
        seed: u64,
        until: Duration,
    ) -> Result<bool> {
        let running = self.running();
        let schedule = Schedule::new(seed, running.len(), blocks);
        for slots in schedule.slots().chunks(running.len().max(1)) {
            if bench.elapsed() + self.block() > until {
                return Ok(false);
            }
            for arm in &mut self.arms {
                arm.seconds.push(None);
            }
            for slot in slots {
                let index = running[slot.arm];
                if self.arms[index].out.is_none() {
                    self.sample(bench, index).await?;
                }
            }
        }
        Ok(true)
    }

    async fn sample(&mut self, bench: &mut impl Bench, index: usize) -> Result<()> {
        // Steal comes in bursts, so once more, and then the block goes without.
        for _ in 0..2 {
            let begun = bench.elapsed();
            let limit = self.limit(index);
            let loaded = bench.load(&self.arms[index].candidate, limit).await?;
            let whole = bench.elapsed().saturating_sub(begun);
            let arm = &mut self.arms[index];
            match loaded {
                Loaded::Well(load) if index > 0 && load.retries > 0 && self.rules.minds_retries => {
                    arm.out = Some("the API refused requests".to_owned());
                }
                Loaded::Well(load) => {
                    arm.whole = Some(whole);
                    if let Some(last) = arm.seconds.last_mut() {
                        *last = Some(load.seconds);
                    }
                }
                Loaded::OverLimit if index > 0 => {
                    arm.out = Some(format!("over {LIMIT_TIMES} times as long"));
                }
                Loaded::Spoiled => continue,
                Loaded::OverLimit => bail!("{}: a load did not end", arm.candidate),
                Loaded::Failed(reason) if index > 0 => arm.out = Some(reason),
                Loaded::Failed(reason) => bail!("{}: {reason}", arm.candidate),
            }
            return Ok(());
        }
        self.spoiled += 1;
        Ok(())
    }

    /// The first arm is what others are compared with, and is never given up.
    fn limit(&self, index: usize) -> Duration {
        if index == 0 || !self.rules.gives_up {
            return NO_LIMIT;
        }
        let wholes = self.running().into_iter().map(|other| self.expected(other));
        let fastest = wholes.min().unwrap_or(self.rules.usual);
        fastest * LIMIT_TIMES + LIMIT_AT_LEAST
    }

    /// Log-ratios of an arm's time to another's, of the blocks that have both.
    #[must_use]
    pub(super) fn log_ratios(&self, arm: usize, other: usize) -> Vec<f64> {
        let pairs = self.arms[arm].seconds.iter().zip(&self.arms[other].seconds);
        pairs
            .filter_map(|(own, other)| log_ratio((*own)?, (*other)?))
            .collect()
    }

    /// The same as a comparison; none without such a block.
    #[must_use]
    pub(super) fn compare(&self, arm: usize, other: usize) -> Option<Comparison> {
        compare(&self.log_ratios(arm, other), CONFIDENCE_LEVEL)
    }
}
