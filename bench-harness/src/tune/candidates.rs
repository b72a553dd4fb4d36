//! What may be tried: a configuration as changes to `tuned`, and which of two do the same.

use std::collections::BTreeMap;
use std::fmt;

use apitap_core::Config;
use apitap_core::config::knobs::{KNOBS, Knob};

/// A knob with the values that are tried, the mildest first: of values that are as fast, the first is
/// taken.
#[derive(Debug)]
pub(super) struct Tried {
    /// Its name.
    pub(super) knob: &'static str,
    /// Its values.
    pub(super) values: &'static [&'static str],
}

/// How many requests are under way.
pub(super) const CONCURRENCY: &str = "source.concurrency";
/// How many rows a page has.
pub(super) const PAGE_ROWS: &str = "source.page_rows";
/// How many connections load.
pub(super) const CONNECTIONS: &str = "write.connections";
const WRITE_BATCH_ROWS: &str = "write.batch_rows";
const DECODE_BATCH_ROWS: &str = "decode.batch_rows";

/// The knobs in the order in which they are tried: along the way of a row. What holds a load up most is
/// usually the API, and behind it nothing else shows.
pub(super) const TRIED: &[Tried] = &[
    Tried {
        knob: PAGE_ROWS,
        values: &["1000", "100", "5000"],
    },
    // More requests at a time weigh more on the API.
    Tried {
        knob: CONCURRENCY,
        values: &["1", "2", "4", "8", "16", "32"],
    },
    Tried {
        knob: CONNECTIONS,
        values: &["1", "2", "4"],
    },
    Tried {
        knob: "write.method",
        values: &["copy-binary", "copy-text"],
    },
    // A flush is held in memory, and so is a batch.
    Tried {
        knob: WRITE_BATCH_ROWS,
        values: &["1000", "5000", "20000"],
    },
    Tried {
        knob: "transform.partitions",
        values: &["1", "2"],
    },
    Tried {
        knob: DECODE_BATCH_ROWS,
        values: &["8192", "2048", "512"],
    },
];

/// Knobs that say what a load does, or where it stops, and not how fast it is. A pipeline keeps them.
const KEPT: &[&str] = &[
    "source.connect_timeout",
    "source.read_timeout",
    "source.total_timeout",
    "source.max_body_bytes",
    "decode.unknown_fields",
    "infer.sample_rows",
    "infer.cache",
    "infer.timestamps",
    "transform.memory_limit_bytes",
    "write.mode",
];

/// A configuration: `tuned` with some of the knobs changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Candidate {
    changes: BTreeMap<&'static str, String>,
}

impl Candidate {
    /// Without changes.
    #[must_use]
    pub(super) fn tuned() -> Self {
        Self::default()
    }

    /// What `config` says of the knobs that are tried.
    #[must_use]
    pub(super) fn of(config: &Config) -> Self {
        TRIED.iter().fold(Self::tuned(), |candidate, tried| {
            candidate.with(tried.knob, &value(tried.knob, config))
        })
    }

    /// The same with another value of `knob`.
    #[must_use]
    pub(super) fn with(mut self, knob: &'static str, value: &str) -> Self {
        if value == tuned_value(knob) {
            self.changes.remove(knob);
        } else {
            self.changes.insert(knob, value.to_owned());
        }
        self
    }

    /// The value of `knob`.
    #[must_use]
    pub(super) fn value(&self, knob: &str) -> String {
        let changed = self.changes.get(knob).cloned();
        changed.unwrap_or_else(|| tuned_value(knob))
    }

    /// The knobs that differ from `tuned`.
    pub(super) fn changed(&self) -> impl Iterator<Item = &'static str> {
        self.changes.keys().copied()
    }

    /// How many knobs differ from `tuned`.
    #[must_use]
    pub(super) fn change_count(&self) -> usize {
        self.changes.len()
    }

    /// Without the change of `knob`.
    #[must_use]
    pub(super) fn without(&self, knob: &str) -> Self {
        let mut other = self.clone();
        other.changes.remove(knob);
        other
    }

    /// The changes, as `stage.knob=value`.
    #[must_use]
    pub(super) fn settings(&self) -> Vec<String> {
        let changes = self.changes.iter();
        changes
            .map(|(knob, value)| format!("{knob}={value}"))
            .collect()
    }

    fn number(&self, knob: &str) -> u64 {
        self.value(knob).parse().unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.changes.is_empty() {
            return f.write_str("tuned");
        }
        f.write_str(&self.settings().join(" "))
    }
}

