//! Recording a user's pipeline: one load through servers that keep what its APIs answer, then loads of what
//! was kept, which must come to the same.

mod content;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use apitap_core::config::WriteMode;
use apitap_core::source::SourceSpec;
use apitap_core::write::{Sink, TableName};
use apitap_core::{Config, Job, RunReport};

use self::content::Landed;
use crate::format::{Bytes, Count, Seconds, Whole};
use crate::measure::interrupt::Interrupt;
use crate::measure::worker::RecordedLoad;
use crate::recording::proxy::{Proxy, origins};
use crate::recording::replay::Replay;
use crate::recording::secrets::Secrets;
use crate::recording::{
    Content, Exchange, Header, PAGE_ROWS, RecordedSource, Recording, SCHEMA_VERSION, Scrubber,
};
use crate::samples::Timestamp;
use crate::tune::kept;
use crate::tune::scratch::{drop_scratch, into_scratch};
use crate::tune::worker::{Apis, LoadOrder, Project, report_of};

/// A load may take as long as it does; this one hangs.
const LOAD_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);

/// How often a load that goes on says how far it is.
const SAY_EVERY: Duration = Duration::from_secs(2);

/// The knob that says where schemas are kept. What is kept of other loads would not be in the recording.
const SCHEMA_CACHE: &str = "infer.cache=";

/// What to record.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// This program, which is also the worker.
    pub(crate) program: PathBuf,
    /// The pipeline.
    pub(crate) project: Project,
    /// The file to write.
    pub(crate) out: PathBuf,
    /// Whether values of rows are replaced.
    pub(crate) scrubs: bool,
}

/// What was recorded.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    header: Header,
    out: PathBuf,
    /// Requests by status.
    statuses: BTreeMap<u16, u64>,
    /// Bytes of bodies as they were sent.
    sent_bytes: u64,
    file_bytes: u64,
    /// Rows of the load from the API, if replaced values made others of them.
    live_rows: Option<u64>,
}

/// Records a load; `None` after an interrupt. The scratch table is dropped in any case.
///
/// # Errors
/// When a file is wrong, a load fails, or a replay loads something else; when the scratch table stays.
pub(crate) async fn record(options: &Options) -> Result<Option<Recorded>> {
    let mut interrupt = Interrupt::listen()?;
    let (job, config) = options.project.read()?;
    let session = Session::new(options, &job)?;
    // Before the load, which may take long.
    let unverified = session.unverified();
    std::fs::File::create(&unverified)
        .with_context(|| format!("cannot write {}", unverified.display()))?;
    let recorded = tokio::select! {
        biased;
        () = interrupt.happened() => None,
        recorded = Box::pin(session.recorded(&config)) => Some(recorded),
    };
    let dropped = drop_scratch(&job, &session.order.scratch).await;
    std::fs::remove_file(&unverified)
        .with_context(|| format!("cannot remove {}", unverified.display()))?;
    let Some(recorded) = recorded else {
        return dropped.map(|()| None);
    };
    let recorded = recorded?;
    dropped.context("the recording itself is complete")?;
    Ok(Some(recorded))
}

struct Session<'a> {
    options: &'a Options,
    job: &'a Job,
    /// The scratch table.
    sink: Sink,
    /// A load from the user's APIs with the user's configuration.
    order: LoadOrder,
    /// The sources of the pipeline file, whose secrets the recording may not hold.
    sources: Vec<SourceSpec>,
    /// The text of the file, which names the variables of secrets.
    text: String,
}

impl<'a> Session<'a> {
    fn new(options: &'a Options, job: &'a Job) -> Result<Self> {
        let file = options.project.file()?;
        let path = &options.project.pipelines;
        let text = std::fs::read_to_string(path);
        let scratch = format!("apitap_record_{}", std::process::id());
        Ok(Self {
            options,
            job,
            sink: into_scratch(job, &scratch).sink,
            order: LoadOrder {
                project: options.project.clone(),
                apis: Apis::Own,
                preset: file.preset.unwrap_or_else(|| "tuned".to_owned()),
                settings: without_cache(file.settings),
                scratch,
                limit_seconds: LOAD_WITHIN.as_secs_f64(),
            },
            sources: file.sources,
            text: text.with_context(|| format!("cannot read {}", path.display()))?,
        })
    }

