//! Whether a query selects every column.

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

/// Whether a `*` in `sql` means columns: at the start of a list, after a comma or after a
/// table's name and a dot. Elsewhere it multiplies, or counts. Text that is not SQL has none; planning
/// reports that.
pub(super) fn selects_all(sql: &str) -> bool {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql)
        .tokenize()
        .unwrap_or_default();
    let mut tokens = tokens
        .iter()
        .filter(|token| !matches!(token, Token::Whitespace(_)))
        .peekable();
    while let Some(token) = tokens.next() {
        let before_columns = match token {
            Token::Word(word) => ["SELECT", "DISTINCT", "ALL"].iter().any(|keyword| {
                word.quote_style.is_none() && word.value.eq_ignore_ascii_case(keyword)
            }),
            Token::Comma | Token::Period => true,
            _ => false,
        };
        if before_columns && tokens.peek() == Some(&&Token::Mul) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_that_mean_columns_differ_from_others() {
        for sql in [
            "SELECT * FROM t",
            "select distinct * from t",
            "SELECT a.*, b.x FROM a JOIN b USING (id)",
            "SELECT x, * EXCLUDE (y) FROM t",
            "SELECT id FROM (SELECT\n*\nFROM t)",
        ] {
            assert!(selects_all(sql), "{sql}");
        }
        for sql in [
            "SELECT COUNT(*) FROM t",
            "SELECT a * b, \'*\', \"*\" FROM t -- *",
            "SELECT (a) * 2 FROM t",
        ] {
            assert!(!selects_all(sql), "{sql}");
        }
    }
}
