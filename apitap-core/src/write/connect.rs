//! Connections to PostgreSQL, and its errors in our terms.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::Instrument as _;

use super::dial::{Socket, dial};
use super::round_trips::{Counted, CountedTls};
use super::target::{SslMode, TargetSpec};
use crate::concurrency_time::Activity;
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::metrics::Metrics;
use crate::stage;

/// Opens a connection; the task that drives it ends when the client is dropped.
///
/// # Errors
/// A server that cannot be reached, refuses the user, or has no TLS although it is required.
pub(crate) async fn connect(target: &TargetSpec, metrics: Arc<Metrics>) -> Result<Client> {
    let _wait = metrics.wait(Activity::ServerWait);
    let mut config = tokio_postgres::Config::new();
    config
        .dbname(&target.database)
        .user(&target.username)
        .password(target.password.expose())
        .application_name("apitap");
    let socket = dial(&target.host, target.port).await;
    let socket = socket.map_err(|error| unreachable(target, error))?;
    let socket = Counted::new(socket, metrics.clone());
    let client = match target.sslmode {
        SslMode::Disable => {
            config.ssl_mode(tokio_postgres::config::SslMode::Disable);
            open(&config, socket, NoTls, metrics.clone()).await
        }
        SslMode::Prefer => {
            config.ssl_mode(tokio_postgres::config::SslMode::Prefer);
            open(&config, socket, tls(target)?, metrics.clone()).await
        }
        SslMode::Require | SslMode::VerifyFull => {
            config.ssl_mode(tokio_postgres::config::SslMode::Require);
            open(&config, socket, tls(target)?, metrics.clone()).await
        }
    };
    client.map_err(|error| refused(target, error))
}

async fn open<T>(
    config: &tokio_postgres::Config,
    socket: Counted<Socket>,
    tls: T,
    metrics: Arc<Metrics>,
) -> std::result::Result<Client, tokio_postgres::Error>
where
    T: TlsConnect<Socket>,
    T::Stream: Send + 'static,
    T::Future: Send + 'static,
{
    let (client, connection) = config.connect_raw(socket, CountedTls(tls)).await?;
    let drive = async move {
        let connection = stage::polled(Activity::Send, &metrics, connection);
        // The client's own calls report the same fault.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to PostgreSQL ended");
        }
    };
    tokio::spawn(drive.in_current_span());
    Ok(client)
}

type Tls = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;

fn tls(target: &TargetSpec) -> Result<Tls> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let fault = |error: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(
            ErrorKind::Config,
            Stage::Write,
            format!("target {}: TLS", target.name),
        )
        .caused_by(error)
    };
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| fault(error.into()))?;
    let config = if target.sslmode == SslMode::VerifyFull || target.sslrootcert.is_some() {
        builder.with_root_certificates(roots(target)?)
    } else {
        // Like libpq: `prefer` and `require` encrypt, and do not check the certificate.
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
    };
    let mut made = MakeRustlsConnect::new(config.with_no_client_auth());
    MakeTlsConnect::<Socket>::make_tls_connect(&mut made, &target.host)
        .map_err(|error| fault(error.into()))
}

fn roots(target: &TargetSpec) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match &target.sslrootcert {
        Some(path) => {
            let fault = |error: Box<dyn std::error::Error + Send + Sync>| {
                Error::new(
                    ErrorKind::Config,
                    Stage::Write,
                    format!("target {}: sslrootcert {}", target.name, path.display()),
                )
                .caused_by(error)
            };
            let certificates = CertificateDer::pem_file_iter(path).map_err(|e| fault(e.into()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| fault(error.into()))?;
                roots
                    .add(certificate)
                    .map_err(|error| fault(error.into()))?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
    }
    Ok(roots)
}

/// Accepts every server, as `sslmode=require` does.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn cannot_connect(target: &TargetSpec) -> Error {
    let place = format!(
        "target {}: cannot connect to {}:{}/{} as {}",
        target.name, target.host, target.port, target.database, target.username
    );
    Error::new(ErrorKind::Connect, Stage::Write, place)
}

