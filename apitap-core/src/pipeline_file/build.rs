//! From the file's shape to checked specifications.

use std::cell::Cell;
use std::collections::HashSet;
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use serde_saphyr::{Location, Spanned};
use url::Url;

use super::raw::{self, invalid, line};
use super::{PipelineFile, Unset};
use crate::config::MAX_BODY_BYTES;
use crate::error::{Error, ErrorKind, Result};
use crate::schema::ColumnType;
use crate::secret::Secret;
use crate::source::pagination::Pagination;
use crate::source::retry::RetryPolicy;
use crate::source::{Auth, Limits, SourceSpec, TotalHint};
use crate::template::{Context, dates_and_variables, variables};
use crate::write::{ANSWER_TIMEOUT, CONNECT_TIMEOUT, TargetSpec};

/// Where APIs commonly put the next cursor.
const CURSOR_PATHS: [&str; 8] = [
    "/next_cursor",
    "/meta/next_cursor",
    "/pagination/next_cursor",
    "/response_metadata/next_cursor",
    "/paging/cursors/after",
    "/next_page_token",
    "/nextPageToken",
    "/cursor",
];

/// Where APIs commonly put the next URL.
const NEXT_PATHS: [&str; 7] = [
    "/next",
    "/links/next",
    "/links/next/href",
    "/_links/next/href",
    "/_links/next",
    "/paging/next",
    "/pagination/next",
];

pub(super) fn file(file: raw::File, context: Context<'_>) -> Result<PipelineFile> {
    unique("source", file.sources.iter().map(|source| &source.name))?;
    unique("target", file.targets.iter().map(|target| &target.name))?;
    let mut built = PipelineFile {
        sources: Vec::new(),
        targets: Vec::new(),
        preset: file.engine.preset,
        settings: file
            .engine
            .settings
            .into_iter()
            .map(|(knob, value)| format!("{knob}={value}"))
            .collect(),
        unset: Unset::default(),
    };
    for raw in file.sources {
        let name = raw.name.value.clone();
        match tolerant(context, |context| source(raw, context))? {
            Ok(source) => built.sources.push(source),
            Err(error) => built.unset.sources.push((name, error)),
        }
    }
    for raw in file.targets {
        let name = raw.name.value.clone();
        match tolerant(context, |context| target(raw, context))? {
            Ok(target) => built.targets.push(target),
            Err(error) => built.unset.targets.push((name, error)),
        }
    }
    Ok(built)
}

