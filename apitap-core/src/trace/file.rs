//! The file of a trace: `{"traceEvents":[…]}`, an event per line.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

/// Between two writes to disk there are some thousand events.
const BUFFER_BYTES: usize = 1 << 18;

/// What happens to a span.
#[derive(Clone, Copy)]
pub(super) enum Phase<'a> {
    /// This thread begins to work.
    Begun,
    /// This thread has worked.
    Ended,
    /// A span with an id of its own is there, with its fields.
    Opened(u64, &'a Map<String, Value>),
    /// It is gone.
    Closed(u64),
}

/// A trace that is being written. A fault ends the trace and not the run.
#[derive(Debug)]
pub(super) struct TraceFile {
    begun: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// None once the file is finished, or could not be written.
    writer: Option<BufWriter<File>>,
    fault: Option<io::Error>,
    /// Tracks of threads, numbered as they come.
    tracks: HashMap<ThreadId, usize>,
    /// Spans that are there now, by their ids.
    open: BTreeMap<u64, &'static str>,
}

impl TraceFile {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let mut writer = BufWriter::with_capacity(BUFFER_BYTES, File::create(path)?);
        let name = json!({"ph": "M", "pid": 1, "name": "process_name", "args": {"name": "apitap"}});
        write!(writer, "{{\"traceEvents\":[\n{name}")?;
        Ok(Self {
            begun: Instant::now(),
            state: Mutex::new(State {
                writer: Some(writer),
                fault: None,
                tracks: HashMap::new(),
                open: BTreeMap::new(),
            }),
        })
    }

    pub(super) fn event(&self, phase: Phase<'_>, name: &'static str) {
        let mut state = self.state();
        // With the lock, so that the events of a file are in the order of their times.
        let at = self.begun.elapsed();
        match phase {
            Phase::Opened(id, _) => state.open.insert(id, name),
            Phase::Closed(id) => state.open.remove(&id),
            Phase::Begun | Phase::Ended => None,
        };
        state.write(at, phase, name);
    }

    pub(super) fn finish(&self) -> io::Result<()> {
        let mut state = self.state();
        let at = self.begun.elapsed();
        for (id, name) in std::mem::take(&mut state.open) {
            state.write(at, Phase::Closed(id), name);
        }
        if let Some(mut writer) = state.writer.take() {
            writer.write_all(b"\n]}\n")?;
            writer.flush()?;
        }
        state.fault.take().map_or(Ok(()), Err)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self, at: Duration, phase: Phase<'_>, name: &str) {
        let Some(mut writer) = self.writer.take() else {
            return;
        };
        match self.write_to(&mut writer, at, phase, name) {
            Ok(()) => self.writer = Some(writer),
            Err(fault) => {
                self.fault = Some(fault);
                // Dropped as it is, it would try to write its buffer once more.
                let _ = writer.into_parts();
            }
        }
    }

    fn write_to(
        &mut self,
        writer: &mut impl Write,
        at: Duration,
        phase: Phase<'_>,
        name: &str,
    ) -> io::Result<()> {
        let track = self.track(writer)?;
        let (us, ns) = (at.as_micros(), at.subsec_nanos() % 1_000);
        write!(
            writer,
            ",\n{{\"pid\":1,\"tid\":{track},\"ts\":{us}.{ns:03},\"cat\":\"apitap\",\"name\":\"{name}\""
        )?;
        match phase {
            Phase::Begun => write!(writer, ",\"ph\":\"B\"}}"),
            Phase::Ended => write!(writer, ",\"ph\":\"E\"}}"),
            Phase::Opened(id, fields) => {
                let fields = serde_json::to_string(fields)?;
                write!(writer, ",\"ph\":\"b\",\"id\":{id},\"args\":{fields}}}")
            }
            Phase::Closed(id) => write!(writer, ",\"ph\":\"e\",\"id\":{id}}}"),
        }
    }

    /// The track of this thread, whose name is written when it is first seen.
    fn track(&mut self, writer: &mut impl Write) -> io::Result<usize> {
        let thread = thread::current();
        if let Some(track) = self.tracks.get(&thread.id()) {
            return Ok(*track);
        }
        let track = self.tracks.len() + 1;
        self.tracks.insert(thread.id(), track);
        let name = json!({
            "ph": "M", "pid": 1, "tid": track, "name": "thread_name",
            "args": {"name": thread.name().unwrap_or("unnamed")}
        });
        write!(writer, ",\n{name}")?;
        Ok(track)
    }
}
