//! The file as users write it, and as they get it wrong.

use super::*;

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
    Ok(parse(&text)?.sources.remove(0))
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
fn targets_hide_their_password() {
    let file = parse(TARGET).unwrap();
    let target = file.target("pg").unwrap();
    assert_eq!((target.host.as_str(), target.port), ("db.test", 5432));
    assert_eq!(target.password.expose(), "s3cr3t: [");
    assert!(!format!("{file:?}").contains("s3cr3t"));
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
