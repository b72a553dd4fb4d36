//! Quantities that do not vary between runs of one program, and what tells that they do not.
//!
//! - Statements, round trips and bytes: the engine counts them itself, in its report.
//! - Allocations: `apitap-bench-heap --totals` counts them, for [`Allocations`] to read.
//! - Instructions of decoding and encoding: valgrind counts those of a [`Kernel`].
//!
//! Costs by row are differences of two sizes: what every run costs once, such as starting a program,
//! falls out. [`tolerance`] says which counters are exact, and under which configurations.

mod allocations;
mod determinism;
mod kernel;
mod measure;
mod table;
mod valgrind;

pub use allocations::Allocations;
pub(crate) use determinism::tolerance;
pub use kernel::Kernel;
pub(crate) use measure::Counting;
pub(crate) use table::{Counted, table};
pub(crate) use valgrind::can_count_instructions;
pub use valgrind::{KernelLoad, instructions_per_row};
