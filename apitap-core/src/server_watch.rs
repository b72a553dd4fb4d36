//! What the server's processes of a run are doing, looked up now and then over a connection of its own.
//!
//! It looks from a thread of this process, because only here is known what the engine was doing at that
//! moment, and in a runtime of its own: that of the engine may be busy just when something happens.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;
use tokio_postgres::Row;

use crate::budget::{Seen, ServerState};
use crate::concurrency_time::ActivitySet;
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::metrics::Metrics;
use crate::write::{Session, TargetSpec};

/// What a look asks. The function is behind the view `pg_stat_activity`, whose joins take longer to plan than
/// the answer takes.
const LOOK: &str = "SELECT state, wait_event_type, wait_event \
                    FROM unnest($1::int[]) AS backend (process), pg_stat_get_activity(process)";

/// When the connection for the looks is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// Before the run.
    AtOnce,
    /// When the run has all of its own, so that it takes none of them away where their number is limited.
    BehindTheRun,
}

/// Looking at the server until it is stopped. Looks end when it is dropped.
#[derive(Debug)]
pub struct ServerWatch {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<Looks>>,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Looks {
    /// Times that the server was asked.
    pub asked: usize,
    /// Times that it said what a process of the run did.
    pub answered: usize,
    /// How many processes computed at a time, as a mean over the run.
    pub running: f64,
    /// What processes waited for, the most frequent first.
    pub waits: Vec<Waited>,
    /// The states beside what the engine did. While the run has no process, the server is idle.
    #[serde(skip)]
    pub seen: Vec<Seen>,
}

/// Something that a process of the server waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waited {
    /// The type of the wait, as the server calls it.
    pub kind: String,
    /// What was waited for, as the server calls it.
    pub event: String,
    /// Looks in which a process waited for it.
    pub looks: usize,
}

impl ServerWatch {
    /// Begins to look at the server behind `target` as often as `every` says, beside what `metrics` say of
    /// the engine. With [`Opened::AtOnce`] it returns when it is connected. What goes wrong is said by
    /// [`stop`](Self::stop).
    pub async fn start(
        target: TargetSpec,
        metrics: Arc<Metrics>,
        every: Duration,
        opened: Opened,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|cause| fault("cannot look at the server").caused_by(cause))?;
            let mut tally = Tally::default();
            let looking = look(&target, &metrics, every, opened, ready, &mut tally);
            runtime.block_on(async {
                tokio::select! {
                    failed = looking => failed.map(|never| match never {}),
                    // It is dropped where the run panicked.
                    _ = stopped => Ok(()),
                }
            })?;
            Ok(tally.looks())
        });
        // Dropped without a word where it cannot connect.
        let _ = is_ready.await;
        Self { stop, thread }
    }

    /// What was seen.
    ///
    /// # Errors
    /// When the server could not be asked.
    pub fn stop(self) -> Result<Looks> {
        // Fails only where the thread has ended already.
        let _ = self.stop.send(());
        let looks = self.thread.join();
        looks.unwrap_or_else(|_| Err(fault("looking at the server panicked")))
    }
}

fn fault(what: &str) -> Error {
    Error::new(ErrorKind::Internal, Stage::Write, what)
}

/// Looks until it is dropped, or the server refuses.
async fn look(
    target: &TargetSpec,
    metrics: &Metrics,
    every: Duration,
    opened: Opened,
    ready: oneshot::Sender<()>,
    tally: &mut Tally,
) -> Result<Infallible> {
    let backends = &metrics.write.backends;
    // Its round trips are none of the run's.
    let open = || Session::open(target, Arc::default());
    let mut session = match opened {
        Opened::AtOnce => Some(open().await?),
        Opened::BehindTheRun => None,
    };
    // Nobody waits any more where the run has failed meanwhile.
    let _ = ready.send(());
    let mut clock = tokio::time::interval(every);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let processes = backends.processes();
        if processes.is_empty() {
            let now = metrics.activities.now();
            tally.note([now, now], ServerState::Idle);
            continue;
        }
        if session.is_none() && backends.are_all() {
            session = Some(open().await?);
        }
        let Some(session) = &session else {
            continue;
        };
        // The answer is of a moment between these two.
        let before = metrics.activities.now();
        let list = format!("{processes:?}").replace('[', "{").replace(']', "}");
        let doing = "looking at what the server does";
        let rows = session.query(doing, LOOK, &[&list]).await?;
        let after = metrics.activities.now();
        tally.answer([before, after], &rows);
    }
}

#[derive(Debug, Default)]
struct Tally {
    seen: BTreeMap<(ActivitySet, ServerState), f64>,
    waits: BTreeMap<(String, String), usize>,
    asked: usize,
    answered: usize,
    /// Processes that computed, over all looks.
    running: usize,
    looks: usize,
}

