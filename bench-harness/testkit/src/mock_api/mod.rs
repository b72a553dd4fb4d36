//! The mock API: a workload's rows behind every kind of pagination, served by wiremock.
//!
//! All rows are rendered before the first request, and a page is one copy out of them, so that what
//! a pipeline waits for is HTTP and not the making of JSON. Under `/orders` (or any workload):
//!
//! | request | answer |
//! |---|---|
//! | `?page=&per_page=` | array; pages count from 1, an empty one follows the last |
//! | `?limit=&offset=` | array |
//! | `?cursor=&page_size=` | `{"data":[…],"next_cursor":"…" or null}` |
//! | `/cursor?cursor=` | the same; only the path selects it |
//! | `/link?page=` | array, with `Link: <…>; rel="next", <…>; rel="last"` (RFC 8288) |
//! | `/next?page=` | `{"data":[…],"next":"URL" or null,"total":N}` |
//! | `/object?page=` | `{"meta":{…},"result":{"items":[…]}}`: data path `/result/items` |
//! | `/all` | array of all rows |
//! | `.ndjson` | all rows as NDJSON, or one page of them with any of the parameters above |
//!
//! Parameters have defaults: `?page=2` is a page of [`MockApiOptions::page_rows`] rows. A parameter
//! that is not a number is answered with 400, another path with 404.
//!
//! Limits of wiremock 0.6, which are this server's: one thread, one more copy of each body, and
//! about a kilobyte kept per request even where recording is off.

mod ceiling;
mod process;
mod respond;
mod rows;

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::num::NonZero;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use wiremock::{Mock, MockServer, matchers};

use crate::api_process::serve_until_ended;
use crate::workload::Workload;
use respond::PageResponder;
use rows::RenderedRows;

pub use ceiling::{Ceiling, measure_ceiling};
pub use process::MockApiProcess;

/// What to serve, and how: the arguments of `apitap-bench mock-api`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct MockApiOptions {
    /// Name of a workload, or path of a definition (*.toml)
    #[arg(long)]
    pub workload: String,
    /// Number of rows
    #[arg(long)]
    pub rows: u64,
    /// Rows of a page if the request does not say
    #[arg(long, default_value = "1000")]
    pub page_rows: NonZero<u64>,
    /// Most rows of a page, whatever the request asks for; many real APIs have such a limit
    #[arg(long)]
    pub max_page_rows: Option<NonZero<u64>>,
    /// Port on 127.0.0.1; 0 takes a free port
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Seed of the rows [default: the workload's own]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Delay of every response, in milliseconds
    #[arg(long, default_value_t = 0)]
    pub latency_ms: u64,
    /// Leave out the header X-Total-Count
    #[arg(long)]
    pub no_total_count: bool,
    /// Exit when standard input ends, which it does when the parent dies, however it dies
    #[arg(long, hide = true)]
    pub exit_with_stdin: bool,
}

impl MockApiOptions {
    /// `rows` rows of `workload` on a free port, in pages of 1,000, without delay.
    pub fn new(workload: impl Into<String>, rows: u64) -> Self {
        Self {
            workload: workload.into(),
            rows,
            page_rows: const { NonZero::new(1_000).unwrap() },
            max_page_rows: None,
            port: 0,
            seed: None,
            latency_ms: 0,
            no_total_count: false,
            exit_with_stdin: false,
        }
    }

    /// The workload with its seed.
    ///
    /// # Errors
    /// When there is no such workload, or its file is not valid.
    pub fn workload(&self) -> Result<Workload> {
        let workload = if self.workload.ends_with(".toml") {
            Workload::load(Path::new(&self.workload))?
        } else {
            Workload::named(&self.workload)?
        };
        Ok(match self.seed {
            Some(seed) => workload.with_seed(seed),
            None => workload,
        })
    }

    /// The same options as arguments of `apitap-bench mock-api`.
    fn to_arguments(&self) -> Vec<OsString> {
        let mut arguments = vec![
            format!("--workload={}", self.workload),
            format!("--rows={}", self.rows),
            format!("--page-rows={}", self.page_rows),
            format!("--port={}", self.port),
            format!("--latency-ms={}", self.latency_ms),
        ];
        arguments.extend(
            self.max_page_rows
                .map(|rows| format!("--max-page-rows={rows}")),
        );
        arguments.extend(self.seed.map(|seed| format!("--seed={seed}")));
        arguments.extend(self.no_total_count.then(|| "--no-total-count".to_owned()));
        arguments.extend(self.exit_with_stdin.then(|| "--exit-with-stdin".to_owned()));
        arguments.into_iter().map(OsString::from).collect()
    }
}

/// What a mock API says on standard output once it answers: one line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MockApiReady {
    /// Of the workload's endpoint, such as `http://127.0.0.1:40123/orders`.
    pub url: String,
    /// Number of rows served.
    pub rows: u64,
    /// Bytes of all rows as NDJSON.
    pub bytes: u64,
}

/// A mock API in this process. Dropping it ends it.
#[derive(Debug)]
pub struct RunningMockApi {
    ready: MockApiReady,
    _server: MockServer,
}

impl RunningMockApi {
    /// Of the workload's endpoint, such as `http://127.0.0.1:40123/orders`.
    pub fn url(&self) -> &str {
        &self.ready.url
    }

    /// What it serves.
    pub fn ready(&self) -> &MockApiReady {
        &self.ready
    }
}

/// Renders the rows, then serves them.
///
/// # Errors
/// When the workload is unknown or the port is taken.
pub async fn serve(options: &MockApiOptions) -> Result<RunningMockApi> {
    let workload = options.workload()?;
    let name = workload.name().to_owned();
    let count = options.rows;
    let rows = tokio::task::spawn_blocking(move || RenderedRows::render(&workload, count))
        .await
        .context("rendering the rows panicked")?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))
        .with_context(|| format!("cannot listen on 127.0.0.1:{}", options.port))?;
    let bytes = rows.bytes();
    let responder = PageResponder {
        root: format!("/{name}"),
        rows,
        page_rows: options.page_rows.get(),
        max_page_rows: options.max_page_rows.map_or(u64::MAX, NonZero::get),
        latency: Duration::from_millis(options.latency_ms),
        total_count: !options.no_total_count,
    };
    let server = MockServer::builder()
        .listener(listener)
        .disable_request_recording()
        .start()
        .await;
    Mock::given(matchers::any())
        .respond_with(responder)
        .mount(&server)
        .await;
    let ready = MockApiReady {
        url: format!("{}/{name}", server.uri()),
        rows: count,
        bytes,
    };
    Ok(RunningMockApi {
        ready,
        _server: server,
    })
}

/// `apitap-bench mock-api`: serves until interrupted.
///
/// # Errors
/// Those of [`serve`], and when standard output is closed.
pub async fn run(options: &MockApiOptions) -> Result<()> {
    let api = serve(options).await?;
    serve_until_ended(api.ready(), options.exit_with_stdin).await
}

#[cfg(test)]
mod tests;
