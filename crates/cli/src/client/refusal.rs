//! What a member's answer means: a refusal to show, a leader to wait for, or a connection that broke.

use seawall_model::ErrorCode;
use tonic::{Code, Status};

use crate::failure::{Exit, Failure};

/// Metadata with ECS's exception name.
const ERROR_KEY: &str = "x-seawall-error";

/// What to do about a status.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nobody leads: ask again, elsewhere too.
    NoLeader,
    /// The connection broke, or the member stopped answering: it may or may not have acted.
    Broken,
    /// Show it.
    Final(ErrorCode),
}

/// What `status` means.
pub fn judge(status: &Status) -> Verdict {
    match status.metadata().get(ERROR_KEY).and_then(|name| name.to_str().ok()) {
        Some(name) => match ErrorCode::from_name(name) {
            ErrorCode::NoLeader => Verdict::NoLeader,
            code => Verdict::Final(code),
        },
        None => match status.code() {
            Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded | Code::Unknown => Verdict::Broken,
            Code::Internal if status.message().contains("h2 protocol error") => Verdict::Broken,
            Code::Unimplemented => Verdict::Final(ErrorCode::UnsupportedFeature),
            _ => Verdict::Final(ErrorCode::Server),
        },
    }
}

/// A refusal in the words of the member, with what helps.
pub fn refused(code: ErrorCode, message: &str, asked: &str) -> Failure {
    let message = message.trim_end_matches('.');
    let failure = match code {
        ErrorCode::NoLeader => return no_leader(message),
        ErrorCode::Unknown => {
            Failure::new(Exit::NoConnection, message).next("seawall status, then look before trying again")
        }
        ErrorCode::Overloaded => {
            Failure::refused(format!("{asked} is overloaded: {message}")).next("try again in a moment")
        }
        ErrorCode::DiskFull => Failure::refused(message).next("seawall status, and free space on the members' disks"),
        ErrorCode::UnsupportedFeature => Failure::refused(format!("not supported: {message}")),
        ErrorCode::ClusterContainsServices => Failure::refused(message).next("seawall service ls"),
        ErrorCode::ClusterContainsTasks => Failure::refused(message).next("seawall task ls"),
        ErrorCode::ClusterContainsContainerInstances => Failure::refused(message).next("seawall instance ls"),
        ErrorCode::Server => {
            Failure::refused(format!("{asked} failed: {message}")).next("seawall status, and the member's log")
        }
        _ => Failure::refused(message),
    };
    match failure.what.is_empty() {
        true => failure.reworded(code.as_str()),
        false => failure,
    }
}

/// What is wrong with the access key `key`, as it is shown; empty: there is none. `None` for what has to do with no key.
pub fn of_key(code: ErrorCode, message: &str, asked: &str, key: &str) -> Option<Failure> {
    let set = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a key of the cluster";
    let local = "or ask over a member's socket, which needs none: --addr unix:DATA_DIR/seawall.sock";
    let failure = match code {
        ErrorCode::MissingAuthenticationToken => {
            Failure::refused(format!("{asked} takes signed calls only, and there is no access key to sign with"))
        }
        ErrorCode::UnrecognizedClient => Failure::refused(format!("access key {key} is unknown, off or expired")),
        ErrorCode::InvalidSignature => {
            let clocks = message.find("your clock is ").map(|at| &message[at..]);
            let why = clocks.unwrap_or("the secret is not this key's");
            let failure = Failure::refused(format!("signature does not match for key {key}: {why}"));
            return Some(if clocks.is_some() { failure } else { failure.next(set) });
        }
        _ => return None,
    };
    Some(failure.next(format!("{set}, {local}")))
}

/// Nobody leads. The member says whom it waits for, and may have said the rest as well.
pub fn no_leader(message: &str) -> Failure {
    let why = message.split("; writes wait").next().unwrap_or_default().trim_end_matches('.');
    let why = if why.starts_with("no leader") { why.to_owned() } else { format!("no leader: {why}") };
    Failure::new(Exit::NoConnection, format!("{why}; writes wait up to 10 s, reads with --stale still work"))
        .next("seawall status")
}