/// Builds with variables of the environment. If that fails and one of them is unset or empty, the error
/// is for those who use what was to be built; any other error is the file's.
fn tolerant<T>(
    context: Context<'_>,
    build: impl FnOnce(Context<'_>) -> Result<T>,
) -> Result<Result<T>> {
    let missing = Cell::new(false);
    let env = |name: &str| {
        let value = (context.env)(name);
        missing.set(missing.get() || value.as_deref().is_none_or(str::is_empty));
        value
    };
    let context = Context {
        env: &env,
        ..context
    };
    match build(context) {
        Err(error) if missing.get() => {
            let error = error.of_kind(ErrorKind::Environment);
            Ok(Err(match error.next_step() {
                Some(_) => error,
                None => error.hint("set it, or put it into the file .env of the working folder"),
            }))
        }
        Err(error) => Err(error),
        Ok(built) => Ok(Ok(built)),
    }
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a Spanned<String>>) -> Result<()> {
    let mut seen = HashSet::new();
    for name in names {
        let text = name.value.as_str();
        if text.trim().is_empty() {
            return Err(invalid(format!("the {what}'s name is empty")).at(line(name.referenced)));
        }
        if !seen.insert(text) {
            return Err(invalid(format!("{what} `{text}` appears twice"))
                .at(line(name.referenced))
                .hint(format!("give each {what} a name of its own")));
        }
    }
    Ok(())
}

fn source(raw: raw::Source, context: Context<'_>) -> Result<SourceSpec> {
    let name = raw.name.value.clone();
    let start = raw.name.referenced;
    let place = |location: Location| {
        let name = name.clone();
        move |error: Error| error.at(format!("{}: source {name}", line(location)))
    };
    let url = url(&raw.url.value, context).map_err(place(raw.url.referenced))?;
    let mut spec = SourceSpec::new(name.clone(), url);
    let accept: Vec<_> = raw
        .headers
        .iter()
        .filter(|header| header.key.eq_ignore_ascii_case("accept"))
        .map(|header| header.value.value.as_str())
        .collect();
    for header in &raw.headers {
        let value = variables(&header.value.value, context)
            .map_err(|what| invalid(what).at(format!("header `{}`", header.key)))
            .and_then(|value| checked_header(&header.key, value))
            .map_err(place(header.value.referenced))?;
        spec.headers.push((header.key.clone(), value));
    }
    for parameter in &raw.query_params {
        let value = dates_and_variables(&parameter.value.value, context)
            .map_err(|what| invalid(what).at(format!("query parameter `{}`", parameter.key)))
            .map_err(place(parameter.value.referenced))?;
        spec.query.push((parameter.key.clone(), Secret(value)));
    }
    if let Some(path) = &raw.data_path {
        pointer("data_path", &path.value).map_err(place(path.referenced))?;
        spec.data_path.clone_from(&path.value);
    }
    if let Some(raw) = raw.pagination {
        let location = raw.kind.referenced;
        spec.allowed_hosts.clone_from(&raw.allowed_hosts);
        spec.total = total(&raw).map_err(place(location))?;
        spec.pagination = pagination(raw).map_err(place(location))?;
    }
    if let Some(raw) = raw.auth {
        let location = raw.kind.referenced;
        spec.auth = Some(auth(raw, context).map_err(place(location))?);
    }
    lines_can_do(&spec, &accept).map_err(place(start))?;
    spec.retry = retry(&raw.retry).map_err(place(start))?;
    spec.limits = limits(&raw.limits).map_err(place(start))?;
    spec.table_destination_name = raw.table_destination_name;
    spec.primary_key = match raw.primary_key_in_dest {
        None => Vec::new(),
        Some(raw::Names::One(name)) => vec![name],
        Some(raw::Names::Many(names)) => names,
    };
    for (column, type_name) in raw.columns {
        let column_type: ColumnType = type_name
            .value
            .parse()
            .map_err(|error: Error| error.at(format!("column `{column}`")))
            .map_err(place(type_name.referenced))?;
        spec.columns.insert(column, column_type);
    }
    spec.on_bad_text = raw.on_bad_text;
    spec.mode = raw.mode;
    let as_written: Vec<_> = raw
        .query_params
        .into_iter()
        .map(|parameter| (parameter.key, parameter.value.value))
        .collect();
    spec.identity = spec.identify(&as_written, &accept);
    Ok(spec)
}

fn url(template: &str, context: Context<'_>) -> Result<Url> {
    let hint = "write url as http://… or https://…";
    let text = variables(template, context).map_err(|what| invalid(what).at("url"))?;
    let url = Url::parse(text.trim())
        .map_err(|cause| invalid(format!("url is not a URL: {cause}")).hint(hint))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err(invalid("url must be http or https").hint(hint)),
    }
}

/// The value may be a secret: messages only have the header's name.
fn checked_header(name: &str, value: String) -> Result<Secret> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
        invalid(format!(
            "header name `{}` is not valid",
            name.escape_debug()
        ))
    })?;
    HeaderValue::from_str(&value).map_err(|_| {
        invalid(format!("the value of header `{name}` is not valid"))
            .hint("header values hold no line breaks or control characters")
    })?;
    Ok(Secret(value))
}

fn pointer(key: &str, pointer: &str) -> Result<()> {
    if pointer.is_empty() || pointer.starts_with('/') {
        return Ok(());
    }
    Err(
        invalid(format!("{key} must be a JSON pointer (RFC 6901)")).hint(format!(
            "begin it with a slash: /{}",
            pointer.replace('.', "/")
        )),
    )
}

fn total(raw: &raw::Pagination) -> Result<TotalHint> {
    let mut total = TotalHint {
        allow_shortfall: raw.allow_shortfall,
        ..TotalHint::default()
    };
    if let Some(path) = &raw.total_path {
        pointer("total_path", path)?;
        total.path = Some(path.clone());
    }
    if let Some(header) = &raw.total_header {
        HeaderName::from_bytes(header.as_bytes())
            .map_err(|_| invalid("total_header is not a valid header name"))?;
        total.header.clone_from(header);
    }
    Ok(total)
}

