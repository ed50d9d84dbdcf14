//! What this machine has to share out.

use std::path::Path;

use seawall_env::Env;

/// CPU units of one core.
const UNITS_A_CORE: u32 = 1024;
/// Where the system does not say.
const CORES_UNKNOWN: u32 = 1;
/// Where the system does not say.
const MEMORY_UNKNOWN_MIB: u64 = 1024;

/// CPU units of all cores.
pub fn cpu_units(env: &Env) -> u32 {
    let text = text(env, "/proc/cpuinfo");
    let cores = text.lines().filter(|line| line.starts_with("processor")).count();
    let cores = u32::try_from(cores).ok().filter(|cores| *cores > 0).unwrap_or(CORES_UNKNOWN);
    cores * UNITS_A_CORE
}

/// All memory.
pub fn memory_mib(env: &Env) -> u64 {
    let text = text(env, "/proc/meminfo");
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map_or(MEMORY_UNKNOWN_MIB, |kib| kib / 1024)
}

fn text(env: &Env, path: &str) -> String {
    let bytes = env.fs().read(Path::new(path)).ok().flatten().unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