    /// Where the recording is until it is verified.
    fn unverified(&self) -> PathBuf {
        self.options.out.with_added_extension("unverified")
    }

    async fn recorded(&self, config: &Config) -> Result<Recorded> {
        let (exchanges, report, live) = self.load_from_api().await?;
        let sent_bytes = exchanges.iter().map(|one| one.sent_bytes).sum();
        let mut statuses = BTreeMap::new();
        for exchange in &exchanges {
            *statuses.entry(exchange.status).or_default() += 1;
        }
        let (mut recording, is_masked) = self.recording(exchanges, &report, config);
        if self.options.scrubs {
            Scrubber::default().scrub(&mut recording)?;
        }
        let unverified = self.unverified();
        recording.write(&unverified)?;
        let (replayed, first) = self.load_from_recording(&unverified).await?;
        let is_changed = is_masked || self.options.scrubs;
        let (before, after) = match is_changed && first != live {
            // With other values in its pages it loads other rows, and only replays can be compared.
            true => (first, self.load_from_recording(&unverified).await?.1),
            false => (live.clone(), first),
        };
        recording.header.rows_read = replayed.rows_read;
        recording.header.content = after.content(&before, &self.sink).await?;
        recording.write(&self.options.out)?;
        let file_bytes = std::fs::metadata(&self.options.out)?.len();
        Ok(Recorded {
            live_rows: Some(live.rows).filter(|rows| *rows != after.rows),
            header: recording.header,
            out: self.options.out.clone(),
            statuses,
            sent_bytes,
            file_bytes,
        })
    }

    async fn load_from_api(&self) -> Result<(Vec<Exchange>, RunReport, Landed)> {
        let proxy = Proxy::start(&self.job.sources).await?;
        eprintln!(
            "recording module {}: one load from its API into the scratch table {}",
            self.job.name, self.sink.table
        );
        let far = || {
            let far = proxy.progress();
            format!(
                "{}, {}",
                Count::new(far.requests as usize, "answer"),
                Bytes(far.bytes as f64)
            )
        };
        let report = saying(far, self.load(Apis::Through(proxy.urls()))).await?;
        let landed = Landed::read(&self.sink).await?;
        let exchanges = proxy.finish().await?;
        let pages = exchanges
            .iter()
            .filter(|one| (200..300).contains(&one.status))
            .count();
        ensure!(
            pages as u64 >= report.http.pages,
            "the load had {} pages, and {} of them came by: if the environment names a proxy, set \
             NO_PROXY=127.0.0.1",
            Whole(report.http.pages),
            Whole(pages as u64)
        );
        Ok((exchanges, report, landed))
    }

    async fn load_from_recording(&self, file: &Path) -> Result<(RunReport, Landed)> {
        let recording = Recording::read(file)?;
        let settings = recording.header.pinned.clone();
        let replay = Replay::start(recording).await?;
        eprintln!("verifying: one load from the recording, with its latencies");
        let recorded = RecordedLoad {
            file: std::path::absolute(file)?,
            servers: replay.ready().servers,
            settings,
        };
        let loaded = self.load(Apis::Replay(recorded));
        let loaded = saying(|| "the replay goes on".to_owned(), loaded).await;
        let report = loaded.map_err(|error| match replay.unknown().first() {
            Some(reason) => error.context(format!("a load from the recording failed: {reason}")),
            None => error.context("a load from the recording failed"),
        })?;
        Ok((report, Landed::read(&self.sink).await?))
    }

    /// Loads once into the scratch table.
    async fn load(&self, apis: Apis) -> Result<RunReport> {
        let order = LoadOrder {
            apis,
            ..self.order.clone()
        };
        let ended = order.run(&self.options.program).await?;
        report_of(&ended)?.context("the load did not end")
    }

