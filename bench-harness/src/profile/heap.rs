//! Where a run allocates, by stage and function, from what dhat wrote.
//!
//! Counts are of every allocation from the start to the end of the process, whatever became of it:
//! they are exact and repeat, unlike times. A block that is grown counts again with its new bytes.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::marker::{crate_of, stage_of};

/// Of `dhatFileVersion`, as dhat 0.3 writes it.
const FORMAT: u32 = 2;

/// Crates whose functions allocate on behalf of others: the allocator, the standard library and
/// plain containers.
const PLUMBING: [&str; 9] = [
    // Of the functions that the compiler puts between `alloc` and the allocator.
    "__rustc",
    "alloc",
    "arrow_buffer",
    "backtrace",
    "bytes",
    "core",
    "dhat",
    "hashbrown",
    "std",
];

/// What a run allocated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeapProfile {
    /// Allocations.
    pub total_blocks: u64,
    /// Their bytes.
    pub total_bytes: u64,
    /// What each stage has of them, the most bytes first.
    pub stages: Vec<StageHeap>,
}

/// What a stage allocated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StageHeap {
    /// Its name in [`apitap_core::stage::ALL`]; none for what was allocated outside of all.
    pub stage: Option<String>,
    /// Allocations.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The functions with the most bytes, those first.
    pub sites: Vec<Site>,
}

/// What a function allocated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Site {
    /// The innermost function that is neither of the standard library nor of a crate of containers
    /// (`bytes`, `hashbrown`, `arrow_buffer`): the one that wanted the memory.
    pub function: String,
    /// Allocations.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The fields that are read of dhat's file.
#[derive(Deserialize)]
struct DhatFile {
    #[serde(rename = "dhatFileVersion")]
    version: u32,
    #[serde(rename = "pps")]
    points: Vec<Point>,
    #[serde(rename = "ftbl")]
    frames: Vec<String>,
}

/// A stack at which memory was allocated.
#[derive(Deserialize)]
struct Point {
    #[serde(rename = "tb")]
    bytes: u64,
    #[serde(rename = "tbk")]
    blocks: u64,
    /// Indexes of frames, the innermost first.
    #[serde(rename = "fs")]
    stack: Vec<usize>,
}

#[derive(Default)]
struct Sum {
    blocks: u64,
    bytes: u64,
}

impl Sum {
    fn add(&mut self, point: &Point) {
        self.blocks += point.blocks;
        self.bytes += point.bytes;
    }
}

impl HeapProfile {
    /// Reads dhat's file, and keeps the first `sites` of each stage.
    ///
    /// # Errors
    /// When it cannot be read or is not of dhat's version 2.
    pub fn read(path: &Path, sites: usize) -> Result<Self> {
        let text = std::fs::read_to_string(path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text, sites).with_context(|| format!("{} is of no use", path.display()))
    }

    /// The same of the file's text.
    ///
    /// # Errors
    /// When it is not of dhat's version 2.
    pub fn parse(text: &str, sites: usize) -> Result<Self> {
        let file: DhatFile = serde_json::from_str(text).context("it is not of dhat")?;
        let version = file.version;
        ensure!(
            version == FORMAT,
            "it is of version {version}, not of {FORMAT}"
        );
        let mut total = Sum::default();
        let mut stages: BTreeMap<Option<&str>, BTreeMap<String, Sum>> = BTreeMap::new();
        for point in &file.points {
            total.add(point);
            let stack = file.stack(point)?;
            let functions = stages.entry(stage_of(&stack)).or_default();
            functions.entry(site_of(stack)).or_default().add(point);
        }
        let mut stages: Vec<StageHeap> = stages
            .into_iter()
            .map(|(stage, functions)| StageHeap::new(stage, functions, sites))
            .collect();
        stages.sort_by_key(|stage| std::cmp::Reverse(stage.bytes));
        Ok(Self {
            total_blocks: total.blocks,
            total_bytes: total.bytes,
            stages,
        })
    }
}

impl StageHeap {
    fn new(stage: Option<&str>, functions: BTreeMap<String, Sum>, most: usize) -> Self {
        let mut sites: Vec<Site> = functions
            .into_iter()
            .map(|(function, Sum { blocks, bytes })| Site {
                function,
                blocks,
                bytes,
            })
            .collect();
        sites.sort_by_key(|site| std::cmp::Reverse(site.bytes));
        let blocks = sites.iter().map(|site| site.blocks).sum();
        let bytes = sites.iter().map(|site| site.bytes).sum();
        sites.truncate(most);
        Self {
            stage: stage.map(str::to_owned),
            blocks,
            bytes,
            sites,
        }
    }
}

