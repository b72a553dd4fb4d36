//! A throw-away cluster from installed server binaries.
//!
//! Written here rather than taken from the crate `pgtemp` 0.7, which panics
//! instead of returning errors, needs `sudo` when run by root, never reads the
//! pipes it gives the server (which then blocks on a full one), and tells
//! nobody the postmaster's PID.

use std::{
    ffi::OsString,
    fs,
    io::{self, Write},
    net::{Ipv4Addr, TcpListener},
    os::unix::{
        fs::{OpenOptionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use super::{
    Cores, INITDB_LOCALE, PgStorage, PostgresOptions, ServerBinaries, USER, first_to_answer,
    last_lines, owner, random_password,
};
use crate::cpu;

const FOLDER_PREFIX: &str = "apitap-pg-";
const OWNER_FILE: &str = "owner";

/// Someone else may take a free port between our looking and the server's binding it.
const PORT_ATTEMPTS: usize = 5;

/// An immediate shutdown kills stubborn backends after 5 s (postmaster.c).
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A running cluster; dropping it stops the server, then removes the folder.
pub(super) struct LocalServer {
    url: String,
    launch: Launch,
    port: u16,
    // Declared before the folder: fields are dropped in order.
    postmaster: Postmaster,
    _folder: TempDir,
}

/// How the server of a cluster is started, the first time and again.
struct Launch {
    binaries: ServerBinaries,
    user: Option<ServerUser>,
    folder: PathBuf,
    cores: Option<Cores>,
    arguments: Vec<String>,
}

impl Launch {
    fn spawn(&self, port: u16) -> Result<Postmaster> {
        let mut command = server_command(&self.binaries, self.user.as_ref(), self.cores.as_ref());
        let log = fs::File::create(self.log()).context("cannot create the server's log")?;
        command
            .arg("-D")
            .arg(self.data())
            .args(["-c", "listen_addresses=127.0.0.1"])
            .args(["-c", &format!("port={port}")])
            // A socket's path is limited to 107 bytes, and nobody uses it here.
            .args(["-c", "unix_socket_directories="])
            .args(&self.arguments)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        Postmaster::spawn(command)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// Waits until the server of `url` answers; why it never will is in its log.
    async fn answers(&self, url: String, pid: u32) -> Result<String> {
        let failure = async || (!cpu::is_running(pid)).then(|| log_tail(&self.log()));
        first_to_answer(&[url], failure).await
    }
}

impl LocalServer {
    pub(super) async fn start(options: &PostgresOptions) -> Result<Self> {
        let binaries = ServerBinaries::locate(options.bin_dir.as_deref())?;
        let user = ServerUser::for_this_process()?;
        let base = match options.storage {
            PgStorage::Disk => std::env::temp_dir(),
            PgStorage::Tmpfs => PathBuf::from("/dev/shm"),
        };
        remove_orphans(&base);
        let folder = new_folder(&base, user.as_ref())?;
        let password = random_password();
        let data = folder.path().join("data");
        initdb(&binaries, user.as_ref(), folder.path(), &data, &password)
            .with_context(|| format!("cannot create a cluster with {}", binaries.dir.display()))?;

        let launch = Launch {
            binaries,
            user,
            folder: folder.path().to_owned(),
            cores: options.cores.clone(),
            arguments: options.server_arguments(),
        };
        for _ in 0..PORT_ATTEMPTS {
            let port = free_port()?;
            let postmaster = launch.spawn(port)?;
            let url = format!("postgres://{USER}:{password}@127.0.0.1:{port}/postgres");
            match launch.answers(url, postmaster.pid).await {
                Ok(url) => {
                    let url = super::create_database(&url, USER).await?;
                    return Ok(Self {
                        url,
                        launch,
                        port,
                        postmaster,
                        _folder: folder,
                    });
                }
                Err(_) if log_tail(&launch.log()).contains("Address already in use") => {}
                Err(error) => return Err(error),
            }
        }
        bail!("no free port found in {PORT_ATTEMPTS} attempts")
    }

    /// Kills the postmaster as the kernel would for want of memory, and starts the server again on the
    /// same data and port, which recovers from its log.
    pub(super) async fn crash(&mut self) -> Result<()> {
        let pid = i32::try_from(self.postmaster.pid).ok();
        let pid = pid.and_then(Pid::from_raw).context("no such process")?;
        rustix::process::kill_process(pid, Signal::KILL).context("cannot kill the server")?;
        self.postmaster.end();
        let give_up = Instant::now() + STOP_TIMEOUT;
        // Its backends notice, and end; until then the data is in use.
        while let Err(error) = self.start_again().await {
            if Instant::now() > give_up {
                return Err(error.context("the server does not start after a crash"));
            }
        }
        Ok(())
    }

    async fn start_again(&mut self) -> Result<()> {
        self.postmaster = self.launch.spawn(self.port)?;
        let url = self.url.clone();
        self.launch.answers(url, self.postmaster.pid).await?;
        Ok(())
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn postmaster_pid(&self) -> u32 {
        self.postmaster.pid
    }
}

/// The server's process, held by a thread of its own.
///
/// `PR_SET_PDEATHSIG` fires when the *thread* that started the child ends, and
/// a runtime's threads come and go: this one lives as long as the server.
struct Postmaster {
    pid: u32,
    stop: Option<mpsc::Sender<()>>,
    keeper: Option<JoinHandle<()>>,
}

impl Postmaster {
    fn spawn(mut command: Command) -> Result<Self> {
        let (started, start) = mpsc::channel();
        let (stop, stopped) = mpsc::channel::<()>();
        let keeper = thread::Builder::new()
            .name("postgres-keeper".to_owned())
            .spawn(move || match command.spawn() {
                Ok(child) => {
                    // Fails only when the other side has given up, which also ends the wait below.
                    let _ = started.send(Ok(child.id()));
                    // An error is the message: the sender is dropped, never used.
                    let _ = stopped.recv();
                    stop_now(child);
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                }
            })
            .context("cannot start a thread for the server")?;
        let pid = start
            .recv()
            .context("the server's thread ended early")?
            .context("cannot start the postgres program")?;
        Ok(Self {
            pid,
            stop: Some(stop),
            keeper: Some(keeper),
        })
    }
}

impl Drop for Postmaster {
    fn drop(&mut self) {
        self.end();
    }
}

impl Postmaster {
    /// Stops it, and waits until it is gone: a zombie would still count as the server of the data.
    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(keeper) = self.keeper.take()
            && keeper.join().is_err()
        {
            tracing::warn!("the thread that keeps the server panicked");
        }
    }
}

/// Immediate shutdown: the data is about to be deleted, no checkpoint is worth its time.
fn stop_now(mut child: Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw)
        && let Err(error) = rustix::process::kill_process(pid, Signal::QUIT)
    {
        tracing::debug!("the server is gone already: {error}");
    }
    let give_up = Instant::now() + STOP_TIMEOUT;
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() > give_up {
            tracing::warn!("the server did not stop within {STOP_TIMEOUT:?} and is killed");
            if let Err(error) = child.kill().and_then(|()| child.wait().map(drop)) {
                tracing::warn!("cannot kill the server: {error}");
            }
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// PostgreSQL refuses to run as root, so root lends its server an unprivileged user.
#[derive(Debug)]
struct ServerUser {
    name: String,
    uid: u32,
    gid: u32,
}

impl ServerUser {
    /// `None` when this process is not root and the server may run as it does.
    fn for_this_process() -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| Self::in_passwd(&users, name))
            .map(Some)
            .context("PostgreSQL does not run as root, and there is no user postgres or nobody")
    }

    fn in_passwd(users: &str, name: &str) -> Option<Self> {
        users.lines().find_map(|line| {
            let mut columns = line.split(':');
            (columns.next()? == name).then_some(())?;
            let uid = columns.nth(1)?.parse().ok()?;
            let gid = columns.next()?.parse().ok()?;
            Some(Self {
                name: name.to_owned(),
                uid,
                gid,
            })
        })
    }
}

/// A command that runs as the server's user, without what the caller's
/// environment says to clients (`PGPORT`, `PGDATA`, `PGOPTIONS`).
fn command_as(user: Option<&ServerUser>, program: impl Into<OsString>) -> Command {
    let mut command = Command::new(program.into());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    if let Some(user) = user {
        command.uid(user.uid).gid(user.gid);
    }
    command
}

/// `taskset` takes the cores, `setpriv` sets the death signal, and each then becomes what follows it, so the PID is
/// the postmaster's; doing the same between fork and exec would take unsafe code.
fn server_command(
    binaries: &ServerBinaries,
    user: Option<&ServerUser>,
    cores: Option<&Cores>,
) -> Command {
    let mut words: Vec<OsString> = Vec::new();
    if let Some(cores) = cores {
        words.extend(["taskset", "--cpu-list", &cores.to_string()].map(OsString::from));
    }
    let setpriv = ["/usr/bin/setpriv", "/bin/setpriv"]
        .into_iter()
        .find(|path| Path::new(path).exists());
    if let Some(setpriv) = setpriv {
        words.extend([setpriv, "--pdeathsig", "QUIT", "--"].map(OsString::from));
    } else {
        tracing::warn!("setpriv is missing: a killed harness would leave its PostgreSQL running");
    }
    words.push(binaries.postgres().into());
    let mut command = command_as(user, &words[0]);
    command.args(&words[1..]);
    // Ctrl-C reaches the whole foreground group; the server is to outlive a sample's clean-up.
    command.process_group(0);
    command
}

fn new_folder(base: &Path, user: Option<&ServerUser>) -> Result<TempDir> {
    let folder = tempfile::Builder::new()
        .prefix(FOLDER_PREFIX)
        .tempdir_in(base)
        .with_context(|| format!("cannot create a folder in {}", base.display()))?;
    fs::write(folder.path().join(OWNER_FILE), owner::this_process())
        .context("cannot mark the cluster's folder")?;
    give_to(user, folder.path())?;
    Ok(folder)
}

fn give_to(user: Option<&ServerUser>, path: &Path) -> Result<()> {
    let Some(user) = user else { return Ok(()) };
    chown(path, Some(user.uid), Some(user.gid))
        .with_context(|| format!("cannot give {} to the user {}", path.display(), user.name))
}

/// Removes folders of harnesses that were killed; their servers ended with them.
fn remove_orphans(base: &Path) {
    let Ok(entries) = base.read_dir() else { return };
    for entry in entries.flatten() {
        let is_ours = entry
            .file_name()
            .to_string_lossy()
            .starts_with(FOLDER_PREFIX);
        let mark = fs::read_to_string(entry.path().join(OWNER_FILE));
        if is_ours
            && mark.is_ok_and(|mark| owner::is_gone(&mark))
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::debug!("cannot remove {}: {error}", entry.path().display());
        }
    }
}

fn initdb(
    binaries: &ServerBinaries,
    user: Option<&ServerUser>,
    folder: &Path,
    data: &Path,
    password: &str,
) -> Result<()> {
    let password_file = folder.join("password");
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&password_file)
        .and_then(|mut file| file.write_all(password.as_bytes()))
        .context("cannot write the password file")?;
    give_to(user, &password_file)?;
    let output = command_as(user, binaries.initdb())
        .arg("-D")
        .arg(data)
        .args([
            "--username",
            USER,
            "--auth=scram-sha-256",
            "--no-sync",
            "--no-instructions",
        ])
        .args(INITDB_LOCALE)
        .arg("--pwfile")
        .arg(&password_file)
        .current_dir(folder)
        .output()
        .map_err(|error| explain(error, &binaries.initdb(), user))?;
    fs::remove_file(&password_file).context("cannot remove the password file")?;
    if !output.status.success() {
        bail!(
            "initdb failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

fn explain(error: io::Error, program: &Path, user: Option<&ServerUser>) -> anyhow::Error {
    let denied = error.kind() == io::ErrorKind::PermissionDenied;
    let error = anyhow::Error::new(error).context(format!("cannot run {}", program.display()));
    match user {
        Some(user) if denied => error.context(format!(
            "root runs PostgreSQL as the user {}, who cannot enter this folder: \
             keep the binaries where everybody may read them",
            user.name
        )),
        _ => error,
    }
}

fn free_port() -> Result<u16> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot find a free port")?;
    Ok(listener
        .local_addr()
        .context("cannot read the free port")?
        .port())
}

fn log_tail(log: &Path) -> String {
    last_lines(&fs::read_to_string(log).unwrap_or_default())
}
