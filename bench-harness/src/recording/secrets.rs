//! What a recording may not hold: the credentials of a source, wherever they turn up.
//!
//! Each is replaced by letters and digits of the same number, the same ones everywhere, so that a cursor or
//! a link that contains one still leads to its page.

use std::collections::BTreeSet;

use apitap_core::secret::Secret;
use apitap_core::source::pagination::Pagination;
use apitap_core::source::{Auth, SourceSpec};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

/// Shorter texts are not looked for in pages: they are part of other words. Where they are sent, they are
/// replaced nevertheless.
const SHORTEST: usize = 4;

/// Parts of the names of headers that hold credentials. Values of others, such as the version of an API, may
/// as well be a date in every row.
const SECRET_HEADERS: &[&str] = &[
    "auth",
    "cookie",
    "credential",
    "key",
    "password",
    "secret",
    "session",
    "signature",
    "token",
];

/// Names of query parameters that hold credentials, in lower case, letters and digits alone.
const SECRET_NAMES: &[&str] = &[
    "accesskey",
    "accesstoken",
    "apikey",
    "auth",
    "authorization",
    "authtoken",
    "clientsecret",
    "jwt",
    "key",
    "passwd",
    "password",
    "pwd",
    "secret",
    "sessionid",
    "sig",
    "sign",
    "signature",
    "subscriptionkey",
    "ocpapimsubscriptionkey",
    "token",
    "xamzcredential",
    "xamzsecuritytoken",
    "xamzsignature",
    "xapikey",
];

/// The secrets of a pipeline's sources.
pub(crate) struct Secrets {
    /// What is looked for and what takes its place, the longest first.
    known: Vec<(String, String)>,
    /// Parameters whose whole value is secret.
    parameters: BTreeSet<String>,
    /// Those that say which page is wanted.
    paging: BTreeSet<String>,
    /// Without it the replaced text could be found by trying.
    salt: [u8; 16],
}

