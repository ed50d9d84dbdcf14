//! Service events: kept as code and arguments, worded here as ECS words them.

use seawall_proto::{
    internal::v1::{ServiceEventCode, ServiceEventRow},
    timestamp_unless_zero,
    v1::ServiceEvent,
};
use seawall_state::task_id;

/// The end of ECS's sentences that ask for help.
const MORE: &str = "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.";

/// One event of the service called `service`.
pub fn render(service: &str, event: &ServiceEventRow) -> ServiceEvent {
    ServiceEvent {
        id: Some(uuid(event.id_hi, event.id_lo)),
        created_at: timestamp_unless_zero(event.at_ms),
        message: Some(format!("(service {service}) {}", sentence(event))),
    }
}

fn sentence(event: &ServiceEventRow) -> String {
    let (number, detail) = (event.count, &event.detail);
    match ServiceEventCode::try_from(event.code).unwrap_or_default() {
        ServiceEventCode::Unspecified => detail.clone(),
        ServiceEventCode::Started => format!("has started {number} tasks: {}.", tasks(event)),
        ServiceEventCode::Stopped => format!("has stopped {number} running tasks: {}.", tasks(event)),
        ServiceEventCode::DeploymentCompleted => {
            format!("(deployment ecs-svc/{}) deployment completed.", event.deployment_id)
        }
        ServiceEventCode::DeploymentFailed => {
            let alike =
                if detail.is_empty() { String::new() } else { format!(" The last ones ended alike: {detail}.") };
            format!("(deployment ecs-svc/{}) deployment failed: tasks failed to start.{alike}", event.deployment_id)
        }
        ServiceEventCode::DeploymentStopped => {
            format!(
                "(deployment ecs-svc/{}) deployment stopped: StopServiceDeployment was called.",
                event.deployment_id
            )
        }
        ServiceEventCode::RollingBack => format!("rolling back to deployment ecs-svc/{}.", event.deployment_id),
        ServiceEventCode::SteadyState => "has reached a steady state.".into(),
        ServiceEventCode::UnableToPlace => unable_to_place(detail),
        ServiceEventCode::UnableToStart => "is unable to consistently start tasks successfully.".into(),
        ServiceEventCode::BlockedByPercents => "was unable to stop or start tasks during a deployment because of the \
             service deployment configuration. Update the minimumHealthyPercent or maximumPercent value and try again."
            .into(),
        ServiceEventCode::InstanceLost => {
            format!("lost contact with {number} tasks on (container-instance {detail}) and replaces them.")
        }
        ServiceEventCode::InstanceAwaited => format!(
            "lost contact with {number} tasks on (container-instance {detail}) and waits for it before it replaces them."
        ),
        ServiceEventCode::ReplacementWaits => format!(
            "lost contact with {number} tasks on (container-instance {detail}): it may still run there, and another starts \
             when it has surely ended."
        ),
        ServiceEventCode::StoredOnly => format!("{detail} is stored but has no effect in this version"),
        ServiceEventCode::NotBalanced => format!("is not AZ balanced with {detail}. AZ Rebalancing in progress."),
        ServiceEventCode::Balanced => format!("is AZ balanced with {detail}."),
        ServiceEventCode::NotEven => {
            format!("is not spread evenly over its instances with {detail}. Rebalancing in progress.")
        }
        ServiceEventCode::Even => "is spread evenly over its instances.".into(),
        ServiceEventCode::BalanceProtected => format!(
            "was unable to AZ Rebalance because (taskSet ecs-svc/{}) was unable to scale in due to (reason {number} tasks \
             under protection).",
            event.deployment_id
        ),
        ServiceEventCode::ScaleInProtected => format!(
            "was unable to reach steady state because (taskSet ecs-svc/{}) was unable to scale in due to (reason {number} \
             tasks under protection)",
            event.deployment_id
        ),
        ServiceEventCode::Preempted => {
            let by = if detail.is_empty() { "another service".to_owned() } else { format!("(service {detail})") };
            format!("has stopped {number} tasks to make room for {by}, which has a higher priority: {}.", tasks(event))
        }
        ServiceEventCode::Preempting => {
            format!("makes room by stopping {number} tasks of lower priority ({detail}).")
        }
        ServiceEventCode::BalanceEnded => "stopped AZ Rebalancing.".into(),
        ServiceEventCode::MassLossHold => {
            "holds back replacements because too many container instances fell silent at once.".into()
        }
    }
}

/// ECS has two forms: one names the closest match, the other gives a reason.
fn unable_to_place(detail: &str) -> String {
    if detail.starts_with("Reason:") {
        return format!("was unable to place a task. {detail} {MORE}");
    }
    let closest = if detail.is_empty() { String::new() } else { format!("{detail} ") };
    format!("was unable to place a task because no container instance met all of its requirements. {closest}{MORE}")
}

