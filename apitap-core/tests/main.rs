//! The engine against real servers: HTTP by wiremock and raw sockets, PostgreSQL throughout.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod api;
mod command_line;
mod connections;
mod fixture;
mod header_fuzz;
mod pipeline_file_fuzz;
mod postgres_command;
mod postgres_commit;
mod postgres_empty;
mod postgres_explain;
mod postgres_faults;
mod postgres_identities;
mod postgres_interrupted;
mod postgres_knobs;
mod postgres_limits;
mod postgres_pooler;
mod postgres_round_trips;
mod postgres_secrets;
mod postgres_service;
mod postgres_signals;
mod postgres_sql;
mod postgres_tls;
mod postgres_types;
mod postgres_watched;
mod postgres_writers;
mod project;
mod source;
mod source_body;
mod source_end;
