//! The table as a sample finds it: none, an empty one, or one with rows.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio_postgres::Client;

use super::ceilings::{copy_command, make_reference};
use crate::experiment::{ArmPlan, LoadPlan, ScenarioPlan, TableForm};
use testkit::postgres::quoted;
use testkit::workload::{Psql, Workload, quote_table};

/// Rows that exist have the values of another seed: a merge that leaves one as it was is found.
const SEED_OF_EXISTING: u64 = 0x6f6c_6465_7221;

/// Rows that a table holds before a load.
#[derive(Debug, Clone)]
pub(super) struct ExistingRows {
    /// What they are the first rows of.
    pub(super) workload: Workload,
    /// How many.
    pub(super) rows: u64,
}

impl ExistingRows {
    /// Those that the load of `arm` finds; none where `plan` has none.
    pub(super) fn of(plan: &ScenarioPlan, arm: &ArmPlan, workload: &Workload) -> Option<Self> {
        let share = plan.existing?;
        let seed = workload.seed() ^ SEED_OF_EXISTING;
        Some(Self {
            workload: workload.clone().with_seed(seed),
            rows: (arm.rows as f64 * share) as u64,
        })
    }
}

/// Ends the other sessions of a database, drops everything in it but what belongs to the server, and makes the
/// schema `public` anew.
const EMPTY_THE_DATABASE: &str = "DO $$ DECLARE found text; BEGIN \
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
        AND backend_type = 'client backend' AND pid <> pg_backend_pid(); \
    FOR found IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_.*|information_schema)$' LOOP \
        EXECUTE format('DROP SCHEMA %I CASCADE', found); \
    END LOOP; \
    CREATE SCHEMA public; \
    END $$";

/// What is made before each sample of an arm.
#[derive(Debug, Clone)]
pub(crate) struct TableBefore {
    /// Whether the whole database is emptied, and not the table alone dropped.
    is_alone: bool,
    /// The statement that creates the table; absent where the load makes it.
    create: Option<String>,
    is_unlogged: bool,
    /// Its primary key; may be empty.
    key: Vec<String>,
    /// Its rows, as a file for `\copy` in binary.
    rows: Option<PathBuf>,
}

impl TableBefore {
    /// None: the load makes it.
    pub(super) fn none() -> Self {
        Self {
            is_alone: false,
            create: None,
            is_unlogged: false,
            key: Vec::new(),
            rows: None,
        }
    }

    /// None, in an empty database: an arm may keep books of its own there, such as what it has loaded.
    pub(crate) fn empty_database() -> Self {
        Self {
            is_alone: true,
            ..Self::none()
        }
    }

    /// The table of `arm`, with the file of its rows in `folder`.
    ///
    /// psql makes no table, so it finds one in any case.
    pub(super) async fn prepare(
        plan: &ScenarioPlan,
        arm: &ArmPlan,
        workload: &Workload,
        table: &str,
        (database_url, folder): (&str, &Path),
    ) -> Result<Self> {
        let is_engine = matches!(arm.load, LoadPlan::Engine { .. });
        let existing = ExistingRows::of(plan, arm, workload);
        let rows = match &existing {
            None => None,
            Some(ExistingRows { workload, rows }) => {
                let file = folder.join(format!("existing-{rows}.copy"));
                if !file.exists() {
                    make_reference(database_url, workload, *rows, &file).await?;
                }
                Some(file)
            }
        };
        let is_there = rows.is_some() || !is_engine || plan.table.is_some();
        Ok(Self {
            is_alone: false,
            create: is_there.then(|| workload.create_table_sql(table)),
            is_unlogged: plan.table == Some(TableForm::Unlogged),
            key: match plan.table {
                None | Some(TableForm::PrimaryKey) => plan.key.clone(),
                Some(TableForm::Plain | TableForm::Unlogged) => Vec::new(),
            },
            rows,
        })
    }

