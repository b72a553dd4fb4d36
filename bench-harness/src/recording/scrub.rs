//! Values of a recording in place of others, so that it can be shown to people who may not see the rows.
//!
//! The values of rows become others of the same kind and length ([`super::value`]). So do cursors and the
//! parameters of links, alike in the page that names them and in the request that follows, because they
//! are often made of rows. Names of columns, numbers beside the rows, such as totals, and the query stay.

use anyhow::{Context as _, Result};
use apitap_core::source::pagination::Pagination;
use url::form_urlencoded;

use super::file::{Exchange, Recording};
use super::json_text::{Place, Pointer, Scalar, rewrite};
use super::links::{in_header, pointers};
use super::source::RecordedSource;
use super::value::Permutation;

/// Headers that the engine reads; others may say who asks.
const KEPT_HEADERS: &[&str] = &[
    "content-encoding",
    "content-range",
    "content-type",
    "link",
    "location",
    "retry-after",
];

/// What replaces values, by a key that is drawn at random.
#[derive(Default)]
pub(crate) struct Scrubber {
    permutation: Permutation,
}

impl Scrubber {
    /// Replaces the values of a recording.
    ///
    /// # Errors
    /// A page that is not JSON.
    pub(crate) fn scrub(&self, recording: &mut Recording) -> Result<()> {
        let Recording { header, exchanges } = recording;
        for exchange in exchanges {
            let Some(source) = source_of(&header.sources, exchange) else {
                continue;
            };
            let target = exchange.target.clone();
            self.exchange(source, exchange)
                .with_context(|| format!("the values of {target} cannot be replaced"))?;
        }
        for source in &mut header.sources {
            if is_linked(&source.pagination) {
                source.target = self.query(&source.target);
                for (_, value) in source.query.iter_mut().chain(&mut source.key) {
                    *value = self.cursor(value);
                }
            }
        }
        header.is_scrubbed = true;
        Ok(())
    }

    fn exchange(&self, source: &RecordedSource, exchange: &mut Exchange) -> Result<()> {
        let is_linked = is_linked(&source.pagination);
        match &source.pagination {
            Pagination::Cursor { cursor_param, .. } => {
                exchange.target = self.parameters(&exchange.target, |name| name == cursor_param);
            }
            _ if is_linked => exchange.target = self.query(&exchange.target),
            _ => {}
        }
        let total = &source.total_header;
        exchange.headers.retain(|(name, _)| {
            KEPT_HEADERS.contains(&name.as_str()) || name.eq_ignore_ascii_case(total)
        });
        for (name, value) in exchange.headers.iter_mut().filter(|_| is_linked) {
            match name.as_str() {
                "link" => *value = in_header(value, |link| Some(self.query(link))),
                "location" => *value = self.query(value),
                _ => {}
            }
        }
        let is_page = (200..300).contains(&exchange.status) && !exchange.is_cut;
        exchange.body = match is_page {
            true => self
                .page(source, &exchange.body)
                .context("it is not JSON")?,
            // What it says of the refusal may hold values, and nobody reads it.
            false => String::new(),
        };
        Ok(())
    }

    /// A page with other values.
    fn page(&self, source: &RecordedSource, text: &str) -> Result<String> {
        let rows = Pointer::new(&source.data_path);
        let next = pointers(source.pagination.next_paths());
        let total = source.total_path.as_deref().map(Pointer::new);
        let is_linked = is_linked(&source.pagination);
        let of_paging = |place: &Place<'_>| next.iter().any(|one| place.is(one));
        let of_total = |place: &Place<'_>| total.as_ref().is_some_and(|one| place.is(one));
        rewrite(text, |place, scalar| {
            if of_total(place) {
                return Ok(None);
            }
            let text: Option<String> = match scalar {
                Scalar::String(written) => Some(serde_json::from_str(written)?),
                Scalar::Number(_) => None,
            };
            Ok(match (scalar, text) {
                (Scalar::String(_), Some(text)) => Some(in_json(match of_paging(place) {
                    true if is_linked => self.query(&text),
                    true => self.cursor(&text),
                    false => self.permutation.text(&text),
                })),
                (Scalar::Number(number), _) if of_paging(place) || place.is_within(&rows) => {
                    Some(self.permutation.number(number))
                }
                _ => None,
            })
        })
    }

    /// Path and query with other values of all parameters.
    fn query(&self, target: &str) -> String {
        self.parameters(target, |_| true)
    }

    fn parameters(&self, target: &str, is_changed: impl Fn(&str) -> bool) -> String {
        let Some((path, query)) = target.split_once('?') else {
            return target.to_owned();
        };
        let pairs = form_urlencoded::parse(query.as_bytes());
        let pairs = pairs.map(|(name, value)| match is_changed(&name) {
            true => {
                let value = self.cursor(&value);
                (name, value)
            }
            false => (name, value.into_owned()),
        });
        let mut changed = form_urlencoded::Serializer::new(String::new());
        changed.extend_pairs(pairs);
        format!("{path}?{}", changed.finish())
    }

    /// Another cursor, the same whether it is a text or a number in a page: in a request it is a text.
    fn cursor(&self, text: &str) -> String {
        let is_number = text.bytes().all(|byte| !byte.is_ascii_whitespace())
            && serde_json::from_str::<serde_json::Number>(text).is_ok();
        match is_number {
            true => self.permutation.number(text),
            false => self.permutation.text(text),
        }
    }
}

fn in_json(text: String) -> String {
    serde_json::Value::from(text).to_string()
}

