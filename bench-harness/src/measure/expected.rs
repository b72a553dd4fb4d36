//! What the table must hold after each arm's load.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use anyhow::{Context, Result};
use apitap_core::config::WriteMode;

use super::oracle;
use super::table::ExistingRows;
use super::verify::Check;
use crate::experiment::{ArmPlan, LoadPlan, ScenarioPlan};
use crate::recording::Content;
use crate::run_record::Verification;
use testkit::workload::Workload;

/// What a table must hold, and how that is verified.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    /// How.
    pub(super) check: Check,
    /// What.
    pub(super) verification: Verification,
    /// How many of these rows were there before the load.
    pub(super) kept_rows: u64,
}

impl Expected {
    /// The first `rows` rows of `workload`, in a table that had none.
    ///
    /// # Errors
    /// When computing their checksum panics.
    pub(crate) async fn rows_of(workload: &Workload, rows: u64) -> Result<Self> {
        Ok(Self {
            check: Check::Workload(workload.clone()),
            verification: of_workload(workload, rows).await?,
            kept_rows: 0,
        })
    }

    /// What a recorded load left, in a table that had no rows.
    #[must_use]
    pub(crate) fn recorded(content: &Content) -> Self {
        Self {
            check: Check::Recorded(content.columns.clone()),
            verification: Verification {
                rows: content.rows,
                checksum: content.checksum.clone(),
            },
            kept_rows: 0,
        }
    }
}

/// What every arm of `plan` must load, in their order. `workload` has the seed of the rows that are
/// expected, which differ from the loaded ones only to test the verification.
pub(super) async fn expected(
    plan: &ScenarioPlan,
    workload: &Workload,
    database_url: &str,
) -> Result<Vec<Expected>> {
    let mut known: BTreeMap<(Option<&str>, u64), (Check, Verification)> = BTreeMap::new();
    let mut expected = Vec::with_capacity(plan.arms.len());
    for arm in &plan.arms {
        let query = plan.query(arm);
        let loaded = match known.entry((query, arm.rows)) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(unknown) => {
                let loaded = match query {
                    Some(sql) => oracle::answer(database_url, workload, arm.rows, sql).await?,
                    None => {
                        let check = Check::Workload(workload.clone());
                        (check, of_workload(workload, arm.rows).await?)
                    }
                };
                unknown.insert(loaded).clone()
            }
        };
        expected.push(with_existing(plan, arm, workload, loaded).await?);
    }
    Ok(expected)
}

async fn of_workload(workload: &Workload, rows: u64) -> Result<Verification> {
    let workload = workload.clone();
    let sum = tokio::task::spawn_blocking(move || workload.expectation(rows)).await?;
    Ok(sum.into())
}

/// Appended rows are beside those that exist. Merged ones leave none of those: they have the same keys.
async fn with_existing(
    plan: &ScenarioPlan,
    arm: &ArmPlan,
    workload: &Workload,
    (check, loaded): (Check, Verification),
) -> Result<Expected> {
    let is_merge = match &arm.load {
        LoadPlan::Engine { mode, .. } => *mode == Some(WriteMode::Merge),
        LoadPlan::PsqlStaged(mode) => *mode == WriteMode::Merge,
        LoadPlan::PsqlCopy => false,
    };
    let existing = ExistingRows::of(plan, arm, workload).filter(|_| !is_merge);
    let Some(existing) = existing else {
        return Ok(Expected {
            check,
            verification: loaded,
            kept_rows: 0,
        });
    };
    let kept = of_workload(&existing.workload, existing.rows).await?;
    Ok(Expected {
        check,
        verification: sum(&loaded, &kept)?,
        kept_rows: kept.rows,
    })
}

