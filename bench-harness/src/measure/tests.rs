//! Scheduling, voiding and journalling with an executor that makes samples up.

use std::collections::VecDeque;

use super::*;
use crate::samples::{Measurements, SAMPLES_FILE, Samples};

/// Answers from a list, then always the same; remembers what it was asked for.
struct Made {
    first: VecDeque<Result<Outcome>>,
    then: fn() -> Outcome,
    arms: Vec<usize>,
    settled: usize,
}

impl Made {
    fn new(first: impl IntoIterator<Item = Outcome>, then: fn() -> Outcome) -> Self {
        Self {
            first: first.into_iter().map(Ok).collect(),
            then,
            arms: Vec::new(),
            settled: 0,
        }
    }
}

impl Executor for Made {
    async fn sample(&mut self, step: Step) -> Result<Outcome> {
        self.arms.push(step.arm);
        self.first.pop_front().unwrap_or_else(|| Ok((self.then)()))
    }

    async fn settle(&mut self) {
        self.settled += 1;
    }
}

fn measured() -> Outcome {
    Outcome::Measured(Measurements {
        wall_seconds: 1.0,
        process_wall_seconds: 1.1,
        rows: 10,
        first_row_seconds: None,
        client_cpu_seconds: 0.5,
        server_cpu_seconds: None,
        peak_memory_bytes: None,
        steal_share: 0.0,
        involuntary_switches: 0,
        bytes_from_api: 0,
        bytes_to_server: 0,
        statements: 1,
        round_trips: None,
        extra: serde_json::Value::Null,
    })
}

fn void() -> Outcome {
    Outcome::Void {
        reason: "steal".to_owned(),
    }
}

fn failed() -> Outcome {
    Outcome::Failed {
        reason: "no such host".to_owned(),
    }
}

struct Run {
    ending: Result<Ending>,
    samples: Vec<Sample>,
}

async fn run<E: Executor>(
    executor: &mut E,
    schedule: &Schedule,
    arms: usize,
    interrupt: &mut Interrupt,
) -> Run {
    let all = schedule.slots().iter().map(|slot| slot.block).collect();
    go_on(executor, schedule, arms, &all, interrupt).await
}

async fn go_on<E: Executor>(
    executor: &mut E,
    schedule: &Schedule,
    arms: usize,
    missing: &BTreeSet<usize>,
    interrupt: &mut Interrupt,
) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SAMPLES_FILE);
    let warm_ups: Vec<usize> = (0..arms).collect();
    let arms: Vec<String> = (0..arms).map(|arm| format!("arm {arm}")).collect();
    let plan = Plan {
        scenario: "made up",
        arms: &arms,
        warm_ups: &warm_ups,
        schedule,
        missing,
    };
    let mut progress = Progress::hidden(&plan);
    let mut journal = Journal::open(&path).unwrap();
    let ending = take_samples(executor, plan, &mut journal, &mut progress, interrupt).await;
    Run {
        ending,
        samples: Samples::read(&path).unwrap().samples,
    }
}

async fn run_to_end(executor: &mut Made, schedule: &Schedule, arms: usize) -> Vec<Sample> {
    let (_sender, mut interrupt) = Interrupt::manual();
    let run = run(executor, schedule, arms, &mut interrupt).await;
    assert_eq!(run.ending.unwrap(), Ending::Complete);
    run.samples
}

#[tokio::test]
async fn warm_ups_come_first_and_then_the_order_of_the_seed() {
    let schedule = Schedule::new(7, 3, 4);
    let mut executor = Made::new([], measured);
    let samples = run_to_end(&mut executor, &schedule, 3).await;
    let slots: Vec<usize> = schedule.slots().iter().map(|slot| slot.arm).collect();
    assert_eq!(executor.arms, [&[0, 1, 2], slots.as_slice()].concat());
    assert_eq!(samples.iter().filter(|sample| sample.warm_up).count(), 3);
    let journalled: Vec<(usize, usize)> = samples[3..]
        .iter()
        .map(|sample| (sample.block, sample.position))
        .collect();
    let planned: Vec<(usize, usize)> = schedule
        .slots()
        .iter()
        .map(|slot| (slot.block, slot.position))
        .collect();
    assert_eq!(journalled, planned);
}

