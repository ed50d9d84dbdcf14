//! Who this process is on its connections, renewed while they run.

use std::{fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use rustls::{
    ClientConfig, ServerConfig, SignatureScheme,
    client::ResolvesClientCert,
    crypto::ring::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{
    CERTIFICATE_LIFETIME, Ca, Credentials, Fingerprint, TrustError,
    verify::{Clients, Pinned, Servers, provider},
};
use crate::{Env, Task, TaskKind, net::grpc::SERVER_NAME};

const RENEW: TaskKind = TaskKind::vital("certificate renewal");
/// How often the wall clock is looked at: it may be set, and a sleep does not notice.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// A certificate in use. New connections take the newest; those that are open keep what they were made with.
pub struct Identity {
    current: Arc<Current>,
    clients: Arc<Clients>,
    servers: Arc<Servers>,
}

impl Identity {
    /// A member's, from its own authority: it holds the secret and asks nobody.
    ///
    /// # Errors
    /// The name is not plain ASCII.
    pub fn issue(ca: &Ca, name: &str, now_ms: i64) -> Result<Identity, TrustError> {
        Identity::issue_for_hosts(ca, name, &[], now_ms)
    }

    /// As [`Identity::issue`], good also for clients that check the host they dialed.
    ///
    /// # Errors
    /// A name or host is not plain ASCII.
    pub fn issue_for_hosts(ca: &Ca, name: &str, hosts: &[String], now_ms: i64) -> Result<Identity, TrustError> {
        Identity::new(ca.issue(name, hosts, now_ms, CERTIFICATE_LIFETIME)?)
    }

    /// From credentials that were kept or granted.
    ///
    /// # Errors
    /// They do not fit together.
    pub fn new(credentials: Credentials) -> Result<Identity, TrustError> {
        let clients = Arc::new(Clients::of(&credentials.ca_der)?);
        let servers = Arc::new(Servers::of(&credentials.ca_der)?);
        let current = Arc::new(Current(ArcSwap::from_pointee(InUse::new(credentials)?)));
        Ok(Identity { current, clients, servers })
    }

    /// What is in use now.
    pub fn credentials(&self) -> Credentials {
        self.current.0.load().credentials.clone()
    }

    /// Uses other credentials from the next connection on.
    ///
    /// # Errors
    /// Certificate and key do not fit together.
    pub fn replace(&self, credentials: Credentials) -> Result<(), TrustError> {
        self.current.0.store(Arc::new(InUse::new(credentials)?));
        Ok(())
    }

    /// Renews at half life, from this process's own authority, for as long as it runs.
    pub fn keep_renewed(self: &Arc<Self>, env: &Env, ca: Arc<Ca>, hosts: Vec<String>) -> Task {
        let (identity, clock) = (self.clone(), env.clone());
        env.spawn(RENEW, async move {
            loop {
                clock.sleep(LOOK_EVERY).await;
                if let Err(error) = identity.renew_if_due(&ca, &hosts, clock.wall_ms()) {
                    tracing::error!(%error, "cannot renew the certificate");
                }
            }
        })
    }

    /// Renews when half of the certificate's life is over. True: it did.
    ///
    /// # Errors
    /// The certificate cannot be made.
    pub fn renew_if_due(&self, ca: &Ca, hosts: &[String], now_ms: i64) -> Result<bool, TrustError> {
        let old = self.credentials();
        if now_ms < old.renew_at_ms() {
            return Ok(false);
        }
        self.replace(ca.issue(old.name(), hosts, now_ms, CERTIFICATE_LIFETIME)?)?;
        tracing::info!(name = old.name(), "renewed the certificate");
        Ok(true)
    }

    /// For a port: shows this identity, verifies certificates of clients that have one.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        self.server(self.current.clone())
    }

    /// As [`Identity::server_config`], but shows who asks for another name than members and agents do a certificate of
    /// the user's (`--tls CERT,KEY`).
    ///
    /// # Errors
    /// The files do not parse or do not fit together.
    pub fn server_config_with(&self, certificate_pem: &[u8], key_pem: &[u8]) -> Result<Arc<ServerConfig>, TrustError> {
        let text = |error: rustls::pki_types::pem::Error| TrustError::Certificate(error.to_string());
        let chain = CertificateDer::pem_slice_iter(certificate_pem).collect::<Result<Vec<_>, _>>().map_err(text)?;
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(text)?;
        let public = Arc::new(CertifiedKey::from_der(chain, key, &provider())?);
        Ok(self.server(Arc::new(ByName { ours: self.current.clone(), public })))
    }

    fn server(&self, resolver: Arc<dyn ResolvesServerCert>) -> Arc<ServerConfig> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring supports TLS 1.2 and 1.3")
            .with_client_cert_verifier(self.clients.clone())
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// For dialing: trusts this identity's authority alone and shows its certificate.
    pub fn client_config(&self) -> Arc<ClientConfig> {
        let mut config = client_builder(self.servers.clone()).with_client_cert_resolver(self.current.clone());
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.current.0.load().credentials.name())
    }
}

/// For dialing without a certificate: trusts the authority with that fingerprint.
pub fn enrolling_config(fingerprint: Fingerprint) -> Arc<ClientConfig> {
    let mut config = client_builder(Arc::new(Pinned::new(fingerprint))).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// For passing on what others say: trusts the authority with that fingerprint, shows no certificate, and leaves the protocol
/// to them.
pub fn passing_config(fingerprint: Fingerprint) -> Arc<ClientConfig> {
    Arc::new(client_builder(Arc::new(Pinned::new(fingerprint))).with_no_client_auth())
}

fn client_builder(
    verifier: Arc<dyn rustls::client::danger::ServerCertVerifier>,
) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
}

/// Credentials with their key ready to sign.
struct InUse {
    credentials: Credentials,
    key: Arc<CertifiedKey>,
}

impl InUse {
    fn new(credentials: Credentials) -> Result<Self, TrustError> {
        // The authority goes along: an agent that joins knows only its fingerprint.
        let chain = vec![credentials.certificate_der.clone().into(), credentials.ca_der.clone().into()];
        let key = CertifiedKey::new(chain, any_supported_type(&credentials.private_key())?);
        key.keys_match()?;
        Ok(InUse { credentials, key: Arc::new(key) })
    }
}

struct Current(ArcSwap<InUse>);

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load().key.clone())
    }
}

impl ResolvesClientCert for Current {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load().key.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Ours for who dials [`SERVER_NAME`], the user's for everybody else.
#[derive(Debug)]
struct ByName {
    ours: Arc<Current>,
    public: Arc<CertifiedKey>,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if hello.server_name() == Some(SERVER_NAME) {
            return ResolvesServerCert::resolve(self.ours.as_ref(), hello);
        }
        Some(self.public.clone())
    }
}
