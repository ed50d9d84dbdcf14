//! `shim run`: one container from its start to its end.
//!
//! One thread decides, others wait for it: for children to end, for the runtime's word, for signals, for output.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    sync::mpsc::{self, Receiver, SyncSender},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Signal, getpid, set_child_subreaper, setsid};

use crate::guard::task_lives;

use super::{
    become_program::Role,
    children, control,
    files::{self, Spec, Status},
    health::Judge,
    log::{Log, Stream},
    memory, now_ms, signals, tree,
};

/// What waits for the deciding thread.
const EVENTS_WAITING: usize = 64;
/// How long output is waited for after the end: only someone outside of the tree can still hold the pipe then.
const DRAIN: Duration = Duration::from_secs(2);
/// Between two looks whether the folder is still there.
const FOLDER_LOOK: Duration = Duration::from_secs(2);

/// The first word of the shim's one line to the agent: the program runs.
pub const STARTED: &str = "started";
/// Another shim holds the container, or did.
pub const TAKEN: &str = "taken";
/// Why it does not run follows.
pub const FAILED: &str = "failed ";

/// Something happened.
pub enum Event {
    /// Children have ended.
    Children,
    /// The container is to stop; within its own time where none is given.
    Stop(Option<Duration>),
}

/// Runs the container of a folder.
pub fn run(folder: &Path) -> ExitCode {
    let (answer, code) = match begin(folder) {
        Ok(Some(shim)) => return shim.live(),
        Ok(None) => (TAKEN.to_owned(), ExitCode::SUCCESS),
        Err(why) => (format!("{FAILED}{}", why.replace('\n', " ")), ExitCode::FAILURE),
    };
    tell_agent(&answer);
    code
}

