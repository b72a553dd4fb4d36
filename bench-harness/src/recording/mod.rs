//! A load of a user's pipeline as a file, and the servers that record and replay it.
//!
//! ```text
//! engine ──▶ proxy ──▶ API            engine ──▶ replay
//!              └──▶ secrets, scrub ──▶ file ──────┘
//! ```
//!
//! Links to the API itself are made relative while they are recorded, so a file is bound to no address.

mod behind;
mod file;
mod headers;
mod hide;
mod json_text;
mod links;
pub(crate) mod proxy;
pub(crate) mod replay;
mod scrub;
pub(crate) mod secrets;
mod server;
mod source;
mod value;
mod wait;

#[cfg(test)]
pub(crate) mod example;
#[cfg(test)]
mod tests;

pub(crate) use file::{
    Column, Content, Exchange, Header, PAGE_ROWS, Recording, SCHEMA_VERSION, is_recording,
};
pub(crate) use scrub::Scrubber;
pub(crate) use source::RecordedSource;
