//! One cell: a load with its fault, and the same load once more without it.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use testkit::postgres::{PostgresServer, drop_or_warn};
use tokio_postgres::Client;
use url::Url;

use super::api::{FaultApi, Gate};
use super::apis::{Apis, ClosedPort};
use super::disk::Disk;
use super::fault::{ApiFault, Cell, Inject, ProcessFault, ServerFault};
use super::judge::{self, Seen};
use super::loader::{Ended, Exit, LOAD_LIMIT, Limit, Load, Loader, Order};
use super::project::{Ends, Project, Secrets};
use super::server::{prepare, restore, start};
use super::table::{Content, Table, mending};

/// How long a load may take to end after it was asked to.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// From fewer descriptors than a runtime needs to more than a load does.
const DESCRIPTORS: RangeInclusive<u32> = 8..=40;

/// An address space in which a load of ordinary pages fits.
const MEMORY_KIB: u32 = 340 << 10;

/// Where cells run.
pub(crate) struct World<L> {
    pub(crate) loader: L,
    /// The server of all cells that do not need one of their own.
    pub(crate) server: PostgresServer,
    /// Where the binaries of the others are.
    pub(crate) bin_dir: Option<PathBuf>,
}

/// What became of a cell.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// Empty if all is right.
    pub(crate) wrong: Vec<String>,
    /// What the load with the fault said.
    pub(crate) said: String,
}

/// Runs a cell.
///
/// # Errors
/// When the cell cannot be run: no server, no port.
pub(crate) async fn run<L: Loader>(cell: &Cell, world: &World<L>) -> Result<Verdict> {
    let own = match cell.fault.inject {
        Inject::Server(fault) if fault.needs_its_own_server() => {
            Some(start(world.bin_dir.as_deref()).await?)
        }
        _ => None,
    };
    let name = format!("fault_{:016x}", rand::random::<u64>());
    let Some(own) = own else {
        let database = world.server.create_database(&name).await?;
        let verdict = in_database(cell, &world.loader, None, &database).await;
        drop_or_warn(world.server.url(), &name).await;
        return verdict;
    };
    let database = own.create_database(&name).await?;
    in_database(cell, &world.loader, Some(own), &database).await
}

async fn in_database<L: Loader>(
    cell: &Cell,
    loader: &L,
    own: Option<PostgresServer>,
    database: &str,
) -> Result<Verdict> {
    let url: Url = database
        .parse()
        .context("the database's URL cannot be parsed")?;
    let disk = match (&own, cell.fault.inject) {
        (Some(server), Inject::Server(ServerFault::DiskFull)) => {
            Some(Disk::mount(server, &url).await?)
        }
        _ => None,
    };
    let table = Table::create(database, cell).await?;
    let mut bench = Bench {
        cell,
        loader,
        table,
        project: Project::new(cell)?,
        database: url,
        server: own,
        disk,
    };
    let mut wrong = Vec::new();
    let mut said = Vec::new();
    let limits = limits(cell.fault.inject);
    let is_walk = limits.len() > 1;
    for limit in limits {
        let seen = bench.load_with_fault(limit).await?;
        let found = judge::faulted(cell, &seen);
        if !found.is_empty() || said.is_empty() {
            said.push(seen.ended.said().trim().to_owned());
        }
        let with = limit.filter(|_| is_walk);
        wrong.extend(found.into_iter().map(|one| match with {
            Some(limit) => format!("with {limit}: {one}"),
            None => one,
        }));
        if seen.ended.exit == Exit::Code(0) {
            break;
        }
    }
    bench.mend().await?;
    let second = bench.load_well().await?;
    let later = judge::rerun(&second);
    if !later.is_empty() {
        let said = second.ended.said();
        wrong.extend(later.iter().map(|one| format!("the run after it: {one}")));
        wrong.push(format!("the run after it said: {}", said.trim()));
    }
    Ok(Verdict {
        wrong,
        said: said.join("\n"),
    })
}

struct Bench<'a, L> {
    cell: &'a Cell,
    loader: &'a L,
    table: Table,
    project: Project,
    database: Url,
    // Declared before the disk: the server must be gone when it is.
    server: Option<PostgresServer>,
    disk: Option<Disk>,
}