/// What a table holds that has the rows of both: a checksum is a sum over rows.
fn sum(one: &Verification, other: &Verification) -> Result<Verification> {
    let number = |of: &Verification| -> Result<i128> {
        let checksum = of.checksum.parse();
        checksum.context("a checksum is not a number")
    };
    Ok(Verification {
        rows: one.rows + other.rows,
        checksum: (number(one)? + number(other)?).to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use testkit::postgres::connect;
    use testkit::test_database::test_database;
    use testkit::workload::Psql;
    use tokio_postgres::Client;

    use super::*;
    use crate::experiment::{Definition, Experiment, Scale};
    use crate::measure::ceilings::{make_reference, staged_commands};
    use crate::measure::table::TableBefore;
    use crate::measure::verify::verify;

    const TABLE: &str = "landed";

    fn plan(arms: &str) -> ScenarioPlan {
        let toml = format!(
            r#"
            id = "existing"
            title = "Rows that exist"
            claim = "they are kept or updated"
            section = "test"
            expected = "better"
            metric = "wall_seconds"
            workload = "orders"
            existing = 0.5
            rows = 100
            {arms}
            "#
        );
        let definition = Definition::parse(&toml).unwrap();
        Experiment { definition }
            .scenarios(Scale::Default)
            .remove(0)
    }

    async fn expected_rows(plan: &ScenarioPlan, url: &str) -> (Vec<Expected>, Vec<(u64, u64)>) {
        let workload = Workload::named("orders").unwrap();
        let expected = expected(plan, &workload, url).await.unwrap();
        let rows = expected
            .iter()
            .map(|one| (one.verification.rows, one.kept_rows))
            .collect();
        (expected, rows)
    }

    /// Makes the table anew for `arm`, lets psql run `commands`, and says how the table differs from what
    /// is expected.
    async fn difference(
        (plan, arm, expected): (&ScenarioPlan, usize, &[Expected]),
        (client, url, folder): (&Client, &str, &Path),
        commands: &[String],
    ) -> Option<String> {
        let (workload, psql) = (Workload::named("orders").unwrap(), Psql::new(url).unwrap());
        let place = (url, folder);
        let before = TableBefore::prepare(plan, &plan.arms[arm], &workload, TABLE, place).await;
        let made = before.unwrap().make(client, &psql, TABLE).await;
        made.unwrap();
        let output = psql.transaction(commands).output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
        let Expected {
            check,
            verification,
            ..
        } = &expected[arm];
        let verified = verify(client, check, TABLE, verification).await.unwrap();
        verified.err()
    }

    #[tokio::test]
    async fn postgres_keeps_or_updates_rows_that_exist_and_anything_else_is_found() {
        let database = test_database().await.unwrap();
        let url = database.url();
        let client = connect(url).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let workload = Workload::named("orders").unwrap();
        let file = folder.path().join("load.copy");
        make_reference(url, &workload, 100, &file).await.unwrap();
        let at = (&client, url, folder.path());
        let commands = |plan: &ScenarioPlan, mode| {
            staged_commands(&file, (TABLE, mode), &workload, &plan.key).unwrap()
        };

        let merges = plan(
            r#"key = ["id"]
            baseline = { name = "psql", psql_copy = true, mode = "merge" }
            candidates = [{ name = "tuned", preset = "tuned", mode = "merge" }]"#,
        );
        let (expected, rows) = expected_rows(&merges, url).await;
        assert_eq!(rows, [(100, 0), (100, 0)]);
        let merge = commands(&merges, WriteMode::Merge);
        let merged = (&merges, 0, &expected[..]);
        assert_eq!(difference(merged, at, &merge).await, None);
        let mut only_new = merge.clone();
        let (insert, _) = merge[2].split_once(" DO UPDATE").unwrap();
        only_new[2] = format!("{insert} DO NOTHING");
        let left = difference(merged, at, &only_new).await;
        assert!(left.unwrap().contains("checksum"));
        let untouched = difference(merged, at, &["SELECT".to_owned()]).await;
        assert!(untouched.unwrap().contains("50 rows instead of 100"));

        let appends = plan(
            r#"baseline = { name = "psql", psql_copy = true, mode = "append" }
            candidates = [{ name = "tuned", preset = "tuned", mode = "append" }]"#,
        );
        let (expected, rows) = expected_rows(&appends, url).await;
        assert_eq!(rows, [(150, 50), (150, 50)]);
        let append = commands(&appends, WriteMode::Append);
        let appended = (&appends, 1, &expected[..]);
        assert_eq!(difference(appended, at, &append).await, None);
        let mut replaced = append.clone();
        replaced.insert(0, "TRUNCATE landed".to_owned());
        let lost = difference(appended, at, &replaced).await;
        assert!(lost.unwrap().contains("100 rows instead of 150"));
    }
}
