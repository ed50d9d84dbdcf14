//! The certificate authority: derived, never stored.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ED25519,
    PublicKeyData, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;

use super::{Credentials, Fingerprint, Secret, TrustError, credentials::NAME_SCHEME, verify::ISSUER_PREFIX};
use crate::net::grpc::SERVER_NAME;

/// How long a certificate is valid; it is renewed at half of it.
pub const CERTIFICATE_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);

/// A certificate is valid from this long before it was made: machines whose clocks are apart still talk.
const BACKDATED: time::Duration = time::Duration::hours(24);
/// RFC 8410: a PKCS#8 Ed25519 private key is this, then its 32 bytes.
const ED25519_PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// Only names with this prefix may answer as a server: an agent's certificate is of no use for posing as a member.
const SERVER_PREFIX: &str = "member:";

/// The authority of one secret: the same secret gives the same key and the same certificate, byte by byte.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    fingerprint: Fingerprint,
}

impl Ca {
    /// The authority of a secret.
    ///
    /// # Errors
    /// The certificate cannot be made.
    pub fn of(secret: &Secret) -> Result<Ca, TrustError> {
        let key = PrivatePkcs8KeyDer::from([ED25519_PKCS8_PREFIX.as_slice(), &secret.ca_seed()].concat());
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ED25519)?;
        let fingerprint = Fingerprint::of_public_key(&key.subject_public_key_info());
        let params = ca_params(fingerprint);
        let certificate = params.self_signed(&key)?.der().clone();
        Ok(Ca { issuer: Issuer::new(params, key), certificate, fingerprint })
    }

    /// Of its key, and of the secret.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Its own certificate.
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate
    }

    /// A new key with a certificate for `name` ("member:s1", "agent:mi-…"). `hosts` are names and addresses under which
    /// clients that check them reach a member.
    ///
    /// # Errors
    /// A name that is not plain ASCII.
    pub fn issue(
        &self,
        name: &str,
        hosts: &[String],
        now_ms: i64,
        lifetime: Duration,
    ) -> Result<Credentials, TrustError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = leaf_params(name, hosts, now_ms, lifetime)?.signed_by(&key, &self.issuer)?;
        Credentials::new(certificate.der().to_vec(), key.serialize_der(), self.certificate.to_vec())
    }

    /// A certificate for `name` over the key of a signing request. Nothing else of the request is used: who asks does not
    /// choose its name.
    ///
    /// # Errors
    /// Not a request signed by its own key, or a name that is not plain ASCII.
    pub fn sign(&self, name: &str, csr_der: &[u8], now_ms: i64, lifetime: Duration) -> Result<Vec<u8>, TrustError> {
        let request = CertificateSigningRequestParams::from_der(&csr_der.into())?;
        let certificate = leaf_params(name, &[], now_ms, lifetime)?.signed_by(&request.public_key, &self.issuer)?;
        Ok(certificate.der().to_vec())
    }
}

/// Everything fixed: a date or serial of the moment would make another certificate at each start.
fn ca_params(fingerprint: Fingerprint) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(&format!("{ISSUER_PREFIX}{fingerprint}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.serial_number = Some(SerialNumber::from(1));
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2120, 1, 1);
    params
}

fn leaf_params(name: &str, hosts: &[String], now_ms: i64, lifetime: Duration) -> Result<CertificateParams, TrustError> {
    let now = OffsetDateTime::from_unix_timestamp(now_ms.div_euclid(1000))
        .map_err(|error| TrustError::Certificate(error.to_string()))?;
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    params.not_before = now - BACKDATED;
    params.not_after = now + lifetime;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = vec![SanType::URI(format!("{NAME_SCHEME}{name}").try_into()?)];
    if name.starts_with(SERVER_PREFIX) {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        params.subject_alt_names.push(SanType::DnsName(SERVER_NAME.try_into()?));
        for host in hosts {
            params.subject_alt_names.push(match host.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(host.as_str().try_into()?),
            });
        }
    }
    Ok(params)
}

fn common_name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}
