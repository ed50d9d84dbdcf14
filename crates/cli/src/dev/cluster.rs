//! The processes of three zones: started, started again when they die, killed, cut off and brought back, ended.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::Signal;
use seawall_env::{Env, Instant};
use tokio::sync::{mpsc, oneshot};

use super::{
    board::{Board, Process, ZoneState},
    child::{self, Running},
    layout::{Layout, Role, Spec, runtime_word, zone_called},
    tasks::Tasks,
};
use crate::failure::Failure;

/// Between two looks at the children.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Agents have this long to end by themselves…
const AGENT_END_MAX: Duration = Duration::from_secs(3);
/// …and members this: a leader whose followers end as well tries for longer, in vain, to hand over. What it has
/// acknowledged is on disk.
const MEMBER_END_MAX: Duration = Duration::from_millis(700);
/// Lines of its log that are shown of a process that did not start.
const LOG_LINES_SHOWN: usize = 6;
/// Those lines are looked for in the last part of the log.
const LOG_BYTES_READ: u64 = 16 << 10;

/// What is done to a zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Take its power.
    Kill,
    /// Cut it off.
    Cut,
    /// Bring it back.
    Return,
}

/// Something to do to a zone, and who waits for it.
pub struct Request {
    /// What.
    pub action: Action,
    /// The zone as people call it.
    pub zone: String,
    /// Whom to tell.
    pub answer: oneshot::Sender<Result<Done, Failure>>,
}

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Done {
    /// For people.
    pub sentence: String,
    /// When it began.
    pub at: Instant,
}

struct Slot {
    spec: Spec,
    state: State,
}

enum State {
    Runs(Running),
    /// Started again at that time, if it is there and the zone has power.
    Dead(Option<Instant>),
}

/// The processes of three zones. Dropping it ends them: each loses its lifeline and is killed.
pub struct Cluster {
    env: Env,
    program: PathBuf,
    layout: Layout,
    tasks: Tasks,
    restart_after: Option<Duration>,
    slots: Vec<Slot>,
    zones: BTreeMap<String, ZoneState>,
    /// As dev.json holds it, once there is one.
    shown: Option<Board>,
}

impl Cluster {
    /// Processes that are not started yet, of the executable that runs now.
    pub fn new(env: &Env, layout: Layout, tasks: Tasks, restart_after: Option<Duration>) -> Result<Self, Failure> {
        let dead = |spec| Slot { spec, state: State::Dead(None) };
        Ok(Cluster {
            env: env.clone(),
            program: std::env::current_exe()?,
            slots: layout.specs().into_iter().map(dead).collect(),
            zones: layout.zones().into_iter().map(|zone| (zone, ZoneState::Up)).collect(),
            layout,
            tasks,
            restart_after,
            shown: None,
        })
    }

    /// The numbers that it follows from.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What runs the tasks.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Starts every process.
    ///
    /// # Errors
    /// One cannot be started.
    pub fn start(&mut self) -> Result<(), Failure> {
        for slot in &mut self.slots {
            slot.state = State::Runs(child::start(&self.env, &self.program, &slot.spec)?);
        }
        Ok(())
    }

    /// A process that has ended although it should just have started, with the end of its log.
    pub fn failed_start(&mut self) -> Option<Failure> {
        for Slot { spec, state } in &mut self.slots {
            let State::Runs(running) = state else { continue };
            if let Some(status) = running.ended() {
                let (role, name) = (spec.role.word(), &spec.name);
                let said = last_lines(&self.env, &spec.log_file, running.log_from(), LOG_LINES_SHOWN);
                let what = format!("{role} {name} ended at its start ({status}):{said}");
                return Some(Failure::refused(what).next(format!("see {}", spec.log_file.display())));
            }
        }
        None
    }

    /// The last lines of every process's log, for whoever has to find out why all this does not get ready.
    pub fn last_words(&self) -> String {
        let each = self.slots.iter().map(|Slot { spec, state }| {
            let from = if let State::Runs(running) = state { running.log_from() } else { 0 };
            let said = last_lines(&self.env, &spec.log_file, from, LOG_LINES_SHOWN);
            format!("{} {}:{said}", spec.role.word(), spec.name)
        });
        each.collect::<Vec<_>>().join("\n")
    }

