//! What people and programs read of a run. Every exporter is pure: [`Results`](crate::results::Results) in, and
//! the history that they end, text out.
//!
//! `outline` says what a report contains, once, as a `document`; [`markdown`] and [`html`] only lay
//! it out. [`profile`] and [`history`] have pages of their own. [`terminal`] is the short form, [`schema`] the layout of the JSON files. [`units`] is the
//! one place that formats figures.

mod document;
pub mod history;
pub mod html;
pub mod json;
pub mod markdown;
mod outline;
pub mod profile;
pub mod schema;
pub mod terminal;
pub mod units;

#[cfg(test)]
pub(crate) mod example;
