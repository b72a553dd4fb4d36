//! What a file may state.

use super::*;

const MINIMAL: &str = r#"
    id = "counter"
    title = "Atomic row counter"
    claim = "2-5%"
    section = "2A"
    expected = { low = 1.02, high = 1.05 }
    metric = "wall_seconds"
    workload = "orders"
    on = { before = 50000, tuned = 200000 }
    baseline = { name = "mutex", knobs = ["counter=mutex"] }
    candidates = [{ name = "atomic", knobs = ["counter=atomic"] }]
"#;

fn refusal(from: &str, to: &str) -> String {
    let changed = MINIMAL.replace(from, to);
    assert_ne!(changed, MINIMAL);
    format!("{:#}", Definition::parse(&changed).unwrap_err())
}

#[test]
fn a_file_says_what_is_compared() {
    let definition = Definition::parse(MINIMAL).unwrap();
    assert_eq!(definition.on["tuned"].get(), 200_000);
    assert!(!definition.quick);
    let names: Vec<&str> = definition.arms().map(|arm| arm.name.as_str()).collect();
    assert_eq!(names, ["mutex", "atomic"]);
}

#[test]
fn what_a_file_gets_wrong_is_named() {
    assert!(refusal("metric =", "metrics =").contains("metrics"));
    assert!(refusal("50000", "0").contains("nonzero"));
    assert!(refusal("wall_seconds", "write_seconds").contains("transform.streaming=false"));
    assert!(refusal("counter=atomic", "write.commit=batch").contains("mode append"));
    assert!(refusal("\"orders\"", "\"order\"").contains("workload: there is no workload"));
    assert!(refusal("counter=atomic", "counters=atomic").contains("arm \"atomic\""));
    assert!(refusal("name = \"atomic\"", "name = \"mutex\"").contains("two arms"));
    assert!(refusal("on = {", "rows = 1\non = {").contains("rows: set"));
    let on = "on = { before = 50000, tuned = 200000 }";
    assert!(refusal(on, "rows = 5").contains("preset: name one"));
    assert!(refusal("before =", "after =").contains("unknown preset"));
    assert!(refusal("id = \"counter\"", "id = \"Counter\"").contains("id:"));
    let same = "baseline = { name = \"mutex\", knobs = [\"counter=atomic\"] }";
    let mutex = "baseline = { name = \"mutex\", knobs = [\"counter=mutex\"] }";
    assert!(refusal(mutex, same).contains("does the same as the baseline"));
    for (name, values, complaint) in [
        ("counter", "1, 2", "counter"),
        ("write.batch_rows", "1, 1", "1 is there twice"),
    ] {
        let grid = format!(
            "vary = {{ on = \"tuned\", rows = 1, parameters = [\
             {{ name = \"{name}\", values = [{values}] }}] }}\nid = \"counter\""
        );
        let refused = refusal("id = \"counter\"", &grid);
        assert!(refused.contains(complaint), "{refused}");
    }
    let batch = "candidates = [{ name = \"atomic\", knobs = [\"write.batch_rows=5\"] }]\n\
                 vary = { on = \"tuned\", rows = 1, parameters = [\
                 { name = \"write.batch_rows\", values = [1, 2] }] }";
    let atomic = "candidates = [{ name = \"atomic\", knobs = [\"counter=atomic\"] }]";
    assert!(refusal(atomic, batch).contains("arm \"atomic\" sets it too"));
    let grid = "vary = { on = \"tuned\", rows = 1, parameters = [\
                { name = \"write.batch_row\", values = [1, 2] }] }\nid = \"counter\"";
    assert!(refusal("id = \"counter\"", grid).contains("write.batch_row"));
}

const EXISTING: &str = r#"
    id = "append"
    title = "Append"
    claim = "as fast as SQL"
    section = "goal of the project"
    expected = { low = 1 }
    metric = "wall_seconds"
    workload = "orders"
    key = ["id"]
    existing = 0.5
    rows = 1000
    baseline = { name = "psql", psql_copy = true, mode = "merge" }
    candidates = [
        { name = "merge", preset = "tuned", mode = "merge" },
        { name = "twice", preset = "tuned", knobs = ["counter=mutex"], mode = "merge", expected = { low = 2 } },
    ]
"#;

#[test]
fn a_variant_may_promise_another_gain() {
    let definition = Definition::parse(EXISTING).unwrap();
    let low = |arm| match definition.expected_of(arm) {
        Expected::Factor { low, .. } => low,
        other => panic!("{other:?}"),
    };
    assert_eq!((low("merge"), low("twice")), (1.0, 2.0));
}

