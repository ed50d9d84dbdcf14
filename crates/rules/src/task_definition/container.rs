//! What concerns one container alone.

use seawall_model::ApiError;
use seawall_proto::v1::ContainerDefinition;

use super::invalid;

/// Labels by which agents find their containers again: another value would make them lose one or adopt a stranger's.
const RESERVED_LABELS: &[&str] = &["com.amazonaws.ecs.", "seawall."];
/// A ulimit without limit.
const UNLIMITED: i32 = -1;

/// Image, environment, labels, ulimits, stopTimeout, workingDirectory, cpu.
pub fn check(container: &ContainerDefinition) -> Result<(), ApiError> {
    if container.image().is_empty() {
        return Err(ApiError::client("Container.image should not be null or empty."));
    }
    if container.image().chars().any(char::is_whitespace) {
        return Err(invalid(container, format!("image '{}' holds a space.", container.image())));
    }
    if container.cpu() < 0 {
        return Err(invalid(container, "cpu must not be negative."));
    }
    if container.stop_timeout() < 0 {
        return Err(invalid(container, "stopTimeout must not be negative."));
    }
    let directory = container.working_directory();
    if !directory.is_empty() && !directory.starts_with('/') {
        return Err(invalid(container, format!("workingDirectory '{directory}' must be an absolute path.")));
    }
    check_environment(container)?;
    check_labels(container)?;
    check_ulimits(container)
}

fn check_environment(container: &ContainerDefinition) -> Result<(), ApiError> {
    match container.environment.iter().find(|pair| pair.name().is_empty() || pair.name().contains('=')) {
        None => Ok(()),
        Some(pair) => Err(invalid(
            container,
            format!("environment name '{}' must not be empty and must not hold '='.", pair.name()),
        )),
    }
}

fn check_labels(container: &ContainerDefinition) -> Result<(), ApiError> {
    let reserved = |label: &&String| RESERVED_LABELS.iter().any(|prefix| label.starts_with(prefix));
    match container.docker_labels.keys().find(reserved) {
        None => Ok(()),
        Some(label) => Err(invalid(container, format!("The label '{label}' in dockerLabels is reserved."))),
    }
}

fn check_ulimits(container: &ContainerDefinition) -> Result<(), ApiError> {
    for (i, ulimit) in container.ulimits.iter().enumerate() {
        let (name, soft, hard) = (ulimit.name(), ulimit.soft_limit(), ulimit.hard_limit());
        if container.ulimits[..i].iter().any(|other| other.name == ulimit.name) {
            return Err(invalid(container, format!("ulimit {name} is given twice.")));
        }
        if soft < UNLIMITED || hard < UNLIMITED {
            return Err(invalid(container, format!("ulimit {name}: a limit is -1 (unlimited) or more.")));
        }
        let over = hard != UNLIMITED && (soft == UNLIMITED || soft > hard);
        if over {
            return Err(invalid(
                container,
                format!("ulimit {name}: softLimit {soft} is greater than hardLimit {hard}."),
            ));
        }
    }
    Ok(())
}
