//! How often a gate is wrong: many gates of a head that equals its base, and of heads that are slowed
//! down by a known share.
//!
//! Each is a process of its own with an exit code, as in CI. The journal keeps what was run, so an
//! interrupted series continues.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::format::Percent;
use crate::stats::sample::median;
use crate::stats::{Proportion, proportion};

/// What is tried, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Series {
    /// What slows the head down, as `decode=5%`; `none` for a head that equals its base.
    pub slowdown: String,
    /// Times.
    pub trials: usize,
}

impl FromStr for Series {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (slowdown, trials) = text
            .rsplit_once('*')
            .context("expected SLOWDOWN*TIMES, such as decode=5%*100 or none*100")?;
        Ok(Self {
            slowdown: slowdown.to_owned(),
            trials: trials.parse().context("TIMES is not a number")?,
        })
    }
}

/// Who judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Judge {
    /// `apitap-bench gate`
    #[default]
    Gate,
    /// Criterion's comparison with a saved baseline
    Criterion,
}

/// The verdict of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    /// Slower.
    Slower,
    /// Faster.
    Faster,
    /// Neither.
    Neither,
    /// Inconclusive.
    Unsure,
    /// Nothing: it failed.
    Nothing,
}

/// One trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trial {
    /// Who judged.
    pub judge: Judge,
    /// What was judged and how: trials of another revision or with other arguments are other trials.
    pub setup: String,
    /// What slowed the head down.
    pub slowdown: String,
    /// Its verdict.
    pub said: Said,
    /// How long it took.
    pub seconds: f64,
}

/// Appends a trial to a journal.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn append(journal: &Path, trial: &Trial) -> Result<()> {
    let mut line = serde_json::to_string(trial).context("cannot serialise a trial")?;
    line.push('\n');
    let file = OpenOptions::new().append(true).create(true).open(journal);
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .with_context(|| format!("cannot write to {}", journal.display()))
}

/// The trials of a journal; none where there is none.
///
/// # Errors
/// When a line is not a trial.
pub(crate) fn read(journal: &Path) -> Result<Vec<Trial>> {
    if !journal.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(journal)?;
    text.lines()
        .enumerate()
        .map(|(index, line)| {
            serde_json::from_str(line).with_context(|| {
                format!("line {} of {} is not a trial", index + 1, journal.display())
            })
        })
        .collect()
}

/// A series by one judge, counted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tally {
    /// Who judged.
    pub judge: Judge,
    /// What slowed the head down.
    pub slowdown: String,
    /// How often it was called slower.
    pub slower: Proportion,
    /// How often it was called faster.
    pub faster: usize,
    /// How often it was inconclusive.
    pub unsure: usize,
    /// Trials that failed; they are in no share.
    pub failed: usize,
    /// How long a trial took.
    pub median_seconds: f64,
}

/// The series of `trials` of one `setup`, in the order in which they first appear.
#[must_use]
pub(crate) fn tally(trials: &[Trial], setup: &str, confidence: f64) -> Vec<Tally> {
    let trials: Vec<&Trial> = trials.iter().filter(|one| one.setup == setup).collect();
    let mut series: Vec<(Judge, &str)> = Vec::new();
    for trial in &trials {
        let of_trial = (trial.judge, trial.slowdown.as_str());
        if !series.contains(&of_trial) {
            series.push(of_trial);
        }
    }
    let count = |(judge, slowdown): (Judge, &str)| {
        let own: Vec<&Trial> = trials
            .iter()
            .filter(|one| one.judge == judge && one.slowdown == slowdown)
            .copied()
            .collect();
        let said = |said| own.iter().filter(|one| one.said == said).count();
        let failed = said(Said::Nothing);
        let seconds: Vec<f64> = own.iter().map(|one| one.seconds).collect();
        Some(Tally {
            judge,
            slowdown: slowdown.to_owned(),
            slower: proportion(said(Said::Slower), own.len() - failed, confidence)?,
            faster: said(Said::Faster),
            unsure: said(Said::Unsure),
            failed,
            median_seconds: median(&seconds)?,
        })
    };
    series.into_iter().filter_map(count).collect()
}

/// The tallies as a Markdown table.
#[must_use]
pub(crate) fn table(tallies: &[Tally]) -> String {
    let mut text = String::from(
        "| judged by | head | trials | called slower | share (95% interval) | inconclusive | called faster | failed | seconds a verdict |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for one in tallies {
        let Proportion {
            events,
            trials,
            interval,
        } = one.slower;
        text += &format!(
            "| {} | {} | {trials} | {events} | {} ({} to {}) | {} | {} | {} | {:.1} |\n",
            one.judge,
            one.head(),
            Percent(events as f64 / trials as f64),
            Percent(interval.low),
            Percent(interval.high),
            one.unsure,
            one.faster,
            one.failed,
            one.median_seconds,
        );
    }
    text
}

impl Tally {
    fn head(&self) -> String {
        match self.slowdown.split_once('=') {
            Some((stage, share)) => format!("{share} slower, in {stage}"),
            None => "equal to its base".to_owned(),
        }
    }
}

impl fmt::Display for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gate => "gate",
            Self::Criterion => "criterion",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(slowdown: &str, said: Said) -> Trial {
        Trial {
            judge: Judge::Gate,
            setup: "abc --blocks 12".to_owned(),
            slowdown: slowdown.to_owned(),
            said,
            seconds: 10.0,
        }
    }

    #[test]
    fn series_are_written_with_their_times() {
        let series: Series = "decode=5%*100".parse().unwrap();
        assert_eq!(
            (series.slowdown.as_str(), series.trials),
            ("decode=5%", 100)
        );
        "decode=5%".parse::<Series>().unwrap_err();
        "none*x".parse::<Series>().unwrap_err();
    }

    #[test]
    fn trials_are_counted_by_series_and_failures_are_in_no_share() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("trials.ndjson");
        assert!(read(&journal).unwrap().is_empty());
        for (slowdown, said) in [
            ("none", Said::Neither),
            ("decode=5%", Said::Slower),
            ("none", Said::Faster),
            ("decode=5%", Said::Slower),
            ("decode=5%", Said::Nothing),
            ("decode=5%", Said::Unsure),
        ] {
            append(&journal, &trial(slowdown, said)).unwrap();
        }
        let other = Trial {
            setup: "abc --blocks 6".to_owned(),
            ..trial("none", Said::Slower)
        };
        append(&journal, &other).unwrap();
        let tallies = tally(&read(&journal).unwrap(), "abc --blocks 12", 0.95);
        let counts = |one: &Tally| {
            let slower = (one.slower.events, one.slower.trials);
            (slower, one.unsure, one.faster, one.failed)
        };
        assert_eq!(counts(&tallies[0]), ((0, 2), 0, 1, 0));
        assert_eq!(counts(&tallies[1]), ((2, 3), 1, 0, 1));
        let text = table(&tallies);
        assert!(
            text.contains("| gate | equal to its base | 2 | 0 | 0"),
            "{text}"
        );
        assert!(
            text.contains("| 5% slower, in decode | 3 | 2 | 66.7%"),
            "{text}"
        );
    }
}
