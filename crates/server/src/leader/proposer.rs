//! The one task that owns the order of writes (hard part 4).
//!
//! It prepares and plans on the applied state plus an overlay of what is on its way, gathers what waits into one entry, and
//! submits it under the term it planned in. Refusals are reads: they are answered after a barrier, nothing is proposed.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use seawall_consensus::AppliedState;
use seawall_controllers::{Now, jobs, schedules, service, waiting};
use seawall_env::{Env, Instant, TaskKind};
use seawall_model::{
    ApiError, ErrorCode, TaskId,
    limits::{BATCH_COMMANDS, COMMAND_BYTES_MAX, WRITES_WAITING_BYTES_MAX, WRITES_WAITING_MAX},
};
use seawall_proto::internal::v1::{
    Command, Decision, ForwardId, ForwardRequest, Invocation, PlaceTasks, Principal, Reply, command, principal, reply,
};
use seawall_scheduler::{Fleet, Overlay, PlaceRequest, Plan, stamp};
use seawall_state::{State, error_of, task_id_message};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, error, info};

use super::{
    batch::{Asked, Batch, Done, Refused},
    drive::now_of,
    flights::Flights,
    moves::Moves,
    wake::{Subject, Wake},
};
use crate::{
    api::{Node, WriteError},
    member::condition,
    metrics::{Metrics, WriteLimit},
    ops::{self, CommandKind, Ctx, IdSource, Prepared, Write, tolerance},
    render,
};

#[cfg(test)]
mod tests;

/// Entries on their way at once: enough to keep the disk and the peers busy, few enough that batches form.
const IN_FLIGHT_MAX: usize = 4;
/// Services, schedules and jobs planned before what came in meanwhile is looked at.
const SUBJECTS_A_ROUND: usize = 64;
/// A write is planned again this often when what it assumed no longer holds.
const TRIES_MAX: u32 = 20;

/// The way to the proposer.
pub(crate) struct Proposer {
    env: Env,
    jobs: mpsc::Sender<Job>,
    waiting: Arc<Waiting>,
    metrics: Arc<Metrics>,
}

/// One write that waits.
pub(crate) struct Job {
    pub(super) what: What,
    pub(super) deadline: Instant,
    pub(super) tries: u32,
    /// A read index taken after the write came: from there on state may answer it.
    read_index: Option<u64>,
    _counted: Counted,
}

pub(super) enum What {
    /// A client's operation, decoded and prepared here.
    Operation { request: ForwardRequest, answer: oneshot::Sender<Result<Bytes, WriteError>> },
    /// A command of a member for its own agents, or of the leader itself.
    Command { command: Box<Command>, answer: oneshot::Sender<Result<(u64, Reply), WriteError>> },
}

/// Writes that were taken and are not answered, wherever they wait.
#[derive(Default)]
struct Waiting {
    writes: AtomicUsize,
    bytes: AtomicUsize,
}

/// One write's part of them.
struct Counted(Arc<Waiting>, usize);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.writes.fetch_sub(1, Ordering::Relaxed);
        self.0.bytes.fetch_sub(self.1, Ordering::Relaxed);
    }
}

impl Proposer {
    /// The way in, and the queue for [`run`].
    pub(crate) fn new(env: &Env, metrics: Arc<Metrics>) -> (Proposer, mpsc::Receiver<Job>) {
        let (jobs, waiting) = mpsc::channel(WRITES_WAITING_MAX);
        (Proposer { env: env.clone(), jobs, waiting: Arc::default(), metrics }, waiting)
    }

