//! `seawall dev` with what really runs tasks: a zone's tasks die with its power, all of them end with dev, and a dev that
//! was killed finds them again.

mod support;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::{Command, Stdio},
};

use support::{Dev, ZONES, processes_of, until};

/// What runs the tasks of a test.
trait Runtime {
    /// Of `--runtime`.
    const WORD: &str;
    /// `seawall run …` of one task.
    fn run(&self) -> Vec<String>;
    /// What runs for the agents of a dev, by any means but Seawall's.
    fn tasks(&self, dev: &Dev) -> Vec<String>;
}

struct Processes;

impl Runtime for Processes {
    const WORD: &str = "process";

    fn run(&self) -> Vec<String> {
        let program = env!("CARGO_BIN_EXE_seawall");
        ["process", "-p", "8080", "--", program, "web"].map(str::to_owned).to_vec()
    }

    fn tasks(&self, dev: &Dev) -> Vec<String> {
        let all = processes_of(dev.folder()).into_iter().map(|(_, line)| line);
        all.filter(|line| line.contains(" shim run ")).collect()
    }
}

/// The service of a runtime through the life of a dev.
fn live<R: Runtime>(runtime: &R, answers: bool) {
    let mut dev = Dev::new();
    let port = dev.port().to_string();
    dev.start(&["--runtime", R::WORD, "--port", &port]);
    let run = runtime.run();
    let mut words = vec!["run", &run[0], "--name", "web", "--count", "6"];
    words.extend(run[1..].iter().map(String::as_str));
    dev.run(&words).ok();
    // What replaced the lost tasks is looked at below: none may move back meanwhile.
    dev.run(&["service", "set", "web", "availabilityZoneRebalancing=DISABLED"]).ok();
    let tasks = |count| {
        until("as many tasks run", || {
            let found = runtime.tasks(&dev);
            if found.len() == count { Ok(()) } else { Err(format!("{found:?}")) }
        });
    };
    tasks(6);
    if answers {
        all_answer(&dev);
    }

    let killed = dev.run(&["zone", "kill", "b"]).ok();
    assert_eq!(killed, "zone us-local-1b has lost power: server b, agent i-b1 and 2 containers are killed\n");
    assert!(runtime.tasks(&dev).len() <= 4, "what ran in the zone is gone at once");
    tasks(6);
    dev.run(&["zone", "return", "b"]).ok();
    let of_zone = dev.run(&["ps", "-o", "json"]).json();
    let there = of_zone["tasks"].as_array().unwrap().iter().filter(|task| task["availabilityZone"] == ZONES[1]).count();
    assert_eq!(there, 0, "what was lost is not counted: {of_zone}");

    let mut before: Vec<String> = dev.run(&["ps", "-q"]).ok().lines().map(str::to_owned).collect();
    before.sort();
    dev.end("KILL");
    until("members and agents are gone", || {
        let left =
            processes_of(dev.folder()).into_iter().filter(|(_, line)| !line.contains(" shim ")).collect::<Vec<_>>();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
    assert_eq!(runtime.tasks(&dev).len(), 6, "tasks outlive a dev that was killed");
    dev.start(&[]);
    dev.run(&["wait", "services-stable", "web"]).ok();
    let mut after: Vec<String> = dev.run(&["ps", "-q"]).ok().lines().map(str::to_owned).collect();
    after.sort();
    assert_eq!(before, after, "they are the same tasks");

    assert_eq!(dev.end("INT"), Some(0));
    assert_eq!(runtime.tasks(&dev), Vec::<String>::new(), "tasks end with dev");
    assert_eq!(cgroups(&dev), Vec::<PathBuf>::new(), "so do their control groups");
    dev.assert_no_process_left();
}

/// The control groups of the tasks of a dev, in every tree.
fn cgroups(dev: &Dev) -> Vec<PathBuf> {
    let identity = fs::read(dev.folder().join("members/a/identity.json")).unwrap();
    let identity: serde_json::Value = serde_json::from_slice(&identity).unwrap();
    let of_cluster = format!("-{}-", identity["cluster_id"].as_str().unwrap());
    let root = PathBuf::from("/sys/fs/cgroup");
    let trees = fs::read_dir(&root).into_iter().flatten().map(|entry| entry.unwrap().path()).chain([root.clone()]);
    let groups = trees.filter_map(|tree| fs::read_dir(tree.join("seawall")).ok()).flatten();
    let groups = groups.map(|entry| entry.unwrap().path());
    groups.filter(|group| group.to_string_lossy().contains(&of_cluster)).collect()
}

fn all_answer(dev: &Dev) {
    let endpoints = dev.run(&["service", "endpoints", "web", "-q"]).ok();
    assert_eq!(endpoints.lines().count(), 6);
    for endpoint in endpoints.lines() {
        let answer = until("it answers", || {
            let mut stream = TcpStream::connect(endpoint).map_err(|e| e.to_string())?;
            stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").map_err(|e| e.to_string())?;
            let mut text = String::new();
            stream.read_to_string(&mut text).map(|_| text).map_err(|e| e.to_string())
        });
        assert!(answer.contains("version 1, task "), "{answer}");
    }
}

#[test]
fn processes_die_with_their_zone_and_with_dev() {
    live(&Processes, true);
}

/// Containers of an image that is made for the test and removed with it.
struct Containers {
    image: String,
}

impl Runtime for Containers {
    const WORD: &str = "docker";

    fn run(&self) -> Vec<String> {
        // As the first process of its container it hears no SIGTERM that it does not ask for.
        [&self.image, "--", "/busybox", "sleep", "100000"].map(str::to_owned).to_vec()
    }

    fn tasks(&self, _: &Dev) -> Vec<String> {
        let filter = format!("ancestor={}", self.image);
        let listed = docker(&["ps", "--no-trunc", "--quiet", "--filter", &filter]).unwrap_or_default();
        listed.lines().map(str::to_owned).collect()
    }
}

impl Containers {
    fn new() -> Option<Self> {
        let lacks = match (docker(&["info"]), busybox()) {
            (None, _) => "Docker does not answer",
            (_, None) => "there is no static busybox (Debian: busybox-static)",
            (Some(_), Some(_)) => return Some(Self::import()),
        };
        assert!(std::env::var_os("CI").is_none(), "{lacks}, and under CI it must");
        println!("SKIP: {lacks}");
        None
    }

    fn import() -> Self {
        let image = format!("seawall-dev-test:{}", std::process::id());
        let mut archive = tar::Builder::new(Vec::new());
        archive.append_path_with_name(busybox().unwrap(), "busybox").unwrap();
        let mut import = Command::new("docker");
        import.args(["import", "-", &image]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut import = support::Guard(import.spawn().unwrap());
        import.0.stdin.take().unwrap().write_all(&archive.into_inner().unwrap()).unwrap();
        assert!(import.0.wait().unwrap().success());
        Containers { image }
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        let filter = format!("ancestor={}", self.image);
        for id in docker(&["ps", "--all", "--quiet", "--filter", &filter]).unwrap_or_default().lines() {
            docker(&["rm", "--force", "--volumes", id]);
        }
        docker(&["rmi", "--force", &self.image]);
    }
}

fn docker(words: &[&str]) -> Option<String> {
    let output = Command::new("docker").args(words).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn busybox() -> Option<&'static str> {
    ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| std::fs::metadata(path).is_ok())
}

#[test]
fn containers_die_with_their_zone_and_with_dev() {
    let Some(containers) = Containers::new() else { return };
    live(&containers, false);
    let all = docker(&["ps", "--all", "--quiet", "--filter", &format!("ancestor={}", containers.image)]);
    assert_eq!(all.as_deref(), Some(""), "dev removes what it ran");
}