/// No member answers.
pub fn nobody(tried: &[(String, String)]) -> Failure {
    let each: Vec<String> = tried.iter().map(|(address, why)| format!("{address} ({why})")).collect();
    let next = "seawall dev starts a cluster here; --addr or SEAWALL_ADDR names another";
    Failure::new(Exit::NoConnection, format!("no member answers: {}", each.join(", "))).next(next)
}

/// The connection broke after a request that must not be sent twice.
pub fn unknown_outcome(asked: &str) -> Failure {
    Failure::new(
        Exit::NoConnection,
        format!("{asked} stopped answering: what was asked for may or may not have happened"),
    )
    .next("look before trying again")
}

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataMap;

    use super::*;

    fn status(code: Code, name: Option<&str>) -> Status {
        let mut metadata = MetadataMap::new();
        if let Some(name) = name {
            metadata.insert(ERROR_KEY, name.parse().unwrap());
        }
        Status::with_metadata(code, "why", metadata)
    }

    #[test]
    fn a_named_exception_decides_before_the_code() {
        assert_eq!(judge(&status(Code::Unavailable, Some("NoLeaderException"))), Verdict::NoLeader);
        let found = judge(&status(Code::NotFound, Some("ServiceNotFoundException")));
        assert_eq!(found, Verdict::Final(ErrorCode::ServiceNotFound));
        assert_eq!(judge(&status(Code::Unavailable, None)), Verdict::Broken);
        assert_eq!(judge(&status(Code::Unimplemented, None)), Verdict::Final(ErrorCode::UnsupportedFeature));
        assert_eq!(judge(&status(Code::PermissionDenied, None)), Verdict::Final(ErrorCode::Server));
    }

    /// The texts that people see, whole.
    #[test]
    fn golden_texts() {
        let texts = [
            no_leader("no leader: b and c of a,b,c do not answer for 12 s").to_string(),
            no_leader("no leader: c is silent; writes wait up to 10 s, reads with --stale work. next: x").to_string(),
            nobody(&[("http://127.0.0.1:7400".into(), "connection refused".into())]).to_string(),
            unknown_outcome("http://10.0.0.5:7400").to_string(),
            refused(ErrorCode::Client, "Unable to describe task definition.", "http://a:1").to_string(),
            refused(ErrorCode::ClusterContainsTasks, "The cluster has tasks.", "http://a:1").to_string(),
            refused(ErrorCode::AccessDenied, "", "http://a:1").to_string(),
        ];
        let clocks = "Signature expired: your clock is 14:02:11, ours 14:09:40 (limit 5 min)";
        let keys = [
            (ErrorCode::MissingAuthenticationToken, "", ""),
            (ErrorCode::UnrecognizedClient, "", "AKIA…F2"),
            (ErrorCode::InvalidSignature, clocks, "AKIA…F2"),
            (ErrorCode::InvalidSignature, "The request signature we calculated …", "AKIA…F2"),
        ];
        let of_keys = keys.map(|(code, why, key)| of_key(code, why, "http://a:1", key).unwrap().to_string());
        insta::assert_snapshot!(of_keys.join("\n"), @r"
        http://a:1 takes signed calls only, and there is no access key to sign with. next: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a key of the cluster, or ask over a member's socket, which needs none: --addr unix:DATA_DIR/seawall.sock
        access key AKIA…F2 is unknown, off or expired. next: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a key of the cluster, or ask over a member's socket, which needs none: --addr unix:DATA_DIR/seawall.sock
        signature does not match for key AKIA…F2: your clock is 14:02:11, ours 14:09:40 (limit 5 min)
        signature does not match for key AKIA…F2: the secret is not this key's. next: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a key of the cluster
        ");
        assert_eq!(of_key(ErrorCode::Client, "", "", ""), None);
        insta::assert_snapshot!(texts.join("\n"), @r#"
        no leader: b and c of a,b,c do not answer for 12 s; writes wait up to 10 s, reads with --stale still work. next: seawall status
        no leader: c is silent; writes wait up to 10 s, reads with --stale still work. next: seawall status
        no member answers: http://127.0.0.1:7400 (connection refused). next: seawall dev starts a cluster here; --addr or SEAWALL_ADDR names another
        http://10.0.0.5:7400 stopped answering: what was asked for may or may not have happened. next: look before trying again
        Unable to describe task definition
        The cluster has tasks. next: seawall task ls
        AccessDeniedException
        "#);
    }
}
