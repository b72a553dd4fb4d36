//! What runs now and what remains, on standard error.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::Plan;
use super::schedule::Slot;
use crate::samples::Outcome;

/// One sample about to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// Block of the schedule, from 0.
    pub block: usize,
    /// Position within the block, from 0.
    pub position: usize,
    /// Arm, as an index.
    pub arm: usize,
    /// Whether it precedes the blocks.
    pub warm_up: bool,
}

impl Step {
    /// The warm-up of an arm.
    #[must_use]
    pub(crate) fn warm_up(arm: usize) -> Self {
        Self {
            block: 0,
            position: arm,
            arm,
            warm_up: true,
        }
    }

    /// A slot of the schedule.
    #[must_use]
    pub(crate) fn slot(slot: &Slot) -> Self {
        Self {
            block: slot.block,
            position: slot.position,
            arm: slot.arm,
            warm_up: false,
        }
    }
}

/// Shows a scenario's progress: a bar on a terminal, else a line now and then.
#[derive(Debug)]
pub(crate) struct Progress {
    title: String,
    blocks: usize,
    /// Void samples so far: one number, because a busy host makes a hundred of them.
    void: usize,
    display: Display,
    last_line: Instant,
    estimate: Estimate,
}

/// How often a line says where a scenario is, where no bar can: logs are read later.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Debug)]
enum Display {
    Bar(ProgressBar),
    Lines,
}

impl Progress {
    /// Of `plan`, under `title`.
    #[must_use]
    pub(crate) fn new(title: String, plan: &Plan<'_>) -> Self {
        let display = if std::io::stderr().is_terminal() {
            let bar = ProgressBar::no_length();
            // The template is constant, so a mistake in it shows at once as a plain bar.
            if let Ok(style) = ProgressStyle::with_template("{prefix} [{bar:24}] {pos}/{len} {msg}")
            {
                bar.set_style(style.progress_chars("=> "));
            }
            Display::Bar(bar)
        } else {
            Display::Lines
        };
        Self::with_display(title, plan, display)
    }

    /// One that shows nothing.
    #[cfg(test)]
    pub(crate) fn hidden(plan: &Plan<'_>) -> Self {
        let display = Display::Bar(ProgressBar::hidden());
        Self::with_display(String::new(), plan, display)
    }

    fn with_display(title: String, plan: &Plan<'_>, display: Display) -> Self {
        let estimate = Estimate::new(plan.arms.len(), plan.warm_ups, plan.missing.len());
        if let Display::Bar(bar) = &display {
            bar.set_prefix(title.clone());
            bar.set_length(estimate.planned() as u64);
        }
        let blocks = plan
            .schedule
            .slots()
            .last()
            .map_or(0, |slot| slot.block + 1);
        Self {
            title,
            blocks,
            void: 0,
            display,
            last_line: Instant::now(),
            estimate,
        }
    }

    /// Says that a sample begins.
    pub(crate) fn began(&mut self, step: Step, arm: &str) {
        let place = self.place(step);
        let left = self.estimate.remaining().map_or(String::new(), about_left);
        let void = match self.void {
            0 => String::new(),
            count => format!(", {count} void"),
        };
        match &self.display {
            Display::Bar(bar) => bar.set_message(format!("{arm}, {place}{void}{left}")),
            Display::Lines if self.last_line.elapsed() > LINE_INTERVAL => {
                self.last_line = Instant::now();
                eprintln!("{}: {place}{void}{left}", self.title);
            }
            Display::Lines => {}
        }
    }

    /// Says what came of it, after `elapsed` with reset and verification.
    pub(crate) fn ended(&mut self, step: Step, arm: &str, outcome: &Outcome, elapsed: Duration) {
        let trouble = match outcome {
            Outcome::Measured(_) => None,
            Outcome::Failed { reason } => Some(("failed", reason)),
            Outcome::WrongData { reason } => Some(("loaded wrong data", reason)),
            Outcome::Void { .. } => {
                self.void += 1;
                None
            }
        };
        if let Some((what, reason)) = trouble {
            self.say(&format!("{arm}, {} {what}: {reason}", self.place(step)));
        }
        self.estimate.took(step.arm, elapsed);
        // A sample that is taken again must not count as a further one.
        if let Display::Bar(bar) = &self.display {
            bar.set_position(self.estimate.taken as u64);
        }
    }

