//! The search for a faster configuration.
//!
//! It goes from knob to knob. For each it lets the best configuration so far run against the same with
//! other values of that knob, by successive halving: all run interleaved in the same blocks, the slower
//! half goes, and those that stay run twice as many blocks. A value that is faster is taken at once, and
//! the next knob is tried beside it. When a knob was changed, the others are tried again, until none
//! changes any more or the time is up. At the end, every change whose removal costs nothing is dropped.
//!
//! One knob at a time rather than a pool of combinations, for two reasons. What holds a load up hides
//! everything else: while it waits for the API, no way of writing is faster than another; so the API's
//! knobs come first, and the others are judged where they matter. And the later samples are as short as
//! the best configuration so far, which is what makes the time suffice.

use std::time::Duration;

use anyhow::{Result, bail};

use super::bench::{Bench, Load, Loaded};
use super::candidates::{Candidate, Facts, PAGE_ROWS, TRIED, Tried};
use super::contest::{Contest, NO_LIMIT, Rules};
use crate::format::Times;
use crate::stats::{CONFIDENCE_LEVEL, Comparison};

/// The shares of the time after which the search ends, and after which changes are no longer removed. The
/// rest is for the confirmation.
const SEARCH_SHARE: f64 = 0.5;
const REMOVAL_SHARE: f64 = 0.65;

/// Blocks of the rounds of a contest.
const ROUNDS: [usize; 3] = [1, 2, 4];

/// Blocks in which a configuration runs against itself without each of its changes.
const REMOVAL_BLOCKS: usize = 4;

/// A candidate that is slower than the best by this factor is out, however many are left.
const HOPELESS: f64 = 1.25;

/// Blocks for a challenger that seems to be faster, and not for certain.
const MORE_BLOCKS: usize = 8;

/// How much faster a value must be to be taken, and for certain. What is faster by [`HOPELESS`] is taken
/// without more blocks. What is taken in error, removal and confirmation see.
const GAIN: f64 = 1.03;

/// What a milder value, or a configuration without a change, may cost and still be preferred.
const COST: f64 = 1.02;

/// What to search.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// The time of the whole command.
    pub(crate) budget: Duration,
    /// Seed of the order of samples.
    pub(crate) seed: u64,
    /// What is known before the first load.
    pub(crate) facts: Facts,
    /// What the user has now.
    pub(crate) current: Candidate,
}

/// What the search came to.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// The first load with `tuned`, which is in no comparison.
    pub(crate) first: Load,
    /// What is known after it.
    pub(super) facts: Facts,
    /// How loads end a candidate's part.
    pub(super) rules: Rules,
    /// What the first load took, everything included.
    pub(super) first_whole: Duration,
    /// The fastest configuration that was found.
    pub(super) best: Candidate,
    /// What was tried, in order.
    pub(crate) trials: Vec<Trial>,
    /// Whether the time was too short to try everything.
    pub(crate) cut_short: bool,
}

/// What was tried of one knob.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trial {
    /// The knob.
    pub(crate) knob: &'static str,
    /// The value of the best configuration before.
    pub(crate) before: String,
    /// The others.
    pub(crate) tried: Vec<TriedValue>,
    /// The value that was taken.
    pub(crate) taken: String,
}

/// What came of one value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TriedValue {
    /// The value.
    pub(crate) value: String,
    /// Its time as a multiple of that of the value before; none if it never finished beside it.
    pub(crate) ratio: Option<f64>,
    /// Why it was given up, if it was.
    pub(crate) given_up: Option<String>,
}

/// Searches until nothing gets faster, or the search's share of the time is up.
///
/// # Errors
/// When the first loads fail, and those of the bench.
pub(crate) async fn search(bench: &mut impl Bench, order: &Order) -> Result<Found> {
    let begun = bench.elapsed();
    let first = first_load(bench).await?;
    let asked = Candidate::tuned().value(PAGE_ROWS).parse().unwrap_or(1);
    let facts = order.facts.learned(first.rows_read, first.pages, asked);
    let first_whole = bench.elapsed().saturating_sub(begun);
    let mut searching = Searching {
        order,
        found: Found {
            first,
            facts,
            rules: Rules {
                usual: first_whole,
                gives_up: true,
                minds_retries: first.retries == 0,
            },
            first_whole,
            best: Candidate::tuned(),
            trials: Vec::new(),
            cut_short: false,
        },
        contests: 0,
    };
    searching.beside_current(bench).await?;
    searching.every_knob(bench).await?;
    searching.remove_needless(bench).await?;
    Ok(searching.found)
}

