//! A run from its first load to its last.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use testkit::postgres::connect;

use super::client::Client;
use super::growth::growth;
use super::outcome::Outcome;
use super::readings::read;
use crate::faults::catalogue::{CANCELLED, FAULTS};
use crate::faults::cell::World;
use crate::faults::fault::{Cell, Fault, Group};
use crate::faults::{matrix, report, server};
use crate::format::{Bytes, Count, Seconds};
use crate::measure::interrupt::Interrupt;

/// Most loads at the same time.
const MOST_AT_ONCE: usize = 3;

/// How often progress is shown.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(15);

/// How long to load, and in which order.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) duration: Duration,
    pub(crate) seed: u64,
    /// Where the binaries of the server are.
    pub(crate) bin_dir: Option<PathBuf>,
}

/// Loads with random faults until the time is over, or the user has enough.
///
/// # Errors
/// When no server can be had, or the worker ends.
pub(crate) async fn run(options: &Options) -> Result<Outcome> {
    let mut interrupt = Interrupt::listen()?;
    let world = World {
        loader: Client::start()?,
        server: server::start(options.bin_dir.as_deref()).await?,
        bin_dir: options.bin_dir.clone(),
    };
    let watching = connect(world.server.url()).await?;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(options.seed);
    let begin = Instant::now();
    let mut shown = begin;
    let mut outcome = Outcome::new(options.seed);
    while begin.elapsed() < options.duration {
        let cells = some_cells(&mut random);
        let ran = tokio::select! {
            ran = matrix::run(&cells, &world, MOST_AT_ONCE, |_| ()) => ran,
            () = interrupt.happened() => break,
        };
        for ran in &ran {
            if !ran.is_right() {
                eprint!("{}", report::failure(ran));
            }
            outcome.count(ran);
        }
        let pid = world.loader.pid()?;
        let reading = read(pid, &watching, begin.elapsed(), outcome.loads()).await?;
        outcome.readings.push(reading);
        if shown.elapsed() > PROGRESS_INTERVAL {
            shown = Instant::now();
            eprintln!(
                "{}, {} wrong; {} of memory, {} descriptors; about {} left",
                Count::new(outcome.loads(), "load"),
                outcome.failures.len(),
                Bytes(reading.memory_bytes as f64),
                reading.descriptors,
                Seconds((options.duration.saturating_sub(begin.elapsed())).as_secs_f64())
            );
        }
    }
    outcome.growth = growth(&outcome.readings);
    Ok(outcome)
}

/// One cell as a rule, sometimes several at the same time.
fn some_cells(random: &mut Xoshiro256PlusPlus) -> Vec<Cell> {
    let count = match random.random_range(0..3) {
        0 => random.random_range(2..=MOST_AT_ONCE),
        _ => 1,
    };
    let faults: Vec<&'static Fault> = suitable().collect();
    (0..count)
        .filter_map(|_| {
            let fault = faults.choose(random)?;
            matrix::cells(&[*fault], true).choose(random).copied()
        })
        .collect()
}

/// Faults that a process survives, and that do without a mount.
fn suitable() -> impl Iterator<Item = &'static Fault> {
    let survived = FAULTS
        .iter()
        .filter(|one| one.group() != Group::Process && !one.needs_root());
    survived.chain([&CANCELLED])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_loads_the_same() {
        let named = |seed| {
            let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
            let cells = (0..20).flat_map(|_| some_cells(&mut random));
            cells.map(|cell| cell.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(named(1), named(1));
        assert_ne!(named(1), named(2));
        assert!(named(1).len() > 20);
    }
}