    /// Prints a line without disturbing the bar.
    pub(crate) fn say(&self, line: &str) {
        match &self.display {
            Display::Bar(bar) => bar.println(format!("{}: {line}", self.title)),
            Display::Lines => eprintln!("{}: {line}", self.title),
        }
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        if let Display::Bar(bar) = &self.display {
            bar.finish_and_clear();
        }
    }

    fn place(&self, step: Step) -> String {
        if step.warm_up {
            "warm-up".to_owned()
        } else {
            format!("block {} of {}", step.block + 1, self.blocks)
        }
    }
}

/// What remains, from what each arm took so far: arms differ a hundredfold, so a mean over all of
/// them would mislead.
#[derive(Debug)]
struct Estimate {
    arms: Vec<ArmTime>,
    taken: usize,
}

#[derive(Debug, Clone, Default)]
struct ArmTime {
    elapsed: Duration,
    taken: u32,
    planned: u32,
}

impl Estimate {
    /// A sample of each arm in each block, and one more of those that warm up.
    fn new(arms: usize, warm_ups: &[usize], blocks: usize) -> Self {
        let planned = u32::try_from(blocks).unwrap_or(u32::MAX);
        let mut arms = vec![
            ArmTime {
                planned,
                ..ArmTime::default()
            };
            arms
        ];
        for &arm in warm_ups {
            arms[arm].planned = arms[arm].planned.saturating_add(1);
        }
        Self { arms, taken: 0 }
    }

    fn planned(&self) -> usize {
        self.arms.iter().map(|arm| arm.planned as usize).sum()
    }

    fn took(&mut self, arm: usize, elapsed: Duration) {
        let arm = &mut self.arms[arm];
        arm.elapsed += elapsed;
        arm.taken += 1;
        let counted = self.arms.iter();
        self.taken = counted.map(|arm| arm.taken.min(arm.planned) as usize).sum();
    }

    /// `None` until every arm was seen once.
    fn remaining(&self) -> Option<Duration> {
        self.arms
            .iter()
            .map(|arm| {
                let left = arm.planned.saturating_sub(arm.taken);
                Some(arm.elapsed.checked_div(arm.taken)? * left)
            })
            .sum()
    }
}

/// What is left, to end a line with.
pub(super) fn about_left(left: Duration) -> String {
    format!(", about {} left", spoken(left))
}

/// `45 s`, `3 min 20 s`.
pub(crate) fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().round() as u64;
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_remains_is_counted_arm_by_arm() {
        let mut estimate = Estimate::new(2, &[0, 1], 3);
        estimate.took(0, Duration::from_secs(10));
        assert_eq!(estimate.remaining(), None);
        estimate.took(1, Duration::from_secs(1));
        assert_eq!(estimate.remaining(), Some(Duration::from_secs(33)));
        estimate.took(0, Duration::from_secs(20));
        assert_eq!(estimate.remaining(), Some(Duration::from_secs(33)));
        assert_eq!(estimate.taken, 3);
        assert_eq!(estimate.planned(), 8);
        assert_eq!(Estimate::new(3, &[0], 2).planned(), 7);
    }

    #[test]
    fn samples_taken_again_do_not_run_past_the_end() {
        let mut estimate = Estimate::new(1, &[0], 1);
        for _ in 0..5 {
            estimate.took(0, Duration::from_secs(1));
        }
        assert_eq!(
            (estimate.taken, estimate.remaining()),
            (2, Some(Duration::ZERO))
        );
    }

    #[test]
    fn durations_are_spoken_to_the_second() {
        assert_eq!(spoken(Duration::from_millis(44_600)), "45 s");
        assert_eq!(spoken(Duration::from_secs(200)), "3 min 20 s");
    }
}
