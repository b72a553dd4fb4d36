//! Arms that are code of this process: how often each runs in a sample, and what a sample took.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::future::LocalBoxFuture;
use testkit::cpu::CpuTimes;

use crate::format::Whole;
use crate::measure::Executor;
use crate::measure::child::Usage;
use crate::measure::load::SETTLE_TIME;
use crate::measure::progress::Step;
use crate::measure::server::stolen;
use crate::samples::{Measurements, Outcome};

/// A sample takes at least this.
///
/// The host's steal is counted in ticks of 10 ms, and the kernel lets a process run for some milliseconds at a time.
const SAMPLE_AT_LEAST: Duration = Duration::from_millis(50);

/// Code that can run many times in a row.
pub(super) trait Repeat {
    /// Runs it so many times, at least once; returns the rows of each run.
    fn repeat(&mut self, times: u64) -> LocalBoxFuture<'_, Result<u64>>;
}

// The loop is within the future, so that a run costs no allocation.
impl<F: AsyncFnMut() -> Result<u64>> Repeat for F {
    fn repeat(&mut self, times: u64) -> LocalBoxFuture<'_, Result<u64>> {
        Box::pin(async move {
            let rows = (*self)().await?;
            for _ in 1..times {
                let again = black_box((*self)().await?);
                ensure!(
                    again == rows,
                    "one run had {} rows, and another {}",
                    Whole(rows),
                    Whole(again)
                );
            }
            Ok(rows)
        })
    }
}

/// An arm.
pub(super) struct Closure<'a> {
    pub(super) name: String,
    run: Box<dyn Repeat + 'a>,
    /// Runs of a sample.
    times: u64,
}

impl<'a> Closure<'a> {
    pub(super) fn new(name: String, run: Box<dyn Repeat + 'a>) -> Self {
        Self {
            name,
            run,
            times: 1,
        }
    }

    /// Runs it more and more often, until that takes as long as a sample must.
    async fn warm_up(&mut self) -> Result<()> {
        self.times = 1;
        loop {
            let begun = Instant::now();
            self.run.repeat(self.times).await?;
            if begun.elapsed() >= SAMPLE_AT_LEAST {
                return Ok(());
            }
            self.times = self.times.saturating_mul(2);
        }
    }

    async fn sample(&mut self) -> Result<Outcome> {
        // Where the system does not tell of steal, there is none to tell of.
        let machine = CpuTimes::now().ok();
        let before = Usage::with_children()?;
        let begun = Instant::now();
        let rows = self.run.repeat(self.times).await?;
        let wall_seconds = begun.elapsed().as_secs_f64() / self.times as f64;
        let usage = Usage::with_children()?.since(before);
        let steal = machine.zip(CpuTimes::now().ok());
        if let Some(reason) = steal.and_then(|(before, after)| stolen(&before, &after)) {
            return Ok(Outcome::Void { reason });
        }
        Ok(Outcome::Measured(Measurements {
            wall_seconds,
            process_wall_seconds: wall_seconds,
            rows,
            client_cpu_seconds: usage.cpu_seconds / self.times as f64,
            steal_share: steal.map_or(0.0, |(before, after)| before.steal_share(&after)),
            involuntary_switches: usage.involuntary_switches,
            ..Measurements::default()
        }))
    }
}

/// Takes samples of the arms. Behind the last comes the first again.
pub(super) struct Closures<'a, 'code> {
    arms: &'a mut [Closure<'code>],
    /// The rows of the first run, and its arm.
    expected: Option<(u64, String)>,
}

impl<'a, 'code> Closures<'a, 'code> {
    pub(super) fn new(arms: &'a mut [Closure<'code>]) -> Self {
        Self {
            arms,
            expected: None,
        }
    }
}

impl Executor for Closures<'_, '_> {
    async fn sample(&mut self, step: Step) -> Result<Outcome> {
        let nth = step.arm % self.arms.len();
        let arm = &mut self.arms[nth];
        let failed = format!("arm {} failed", arm.name);
        if step.warm_up {
            arm.warm_up().await.with_context(|| failed.clone())?;
        }
        let outcome = arm.sample().await.context(failed)?;
        if let Outcome::Measured(Measurements { rows, .. }) = outcome {
            let name = || arm.name.clone();
            let (expected, first) = self.expected.get_or_insert_with(|| (rows, name()));
            ensure!(
                rows == *expected,
                "arm {} had {} rows, and arm {first} {}: every run must do the same",
                arm.name,
                Whole(rows),
                Whole(*expected)
            );
        }
        Ok(outcome)
    }

    async fn settle(&mut self) {
        tokio::time::sleep(SETTLE_TIME).await;
    }
}
