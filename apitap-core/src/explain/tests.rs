use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::budget::{Seen, ServerState, example};
use crate::concurrency_time::Activity;
use crate::config::Config;
use crate::server_watch::Waited;

use Activity::{Decode, Encode, Fetch, PageWait, Request, ServerWait, Sql};

/// A run of 100,000 rows in 100 pages, with settings beside those of `tuned`.
fn run(times: &[(&[Activity], f64)], cpu: &[(&str, f64)], settings: &[&str]) -> RunReport {
    let mut report = example::report(times, cpu);
    report.config = settings.iter().fold(Config::default(), |config, setting| {
        config.with(setting).unwrap()
    });
    report.rows_read = 100_000;
    (report.http.pages, report.http.requests) = (100, 101);
    report
}

pub(super) fn facts() -> Facts {
    Facts {
        sources: 1,
        asks_ahead: true,
        says_page_rows: true,
        mode: WriteMode::Append,
        cores: 2,
        server_is_here: true,
        cpu_seconds: 1.0,
    }
}

/// Looks at a server that computes while the engine waits for it, and waits for `waits` sometimes.
pub(super) fn looks(running: f64, waits: &[(&str, &str, usize)]) -> Server {
    let seen = |active: &[Activity], server, looks| Seen {
        active: active.to_vec(),
        server,
        looks,
    };
    let waiting: usize = waits.iter().map(|(.., looks)| looks).sum();
    Server::Seen(Looks {
        asked: 100,
        answered: 100,
        running,
        waits: waits
            .iter()
            .map(|(kind, event, looks)| Waited {
                kind: (*kind).to_owned(),
                event: (*event).to_owned(),
                looks: *looks,
            })
            .collect(),
        seen: vec![
            seen(&[ServerWait], ServerState::Running, 100.0 - waiting as f64),
            seen(&[ServerWait], ServerState::Waiting, waiting as f64),
            seen(&[Decode], ServerState::Idle, 100.0),
        ],
    })
}

fn explained(report: &RunReport, facts: Facts, server: Server) -> Explanation {
    Explanation::new(report, &facts, server).unwrap()
}

/// What is advised, as one text; empty for nothing.
fn change(explanation: &Explanation) -> String {
    let advice = explanation.advice.as_ref();
    advice.map_or_else(String::new, |advice| advice.change.join(" "))
}

/// A run that waits for its API most of the time.
pub(super) fn waiting(settings: &[&str]) -> RunReport {
    run(
        &[(&[PageWait, Request], 9.0), (&[Decode], 1.0)],
        &[("decode", 1.0)],
        settings,
    )
}

#[test]
fn a_run_that_waits_for_numbered_pages_is_to_ask_for_more_at_once() {
    let one = explained(
        &waiting(&["source.concurrency=1"]),
        facts(),
        Server::NotAsked,
    );
    assert_eq!(one.bound_by, Part::HttpWait);
    assert_eq!(change(&one), "source.concurrency=16");
    let gain = one.advice.as_ref().unwrap().gain;
    assert!((gain.at_least - 5.8).abs() < 0.1, "{gain:?}");
    let line = one.line();
    for part in [
        "HTTP wait 90%, decode 10%. The run is bound by HTTP wait; ",
        "; source.concurrency=16 would make it 5.8\u{d7} as fast: ",
        "engine: { preset: tuned, settings: { source.concurrency: 16 } }",
    ] {
        assert!(line.contains(part), "{line}");
    }
    let lines = one.lines("m");
    assert!(lines[0].starts_with("m: where 10.00 s went"), "{lines:?}");
    assert_eq!(lines[1], "  HTTP wait               9.000 s   90.0%");
    assert_eq!(lines.last().unwrap(), "    source.concurrency: 16");

    let all = explained(
        &waiting(&["source.concurrency=32"]),
        facts(),
        Server::NotAsked,
    );
    assert_eq!(change(&all), "");
    assert!(
        all.line().contains("no knob helps, but a faster API"),
        "{}",
        all.line()
    );
}

