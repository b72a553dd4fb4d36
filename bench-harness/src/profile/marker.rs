//! What the name of a frame says: its crate, and whether it marks a stage of the engine.

use apitap_core::stage::ALL;

/// The module whose functions are the markers.
const MARKERS: &str = "apitap_core::stage::";

/// The stage that a stack belongs to: that of its innermost marker, as one stage may call another.
/// The stack's innermost frame is its last.
#[must_use]
pub(crate) fn stage_of(stack: &[String]) -> Option<&'static str> {
    stack.iter().rev().find_map(|frame| stage_of_frame(frame))
}

/// The stage that a frame marks, by its demangled name, with or without generic arguments.
#[must_use]
pub(crate) fn stage_of_frame(frame: &str) -> Option<&'static str> {
    let name = frame.strip_prefix(MARKERS)?;
    let name = match name.split_once('<') {
        Some((name, _)) => name.trim_end_matches("::"),
        None => name,
    };
    let mut stages = ALL.iter().map(|(stage, _)| *stage);
    stages.find(|stage| *stage == name)
}

/// The crate of a function by its demangled name.
///
/// `<T as Trait>::f` belongs to the crate of `T`, and where `T` is any type to that of the
/// trait. C functions have none.
#[must_use]
pub(crate) fn crate_of(frame: &str) -> Option<&str> {
    let inner = frame.trim_start_matches(['<', '&', '*', '[', '(']);
    let inner = inner.trim_start_matches("mut ");
    let inner = inner.trim_start_matches("dyn ");
    let end = inner
        .find(|char: char| !char.is_ascii_alphanumeric() && char != '_')
        .unwrap_or(inner.len());
    let (name, rest) = inner.split_at(end);
    if rest.starts_with("::") && !name.is_empty() {
        return Some(name);
    }
    let (_, of_trait) = inner.split_once(" as ")?;
    crate_of(of_trait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_is_found_under_each_of_its_names() {
        for (stage, _) in ALL {
            let name = format!("apitap_core::stage::{stage}");
            assert_eq!(stage_of_frame(&name), Some(*stage));
            let v0 = format!("{name}::<(), apitap_core::source_table::page::{{closure#0}}>");
            assert_eq!(stage_of_frame(&v0), Some(*stage));
            assert_eq!(stage_of_frame(&format!("{name}<(), F>")), Some(*stage));
        }
    }

    #[test]
    fn what_is_only_near_a_marker_is_none() {
        for name in [
            "apitap_core::stage::run",
            "apitap_core::stage::decode_all",
            "apitap_core::stage::decode::{{closure}}",
            "apitap_core::decode::tape::decode",
            "<apitap_core::stage::PolledStream<S> as futures_core::Stream>::poll_next",
        ] {
            assert_eq!(stage_of_frame(name), None, "{name}");
        }
    }

    #[test]
    fn the_innermost_marker_wins() {
        let stack = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let nested = "main apitap_core::stage::sql scan apitap_core::stage::decode memcpy";
        assert_eq!(stage_of(&stack(nested)), Some("decode"));
        assert_eq!(stage_of(&stack("main memcpy")), None);
        assert_eq!(stage_of(&[]), None);
    }

    #[test]
    fn a_function_belongs_to_the_crate_of_its_type_or_trait() {
        for (name, expected) in [
            ("apitap_core::json::scan", Some("apitap_core")),
            (
                "<alloc::vec::Vec<T> as core::clone::Clone>::clone",
                Some("alloc"),
            ),
            ("<&mut serde_json::Value as Debug>::fmt", Some("serde_json")),
            ("<T as core::convert::Into<U>>::into", Some("core")),
            ("<[T] as alloc::slice::Concat>::concat", Some("alloc")),
            ("<dyn std::io::Write>::write", Some("std")),
            ("__memmove_avx_unaligned", None),
            ("[unknown]", None),
            ("", None),
        ] {
            assert_eq!(crate_of(name), expected, "{name}");
        }
    }
}
