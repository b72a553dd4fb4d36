//! A comparison of one's own code, for `cargo bench` in another repository.
//!
//! ```text
//! closure ──▶ samples ──▶ compared
//! ```
//!
//! Samples are taken as `run` takes them, through [`crate::measure`], and judged as `compare` judges those of commands.

mod closure;
mod compared;

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use self::closure::{Closure, Closures, Repeat};
pub use self::compared::{Against, Compared};
use crate::measure::interrupt::Interrupt;
use crate::measure::progress::Progress;
use crate::measure::schedule::{Schedule, warm_ups};
use crate::measure::{Plan, take_samples};
use crate::run_folder::RunFolder;

/// Blocks unless somebody asks for others: the 10 of a run, and two that may be void.
const BLOCKS: usize = 12;

/// Compares ways to do the same, each an arm that is code of this process.
///
/// Every block runs each arm once, in random order, and the first one twice: as identical arms, which show the noise.
/// The seconds of a block are compared with each other, so what slows a whole block cancels out. A block that the host
/// disturbed is taken again.
///
/// ```
/// use std::hint::black_box;
///
/// use bench_harness::Comparison;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let numbers: Vec<u64> = (0..1_000).collect();
/// let compared = Comparison::new("sum of 1,000 numbers")
///     .arm("iterator", async || {
///         black_box(numbers.iter().sum::<u64>());
///         Ok(1_000)
///     })
///     .arm("by twos", async || {
///         black_box(numbers.chunks(2).map(|two| two[0] + two[1]).sum::<u64>());
///         Ok(1_000)
///     })
///     .blocks(2)
///     .run()
///     .await?;
/// println!("{compared}");
/// # Ok(())
/// # }
/// ```
#[must_use = "it does nothing until it runs"]
pub struct Comparison<'a> {
    name: String,
    arms: Vec<Closure<'a>>,
    blocks: usize,
    seed: Option<u64>,
}

impl<'a> Comparison<'a> {
    /// A comparison without arms, of 12 blocks.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            arms: Vec::new(),
            blocks: BLOCKS,
            seed: None,
        }
    }

    /// Adds an arm. The first is the one that others are compared with.
    ///
    /// `run` does the work once and returns how many rows it did, or whatever else it counts. Every run of every arm
    /// must return the same number: arms that do other work say nothing about each other. What it computes beyond that
    /// belongs into [`std::hint::black_box`], lest the compiler leave it out.
    ///
    /// Its first runs are not measured. From them follows how often it runs in a sample, which takes 50 ms or more.
    pub fn arm(
        mut self,
        name: impl Into<String>,
        run: impl AsyncFnMut() -> Result<u64> + 'a,
    ) -> Self {
        let run: Box<dyn Repeat + 'a> = Box::new(run);
        self.arms.push(Closure::new(name.into(), run));
        self
    }

    /// Takes so many blocks. Six are the fewest whose interval has 95% confidence; with an even number, drift cancels
    /// out.
    pub fn blocks(self, blocks: usize) -> Self {
        Self { blocks, ..self }
    }

    /// Takes samples in the order of this seed, and not of a random one.
    pub fn seed(self, seed: u64) -> Self {
        let seed = Some(seed);
        Self { seed, ..self }
    }

    /// Takes the samples, and judges them. Progress goes to standard error.
    ///
    /// The runtime needs tokio's timer. Dropping the future drops the run of an arm that is under way.
    ///
    /// # Errors
    /// With fewer than two arms, two of one name, or no block; when a run fails or returns another number; and when
    /// there is no room for temporary files.
    pub async fn run(mut self) -> Result<Compared> {
        ensure!(
            self.arms.len() > 1,
            "{}: give two arms or more, to compare",
            self.name
        );
        ensure!(self.blocks > 0, "{}: give one block or more", self.name);
        let mut names: Vec<String> = self.arms.iter().map(|arm| arm.name.clone()).collect();
        let again = format!("{} again", names[0]);
        names.push(again.clone());
        let different: BTreeSet<&String> = names.iter().collect();
        ensure!(
            different.len() == names.len(),
            "{}: two arms have the same name",
            self.name
        );
        let seed = self
            .seed
            .unwrap_or_else(|| u64::from(rand::random::<u16>()));
        let schedule = Schedule::new(seed, names.len(), self.blocks);
        let all: BTreeSet<usize> = (0..self.blocks).collect();
        let plan = Plan {
            scenario: &self.name,
            arms: &names,
            warm_ups: &warm_ups(names.len(), &all, |_| false),
            schedule: &schedule,
            missing: &all,
        };
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let samples = RunFolder::existing(folder.path().to_owned());
        let mut journal = samples.journal()?;
        let mut progress = Progress::new(self.name.clone(), &plan);
        // Ctrl-C ends the process, as it does elsewhere in it.
        let (_never, mut interrupt) = Interrupt::manual();
        let mut executor = Closures::new(&mut self.arms);
        let taken = take_samples(
            &mut executor,
            plan,
            &mut journal,
            &mut progress,
            &mut interrupt,
        );
        let taken = taken.await;
        progress.finish();
        taken.with_context(|| self.name.clone())?;
        let arms: Vec<&str> = self.arms.iter().map(|arm| arm.name.as_str()).collect();
        Ok(Compared::new(
            self.name,
            self.blocks,
            (&arms, &again),
            &samples.samples()?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use anyhow::bail;

    use super::*;

    fn comparison<'a>() -> Comparison<'a> {
        Comparison::new("rows").arm("a", async || Ok(7)).seed(1)
    }

    async fn refused(comparison: Comparison<'_>) -> String {
        format!("{:#}", comparison.run().await.unwrap_err())
    }

    #[tokio::test]
    async fn what_cannot_be_compared_is_refused() {
        let alone = refused(comparison()).await;
        assert!(alone.contains("two arms or more"), "{alone}");
        for name in ["a", "a again"] {
            let same = refused(comparison().arm(name, async || Ok(7))).await;
            assert!(same.contains("the same name"), "{same}");
        }
        let none = comparison().arm("b", async || Ok(7)).blocks(0);
        assert!(refused(none).await.contains("one block or more"));
    }

    #[tokio::test]
    async fn a_run_that_fails_or_has_other_rows_ends_it() {
        let fails = comparison().arm("b", async || bail!("no such host"));
        assert_eq!(refused(fails).await, "rows: arm b failed: no such host");
        let fewer = refused(comparison().arm("b", async || Ok(6))).await;
        assert_eq!(
            fewer,
            "rows: arm b had 6 rows, and arm a 7: every run must do the same"
        );
        let runs = Cell::new(0);
        let grows = refused(comparison().arm("b", async || {
            runs.set(runs.get() + 1);
            Ok(runs.get())
        }));
        assert!(grows.await.contains("one run had"));
    }
}
