//! Whether all rows have come: what makes the first page suspicious, and what is checked at the end.

use super::pagination::{Facts, Next, Pagination, Paginator};
use super::spec::SourceSpec;
use crate::error::{Error, ErrorKind, Result, Stage};

/// Says what of the first page suggests that the source is described wrongly.
pub(super) fn warn_of_first_page(spec: &SourceSpec, facts: &Facts) {
    let source = &spec.name;
    if facts.row_count == 0 {
        return;
    }
    if spec.total.path.is_some() && facts.total.is_none() {
        tracing::warn!(%source, "page 1 has nothing at total_path, so the number of rows is not checked");
    }
    match &spec.pagination {
        Pagination::None => {
            if facts.has_next_link || facts.has_more == Some(true) {
                tracing::warn!(%source, "page 1 says that there are more rows, but the source has no pagination");
            }
        }
        Pagination::LinkHeader => {
            if facts.next == Next::Absent {
                tracing::warn!(%source, "page 1 has no Link header with rel=next; if there are more pages, describe how the API names them");
            }
        }
        Pagination::Cursor { .. } | Pagination::NextLink { .. } => {
            if !names_its_path(&spec.pagination) && facts.next == Next::Absent {
                tracing::warn!(%source, "page 1 names no next page in any usual place; set cursor_path or next_path if there are more");
            }
        }
        Pagination::PageNumber { .. } | Pagination::LimitOffset { .. } => {}
    }
}

/// Checks that a source which has ended is complete, and says why it ended.
///
/// # Errors
/// Rows that were announced and did not come, or a first page in which nothing says that it is the last:
/// rows are lost then, unless the file allows it.
pub(super) fn conclude(spec: &SourceSpec, paginator: &Paginator) -> Result<()> {
    let source = &spec.name;
    if let Some(end) = paginator.end() {
        tracing::info!(%source, rows = paginator.rows(), "source {source}: end of data: {end}");
    }
    check_next(spec, paginator)?;
    check_total(spec, paginator)?;
    if let Some((before, now)) = paginator.total_change() {
        tracing::warn!(
            %source, before, now,
            "the total changed while pages were read, so rows may be missing or twice: ask for a stable order (a query parameter such as sort=id), or page by cursor"
        );
    }
    Ok(())
}

/// A place that the file names and page 1 does not have may be misspelt; one page would then pass for
/// everything.
fn check_next(spec: &SourceSpec, paginator: &Paginator) -> Result<()> {
    let path = match spec.pagination.next_paths() {
        [path] if paginator.is_next_missing() => path,
        _ => return Ok(()),
    };
    let source = &spec.name;
    if spec.total.allow_shortfall {
        tracing::warn!(%source, "page 1 has nothing at {path}, and nothing says that it is the last");
        return Ok(());
    }
    let name = match spec.pagination {
        Pagination::Cursor { .. } => "cursor_path",
        _ => "next_path",
    };
    let what = format!(
        "source {source}, page 1: nothing at {name} {path}, and nothing says that there are no more pages"
    );
    Err(Error::new(ErrorKind::Pagination, Stage::Source, what).hint(format!(
        "check {name} against an answer of the API; if it leaves the place out where one page holds everything, set `allow_shortfall: true` under `pagination`"
    )))
}

/// Rows that were announced and did not come are lost, unless the file allows it.
fn check_total(spec: &SourceSpec, paginator: &Paginator) -> Result<()> {
    let Some((rows, total)) = paginator.shortfall() else {
        return Ok(());
    };
    let source = &spec.name;
    if spec.total.allow_shortfall {
        tracing::warn!(%source, rows, total, "the source ended before the total it announced");
        return Ok(());
    }
    let what = format!("source {source}: {total} rows were announced, but only {rows} came");
    let hint = match spec.pagination {
        Pagination::None => {
            "describe how the API pages under `pagination`; if one answer is all that is wanted, write `pagination: {kind: none, allow_shortfall: true}`"
        }
        Pagination::PageNumber { .. } | Pagination::LimitOffset { .. } => {
            "rows that are deleted meanwhile move others past their page: ask for a stable order, or page by cursor; if the API ends early, or its total is another number, and that is fine, set `allow_shortfall: true` under `pagination`"
        }
        Pagination::Cursor { .. } | Pagination::LinkHeader | Pagination::NextLink { .. } => {
            "the API ends early, or what total_path or total_header names is another number; if that is fine, set `allow_shortfall: true` under `pagination`"
        }
    };
    Err(Error::new(ErrorKind::Pagination, Stage::Source, what).hint(hint))
}

/// Whether the file names the place of the next cursor or link, rather than leaving it to be guessed.
fn names_its_path(pagination: &Pagination) -> bool {
    pagination.next_paths().len() == 1
}