impl Secrets {
    /// The secrets of `sources`, which the file `text` describes; `env` looks up its variables.
    pub(crate) fn new<'a>(
        sources: impl Iterator<Item = &'a SourceSpec> + Clone,
        text: &str,
        env: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let mut secrets = Self {
            known: Vec::new(),
            parameters: BTreeSet::new(),
            paging: sources.clone().flat_map(paging).collect(),
            salt: rand::random(),
        };
        let variables: Vec<String> = variables(text)
            .into_iter()
            .filter_map(|name| env(&name))
            .filter(|value| value.len() >= SHORTEST)
            .collect();
        let mut found = BTreeSet::new();
        for source in sources {
            found.extend(secrets.of_source(source, &variables));
        }
        // A variable may be a part of what is sent.
        let sent = found.clone();
        let is_sent = |value: &&String| sent.iter().any(|sent| sent.contains(*value));
        found.extend(variables.iter().filter(is_sent).cloned());
        secrets.know(found);
        secrets
    }

    /// The secrets of one source. Notes which parameters hold any.
    fn of_source(&mut self, source: &SourceSpec, variables: &[String]) -> Vec<String> {
        let mut found = Vec::new();
        let has_variable = |value: &str| variables.iter().any(|one| value.contains(one.as_str()));
        match &source.auth {
            None => {}
            Some(Auth::Basic { username, password }) => {
                found.push(STANDARD.encode(format!("{username}:{}", password.expose())));
                // Of some APIs the user is the key.
                found.push(match password.expose() {
                    "" => username.clone(),
                    password => password.to_owned(),
                });
            }
            Some(Auth::Bearer { token }) => found.push(token.expose().to_owned()),
            Some(Auth::ApiKey {
                name,
                value,
                in_query,
            }) => {
                found.push(value.expose().to_owned());
                if *in_query {
                    self.parameters.insert(name.clone());
                }
            }
        }
        for (name, value) in &source.headers {
            let name = name.to_ascii_lowercase();
            let is_secret = SECRET_HEADERS.iter().any(|part| name.contains(part));
            if is_secret || has_variable(value.expose()) {
                found.extend(of_header(value));
            }
        }
        match source.url.password() {
            Some(password) => found.push(decoded(password)),
            None => found.push(decoded(source.url.username())),
        }
        let own = source.url.query_pairs().into_owned();
        let fixed = source.query.iter();
        let fixed = fixed.map(|(name, value)| (name.clone(), value.expose().to_owned()));
        for (name, value) in own.chain(fixed) {
            if has_variable(&value) || is_secret_name(&name) {
                found.push(value);
                self.parameters.insert(name);
            }
        }
        found
    }

    fn know(&mut self, found: BTreeSet<String>) {
        let mut known: Vec<(String, String)> = Vec::new();
        for secret in found.iter().filter(|one| one.len() >= SHORTEST) {
            let mask = self.mask(secret);
            let in_json = serde_json::Value::from(secret.as_str()).to_string();
            let in_json = in_json[1..in_json.len() - 1].to_owned();
            let in_url: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
            let spelled = [
                secret.clone(),
                in_json.replace('/', "\\/"),
                in_json,
                in_url.replace('+', "%20"),
                in_url,
            ];
            for text in spelled {
                if !known.iter().any(|(other, _)| *other == text) {
                    known.push((text, mask.clone()));
                }
            }
        }
        known.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        self.known = known;
    }

    /// `text` without secrets.
    pub(crate) fn hide(&self, text: &str) -> String {
        let mut hidden = text.to_owned();
        for (secret, mask) in &self.known {
            if hidden.contains(secret.as_str()) {
                hidden = hidden.replace(secret.as_str(), mask);
            }
        }
        hidden
    }

    /// A path with its query, without secrets. The same secrets are replaced by the same texts as in
    /// [`Secrets::hide`].
    pub(crate) fn hide_target(&self, target: &str) -> String {
        let Some((path, query)) = target.split_once('?') else {
            return self.hide(target);
        };
        let path = self.hide(path) + "?";
        let begin = path.len();
        let mut hidden = form_urlencoded::Serializer::for_suffix(path, begin);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            hidden.append_pair(&name, &self.hide_value(&name, &value));
        }
        hidden.finish()
    }

    /// The value of a query parameter without secrets.
    pub(crate) fn hide_value(&self, name: &str, value: &str) -> String {
        let is_secret = self.parameters.contains(name) || is_secret_name(name);
        match is_secret && !self.paging.contains(name) {
            true => self.mask(value),
            false => self.hide(value),
        }
    }

    /// Letters and digits in the place of `secret`.
    fn mask(&self, secret: &str) -> String {
        const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let mut mask = String::new();
        let mut part = 0_u32;
        while mask.len() < secret.len() {
            let mut hash = Sha256::new();
            hash.update(self.salt);
            hash.update(part.to_be_bytes());
            hash.update(secret.as_bytes());
            let letters = hash.finalize();
            mask.extend(
                letters
                    .iter()
                    .map(|byte| char::from(LETTERS[usize::from(byte % 32)])),
            );
            part += 1;
        }
        mask.truncate(secret.len());
        mask
    }
}

/// A header's value, and what is secret of it: without a scheme such as `Bearer`, and the values of cookies.
fn of_header(value: &Secret) -> Vec<String> {
    let value = value.expose();
    let token = value.split_once(' ').map(|(_, token)| token);
    let cookies = value.split(';').filter_map(|part| part.split_once('='));
    let cookies = cookies.map(|(_, value)| value.trim());
    let parts = std::iter::once(value).chain(token).chain(cookies);
    parts.map(|part| part.trim().to_owned()).collect()
}

