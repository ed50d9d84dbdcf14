//! Services that clients create, scale, roll and delete through random members while faults happen. Afterwards the cluster
//! must show what was acknowledged, and soon run exactly that.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use seawall_proto::v1::{
    ContainerDefinition, CreateServiceRequest, DeleteServiceRequest, RegisterTaskDefinitionRequest,
    UpdateServiceRequest,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::view::{describe_services, state_of, view_through};
use crate::{
    checker::{
        Check,
        belief::{Belief, Change, State},
        convergence::{Expected, problems},
    },
    client::{CallError, Clients, POLL, call},
    history::{Outcome, Stop},
    report::Calls,
};

/// Tasks of one service at most: all services together fit into two of three zones.
const DESIRED_MAX: i32 = 6;
/// Longest pause of a client between two changes.
const PAUSE_MAX_MS: u64 = 1_000;
/// A member may still carry out what a client gave up on; afterwards nothing of the run is under way.
const LATE_CHANGES: Duration = Duration::from_secs(12);
/// Changes after healing are repeated until they are acknowledged or this has passed.
const FINAL_CHANGE_DEADLINE: Duration = Duration::from_secs(30);

/// What the clients know when they stop.
#[derive(Default)]
pub struct Outcomes {
    beliefs: BTreeMap<String, Belief>,
    /// Answers that contradict what was acknowledged.
    pub problems: Vec<String>,
    /// Calls so far.
    pub calls: Calls,
}

/// Services behind the members of a cluster.
#[derive(Clone)]
pub struct Services {
    clients: Clients,
    /// ARN of revision 1, 2, ….
    revisions: Vec<String>,
}

impl Services {
    /// Registers the task definitions that services will use.
    ///
    /// # Errors
    /// The cluster refused one.
    pub async fn new(clients: Clients) -> Result<Self> {
        let mut revisions = Vec::new();
        for cpu in [8, 9] {
            let container = ContainerDefinition {
                name: Some("app".into()),
                image: Some("app".into()),
                cpu: Some(cpu),
                memory: Some(8),
                essential: Some(true),
                ..Default::default()
            };
            let request = RegisterTaskDefinitionRequest {
                family: Some("convergence".into()),
                container_definitions: vec![container],
                ..Default::default()
            };
            let answer = call(clients.ecs(0).register_task_definition(request)).await?;
            let definition = answer.task_definition.context("no task definition in the answer")?;
            revisions.push(definition.task_definition_arn.context("no ARN in the answer")?);
        }
        Ok(Services { clients, revisions })
    }

    /// Lets clients, each with services of its own, change them until they are stopped.
    pub async fn run(&self, clients: u32, seed: u64, stop: Stop) -> Outcomes {
        let mut running = JoinSet::new();
        for id in 0..clients {
            let owner = Owner {
                services: self.clone(),
                rng: StdRng::seed_from_u64(seed ^ (u64::from(id) << 32)),
                id,
                generation: 0,
                outcomes: Outcomes::default(),
            };
            running.spawn(owner.work(stop.clone()));
        }
        let mut all = Outcomes::default();
        while let Some(ended) = running.join_next().await {
            // A client that panics would leave services that nobody checks.
            let mut one = ended.expect("a client failed");
            all.beliefs.append(&mut one.beliefs);
            all.problems.append(&mut one.problems);
            all.calls.ok += one.calls.ok;
            all.calls.fail += one.calls.fail;
            all.calls.unknown += one.calls.unknown;
        }
        all
    }

