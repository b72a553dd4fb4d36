//! Ctrl-C and SIGTERM, to ask for and to wait for.

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Whether the user asked to stop. It stays true.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Listens for SIGINT and SIGTERM from now on, instead of ending at once.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub(crate) fn listen() -> Result<Self> {
        let mut interrupted =
            signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
        let mut terminated =
            signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let (sender, interrupt) = Self::manual();
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupted.recv() => {}
                _ = terminated.recv() => {}
            }
            sender.send_replace(true);
        });
        Ok(interrupt)
    }

    /// One that happens when `true` is sent.
    #[must_use]
    pub(crate) fn manual() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Waits until it happened; forever if it never can.
    pub(crate) async fn happened(&mut self) {
        if self.0.wait_for(|happened| *happened).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