    /// Writes that wait, and their bytes.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        (self.waiting.writes.load(Ordering::Relaxed), self.waiting.bytes.load(Ordering::Relaxed))
    }

    /// A client's write, as JSON or gRPC carried it.
    pub(crate) async fn operation(&self, request: ForwardRequest, deadline: Instant) -> Result<Bytes, WriteError> {
        let bytes = request.body.len();
        let (answer, result) = oneshot::channel();
        self.send(What::Operation { request, answer }, deadline, bytes)?;
        self.answered(result, deadline).await
    }

    /// A command that needs no planning.
    pub(crate) async fn command(&self, command: Command, deadline: Instant) -> Result<(u64, Reply), WriteError> {
        let bytes = prost::Message::encoded_len(&command);
        let (answer, result) = oneshot::channel();
        self.send(What::Command { command: Box::new(command), answer }, deadline, bytes)?;
        self.answered(result, deadline).await
    }

    /// Looks at a write again that was taken before.
    async fn take_up(&self, job: Job) {
        // It is counted, so there is room; the queue ends with the member.
        let _ = self.jobs.send(job).await;
    }

    /// An entry that finds no majority may wait for one longer than any asker does.
    async fn answered<T>(
        &self,
        result: oneshot::Receiver<Result<T, WriteError>>,
        deadline: Instant,
    ) -> Result<T, WriteError> {
        match self.env.timeout(deadline - self.env.now(), result).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(WriteError::Unknown),
        }
    }

    fn send(&self, what: What, deadline: Instant, bytes: usize) -> Result<(), WriteError> {
        let overloaded = |limit: WriteLimit, why: String| {
            self.metrics.refused(limit);
            WriteError::Refused(ApiError::new(ErrorCode::Overloaded, why))
        };
        let counted = Counted(self.waiting.clone(), bytes);
        let all_writes = self.waiting.writes.fetch_add(1, Ordering::Relaxed) + 1;
        let all_bytes = self.waiting.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if all_bytes > WRITES_WAITING_BYTES_MAX {
            let why = format!("more than {WRITES_WAITING_BYTES_MAX} bytes of writes wait; try again");
            return Err(overloaded(WriteLimit::Bytes, why));
        }
        let too_many = || overloaded(WriteLimit::Writes, format!("{WRITES_WAITING_MAX} writes wait; try again"));
        if all_writes > WRITES_WAITING_MAX {
            return Err(too_many());
        }
        let job = Job { what, deadline, tries: 0, read_index: None, _counted: counted };
        self.jobs.try_send(job).map_err(|_| too_many())
    }
}

impl Job {
    /// Gives up: the asker is told why.
    pub(super) fn fail(self, error: WriteError) {
        // Whoever asked may have gone.
        match self.what {
            What::Operation { answer, .. } => drop(answer.send(Err(error))),
            What::Command { answer, .. } => drop(answer.send(Err(error))),
        }
    }
}

struct Loop {
    node: Arc<Node>,
    /// In which this member plans; 0 while it does not.
    term: u64,
    /// The last in which a leader was seen, whoever it is.
    term_led: u64,
    overlay: Overlay,
    /// How many commands of which batches are in it.
    flights: Flights,
    /// What plans look at: brought up to the applied state and the overlay before each.
    fleet: Fleet,
    in_flight: usize,
    wake: Wake,
    again: Vec<Job>,
    /// Would be refused for what is on its way: looked at again once that is applied or lost.
    held: Vec<Job>,
    /// Moves of tasks that may begin.
    moves: Moves,
    /// Replacement of lost tasks was held when services were last looked at.
    held_replacement: bool,
    finished: mpsc::Sender<Done>,
}

