//! An exchange without secrets.

use super::file::Exchange;
use super::links::{in_body, in_header};
use super::secrets::Secrets;
use super::source::RecordedSource;

impl Exchange {
    /// Replaces the `secrets` in request and answer. Links come first: what takes the place of a parameter
    /// there must be what takes it in the request that follows.
    pub(crate) fn hide(&mut self, secrets: &Secrets, sources: &[RecordedSource]) {
        self.target = secrets.hide_target(&self.target);
        for (name, value) in &mut self.headers {
            *value = match name.as_str() {
                "link" => in_header(value, |link| Some(secrets.hide_target(link))),
                "location" => secrets.hide_target(value),
                _ => secrets.hide(value),
            };
        }
        let own = sources.iter().filter(|one| one.origin == self.origin);
        let links: Vec<String> = own.flat_map(RecordedSource::link_paths).cloned().collect();
        if !links.is_empty() {
            let hide_link = |link: &str| {
                let hidden = secrets.hide_target(link);
                // A link that is only spelled in another way stays as it is.
                (secrets.hide(link) != link || is_masked(link, &hidden)).then_some(hidden)
            };
            // What is no JSON has no link.
            if let Ok(hidden) = in_body(&self.body, &links, hide_link) {
                self.body = hidden;
            }
        }
        self.body = secrets.hide(&self.body);
    }
}

/// Whether two paths with queries differ in a value.
fn is_masked(link: &str, hidden: &str) -> bool {
    let values = |target: &str| {
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let pairs = url::form_urlencoded::parse(query.as_bytes()).into_owned();
        pairs.collect::<Vec<_>>()
    };
    values(link) != values(hidden)
}
