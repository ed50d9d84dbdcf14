//! Verifying the other side, with an error that says which secrets met.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::{Fingerprint, TrustError, credentials::public_key};

/// How the CA is called in certificates; its fingerprint follows.
pub(super) const ISSUER_PREFIX: &str = "seawall CA ";
/// Digits of a fingerprint.
const FINGERPRINT_DIGITS: usize = 32;

/// The other side's certificate is of another secret.
#[derive(Debug, thiserror::Error)]
#[error("its certificate is of the secret with fingerprint {theirs}, ours has {ours}")]
pub(crate) struct OtherSecret {
    ours: Fingerprint,
    theirs: String,
}

impl OtherSecret {
    /// What rustls was told by one of the verifiers below.
    pub(crate) fn within(error: &Error) -> Option<&OtherSecret> {
        match error {
            Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => inner.downcast_ref(),
            _ => None,
        }
    }
}

/// rustls's choice of algorithms. Named everywhere: no process-wide default is relied on.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Trusts servers of one CA.
#[derive(Debug)]
pub(super) struct Servers {
    inner: Arc<WebPkiServerVerifier>,
    ours: Fingerprint,
}

impl Servers {
    pub(super) fn of(ca_der: &[u8]) -> Result<Self, TrustError> {
        let inner = WebPkiServerVerifier::builder_with_provider(roots(ca_der)?, provider())
            .build()
            .map_err(|error| TrustError::Certificate(error.to_string()))?;
        Ok(Servers { inner, ours: fingerprint_of(ca_der)? })
    }
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.inner
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            .map_err(|error| explain(error, self.ours, end_entity))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Trusts servers of the CA with one fingerprint, whose certificate they bring themselves: an agent that joins knows no
/// more of the cluster than its token.
#[derive(Debug)]
pub(super) struct Pinned {
    ours: Fingerprint,
}

impl Pinned {
    pub(super) fn new(ours: Fingerprint) -> Self {
        Pinned { ours }
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let pinned = intermediates.iter().find(|ca| fingerprint_of(ca).is_ok_and(|found| found == self.ours));
        let Some(ca) = pinned else {
            return Err(explain(CertificateError::UnknownIssuer.into(), self.ours, end_entity));
        };
        let servers = Servers::of(ca).map_err(|error| Error::General(error.to_string()))?;
        servers.verify_server_cert(end_entity, &[], server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Trusts clients of one CA; a client without a certificate is let in, to prove itself otherwise or to ask for one.
#[derive(Debug)]
pub(super) struct Clients {
    inner: Arc<dyn ClientCertVerifier>,
    ours: Fingerprint,
}

impl Clients {
    pub(super) fn of(ca_der: &[u8]) -> Result<Self, TrustError> {
        let inner = WebPkiClientVerifier::builder_with_provider(roots(ca_der)?, provider())
            .allow_unauthenticated()
            .build()
            .map_err(|error| TrustError::Certificate(error.to_string()))?;
        Ok(Clients { inner, ours: fingerprint_of(ca_der)? })
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    /// None: a client whose certificate is of another secret shall send it and be told so, not come without one.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.inner
            .verify_client_cert(end_entity, intermediates, now)
            .map_err(|error| explain(error, self.ours, end_entity))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

fn roots(ca_der: &[u8]) -> Result<Arc<RootCertStore>, TrustError> {
    let mut roots = RootCertStore::empty();
    roots.add(ca_der.to_vec().into())?;
    Ok(Arc::new(roots))
}

/// Of a CA's certificate.
fn fingerprint_of(ca_der: &[u8]) -> Result<Fingerprint, TrustError> {
    let key = public_key(ca_der).ok_or_else(|| TrustError::Certificate("the authority's does not parse".into()))?;
    Ok(Fingerprint::of_public_key(&key))
}

/// Another issuer means another secret; anything else stays as it is.
fn explain(error: Error, ours: Fingerprint, presented: &[u8]) -> Error {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            let theirs = issuer_in(presented).unwrap_or_else(|| "another authority".into());
            CertificateError::Other(OtherError(Arc::new(OtherSecret { ours, theirs }))).into()
        }
        other => other,
    }
}

/// The fingerprint that a certificate's issuer is called by. For people only: who presents it may have made it up.
fn issuer_in(certificate: &[u8]) -> Option<String> {
    let prefix = ISSUER_PREFIX.as_bytes();
    let at = certificate.windows(prefix.len()).position(|window| window == prefix)? + prefix.len();
    let digits = certificate.get(at..at + FINGERPRINT_DIGITS)?;
    let text = std::str::from_utf8(digits).ok()?;
    text.parse::<Fingerprint>().ok().map(|found| found.to_string())
}
