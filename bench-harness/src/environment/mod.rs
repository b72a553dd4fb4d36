//! What a measurement runs on: real servers and the machine that holds them.
//!
//! [`postgres`] starts or reaches a PostgreSQL server, [`fingerprint`] records
//! what must be equal before two results may be compared, [`cpu`] says who had
//! the processor meanwhile, and [`doctor`] what of the machine needs mending.

pub mod cpu;
pub mod doctor;
pub mod fingerprint;
pub mod mock_api;
pub mod network;
pub mod postgres;
pub mod test_database;
pub mod with_postgres;