    /// After healing: what was acknowledged is there, and once every service has got a last, acknowledged size, desired
    /// equals actual within `deadline` on every member. How long that took is in the detail.
    pub async fn settle(&self, outcomes: Outcomes, seed: u64, deadline: Duration) -> Vec<Check> {
        let Outcomes { mut beliefs, mut problems, .. } = outcomes;
        sleep(LATE_CHANGES).await;
        let known = beliefs.len();
        for (name, belief) in &mut beliefs {
            match self.see(name).await {
                Err(error) => problems.push(format!("service {name} cannot be described: {error}")),
                Ok(state) => problems.extend(surprise(name, belief, state)),
            }
        }
        let mut expected = BTreeMap::new();
        let mut rng = StdRng::seed_from_u64(seed);
        for (name, belief) in &beliefs {
            let Some(State::Present { revision, .. }) = belief.last_seen() else { continue };
            let desired = rng.random_range(0..=DESIRED_MAX);
            problems.extend(self.scale_for_certain(name, desired).await.err().map(|e| format!("service {name}: {e}")));
            let task_definition = self.revisions[revision as usize - 1].clone();
            expected.insert(name.clone(), Expected { desired, task_definition });
        }
        let acknowledged = Check::of("G2 no acknowledged service is lost", &problems, format!("{known} services"));
        let names: Vec<String> = beliefs.into_keys().collect();
        vec![acknowledged, self.converge(&names, &expected, deadline).await]
    }

    async fn see(&self, name: &str) -> Result<State, CallError> {
        let until = Instant::now() + FINAL_CHANGE_DEADLINE;
        loop {
            match describe_services(&self.clients, 0, &[name.to_owned()]).await {
                Ok(services) => return Ok(state_of(services.first(), &self.revisions)),
                Err(error) if Instant::now() > until => return Err(error),
                Err(_) => sleep(POLL).await,
            }
        }
    }

    async fn scale_for_certain(&self, name: &str, desired: i32) -> Result<(), CallError> {
        let until = Instant::now() + FINAL_CHANGE_DEADLINE;
        loop {
            match self.change(0, name, Change::Scale(desired)).await {
                Ok(()) => return Ok(()),
                Err(error) if error.outcome == Outcome::Fail || Instant::now() > until => return Err(error),
                Err(_) => sleep(POLL).await,
            }
        }
    }

    async fn converge(&self, names: &[String], expected: &BTreeMap<String, Expected>, deadline: Duration) -> Check {
        const NAME: &str = "G6 desired equals actual, no task counted twice";
        let began = Instant::now();
        loop {
            let found = self.differences(names, expected).await;
            if found.is_empty() {
                let tasks: i32 = expected.values().map(|service| service.desired).sum();
                let took = began.elapsed().as_secs_f64();
                let detail = format!(
                    "{} services, {tasks} tasks, on every member, {took:.1} s after the last change",
                    expected.len()
                );
                return Check::of(NAME, &[], detail);
            }
            if began.elapsed() > deadline {
                return Check::of(NAME, &found, String::new());
            }
            sleep(POLL).await;
        }
    }

    async fn differences(&self, names: &[String], expected: &BTreeMap<String, Expected>) -> Vec<String> {
        for member in 0..self.clients.members() {
            let found = match view_through(&self.clients, member, names).await {
                Ok(view) => problems(expected, &view),
                Err(error) => vec![error.to_string()],
            };
            if !found.is_empty() {
                return found.into_iter().map(|problem| format!("through member {}: {problem}", member + 1)).collect();
            }
        }
        Vec::new()
    }

    async fn change(&self, member: usize, name: &str, change: Change) -> Result<(), CallError> {
        let mut ecs = self.clients.ecs(member);
        let update = UpdateServiceRequest { service: Some(name.into()), ..Default::default() };
        match change {
            Change::Create { desired, revision } => {
                let request = CreateServiceRequest {
                    service_name: Some(name.into()),
                    task_definition: Some(self.revisions[revision as usize - 1].clone()),
                    desired_count: Some(desired),
                    ..Default::default()
                };
                call(ecs.create_service(request)).await?;
            }
            Change::Scale(desired) => {
                call(ecs.update_service(UpdateServiceRequest { desired_count: Some(desired), ..update })).await?;
            }
            Change::Roll(revision) => {
                let task_definition = Some(self.revisions[revision as usize - 1].clone());
                call(ecs.update_service(UpdateServiceRequest { task_definition, ..update })).await?;
            }
            Change::Delete => {
                let request =
                    DeleteServiceRequest { service: Some(name.into()), force: Some(true), ..Default::default() };
                call(ecs.delete_service(request)).await?;
            }
        }
        Ok(())
    }
}