    /// Serves requests, starts again what died, and keeps dev.json, for as long as it is polled.
    pub async fn supervise(
        &mut self,
        requests: &mut mpsc::Receiver<Request>,
        tell: impl Fn(&str),
    ) -> std::convert::Infallible {
        loop {
            tokio::select! {
                biased;
                Some(request) = requests.recv() => {
                    let done = self.act(request.action, &request.zone).await;
                    if let Ok(done) = &done {
                        tell(&done.sentence);
                    }
                    // Before the answer: whoever gets it may read dev.json next.
                    if let Err(failure) = self.show() {
                        tell(&failure.to_string());
                    }
                    // Whoever asked may have gone; it is done all the same.
                    let _ = request.answer.send(done);
                }
                () = self.env.sleep(LOOK_EVERY) => {}
            }
            self.look().iter().for_each(|event| tell(event));
            if let Err(failure) = self.show() {
                tell(&failure.to_string());
            }
        }
    }

    /// Notices deaths and starts again what is due.
    fn look(&mut self) -> Vec<String> {
        let (now, mut events) = (self.env.now(), Vec::new());
        for Slot { spec, state } in &mut self.slots {
            let called = format!("{} {}", spec.role.word(), spec.name);
            if let State::Runs(running) = state
                && let Some(status) = running.ended()
            {
                let next = match self.restart_after {
                    Some(after) => format!("it starts again in {} s", after.as_secs_f64()),
                    None => "it stays so".to_owned(),
                };
                // One that ended by itself has said why.
                let why = match status.code() {
                    Some(_) => last_lines(&self.env, &spec.log_file, running.log_from(), 1),
                    None => String::new(),
                };
                events.push(format!("{called} (pid {}) ended ({status}); {next}{why}", running.pid()));
                *state = State::Dead(self.restart_after.map(|after| now + after));
            }
            if matches!(state, State::Dead(Some(at)) if *at <= now) && self.zones[&spec.zone] == ZoneState::Up {
                match child::start(&self.env, &self.program, spec) {
                    Ok(running) => {
                        events.push(format!("{called} (pid {}) started again", running.pid()));
                        *state = State::Runs(running);
                    }
                    Err(failure) => {
                        events.push(failure.to_string());
                        *state = State::Dead(self.restart_after.map(|after| now + after));
                    }
                }
            }
        }
        events
    }

    async fn act(&mut self, action: Action, called: &str) -> Result<Done, Failure> {
        let zones = self.layout.zones();
        let Some(zone) = zone_called(&zones, called) else {
            return Err(Failure::refused(format!("zone {called:?} not found (there are: {})", zones.join(", "))));
        };
        let at = self.env.now();
        let sentence = match (action, self.zones[zone]) {
            (Action::Kill, ZoneState::Killed) => format!("zone {zone} is without power already"),
            (Action::Kill, _) => self.kill(zone).await?,
            (Action::Cut, ZoneState::Cut) => format!("zone {zone} is cut off already"),
            (Action::Cut, ZoneState::Killed) => {
                let what = format!("zone {zone} is without power: there is nothing to cut off");
                return Err(Failure::refused(what).next(format!("seawall zone return {called}")));
            }
            (Action::Cut, ZoneState::Up) => self.cut(zone),
            (Action::Return, ZoneState::Up) => format!("zone {zone} is there already"),
            (Action::Return, _) => self.bring_back(zone)?,
        };
        Ok(Done { sentence, at })
    }

    fn of_zone<'a>(&'a mut self, zone: &'a str) -> impl Iterator<Item = &'a mut Slot> {
        self.slots.iter_mut().filter(move |slot| slot.spec.zone == zone)
    }

    fn signal(&mut self, zone: &str, signal: Signal) {
        for slot in self.of_zone(zone) {
            if let State::Runs(running) = &slot.state {
                running.signal(signal);
            }
        }
    }

    /// Power: everything of the zone at once, then what its agents ran, which nobody is left to report.
    async fn kill(&mut self, zone: &str) -> Result<String, Failure> {
        self.signal(zone, Signal::KILL);
        self.zones.insert(zone.to_owned(), ZoneState::Killed);
        let env = self.env.clone();
        for slot in self.of_zone(zone) {
            if let State::Runs(running) = &mut slot.state {
                running.end(&env, AGENT_END_MAX).await;
            }
            slot.state = State::Dead(None);
        }
        let specs: Vec<&Spec> = self.slots.iter().map(|slot| &slot.spec).filter(|spec| spec.zone == zone).collect();
        let killed = self.tasks.kill(&env, &self.layout.folder, &specs).await?;
        let names = names(&specs);
        Ok(match self.tasks {
            Tasks::Fake => format!("zone {zone} has lost power: {names} and what ran there are killed"),
            _ => format!("zone {zone} has lost power: {names} and {killed} containers are killed"),
        })
    }

