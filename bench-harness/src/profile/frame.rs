//! Names of functions as readers want them, and stacks without what only runs them.

use super::marker::{crate_of, stage_of_frame};

/// The crates of the standard library, and the compiler's own for calls of the allocator: they work
/// for others.
pub(crate) const STANDARD: [&str; 4] = ["std", "core", "alloc", "__rustc"];

/// Crates that start threads and poll tasks: what is below them says more.
const RUNTIME: [&str; 5] = ["std", "core", "alloc", "tokio", "bench_harness"];

/// The function of a frame: its closures are a part of it.
#[must_use]
pub(crate) fn function(frame: &str) -> String {
    let mut name = frame;
    while let Some((outer, last)) = name.rsplit_once("::")
        && (last == "{{closure}}" || last.starts_with("{closure"))
    {
        name = outer;
    }
    name.to_owned()
}

/// A stack as readers want it: from the first frame that is neither of the standard library nor of
/// the runtime, and without the frames that only take the time of those within them. The whole where
/// nothing else is in it.
#[must_use]
pub(crate) fn readable(stack: &[String]) -> Vec<String> {
    let own = |frame: &String| crate_of(frame).is_some_and(|name| !RUNTIME.contains(&name));
    let first = stack.iter().position(own).unwrap_or(0);
    let below = &stack[first..];
    let Some((innermost, callers)) = below.split_last() else {
        return Vec::new();
    };
    let callers = callers.iter().filter(|frame| !is_clockwork(frame));
    let mut shown: Vec<String> = callers.chain([innermost]).cloned().collect();
    // Recursion says nothing by its depth.
    shown.dedup();
    shown
}

/// Whether a frame is of what notes the time of a stage, and no stage's marker.
fn is_clockwork(frame: &str) -> bool {
    const CLOCKWORK: [&str; 4] = [
        "apitap_core::stage::",
        "apitap_core::concurrency_time::Activities::during",
        // The same in profiles that were published before it was moved.
        "apitap_core::activity::Activities::during",
        "apitap_core::metrics::StageMetrics::time",
    ];
    CLOCKWORK.iter().any(|start| frame.starts_with(start)) && stage_of_frame(frame).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closures_are_a_part_of_their_function() {
        assert_eq!(function("a::b::{{closure}}::{{closure}}"), "a::b");
        assert_eq!(function("a::b::{closure#0}"), "a::b");
        assert_eq!(function("a::b"), "a::b");
    }

    #[test]
    fn a_stack_begins_where_the_runtime_ends_and_leaves_out_the_clocks() {
        let stack = |frames: &[&str]| -> Vec<String> {
            frames.iter().map(|one| (*one).to_owned()).collect()
        };
        let task = stack(&[
            "start",
            "std::thread::f",
            "tokio::task::poll",
            "apitap_core::stage::run",
            "apitap_core::stage::sql",
            "apitap_core::stage::timed::{{closure}}",
            "a::f",
            "tokio::g",
        ]);
        let shown = stack(&["apitap_core::stage::sql", "a::f", "tokio::g"]);
        assert_eq!(readable(&task), shown);
        // What the clocks cost themselves stays.
        let clock = stack(&["apitap_core::stage::sql", "apitap_core::stage::timed"]);
        assert_eq!(readable(&clock), clock);
        let park = stack(&["start", "tokio::park", "epoll_wait"]);
        assert_eq!(readable(&park), park);
        assert_eq!(readable(&[]), stack(&[]));
    }
}
