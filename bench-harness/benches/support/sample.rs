//! What benchmarks work on: some pages of a workload, as its own generator renders them.

use anyhow::{Context, Result};
use apitap_core::json::Envelope;
use apitap_core::source::{Page, PageFormat};
use criterion::Throughput;
use testkit::workload::Workload;

/// Pages of one workload.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) pages: Vec<Page>,
    pub(crate) rows: u64,
    /// Of the pages' JSON.
    pub(crate) bytes: u64,
}

impl Sample {
    /// Pages of `page_rows` rows, until there are enough.
    pub(crate) fn until(
        name: &'static str,
        page_rows: u64,
        is_enough: impl Fn(&Self) -> bool,
    ) -> Result<Self> {
        let workload = Workload::named(name)?;
        let mut sample = Self {
            name,
            pages: Vec::new(),
            rows: 0,
            bytes: 0,
        };
        while !is_enough(&sample) {
            let mut body = Vec::new();
            workload.render_page(sample.rows, page_rows, &mut body);
            let envelope = Envelope::scan(&body, "", &[])
                .with_context(|| format!("workload {name} renders a page that is not JSON"))?;
            sample.rows += envelope.row_count as u64;
            sample.bytes += body.len() as u64;
            sample.pages.push(Page {
                index: sample.pages.len() as u64 + 1,
                body: body.into(),
                rows: envelope.rows,
                row_count: envelope.row_count,
                format: PageFormat::Json,
            });
        }
        Ok(sample)
    }

    /// Of one pass over all pages, in rows and in bytes of JSON.
    pub(crate) fn throughput(&self) -> Throughput {
        Throughput::ElementsAndBytes {
            elements: self.rows,
            bytes: self.bytes,
        }
    }
}
