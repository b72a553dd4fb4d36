//! The wall time of a load from what its parts need.
//!
//! A load starts, and then pages flow through two halves. The front requests, scans, decodes and runs the SQL; the back
//! encodes, sends, and waits for the server. What goes on at once takes at least as long as its longest part, and at
//! most as long as all parts after one another: the bounds of operational analysis (Denning and Buzen, *The Operational
//! Analysis of Queueing Network Models*, Computing Surveys 10, 1978). Where between the two a load lies is its *overlap*,
//! which is read off the baseline and stays. Processors bound everything by the law of utilisation: all processor time
//! ÷ cores.

use super::setting::{ByStage, Setting, Stage};

/// What a load needs.
#[derive(Debug, Clone)]
pub(super) struct Pipeline<'a> {
    pub(super) setting: &'a Setting,
    /// Processor time beyond what every load costs once, which is in `start_seconds`.
    pub(super) cpu: ByStage,
    pub(super) pages: f64,
    pub(super) flushes: f64,
    /// From a request to the end of its page.
    pub(super) page_seconds: f64,
    /// Until the first row, and all that is waited for besides pages and flushes.
    pub(super) start_seconds: f64,
    /// What a statement that is waited for takes beyond its round trip and processor time.
    pub(super) wake_seconds: f64,
}

/// How the model is made to agree with what a baseline took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fit {
    /// From 0, one after the other, to 1, all at once.
    overlap: f64,
    /// What it took ÷ the least that the model knows: below 1 if its needs are too high.
    factor: f64,
    /// What it took beyond the most that the model knows.
    unexplained_seconds: f64,
}

/// Exponent of the sum of two bounds: near either where the other is far, and a fifth above where both are equal, as
/// work that arrives unevenly does not fill the processors. From 3 to 8 predictions hardly change.
const SHARPNESS: f64 = 4.0;

/// Steps by which an overlap is found: a thousandth of a thousandth is nearer than any measurement.
const BISECTIONS: usize = 20;

impl Pipeline<'_> {
    /// The overlap at which the load takes `wall_seconds`.
    pub(super) fn fit(&self, wall_seconds: f64) -> Fit {
        let (least, most) = (self.wall_at(1.0), self.wall_at(0.0));
        let mut fit = Fit {
            overlap: 1.0,
            factor: 1.0,
            unexplained_seconds: 0.0,
        };
        if wall_seconds <= least {
            fit.factor = wall_seconds / least;
        } else if wall_seconds >= most {
            fit.overlap = 0.0;
            fit.unexplained_seconds = wall_seconds - most;
        } else {
            let (mut low, mut high) = (0.0, 1.0);
            for _ in 0..BISECTIONS {
                let middle = (low + high) / 2.0;
                if self.wall_at(middle) > wall_seconds {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            fit.overlap = (low + high) / 2.0;
        }
        fit
    }

    /// The wall time with a fit from a baseline that had `rows` rows.
    pub(super) fn wall(&self, fit: Fit, rows: f64) -> f64 {
        let unexplained = fit.unexplained_seconds * self.setting.rows / rows;
        fit.factor * self.wall_at(fit.overlap) + unexplained
    }

    fn wall_at(&self, overlap: f64) -> f64 {
        // The first page and the first flush have nothing to overlap with.
        let by_page = overlap * (1.0 - 1.0 / self.pages.max(1.0));
        let by_flush = overlap * (1.0 - 1.0 / self.flushes.max(1.0));
        let front = self.front(by_page);
        let back = self.back(by_flush);
        let both = if self.setting.config.transform.streaming {
            overlapped(&[front, back], by_flush)
        } else {
            front + back
        };
        self.start_seconds + bounded(both, self.processors())
    }

    fn front(&self, overlap: f64) -> f64 {
        let config = &self.setting.config;
        let requests = config.source.concurrency.get() as f64;
        let rest = (self.pages - self.setting.first_pages()).max(0.0);
        // Pages that are all requested at once take as long as one.
        let api = if rest > 0.0 {
            self.page_seconds * (rest / requests).max(1.0)
        } else {
            0.0
        };
        let of = |stage| self.cpu.of(stage);
        let requesting = of(Stage::Fetch) + of(Stage::Other);
        let lane = (of(Stage::Decode) + of(Stage::Sql)) / config.transform.partitions.get() as f64;
        if requests > 1.0 {
            let reading = (requesting + of(Stage::Scan)) / requests.min(self.setting.cores);
            overlapped(&[api, reading, lane], overlap)
        } else {
            // Most of a request's own work is within the time of its page.
            overlapped(&[api.max(requesting) + of(Stage::Scan), lane], overlap)
        }
    }

    fn back(&self, overlap: f64) -> f64 {
        let write = &self.setting.config.write;
        let connections = write.connections.get() as f64;
        let client = self.cpu.of(Stage::Encode) + self.cpu.of(Stage::Send);
        let server = self.cpu.of(Stage::Server);
        if !self.setting.sends_statements() {
            return overlapped(&[client / connections, server / connections], overlap);
        }
        let answer = self.setting.postgres_round_trip + self.wake_seconds;
        let answers = server + self.flushes * answer;
        if self.setting.waits_for_answers() {
            (client + answers) / connections
        } else {
            // Little's law: in the time that a statement and its answer take, a window of them is done.
            let window = write.in_flight.get() as f64;
            let server = server.max(answers / window);
            overlapped(&[client / connections, server / connections], overlap)
        }
    }

    /// What all processor time takes of the machine, with that of the API, which is on it too.
    fn processors(&self) -> f64 {
        let api = self.setting.api_cpu_by_row * self.setting.rows;
        (self.cpu.sum() + api) / self.setting.cores
    }
}

/// The time of parts of which a share of `overlap` of all but the longest goes on beside the longest.
fn overlapped(parts: &[f64], overlap: f64) -> f64 {
    let longest = parts.iter().copied().fold(0.0, f64::max);
    let sum: f64 = parts.iter().sum();
    longest + (1.0 - overlap) * (sum - longest)
}

/// The larger of two bounds, and somewhat more where both are near.
fn bounded(one: f64, other: f64) -> f64 {
    (one.powf(SHARPNESS) + other.powf(SHARPNESS)).powf(1.0 / SHARPNESS)
}
