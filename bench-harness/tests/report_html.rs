//! The report as its readers see it: in a browser.

mod browser;
mod full_run;

use std::path::{Path, PathBuf};
use std::process::Command;

use bench_harness::{Experiment, ExperimentFiles, REPORT_FILE as FILE};
use browser::Browser;
use full_run::FullRun;
use serde_json::Value;

/// Names a folder for pictures of the report, and the report itself.
const SCREENSHOTS: &str = "APITAP_SCREENSHOTS";

const QUESTIONS: &str = include_str!("report_html/page.js");

/// Of a full run: what a phone opens at once, and some 65 kB on its way when it is compressed.
const MOST_BYTES: usize = 215_000;

const SECTIONS: [&str; 7] = [
    "summary",
    "claims",
    "waterfall",
    "experiments",
    "environment",
    "method",
    "excluded",
];

/// Writes a full run into `folder` and renders its report.
fn report(folder: &Path, experiments: &[Experiment]) -> PathBuf {
    FullRun::new(experiments).write(folder);
    let output = Command::new(env!("CARGO_BIN_EXE_apitap-bench"))
        .arg("report")
        .arg(folder)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    folder.join(FILE)
}

fn experiments() -> Vec<Experiment> {
    Experiment::all(&ExperimentFiles::find(None)).unwrap()
}

#[test]
fn a_full_report_is_small() {
    let folder = tempfile::tempdir().unwrap();
    let page = std::fs::read_to_string(report(folder.path(), &experiments())).unwrap();
    save(FILE, page.as_bytes());
    let within = |begin: &str, end: &str| -> usize {
        let parts = page.match_indices(begin);
        parts.map(|(at, _)| page[at..].find(end).unwrap_or(0)).sum()
    };
    println!(
        "{} bytes: style {}, script {}, raw data {}, drawings {}, tables {}",
        page.len(),
        within("<style", "</style"),
        within("<script>", "</script"),
        within("<script type", "</script"),
        within("<svg class=plot", "<details"),
        within("<table", "</table"),
    );
    assert!(page.len() <= MOST_BYTES, "{} bytes", page.len());
}

#[tokio::test]
async fn the_report_works_in_a_browser() {
    let folder = tempfile::tempdir().unwrap();
    let experiments = experiments();
    let page = report(folder.path(), &experiments);
    let browser = Browser::start().await;
    let address = format!("file://{}", page.display());
    browser.prefer("light").await;
    browser.resize(1280, 900, false).await;
    browser.open(&address).await;
    browser.run(QUESTIONS).await;

    every_section_is_there(&browser, &experiments).await;
    charts_have_names(&browser).await;
    tables_sort(&browser).await;
    raw_data_parses(&browser).await;
    for (name, width, is_phone) in [("desktop", 1280, false), ("phone", 390, true)] {
        browser.resize(width, 900, is_phone).await;
        browser.open(&address).await;
        browser.run(QUESTIONS).await;
        for scheme in ["light", "dark"] {
            browser.prefer(scheme).await;
            is_readable(&browser, &format!("{name} {scheme}"), width).await;
            save_screenshots(&browser, &format!("{name}-{scheme}")).await;
        }
    }
    theme_is_chosen_by_hand(&browser).await;
    assert_eq!(browser.complaints().await, Vec::<Value>::new());
}

async fn every_section_is_there(browser: &Browser, experiments: &[Experiment]) {
    let expected: Vec<&str> = SECTIONS
        .into_iter()
        .chain(experiments.iter().map(Experiment::id))
        .collect();
    for id in &expected {
        let script = format!(
            "const one = document.getElementById('{id}'); return one?.tagName === 'SECTION' && isShown(one)"
        );
        assert_eq!(browser.run(&script).await, true, "{id}");
    }
    let parts = "return document.querySelectorAll('#experiments > section').length";
    assert_eq!(browser.run(parts).await, experiments.len());
}