/// What is wrong with seeing `state`.
fn surprise(name: &str, belief: &mut Belief, state: State) -> Option<String> {
    let possible = belief.possible();
    (!belief.seen(state)).then(|| format!("service {name} is {state:?}, possible are {possible:?}"))
}

/// A client and the services that it alone changes, one at a time.
struct Owner {
    services: Services,
    rng: StdRng,
    id: u32,
    /// A deleted service's name is not used again, so that a late change cannot hit its successor.
    generation: u32,
    outcomes: Outcomes,
}

impl Owner {
    async fn work(mut self, stop: Stop) -> Outcomes {
        while !stop.stopped() {
            let name = format!("s{}-{}", self.id, self.generation);
            let member = self.rng.random_range(0..self.services.clients.members());
            match self.rng.random_range(0..10) {
                0..3 => self.look(member, &name).await,
                _ => self.change(member, &name).await,
            }
            sleep(Duration::from_millis(self.rng.random_range(0..=PAUSE_MAX_MS))).await;
        }
        self.outcomes
    }

    async fn look(&mut self, member: usize, name: &str) {
        let answer = describe_services(&self.services.clients, member, &[name.to_owned()]).await;
        self.count(answer.as_ref().err());
        let Ok(services) = answer else { return };
        let state = state_of(services.first(), &self.services.revisions);
        let belief = self.outcomes.beliefs.entry(name.to_owned()).or_default();
        self.outcomes.problems.extend(surprise(name, belief, state));
    }

    async fn change(&mut self, member: usize, name: &str) {
        let change = self.choose(name);
        let answer = self.services.change(member, name, change).await;
        self.count(answer.as_ref().err());
        let belief = self.outcomes.beliefs.entry(name.to_owned()).or_default();
        let surely_present = belief.surely_present();
        match answer {
            Ok(()) => {
                if !belief.acknowledged(change) {
                    self.outcomes.problems.push(format!("service {name}: {change:?} was acknowledged and cannot be"));
                }
                self.generation += u32::from(change == Change::Delete);
            }
            Err(error) if error.outcome == Outcome::Unknown => belief.unanswered(change),
            Err(error) => self.refused(name, change, surely_present, &error),
        }
    }

    /// An unanswered create or delete explains a refusal; nothing else does.
    fn refused(&mut self, name: &str, change: Change, surely_present: bool, error: &CallError) {
        let gone = ["ServiceNotFoundException", "ServiceNotActiveException"].contains(&error.exception.as_str());
        let creates = matches!(change, Change::Create { .. });
        if gone && surely_present {
            self.outcomes.problems.push(format!("service {name} was acknowledged and is gone: {error}"));
        } else if !gone && !creates {
            self.outcomes.problems.push(format!("service {name}: {change:?} was refused: {error}"));
        }
        self.generation += u32::from(gone);
    }

    fn choose(&mut self, name: &str) -> Change {
        let absent = self.outcomes.beliefs.get(name).is_none_or(|b| b.possible().iter().all(|s| *s == State::Absent));
        let desired = self.rng.random_range(0..=DESIRED_MAX);
        let revision = self.rng.random_range(1..=self.services.revisions.len() as i32);
        match self.rng.random_range(0..10) {
            _ if absent => Change::Create { desired, revision },
            0..5 => Change::Scale(desired),
            5..9 => Change::Roll(revision),
            _ => Change::Delete,
        }
    }

    fn count(&mut self, error: Option<&CallError>) {
        let calls = &mut self.outcomes.calls;
        match error.map_or(Outcome::Ok, |error| error.outcome) {
            Outcome::Ok => calls.ok += 1,
            Outcome::Fail => calls.fail += 1,
            Outcome::Unknown => calls.unknown += 1,
        }
    }
}
