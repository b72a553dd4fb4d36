//! Why a scenario became slower, from profiles of both revisions. Pure.

use std::path::Path;

use super::results::{Explanation, Growth};
use crate::profile::delta::{self, Delta};
use crate::profile::record::{PAGE_FILE, PROFILES_FOLDER};
use crate::profile::results::{ArmProfile, ProfileResults};
use crate::report::profile::DIFFERENCE_FILE;

/// Functions that are named.
const FUNCTIONS: usize = 5;

/// Smaller growth, as a share of the whole, is not named: a load's CPU time varies by as much.
const LEAST_SHARE: f64 = 0.01;

impl Explanation {
    /// What the profiles of a scenario say, whose files are in `folder`.
    #[must_use]
    pub fn new(profile: &ProfileResults, folder: &Path) -> Self {
        let own = format!("{PROFILES_FOLDER}/{}", profile.folder);
        let difference = format!("{own}/{DIFFERENCE_FILE}");
        Self {
            page: format!("{PROFILES_FOLDER}/{PAGE_FILE}"),
            difference: folder.join(&difference).exists().then_some(difference),
            stage: grown(&profile.arms),
            coverage: coverage(&profile.arms),
            functions: functions(profile),
        }
    }
}

/// The stage whose CPU time per row grew most, by its own clock.
fn grown([base, head]: &[ArmProfile; 2]) -> Option<Growth> {
    moved(base, head, |one| one.head - one.base)
}

/// The stage whose CPU time per row fell most.
#[must_use]
pub(crate) fn shrunk([base, head]: &[ArmProfile; 2]) -> Option<Growth> {
    moved(base, head, |one| one.base - one.head)
}

/// The stage that moved `by` most, if that is more than noise.
fn moved(base: &ArmProfile, head: &ArmProfile, by: fn(&Growth) -> f64) -> Option<Growth> {
    let (base, head) = (base.attribution.as_ref()?, head.attribution.as_ref()?);
    let stages = head.stages.iter().filter_map(|of_head| {
        let mut of_base = base.stages.iter();
        let of_base = of_base.find(|one| one.stage == of_head.stage)?;
        Some(Growth {
            name: of_head.stage.clone(),
            base: of_base.clocked,
            head: of_head.clocked,
        })
    });
    let whole: f64 = base.stages.iter().map(|one| one.clocked).sum();
    stages
        .filter(|one| by(one) > LEAST_SHARE * whole)
        .max_by(|a, b| by(a).total_cmp(&by(b)))
}

fn coverage([base, head]: &[ArmProfile; 2]) -> Option<f64> {
    let (base, head) = (base.sampling?, head.sampling?);
    Some(base.coverage.min(head.coverage))
}

/// The functions whose own cost clearly grew, the largest growth first.
fn functions(profile: &ProfileResults) -> Vec<Growth> {
    let grew = |delta: &&Delta| {
        delta.difference > 0.0 && !delta.is_noise() && delta.name != delta::NO_CRATE
    };
    let functions = profile.own_functions.iter().filter(grew).take(FUNCTIONS);
    functions
        .map(|delta| Growth {
            name: delta.name.clone(),
            base: delta.baseline,
            head: delta.candidate,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::example;
    use crate::stats::Interval;

    #[test]
    fn what_grew_is_named_and_what_shrank_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut profile = ProfileResults::new(&example::record(), 0.95);
        let shrunk = Explanation::new(&profile, folder.path());
        assert_eq!(shrunk.difference, None);

        profile.arms.swap(0, 1);
        for delta in &mut profile.own_functions {
            std::mem::swap(&mut delta.baseline, &mut delta.candidate);
            delta.difference = -delta.difference;
            delta.interval = delta.interval.map(|Interval { low, high }| Interval {
                low: -high,
                high: -low,
            });
        }
        let picture = folder.path().join(PROFILES_FOLDER).join(&profile.folder);
        std::fs::create_dir_all(&picture).unwrap();
        std::fs::write(picture.join(DIFFERENCE_FILE), "").unwrap();
        let grown = Explanation::new(&profile, folder.path());
        let difference = grown.difference.unwrap();
        assert!(folder.path().join(difference).exists());
        assert!(grown.coverage.unwrap() > 0.5);

        // What grew one way shrank the other.
        assert_ne!(grown.stage, shrunk.stage);
        let fell = super::shrunk(&profile.arms);
        assert!(fell.iter().all(|one| one.head < one.base), "{fell:?}");
        profile.arms.swap(0, 1);
        let name = |stage: &Option<Growth>| stage.as_ref().map(|one| one.name.clone());
        assert_eq!(name(&super::shrunk(&profile.arms)), name(&grown.stage));
        let named =
            |all: &[Growth]| -> Vec<String> { all.iter().map(|one| one.name.clone()).collect() };
        let (up, down) = (named(&grown.functions), named(&shrunk.functions));
        assert!(!up.is_empty());
        assert!(
            up.iter().all(|name| !down.contains(name)),
            "{up:?} {down:?}"
        );
        for one in grown.functions.iter().chain(&grown.stage) {
            assert!(one.head > one.base, "{one:?}");
        }
    }
}
