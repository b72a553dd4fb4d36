//! The APIs of a load with a fault, and what their requests say about it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::TcpSocket;

use super::api::{FaultApi, Gate, Request};
use super::fault::{ApiFault, Body, Inject, ProcessFault, ServerFault};
use super::project::Secrets;
use super::rows::FAULTY_PAGE;

/// Requests may be on their way so long after an answer that asks to wait.
const GRACE: Duration = Duration::from_millis(500);

/// The API that has the fault, and what belongs to it.
pub(super) struct Apis {
    pub(super) api: FaultApi,
    /// The other host that it redirects to.
    pub(super) elsewhere: Option<FaultApi>,
    pub(super) gate: Option<Gate>,
}

impl Apis {
    pub(super) async fn start(inject: Inject) -> Result<Self> {
        let fault = match inject {
            Inject::Api(fault) => Some(fault),
            Inject::Server(ServerFault::Constraint) => Some(ApiFault::Body(Body::Refused)),
            Inject::Process(ProcessFault::Memory) => Some(ApiFault::Body(Body::Blanks)),
            Inject::Server(_) | Inject::Process(_) => None,
        };
        let elsewhere = match fault {
            Some(ApiFault::RedirectElsewhere | ApiFault::RedirectAllowed) => {
                Some(FaultApi::start(None, None, None).await?)
            }
            _ => None,
        };
        let gate = acts_at_the_gate(inject).then(Gate::new);
        let address = elsewhere.as_ref().map(FaultApi::address);
        Ok(Self {
            api: FaultApi::start(fault, address, gate.clone()).await?,
            elsewhere,
            gate,
        })
    }

    /// What the requests say is wrong with the load.
    pub(super) fn watched(&self, inject: Inject, secrets: &Secrets) -> Vec<String> {
        let Inject::Api(fault) = inject else {
            return Vec::new();
        };
        let requests = self.api.requests();
        let elsewhere = self.elsewhere.iter().flat_map(FaultApi::requests);
        let elsewhere: Vec<String> = elsewhere.map(|one| one.head).collect();
        let is_asked = requests.iter().any(|one| one.page == FAULTY_PAGE);
        match fault {
            // It is not a page that has the fault.
            ApiFault::Refused | ApiFault::EmptyFirstPage | ApiFault::ShrinkingCount => Vec::new(),
            _ if !is_asked => vec!["page 7, which has the fault, was never asked for".to_owned()],
            ApiFault::RedirectElsewhere => strayed(&elsewhere, secrets),
            ApiFault::RedirectAllowed => referred(&elsewhere),
            ApiFault::Status(refusal) => match refusal.retry_after {
                Some(seconds) => early(&requests, Duration::from_secs(seconds)),
                None => Vec::new(),
            },
            _ => Vec::new(),
        }
    }
}

/// What is wrong where another host was asked that must not be.
fn strayed(heads: &[String], secrets: &Secrets) -> Vec<String> {
    let names = heads.iter().flat_map(|head| secrets.within(head));
    let got = names.map(|name| format!("another host got {name}"));
    let asked = heads.first().map(|_| "another host was asked".to_owned());
    asked.into_iter().chain(got).collect()
}

fn referred(heads: &[String]) -> Vec<String> {
    let has_referer = |head: &&String| head.to_lowercase().contains("\nreferer:");
    let first = heads.iter().find(has_referer);
    let wrong = first.map(|_| "another host got a Referer".to_owned());
    wrong.into_iter().collect()
}

/// What is wrong where the API asked to wait at its first answer to the faulty page: that page may not
/// be asked for meanwhile, nor others but those that were on their way.
fn early(requests: &[Request], wait: Duration) -> Vec<String> {
    let mut faulty = requests.iter().filter(|one| one.page == FAULTY_PAGE);
    let Some(first) = faulty.next().map(|one| one.at) else {
        return Vec::new();
    };
    let is_early = |one: &&Request| {
        let is_on_its_way = one.page != FAULTY_PAGE && one.at < first + GRACE;
        one.at > first && one.at < first + wait && !is_on_its_way
    };
    match requests.iter().filter(is_early).count() {
        0 => Vec::new(),
        count => vec![format!("{count} requests came before Retry-After was over")],
    }
}

/// Whether something is done when page 7 is reached.
fn acts_at_the_gate(inject: Inject) -> bool {
    match inject {
        Inject::Api(_) => false,
        Inject::Server(fault) => matches!(
            fault,
            ServerFault::TerminateOne
                | ServerFault::TerminateAll
                | ServerFault::Crash
                | ServerFault::IdleTimeout
        ),
        Inject::Process(fault) => matches!(
            fault,
            ProcessFault::Interrupt
                | ProcessFault::Terminate
                | ProcessFault::Kill
                | ProcessFault::Cancel
        ),
    }
}

/// An address at which nothing listens. It is bound for as long as this lives: a port that is let go may be
/// given to the API of another cell.
pub(super) struct ClosedPort {
    address: SocketAddr,
    _bound: TcpSocket,
}

impl ClosedPort {
    pub(super) fn new() -> Result<Self> {
        let socket = TcpSocket::new_v4().context("no socket to be had")?;
        socket
            .bind((Ipv4Addr::LOCALHOST, 0).into())
            .context("no port of 127.0.0.1 to be had")?;
        let address = socket.local_addr().context("the port is unknown")?;
        Ok(Self {
            address,
            _bound: socket,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn requests_before_retry_after_are_counted() {
        let begin = Instant::now();
        let request = |page, ms| Request {
            at: begin + Duration::from_millis(ms),
            page,
            head: String::new(),
        };
        let wait = Duration::from_secs(1);
        let well = [
            request(6, 0),
            request(7, 1),
            request(8, 2),
            request(7, 1_002),
        ];
        assert!(early(&well, wait).is_empty());
        assert_eq!(early(&[request(7, 0), request(7, 999)], wait).len(), 1);
        assert_eq!(early(&[request(7, 0), request(9, 700)], wait).len(), 1);
    }

    #[tokio::test]
    async fn nothing_answers_at_a_closed_port_and_nothing_gets_it() {
        let closed = ClosedPort::new().unwrap();
        let refused = tokio::net::TcpStream::connect(closed.address()).await;
        assert_eq!(
            refused.unwrap_err().kind(),
            std::io::ErrorKind::ConnectionRefused
        );
        assert!(
            tokio::net::TcpListener::bind(closed.address())
                .await
                .is_err()
        );
    }

    #[test]
    fn a_referer_is_a_header_of_that_name() {
        assert!(referred(&["GET / HTTP/1.1\r\nhost: referer\r\n".to_owned()]).is_empty());
        assert_eq!(
            referred(&["GET / HTTP/1.1\r\nReferer: x\r\n".to_owned()]).len(),
            1
        );
    }
}
