use quick_xml::events::Event;

use super::*;
use crate::report::document::{
    AgreementPoint, ClaimedRange, GainBar, GainRow, HeatCell, HistoryChange, HistoryLevel,
    HistoryLine, HistoryPoint, LinePoint, StepKind, Strip, StripGroup, Table, WaterfallStep,
};

fn chart(plot: Plot) -> String {
    draw(&Chart {
        id: "example".to_owned(),
        title: "An <example>".to_owned(),
        plot,
        data: Table::default(),
    })
}

/// One element per line, which is how a change of one can be seen.
fn lines(plot: Plot) -> String {
    chart(plot).replace('>', ">\n")
}

fn step(name: &str, gain: f64, kind: StepKind) -> WaterfallStep {
    WaterfallStep {
        name: name.to_owned(),
        gain,
        kind,
        link: (kind == StepKind::Change).then(|| "there".to_owned()),
    }
}

fn waterfall(gain: f64) -> Plot {
    Plot::Waterfall {
        steps: vec![
            step("COPY instead of INSERT & more", gain, StepKind::Change),
            step("Channel", 0.9, StepKind::Change),
            step("Rest, with interaction", 1.2, StepKind::Rest),
            step("All", gain * 0.9 * 1.2, StepKind::Total),
        ],
    }
}

fn bar(gain: f64, tone: Tone) -> GainBar {
    GainBar {
        gain,
        low: gain * 0.9,
        high: gain * 1.1,
        tone,
    }
}

fn gains(gain: f64) -> Plot {
    let row = |name: &str, added, taken_out| GainRow {
        name: name.to_owned(),
        added,
        taken_out,
        promised: (name == "COPY").then_some(ClaimedRange {
            low: 10.0,
            high: Some(100.0),
        }),
        link: None,
    };
    Plot::Gains {
        rows: vec![
            row(
                "COPY",
                Some(bar(gain, Tone::Better)),
                Some(bar(0.8, Tone::Worse)),
            ),
            row("Counter", None, Some(bar(1.0, Tone::Open))),
            row("Nothing", None, None),
        ],
    }
}

fn strips(value: f64) -> Plot {
    Plot::Strips {
        groups: vec![StripGroup {
            name: "on before".to_owned(),
            strips: vec![
                Strip {
                    name: "insert".to_owned(),
                    values: vec![value, 1.0, 1.0, 1.04],
                    median: value,
                },
                Strip {
                    name: "nothing".to_owned(),
                    values: Vec::new(),
                    median: f64::NAN,
                },
            ],
        }],
    }
}

fn heat_map(gain: f64) -> Plot {
    let cell = |gain, tone| Some(HeatCell { gain, tone });
    Plot::HeatMap {
        across: "round trip".to_owned(),
        across_values: vec!["0".to_owned(), "10".to_owned()],
        down: "rows".to_owned(),
        down_values: vec!["100".to_owned(), "1,000".to_owned()],
        cells: vec![
            vec![cell(gain, Tone::Better), None],
            vec![cell(0.5, Tone::Worse), cell(1.01, Tone::Same)],
        ],
    }
}

fn line(gain: f64) -> Plot {
    let point = |at, gain: f64, tone| LinePoint {
        at,
        gain,
        low: gain * 0.8,
        high: gain * 1.25,
        tone,
    };
    Plot::Line {
        across: "ms".to_owned(),
        points: vec![
            point(0.0, 1.0, Tone::Open),
            point(2.0, gain, Tone::Better),
            point(10.0, 2.0 * gain, Tone::Better),
        ],
        claimed: Some(ClaimedRange {
            low: 2.0,
            high: Some(5.0),
        }),
        crossover: Some(1.234),
    }
}

fn history(value: f64) -> Plot {
    let point = |run, value: f64| HistoryPoint {
        run,
        value,
        lower_quartile: value * 0.98,
        upper_quartile: value * 1.01,
    };
    let level = |from, to, value| HistoryLevel { from, to, value };
    let line = |name: &str, points, levels| HistoryLine {
        name: name.to_owned(),
        points,
        levels,
    };
    let first: Vec<HistoryPoint> = (0..4)
        .map(|run| point(run, if run < 2 { 1.0 } else { value }))
        .collect();
    Plot::History {
        unit: "s".to_owned(),
        runs: (1..=6).map(|day| format!("2026-01-0{day}")).collect(),
        lines: vec![
            line("here", first, vec![level(0, 1, 1.0), level(2, 3, value)]),
            line("there", vec![point(5, 1.1)], vec![level(5, 5, 1.1)]),
        ],
        changes: vec![
            HistoryChange {
                run: 2,
                label: "▼ +40%".to_owned(),
                tone: Tone::Worse,
            },
            HistoryChange {
                run: 3,
                label: "? 0%".to_owned(),
                tone: Tone::Open,
            },
        ],
    }
}

