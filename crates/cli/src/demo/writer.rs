//! Small writes through each member, so that it shows when none is acknowledged. They begin at a steady rate, whether
//! those before them are answered or not: a writer that waited for an answer would measure its own patience with the
//! member that is lost.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use seawall_env::{Env, Instant, Task, TaskKind};
use seawall_proto::v1::{Tag, TagResourceRequest, ecs_client::EcsClient};
use tokio::sync::Semaphore;
use tonic::transport::{Channel, Endpoint};

use crate::failure::Failure;

/// A write that is not answered for so long is given up.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Between two writes through one member: a steady trickle, not a load test.
const PAUSE: Duration = Duration::from_millis(20);
/// Writes through one member that wait for an answer.
const WAITING_MAX: usize = 128;
/// Between two looks for a write.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// An acknowledged write.
#[derive(Clone, Copy, Debug)]
struct Ack {
    begun: Instant,
    at: Instant,
}

/// Writers that run until this is dropped.
pub struct Writers {
    env: Env,
    acks: Arc<Mutex<Vec<Ack>>>,
    running: Vec<Task>,
}

impl Writers {
    /// One writer a member.
    pub fn start(env: &Env, endpoints: &[String], arn: &str) -> Result<Self, Failure> {
        let channel = |endpoint: &String| -> Result<Channel, Failure> {
            let uri = Endpoint::from_shared(format!("http://{endpoint}"));
            let uri = uri.map_err(|e| Failure::refused(format!("{endpoint}: {e}")))?;
            Ok(uri.connect_timeout(ANSWER_MAX).connect_lazy())
        };
        let channels = endpoints.iter().map(channel).collect::<Result<Vec<_>, _>>()?;
        let acks: Arc<Mutex<Vec<Ack>>> = Arc::default();
        let writer = |(member, channel)| {
            let write = write(env.clone(), channel, member, arn.to_owned(), Arc::clone(&acks));
            env.spawn(TaskKind::vital("demo writer"), write)
        };
        let running = channels.into_iter().enumerate().map(writer).collect();
        Ok(Writers { env: env.clone(), acks, running })
    }

    fn acks(&self) -> MutexGuard<'_, Vec<Ack>> {
        self.acks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long after `fault` the first write was acknowledged that was begun after it: one begun before may have been
    /// on its way back already.
    ///
    /// # Errors
    /// None was within `limit`.
    pub async fn first_after(&self, fault: Instant, limit: Duration) -> Result<Duration, Failure> {
        let deadline = fault + limit;
        loop {
            let first = self.acks().iter().filter(|ack| ack.begun > fault).map(|ack| ack.at).min();
            if let Some(first) = first {
                return Ok(first - fault);
            }
            if self.env.now() >= deadline {
                return Err(Failure::refused(format!("no write was acknowledged for {} s", limit.as_secs())));
            }
            self.env.sleep(LOOK_EVERY).await;
        }
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.running.iter().for_each(Task::abort);
    }
}

async fn write(env: Env, channel: Channel, member: usize, arn: String, acks: Arc<Mutex<Vec<Ack>>>) {
    let waiting = Arc::new(Semaphore::new(WAITING_MAX));
    for serial in 0u64.. {
        env.sleep(PAUSE).await;
        // Too many wait already: this one is left out.
        let Ok(place) = Arc::clone(&waiting).try_acquire_owned() else { continue };
        let tag = Tag { key: Some(format!("writer-{member}")), value: Some(serial.to_string()) };
        let request = TagResourceRequest { resource_arn: Some(arn.clone()), tags: vec![tag], ..Default::default() };
        let (mut client, acks, clock) = (EcsClient::new(channel.clone()), Arc::clone(&acks), env.clone());
        env.spawn(TaskKind::request("demo write"), async move {
            let begun = clock.now();
            // What is refused, or not answered, is not acknowledged: that is what is measured.
            if let Ok(Ok(_)) = clock.timeout(ANSWER_MAX, client.tag_resource(request)).await {
                let ack = Ack { begun, at: clock.now() };
                acks.lock().unwrap_or_else(PoisonError::into_inner).push(ack);
            }
            drop(place);
        });
    }
}
