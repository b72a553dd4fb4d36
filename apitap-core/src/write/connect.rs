//! Connections to PostgreSQL: sockets, TLS, and what refuses them.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::task::AbortHandle;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{CancelToken, Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::Instrument as _;

use super::dial::{Socket, dial};
use super::heard::Heard;
use super::round_trips::{Counted, CountedTls};
use super::target::{SslMode, TargetSpec};
use crate::concurrency_time::Activity;
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::metrics::Metrics;
use crate::stage;

/// An open connection.
pub(super) struct Connected {
    pub(super) client: Client,
    /// What the server says beside its answers.
    pub(super) heard: Arc<Heard>,
    /// The task that drives it. Without the client it ends when all answers have come.
    pub(super) driver: AbortHandle,
}

/// Why there is no connection.
enum Failure {
    /// Nothing accepts connections.
    Unreachable(io::Error),
    /// Something accepts, and does not greet.
    Silent,
    /// The server, or the protocol.
    Refused(tokio_postgres::Error),
    /// The configuration of TLS.
    Tls(Error),
}

/// Opens a connection; the task that drives it ends when the client is dropped.
///
/// # Errors
/// A server that cannot be reached, does not answer within the target's `connect_timeout`, refuses the user, or
/// has no TLS although it is required.
pub(super) async fn connect(target: &TargetSpec, metrics: Arc<Metrics>) -> Result<Connected> {
    let connected = attempt(target, metrics).await;
    connected.map_err(|failure| match failure {
        Failure::Unreachable(error) => cannot_connect(target).hint(NO_SERVER).caused_by(error),
        Failure::Silent => {
            let limit = target.connect_timeout;
            cannot_connect(target)
                .caused_by(format!("it accepted the connection, and has not answered within {limit:?}"))
                .hint("check that host and port are those of a PostgreSQL server that is well, or raise the target's connect_timeout")
        }
        Failure::Refused(error) => refused(target, error),
        Failure::Tls(error) => error,
    })
}

/// Whether PostgreSQL answers at the target's address, be it with a refusal.
pub(super) async fn answers(target: &TargetSpec, metrics: Arc<Metrics>) -> bool {
    match attempt(target, metrics).await {
        Ok(_) | Err(Failure::Tls(_)) => true,
        Err(Failure::Refused(error)) => error.as_db_error().is_some(),
        Err(Failure::Unreachable(_) | Failure::Silent) => false,
    }
}

async fn attempt(target: &TargetSpec, metrics: Arc<Metrics>) -> Result<Connected, Failure> {
    let _wait = metrics.wait(Activity::ServerWait);
    let limit = target.connect_timeout;
    let socket = dial(&target.host, target.port, limit).await;
    let socket = socket.map_err(Failure::Unreachable)?;
    let greeted = tokio::time::timeout(limit, greet(target, socket, metrics.clone())).await;
    greeted.unwrap_or(Err(Failure::Silent))
}

/// TLS and authentication.
async fn greet(
    target: &TargetSpec,
    socket: Socket,
    metrics: Arc<Metrics>,
) -> Result<Connected, Failure> {
    let mut config = tokio_postgres::Config::new();
    config
        .dbname(&target.database)
        .user(&target.username)
        .password(target.password.expose())
        .application_name("apitap");
    let heard: Arc<Heard> = Arc::default();
    let socket = Counted::new(socket, metrics.clone(), heard.clone());
    let driven = (metrics, heard);
    let client = match target.sslmode {
        SslMode::Disable => {
            config.ssl_mode(tokio_postgres::config::SslMode::Disable);
            open(&config, socket, NoTls, driven).await
        }
        SslMode::Prefer => {
            config.ssl_mode(tokio_postgres::config::SslMode::Prefer);
            open(&config, socket, tls(target).map_err(Failure::Tls)?, driven).await
        }
        SslMode::Require | SslMode::VerifyFull => {
            config.ssl_mode(tokio_postgres::config::SslMode::Require);
            open(&config, socket, tls(target).map_err(Failure::Tls)?, driven).await
        }
    };
    client.map_err(Failure::Refused)
}

async fn open<T>(
    config: &tokio_postgres::Config,
    socket: Counted<Socket>,
    tls: T,
    (metrics, heard): (Arc<Metrics>, Arc<Heard>),
) -> std::result::Result<Connected, tokio_postgres::Error>
where
    T: TlsConnect<Socket>,
    T::Stream: Send + 'static,
    T::Future: Send + 'static,
{
    let (client, connection) = config.connect_raw(socket, CountedTls(tls)).await?;
    let listening = heard.clone();
    let drive = async move {
        let connection = stage::polled(Activity::Send, &metrics, connection);
        // The client's own calls report the same fault.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to PostgreSQL ended");
        }
        listening.closed();
    };
    let driver = tokio::spawn(drive.in_current_span()).abort_handle();
    Ok(Connected {
        client,
        heard,
        driver,
    })
}

/// Asks the server, over a connection of its own, to stop what it does for another. It may have ended already.
pub(super) async fn cancel(target: &TargetSpec, token: CancelToken) {
    let asked = async {
        let socket = dial(&target.host, target.port, target.connect_timeout).await;
        let Ok(socket) = socket else {
            return;
        };
        let cancelled = match (target.sslmode, tls(target)) {
            (SslMode::Disable, _) => token.cancel_query_raw(socket, NoTls).await,
            (SslMode::Prefer | SslMode::Require | SslMode::VerifyFull, Ok(tls)) => {
                token.cancel_query_raw(socket, tls).await
            }
            (SslMode::Prefer | SslMode::Require | SslMode::VerifyFull, Err(_)) => return,
        };
        if let Err(error) = cancelled {
            tracing::debug!(%error, "cancelling a statement");
        }
    };
    // Without an answer the statement ends when the connection does.
    let _ = tokio::time::timeout(target.connect_timeout, asked).await;
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