/// What `config` says of the knobs that every candidate keeps, where it differs from `tuned`.
#[must_use]
pub(crate) fn kept(config: &Config) -> Vec<String> {
    let of = |knob: &&str| {
        let own = value(knob, config);
        (own != tuned_value(knob)).then(|| format!("{knob}={own}"))
    };
    KEPT.iter().filter_map(of).collect()
}

fn value(name: &str, config: &Config) -> String {
    let knob: Option<&Knob> = KNOBS.iter().find(|knob| knob.name == name);
    knob.map(|knob| knob.value(config)).unwrap_or_default()
}

fn tuned_value(name: &str) -> String {
    value(name, &Config::default())
}

/// What is known of the loads, and makes some candidates alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    /// How the sources are asked for their pages.
    pub(crate) asking: Asking,
    /// Whether what is faster through several connections here is so for the user too.
    pub(crate) tries_connections: bool,
    /// Rows that the sources deliver; none if they were not read yet.
    rows: Option<u64>,
    /// Most rows that a page has, whatever was asked for; none where no page showed it.
    page_limit: Option<u64>,
}

/// How sources are asked for their pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asking {
    /// Whether a request says how many rows it wants.
    pub(crate) says_page_rows: bool,
    /// Whether pages can be asked for before the ones in front of them have come.
    pub(crate) ahead: bool,
    /// Whether there is one source, whose pages the figures of a load are about.
    pub(crate) alone: bool,
}

impl Facts {
    /// Before the first load.
    #[must_use]
    pub(crate) fn new(asking: Asking, tries_connections: bool) -> Self {
        Self {
            asking,
            tries_connections,
            rows: None,
            page_limit: None,
        }
    }

    /// With what the first load showed: `pages` of `rows` rows together, when `asked` were asked for in
    /// each.
    #[must_use]
    pub(super) fn learned(mut self, rows: u64, pages: u64, asked: u64) -> Self {
        self.rows = Some(rows);
        if !self.asking.alone || rows == 0 || pages == 0 {
            return self;
        }
        // One more page than the rows need makes sure of the end.
        let has_limit = !self.asking.says_page_rows || pages > rows.div_ceil(asked.max(1)) + 1;
        // Up to a page of a row more: a last page is rarely full.
        self.page_limit = has_limit.then(|| rows.div_ceil(pages));
        self
    }

    /// The candidates that differ from `candidate` in `tried` alone, and that do something else than it
    /// and than each other; in the order of the values.
    #[must_use]
    pub(super) fn neighbours(&self, candidate: &Candidate, tried: &Tried) -> Vec<Candidate> {
        if tried.knob == CONNECTIONS && !self.tries_connections {
            return Vec::new();
        }
        let mut found: Vec<Candidate> = Vec::new();
        for value in tried.values {
            let other = candidate.clone().with(tried.knob, value);
            let known = found.iter().chain([candidate]);
            if known
                .map(|one| self.effect(one))
                .all(|one| one != self.effect(&other))
            {
                found.push(other);
            }
        }
        found
    }

    /// Whether two candidates do the same.
    #[must_use]
    pub(super) fn are_alike(&self, one: &Candidate, other: &Candidate) -> bool {
        self.effect(one) == self.effect(other)
    }

    /// What a candidate comes to: values beyond which nothing changes any more are cut.
    fn effect(&self, candidate: &Candidate) -> BTreeMap<&'static str, String> {
        let asked = match self.asking.says_page_rows {
            true => candidate.number(PAGE_ROWS),
            false => u64::MAX,
        };
        let page = asked.min(self.page_limit.unwrap_or(u64::MAX));
        let rows = self.rows.unwrap_or(u64::MAX);
        let page = page.min(rows).max(1);
        let cut = |knob: &str| match knob {
            PAGE_ROWS => Some(page),
            CONCURRENCY if !self.asking.ahead => Some(1),
            // The pages of several sources are not known.
            CONCURRENCY if self.asking.alone => Some(rows.div_ceil(page)),
            // A batch ends with its page.
            DECODE_BATCH_ROWS if self.asking.alone => Some(page),
            WRITE_BATCH_ROWS => Some(rows),
            _ => None,
        };
        let tried = TRIED.iter().map(|tried| {
            let value = match cut(tried.knob) {
                Some(most) => candidate.number(tried.knob).min(most).to_string(),
                None => candidate.value(tried.knob),
            };
            (tried.knob, value)
        });
        tried.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERED: Asking = Asking {
        says_page_rows: true,
        ahead: true,
        alone: true,
    };