/// Serves the queue for as long as the member lives; while another leads, everything in it is told so.
pub(crate) async fn run(node: Arc<Node>, mut jobs: mpsc::Receiver<Job>) {
    let (finished, mut done) = mpsc::channel(IN_FLIGHT_MAX);
    let mut leadership = node.consensus.watch_leadership();
    let mut applied = node.consensus.applied();
    let wake = Wake::new(&node.env, node.hints);
    let moves = Moves::new(node.config.moves_per_minute, node.env.now());
    let mut this = Loop {
        node,
        term: 0,
        term_led: 0,
        overlay: Overlay::default(),
        flights: Flights::default(),
        fleet: Fleet::default(),
        in_flight: 0,
        wake,
        again: Vec::new(),
        held: Vec::new(),
        moves,
        held_replacement: false,
        finished,
    };
    loop {
        let room = this.in_flight < IN_FLIGHT_MAX;
        let sleep = this.node.env.sleep(this.wake.pause(this.term != 0 && room, this.node.cluster_time_ms()));
        tokio::select! {
            biased;
            Some(done) = done.recv() => this.finish(done),
            entry = applied.recv() => {
                this.wake.note(entry);
                while let Ok(entry) = applied.try_recv() {
                    this.wake.note(Ok(entry));
                }
            }
            changed = leadership.changed() => if changed.is_err() { return },
            () = this.node.liveness.time_known.notified() => {}
            job = jobs.recv(), if room => match job {
                None => return,
                Some(job) => {
                    this.again.push(job);
                    while this.again.len() < BATCH_COMMANDS && let Ok(job) = jobs.try_recv() {
                        this.again.push(job);
                    }
                }
            },
            () = sleep => {}
        }
        this.lead();
        if this.in_flight < IN_FLIGHT_MAX {
            this.round();
        }
    }
}

impl Loop {
    /// Follows leadership: plans of another term are worth nothing.
    fn lead(&mut self) {
        let leadership = self.node.consensus.leadership();
        if leadership.leader.is_some() && leadership.term != self.term_led {
            self.term_led = leadership.term;
            self.node.metrics.elected();
        }
        let plans = leadership.is_leader && self.node.condition.serves() && self.node.liveness.knows_time(&self.node);
        let term = if plans { leadership.term } else { 0 };
        if term == self.term {
            return;
        }
        if term != 0 {
            info!(term, "leading");
            self.node.liveness.lead(&self.node, term);
        }
        self.term = term;
        self.overlay = Overlay::default();
        self.moves = Moves::new(self.node.config.moves_per_minute, self.node.env.now());
        self.flights.begin_term();
        self.wake.everything();
    }

    /// Gathers what waits into one entry and submits it.
    fn round(&mut self) {
        let jobs = std::mem::take(&mut self.again);
        let now = self.node.env.now();
        self.held.extract_if(.., |job| now >= job.deadline).for_each(|job| job.fail(WriteError::NotLeader));
        if self.term == 0 {
            let held = std::mem::take(&mut self.held);
            jobs.into_iter().chain(held).for_each(|job| job.fail(WriteError::NotLeader));
            return;
        }
        let applied = self.node.consensus.state();
        let mut batch = Batch::default();
        for job in jobs {
            if batch.is_full() {
                self.again.push(job);
            } else {
                self.take(&applied, &mut batch, job);
            }
        }
        self.plan_subjects(&applied, &mut batch);
        if !batch.is_empty() {
            self.submit(batch);
        }
    }

    fn take(&mut self, applied: &Arc<AppliedState>, batch: &mut Batch, job: Job) {
        if self.node.env.now() >= job.deadline {
            debug!(tries = job.tries, "a write's deadline passed before it was proposed");
            return job.fail(WriteError::NotLeader);
        }
        if job.tries > TRIES_MAX {
            self.node.metrics.refused(WriteLimit::Tries);
            let why = format!(
                "what this write rests on changed {TRIES_MAX} times meanwhile; nothing was done. next: try again"
            );
            return job.fail(WriteError::Refused(ApiError::new(ErrorCode::Overloaded, why)));
        }
        self.fleet.sync(&applied.state, &self.overlay);
        match self.prepare(applied, &job) {
            Err(Refused(refusal)) => self.answer_by_read(applied, job, Unchanged::Refused(refusal)),
            Ok(asked) if asked.rests_on_flight => self.held.push(job),
            Ok(asked) if asked.commands.is_empty() => self.answer_by_read(applied, job, Unchanged::Asked(asked)),
            Ok(asked) => {
                for command in &asked.commands {
                    self.note(&applied.state, command);
                }
                batch.add(asked, Some(job));
            }
        }
    }

