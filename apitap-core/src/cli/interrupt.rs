//! SIGINT and SIGTERM: the first asks the command to end in order, the second ends it.

use std::io;
use std::process;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::console::Console;

/// What asks the command to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Interrupt,
    Terminate,
}

impl Signal {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        }
    }

    /// 128 and the signal's number, as shells report it.
    pub(super) fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

/// Listens as long as the runtime lives.
#[derive(Debug, Clone)]
pub(super) struct Interrupt(watch::Receiver<Option<Signal>>);

impl Interrupt {
    /// # Errors
    /// The process has no descriptor left to listen with.
    pub(super) fn listen(console: Console) -> io::Result<Self> {
        let mut interrupted = signal(SignalKind::interrupt())?;
        let mut terminated = signal(SignalKind::terminate())?;
        let (sender, receiver) = watch::channel(None);
        tokio::spawn(async move {
            loop {
                let signal = tokio::select! {
                    Some(()) = interrupted.recv() => Signal::Interrupt,
                    Some(()) = terminated.recv() => Signal::Terminate,
                    else => return,
                };
                if sender.borrow().is_some() {
                    process::exit(signal.exit_code().into());
                }
                console.warning(&format!(
                    "{}: what is not committed is rolled back; a second signal ends at once",
                    signal.name()
                ));
                sender.send_replace(Some(signal));
            }
        });
        Ok(Self(receiver))
    }

    /// The signal, if one has come.
    pub(super) fn signal(&self) -> Option<Signal> {
        *self.0.borrow()
    }

    /// Waits for a signal.
    pub(super) async fn wait(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(Option::is_some).await.is_err() {
            // Nobody listens any more, so none will come.
            std::future::pending::<()>().await;
        }
    }
}
