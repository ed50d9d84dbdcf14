//! What happens to the owner's containers, from the engine's stream of events.
//!
//! The engine filters by label; each event is looked at again all the same. When its stream ends, for a restart or by an
//! event that cannot be read, so does ours: the reader then looks at its containers.

use std::collections::HashMap;

use bollard::{errors::Error, models::EventMessage, query_parameters::EventsOptions};
use futures::{Stream, StreamExt};
use seawall_env::TaskKind;
use tokio::sync::mpsc;

use super::{
    api::{Api, ApiError},
    labels::{self, Marks},
    observe,
};
use crate::{
    runtime::{EVENTS_WAITING, Event, EventKind},
    spec::Owner,
};

/// What the engine is asked for. It matches beginnings: "health_status" is all of them.
const ACTIONS: [&str; 5] = ["start", "oom", "die", "health_status", "destroy"];
const MS_PER_S: i64 = 1000;

/// The events of `owner`'s containers from now on.
pub async fn open(api: &Api, owner: &Owner) -> Result<mpsc::Receiver<Event>, ApiError> {
    let since_ms = api.env.wall_ms();
    // The stream itself says nothing until something happens: this finds out whether anyone is there.
    api.agree().await?;
    let events = api.docker.events(Some(options(owner, since_ms)));
    let (out, receiver) = mpsc::channel(EVENTS_WAITING);
    api.env.spawn(TaskKind::request("docker events"), forward(events, out, owner.clone()));
    Ok(receiver)
}

fn options(owner: &Owner, since_ms: i64) -> EventsOptions {
    let label = |name: &str, value: &str| format!("{name}={value}");
    let filters = HashMap::from([
        ("type".to_owned(), vec!["container".to_owned()]),
        ("event".to_owned(), ACTIONS.map(str::to_owned).to_vec()),
        (
            "label".to_owned(),
            vec![label(labels::CLUSTER_ID, &owner.cluster_id), label(labels::INSTANCE_ID, &owner.instance)],
        ),
    ]);
    let since = format!("{}.{:03}", since_ms / MS_PER_S, since_ms % MS_PER_S);
    EventsOptions { since: Some(since), until: None, filters: Some(filters) }
}

async fn forward(events: impl Stream<Item = Result<EventMessage, Error>>, out: mpsc::Sender<Event>, owner: Owner) {
    let mut events = std::pin::pin!(events);
    loop {
        let next = tokio::select! {
            biased;
            () = out.closed() => return,
            next = events.next() => next,
        };
        let event = match next {
            Some(Ok(message)) => translate(&message, &owner),
            Some(Err(error)) => return tracing::warn!(%error, "the engine's events break off"),
            None => return,
        };
        if let Some(event) = event
            && out.send(event).await.is_err()
        {
            return;
        }
    }
}

fn translate(message: &EventMessage, owner: &Owner) -> Option<Event> {
    let attributes = message.actor.as_ref()?.attributes.as_ref()?;
    let marks = Marks::read(attributes).filter(|marks| marks.owner == *owner)?;
    let kind = match message.action.as_deref()? {
        "start" => EventKind::Started,
        "oom" => EventKind::Oom,
        "die" => EventKind::Exited(attributes.get("exitCode").and_then(|code| code.parse().ok())),
        "destroy" => EventKind::Removed,
        other => EventKind::Health(observe::health_named(other.strip_prefix("health_status: ")?)),
    };
    Some(Event { task: marks.task, index: marks.index, kind })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bollard::models::EventActor;
    use seawall_proto::internal::v1::Health;

    use super::*;
    use crate::{engine::testing, spec::ContainerSpec};

    fn spec() -> ContainerSpec {
        let mut task = testing::task(vec![testing::container("init"), testing::container("app")]);
        task.owner = owner();
        ContainerSpec { task: Arc::new(task), index: 1 }
    }

    fn owner() -> Owner {
        Owner { cluster_id: "c".into(), instance: "i".into() }
    }

    fn event(action: &str, more: &[(&str, &str)]) -> Option<EventKind> {
        event_for(action, more, &owner())
    }

    fn event_for(action: &str, more: &[(&str, &str)], owner: &Owner) -> Option<EventKind> {
        let mut attributes = labels::of(&spec());
        attributes.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let actor = EventActor { attributes: Some(attributes), ..Default::default() };
        let message = EventMessage { action: Some(action.into()), actor: Some(actor), ..Default::default() };
        let event = translate(&message, owner)?;
        assert_eq!((event.task, event.index), (spec().task.id, 1));
        Some(event.kind)
    }

    #[test]
    fn actions_are_translated() {
        assert_eq!(event("start", &[]), Some(EventKind::Started));
        assert_eq!(event("oom", &[]), Some(EventKind::Oom));
        assert_eq!(event("die", &[("exitCode", "137")]), Some(EventKind::Exited(Some(137))));
        assert_eq!(event("die", &[]), Some(EventKind::Exited(None)));
        assert_eq!(event("health_status: healthy", &[]), Some(EventKind::Health(Health::Healthy)));
        assert_eq!(event("health_status: unhealthy", &[]), Some(EventKind::Health(Health::Unhealthy)));
        assert_eq!(event("destroy", &[]), Some(EventKind::Removed));
        assert_eq!(event("exec_start: sh", &[]), None);
    }

    #[test]
    fn containers_of_another_agent_are_not_reported() {
        let other = Owner { instance: "other".into(), ..owner() };
        assert_eq!(event_for("start", &[], &other), None);
    }
}
