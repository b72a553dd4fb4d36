//! A change that somebody asks about.

use std::fmt;
use std::num::NonZero;
use std::str::FromStr;

use anyhow::{Result, anyhow, ensure};

use super::Kind;
use super::setting::Setting;
use crate::format::{Seconds, Whole, plain};

/// What is to be changed of a load.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Change {
    /// The round trip to the API.
    pub(crate) api_round_trip: Option<Latency>,
    /// The round trip to PostgreSQL.
    pub(crate) postgres_round_trip: Option<Latency>,
    /// The rows of the load.
    pub(crate) rows: Option<Rows>,
    /// The processors of the machine.
    pub(crate) cores: Option<NonZero<usize>>,
    /// Knobs, as `stage.knob=value`.
    pub(crate) knobs: Vec<String>,
}

/// A round trip: `2ms`, or as a multiple of what it is: `0.5x`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Latency {
    Seconds(f64),
    Times(f64),
}

/// A number of rows: `1000000`, or as a multiple of what it is: `10x`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rows {
    Count(NonZero<u64>),
    Times(f64),
}

impl Change {
    /// Whether nothing is to be changed.
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// The setting with the change.
    ///
    /// # Errors
    /// If a knob or its value is not one of the engine's.
    pub(super) fn applied_to(&self, setting: &Setting) -> Result<Setting> {
        let mut changed = setting.clone();
        let latency = |latency: Option<Latency>, now: f64| match latency {
            Some(Latency::Seconds(seconds)) => seconds,
            Some(Latency::Times(times)) => now * times,
            None => now,
        };
        changed.api_round_trip = latency(self.api_round_trip, setting.api_round_trip);
        changed.postgres_round_trip =
            latency(self.postgres_round_trip, setting.postgres_round_trip);
        changed.rows = match self.rows {
            Some(Rows::Count(rows)) => rows.get() as f64,
            Some(Rows::Times(times)) => (setting.rows * times).round().max(1.0),
            None => setting.rows,
        };
        if let Some(cores) = self.cores {
            changed.cores = cores.get() as f64;
        }
        for knob in &self.knobs {
            let config = changed.config.with(knob);
            changed.config = config.map_err(|error| anyhow!("{}", error.chain()))?;
        }
        Ok(changed)
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            _ if self.cores.is_some() || !self.knobs.is_empty() => Kind::Configuration,
            _ if self.rows.is_some() => Kind::Rows,
            _ if self.api_round_trip.is_some() => Kind::ApiRoundTrip,
            _ => Kind::PostgresRoundTrip,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let api = self.api_round_trip.iter();
        let postgres = self.postgres_round_trip.iter();
        let parts: Vec<String> = api
            .map(|latency| format!("round trip to the API {latency}"))
            .chain(postgres.map(|latency| format!("round trip to PostgreSQL {latency}")))
            .chain(self.rows.iter().map(|rows| format!("rows {rows}")))
            .chain(self.cores.iter().map(|cores| format!("{cores} cores")))
            .chain(self.knobs.iter().cloned())
            .collect();
        f.write_str(&parts.join(", "))
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(seconds) => Seconds(*seconds).fmt(f),
            Self::Times(times) => write!(f, "×{}", plain(*times)),
        }
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(rows) => Whole(rows.get()).fmt(f),
            Self::Times(times) => write!(f, "×{}", plain(*times)),
        }
    }
}

impl FromStr for Latency {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(factor) = text.strip_suffix('x') {
            return Ok(Self::Times(positive(factor)?));
        }
        let milliseconds = text
            .strip_suffix("ms")
            .ok_or_else(|| anyhow!("write it as 2ms, or as 0.5x of what it is"))?;
        Ok(Self::Seconds(positive(milliseconds)? / 1e3))
    }
}

impl FromStr for Rows {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.strip_suffix('x') {
            Some(factor) => Ok(Self::Times(positive(factor)?)),
            None => text
                .parse()
                .map(Self::Count)
                .map_err(|_| anyhow!("write it as 1000000, or as 10x of what it is")),
        }
    }
}

fn positive(text: &str) -> Result<f64> {
    let value: f64 = text
        .trim()
        .parse()
        .map_err(|_| anyhow!("{text:?} is not a number"))?;
    ensure!(value.is_finite() && value > 0.0, "{text} is not above zero");
    Ok(value)
}