/// What one process does.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Doing<'a> {
    Computes,
    /// The type of its wait, and for what.
    Waits(&'a str, &'a str),
    Nothing,
    /// The server does not say it to this user, or to nobody.
    Hidden,
}

impl<'a> Doing<'a> {
    /// In COPY a process that waits for rows is active and waits for its client; between statements it is
    /// idle, which is the same here.
    fn of(state: Option<&str>, wait: (Option<&'a str>, Option<&'a str>)) -> Self {
        match (state, wait) {
            (None | Some("disabled"), _) => Self::Hidden,
            (Some("active"), (None, _)) => Self::Computes,
            (Some("active"), (Some("Client"), _)) => Self::Nothing,
            (Some("active"), (Some(kind), event)) => Self::Waits(kind, event.unwrap_or_default()),
            (Some(_), _) => Self::Nothing,
        }
    }
}

fn text(row: &Row, column: usize) -> Option<&str> {
    row.try_get(column).unwrap_or_default()
}

impl Tally {
    fn note(&mut self, engine: [ActivitySet; 2], server: ServerState) {
        self.looks += 1;
        for active in engine {
            *self.seen.entry((active, server)).or_default() += 0.5;
        }
    }

    fn answer(&mut self, engine: [ActivitySet; 2], rows: &[Row]) {
        self.asked += 1;
        let all = rows
            .iter()
            .map(|row| Doing::of(text(row, 0), (text(row, 1), text(row, 2))));
        let shown: Vec<Doing<'_>> = all.filter(|doing| *doing != Doing::Hidden).collect();
        self.see(engine, &shown);
    }

    /// Notes what the processes that can be seen did. If there is none, nothing is known.
    fn see(&mut self, engine: [ActivitySet; 2], doing: &[Doing<'_>]) {
        if doing.is_empty() {
            return;
        }
        self.answered += 1;
        let running = doing.iter().filter(|one| **one == Doing::Computes).count();
        self.running += running;
        let mut state = ServerState::Idle;
        for one in doing {
            if let Doing::Waits(kind, event) = one {
                state = ServerState::Waiting;
                let wait = ((*kind).to_owned(), (*event).to_owned());
                *self.waits.entry(wait).or_default() += 1;
            }
        }
        if running > 0 {
            state = ServerState::Running;
        }
        self.note(engine, state);
    }

    fn looks(self) -> Looks {
        let seen = self.seen.into_iter().map(|((active, server), looks)| Seen {
            active: active.iter().collect(),
            server,
            looks,
        });
        let waits = self.waits.into_iter();
        let mut waits: Vec<Waited> = waits
            .map(|((kind, event), looks)| Waited { kind, event, looks })
            .collect();
        waits.sort_by_key(|wait| std::cmp::Reverse(wait.looks));
        Looks {
            asked: self.asked,
            answered: self.answered,
            running: self.running as f64 / self.looks.max(1) as f64,
            waits,
            seen: seen.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::concurrency_time::Activity;

    #[test]
    fn a_process_that_waits_for_its_client_does_nothing() {
        let of = |state, kind| Doing::of(Some(state), (kind, Some("X")));
        assert_eq!(of("active", None), Doing::Computes);
        assert_eq!(of("active", Some("Client")), Doing::Nothing);
        assert_eq!(of("active", Some("IO")), Doing::Waits("IO", "X"));
        assert_eq!(of("idle in transaction", Some("Client")), Doing::Nothing);
        assert_eq!(of("disabled", None), Doing::Hidden);
        assert_eq!(Doing::of(None, (None, None)), Doing::Hidden);
    }

    #[test]
    fn one_that_computes_counts_before_those_that_wait() {
        let mut tally = Tally::default();
        let decoding: ActivitySet = [Activity::Decode].into_iter().collect();
        let none = ActivitySet::default();
        tally.note([none, none], ServerState::Idle);
        tally.see(
            [decoding, none],
            &[Doing::Computes, Doing::Waits("IO", "a")],
        );
        tally.see([none, none], &[Doing::Waits("Lock", "b"), Doing::Nothing]);
        tally.see([none, none], &[Doing::Waits("Lock", "b")]);
        // Nothing was to be seen.
        tally.see([none, none], &[]);
        let looks = tally.looks();
        assert_eq!((looks.answered, looks.running), (3, 0.25));
        assert_eq!(
            (looks.waits[0].kind.as_str(), looks.waits[0].looks),
            ("Lock", 2)
        );
        let with = |server| {
            let seen = looks.seen.iter().filter(|seen| seen.server == server);
            seen.map(|seen| seen.looks).sum::<f64>()
        };
        assert_eq!(with(ServerState::Running), 1.0);
        assert_eq!(with(ServerState::Waiting), 2.0);
        assert_eq!(with(ServerState::Idle), 1.0);
        let beside = looks
            .seen
            .iter()
            .find(|seen| seen.active == [Activity::Decode]);
        assert_eq!(beside.unwrap().looks, 0.5);
    }
}