fn tasks(event: &ServiceEventRow) -> String {
    event.tasks.iter().map(|id| format!("(task {})", task_id(id))).collect::<Vec<_>>().join(" ")
}

fn uuid(hi: u64, lo: u64) -> String {
    let hex = format!("{hi:016x}{lo:016x}");
    let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
    format!("{a}-{b}-{c}-{d}-{e}")
}

#[cfg(test)]
mod tests {
    use seawall_model::Id128;
    use seawall_state::task_id_message;

    use super::*;

    fn worded(event: ServiceEventRow) -> String {
        render("web", &event).message.unwrap()
    }

    fn event(code: ServiceEventCode) -> ServiceEventRow {
        ServiceEventRow {
            id_hi: 1,
            id_lo: 2,
            at_ms: 1500,
            code: code.into(),
            tasks: vec![task_id_message(Id128(0xa)), task_id_message(Id128(0xb))],
            count: 2,
            deployment_id: 77,
            detail: "x".into(),
        }
    }

    #[test]
    fn events_have_the_words_of_ecs() {
        let (a, b) = (Id128(0xa), Id128(0xb));
        assert_eq!(
            worded(event(ServiceEventCode::Started)),
            format!("(service web) has started 2 tasks: (task {a}) (task {b}).")
        );
        assert_eq!(
            worded(event(ServiceEventCode::Stopped)),
            format!("(service web) has stopped 2 running tasks: (task {a}) (task {b}).")
        );
        assert_eq!(
            worded(event(ServiceEventCode::DeploymentCompleted)),
            "(service web) (deployment ecs-svc/77) deployment completed."
        );
        assert_eq!(worded(event(ServiceEventCode::SteadyState)), "(service web) has reached a steady state.");
        assert_eq!(
            worded(event(ServiceEventCode::DeploymentFailed)),
            "(service web) (deployment ecs-svc/77) deployment failed: tasks failed to start. The last ones ended alike: x."
        );
        assert_eq!(
            worded(event(ServiceEventCode::RollingBack)),
            "(service web) rolling back to deployment ecs-svc/77."
        );
        let preempted = ServiceEventRow { detail: "api".into(), ..event(ServiceEventCode::Preempted) };
        assert_eq!(
            worded(preempted),
            format!(
                "(service web) has stopped 2 tasks to make room for (service api), which has a higher priority: (task {a}) (task {b})."
            )
        );
        assert_eq!(
            worded(event(ServiceEventCode::Preempting)),
            "(service web) makes room by stopping 2 tasks of lower priority (x)."
        );
        let balance =
            ServiceEventRow { detail: "2 tasks in a, 0 tasks in b".into(), ..event(ServiceEventCode::NotBalanced) };
        assert_eq!(
            worded(balance),
            "(service web) is not AZ balanced with 2 tasks in a, 0 tasks in b. AZ Rebalancing in progress."
        );
        assert_eq!(
            worded(event(ServiceEventCode::BalanceProtected)),
            "(service web) was unable to AZ Rebalance because (taskSet ecs-svc/77) was unable to scale in due to (reason 2 \
             tasks under protection)."
        );
        assert_eq!(
            worded(event(ServiceEventCode::ScaleInProtected)),
            "(service web) was unable to reach steady state because (taskSet ecs-svc/77) was unable to scale in due to \
             (reason 2 tasks under protection)"
        );
        assert_eq!(
            worded(event(ServiceEventCode::StoredOnly)),
            "(service web) x is stored but has no effect in this version"
        );
    }

    #[test]
    fn what_could_not_be_placed_names_the_closest_match_or_the_reason() {
        let placed =
            |detail: &str| worded(ServiceEventRow { detail: detail.into(), ..event(ServiceEventCode::UnableToPlace) });
        assert_eq!(
            placed("The closest matching (container-instance 1) has insufficient CPU units available."),
            "(service web) was unable to place a task because no container instance met all of its requirements. The \
             closest matching (container-instance 1) has insufficient CPU units available. For more information, see the \
             Troubleshooting section of the Amazon ECS Developer Guide."
        );
        assert_eq!(
            placed("Reason: No Container Instances were found in your cluster."),
            "(service web) was unable to place a task. Reason: No Container Instances were found in your cluster. For more \
             information, see the Troubleshooting section of the Amazon ECS Developer Guide."
        );
    }

    #[test]
    fn an_event_has_a_uuid_and_a_time() {
        let rendered = render("web", &event(ServiceEventCode::SteadyState));
        assert_eq!(rendered.id.unwrap(), "00000000-0000-0001-0000-000000000002");
        assert_eq!(seawall_proto::millis(&rendered.created_at.unwrap()), 1500);
    }
}