fn agreement(gain: f64) -> Plot {
    let point = |measured, predicted: f64| AgreementPoint {
        measured,
        predicted,
        low: predicted / 1.3,
        high: predicted * 1.3,
    };
    Plot::Agreement {
        points: vec![point(1.0, 1.1), point(gain, 0.9 * gain), point(2.0, 4.0)],
    }
}

#[test]
fn predicted_gains_over_measured_ones() {
    insta::assert_snapshot!(lines(agreement(10.0)));
}

#[test]
fn a_history_of_two_places_with_changes() {
    insta::assert_snapshot!(lines(history(1.4)));
}

#[test]
fn a_waterfall() {
    insta::assert_snapshot!(lines(waterfall(4.0)));
}

#[test]
fn gains_from_both_ends() {
    insta::assert_snapshot!(lines(gains(3.0)));
}

#[test]
fn strips_of_samples() {
    insta::assert_snapshot!(lines(strips(0.96)));
}

#[test]
fn a_heat_map() {
    insta::assert_snapshot!(lines(heat_map(12.5)));
}

#[test]
fn a_line_with_a_crossover() {
    insta::assert_snapshot!(lines(line(3.0)));
}

#[test]
fn charts_without_data_are_empty_frames() {
    for plot in [
        Plot::Waterfall { steps: Vec::new() },
        Plot::Gains { rows: Vec::new() },
        Plot::Strips { groups: Vec::new() },
        Plot::HeatMap {
            across: String::new(),
            across_values: Vec::new(),
            down: String::new(),
            down_values: Vec::new(),
            cells: Vec::new(),
        },
        Plot::Line {
            across: String::new(),
            points: Vec::new(),
            claimed: None,
            crossover: Some(1.0),
        },
        Plot::History {
            unit: String::new(),
            runs: Vec::new(),
            lines: Vec::new(),
            changes: Vec::new(),
        },
        Plot::Agreement { points: Vec::new() },
    ] {
        let drawn = chart(plot);
        assert!(drawn.starts_with("<svg"), "{drawn}");
        assert!(drawn.ends_with("</svg>"), "{drawn}");
    }
}

#[test]
fn figures_that_are_none_leave_no_trace_in_coordinates() {
    for figure in [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.0,
        -1.0,
        1e300,
        1e-300,
    ] {
        for plot in [
            waterfall(figure),
            gains(figure),
            strips(figure),
            heat_map(figure),
            line(figure),
            history(figure),
            agreement(figure),
        ] {
            let drawn = chart(plot);
            for wrong in ["NaN%", "inf%", "\"NaN", "\"inf", "NaN h", "m NaN"] {
                assert!(!drawn.contains(wrong), "{figure}: {drawn}");
            }
        }
    }
}

#[test]
fn one_point_alone_is_drawn() {
    let drawn = chart(Plot::Line {
        across: "ms".to_owned(),
        points: vec![LinePoint {
            at: 5.0,
            gain: 2.0,
            low: 2.0,
            high: 2.0,
            tone: Tone::Better,
        }],
        claimed: None,
        crossover: Some(5.0),
    });
    assert!(
        drawn.contains(r#"<path class="disc up" d="M500 "#),
        "{drawn}"
    );
}

#[test]
fn names_cannot_leave_their_place() {
    let drawn = chart(Plot::Strips {
        groups: vec![StripGroup {
            name: "</text><script>".to_owned(),
            strips: Vec::new(),
        }],
    });
    assert!(!drawn.contains("<script"), "{drawn}");
    assert!(
        drawn.contains("<title>An &lt;example&gt;</title>"),
        "{drawn}"
    );
}

#[test]
fn a_chart_of_its_own_is_xml_in_one_theme() {
    let chart = Chart {
        id: "example".to_owned(),
        title: "An <example>".to_owned(),
        plot: gains(2.0),
        data: Table::default(),
    };
    let drawings = [false, true].map(|is_dark| standalone(&chart, is_dark));
    for drawing in &drawings {
        let mut reader = quick_xml::Reader::from_str(drawing);
        loop {
            match reader.read_event().unwrap() {
                Event::Start(element) | Event::Empty(element) => {
                    element
                        .attributes()
                        .for_each(|attribute| drop(attribute.unwrap()));
                }
                Event::Eof => break,
                _ => {}
            }
        }
        assert!(!drawing.contains("light-dark"), "{drawing}");
    }
    assert_ne!(drawings[0], drawings[1]);
}
