//! `Link` headers (RFC 8288), as bytes: titles and even targets need not be ASCII.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

/// A link with the parameters that count here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Link {
    /// Where it leads; what is not ASCII is percent-encoded.
    pub(super) target: String,
    /// Its relations, in lower case.
    pub(super) relations: Vec<String>,
    /// What it leads from, where that is not the page itself.
    pub(super) anchor: Option<String>,
}

/// Why a header is no list of links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotLinks(&'static str);

impl fmt::Display for NotLinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the Link header cannot be read: {}", self.0)
    }
}

impl Link {
    pub(super) fn has_relation(&self, relation: &str) -> bool {
        self.relations.iter().any(|known| known == relation)
    }
}

/// Reads the value of one `Link` header.
///
/// More lenient than the standard where nothing can be misunderstood: a relation may be in single
/// quotes, and several without any.
///
/// # Errors
/// Text in which a link could be hidden: no target where one should begin, a target or a quoted
/// string without an end, a relation in half a pair of quotes.
pub(super) fn links(value: &[u8]) -> Result<Vec<Link>, NotLinks> {
    let mut rest = Rest(value);
    let mut links = Vec::new();
    loop {
        rest.skip(|byte| byte.is_ascii_whitespace() || byte == b',');
        if rest.0.is_empty() {
            return Ok(links);
        }
        if !rest.eat(b'<') {
            return Err(NotLinks("a link does not begin with `<`"));
        }
        let target = rest.until(|byte| byte == b'>');
        if !rest.eat(b'>') {
            return Err(NotLinks("a target has no end"));
        }
        let mut link = Link {
            target: encoded(target.trim_ascii()),
            ..Link::default()
        };
        let mut has_relations = false;
        while let Some(Parameter { name, value }) = rest.parameter()? {
            // Of a parameter that comes again, only the first counts.
            if name.eq_ignore_ascii_case(b"rel") && !has_relations {
                has_relations = true;
                link.relations = relations(&value)?;
            } else if name.eq_ignore_ascii_case(b"anchor") && link.anchor.is_none() {
                link.anchor = Some(encoded(&value));
            }
        }
        links.push(link);
    }
}

/// A parameter of a link, its value without quotes.
struct Parameter<'a> {
    name: &'a [u8],
    value: Vec<u8>,
}

/// What is still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn skip(&mut self, is_skipped: impl Fn(u8) -> bool) {
        self.until(|byte| !is_skipped(byte));
    }

    fn blanks(&mut self) {
        self.skip(|byte| byte.is_ascii_whitespace());
    }

    fn eat(&mut self, wanted: u8) -> bool {
        let found = self.0.first() == Some(&wanted);
        self.0 = &self.0[usize::from(found)..];
        found
    }

    /// What comes before a byte that ends it, or before the end.
    fn until(&mut self, is_end: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|&byte| is_end(byte));
        let (found, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        found
    }

    /// The next parameter of a link, with an empty value if it has none.
    fn parameter(&mut self) -> Result<Option<Parameter<'a>>, NotLinks> {
        loop {
            self.blanks();
            match self.0.first() {
                None | Some(b',') => return Ok(None),
                Some(b';') => self.0 = &self.0[1..],
                Some(_) => return Err(NotLinks("expected `;` or `,`")),
            }
            self.blanks();
            // An empty parameter is allowed.
            let name = self
                .until(|byte| matches!(byte, b'=' | b';' | b','))
                .trim_ascii();
            if self.eat(b'=') {
                self.blanks();
                let value = match self.0.first() {
                    Some(b'"') => self.quoted()?,
                    _ => self
                        .until(|byte| matches!(byte, b';' | b','))
                        .trim_ascii()
                        .to_vec(),
                };
                return Ok(Some(Parameter { name, value }));
            }
            if !name.is_empty() {
                let value = Vec::new();
                return Ok(Some(Parameter { name, value }));
            }
        }
    }

    /// A string in double quotes, in which a backslash takes the next byte as it is.
    fn quoted(&mut self) -> Result<Vec<u8>, NotLinks> {
        let text = self.0;
        let mut value = Vec::new();
        let mut bytes = text.iter().enumerate().skip(1);
        while let Some((at, &byte)) = bytes.next() {
            match byte {
                b'"' => {
                    self.0 = &text[at + 1..];
                    return Ok(value);
                }
                b'\\' => value.extend(bytes.next().map(|(_, &byte)| byte)),
                _ => value.push(byte),
            }
        }
        Err(NotLinks("a quoted string has no end"))
    }
}

