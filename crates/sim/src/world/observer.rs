//! Sees everything that members apply and whom they follow, from a machine that nothing happens to.

use std::sync::{Arc, Mutex};

use seawall_consensus::{AppliedEntry, AppliedReceiver, Leadership};
use seawall_env::{Env, TaskKind};
use seawall_server::simulated::Member;
use tokio::sync::{broadcast::error::RecvError, watch};

use super::lock;

const FOLLOW: TaskKind = TaskKind::vital("observer");

/// One thing that a member did.
pub enum Seen {
    /// It applied an entry, or took a state from a peer (then without effects).
    Applied(Arc<AppliedEntry>),
    /// It follows somebody, or leads.
    Leadership(Leadership),
}

/// See the module. Clones share what was seen.
#[derive(Clone)]
pub struct Observer {
    env: Env,
    seen: Arc<Mutex<Vec<(String, Seen)>>>,
}

impl Observer {
    pub(super) fn new(env: Env) -> Observer {
        Observer { env, seen: Arc::default() }
    }

    /// What happened since it was taken last, in order.
    pub(super) fn take(&self) -> Vec<(String, Seen)> {
        std::mem::take(&mut lock(&self.seen))
    }

    pub(super) fn follow(&self, name: &str, member: &Member) {
        // The state that the member began with is seen too.
        let (applied, leadership) = (member.consensus().applied(), member.consensus().watch_leadership());
        let follower = Follower { name: name.to_owned(), seen: self.seen.clone() };
        self.env.spawn(FOLLOW, follower.run(applied, leadership));
    }
}

struct Follower {
    name: String,
    seen: Arc<Mutex<Vec<(String, Seen)>>>,
}

impl Follower {
    /// Until the member's process is gone.
    async fn run(self, mut applied: AppliedReceiver, mut leadership: watch::Receiver<Leadership>) {
        loop {
            let now = *leadership.borrow_and_update();
            self.push(Seen::Leadership(now));
            loop {
                tokio::select! {
                    biased;
                    changed = leadership.changed() => match changed {
                        Ok(()) => break,
                        Err(_) => return,
                    },
                    entry = applied.recv() => match entry {
                        Ok(entry) => self.push(Seen::Applied(entry)),
                        Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => return,
                    },
                }
            }
        }
    }

    fn push(&self, seen: Seen) {
        lock(&self.seen).push((self.name.clone(), seen));
    }
}
