//! The spans of a run as a trace in Chrome's format, which Perfetto opens.
//!
//! A stage's span is work on one thread, so it becomes a duration on that thread's track. All others
//! await: a thread enters and leaves them many times, and what matters is from when to when they were
//! there. They become asynchronous events, each with an id of its own, so that waiting shows as a bar.

mod file;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use self::file::{Phase, TraceFile};
use crate::stage;

/// Traces the spans of this crate into a new file at `path`, whatever else is logged.
///
/// The file is whole once the guard has finished.
///
/// # Errors
/// The file cannot be created.
pub fn chrome_trace<S>(path: &Path) -> io::Result<(impl Layer<S>, TraceGuard)>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let file = Arc::new(TraceFile::create(path)?);
    let layer = ChromeTrace {
        file: file.clone(),
        next_id: AtomicU64::new(1),
    };
    let own = Targets::new().with_target(env!("CARGO_CRATE_NAME"), LevelFilter::DEBUG);
    Ok((layer.with_filter(own), TraceGuard(file)))
}

/// Closes a trace; dropped, it does so without a word.
#[derive(Debug)]
pub struct TraceGuard(Arc<TraceFile>);

impl TraceGuard {
    /// Ends the spans that are still open, and the file. What comes later is not traced.
    ///
    /// # Errors
    /// The first fault in writing the file, whenever it was. Nothing was traced after it.
    pub fn finish(self) -> io::Result<()> {
        self.0.finish()
    }
}

impl Drop for TraceGuard {
    fn drop(&mut self) {
        // Only who finishes it wants to know.
        let _ = self.0.finish();
    }
}

/// Writes a trace of the spans that it is shown.
struct ChromeTrace {
    file: Arc<TraceFile>,
    next_id: AtomicU64,
}

/// What is kept of a span that awaits.
struct Awaiting {
    id: u64,
    /// Its fields and those of the spans around it.
    fields: Map<String, Value>,
}

impl<S> Layer<S> for ChromeTrace
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if is_stage(attributes.metadata()) {
            return;
        }
        let Some(span) = context.span(id) else {
            return;
        };
        let around = span.scope().skip(1).find_map(|span| {
            let extensions = span.extensions();
            let awaiting = extensions.get::<Awaiting>()?;
            Some(awaiting.fields.clone())
        });
        let mut fields = around.unwrap_or_default();
        attributes.record(&mut Fields(&mut fields));
        let id = self.next_id.fetch_add(1, Relaxed);
        self.file.event(Phase::Opened(id, &fields), span.name());
        span.extensions_mut().insert(Awaiting { id, fields });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(awaiting) = span.extensions_mut().get_mut::<Awaiting>()
        {
            values.record(&mut Fields(&mut awaiting.fields));
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id).filter(|span| is_stage(span.metadata())) {
            self.file.event(Phase::Begun, span.name());
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id).filter(|span| is_stage(span.metadata())) {
            self.file.event(Phase::Ended, span.name());
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if let Some(span) = context.span(&id)
            && let Some(awaiting) = span.extensions().get::<Awaiting>()
        {
            self.file.event(Phase::Closed(awaiting.id), span.name());
        }
    }
}

fn is_stage(span: &Metadata<'_>) -> bool {
    stage::ALL.iter().any(|(name, _)| *name == span.name())
}

/// Fields of a span as JSON.
struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn insert(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.insert(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests;
