//! The demo's story, told to a cluster that is ready.

use std::{cell::Cell, time::Duration};

use seawall_proto::v1::{
    CreateServiceRequest, DeploymentConfiguration, Endpoint, RegisterTaskDefinitionRequest, Task, UpdateServiceRequest,
};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::{
    probe::Prober,
    timeline::Timeline,
    view::{SERVICE, View, WAIT_MAX, is_running},
    writer::Writers,
};
use crate::{
    context::Context,
    dev::cluster::{Action, Done, Request},
    failure::Failure,
    names,
};

/// Tasks of the service: two in each zone.
const COUNT: usize = 6;
/// And after it was scaled out.
const MORE: usize = 9;
/// Of the service's tasks, so many percent may be missing while a new version is rolled out.
const HEALTHY_PERCENT_MIN: i32 = 50;
/// And so many more than it has may run.
const PERCENT_MAX: i32 = 150;
/// So many tasks must answer at any moment of a roll-out.
const ANSWERING_MIN: usize = COUNT * HEALTHY_PERCENT_MIN as usize / 100;
/// A task that was started a moment ago may not hear that it should end: it is killed after this.
const STOP_S: u32 = 2;
/// Between two looks at who answers.
const PROBE_EVERY: Duration = Duration::from_millis(50);
/// The web service's port in its container.
const PORT: u16 = 8080;
/// Why a runtime without programs has no answers.
const NOTHING_ANSWERS: &str = "the fake runtime runs nothing that could answer";

/// What the web service is.
pub struct Web {
    /// Its image.
    pub image: String,
    /// Its command.
    pub command: Vec<String>,
    /// Whether it answers: the fake runtime runs nothing.
    pub answers: bool,
}

/// The stage: the cluster, and what is shown on it.
pub struct Story<'a> {
    /// The command's own context.
    pub ctx: &'a Context,
    /// What was done.
    pub timeline: &'a mut Timeline,
    /// Whom to ask to lose a zone.
    pub requests: mpsc::Sender<Request>,
    /// Zones, and their members' addresses.
    pub zones: Vec<(String, String)>,
    /// What runs.
    pub web: Web,
}