impl<L: Loader> Bench<'_, L> {
    async fn load_with_fault(&mut self, limit: Option<Limit>) -> Result<Seen> {
        let before = self.table.keep().await?;
        if let Some(disk) = &self.disk {
            disk.fill()?;
        }
        let apis = Apis::start(self.cell.fault.inject).await?;
        let closed = ClosedPort::new()?;
        let secrets = self.project.lead(&self.ends(&apis, &closed)?)?;
        let lock = match self.cell.fault.inject {
            Inject::Server(fault) => prepare(fault, &self.table, &self.database).await?,
            Inject::Api(_) | Inject::Process(_) => None,
        };
        let (ended, mut watched) = self.drive(limit, apis.gate.as_ref()).await?;
        self.end_fault(lock).await?;
        watched.extend(apis.watched(self.cell.fault.inject, &secrets));
        self.seen(ended, &before, watched, &secrets).await
    }

    /// The same load with nothing in its way.
    async fn load_well(&mut self) -> Result<Seen> {
        let before = self.table.keep().await?;
        let api = FaultApi::start(None, None, None).await?;
        let secrets = self.project.lead(&Ends {
            api: api.address(),
            allowed: None,
            database: self.database.clone(),
        })?;
        let (ended, watched) = self.drive(None, None).await?;
        self.seen(ended, &before, watched, &secrets).await
    }

    /// Where the load reads and writes; a port at which nothing listens where the fault says so.
    fn ends(&self, apis: &Apis, closed: &ClosedPort) -> Result<Ends> {
        let mut database = self.database.clone();
        let mut api = apis.api.address();
        match self.cell.fault.inject {
            Inject::Api(ApiFault::Refused) => api = closed.address(),
            Inject::Server(ServerFault::Refused) => {
                let set = database.set_port(Some(closed.address().port()));
                set.ok().context("the database's URL has no port")?;
            }
            Inject::Server(ServerFault::WrongPassword) => {
                let password = format!("wrong-{:016x}", rand::random::<u64>());
                let set = database.set_password(Some(&password));
                set.ok().context("the database's URL has no password")?;
            }
            _ => {}
        }
        let is_allowed = self.cell.fault.inject == Inject::Api(ApiFault::RedirectAllowed);
        let elsewhere = apis.elsewhere.as_ref().filter(|_| is_allowed);
        Ok(Ends {
            api,
            allowed: elsewhere.map(FaultApi::address),
            database,
        })
    }

    /// Runs the load, and does what the fault asks for when page 7 is reached.
    async fn drive(
        &mut self,
        limit: Option<Limit>,
        gate: Option<&Gate>,
    ) -> Result<(Ended, Vec<String>)> {
        let order = Order {
            folder: self.project.path(),
            settings: self.project.settings(),
            limit,
        };
        let mut load = self.loader.start(&order).await?;
        let mut watched = Vec::new();
        if let Some(gate) = gate {
            let is_reached = tokio::select! {
                () = gate.reached() => true,
                ended = load.ended() => { ended?; false }
                () = tokio::time::sleep(LOAD_LIMIT) => false,
            };
            match is_reached && self.table.is_being_loaded().await? {
                true => {
                    act(
                        self.cell.fault.inject,
                        &self.table,
                        &mut self.server,
                        &mut load,
                    )
                    .await?
                }
                false => watched.push("it did not begin to load before page 7".to_owned()),
            }
            gate.open();
        }
        let ended = match tokio::time::timeout(LOAD_LIMIT, load.ended()).await {
            Ok(ended) => ended?,
            Err(_) => Ended {
                exit: Exit::Never,
                written: String::new(),
            },
        };
        Ok((ended, watched))
    }

    /// Takes away what is in the way of a load, but for what is in the table.
    async fn end_fault(&self, lock: Option<Client>) -> Result<()> {
        drop(lock);
        if let Some(disk) = &self.disk {
            disk.empty()?;
        }
        restore(&self.table, &self.database).await
    }

    async fn mend(&self) -> Result<()> {
        let Inject::Server(fault) = self.cell.fault.inject else {
            return Ok(());
        };
        let Some(statements) = mending(fault) else {
            return Ok(());
        };
        let mended = self.table.client().await?.batch_execute(&statements).await;
        mended.context("cannot mend the table")
    }

    async fn seen(
        &self,
        ended: Ended,
        before: &Option<Content>,
        mut watched: Vec<String>,
        secrets: &Secrets,
    ) -> Result<Seen> {
        for name in secrets.within(&ended.written) {
            watched.push(format!("{name} is in its log or its messages"));
        }
        for (file, text) in self.project.written()? {
            let leaked = secrets.within(&text).into_iter();
            watched.extend(leaked.map(|name| format!("{name} is in {file}")));
        }
        let left = self.table.left().await?;
        Ok(Seen {
            ended,
            landed: self.table.landed(before).await?,
            left,
            watched,
        })
    }
}

/// The limits under which the load runs, one after the other until it completes.
fn limits(inject: Inject) -> Vec<Option<Limit>> {
    match inject {
        Inject::Process(ProcessFault::Descriptors) => DESCRIPTORS
            .map(|count| Some(Limit::Descriptors(count)))
            .collect(),
        Inject::Process(ProcessFault::Memory) => vec![Some(Limit::MemoryKib(MEMORY_KIB))],
        Inject::Api(_) | Inject::Server(_) | Inject::Process(_) => vec![None],
    }
}

/// Does what the fault is, while the answer to page 7 waits.
async fn act<T: Load>(
    inject: Inject,
    table: &Table,
    server: &mut Option<PostgresServer>,
    load: &mut T,
) -> Result<()> {
    match inject {
        Inject::Server(ServerFault::TerminateOne) => table.terminate(false).await,
        Inject::Server(ServerFault::TerminateAll) => table.terminate(true).await,
        Inject::Server(ServerFault::IdleTimeout) => table.is_left_alone().await.map(drop),
        Inject::Server(ServerFault::Crash) => {
            let server = server.as_mut();
            server.context("there is no server to kill")?.crash().await
        }
        Inject::Process(ProcessFault::Interrupt | ProcessFault::Cancel) => {
            stop(load, Signal::SIGINT).await
        }
        Inject::Process(ProcessFault::Terminate) => stop(load, Signal::SIGTERM).await,
        Inject::Process(ProcessFault::Kill) => stop(load, Signal::SIGKILL).await,
        _ => Ok(()),
    }
}

/// The load must end without the page that it waits for.
async fn stop<T: Load>(load: &mut T, signal: Signal) -> Result<()> {
    load.signal(signal)?;
    let ended = tokio::time::timeout(STOP_LIMIT, load.ended()).await;
    // If it does not end by itself, the page comes, and the load completes: that is seen then.
    ended.map_or(Ok(()), |ended| ended.map(drop))
}
