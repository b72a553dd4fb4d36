//! Samples the stacks of this process by SIGPROF, on processor time.
//!
//! pprof's unwinder is framehop: the default one crashes where a signal meets malloc. Its tables are
//! made by the first signal, which must not meet a lock that the interrupted thread holds: so the
//! first one is sent while nothing else runs.

use std::collections::HashMap;
use std::ffi::c_void;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, raise};
use pprof::{ProfilerGuard, ProfilerGuardBuilder};
use serde::{Deserialize, Serialize};

use super::stacks::{Stack, Stacks, frame_name};

/// Samples for a second of processor time.
///
/// A timer of processor time is looked at when the kernel ticks, at 100 to 1,000 Hz: what is asked
/// for beyond that is lost. 99 rather than 100, so that it does not keep step with the tick.
pub const FREQUENCY_HZ: u32 = 99;

/// Frames that pprof keeps of a stack (its `MAX_DEPTH`).
const MAX_FRAMES: usize = 128;

/// Names an address that no symbol covers.
const UNKNOWN: &str = "[unknown]";

/// What a sampler saw, and how much of what there was to see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sampled {
    /// Samples asked for per second of processor time.
    pub frequency_hz: u32,
    /// Processor time of the process while it was sampled.
    pub cpu_seconds: f64,
    /// Frames in all samples.
    pub frames: u64,
    /// Frames without a name.
    pub unknown_frames: u64,
    /// Samples whose outermost frames are missing; absent where the sampler does not say.
    pub truncated: Option<u64>,
    /// Stacks, outermost frame first.
    pub stacks: Stacks,
}

impl Sampled {
    /// What a sampler outside of the process saw of `cpu_seconds` of its user time, at
    /// [`FREQUENCY_HZ`].
    #[must_use]
    pub fn outside(cpu_seconds: f64, stacks: Stacks) -> Self {
        let count = |unknown: bool| -> u64 {
            let frames = |stack: &[String]| {
                stack
                    .iter()
                    .filter(|name| !unknown || *name == UNKNOWN)
                    .count() as u64
            };
            stacks
                .iter()
                .map(|(stack, count)| frames(stack) * count)
                .sum()
        };
        Self {
            frequency_hz: FREQUENCY_HZ,
            cpu_seconds,
            frames: count(false),
            unknown_frames: count(true),
            truncated: None,
            stacks,
        }
    }

    /// Samples taken ÷ samples that the processor time calls for. Rounding may bring it above 1.
    #[must_use]
    pub fn coverage(&self) -> f64 {
        self.stacks.total() as f64 / (self.cpu_seconds * f64::from(self.frequency_hz))
    }
}

/// Sampling under way. One at a time in a process.
pub struct Sampler {
    guard: ProfilerGuard<'static>,
    frequency_hz: u32,
    cpu_before: Duration,
}

impl Sampler {
    /// Begins to sample this process. Must be called before it does anything else.
    ///
    /// # Errors
    /// When the signal handler cannot be installed, or a sampler runs already.
    pub fn start(frequency_hz: u32) -> Result<Self> {
        let frequency = i32::try_from(frequency_hz).context("the frequency is too high")?;
        let guard = ProfilerGuardBuilder::default()
            .frequency(frequency)
            .build()
            .context("cannot start the sampler")?;
        raise(Signal::SIGPROF).context("cannot send SIGPROF")?;
        Ok(Self {
            guard,
            frequency_hz,
            cpu_before: process_cpu(),
        })
    }

    /// Ends, and names every frame.
    ///
    /// # Errors
    /// When the samples cannot be read.
    pub fn stop(self) -> Result<Sampled> {
        let cpu_seconds = process_cpu().saturating_sub(self.cpu_before).as_secs_f64();
        let report = self.guard.report().build_unresolved();
        let report = report.context("cannot read the samples")?;
        let mut names = Names::default();
        let mut truncated = 0;
        let mut sampled = Sampled {
            frequency_hz: self.frequency_hz,
            cpu_seconds,
            frames: 0,
            unknown_frames: 0,
            truncated: None,
            stacks: Stacks::default(),
        };
        for (sample, count) in &report.data {
            let count = u64::try_from(*count).unwrap_or_default();
            let addresses = sample.frames.iter().map(|frame| frame.ip);
            let stack = names.stack(addresses);
            // The signal that was sent by hand, and the naming of frames, are not the engine's.
            if stack.iter().any(|name| name.contains(OWN_FRAME)) {
                continue;
            }
            sampled.frames += count * stack.len() as u64;
            let unknown = stack.iter().filter(|name| *name == UNKNOWN).count();
            sampled.unknown_frames += count * unknown as u64;
            if sample.frames.len() >= MAX_FRAMES {
                truncated += count;
            }
            sampled.stacks.add(stack, count);
        }
        sampled.truncated = Some(truncated);
        Ok(sampled)
    }
}

/// Part of the names of this module's own functions.
const OWN_FRAME: &str = "profile::sampler::";

fn process_cpu() -> Duration {
    let usage = apitap_core::metrics::process_usage();
    Duration::from_secs_f64(usage.cpu_seconds)
}

/// Names of code addresses; each is looked up once.
#[derive(Default)]
struct Names(HashMap<usize, Vec<String>>);

impl Names {
    /// The frames of a stack of addresses, innermost first, as names, outermost first.
    fn stack(&mut self, addresses: impl Iterator<Item = usize>) -> Stack {
        let mut stack = Stack::new();
        for (depth, address) in addresses.enumerate() {
            // The lookup steps back one byte, from the address that a call returns to into the call.
            // The innermost address is of the instruction itself.
            let address = if depth == 0 { address + 1 } else { address };
            let names = self.0.entry(address).or_insert_with(|| resolve(address));
            stack.extend(names.iter().cloned());
        }
        stack.reverse();
        stack
    }
}

/// The function at `address` and those inlined there, innermost first.
fn resolve(address: usize) -> Vec<String> {
    let mut names = Vec::new();
    backtrace::resolve(address as *mut c_void, |symbol| {
        if let Some(name) = symbol.name() {
            // The alternate form leaves out the hash.
            names.push(frame_name(&format!("{name:#}")));
        }
    });
    if names.is_empty() {
        names.push(UNKNOWN.to_owned());
    }
    names
}
