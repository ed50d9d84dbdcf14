//! A task's health from its containers': ECS's rule. Pure.

use seawall_proto::internal::v1::Health;

/// UNHEALTHY if any essential container is, else UNKNOWN if any is, else HEALTHY. `containers` are (essential, health).
pub fn of_task(containers: impl IntoIterator<Item = (bool, Health)>) -> Health {
    let mut task = Health::Healthy;
    let mut any = false;
    for (_, health) in containers.into_iter().filter(|(essential, _)| *essential) {
        any = true;
        match health {
            Health::Unhealthy => return Health::Unhealthy,
            Health::Unknown => task = Health::Unknown,
            Health::Healthy => {}
        }
    }
    if any { task } else { Health::Unknown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_unhealthy_beats_unknown_beats_healthy() {
        use Health::{Healthy, Unhealthy, Unknown};
        assert_eq!(of_task([(true, Healthy), (true, Unknown), (true, Unhealthy)]), Unhealthy);
        assert_eq!(of_task([(true, Healthy), (true, Unknown)]), Unknown);
        assert_eq!(of_task([(true, Healthy), (false, Unhealthy)]), Healthy);
        assert_eq!(of_task([]), Unknown);
    }
}
