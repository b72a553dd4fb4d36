//! What a query yields when none of its sources has a row, although nobody knows what their columns are.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use futures::stream::{self, StreamExt as _};

use super::{ApiTable, Feed, Lane, Query, ScanRequest};
use crate::config::TransformConfig;
use crate::error::Result;

/// Types that an unknown column may have so that most expressions over it are valid. How many rows there are
/// does not depend on them, because no row is there to have a value.
const STAND_INS: [DataType; 3] = [DataType::Null, DataType::Utf8, DataType::Float64];

/// Whether `sql` yields no rows over `sources` without rows, by their names; the schema of some is unknown. An
/// aggregate over nothing, such as a count, is a row. When the query cannot be planned, the answer is no.
pub(crate) async fn is_empty_over_nothing(
    sql: &str,
    sources: &[(String, Option<SchemaRef>)],
    config: &TransformConfig,
) -> bool {
    for stand_in in STAND_INS {
        if let Ok(rows) = count_over_nothing(sql, sources, &stand_in, config).await {
            return rows == 0;
        }
    }
    false
}

async fn count_over_nothing(
    sql: &str,
    sources: &[(String, Option<SchemaRef>)],
    stand_in: &DataType,
    config: &TransformConfig,
) -> Result<usize> {
    let unknown = words_as_columns(sql, stand_in);
    let tables = sources.iter().map(|(name, schema)| {
        let schema = schema.clone().unwrap_or_else(|| unknown.clone());
        ApiTable::new(name, schema, 1, Box::new(NoRows))
    });
    let query = Query::plan(sql, tables.collect(), config).await?;
    let batches = query.collect().await?;
    let rows = batches.iter().flatten().map(|batch| batch.num_rows());
    Ok(rows.sum())
}

/// Whatever the query may name a column.
fn words_as_columns(sql: &str, data_type: &DataType) -> SchemaRef {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql)
        .tokenize()
        .unwrap_or_default();
    let words: BTreeSet<_> = tokens
        .into_iter()
        .filter_map(|token| match token {
            Token::Word(word) => Some(word.value),
            _ => None,
        })
        .collect();
    let fields = words
        .into_iter()
        .map(|word| Field::new(word, data_type.clone(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

struct NoRows;

impl fmt::Debug for NoRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NoRows")
    }
}

impl Feed for NoRows {
    fn open(&self, request: ScanRequest) -> Result<Vec<Lane>> {
        Ok((0..request.lanes)
            .map(|_| stream::empty().boxed())
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn is_empty(sql: &str) -> bool {
        let known = Schema::new(vec![Field::new("id", DataType::Int64, true)]);
        let sources = [
            ("a".to_owned(), None),
            ("b".to_owned(), Some(Arc::new(known) as SchemaRef)),
        ];
        is_empty_over_nothing(sql, &sources, &TransformConfig::default()).await
    }

    #[tokio::test]
    async fn rows_need_rows() {
        for sql in [
            "SELECT * FROM a",
            "SELECT id, upper(name) AS name FROM a WHERE price > 5 ORDER BY created LIMIT 3",
            "SELECT a.id, date_trunc('day', a.t) AS d FROM a LEFT JOIN b ON a.id = b.id",
            "SELECT id, count(*) AS n, sum(price) AS s FROM a GROUP BY id",
            "SELECT x.id FROM (SELECT DISTINCT id FROM a) AS x UNION SELECT id FROM b",
            "WITH c AS (SELECT id, row_number() OVER (ORDER BY t) AS n FROM a) SELECT id FROM c WHERE n = 1",
            "SELECT id FROM a WHERE id > (SELECT max(id) FROM b)",
        ] {
            assert!(is_empty(sql).await, "{sql}");
        }
    }

    #[tokio::test]
    async fn an_aggregate_of_nothing_is_a_row() {
        for sql in [
            "SELECT count(*) FROM a",
            "SELECT max(price) AS p FROM a WHERE id = 1",
            "SELECT id FROM a UNION ALL SELECT 1",
            "SELECT a.id FROM (SELECT 1 AS id) AS one LEFT JOIN a ON a.id = one.id",
            "not SQL",
        ] {
            assert!(!is_empty(sql).await, "{sql}");
        }
    }
}
