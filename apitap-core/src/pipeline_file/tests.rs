//! The file as users write it, and as they get it wrong.

use std::time::Duration;

use super::*;
use crate::config::BadText;

const TARGET: &str = "
targets:
  - type: postgres
    name: pg
    host: ${PG_HOST}
    database: app
    auth: {username: me, password_env: PG_PASSWORD}
";

fn env(name: &str) -> Option<String> {
    match name {
        "PG_HOST" => Some("db.test".into()),
        "PG_PASSWORD" | "TOKEN" => Some("s3cr3t: [".into()),
        _ => None,
    }
}

fn parse(text: &str) -> Result<PipelineFile> {
    PipelineFile::parse(text, &env, NaiveDate::from_ymd_opt(2024, 3, 1).unwrap())
}

fn source(fields: &str) -> Result<SourceSpec> {
    let text = format!(
        "sources:\n  - name: orders\n    url: https://api.test/v1/orders\n{fields}\n{TARGET}"
    );
    parse(&text)?.source("orders").cloned()
}

#[test]
fn the_reference_surface_is_read() {
    let spec = source(
        r#"    retry: {max_attempts: 3, max_delay_secs: 5, min_delay_secs: 1}
    table_destination_name: public.orders
    headers: [{key: Authorization, value: "Bearer ${TOKEN}"}]
    query_params:
      - {key: from, value: "{{ few_date_ago(1) }}"}
      - {key: to, value: '{{ current_date() }}'}
      - {key: limit, value: 5}
    pagination: {kind: limit_offset, limit_param: limit, offset_param: skip}
    data_path: /data/items
    primary_key_in_dest: id"#,
    )
    .unwrap();
    assert_eq!(spec.retry.max_attempts, 3);
    assert_eq!(spec.headers[0].1.expose(), "Bearer s3cr3t: [");
    let query: Vec<_> = spec.query.iter().map(|(_, value)| value.expose()).collect();
    assert_eq!(query, ["2024-02-29", "2024-03-01", "5"]);
    assert_eq!(spec.primary_key, ["id"]);
    let shown = format!("{spec:?}");
    assert!(!shown.contains("s3cr3t"), "{shown}");
}

#[test]
fn limits_of_a_page_are_read() {
    let spec = source("    limits: {body_bytes: 1000, rows: 20, string_bytes: 30}").unwrap();
    let limits = spec.limits;
    assert_eq!(limits.body_bytes.map(|bytes| bytes.get()), Some(1000));
    assert_eq!((limits.rows.get(), limits.string_bytes.get()), (20, 30));
    assert_eq!(source("").unwrap().limits, crate::source::Limits::default());
    for wrong in ["{rows: 0}", "{depth: 9}", "{body_bytes: 3000000000}"] {
        let error = source(&format!("    limits: {wrong}")).unwrap_err();
        assert!(error.is_config(), "{wrong}: {error}");
    }
}

#[test]
fn lines_are_not_asked_for_what_they_have_no_place_for() {
    let ndjson = "    headers: [{key: accept, value: Application/X-NDJSON}]\n";
    for (fields, pointer) in [
        (
            "    pagination: {kind: cursor, cursor_param: c}",
            "cursor_path",
        ),
        ("    pagination: {kind: next_link}", "next_path"),
        (
            "    pagination: {kind: page_only, page_param: p, total_path: /total}",
            "total_path",
        ),
        ("    data_path: /rows", "data_path"),
    ] {
        let error = source(&format!("{ndjson}{fields}")).unwrap_err();
        assert!(
            error.is_config() && error.to_string().contains(pointer),
            "{error}"
        );
        assert!(source(fields).is_ok());
    }
    assert!(source(ndjson).is_ok());
}

#[test]
fn targets_hide_their_password() {
    let file = parse(TARGET).unwrap();
    let target = file.target("pg").unwrap();
    assert_eq!((target.host.as_str(), target.port), ("db.test", 5432));
    assert_eq!(target.password.expose(), "s3cr3t: [");
    assert!(!format!("{file:?}").contains("s3cr3t"));
}

#[test]
fn a_port_may_come_from_the_environment() {
    let target = |port: &str| -> Result<TargetSpec> {
        let text = format!("{TARGET}    port: {port}\n");
        let env = |name: &str| (name == "PORT").then(|| "6543".to_owned()).or(env(name));
        let mut file = PipelineFile::parse(&text, &env, NaiveDate::default())?;
        Ok(file.targets.remove(0))
    };
    assert_eq!(target("5433").unwrap().port, 5433);
    assert_eq!(target("${PORT}").unwrap().port, 6543);
    for wrong in ["65536", "-1", "${PG_PASSWORD}", "s3cr3t"] {
        let error = target(wrong).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(
            error.is_config() && text.contains("`port` is a number"),
            "{text}"
        );
        assert!(!text.contains("s3cr3t"), "{text}");
    }
}

