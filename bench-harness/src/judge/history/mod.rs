//! Results over time: what runs found, run after run, and where it changed.
//!
//! ```text
//! run.json, samples.ndjson ──▶ entry ──▶ file ──▶ series ──▶ report
//! ```
//!
//! The file holds one line for each metric of each arm of each run, and no raw sample. Series and
//! their change points are computed from it whenever they are shown, so that a better method can be
//! applied to an old history. A series never mixes machines, servers, builds, or what was loaded.

pub(crate) mod entry;
pub(crate) mod file;
pub(crate) mod machine;
pub(crate) mod series;

#[cfg(test)]
pub(crate) mod example;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Bytes of a digest that are kept: enough to distinguish everything that one history will ever hold.
const DIGEST_BYTES: usize = 6;

/// A short digest of `value`, in hexadecimal: the same wherever `value` serialises to the same.
///
/// # Errors
/// When it cannot be serialised.
fn short_digest(value: &impl Serialize) -> anyhow::Result<String> {
    let digest = Sha256::digest(serde_json::to_vec(value)?);
    let bytes = digest.iter().take(DIGEST_BYTES);
    Ok(bytes.map(|byte| format!("{byte:02x}")).collect())
}