async fn first_load(bench: &mut impl Bench) -> Result<Load> {
    let tuned = Candidate::tuned();
    // A busy host can spoil its time, which nobody needs, and then its figures are missing too.
    for _ in 0..5 {
        match bench.load(&tuned, NO_LIMIT).await? {
            Loaded::Well(load) if load.rows_read == 0 => {
                bail!("the sources have no rows, so no configuration is faster than another")
            }
            Loaded::Well(load) => return Ok(load),
            Loaded::Spoiled => {}
            Loaded::OverLimit => bail!("the first load did not end within {NO_LIMIT:?}"),
            Loaded::Failed(reason) => bail!("the first load failed: {reason}"),
        }
    }
    bail!("the host took the processor away from every load; try again when it is quiet")
}

struct Searching<'a> {
    order: &'a Order,
    found: Found,
    contests: u64,
}

impl Searching<'_> {
    fn until(&self, share: f64) -> Duration {
        self.order.budget.mul_f64(share)
    }

    fn seed(&mut self) -> u64 {
        self.contests += 1;
        self.order.seed.wrapping_add(self.contests)
    }

    /// Begins with what the user has, if that is faster than `tuned`.
    async fn beside_current(&mut self, bench: &mut impl Bench) -> Result<()> {
        let (tuned, current) = (Candidate::tuned(), self.order.current.clone());
        if self.found.facts.are_alike(&tuned, &current) {
            return Ok(());
        }
        bench.say("what you have now, beside tuned");
        let mut contest = Contest::new([tuned, current.clone()], self.found.rules);
        let seed = self.seed();
        let until = self.until(SEARCH_SHARE);
        for blocks in ROUNDS {
            if !contest.run(bench, blocks, seed, until).await? || contest.running().len() < 2 {
                break;
            }
        }
        if self.winner(bench, &mut contest).await? > 0 {
            self.found.best = current;
        }
        Ok(())
    }

    /// Tries knob after knob, until each was tried since the last change.
    async fn every_knob(&mut self, bench: &mut impl Bench) -> Result<()> {
        let mut unchanged = 0;
        for tried in TRIED.iter().cycle() {
            if unchanged == TRIED.len() {
                break;
            }
            let others = self.found.facts.neighbours(&self.found.best, tried);
            unchanged += 1;
            if others.is_empty() {
                continue;
            }
            if !self.fits(bench, others.len() + 1) {
                self.found.cut_short = true;
                break;
            }
            if self.contest(bench, tried, others).await? {
                unchanged = 1;
            }
        }
        Ok(())
    }

    /// Whether there is time for a block of so many loads like the best one.
    fn fits(&self, bench: &impl Bench, loads: usize) -> bool {
        let block = self.found.rules.usual.mul_f64(loads as f64);
        bench.elapsed() + block <= self.until(SEARCH_SHARE)
    }

    /// Lets the best run against `others`; returns whether one of them was taken.
    async fn contest(
        &mut self,
        bench: &mut impl Bench,
        tried: &Tried,
        others: Vec<Candidate>,
    ) -> Result<bool> {
        let before = self.found.best.clone();
        let values: Vec<String> = others.iter().map(|one| one.value(tried.knob)).collect();
        bench.say(&format!(
            "{}: {} beside {}",
            tried.knob,
            values.join(", "),
            before.value(tried.knob)
        ));
        let until = self.until(SEARCH_SHARE);
        let pool = [before.clone()].into_iter().chain(others);
        let mut contest = Contest::new(pool, self.found.rules);
        for blocks in ROUNDS {
            let seed = self.seed();
            let complete = contest.run(bench, blocks, seed, until).await?;
            self.found.cut_short |= !complete;
            halve(&mut contest);
            if !complete || contest.running().len() < 2 {
                break;
            }
        }
        let taken = self.winner(bench, &mut contest).await?;
        let trial = Trial {
            knob: tried.knob,
            before: before.value(tried.knob),
            tried: (1..contest.arms.len())
                .map(|arm| tried_value(&contest, arm, tried.knob))
                .collect(),
            taken: contest.arms[taken].candidate.value(tried.knob),
        };
        if taken > 0 {
            let ratio = contest.compare(taken, 0).map(|seen| seen.ratio);
            bench.say(&format!(
                "{}={} takes {} the time of {}",
                tried.knob,
                trial.taken,
                Times(ratio.unwrap_or(1.0)),
                trial.before
            ));
            self.found.best = contest.arms[taken].candidate.clone();
            self.found.rules.usual = contest.expected(taken);
        }
        self.found.trials.push(trial);
        Ok(taken > 0)
    }

    /// The arm to go on with: the first, unless the leader of the others is faster. If that is not certain,
    /// the two run on.
    async fn winner(&mut self, bench: &mut impl Bench, contest: &mut Contest) -> Result<usize> {
        let seen = leader(contest).and_then(|arm| Some((arm, contest.compare(arm, 0)?)));
        let Some((leader, seen)) = seen else {
            return Ok(0);
        };
        if seen.ratio <= 1.0 / HOPELESS {
            return Ok(leader);
        }
        if seen.ratio > 1.0 / COST || contest.arms[0].out.is_some() {
            return Ok(0);
        }
        if !is_certain(&seen) {
            for (index, arm) in contest.arms.iter_mut().enumerate() {
                if index != leader && index > 0 && arm.out.is_none() {
                    arm.out = Some(SLOWER.to_owned());
                }
            }
            let seed = self.seed();
            let until = self.until(SEARCH_SHARE);
            contest.run(bench, MORE_BLOCKS, seed, until).await?;
        }
        let is_in = contest.arms[leader].out.is_none();
        let is_faster = contest
            .compare(leader, 0)
            .is_some_and(|seen| is_certain(&seen) && seen.ratio <= 1.0 / GAIN);
        Ok(if is_in && is_faster { leader } else { 0 })
    }

    /// Drops changes whose removal costs nothing, one after the other.
    async fn remove_needless(&mut self, bench: &mut impl Bench) -> Result<()> {
        while self.found.best.change_count() > 1 {
            let best = self.found.best.clone();
            let less: Vec<Candidate> = best.changed().map(|knob| best.without(knob)).collect();
            bench.say("the best, beside itself without each of its changes");
            let until = self.until(REMOVAL_SHARE);
            let mut contest = Contest::new([best].into_iter().chain(less), self.found.rules);
            let seed = self.seed();
            if !contest.run(bench, REMOVAL_BLOCKS, seed, until).await? {
                self.found.cut_short = true;
            }
            let costs = contest.running().into_iter().skip(1);
            let costs = costs.filter_map(|arm| Some((contest.compare(arm, 0)?.ratio, arm)));
            let cheapest = costs.min_by(|one, other| one.0.total_cmp(&other.0));
            match cheapest {
                Some((cost, arm)) if cost <= COST => {
                    self.found.best = contest.arms[arm].candidate.clone();
                }
                _ => break,
            }
        }
        Ok(())
    }
}