fn pagination(raw: raw::Pagination) -> Result<Pagination> {
    let kind = raw.kind.value.as_str();
    let needed = |name: &str, value: &Option<String>| {
        value
            .clone()
            .ok_or_else(|| invalid(format!("pagination {kind} needs `{name}`")))
    };
    let allowed: &[&str] = match kind {
        "page_number" => &["page_param", "per_page_param", "start"],
        "page_only" => &["page_param", "start"],
        "limit_offset" => &["limit_param", "offset_param", "start"],
        "cursor" => &["cursor_param", "page_size_param", "cursor_path"],
        "next_link" => &["next_path"],
        "link_header" | "default" | "none" => &[],
        _ => {
            return Err(invalid(format!("unknown pagination kind `{kind}`")).hint(
                "use page_number, page_only, limit_offset, cursor, link_header, next_link or default",
            ));
        }
    };
    let given = [
        ("limit_param", raw.limit_param.is_some()),
        ("offset_param", raw.offset_param.is_some()),
        ("page_param", raw.page_param.is_some()),
        ("per_page_param", raw.per_page_param.is_some()),
        ("cursor_param", raw.cursor_param.is_some()),
        ("page_size_param", raw.page_size_param.is_some()),
        ("cursor_path", raw.cursor_path.is_some()),
        ("next_path", raw.next_path.is_some()),
        ("start", raw.start.is_some()),
    ];
    let stray = given
        .iter()
        .find(|(name, given)| *given && !allowed.contains(name));
    if let Some((name, _)) = stray {
        return Err(invalid(format!("pagination {kind} has no `{name}`")));
    }
    Ok(match kind {
        "page_number" | "page_only" => Pagination::PageNumber {
            page_param: needed("page_param", &raw.page_param)?,
            per_page_param: match kind {
                "page_number" => Some(needed("per_page_param", &raw.per_page_param)?),
                _ => None,
            },
            start: raw.start.unwrap_or(1),
        },
        "limit_offset" => Pagination::LimitOffset {
            limit_param: needed("limit_param", &raw.limit_param)?,
            offset_param: needed("offset_param", &raw.offset_param)?,
            start: raw.start.unwrap_or(0),
        },
        "cursor" => Pagination::Cursor {
            cursor_param: needed("cursor_param", &raw.cursor_param)?,
            page_size_param: raw.page_size_param.clone(),
            cursor_paths: paths("cursor_path", raw.cursor_path.as_ref(), &CURSOR_PATHS)?,
        },
        "next_link" => Pagination::NextLink {
            next_paths: paths("next_path", raw.next_path.as_ref(), &NEXT_PATHS)?,
        },
        "link_header" => Pagination::LinkHeader,
        _ => Pagination::None,
    })
}

fn paths(key: &str, given: Option<&String>, usual: &[&str]) -> Result<Vec<String>> {
    match given {
        Some(path) => pointer(key, path).map(|()| vec![path.clone()]),
        None => Ok(usual.iter().map(|path| (*path).to_owned()).collect()),
    }
}

fn retry(raw: &raw::Retry) -> Result<RetryPolicy> {
    let usual = RetryPolicy::default();
    let seconds = |name: &str, given: Option<f64>, usual: Duration| match given {
        None => Ok(usual),
        Some(value) => Duration::try_from_secs_f64(value)
            .map_err(|_| invalid(format!("retry.{name} must be a number of seconds"))),
    };
    Ok(RetryPolicy {
        max_attempts: raw.max_attempts.unwrap_or(usual.max_attempts).max(1),
        min_delay: seconds("min_delay_secs", raw.min_delay_secs, usual.min_delay)?,
        max_delay: seconds("max_delay_secs", raw.max_delay_secs, usual.max_delay)?,
    })
}

fn limits(raw: &raw::Limits) -> Result<Limits> {
    let usual = Limits::default();
    if raw
        .body_bytes
        .is_some_and(|bytes| bytes.get() > MAX_BODY_BYTES)
    {
        return Err(invalid(format!(
            "limits.body_bytes must be at most {MAX_BODY_BYTES}"
        )));
    }
    Ok(Limits {
        body_bytes: raw.body_bytes,
        rows: raw.rows.unwrap_or(usual.rows),
        string_bytes: raw.string_bytes.unwrap_or(usual.string_bytes),
    })
}

/// Whether what the source needs of an answer has a place in it, where it asks for NDJSON.
fn lines_can_do(spec: &SourceSpec, accept: &[&str]) -> Result<()> {
    let asks_for = |format: &str| {
        accept
            .iter()
            .any(|accept| accept.to_ascii_lowercase().contains(format))
    };
    match spec.body_pointer() {
        Some(pointer) if asks_for("ndjson") && !asks_for("application/json") => Err(invalid(
            format!("the source asks for NDJSON, which has no place for {pointer}"),
        )
        .hint("ask for application/json, or page by number, offset or link_header without total_path and data_path")),
        _ => Ok(()),
    }
}