#[tokio::test]
async fn blocks_that_are_done_are_not_taken_again() {
    let schedule = Schedule::new(7, 2, 4);
    let mut executor = Made::new([], measured);
    let (_sender, mut interrupt) = Interrupt::manual();
    let missing = BTreeSet::from([1, 3]);
    let run = go_on(&mut executor, &schedule, 2, &missing, &mut interrupt).await;
    let blocks: Vec<usize> = run.samples[2..].iter().map(|one| one.block).collect();
    assert_eq!(blocks, [1, 1, 3, 3]);
}

#[tokio::test]
async fn a_void_sample_is_kept_and_its_slot_taken_again() {
    let schedule = Schedule::new(1, 2, 2);
    let mut executor = Made::new([measured(), measured(), void()], measured);
    let samples = run_to_end(&mut executor, &schedule, 2).await;
    assert_eq!(samples.len(), 2 + 4 + 1);
    let (spoiled, again) = (&samples[2], &samples[3]);
    assert_eq!(spoiled.outcome, void());
    assert_eq!(again.outcome, measured());
    assert_eq!((&spoiled.arm, spoiled.block), (&again.arm, again.block));
    assert_eq!(executor.settled, 1);
}

#[tokio::test]
async fn a_host_that_spoils_everything_uses_up_the_budget_and_no_more() {
    let schedule = Schedule::new(1, 4, 10);
    let mut executor = Made::new([], void);
    let samples = run_to_end(&mut executor, &schedule, 4).await;
    // Four warm-ups, which are never taken again, forty slots, and a fifth of these.
    assert_eq!(samples.len(), 4 + 40 + 8);
    // Two retries a slot at most, whichever arm it is.
    let first = samples
        .iter()
        .filter(|one| one.block == 0 && !one.warm_up && one.position == 0);
    assert_eq!(first.count(), 1 + RETRIES_PER_SLOT);
}

#[tokio::test]
async fn failures_are_recorded_and_not_repeated() {
    let schedule = Schedule::new(1, 2, 2);
    let mut executor = Made::new([], failed);
    let samples = run_to_end(&mut executor, &schedule, 2).await;
    assert_eq!(samples.len(), 2 + 4);
    assert!(samples.iter().all(|sample| sample.outcome == failed()));
}

#[tokio::test]
async fn an_error_ends_the_run_and_keeps_what_was_taken() {
    let schedule = Schedule::new(1, 1, 2);
    let mut executor = Made::new([measured(), measured()], measured);
    executor
        .first
        .push_back(Err(anyhow::anyhow!("the server is gone")));
    let (_sender, mut interrupt) = Interrupt::manual();
    let run = run(&mut executor, &schedule, 1, &mut interrupt).await;
    assert_eq!(run.ending.unwrap_err().to_string(), "the server is gone");
    assert_eq!(run.samples.len(), 2);
}

/// Asks to stop during its third sample, which never ends.
struct Stopped {
    taken: usize,
    sender: tokio::sync::watch::Sender<bool>,
}

impl Executor for Stopped {
    async fn sample(&mut self, _step: Step) -> Result<Outcome> {
        self.taken += 1;
        if self.taken == 3 {
            self.sender.send_replace(true);
            std::future::pending::<()>().await;
        }
        Ok(measured())
    }

    async fn settle(&mut self) {}
}

#[tokio::test]
async fn an_interrupt_drops_the_sample_under_way_and_keeps_the_others() {
    let schedule = Schedule::new(1, 1, 6);
    let (sender, mut interrupt) = Interrupt::manual();
    let mut executor = Stopped { taken: 0, sender };
    let run = run(&mut executor, &schedule, 1, &mut interrupt).await;
    assert_eq!(run.ending.unwrap(), Ending::Interrupted);
    assert_eq!((executor.taken, run.samples.len()), (3, 2));
}