const SLOWER: &str = "slower";

/// Whether there is a difference, for all that the blocks of one contest say.
fn is_certain(seen: &Comparison) -> bool {
    seen.p_value <= 1.0 - CONFIDENCE_LEVEL
}

/// Ends the part of the slower half, and of those that are far slower. The first arm stays unless it is
/// itself far slower, because the others are compared with it.
fn halve(contest: &mut Contest) {
    let mut ranking = ranking(contest);
    let Some(&(_, best)) = ranking.first() else {
        return;
    };
    let keep = ranking.len().div_ceil(2);
    for (rank, (arm, mean)) in ranking.drain(..).enumerate() {
        let far = mean - best > HOPELESS.ln();
        if far || (rank >= keep && arm > 0) {
            contest.arms[arm].out = Some(SLOWER.to_owned());
        }
    }
}

/// The running arms with the mean of the logarithms of their times in the blocks that all of them have,
/// the fastest first.
fn ranking(contest: &Contest) -> Vec<(usize, f64)> {
    let running = contest.running();
    let blocks = contest.arms.first().map_or(0, |arm| arm.seconds.len());
    let logs = |arm: usize, block: usize| contest.arms[arm].seconds[block].map(f64::ln);
    let common: Vec<usize> = (0..blocks)
        .filter(|block| running.iter().all(|arm| logs(*arm, *block).is_some()))
        .collect();
    if common.is_empty() {
        return Vec::new();
    }
    let mean = |arm: usize| {
        let sum: f64 = common.iter().filter_map(|block| logs(arm, *block)).sum();
        sum / common.len() as f64
    };
    let mut ranking: Vec<(usize, f64)> = running.iter().map(|arm| (*arm, mean(*arm))).collect();
    ranking.sort_by(|one, other| one.1.total_cmp(&other.1));
    ranking
}

/// The mildest of the challengers that are as fast as the fastest of them.
fn leader(contest: &Contest) -> Option<usize> {
    let ranking = ranking(contest);
    let challengers = || ranking.iter().filter(|(arm, _)| *arm > 0);
    let (_, best) = challengers().next()?;
    let as_fast = challengers().filter(|(_, mean)| mean - best <= COST.ln());
    as_fast.map(|(arm, _)| *arm).min()
}

fn tried_value(contest: &Contest, arm: usize, knob: &str) -> TriedValue {
    let one = &contest.arms[arm];
    let seen = contest.compare(arm, 0);
    TriedValue {
        value: one.candidate.value(knob),
        ratio: seen.map(|seen| seen.ratio),
        given_up: one.out.clone().filter(|_| seen.is_none()),
    }
}
