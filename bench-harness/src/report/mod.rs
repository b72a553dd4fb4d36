//! What people and programs read of a run. Every exporter is pure: [`Results`](crate::judge::Results) in, and
//! the history that they end, text out.
//!
//! `sections` says what a report contains, once, as a `document`; [`markdown`] and [`html`] only lay
//! it out. [`profile`] and [`history`] have pages of their own.
//! [`terminal`] is the short form, [`schema`] the layout of the JSON files, and [`files`] writes them.

pub(crate) mod compare;
pub(crate) mod document;
pub(crate) mod files;
pub(crate) mod history;
pub(crate) mod history_text;
pub(crate) mod html;
pub(crate) mod json;
pub(crate) mod markdown;
pub(crate) mod profile;
#[cfg(test)]
pub(crate) mod schema;
mod sections;
pub(crate) mod terminal;
pub(crate) mod what_if;

pub(crate) use sections::{place, repeated};

#[cfg(test)]
pub(crate) mod example;
