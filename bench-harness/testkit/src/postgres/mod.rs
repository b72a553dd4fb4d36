//! A PostgreSQL server for a measurement or a test: a container, a throw-away
//! local cluster, or one that somebody else runs.

mod binaries;
mod cores;
mod docker;
mod libpq;
mod local;
mod options;
mod owner;

use std::{collections::BTreeMap, env, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use tokio_postgres::{Client, NoTls};

pub use binaries::{ServerBinaries, installed_binaries};
pub use cores::Cores;
pub use docker::{DockerState, docker_state};
pub use libpq::libpq_variables;
pub use options::without_password;
pub use options::{PgStorage, PostgresChoice, PostgresOptions};

/// Environment variable with the URL that `--postgres auto` prefers to everything.
pub const DATABASE_URL_VARIABLE: &str = "APITAP_DATABASE_URL";

/// What [`PostgresServer::kind`] calls a server that somebody else runs.
pub const URL: &str = "url";

/// User and database of every server that is started here.
const USER: &str = "apitap";

/// Equal everywhere, so that sorting costs the same in a container and outside.
const INITDB_LOCALE: [&str; 2] = ["--locale=C", "--encoding=UTF8"];

/// First start of a cluster on a disk that others use too; seconds are usual.
const START_TIMEOUT: Duration = Duration::from_secs(120);

const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Settings that change what a load costs or how far the server may spread.
const RECORDED_SETTINGS: [&str; 25] = [
    "autovacuum",
    "bgwriter_delay",
    "checkpoint_completion_target",
    "checkpoint_timeout",
    "commit_delay",
    "data_checksums",
    "effective_io_concurrency",
    "fsync",
    "full_page_writes",
    "huge_pages",
    "io_method",
    "jit",
    "maintenance_work_mem",
    "max_connections",
    "max_parallel_workers",
    "max_wal_size",
    "shared_buffers",
    "synchronous_commit",
    "track_io_timing",
    "wal_buffers",
    "wal_compression",
    "wal_level",
    "wal_sync_method",
    "wal_writer_delay",
    "work_mem",
];

/// A server that answers. Dropping it stops and removes what was started for it.
///
/// Drop blocks until the server is gone, a fraction of a second as a rule, and
/// works on panic and outside an async runtime too. When this process is killed
/// a local server is stopped by the kernel (`PR_SET_PDEATHSIG`); its folder, and
/// a container, are removed by the next server that is started on this machine.
pub struct PostgresServer {
    url: String,
    kind: &'static str,
    version: String,
    settings: BTreeMap<String, String>,
    own_cores: usize,
    storage: Option<PgStorage>,
    image_digest: Option<String>,
    postmaster_pid: Option<u32>,
    backing: Option<Backing>,
}

/// What was started, and ends on drop.
enum Backing {
    Docker { _server: Box<docker::DockerServer> },
    Local { server: Box<local::LocalServer> },
}

impl PostgresServer {
    /// Starts or reaches the server that `options` ask for, and returns when it
    /// answers a query.
    ///
    /// # Errors
    /// When no server is available; for `auto` the error names the three ways to
    /// fix it. What was started so far is removed.
    pub async fn start(options: &PostgresOptions) -> Result<Self> {
        if let Some(cores) = &options.cores {
            let left = cores.leave();
            left.with_context(|| format!("cannot leave the cores {cores} to the server"))?;
        }
        let mut server = match &options.choice {
            PostgresChoice::Url(url) => Self::reach(url).await,
            PostgresChoice::Docker => Self::start_docker(options).await,
            PostgresChoice::Local => Self::start_local(options).await,
            PostgresChoice::Auto => Self::start_any(options).await,
        }?;
        if let Some(cores) = &options.cores {
            ensure!(
                server.kind != URL,
                "a server by URL has the cores that it has"
            );
            let named = ("cores".to_owned(), cores.to_string());
            server.settings.extend([named]);
            server.own_cores = cores.count();
        }
        Ok(server)
    }

    /// URL with user, password and database, for `tokio-postgres` and `psql`. Holds a password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `docker`, `local` or `url`.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// `server_version` as the server states it, such as `17.2 (Debian 17.2-1)`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Digest of a container's image: the registry's, or for an image that was
    /// built here its own id.
    pub fn image_digest(&self) -> Option<&str> {
        self.image_digest.as_deref()
    }

    /// What holds the data folder; unknown for a server by URL.
    pub fn storage(&self) -> Option<PgStorage> {
        self.storage
    }

    /// PID of the postmaster as this machine sees it, for
    /// [`tree_cpu`](crate::cpu::tree_cpu); unknown for a server by URL.
    pub fn postmaster_pid(&self) -> Option<u32> {
        self.postmaster_pid
    }

    /// The settings that change what a load costs, with their units, as they were at the start; and its `cores`
    /// where it has cores of its own.
    pub fn settings(&self) -> &BTreeMap<String, String> {
        &self.settings
    }

    /// How many cores are the server's alone.
    pub fn own_cores(&self) -> usize {
        self.own_cores
    }

    /// Kills the server with SIGKILL and starts it again on the same data and port, as after a crash.
    ///
    /// # Errors
    /// When it was not started here from local binaries, or does not start again.
    pub async fn crash(&mut self) -> Result<()> {
        let Some(Backing::Local { server }) = &mut self.backing else {
            bail!("only a server from local binaries can be killed");
        };
        server.crash().await?;
        self.postmaster_pid = Some(server.postmaster_pid());
        Ok(())
    }

    /// Creates an empty database and returns its URL.
    ///
    /// # Errors
    /// When the server refuses, for instance because the name is taken.
    pub async fn create_database(&self, name: &str) -> Result<String> {
        create_database(&self.url, name).await
    }

    /// Does `work` in a database made for it, whose URL it gets. It is dropped afterwards, as well as it
    /// can be.
    ///
    /// # Errors
    /// When the server refuses, and those of `work`.
    pub async fn in_own_database<T>(
        &self,
        prefix: &str,
        work: impl AsyncFnOnce(String) -> Result<T>,
    ) -> Result<T> {
        let name = format!("{prefix}_{:08x}", rand::random::<u32>());
        let done = work(self.create_database(&name).await?).await;
        drop_or_warn(&self.url, &name).await;
        done
    }

    async fn start_any(options: &PostgresOptions) -> Result<Self> {
        if let Ok(url) = env::var(DATABASE_URL_VARIABLE)
            && !url.is_empty()
        {
            return Self::reach(&url)
                .await
                .with_context(|| format!("{DATABASE_URL_VARIABLE} is set but of no use"));
        }
        let docker = match Self::start_docker(options).await {
            Ok(server) => return Ok(server),
            Err(error) => error,
        };
        tracing::debug!("no container, trying installed binaries: {docker:#}");
        let local = match Self::start_local(options).await {
            Ok(server) => return Ok(server),
            Err(error) => error,
        };
        bail!(
            "no PostgreSQL server is available; fix one of these:\n\
             - name a running server: --postgres postgres://USER:PASSWORD@HOST/DATABASE, \
             or set {DATABASE_URL_VARIABLE}\n\
             - start Docker and get the image {} (scripts/setup --docker builds one without \
             a registry): {docker:#}\n\
             - install PostgreSQL's server binaries (scripts/setup), or name their folder in \
             APITAP_PG_BIN: {local:#}",
            options.image(),
        )
    }

    async fn reach(url: &str) -> Result<Self> {
        let client = connect(url).await?;
        Self::describe(url.to_owned(), URL, &client).await
    }

    async fn start_docker(options: &PostgresOptions) -> Result<Self> {
        let server = docker::DockerServer::start(options).await?;
        let client = connect(server.url()).await?;
        let described = Self::describe(server.url().to_owned(), "docker", &client).await?;
        Ok(Self {
            storage: Some(options.storage),
            image_digest: server.image_digest().map(str::to_owned),
            postmaster_pid: server.postmaster_pid(),
            backing: Some(Backing::Docker {
                _server: Box::new(server),
            }),
            ..described
        })
    }

    async fn start_local(options: &PostgresOptions) -> Result<Self> {
        let server = local::LocalServer::start(options).await?;
        let client = connect(server.url()).await?;
        let described = Self::describe(server.url().to_owned(), "local", &client).await?;
        Ok(Self {
            storage: Some(options.storage),
            postmaster_pid: Some(server.postmaster_pid()),
            backing: Some(Backing::Local {
                server: Box::new(server),
            }),
            ..described
        })
    }

    async fn describe(url: String, kind: &'static str, client: &Client) -> Result<Self> {
        let query = "SELECT name, current_setting(name) FROM pg_settings \
                     WHERE name = ANY($1) OR name = 'server_version'";
        let rows = client
            .query(query, &[&RECORDED_SETTINGS.as_slice()])
            .await
            .context("cannot read the server's settings")?;
        let mut settings: BTreeMap<String, String> =
            rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let version = settings.remove("server_version").unwrap_or_default();
        Ok(Self {
            url,
            kind,
            version,
            settings,
            own_cores: 0,
            storage: None,
            image_digest: None,
            postmaster_pid: None,
            backing: None,
        })
    }
}

/// Opens a connection whose driver runs on the current runtime until the client is dropped.
pub async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .with_context(|| format!("cannot connect to {}", without_password(url)))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!("a connection for administration ended: {error}");
        }
    });
    Ok(client)
}

