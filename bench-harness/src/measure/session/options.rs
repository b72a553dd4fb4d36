//! What a run is told.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use crate::experiment::{Definition, Scale, ScenarioPlan};
use crate::fingerprint::{Build, Fingerprint};
use crate::measure::load::Tampering;
use crate::measure::profiling::Profiling;
use testkit::postgres::{PostgresOptions, PostgresServer};

/// What to run, and where its results go.
#[derive(Debug, Clone)]
pub(crate) struct RunOptions {
    /// The command as it was typed, program first, without passwords.
    pub command: Vec<String>,
    /// This program, which is also the worker and the mock API.
    pub program: PathBuf,
    /// Programs of other revisions, by the names of the arms that they run.
    pub revisions: BTreeMap<String, PathBuf>,
    /// The build that is measured, if it is not this program's.
    pub build: Option<Build>,
    /// The fingerprint that the run must have to be useful; a run with another one is refused.
    pub only_at: Option<Fingerprint>,
    /// The claims; a run without claims has no report.
    pub experiments: Vec<Definition>,
    /// Their scenarios, in order.
    pub scenarios: Vec<ScenarioPlan>,
    /// How much time the run has.
    pub scale: Scale,
    /// Blocks after which the server is started anew, where it can be: one by URL cannot.
    pub blocks_per_session: Option<NonZero<usize>>,
    /// How long blocks are added to claims that are not decided; needs sessions.
    pub until_decided: Option<Duration>,
    /// Whether flagged comparisons are measured again, where the server is not started anew.
    pub confirms: bool,
    /// The server.
    pub postgres: PostgresOptions,
    /// Seed of the order of samples.
    pub seed: u64,
    /// Folder for the run's own folder.
    pub out: PathBuf,
    /// File of the noise that was measured on this machine; `None` leaves thresholds uncalibrated.
    pub calibration: Option<PathBuf>,
    /// Seed of the expected rows, if they differ from the loaded ones: then every sample is wrong, which
    /// shows that verification works.
    pub expect_seed: Option<u64>,
    /// A cell to change after one sample of a scenario.
    pub tampering: Option<(String, Tampering)>,
    /// How scenarios are profiled after their samples; `None` does not profile.
    pub profiling: Option<Profiling>,
    /// Whether samples are taken; otherwise only profiles.
    pub samples: bool,
    /// Folder of an earlier run for the profiles; otherwise they get a new folder.
    pub into: Option<PathBuf>,
}

impl RunOptions {
    /// What figures taken on `server` may be compared with.
    pub(super) fn fingerprint(&self, server: &PostgresServer) -> Fingerprint {
        let here = Fingerprint::take(Some(server));
        Fingerprint {
            build: self.build.clone().unwrap_or(here.build),
            ..here
        }
    }
}
