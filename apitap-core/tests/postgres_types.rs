//! What SQL asks for is what PostgreSQL gets: types, time zones and years, or an error that names the column.

use apitap_core::config::{BadText, WriteMethod, WriteMode};
use apitap_core::error::{Error, ErrorKind};
use apitap_core::{Config, Job};
use serde_json::{Value, json};
use wiremock::MockServer;

use crate::fixture::{Fixture, bodies, both_paths, run};

const ROW: &str = r#"[{"id":0,"compact":"2024-01-01T00:00:00+0530","hours":"2024-01-01T00:00:00+05",
    "tz":"2024-01-01T00:00:00+05:30","naive":"2024-01-01 10:00:00","far":"9999-12-31 23:59:59.999999",
    "early":"0001-01-01T00:00:00Z","epoch":1704067200,"half":1704067200.5,"day":"2024-02-29",
    "nanos":"2024-01-01T00:00:00.123456789Z","zone":"2024-01-01T00:00:00 Europe/Berlin","word":"soon"}]"#;

struct Loads {
    fixture: Fixture,
    server: MockServer,
}

impl Loads {
    async fn new(body: &str) -> Self {
        Self {
            fixture: Fixture::new().await,
            server: bodies(vec![body.to_owned()]).await,
        }
    }

    fn job(&self, sql: &str) -> Job {
        self.fixture.job(&[("s", &self.server.uri())], sql, "t")
    }

    /// Type and text of column `v` of the new table that `sql` loads.
    async fn loads(&self, sql: &str) -> Value {
        let client = &self.fixture.client;
        client
            .batch_execute("DROP TABLE IF EXISTS t")
            .await
            .unwrap();
        let [config, _] = both_paths();
        run(&self.job(sql), config)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        self.fixture
            .rows("(SELECT pg_typeof(v)::text AS type, v::text AS v FROM t)")
            .await
    }

    async fn refuses(&self, sql: &str) -> Error {
        let [config, _] = both_paths();
        run(&self.job(sql), config).await.unwrap_err()
    }
}

const TIMESTAMPTZ: &str = "timestamp with time zone";
const TIMESTAMP: &str = "timestamp without time zone";

