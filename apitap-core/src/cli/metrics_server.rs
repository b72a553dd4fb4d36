//! `--metrics-addr`: what runs measure, over HTTP, for Prometheus.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use apitap_core::prometheus::{CONTENT_TYPE, Exposition};
use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

/// Serves `/metrics` for as long as the runtime is there. Returns where; port 0 takes a free one.
///
/// # Errors
/// The address cannot be bound.
pub(crate) async fn serve(address: &str, exposition: Arc<Exposition>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let router = Router::new()
        .route("/metrics", get(metrics))
        .with_state(exposition);
    // It never ends by itself: axum waits where a connection cannot be accepted.
    tokio::spawn(axum::serve(listener, router).into_future());
    Ok(bound)
}

async fn metrics(State(exposition): State<Arc<Exposition>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], exposition.text())
}
