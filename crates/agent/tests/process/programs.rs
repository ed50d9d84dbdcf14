//! What the test executable is besides the tests.

use std::{io::Write, net::TcpListener, path::Path, process::ExitCode, time::Duration};

use seawall_env::Env;

use crate::machine::{assignment, engine, shell};

/// The task that [`agent`] runs.
pub const AGENTS_TASK: u64 = 1 << 40;

/// An agent with one task that sleeps, until it is killed.
pub fn agent(folder: &str) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let env = Env::real_with_default_net();
        let engine = engine(&env, Path::new(folder)).await;
        engine.assign(1, vec![assignment(AGENTS_TASK, shell("echo up; sleep 1000"))]);
        std::future::pending::<()>().await;
        drop(engine);
    });
    ExitCode::SUCCESS
}

/// Answers each connection on `SEAWALL_BIND_80` with its own port.
pub fn listen() -> ExitCode {
    let address = std::env::var("SEAWALL_BIND_80").unwrap();
    let listener = TcpListener::bind(&address).unwrap();
    println!("listening on {address}");
    for connection in listener.incoming() {
        connection.unwrap().write_all(std::env::var("PORT").unwrap().as_bytes()).unwrap();
    }
    ExitCode::SUCCESS
}

/// Holds so much memory.
pub fn eat(mib: &str) -> ExitCode {
    let length = mib.parse::<usize>().unwrap() << 20;
    let held: Vec<u8> = (0..length).map(|at| at as u8).collect();
    println!("ate {mib} MiB, of which the last byte is {}", held[length - 1]);
    std::thread::sleep(Duration::from_secs(1000));
    ExitCode::SUCCESS
}