impl DhatFile {
    /// The stack of a point, outermost frame first.
    fn stack(&self, point: &Point) -> Result<Vec<String>> {
        let frame = |index: &usize| {
            let frame = self.frames.get(*index);
            frame.map(|frame| function_of(frame).to_owned())
        };
        let stack: Option<_> = point.stack.iter().rev().map(frame).collect();
        stack.context("a stack has a frame that is not in the table")
    }
}

/// The function of a frame as dhat writes it, `0x1f2e: krate::function (src/file.rs:1:2)`.
fn function_of(frame: &str) -> &str {
    let name = match frame.split_once(": ") {
        Some((address, name)) if address.starts_with("0x") => name,
        _ => frame,
    };
    name.rsplit_once(" (").map_or(name, |(name, _)| name)
}

/// See [`Site::function`]; the innermost frame where all are plumbing.
fn site_of(mut stack: Vec<String>) -> String {
    let is_asking = |frame: &String| match crate_of(frame) {
        Some(of_crate) => !PLUMBING.contains(&of_crate),
        None => false,
    };
    let at = stack.iter().rposition(is_asking);
    let at = at.unwrap_or(stack.len().saturating_sub(1));
    if at < stack.len() {
        stack.swap_remove(at)
    } else {
        "[unknown]".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{
        "dhatFileVersion": 2, "mode": "rust-heap", "verb": "Allocated", "te": 9, "pid": 1,
        "pps": [
            {"tb": 100, "tbk": 2, "tl": 0, "mb": 1, "mbk": 1, "fs": [1, 2, 3, 4, 6]},
            {"tb": 30, "tbk": 3, "fs": [1, 2, 5, 4, 6]},
            {"tb": 5, "tbk": 1, "fs": [1, 2, 4, 6]},
            {"tb": 7, "tbk": 1, "fs": [1, 2]}
        ],
        "ftbl": [
            "[root]",
            "0x1: <dhat::Alloc as core::alloc::global::GlobalAlloc>::alloc (src/lib.rs:1242:24)",
            "0x2: alloc::vec::Vec<T,A>::push (src/vec/mod.rs:9:9)",
            "0x3: apitap_core::json::Rows::find (src/json.rs:7:1)",
            "0x4: apitap_core::stage::decode (src/stage.rs:1:1)",
            "0x5: <arrow_array::Array as Clone>::clone (/root/array.rs:1:1)",
            "0x6: apitap_core::stage::sql::<(), fn(u8) -> ()> (src/stage.rs:1:1)"
        ]
    }"#;

    fn site(function: &str, blocks: u64, bytes: u64) -> Site {
        Site {
            function: function.into(),
            blocks,
            bytes,
        }
    }

    #[test]
    fn allocations_go_to_the_innermost_stage_and_the_function_that_asked() {
        let profile = HeapProfile::parse(FILE, 2).unwrap();
        let stages = vec![
            StageHeap {
                stage: Some("decode".into()),
                blocks: 6,
                bytes: 135,
                sites: vec![
                    site("apitap_core::json::Rows::find", 2, 100),
                    site("<arrow_array::Array as Clone>::clone", 3, 30),
                ],
            },
            StageHeap {
                stage: None,
                blocks: 1,
                bytes: 7,
                sites: vec![site(
                    "<dhat::Alloc as core::alloc::global::GlobalAlloc>::alloc",
                    1,
                    7,
                )],
            },
        ];
        let expected = HeapProfile {
            total_blocks: 7,
            total_bytes: 142,
            stages,
        };
        assert_eq!(profile, expected);
        let json = serde_json::to_string(&profile).unwrap();
        assert_eq!(serde_json::from_str::<HeapProfile>(&json).unwrap(), profile);
    }

    #[test]
    fn another_version_or_a_broken_table_is_an_error() {
        let later = FILE.replace("\"dhatFileVersion\": 2", "\"dhatFileVersion\": 3");
        let error = HeapProfile::parse(&later, 1).unwrap_err();
        assert_eq!(error.to_string(), "it is of version 3, not of 2");
        let broken = FILE.replace("[1, 2]}", "[1, 99]}");
        HeapProfile::parse(&broken, 1).unwrap_err();
        HeapProfile::parse("{}", 1).unwrap_err();
    }

    #[test]
    fn a_frame_is_stripped_of_address_and_place() {
        let frame = "0x1f: a::b::<(u8, (u8,))> (src/b.rs:1:2)";
        assert_eq!(function_of(frame), "a::b::<(u8, (u8,))>");
        assert_eq!(function_of("0x1f: a::b (???:0:0)"), "a::b");
        assert_eq!(function_of("[root]"), "[root]");
    }
}
