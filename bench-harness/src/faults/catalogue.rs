//! The faults: what each injects, and what a load must make of it.
//!
//! What is expected follows from what the engine promises, not from what it does: a load ends with the
//! table as it was or complete, and says what was wrong, where, and in which words the server said it.

use apitap_core::config::WriteMode;

use super::fault::ApiFault as Api;
use super::fault::ProcessFault as Process;
use super::fault::ServerFault as Server;
use super::fault::{Body, Cell, Fault, Inject, Outcome, Refusal};

use Outcome::{Completes, Fails, FailsOrCompletes, LoadsNothing};

/// Every fault, by where it comes from.
pub(crate) const FAULTS: &[Fault] = &[
    api(
        "api-refused",
        "nothing listens at the API's port",
        Api::Refused,
        |_| Fails(&["source items", "refused"]),
    ),
    api(
        "api-silent",
        "the API accepts the request for page 7 and never answers",
        Api::Silent,
        |_| Fails(&["page 7", "time"]),
    )
    .with(&["source.read_timeout=1"]),
    api(
        "api-reset",
        "the connection is reset in the middle of page 7",
        Api::Reset,
        |_| Fails(&["page 7", "reset|closed|incomplete|body"]),
    ),
    api(
        "api-cut-with-length",
        "page 7 ends before its Content-Length",
        Api::CutWithLength,
        |_| Fails(&["page 7", "cut|closed|incomplete|eof|end of file|body"]),
    ),
    api(
        "api-cut-without-length",
        "page 7 ends in the middle, without a Content-Length",
        Api::CutWithoutLength,
        |_| Fails(&["page 7", "end|cut"]),
    ),
    api(
        "api-bad-chunk",
        "page 7 is chunked, and a chunk's size is no number",
        Api::BadChunk,
        |_| Fails(&["page 7", "chunk"]),
    ),
    api(
        "api-drip",
        "page 7 comes a byte at a time",
        Api::Drip,
        |_| Fails(&["page 7", "time"]),
    )
    .with(&["source.total_timeout=1"]),
    api(
        "api-stall",
        "page 7 stops in the middle, and the connection stays open",
        Api::Stall,
        |_| Fails(&["page 7", "time"]),
    )
    .with(&["source.read_timeout=1"]),
    api(
        "api-429-once",
        "429 for page 7, once, with Retry-After: 1",
        refused("429 Too Many Requests", Some(1), Some(1)),
        |_| Completes,
    ),
    api(
        "api-429-once-without-retry-after",
        "429 for page 7, once, without Retry-After",
        refused("429 Too Many Requests", None, Some(1)),
        |_| Completes,
    ),
    api(
        "api-429",
        "429 for page 7, for ever, without Retry-After",
        refused("429 Too Many Requests", None, None),
        |_| Fails(&["page 7", "429"]),
    ),
    api(
        "api-500-once",
        "500 for page 7, once",
        refused("500 Internal Server Error", None, Some(1)),
        |_| Completes,
    ),
    api(
        "api-500",
        "500 for page 7, for ever",
        refused("500 Internal Server Error", None, None),
        |_| Fails(&["page 7", "500"]),
    ),
    api(
        "api-redirect-loop",
        "page 7 redirects to itself",
        Api::RedirectLoop,
        |_| Fails(&["page 7", "redirect"]),
    ),
    api(
        "api-redirect-elsewhere",
        "page 7 redirects to another host, which must not see the secrets",
        Api::RedirectElsewhere,
        |_| Fails(&["page 7", "redirect", "another host"]),
    ),
    api(
        "api-redirect-allowed",
        "page 7 redirects to a host in allowed_hosts, which must not see a Referer",
        Api::RedirectAllowed,
        |_| Completes,
    ),
    api(
        "api-204",
        "204 for page 7, between full pages",
        Api::NoContent,
        |_| Fails(&["page 7", "204"]),
    ),
    api(
        "api-bomb",
        "page 7 is gzip that swells to 32 MiB, where 1 MiB is allowed",
        Api::Body(Body::Bomb),
        |_| Fails(&["page 7", "bytes|mib", "decompressed"]),
    )
    .with(&["source.max_body_bytes=1048576"]),
    api(
        "api-html",
        "page 7 is a page to log in, as text/html with status 200",
        Api::Body(Body::Html),
        |_| Fails(&["page 7", "html"]),
    ),
    api(
        "api-wrong-charset",
        "page 7 is in Latin 1",
        Api::Body(Body::Latin1),
        |_| Fails(&["page 7", "utf-8|charset"]),
    ),
    api(
        "api-nul",
        "a text of page 7 has U+0000",
        Api::Body(Body::Nul),
        |_| Fails(&["page 7, row 1", "column name", "nul"]),
    ),
    api(
        "api-null",
        "page 7 is null, between full pages",
        Api::Body(Body::Null),
        |_| Fails(&["page 7", "null"]),
    ),
    api(
        "api-deep",
        "a value of page 7 is 10,000 arrays deep",
        Api::Body(Body::Deep),
        |_| Fails(&["page 7", "deep|depth|nest"]),
    ),
    api(
        "api-huge-number",
        "a number of page 7 has 50,000,000 digits",
        Api::Body(Body::HugeNumber),
        |_| Fails(&["page 7"]),
    ),
    api(
        "api-duplicate-key",
        "a row of page 7 has a key twice",
        Api::Body(Body::DuplicateKey),
        |_| Fails(&["page 7, row 1", "column id", "twice|duplicate"]),
    ),
    api(
        "api-bad-row",
        "a row of page 7 has a text where a number is expected",
        Api::Body(Body::BadRow),
        |_| Fails(&["page 7, row 1", "column amount", "string|text"]),
    ),
    api(
        "api-repeated-page",
        "page 7 is page 6 once more",
        Api::RepeatedPage,
        |_| Fails(&["page 7|page 6", "same|repeat|equal|again"]),
    ),
    api(
        "api-shrinking-count",
        "X-Total-Count becomes smaller from page 4 on, and all pages stay full",
        Api::ShrinkingCount,
        |_| Completes,
    ),
    api(
        "api-empty-first-page",
        "no page has rows",
        Api::EmptyFirstPage,
        |cell| match (cell.mode, cell.exists) {
            (WriteMode::Append | WriteMode::Merge, true) => LoadsNothing,
            // Columns are unknown, and a table that is replaced by nothing is lost.
            _ => Fails(&["source items", "no rows"]),
        },
    ),
    server(
        "postgres-refused",
        "nothing listens at the database's port",
        Server::Refused,
        |_| Fails(&["target warehouse", "refused"]),
    ),
    server(
        "postgres-wrong-password",
        "the password is wrong",
        Server::WrongPassword,
        |_| Fails(&["target warehouse", "password"]),
    ),
    server(
        "postgres-terminated",
        "the newest session of the load is terminated at page 7",
        Server::TerminateOne,
        |_| Fails(&["terminat"]),
    ),
    server(
        "postgres-all-terminated",
        "all sessions of the load are terminated at page 7",
        Server::TerminateAll,
        |_| Fails(&["terminat"]),
    ),
    server(
        "postgres-crash",
        "the server is killed at page 7, and starts again",
        Server::Crash,
        |_| {
            Fails(&[
                "postgres|database|server|items",
                "closed|lost|reset|terminat|crash",
            ])
        },
    ),
    server(
        "postgres-disk-full",
        "the table's tablespace has no room for the rows (needs root, to mount a small file system)",
        Server::DiskFull,
        |_| Fails(&["items\"|table items", "no space left|disk full"]),
    ),
    server(
        "postgres-lock-timeout",
        "another session has the table locked, with a lock_timeout",
        Server::LockTimeout,
        |_| Fails(&["items\"|table items", "lock timeout"]),
    ),
    server(
        "postgres-statement-timeout",
        "another session has the table locked, with a statement_timeout",
        Server::StatementTimeout,
        |_| Fails(&["items\"|table items", "statement timeout"]),
    ),
    server(
        "postgres-idle-timeout",
        "page 7 takes longer than idle_in_transaction_session_timeout",
        Server::IdleTimeout,
        |cell| match cell.is_idle_between_flushes() && cell.connections == 1 {
            true => Fails(&["idle-in-transaction"]),
            // In COPY the session is active, and with several connections the first of them waits
            // outside of a transaction.
            false => FailsOrCompletes(&["idle-in-transaction"]),
        },
    ),
    server(
        "postgres-column-missing",
        "the table lacks columns of the result",
        Server::ColumnMissing,
        |_| Fails(&["items", "no column amount"]),
    ),
    server(
        "postgres-type-differs",
        "a column of the table is an integer, and the result has text",
        Server::TypeDiffers,
        |_| Fails(&["column name", "integer", "text"]),
    ),
    server(
        "postgres-constraint",
        "a row of page 7 violates a CHECK of the table",
        Server::Constraint,
        |_| Fails(&["items\"|table items", "amount_limit"]),
    ),
    server(
        "postgres-read-only",
        "transactions are read-only, as on a standby",
        Server::ReadOnly,
        |_| Fails(&["read-only"]),
    ),
    server(
        "postgres-serialization",
        "the server reports a serialization failure at a row of page 7",
        Server::Serialization,
        |_| Fails(&["items\"|table items", "could not serialize"]),
    ),
    process("sigint", "SIGINT at page 7", Process::Interrupt, |_| {
        Fails(&["interrupt|sigint"])
    }),
    process("sigterm", "SIGTERM at page 7", Process::Terminate, |_| {
        Fails(&["terminat|sigterm|interrupt"])
    }),
    process(
        "sigkill",
        "SIGKILL at page 7",
        Process::Kill,
        |_| Fails(&[]),
    ),
    process(
        "descriptors",
        "the process may open 8 files, or 9 and so on, until that is enough",
        Process::Descriptors,
        |_| FailsOrCompletes(&["too many open files|descriptor"]),
    ),
    process(
        "memory",
        "the process may not have the memory that page 7 takes",
        Process::Memory,
        |_| Fails(&["memory"]),
    ),
];