/// An agent that was killed meanwhile reads nothing, and finds the status instead.
fn tell_agent(line: &str) {
    let mut out = io::stdout();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// A container that runs.
struct Shim {
    folder: PathBuf,
    spec: Spec,
    status: Status,
    /// Released by the end of the process, however that comes.
    _lock: File,
    log: Log,
    kill_at: Option<Instant>,
    folder_due: Instant,
    memory: Option<memory::Watch>,
    check: Option<Check>,
    events: Receiver<Event>,
    _sender: SyncSender<Event>,
    reaped: SyncSender<()>,
    /// Closed when all output is written.
    drained: Receiver<()>,
}

/// The health check.
struct Check {
    judge: Judge,
    /// When to start one, or to give up the one that runs.
    due: Instant,
    pid: Option<u32>,
    why_not: String,
}

fn begin(folder: &Path) -> Result<Option<Shim>, String> {
    let text = |error: io::Error| error.to_string();
    let Some(lock) = take(folder).map_err(text)? else { return Ok(None) };
    if files::load::<Status>(folder, files::STATUS).map_err(text)?.is_some() {
        return Ok(None);
    }
    let spec: Spec = files::load(folder, files::SPEC).map_err(text)?.ok_or("there is no spec")?;
    // Away from the agent's terminal and its group: what ends those does not end this.
    setsid().map_err(|error| format!("setsid: {error}"))?;
    set_child_subreaper(Some(getpid())).map_err(|error| format!("cannot be a sub-reaper: {error}"))?;
    // The agent's own place may be a disk that is to be taken away.
    std::env::set_current_dir("/").map_err(text)?;
    let log = Log::open(folder).map_err(text)?;
    let (sender, events) = mpsc::sync_channel(EVENTS_WAITING);
    listen(folder, &sender).map_err(text)?;

    // Last, for this process may have been held up since the agent looked.
    if spec.guard.as_ref().is_some_and(|guard| !task_lives(&guard.folder, &guard.task)) {
        return Err("its guard has ended the task".into());
    }
    let main = children::start(folder, Role::Main, |command| {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
    });
    let mut main = main.inspect_err(|_| children::end_all())?;
    let drained = pump(&log, main.stdout.take(), main.stderr.take());
    let (reaped, go_on) = mpsc::sync_channel(1);
    let of_children = sender.clone();
    thread::spawn(move || children::watch(&of_children, &go_on));

    let now = Instant::now();
    let status = first_status(&spec, main.id());
    files::save(folder, files::STATUS, &status).map_err(text).inspect_err(|_| children::end_all())?;
    Ok(Some(Shim {
        folder: folder.to_owned(),
        status,
        _lock: lock,
        log,
        kill_at: None,
        folder_due: now + FOLDER_LOOK,
        memory: spec.memory_bytes.map(|limit| memory::Watch::new(limit, spec.task_memory_bytes, now)),
        check: Check::of(&spec, now),
        spec,
        events,
        _sender: sender,
        reaped,
        drained,
    }))
}

/// The container's lock; `None` where another shim has it.
fn take(folder: &Path) -> io::Result<Option<File>> {
    let mut open = OpenOptions::new();
    let lock = open.write(true).create(true).truncate(false).mode(files::FILE_MODE).open(folder.join(files::LOCK))?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

fn listen(folder: &Path, events: &SyncSender<Event>) -> io::Result<()> {
    let pipe = control::open(folder)?;
    let of_pipe = events.clone();
    thread::spawn(move || control::listen(pipe, &of_pipe));
    signals::listen(events.clone())
}

fn pump(
    log: &Log,
    out: Option<impl io::Read + Send + 'static>,
    error: Option<impl io::Read + Send + 'static>,
) -> Receiver<()> {
    let (done, drained) = mpsc::sync_channel(0);
    if let Some(out) = out {
        let (log, done) = (log.clone(), done.clone());
        thread::spawn(move || {
            log.pump(out, Stream::Out);
            drop(done);
        });
    }
    if let Some(error) = error {
        let log = log.clone();
        thread::spawn(move || {
            log.pump(error, Stream::Error);
            drop(done);
        });
    }
    drained
}

fn first_status(spec: &Spec, pid: u32) -> Status {
    let (shim, started_ticks) = (std::process::id(), |pid| tree::one(pid).map(|process| process.started_ticks));
    Status {
        boot: tree::boot(),
        shim,
        shim_started_ticks: started_ticks(shim).unwrap_or_default(),
        pid,
        pid_started_ticks: started_ticks(pid).unwrap_or_default(),
        started_at_ms: now_ms(),
        bindings: spec.bindings.clone(),
        ..Default::default()
    }
}

impl Shim {
    fn live(mut self) -> ExitCode {
        tell_agent(STARTED);
        let code = self.until_the_end();
        children::end_all();
        // Nothing is ever sent: it ends when the pumps do.
        let _ = self.drained.recv_timeout(DRAIN);
        self.status.exit_code = Some(code);
        self.status.ended_at_ms = Some(now_ms());
        match files::save_last(&self.folder, files::STATUS, &self.status) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        }
    }

    /// Its exit code.
    fn until_the_end(&mut self) -> i32 {
        loop {
            let now = Instant::now();
            self.do_what_is_due(now);
            match self.events.recv_timeout(self.next_due(now)) {
                Ok(Event::Children) => {
                    if let Some(code) = self.reap() {
                        return code;
                    }
                }
                Ok(Event::Stop(grace)) => self.stop(grace),
                // Something is due; the channel itself stays open, since a sender is held here.
                Err(_) => {}
            }
        }
    }

    fn next_due(&self, now: Instant) -> Duration {
        let others = [self.kill_at, self.memory.as_ref().map(|m| m.due), self.check.as_ref().map(|c| c.due)];
        let due = others.into_iter().flatten().fold(self.folder_due, Instant::min);
        due.saturating_duration_since(now)
    }

    fn do_what_is_due(&mut self, now: Instant) {
        if self.kill_at.is_some_and(|at| now >= at) {
            self.kill_at = None;
            self.kill();
        }
        if now >= self.folder_due {
            self.folder_due = now + FOLDER_LOOK;
            self.look_at_folder();
        }
        if self.memory.as_ref().is_some_and(|watch| now >= watch.due) {
            self.look_at_memory();
        }
        if self.check.as_ref().is_some_and(|check| now >= check.due) {
            self.next_check(now);
        }
    }

    fn stop(&mut self, grace: Option<Duration>) {
        let grace = grace.unwrap_or(Duration::from_millis(self.spec.stop_timeout_ms));
        let at = Instant::now().checked_add(grace);
        let is_first = self.kill_at.is_none();
        // A later word can only make it sooner.
        self.kill_at = [self.kill_at, at].into_iter().flatten().min();
        if is_first {
            // It was not reaped yet, so this is the process that is meant; if it has ended it needs no signal.
            let _ = tree::send(self.status.pid, Signal::TERM);
        }
    }

    fn kill(&self) {
        tree::kill_below(std::process::id());
    }

    /// Nobody finds a container again whose folder was removed, so it must not go on.
    fn look_at_folder(&self) {
        if matches!(self.folder.join(files::SPEC).try_exists(), Ok(false)) {
            self.kill();
        }
    }

    fn look_at_memory(&mut self) {
        let is_over = self.memory.as_mut().is_some_and(|watch| watch.is_over(&self.folder, std::process::id()));
        if is_over && !self.status.oom {
            self.status.oom = true;
            self.log_failed_save();
            self.kill();
        }
    }

    /// The exit code of the main process where it is among those that ended.
    fn reap(&mut self) -> Option<i32> {
        let mut code = None;
        for (pid, ended_with) in children::reap() {
            if pid == self.status.pid {
                code = Some(ended_with);
            } else {
                self.checked(pid, ended_with == 0);
            }
        }
        if code.is_none() {
            // The thread that watches has a place for one and waits for it.
            let _ = self.reaped.send(());
        }
        code
    }

    /// Starts a health check, or gives up the one that takes too long.
    fn next_check(&mut self, now: Instant) {
        let (Some(check), Some(wanted)) = (&mut self.check, &self.spec.health_check) else { return };
        if let Some(pid) = check.pid {
            tree::kill_below(pid);
            let _ = tree::send(pid, Signal::KILL);
            return self.checked(pid, false);
        }
        let started = children::start(&self.folder, Role::Check, |command| {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        });
        match started {
            Ok(child) => {
                check.pid = Some(child.id());
                check.due = now + Duration::from_millis(wanted.timeout_ms);
            }
            Err(why) => {
                if why != check.why_not {
                    self.log.note(&format!("health check: {why}"));
                    check.why_not = why;
                }
                self.judge(false);
            }
        }
    }

    /// A child ended, or was given up: if it is the health check, that is its outcome.
    fn checked(&mut self, pid: u32, succeeded: bool) {
        if self.check.as_ref().is_some_and(|check| check.pid == Some(pid)) {
            self.judge(succeeded);
        }
    }

    fn judge(&mut self, succeeded: bool) {
        let (Some(check), Some(wanted)) = (&mut self.check, &self.spec.health_check) else { return };
        let now = Instant::now();
        check.pid = None;
        check.due = now + Duration::from_millis(wanted.interval_ms);
        let health = check.judge.after(succeeded, now);
        if health != self.status.health {
            self.status.health = health;
            self.log_failed_save();
        }
    }

    fn save(&self) -> io::Result<()> {
        files::save(&self.folder, files::STATUS, &self.status)
    }

    /// The container goes on, and the next change is written again.
    fn log_failed_save(&self) {
        if let Err(error) = self.save() {
            self.log.note(&format!("its status cannot be written: {error}"));
        }
    }
}

impl Check {
    fn of(spec: &Spec, now: Instant) -> Option<Check> {
        let wanted = spec.health_check.as_ref()?;
        let due = now + Duration::from_millis(wanted.interval_ms);
        Some(Check { judge: Judge::new(wanted, now), due, pid: None, why_not: String::new() })
    }
}
