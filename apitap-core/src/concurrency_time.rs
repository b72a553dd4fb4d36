//! What a run was doing at the same time, and for how long.
//!
//! Stages overlap: while one page is decoded the next is fetched and the server works on the rows
//! before. Sums of busy time therefore say little about wall time. [`Activities`] keeps the time of
//! every *set* of activities that were under way together, so the parts add up to the wall time
//! by construction, and any way of dividing it can be computed afterwards.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Something that takes time in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// A processor works on a request: its headers, its body's chunks.
    Fetch,
    /// A processor looks through a page for rows and cursors.
    Scan,
    /// A processor makes columns of JSON.
    Decode,
    /// A processor infers a schema.
    Infer,
    /// A processor plans or runs SQL.
    Sql,
    /// A processor makes PostgreSQL's wire format.
    Encode,
    /// A processor drives a connection to PostgreSQL: framing, TLS, system calls.
    Send,
    /// At least one request is on its way or answered by the API.
    Request,
    /// A lane waits for a page.
    PageWait,
    /// A stage waits for room in a channel: back-pressure.
    ChannelWait,
    /// The load waits for PostgreSQL: for an answer, or for room in the connection.
    ServerWait,
}

impl Activity {
    /// All there are, in the order of the pipeline; those that keep a processor busy first.
    pub const ALL: [Self; 11] = [
        Self::Fetch,
        Self::Scan,
        Self::Decode,
        Self::Infer,
        Self::Sql,
        Self::Encode,
        Self::Send,
        Self::Request,
        Self::PageWait,
        Self::ChannelWait,
        Self::ServerWait,
    ];

    /// Whether it keeps a processor busy; the others wait.
    #[must_use]
    pub fn is_work(self) -> bool {
        !matches!(
            self,
            Self::Request | Self::PageWait | Self::ChannelWait | Self::ServerWait
        )
    }
}

/// Activities under way at one moment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ActivitySet(u16);

impl ActivitySet {
    /// Whether `activity` is among them.
    #[must_use]
    pub fn has(self, activity: Activity) -> bool {
        self.0 & Self::bit(activity) != 0
    }

    /// The activities, in the order of [`Activity::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Activity> {
        Activity::ALL.into_iter().filter(move |one| self.has(*one))
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn bit(activity: Activity) -> u16 {
        1 << activity as u16
    }

    fn with(self, activity: Activity) -> Self {
        Self(self.0 | Self::bit(activity))
    }
}

impl FromIterator<Activity> for ActivitySet {
    fn from_iter<I: IntoIterator<Item = Activity>>(activities: I) -> Self {
        activities.into_iter().fold(Self::default(), Self::with)
    }
}

impl fmt::Debug for ActivitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The time during which just these activities were under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActivityTime {
    /// The activities; none if the run did nothing that is an activity.
    pub active: Vec<Activity>,
    /// Seconds of wall time.
    pub seconds: f64,
}

/// The account of one run. Updated once per page, batch, flush and poll, never per row.
#[derive(Debug, Default)]
pub struct Activities(Mutex<Account>);

#[derive(Debug, Default)]
struct Account {
    /// How many of each are under way.
    counts: [u32; Activity::ALL.len()],
    now: ActivitySet,
    since: Option<Instant>,
    times: BTreeMap<ActivitySet, Duration>,
}

thread_local! {
    /// The work that this thread does now: what begins within it interrupts it.
    static WORK: Cell<Option<Activity>> = const { Cell::new(None) };
}

impl Activities {
    /// Begins the account; what went before does not count.
    pub fn start(&self) {
        let mut account = self.account();
        account.since = Some(Instant::now());
        account.times.clear();
    }

    /// What is under way now.
    #[must_use]
    pub fn now(&self) -> ActivitySet {
        self.account().now
    }

    /// The times so far, the longest first. They add up to the time since [`start`](Self::start).
    #[must_use]
    pub fn times(&self) -> Vec<ActivityTime> {
        let mut account = self.account();
        account.settle();
        let mut times: Vec<ActivityTime> = account
            .times
            .iter()
            .map(|(set, time)| ActivityTime {
                active: set.iter().collect(),
                seconds: time.as_secs_f64(),
            })
            .collect();
        times.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        times
    }

