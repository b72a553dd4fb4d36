//! Whether a process that loads for long grows: loads with random faults, one after the other and some at
//! the same time, in one process that holds the engine.
//!
//! ```text
//! client ──cells──▶ worker process
//!    └──▶ readings ──▶ growth ──▶ outcome
//! ```
//!
//! | file | what it is for |
//! |---|---|
//! | `session.rs` | a run from its first load to its last |
//! | `worker.rs` | the process that loads |
//! | `client.rs` | that process, as what cells load with |
//! | `readings.rs` | what the process and the server hold between loads |
//! | `growth.rs` | whether readings grow, pure |
//! | `outcome.rs` | what came of it: text, JSON, charts |

mod client;
mod growth;
pub(crate) mod outcome;
mod readings;
pub(crate) mod session;
pub(crate) mod worker;
