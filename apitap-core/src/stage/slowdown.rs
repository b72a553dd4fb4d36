//! Stages slowed down on purpose, to show that what watches them notices.
//!
//! `APITAP_SLOWDOWN=decode=8` keeps the processor busy for another eight times what the stage took.
//! `APITAP_SLOWDOWN=decode=5%` keeps it busy in that stage for 5% of what the whole process took so
//! far, so that a load costs 5% more processor time than without.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::concurrency_time::Activity;
use crate::metrics::thread_cpu;

const VARIABLE: &str = "APITAP_SLOWDOWN";

/// What the environment asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Slowdown {
    stage: Activity,
    amount: Amount,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Amount {
    /// So many times what the stage took.
    OfStage(f64),
    /// Such a share of what the process took.
    OfProcess(f64),
}

/// Runs `work`, more slowly where the environment asks for it.
///
/// # Panics
/// When it asks for what there is not: a test that slows down nothing shows nothing.
pub(super) fn slowed<T>(stage: Activity, work: impl FnOnce() -> T) -> T {
    static ASKED: OnceLock<Option<Slowdown>> = OnceLock::new();
    let asked = ASKED.get_or_init(|| {
        let setting = std::env::var(VARIABLE).ok()?;
        let parsed = Slowdown::parse(&setting);
        assert!(
            parsed.is_some(),
            "{VARIABLE}={setting} is not stage=times or stage=share%"
        );
        parsed
    });
    match asked {
        Some(asked) if asked.stage == stage => asked.amount.after(work),
        _ => work(),
    }
}

impl Slowdown {
    fn parse(setting: &str) -> Option<Self> {
        let (name, amount) = setting.split_once('=')?;
        let (_, stage) = super::ALL.iter().find(|(stage, _)| *stage == name)?;
        let amount = match amount.strip_suffix('%') {
            Some(per_cent) => Amount::OfProcess(per_cent.parse::<f64>().ok()? / 100.0),
            None => Amount::OfStage(amount.parse().ok()?),
        };
        Some(Self {
            stage: *stage,
            amount,
        })
    }
}

impl Amount {
    fn after<T>(self, work: impl FnOnce() -> T) -> T {
        match self {
            Self::OfStage(times) => {
                let begun = thread_cpu();
                let result = work();
                spin(thread_cpu().saturating_sub(begun).mul_f64(times));
                result
            }
            Self::OfProcess(share) => {
                let result = work();
                spin(due(share));
                result
            }
        }
    }
}

/// What is missing until so much was added to all that this process did besides.
fn due(share: f64) -> Duration {
    static ADDED_NS: AtomicU64 = AtomicU64::new(0);
    let added = Duration::from_nanos(ADDED_NS.load(Relaxed));
    let process = cpu_time::ProcessTime::now().as_duration();
    let due = process.saturating_sub(added).mul_f64(share);
    let due = due.saturating_sub(added);
    // Before it is spent: another thread that comes by meanwhile must not spend it too.
    ADDED_NS.fetch_add(u64::try_from(due.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    due
}

/// Keeps a processor busy for `time` of this thread's own, however often it is interrupted.
fn spin(time: Duration) {
    let begun = thread_cpu();
    while thread_cpu().saturating_sub(begun) < time {
        for _ in 0..100 {
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_names_a_stage_and_an_amount() {
        let parsed = |setting| Slowdown::parse(setting).map(|one| (one.stage, one.amount));
        assert_eq!(
            parsed("decode=8"),
            Some((Activity::Decode, Amount::OfStage(8.0)))
        );
        assert_eq!(
            parsed("encode=5%"),
            Some((Activity::Encode, Amount::OfProcess(0.05)))
        );
        for wrong in ["decode", "decode=", "decode=x%", "nothing=1"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_stage_takes_as_many_times_longer_as_it_says() {
        let own = Duration::from_millis(20);
        let begun = thread_cpu();
        Amount::OfStage(1.5).after(|| spin(own));
        let took = thread_cpu().saturating_sub(begun);
        assert!(took >= Duration::from_millis(50), "{took:?}");
    }

    #[test]
    fn a_share_of_the_process_is_added_once() {
        spin(Duration::from_millis(50));
        let first = due(0.5);
        assert!(first >= Duration::from_millis(25), "{first:?}");
        assert!(due(0.5) < first / 2);
    }
}
