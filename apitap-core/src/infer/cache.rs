//! Inferred schemas kept between runs, by source.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Columns;
use crate::config::{InferConfig, SchemaCacheMode};
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::source::SourceSpec;

/// Schemas by source, in memory and, where the configuration names a folder, in files.
///
/// An entry counts only while the configuration is the one it was made with: [`fingerprint`]
/// says so. Whoever owns the cache decides how long it lives; there is no global.
#[derive(Debug, Default)]
pub struct SchemaCache {
    entries: Mutex<HashMap<String, Entry>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    fingerprint: u64,
    columns: Columns,
}

/// A number that changes with all that decides an inferred schema: the source's configuration
/// and how it is looked at.
pub fn fingerprint(spec: &SourceSpec, config: &InferConfig) -> u64 {
    let mut text = (config.sample_rows.get() as u64).to_le_bytes().to_vec();
    text.push(u8::from(config.timestamps));
    xxh3_64_with_seed(&text, spec.fingerprint())
}

impl SchemaCache {
    /// The columns kept for `source`, if its configuration is still the same.
    ///
    /// # Errors
    /// A file that is there and cannot be read.
    pub fn find(
        &self,
        mode: &SchemaCacheMode,
        source: &str,
        fingerprint: u64,
    ) -> Result<Option<Columns>> {
        let entry = match mode {
            SchemaCacheMode::Off => None,
            SchemaCacheMode::Memory => self.lock().get(source).cloned(),
            SchemaCacheMode::File(folder) => read(&path(folder, source))?,
        };
        match entry {
            Some(entry) if entry.fingerprint == fingerprint => Ok(Some(entry.columns)),
            Some(_) => {
                self.forget(mode, source);
                Ok(None)
            }
            None => Ok(None),
        }
    }

    /// Keeps the columns of `source`.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn keep(
        &self,
        mode: &SchemaCacheMode,
        source: &str,
        fingerprint: u64,
        columns: &Columns,
    ) -> Result<()> {
        let entry = Entry {
            fingerprint,
            columns: columns.clone(),
        };
        match mode {
            SchemaCacheMode::Off => {}
            SchemaCacheMode::Memory => {
                self.lock().insert(source.to_owned(), entry);
            }
            SchemaCacheMode::File(folder) => write(folder, &path(folder, source), &entry)?,
        }
        Ok(())
    }

    /// Drops what is kept for `source`: its data no longer suits it.
    pub fn forget(&self, mode: &SchemaCacheMode, source: &str) {
        match mode {
            SchemaCacheMode::Off => {}
            SchemaCacheMode::Memory => {
                self.lock().remove(source);
            }
            // A file that cannot be removed will be found stale, or unsuitable, again.
            SchemaCacheMode::File(folder) => drop(std::fs::remove_file(path(folder, source))),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file of a source. Names may hold anything, so all but plain characters are escaped.
fn path(folder: &Path, source: &str) -> PathBuf {
    let mut name = String::new();
    for byte in source.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("_{byte:02x}"));
        }
    }
    folder.join(format!("{name}.schema.json"))
}

fn read(path: &Path) -> Result<Option<Entry>> {
    match std::fs::read(path) {
        // A file that this version cannot read is as good as none.
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io(path, error)),
    }
}

/// Writes beside the file and renames, so that a reader never sees half of it.
fn write(folder: &Path, path: &Path, entry: &Entry) -> Result<()> {
    let unfinished = path.with_extension(format!("{}.tmp", std::process::id()));
    let bytes = serde_json::to_vec_pretty(entry).map_err(|error| {
        Error::new(ErrorKind::Internal, Stage::Infer, "schema").caused_by(error)
    })?;
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&unfinished, bytes))
        .and_then(|()| std::fs::rename(&unfinished, path))
        .map_err(|error| io(path, error))
}

fn io(path: &Path, error: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Io,
        Stage::Infer,
        format!("schema cache {}", path.display()),
    )
    .caused_by(error)
    .hint("point infer.cache at a folder that can be written, or set it to off")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::ColumnType;

    #[test]
    fn an_entry_lives_as_long_as_the_configuration_of_its_source() {
        let folder = tempfile::tempdir().unwrap();
        let columns = vec![("id".to_owned(), ColumnType::Numeric(38, 4))];
        for mode in [
            SchemaCacheMode::Memory,
            SchemaCacheMode::File(folder.path().join("new")),
        ] {
            let cache = SchemaCache::default();
            assert_eq!(cache.find(&mode, "a/b c", 1).unwrap(), None);
            cache.keep(&mode, "a/b c", 1, &columns).unwrap();
            assert_eq!(
                cache.find(&mode, "a/b c", 1).unwrap().as_ref(),
                Some(&columns)
            );
            assert_eq!(cache.find(&mode, "a/b c", 2).unwrap(), None);
            assert_eq!(
                cache.find(&mode, "a/b c", 1).unwrap(),
                None,
                "dropped when changed"
            );
        }
    }

    #[test]
    fn an_entry_does_not_outlive_the_way_of_inferring() {
        let spec = SourceSpec::new("s", "http://h/s".parse().unwrap());
        let usual = InferConfig::default();
        let base = fingerprint(&spec, &usual);
        let other = InferConfig {
            cache: SchemaCacheMode::Memory,
            ..usual.clone()
        };
        assert_eq!(base, fingerprint(&spec, &other));
        let texts = InferConfig {
            timestamps: false,
            ..usual.clone()
        };
        let fewer = InferConfig {
            sample_rows: std::num::NonZeroUsize::MIN,
            ..usual
        };
        assert_ne!(base, fingerprint(&spec, &texts));
        assert_ne!(base, fingerprint(&spec, &fewer));
        let renamed = SourceSpec::new("t", "http://h/s".parse().unwrap());
        assert_ne!(base, fingerprint(&renamed, &other));
    }

    #[test]
    fn files_outlive_the_process_and_off_keeps_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let columns = vec![("id".to_owned(), ColumnType::BigInt)];
        let mode = SchemaCacheMode::File(folder.path().to_owned());
        SchemaCache::default()
            .keep(&mode, "s", 1, &columns)
            .unwrap();
        assert_eq!(
            SchemaCache::default().find(&mode, "s", 1).unwrap(),
            Some(columns.clone())
        );
        let cache = SchemaCache::default();
        cache.keep(&SchemaCacheMode::Off, "s", 1, &columns).unwrap();
        assert_eq!(cache.find(&SchemaCacheMode::Off, "s", 1).unwrap(), None);
    }
}