    /// The recording without secrets, and whether there were any in its pages.
    fn recording(
        &self,
        mut exchanges: Vec<Exchange>,
        report: &RunReport,
        config: &Config,
    ) -> (Recording, bool) {
        let specs = self.job.sources.iter().map(|source| &**source);
        let env = |name: &str| std::env::var(name).ok();
        let secrets = Secrets::new(self.sources.iter(), &self.text, env);
        let numbers = origins(specs.clone());
        let sources: Vec<RecordedSource> = specs
            .zip(&numbers)
            .map(|(spec, number)| RecordedSource::new(spec, *number, &secrets))
            .collect();
        let mut is_masked = false;
        for exchange in &mut exchanges {
            let before = exchange.body.clone();
            exchange.hide(&secrets, &sources);
            is_masked |= exchange.body != before;
        }
        let page_rows = format!("{PAGE_ROWS}{}", config.source.page_rows);
        let header = Header {
            schema_version: SCHEMA_VERSION,
            recorded_at: Timestamp::now(),
            recorded_by: env!("CARGO_PKG_VERSION").to_owned(),
            module: self.job.name.clone(),
            sql: secrets.hide(&self.job.sql),
            table: plain_name(&self.job.sink.table),
            sources,
            origins: numbers.iter().max().map_or(0, |most| most + 1),
            preset: self.order.preset.clone(),
            settings: self.order.settings.clone(),
            pinned: [without_cache(kept(config)), vec![page_rows]].concat(),
            rows_read: report.rows_read,
            wall_seconds: report.wall_seconds,
            content: Content::default(),
            replaces: self.job.sink.mode == WriteMode::Replace,
            is_scrubbed: false,
            exchanges: exchanges.len(),
        };
        (Recording { header, exchanges }, is_masked)
    }
}

/// The table as an arm finds it in its environment: without quotes.
fn plain_name(table: &TableName) -> String {
    let schema = table.schema().map(|schema| format!("{schema}."));
    schema.unwrap_or_default() + table.name()
}

fn without_cache(mut settings: Vec<String>) -> Vec<String> {
    settings.retain(|setting| !setting.starts_with(SCHEMA_CACHE));
    settings
}

/// Awaits `work`, and says every two seconds how `far` it is.
async fn saying<T>(far: impl Fn() -> String, work: impl Future<Output = T>) -> T {
    let mut clock = tokio::time::interval_at(tokio::time::Instant::now() + SAY_EVERY, SAY_EVERY);
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = clock.tick() => eprintln!("  {}", far()),
        }
    }
}

impl Recorded {
    /// What was recorded, in lines.
    #[must_use]
    pub(crate) fn text(&self) -> String {
        let header = &self.header;
        let Content { rows, changing, .. } = &header.content;
        let requests: u64 = self.statuses.values().sum();
        let statuses = self.statuses.iter();
        let statuses: Vec<String> = statuses
            .map(|(status, count)| format!("{} × {status}", Whole(*count)))
            .collect();
        let mut lines = vec![
            format!(
                "{}: module {}, {} rows in {}",
                self.out.display(),
                header.module,
                Whole(*rows),
                Seconds(header.wall_seconds)
            ),
            format!(
                "  requests  {}: {}; {} as sent",
                Whole(requests),
                statuses.join(", "),
                Bytes(self.sent_bytes as f64)
            ),
            format!(
                "  verified  a load from the recording came to the same {} rows, by checksum",
                Whole(*rows)
            ),
        ];
        if !changing.is_empty() {
            lines.push(format!(
                "  not compared: {}, other in every load",
                changing.join(", ")
            ));
        }
        if let Some(live) = self.live_rows {
            lines.push(format!(
                "  other values: the query finds {} rows where it found {}",
                Whole(*rows),
                Whole(live)
            ));
        }
        lines.push(format!(
            "  file      {}, without credentials, with {} values",
            Bytes(self.file_bytes as f64),
            if header.is_scrubbed {
                "other"
            } else {
                "the rows' own"
            }
        ));
        lines.push(format!(
            "Next: apitap-bench profile --workload {}",
            self.out.display()
        ));
        lines.join("\n")
    }
}