#[tokio::test]
async fn postgres_gets_timestamps_as_the_sql_casts_them() {
    let loads = Loads::new(ROW).await;
    for (expression, type_name, text) in [
        (
            "CAST(compact AS timestamptz)",
            TIMESTAMPTZ,
            "2023-12-31 18:30:00+00",
        ),
        (
            "compact::timestamptz",
            TIMESTAMPTZ,
            "2023-12-31 18:30:00+00",
        ),
        (
            "CAST(hours AS timestamp with time zone)",
            TIMESTAMPTZ,
            "2023-12-31 19:00:00+00",
        ),
        (
            "TIMESTAMPTZ '2024-01-01 00:00:00-0800'",
            TIMESTAMPTZ,
            "2024-01-01 08:00:00+00",
        ),
        (
            "CAST(naive AS timestamptz)",
            TIMESTAMPTZ,
            "2024-01-01 10:00:00+00",
        ),
        (
            "CAST(zone AS timestamptz)",
            TIMESTAMPTZ,
            "2023-12-31 23:00:00+00",
        ),
        (
            "CAST(day AS timestamptz)",
            TIMESTAMPTZ,
            "2024-02-29 00:00:00+00",
        ),
        (
            "CAST(far AS timestamptz)",
            TIMESTAMPTZ,
            "9999-12-31 23:59:59.999999+00",
        ),
        ("CAST(tz AS timestamp)", TIMESTAMP, "2023-12-31 18:30:00"),
        (
            "CAST(compact AS timestamp)",
            TIMESTAMP,
            "2023-12-31 18:30:00",
        ),
        (
            "CAST(far AS timestamp)",
            TIMESTAMP,
            "9999-12-31 23:59:59.999999",
        ),
        (
            "CAST(naive AS timestamp) AT TIME ZONE 'UTC'",
            TIMESTAMPTZ,
            "2024-01-01 10:00:00+00",
        ),
        (
            "CAST(naive AS timestamp) AT TIME ZONE 'Europe/Berlin'",
            TIMESTAMPTZ,
            "2024-01-01 09:00:00+00",
        ),
        (
            "naive AT TIME ZONE 'Europe/Berlin'",
            TIMESTAMPTZ,
            "2024-01-01 09:00:00+00",
        ),
        (
            "COALESCE(TRY_CAST(word AS timestamptz), tz)",
            TIMESTAMPTZ,
            "2023-12-31 18:30:00+00",
        ),
        (
            "COALESCE(TRY_CAST(nanos AS timestamptz), tz)",
            TIMESTAMPTZ,
            "2023-12-31 18:30:00+00",
        ),
        (
            "CASE WHEN id = 0 THEN early ELSE CAST(naive AS timestamp) END",
            TIMESTAMPTZ,
            "0001-01-01 00:00:00+00",
        ),
        (
            "(SELECT max(CAST(far AS timestamp)) FROM s)",
            TIMESTAMP,
            "9999-12-31 23:59:59.999999",
        ),
        (
            "to_timestamp_seconds(epoch)",
            TIMESTAMP,
            "2024-01-01 00:00:00",
        ),
        ("to_timestamp(epoch)", TIMESTAMP, "2024-01-01 00:00:00"),
        (
            "to_timestamp_seconds(half)",
            TIMESTAMP,
            "2024-01-01 00:00:00.5",
        ),
        ("to_timestamp(half)", TIMESTAMP, "2024-01-01 00:00:00.5"),
        (
            "to_timestamp_millis(epoch * 1000 + 1)",
            TIMESTAMP,
            "2024-01-01 00:00:00.001",
        ),
        ("to_timestamp(far)", TIMESTAMP, "9999-12-31 23:59:59.999999"),
        (
            "to_timestamp(253402300799)",
            TIMESTAMP,
            "9999-12-31 23:59:59",
        ),
    ] {
        let seen = loads
            .loads(&format!("SELECT {expression} AS v FROM s"))
            .await;
        assert_eq!(
            seen,
            json!([{"type": type_name, "v": text}]),
            "{expression}"
        );
    }
}