#[test]
fn every_kind_of_pagination_is_read() {
    for kind in [
        "page_number, page_param: p, per_page_param: n",
        "page_number, page_param: p, per_page_param: n, start: 0, total_path: /meta/total",
        "page_only, page_param: p, total_header: X-All, allow_shortfall: true",
        "page_only, page_param: p",
        "limit_offset, limit_param: l, offset_param: o",
        "cursor, cursor_param: c",
        "cursor, cursor_param: c, page_size_param: n, cursor_path: /next",
        "link_header",
        "next_link",
        "next_link, next_path: /links/next, allowed_hosts: [b.test]",
        "default",
    ] {
        source(&format!("    pagination: {{kind: {kind}}}")).unwrap();
    }
}

#[test]
fn wrong_files_are_reported_with_their_line_and_without_their_text() {
    let cases = [
        (
            "    pagination: {kind: pages}",
            "line 4",
            "unknown pagination kind `pages`",
        ),
        (
            "    pagination: {kind: cursor}",
            "line 4",
            "needs `cursor_param`",
        ),
        (
            "    pagination: {kind: page_only, page_param: p, next_path: /n}",
            "line 4",
            "has no `next_path`",
        ),
        (
            "    columns:\n      id: bigint\n      at: datetime",
            "line 6",
            "source orders: column `at`: unknown column type `datetime`",
        ),
        ("    urls: x", "line 4", "unknown key `urls`"),
        ("    url: x", "line 4", "key `url` appears twice"),
        ("    data_path: data.items", "line 4", "JSON pointer"),
        ("    retry: {max_attempts: s3cr3t}", "line 4", ""),
        (
            "    headers: [{key: X-Key, value: \"s3cr3t\\nx\"}]",
            "line 4",
            "header `X-Key`",
        ),
        (
            "    headers: [{key: \"X Key\", value: s3cr3t}]",
            "line 4",
            "header name `X Key`",
        ),
        (
            "    headers: [{key: X, value: \"${UNSET}\"}]",
            "line 4",
            "variable UNSET is not set",
        ),
        (
            "    query_params: [{key: X, value: \"{{ now() }}\"}]",
            "line 4",
            "unknown template function",
        ),
        (
            "    auth: {type: bearer, token: s3cr3t, token_env: TOKEN}",
            "line 4",
            "both `token`",
        ),
        ("    auth: {type: s3cr3t}", "line 4", "unknown auth type"),
        ("    mode: s3cr3t", "line 4", "append"),
        ("    on_bad_text: s3cr3t", "line 4", "fail, replace"),
        (
            "  - name: orders\n    url: http://h",
            "line 4",
            "source `orders` appears twice",
        ),
        (
            "  - {name: b, url: \"ftp://me:s3cr3t@h\"}",
            "line 4",
            "http or https",
        ),
    ];
    for (fields, place, part) in cases {
        let error = source(fields).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(error.is_config(), "{text}");
        assert!(
            text.contains(place) && text.contains(part),
            "{fields}: {text}"
        );
        assert!(!text.contains("s3cr3t"), "{fields}: {text}");
    }
}

#[test]
fn an_unquoted_template_says_what_to_do() {
    let error = source("    query_params:\n      - key: from\n        value: {{ current_date() }}")
        .unwrap_err();
    assert!(
        error
            .next_step()
            .is_some_and(|hint| hint.contains("quotes")),
        "{error:?}"
    );
}

#[test]
fn broken_yaml_and_empty_files_are_errors() {
    for text in [
        "",
        "sources: [",
        "sources: {}",
        "- a",
        "targets:\n\t- x",
        "a: b",
    ] {
        assert!(parse(text).unwrap_err().is_config(), "{text}");
    }
}

#[test]
fn engine_settings_are_kept_as_written() {
    let file =
        parse("engine: {preset: before, settings: {write.batch_rows: 500, counter: atomic}}")
            .unwrap();
    assert_eq!(file.preset.as_deref(), Some("before"));
    assert_eq!(file.settings, ["counter=atomic", "write.batch_rows=500"]);
}