    /// Commands of a job, rehearsed. A refusal is the job's answer.
    fn prepare(&self, applied: &AppliedState, job: &Job) -> Result<Asked, Refused> {
        let mut asked = match &job.what {
            What::Command { command, .. } => Asked { commands: vec![(**command).clone()], ..Default::default() },
            What::Operation { request, .. } => self.prepare_operation(applied, request)?,
        };
        self.check_room(&asked.commands)?;
        for command in &mut asked.commands {
            command.cluster_time_ms = self.node.cluster_time_ms();
            rehearse(&applied.state, command)?;
        }
        Ok(asked)
    }

    /// Clients' writes that grow state need room on this member's disk and on a majority's.
    fn check_room(&self, commands: &[Command]) -> Result<(), Refused> {
        let grows = |command: &Command| command.kind.as_ref().is_some_and(condition::grows);
        if !commands.iter().any(grows) || self.node.liveness.has_room(&self.node) {
            return Ok(());
        }
        let why = "the members' disks are nearly full: what grows the cluster's state is refused; deleting and stopping still work";
        Err(Refused(ApiError::new(ErrorCode::DiskFull, why)))
    }

    fn prepare_operation(&self, applied: &AppliedState, request: &ForwardRequest) -> Result<Asked, Refused> {
        let state = &applied.state;
        let principal = request.principal.clone().unwrap_or_default();
        let mut ids = Ids(&self.node);
        let now_ms = self.node.cluster_time_ms();
        let invocation = request.invocation.clone();
        let mut ctx = Ctx {
            accept_inert: &self.node.config.accept_inert,
            fargate: self.node.config.fargate,
            state,
            principal: &principal,
            ids: &mut ids,
            forward: request.forward,
            invocation,
            now_ms,
        };
        let prepared = ops::prepare(&request.operation, &request.body, &mut ctx)?;
        let Prepared { write, expected_version, stored, render } = prepared;
        let mut asked = Asked { render: Some(render), stored, ..Asked::default() };
        let kinds = match write {
            Write::Commands(kinds) => kinds,
            Write::Nothing => Vec::new(),
            Write::Repeated(replies) => {
                asked.repeated = replies;
                Vec::new()
            }
            Write::Place { request, template, token } => {
                let place = self.place(applied, &request, *template, &mut asked)?;
                place.map(|place| (CommandKind::PlaceTasks(place), token)).into_iter().collect()
            }
        };
        let commands = kinds.into_iter().zip(0..).map(|((kind, client_token), ordinal)| Command {
            request_id: request.request_id.clone(),
            principal: Some(principal.clone()),
            forward: request.forward.map(|f| ForwardId { serial: f.serial + ordinal, ..f }),
            client_token,
            invocation: request.invocation.clone().map(|call| Invocation { ordinal: ordinal as u32, ..call }),
            expected_version,
            cluster_time_ms: 0,
            kind: Some(kind),
        });
        asked.commands = commands.collect();
        Ok(asked)
    }

    fn place(
        &self,
        applied: &AppliedState,
        request: &PlaceRequest,
        mut template: PlaceTasks,
        asked: &mut Asked,
    ) -> Result<Option<PlaceTasks>, ApiError> {
        let state = &applied.state;
        let plan = self.fleet.place(request);
        let mut decision = request.decision(&plan);
        stamp(&mut decision, applied.index, self.flights.runs(0));
        template.decision = Some(decision);
        asked.rests_on_flight = !plan.failures.is_empty() && self.would_fit_more(state, request, &plan);
        let failures = render::placement_failures(state, &plan);
        template.placements = plan.into_placements();
        if template.placements.is_empty() {
            asked.failures = failures;
            return Ok(None);
        }
        template.failures = failures;
        tolerance::check_placed(state, &self.overlay, &template, self.node.config.fargate)?;
        Ok(Some(template))
    }

