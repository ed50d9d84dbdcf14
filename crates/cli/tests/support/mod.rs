//! Drives the real binary: a `seawall dev` of its own on free ports and a temporary folder, and commands against it.
//! Dropping it ends everything that it started, also after a failed assertion.

// Each test file uses its own part of this.
#![allow(dead_code)]
#![allow(clippy::disallowed_methods, reason = "the clock of a program that drives others from outside")]

use std::{
    fs,
    io::Read as _,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for anything: several times of what it takes on a slow machine that does much else.
pub const WAIT_MAX: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Lines of each process's log that a failed test shows.
const LOG_LINES_SHOWN: usize = 25;
/// Below the ports that the kernel gives to outgoing connections.
const PORTS: std::ops::Range<u32> = 20_000..30_000;
/// The letters of dev's zones.
pub const ZONES: [&str; 3] = ["us-local-1a", "us-local-1b", "us-local-1c"];

/// Waits until `look` finds something, or panics with what it saw last.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if Instant::now() > deadline => panic!("{what}: not within {WAIT_MAX:?}; last seen: {seen}"),
            Err(_) => thread::sleep(LOOK_EVERY),
        }
    }
}

/// How long something takes.
pub fn timed(act: impl FnOnce()) -> Duration {
    let began = Instant::now();
    act();
    began.elapsed()
}

/// The end of a command.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code.
    pub code: i32,
    /// What it wrote.
    pub stdout: String,
    /// What it wrote.
    pub stderr: String,
}

impl Ended {
    /// Its output, if it succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout
    }

    /// Its last words, if it ended with `code`. What came before them is progress.
    #[track_caller]
    pub fn refused(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        self.stderr.trim().lines().last().unwrap_or_default().to_owned()
    }

    /// Its output as JSON, if it succeeded.
    #[track_caller]
    pub fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e} in {text}"))
    }
}

/// The program without anything of the environment that would change what it does.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
    let changes = |name: &str| name.starts_with("SEAWALL_") || name.starts_with("AWS_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| changes(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    command.env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

/// Runs a command to its end; kills it and panics with what it wrote when it takes too long.
#[track_caller]
pub fn run(mut command: Command) -> Ended {
    let shown = format!("{command:?}");
    let mut child = Guard(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let reader = |mut pipe: Box<dyn std::io::Read + Send>| {
        thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).map(|_| text).unwrap_or_else(|e| e.to_string())
        })
    };
    let stdout = reader(Box::new(child.0.stdout.take().unwrap()));
    let stderr = reader(Box::new(child.0.stderr.take().unwrap()));
    let status = wait_for(&mut child.0);
    if status.is_none() {
        child.0.kill().unwrap();
    }
    let code = status.and_then(|status| status.code()).unwrap_or(-1);
    let ended = Ended { code, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() };
    assert!(status.is_some(), "{shown} did not end within {WAIT_MAX:?}: {ended:?}");
    ended
}

fn wait_for(child: &mut Child) -> Option<std::process::ExitStatus> {
    let deadline = Instant::now() + WAIT_MAX;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        thread::sleep(LOOK_EVERY);
    }
    None
}

/// A port from which on dev's six are free now.
pub fn free_port() -> u16 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let mut seed = std::process::id().wrapping_mul(31).wrapping_add(now.subsec_nanos());
    for _ in 0..200 {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let port = (PORTS.start + (seed >> 8) % PORTS.len() as u32) as u16;
        let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if [0, 1, 10, 11, 20, 21].iter().all(|offset| free(port + offset)) {
            return port;
        }
    }
    panic!("no free ports")
}

/// Processes whose command line names the folder.
pub fn processes_of(folder: &Path) -> Vec<(u32, String)> {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let lines = pids.filter_map(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        Some((pid, String::from_utf8_lossy(&line).replace('\0', " ")))
    });
    let folder = folder.display().to_string();
    lines.filter(|(_, line)| line.contains(&folder)).collect()
}

/// A process that is killed when the test is over, whatever came of it.
pub struct Guard(pub Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // It has ended already where all went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a signal by name.
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).stderr(Stdio::null()).status();
    sent.unwrap();
}

/// A dev of the fake runtime.
pub struct Dev {
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Dev {
    /// A folder and ports for one, not started yet.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("seawall-dev-test-").tempdir().unwrap();
        Dev { folder, port: free_port(), child: None }
    }

