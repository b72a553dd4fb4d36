//! All rows, rendered once.

use std::num::NonZero;
use std::ops::Range;
use std::thread;

use crate::workload::Workload;

/// Rows that a thread renders at a time: enough to drown the cost of handing them over.
const BLOCK_ROWS: u64 = 20_000;

/// Rows one after the other, so that any page of an array is one slice between brackets.
pub(super) struct RenderedRows {
    /// Each row as compact JSON, followed by a comma.
    text: Vec<u8>,
    /// Where each row begins, and at last where the next would.
    starts: Vec<usize>,
}

impl RenderedRows {
    pub(super) fn render(workload: &Workload, rows: u64) -> Self {
        let threads = thread::available_parallelism().map_or(1, NonZero::get) as u64;
        let mut rendered = Self {
            text: Vec::new(),
            starts: Vec::with_capacity(rows as usize + 1),
        };
        rendered.starts.push(0);
        let mut first = 0;
        while first < rows {
            let end = (first + threads * BLOCK_ROWS).min(rows);
            let blocks: Vec<Self> = thread::scope(|scope| {
                let workers: Vec<_> = (first..end)
                    .step_by(BLOCK_ROWS as usize)
                    .map(|from| from..(from + BLOCK_ROWS).min(end))
                    .map(|range| scope.spawn(|| Self::block(workload, range)))
                    .collect();
                let joined = workers.into_iter().map(thread::ScopedJoinHandle::join);
                joined
                    .map(|block| block.unwrap_or_else(|e| std::panic::resume_unwind(e)))
                    .collect()
            });
            for block in &blocks {
                let base = rendered.text.len();
                if first == 0 && base == 0 {
                    // Growing by doubling would need half as much memory again for large workloads.
                    let per_row = block.text.len() as u64 / (block.starts.len() as u64) + 1;
                    rendered
                        .text
                        .reserve_exact((per_row * rows + per_row * rows / 50) as usize);
                }
                rendered.text.extend_from_slice(&block.text);
                rendered
                    .starts
                    .extend(block.starts.iter().map(|end| base + end));
            }
            first = end;
        }
        rendered
    }

    /// A block whose `starts` lack the leading 0.
    fn block(workload: &Workload, rows: Range<u64>) -> Self {
        let mut block = Self {
            text: Vec::new(),
            starts: Vec::new(),
        };
        for row in rows {
            workload.render_row(row, &mut block.text);
            block.text.push(b',');
            block.starts.push(block.text.len());
        }
        block
    }

    /// Number of rows.
    pub(super) fn len(&self) -> u64 {
        self.starts.len() as u64 - 1
    }

    /// Bytes of all rows, each with one separator.
    pub(super) fn bytes(&self) -> u64 {
        self.text.len() as u64
    }

    /// The rows with commas between them; what lies beyond the last row is left out.
    pub(super) fn joined(&self, first: u64, count: u64) -> &[u8] {
        let range = self.clamp(first, count);
        match (self.starts.get(range.start), self.starts.get(range.end)) {
            (Some(&from), Some(&to)) if from < to => &self.text[from..to - 1],
            _ => &[],
        }
    }

    /// The rows one by one.
    pub(super) fn each(&self, first: u64, count: u64) -> impl Iterator<Item = &[u8]> {
        self.clamp(first, count)
            .map(|row| &self.text[self.starts[row]..self.starts[row + 1] - 1])
    }

    fn clamp(&self, first: u64, count: u64) -> Range<usize> {
        let first = first.min(self.len());
        let end = first.saturating_add(count).min(self.len());
        first as usize..end as usize
    }
}
