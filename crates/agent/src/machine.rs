//! What the machine has and is: what an agent offers to the cluster.

use std::path::Path;

use seawall_env::{Env, fs::Fs};
use seawall_proto::internal::v1::{AgentIdentity, InstanceAttribute, Resources};

use crate::{
    config::AgentConfig,
    error::AgentError,
    runtime::Description,
    store::{Identity, Store},
};

/// CPU units of one core.
const UNITS_A_CORE: u32 = 1024;
/// Memory kept back for the machine itself: the larger of this…
const RESERVED_MIB_MIN: u32 = 256;
/// …and this share of it.
const RESERVED_PERCENT: u32 = 5;
/// Hex digits of an EC2 instance id.
const ID_DIGITS: usize = 17;

/// The instance's id: the flag's, the machine's, or one that was drawn once and kept.
///
/// # Errors
/// The drawn id cannot be kept.
pub(crate) async fn instance_id(env: &Env, config: &AgentConfig, store: &Store) -> Result<String, AgentError> {
    if let Some(id) = &config.instance_id {
        return Ok(id.clone());
    }
    if let Some(digits) = read(&*env.fs(), "/etc/machine-id").filter(|text| text.len() >= ID_DIGITS) {
        return Ok(format!("mi-{}", &digits[..ID_DIGITS]));
    }
    let known = store.identity();
    if !known.drawn_instance_id.is_empty() {
        return Ok(known.drawn_instance_id);
    }
    let digits = format!("{:016x}{:016x}", env.random_u64(), env.random_u64());
    let id = format!("mi-{}", &digits[..ID_DIGITS]);
    store.save_identity(&Identity { drawn_instance_id: id.clone(), ..known }).await?;
    Ok(id)
}

/// Everything the cluster is told of the machine.
///
/// # Errors
/// It cannot be found out and no flag says it, or nothing would be left for tasks.
pub(crate) fn describe(
    env: &Env,
    config: &AgentConfig,
    instance_id: &str,
    runtime: &Description,
) -> Result<AgentIdentity, AgentError> {
    let fs = env.fs();
    let boot_id = config.boot_id.clone().or_else(|| read(&*fs, "/proc/sys/kernel/random/boot_id"));
    Ok(AgentIdentity {
        cluster: config.cluster.clone(),
        ec2_instance_id: instance_id.to_owned(),
        zone: config.zone.clone(),
        total: Some(Resources {
            cpu: cpu(&*fs, config)?,
            memory: memory(&*fs, config)?,
            ports_tcp: config.reserved_ports.iter().copied().map(u32::from).collect(),
            ports_udp: config.reserved_ports_udp.iter().copied().map(u32::from).collect(),
        }),
        attributes: attributes(config, runtime),
        capacity_provider: config.capacity_provider.clone().unwrap_or_default(),
        agent_version: config.version.clone(),
        docker_version: if runtime.kind == "docker" { runtime.version.clone() } else { String::new() },
        boot_id: boot_id.unwrap_or_default(),
        host_ip: config.host_ip.map(|ip| ip.to_string()).unwrap_or_default(),
        runtime: runtime.kind.to_owned(),
        arn_hi: 0,
        arn_lo: 0,
        run: env.random_u64().max(1),
        attempt: 0,
    })
}

fn cpu(fs: &dyn Fs, config: &AgentConfig) -> Result<u32, AgentError> {
    let units = config.cpu_units.or_else(|| {
        let cores = text(fs, "/proc/cpuinfo")?.lines().filter(|line| line.starts_with("processor")).count();
        u32::try_from(cores).ok().filter(|cores| *cores > 0).map(|cores| cores * UNITS_A_CORE)
    });
    let units = units.ok_or_else(|| AgentError::Config("cannot tell how many cores there are: give --cpu".into()))?;
    let left = units.saturating_sub(config.reserve_cpu_units);
    if left > 0 { Ok(left) } else { Err(nothing_left("CPU", units, config.reserve_cpu_units)) }
}

fn memory(fs: &dyn Fs, config: &AgentConfig) -> Result<u32, AgentError> {
    let mib = config.memory_mib.or_else(|| {
        let text = text(fs, "/proc/meminfo")?;
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
        u32::try_from(kib / 1024).ok()
    });
    let mib =
        mib.ok_or_else(|| AgentError::Config("cannot tell how much memory there is: give --memory-mib".into()))?;
    let reserved = config.reserve_memory_mib.unwrap_or_else(|| RESERVED_MIB_MIN.max(mib / 100 * RESERVED_PERCENT));
    let left = mib.saturating_sub(reserved);
    if left > 0 { Ok(left) } else { Err(nothing_left("memory", mib, reserved)) }
}

