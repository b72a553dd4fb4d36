//! The suite as its users see it: the `apitap-bench` command, in processes of its own.

// Clippy allows it in test functions alone, not in what these share.
#![allow(clippy::unwrap_used)]

mod command_line;
mod compare;
mod docs;
mod faults;
mod history;
mod list;
mod mock_api;
mod own_experiment;
mod postgres_budget;
mod postgres_commands;
mod postgres_counters;
mod postgres_gate;
mod postgres_profile;
mod postgres_record;
mod postgres_run;
mod postgres_tune;
mod report_html;
mod soak;
mod structure;
mod supervise;
mod what_if;
