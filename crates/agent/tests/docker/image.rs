//! An image with nothing but busybox, for machines without a registry.

use std::path::Path;

use bollard::{Docker, body_full, query_parameters::CreateImageOptions};
use futures::StreamExt;

const BUSYBOX: [&str; 2] = ["/bin/busybox", "/usr/bin/busybox"];
/// Enough for every test; more only make the image slower to unpack.
const PROGRAMS: [&str; 20] = [
    "sh", "sleep", "cat", "echo", "env", "head", "tr", "id", "nc", "httpd", "wget", "mkdir", "rm", "test", "yes",
    "hostname", "grep", "df", "ps", "kill",
];
const PT_INTERP: u32 = 3;

/// The bytes of a busybox that needs no shared libraries.
pub fn busybox() -> Option<Vec<u8>> {
    BUSYBOX
        .iter()
        .filter(|path| Path::new(path).exists())
        .filter_map(|path| std::fs::read(path).ok())
        .find(|b| is_static(b))
}

/// Makes the image `name` with these changes (lines of a Dockerfile).
pub async fn import(docker: &Docker, name: &str, changes: &[&str]) {
    let (repo, tag) = name.rsplit_once(':').unwrap();
    let options = CreateImageOptions {
        from_src: Some("-".into()),
        repo: Some(repo.into()),
        tag: Some(tag.into()),
        changes: changes.iter().map(|line| (*line).to_owned()).collect(),
        ..Default::default()
    };
    let body = body_full(tar(&busybox().unwrap()).into());
    let mut progress = docker.create_image(Some(options), Some(body), None);
    while let Some(step) = progress.next().await {
        step.unwrap();
    }
}

fn tar(busybox: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut folder = tar::Header::new_gnu();
    folder.set_entry_type(tar::EntryType::Directory);
    folder.set_mode(0o1777);
    folder.set_size(0);
    tar.append_data(&mut folder, "tmp", std::io::empty()).unwrap();
    let mut file = tar::Header::new_gnu();
    file.set_mode(0o755);
    file.set_size(busybox.len() as u64);
    tar.append_data(&mut file, "bin/busybox", busybox).unwrap();
    for program in PROGRAMS {
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        tar.append_link(&mut link, format!("bin/{program}"), "busybox").unwrap();
    }
    tar.into_inner().unwrap()
}

/// A program of 64 bits that asks for no dynamic loader.
fn is_static(elf: &[u8]) -> bool {
    let number = |at: usize, bytes: usize| {
        elf.get(at..at + bytes).map(|b| b.iter().rev().fold(0, |n, byte| n << 8 | usize::from(*byte)))
    };
    let headers = || {
        let (start, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        Some((0..count).map(move |i| number(start + i * size, 4)))
    };
    elf.starts_with(b"\x7fELF\x02\x01")
        && headers().is_some_and(|mut types| types.all(|t| t != Some(PT_INTERP as usize)))
}