fn decoded(text: &str) -> String {
    // A plus sign is one in user and password of a URL.
    let pair = format!("x={}", text.replace('+', "%2B"));
    let value = form_urlencoded::parse(pair.as_bytes()).next();
    value
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

fn is_secret_name(name: &str) -> bool {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    let name: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    SECRET_NAMES.contains(&name.as_str())
}

/// The parameters by which a source asks for a page.
fn paging(source: &SourceSpec) -> Vec<String> {
    match &source.pagination {
        Pagination::PageNumber {
            page_param,
            per_page_param,
            ..
        } => std::iter::once(page_param)
            .chain(per_page_param)
            .cloned()
            .collect(),
        Pagination::LimitOffset {
            limit_param,
            offset_param,
            ..
        } => vec![limit_param.clone(), offset_param.clone()],
        Pagination::Cursor {
            cursor_param,
            page_size_param,
            ..
        } => std::iter::once(cursor_param)
            .chain(page_size_param)
            .cloned()
            .collect(),
        Pagination::None | Pagination::LinkHeader | Pagination::NextLink { .. } => Vec::new(),
    }
}

/// The names of the variables in a pipeline file: `${NAME}`, and the values of keys such as `token_env`.
fn variables(text: &str) -> BTreeSet<String> {
    let braced = text.match_indices("${").filter_map(|(at, open)| {
        let (name, _) = text[at + open.len()..].split_once('}')?;
        Some(name.trim().to_owned())
    });
    let keyed = text.match_indices("_env").filter_map(|(at, key)| {
        let value = text[at + key.len()..].trim_start().strip_prefix(':')?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let value = value.trim_start_matches([' ', '\t', '"', '\'']);
        let end = value.find(|c| !is_name(c)).unwrap_or(value.len());
        Some(value[..end].to_owned())
    });
    braced
        .chain(keyed)
        .filter(|name| !name.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn source() -> SourceSpec {
        let url = "https://user:p%40ss-word@api.test/v1/items?api_key=in-the-url&status=open";
        let mut source = SourceSpec::new("items", Url::parse(url).unwrap());
        source.headers = [
            ("X-Version", "2024-01-01"),
            ("X-Tenant", "Token tenant-secret"),
        ]
        .map(|(name, value)| (name.to_owned(), Secret(value.to_owned())))
        .to_vec();
        source.query = [("account", "acct-77"), ("since", "2024-01-01")]
            .map(|(name, value)| (name.to_owned(), Secret(value.to_owned())))
            .to_vec();
        source.auth = Some(Auth::Bearer {
            token: Secret("b/earer\"1".to_owned()),
        });
        source
    }

    fn secrets() -> Secrets {
        let file = "headers: ${TENANT} query: ${ACCOUNT}\n  token_env: TOKEN # ${UNSET}";
        let env = |name: &str| match name {
            "TENANT" => Some("tenant-secret".to_owned()),
            "ACCOUNT" => Some("acct-77".to_owned()),
            "TOKEN" => Some("b/earer\"1".to_owned()),
            _ => None,
        };
        Secrets::new(std::iter::once(&source()), file, env)
    }

    #[test]
    fn every_credential_is_replaced_in_any_spelling_by_as_many_letters() {
        let secrets = secrets();
        let token = serde_json::Value::from("b/earer\"1").to_string();
        let page = format!(
            "{{\"a\":\"p@ss-word p%40ss-word in-the-url tenant-secret acct-77\",\"t\":{token},\
             \"u\":{}}}",
            token.replace('/', "\\/")
        );
        let hidden = secrets.hide(&page);
        for secret in ["p@ss", "p%40ss", "in-the-url", "tenant", "acct", "earer"] {
            assert!(!hidden.contains(secret), "{secret}: {hidden}");
        }
        serde_json::from_str::<serde_json::Value>(&hidden).unwrap();
        assert_eq!(
            secrets.hide("a tenant-secret").len(),
            "a tenant-secret".len()
        );
        assert_eq!(
            secrets.hide("text/plain 2024-01-01 open"),
            "text/plain 2024-01-01 open"
        );
    }

    #[test]
    fn parameters_are_replaced_alike_in_requests_and_links() {
        let secrets = secrets();
        let hidden =
            secrets.hide_target("/v1/acct-77/items?page=2&api_key=kkkkkkkk&account=acct-77");
        assert!(
            hidden.starts_with("/v1/") && hidden.contains("?page=2&api_key="),
            "{hidden}"
        );
        assert!(
            !hidden.contains("kkkkkkkk") && !hidden.contains("acct-77"),
            "{hidden}"
        );
        let again =
            secrets.hide_target("/v1/acct-77/items?page=2&api_key=kkkkkkkk&account=acct-77");
        assert_eq!(again, hidden);
        let other =
            secrets.hide_target("/v1/acct-77/items?page=2&api_key=jjjjjjjj&account=acct-77");
        assert_ne!(other, hidden);
        assert_eq!(secrets.hide_target("/plain?a=b%20c"), "/plain?a=b+c");
    }

    #[test]
    fn a_cursor_is_no_credential_whatever_its_name() {
        let mut cursor = source();
        cursor.pagination = Pagination::Cursor {
            cursor_param: "token".to_owned(),
            page_size_param: None,
            cursor_paths: Vec::new(),
        };
        let secrets = Secrets::new(std::iter::once(&cursor), "", |_| None);
        assert_eq!(
            secrets.hide_target("/x?token=next-page"),
            "/x?token=next-page"
        );
    }
}
