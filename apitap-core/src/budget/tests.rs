use super::example::report;
use super::*;

fn seen(active: &[Activity], server: ServerState, looks: f64) -> Seen {
    Seen {
        active: active.to_vec(),
        server,
        looks,
    }
}

fn budget(report: &RunReport, seen: &[Seen], server_cpu_seconds: Option<f64>) -> Budget {
    let load = Watched {
        report,
        seen,
        server_cpu_seconds,
    };
    let budget = Budget::new(&[load], 2).unwrap();
    let all: f64 = budget.parts.iter().map(|part| part.seconds).sum();
    assert!((all - report.wall_seconds).abs() < 1e-9, "{all}");
    budget
}

fn seconds(budget: &Budget, part: Part) -> f64 {
    budget.part(part).unwrap().seconds
}

use Activity::{Decode, Encode, PageWait, Request, ServerWait};

#[test]
fn a_moment_is_shared_by_those_at_work() {
    let report = report(
        &[
            (&[Decode], 1.0),
            (&[Decode, Encode], 1.0),
            (&[PageWait, Request], 0.5),
            (&[Encode, PageWait, Request], 1.0),
            (&[], 0.25),
        ],
        &[],
    );
    let budget = budget(&report, &[], None);
    assert_eq!(seconds(&budget, Part::Decode), 1.5);
    assert_eq!(seconds(&budget, Part::Encode), 1.0);
    assert_eq!(seconds(&budget, Part::HttpWait), 1.0);
    assert_eq!(seconds(&budget, Part::Unexplained), 0.25);
    assert_eq!(budget.part(Part::Decode).unwrap().active_seconds, 2.0);
}

#[test]
fn what_the_server_was_seen_to_do_tells_waiting_apart() {
    let report = report(&[(&[ServerWait], 1.0), (&[Encode], 1.0)], &[]);
    let looks = [
        seen(&[ServerWait], ServerState::Running, 6.0),
        seen(&[ServerWait], ServerState::Waiting, 3.0),
        seen(&[ServerWait], ServerState::Idle, 1.0),
        seen(&[Encode], ServerState::Running, 5.0),
        seen(&[Encode], ServerState::Idle, 5.0),
    ];
    let budget = budget(&report, &looks, None);
    assert!((seconds(&budget, Part::ServerCpu) - 0.85).abs() < 1e-9);
    assert!((seconds(&budget, Part::ServerIo) - 0.3).abs() < 1e-9);
    assert!((seconds(&budget, Part::SendWait) - 0.1).abs() < 1e-9);
    assert!((seconds(&budget, Part::Encode) - 0.75).abs() < 1e-9);
    assert_eq!(budget.looks, 20.0);
}

#[test]
fn few_looks_beside_a_set_are_helped_out_by_like_ones() {
    let report = report(&[(&[PageWait, ServerWait], 1.0)], &[]);
    let looks = [
        seen(&[PageWait, ServerWait], ServerState::Idle, 1.0),
        seen(&[ServerWait], ServerState::Running, 19.0),
    ];
    let budget = budget(&report, &looks, None);
    assert!((seconds(&budget, Part::ServerCpu) - 0.95).abs() < 1e-9);
}

#[test]
fn without_a_look_at_the_server_its_time_is_a_wait() {
    let budget = budget(&report(&[(&[ServerWait], 1.0)], &[]), &[], None);
    assert_eq!(seconds(&budget, Part::SendWait), 1.0);
}