    /// Whether only proposals on their way, which may be lost, take the room that is lacking.
    fn would_fit_more(&self, state: &State, request: &PlaceRequest, plan: &Plan) -> bool {
        if self.in_flight == 0 || self.overlay.is_empty() {
            return false;
        }
        let without = seawall_scheduler::place(state, &Overlay::default(), request);
        without.placements.len() > plan.placements.len()
    }

    /// What something woke, unless what it last decided is still on its way.
    fn plan_subjects(&mut self, applied: &Arc<AppliedState>, batch: &mut Batch) {
        let now = now_of(&self.node);
        if std::mem::replace(&mut self.held_replacement, now.hold_replacement) && !now.hold_replacement {
            self.wake.everything();
        }
        if self.wake.is_due() {
            self.fleet.look_again();
        }
        for _ in 0..SUBJECTS_A_ROUND {
            if batch.is_full() {
                return;
            }
            let Some(subject) = self.wake.next(&applied.state, now.cluster_time_ms) else { return };
            let began = self.node.env.now();
            self.fleet.sync(&applied.state, &self.overlay);
            let now = Now { hold_moves: self.moves.are_used_up(began), ..now };
            let (controller, plan) = match subject {
                Subject::Service(id) => ("service", service::plan(&self.fleet, id, now)),
                Subject::Schedule(id) => ("schedule", schedules::plan(&applied.state, id, now)),
                Subject::Job(id) => ("job", jobs::plan(&self.fleet, id, now)),
                Subject::Waiting(cluster) => ("waiting", waiting::plan(&self.fleet, cluster, now)),
            };
            self.node.liveness.status(controller, self.node.env.wall_ms(), self.node.env.now() - began, None);
            if let Some(at) = plan.wake_at_ms {
                self.wake.at(subject, at);
            }
            if plan.commands.is_empty() {
                continue;
            }
            debug!(?subject, plan = %plan.text, "controller");
            self.moves.take(plan.moves);
            self.wake.busy(subject);
            if plan.commands.iter().any(takes_room) {
                self.wake.served(subject);
            }
            let commands = self.controller_commands(applied.index, plan.commands);
            for command in &commands {
                self.note(&applied.state, command);
            }
            batch.add(Asked { commands, subject: Some(subject), ..Default::default() }, None);
        }
    }

    /// The commands of one plan, which was made without them.
    fn controller_commands(&self, base_index: u64, kinds: Vec<command::Kind>) -> Vec<Command> {
        let mut passed = 0;
        let mut commands = Vec::with_capacity(kinds.len());
        for kind in kinds {
            let is_heeded = Overlay::heeds(&kind);
            commands.push(self.controller_command(base_index, passed, kind));
            passed += u32::from(is_heeded);
        }
        commands
    }

    fn controller_command(&self, base_index: u64, passed: u32, mut kind: command::Kind) -> Command {
        let stamp = |decision: &mut Decision| stamp(decision, base_index, self.flights.runs(passed));
        match &mut kind {
            command::Kind::PlaceTasks(place) => {
                place.base = Some(task_id_message(self.node.env.new_id()));
                place.decision.iter_mut().for_each(stamp);
            }
            command::Kind::PlaceWaiting(place) => {
                place.items.iter_mut().filter_map(|item| item.decision.as_mut()).for_each(stamp);
            }
            _ => {}
        }
        Command {
            principal: Some(Principal { kind: principal::Kind::Controller.into(), ..Default::default() }),
            cluster_time_ms: self.node.cluster_time_ms(),
            kind: Some(kind),
            ..Default::default()
        }
    }

    /// Plans heed the command from now on.
    fn note(&mut self, state: &State, command: &Command) {
        let Some(kind) = command.kind.as_ref().filter(|kind| Overlay::heeds(kind)) else { return };
        self.overlay.note(state, kind);
        self.flights.add();
    }

