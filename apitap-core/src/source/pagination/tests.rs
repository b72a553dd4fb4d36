//! The state machine against a simulated server.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use proptest::prelude::*;

use super::*;

fn page_number() -> Pagination {
    Pagination::PageNumber {
        page_param: "page".into(),
        per_page_param: Some("per".into()),
        start: 1,
    }
}

fn limit_offset() -> Pagination {
    Pagination::LimitOffset {
        limit_param: "limit".into(),
        offset_param: "offset".into(),
        start: 0,
    }
}

fn cursor() -> Pagination {
    Pagination::Cursor {
        cursor_param: "cursor".into(),
        page_size_param: None,
        cursor_paths: vec![],
    }
}

/// Rows are numbers, so that what was loaded can be compared exactly.
struct Run {
    rows: Vec<u64>,
    requests: Vec<Request>,
    shortfall: Option<(u64, u64)>,
}

/// Drives the machine as the fetcher does, with `concurrency` requests in flight, and asks for
/// more rows at a time than any server gives.
fn drive(
    pagination: Pagination,
    row_limit: Option<u64>,
    concurrency: usize,
    server: impl Fn(&Request) -> (Vec<u64>, Facts),
) -> Result<Run, Fault> {
    drive_asking(usize::MAX, pagination, row_limit, concurrency, server)
}

/// As [`drive`], asking for `page_rows` at a time.
fn drive_asking(
    page_rows: usize,
    pagination: Pagination,
    row_limit: Option<u64>,
    concurrency: usize,
    server: impl Fn(&Request) -> (Vec<u64>, Facts),
) -> Result<Run, Fault> {
    let mut paginator = Paginator::new(pagination, page_rows);
    paginator.limit_rows(row_limit);
    let mut flight = VecDeque::new();
    let (mut rows, mut requests) = (Vec::new(), Vec::new());
    while !paginator.is_over() {
        assert!(requests.len() < 10_000, "endless");
        while flight.len() < concurrency
            && let Some(planned) = paginator.plan()
        {
            requests.push(planned.request.clone());
            flight.push_back(planned);
        }
        let Some(planned) = flight.pop_front() else {
            assert!(row_limit.is_some_and(|limit| rows.len() as u64 >= limit));
            break;
        };
        let (page, mut facts) = server(&planned.request);
        facts.row_count = page.len();
        // Of the length too: pages of other rows must not share a hash.
        let mut hasher = DefaultHasher::new();
        page.hash(&mut hasher);
        facts.rows_hash = hasher.finish();
        match paginator.accept(&planned, &facts)? {
            Verdict::Rows => rows.extend(page),
            Verdict::RowsAndReplan => {
                rows.extend(page);
                flight.clear();
            }
            Verdict::Empty => assert!(page.is_empty()),
        }
    }
    Ok(Run {
        rows,
        requests,
        shortfall: paginator.shortfall(),
    })
}

fn number(request: &Request) -> u64 {
    match request {
        Request::Numbered(number) => *number,
        _ => panic!("not numbered"),
    }
}

fn paged(total: u64, size: u64) -> impl Fn(&Request) -> (Vec<u64>, Facts) {
    move |request| {
        let first = (number(request) - 1) * size;
        ((first..total.min(first + size)).collect(), Facts::default())
    }
}

/// Caps every page at `size` of its offset.
fn offset(total: u64, size: impl Fn(u64) -> u64) -> impl Fn(&Request) -> (Vec<u64>, Facts) {
    move |request| {
        let first = number(request);
        (
            (first..total.min(first + size(first))).collect(),
            Facts::default(),
        )
    }
}

fn with(
    facts: Facts,
    server: impl Fn(&Request) -> (Vec<u64>, Facts),
) -> impl Fn(&Request) -> (Vec<u64>, Facts) {
    move |request| (server(request).0, facts.clone())
}

