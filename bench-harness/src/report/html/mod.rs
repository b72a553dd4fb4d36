//! `report.html`: the report for people, one file that needs no network.
//!
//! Style, script, drawings and data stand in the page itself. Everything can be read without
//! scripts; with them tables can be sorted, the theme chosen and the raw data saved.

mod chart;
mod data;
mod values;

use anyhow::{Context, Result};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};

use super::document::{Document, Tone};
use super::outline;
use crate::results::Results;

/// Name of the file in the folder of a run.
pub const FILE: &str = "report.html";

/// Renders `results` as a page.
///
/// # Errors
/// When the template fails.
pub fn render(results: &Results) -> Result<String> {
    page(&outline::of(results), &data::render(results)?)
}

/// Lays `document` out, with `raw_json` beside it for programs.
fn page(document: &Document, raw_json: &str) -> Result<String> {
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
    template
        .render(context! {
            document => values::document(document),
            style => inlined(include_str!("style.css")),
            script => inlined(include_str!("script.js")),
            raw => Value::from_safe_string(within_script(raw_json)),
        })
        .context("cannot render the report")
}

/// The sign of a tone, so that it is told by more than a colour; empty for none.
fn sign(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "",
        Tone::Better => "▲",
        Tone::Worse => "▼",
        Tone::Same => "≈",
        Tone::Open => "?",
    }
}

/// The class that colours a text by its tone; empty for none. Short, as it stands in most cells.
fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "",
        Tone::Better => "up",
        Tone::Worse => "down",
        Tone::Same => "same",
        Tone::Open => "open",
    }
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

/// JSON that cannot end the element that it stands in, nor begin a comment there.
fn within_script(json: &str) -> String {
    // Either can only occur within a string, where both escapes mean what they replace.
    json.replace("</", "<\\/").replace("<!--", "<\\u0021--")
}

#[cfg(test)]
mod tests;