    fn submit(&mut self, mut batch: Batch) {
        self.in_flight += 1;
        batch.flight = self.flights.take_off();
        self.node.metrics.proposed(batch.len());
        let work = batch.propose(self.node.clone(), self.term, self.finished.clone());
        self.node.env.spawn(TaskKind::vital("propose"), work);
    }

    fn finish(&mut self, done: Done) {
        self.in_flight -= 1;
        self.flights.land(done.flight);
        for kind in done.commands.iter().filter_map(|command| command.kind.as_ref()) {
            self.overlay.forget(kind);
        }
        for subject in done.subjects {
            self.wake.idle(subject);
        }
        if done.is_lost {
            self.wake.back_off();
        }
        self.again.extend(done.again);
        self.again.append(&mut self.held);
    }

    /// An answer that proposes nothing is a read: it holds from a read index on that was taken after the write came. A leader
    /// that was paused has a state from before, and takes the write up again once it has a newer one.
    fn answer_by_read(&self, applied: &Arc<AppliedState>, job: Job, unchanged: Unchanged) {
        if job.read_index.is_some_and(|read_index| read_index <= applied.index) {
            return unchanged.answer(&applied.state, job);
        }
        let (node, applied) = (self.node.clone(), applied.clone());
        self.node.env.spawn(TaskKind::request("answer"), async move {
            match node.read_barrier(job.deadline).await {
                Ok(read_index) if read_index <= applied.index => unchanged.answer(&applied.state, job),
                Ok(read_index) => node.proposer.take_up(Job { read_index: Some(read_index), ..job }).await,
                Err(_) => job.fail(WriteError::NotLeader),
            }
        });
    }
}

fn takes_room(kind: &command::Kind) -> bool {
    matches!(kind, command::Kind::PlaceTasks(_) | command::Kind::PlaceWaiting(_))
}

/// The answer of a write that proposes nothing.
enum Unchanged {
    Refused(ApiError),
    /// A placement that found no room, or what the same write was answered before.
    Asked(Asked),
}

impl Unchanged {
    fn answer(self, state: &State, job: Job) {
        let result = match self {
            Unchanged::Refused(refusal) => return job.fail(WriteError::Refused(refusal)),
            Unchanged::Asked(asked) => asked.answered(state),
        };
        match job.what {
            // The asker may have gone.
            What::Operation { answer, .. } => drop(answer.send(result)),
            What::Command { .. } => {}
        }
    }
}

/// Applies the command to a throw-away copy: a refusal goes to the client, a panic never reaches the log.
fn rehearse(state: &State, command: &Command) -> Result<(), Refused> {
    if prost::Message::encoded_len(command) > COMMAND_BYTES_MAX {
        let limit = format!("the request is over {COMMAND_BYTES_MAX} bytes as a command");
        return Err(Refused(ApiError::new(ErrorCode::LimitExceeded, limit)));
    }
    let mut copy = state.clone();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || copy.apply(u64::MAX, command).0));
    match result.map(|reply| reply.kind) {
        Ok(Some(reply::Kind::Refusal(refusal))) => Err(Refused(error_of(refusal))),
        Ok(_) => Ok(()),
        Err(_) => {
            error!(request_id = %command.request_id, "a command made the state machine panic; it is not proposed");
            Err(Refused(ApiError::new(ErrorCode::Server, "this request hit a fault in Seawall; nothing was changed")))
        }
    }
}

/// Draws ids from the environment's random source.
pub(crate) struct Ids<'a>(pub(crate) &'a Node);

impl IdSource for Ids<'_> {
    fn deployment_id(&mut self) -> u64 {
        // ECS's have 19 digits.
        1_000_000_000_000_000_000 + self.0.env.random_u64() % 8_000_000_000_000_000_000
    }

    fn service_deployment_id(&mut self) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
        let letter = || char::from(LETTERS[self.0.env.random_u64() as usize % LETTERS.len()]);
        (0..21).map(|_| letter()).collect()
    }

    fn task_base(&mut self) -> TaskId {
        self.0.env.new_id()
    }
}
