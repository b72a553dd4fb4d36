//! The files of a load, as a user would write them.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result};
use tempfile::TempDir;
use url::Url;

use super::fault::{Cell, mode_name};
use super::rows::PAGE_ROWS;
use super::table::TABLE;
use apitap_core::config::WriteMode;

/// The name of the pipeline file in the project's folder.
pub(crate) const PIPELINE_FILE: &str = "pipelines.yaml";

/// The folder of its modules.
pub(crate) const MODULES: &str = "sql";

/// Rows of a flush: several to a page, so that some are under way when a fault happens.
const BATCH_ROWS: u64 = 20;

/// Texts that must stay between a load and its API and its database.
#[derive(Debug, Clone)]
pub(super) struct Secrets {
    token: String,
    api_key: String,
    password: String,
}

/// A pipeline file and a module, in a folder of their own.
#[derive(Debug)]
pub(super) struct Project {
    folder: TempDir,
    token: String,
    api_key: String,
    settings: Vec<String>,
}

/// Where a load reads and writes.
#[derive(Debug, Clone)]
pub(super) struct Ends {
    pub(super) api: SocketAddr,
    /// Another host that the API may redirect to.
    pub(super) allowed: Option<SocketAddr>,
    /// The database, with user and password.
    pub(super) database: Url,
}

impl Project {
    /// Writes the module of `cell`.
    pub(super) fn new(cell: &Cell) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("apitap-fault-").tempdir();
        let folder = folder.context("cannot make a folder for the files of a load")?;
        let modules = folder.path().join(MODULES);
        let key = match cell.mode {
            WriteMode::Append => "",
            WriteMode::Replace | WriteMode::Merge => ", key=[\"id\"]",
        };
        let mode = mode_name(cell.mode);
        let module = format!(
            "{{{{ sink(name=\"warehouse\", table=\"{TABLE}\", mode=\"{mode}\"{key}) }}}}\n\
             SELECT id, name, amount, created, extra FROM {{{{ use_source(\"items\") }}}}\n"
        );
        fs::create_dir(&modules)
            .and_then(|()| fs::write(modules.join("items.sql"), module))
            .context("cannot write the module of a load")?;
        let own = [
            format!("source.page_rows={PAGE_ROWS}"),
            format!("write.method={}", cell.method),
            format!("write.connections={}", cell.connections),
            format!("write.batch_rows={BATCH_ROWS}"),
        ];
        let faults = cell.fault.settings.iter().map(|one| (*one).to_owned());
        Ok(Self {
            folder,
            token: secret("token"),
            api_key: secret("key"),
            settings: own.into_iter().chain(faults).collect(),
        })
    }

    /// Writes the pipeline file.
    pub(super) fn lead(&self, ends: &Ends) -> Result<Secrets> {
        let Ends { api, database, .. } = ends;
        let allowed = ends
            .allowed
            .map(|host| format!(", allowed_hosts: [\"{host}\"]"));
        let allowed = allowed.unwrap_or_default();
        let password = database.password().unwrap_or_default().to_owned();
        let yaml = format!(
            "sources:\n\
             - name: items\n\
             \x20 url: http://{api}/items\n\
             \x20 query_params: [{{key: api_key, value: \"{}\"}}]\n\
             \x20 auth: {{type: bearer, token: \"{}\"}}\n\
             \x20 pagination: {{kind: page_number, page_param: page, per_page_param: per_page{allowed}}}\n\
             \x20 retry: {{max_attempts: 2, min_delay_secs: 0.05, max_delay_secs: 0.1}}\n\
             targets:\n\
             - type: postgres\n\
             \x20 name: warehouse\n\
             \x20 host: {}\n\
             \x20 port: {}\n\
             \x20 database: {}\n\
             \x20 sslmode: disable\n\
             \x20 auth: {{username: {}, password: \"{password}\"}}\n",
            self.api_key,
            self.token,
            database.host_str().unwrap_or_default(),
            database.port().unwrap_or_default(),
            database.path().trim_start_matches('/'),
            database.username(),
        );
        fs::write(self.path().join(PIPELINE_FILE), yaml)
            .context("cannot write the pipeline file of a load")?;
        Ok(Secrets {
            token: self.token.clone(),
            api_key: self.api_key.clone(),
            password,
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What loads wrote into the folder: names and contents of files.
    pub(super) fn written(&self) -> Result<Vec<(String, String)>> {
        let mut written = Vec::new();
        for entry in fs::read_dir(self.path()).context("cannot read the folder of a load")? {
            let path = entry.context("cannot read the folder of a load")?.path();
            let is_ours = path.ends_with(PIPELINE_FILE) || path.ends_with(MODULES);
            if !is_ours && path.is_file() {
                let bytes = fs::read(&path).context("cannot read what a load wrote")?;
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let text = String::from_utf8_lossy(&bytes).into_owned();
                written.push((name.into_owned(), text));
            }
        }
        Ok(written)
    }

    /// Changes to the engine's configuration, as `stage.knob=value`.
    pub(super) fn settings(&self) -> &[String] {
        &self.settings
    }
}

impl Secrets {
    /// The names of those that are in `text`.
    pub(super) fn within(&self, text: &str) -> Vec<&'static str> {
        let all = [
            ("the API's token", &self.token),
            ("the API's key", &self.api_key),
            ("the database's password", &self.password),
        ];
        let found = all.into_iter().filter(|(_, secret)| text.contains(*secret));
        found.map(|(name, _)| name).collect()
    }
}

fn secret(name: &str) -> String {
    format!("{name}-{:032x}", rand::random::<u128>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_by_name() {
        let secrets = Secrets {
            token: "t0".into(),
            api_key: "k0".into(),
            password: "p0".into(),
        };
        assert_eq!(
            secrets.within("?api_key=k0 p0"),
            ["the API's key", "the database's password"]
        );
        assert!(secrets.within("nothing").is_empty());
    }
}
