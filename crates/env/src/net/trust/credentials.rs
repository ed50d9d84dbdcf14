//! A certificate with its key and its authority, as they are kept in a file.

use pem::Pem;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::{extensions::GeneralName, prelude::X509Certificate};

use super::{Fingerprint, TrustError};

/// Before a name in a certificate.
pub(super) const NAME_SCHEME: &str = "seawall:";
const CERTIFICATE: &str = "CERTIFICATE";
const PRIVATE_KEY: &str = "PRIVATE KEY";

/// See the module.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The certificate.
    pub certificate_der: Vec<u8>,
    /// Its private key, PKCS#8.
    pub key_der: Vec<u8>,
    /// The authority's certificate.
    pub ca_der: Vec<u8>,
    name: String,
    valid_from_ms: i64,
    valid_until_ms: i64,
}

impl Credentials {
    /// Puts the parts together.
    ///
    /// # Errors
    /// The certificate does not parse or has no name.
    pub fn new(certificate_der: Vec<u8>, key_der: Vec<u8>, ca_der: Vec<u8>) -> Result<Self, TrustError> {
        let parsed = parse(&certificate_der).ok_or_else(|| bad("it does not parse"))?;
        let name = name_in(&parsed).ok_or_else(|| bad("it has no name of ours"))?;
        let validity = parsed.validity();
        let (from, until) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        let (valid_from_ms, valid_until_ms) = (from.saturating_mul(1000), until.saturating_mul(1000));
        Ok(Credentials { certificate_der, key_der, ca_der, name, valid_from_ms, valid_until_ms })
    }

    /// Whose they are ("agent:mi-…").
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Of the authority that signed them; none where its certificate does not parse.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        public_key(&self.ca_der).map(|key| Fingerprint::of_public_key(&key))
    }

    /// Until when they are valid, epoch milliseconds.
    pub fn valid_until_ms(&self) -> i64 {
        self.valid_until_ms
    }

    /// Half of their life: the time to renew.
    pub fn renew_at_ms(&self) -> i64 {
        self.valid_from_ms + (self.valid_until_ms - self.valid_from_ms) / 2
    }

    /// As text for a file (mode 0600): certificate, authority, key.
    pub fn to_pem(&self) -> String {
        let blocks = [(CERTIFICATE, &self.certificate_der), (CERTIFICATE, &self.ca_der), (PRIVATE_KEY, &self.key_der)];
        pem::encode_many(&blocks.map(|(label, der)| Pem::new(label, der.clone())))
    }

    /// The inverse of [`Credentials::to_pem`].
    ///
    /// # Errors
    /// Anything else.
    pub fn from_pem(text: &str) -> Result<Self, TrustError> {
        let (mut certificates, mut keys) = (Vec::new(), Vec::new());
        for block in pem::parse_many(text).map_err(|error| bad(&error.to_string()))? {
            match block.tag() {
                CERTIFICATE => certificates.push(block.into_contents()),
                PRIVATE_KEY => keys.push(block.into_contents()),
                other => return Err(bad(&format!("the file holds {other:?}"))),
            }
        }
        let (Ok([certificate, ca]), Ok([key])) = (<[_; 2]>::try_from(certificates), <[_; 1]>::try_from(keys)) else {
            return Err(bad("the file holds not one certificate, one authority and one key"));
        };
        Credentials::new(certificate, key, ca)
    }

    pub(super) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key_der.clone().into())
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.name)
    }
}

/// An agent's new key until the cluster has signed it. The key never leaves the machine.
pub struct Enrolment {
    key: KeyPair,
    csr_der: Vec<u8>,
}

impl Enrolment {
    /// A new key.
    ///
    /// # Errors
    /// The key cannot be made.
    pub fn new() -> Result<Self, TrustError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let csr_der = CertificateParams::default().serialize_request(&key)?.der().to_vec();
        Ok(Enrolment { key, csr_der })
    }

    /// What the cluster is asked to sign.
    pub fn csr_der(&self) -> &[u8] {
        &self.csr_der
    }

    /// With the cluster's answer.
    ///
    /// # Errors
    /// The certificate does not parse, or is of another key.
    pub fn finish(self, certificate_der: Vec<u8>, ca_der: Vec<u8>) -> Result<Credentials, TrustError> {
        let parsed = parse(&certificate_der).ok_or_else(|| bad("it does not parse"))?;
        if parsed.public_key().subject_public_key.data.as_ref() != self.key.public_key_raw() {
            return Err(bad("it is of another key"));
        }
        Credentials::new(certificate_der, self.key.serialize_der(), ca_der)
    }
}

/// The name in a certificate that was verified.
pub fn certificate_name(certificate: &CertificateDer<'_>) -> Option<String> {
    name_in(&parse(certificate)?)
}

/// The public key in a certificate, as certificates hold it.
pub(super) fn public_key(certificate: &[u8]) -> Option<Vec<u8>> {
    Some(parse(certificate)?.public_key().raw.to_vec())
}

fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    use x509_parser::prelude::FromDer;
    X509Certificate::from_der(der).ok().map(|(_, certificate)| certificate)
}

fn name_in(certificate: &X509Certificate<'_>) -> Option<String> {
    let names = certificate.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| match name {
        GeneralName::URI(uri) => uri.strip_prefix(NAME_SCHEME).map(str::to_owned),
        _ => None,
    })
}

fn bad(why: &str) -> TrustError {
    TrustError::Certificate(why.to_owned())
}