    /// Drops `table` and makes it anew, as it is before a load: never vacuumed during one, and after rows
    /// were copied into it vacuumed and analysed, as if they had been there for long.
    pub(super) async fn make(&self, client: &Client, psql: &Psql, table: &str) -> Result<()> {
        let name = quote_table(table);
        if self.is_alone {
            let emptied = client.batch_execute(EMPTY_THE_DATABASE).await;
            emptied.context("cannot empty the database")?;
            if let Some((schema, _)) = table.split_once('.') {
                let create = format!("CREATE SCHEMA IF NOT EXISTS {}", quoted(schema));
                let created = client.batch_execute(&create).await;
                created.context("cannot create the schema of the table")?;
            }
        }
        let drop = format!("DROP TABLE IF EXISTS {name}");
        let dropped = client.batch_execute(&drop).await;
        dropped.context("cannot drop the table")?;
        let Some(create) = &self.create else {
            return Ok(());
        };
        let mut create = format!("{create}; ALTER TABLE {name} SET (autovacuum_enabled = off)");
        if self.is_unlogged {
            create += &format!("; ALTER TABLE {name} SET UNLOGGED");
        }
        let created = client.batch_execute(&create).await;
        created.context("cannot make the table")?;
        if let Some(file) = &self.rows {
            let copied = psql.run(&copy_command(&name, file)?).await;
            copied.context("cannot copy the rows that exist before a load")?;
        }
        if !self.key.is_empty() {
            let key: Vec<String> = self.key.iter().map(|column| quoted(column)).collect();
            let add = format!("ALTER TABLE {name} ADD PRIMARY KEY ({})", key.join(", "));
            let added = client.batch_execute(&add).await;
            added.context("cannot add the table's primary key")?;
        }
        if self.rows.is_some() {
            let vacuum = format!("VACUUM (ANALYZE) {name}");
            let vacuumed = client.batch_execute(&vacuum).await;
            vacuumed.context("cannot vacuum the table")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use testkit::postgres::connect;
    use testkit::test_database::test_database;

    use super::*;
    use crate::experiment::{Definition, Experiment, Scale};

    #[tokio::test]
    async fn an_empty_postgres_database_has_the_schema_of_the_table() {
        let database = test_database().await.unwrap();
        let client = connect(database.url()).await.unwrap();
        let psql = Psql::new(database.url()).unwrap();
        let books = "CREATE SCHEMA books; CREATE TABLE books.loads (n int)";
        client.batch_execute(books).await.unwrap();
        let before = TableBefore::empty_database();
        let made = before.make(&client, &psql, "analytics.orders").await;
        made.unwrap();
        let query = "SELECT string_agg(nspname, ' ' ORDER BY nspname) FROM pg_namespace \
                     WHERE nspname !~ '^(pg_.*|information_schema)$'";
        let schemas: String = client.query_one(query, &[]).await.unwrap().get(0);
        assert_eq!(schemas, "analytics public");
    }

    #[tokio::test]
    async fn postgres_has_the_table_of_a_cell() {
        let definition = Definition::parse(
            r#"
            id = "tables"
            title = "Tables"
            claim = "any table"
            section = "test"
            expected = "better"
            metric = "wall_seconds"
            workload = "narrow"
            key = ["id"]
            rows = 10
            baseline = { name = "insert", preset = "tuned", knobs = ["write.method=insert"] }
            candidates = [{ name = "copy", preset = "tuned" }]
            vary = { rows = 10, parameters = [
                { name = "mode", values = ["merge", "append"] },
                { name = "table", values = ["plain", "primary key", "unlogged"] },
            ] }
            "#,
        );
        let definition = definition.unwrap();
        let plans = Experiment { definition }.scenarios(Scale::Default);
        let workload = Workload::named("narrow").unwrap();
        let database = test_database().await.unwrap();
        let client = connect(database.url()).await.unwrap();
        let psql = Psql::new(database.url()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut found = Vec::new();
        for plan in &plans {
            let place = (database.url(), folder.path());
            let before = TableBefore::prepare(plan, plan.baseline(), &workload, "t", place).await;
            before.unwrap().make(&client, &psql, "t").await.unwrap();
            let looked_up =
                "SELECT relpersistence::text, relhasindex FROM pg_class WHERE relname = 't'";
            let row = client.query_opt(looked_up, &[]).await.unwrap();
            found.push(row.map(|row| (row.get::<_, String>(0), row.get::<_, bool>(1))));
        }
        let table = |kind: &str, has_index| Some((kind.to_owned(), has_index));
        let forms = [table("p", false), table("p", true), table("u", false)];
        // Outside of the grid the load makes it.
        assert_eq!(found, [&[None][..], &forms, &forms].concat());
    }
}
