//! A question to the server of a target.

use std::sync::Arc;

use tokio_postgres::SimpleQueryMessage;

use super::session::Session;
use super::target::TargetSpec;
use crate::error::Result;
use crate::metrics::Metrics;

/// Asks the server with one query, over a connection of its own. The cells of the answer are as PostgreSQL
/// writes them as text; none is NULL.
///
/// # Errors
/// A server that cannot be reached, or refuses.
pub async fn ask(target: &TargetSpec, query: &str) -> Result<Vec<Vec<Option<String>>>> {
    let session = Session::open(target, Arc::<Metrics>::default()).await?;
    let answer = session.client().simple_query(query);
    let messages = session.answer("asking the server", answer).await?;
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let cells = rows.map(|row| {
        (0..row.len())
            .map(|at| row.get(at).map(str::to_owned))
            .collect()
    });
    Ok(cells.collect())
}

#[cfg(test)]
mod tests {
    use testkit::test_database::test_database;

    use super::super::tests::sink;
    use super::*;
    use crate::config::WriteMode;

    #[tokio::test]
    async fn postgres_answers_with_texts_or_says_why_not() {
        let database = test_database().await.unwrap();
        let target = sink(&database, "t", WriteMode::Replace, &[]).target;
        let answer = ask(&target, "SELECT 1.50, NULL UNION ALL SELECT 2, 'x'").await;
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            answer.unwrap(),
            [[text("1.50"), None], [text("2"), text("x")]]
        );
        let error = ask(&target, "SELECT * FROM nothing").await.unwrap_err();
        assert!(error.chain().contains("nothing"), "{}", error.chain());
    }
}
