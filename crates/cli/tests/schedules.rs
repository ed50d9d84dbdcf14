//! Jobs and schedules by the command line, with processes as tasks.

mod support;

use serde_json::Value;
use support::{Dev, until};

const DEFINITION: &str = r#"{ "family": "report", "containerDefinitions": [{ "name": "main", "image": "process",
    "memoryReservation": 64, "command": ["/bin/sh", "-c", "echo $WHAT done"],
    "environment": [{ "name": "WHAT", "value": "report" }] }] }"#;

fn dev() -> Dev {
    let mut dev = Dev::new();
    let port = dev.port().to_string();
    dev.start(&["--runtime", "process", "--port", &port]);
    let definition = dev.file("report.json", DEFINITION);
    dev.run(&["taskdef", "register", &definition]).ok();
    dev
}

fn job(dev: &Dev, name: &str) -> Value {
    dev.run(&["job", "show", name, "-o", "json"]).json()["jobs"][0].clone()
}

#[test]
fn a_job_runs_to_its_end_and_its_status_is_the_commands() {
    let dev = dev();
    let said = dev.run(&["job", "run", "report", "--name", "once", "--completions", "3", "--parallelism", "2"]).ok();
    assert_eq!(said, "job once begins\n");
    let once = job(&dev, "once");
    assert_eq!((&once["status"], &once["succeeded"], &once["failed"]), (&"SUCCEEDED".into(), &3.into(), &0.into()));
    let lines = dev.run(&["job", "logs", "once"]).ok();
    assert_eq!(lines.lines().filter(|line| line.ends_with(" main | report done")).count(), 3, "{lines}");

    dev.run(&["job", "run", "report", "--name", "other", "-e", "WHAT=other"]).ok();
    assert_eq!(dev.run(&["job", "logs", "other"]).ok(), "other done\n");

    let fails = ["job", "run", "report", "--name", "fails", "--retries", "1", "--retry-wait", "1s"];
    let refused = dev.run(&[&fails[..], &["--", "/bin/sh", "-c", "exit 3"]].concat()).refused(1);
    assert_eq!(
        refused,
        "job fails has FAILED: 2 tasks failed; the last one: container main exited with 3. next: seawall job logs fails"
    );

    let long = ["job", "run", "report", "--name", "long", "--detach", "--", "/bin/sleep", "1000"];
    dev.run(&long).ok();
    until("it runs", || if job(&dev, "long")["active"] == 1 { Ok(()) } else { Err(job(&dev, "long").to_string()) });
    assert_eq!(dev.run(&long).refused(1), "The job long is not over yet");
    dev.run(&["job", "stop", "long", "--yes", "--reason", "enough"]).ok();
    let stopped = job(&dev, "long");
    assert_eq!((&stopped["status"], &stopped["statusReason"]), (&"STOPPED".into(), &"enough".into()));
    let names = dev.run(&["job", "ls", "-q"]).ok();
    assert_eq!(names.lines().collect::<Vec<_>>(), ["long", "fails", "other", "once"]);

    for (words, code, told) in [
        (
            &["job", "run", "reprot"][..],
            1,
            "task definition \"reprot\" not found (there are: report:1). next: seawall taskdef ls",
        ),
        (&["job", "show", "onec"], 1, "job \"onec\" not found (nearest: once, long, other). next: seawall job ls"),
        (&["job", "stop", "onec", "--yes"], 1, "job \"onec\" not found (nearest: once, long, other)"),
        (&["job", "run", "report", "--completions", "0"], 1, "completions is 0; it must be between 1 and 10000"),
    ] {
        assert_eq!(dev.run(words).refused(code), told, "{words:?}");
    }
}

