use super::*;
use crate::judge::history::example;
use crate::stats::SIGNIFICANCE;

fn history(entries: &[Entry], filters: &[&str]) -> History {
    let filters: Vec<String> = filters.iter().map(|one| (*one).to_owned()).collect();
    History::new(entries, &filters, SIGNIFICANCE)
}

fn names(history: &History) -> Vec<(&str, &str)> {
    let series = history.series.iter();
    series
        .map(|one| (one.arm.as_str(), one.metric.as_str()))
        .collect()
}

#[test]
fn a_change_says_when_by_how_much_and_what_it_means() {
    let history = history(&example::entries(14, 8, 1.25), &["copy"]);
    assert_eq!(history.series.len(), 6);
    let (changed, unchanged) = history.series.split_at(2);
    assert!(unchanged.iter().all(|one| one.changes.is_empty()));
    for series in changed {
        let expected = match series.metric.as_str() {
            "client_cpu_seconds_per_million_rows" => 0.25,
            "rows_per_second" => -0.2,
            other => panic!("{other} changed"),
        };
        let [change] = series.changes.as_slice() else {
            panic!("{series:?}");
        };
        assert_eq!(change.index, 8);
        assert_eq!(change.started_at, example::day(8));
        assert_eq!(change.commit, example::commit(8));
        assert_eq!(change.commit_before, example::commit(7));
        assert_eq!(change.direction, Direction::Worse);
        let Relative {
            estimate,
            low,
            high,
        } = change.relative;
        assert!((estimate - expected).abs() < 0.02, "{change:?}");
        assert!(low < expected && expected < high, "{change:?}");
        assert!((change.after / change.before - 1.0 - expected).abs() < 0.02);
        assert!(change.p_value <= SIGNIFICANCE);
    }
}

#[test]
fn less_of_a_cost_and_more_of_a_rate_are_better() {
    let history = history(&example::entries(14, 8, 0.8), &[]);
    let better: Vec<&Series> = history
        .series
        .iter()
        .filter(|series| series.direction() == Some(Direction::Better))
        .collect();
    assert_eq!(better.len(), 2);
    assert!(better.iter().all(|series| series.arm == "COPY"));
}

#[test]
fn what_became_worse_stands_above_what_became_better() {
    let mut entries = example::entries(14, 8, 1.3);
    // INSERT becomes better, and its name is the later one anyway; COPY's rate hardly worse.
    for entry in &mut entries {
        if entry.arm == "INSERT" && entry.started_at >= example::day(8) {
            entry.value /= if entry.more_is_better { 0.5 } else { 2.0 };
        }
    }
    let history = history(&entries, &["rows_per_second"]);
    let directions: Vec<_> = history.series.iter().map(Series::direction).collect();
    assert_eq!(
        directions,
        [Some(Direction::Worse), Some(Direction::Better)]
    );
    let small = example::entries(14, 8, 1.1);
    let mut mixed = example::entries(14, 8, 1.5);
    for (entry, small) in mixed.iter_mut().zip(&small) {
        if entry.metric == "rows_per_second" {
            entry.value = small.value;
        }
    }
    let history = self::history(&mixed, &["copy"]);
    assert_eq!(names(&history)[0].1, "client_cpu_seconds_per_million_rows");
}

#[test]
fn results_of_other_places_and_loads_are_other_series() {
    let entries = example::entries(14, 8, 1.25);
    let changed = |change: fn(&mut Entry)| {
        let mut entries = entries.clone();
        let slow = entries
            .iter_mut()
            .filter(|entry| entry.started_at >= example::day(8));
        slow.for_each(change);
        history(&entries, &[])
    };
    let before = history(&entries, &[]).series.len();
    for history in [
        changed(|one| one.machine.digest = "another".to_owned()),
        changed(|one| one.load = "another".to_owned()),
        changed(|one| one.rows *= 2),
    ] {
        assert_eq!(history.series.len(), 2 * before);
        assert!(history.series.iter().all(|one| one.changes.is_empty()));
    }
}

#[test]
fn runs_are_in_the_order_in_which_they_began() {
    let mut entries = example::entries(14, 8, 1.25);
    entries.reverse();
    assert_eq!(
        history(&entries, &[]),
        history(&example::entries(14, 8, 1.25), &[])
    );
}

#[test]
fn a_run_ends_the_series_of_its_own_metrics_and_loads() {
    let stored = example::entries(12, 6, 1.2);
    let (of_run, later): (Vec<Entry>, Vec<Entry>) = stored
        .iter()
        .filter(|one| one.started_at >= example::day(10))
        .cloned()
        .partition(|one| one.started_at == example::day(10));
    assert!(!later.is_empty());
    let copy = of_run.iter().filter(|one| one.arm == "COPY");
    let mut own: Vec<Entry> = copy.cloned().collect();
    own[0].load = "another".to_owned();
    let up_to = History::up_to(&own, &stored, SIGNIFICANCE);
    assert_eq!(up_to.series.len(), own.len());
    for series in &up_to.series {
        assert_eq!(series.arm, "COPY");
        let points = if series.load == "another" { 1 } else { 11 };
        assert_eq!(series.points.len(), points, "{}", series.metric);
        let last = series.points.last().unwrap();
        assert_eq!(last.started_at, example::day(10));
    }
}

#[test]
fn every_filter_must_be_held_by_name_metric_or_place() {
    let entries = example::entries(1, 9, 1.0);
    let count = |filters: &[&str]| history(&entries, filters).series.len();
    assert_eq!(count(&[]), 12);
    assert_eq!(count(&["copy"]), 6);
    assert_eq!(count(&["COPY", "tuned", "cpu"]), 1);
    assert_eq!(count(&[&entries[0].machine.digest]), 12);
    assert_eq!(count(&["copy", "insert"]), 0);
}

#[test]
fn a_change_of_spread_alone_is_neither_worse_nor_better() {
    let points: Vec<Point> = (0..60)
        .map(|nth: usize| {
            let spread = if nth < 30 { 0.001 } else { 0.3 };
            let value = 1.0 + spread * (((nth * 17) % 11) as f64 / 5.0 - 1.0);
            Point {
                started_at: example::day(nth as u32),
                commit: String::new(),
                git_dirty: None,
                value,
                lower_quartile: value,
                upper_quartile: value,
                samples: 1,
            }
        })
        .collect();
    let found = changes(&points, false, SIGNIFICANCE);
    assert!(!found.is_empty());
    for change in found {
        assert_eq!(change.direction, Direction::Unclear, "{change:?}");
    }
}
