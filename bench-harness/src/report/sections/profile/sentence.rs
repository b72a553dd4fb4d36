//! In one sentence: what became of the baseline's time, and what bounds the candidate.

use apitap_core::budget::{Budget, Part};

use crate::format::{Percent, Seconds, Times, one_line};
use crate::profile::results::ProfileResults;
use crate::report::sections::format::listed;

/// Parts below this share of the difference are not named in a sentence.
const WORTH_NAMING: f64 = 0.1;

/// In one sentence: what became of the baseline's time, and what bounds the candidate.
#[must_use]
pub(super) fn sentence(profile: &ProfileResults) -> String {
    let [baseline, candidate] = &profile.arms;
    let (Some(before), Some(after)) = (&baseline.budget, &candidate.budget) else {
        return "No load was watched, so nothing says where the time went.".to_owned();
    };
    let (before, after) = (
        PerRow::new(before, profile.subject.rows[0]),
        PerRow::new(after, profile.subject.rows[1]),
    );
    let difference = before.wall - after.wall;
    let mut moved: Vec<(Part, f64)> = Part::ALL
        .into_iter()
        .map(|part| (part, before.part(part) - after.part(part)))
        .filter(|(_, change)| {
            change * difference > 0.0 && change.abs() >= WORTH_NAMING * difference.abs()
        })
        .collect();
    moved.sort_by(|(_, a), (_, b)| b.abs().total_cmp(&a.abs()));
    let named: Vec<String> = moved
        .iter()
        .map(|(part, change)| format!("{} ({part})", Seconds(change.abs() / 1e6)))
        .collect();
    let (more, less) = (one_line(&baseline.name), one_line(&candidate.name));
    let saved = match (difference >= 0.0, named.is_empty()) {
        (_, true) => "No part accounts for the difference by itself".to_owned(),
        (true, false) => format!("Saved: {}", listed(&named)),
        (false, false) => format!("Added: {}", listed(&named)),
    };
    let bottleneck = after.budget.bottleneck;
    let gain = after.budget.part(bottleneck);
    format!(
        "{more} takes {} for 1,000 rows, {less} {}. {saved}. The bottleneck of {less} is {bottleneck}: {} of its time, at \
         most {} as fast without it.",
        Seconds(before.wall / 1e6),
        Seconds(after.wall / 1e6),
        Percent(after.budget.share(bottleneck)),
        Times(gain.map_or(1.0, |one| one.gain_at_most))
    )
}

/// A budget in µs per 1,000 rows.
struct PerRow<'a> {
    budget: &'a Budget,
    scale: f64,
    wall: f64,
}

impl<'a> PerRow<'a> {
    fn new(budget: &'a Budget, rows: u64) -> Self {
        let scale = 1e9 / rows.max(1) as f64;
        Self {
            budget,
            scale,
            wall: budget.wall_seconds * scale,
        }
    }

    fn part(&self, part: Part) -> f64 {
        self.budget
            .part(part)
            .map_or(0.0, |one| one.seconds * self.scale)
    }
}
