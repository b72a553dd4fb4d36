//! Bounded channels between stages. Their limit is in rows, for messages of any size; rows larger than a
//! KiB count by the KiB. They record how long senders and receivers wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

/// What a channel measures about itself. One per edge; several channels may share it.
#[derive(Debug, Default)]
pub struct ChannelMetrics {
    messages: AtomicU64,
    rows: AtomicU64,
    depth_rows: AtomicU64,
    max_depth_rows: AtomicU64,
    capacity_rows: AtomicU64,
    send_wait_ns: AtomicU64,
    receive_wait_ns: AtomicU64,
}

/// What went through an edge in a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ChannelReport {
    /// Rows that may wait.
    pub capacity_rows: u64,
    /// Messages that passed.
    pub messages: u64,
    /// Rows that passed.
    pub rows: u64,
    /// The most rows that waited at once.
    pub max_depth_rows: u64,
    /// Seconds that senders waited for room: back-pressure.
    pub send_wait_seconds: f64,
    /// Seconds that receivers waited for rows: starvation.
    pub receive_wait_seconds: f64,
}

impl ChannelMetrics {
    /// Rows that wait now.
    pub fn depth_rows(&self) -> u64 {
        self.depth_rows.load(Relaxed)
    }

    /// Rows that may wait in the channels that are open now.
    pub fn capacity_rows(&self) -> u64 {
        self.capacity_rows.load(Relaxed)
    }

    /// How long senders have waited for room so far.
    pub fn send_wait(&self) -> Duration {
        Duration::from_nanos(self.send_wait_ns.load(Relaxed))
    }

    /// How long receivers have waited for rows so far.
    pub fn receive_wait(&self) -> Duration {
        Duration::from_nanos(self.receive_wait_ns.load(Relaxed))
    }

    /// The totals so far.
    pub fn report(&self, capacity_rows: usize) -> ChannelReport {
        ChannelReport {
            capacity_rows: capacity_rows as u64,
            messages: self.messages.load(Relaxed),
            rows: self.rows.load(Relaxed),
            max_depth_rows: self.max_depth_rows.load(Relaxed),
            send_wait_seconds: self.send_wait().as_secs_f64(),
            receive_wait_seconds: self.receive_wait().as_secs_f64(),
        }
    }
}

/// The sending half; clones send into the same channel.
#[derive(Debug, Clone)]
pub struct Sender<T> {
    inner: async_channel::Sender<(T, u32)>,
    room: Arc<Semaphore>,
    capacity_rows: u32,
    metrics: Arc<ChannelMetrics>,
}

/// The receiving half; clones take messages from each other.
#[derive(Debug, Clone)]
pub struct Receiver<T> {
    inner: async_channel::Receiver<(T, u32)>,
    room: Arc<Semaphore>,
    metrics: Arc<ChannelMetrics>,
    _open: Arc<Open>,
}

/// Counts the capacity of a channel while somebody may receive from it.
#[derive(Debug)]
struct Open {
    capacity_rows: u32,
    metrics: Arc<ChannelMetrics>,
}

impl Open {
    fn new(capacity_rows: u32, metrics: Arc<ChannelMetrics>) -> Self {
        let capacity = u64::from(capacity_rows);
        metrics.capacity_rows.fetch_add(capacity, Relaxed);
        Self {
            capacity_rows,
            metrics,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let capacity = u64::from(self.capacity_rows);
        self.metrics.capacity_rows.fetch_sub(capacity, Relaxed);
    }
}

/// The other side is gone: the run is ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

/// A channel in which up to `capacity_rows` rows may wait, or as many KiB if rows are larger than a
/// KiB. A message larger than the whole capacity passes alone.
pub fn bounded<T>(capacity_rows: usize, metrics: Arc<ChannelMetrics>) -> (Sender<T>, Receiver<T>) {
    let capacity_rows = u32::try_from(capacity_rows)
        .unwrap_or(u32::MAX)
        .min(u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX))
        .max(1);
    let room = Arc::new(Semaphore::new(capacity_rows as usize));
    // Its own bound would count messages; the semaphore bounds it in rows.
    let (sender, receiver) = async_channel::unbounded();
    (
        Sender {
            inner: sender,
            room: room.clone(),
            capacity_rows,
            metrics: metrics.clone(),
        },
        Receiver {
            inner: receiver,
            room,
            _open: Arc::new(Open::new(capacity_rows, metrics.clone())),
            metrics,
        },
    )
}

