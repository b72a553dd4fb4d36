//! What people and programs read of a run. Every exporter is pure:
//! [`Results`](crate::results::Results) in, text out.
//!
//! `table` and `prose` say what a report contains, once; [`markdown`] and [`terminal`] only lay it
//! out. [`units`] is the one place that formats figures.

pub mod json;
pub mod markdown;
mod prose;
mod table;
pub mod terminal;
pub mod units;

#[cfg(test)]
pub(crate) mod example;