fn relations(value: &[u8]) -> Result<Vec<String>, NotLinks> {
    let inner = value
        .strip_prefix(b"'")
        .and_then(|value| value.strip_suffix(b"'"))
        .unwrap_or(value);
    if inner
        .iter()
        .any(|byte| matches!(byte, b'\'' | b'"' | b'<' | b'>'))
    {
        return Err(NotLinks("a rel has a quote or bracket in it"));
    }
    let words = inner.split(u8::is_ascii_whitespace);
    let words = words.filter(|word| !word.is_empty());
    Ok(words
        .map(|word| String::from_utf8_lossy(word).to_ascii_lowercase())
        .collect())
}

/// A target as ASCII. Bytes are kept, whatever their character set.
fn encoded(target: &[u8]) -> String {
    const KEPT: &AsciiSet = &CONTROLS.add(b' ');
    percent_encode(target, KEPT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The targets of the links with a relation.
    fn targets(value: &str, relation: &str) -> Vec<String> {
        let links = links(value.as_bytes()).unwrap().into_iter();
        let wanted = links.filter(|link| link.has_relation(relation));
        wanted.map(|link| link.target).collect()
    }

    #[test]
    fn links_are_found_by_relation() {
        let value = r#"</x?page=1>; rel=first, </x?a=1,2;3&page=3>; title="a, b"; rel="last next", <y>; REL="Prev""#;
        assert_eq!(targets(value, "first"), ["/x?page=1"]);
        assert_eq!(targets(value, "next"), ["/x?a=1,2;3&page=3"]);
        assert_eq!(targets(value, "last"), ["/x?a=1,2;3&page=3"]);
        assert_eq!(targets(value, "prev"), ["y"]);
        assert!(targets(value, "self").is_empty());
    }

    #[test]
    fn whatever_stands_in_quotes_is_no_parameter() {
        for title in [
            r#""see; rel=next""#,
            r#""<b>; rel=\"next\", <c>""#,
            r#""rel=next, <z>; rel=next""#,
            "\"N\u{e4}chste, Seite\"",
        ] {
            let value = format!("<a>; title={title}; rel=\"prev\", <b>;title={title};rel=next");
            assert_eq!(targets(&value, "next"), ["b"], "{value}");
        }
    }

    #[test]
    fn spaces_empty_elements_and_stray_parameters_do_no_harm() {
        for value in [
            " , <b> ;rel = next ;; , ,",
            "<b>; crossorigin; rel=next; title*=UTF-8''n%c3%a4chste",
            "<b>;\trel=\"\tprefetch   NEXT \"",
            "<b>; rel=prefetch next",
            "<b>; rel='next'",
            "<b>; rel='prev next'",
            "<b>; rel=next; rel=prev",
        ] {
            assert_eq!(targets(value, "next"), ["b"], "{value}");
        }
        assert!(targets("<b>; rel=prev; rel=next", "next").is_empty());
        assert!(targets("<b>; rev=next; rel*=next", "next").is_empty());
        assert_eq!(links(b""), Ok(vec![]));
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_not_absent() {
        for value in [
            "<b; rel=next",
            "b; rel=next",
            "<a>; rel=\"prev\", /b; rel=\"next\"",
            "<b>; rel=\"next",
            "<b>; title=\"x; rel=next",
            "<b> rel=next",
            "<b>; rel='next",
            "<b>; title='see; rel=next', <c>; rel=prev",
            "<b>; title='a, b'; rel=next",
        ] {
            assert!(links(value.as_bytes()).is_err(), "{value}");
        }
    }

    #[test]
    fn targets_keep_their_bytes() {
        let target = |value: &[u8]| links(value).unwrap()[0].target.clone();
        assert_eq!(
            target(b"<?ort=K\xf6ln&page=2>; rel=next"),
            "?ort=K%F6ln&page=2"
        );
        assert_eq!(
            target("<?ort=K\u{f6}ln>; rel=next".as_bytes()),
            "?ort=K%C3%B6ln"
        );
        assert_eq!(target(b"<?a=%20b c>; rel=next"), "?a=%20b%20c");
    }

    #[test]
    fn an_anchor_is_kept() {
        let links = links(b"<a>; rel=next; anchor=\"#other\", <b>; rel=next").unwrap();
        assert_eq!(links[0].anchor.as_deref(), Some("#other"));
        assert_eq!(links[1].anchor, None);
    }
}