#[tokio::test]
async fn postgres_gets_what_sql_does_with_any_year() {
    let loads = Loads::new(ROW).await;
    let far = "CAST(far AS timestamp)";
    for (expression, type_name, text) in [
        (
            "date_trunc('month', early)",
            TIMESTAMPTZ,
            "0001-01-01 00:00:00+00",
        ),
        ("date_trunc('century', naive)", "", ""),
        ("date_trunc('month', far)", TIMESTAMP, "9999-12-01 00:00:00"),
        (
            "date_trunc('week', CAST(far AS timestamptz))",
            TIMESTAMPTZ,
            "9999-12-27 00:00:00+00",
        ),
        (
            "date_trunc('year', CAST(far AS date))",
            TIMESTAMP,
            "9999-01-01 00:00:00",
        ),
        (
            "date_trunc('microsecond', CAST(nanos AS timestamptz))",
            TIMESTAMPTZ,
            "2024-01-01 00:00:00.123456+00",
        ),
        (
            "CAST(nanos AS timestamp(3))",
            TIMESTAMP,
            "2024-01-01 00:00:00.123",
        ),
        (
            "date_trunc('second', nanos)",
            TIMESTAMP,
            "2024-01-01 00:00:00",
        ),
        (
            "date_trunc('day', tz AT TIME ZONE 'Europe/Berlin')",
            TIMESTAMPTZ,
            "2023-12-30 23:00:00+00",
        ),
        (
            "early - interval '1 day'",
            TIMESTAMPTZ,
            "0001-12-31 00:00:00+00 BC",
        ),
        (
            "early + interval '9998 years'",
            TIMESTAMPTZ,
            "9999-01-01 00:00:00+00",
        ),
        (
            "far::timestamp + interval '1 microsecond'",
            TIMESTAMP,
            "10000-01-01 00:00:00",
        ),
        (
            "far::timestamp - early::timestamp",
            "interval",
            "3652058 days 23:59:59.999999",
        ),
        ("CAST(far AS date)", "date", "9999-12-31"),
        ("extract(year FROM early)", "integer", "1"),
        ("date_part('year', far)", "integer", "9999"),
        ("to_char(early, '%Y-%m-%d')", "text", "0001-01-01"),
        ("early < '2024-01-01'", "boolean", "true"),
        ("early = '0001-01-01'", "boolean", "true"),
        ("early IN ('0001-01-01', '9999-01-01')", "boolean", "true"),
        (
            "early BETWEEN '0001-01-01' AND '9999-12-31'",
            "boolean",
            "true",
        ),
        (
            "far::timestamp > CAST('2024-01-01' AS date)",
            "boolean",
            "true",
        ),
        ("far::timestamp > now()", "boolean", "true"),
        (
            "far::timestamp > to_timestamp('2024-01-01')",
            "boolean",
            "true",
        ),
        (
            "far::timestamp > to_timestamp_nanos(1000)",
            "boolean",
            "true",
        ),
        ("early < current_timestamp", "boolean", "true"),
        (
            "now() - interval '1 day' < current_timestamp",
            "boolean",
            "true",
        ),
    ] {
        let sql = format!("SELECT {expression} AS v FROM s");
        if type_name.is_empty() {
            // Not DataFusion's either.
            loads.refuses(&sql).await;
            continue;
        }
        let seen = loads.loads(&sql).await;
        assert_eq!(
            seen,
            json!([{"type": type_name, "v": text}]),
            "{expression}"
        );
    }
    for sql in [
        "SELECT early AS v FROM s UNION ALL SELECT CAST(naive AS timestamp) FROM s",
        "SELECT date_trunc('day', early) AS v FROM s GROUP BY date_trunc('day', early) \
         UNION ALL SELECT CAST(naive AS timestamptz) FROM s GROUP BY CAST(naive AS timestamptz)",
        "WITH a AS (SELECT early AS v FROM s UNION SELECT CAST(naive AS timestamptz) FROM s) \
         SELECT a.v FROM a JOIN s ON a.v < s.far::timestamp ORDER BY a.v",
    ] {
        let seen = loads.loads(sql).await;
        let expected = json!([
            {"type": TIMESTAMPTZ, "v": "0001-01-01 00:00:00+00"},
            {"type": TIMESTAMPTZ, "v": "2024-01-01 10:00:00+00"},
        ]);
        assert_eq!(seen, expected, "{sql}");
    }
    let counted = format!(
        "SELECT count(*) AS v FROM s WHERE {far} > '2024-01-01' AND early < DATE '0001-01-02' \
         AND naive < far AND tz > CAST(early AS timestamp)"
    );
    assert_eq!(
        loads.loads(&counted).await,
        json!([{"type": "bigint", "v": "1"}])
    );
}

#[tokio::test]
async fn postgres_takes_naive_times_for_utc() {
    let loads = Loads::new(ROW).await;
    let client = &loads.fixture.client;
    let create = "CREATE TABLE t (id bigint, v timestamptz)";
    client.batch_execute(create).await.unwrap();
    for (expression, text) in [
        ("CAST(naive AS timestamp)", "2024-01-01 10:00:00+00"),
        ("to_timestamp_seconds(epoch)", "2024-01-01 00:00:00+00"),
        ("CAST(day AS date)", "2024-02-29 00:00:00+00"),
    ] {
        let mut job = loads.job(&format!("SELECT id, {expression} AS v FROM s"));
        job.sink.mode = WriteMode::Append;
        client.batch_execute("TRUNCATE t").await.unwrap();
        run(&job, Config::default()).await.unwrap();
        let rows = loads.fixture.rows("(SELECT v::text FROM t)").await;
        assert_eq!(rows, json!([{"v": text}]), "{expression}");
    }
}