proptest! {
    #[test]
    fn page_numbers_yield_every_row_once(total in 0_u64..300, size in 1_u64..40, concurrency in 1_usize..9) {
        let run = drive(page_number(), None, concurrency, paged(total, size)).unwrap();
        prop_assert_eq!(run.rows, (0..total).collect::<Vec<_>>());
        let needed = total.div_ceil(size) + 1;
        prop_assert!((run.requests.len() as u64) < needed + concurrency as u64);
    }

    #[test]
    fn offsets_yield_every_row_once_whatever_the_server_caps(
        total in 0_u64..300,
        sizes in prop::collection::vec(1_u64..20, 1..12),
        concurrency in 1_usize..9,
    ) {
        let size = |first: u64| sizes[first as usize % sizes.len()];
        let run = drive(limit_offset(), None, concurrency, offset(total, size)).unwrap();
        prop_assert_eq!(run.rows, (0..total).collect::<Vec<_>>());
    }

    #[test]
    fn a_known_total_needs_exactly_its_pages(total in 1_u64..300, size in 1_u64..40, concurrency in 1_usize..9) {
        let facts = Facts { total: Some(total), ..Facts::default() };
        for run in [
            drive_asking(size as usize, page_number(), None, concurrency, with(facts.clone(), paged(total, size))).unwrap(),
            drive_asking(size as usize, limit_offset(), None, concurrency, with(facts, offset(total, |_| size))).unwrap(),
        ] {
            prop_assert_eq!(run.rows.len() as u64, total);
            // A full page that should be the last takes one more to be believed.
            let confirming = u64::from(total % size == 0 || total < size);
            prop_assert_eq!(run.requests.len() as u64, total.div_ceil(size) + confirming);
            prop_assert_eq!(run.shortfall, None);
        }
    }

    #[test]
    fn a_wrong_total_loses_no_rows(total in 0_u64..300, announced in 0_u64..400, size in 1_u64..40, concurrency in 1_usize..9) {
        let facts = Facts { total: Some(announced), ..Facts::default() };
        for run in [
            drive_asking(size as usize, page_number(), None, concurrency, with(facts.clone(), paged(total, size))).unwrap(),
            drive_asking(size as usize, limit_offset(), None, concurrency, with(facts, offset(total, |_| size))).unwrap(),
        ] {
            prop_assert_eq!(run.rows, (0..total).collect::<Vec<_>>());
            let short = announced > total;
            prop_assert_eq!(run.shortfall, short.then_some((total, announced)));
        }
    }

    #[test]
    fn whatever_is_announced_no_row_is_lost(
        total in 0_u64..200,
        size in 1_u64..20,
        totals in prop::collection::vec(prop::option::of(0_u64..250), 1..6),
        lasts in prop::collection::vec(prop::option::of(0_u64..250), 1..6),
        concurrency in 1_usize..9,
    ) {
        let announcing = |number: u64, rows| {
            let pick = |values: &[Option<u64>]| values[number as usize % values.len()];
            let facts = Facts {
                total: pick(&totals),
                last_link: pick(&lasts).map(|last| format!("/x?page={last}&offset={last}")),
                ..Facts::default()
            };
            (rows, facts)
        };
        let by_page = |request: &Request| announcing(number(request), paged(total, size)(request).0);
        let by_offset = |request: &Request| announcing(number(request), offset(total, |_| size)(request).0);
        for run in [
            drive(page_number(), None, concurrency, by_page).unwrap(),
            drive(limit_offset(), None, concurrency, by_offset).unwrap(),
        ] {
            prop_assert_eq!(run.rows, (0..total).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_total_that_counts_the_page_loses_no_rows(total in 0_u64..300, size in 1_u64..40, concurrency in 1_usize..9) {
        let counting = |server: fn(u64, u64, &Request) -> Vec<u64>| move |request: &Request| {
            let rows = server(total, size, request);
            let facts = Facts { total: Some(rows.len() as u64), ..Facts::default() };
            (rows, facts)
        };
        let page_only = Pagination::PageNumber { page_param: "page".into(), per_page_param: None, start: 1 };
        let by_page = |total, size, request: &Request| paged(total, size)(request).0;
        let by_offset = |total, size, request: &Request| offset(total, |_| size)(request).0;
        for run in [
            drive_asking(size as usize, page_number(), None, concurrency, counting(by_page)).unwrap(),
            // The server's pages have no size that was asked for.
            drive_asking(usize::MAX, page_only, None, concurrency, counting(by_page)).unwrap(),
            drive_asking(size as usize, limit_offset(), None, concurrency, counting(by_offset)).unwrap(),
        ] {
            prop_assert_eq!(run.rows, (0..total).collect::<Vec<_>>());
            prop_assert_eq!(run.shortfall, None);
        }
    }

    #[test]
    fn a_total_counts_the_rows_before_the_first_offset(start in 1_u64..50, more in 1_u64..200, size in 1_u64..40, concurrency in 1_usize..9) {
        let total = start + more;
        let facts = Facts { total: Some(total), ..Facts::default() };
        let from = Pagination::LimitOffset { limit_param: "l".into(), offset_param: "o".into(), start };
        let run = drive_asking(size as usize, from, None, concurrency, with(facts, offset(total, |_| size))).unwrap();
        prop_assert_eq!(run.rows, (start..total).collect::<Vec<_>>());
        let confirming = u64::from(more % size == 0 || more < size);
        prop_assert_eq!(run.requests.len() as u64, more.div_ceil(size) + confirming);
        prop_assert_eq!(run.shortfall, None);
    }

    #[test]
    fn a_row_limit_requests_no_page_too_many(total in 1_u64..300, size in 1_u64..40, limit in 1_u64..400, concurrency in 1_usize..9) {
        let run = drive(page_number(), Some(limit), concurrency, paged(total, size)).unwrap();
        prop_assert!(run.rows.len() as u64 >= limit.min(total));
        if limit <= total {
            prop_assert_eq!(run.requests.len() as u64, limit.div_ceil(size));
        }
    }
}

#[test]
fn the_first_page_is_requested_alone_and_then_ahead() {
    let mut paginator = Paginator::new(limit_offset(), 1_000);
    let first = paginator.plan().unwrap();
    assert_eq!(paginator.plan(), None);
    let facts = Facts {
        row_count: 100,
        rows_hash: 1,
        ..Facts::default()
    };
    assert_eq!(paginator.accept(&first, &facts), Ok(Verdict::Rows));
    let ahead: Vec<_> = (0..3)
        .map(|_| number(&paginator.plan().unwrap().request))
        .collect();
    assert_eq!(ahead, [100, 200, 300]);
}

#[test]
fn a_short_page_discards_what_was_guessed() {
    // The server returns 7 rows at offset 20 and 10 elsewhere.
    let run = drive(
        limit_offset(),
        None,
        4,
        offset(60, |first| if first == 20 { 7 } else { 10 }),
    )
    .unwrap();
    assert_eq!(run.rows, (0..60).collect::<Vec<_>>());
    assert!(run.requests.contains(&Request::Numbered(27)));
}

#[test]
fn a_row_limit_of_zero_requests_nothing() {
    assert!(
        drive(page_number(), Some(0), 4, paged(10, 2))
            .unwrap()
            .requests
            .is_empty()
    );
}

#[test]
fn a_total_that_is_too_large_is_an_error() {
    let facts = Facts {
        total: Some(50),
        ..Facts::default()
    };
    let run = drive(page_number(), None, 2, with(facts, paged(35, 10))).unwrap();
    assert_eq!((run.rows.len(), run.shortfall), (35, Some((35, 50))));
}

#[test]
fn a_total_of_zero_beside_rows_is_not_believed() {
    let facts = Facts {
        total: Some(0),
        ..Facts::default()
    };
    let run = drive(page_number(), None, 2, with(facts, paged(35, 10))).unwrap();
    assert_eq!((run.rows.len(), run.shortfall), (35, None));
}

#[test]
fn a_row_limit_that_is_reached_is_no_shortfall() {
    let facts = Facts {
        total: Some(500),
        ..Facts::default()
    };
    let run = drive(
        page_number(),
        Some(20),
        2,
        with(facts.clone(), paged(35, 10)),
    )
    .unwrap();
    assert_eq!((run.rows.len(), run.shortfall), (20, None));
    let run = drive(page_number(), Some(50), 2, with(facts, paged(35, 10))).unwrap();
    assert_eq!((run.rows.len(), run.shortfall), (35, Some((35, 500))));
}

#[test]
fn pages_left_out_are_no_shortfall() {
    let facts = Facts {
        total: Some(35),
        ..Facts::default()
    };
    let from_3 = Pagination::PageNumber {
        page_param: "page".into(),
        per_page_param: None,
        start: 3,
    };
    let run = drive(from_3, None, 2, with(facts, paged(35, 10))).unwrap();
    assert_eq!((run.rows.len(), run.shortfall), (15, None));
}

#[test]
fn a_full_first_page_that_is_all_is_confirmed_by_one_request() {
    let mut paginator = Paginator::new(page_number(), 10);
    let first = paginator.plan().unwrap();
    let facts = Facts {
        row_count: 10,
        total: Some(10),
        ..Facts::default()
    };
    assert_eq!(paginator.accept(&first, &facts), Ok(Verdict::Rows));
    let second = paginator.plan().unwrap();
    assert!(!first.confirms && second.confirms);
    assert_eq!(paginator.plan(), None);
    assert_eq!(
        paginator.accept(&second, &Facts::default()),
        Ok(Verdict::Empty)
    );
    assert!(paginator.is_over());
    assert_eq!(paginator.shortfall(), None);
}

#[test]
fn short_pages_below_the_total_do_not_end_it() {
    // Page 2 is short, so the pages that the total asks for hold too few rows.
    let server = |request: &Request| {
        let rows = match number(request) {
            1 => (0..10).collect(),
            2 => (10..14).collect(),
            3 => (14..24).collect(),
            4 => (24..30).collect(),
            _ => vec![],
        };
        (
            rows,
            Facts {
                total: Some(30),
                ..Facts::default()
            },
        )
    };
    assert_eq!(
        drive(page_number(), None, 4, server).unwrap().rows.len(),
        30
    );
}

#[test]
fn rel_last_ends_it() {
    let last = |link: &str| Facts {
        last_link: Some(link.into()),
        ..Facts::default()
    };
    let run = drive(
        page_number(),
        None,
        8,
        with(last("/x?page=3&per=10"), paged(30, 10)),
    )
    .unwrap();
    // The last page is full, and the server never names a next one.
    assert_eq!((run.rows.len(), run.requests.len()), (30, 4));
    let run = drive(page_number(), None, 8, |request: &Request| {
        let facts = Facts {
            has_next_link: number(request) < 3,
            ..last("/x?page=3")
        };
        with(facts, paged(30, 10))(request)
    })
    .unwrap();
    assert_eq!((run.rows.len(), run.requests.len()), (30, 3));
    let run = drive(
        page_number(),
        None,
        8,
        with(last("/x?page=2"), paged(47, 10)),
    )
    .unwrap();
    assert_eq!(run.rows.len(), 47, "a last page that is behind");
    let run = drive(
        limit_offset(),
        None,
        8,
        with(last("/x?offset=20"), offset(25, |_| 10)),
    )
    .unwrap();
    assert_eq!((run.rows.len(), run.requests.len()), (25, 3));
}

#[test]
fn a_server_that_ignores_the_page_is_a_fault() {
    for pagination in [page_number(), limit_offset()] {
        let fault = drive(pagination, None, 3, |_| (vec![1, 2], Facts::default())).err();
        assert_eq!(
            fault,
            Some(Fault::RepeatedRows {
                page: 2,
                earlier: 1
            })
        );
    }
}

#[test]
fn rows_after_an_empty_page_are_a_fault() {
    let server = |request: &Request| {
        let number = number(request);
        (
            if number == 3 { vec![] } else { vec![number] },
            Facts::default(),
        )
    };
    let fault = drive(page_number(), None, 3, server).err();
    let how = Emptiness::NoRows;
    let expected = Fault::RowsAfterEnd {
        page: 4,
        empty: 3,
        how,
    };
    assert_eq!(fault, Some(expected));
}

#[test]
fn cursors_are_followed_until_none_is_named() {
    let server = |next: &'static [Option<&'static str>]| {
        move |request: &Request| {
            let page = match request {
                Request::First => 0,
                Request::Cursor(cursor) => cursor.parse().unwrap(),
                _ => panic!("not a cursor"),
            };
            // Page 1 is empty: with a cursor that is not the end.
            let rows = if page == 1 { vec![] } else { vec![page as u64] };
            (
                rows,
                Facts {
                    next: next[page].map_or(Next::Ended, |next| Next::At(next.to_owned())),
                    ..Facts::default()
                },
            )
        }
    };
    let run = drive(cursor(), None, 8, server(&[Some("1"), Some("2"), None])).unwrap();
    assert_eq!((run.rows, run.requests.len()), (vec![0, 2], 3));
    let run = drive(cursor(), None, 8, server(&[Some("1"), Some("1")])).unwrap();
    assert_eq!(
        (run.rows, run.requests.len()),
        (vec![0], 2),
        "an empty page that names itself"
    );
    let fault = drive(cursor(), None, 8, server(&[Some("2"), None, Some("2")])).err();
    assert_eq!(
        fault,
        Some(Fault::RepeatedNext {
            page: 2,
            earlier: 1
        })
    );
}

#[test]
fn links_are_followed() {
    let server = |request: &Request| match request {
        Request::First => (
            vec![1],
            Facts {
                next: Next::At("http://h/2".into()),
                ..Facts::default()
            },
        ),
        _ => (vec![2], Facts::default()),
    };
    for pagination in [
        Pagination::LinkHeader,
        Pagination::NextLink { next_paths: vec![] },
    ] {
        assert_eq!(drive(pagination, None, 4, server).unwrap().rows, [1, 2]);
    }
    assert_eq!(drive(Pagination::None, None, 4, server).unwrap().rows, [1]);
}
