//! How far a run has come, on standard error, for runs of more than two seconds.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::console::Console;
use super::printable;
use crate::metrics::Metrics;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;

/// A run that ends sooner shows no progress, and is not explained unless that is asked for.
pub(super) const QUIET: Duration = Duration::from_secs(2);
/// Between two lines where standard error is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Between two updates of a terminal.
const REDRAW_EVERY: Duration = Duration::from_millis(200);

pub(super) struct Progress(JoinHandle<()>);

impl Progress {
    pub(super) fn start(module: &str, metrics: Arc<Metrics>, console: Console) -> Self {
        let module = module.to_owned();
        Self(tokio::spawn(async move {
            let start = Instant::now();
            tokio::time::sleep(QUIET).await;
            if !console.is_json() && std::io::stderr().is_terminal() {
                redraw(&module, start, &metrics).await;
            }
            loop {
                console.info(&format!("{module}: {}", state(start, &metrics)));
                tokio::time::sleep(LINE_EVERY).await;
            }
        }))
    }

    pub(super) fn stop(self) {
        // The bar clears itself when the task is dropped.
        self.0.abort();
    }
}

async fn redraw(module: &str, start: Instant, metrics: &Metrics) {
    let bar = Cleared(ProgressBar::new_spinner());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}: {msg}") {
        bar.0.set_style(style);
    }
    bar.0.set_prefix(printable::line(module).into_owned());
    loop {
        bar.0.set_message(state(start, metrics));
        bar.0.tick();
        tokio::time::sleep(REDRAW_EVERY).await;
    }
}

struct Cleared(ProgressBar);

impl Drop for Cleared {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn state(start: Instant, metrics: &Metrics) -> String {
    let rows = metrics.rows_decoded.load(Relaxed);
    let seconds = start.elapsed().as_secs_f64();
    format!(
        "{} pages, {rows} rows read ({:.0}/s), {:.1} MB sent, {seconds:.0} s",
        metrics.source.pages.load(Relaxed),
        rows as f64 / seconds,
        metrics.write.bytes.load(Relaxed) as f64 / 1e6,
    )
}