fn auth(raw: raw::Auth, context: Context<'_>) -> Result<Auth> {
    let kind = raw.kind.value.as_str();
    let value = |name: &str, given: &Option<String>, env: &Option<String>| {
        credential(name, given.as_ref(), env.as_ref(), context)?
            .ok_or_else(|| invalid(format!("auth {kind} needs `{name}` or `{name}_env`")))
    };
    let used: &[&str] = match kind {
        "basic" => &["username", "password"],
        "bearer" => &["token"],
        "api_key" => &["name", "value", "in"],
        _ => {
            return Err(invalid("unknown auth type").hint("use basic, bearer or api_key"));
        }
    };
    let given = [
        (
            "username",
            raw.username.is_some() || raw.username_env.is_some(),
        ),
        (
            "password",
            raw.password.is_some() || raw.password_env.is_some(),
        ),
        ("token", raw.token.is_some() || raw.token_env.is_some()),
        ("name", raw.name.is_some()),
        ("value", raw.value.is_some() || raw.value_env.is_some()),
        ("in", raw.place.is_some()),
    ];
    let stray = given
        .iter()
        .find(|(name, given)| *given && !used.contains(name));
    if let Some((name, _)) = stray {
        return Err(invalid(format!("auth {kind} has no `{name}`")));
    }
    match kind {
        "basic" => Ok(Auth::Basic {
            username: value("username", &raw.username, &raw.username_env)?.0,
            password: value("password", &raw.password, &raw.password_env)?,
        }),
        "bearer" => {
            let token = value("token", &raw.token, &raw.token_env)?;
            checked_header("authorization", format!("Bearer {}", token.expose()))?;
            Ok(Auth::Bearer { token })
        }
        _ => {
            let name = raw.name.clone().unwrap_or_else(|| "X-API-Key".to_owned());
            let key = value("value", &raw.value, &raw.value_env)?;
            let in_query = raw.place == Some(raw::Place::Query);
            if !in_query {
                checked_header(&name, key.0.clone())?;
            }
            Ok(Auth::ApiKey {
                name,
                value: key,
                in_query,
            })
        }
    }
}

/// A value given in the file or by the name of a variable, but not both.
fn credential(
    name: &str,
    given: Option<&String>,
    env: Option<&String>,
    context: Context<'_>,
) -> Result<Option<Secret>> {
    match (given, env) {
        (Some(_), Some(_)) => Err(invalid(format!("both `{name}` and `{name}_env` are set"))),
        (Some(template), None) => variables(template, context)
            .map(|value| Some(Secret(value)))
            .map_err(|what| invalid(what).at(name)),
        (None, Some(variable)) => match (context.env)(variable) {
            Some(value) => Ok(Some(Secret(value))),
            None => Err(
                invalid(format!("environment variable {variable} is not set"))
                    .at(format!("{name}_env")),
            ),
        },
        (None, None) => Ok(None),
    }
}

/// PostgreSQL's own limit for its time limits is 24 days.
const LONGEST_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

fn target(raw: raw::Target, context: Context<'_>) -> Result<TargetSpec> {
    let name = raw.name.value;
    let start = raw.name.referenced;
    let place = |location: Location| {
        let name = name.clone();
        move |error: Error| error.at(format!("{}: target {name}", line(location)))
    };
    let text = |key: &'static str, template: &str| {
        variables(template, context)
            .map_err(|what| invalid(what).at(key))
            .and_then(|value| match value.trim() {
                "" => Err(invalid(format!("`{key}` is empty"))),
                _ => Ok(value),
            })
            .map_err(place(start))
    };
    let port = |template: String| {
        let port = text("port", &template)?.trim().parse::<u16>();
        port.map_err(|_| place(start)(invalid("`port` is a number from 0 to 65535")))
    };
    let limit = |key: &str, seconds: Option<Spanned<f64>>| {
        let Some(seconds) = seconds else {
            return Ok(None);
        };
        let duration = Duration::try_from_secs_f64(seconds.value).ok();
        match duration.filter(|limit| !limit.is_zero() && *limit <= LONGEST_LIMIT) {
            Some(limit) => Ok(Some(limit)),
            None => Err(invalid(format!(
                "{key} is a number of seconds, above 0 and up to a day"
            )))
            .map_err(place(seconds.referenced)),
        }
    };
    let at = place(raw.auth.referenced);
    let auth = raw.auth.value;
    let username = credential(
        "username",
        auth.username.as_ref(),
        auth.username_env.as_ref(),
        context,
    )
    .and_then(|found| found.ok_or_else(|| invalid("auth needs `username` or `username_env`")))
    .map_err(&at)?;
    let password = credential(
        "password",
        auth.password.as_ref(),
        auth.password_env.as_ref(),
        context,
    )
    .map_err(&at)?
    .unwrap_or_default();
    Ok(TargetSpec {
        host: text("host", &raw.host)?,
        port: raw.port.map(port).transpose()?.unwrap_or(5432),
        database: text("database", &raw.database)?,
        username: username.0,
        password,
        sslmode: raw.sslmode.unwrap_or_default(),
        sslrootcert: raw
            .sslrootcert
            .map(|path| text("sslrootcert", &path))
            .transpose()?
            .map(Into::into),
        schema: raw
            .schema
            .map(|schema| text("schema", &schema))
            .transpose()?,
        connect_timeout: limit("connect_timeout", raw.connect_timeout)?.unwrap_or(CONNECT_TIMEOUT),
        answer_timeout: limit("answer_timeout", raw.answer_timeout)?.unwrap_or(ANSWER_TIMEOUT),
        lock_timeout: limit("lock_timeout", raw.lock_timeout)?,
        name,
    })
}
