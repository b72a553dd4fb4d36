//! Profiles as files: a page with its Markdown, the figures for programs, and the pictures.

use anyhow::{Context, Result};

use super::{html, markdown, sections};
use crate::format::one_line;
use crate::profile::flamegraph::{
    Caption, Orientation, PER_1000_ROWS, Scaled, Widths, draw, draw_difference,
};
use crate::profile::pprof;
use crate::profile::record::{Observed, ProfileRecord};
use crate::profile::results::{ProfileResults, merged};

/// The same as Markdown.
pub(crate) const MARKDOWN_FILE: &str = "index.md";

/// Figures for programs, in the same folder.
pub(crate) const JSON_FILE: &str = "profiles.json";

/// The picture of the candidate, coloured by what it costs more or less than the baseline.
pub(crate) const DIFFERENCE_FILE: &str = "difference-in-candidate.svg";

/// The page of `profiles`.
///
/// # Errors
/// When the template fails.
pub(crate) fn page(profiles: &[ProfileResults]) -> Result<String> {
    let data = json(profiles)?;
    html::page(&sections::profiles(profiles), &html::compressed(&data)?)
}

/// The same as Markdown.
#[must_use]
pub(crate) fn markdown(profiles: &[ProfileResults]) -> String {
    markdown::page(&sections::profiles(profiles))
}

/// The figures.
///
/// # Errors
/// When they cannot be serialised.
pub(crate) fn json(profiles: &[ProfileResults]) -> Result<String> {
    let mut text = serde_json::to_string_pretty(profiles).context("cannot serialise profiles")?;
    text.push('\n');
    Ok(text)
}

/// A sentence for each profile.
#[must_use]
pub(crate) fn in_short(profiles: &[ProfileResults]) -> Vec<String> {
    sections::profiles_in_short(profiles)
}

/// The files of one profile, by name: flame graphs, differences, and profiles for pprof. None where
/// an arm was not sampled.
///
/// # Errors
/// When one cannot be drawn.
pub(crate) fn pictures(record: &ProfileRecord) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let sides = [0, 1].map(|arm| merged(record, arm));
    if sides.iter().any(|side| side.stacks.is_empty()) {
        return Ok(Vec::new());
    }
    let shown = sides.each_ref().map(|side| side.stacks.readable());
    let scaled = [0, 1].map(|arm| Scaled {
        stacks: &shown[arm],
        unit: sides[arm].sample_cost,
    });
    let scenario = one_line(&record.subject.scenario);
    let [baseline, candidate] = record.subject.arms.each_ref().map(|name| one_line(name));
    let captions = [&baseline, &candidate].map(|arm| format!("{arm}: {scenario}"));
    let alone = |arm: usize, orientation| {
        let caption = Caption {
            title: &captions[arm],
            subtitle: "processor time of the engine",
            unit: PER_1000_ROWS,
        };
        draw(scaled[arm], orientation, caption).map(String::into_bytes)
    };
    let title = format!("{candidate} less {baseline}: {scenario}");
    let difference = |widths, subtitle| {
        let caption = Caption {
            title: &title,
            subtitle,
            unit: PER_1000_ROWS,
        };
        draw_difference(scaled[0], scaled[1], widths, caption).map(String::into_bytes)
    };
    let protobuf = |arm: usize| {
        let (frequency, seconds) = sampled(record, arm);
        pprof::encode(
            &sides[arm].stacks,
            frequency,
            std::time::Duration::from_secs_f64(seconds),
        )
    };
    Ok(vec![
        ("baseline.svg", alone(0, Orientation::Flames)?),
        ("candidate.svg", alone(1, Orientation::Flames)?),
        ("baseline-icicle.svg", alone(0, Orientation::Icicles)?),
        ("candidate-icicle.svg", alone(1, Orientation::Icicles)?),
        (
            "difference-in-baseline.svg",
            difference(
                Widths::Baseline,
                "as wide as in the baseline; red is more in the candidate",
            )?,
        ),
        (
            DIFFERENCE_FILE,
            difference(
                Widths::Candidate,
                "as wide as in the candidate; red is more in the candidate",
            )?,
        ),
        ("baseline.folded", sides[0].stacks.folded(1.0).into_bytes()),
        ("candidate.folded", sides[1].stacks.folded(1.0).into_bytes()),
        ("baseline.pb.gz", protobuf(0)?),
        ("candidate.pb.gz", protobuf(1)?),
    ])
}

/// Samples per second, and seconds that were sampled, of an arm.
fn sampled(record: &ProfileRecord, arm: usize) -> (u32, f64) {
    let of_arm = record.loads.iter().filter(|load| load.arm == arm);
    of_arm.fold((0, 0.0), |(frequency, seconds), load| match &load.seen {
        Observed::Sampled(sampled) => (sampled.frequency_hz, seconds + load.report.wall_seconds),
        Observed::Watched(_) | Observed::Heap(_) => (frequency, seconds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::example;

    #[test]
    fn report_of_a_constructed_profile() {
        let results = [ProfileResults::new(&example::record(), 0.95)];
        insta::assert_snapshot!(markdown(&results));
        assert_eq!(in_short(&results).len(), 1);
    }

    #[test]
    fn a_page_leads_to_every_picture_that_there_is() {
        let record = example::record();
        let page = page(&[ProfileResults::new(&record, 0.95)]).unwrap();
        let page = page.replace("&#x2f;", "/");
        for (name, bytes) in pictures(&record).unwrap() {
            assert!(!bytes.is_empty(), "{name}");
            let path = format!("copy-vs-insert-on-tuned/{name}");
            assert!(name.ends_with(".folded") || page.contains(&path), "{name}");
        }
    }

    #[test]
    fn without_samples_there_is_nothing_to_draw() {
        let record = ProfileRecord {
            loads: Vec::new(),
            ..example::record()
        };
        assert!(pictures(&record).unwrap().is_empty());
        let results = [ProfileResults::new(&record, 0.95)];
        assert!(markdown(&results).contains("No load was watched"));
    }
}
