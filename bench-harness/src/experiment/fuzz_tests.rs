//! Whatever an experiment's file says, it is read or refused, and what was read has scenarios.
//!
//! `fixtures/fuzz/experiments` keeps what was once wrong, or might be. Inputs are these files and the
//! experiments themselves, and changes of them.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn corpus() -> Vec<String> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    let mut texts = Vec::new();
    for folder in ["experiments", "fuzz/experiments"] {
        for entry in fs::read_dir(fixtures.join(folder)).unwrap() {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            texts.push(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    texts.sort();
    assert!(texts.len() > 20);
    texts
}

fn check(text: &str) {
    let Ok(definition) = Definition::parse(text) else {
        return;
    };
    let experiment = Experiment { definition };
    for scale in [Scale::Quick, Scale::Default, Scale::Full] {
        for plan in experiment.scenarios(scale) {
            assert!(plan.arms.len() >= 2, "{}", plan.name);
        }
    }
}

#[test]
fn the_kept_files_are_read_or_refused() {
    for text in corpus() {
        check(&text);
    }
}

/// Lines taken out, doubled or exchanged, and values replaced.
fn changed() -> impl Strategy<Value = String> {
    let value = prop::sample::select(vec![
        "0",
        "-1",
        "1",
        "18446744073709551615",
        "9223372036854775807",
        "1e308",
        "nan",
        "-inf",
        "\"\"",
        "\"orders\"",
        "[]",
        "{}",
        "true",
        "1979-05-27",
        "[[",
        "\"\\u0000\"",
    ]);
    let change = (any::<prop::sample::Index>(), 0_usize..5, value);
    let changes = prop::collection::vec(change, 1..5);
    (prop::sample::select(corpus()), changes).prop_map(|(text, changes)| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for (place, what, value) in changes {
            if lines.is_empty() {
                break;
            }
            let at = place.index(lines.len());
            match what {
                0 => {
                    lines.remove(at);
                }
                1 => lines.insert(at, lines[at].clone()),
                2 => lines.swap(0, at),
                3 => lines[at] = lines[at].chars().take(place.index(40)).collect(),
                _ => {
                    if let Some((key, _)) = lines[at].clone().split_once(" = ") {
                        lines[at] = format!("{key} = {value}");
                    }
                }
            }
        }
        lines.join("\n")
    })
}

proptest! {
    #[test]
    fn changed_files_are_read_or_refused(text in changed()) {
        check(&text);
    }

    #[test]
    fn any_text_is_refused(text in "\\PC{0,60}") {
        prop_assert!(Definition::parse(&text).is_err());
    }
}
