use serde_json::Value;

use super::*;

struct Client(reqwest::Client);

impl Client {
    fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self(reqwest::Client::builder().no_proxy().build().unwrap())
    }

    async fn get(&self, url: &str) -> reqwest::Response {
        self.0.get(url).send().await.unwrap()
    }

    async fn json(&self, url: &str) -> Value {
        serde_json::from_slice(&self.get(url).await.bytes().await.unwrap()).unwrap()
    }

    async fn ids(&self, url: &str) -> Vec<u64> {
        ids(&self.json(url).await)
    }
}

fn ids(rows: &Value) -> Vec<u64> {
    rows.as_array()
        .unwrap()
        .iter()
        .map(|row| row["id"].as_u64().unwrap())
        .collect()
}

fn options() -> MockApiOptions {
    MockApiOptions {
        page_rows: NonZero::new(10).unwrap(),
        ..MockApiOptions::new("narrow", 25)
    }
}

#[tokio::test]
async fn a_page_is_what_the_workload_renders() {
    let api = serve(&options()).await.unwrap();
    let response = Client::new()
        .get(&format!("{}?page=2&per_page=10", api.url()))
        .await;
    assert_eq!(response.headers()["x-total-count"], "25");
    assert_eq!(response.headers()["content-type"], "application/json");
    let mut expected = Vec::new();
    Workload::named("narrow")
        .unwrap()
        .render_page(10, 10, &mut expected);
    assert_eq!(response.bytes().await.unwrap(), expected);
}

#[tokio::test]
async fn pages_and_offsets_end_with_an_empty_array() {
    let (api, client) = (serve(&options()).await.unwrap(), Client::new());
    let url = api.url();
    assert_eq!(client.ids(url).await, Vec::from_iter(1..=10));
    assert_eq!(
        client.ids(&format!("{url}?page=3")).await,
        Vec::from_iter(21..=25)
    );
    assert_eq!(client.ids(&format!("{url}?page=4")).await, [0_u64; 0]);
    assert_eq!(client.ids(&format!("{url}?page=5&per_page=6")).await, [25]);
    assert_eq!(
        client.ids(&format!("{url}?limit=3&offset=23")).await,
        [24, 25]
    );
    assert_eq!(
        client.ids(&format!("{url}?limit=3&offset=25")).await,
        [0_u64; 0]
    );
    assert_eq!(
        client.ids(&format!("{url}/all")).await,
        Vec::from_iter(1..=25)
    );
}

#[tokio::test]
async fn cursors_lead_to_the_end() {
    let (api, client) = (serve(&options()).await.unwrap(), Client::new());
    let (mut cursor, mut seen) = (String::new(), Vec::new());
    loop {
        let page = client
            .json(&format!("{}?cursor={cursor}&page_size=7", api.url()))
            .await;
        seen.extend(ids(&page["data"]));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, Vec::from_iter(1..=25));
}

#[tokio::test]
async fn links_lead_to_the_end() {
    let (api, client) = (serve(&options()).await.unwrap(), Client::new());
    let first = client.get(&format!("{}/link?page=1", api.url())).await;
    let url = format!("{}/link", api.url());
    let expected = format!("<{url}?page=2>; rel=\"next\", <{url}?page=3>; rel=\"last\"");
    assert_eq!(first.headers()["link"], expected);
    let last = client.get(&format!("{url}?page=3")).await;
    assert_eq!(
        last.headers()["link"],
        format!("<{url}?page=3>; rel=\"last\"")
    );

    let (mut next, mut seen) = (Some(format!("{}/next", api.url())), Vec::new());
    while let Some(url) = next {
        let page = client.json(&url).await;
        assert_eq!(page["total"], 25);
        seen.extend(ids(&page["data"]));
        next = page["next"].as_str().map(str::to_owned);
    }
    assert_eq!(seen, Vec::from_iter(1..=25));
}