#[tokio::test]
async fn refused_casts_name_column_row_range_and_remedy_on_the_way_to_postgres() {
    let body = ROW.replace(
        "soon\"}]",
        "7\"},{\"id\":1,\"word\":\"soon secret\",\"nanos\":\"1\"}]",
    );
    let loads = Loads::new(&body).await;
    for (expression, detail, hint) in [
        (
            "CAST(word AS bigint)",
            "column word, row 2 of those cast: the SQL casts a text that is no bigint",
            "TRY_CAST",
        ),
        (
            "CAST(word AS numeric(5,2))",
            "column word, row 2 of those cast: the SQL casts a text that is no numeric(5,2)",
            "TRY_CAST",
        ),
        (
            "CAST(word AS date)",
            "column word, row 1 of those cast: the SQL casts a text that is no date",
            "TRY_CAST",
        ),
        (
            "CAST(word AS timestamptz)",
            "column word, row 1 of those cast: the SQL casts a text that is no timestamptz of the years 0001 to 9999",
            "columns: {word: timestamptz}",
        ),
        (
            "upper(word)::boolean",
            "column word, row 1 of those cast: the SQL casts a text that is no boolean",
            "TRY_CAST",
        ),
        (
            "CAST(nanos AS timestamp)",
            "column nanos, row 1 of those cast: the SQL casts a time with nanoseconds",
            "date_trunc('microsecond'",
        ),
        (
            "CAST(epoch * 1000 AS int)",
            "column epoch, row 1 of those cast: the SQL casts a bigint that is no integer (-2147483648 to 2147483647)",
            "TRY_CAST",
        ),
        (
            "date_bin(interval '1 day', early)",
            "column early, row 1 of those cast: the SQL casts a timestamptz outside of 1677-09-21 to 2262-04-11",
            "date_trunc",
        ),
    ] {
        let error = loads
            .refuses(&format!("SELECT {expression} AS v FROM s"))
            .await;
        assert_eq!(error.kind(), ErrorKind::Sql, "{error:?}");
        assert!(error.to_string().contains(detail), "{expression}: {error}");
        let next = error.next_step().unwrap();
        assert!(next.contains(hint), "{expression}: {next}");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        assert!(!loads.fixture.exists("t").await);
    }
    for (expression, detail) in [
        (
            "CAST(epoch AS timestamptz)",
            "column epoch: the SQL casts bigint to timestamptz",
        ),
        (
            "CAST(tz AS bigint)",
            "column tz: the SQL casts timestamptz to bigint",
        ),
        ("early + interval '300000 years'", "a result out of range"),
        (
            "early - interval '5000 years'",
            "column v, row 1 of the result: the date or time lies outside",
        ),
    ] {
        let error = loads
            .refuses(&format!("SELECT {expression} AS v FROM s"))
            .await;
        assert!(error.to_string().contains(detail), "{expression}: {error}");
    }
    let error = loads
        .refuses("SELECT make_interval(word) + id AS v FROM s")
        .await;
    assert!(!error.to_string().contains("Utf8"), "{error}");
    let error = loads.refuses("SELECT id AND word AS v FROM s").await;
    assert!(
        !error.to_string().contains("Int64") && error.to_string().contains("bigint"),
        "{error}"
    );
}

