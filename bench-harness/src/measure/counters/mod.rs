//! Counters, which do not vary between runs of one program, and how to check that.
//!
//! - Statements, round trips and bytes: the engine counts them itself, in its report.
//! - Allocations: `apitap-bench-heap --totals` counts them, for [`Allocations`] to read.
//! - Instructions of decoding and encoding: valgrind counts those of a [`Kernel`].
//!
//! Costs per row are differences of two sizes, so one-time costs, such as starting a program, cancel. [`Metric::tolerance`](crate::metric::Metric::tolerance) says which counters are exact, and under which
//! configurations.

mod allocations;
mod kernel;
mod measure;
mod table;
mod valgrind;

pub use allocations::Allocations;
pub use kernel::Kernel;
pub(crate) use measure::Counting;
pub(crate) use table::{Counted, table};
pub(crate) use valgrind::can_count_instructions;
pub use valgrind::{KernelLoad, instructions_per_row};
