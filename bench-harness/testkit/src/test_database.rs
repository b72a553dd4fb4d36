//! A fresh database for one test, or for one program of benchmarks.

use std::env;

use anyhow::{Context, Result};

use super::postgres::{
    PostgresChoice, PostgresOptions, PostgresServer, create_database, drop_database,
};

/// Environment variable with the URL of the server that tests create databases on.
pub const TEST_DATABASE_URL_VARIABLE: &str = "APITAP_TEST_DATABASE_URL";

/// An empty database; dropping it drops the database, with whoever is still
/// connected, as well as it can.
pub struct TestDatabase {
    url: String,
    lives_on: Home,
}

enum Home {
    /// A server that other tests use too: its URL, and the database to drop.
    Shared { server_url: String, name: String },
    /// A server of our own, which takes the database with it.
    Own { _server: Box<PostgresServer> },
}

impl TestDatabase {
    /// Creates a database with a unique name on a server that outlives it.
    ///
    /// # Errors
    /// When the server cannot be reached, or its user may not create databases.
    pub async fn on(server_url: &str) -> Result<Self> {
        let name = unique_name();
        Ok(Self {
            url: create_database(server_url, &name).await?,
            lives_on: Home::Shared {
                server_url: server_url.to_owned(),
                name,
            },
        })
    }

    /// URL of the database. Holds a password.
    pub fn url(&self) -> &str {
        &self.url
    }
}

fn unique_name() -> String {
    format!("apitap_test_{:016x}", rand::random::<u64>())
}

/// Creates a database with a unique name on the server that
/// `APITAP_TEST_DATABASE_URL` names, or else on a throw-away local one.
///
/// `apitap-bench dev with-postgres` sets the variable, so that a whole suite needs one start.
///
/// # Errors
/// When no server can be had. A test is to fail then, not to skip: a suite that
/// passes without a server proves nothing.
pub async fn test_database() -> Result<TestDatabase> {
    let shared = env::var(TEST_DATABASE_URL_VARIABLE)
        .ok()
        .filter(|url| !url.is_empty());
    if let Some(server_url) = shared {
        return TestDatabase::on(&server_url).await.with_context(|| {
            format!(
                "{TEST_DATABASE_URL_VARIABLE} is set, but the server cannot be used; unset it for a local server"
            )
        });
    }
    // Nothing of a test outlives it, so nothing needs to reach the disk.
    let options = PostgresOptions {
        durable: false,
        ..PostgresOptions::new(PostgresChoice::Local)
    };
    let server = PostgresServer::start(&options).await?;
    let url = server.create_database(&unique_name()).await?;
    Ok(TestDatabase {
        url,
        lives_on: Home::Own {
            _server: Box::new(server),
        },
    })
}

impl Drop for TestDatabase {
    /// On a thread with a runtime of its own: a test's runtime may have a single
    /// thread, or be shutting down because the test panicked.
    fn drop(&mut self) {
        let Home::Shared { server_url, name } = &self.lives_on else {
            return;
        };
        let (url, database) = (server_url.clone(), name.clone());
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(drop_database(&url, &database))
        });
        match dropping.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("the database {name} is left behind: {error:#}"),
            Err(_) => tracing::warn!("dropping the database {name} panicked"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::postgres::connect;
    use super::*;

    #[tokio::test]
    async fn a_database_is_empty_and_gone_afterwards() {
        let options = PostgresOptions::new(PostgresChoice::Local);
        let server = PostgresServer::start(&options).await.unwrap();
        let name = "some \"name".to_owned();
        let url = server.create_database(&name).await.unwrap();
        let database = TestDatabase {
            url,
            lives_on: Home::Shared {
                server_url: server.url().to_owned(),
                name: name.clone(),
            },
        };
        let inside = connect(database.url()).await.unwrap();
        let current: String = inside
            .query_one("SELECT current_database()", &[])
            .await
            .unwrap()
            .get(0);
        assert_eq!(current, name);

        drop(database);
        let outside = connect(server.url()).await.unwrap();
        let query = "SELECT count(*) FROM pg_database WHERE datname = $1";
        let left: i64 = outside.query_one(query, &[&name]).await.unwrap().get(0);
        assert_eq!(left, 0);
    }

    #[tokio::test]
    async fn two_test_databases_share_nothing() {
        let one = test_database().await.unwrap();
        let two = test_database().await.unwrap();
        assert_ne!(one.url(), two.url());
        let client = connect(one.url()).await.unwrap();
        client
            .batch_execute("CREATE TABLE only_in_one (a int)")
            .await
            .unwrap();
        let other = connect(two.url()).await.unwrap();
        assert!(
            other
                .batch_execute("SELECT * FROM only_in_one")
                .await
                .is_err()
        );
    }
}