/// Whether each page has a link to the next.
fn is_linked(pagination: &Pagination) -> bool {
    matches!(
        pagination,
        Pagination::LinkHeader | Pagination::NextLink { .. }
    )
}

/// The source that a request is of. Links may lead to other paths than its own.
fn source_of<'a>(sources: &'a [RecordedSource], exchange: &Exchange) -> Option<&'a RecordedSource> {
    let own = || sources.iter().filter(|one| one.origin == exchange.origin);
    let path = |target: &str| target.split('?').next().map(str::to_owned);
    let by_path = own().find(|one| path(&one.target) == path(&exchange.target));
    by_path
        .or_else(|| own().find(|one| is_linked(&one.pagination)))
        .or_else(|| own().next())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::example::{exchange, recording, source};
    use super::*;

    fn scrubbed(pagination: Pagination, data_path: &str, exchanges: Vec<Exchange>) -> Recording {
        let mut recording = recording();
        let mut source = source(pagination);
        source.data_path = data_path.to_owned();
        recording.header.sources = vec![source];
        recording.exchanges = exchanges;
        Scrubber::default().scrub(&mut recording).unwrap();
        recording
    }

    fn json(exchange: &Exchange) -> Value {
        serde_json::from_str(&exchange.body).unwrap()
    }

    #[test]
    fn rows_have_other_values_and_equal_ones_stay_equal() {
        let recording = recording();
        let exchanges = recording.exchanges.clone();
        let scrubbed = scrubbed(super::super::example::numbered(), "", exchanges);
        assert!(scrubbed.header.is_scrubbed);
        let (first, second) = (json(&scrubbed.exchanges[1]), json(&scrubbed.exchanges[2]));
        assert_eq!(first[0]["name"], second[0]["name"]);
        assert_ne!(first[0]["name"], first[1]["name"]);
        for (before, after) in recording.exchanges.iter().zip(&scrubbed.exchanges) {
            assert_eq!(before.target, after.target);
            assert_eq!(before.status, after.status);
        }
        assert_eq!(scrubbed.exchanges[3].body, "[]");
    }

    #[test]
    fn cursors_lead_on_as_text_and_as_number() {
        for (written, sent) in [("\"c/2=\"", "c%2F2%3D"), ("41", "41"), ("\"41\"", "41")] {
            let pagination = Pagination::Cursor {
                cursor_param: "after".to_owned(),
                page_size_param: None,
                cursor_paths: vec!["/next".to_owned()],
            };
            let page = format!(
                "{{\"total\":2,\"who\":\"Ada\",\"data\":[{{\"id\":12}}],\"next\":{written}}}"
            );
            let next = format!("/items?status=open&after={sent}");
            let pages = vec![
                exchange("/items?status=open", 200, &page),
                exchange(&next, 200, "{}"),
            ];
            let scrubbed = scrubbed(pagination, "/data", pages);
            let page = json(&scrubbed.exchanges[0]);
            let cursor = match &page["next"] {
                Value::String(text) => text.clone(),
                number => number.to_string(),
            };
            let mut follows = form_urlencoded::Serializer::new("/items?".to_owned());
            follows
                .append_pair("status", "open")
                .append_pair("after", &cursor);
            let expected = follows.finish().replace("?&", "?");
            assert_eq!(scrubbed.exchanges[1].target, expected);
            assert_eq!(page["total"], 2);
            assert_ne!(page["who"], "Ada");
        }
    }

    #[test]
    fn links_lead_on_in_headers_and_bodies() {
        let next = "/items?status=open&after=abc";
        let mut page = exchange("/items?status=open", 200, "[]");
        page.headers
            .push(("link".to_owned(), format!("<{next}>; rel=\"next\"")));
        page.headers
            .push(("x-account".to_owned(), "Ada".to_owned()));
        let pages = vec![page, exchange(next, 200, "[]")];
        let scrubbed = scrubbed(Pagination::LinkHeader, "", pages);
        let target = &scrubbed.exchanges[1].target;
        assert_ne!(target, next);
        let link = ("link".to_owned(), format!("<{target}>; rel=\"next\""));
        assert!(scrubbed.exchanges[0].headers.contains(&link));
        assert_eq!(scrubbed.exchanges[0].headers.len(), 2);
        assert_eq!(
            scrubbed.exchanges[0].target,
            scrubbed.header.sources[0].target
        );

        let body = format!("{{\"data\":[],\"links\":{{\"next\":{{\"href\":\"{next}\"}}}}}}");
        let pages = vec![
            exchange("/items?status=open", 200, &body),
            exchange(next, 200, "{}"),
        ];
        let paths = Pagination::NextLink {
            next_paths: vec!["/links/next".to_owned()],
        };
        let scrubbed = self::scrubbed(paths, "/data", pages);
        let link = json(&scrubbed.exchanges[0])["links"]["next"]["href"].clone();
        assert_eq!(link, scrubbed.exchanges[1].target);
    }

    #[test]
    fn what_a_refusal_says_goes_and_a_page_that_is_no_json_is_an_error() {
        let refused = exchange("/items?page=1", 403, "Ada may not");
        let numbered = super::super::example::numbered;
        let scrubbed = scrubbed(numbered(), "", vec![refused]);
        assert_eq!(scrubbed.exchanges[0].body, "");

        let mut recording = recording();
        recording.exchanges = vec![exchange("/items?page=1", 200, "<html>")];
        let error = Scrubber::default().scrub(&mut recording).unwrap_err();
        assert!(format!("{error:#}").contains("it is not JSON"), "{error:#}");
    }
}