    fn cut(&mut self, zone: &str) -> String {
        self.signal(zone, Signal::STOP);
        self.zones.insert(zone.to_owned(), ZoneState::Cut);
        let specs: Vec<&Spec> = self.slots.iter().map(|slot| &slot.spec).filter(|spec| spec.zone == zone).collect();
        format!("zone {zone} is cut off: {} are stopped, their tasks run on", names(&specs))
    }

    fn bring_back(&mut self, zone: &str) -> Result<String, Failure> {
        self.signal(zone, Signal::CONT);
        let (env, program) = (self.env.clone(), self.program.clone());
        for slot in self.of_zone(zone) {
            if let State::Dead(_) = slot.state {
                slot.state = State::Runs(child::start(&env, &program, &slot.spec)?);
            }
        }
        self.zones.insert(zone.to_owned(), ZoneState::Up);
        Ok(format!("zone {zone} is coming back"))
    }

    /// Writes dev.json where it is not as things are.
    fn show(&mut self) -> Result<(), Failure> {
        match &self.shown {
            Some(shown) if *shown != self.board() => self.publish(),
            _ => Ok(()),
        }
    }

    /// Writes dev.json, and keeps it from now on.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn publish(&mut self) -> Result<(), Failure> {
        let board = self.board();
        board.save(&self.env, &self.layout.folder)?;
        self.shown = Some(board);
        Ok(())
    }

    /// How things are.
    pub fn board(&self) -> Board {
        let process = |Slot { spec, state }: &Slot| Process {
            role: spec.role.word().to_owned(),
            name: spec.name.clone(),
            zone: spec.zone.clone(),
            pid: if let State::Runs(running) = state { Some(running.pid()) } else { None },
            endpoint: spec.endpoint.clone(),
        };
        Board {
            processes: self.slots.iter().map(process).collect(),
            zones: self.zones.clone(),
            runtime: runtime_word(self.layout.runtime).to_owned(),
            pid: std::process::id(),
        }
    }

    /// Ends the agents first: one that lived would report its tasks dead, which is no news of this cluster's. Then what
    /// they run and the members.
    ///
    /// # Errors
    /// Tasks could not be ended.
    pub async fn end(&mut self) -> Result<(), Failure> {
        self.end_all(Role::Agent, AGENT_END_MAX).await;
        let (env, tasks, folder) = (self.env.clone(), self.tasks.clone(), self.layout.folder.clone());
        let (ended, ()) = tokio::join!(tasks.end(&env, &folder), self.end_all(Role::Server, MEMBER_END_MAX));
        ended
    }

    async fn end_all(&mut self, role: Role, limit: Duration) {
        let (env, mut running) = (self.env.clone(), Vec::new());
        for slot in self.slots.iter_mut().filter(|slot| slot.spec.role == role) {
            if let State::Runs(child) = std::mem::replace(&mut slot.state, State::Dead(None)) {
                // One that is cut off hears of the end only once it goes on.
                child.signal(Signal::TERM);
                child.signal(Signal::CONT);
                running.push(child);
            }
        }
        futures::future::join_all(running.iter_mut().map(|child| child.end(&env, limit))).await;
    }

    /// Kills everything at once.
    ///
    /// # Errors
    /// Tasks could not be killed.
    pub async fn kill_all(&mut self) -> Result<(), Failure> {
        for slot in &mut self.slots {
            if let State::Runs(running) = &mut slot.state {
                running.signal(Signal::KILL);
                running.end(&self.env, AGENT_END_MAX).await;
            }
            slot.state = State::Dead(None);
        }
        self.tasks.kill_all(&self.env, &self.layout.folder).await
    }
}

/// "server b, agent i-b1"
fn names(specs: &[&Spec]) -> String {
    let names: Vec<String> = specs.iter().map(|spec| format!("{} {}", spec.role.word(), spec.name)).collect();
    names.join(", ")
}

/// The last lines of a log from `from` on, indented, each after a line feed.
fn last_lines(env: &Env, file: &Path, from: u64, count: usize) -> String {
    let read = || {
        let log = env.fs().open(file)?;
        let length = log.len()?;
        log.read_at(from.max(length.saturating_sub(LOG_BYTES_READ)), LOG_BYTES_READ as usize)
    };
    let text = match read() {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => format!("{}: {error}", file.display()),
    };
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let shown = &lines[lines.len().saturating_sub(count)..];
    if shown.is_empty() {
        return "\n  (it wrote nothing)".into();
    }
    shown.iter().map(|line| format!("\n  {line}")).collect()
}
