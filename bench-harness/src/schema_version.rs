//! The version of a JSON file's layout.

use anyhow::{Context, Result};
use serde::Deserialize;

/// The `schema_version` that `text` states; a file of another version need not have the other fields.
///
/// # Errors
/// When there is none.
pub(crate) fn read(text: &str) -> Result<u32> {
    #[derive(Deserialize)]
    struct Versioned {
        schema_version: u32,
    }
    let versioned: Versioned = serde_json::from_str(text).context("no schema_version")?;
    Ok(versioned.schema_version)
}
