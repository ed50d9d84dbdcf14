//! What a fake container does, by its environment or by chance.

use std::time::Duration;

use seawall_env::Env;
use seawall_proto::{internal::v1::Health, v1::ContainerDefinition};

use super::FakeConfig;

/// What a container does.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// `FAKE_START_MS`: its start takes this long.
    pub start: Duration,
    /// `FAKE_START_ERROR`: its start fails.
    pub start_error: Option<String>,
    /// `FAKE_RESTART_ERROR`: starting it again fails.
    pub restart_error: Option<String>,
    /// `FAKE_RUN_MS`: it ends by itself.
    pub run: Option<Duration>,
    /// `FAKE_EXIT_CODE`: with this code.
    pub exit_code: i32,
    /// `FAKE_OOM`: killed for memory.
    pub oom: bool,
    /// `FAKE_OOM=late`: which is told only after the exit, as an engine may.
    pub oom_is_late: bool,
    /// `FAKE_HEALTHY_MS` or `FAKE_UNHEALTHY_MS`: its health check says so after this long.
    pub healthy: Option<Duration>,
    /// What the health check says.
    pub health: Health,
    /// `FAKE_STOP_MS`: it takes this long to end after SIGTERM.
    pub stop: Duration,
}

impl Behaviour {
    /// Of one container.
    pub fn of(definition: &ContainerDefinition, config: &FakeConfig, env: &Env) -> Self {
        let variable = |name: &str| {
            definition.environment.iter().find(|pair| pair.name() == name).map(|pair| pair.value().to_owned())
        };
        let number = |name: &str| variable(name).and_then(|text| text.parse::<u64>().ok());
        let length = |name: &str| number(name).map(Duration::from_millis);
        let oom_word = variable("FAKE_OOM");
        let oom = oom_word.is_some();
        let code = number("FAKE_EXIT_CODE").and_then(|code| i32::try_from(code).ok());
        let unhealthy = length("FAKE_UNHEALTHY_MS");
        Behaviour {
            start: length("FAKE_START_MS").unwrap_or_else(|| between(env, config.start)),
            start_error: variable("FAKE_START_ERROR"),
            restart_error: variable("FAKE_RESTART_ERROR"),
            run: length("FAKE_RUN_MS").or_else(|| config.run.map(|range| between(env, range))),
            exit_code: code.unwrap_or(if oom { 137 } else { 0 }),
            oom,
            oom_is_late: oom_word.is_some_and(|word| word == "late"),
            health: if unhealthy.is_some() { Health::Unhealthy } else { Health::Healthy },
            healthy: unhealthy.or_else(|| length("FAKE_HEALTHY_MS")),
            stop: length("FAKE_STOP_MS").unwrap_or(Duration::ZERO),
        }
    }
}

fn between(env: &Env, (shortest, longest): (Duration, Duration)) -> Duration {
    let part = env.random_u64() as f64 / u64::MAX as f64;
    shortest + longest.saturating_sub(shortest).mul_f64(part)
}
