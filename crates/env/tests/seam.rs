//! Nothing goes around the seam: what clippy.toml cannot name is looked for in the text of every crate but this one and
//! `jepsen-style-tests`, whose subject is the real machine.

use std::{fs, path::Path};

/// Text that stands for a way around [`seawall_env::Env`], and what to use.
const BANNED: &[(&str, &str)] = &[
    ("tokio::spawn(", "Env::spawn"),
    ("tokio::time::", "Env::sleep, Env::timeout, Env::now"),
    ("tokio::fs::", "Env::fs"),
    ("std::fs::", "Env::fs"),
    ("tokio::net::", "Env::net, seawall_env::net::grpc"),
    ("std::net::Tcp", "Env::net, seawall_env::net::grpc"),
    ("std::net::Udp", "Env::net"),
    ("std::thread::", "Env::thread, Env::os_thread"),
    ("SystemTime", "Env::wall_ms"),
    ("rand::rng(", "Env::fill_random"),
    ("rand::thread_rng(", "Env::fill_random"),
    ("from_os_rng(", "Env::fill_random"),
    ("Uuid::now", "Env::new_id"),
];

/// Leaf files that hold a facility of the machine which has no place in `Env`, each with its reason.
const LEAVES: &[(&str, &str)] = &[
    ("agent/src/shim/", "the shim is a program of its own, the parent of a process task"),
    ("agent/src/guard/", "the guard is a program of its own, beside the agent that talks with it over a socket"),
    ("agent/src/runtime/process/host.rs", "starts shims, and appends to and locks files that they share"),
];

/// Lines of a Rust file with their numbers, up to its unit tests: those may sleep and draw as they like.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let tests = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..tests]
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line))
        .filter(|(_, line)| !line.trim().starts_with("//"))
}

fn rust_files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// What is wrong in one file's text.
fn mistakes(name: &str, text: &str) -> Vec<String> {
    let all: Vec<(usize, &str)> = lines(text).collect();
    let mut found = Vec::new();
    for (at, line) in &all {
        for (banned, instead) in BANNED {
            if line.contains(banned) {
                found.push(format!("{name}:{at}: {banned} goes around the seam: use {instead}"));
            }
        }
    }
    for pair in all.windows(2) {
        let (opens, next) = (pair[0], pair[1]);
        if opens.1.contains("select! {") && next.1.trim() != "biased;" {
            found.push(format!("{name}:{}: select! without `biased;` draws from tokio's own random source", opens.0));
        }
    }
    found
}

#[test]
fn nothing_goes_around_the_seam() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for krate in fs::read_dir(crates).unwrap() {
        let sources = krate.unwrap().path().join("src");
        if !sources.starts_with(env!("CARGO_MANIFEST_DIR")) && sources.is_dir() {
            rust_files(&sources, &mut files);
        }
    }
    assert!(files.len() > 100, "only {} files were found", files.len());
    let named = |path: &Path| path.strip_prefix(crates).unwrap().display().to_string();
    let looked_at = files.iter().filter(|path| !LEAVES.iter().any(|(leaf, _)| named(path).starts_with(leaf)));
    let found: Vec<String> =
        looked_at.flat_map(|path| mistakes(&named(path), &fs::read_to_string(path).unwrap())).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_way_around_is_found() {
    let text = "fn a() {\n    tokio::spawn(b());\n    tokio::select! {\n        x = y => {}\n    }\n}\n";
    assert_eq!(mistakes("x.rs", text).len(), 2);
    let text = "// tokio::spawn(\nfn a() {\n    tokio::select! {\n        biased;\n    }\n}\n#[cfg(test)]\nmod tests {\n tokio::spawn(\n";
    assert_eq!(mistakes("x.rs", text), Vec::<String>::new());
}