#[test]
fn fingerprints_follow_the_configuration_but_not_dates_or_secrets() {
    let at = |day, env: &dyn Fn(&str) -> Option<String>, extra: &str| {
        let text = format!(
            "sources:\n  - name: o\n    url: http://h/o\n    query_params: [{{key: d, value: \"{{{{ current_date() }}}}\"}}]\n    headers: [{{key: X, value: \"${{TOKEN}}\"}}]\n{extra}"
        );
        let today = NaiveDate::from_ymd_opt(2024, 1, day).unwrap();
        PipelineFile::parse(&text, env, today).unwrap().sources[0].fingerprint()
    };
    let base = at(1, &env, "");
    assert_eq!(base, at(2, &|_| Some("other".into()), ""));
    assert_ne!(base, at(1, &env, "    data_path: /x"));
    assert_ne!(base, at(1, &env, "    columns: {id: bigint}"));
}

#[test]
fn a_shortfall_is_allowed_where_the_file_says_so() {
    let allowed = |pagination: &str| source(pagination).unwrap().total.allow_shortfall;
    assert!(!allowed(""));
    assert!(!allowed("    pagination: {kind: default}"));
    assert!(allowed(
        "    pagination: {kind: none, allow_shortfall: true}"
    ));
}

#[test]
fn limits_of_a_target_are_seconds() {
    let target = |limits: &str| -> Result<TargetSpec> {
        Ok(parse(&format!("{TARGET}{limits}"))?.targets.remove(0))
    };
    let usual = target("").unwrap();
    assert_eq!(
        (
            usual.connect_timeout.as_secs(),
            usual.answer_timeout.as_secs(),
            usual.lock_timeout
        ),
        (30, 60, None)
    );
    let limits = "    connect_timeout: 5\n    answer_timeout: 0.5\n    lock_timeout: 2.5\n";
    let set = target(limits).unwrap();
    assert_eq!(
        (set.connect_timeout, set.answer_timeout, set.lock_timeout),
        (
            Duration::from_secs(5),
            Duration::from_millis(500),
            Some(Duration::from_millis(2_500))
        )
    );
    for value in ["0", "-1", "1e9", "soon", ".nan"] {
        for key in ["connect_timeout", "answer_timeout", "lock_timeout"] {
            let error = target(&format!("    {key}: {value}\n")).unwrap_err();
            assert!(
                error.is_config() && error.to_string().contains("line 8"),
                "{value}: {error}"
            );
        }
    }
}

#[test]
fn what_happens_to_bad_text_is_said_by_the_source() {
    let of = |fields: &str| source(fields).unwrap().on_bad_text;
    assert_eq!(of(""), BadText::Fail);
    assert_eq!(of("    on_bad_text: fail"), BadText::Fail);
    assert_eq!(of("    on_bad_text: replace"), BadText::Replace);
}

#[test]
fn an_unset_variable_is_a_fault_for_who_uses_it() {
    let text = "
sources:
  - {name: a, url: \"https://${UNSET}/v1\"}
  - {name: b, url: https://b.test, auth: {type: bearer, token_env: NONE}}
  - {name: c, url: https://c.test}
targets:
  - {type: postgres, name: pg, host: h, database: d, auth: {username: u, password_env: NONE}}
  - {type: postgres, name: other, host: h, database: d, auth: {username: u}}
";
    let file = parse(text).unwrap();
    assert!(file.source("c").is_ok() && file.target("other").is_ok());
    for (error, place, variable) in [
        (
            file.source("a").unwrap_err(),
            "line 3, column 20: source a: url",
            "UNSET",
        ),
        (file.source("b").unwrap_err(), "source b: token_env", "NONE"),
        (
            file.target("pg").unwrap_err(),
            "target pg: password_env",
            "NONE",
        ),
    ] {
        let text = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Environment, "{text}");
        assert!(text.contains(place), "{text}");
        assert!(
            text.contains(&format!("variable {variable} is not set")),
            "{text}"
        );
        assert!(error.next_step().unwrap().contains(".env"), "{error:?}");
    }
    let known = file.source("d").unwrap_err();
    assert!(known.next_step().unwrap().contains("c, a, b"), "{known:?}");
}

#[test]
fn an_empty_variable_is_a_fault_for_who_uses_it() {
    let text = "
sources:
  - {name: a, url: \"${EMPTY}\"}
  - {name: b, url: https://b.test}
";
    let env = |name: &str| (name == "EMPTY").then(String::new);
    let file = PipelineFile::parse(text, &env, NaiveDate::default()).unwrap();
    assert!(file.source("b").is_ok());
    assert_eq!(file.source("a").unwrap_err().kind(), ErrorKind::Environment);
}

#[test]
fn other_faults_are_everybodys() {
    let text = "
sources:
  - {name: a, url: \"https://${TOKEN}\", data_path: items}
  - {name: b, url: https://b.test}
";
    assert_eq!(parse(text).unwrap_err().kind(), ErrorKind::Config);
}