/// Creates an empty database on the server of `url` and returns its URL.
pub async fn create_database(url: &str, name: &str) -> Result<String> {
    let client = connect(url).await?;
    client
        .batch_execute(&format!("CREATE DATABASE {}", quoted(name)))
        .await
        .with_context(|| format!("cannot create the database {name:?}"))?;
    let mut url = url::Url::parse(url).context("the server's URL cannot be parsed")?;
    url.path_segments_mut()
        .map_err(|()| anyhow::anyhow!("the server's URL has no place for a database"))?
        .clear()
        .push(name);
    Ok(url.into())
}

/// Drops a database that may be on the server of `url`, with whoever is connected to it.
pub async fn drop_database(url: &str, name: &str) -> Result<()> {
    let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name));
    Ok(connect(url).await?.batch_execute(&drop).await?)
}

/// Drops a database as well as it can be.
pub async fn drop_or_warn(url: &str, name: &str) {
    if let Err(error) = drop_database(url, name).await {
        tracing::warn!("the database {name} is left behind: {error:#}");
    }
}

/// An identifier as SQL takes it.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A password that nobody needs to know: it keeps a stranger on the same port
/// from being taken for the server, and the server from a stranger.
fn random_password() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Waits until one of `urls` answers a query, and returns it. A port that is
/// open says little: an image's first start opens and closes one while it sets
/// up. `failure` says early why the server will never answer.
async fn first_to_answer(
    urls: &[String],
    failure: impl AsyncFn() -> Option<String>,
) -> Result<String> {
    let give_up = tokio::time::Instant::now() + START_TIMEOUT;
    let mut last_error;
    loop {
        last_error = None;
        for url in urls {
            let attempt = tokio::time::timeout(Duration::from_secs(5), answer(url)).await;
            match attempt.context("no answer in 5 s").flatten() {
                Ok(()) => return Ok(url.clone()),
                Err(error) => last_error = Some(error),
            }
        }
        if let Some(reason) = failure().await {
            bail!("PostgreSQL did not start: {reason}");
        }
        if tokio::time::Instant::now() > give_up {
            break;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Err(last_error.unwrap_or_else(|| anyhow::anyhow!("no address to try")))
        .with_context(|| format!("PostgreSQL did not answer within {START_TIMEOUT:?}"))
}

/// The end of a server's log, where a failed start says why.
fn last_lines(log: &str) -> String {
    const LINES: usize = 12;
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

async fn answer(url: &str) -> Result<()> {
    connect(url).await?.batch_execute("SELECT 1").await?;
    Ok(())
}

#[cfg(test)]
mod tests;
