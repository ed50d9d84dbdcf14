//! `seawall guard FOLDER`: the guard of one agent, which outlives it.
//!
//! Like the shim a program of its own, synchronous and without [`seawall_env::Env`]. What it knows is in memory alone, so that no
//! disk holds it up: one thread answers on the socket, one looks ten times a second whose time is over and kills. It ends when
//! nobody has asked it anything for a while and nothing is alive.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    os::unix::{
        fs::OpenOptionsExt,
        net::{UnixListener, UnixStream},
    },
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use rustix::{
    fs::Mode,
    process::{setsid, umask},
    time::{ClockId, clock_gettime},
};
use seawall_model::TaskId;

use super::{
    Held, Table, Target, kill,
    socket::{SOCKET, UNKNOWN},
};

const LOCK: &str = "guard.lock";
const LOCK_MODE: u32 = 0o600;
/// Others than the owner have no way to the socket.
const UMASK: u32 = 0o177;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// Nobody asks for so long and nothing is alive: it is not needed.
const IDLE: Duration = Duration::from_secs(10);
/// An agent that begins a line ends it.
const LINE_MAX: Duration = Duration::from_secs(1);
/// The kernel ends others first where memory is short.
const OOM_SCORE: &str = "-1000";

/// What both threads know.
struct Known {
    table: Table,
    asked: Duration,
}

/// Runs the guard; `args` are those after `guard`.
pub fn guard_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter();
    let (Some(folder), None) = (args.next(), args.next()) else { return ExitCode::from(2) };
    match run(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Its one line: the agent tries the socket, and says that nobody is there.
            let _ = writeln!(io::stdout(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(folder: &Path) -> io::Result<()> {
    // Away from the agent's group and terminal: what ends those does not end this. Its name in the folder stays short.
    let _ = setsid();
    std::env::set_current_dir(folder)?;
    let Some(_lock) = take()? else { return Ok(()) };
    // Only root may; others do without.
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    umask(Mode::from_raw_mode(UMASK));
    match std::fs::remove_file(SOCKET) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(SOCKET)?;
    writeln!(io::stdout(), "listening")?;
    let known = Arc::new(Mutex::new(Known { table: Table::default(), asked: boottime() }));
    let of_listener = known.clone();
    thread::spawn(move || listener.incoming().filter_map(Result::ok).for_each(|stream| serve(&of_listener, &stream)));
    while look(&known) {
        thread::sleep(LOOK);
    }
    Ok(())
}

/// `None` where another guard has the folder.
fn take() -> io::Result<Option<File>> {
    let mut open = OpenOptions::new();
    let lock = open.write(true).create(true).truncate(false).mode(LOCK_MODE).open(LOCK)?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Kills what is over; false where the guard is not needed any more.
fn look(known: &Mutex<Known>) -> bool {
    let now = boottime();
    let (over, is_needed) = {
        let known = lock(known);
        (known.table.over(now), known.table.has_living(now) || now.saturating_sub(known.asked) < IDLE)
    };
    let killed: usize = over.iter().map(|(_, targets)| kill::all(targets)).sum();
    is_needed || killed > 0
}

fn serve(known: &Mutex<Known>, stream: &UnixStream) {
    let mut line = String::new();
    let heard = stream.set_read_timeout(Some(LINE_MAX)).and_then(|()| BufReader::new(stream).read_line(&mut line));
    if heard.is_err() {
        return;
    }
    let answer = answer(&mut lock(known), line.trim_end()).unwrap_or_else(|| UNKNOWN.to_owned());
    // Whoever asked may have gone.
    let _ = { stream }.write_all(format!("{answer}\n").as_bytes());
}

fn answer(known: &mut Known, line: &str) -> Option<String> {
    let now = boottime();
    known.asked = now;
    let (word, rest) = line.split_once(' ')?;
    match word {
        "feed" => {
            let (owner, until_ms) = rest.split_once(' ')?;
            let until = Duration::from_millis(until_ms.parse().ok()?);
            Some(held(known.table.feed(owner.parse().ok()?, until, now)))
        }
        "watch" => {
            let (task, target) = rest.split_once(' ')?;
            let generation = known.table.watch(task.parse().ok()?, target_of(target)?);
            Some(format!("watched {generation} {}", held(known.table.held())))
        }
        "forget" => {
            known.table.forget(rest.parse().ok()?);
            Some("forgotten".into())
        }
        "lives" => {
            let task: TaskId = rest.parse().ok()?;
            Some(if known.table.lives(task, now) { "yes" } else { "no" }.into())
        }
        _ => None,
    }
}

fn held(held: Held) -> String {
    format!("held {} {}", held.generation, held.until.as_millis())
}

/// The outer `None` is what cannot be read.
fn target_of(text: &str) -> Option<Option<Target>> {
    match text.split_once(' ') {
        None => (text == "nothing").then_some(None),
        Some(("folder", folder)) => Some(Some(Target::Folder(folder.into()))),
        Some(("container", id)) => Some(Some(Target::Container(id.into()))),
        Some(_) => None,
    }
}

fn boottime() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    // Plain values: a panic while it was held leaves nothing half done.
    known.lock().unwrap_or_else(PoisonError::into_inner)
}