#[tokio::test]
async fn rows_also_come_nested_and_as_lines() {
    let (api, client) = (serve(&options()).await.unwrap(), Client::new());
    let object = client.json(&format!("{}/object?page=2", api.url())).await;
    assert_eq!(
        ids(object.pointer("/result/items").unwrap()),
        Vec::from_iter(11..=20)
    );
    let lines = client.get(&format!("{}.ndjson", api.url())).await;
    assert_eq!(lines.headers()["content-type"], "application/x-ndjson");
    let mut expected = Vec::new();
    Workload::named("narrow")
        .unwrap()
        .render_ndjson(0, 25, &mut expected);
    assert_eq!(lines.bytes().await.unwrap(), expected);
    assert_eq!(api.ready().bytes, expected.len() as u64);
}

#[tokio::test]
async fn a_cap_holds_and_the_total_can_be_kept_secret() {
    let options = MockApiOptions {
        max_page_rows: NonZero::new(4),
        no_total_count: true,
        ..options()
    };
    let (api, client) = (serve(&options).await.unwrap(), Client::new());
    let url = api.url();
    assert_eq!(
        client.ids(&format!("{url}?limit=100&offset=4")).await,
        [5, 6, 7, 8]
    );
    assert_eq!(
        client.ids(&format!("{url}?page=2&per_page=100")).await,
        [5, 6, 7, 8]
    );
    assert!(
        !client
            .get(url)
            .await
            .headers()
            .contains_key("x-total-count")
    );
}

#[tokio::test]
async fn nonsense_is_refused() {
    let (api, client) = (serve(&options()).await.unwrap(), Client::new());
    for (request, status) in [
        ("?page=0", 400),
        ("?page=x", 400),
        ("?cursor=7", 400),
        ("?limit=-1", 400),
        ("/no", 404),
    ] {
        let response = client.get(&format!("{}{request}", api.url())).await;
        assert_eq!(response.status(), status, "{request}");
    }
    let taken = MockApiOptions {
        port: api
            .url()
            .rsplit([':', '/'])
            .nth(1)
            .unwrap()
            .parse()
            .unwrap(),
        ..options()
    };
    assert!(format!("{:#}", serve(&taken).await.unwrap_err()).contains("cannot listen"));
}

#[tokio::test]
async fn the_ceiling_counts_every_byte() {
    let api = serve(&MockApiOptions::new("narrow", 2_500)).await.unwrap();
    let ceiling = measure_ceiling(api.url(), 2_500, 1_000, 3).await.unwrap();
    // Commas and line ends are alike in number; each of three pages has brackets for its last.
    assert_eq!(ceiling.bytes, api.ready().bytes + 3);
}

/// Rendering goes on in blocks by several threads: order and number must not depend on it.
#[test]
fn many_blocks_are_rendered_in_order() {
    let workload = Workload::named("narrow").unwrap();
    let rendered = RenderedRows::render(&workload, 130_001);
    assert_eq!(rendered.len(), 130_001);
    for row in [0, 19_999, 20_000, 39_999, 40_000, 99_999, 130_000] {
        let mut expected = Vec::new();
        workload.render_row(row, &mut expected);
        assert_eq!(rendered.joined(row, 1), expected, "row {row}");
    }
}

/// The child is started with arguments made from options: none may be lost on the way.
#[test]
fn options_survive_as_arguments() {
    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        options: MockApiOptions,
    }

    for options in [
        MockApiOptions::new("orders", 5),
        MockApiOptions {
            workload: "some where/own.toml".to_owned(),
            rows: 7,
            page_rows: NonZero::new(9).unwrap(),
            max_page_rows: NonZero::new(8),
            port: 4_711,
            seed: Some(u64::MAX),
            latency_ms: 30,
            no_total_count: true,
            exit_with_stdin: true,
        },
    ] {
        let arguments = [OsString::from("mock-api")]
            .into_iter()
            .chain(options.to_arguments());
        let parsed = <Command as clap::Parser>::try_parse_from(arguments).unwrap();
        assert_eq!(parsed.options, options);
    }
}
