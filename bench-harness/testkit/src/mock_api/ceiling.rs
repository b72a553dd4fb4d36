//! How fast the mock API is by itself: no pipeline can be measured beyond it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// What a client that does nothing with the bytes receives.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ceiling {
    /// Rows received.
    pub rows: u64,
    /// Bytes of bodies received.
    pub bytes: u64,
    /// From the first request to the last byte.
    pub elapsed: Duration,
    /// Connections at work at a time.
    pub concurrency: usize,
}

impl Ceiling {
    /// Rows in a second.
    pub fn rows_per_second(&self) -> f64 {
        self.rows as f64 / self.elapsed.as_secs_f64()
    }

    /// Bytes in a second.
    pub fn bytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.elapsed.as_secs_f64()
    }
}

/// Fetches the `rows` rows of `url` once, page by page, over `concurrency` connections, and drops
/// every byte as it comes.
///
/// # Errors
/// When a page cannot be fetched to its end.
pub async fn measure_ceiling(
    url: &str,
    rows: u64,
    page_rows: u64,
    concurrency: usize,
) -> Result<Ceiling> {
    // reqwest is built without a TLS provider and asks for one even where only HTTP is spoken.
    // An error says that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let pages = rows.div_ceil(page_rows);
    let next = Arc::new(AtomicU64::new(1));
    let started = Instant::now();
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..concurrency {
        let client = reqwest::Client::builder()
            .no_proxy()
            .build()
            .context("no HTTP client")?;
        let (url, next) = (url.to_owned(), Arc::clone(&next));
        readers.spawn(async move {
            let mut bytes = 0;
            loop {
                let page = next.fetch_add(1, Ordering::Relaxed);
                if page > pages {
                    return Ok::<u64, anyhow::Error>(bytes);
                }
                let page_url = format!("{url}?page={page}&per_page={page_rows}");
                bytes += drain(&client, &page_url)
                    .await
                    .with_context(|| format!("cannot fetch {page_url}"))?;
            }
        });
    }
    let mut bytes = 0;
    while let Some(reader) = readers.join_next().await {
        bytes += reader.context("a reader panicked")??;
    }
    Ok(Ceiling {
        rows,
        bytes,
        elapsed: started.elapsed(),
        concurrency,
    })
}

async fn drain(client: &reqwest::Client, url: &str) -> reqwest::Result<u64> {
    let mut response = client.get(url).send().await?.error_for_status()?;
    let mut bytes = 0;
    while let Some(chunk) = response.chunk().await? {
        bytes += chunk.len() as u64;
    }
    Ok(bytes)
}
