//! The round trip to a server, measured as its clients see it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use url::Url;

use crate::postgres::connect;

/// Round trips that are timed, one after another: at 10 ms a third of a second in all.
const ROUND_TRIPS: usize = 30;

/// Round trips before them. The first ones open the connection and fill caches.
const WARM_UP: usize = 5;

/// The median time of `SELECT 1` over one connection: the way there and back, the server's answer
/// and the client's own wake-ups.
///
/// # Errors
/// When the server cannot be reached or refuses.
pub async fn measure_postgres_round_trip(url: &str) -> Result<Duration> {
    let client = connect(url).await?;
    median_time(async || {
        let answered = client.batch_execute("SELECT 1").await;
        answered.context("cannot time a query")
    })
    .await
}

/// The median time of a page of one row, the first of the endpoint behind `url`, over a connection
/// that is kept: the way there and back, the making of the page and the client's own wake-ups. A
/// delay that the API itself adds to each answer is part of it.
///
/// # Errors
/// When a page cannot be fetched to its end.
pub async fn measure_http_round_trip(url: &str) -> Result<Duration> {
    let mut page = Url::parse(url).with_context(|| format!("{url} is not a URL"))?;
    page.query_pairs_mut()
        .append_pair("page", "1")
        .append_pair("per_page", "1");
    // reqwest is built without a TLS provider and asks for one even where only HTTP is spoken.
    // An error says that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .no_proxy()
        .build()
        .context("no HTTP client")?;
    median_time(async || {
        // Read to its end, or the connection could not be used again.
        let fetched = async {
            let response = client.get(page.clone()).send().await?.error_for_status()?;
            response.bytes().await
        };
        fetched
            .await
            .map(drop)
            .with_context(|| format!("cannot fetch {page}"))
    })
    .await
}

async fn median_time(request: impl AsyncFn() -> Result<()>) -> Result<Duration> {
    for _ in 0..WARM_UP {
        request().await?;
    }
    let mut times = Vec::with_capacity(ROUND_TRIPS);
    for _ in 0..ROUND_TRIPS {
        let start = Instant::now();
        request().await?;
        times.push(start.elapsed());
    }
    times.sort();
    // Of an even number, the mean of the two in the middle.
    Ok((times[(ROUND_TRIPS - 1) / 2] + times[ROUND_TRIPS / 2]) / 2)
}
