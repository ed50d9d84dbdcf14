//! Where members are: `host:port`, `https://host:port`, `unix:/path`; without any, this machine's own.

use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The port of members unless an address says another.
const PORT: u16 = 7400;
/// Where members are looked for without `--addr`: one alone, or the three of `seawall dev`.
const LOCAL: [&str; 3] = ["127.0.0.1:7400", "127.0.0.1:7410", "127.0.0.1:7420"];
/// Before the path of a socket.
pub const SOCKET_SCHEME: &str = "unix:";
/// Name of the local socket in a member's data folder.
const SOCKET: &str = "seawall.sock";
/// A member's data folder on a machine that was set up as README.md says.
const SYSTEM_DATA_DIR: &str = "/var/lib/seawall/server";

/// One address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    /// Plain HTTP/2.
    Plain(String),
    /// TLS.
    Tls(String),
    /// A member's local socket, which takes every command without keys.
    Socket(PathBuf),
}

impl Address {
    /// As URIs are written.
    pub fn uri(&self) -> String {
        match self {
            Address::Plain(authority) => format!("http://{authority}"),
            Address::Tls(authority) => format!("https://{authority}"),
            Address::Socket(path) => format!("{SOCKET_SCHEME}{}", path.display()),
        }
    }

    /// Host and port; of a socket nothing.
    pub fn authority(&self) -> &str {
        match self {
            Address::Plain(authority) | Address::Tls(authority) => authority,
            Address::Socket(_) => "",
        }
    }

    /// Reads an address.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        if let Some(path) = text.strip_prefix(SOCKET_SCHEME) {
            return Ok(Address::Socket(PathBuf::from(path.trim_start_matches("//"))));
        }
        let wrong = || Failure::usage(format!("--addr {text:?}: use host:port, https://host:port or unix:/path"));
        let (secure, authority) = match text.split_once("://") {
            None => (false, text),
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some(_) => return Err(wrong()),
        };
        let authority = authority.trim_end_matches('/');
        let authority = with_port(authority).filter(|a| a.parse::<http::uri::Authority>().is_ok()).ok_or_else(wrong)?;
        Ok(if secure { Address::Tls(authority) } else { Address::Plain(authority) })
    }
}

fn with_port(authority: &str) -> Option<String> {
    let after_brackets = authority.rsplit(']').next()?;
    if authority.is_empty() || authority.starts_with(':') {
        return None;
    }
    match after_brackets.rsplit_once(':') {
        Some((_, port)) => port.parse::<u16>().ok().filter(|port| *port > 0).map(|_| authority.to_owned()),
        None => Some(format!("{authority}:{PORT}")),
    }
}

/// The addresses to ask, best first: those given; else a socket of a member of this machine; else its usual ports.
///
/// # Errors
/// An address that is none.
pub fn choose(
    given: &[String],
    data_dir: Option<&Path>,
    exists: impl Fn(&Path) -> bool,
) -> Result<Vec<Address>, Failure> {
    if !given.is_empty() {
        return given.iter().map(|text| Address::parse(text.trim())).collect();
    }
    let folders = data_dir.into_iter().chain([Path::new(SYSTEM_DATA_DIR)]);
    let sockets = folders.map(|folder| folder.join(SOCKET)).filter(|path| exists(path)).map(Address::Socket);
    let ports = LOCAL.iter().map(|authority| Address::Plain((*authority).to_owned()));
    Ok(sockets.chain(ports).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_three_forms() {
        assert_eq!(Address::parse("s1:7500"), Ok(Address::Plain("s1:7500".into())));
        assert_eq!(Address::parse("s1"), Ok(Address::Plain("s1:7400".into())));
        assert_eq!(Address::parse("https://10.0.0.5:7400/"), Ok(Address::Tls("10.0.0.5:7400".into())));
        assert_eq!(Address::parse("[::1]:7400"), Ok(Address::Plain("[::1]:7400".into())));
        assert_eq!(Address::parse("[::1]"), Ok(Address::Plain("[::1]:7400".into())));
        assert_eq!(Address::parse("unix:/run/s"), Ok(Address::Socket("/run/s".into())));
        for wrong in ["", "ftp://x", "s1:0", "s1:http", ":7400", "a b"] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_local_socket_comes_before_the_usual_ports() {
        let chosen = choose(&[], Some(Path::new("/d")), |path| path == Path::new("/d/seawall.sock")).unwrap();
        assert_eq!(chosen[0], Address::Socket("/d/seawall.sock".into()));
        assert_eq!(chosen[1], Address::Plain("127.0.0.1:7400".into()));
        assert_eq!(chosen.len(), 4);
        let given = choose(&["a:1".into()], Some(Path::new("/d")), |_| true).unwrap();
        assert_eq!(given, [Address::Plain("a:1".into())]);
    }
}
