//! What is on its way in one direction of a connection.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most bytes read at a time.
pub(super) const CHUNK_BYTES: usize = 64 << 10;

/// Most bytes that wait for their time, each chunk's place in the queue included; beside them one
/// chunk is being read and one written.
///
/// Enough for 1.6 GB/s at 5 ms one way, and little enough for a hundred connections.
pub(super) const IN_FLIGHT_BYTES: usize = 8 << 20;

/// What a chunk takes beside its bytes, rounded up: its time, its place, the allocator's header.
/// Counted so that chunks of one byte do not take a hundred times the limit.
const CHUNK_OVERHEAD_BYTES: usize = 64;

/// What came from a peer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// At most [`CHUNK_BYTES`].
    Bytes(Box<[u8]>),
    /// The peer sends no more; it may still receive.
    End,
    /// The connection broke.
    Reset,
}

impl Arrival {
    fn held_bytes(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len() + CHUNK_OVERHEAD_BYTES,
            Self::End | Self::Reset => 0,
        }
    }
}

/// A queue whose entries may be taken when the delay has passed since they came, in their order.
/// One thread puts in and one takes out.
#[derive(Debug)]
pub(super) struct DelayLine {
    delay: Duration,
    state: Mutex<State>,
    /// For the thread that puts in: there is room, or the line is abandoned.
    room: Condvar,
    /// For the thread that takes out: the empty queue has an entry, or the line is abandoned.
    filled: Condvar,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<(Instant, Arrival)>,
    held_bytes: usize,
    abandoned: bool,
}

impl State {
    fn has_room(&self) -> bool {
        self.held_bytes + CHUNK_BYTES + CHUNK_OVERHEAD_BYTES <= IN_FLIGHT_BYTES
    }
}

impl DelayLine {
    pub(super) fn new(delay: Duration) -> Self {
        Self {
            delay,
            state: Mutex::default(),
            room: Condvar::new(),
            filled: Condvar::new(),
        }
    }

    /// Blocks until a chunk of full size has room; false if the line is abandoned.
    pub(super) fn wait_for_room(&self) -> bool {
        let mut state = self.lock();
        while !state.abandoned && !state.has_room() {
            state = self
                .room
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        !state.abandoned
    }

    /// Puts in what came at `arrived`. Never blocks; the room is waited for before.
    pub(super) fn push(&self, arrived: Instant, arrival: Arrival) {
        let mut state = self.lock();
        if state.abandoned {
            return;
        }
        let was_empty = state.queue.is_empty();
        state.held_bytes += arrival.held_bytes();
        state.queue.push_back((arrived + self.delay, arrival));
        drop(state);
        // Otherwise the other thread is at work, or sleeps until the first entry is due.
        if was_empty {
            self.filled.notify_one();
        }
    }

    /// Blocks until the first entry is due, and takes it out; `None` if the line is abandoned.
    pub(super) fn next_due(&self) -> Option<Arrival> {
        let mut state = self.lock();
        while !state.abandoned {
            let Some(&(due, _)) = state.queue.front() else {
                state = self
                    .filled
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = due.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                state = self.sleep(state, left);
                continue;
            }
            let had_room = state.has_room();
            let (_, arrival) = state.queue.pop_front()?;
            state.held_bytes -= arrival.held_bytes();
            let has_room = state.has_room();
            drop(state);
            if has_room && !had_room {
                self.room.notify_one();
            }
            return Some(arrival);
        }
        None
    }

    /// Blocks the thread that takes out for the line's delay, or until the line is abandoned.
    pub(super) fn pause(&self) {
        let until = Instant::now() + self.delay;
        let mut state = self.lock();
        while !state.abandoned {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.sleep(state, left);
        }
    }

    /// Drops what is on its way and what may still come, and wakes both threads.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        *state = State {
            abandoned: true,
            ..State::default()
        };
        drop(state);
        self.room.notify_one();
        self.filled.notify_one();
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.lock().abandoned
    }

    /// Bytes that wait, each chunk's place in the queue included.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.lock().held_bytes
    }

    /// As precise as `thread::sleep`, and ends early when the line is abandoned.
    fn sleep<'a>(&self, state: MutexGuard<'a, State>, left: Duration) -> MutexGuard<'a, State> {
        self.filled
            .wait_timeout(state, left)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(3);

    fn bytes(length: usize) -> Arrival {
        Arrival::Bytes(vec![7; length].into())
    }

    #[test]
    fn entries_keep_their_order_and_are_never_early() {
        let line = DelayLine::new(DELAY);
        let arrived = Instant::now();
        line.push(arrived, bytes(1));
        line.push(arrived + DELAY, bytes(2));
        line.push(arrived + DELAY, Arrival::End);
        assert_eq!(line.next_due(), Some(bytes(1)));
        assert!(arrived.elapsed() >= DELAY);
        assert_eq!(line.next_due(), Some(bytes(2)));
        assert!(arrived.elapsed() >= 2 * DELAY);
        assert_eq!(line.next_due(), Some(Arrival::End));
        assert_eq!(line.held_bytes(), 0);
    }

    #[test]
    fn a_full_line_waits_until_a_chunk_is_taken_out() {
        let line = DelayLine::new(Duration::ZERO);
        while line.lock().has_room() {
            line.push(Instant::now(), bytes(CHUNK_BYTES));
        }
        assert!(line.held_bytes() <= IN_FLIGHT_BYTES);
        assert!(line.held_bytes() > IN_FLIGHT_BYTES - 2 * CHUNK_BYTES);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| line.wait_for_room());
            std::thread::sleep(Duration::from_millis(20));
            assert!(!waiting.is_finished());
            line.next_due().unwrap();
            assert!(waiting.join().unwrap());
        });
    }

    #[test]
    fn tiny_chunks_count_with_their_place() {
        let line = DelayLine::new(DELAY);
        let mut chunks = 0;
        while line.lock().has_room() {
            line.push(Instant::now(), bytes(1));
            chunks += 1;
        }
        assert!(chunks <= IN_FLIGHT_BYTES / CHUNK_OVERHEAD_BYTES);
    }

    #[test]
    fn an_abandoned_line_wakes_its_sleeper_and_takes_nothing() {
        let line = DelayLine::new(Duration::from_secs(3_600));
        line.push(Instant::now(), bytes(1));
        std::thread::scope(|scope| {
            let sleeping = scope.spawn(|| line.next_due());
            std::thread::sleep(Duration::from_millis(20));
            assert!(!sleeping.is_finished());
            line.abandon();
            assert_eq!(sleeping.join().unwrap(), None);
        });
        line.push(Instant::now(), bytes(1));
        assert_eq!(line.held_bytes(), 0);
        assert!(!line.wait_for_room());
        line.pause();
    }
}
