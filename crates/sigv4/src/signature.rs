//! What a request says of who signed it.

use std::str;

use crate::{
    ALGORITHM, AUTHORIZATION, DATE, Request, SigningKey, Stamp, TERMINATOR,
    canonical::{nibble, parameters, string_to_sign},
};

/// Headers that one signature may cover.
pub const SIGNED_HEADERS_MAX: usize = 64;
/// Longest name of a key, a region or a service.
const NAME_BYTES_MAX: usize = 128;
/// A presigned URL is good for at most a week.
const EXPIRES_MAX_S: u32 = 7 * 24 * 3600;
const SIGNATURE_BYTES: usize = 32;

/// A request that means to be signed, and is not in the form for it. The text is for its author.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

/// Who signed, and for what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credential {
    /// The access key's id.
    pub key_id: String,
    /// `20261125`
    pub day: String,
    /// `us-local-1`
    pub region: String,
    /// `ecs`
    pub service: String,
}

impl Credential {
    /// Everything but the key.
    pub fn scope(&self) -> String {
        format!("{}/{}/{}/{TERMINATOR}", self.day, self.region, self.service)
    }

    fn parse(text: &str) -> Result<Credential, Malformed> {
        let parts: Vec<&str> = text.split('/').collect();
        let [key_id, day, region, service, TERMINATOR] = parts[..] else {
            return Err(malformed("Credential must be KEY/DATE/REGION/SERVICE/aws4_request."));
        };
        let is_name = |name: &str| !name.is_empty() && name.len() <= NAME_BYTES_MAX;
        if ![key_id, region, service].into_iter().all(is_name) {
            return Err(malformed("Credential holds a part that is empty or too long."));
        }
        let [key_id, day, region, service] = [key_id, day, region, service].map(str::to_owned);
        Ok(Credential { key_id, day, region, service })
    }
}

/// The signature of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signature {
    /// Who signed, and for what.
    pub credential: Credential,
    /// When.
    pub at: Stamp,
    /// Of a presigned URL: how long it is good for.
    pub expires_s: Option<u32>,
    /// What it covers, in lower case, in the order in which it was signed.
    pub signed_headers: Vec<String>,
    signature: [u8; SIGNATURE_BYTES],
}

impl Signature {
    /// The signature that `request` carries; `None` if it carries none.
    ///
    /// # Errors
    /// It carries something that is not one.
    pub fn find(request: &Request<'_>) -> Result<Option<Signature>, Malformed> {
        let mut headers = request.headers.get_all(AUTHORIZATION).iter();
        match (headers.next(), headers.next()) {
            (Some(_), Some(_)) => Err(malformed("There is more than one Authorization header.")),
            (Some(header), None) => {
                let text = header.to_str().map_err(|_| malformed("The Authorization header is not text."))?;
                Signature::of_header(request, text).map(Some)
            }
            (None, _) => Signature::of_query(request.query),
        }
    }

    fn of_header(request: &Request<'_>, text: &str) -> Result<Signature, Malformed> {
        let rest = text.strip_prefix(ALGORITHM).filter(|rest| rest.starts_with([' ', '\t']));
        let rest = rest.ok_or_else(|| malformed(&format!("The Authorization header must begin with {ALGORITHM}.")))?;
        let field = |name: &str| {
            let mut found = rest.split(',').filter_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
            match (found.next(), found.next()) {
                (Some(value), None) => Ok(value),
                (Some(_), Some(_)) => Err(malformed(&format!("Authorization header has two '{name}' parameters."))),
                (None, _) => Err(malformed(&format!("Authorization header requires '{name}' parameter."))),
            }
        };
        let (credential, signed, signature) = (field("Credential")?, field("SignedHeaders")?, field("Signature")?);
        let mut dates = request.headers.get_all(DATE).iter();
        let date = match (dates.next(), dates.next()) {
            (Some(date), None) => date.to_str().unwrap_or_default(),
            (Some(_), Some(_)) => return Err(malformed("There is more than one X-Amz-Date header.")),
            (None, _) => return Err(malformed("Authorization header requires existence of an 'X-Amz-Date' header.")),
        };
        Signature::of(credential, date, None, signed, signature)
    }

    fn of_query(query: &str) -> Result<Option<Signature>, Malformed> {
        let field = |name: &str| {
            let mut found = parameters(query).filter(|(key, _)| key == name.as_bytes()).map(|(_, value)| value);
            match (found.next(), found.next()) {
                (Some(value), None) => String::from_utf8(value).map_err(|_| malformed(&format!("{name} is not text."))),
                (Some(_), Some(_)) => Err(malformed(&format!("The query has two '{name}' parameters."))),
                (None, _) => Err(malformed(&format!("A presigned URL requires the parameter '{name}'."))),
            }
        };
        if !parameters(query).any(|(key, _)| key == b"X-Amz-Algorithm" || key == b"X-Amz-Signature") {
            return Ok(None);
        }
        if field("X-Amz-Algorithm")? != ALGORITHM {
            return Err(malformed(&format!("X-Amz-Algorithm must be {ALGORITHM}.")));
        }
        let expires = field("X-Amz-Expires")?;
        let expires = expires.parse().ok().filter(|seconds| *seconds <= EXPIRES_MAX_S);
        let expires = expires.ok_or_else(|| malformed("X-Amz-Expires must be a number of seconds up to 604800."))?;
        let (credential, date) = (field("X-Amz-Credential")?, field("X-Amz-Date")?);
        let (signed, signature) = (field("X-Amz-SignedHeaders")?, field("X-Amz-Signature")?);
        Signature::of(&credential, &date, Some(expires), &signed, &signature).map(Some)
    }

