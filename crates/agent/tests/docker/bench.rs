//! How long fifty containers take, against `docker run`: printed, never judged.

use std::process::Command;

use seawall_proto::v1::ContainerDefinition;

use crate::ground::{self, Ground};

const CONTAINERS: usize = 50;
const ROUNDS: usize = 5;

/// `cargo test -p seawall-agent --release --test docker -- --ignored --nocapture fifty`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement of some minutes"]
async fn fifty_containers_against_docker_run() {
    let Some(ground) = Ground::with(|config| config.stopped_tasks_kept = 0).await else { return };
    measure(&ground, false).await;
    measure(&ground, true).await;
}

/// With a port that the engine chooses, or without any.
async fn measure(ground: &Ground, port: bool) {
    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        // Whoever goes first changes, so that neither has the warmer engine every time.
        let (ours, theirs) = if round % 2 == 0 {
            let ours = ours(ground, port).await;
            (ours, theirs(ground, port).await)
        } else {
            let theirs = theirs(ground, port).await;
            (ours(ground, port).await, theirs)
        };
        println!(
            "port: {port}, round {round}: seawall {ours:.2} s, docker run {theirs:.2} s, ratio {:.3}",
            ours / theirs
        );
        ratios.push(ours / theirs);
    }
    ratios.sort_by(f64::total_cmp);
    println!("port: {port}, median ratio {:.3}", ratios[ROUNDS / 2]);
}

/// From the assignment until all are RUNNING.
async fn ours(ground: &Ground, port: bool) -> f64 {
    let mappings = || if port { vec![ground::port(80, 0, "tcp")] } else { Vec::new() };
    let app = || ContainerDefinition {
        command: ["sleep", "1000"].map(str::to_owned).to_vec(),
        port_mappings: mappings(),
        ..ground.sleeper("app")
    };
    let began = ground.env.now();
    let tasks: Vec<_> = (0..CONTAINERS).map(|_| ground.run(vec![app()])).collect();
    for &task in &tasks {
        ground.running(task).await;
    }
    let took = ground.env.now() - began;
    for &task in &tasks {
        ground.end(task);
    }
    for task in tasks {
        ground.stopped(task).await;
    }
    ground.eventually("the engine is empty", async || ground.containers().await.is_empty().then_some(())).await;
    took.as_secs_f64()
}

async fn theirs(ground: &Ground, port: bool) -> f64 {
    let publish = if port { format!("-p {}::80", ground.config.host_ip.unwrap()) } else { String::new() };
    let label = format!("seawall.instance-id={}", ground.owner.instance);
    let run = format!(
        "seq {CONTAINERS} | xargs -P4 -I_ docker run -d --label {label} {publish} {} sleep 1000 >/dev/null",
        ground.image
    );
    let began = ground.env.now();
    assert!(Command::new("sh").args(["-c", &run]).status().unwrap().success());
    let took = ground.env.now() - began;
    let remove = format!("docker ps -aq --filter label={label} | xargs docker rm -f >/dev/null");
    assert!(Command::new("sh").args(["-c", &remove]).status().unwrap().success());
    took.as_secs_f64()
}
