//! What a load allocates, from what `apitap-bench-heap --totals` wrote.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// Allocations of a process, whatever became of them. A block that is grown counts again, with its
/// new bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allocations {
    /// How many.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Allocations of a load, by row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AllocationsPerRow {
    /// How many.
    pub blocks: f64,
    /// Their bytes.
    pub bytes: f64,
}

impl Allocations {
    /// Reads what `apitap-bench-heap --totals` wrote.
    ///
    /// # Errors
    /// When the file cannot be read or is not of that program.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| {
            let file = path.display();
            format!("{file} does not hold the totals of apitap-bench-heap")
        })
    }

    /// What the rows cost that a `larger` load has more than this one, so that what every load costs
    /// once is left out; `rows` is how many more they are.
    ///
    /// # Errors
    /// When the larger load allocated less, or has no more rows.
    pub fn per_row(self, larger: Self, rows: u64) -> Result<AllocationsPerRow> {
        ensure!(
            rows > 0 && larger.blocks >= self.blocks && larger.bytes >= self.bytes,
            "a load of {rows} more rows allocated less: {larger:?} after {self:?}"
        );
        let by_row = |more: u64| more as f64 / rows as f64;
        Ok(AllocationsPerRow {
            blocks: by_row(larger.blocks - self.blocks),
            bytes: by_row(larger.bytes - self.bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_load_costs_once_is_left_out() {
        let allocations = |blocks, bytes| Allocations { blocks, bytes };
        let by_row = allocations(1_200, 90_000).per_row(allocations(1_700, 190_000), 1_000);
        let expected = AllocationsPerRow {
            blocks: 0.5,
            bytes: 100.0,
        };
        assert_eq!(by_row.unwrap(), expected);
        allocations(2, 2).per_row(allocations(1, 9), 1).unwrap_err();
        allocations(2, 2).per_row(allocations(2, 2), 0).unwrap_err();
    }

    #[test]
    fn another_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heap.json");
        std::fs::write(&path, r#"{"blocks":3,"bytes":40}"#).unwrap();
        let read = Allocations::read(&path).unwrap();
        assert_eq!((read.blocks, read.bytes), (3, 40));
        std::fs::write(&path, r#"{"dhatFileVersion":2}"#).unwrap();
        let error = Allocations::read(&path).unwrap_err().to_string();
        assert!(error.contains("heap.json"), "{error}");
    }
}