#[test]
fn an_api_that_refuses_requests_is_not_asked_for_more() {
    let mut report = waiting(&["source.concurrency=1"]);
    report.http.retries = 5;
    let refused = explained(&report, facts(), Server::NotAsked);
    assert_eq!(change(&refused), "");
    assert!(
        refused.line().contains("a higher rate limit"),
        "{}",
        refused.line()
    );
}

#[test]
fn pages_that_name_the_next_are_to_be_larger_unless_the_api_caps_them() {
    let chained = Facts {
        asks_ahead: false,
        ..facts()
    };
    let larger = explained(&waiting(&[]), chained, Server::NotAsked);
    assert_eq!(change(&larger), "source.page_rows=5000");
    // An API may take as long for as many rows.
    assert!(larger.line().contains("up to "), "{}", larger.line());

    let mut capped = waiting(&[]);
    capped.http.pages = 1_000;
    assert_eq!(change(&explained(&capped, chained, Server::NotAsked)), "");
    let silent = Facts {
        says_page_rows: false,
        ..chained
    };
    assert_eq!(
        change(&explained(&waiting(&[]), silent, Server::NotAsked)),
        ""
    );
}

#[test]
fn connections_to_the_api_are_to_be_kept() {
    let report = run(
        &[
            (&[Fetch, Request], 6.0),
            (&[PageWait, Request], 1.0),
            (&[Decode], 2.0),
        ],
        &[("fetch", 6.0), ("decode", 2.0)],
        &["source.reuse_connections=false"],
    );
    let kept = explained(&report, facts(), Server::NotAsked);
    assert_eq!(change(&kept), "source.reuse_connections=true");
}

#[test]
fn rows_are_to_be_decoded_into_columns() {
    let report = run(
        &[
            (&[Decode], 8.0),
            (&[Decode, ServerWait], 1.0),
            (&[Encode], 1.0),
        ],
        &[("decode", 9.0), ("encode", 1.0)],
        &["decode.path=rows"],
    );
    let columns = explained(&report, facts(), Server::NotAsked);
    assert_eq!(columns.bound_by, Part::Decode);
    assert_eq!(change(&columns), "decode.path=tape");
}

#[test]
fn a_result_is_to_be_written_while_it_is_made() {
    let mut report = run(
        &[(&[Decode], 5.0), (&[ServerWait], 5.0)],
        &[("decode", 5.0)],
        &["transform.streaming=false"],
    );
    report.write_seconds = Some(5.0);
    let streamed = explained(&report, facts(), Server::NotAsked);
    assert_eq!(change(&streamed), "transform.streaming=true");
    assert_eq!(streamed.advice.unwrap().gain.at_most, 2.0);
}

#[test]
fn statements_are_to_be_a_copy() {
    for (method, commit, expected) in [
        ("insert", "load", "write.method=copy-binary"),
        ("prepared", "load", "write.method=copy-binary"),
        ("unnest", "load", "write.method=copy-binary"),
        ("copy-csv", "load", "write.method=copy-binary"),
        (
            "insert",
            "batch",
            "write.method=copy-binary write.commit=load",
        ),
    ] {
        let settings = [
            format!("write.method={method}"),
            format!("write.commit={commit}"),
        ];
        let report = run(
            &[(&[ServerWait], 8.0), (&[Encode], 1.0), (&[Decode], 1.0)],
            &[("encode", 1.0), ("decode", 1.0)],
            &settings.each_ref().map(String::as_str),
        );
        let copied = explained(&report, facts(), looks(0.8, &[]));
        assert_eq!(copied.bound_by, Part::ServerCpu, "{method}");
        assert_eq!(change(&copied), expected, "{method}");
        let unseen = explained(&report, facts(), Server::NotAsked);
        assert_eq!(change(&unseen), expected, "{method}");
    }
}

