//! `seawall proxy`: one address for the whole cluster.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use seawall_env::net::trust::{Fingerprint, Secret};
use seawall_proto::v1::DescribeMembersRequest;
use seawall_proxy::{AskMembers, Proxy, ProxyConfig, ProxyError};

use crate::{
    args::{Global, ProxyArgs},
    client::{Client, address::Address},
    context::Context,
    failure::{Exit, Failure},
    process,
};

/// Runs `seawall proxy` until a signal ends it.
pub async fn run(ctx: &Context, args: ProxyArgs) -> Result<(), Failure> {
    process::start_logging(&args.log)?;
    let shutdown = process::shutdown(&ctx.env, &args.log)?;
    raise_file_limit();
    let proxy = Proxy::open(&ctx.env, config(args)?).await.map_err(failure)?;
    let ask = ask_through(ctx, &proxy);
    proxy.serve(shutdown, Some(ask)).await;
    Ok(())
}

/// The question for the members, as this program asks it: signed where the environment holds a key. A connection of its own
/// each time, so that a proxy that nobody uses is known as such.
pub fn ask_through(ctx: &Context, proxy: &Proxy) -> AskMembers {
    let (env, global) = (ctx.env.clone(), Global { stale: false, ca_file: None, ..ctx.global.clone() });
    let (address, answer_max) = (Address::Plain(proxy.local_addr().to_string()), ctx.answer_max());
    Box::new(move || {
        let (env, global, address) = (env.clone(), global.clone(), address.clone());
        Box::pin(async move {
            let client = Client::to(&env, vec![address], &global, answer_max).map_err(|failure| failure.what)?;
            let mut connection = client.connection().await.map_err(|failure| failure.what)?;
            // What a member knows by itself is enough: it serves, so it knows of late.
            let told = connection.control.describe_members(DescribeMembersRequest { stale: true }).await;
            let members = told.map_err(|status| status.message().to_owned())?.into_inner().members;
            Ok(members.into_iter().map(|member| (member.client_address, member.zone)).collect())
        })
    })
}

/// A connection takes two files, and a login shell lets a process have 1024 unless it asks.
fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// What the proxy's refusals are to people.
pub fn failure(error: ProxyError) -> Failure {
    let exit = if matches!(error, ProxyError::Config(_)) { Exit::Usage } else { Exit::Refused };
    Failure::new(exit, error.to_string())
}

fn config(args: ProxyArgs) -> Result<ProxyConfig, Failure> {
    let fingerprint = fingerprint(&args)?;
    let servers = args.server.iter().map(|text| member(text, fingerprint.is_some())).collect::<Result<_, _>>()?;
    Ok(ProxyConfig { listen: args.listen, servers, zone: args.zone, fingerprint, insecure: args.insecure })
}

fn fingerprint(args: &ProxyArgs) -> Result<Option<Fingerprint>, Failure> {
    let refused = |error: &dyn std::fmt::Display| Failure::usage(error.to_string());
    match (&args.secret_file, &args.fingerprint) {
        (Some(file), _) => Secret::read(file).map(|secret| Some(secret.fingerprint())).map_err(|e| refused(&e)),
        (None, Some(text)) => text.parse().map(Some).map_err(|e| refused(&e)),
        (None, None) => Ok(None),
    }
}

fn member(text: &str, trusts: bool) -> Result<String, Failure> {
    match Address::parse(text.trim())? {
        Address::Tls(_) if !trusts => Err(Failure::usage(format!("--server {text}: nothing tells whose TLS to trust"))
            .next("--fingerprint (the last part of a join token), or --secret-file")),
        Address::Plain(authority) | Address::Tls(authority) => Ok(authority),
        Address::Socket(_) => {
            Err(Failure::usage(format!("--server {text}: the proxy reaches members by host:port, not by their socket")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_hosts_with_ports() {
        assert_eq!(member("a", false).unwrap(), "a:7400");
        assert_eq!(member("https://a:7500", true).unwrap(), "a:7500");
        assert!(member("https://a", false).unwrap_err().to_string().contains("next: --fingerprint"));
        assert!(member("unix:/s", true).is_err());
    }
}