    /// One that is ready.
    pub fn ready() -> Self {
        let mut dev = Dev::new();
        let port = dev.port.to_string();
        dev.start(&["--runtime", "fake", "--port", &port]);
        dev
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The port of its first member.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it wrote since it was started.
    pub fn said(&self) -> String {
        fs::read_to_string(self.output()).unwrap_or_default()
    }

    fn output(&self) -> PathBuf {
        self.folder.path().with_extension("out")
    }

    /// What dev and the end of each process's log say, for whoever has to find out why a test failed.
    fn last_words(&self) -> String {
        let mut words = format!("dev said:\n{}", self.said());
        for log in fs::read_dir(self.folder().join("logs")).into_iter().flatten().flatten() {
            let text = fs::read_to_string(log.path()).unwrap_or_else(|error| error.to_string());
            let lines: Vec<&str> = text.lines().collect();
            let shown = lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n");
            words.push_str(&format!("\n{} ends with:\n{shown}\n", log.path().display()));
        }
        words
    }

    /// Starts it with these flags beside its folder, and waits until it is ready.
    #[track_caller]
    pub fn start(&mut self, flags: &[&str]) {
        let output = fs::File::create(self.output()).unwrap();
        let mut command = program();
        command.arg("dev").arg("--data-dir").arg(self.folder()).args(flags);
        command.stdout(output.try_clone().unwrap()).stderr(output);
        self.child = Some(command.spawn().unwrap());
        let pid = self.pid();
        until("dev gets ready", || {
            let said = || fs::read_to_string(self.output()).unwrap_or_default();
            match self.board() {
                Some(board) if board["pid"] == pid => Ok(()),
                _ if !Path::new(&format!("/proc/{pid}/exe")).exists() => panic!("dev ended: {}", said()),
                _ => Err(said()),
            }
        });
    }

    /// The process id of dev itself.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// What is in dev.json; `None` where there is none.
    pub fn board(&self) -> Option<Value> {
        let text = fs::read(self.folder().join("dev.json")).ok()?;
        Some(serde_json::from_slice(&text).unwrap())
    }

    /// The pid of one of its processes, by dev.json.
    pub fn pid_of(&self, name: &str) -> Option<u64> {
        let board = self.board().expect("dev.json is there");
        let processes = board["processes"].as_array().unwrap().clone();
        processes.iter().find(|p| p["name"] == name).unwrap()["pid"].as_u64()
    }

    /// Waits for its end after a signal; its exit code.
    #[track_caller]
    pub fn end(&mut self, name: &str) -> Option<i32> {
        signal(self.pid(), name);
        let mut child = self.child.take().unwrap();
        wait_for(&mut child).expect("dev ends").code()
    }

    /// Waits until none of its processes is left.
    #[track_caller]
    pub fn assert_no_process_left(&self) {
        until("no process is left", || {
            let left = processes_of(self.folder());
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        });
    }

    /// A command that speaks to it.
    pub fn command(&self, words: &[&str]) -> Command {
        let addresses = [0, 10, 20].map(|offset| format!("127.0.0.1:{}", self.port + offset));
        let mut command = program();
        command.args(words).env("SEAWALL_ADDR", addresses.join(",")).env("SEAWALL_DEV_DIR", self.folder());
        command
    }

    /// Runs a command that speaks to it.
    pub fn run(&self, words: &[&str]) -> Ended {
        run(self.command(words))
    }

    /// All that commands change, with its service `web`; nothing that changes by itself.
    pub fn resources(&self) -> Vec<Value> {
        let names = |words: &[&str]| Value::from(self.run(&[words, &["-q"]].concat()).ok());
        let json = |words: &[&str]| self.run(&[words, &["-o", "json"]].concat()).json();
        let web = json(&["service", "show", "web"])["services"][0].clone();
        let mut all: Vec<Value> = ["status", "desiredCount", "taskDefinition"].map(|member| web[member].clone()).into();
        for instance in json(&["instance", "ls"])["containerInstances"].as_array().unwrap() {
            all.extend([instance["status"].clone(), instance["attributes"].clone()]);
        }
        all.extend([json(&["cluster", "ls"]), names(&["taskdef", "ls", "--all"]), names(&["ps", "--all"])]);
        all.extend([names(&["service", "ls"]), names(&["token", "ls"]), names(&["member", "ls"])]);
        all.extend([json(&["schedule", "ls"]), names(&["job", "ls"])]);
        all
    }

    /// A file in a folder of its own, gone with it.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.last_words());
        }
        if let Some(mut child) = self.child.take() {
            signal(child.id(), "TERM");
            if wait_for(&mut child).is_none() {
                child.kill().unwrap();
            }
        }
        for (pid, _) in processes_of(self.folder()) {
            signal(pid, "KILL");
        }
        // Gone already where dev was never started.
        let _ = fs::remove_file(self.output());
    }
}
