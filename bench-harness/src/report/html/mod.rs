//! `report.html`: the report for people, one file that needs no network.
//!
//! Style, script, drawings and data are in the page itself. Everything can be read without
//! scripts; with them tables can be sorted, the theme chosen and the raw data saved.

mod chart;
mod data;
mod values;

use anyhow::{Context, Result};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};

pub(super) use chart::standalone;
pub(super) use data::compressed;

use super::document::{Document, Tone};
use super::sections;
use crate::judge::Results;
use crate::judge::history::series::History;

/// Name of the file in the folder of a run.
pub const FILE: &str = "report.html";

/// Renders `results`, and the `history` that they end, as a page.
///
/// # Errors
/// When the template fails.
pub(crate) fn render(results: &Results, history: Option<&History>) -> Result<String> {
    page(&sections::report(results, history), &data::render(results)?)
}

/// Lays `document` out, with `raw_data` beside it for programs.
pub(super) fn page(document: &Document, raw_data: &str) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()?;
    environment.set_syntax(syntax);
    environment
        .add_template("page", include_str!("page.html"))
        .context("cannot read the template of the report")?;
    let template = environment.get_template("page")?;
    let page = template
        .render(context! {
            document => values::document(document),
            style => inlined(&tight(concat!(include_str!("chart.css"), include_str!("style.css")))),
            script => inlined(include_str!("script.js")),
            // Base64 has nothing to escape, and a script would not undo it.
            raw => Value::from_safe_string(raw_data.to_owned()),
        })
        .context("cannot render the report")?;
    // Of the template's lines nobody sees anything, and there are hundreds.
    Ok(page.replace("\n<", "<"))
}

/// The class that colours a text by its tone; empty for none. Short, as most cells have one.
fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain | Tone::Yes | Tone::No | Tone::Unknown => "",
        Tone::Better => "up",
        Tone::Worse => "down",
        Tone::Same => "same",
        Tone::Open => "open",
    }
}

/// Style without the spaces that it does not need.
fn tight(style: &str) -> String {
    [
        (" {", "{"),
        ("{ ", "{"),
        (" }", "}"),
        ("; ", ";"),
        (": ", ":"),
        (", ", ","),
    ]
    .into_iter()
    .fold(style.to_owned(), |style, (loose, tight)| {
        style.replace(loose, tight)
    })
}

/// Style or script without indentation and comments.
fn inlined(source: &str) -> Value {
    let lines: Vec<&str> = source
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .collect();
    Value::from_safe_string(lines.join("\n"))
}

#[cfg(test)]
mod tests;
