//! The engine against real servers: HTTP by wiremock and raw sockets, PostgreSQL throughout.

mod fixture;
mod postgres_command;
mod postgres_faults;
mod postgres_sql;
mod postgres_tls;
mod postgres_writers;
mod source;