/// What to check when nothing answers, or something that is not PostgreSQL.
const NO_SERVER: &str = "check that the server runs and that host, port and sslmode are right";

fn unreachable(target: &TargetSpec, error: std::io::Error) -> Error {
    cannot_connect(target).hint(NO_SERVER).caused_by(error)
}

fn refused(target: &TargetSpec, error: tokio_postgres::Error) -> Error {
    let hint = match error.code().map(tokio_postgres::error::SqlState::code) {
        Some("28P01" | "28000") => "check the target's auth, and pg_hba.conf on the server",
        Some("3D000") => "create the database, or correct the target's `database`",
        Some(_) => "see the server's log",
        None => NO_SERVER,
    };
    let connect = cannot_connect(target).hint(hint);
    match error.as_db_error().map(ToString::to_string) {
        Some(message) => connect.caused_by(message),
        None => connect.caused_by(error),
    }
}

/// An error of the server (or of the connection to it) while `doing` something.
///
/// Messages about data quote the data, so only their kind, column and line are kept.
pub(crate) fn database(doing: &str, error: tokio_postgres::Error) -> Error {
    let Some(server) = error.as_db_error() else {
        return Error::new(ErrorKind::Database, Stage::Write, doing)
            .caused_by(error)
            .hint("see the server's log");
    };
    let code = server.code().code();
    let about_data = code.starts_with("22");
    let mut detail = doing.to_owned();
    if let Some(place) = server.where_().and_then(copy_place) {
        detail.push_str(&format!(", {place}"));
    } else if let Some(column) = server.column() {
        detail.push_str(&format!(", column {column}"));
    }
    detail.push_str(": ");
    if about_data {
        detail.push_str("PostgreSQL refused a value");
        if let Some(reason) = data_exception(code) {
            detail.push_str(&format!(": {reason}"));
        }
    } else {
        detail.push_str(server.message());
    }
    detail.push_str(&format!(" (SQLSTATE {code})"));
    let kind = if about_data {
        ErrorKind::Value
    } else {
        ErrorKind::Database
    };
    let hint = match code {
        "23505" => "use mode merge with the primary key, or remove duplicates in the SQL",
        "23502" => "filter or COALESCE the column in the module's SQL",
        "42501" => "grant the target's user the right to do so",
        "53100" | "53200" => "free disk or memory on the server",
        _ if about_data => {
            "CAST or clean the column in the module's SQL, or change its type in the table"
        }
        _ => return Error::new(kind, Stage::Write, detail),
    };
    Error::new(kind, Stage::Write, detail).hint(hint)
}

/// "row N of the result, column c" from the context of a COPY error, `COPY t, line N, column c:
/// "value"`. The value follows the column.
fn copy_place(context: &str) -> Option<String> {
    let line = context.strip_prefix("COPY ")?.split(", line ").nth(1)?;
    let digits: String = line.chars().take_while(char::is_ascii_digit).collect();
    let column = line
        .split_once(", column ")
        .map(|(_, rest)| rest.split(':').next().unwrap_or_default());
    Some(match column {
        Some(column) => format!("row {digits} of the result, column {column}"),
        None => format!("row {digits} of the result"),
    })
}

/// Conditions of SQLSTATE class 22: PostgreSQL's documentation, appendix A.
fn data_exception(code: &str) -> Option<&'static str> {
    Some(match code {
        "22001" => "text longer than its column allows",
        "22003" => "number out of range",
        "22007" => "invalid date or time",
        "22008" => "date or time out of range",
        "22021" | "22P05" => "a character that the database's encoding does not have",
        "22023" => "invalid parameter",
        "22030" | "22032" => "invalid JSON",
        "22P02" => "text that its column's type cannot read",
        "22P03" => "bytes that its column's type cannot read",
        "22P04" => "malformed COPY data",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_kept_and_values_are_not() {
        assert_eq!(
            copy_place("COPY t, line 12, column price: \"secret\"").as_deref(),
            Some("row 12 of the result, column price")
        );
        assert_eq!(
            copy_place("COPY t, line 3: \"secret\"").as_deref(),
            Some("row 3 of the result")
        );
        assert_eq!(copy_place("SQL statement"), None);
    }
}
