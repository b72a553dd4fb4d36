use super::*;
use crate::judge::history;
use crate::judge::history::entry::Entry;
use crate::report::document::{Block, Cell, Chart, Plot, Section, Table};
use crate::report::example;

const HOSTILE: &str = "<script>alert(1)</script>\" onload='x' &";

fn section(id: &str, blocks: Vec<Block>) -> Section {
    Section {
        blocks,
        ..Section::new(id, HOSTILE)
    }
}

fn table() -> Table {
    let mut table = Table::new(HOSTILE, &["Name", ">Gain"]);
    table.rows.push(vec![
        Cell::text(HOSTILE).linked("part"),
        Cell::figure("1.23× (1.20–1.30)", 1.2345).toned(Tone::Better),
    ]);
    table.rows.push(vec![
        Cell::text("b"),
        Cell::figure("~ 1.01×", 1.012_345_6).toned(Tone::Open),
    ]);
    table
}

/// One of every block.
fn blocks() -> Vec<Block> {
    let text = HOSTILE.to_owned();
    vec![
        Block::Paragraph(text.clone()),
        Block::List(vec![text.clone()]),
        Block::Code(text.clone()),
        Block::Warning(text.clone()),
        Block::Verdict {
            tone: Tone::Worse,
            word: "refuted".to_owned(),
            text: text.clone(),
        },
        Block::Table(table()),
        Block::Chart(Chart {
            id: "a-chart".to_owned(),
            title: text,
            plot: Plot::Gains { rows: Vec::new() },
            data: table(),
        }),
    ]
}

fn document() -> Document {
    let mut whole = section("whole", blocks());
    whole.parts.push(section("part", blocks()));
    Document {
        title: HOSTILE.to_owned(),
        subtitle: HOSTILE.to_owned(),
        sections: vec![whole, section("empty", Vec::new())],
    }
}

fn ids(sections: &[Section]) -> Vec<&str> {
    sections
        .iter()
        .flat_map(|section| {
            let mut all = vec![section.id.as_str()];
            all.extend(ids(&section.parts));
            all
        })
        .collect()
}

#[test]
fn text_stays_text_wherever_it_stands() {
    let page = page(&document(), "H4sI").unwrap();
    assert!(!page.contains("<script>alert"));
    assert!(!page.contains("onload='x'"));
    assert_eq!(page.matches("</script>").count(), 2);
    assert!(
        page.matches("&lt;script&gt;alert(1)&lt;&#x2f;script&gt;")
            .count()
            > 20
    );
}

#[test]
fn every_block_has_its_form() {
    let mut document = document();
    document.title = "T".to_owned();
    document.sections[0].parts.clear();
    let page = page(&document, "{}").unwrap().replace(HOSTILE, "…");
    let main = &page[page.find("<main").unwrap()..page.find("</main>").unwrap()];
    insta::assert_snapshot!(main);
}

#[test]
fn the_report_has_every_section_and_needs_no_network() {
    let (results, history) = (example::results(), example::history());
    let document = sections::report(&results, Some(&history));
    let page = render(&results, Some(&history)).unwrap();
    for id in ids(&document.sections) {
        let begin = format!("<section id=\"{id}\"");
        assert_eq!(page.matches(&begin).count(), 1, "{id}");
        assert!(
            page.contains(&format!("href=\"#{id}\"")),
            "{id} is not in the contents"
        );
    }
    for address in ["http://", "https://", "src=", "@import", "url(h"] {
        assert!(!page.contains(address), "{address}");
    }
}

#[test]
fn every_link_leads_to_a_place() {
    let page = render(&example::results(), Some(&example::history())).unwrap();
    for (at, _) in page.match_indices("href=\"#") {
        let id = page[at + 7..].split('"').next().unwrap();
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
    }
}

#[test]
fn ids_are_unique() {
    let page = render(&example::results(), Some(&example::history())).unwrap();
    let mut ids: Vec<&str> = page
        .match_indices(" id=\"")
        .filter_map(|(at, _)| page[at + 5..].split('"').next())
        .collect();
    ids.sort_unstable();
    let all = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

#[test]
fn of_a_history_a_report_draws_throughput_and_what_changed() {
    let drawn = |history: Option<&History>| {
        let page = render(&example::results(), history).unwrap();
        page.matches(" id=\"history-").count()
    };
    assert_eq!(drawn(None), 0);
    // Throughput of both arms, and the processor time of the one that became slower.
    assert_eq!(drawn(Some(&example::history())), 3);
    let unchanged = History::new(&history::example::entries(14, 8, 1.0), &[], 0.01);
    assert_eq!(drawn(Some(&unchanged)), 2);
}

#[test]
fn a_long_history_of_many_arms_adds_little_to_a_report() {
    let of_one = history::example::entries(30, 20, 1.25);
    let named = |scenario: u32| {
        let entries = of_one.iter();
        entries.map(move |one| Entry {
            scenario: format!("orders {scenario}"),
            ..one.clone()
        })
    };
    let entries: Vec<Entry> = (0..8).flat_map(named).collect();
    let history = History::new(&entries, &[], 0.01);
    let page = render(&example::results(), Some(&history)).unwrap();
    assert_eq!(page.matches(" id=\"history-").count(), 12);
    let without = render(&example::results(), None).unwrap();
    let added = page.len() - without.len();
    assert!(added < 150_000, "{added}");
}

#[test]
fn a_report_without_samples_is_a_page_too() {
    let page = render(&example::results_without_samples(), None).unwrap();
    assert!(page.ends_with("</html>"), "{page}");
}

#[test]
fn the_raw_data_has_every_sample_to_three_digits() {
    let results = example::results();
    let data: serde_json::Value = serde_json::from_str(&data::json(&results).unwrap()).unwrap();
    let scenarios = data["scenarios"].as_array().unwrap();
    assert_eq!(scenarios.len(), results.scenarios.len());
    for (raw, scenario) in scenarios.iter().zip(&results.scenarios) {
        assert_eq!(raw["name"], scenario.plan.name);
        for (raw, arm) in raw["arms"].as_array().unwrap().iter().zip(&scenario.arms) {
            assert_eq!(raw[0], arm.name);
            let values = raw[2].as_array().unwrap().iter();
            let values: Vec<f64> = values.filter_map(serde_json::Value::as_f64).collect();
            assert_eq!(values.len(), arm.wall_seconds_by_block.len());
            for (raw, sample) in values.iter().zip(&arm.wall_seconds_by_block) {
                assert!((raw / sample.value - 1.0).abs() < 1e-2);
            }
        }
    }
}
