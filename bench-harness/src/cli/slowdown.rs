//! A stage that a build slows down on purpose, to test the gate.

use anyhow::{Context, Result, ensure};
use apitap_core::stage;

/// The variable by which a build slows down a stage.
pub(super) const SLOWDOWN: &str = "APITAP_SLOWDOWN";

/// Nothing is slowed down, in a build with slowdowns.
pub(super) const NO_SLOWDOWN: &str = "none";

/// `none`, or a stage with a share.
pub(super) fn slowdown(text: &str) -> Result<String> {
    if text == NO_SLOWDOWN {
        return Ok(text.to_owned());
    }
    let expected = || {
        let stages: Vec<&str> = stage::ALL.iter().map(|(stage, _)| *stage).collect();
        format!(
            "expected none, or STAGE=SHARE% such as decode=10%; stages are {}",
            stages.join(", ")
        )
    };
    let (name, share) = text.split_once('=').with_context(expected)?;
    ensure!(
        stage::ALL.iter().any(|(stage, _)| *stage == name),
        expected()
    );
    let share = share.strip_suffix('%').with_context(expected)?;
    let share: f64 = share.parse().ok().with_context(expected)?;
    ensure!(share > 0.0 && share <= 1_000.0, expected());
    Ok(text.to_owned())
}
