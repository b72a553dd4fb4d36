//! A headless Chromium, driven by WebDriver (<https://www.w3.org/TR/webdriver2/>).

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

const MISSING: &str = "the report is tested in a real browser: install Chromium and its driver with \
                       scripts/setup --chromium";

/// Longer than any command takes on a busy machine with two cores.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Most pixels of a screenshot's height: what is higher comes in pieces.
const PIECE_HEIGHT: u64 = 2_400;

pub(super) struct Browser {
    client: reqwest::Client,
    port: u16,
    session: String,
    _driver: Child,
}

impl Browser {
    pub(super) async fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect(MISSING);
        let port = tokio::time::timeout(TIMEOUT, port(&mut driver))
            .await
            .unwrap();
        // Reqwest wants one, though all that it is asked here is plain HTTP.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(TIMEOUT)
            .build()
            .unwrap();
        let mut browser = Self {
            client,
            port,
            session: String::new(),
            _driver: driver,
        };
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": [
                "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"
            ]},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let session = browser.post("/session", capabilities).await;
        let session = session.unwrap_or_else(|error| panic!("{MISSING}: {error}"));
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        browser
    }

    /// What is answered, or the message of the error.
    async fn post(&self, path: &str, body: Value) -> Result<Value, String> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let request = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .body(body.to_string());
        let answer = request.send().await.unwrap().bytes().await.unwrap();
        let mut answer: Value = serde_json::from_slice(&answer).unwrap();
        let value = answer["value"].take();
        match value["error"].as_str() {
            Some(error) => Err(format!("{error}: {}", value["message"])),
            None => Ok(value),
        }
    }

    async fn command(&self, name: &str, body: Value) -> Value {
        let path = format!("/session/{}/{name}", self.session);
        self.post(&path, body).await.unwrap()
    }

    pub(super) async fn open(&self, url: &str) {
        self.command("url", json!({"url": url})).await;
    }

    /// What the body of a function returns.
    pub(super) async fn run(&self, script: &str) -> Value {
        self.command("execute/sync", json!({"script": script, "args": []}))
            .await
    }

    /// Warnings and errors that the console shows since it was last asked.
    pub(super) async fn complaints(&self) -> Vec<Value> {
        let log = self.command("se/log", json!({"type": "browser"})).await;
        let entries = log.as_array().unwrap().iter();
        let is_complaint =
            |entry: &&Value| entry["level"] == "SEVERE" || entry["level"] == "WARNING";
        entries.filter(is_complaint).cloned().collect()
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        self.command("goog/cdp/execute", body).await
    }

    pub(super) async fn prefer(&self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    pub(super) async fn resize(&self, width: u32, height: u32, is_phone: bool) {
        let metrics = json!({
            "width": width,
            "height": height,
            "deviceScaleFactor": if is_phone { 2 } else { 1 },
            "mobile": is_phone,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)
            .await;
    }

    /// Pictures of the whole page from top to bottom, as PNG.
    pub(super) async fn screenshots(&self) -> Vec<Vec<u8>> {
        let size = self
            .run("return [document.documentElement.clientWidth, document.documentElement.scrollHeight]")
            .await;
        let (width, height) = (size[0].as_u64().unwrap(), size[1].as_u64().unwrap());
        let mut pieces = Vec::new();
        for top in (0..height).step_by(PIECE_HEIGHT as usize) {
            let clip = json!({
                "x": 0, "y": top, "width": width, "height": PIECE_HEIGHT.min(height - top), "scale": 1,
            });
            let parameters = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
            let shot = self.devtools("Page.captureScreenshot", parameters).await;
            pieces.push(from_base64(shot["data"].as_str().unwrap()));
        }
        pieces
    }
}

impl Drop for Browser {
    /// Chromium outlives its driver unless its session is ended, after a failed assertion too.
    fn drop(&mut self) {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return;
        };
        let request = format!(
            "DELETE /session/{} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            self.session
        );
        let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.read(&mut [0; 256]);
    }
}

/// The port that the driver found free, as it says on standard output.
async fn port(driver: &mut Child) -> u16 {
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let said = line.split_once("successfully on port ");
        if let Some((_, port)) = said {
            return port.trim_end_matches('.').parse().unwrap();
        }
    }
    panic!("chromedriver names no port");
}

fn from_base64(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::new();
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = four
            .iter()
            .fold(0_u32, |bits, byte| bits << 6 | u32::from(value(*byte)));
        let bits = bits << (6 * (4 - four.len()));
        bytes.extend(&bits.to_be_bytes()[1..four.len()]);
    }
    bytes
}
