//! Where an answer leads: `Location`, `Link` headers, and the next link in a body.

use anyhow::Result;
use url::Url;

use super::json_text::{Pointer, Scalar, rewrite};
use super::source::target;

/// A link as seen from the page that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Led {
    /// To the page's own server: path and query.
    Here(String),
    /// To another server, by scheme, host and port.
    Elsewhere(String),
    /// Nowhere: it is no URL.
    Nowhere,
}

/// Where `link` of the page at `base` leads. A server is the same over https.
pub(super) fn lead(base: &Url, link: &str) -> Led {
    let Ok(url) = base.join(link.trim()) else {
        return Led::Nowhere;
    };
    let is_upgrade = base.scheme() == "http"
        && url.scheme() == "https"
        && base.port().is_none()
        && url.port().is_none()
        && url.host() == base.host();
    if url.origin() == base.origin() || is_upgrade {
        Led::Here(target(&url))
    } else {
        Led::Elsewhere(url.origin().ascii_serialization())
    }
}

/// A `Link` header with what `change` makes of its targets; none leaves one as it is.
pub(super) fn in_header(value: &str, mut change: impl FnMut(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('<') {
        let Some((link, behind)) = after.split_once('>') else {
            break;
        };
        out.push_str(before);
        out.push('<');
        out.push_str(&change(link).unwrap_or_else(|| link.to_owned()));
        out.push('>');
        rest = behind;
    }
    out + rest
}

/// A body with what `change` makes of the links at `paths`.
///
/// # Errors
/// When it is no JSON.
pub(super) fn in_body(
    text: &str,
    paths: &[String],
    mut change: impl FnMut(&str) -> Option<String>,
) -> Result<String> {
    let pointers: Vec<Pointer> = pointers(paths);
    rewrite(text, |place, scalar| {
        let Scalar::String(written) = scalar else {
            return Ok(None);
        };
        if !pointers.iter().any(|one| place.is(one)) {
            return Ok(None);
        }
        let link: String = serde_json::from_str(written)?;
        Ok(change(&link).map(|link| serde_json::Value::from(link).to_string()))
    })
}

/// Where links may be: as strings, or as objects with one.
pub(super) fn pointers(paths: &[String]) -> Vec<Pointer> {
    let paths = paths.iter().map(|path| Pointer::new(path));
    paths.flat_map(|path| [path.to("href"), path]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn links_lead_here_or_elsewhere() {
        let base = url("http://api.test/v1/items?page=1");
        let here = |target: &str| Led::Here(target.to_owned());
        for (link, expected) in [
            (
                "http://api.test/v1/items?page=2#x",
                here("/v1/items?page=2"),
            ),
            ("?page=2", here("/v1/items?page=2")),
            ("//api.test:80/a", here("/a")),
            ("https://api.test/a", here("/a")),
            (
                "https://api.test:8443/a",
                Led::Elsewhere("https://api.test:8443".to_owned()),
            ),
            (
                "http://b.test/a",
                Led::Elsewhere("http://b.test".to_owned()),
            ),
            ("http://[", Led::Nowhere),
        ] {
            assert_eq!(lead(&base, link), expected, "{link}");
        }
        let elsewhere = lead(&url("https://api.test/"), "http://api.test/");
        assert_eq!(elsewhere, Led::Elsewhere("http://api.test".to_owned()));
    }

    #[test]
    fn targets_of_headers_and_links_of_bodies_are_changed() {
        let change = |link: &str| (link != "same").then(|| link.to_uppercase());
        assert_eq!(
            in_header("<a,b>; rel=\"next\", <same>; rel=last", change),
            "<A,B>; rel=\"next\", <same>; rel=last"
        );
        assert_eq!(in_header("<a>, <open", change), "<A>, <open");
        let paths = ["/next".to_owned(), "/links/next".to_owned()];
        let body = r#"{"data":[{"next":"a"}],"next":"a\/b","links":{"next":{"href":"c"}}}"#;
        assert_eq!(
            in_body(body, &paths, change).unwrap(),
            r#"{"data":[{"next":"a"}],"next":"A/B","links":{"next":{"href":"C"}}}"#
        );
    }
}
