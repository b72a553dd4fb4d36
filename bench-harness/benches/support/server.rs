//! A real PostgreSQL for the benchmarks of one program, started by the first that runs.

use std::cell::OnceCell;
use std::process;

use anyhow::Result;
use testkit::postgres::{DATABASE_URL_VARIABLE, PostgresChoice, PostgresOptions, PostgresServer};
use testkit::test_database::TestDatabase;
use tokio::runtime::Runtime;

/// A database of its own on the server that `auto` finds. Criterion calls the closures of selected
/// benchmarks alone, and these ask for it: `--list` and filters start nothing for others.
pub(crate) struct LazyDatabase<'a> {
    runtime: &'a Runtime,
    started: OnceCell<Started>,
}

/// Fields are dropped in order.
struct Started {
    database: TestDatabase,
    _server: PostgresServer,
}

impl<'a> LazyDatabase<'a> {
    /// One that has not been asked for.
    pub(crate) fn new(runtime: &'a Runtime) -> Self {
        Self {
            runtime,
            started: OnceCell::new(),
        }
    }

    /// URL of the database. Holds a password.
    ///
    /// Where no server can be had it says so and ends this program: all of its benchmarks need one.
    /// That is no failure, so that `cargo bench` goes on with the next program, unless somebody
    /// named a server.
    pub(crate) fn url(&self) -> &str {
        let started = self.started.get_or_init(|| {
            self.runtime.block_on(start()).unwrap_or_else(|error| {
                eprintln!(
                    "\nbenchmarks with PostgreSQL are left out ({DATABASE_URL_VARIABLE} stands for \
                     --postgres here): {error:#}"
                );
                let named =
                    std::env::var_os(DATABASE_URL_VARIABLE).is_some_and(|url| !url.is_empty());
                process::exit(i32::from(named))
            })
        });
        started.database.url()
    }
}

async fn start() -> Result<Started> {
    let server = PostgresServer::start(&PostgresOptions::new(PostgresChoice::Auto)).await?;
    Ok(Started {
        database: TestDatabase::on(server.url()).await?,
        _server: server,
    })
}