impl Story<'_> {
    /// Tells it all.
    ///
    /// # Errors
    /// A step did not hold.
    pub async fn tell(&mut self) -> Result<(), Failure> {
        let all = self.view(None);
        self.first_version(&all).await?;
        let writers = Writers::start(&self.ctx.env, &self.addresses(None), &all.cluster_arn().await?)?;
        let lost = self.lose(&writers, Action::Kill).await?;
        self.come_back(&all, lost).await?;
        let lost = self.lose(&writers, Action::Cut).await?;
        self.come_back(&all, lost).await?;
        drop(writers);
        self.second_version(&all).await?;
        self.scale(&all).await?;
        self.delete(&all).await
    }

    fn addresses(&self, without: Option<&str>) -> Vec<String> {
        let left = self.zones.iter().filter(|(zone, _)| Some(zone.as_str()) != without);
        left.map(|(_, address)| address.clone()).collect()
    }

    fn view(&self, without: Option<&str>) -> View {
        View::new(self.ctx, &self.addresses(without))
    }

    fn definition(&self, version: u32) -> Result<RegisterTaskDefinitionRequest, Failure> {
        let definition = json!({
            "family": SERVICE,
            "containerDefinitions": [{
                "name": SERVICE,
                "image": self.web.image,
                "command": self.web.command,
                "essential": true,
                "cpu": 32,
                "memoryReservation": 32,
                "memory": 256,
                "stopTimeout": STOP_S,
                "environment": [{ "name": "WEB_VERSION", "value": version.to_string() }],
                "portMappings": [{ "containerPort": PORT, "hostPort": 0, "protocol": "tcp" }],
            }],
        });
        serde_json::from_value(definition).map_err(|e| Failure::refused(format!("the demo's definition: {e}")))
    }

    async fn first_version(&mut self, view: &View) -> Result<(), Failure> {
        let definition = self.definition(1)?;
        let step = async {
            let made = view.register(definition).await?;
            let name = names::short(made.task_definition_arn()).to_owned();
            Ok((name.clone(), format!("{name}, one container with a port")))
        };
        let definition = self.timeline.step("register a task definition", step).await?;
        let step = async {
            view.create(CreateServiceRequest {
                service_name: Some(SERVICE.to_owned()),
                task_definition: Some(definition),
                desired_count: Some(COUNT as i32),
                deployment_configuration: Some(DeploymentConfiguration {
                    minimum_healthy_percent: Some(HEALTHY_PERCENT_MIN),
                    maximum_percent: Some(PERCENT_MAX),
                    ..Default::default()
                }),
                ..Default::default()
            })
            .await?;
            let zones = view.running(COUNT, None).await?;
            if zones.count() != self.zones.len() || !zones.is_even() {
                return Err(Failure::refused(format!("not spread evenly: {zones}")));
            }
            view.stable().await?;
            Ok(((), format!("{COUNT} tasks RUNNING: {zones}")))
        };
        self.timeline.step("create a service of six tasks", step).await?;
        self.all_answer(view, "all six answer over HTTP", COUNT, 1).await
    }

    async fn all_answer(&mut self, view: &View, name: &str, count: usize, version: u32) -> Result<(), Failure> {
        if !self.web.answers {
            return self.timeline.skip(name, NOTHING_ANSWERS);
        }
        let prober = Prober::new(&self.ctx.env);
        let begins = format!("version {version},");
        let step = view.until(async || {
            let answers = prober.answers(&view.endpoints().await?).await;
            let right = answers.iter().filter(|answer| answer.starts_with(&begins)).count();
            Ok(match right == count && answers.len() == count {
                true => Ok(((), format!("{count} answers, such as {:?}", answers[0]))),
                false => Err(format!("{} of {count} tasks answer, {right} with version {version}", answers.len())),
            })
        });
        self.timeline.step(name, step).await
    }

    /// Loses the zone that holds the leader, and waits until all is well without it.
    async fn lose(&mut self, writers: &Writers, action: Action) -> Result<Lost, Failure> {
        let (name, how, answered) = match action {
            Action::Kill => ("the leader's zone loses power", "killed", "six answer without it"),
            _ => ("the leader's zone is cut off", "silenced", "six answer beside it"),
        };
        let all = self.view(None);
        let leader = all.status().await?.leader;
        let zone = self.zones.iter().find(|(zone, _)| !leader.is_empty() && zone.ends_with(&leader));
        let (zone, _) = zone.cloned().ok_or_else(|| Failure::refused("nobody leads"))?;
        let tasks: Vec<Task> = all.tasks().await?;
        let tasks: Vec<Task> = tasks.into_iter().filter(|task| task.availability_zone() == zone).collect();
        let endpoints = all.endpoints().await?;
        let endpoints: Vec<Endpoint> =
            endpoints.into_iter().filter(|e| tasks.iter().any(|task| task.task_arn() == e.task_arn)).collect();
        let (view, requests) = (self.view(Some(&zone)), self.requests.clone());
        let (mut failover, mut recovery) = (Duration::ZERO, Duration::ZERO);
        let step = async {
            let done = act(&requests, action, &zone).await?;
            let (written, running) = tokio::join!(writers.first_after(done.at, WAIT_MAX), async {
                let zones = view.running(COUNT, Some(&zone)).await;
                zones.map(|zones| (zones, self.ctx.env.now() - done.at))
            });
            let ((zones, recovered), written) = (running?, written?);
            (failover, recovery) = (written, recovered);
            let seen = format!(
                "{zone} {how}: writes again after {} ms, {COUNT} tasks RUNNING after {:.2} s ({zones})",
                written.as_millis(),
                recovered.as_secs_f64()
            );
            Ok(((), seen))
        };
        self.timeline.step(name, step).await?;
        self.timeline.loss(failover, recovery);
        self.all_answer(&view, answered, COUNT, 1).await?;
        let lost = Lost { zone, tasks, endpoints, action };
        self.live_on(&lost).await?;
        Ok(lost)
    }

    /// A zone that is cut off lives on: that is what makes it harder than one without power.
    async fn live_on(&mut self, lost: &Lost) -> Result<(), Failure> {
        if !self.web.answers || lost.endpoints.is_empty() {
            return Ok(());
        }
        let (wanted, name) = match lost.action {
            Action::Kill => (0, "what had no power is silent"),
            _ => (lost.endpoints.len(), "what is cut off lives on"),
        };
        let (prober, asked) = (Prober::new(&self.ctx.env), lost.endpoints.len());
        let step = async {
            match prober.answers(&lost.endpoints).await.len() {
                found if found == wanted => Ok(((), format!("{found} of {asked} answer"))),
                found => Err(Failure::refused(format!("{found} of {asked} answer, expected {wanted}"))),
            }
        };
        self.timeline.step(name, step).await
    }

    /// Brings the zone back: what ran there was replaced, so it stops, and tasks move back into it, each started before
    /// another is stopped.
    async fn come_back(&mut self, view: &View, lost: Lost) -> Result<(), Failure> {
        let requests = self.requests.clone();
        let (prober, answers) = (Prober::new(&self.ctx.env), self.web.answers);
        let name = if lost.action == Action::Kill { "the zone has power again" } else { "the zone is connected again" };
        let step = async {
            act(&requests, Action::Return, &lost.zone).await?;
            let zones = view
                .until(async || {
                    let running = view.service().await?.running_count();
                    if running < COUNT as i32 {
                        return Err(Failure::refused(format!("only {running} of {COUNT} tasks run while some move")));
                    }
                    if let Err(waits) = returned(view, &lost).await? {
                        return Ok(Err(waits));
                    }
                    let zones = view.zones().await?;
                    Ok(match zones.holds(&lost.zone) && zones.is_even() {
                        true => Ok(zones),
                        false => Err(format!("not spread evenly yet: {zones}")),
                    })
                })
                .await?;
            let left = if answers { prober.answers(&lost.endpoints).await.len() } else { 0 };
            if left > 0 {
                return Err(Failure::refused(format!("{left} tasks that were replaced still answer")));
            }
            let (zone, stopped) = (&lost.zone, lost.tasks.len());
            Ok((
                (),
                format!("{zone} is back, the {stopped} tasks it had are STOPPED; never fewer than six ran ({zones})"),
            ))
        };
        self.timeline.step(name, step).await
    }

    async fn second_version(&mut self, view: &View) -> Result<(), Failure> {
        let definition = self.definition(2)?;
        let (prober, answers, looks) = (Prober::new(&self.ctx.env), self.web.answers, Looks::default());
        let step = async {
            tokio::select! {
                biased;
                rolled = roll_out(view, definition) => rolled?,
                failed = looks.go_on(view, &prober), if answers => failed?,
            }
            if !answers {
                return Ok(((), format!("{COUNT} tasks of the new version")));
            }
            let (fewest, count) = (looks.fewest.get(), looks.count.get());
            match fewest >= ANSWERING_MIN {
                true => {
                    Ok(((), format!("never fewer than {fewest} answered, in {count} looks ({ANSWERING_MIN} promised)")))
                }
                false => Err(Failure::refused(format!("only {fewest} answered once, {ANSWERING_MIN} are promised"))),
            }
        };
        self.timeline.step("roll a second version out", step).await?;
        self.all_answer(view, "all six answer with version 2", COUNT, 2).await
    }

    async fn scale(&mut self, view: &View) -> Result<(), Failure> {
        for (name, count) in [("scale out to nine", MORE), ("scale in to six", COUNT)] {
            let step = async {
                let request = UpdateServiceRequest { desired_count: Some(count as i32), ..Default::default() };
                view.update(request).await?;
                let zones = view.running(count, None).await?;
                match zones.is_even() {
                    true => Ok(((), zones.to_string())),
                    false => Err(Failure::refused(format!("not spread evenly: {zones}"))),
                }
            };
            self.timeline.step(name, step).await?;
        }
        Ok(())
    }

    async fn delete(&mut self, view: &View) -> Result<(), Failure> {
        let endpoints = view.endpoints().await?;
        let (prober, answers) = (Prober::new(&self.ctx.env), self.web.answers);
        let step = async {
            view.delete().await?;
            view.until(async || {
                let service = view.service().await?;
                let left = service.running_count() + service.pending_count();
                Ok(match service.status() {
                    "INACTIVE" => Ok(()),
                    status => Err(format!("the service is {status} with {left} tasks")),
                })
            })
            .await?;
            let left = if answers { prober.answers(&endpoints).await.len() } else { 0 };
            match left {
                0 => Ok(((), "no task is left".to_owned())),
                left => Err(Failure::refused(format!("{left} tasks still answer"))),
            }
        };
        self.timeline.step("delete the service", step).await
    }
}

