//! Whether nothing is lost when something goes wrong: loads with injected faults.
//!
//! ```text
//! catalogue ──▶ matrix ──▶ cell ──▶ judge ──▶ report
//! ```
//!
//! | file | what it is for |
//! |---|---|
//! | `fault.rs`, `catalogue.rs` | what can go wrong, and the table of what is expected then |
//! | `matrix.rs` | which cells there are: fault × method × mode × connections; runs them |
//! | `cell.rs` | one cell: a load with its fault, and the same load once more without it |
//! | `rows.rs`, `table.rs` | the rows, in JSON and in SQL; the table before and after, and what is left around it |
//! | `api/`, `apis.rs` | the API that has the fault; what its requests say of the load |
//! | `server.rs`, `disk.rs` | what is done to the database; a disk that is full |
//! | `project.rs`, `loader.rs` | the files of a load; the process that loads |
//! | `judge.rs`, `report.rs` | what is wrong with a load, pure; the same for people and as JSON |

mod api;
mod apis;
pub(crate) mod catalogue;
pub(crate) mod cell;
mod disk;
pub(crate) mod fault;
mod judge;
pub(crate) mod loader;
pub(crate) mod matrix;
pub(crate) mod project;
pub(crate) mod report;
mod rows;
pub(crate) mod server;
pub(crate) mod table;