    /// Notes that a wait is under way until the guard is dropped.
    pub(crate) fn wait(&self, activity: Activity) -> Wait<'_> {
        self.account().change(&[], &[activity]);
        Wait {
            activities: self,
            activity,
        }
    }

    /// Runs `work`. Work that this thread was doing is interrupted by it, not beside it.
    pub(crate) fn during<T>(&self, activity: Activity, work: impl FnOnce() -> T) -> T {
        let _turn = Turn::begin(self, activity);
        work()
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    fn settle(&mut self) {
        let now = Instant::now();
        if let Some(since) = self.since.replace(now) {
            *self.times.entry(self.now).or_default() += now.duration_since(since);
        }
    }

    fn change(&mut self, ended: &[Activity], begun: &[Activity]) {
        for activity in ended {
            self.counts[*activity as usize] -= 1;
        }
        for activity in begun {
            self.counts[*activity as usize] += 1;
        }
        let under_way = |one: &Activity| self.counts[*one as usize] > 0;
        let now: ActivitySet = Activity::ALL.into_iter().filter(under_way).collect();
        if now != self.now {
            if self.since.is_some() {
                self.settle();
            }
            self.now = now;
        }
    }
}

/// A wait under way.
pub(crate) struct Wait<'a> {
    activities: &'a Activities,
    activity: Activity,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.activities.account().change(&[self.activity], &[]);
    }
}

/// Work under way on this thread. Ends on unwinding too.
struct Turn<'a> {
    activities: &'a Activities,
    activity: Activity,
    interrupted: Option<Activity>,
}

impl<'a> Turn<'a> {
    fn begin(activities: &'a Activities, activity: Activity) -> Self {
        let interrupted = WORK.replace(Some(activity));
        activities
            .account()
            .change(interrupted.as_slice(), &[activity]);
        Self {
            activities,
            activity,
            interrupted,
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        WORK.set(self.interrupted);
        self.activities
            .account()
            .change(&[self.activity], self.interrupted.as_slice());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(times: &[ActivityTime]) -> f64 {
        times.iter().map(|time| time.seconds).sum()
    }

    fn seconds_during(times: &[ActivityTime], active: &[Activity]) -> f64 {
        let found = times.iter().find(|time| time.active == active);
        found.map_or(0.0, |time| time.seconds)
    }

    const STEP: Duration = Duration::from_millis(5);

    #[test]
    fn the_times_of_all_sets_add_up_to_the_wall_time() {
        let activities = Activities::default();
        activities.start();
        let begun = Instant::now();
        std::thread::sleep(STEP);
        let wait = activities.wait(Activity::ServerWait);
        std::thread::scope(|scope| {
            scope.spawn(|| activities.during(Activity::Decode, || std::thread::sleep(STEP)));
            scope.spawn(|| activities.during(Activity::Encode, || std::thread::sleep(3 * STEP)));
        });
        drop(wait);
        let times = activities.times();
        let wall = begun.elapsed().as_secs_f64();
        assert!(total(&times) <= wall && total(&times) > wall - 0.005);
        assert!(seconds_during(&times, &[]) >= STEP.as_secs_f64());
        let both = [Activity::Decode, Activity::Encode, Activity::ServerWait];
        assert!(seconds_during(&times, &both) > 0.0, "{times:?}");
        assert!(seconds_during(&times, &[Activity::Encode, Activity::ServerWait]) > 0.0);
        assert!(activities.now().is_empty());
    }

    #[test]
    fn work_within_work_interrupts_it() {
        let activities = Activities::default();
        activities.start();
        activities.during(Activity::Sql, || {
            activities.during(Activity::Decode, || {
                assert_eq!(activities.now(), [Activity::Decode].into_iter().collect());
                std::thread::sleep(STEP);
            });
            assert_eq!(activities.now(), [Activity::Sql].into_iter().collect());
        });
        let times = activities.times();
        assert!(seconds_during(&times, &[Activity::Decode]) >= STEP.as_secs_f64());
        assert!(times.iter().all(|time| time.active.len() <= 1), "{times:?}");
    }

    #[test]
    fn work_that_panics_ends() {
        let activities = Activities::default();
        let work = || activities.during(Activity::Infer, || panic!("on purpose"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err());
        assert!(activities.now().is_empty());
        assert_eq!(WORK.get(), None);
    }
}
