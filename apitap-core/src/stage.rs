//! The work of a stage: on its clocks, in its span, and below a frame of its name.
//!
//! Each function runs some work that does not await. Its time counts for the stage, less what other
//! stages take of it meanwhile on the same thread. It is never inlined, so that a profiler that
//! samples stacks finds the stage by the name of the frame, independently of the clocks.

#[cfg(feature = "slowdown")]
mod slowdown;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;

use crate::concurrency_time::Activity;
use crate::metrics::{Metrics, StageMetrics, StageReport};
#[cfg(feature = "slowdown")]
use slowdown::slowed;

macro_rules! stages {
    ($($(#[$doc:meta])* $name:ident, $activity:ident, $metrics:expr;)*) => {
        $(
            $(#[$doc])*
            #[inline(never)]
            pub fn $name<T>(metrics: &Metrics, work: impl FnOnce() -> T) -> T {
                let _span = tracing::debug_span!(stringify!($name)).entered();
                let stage: fn(&Metrics) -> &StageMetrics = $metrics;
                let result = timed(metrics, stage(metrics), Activity::$activity, work);
                // Without it the frame could make way for that of a function called last.
                std::hint::black_box(());
                result
            }
        )*

        /// The stages by the names of their functions, as they appear in stacks and in spans.
        pub const ALL: &[(&str, Activity)] = &[$((stringify!($name), Activity::$activity)),*];

        /// What each stage did so far, by the name of its function.
        pub(crate) fn reports(metrics: &Metrics) -> impl Iterator<Item = (&'static str, StageReport)> {
            let stages: [(_, fn(&Metrics) -> &StageMetrics); ALL.len()] =
                [$((stringify!($name), $metrics)),*];
            stages.into_iter().map(|(name, stage)| (name, stage(metrics).report()))
        }

        /// Runs `work` by the function of its stage; what only waits is no stage.
        fn run<T>(stage: Activity, metrics: &Metrics, work: impl FnOnce() -> T) -> T {
            match stage {
                $(Activity::$activity => $name(metrics, work),)*
                _ => work(),
            }
        }
    };
}

stages! {
    /// A request's own work: headers, and the chunks of its body.
    fetch, Fetch, |metrics| &metrics.source.fetch;
    /// A page is looked through for rows and cursors.
    scan, Scan, |metrics| &metrics.source.scan;
    /// JSON becomes columns.
    decode, Decode, |metrics| &metrics.decode;
    /// A schema is inferred.
    infer, Infer, |metrics| &metrics.infer;
    /// SQL is planned or run.
    sql, Sql, |metrics| &metrics.sql;
    /// Columns become PostgreSQL's wire format.
    encode, Encode, |metrics| &metrics.encode;
    /// A connection to PostgreSQL is driven: framing, TLS, system calls.
    send, Send, |metrics| &metrics.write.send;
}

#[inline]
fn timed<T>(
    metrics: &Metrics,
    stage: &StageMetrics,
    activity: Activity,
    work: impl FnOnce() -> T,
) -> T {
    let work = || slowed(activity, work);
    if metrics.is_observed() {
        let clocked = || stage.time(work);
        metrics.activities.during(activity, clocked)
    } else {
        work()
    }
}

/// Runs every poll of `future` as work of `stage`.
pub(crate) async fn polled<F: Future>(stage: Activity, metrics: &Metrics, future: F) -> F::Output {
    let mut future = pin!(future);
    std::future::poll_fn(|context| run(stage, metrics, || future.as_mut().poll(context))).await
}

/// A stream whose polls are work of a stage.
pub(crate) struct PolledStream<S> {
    pub(crate) stage: Activity,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stream: Pin<Box<S>>,
}

impl<S: Stream> Stream for PolledStream<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let Self {
            stage,
            metrics,
            stream,
        } = self.get_mut();
        run(*stage, metrics, || stream.as_mut().poll_next(context))
    }
}

#[cfg(not(feature = "slowdown"))]
#[inline]
fn slowed<T>(_: Activity, work: impl FnOnce() -> T) -> T {
    work()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn spin(time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn a_stage_is_not_charged_for_another_within_it() {
        let metrics = Metrics::default();
        let step = Duration::from_millis(20);
        sql(&metrics, || {
            spin(step);
            decode(&metrics, || spin(2 * step));
        });
        let (sql, decode) = (metrics.sql.report(), metrics.decode.report());
        assert!(decode.busy_seconds >= 0.040, "{decode:?}");
        assert!(sql.busy_seconds >= 0.020, "{sql:?}");
        // It contains twice as much: with that it would be 60 ms.
        assert!(sql.cpu_seconds < 0.035, "{sql:?}");
    }

    #[test]
    fn nothing_is_noted_of_a_run_that_is_not_observed() {
        let metrics = Metrics::default();
        metrics.observe(crate::config::Observe::Off);
        decode(&metrics, || spin(Duration::from_millis(1)));
        assert_eq!(metrics.decode.report().busy_seconds, 0.0);
    }

    #[tokio::test]
    async fn polls_are_work_and_waiting_is_not() {
        let metrics = Metrics::default();
        let future = async {
            spin(Duration::from_millis(5));
            tokio::time::sleep(Duration::from_millis(50)).await;
            7
        };
        assert_eq!(polled(Activity::Send, &metrics, future).await, 7);
        let busy = metrics.write.send.report().busy_seconds;
        assert!((0.005..0.045).contains(&busy), "{busy}");
    }
}
