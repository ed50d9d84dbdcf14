//! Asks the cluster for its members, so that a proxy lives through the replacement of every member that it was told of.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use prost::Message as _;
use seawall_env::net::Lane;
use seawall_proto::v1::{DescribeMembersRequest, DescribeMembersResponse};

use crate::{Shared, check};

const DESCRIBE_MEMBERS: &str = "/seawall.v1.Control/DescribeMembers";
/// Between two questions while somebody is connected…
const LEARN_EVERY: Duration = Duration::from_secs(5);
/// …and while nobody is.
const LEARN_EVERY_IDLE: Duration = Duration::from_secs(30);
/// Until a member serves, it is looked so often whether one does.
const NOBODY_PAUSE: Duration = Duration::from_millis(500);
/// Longest wait for the answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Keeps the pool as the cluster is, until the proxy stops.
pub(crate) async fn keep_learning(shared: Arc<Shared>) {
    loop {
        let pause = match shared.pool.serving() {
            None => NOBODY_PAUSE,
            Some(address) => {
                if let Err(why) = learn(&shared, &address).await {
                    tracing::debug!(member = address, why, "does not tell of the other members");
                }
                if shared.is_used() { LEARN_EVERY } else { LEARN_EVERY_IDLE }
            }
        };
        if !shared.pause(pause, std::future::pending()).await {
            return;
        }
    }
}

async fn learn(shared: &Arc<Shared>, address: &str) -> Result<(), String> {
    // What this member knows by itself is enough: it serves, so it knows of late.
    let question = DescribeMembersRequest { stale: true }.encode_to_vec().into();
    let answer = shared.env.net().call(address, Lane::Main, DESCRIBE_MEMBERS, question, ANSWER_MAX).await;
    let answer = DescribeMembersResponse::decode(answer.map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
    let listed = answer.members.into_iter().map(|member| (member.client_address, member.zone));
    let listed: Vec<_> = listed.filter(|(told, _)| is_useful(told, address, shared.own)).collect();
    if !listed.is_empty() {
        check::start(shared, shared.pool.learn(listed));
    }
    Ok(())
}

/// A loopback address means the machine of the member that told it, which is this one only if it was reached so itself; and
/// what listens there may be this proxy, which would then pass on to itself.
fn is_useful(told: &str, by: &str, own: SocketAddr) -> bool {
    let is_own = told.rsplit_once(':').is_some_and(|(_, port)| port == own.port().to_string()) && is_loopback(told);
    !told.is_empty() && !is_own && (!is_loopback(told) || is_loopback(by))
}

fn is_loopback(address: &str) -> bool {
    match address.parse::<SocketAddr>() {
        Ok(address) => address.ip().is_loopback(),
        Err(_) => address.starts_with("localhost:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_address_counts_on_its_own_machine_and_the_proxy_never() {
        let own = "127.0.0.1:7400".parse().unwrap();
        for (told, by, useful) in [
            ("host-b:7400", "host-a:7400", true),
            ("127.0.0.1:7410", "127.0.0.1:7420", true),
            ("127.0.0.1:7410", "host-a:7400", false),
            ("127.0.0.1:7400", "127.0.0.1:7410", false),
            ("localhost:7400", "localhost:7410", false),
            ("", "host-a:7400", false),
        ] {
            assert_eq!(is_useful(told, by, own), useful, "{told} told by {by}");
        }
    }
}
