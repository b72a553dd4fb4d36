//! The engine against real servers: HTTP by wiremock and raw sockets, PostgreSQL throughout.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod command_line;
mod connections;
mod fixture;
mod postgres_command;
mod postgres_faults;
mod postgres_knobs;
mod postgres_round_trips;
mod postgres_sql;
mod postgres_tls;
mod postgres_watched;
mod postgres_writers;
mod project;
mod source;