/// A fault of a program that holds the engine, which the command cannot have.
pub(crate) const CANCELLED: Fault = process(
    "cancelled",
    "the future of the run is dropped at page 7",
    Process::Cancel,
    |_| Fails(&["cancelled"]),
);

type Expect = fn(&Cell) -> Outcome;

const fn api(name: &'static str, about: &'static str, fault: Api, expect: Expect) -> Fault {
    fault_of(name, about, Inject::Api(fault), expect)
}

const fn server(name: &'static str, about: &'static str, fault: Server, expect: Expect) -> Fault {
    fault_of(name, about, Inject::Server(fault), expect)
}

const fn process(name: &'static str, about: &'static str, fault: Process, expect: Expect) -> Fault {
    fault_of(name, about, Inject::Process(fault), expect)
}

const fn fault_of(
    name: &'static str,
    about: &'static str,
    inject: Inject,
    expect: Expect,
) -> Fault {
    Fault {
        name,
        about,
        inject,
        expect,
        settings: &[],
    }
}

const fn refused(status: &'static str, retry_after: Option<u64>, times: Option<usize>) -> Api {
    Api::Status(Refusal {
        status,
        retry_after,
        times,
    })
}

impl Fault {
    const fn with(mut self, settings: &'static [&'static str]) -> Self {
        self.settings = settings;
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_parts_of_messages_are_in_lower_case() {
        let names: HashSet<_> = FAULTS.iter().map(|fault| fault.name).collect();
        assert_eq!(names.len(), FAULTS.len());
        for fault in FAULTS {
            for cell in super::super::matrix::cells(&[fault], true) {
                if let Fails(parts) | FailsOrCompletes(parts) = (fault.expect)(&cell) {
                    assert!(
                        parts.iter().all(|part| *part == part.to_lowercase()),
                        "{cell}"
                    );
                }
            }
        }
    }
}
