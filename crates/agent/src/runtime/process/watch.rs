//! Events, by looking at the containers that have not ended: a shim writes its status when something changes, and a file
//! lock is all that a killed one leaves.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use seawall_env::Env;
use tokio::sync::mpsc;

use super::{
    Watched,
    folders::{Folders, Place},
    lock,
};
use crate::{
    runtime::{Event, EventKind, Observed, Phase},
    spec::Owner,
};

/// Between two looks: fifty containers take about 1 % of a core then, and an end is told before anyone waits for it.
const PERIOD: Duration = Duration::from_millis(100);

/// One stream of events.
pub struct Watch {
    env: Env,
    folders: Arc<Folders>,
    watched: Arc<Mutex<Watched>>,
    owner: Owner,
    /// As it was last, and in which of its runs.
    seen: BTreeMap<Place, (u32, Observed)>,
}

impl Watch {
    /// Of the containers of one owner.
    pub fn new(env: Env, folders: Arc<Folders>, watched: Arc<Mutex<Watched>>, owner: Owner) -> Self {
        Watch { env, folders, watched, owner, seen: BTreeMap::new() }
    }

    /// Runs for as long as someone listens.
    pub async fn run(mut self, events: mpsc::Sender<Event>) {
        loop {
            for event in self.look().await {
                if events.send(event).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                biased;
                () = events.closed() => return,
                () = self.env.sleep(PERIOD) => {}
            }
        }
    }

    async fn look(&mut self) -> Vec<Event> {
        let places = self.open_places();
        if places.is_empty() {
            return Vec::new();
        }
        let folders = self.folders.clone();
        let look = move || places.into_iter().map(|(place, run)| (place, run, folders.look(place))).collect::<Vec<_>>();
        let looked = self.env.thread("process events", look).await;
        looked.into_iter().flat_map(|(place, run, now)| self.note(place, run, now)).collect()
    }

    /// Those that can still change.
    fn open_places(&mut self) -> Vec<(Place, u32)> {
        let watched = lock(&self.watched);
        self.seen.retain(|place, (run, _)| watched.get(place).is_some_and(|watchee| watchee.restarts == *run));
        let is_over = |place: &Place| self.seen.get(place).is_some_and(|(_, seen)| seen.phase >= Phase::Exited);
        let ours = watched.iter().filter(|(_, watchee)| watchee.owner == self.owner);
        ours.map(|(place, watchee)| (*place, watchee.restarts)).filter(|(place, _)| !is_over(place)).collect()
    }

    fn note(&mut self, place: Place, run: u32, now: io::Result<Option<Observed>>) -> Vec<Event> {
        let now = match now {
            Ok(now) => now.unwrap_or(Observed { phase: Phase::Removed, ..Default::default() }),
            Err(error) => {
                // What keeps failing is told by whoever asks for this container.
                tracing::debug!(container = %place, %error, "cannot look at a container");
                return Vec::new();
            }
        };
        let (_, before) = self.seen.insert(place, (run, now.clone())).unwrap_or_default();
        let events = changes(&before, &now).into_iter();
        events.map(|kind| Event { task: place.task, index: place.index, kind }).collect()
    }
}

fn changes(before: &Observed, now: &Observed) -> Vec<EventKind> {
    let mut events = Vec::new();
    let is_new = now.phase > before.phase;
    // One that ended before it was looked at has started as well.
    let has_run = matches!(now.phase, Phase::Running | Phase::Exited);
    if is_new && has_run && before.phase < Phase::Running {
        events.push(EventKind::Started);
    }
    if now.health != before.health && now.phase != Phase::Removed {
        events.push(EventKind::Health(now.health));
    }
    if now.oom && !before.oom {
        events.push(EventKind::Oom);
    }
    if is_new && now.phase == Phase::Exited {
        events.push(EventKind::Exited(now.exit_code));
    }
    if is_new && now.phase == Phase::Removed {
        events.push(EventKind::Removed);
    }
    events
}

#[cfg(test)]
mod tests {
    use seawall_proto::internal::v1::Health;

    use super::*;

    #[test]
    fn each_change_is_one_event() {
        let created = Observed { phase: Phase::Created, ..Default::default() };
        let running = Observed { phase: Phase::Running, ..Default::default() };
        let healthy = Observed { health: Health::Healthy, ..running.clone() };
        let killed = Observed { phase: Phase::Exited, oom: true, exit_code: Some(137), ..healthy.clone() };
        assert!(changes(&Observed::default(), &created).is_empty());
        assert_eq!(changes(&created, &running), [EventKind::Started]);
        assert_eq!(changes(&running, &healthy), [EventKind::Health(Health::Healthy)]);
        assert_eq!(changes(&healthy, &killed), [EventKind::Oom, EventKind::Exited(Some(137))]);
        assert!(changes(&killed, &killed).is_empty());
        let removed = Observed { phase: Phase::Removed, ..Default::default() };
        assert_eq!(changes(&healthy, &removed), [EventKind::Removed]);
    }
}