#[test]
fn a_schedule_begins_jobs_by_the_clock_and_by_hand() {
    let dev = dev();
    // Far enough for the call, near enough to wait for; beyond the next second, since the time names whole ones.
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(4);
    let at = format!("at({})", soon.strftime("%Y-%m-%dT%H:%M:%S"));
    let said = dev.run(&["schedule", "create", "soon", &at, "report", "-e", "WHAT=soon"]).ok();
    assert!(said.starts_with("schedule soon created: the next job begins at "), "{said}");
    let said = dev.run(&["schedule", "create", "daily", "cron(0 3 * * ? *)", "report", "--disabled"]).ok();
    assert_eq!(said, "schedule daily created: it is disabled\n");

    let shown = |name: &str| dev.run(&["schedule", "show", name, "-o", "json"]).json()["schedules"][0].clone();
    let begun = until("its time comes", || {
        let jobs = dev.run(&["job", "ls", "soon", "-o", "json"]).json()["jobs"].clone();
        if jobs[0]["status"] == "SUCCEEDED" { Ok(jobs) } else { Err(jobs.to_string()) }
    });
    assert_eq!(begun.as_array().unwrap().len(), 1);
    assert_eq!(begun[0]["scheduledFor"], soon.as_second() as f64);
    let name = begun[0]["name"].as_str().unwrap();
    assert_eq!(dev.run(&["job", "logs", name]).ok(), "soon done\n");
    let soon = shown("soon");
    assert_eq!((&soon["fired"], &soon["lastJob"], &soon["nextAt"]), (&1.into(), &name.into(), &Value::Null));

    dev.run(&["schedule", "run-now", "daily"]).ok();
    dev.run(&["schedule", "set", "daily", "--time-zone", "Europe/Berlin", "--concurrency", "replace"]).ok();
    dev.run(&["schedule", "enable", "daily"]).ok();
    let daily = shown("daily");
    assert_eq!((&daily["spec"]["state"], &daily["spec"]["concurrency"]), (&"ENABLED".into(), &"REPLACE".into()));
    assert_eq!((&daily["fired"], daily["nextAt"].is_number()), (&0.into(), true));
    let next = dev.run(&["schedule", "next", "daily", "--count", "2", "-q"]).ok();
    assert!(next.lines().count() == 2 && next.lines().all(|line| line.contains("T03:00:00+0")), "{next}");
    let next = dev.run(&["schedule", "next", "0 12 31 12 *", "--time-zone", "Asia/Tokyo", "--count", "1", "-q"]).ok();
    assert!(next.ends_with("-12-31T12:00:00+09:00[Asia/Tokyo]\n"), "{next}");

    for (words, code, told) in [
        (
            &["schedule", "create", "bad", "cron(0 0 30 2 ? *)", "report"][..],
            1,
            "The schedule expression \"cron(0 0 30 2 ? *)\" has no time after now in UTC: it would never run. next: seawall schedule next shows times",
        ),
        (
            &["schedule", "create", "bad", "rate(1 day)", "report", "--time-zone", "Berlin"],
            1,
            "Unknown time zone \"Berlin\": zones are named as IANA does (nearest: Europe/Berlin, Asia/Bahrain, America/Belem)",
        ),
        (
            &["schedule", "create", "bad", "rate(1 day)", "reprot"],
            1,
            "task definition \"reprot\" not found (there are: report:1). next: seawall taskdef ls",
        ),
        (&["schedule", "create", "daily", "rate(1 day)", "report"], 1, "The schedule daily exists already"),
        (
            &["schedule", "show", "dialy"],
            1,
            "schedule \"dialy\" not found (there are: daily, soon). next: seawall schedule ls",
        ),
        (&["schedule", "set", "daily"], 2, "nothing to change was named. next: seawall schedule set --help"),
        (
            &["schedule", "set", "daily", "--retries", "1"],
            2,
            "flags of a job need --run FAMILY: a job is replaced as a whole. next: seawall schedule show daily -o json",
        ),
    ] {
        assert_eq!(dev.run(words).refused(code), told, "{words:?}");
    }
    dev.run(&["schedule", "rm", "daily", "soon", "--yes"]).ok();
    assert_eq!(dev.run(&["schedule", "ls", "-q"]).ok(), "");
}

#[test]
fn a_service_is_deployed_once_its_job_has_succeeded() {
    let dev = dev();
    let web = |version: &str| {
        let text = DEFINITION.replace("report", "web").replace("echo $WHAT done", &format!("exec sleep 100{version}"));
        dev.run(&["taskdef", "register", &dev.file("web.json", &text)]).ok();
    };
    web("1");
    let service = dev.file("service.json", r#"{ "serviceName": "web", "taskDefinition": "web", "desiredCount": 2 }"#);
    dev.run(&["service", "create", &service]).ok();
    web("2");
    let runs = || {
        let shown = dev.run(&["service", "show", "web", "-o", "json"]).json()["services"][0].clone();
        let revision = shown["taskDefinition"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
        (revision, shown["deployments"].as_array().unwrap().len(), shown["runningCount"].as_u64())
    };
    let migrate = |name: &str, script: &str| {
        let words =
            ["job", "run", "web:2", "--name", name, "--deploy-to", "web", "--retries", "0", "--", "/bin/sh", "-c"];
        dev.run(&[&words[..], &[script]].concat())
    };
    let refused = migrate("fails", "exit 4").refused(1);
    assert!(refused.starts_with("job fails has FAILED: A task failed; the last one: container main exited with 4"));
    assert_eq!(runs(), ("1".to_owned(), 1, Some(2)), "nothing is deployed after a failure");
    migrate("migrate", "exit 0").ok();
    assert_eq!(runs(), ("2".to_owned(), 1, Some(2)), "and it is waited for");
}
