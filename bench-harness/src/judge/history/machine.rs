//! Where results were made: a digest to tell machines apart, and a line to read.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::short_digest;
use crate::fingerprint::{Fingerprint, Server};
use crate::format::plain;

/// Machine, toolchain and server of a result.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Equal for machines whose results may be compared, and different for all others.
    pub digest: String,
    /// Machine, server and build, for people.
    pub name: String,
}

impl Machine {
    /// The machine of `fingerprint`.
    ///
    /// Its digest is over all that [`Fingerprint::incomparable_with`] looks at. A field that is new in
    /// the fingerprint gives another digest, because earlier results may not compare.
    ///
    /// # Errors
    /// When the fingerprint cannot be serialised.
    pub fn new(fingerprint: &Fingerprint) -> Result<Self> {
        let mut compared = fingerprint.clone();
        compared.machine.memory_bytes = installed(fingerprint.machine.memory_bytes);
        // A series is about commits, so they are not part of the machine.
        compared.build.git_commit.clear();
        compared.build.git_dirty = None;
        compared.build.harness_version.clear();
        Ok(Self {
            digest: short_digest(&compared)?,
            name: name(&compared),
        })
    }
}

/// Memory that is installed where the kernel manages `bytes`.
///
/// Two boots of one machine reserve a little more or less, which a digest cannot allow for. But
/// memory comes in few sizes, and kernels reserve some per cent of it: the next eighth of a power of two
/// is the size itself, far from where two boots could round to different ones.
fn installed(bytes: u64) -> u64 {
    let eighth = (1 << bytes.max(8).ilog2()) / 8;
    bytes.next_multiple_of(eighth)
}

fn name(fingerprint: &Fingerprint) -> String {
    let Fingerprint {
        machine,
        build,
        server,
    } = fingerprint;
    let gibibytes = machine.memory_bytes as f64 / f64::from(1 << 30);
    let machine = format!(
        "{} cores of {}, {} GiB, Linux {}",
        machine.cores,
        machine.cpu_model,
        plain(gibibytes),
        machine.kernel
    );
    // Of "rustc 1.95.0 (59807616e 2026-04-14)" the version is enough.
    let compiler: Vec<&str> = build.rustc.split_whitespace().take(2).collect();
    let build = format!("{} build by {}", build.profile, compiler.join(" "));
    let server = server
        .as_ref()
        .map_or_else(|| "no server".to_owned(), server_name);
    [machine, server, build].join(" · ")
}

fn server_name(server: &Server) -> String {
    let version = server.version.split_whitespace().next();
    let storage = server.storage.map(|storage| format!(" on {storage}"));
    format!(
        "PostgreSQL {} ({}){}",
        version.unwrap_or("unknown"),
        server.kind,
        storage.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::history::example::fingerprint;

    fn digest(fingerprint: &Fingerprint) -> String {
        Machine::new(fingerprint).unwrap().digest
    }

    #[test]
    fn another_commit_on_the_same_machine_is_the_same_place() {
        let here = fingerprint();
        let mut other = here.clone();
        other.build.git_commit = "another".to_owned();
        other.build.git_dirty = Some(true);
        other.build.harness_version = "9.9.9".to_owned();
        other.machine.memory_bytes -= 40_000_000;
        assert!(here.incomparable_with(&other).is_empty());
        assert_eq!(Machine::new(&here).unwrap(), Machine::new(&other).unwrap());
    }

    #[test]
    fn whatever_keeps_results_from_being_compared_makes_another_place() {
        let changes: [fn(&mut Fingerprint); 12] = [
            |one| one.machine.cpu_model.push('X'),
            |one| one.machine.cores += 1,
            |one| one.machine.memory_bytes *= 2,
            |one| one.machine.kernel.push('X'),
            |one| one.machine.os.push('X'),
            |one| one.build.rustc.push('X'),
            |one| one.build.profile.push('X'),
            |one| one.server = None,
            |one| one.server.as_mut().unwrap().kind.push('X'),
            |one| one.server.as_mut().unwrap().storage = None,
            |one| one.server.as_mut().unwrap().image_digest = Some("X".to_owned()),
            |one| {
                let settings = &mut one.server.as_mut().unwrap().settings;
                settings.insert("fsync".to_owned(), "off".to_owned());
            },
        ];
        let here = fingerprint();
        for (nth, change) in changes.iter().enumerate() {
            let mut other = here.clone();
            change(&mut other);
            assert!(!here.incomparable_with(&other).is_empty(), "{nth}");
            assert_ne!(digest(&here), digest(&other), "{nth}");
        }
    }

    #[test]
    fn digest_and_name_stay_the_same_across_versions() {
        let place = Machine::new(&fingerprint()).unwrap();
        insta::assert_snapshot!(format!("{} {}", place.digest, place.name));
    }

    #[test]
    fn memory_is_that_which_was_installed() {
        for (managed, sold) in [
            (25_276_510_208, 24_u64 << 30),
            (8_200_000_000, 8 << 30),
            (67_300_000_000, 64 << 30),
            (270_000_000_000, 256 << 30),
            (4 << 30, 4 << 30),
        ] {
            assert_eq!(installed(managed), sold, "{managed}");
        }
        assert_eq!(installed(0), 0);
    }
}
