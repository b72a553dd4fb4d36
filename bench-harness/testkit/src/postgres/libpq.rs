//! How programs of libpq find a server: by variables, so that `ps` does not show the password.

use anyhow::{Context, Result};
use tokio_postgres::config::{Config, Host};

/// The variables by which `psql` and other programs of libpq find the database behind `url`.
///
/// # Errors
/// A URL that is not valid, or whose password is not UTF-8.
pub fn libpq_variables(url: &str) -> Result<Vec<(&'static str, String)>> {
    // The cause could quote the URL, and so a password.
    let config: Config = url.parse().ok().context("the server's URL is not valid")?;
    let host = config.get_hosts().first().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(folder) => folder.display().to_string(),
    });
    let password = config.get_password().map(<[u8]>::to_vec);
    let password = password.map(String::from_utf8).transpose();
    let variables = [
        ("PGHOST", host),
        ("PGPORT", config.get_ports().first().map(u16::to_string)),
        ("PGUSER", config.get_user().map(str::to_owned)),
        (
            "PGPASSWORD",
            password.ok().context("the password is not UTF-8")?,
        ),
        ("PGDATABASE", config.get_dbname().map(str::to_owned)),
    ];
    let known = variables.into_iter();
    Ok(known
        .filter_map(|(name, value)| Some((name, value?)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_becomes_the_variables_of_libpq() {
        let variables = libpq_variables("postgres://u:p%40ss@h:5433/d").unwrap();
        let expected = [
            ("PGHOST", "h"),
            ("PGPORT", "5433"),
            ("PGUSER", "u"),
            ("PGPASSWORD", "p@ss"),
            ("PGDATABASE", "d"),
        ];
        assert_eq!(
            variables,
            expected.map(|(name, value)| (name, value.to_owned()))
        );
        assert!(libpq_variables("http://h").is_err());
    }
}