impl<T> Sender<T> {
    /// Sends a message of `rows` rows and `bytes` bytes, waiting for room. If cancelled, it
    /// sends nothing.
    ///
    /// # Errors
    /// All receivers are gone.
    pub async fn send(&self, message: T, rows: usize, bytes: usize) -> Result<(), Closed> {
        let weight = u32::try_from(rows.max(bytes >> 10))
            .unwrap_or(u32::MAX)
            .min(self.capacity_rows);
        let permits = match self.room.try_acquire_many(weight) {
            Ok(permits) => permits,
            Err(_) => {
                let start = Instant::now();
                let permits = self.room.acquire_many(weight).await;
                let waited = start.elapsed().as_nanos() as u64;
                self.metrics.send_wait_ns.fetch_add(waited, Relaxed);
                permits.map_err(|_| Closed)?
            }
        };
        permits.forget();
        let depth = self
            .metrics
            .depth_rows
            .fetch_add(u64::from(weight), Relaxed)
            + u64::from(weight);
        self.metrics.max_depth_rows.fetch_max(depth, Relaxed);
        self.metrics.messages.fetch_add(1, Relaxed);
        self.metrics.rows.fetch_add(rows as u64, Relaxed);
        self.inner.try_send((message, weight)).map_err(|_| Closed)
    }
}

impl<T> Receiver<T> {
    /// The next message; none when all senders are gone and nothing waits.
    pub async fn receive(&self) -> Option<T> {
        let (message, weight) = match self.inner.try_recv() {
            Ok(received) => received,
            Err(_) => {
                let start = Instant::now();
                let received = self.inner.recv().await.ok();
                let waited = start.elapsed().as_nanos() as u64;
                self.metrics.receive_wait_ns.fetch_add(waited, Relaxed);
                received?
            }
        };
        self.room.add_permits(weight as usize);
        self.metrics
            .depth_rows
            .fetch_sub(u64::from(weight), Relaxed);
        Some(message)
    }

    /// A message that already waits, if there is one.
    pub fn receive_now(&self) -> Option<T> {
        let (message, weight) = self.inner.try_recv().ok()?;
        self.room.add_permits(weight as usize);
        self.metrics
            .depth_rows
            .fetch_sub(u64::from(weight), Relaxed);
        Some(message)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        // Senders that wait for room would otherwise wait for ever.
        if self.inner.receiver_count() == 1 {
            self.room.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rows_bound_the_channel_and_waiting_is_recorded() {
        let metrics = Arc::new(ChannelMetrics::default());
        let (sender, receiver) = bounded(10, metrics.clone());
        sender.send("six", 6, 0).await.unwrap();
        let blocked = tokio::spawn({
            let sender = sender.clone();
            async move { sender.send("five", 5, 2 << 10).await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!blocked.is_finished());
        assert_eq!(receiver.receive().await, Some("six"));
        blocked.await.unwrap().unwrap();
        drop(sender);
        assert_eq!(receiver.receive().await, Some("five"));
        assert_eq!(receiver.receive().await, None);
        assert_eq!(metrics.capacity_rows(), 10);
        drop(receiver.clone());
        assert_eq!(metrics.capacity_rows(), 10);
        drop(receiver);
        assert_eq!(metrics.capacity_rows(), 0);
        let report = metrics.report(10);
        assert_eq!(
            (report.messages, report.rows, report.max_depth_rows),
            (2, 11, 6)
        );
        assert!(report.send_wait_seconds > 0.01);
    }

    #[tokio::test]
    async fn a_message_above_the_capacity_passes_alone() {
        let (sender, receiver) = bounded(10, Arc::default());
        sender.send(1, 1_000, 0).await.unwrap();
        assert_eq!(receiver.receive().await, Some(1));
        sender.send(2, 1, 1 << 20).await.unwrap();
        assert_eq!(receiver.receive_now(), Some(2));
        assert_eq!(receiver.receive_now(), None);
    }

    #[tokio::test]
    async fn a_waiting_sender_learns_that_its_receiver_is_gone() {
        let (sender, receiver) = bounded(1, Arc::default());
        sender.send(1, 1, 0).await.unwrap();
        let blocked = tokio::spawn(async move { sender.send(2, 1, 0).await });
        tokio::task::yield_now().await;
        drop(receiver);
        assert_eq!(blocked.await.unwrap(), Err(Closed));
    }
}