#[test]
fn a_second_connection_is_for_a_replace_whose_server_computes_beside_a_free_processor() {
    let report = run(
        &[(&[ServerWait], 8.0), (&[Decode], 1.0)],
        &[("decode", 1.0)],
        &[],
    );
    let replace = Facts {
        mode: WriteMode::Replace,
        cpu_seconds: 2.0,
        ..facts()
    };
    let seen = || looks(0.8, &[]);
    assert_eq!(
        change(&explained(&report, replace, seen())),
        "write.connections=2"
    );
    assert_eq!(change(&explained(&report, replace, Server::NotAsked)), "");
    for facts in [
        Facts {
            mode: WriteMode::Append,
            ..replace
        },
        Facts {
            mode: WriteMode::Merge,
            ..replace
        },
        Facts {
            cores: 1,
            ..replace
        },
    ] {
        assert_eq!(change(&explained(&report, facts, seen())), "", "{facts:?}");
    }
    let elsewhere = Facts {
        cores: 1,
        server_is_here: false,
        ..replace
    };
    assert_eq!(
        change(&explained(&report, elsewhere, seen())),
        "write.connections=2"
    );
}

#[test]
fn a_second_lane_is_for_a_processor_that_is_free() {
    let report = run(
        &[(&[Sql], 7.0), (&[Decode], 2.0), (&[Encode], 1.0)],
        &[("transform", 7.0), ("decode", 2.0), ("encode", 1.0)],
        &[],
    );
    let many = Facts {
        cores: 4,
        cpu_seconds: 10.0,
        ..facts()
    };
    assert_eq!(
        change(&explained(&report, many, Server::NotAsked)),
        "transform.partitions=2"
    );
    for facts in [
        Facts { cores: 2, ..many },
        Facts {
            mode: WriteMode::Merge,
            ..many
        },
    ] {
        let alone = explained(&report, facts, Server::NotAsked);
        assert_eq!((change(&alone).as_str(), alone.bound_by), ("", Part::Sql));
    }
}

#[test]
fn what_no_knob_helps_is_said_with_what_would() {
    let report = run(
        &[(&[ServerWait], 9.0), (&[Decode], 1.0)],
        &[("decode", 1.0)],
        &[],
    );
    for (server, part) in [
        (
            looks(0.9, &[]),
            "bound by server CPU; no knob helps, but fewer indexes",
        ),
        (
            looks(0.1, &[("IO", "WALSync", 90)]),
            "the server waits most for IO/WALSync: no knob helps, but faster",
        ),
        (
            looks(0.1, &[("Lock", "relation", 90)]),
            "the end of the session that holds the lock would",
        ),
        (Server::NotAsked, "bound by send wait; --explain tells"),
        (
            Server::NotSeen("why".to_owned()),
            "bound by send wait; no knob helps",
        ),
    ] {
        let explanation = explained(&report, facts(), server);
        assert_eq!(change(&explanation), "");
        assert!(explanation.line().contains(part), "{}", explanation.line());
    }
}

#[test]
fn a_server_that_says_nothing_is_not_seen_and_why() {
    let asked = |asked, answered| {
        Server::of(Ok(Looks {
            asked,
            answered,
            ..Looks::default()
        }))
    };
    assert!(matches!(asked(3, 1), Server::Seen(_)));
    assert!(matches!(asked(3, 0), Server::NotSeen(why) if why.contains("pooler")));
    assert!(matches!(asked(0, 0), Server::NotSeen(why) if why.contains("ended")));
    let report = waiting(&[]);
    let lines = explained(&report, facts(), asked(0, 0)).lines("m");
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("The server was not seen: ")),
        "{lines:?}"
    );
}

#[test]
fn a_run_without_an_account_is_not_explained() {
    let report = run(&[], &[], &["observe=off"]);
    assert_eq!(Explanation::new(&report, &facts(), Server::NotAsked), None);
}

#[test]
fn what_other_modules_took_of_the_processor_does_not_count() {
    let mut report = waiting(&["source.concurrency=1"]);
    report.process.cpu_seconds = 1_000.0;
    let one = explained(&report, facts(), Server::NotAsked);
    assert!(one.advice.unwrap().gain.at_most > 5.0);
}

