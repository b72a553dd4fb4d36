//! Where processor time and memory go.

pub mod flamegraph;
pub mod heap;
pub mod marker;
pub mod perf;
pub mod pprof;
pub mod sampler;
pub mod stacks;
