//! The HTTP client of a source: its time limits, where it may be led, and whom it trusts.

use std::sync::{Arc, OnceLock};

use reqwest::{Client, redirect};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{self, CryptoProvider};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;
use url::Url;

use super::spec::SourceSpec;
use crate::config::SourceConfig;
use crate::error::{Error, ErrorKind, Result, Stage};

/// Redirects that one request may follow.
const REDIRECT_LIMIT: usize = 10;

/// A client for the requests of one source.
pub(super) fn client(
    config: &SourceConfig,
    origins: &Origins,
    tls: &ClientConfig,
) -> Result<Client> {
    let origins = origins.clone();
    let follow = redirect::Policy::custom(move |attempt| {
        if attempt.previous().len() > REDIRECT_LIMIT {
            attempt.error("too many redirects")
        } else if origins.allow(attempt.url()) {
            attempt.follow()
        } else {
            attempt.error("a redirect leads to another host; if that is meant, list it in pagination.allowed_hosts")
        }
    });
    let mut builder = Client::builder()
        .user_agent(concat!("apitap/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(config.connect_timeout)
        .read_timeout(config.read_timeout)
        .pool_max_idle_per_host(config.pool_idle_per_host)
        .tls_backend_preconfigured(tls.clone())
        // It would show the query, and a key in it, to the host that a redirect leads to.
        .referer(false)
        .redirect(follow);
    if let Some(limit) = config.total_timeout {
        builder = builder.timeout(limit);
    }
    builder.build().map_err(|cause| fault().caused_by(cause))
}

fn fault() -> Error {
    Error::new(
        ErrorKind::Internal,
        Stage::Source,
        "the HTTP client cannot be built",
    )
}

/// How a source's servers prove who they are.
pub(super) fn tls() -> Result<ClientConfig> {
    let provider = Arc::new(crypto::ring::default_provider());
    let verifier = SystemRoots {
        provider: provider.clone(),
        verifier: OnceLock::new(),
    };
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|cause| fault().caused_by(cause))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

/// The system's own check of certificates. Its roots are loaded when the first certificate is to be
/// checked: a source over plain HTTP needs none, and a container may have none.
#[derive(Debug)]
struct SystemRoots {
    provider: Arc<CryptoProvider>,
    verifier: OnceLock<Result<Verifier, rustls::Error>>,
}

impl SystemRoots {
    fn verifier(&self) -> Result<&Verifier, rustls::Error> {
        let verifier = self
            .verifier
            .get_or_init(|| Verifier::new(self.provider.clone()));
        verifier.as_ref().map_err(Clone::clone)
    }
}

impl ServerCertVerifier for SystemRoots {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verifier()?.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// The hosts that may see a source's credentials.
#[derive(Clone)]
pub(super) struct Origins {
    own: Url,
    allowed: Vec<String>,
}

impl Origins {
    pub(super) fn new(spec: &SourceSpec) -> Self {
        Self {
            own: spec.url.clone(),
            allowed: spec.allowed_hosts.clone(),
        }
    }

    /// The same scheme, host and port; the same host when plain HTTP moves to HTTPS; or a
    /// listed `host` or `host:port`. Never from HTTPS to HTTP.
    pub(super) fn allow(&self, url: &Url) -> bool {
        let upgrade = self.own.scheme() == "http" && url.scheme() == "https";
        if url.origin() == self.own.origin() {
            return true;
        }
        if url.scheme() != self.own.scheme() && !upgrade {
            return false;
        }
        let Some(host) = url.host_str() else {
            return false;
        };
        let defaults = self.own.port().is_none() && url.port().is_none();
        let with_port = url.port().map(|port| format!("{host}:{port}"));
        (upgrade && defaults && self.own.host_str() == Some(host))
            || self
                .allowed
                .iter()
                .any(|allowed| allowed == host || Some(allowed) == with_port.as_ref())
    }
}
