//! Which address a server's URL means, and the same URL with another address.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use url::Url;

use crate::postgres::without_password;

/// PostgreSQL's own; the `url` crate knows that of HTTP.
const POSTGRES_PORT: u16 = 5432;

/// Parameters with which a PostgreSQL URL may name a server other than before its path.
const HOST_PARAMETERS: [&str; 3] = ["host", "hostaddr", "port"];

const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// The address of the server behind a `postgres://` or `http://` URL, port 5432 or 80 if it names
/// none. Of a name's addresses the first one that accepts a connection: `localhost` is often both
/// 127.0.0.1 and ::1, and a server need not listen on both.
///
/// It blocks while a name is looked up.
///
/// # Errors
/// When the URL has no single TCP host before its path (a Unix socket cannot be relayed), is of
/// another kind, or its name has no address that accepts a connection.
pub fn server_address(url: &str) -> Result<SocketAddr> {
    let server = server_url(url)?;
    let addresses = server
        .socket_addrs(|| Some(POSTGRES_PORT))
        .with_context(|| format!("cannot find the host of {}", without_password(url)))?;
    if let [address] = addresses[..] {
        return Ok(address);
    }
    addresses
        .iter()
        .copied()
        .find(|address| TcpStream::connect_timeout(address, PROBE_TIMEOUT).is_ok())
        .with_context(|| {
            let shown = without_password(url);
            format!("no address of the host of {shown} accepts a connection: {addresses:?}")
        })
}

/// `url` with the host and port of `address`.
pub(super) fn with_address(url: &str, address: SocketAddr) -> Result<String> {
    let mut server = server_url(url)?;
    server
        .set_ip_host(address.ip())
        .and_then(|()| server.set_port(Some(address.port())))
        .map_err(|()| anyhow!("{} has no place for a host", without_password(url)))?;
    Ok(server.into())
}

/// Parses `url` and refuses what a relay cannot replace.
fn server_url(url: &str) -> Result<Url> {
    // The cause names no part of the URL, and so no password.
    let server = Url::parse(url).context("the server's URL cannot be parsed")?;
    let shown = without_password(url);
    let postgres = match server.scheme() {
        "postgres" | "postgresql" => true,
        "http" => false,
        other => bail!("a relay can replace postgres:// and http:// URLs, not {other}://"),
    };
    let parameters = server.query_pairs().map(|(name, _)| name);
    if postgres && let Some(name) = { parameters }.find(|name| is_host_parameter(name)) {
        bail!(
            "{shown} names its server with the parameter {name}; put host and port before its path"
        );
    }
    let host = server.host_str().unwrap_or_default();
    if host.is_empty() || host.to_ascii_lowercase().starts_with("%2f") {
        bail!("{shown} names no TCP host, which means a Unix socket; a relay needs a host");
    }
    if host.contains(',') {
        bail!("{shown} names several hosts; a relay replaces one");
    }
    Ok(server)
}

fn is_host_parameter(name: &str) -> bool {
    HOST_PARAMETERS.contains(&name)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};

    use super::*;

    const RELAY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 4321);

    fn message(url: &str) -> String {
        let error = with_address(url, RELAY).unwrap_err();
        assert_eq!(
            error.to_string(),
            server_address(url).unwrap_err().to_string()
        );
        format!("{error:#}")
    }

    #[test]
    fn all_but_host_and_port_stays() {
        for (url, expected) in [
            (
                "postgres://u:p%40%2Fs%3A@db.example.org:5433/my%20db?sslmode=disable&options=-c%20a%3Db",
                "postgres://u:p%40%2Fs%3A@127.0.0.1:4321/my%20db?sslmode=disable&options=-c%20a%3Db",
            ),
            ("postgresql://[::1]/d", "postgresql://127.0.0.1:4321/d"),
            ("postgres://u@localhost", "postgres://u@127.0.0.1:4321"),
            (
                "http://127.0.0.1:9/orders?a=%20#b",
                "http://127.0.0.1:4321/orders?a=%20#b",
            ),
            ("http://api/orders", "http://127.0.0.1:4321/orders"),
        ] {
            assert_eq!(with_address(url, RELAY).unwrap(), expected);
        }
    }

    #[test]
    fn a_client_reads_the_same_account_from_the_new_url() {
        let url = "postgres://u%40x:p%3A%25%2F@h:1/d%2F1?application_name=a%26b";
        let before: tokio_postgres::Config = url.parse().unwrap();
        let after: tokio_postgres::Config = with_address(url, RELAY).unwrap().parse().unwrap();
        assert_eq!(before.get_user(), after.get_user());
        assert_eq!(before.get_password(), after.get_password());
        assert_eq!(before.get_dbname(), after.get_dbname());
        assert_eq!(before.get_application_name(), after.get_application_name());
        assert_eq!(after.get_ports(), [4321]);
        let host = tokio_postgres::config::Host::Tcp("127.0.0.1".to_owned());
        assert_eq!(after.get_hosts(), [host]);
    }

    #[test]
    fn addresses_have_the_default_port_of_their_kind() {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        for (url, expected) in [
            ("postgres://u:p@127.0.0.1/d", local(5432)),
            ("postgres://127.0.0.1:6543", local(6543)),
            ("http://127.0.0.1/orders", local(80)),
            ("http://127.0.0.1:8080/orders", local(8080)),
            (
                "postgres://[::1]:1/d",
                SocketAddr::from((Ipv6Addr::LOCALHOST, 1)),
            ),
        ] {
            assert_eq!(server_address(url).unwrap(), expected, "{url}");
        }
    }

    #[test]
    fn a_name_leads_to_the_address_that_listens() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("postgres://localhost:{}/d", address.port());
        assert_eq!(server_address(&url).unwrap(), address);
    }

    #[test]
    fn what_cannot_be_relayed_is_refused_without_the_password() {
        for url in ["postgres:///d", "postgres://u:secret@%2Frun%2Fpostgresql/d"] {
            assert!(message(url).contains("Unix socket"), "{}", message(url));
        }
        for (url, expected) in [
            ("postgres:///d?host=/run&password=secret", "parameter host"),
            ("postgres://u:secret@a/d?hostaddr=10.0.0.1", "hostaddr"),
            ("postgres://u:secret@a,b/d", "several hosts"),
            ("https://u:secret@a/", "not https://"),
            ("host=a password=secret", "cannot be parsed"),
        ] {
            let message = message(url);
            assert!(message.contains(expected), "{message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