/// Knobs of the rules, and some that only stand beside them, with values.
const SETTINGS: &[&str] = &[
    "source.concurrency=1",
    "source.concurrency=32",
    "source.page_rows=50",
    "source.page_rows=5000",
    "source.reuse_connections=false",
    "decode.path=rows",
    "channel.capacity=256",
    "counter=mutex",
    "transform.partitions=2",
    "transform.streaming=false",
    "transform.table_names=unique",
    "write.method=insert",
    "write.method=prepared",
    "write.method=unnest",
    "write.method=copy-csv",
    "write.method=copy-text",
    "write.batch_rows=100",
    "write.in_flight=1",
    "write.connections=2",
    "write.mode=replace",
];

fn reports() -> impl Strategy<Value = RunReport> {
    let set = subsequence(Activity::ALL.to_vec(), 0..=4);
    let times = prop::collection::vec((set, 0.01..5.0), 1..12);
    let config = (
        select(Config::PRESETS.to_vec()),
        subsequence(SETTINGS.to_vec(), 0..=SETTINGS.len()),
        any::<bool>(),
    );
    let stages = prop::array::uniform7(0.0..3.0);
    let http = (0_u64..200_000, 0_u64..3_000, 0_u64..30);
    (times, config, stages, http, 0.0..1.0).prop_map(
        |(times, (preset, settings, commits_batches), stages, http, writing)| {
            let times: Vec<(&[Activity], f64)> = times
                .iter()
                .map(|(active, seconds)| (&active[..], *seconds))
                .collect();
            let names = [
                "fetch",
                "source",
                "decode",
                "infer",
                "transform",
                "encode",
                "send",
            ];
            let cpu: Vec<(&str, f64)> = names.into_iter().zip(stages).collect();
            let mut report = example::report(&times, &cpu);
            let with = |config: Config, setting: &&str| config.with(setting).unwrap();
            let config = settings.iter().fold(Config::preset(preset).unwrap(), with);
            let batched = config.clone().with("write.commit=batch").unwrap();
            let is_taken = commits_batches && batched.write.check_commit(WriteMode::Append).is_ok();
            report.config = if is_taken { batched } else { config };
            report.write_seconds = Some(report.wall_seconds * writing);
            report.rows_read = http.0;
            (report.http.pages, report.http.retries) = (http.1, http.2);
            report.http.requests = http.1 + http.2;
            report
        },
    )
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let modes = select(vec![
        WriteMode::Append,
        WriteMode::Replace,
        WriteMode::Merge,
    ]);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (1_usize..4, flags, modes, 1_usize..16, 0.0..20.0).prop_map(
        |(sources, flags, mode, cores, cpu_seconds)| Facts {
            sources,
            asks_ahead: flags.0,
            says_page_rows: flags.1,
            server_is_here: flags.2,
            mode,
            cores,
            cpu_seconds,
        },
    )
}

fn any_server() -> impl Strategy<Value = Server> {
    prop_oneof![
        Just(Server::NotAsked),
        Just(Server::NotSeen("why".to_owned())),
        (0.0..2.0, 0_usize..100).prop_map(|(running, waits)| looks(running, &[("IO", "x", waits)])),
    ]
}

proptest! {
    /// Whoever takes all advice comes to an end, is never advised what is set, and gets what the engine takes.
    #[test]
    fn advice_never_names_what_is_set(
        report in reports(),
        facts in any_facts(),
        server in any_server(),
    ) {
        let mut report = report;
        let mut taken = Vec::new();
        while let Some(advice) = Explanation::new(&report, &facts, server.clone()).unwrap().advice {
            prop_assert!(!taken.contains(&advice.change), "again: {:?}", advice.change);
            prop_assert!(taken.len() < 16, "{taken:?}");
            let gain = advice.gain;
            prop_assert!(1.0 <= gain.at_least && gain.at_least <= gain.at_most, "{gain:?}");
            prop_assert!(gain.at_most.is_finite());
            let mut config = report.config.clone();
            for setting in &advice.change {
                let changed = config.clone().with(setting).unwrap();
                prop_assert!(changed != config, "{setting} is set already");
                config = changed;
            }
            if report.config.write.check_commit(facts.mode).is_ok() {
                prop_assert!(config.write.check_commit(facts.mode).is_ok(), "{:?}", advice.change);
            }
            prop_assert_eq!(&advice.engine, &EngineBlock::of(&config));
            taken.push(advice.change);
            report.config = config;
        }
    }
}
