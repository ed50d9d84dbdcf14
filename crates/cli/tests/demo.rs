//! `seawall demo` with the fake runtime: the whole story but for the answers over HTTP, which the other runtimes give.

mod support;

use std::process::Stdio;

use serde_json::Value;
use support::{Guard, processes_of, program, run, signal, until};

/// Processes of any demo, and its folders.
fn left(folder: &std::path::Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().display().to_string());
    files.chain(processes_of(folder).into_iter().map(|(_, line)| line)).collect()
}

#[test]
fn the_whole_story_holds_and_leaves_nothing() {
    let folder = tempfile::Builder::new().prefix("swdt").tempdir().unwrap();
    let json = folder.path().with_extension("json");
    let mut command = program();
    command.args(["demo", "--runtime", "fake", "--json"]).arg(&json).env("TMPDIR", folder.path());
    let told = run(command);
    let document = std::fs::read(&json).unwrap();
    std::fs::remove_file(&json).unwrap();
    let text = told.ok();
    let document: Value = serde_json::from_slice(&document).unwrap();
    let steps = document["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["ok"] == true), "{text}");
    let losses = ["the leader's zone loses power", "the leader's zone is cut off", "roll a second version out"];
    for name in losses {
        assert!(steps.iter().any(|step| step["name"] == name && step["skipped"].is_null()), "{name} in {text}");
        assert!(text.contains(name), "{text}");
    }
    assert!(document["failover_ms"].as_u64().unwrap() > 0 && document["zone_recovered_ms"].as_u64().unwrap() > 0);
    assert!(!text.contains('\r') && !text.contains('\u{1b}'), "a pipe gets no colours and no returns: {text}");
    assert_eq!(left(folder.path()), Vec::<String>::new());
}

#[test]
fn an_interrupted_demo_cleans_up() {
    let folder = tempfile::Builder::new().prefix("swdt").tempdir().unwrap();
    let mut command = program();
    command
        .args(["demo", "--runtime", "fake"])
        .env("TMPDIR", folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = Guard(command.spawn().unwrap());
    until("members run", || match processes_of(folder.path()).len() {
        0..=3 => Err("too few".into()),
        _ => Ok(()),
    });
    signal(child.0.id(), "INT");
    assert_eq!(child.0.wait().unwrap().code(), Some(130));
    assert_eq!(left(folder.path()), Vec::<String>::new());
}