#[test]
fn the_bottleneck_is_what_the_others_do_not_need() {
    // Decoding alone takes 0.6 s of a second; the server works beside it for 0.5.
    let decoding = report(
        &[(&[Decode], 0.5), (&[Decode, ServerWait], 0.5)],
        &[("decode", 1.0)],
    );
    let looks = [
        seen(&[Decode, ServerWait], ServerState::Running, 10.0),
        seen(&[Decode], ServerState::Idle, 10.0),
    ];
    let first = budget(&decoding, &looks, Some(0.5));
    assert_eq!(first.bottleneck, Part::Decode);
    let decode = first.part(Part::Decode).unwrap();
    // The server needs its half second.
    assert!((decode.gain_at_most - 2.0).abs() < 1e-9, "{decode:?}");
    // Without the server decoding takes as long as before.
    assert_eq!(first.part(Part::ServerCpu).unwrap().gain_at_most, 1.0);
    assert_eq!(first.ranked()[0].part, Part::Decode);

    let busy = [
        seen(&[Decode, ServerWait], ServerState::Running, 10.0),
        seen(&[Decode], ServerState::Running, 10.0),
    ];
    let quick_decoder = report(
        &[(&[Decode], 0.5), (&[Decode, ServerWait], 0.5)],
        &[("decode", 0.3)],
    );
    let second = budget(&quick_decoder, &busy, Some(1.0));
    assert_eq!(second.bottleneck, Part::ServerCpu);
}

#[test]
fn nothing_is_said_of_loads_that_were_not_watched() {
    assert_eq!(Budget::new(&[], 2), None);
}

#[test]
fn looking_through_pages_is_not_what_the_api_needs() {
    use Activity::Scan;
    // One request at a time: a millisecond of the API, then five of looking through its page.
    let scanned = report(
        &[
            (&[PageWait, Request], 0.1),
            (&[Scan, PageWait, Request], 0.5),
            (&[Decode], 0.2),
        ],
        &[("source", 0.5), ("decode", 0.2)],
    );
    let budget = budget(&scanned, &[], None);
    assert_eq!(budget.bottleneck, Part::Scan, "{budget:?}");
    let scan = budget.part(Part::Scan).unwrap();
    assert!((scan.gain_at_most - 0.8 / 0.3).abs() < 1e-9, "{scan:?}");
}

#[test]
fn a_load_that_keeps_no_account_has_no_budget() {
    let unobserved = report(&[], &[]);
    let load = Watched {
        report: &unobserved,
        seen: &[],
        server_cpu_seconds: None,
    };
    assert_eq!(Budget::new(&[load], 2), None);
}

#[test]
fn a_change_gains_between_what_was_alone_and_what_the_others_leave() {
    // A second of waiting alone, and one beside decoding.
    let report = report(
        &[
            (&[PageWait, Request], 1.0),
            (&[Decode, PageWait, Request], 1.0),
            (&[Decode], 0.5),
        ],
        &[("decode", 1.5)],
    );
    let load = Watched {
        report: &report,
        seen: &[],
        server_cpu_seconds: None,
    };
    let moments = Moments::new(&[load], 2).unwrap();
    let part = Part::HttpWait;
    let gain = |least, most| moments.gain(&[Left { part, least, most }]);
    let half = gain(0.5, 0.5);
    assert!((half.at_least - 2.5 / 2.0).abs() < 1e-9, "{half:?}");
    assert!((half.at_most - 2.5 / 1.5).abs() < 1e-9, "{half:?}");
    // Decoding needs its second and a half.
    assert!((gain(0.0, 0.0).at_most - 2.5 / 1.5).abs() < 1e-9);
    // Nothing is certain of what may stay as it is.
    assert_eq!(gain(0.5, 1.0).at_least, 1.0);
    let none = moments.gain(&[]);
    assert_eq!((none.at_least, none.at_most), (1.0, 1.0));
}

#[test]
fn a_server_elsewhere_needs_the_time_in_which_it_was_seen_at_work() {
    let report = report(
        &[(&[Decode, ServerWait], 1.0), (&[Decode], 1.0)],
        &[("decode", 2.0)],
    );
    let looks = [
        seen(&[Decode, ServerWait], ServerState::Running, 10.0),
        seen(&[Decode], ServerState::Idle, 10.0),
    ];
    let budget = budget(&report, &looks, None);
    let decode = budget.part(Part::Decode).unwrap();
    assert!((decode.gain_at_most - 2.0).abs() < 1e-9, "{decode:?}");
}
