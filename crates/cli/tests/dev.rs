//! `seawall dev` and `seawall zone` as real processes: everything comes up, what dies comes back, nothing is left behind.

mod support;

use std::{fs, net::TcpListener, process::Stdio};

use support::{Dev, Guard, ZONES, program, run, signal, until};

const FAKE: &[&str] = &["--runtime", "fake"];

fn dev_on(dev: &Dev, flags: &[&str]) -> support::Ended {
    let mut command = program();
    command.arg("dev").arg("--data-dir").arg(dev.folder()).args(flags);
    run(command)
}

#[track_caller]
fn six_run(dev: &Dev) {
    until("six tasks run", || {
        let status = dev.run(&["status", "-o", "json"]).json();
        let service = &status["services"][0];
        if service["running"] == 6 && service["desired"] == 6 { Ok(()) } else { Err(service.to_string()) }
    });
}

#[test]
fn three_zones_come_up_lose_one_and_get_it_back() {
    let mut dev = Dev::new();
    let port = dev.port();
    dev.start(&["--runtime", "fake", "--port", &port.to_string(), "--restart-after", "100ms"]);

    let board = dev.board().unwrap();
    let names: Vec<&str> = board["processes"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b", "c", "i-a1", "i-b1", "i-c1"]);
    assert_eq!(board["processes"][1]["role"], "server");
    assert_eq!(board["processes"][1]["zone"], ZONES[1]);
    assert_eq!(board["processes"][1]["endpoint"], format!("http://127.0.0.1:{}", port + 10));
    assert_eq!(board["processes"][4]["role"], "agent");
    assert!(board["processes"][4].get("endpoint").is_none());
    assert_eq!((&board["runtime"], &board["pid"]), (&"fake".into(), &dev.pid().into()));
    assert!(ZONES.iter().all(|zone| board["zones"][zone] == "up"), "{board}");
    for name in names {
        let line = fs::read_to_string(format!("/proc/{}/cmdline", dev.pid_of(name).unwrap())).unwrap();
        assert!(line.contains(&dev.folder().display().to_string()), "{line}");
    }

    assert_eq!(dev.run(&["member", "ls", "-q"]).ok(), "a\nb\nc\n");
    assert_eq!(dev.run(&["instance", "ls", "-q"]).ok(), "i-a1\ni-b1\ni-c1\n");
    dev.run(&["run", "anything", "--name", "web", "--count", "6"]).ok();
    six_run(&dev);

    let filtered = |filter: &str| dev.run(&["instance", "ls", "-q", "--filter", filter]);
    assert_eq!(filtered("attribute:ecs.availability-zone =~ .*b and task:group == service:web").ok(), "i-b1\n");
    assert_eq!(filtered("runningTasksCount < 2").ok(), "");
    assert!(filtered("attribute:rank ==").refused(1).contains("at position 17: expected a value after '=='"));

    let before = dev.pid_of("b").unwrap();
    signal(before as u32, "KILL");
    until("b is started again", || match dev.pid_of("b") {
        Some(now) if now != before => Ok(()),
        other => Err(format!("{other:?}")),
    });
    until("b serves again", || {
        let members = dev.run(&["member", "ls", "-o", "json"]).json();
        if members["members"][1]["alive"] == true { Ok(()) } else { Err(members.to_string()) }
    });

    let killed = dev.run(&["zone", "kill", "b"]);
    let sentence = "zone us-local-1b has lost power: server b, agent i-b1 and what ran there are killed\n";
    assert_eq!(killed.stdout, sentence);
    assert_eq!((dev.pid_of("b"), dev.pid_of("i-b1")), (None, None));
    assert_eq!(dev.board().unwrap()["zones"][ZONES[1]], "killed");
    until("the six run in two zones", || {
        let tasks = dev.run(&["ps", "-o", "json"]).json();
        let tasks = tasks["tasks"].as_array().unwrap().clone();
        let there = tasks.iter().filter(|t| t["lastStatus"] == "RUNNING" && t["availabilityZone"] != ZONES[1]);
        match there.count() {
            6 => Ok(()),
            count => Err(format!("{count} of {tasks:?}")),
        }
    });
    assert!(dev.pid_of("b").is_none(), "a zone without power is not started again");

    assert_eq!(dev.run(&["zone", "return", "b"]).ok(), "zone us-local-1b is back\n");
    assert!(dev.pid_of("b").is_some() && dev.pid_of("i-b1").is_some());
    six_run(&dev);

    assert_eq!(dev.end("INT"), Some(0));
    dev.assert_no_process_left();
    assert!(dev.board().is_none(), "dev.json tells of processes that run");
}

#[test]
fn a_killed_dev_leaves_no_process_and_goes_on_where_it_was() {
    let mut dev = Dev::ready();
    dev.run(&["run", "anything", "--name", "web", "--count", "6"]).ok();
    six_run(&dev);
    let cluster = dev.run(&["status", "-o", "json"]).json()["clusterId"].clone();
    // Processes that are stopped must go as well: they cannot see that their lifeline has closed.
    let cut = dev.run(&["zone", "cut", "c"]);
    assert_eq!(cut.stdout, "zone us-local-1c is cut off: server c, agent i-c1 are stopped, their tasks run on\n");
    assert!(dev.pid_of("c").is_some());
    dev.end("KILL");
    dev.assert_no_process_left();
    let gone = dev.run(&["zone", "return", "c"]).refused(3);
    assert!(gone.starts_with("no dev answers on "), "{gone}");

    dev.start(&[]);
    assert_eq!(dev.run(&["status", "-o", "json"]).json()["clusterId"], cluster);
    six_run(&dev);
    assert_eq!(dev.end("TERM"), Some(0));
    dev.assert_no_process_left();
}

#[test]
fn what_cannot_start_is_refused_with_the_reason() {
    let mut dev = Dev::ready();
    let (folder, port) = (dev.folder().display().to_string(), dev.port().to_string());
    let endpoints = [0, 10, 20].map(|offset| format!("http://127.0.0.1:{}", dev.port() + offset)).join(" ");

    let second = dev_on(&dev, FAKE).refused(1);
    let runs = format!("dev runs already on {folder} (pid {}, {endpoints}). next: ", dev.pid());
    assert_eq!(second, format!("{runs}seawall status; --data-dir and --port run another one beside it"));

    let other = Dev::new();
    let taken = dev_on(&other, &["--runtime", "fake", "--port", &port]).refused(1);
    let pid = dev.pid_of("a").unwrap();
    assert!(
        taken.starts_with(&format!("port {port} is in use by seawall dev on {folder} (pid {pid}): it runs already")),
        "{taken}"
    );

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let held = listener.local_addr().unwrap().port();
    let taken = dev_on(&other, &["--runtime", "fake", "--port", &held.to_string()]).refused(1);
    let own = std::process::id();
    assert!(
        taken.starts_with(&format!("port {held} is in use by ")) && taken.contains(&format!("(pid {own})")),
        "{taken}"
    );

    let unknown = dev.run(&["zone", "kill", "d"]).refused(1);
    assert_eq!(unknown, "zone \"d\" not found (there are: us-local-1a, us-local-1b, us-local-1c)");
    assert_eq!(dev.end("TERM"), Some(0));

    let changed = dev_on(&dev, &["--runtime", "process"]).refused(1);
    let made = format!("{folder} was made with --runtime fake, and what is in it depends on that. next: ");
    assert_eq!(changed, format!("{made}--runtime fake, another --data-dir, or remove {folder}"));
    let changed = dev_on(&dev, &["--port", &(dev.port() + 1).to_string()]).refused(1);
    assert!(changed.starts_with(&format!("{folder} was made with --port {port}, ")), "{changed}");

    fs::remove_dir_all(dev.folder().join("members/b")).unwrap();
    fs::write(dev.folder().join("members/b"), "in the way").unwrap();
    let failed = dev_on(&dev, &[]);
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(failed.stderr.contains("server b ended at its start (exit status: 1):"), "{failed:?}");
    assert!(failed.stderr.contains("data folder"), "the reason that it wrote is shown: {failed:?}");
    dev.assert_no_process_left();
}

#[test]
fn bad_flags_are_refused_before_anything_is_made() {
    let dev = Dev::new();
    let high = dev_on(&dev, &["--port", "65530"]).refused(2);
    assert_eq!(high, "--port 65530: no room for the other members' ports above it. next: a port from 1 to 65514");
    let mut command = program();
    let long = dev.folder().join("a".repeat(80));
    command.arg("dev").arg("--data-dir").arg(&long).args(FAKE);
    let long = run(command).refused(2);
    assert!(long.contains("its path is longer than 75 bytes"), "{long}");
    let in_the_way = dev.file("file", "");
    let mut command = program();
    command.args(["dev", "--data-dir", &format!("{in_the_way}/below")]).args(FAKE);
    let refused = run(command).refused(1);
    assert!(refused.contains("Not a directory"), "{refused}");
    assert_eq!(
        dev.run(&["zone", "kill", "b"]).refused(3).split(". next").next().unwrap(),
        format!("no dev runs on {}", dev.folder().display())
    );
}

#[test]
fn a_second_interrupt_kills_at_once() {
    let mut dev = Dev::ready();
    let pid = dev.pid();
    signal(pid, "INT");
    let code = dev.end("INT");
    // The first may have been enough by the time the second came.
    assert!(matches!(code, Some(0 | 130)), "{code:?}");
    dev.assert_no_process_left();
}

#[test]
fn the_web_service_answers_where_it_is_told_and_ends_at_once() {
    use std::io::{Read as _, Write as _};
    let port = support::free_port();
    let mut command = program();
    command.args(["web", "--answer-version", "7"]).env("SEAWALL_BIND_8080", format!("127.0.0.1:{port}"));
    let mut child = Guard(command.env("PORT", "1").stdout(Stdio::null()).spawn().unwrap());
    let answer = until("it answers", || {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).map_err(|e| e.to_string())?;
        stream.write_all(b"GET /any HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        Ok(text)
    });
    signal(child.0.id(), "TERM");
    let status = child.0.wait().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("version 7, task "), "{answer}");
    assert_eq!(status.code(), Some(0));
}
