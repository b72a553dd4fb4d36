//! `${VAR}` and `{{ current_date() }}` in the values of a pipeline file.
//!
//! Substitution happens after the YAML is parsed, so a variable can never change the file's
//! structure, and a value that happens to hold `${` is not expanded again.

use chrono::{Days, NaiveDate};

/// What templates may refer to.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    /// Looks up an environment variable.
    pub(crate) env: &'a dyn Fn(&str) -> Option<String>,
    /// The value of `current_date()`, in UTC.
    pub(crate) today: NaiveDate,
}

/// Replaces each `${VAR}`.
///
/// # Errors
/// An unset variable, by name, and a `${` that is not closed. No value is ever shown.
pub(crate) fn variables(text: &str, context: Context<'_>) -> Result<String, String> {
    replace(text, "${", "}", |name| {
        let name = name.trim();
        if name.is_empty() {
            return Err("`${}` names no variable".to_owned());
        }
        (context.env)(name).ok_or_else(|| format!("environment variable {name} is not set"))
    })
}

/// Replaces date functions, then each `${VAR}`.
///
/// # Errors
/// As [`variables`], and unknown functions.
pub(crate) fn dates_and_variables(text: &str, context: Context<'_>) -> Result<String, String> {
    // Each part is expanded once: what a variable holds is data, not a template.
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find("{{") {
        out.push_str(&variables(&rest[..open], context)?);
        let inner = &rest[open + 2..];
        let close = inner.find("}}").ok_or("`{{` is not closed by `}}`")?;
        out.push_str(&date(inner[..close].trim(), context.today)?);
        rest = &inner[close + 2..];
    }
    out.push_str(&variables(rest, context)?);
    Ok(out)
}

fn replace(
    text: &str,
    open: &str,
    close: &str,
    mut value: impl FnMut(&str) -> Result<String, String>,
) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(open) {
        out.push_str(&rest[..at]);
        let inner = &rest[at + open.len()..];
        let end = inner
            .find(close)
            .ok_or_else(|| format!("`{open}` is not closed by `{close}`"))?;
        out.push_str(&value(&inner[..end])?);
        rest = &inner[end + close.len()..];
    }
    out.push_str(rest);
    Ok(out)
}

fn date(call: &str, today: NaiveDate) -> Result<String, String> {
    let unknown = || {
        "unknown template function: use {{ current_date() }} or {{ few_date_ago(N) }}".to_owned()
    };
    let (name, argument) = call
        .strip_suffix(')')
        .and_then(|call| call.split_once('('))
        .ok_or_else(unknown)?;
    let days = match (name.trim(), argument.trim()) {
        ("current_date", "") => 0,
        ("few_date_ago", days) => days
            .parse::<u32>()
            .map_err(|_| "few_date_ago(N) takes a whole number of days".to_owned())?,
        _ => return Err(unknown()),
    };
    today
        .checked_sub_days(Days::new(days.into()))
        .map(|date| date.format("%Y-%m-%d").to_string())
        .ok_or_else(|| format!("few_date_ago({days}) is before the calendar begins"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("api.test".to_owned()),
            "TRICKY" => Some("${HOST}{{ current_date() }}".to_owned()),
            _ => None,
        }
    }

    fn expand(text: &str) -> Result<String, String> {
        let today = NaiveDate::from_ymd_opt(2024, 3, 1).unwrap();
        dates_and_variables(text, Context { env: &env, today })
    }

    #[test]
    fn replaces_variables_and_dates() {
        assert_eq!(expand("https://${HOST}/x").unwrap(), "https://api.test/x");
        assert_eq!(expand("{{ current_date() }}").unwrap(), "2024-03-01");
        assert_eq!(
            expand("{{few_date_ago( 1 )}}..{{current_date()}}").unwrap(),
            "2024-02-29..2024-03-01"
        );
        assert_eq!(expand("plain $5 } {").unwrap(), "plain $5 } {");
    }

    #[test]
    fn values_are_not_templates() {
        assert_eq!(expand("${TRICKY}").unwrap(), "${HOST}{{ current_date() }}");
    }

    #[test]
    fn faults_name_the_variable() {
        assert_eq!(
            expand("${NONE}").unwrap_err(),
            "environment variable NONE is not set"
        );
        for text in [
            "${HOST",
            "{{ current_date()",
            "{{ tomorrow() }}",
            "{{ few_date_ago(x) }}",
            "{{ few_date_ago(4000000000) }}",
            "${}",
        ] {
            assert!(expand(text).is_err(), "{text}");
        }
    }
}