fn nothing_left(what: &str, there: u32, kept_back: u32) -> AgentError {
    AgentError::Config(format!("no {what} is left for tasks: there are {there} and {kept_back} are kept back"))
}

/// ECS's own attributes, what the runtime can do, and those of the flags, which come last and win.
fn attributes(config: &AgentConfig, runtime: &Description) -> Vec<InstanceAttribute> {
    let architecture = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        other => other,
    };
    let own = [
        ("ecs.availability-zone", config.zone.as_str()),
        ("ecs.cpu-architecture", architecture),
        ("ecs.os-family", "LINUX"),
        ("ecs.os-type", "linux"),
        ("seawall.runtime", runtime.kind),
    ];
    let host_ip = config.host_ip.map(|ip| ("seawall.host-ip".to_owned(), ip.to_string()));
    let own = own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let able = runtime.capabilities.iter().map(|name| (name.clone(), String::new()));
    let mut all = std::collections::BTreeMap::new();
    all.extend(own.chain(host_ip).chain(able).chain(config.attributes.iter().cloned()));
    all.into_iter().map(|(name, value)| InstanceAttribute { name, value, custom: false }).collect()
}

fn read(fs: &dyn Fs, path: &str) -> Option<String> {
    text(fs, path).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// A file of the system; none where it cannot be read, which a flag stands in for.
fn text(fs: &dyn Fs, path: &str) -> Option<String> {
    String::from_utf8(fs.read(Path::new(path)).ok()??).ok()
}

#[cfg(test)]
mod tests {
    use seawall_env::sim::Sim;

    use super::*;

    fn config() -> AgentConfig {
        AgentConfig::new("default", "a", "/d")
    }

    fn write(env: &Env, path: &str, text: &str) {
        env.fs().write_atomic(Path::new(path), text.as_bytes(), 0o644).unwrap();
    }

    #[test]
    fn the_machine_is_offered_less_what_it_keeps() {
        let sim = Sim::new(1);
        let env = sim.node("i");
        write(&env, "/proc/cpuinfo", "processor\t: 0\nmodel\t: x\n\nprocessor\t: 1\n");
        write(&env, "/proc/meminfo", "MemTotal:       16384000 kB\nMemFree: 1 kB\n");
        let described = describe(&env, &config(), "i-1", &Description::default()).unwrap();
        let total = described.total.unwrap();
        assert_eq!((total.cpu, total.memory), (2048, 16_000 - 800));
        assert!(total.ports_tcp.contains(&22));
    }

    #[test]
    fn flags_stand_in_for_what_cannot_be_read() {
        let sim = Sim::new(1);
        let env = sim.node("i");
        let refused = describe(&env, &config(), "i-1", &Description::default()).unwrap_err();
        assert_eq!(refused.to_string(), "cannot tell how many cores there are: give --cpu");
        let config = AgentConfig { cpu_units: Some(1024), memory_mib: Some(200), ..config() };
        let refused = describe(&env, &config, "i-1", &Description::default()).unwrap_err();
        assert_eq!(refused.to_string(), "no memory is left for tasks: there are 200 and 256 are kept back");
        let config = AgentConfig { reserve_memory_mib: Some(0), ..config };
        assert_eq!(describe(&env, &config, "i-1", &Description::default()).unwrap().total.unwrap().memory, 200);
    }

    #[test]
    fn the_instance_id_is_the_machines_and_a_drawn_one_is_kept() {
        let sim = Sim::new(1);
        let env = sim.node("i");
        let id = |env: &Env| {
            let inner = env.clone();
            let work = async move {
                let store = Store::open(&inner, Path::new("/d")).unwrap();
                instance_id(&inner, &config(), &store).await.unwrap()
            };
            sim.run(env, std::time::Duration::from_secs(1), work).unwrap()
        };
        let drawn = id(&env);
        assert_eq!(drawn.len(), "mi-".len() + ID_DIGITS);
        assert_eq!(id(&env), drawn);
        write(&env, "/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        assert_eq!(id(&env), "mi-0123456789abcdef0");
    }

    #[test]
    fn an_attribute_of_a_flag_wins() {
        let config =
            AgentConfig { attributes: vec![("disk".into(), "ssd".into()), ("can".into(), "well".into())], ..config() };
        let runtime = Description { capabilities: vec!["can".into()], ..Default::default() };
        let all = attributes(&config, &runtime);
        let value = |name: &str| all.iter().find(|a| a.name == name).map(|a| a.value.clone());
        assert_eq!(value("disk").as_deref(), Some("ssd"));
        assert_eq!(value("can").as_deref(), Some("well"));
        assert_eq!(value("ecs.availability-zone").as_deref(), Some("a"));
    }
}