    fn of(
        credential: &str,
        date: &str,
        expires_s: Option<u32>,
        signed: &str,
        hex: &str,
    ) -> Result<Signature, Malformed> {
        let credential = Credential::parse(credential)?;
        let at = Stamp::parse(date).ok_or_else(|| malformed("X-Amz-Date must be in the form 20261125T140211Z."))?;
        if credential.day != at.day() {
            return Err(malformed("The date in Credential is not that of X-Amz-Date."));
        }
        let signed_headers: Vec<String> = signed.split(';').map(str::to_owned).collect();
        if signed_headers.len() > SIGNED_HEADERS_MAX {
            return Err(malformed(&format!("SignedHeaders names more than {SIGNED_HEADERS_MAX} headers.")));
        }
        let is_lower = |name: &String| !name.is_empty() && !name.bytes().any(|byte| byte.is_ascii_uppercase());
        if !signed_headers.iter().all(is_lower) {
            return Err(malformed("SignedHeaders must be names in lower case with semicolons between them."));
        }
        let signature = from_hex(hex).ok_or_else(|| malformed("The signature must have 64 hexadecimal digits."))?;
        Ok(Signature { credential, at, expires_s, signed_headers, signature })
    }

    /// Whether it covers this header.
    pub fn covers(&self, header: &str) -> bool {
        self.signed_headers.iter().any(|signed| signed == header)
    }

    /// Whether `key` signed this request with this hash of its body, in a time that does not depend on how much is right.
    pub fn is_by(&self, key: &SigningKey, request: &Request<'_>, payload_hash: &str) -> bool {
        let text = string_to_sign(request, &self.credential, self.at, &self.signed_headers, payload_hash);
        text.is_some_and(|text| key.verifies(text.as_bytes(), &self.signature))
    }
}

fn from_hex(text: &str) -> Option<[u8; SIGNATURE_BYTES]> {
    let digits: &[u8; 2 * SIGNATURE_BYTES] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; SIGNATURE_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

fn malformed(why: &str) -> Malformed {
    Malformed(why.to_owned())
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    const GOOD: &str = "AWS4-HMAC-SHA256 Credential=AKIA/20261125/r/ecs/aws4_request, SignedHeaders=host;x-amz-date, \
                        Signature=00000000000000000000000000000000000000000000000000000000000000ff";

    fn find(header: &str, query: &str) -> Result<Option<Signature>, String> {
        let mut headers = HeaderMap::new();
        headers.insert(DATE, "20261125T140211Z".parse().unwrap());
        if !header.is_empty() {
            headers.insert(AUTHORIZATION, header.parse().unwrap());
        }
        let request = Request { method: "POST", path: "/", query, headers: &headers, authority: None };
        Signature::find(&request).map_err(|error| error.to_string())
    }

    #[test]
    fn a_header_is_read_whole_or_said_to_be_wrong() {
        let found = find(GOOD, "").unwrap().unwrap();
        assert_eq!(found.credential.scope(), "20261125/r/ecs/aws4_request");
        assert!(found.covers("host") && !found.covers("x-amz-target"));
        assert_eq!((found.expires_s, found.signature[31]), (None, 0xff));
        assert_eq!(find("", ""), Ok(None));
        for (from, to, why) in [
            ("AWS4-HMAC-SHA256 ", "Bearer ", "must begin with"),
            ("Credential", "Kredential", "requires 'Credential'"),
            ("SignedHeaders=", "Signed=", "requires 'SignedHeaders'"),
            ("host;", "Host;", "lower case"),
            ("00ff", "00f", "64 hexadecimal"),
            ("00ff", "00fg", "64 hexadecimal"),
            ("/ecs/", "//", "empty or too long"),
            ("20261125/", "20261124/", "not that of X-Amz-Date"),
            ("aws4_request", "aws4", "must be KEY/DATE"),
            ("Signature=", "Signature=1, Signature=", "two 'Signature'"),
        ] {
            let told = find(&GOOD.replace(from, to), "").unwrap_err();
            assert!(told.contains(why), "{from} -> {to}: {told}");
        }
        assert!(
            find(&GOOD.replace("host;", &"a;".repeat(SIGNED_HEADERS_MAX)), "").unwrap_err().contains("more than 64")
        );
    }

    #[test]
    fn a_presigned_url_has_all_its_parameters_or_none() {
        let query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20261125%2Fr%2Fsts%2Faws4_request\
                     &X-Amz-Date=20261125T140211Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=";
        let query = format!("{query}{}", "ab".repeat(32));
        let found = find("", &query).unwrap().unwrap();
        assert_eq!((found.expires_s, found.credential.service.as_str()), (Some(60), "sts"));
        assert_eq!(find("", "Action=GetCallerIdentity"), Ok(None));
        assert!(find("", "X-Amz-Signature=ab").unwrap_err().contains("X-Amz-Algorithm"));
        assert!(find("", &query.replace("Expires=60", "Expires=604801")).unwrap_err().contains("604800"));
        assert!(find("", &format!("{query}&X-Amz-Date=20261125T140211Z")).unwrap_err().contains("two 'X-Amz-Date'"));
    }
}