#[test]
fn what_could_not_be_loaded_or_checked_is_refused() {
    for (from, to, complaint) in [
        ("existing = 0.5", "existing = 0", "existing: 0 is not"),
        ("existing = 0.5", "existing = 1.5", "existing: 1.5 is not"),
        ("existing = 0.5", "existing = nan", "existing: NaN is not"),
        ("[\"id\"]", "[\"no\"]", "key: the workload has no column"),
        ("key = [\"id\"]", "", "arm \"psql\": mode merge needs"),
        (
            "\"tuned\", mode = \"merge\"",
            "\"tuned\"",
            "arm \"merge\": mode: append or merge",
        ),
        (
            "\"tuned\", mode = \"merge\"",
            "\"tuned\", mode = \"replace\"",
            "arm \"merge\": mode: append or merge",
        ),
        (
            "true, mode = \"merge\"",
            "true, mode = \"replace\"",
            "psql_copy cannot replace",
        ),
        (
            "\"merge\" },",
            "\"merge\", sql = \"SELECT 1\" },",
            "sql: the result could not be checked",
        ),
        (
            "\"merge\" },",
            "\"merge\", expected = \"better\" },",
            "expected: what is promised",
        ),
        (
            "true, mode",
            "true, sql = \"SELECT 1\", mode",
            "it has no sql",
        ),
        ("\"merge\", expected", "\"upsert\", expected", "upsert"),
        (
            "\"merge\", expected",
            "\"append\", expected",
            "arm \"twice\": key: rows that exist",
        ),
    ] {
        let changed = EXISTING.replacen(from, to, 1);
        assert_ne!(changed, EXISTING);
        let refused = format!("{:#}", Definition::parse(&changed).unwrap_err());
        assert!(refused.contains(complaint), "{to}: {refused}");
    }
}

const GRID: &str = r#"
    id = "grid"
    title = "Grid"
    claim = "anywhere"
    section = "test"
    expected = "better"
    metric = "wall_seconds"
    workload = "orders"
    key = ["id"]
    rows = 1000
    baseline = { name = "insert", preset = "tuned", knobs = ["write.method=insert"] }
    candidates = [{ name = "copy", preset = "tuned", knobs = ["write.method=copy-binary"] }]

    [vary]
    rows = 500
    parameters = [
        { name = "mode", values = ["append", "merge"] },
        { name = "table", values = ["plain", "primary key", "unlogged"] },
    ]
"#;

#[test]
fn a_cell_must_mean_something() {
    Definition::parse(GRID).unwrap();
    let modes = r#""mode", values = ["append", "merge"]"#;
    let tables = r#""table", values = ["plain", "primary key", "unlogged"]"#;
    for (from, to, complaint) in [
        (
            "\"merge\"]",
            "\"upsert\"]",
            "mode: upsert is not a value of it",
        ),
        ("\"merge\"]", "1]", "1 is not a text"),
        ("\"merge\"]", "true]", "expected a number or a text"),
        ("\"unlogged\"", "\"temporary\"", "table: temporary is not"),
        ("key = [\"id\"]", "", "a primary key needs"),
        (
            "\"insert\", preset",
            "\"insert\", mode = \"append\", preset",
            "mode: arm \"insert\" sets it too",
        ),
        (
            "\"insert\", preset = \"tuned\", knobs = [\"write.method=insert\"]",
            "\"psql\", psql_copy = true",
            "arm \"psql\" is psql",
        ),
        (
            modes,
            r#""workload", values = ["narrow", "wide"]"#,
            "workload=narrow, table=plain: key and sql",
        ),
        (
            modes,
            r#""workload", values = ["broad", "narrow"]"#,
            "no workload",
        ),
        (modes, r#""rows", values = [1.5, 2]"#, "a whole number"),
        (modes, r#""rows", values = [0, 2]"#, "a whole number"),
        (modes, r#""rows", values = [1, 1]"#, "1 is there twice"),
        (
            modes,
            r#""api_round_trip_ms", values = [1, "a"]"#,
            "it must be a number",
        ),
        (
            modes,
            r#""write.method", values = ["insert", "unnest"]"#,
            "write.method: arm \"insert\" sets it too",
        ),
        (
            tables,
            r#""write.commit", values = ["load", "batch"]"#,
            "mode=append, write.commit=batch: arm \"copy\"",
        ),
    ] {
        let changed = GRID.replacen(from, to, 1);
        assert_ne!(changed, GRID);
        let refused = format!("{:#}", Definition::parse(&changed).unwrap_err());
        assert!(refused.starts_with("vary: ") || to == "true]", "{refused}");
        assert!(refused.contains(complaint), "{to}: {refused}");
    }
}

#[test]
fn values_are_numbers_or_texts_in_run_records_too() {
    let read = |json: &str| serde_json::from_str::<Setting>(json);
    let number = read(r#"{"parameter": "rows", "value": 10}"#).unwrap();
    assert_eq!(number.value, Value::Number(10.0));
    let text = read(r#"{"parameter": "mode", "value": "append"}"#).unwrap();
    assert_eq!(text.to_string(), "mode=append");
    for setting in [number, text] {
        let again = read(&serde_json::to_string(&setting).unwrap()).unwrap();
        assert_eq!(again, setting);
    }
    assert!(read(r#"{"parameter": "rows", "value": null}"#).is_err());
}