/// A zone that is lost, and what ran there.
struct Lost {
    zone: String,
    tasks: Vec<Task>,
    endpoints: Vec<Endpoint>,
    action: Action,
}

/// Registers a version and waits until the service has nothing else.
async fn roll_out(view: &View, definition: RegisterTaskDefinitionRequest) -> Result<(), Failure> {
    let made = view.register(definition).await?;
    let definition = made.task_definition_arn;
    view.update(UpdateServiceRequest { task_definition: definition.clone(), ..Default::default() }).await?;
    view.stable().await?;
    let tasks = view.tasks().await?;
    match tasks.iter().filter(|task| is_running(task) && task.task_definition_arn == definition).count() {
        COUNT => Ok(()),
        right => Err(Failure::refused(format!("{right} of {COUNT} tasks are of the new version"))),
    }
}

/// Looks at who answers.
struct Looks {
    fewest: Cell<usize>,
    count: Cell<usize>,
}

impl Default for Looks {
    fn default() -> Self {
        Looks { fewest: Cell::new(usize::MAX), count: Cell::new(0) }
    }
}

impl Looks {
    /// Looks again and again.
    async fn go_on(&self, view: &View, prober: &Prober) -> Result<(), Failure> {
        loop {
            let found = prober.answers(&view.endpoints().await?).await.len();
            self.fewest.set(self.fewest.get().min(found));
            self.count.set(self.count.get() + 1);
            view.env().sleep(PROBE_EVERY).await;
        }
    }
}

/// Whether the zone is there and what ran there has stopped.
async fn returned(view: &View, lost: &Lost) -> Result<Result<(), String>, Failure> {
    let status = view.status().await?;
    let zone = status.zones.iter().find(|zone| zone.name == lost.zone).cloned().unwrap_or_default();
    if zone.members_alive < zone.members || zone.instances_connected < zone.instances {
        return Ok(Err(format!(
            "{}: {} members, {} instances",
            lost.zone, zone.members_alive, zone.instances_connected
        )));
    }
    let left = view.these(&lost.tasks).await?.iter().filter(|task| task.last_status() != "STOPPED").count();
    Ok(if left == 0 { Ok(()) } else { Err(format!("{left} tasks that were replaced still run")) })
}

async fn act(requests: &mpsc::Sender<Request>, action: Action, zone: &str) -> Result<Done, Failure> {
    let (answer, done) = oneshot::channel();
    let ended = || Failure::refused("nobody looks after the processes any more");
    requests.send(Request { action, zone: zone.to_owned(), answer }).await.map_err(|_| ended())?;
    done.await.map_err(|_| ended())?
}
