//! Taking a table away again.

use std::sync::Arc;

use super::place::Place;
use super::session::{Idle, Session};
use super::table::TableName;
use super::target::TargetSpec;
use crate::error::Result;
use crate::metrics::Metrics;

/// Drops `table`, if it is there, with what an interrupted load of it left.
///
/// # Errors
/// A server that cannot be reached or refuses; a load of the table that is under way. The table then stays
/// as it was.
pub async fn drop_table(target: &TargetSpec, table: &TableName) -> Result<()> {
    let session = Session::open(target, Arc::<Metrics>::default()).await?;
    let doing = format!("dropping table {table}");
    session.begin(&doing, Idle::Usual).await?;
    let place = Place::lock(&session, table).await?;
    let statements = format!(
        "DROP TABLE IF EXISTS {}, {}; COMMIT",
        place.table,
        place.own_table()
    );
    session.execute(&doing, &statements).await
}

#[cfg(test)]
mod tests {
    use testkit::test_database::test_database;

    use super::super::tests::{client, config, ids, load, sink};
    use super::*;
    use crate::config::{WriteMethod, WriteMode};

    #[tokio::test]
    async fn postgres_drops_a_table_with_what_a_load_of_it_left() {
        let database = test_database().await.unwrap();
        let client = client(&database).await;
        let sink = sink(&database, "t", WriteMode::Replace, &[]);
        let config = config(WriteMethod::CopyBinary, 10);
        load(sink.clone(), config, &[ids(&[1, 2], &["a", "b"])])
            .await
            .unwrap();
        let left = "DO $$ BEGIN EXECUTE format('CREATE TABLE public._apitap_%s (a int)', \
                    lpad(to_hex(hashtextextended('public.t', 4702114417)), 16, '0')); END $$; \
                    CREATE TABLE public.other (a int)";
        client.batch_execute(left).await.unwrap();

        // The lock of a load that is under way.
        let key = "hashtextextended('public.t', 4702114417)";
        let lock = format!("BEGIN; SELECT pg_advisory_xact_lock({key})");
        client.batch_execute(&lock).await.unwrap();
        let error = drop_table(&sink.target, &sink.table).await.unwrap_err();
        assert!(error.to_string().contains("under way"), "{error}");
        client.batch_execute("COMMIT").await.unwrap();

        for _ in 0..2 {
            drop_table(&sink.target, &sink.table).await.unwrap();
            let query =
                "SELECT string_agg(tablename, ',') FROM pg_tables WHERE schemaname = 'public'";
            let tables: String = client.query_one(query, &[]).await.unwrap().get(0);
            assert_eq!(tables, "other");
        }
    }
}
