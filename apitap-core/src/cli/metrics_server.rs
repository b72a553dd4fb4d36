//! `--metrics-addr`: what runs measure, over HTTP, for Prometheus.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::prometheus::{CONTENT_TYPE, Exposition};
use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

/// Serves `/metrics` while the runtime lives. Returns the address; port 0 takes a free port.
///
/// # Errors
/// The address cannot be bound.
pub(super) async fn serve(address: &str, exposition: Arc<Exposition>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let router = Router::new()
        .route("/metrics", get(metrics))
        .with_state(exposition);
    // It never ends by itself: axum waits when a connection cannot be accepted.
    tokio::spawn(axum::serve(listener, router).into_future());
    Ok(bound)
}

async fn metrics(State(exposition): State<Arc<Exposition>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], exposition.text())
}
