//! The experiments of this repository, and the scenarios that follow from them.

use std::collections::HashSet;

use apitap_core::config::WriteMode;

use super::*;

fn all() -> Vec<Experiment> {
    Experiment::all(&ExperimentFiles::find(None)).unwrap()
}

fn experiment(id: &str) -> Experiment {
    all().into_iter().find(|one| one.id() == id).unwrap()
}

#[test]
fn scenarios_have_names_of_their_own_and_baselines_that_differ_from_candidates() {
    for scale in [Scale::Quick, Scale::Default, Scale::Full] {
        let mut names = HashSet::new();
        for plan in all().iter().flat_map(|one| one.scenarios(scale)) {
            assert!(names.insert(plan.name.clone()), "{}", plan.name);
            assert!(
                plan.blocks % 2 == 0 && plan.arms.len() >= 2,
                "{}",
                plan.name
            );
            let differs = |arm: &ArmPlan| {
                let of = |arm: &ArmPlan| (arm.load.clone(), arm.rows, arm.sql.clone());
                of(arm) != of(plan.baseline())
            };
            let is_control = plan.experiment == IDENTICAL;
            assert!(
                plan.arms[1..].iter().all(|arm| differs(arm) != is_control),
                "{}",
                plan.name
            );
        }
    }
}

#[test]
fn a_change_is_measured_on_both_presets() {
    let plans = experiment("counter").scenarios(Scale::Full);
    let names: Vec<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
    assert_eq!(names, ["counter on before", "counter on tuned"]);
    let preset = |plan: &ScenarioPlan| match &plan.baseline().load {
        LoadPlan::Engine { preset, .. } => preset.clone(),
        LoadPlan::PsqlCopy | LoadPlan::PsqlStaged(_) => String::new(),
    };
    assert_eq!(
        plans.iter().map(preset).collect::<Vec<_>>(),
        ["before", "tuned"]
    );
}

#[test]
fn a_grid_has_a_scenario_for_every_cell() {
    let cells = |scale| {
        let plans = experiment("copy-vs-insert").scenarios(scale);
        plans
            .into_iter()
            .filter(|plan| !plan.cell.is_empty())
            .collect::<Vec<_>>()
    };
    let full = cells(Scale::Full);
    assert_eq!(full.len(), 12);
    assert_eq!(
        full[1].name,
        "copy-vs-insert at postgres_round_trip_ms=0, write.batch_rows=1000"
    );
    assert_eq!(full[1].postgres_round_trip_ms, Some(0.0));
    let LoadPlan::Engine { knobs, .. } = &full[1].arms[1].load else {
        panic!("not the engine")
    };
    assert_eq!(
        knobs,
        &["write.method=copy-binary", "write.batch_rows=1000"]
    );
    assert!(cells(Scale::Quick).is_empty(), "a quick run has no grid");
}

#[test]
fn cells_have_rows_and_workloads_of_their_own() {
    let cells = |id| {
        let plans = experiment(id).scenarios(Scale::Full).into_iter();
        plans.filter(|plan| !plan.cell.is_empty())
    };
    let rows: Vec<u64> = cells("copy-vs-insert-rows")
        .flat_map(|plan| plan.arms.into_iter().map(|arm| arm.rows))
        .collect();
    assert_eq!(rows[..4], [10_000, 10_000, 100_000, 100_000]);
    let workloads: Vec<String> = cells("copy-vs-insert-workloads")
        .map(|plan| plan.workload)
        .collect();
    assert_eq!(workloads, ["narrow", "orders", "wide", "text"]);
}

#[test]
fn a_cell_has_a_key_where_its_mode_or_table_needs_one() {
    let plans = experiment("copy-vs-insert-tables").scenarios(Scale::Full);
    let (cells, others): (Vec<_>, Vec<_>) = plans.iter().partition(|plan| plan.table.is_some());
    assert!(others.iter().all(|plan| plan.key == ["id"]));
    assert_eq!(
        cells[0].name,
        "copy-vs-insert-tables at mode=append, table=plain"
    );
    let shown = |plan: &&ScenarioPlan| {
        let modes = plan.arms.iter().map(|arm| match &arm.load {
            LoadPlan::Engine { mode, .. } => *mode,
            LoadPlan::PsqlCopy | LoadPlan::PsqlStaged(_) => None,
        });
        let mut modes: Vec<_> = modes.flatten().collect();
        modes.dedup();
        (modes[0], plan.table.unwrap(), !plan.key.is_empty())
    };
    let (append, merge) = (WriteMode::Append, WriteMode::Merge);
    assert_eq!(
        cells.iter().map(shown).collect::<Vec<_>>(),
        [
            (append, TableForm::Plain, false),
            (append, TableForm::PrimaryKey, true),
            (append, TableForm::Unlogged, false),
            (merge, TableForm::Plain, true),
            (merge, TableForm::PrimaryKey, true),
            (merge, TableForm::Unlogged, true),
        ]
    );
}

#[test]
fn the_changes_whose_shares_are_measured_make_tuned_of_before() {
    let shares = experiment("shares").definition;
    let all = &shares.candidates[0];
    assert_eq!(all.name, "all changes");
    let made = configured("before", &all.knobs).unwrap();
    assert_eq!(made, apitap_core::Config::preset("tuned").unwrap());
    let names: Vec<&str> = shares.arms().map(|arm| arm.name.as_str()).collect();
    assert_eq!(names.len(), 32);
    assert_eq!(
        names[..4],
        ["before", "all changes", "larger pages", "pages at once"]
    );
    assert_eq!(names[4], "larger pages + pages at once");
}

#[test]
fn a_file_that_is_not_named_after_its_experiment_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(FOLDER);
    std::fs::copy(from.join("a-a.toml"), folder.path().join("a-a.toml")).unwrap();
    std::fs::copy(from.join("counter.toml"), folder.path().join("mutex.toml")).unwrap();
    let error = format!(
        "{:#}",
        Experiment::all(&ExperimentFiles::Folder(folder.path().into())).unwrap_err()
    );
    assert!(
        error.contains("mutex.toml") && error.contains("counter"),
        "{error}"
    );

    std::fs::remove_file(folder.path().join("a-a.toml")).unwrap();
    std::fs::remove_file(folder.path().join("mutex.toml")).unwrap();
    let error = Experiment::all(&ExperimentFiles::Folder(folder.path().into()))
        .unwrap_err()
        .to_string();
    assert!(error.contains("there is no a-a.toml"), "{error}");
}
