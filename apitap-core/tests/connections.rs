//! Through how many connections the requests of a source go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use apitap_core::config::Config;
use apitap_core::source::{RowBudget, pages};
use futures::TryStreamExt;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::fixture::source;

/// Each of one row; a request more finds the end.
const PAGES: usize = 20;

/// An API that keeps connections open and counts them.
async fn api() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/orders", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            counted.fetch_add(1, SeqCst);
            tokio::spawn(serve(socket));
        }
    });
    (url, connections)
}

async fn serve(socket: TcpStream) {
    let mut socket = BufReader::new(socket);
    loop {
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            if socket.read_line(&mut request).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let (_, rest) = request.split_once("?page=").unwrap();
        let page: usize = rest.split_once('&').unwrap().0.parse().unwrap();
        let body = match page {
            1..=PAGES => format!("[{{\"id\":{page}}}]"),
            _ => "[]".to_owned(),
        };
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if socket.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Connections that all pages took, one request after the other.
async fn connections(setting: &str) -> usize {
    let (url, connections) = api().await;
    let config = Config::default()
        .with("source.concurrency=1")
        .and_then(|config| config.with("source.page_rows=1"))
        .and_then(|config| config.with(setting))
        .unwrap();
    let pages = pages(
        Arc::new(source("orders", &url)),
        config.source,
        Arc::default(),
        RowBudget::unlimited(),
    );
    let pages: Vec<_> = pages.try_collect().await.unwrap();
    assert_eq!(pages.len(), PAGES);
    connections.load(SeqCst)
}

#[tokio::test]
async fn connections_are_used_again_unless_a_knob_forbids_it() {
    // A connection that is not idle in time is not waited for, so a few more than one are right.
    assert!(connections("source.reuse_connections=true").await < PAGES / 2);
    assert!(connections("source.pool_idle_per_host=2").await < PAGES / 2);
    assert_eq!(
        connections("source.reuse_connections=false").await,
        PAGES + 1
    );
    assert_eq!(connections("source.pool_idle_per_host=0").await, PAGES + 1);
}
