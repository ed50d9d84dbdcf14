//! `seawall agent`: this machine as a container instance.

use std::net::IpAddr;

use seawall_agent::{AgentConfig, AgentError, DEFAULT_RESERVED_PORTS, Trust, runtime::fake::FakeConfig};
use seawall_env::TaskKind;
use seawall_proxy::{Proxy, ProxyConfig};

use crate::{
    args::{AgentArgs, RuntimeKind},
    context::Context,
    failure::{Exit, Failure},
    process,
};

const PROXY: TaskKind = TaskKind::request("proxy");

pub async fn run(ctx: &Context, args: AgentArgs) -> Result<(), Failure> {
    process::start_logging(&args.log)?;
    let shutdown = process::shutdown(&ctx.env, &args.log)?;
    let trust = match (&args.secret_file, &args.token) {
        (Some(file), _) => Trust::Secret(file.clone()),
        (None, Some(token)) => Trust::Token(token.clone()),
        (None, None) => Trust::Kept,
    };
    let proxy = proxy(ctx, &args, &trust).await?;
    let config = config(&ctx.global.cluster, args)?;
    let passing = proxy.map(|proxy| {
        let ask = super::proxy::ask_through(ctx, &proxy);
        ctx.env.spawn(PROXY, proxy.serve(shutdown.clone(), Some(ask)))
    });
    seawall_agent::run(ctx.env.clone(), config, trust, shutdown).await.map_err(failure)?;
    if let Some(passing) = passing {
        passing.await;
    }
    Ok(())
}

/// The proxy of `--proxy`, its port taken: an agent knows the members, and whom to trust.
async fn proxy(ctx: &Context, args: &AgentArgs, trust: &Trust) -> Result<Option<Proxy>, Failure> {
    let Some(listen) = args.proxy.clone() else { return Ok(None) };
    let fingerprint = Some(trust.fingerprint(&ctx.env, &args.data_dir).map_err(failure)?);
    let (servers, zone) = (args.servers.clone(), Some(args.zone.clone()));
    let opened = Proxy::open(&ctx.env, ProxyConfig { listen, servers, zone, fingerprint, insecure: false }).await;
    opened.map(Some).map_err(super::proxy::failure)
}

fn failure(error: AgentError) -> Failure {
    let exit = if matches!(error, AgentError::Config(_)) { Exit::Usage } else { Exit::Refused };
    Failure::new(exit, error.to_string())
}

fn config(cluster: &str, args: AgentArgs) -> Result<AgentConfig, Failure> {
    let defaults = AgentConfig::new(cluster, args.zone, args.data_dir);
    let reserved = if args.reserved_ports.is_empty() { DEFAULT_RESERVED_PORTS.to_vec() } else { args.reserved_ports };
    Ok(AgentConfig {
        servers: args.servers,
        instance_id: args.instance_id,
        runtime: match args.runtime {
            RuntimeKind::Docker => seawall_agent::RuntimeKind::Docker,
            RuntimeKind::Process => seawall_agent::RuntimeKind::Process,
            RuntimeKind::Fake => seawall_agent::RuntimeKind::Fake(FakeConfig::default()),
        },
        host_ip: args.host_ip.as_deref().map(host_ip).transpose()?,
        attributes: args.attributes,
        capacity_provider: args.capacity_provider,
        cpu_units: args.cpu,
        memory_mib: args.memory_mib,
        reserve_memory_mib: args.reserve_memory_mib,
        accept_inert: args.accept_inert,
        reserve_cpu_units: args.reserve_cpu.unwrap_or(defaults.reserve_cpu_units),
        reserved_ports_udp: reserved.clone(),
        reserved_ports: reserved,
        image_pull: args.image_pull.parse().map_err(|why| Failure::usage(format!("--image-pull {why}")))?,
        registry_config: args.registry_config,
        docker_socket: args.docker_socket.into(),
        shim_exe: std::env::current_exe()?,
        ..defaults
    })
}

fn host_ip(text: &str) -> Result<IpAddr, Failure> {
    text.parse().map_err(|_| Failure::usage(format!("--host-ip {text:?}: not an IP address")))
}
