//! The engine against real servers: HTTP by wiremock and raw sockets, PostgreSQL throughout.

mod source;