async fn charts_have_names(browser: &Browser) {
    let nameless = "return [...document.querySelectorAll('svg[role=img]')].filter((chart) => \
                    !chart.querySelector(':scope > title')?.textContent.trim()).length";
    assert_eq!(browser.run(nameless).await, 0);
    let charts =
        "return document.querySelectorAll('figure > svg[role=img] + details table').length";
    assert!(browser.run(charts).await.as_u64().unwrap() >= 20);
}

/// The gains of the first table of the claims, by a click on their head.
async fn tables_sort(browser: &Browser) {
    let column = "const table = document.querySelector('#claims table'); const head = table.tHead.rows[0].cells[3];";
    let read = "return {sort: head.getAttribute('aria-sort'), texts: [...table.tBodies[0].rows].map((row) => row.cells[3].textContent)}";
    let original = browser.run(&format!("{column}{read}")).await["texts"].clone();
    assert!(gains(&original).len() >= 8, "{original}");
    for (direction, sign) in [("ascending", 1.0), ("descending", -1.0)] {
        let clicked = browser
            .run(&format!(
                "{column}head.querySelector('button').click();{read}"
            ))
            .await;
        assert_eq!(clicked["sort"], direction);
        let gains = gains(&clicked["texts"]);
        assert!(
            gains.is_sorted_by(|a, b| sign * a <= sign * b),
            "{direction}: {gains:?}"
        );
    }
    let third = browser
        .run(&format!(
            "{column}head.querySelector('button').click();{read}"
        ))
        .await;
    assert_eq!(third["sort"], "none");
    assert_eq!(third["texts"], original);
}

/// Factors in front of a `×`.
fn gains(texts: &Value) -> Vec<f64> {
    let texts = texts.as_array().unwrap().iter();
    texts
        .filter_map(|text| {
            let (before, _) = text.as_str()?.split_once('×')?;
            before
                .rsplit(char::is_whitespace)
                .next()?
                .replace(',', "")
                .parse()
                .ok()
        })
        .collect()
}

async fn raw_data_parses(browser: &Browser) {
    let samples = "return rawData().then((text) => JSON.parse(text).scenarios\
                   .flatMap((one) => one.arms).flatMap((arm) => arm[2]).filter(Number.isFinite).length)";
    let count = browser.run(samples).await.as_u64().unwrap();
    assert!(count > 3_000, "{count}");
}

async fn is_readable(browser: &Browser, name: &str, width: u32) {
    let faint = browser.run("return faintTexts()").await;
    assert_eq!(
        faint,
        Value::Array(Vec::new()),
        "{name}: too little contrast"
    );
    let misplaced = browser.run("return misplacedTexts()").await;
    assert_eq!(misplaced, Value::Array(Vec::new()), "{name}");
    let scroll = browser
        .run("return document.documentElement.scrollWidth")
        .await;
    let scroll = scroll.as_u64().unwrap();
    assert!(
        scroll <= u64::from(width),
        "{name}: the page is {scroll} pixels wide"
    );
}

async fn theme_is_chosen_by_hand(browser: &Browser) {
    let background = "return getComputedStyle(document.body).backgroundColor";
    let dark = browser.run(background).await;
    browser
        .run("document.querySelector('#tools button').click()")
        .await;
    let light = browser.run(background).await;
    assert_ne!(dark, light);
    let tools = "return document.querySelectorAll('#tools button').length";
    assert_eq!(browser.run(tools).await, 2);
}

async fn save_screenshots(browser: &Browser, name: &str) {
    if std::env::var_os(SCREENSHOTS).is_none() {
        return;
    }
    for (nth, picture) in browser.screenshots().await.into_iter().enumerate() {
        save(&format!("{name}-{}.png", nth + 1), &picture);
    }
}

/// Keeps what people may want to look at, where a folder for it is named.
fn save(name: &str, bytes: &[u8]) {
    let Some(folder) = std::env::var_os(SCREENSHOTS) else {
        return;
    };
    let folder = PathBuf::from(folder);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), bytes).unwrap();
}