    fn values(facts: &Facts, knob: &'static str) -> Vec<String> {
        let tried = TRIED.iter().find(|tried| tried.knob == knob).unwrap();
        let found = facts.neighbours(&Candidate::tuned(), tried);
        found.iter().map(|one| one.value(knob)).collect()
    }

    #[test]
    fn every_value_is_one_that_the_engine_takes_and_tuned_is_among_them() {
        for tried in TRIED {
            assert!(
                tried.values.contains(&tuned_value(tried.knob).as_str()),
                "{tried:?}"
            );
            for value in tried.values {
                Config::default()
                    .with(&format!("{}={value}", tried.knob))
                    .unwrap();
            }
        }
        for knob in KEPT {
            assert!(KNOBS.iter().any(|one| one.name == *knob), "{knob}");
            assert!(!TRIED.iter().any(|one| one.knob == *knob), "{knob}");
        }
    }

    #[test]
    fn a_candidate_is_what_differs_from_tuned() {
        let same = Candidate::of(&Config::default());
        assert_eq!(
            (same.to_string().as_str(), &same),
            ("tuned", &Candidate::tuned())
        );
        let other = Config::preset("before").unwrap();
        let other = Candidate::of(&other);
        assert_eq!(
            other.to_string(),
            "decode.batch_rows=256 source.concurrency=1 source.page_rows=50 write.batch_rows=100 \
             write.method=insert"
        );
        assert_eq!(other.change_count(), 5);
        let back = other.clone().with(CONCURRENCY, "4");
        assert_eq!(back, other.without(CONCURRENCY));
    }

    #[test]
    fn a_pipeline_keeps_what_is_not_about_speed() {
        let config = Config::preset("before").unwrap();
        assert_eq!(kept(&config), Vec::<String>::new());
        let config = config.with("decode.unknown_fields=ignore").unwrap();
        assert_eq!(kept(&config), ["decode.unknown_fields=ignore"]);
    }

    #[test]
    fn before_the_first_load_everything_may_differ() {
        let facts = Facts::new(NUMBERED, true);
        assert_eq!(values(&facts, PAGE_ROWS), ["100", "5000"]);
        assert_eq!(values(&facts, CONCURRENCY), ["1", "2", "8", "16", "32"]);
        assert_eq!(values(&facts, CONNECTIONS), ["2", "4"]);
        // A batch is no larger than a page of 1,000.
        assert_eq!(values(&facts, DECODE_BATCH_ROWS), ["512"]);
    }

    #[test]
    fn a_page_size_that_the_api_caps_is_not_tried_again() {
        // 100,000 rows in pages of 100, the last of which was empty.
        let facts = Facts::new(NUMBERED, true).learned(100_000, 1_001, 1_000);
        assert_eq!(facts.page_limit, Some(100));
        assert_eq!(values(&facts, PAGE_ROWS), Vec::<String>::new());
        assert_eq!(values(&facts, DECODE_BATCH_ROWS), Vec::<String>::new());
        // An API that gives what is asked for, and a page to make sure.
        let facts = Facts::new(NUMBERED, true).learned(100_000, 101, 1_000);
        assert_eq!(facts.page_limit, None);
        assert_eq!(values(&facts, PAGE_ROWS), ["100", "5000"]);
    }

    #[test]
    fn knobs_without_effect_are_not_tried() {
        let chained = Asking {
            says_page_rows: false,
            ahead: false,
            ..NUMBERED
        };
        let facts = Facts::new(chained, false).learned(5_000, 50, 1_000);
        for knob in [PAGE_ROWS, CONCURRENCY, CONNECTIONS] {
            assert_eq!(values(&facts, knob), Vec::<String>::new(), "{knob}");
        }
        assert_eq!(values(&facts, WRITE_BATCH_ROWS), ["5000"]);
        // Three pages are asked for at once by four requests as by 32.
        let facts = Facts::new(NUMBERED, true).learned(2_500, 3, 1_000);
        assert_eq!(values(&facts, CONCURRENCY), ["1", "2"]);
        assert_eq!(values(&facts, PAGE_ROWS), ["100", "5000"]);
    }

    #[test]
    fn pages_of_several_sources_are_not_mixed_up() {
        let several = Asking {
            alone: false,
            ..NUMBERED
        };
        let facts = Facts::new(several, true).learned(100_000, 2_000, 1_000);
        assert_eq!(values(&facts, PAGE_ROWS), ["100", "5000"]);
        assert_eq!(values(&facts, DECODE_BATCH_ROWS), ["2048", "512"]);
    }
}