#[tokio::test]
async fn postgres_columns_that_would_change_values_are_refused_in_words_of_sql() {
    let loads = Loads::new(ROW).await;
    let create = "CREATE TABLE t (half numeric(12,2), tz timestamp, epoch integer)";
    loads.fixture.client.batch_execute(create).await.unwrap();
    for (sql, detail, hint) in [
        (
            "SELECT half FROM s",
            "column half: double precision cannot be written to a column of type numeric(12,2)",
            "columns: {half: \"numeric(12,2)\"}",
        ),
        (
            "SELECT tz FROM s",
            "column tz: timestamptz cannot be written to a column of type timestamp",
            "CAST(tz AS timestamp)",
        ),
        (
            "SELECT epoch * 1000 AS epoch FROM s",
            "column epoch, row 1 of the result: the bigint does not fit integer",
            "widen",
        ),
    ] {
        let mut job = loads.job(sql);
        job.sink.mode = WriteMode::Append;
        let error = run(&job, Config::default()).await.unwrap_err();
        assert!(error.to_string().contains(detail), "{error}");
        let next = error.next_step().unwrap();
        assert!(next.contains(hint), "{next}");
    }
}

#[tokio::test]
async fn text_that_is_not_json_is_named_by_every_method_on_the_way_to_postgres() {
    let good = r#"{"id":1,"o":"{\"a\":1e2}"}"#;
    for (text, reason) in [
        ("{secret", "the text is not JSON"),
        ("", "the text is not JSON"),
        ("01", "the text is not JSON"),
        (r#"{\"a\":\"\\u0000\"}"#, "NUL character"),
        (r#"{\"\\ud800\":1}"#, "half of a surrogate pair"),
        (&"[".repeat(129), "nested more than 128 deep"),
    ] {
        let loads = Loads::new(&format!(r#"[{good},{{"id":2,"o":"{text}"}}]"#)).await;
        let create = "CREATE TABLE t (id bigint, o jsonb)";
        loads.fixture.client.batch_execute(create).await.unwrap();
        for method in WriteMethod::ALL {
            let mut job = loads.job("SELECT id, o FROM s");
            job.sink.mode = WriteMode::Append;
            let config = Config::default().with(&format!("write.method={method}"));
            let error = run(&job, config.unwrap()).await.unwrap_err();
            let message = error.to_string();
            assert!(
                message.contains("column o, row 2 of the result") && message.contains(reason),
                "{method}: {error:?}"
            );
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
            assert_eq!(loads.fixture.rows("t").await, json!([]), "{method}");
        }
    }
}

#[tokio::test]
async fn text_that_postgres_cannot_hold_fails_or_is_replaced_as_the_source_says() {
    let body = r#"[{"id":1,"t":"a\ud800b\u0000","o":{"\u0000":"\udc00","n":1e22}}]"#;
    let fixture = Fixture::new().await;
    let server = bodies(vec![body.into()]).await;
    let uri = server.uri();
    for config in both_paths() {
        let job = |sql: &str| fixture.job(&[("s", &uri)], sql, "t");
        run(&job("SELECT id FROM s"), config.clone()).await.unwrap();
        let drop = fixture.client.batch_execute("DROP TABLE t");
        drop.await.unwrap();
        for (column, sql) in [("t", "SELECT id, t FROM s"), ("o", "SELECT id, o FROM s")] {
            let error = run(&job(sql), config.clone()).await.unwrap_err();
            let place = format!("source s, page 1, row 1, column {column}: ");
            assert!(error.to_string().contains(&place), "{error}");
            let next = error.next_step().unwrap();
            assert!(next.contains("on_bad_text: replace"), "{next}");
        }
        let mut job = job("SELECT id, t, o::text AS o FROM s");
        let mut spec = (*job.sources[0]).clone();
        spec.on_bad_text = BadText::Replace;
        job.sources[0] = spec.into();
        run(&job, config).await.unwrap();
        let rows = fixture.rows("t").await;
        let expected = "{\"\u{fffd}\":\"\u{fffd}\",\"n\":1e22}";
        assert_eq!(
            rows,
            json!([{"id": 1, "t": "a\u{fffd}b\u{fffd}", "o": expected}])
        );
    }
}
