//! The demo's image: this executable with the shared libraries that it is linked to, since there may be no registry to
//! pull from and no static build.

use std::{path::Path, process::Stdio, time::Duration};

use bytes::Bytes;
use seawall_env::Env;
use tokio::process::Command;

use super::elf;
use crate::failure::Failure;

/// The program in the image.
pub const PROGRAM: &str = "/seawall";
/// Where the libraries are in the image.
const LIBRARIES: &str = "/lib/seawall";
/// Longest run of the interpreter, which lists the libraries.
const LIST_MAX: Duration = Duration::from_secs(10);
/// Of every file in the image.
const MODE: u32 = 0o755;

/// The root file system of the image as a tar archive, and what `docker import` is to change in it.
pub async fn pack(env: &Env) -> Result<(Bytes, Vec<String>), Failure> {
    let refuse = |why: String| Failure::refused(format!("cannot pack this program as an image: {why}"));
    let program = std::env::current_exe()?;
    let bytes = read(env, &program)?;
    let interpreter = elf::interpreter(&bytes).map_err(|why| refuse(format!("{}: {why}", program.display())))?;
    let mut archive = tar::Builder::new(Vec::new());
    add(&mut archive, PROGRAM, &bytes)?;
    if let Some(interpreter) = &interpreter {
        add(&mut archive, interpreter, &read(env, Path::new(interpreter))?)?;
        for (name, file) in elf::libraries(&list(env, interpreter, &program).await.map_err(refuse)?) {
            add(&mut archive, &format!("{LIBRARIES}/{name}"), &read(env, Path::new(&file))?)?;
        }
    }
    let changes = interpreter.map(|_| format!("ENV LD_LIBRARY_PATH={LIBRARIES}"));
    Ok((archive.into_inner()?.into(), changes.into_iter().collect()))
}

fn read(env: &Env, file: &Path) -> Result<Vec<u8>, Failure> {
    let refuse = |why: String| Failure::refused(format!("{}: {why}", file.display()));
    env.fs().read(file).map_err(|e| refuse(e.to_string()))?.ok_or_else(|| refuse("there is no such file".into()))
}

fn add(archive: &mut tar::Builder<Vec<u8>>, path: &str, bytes: &[u8]) -> Result<(), Failure> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(MODE);
    Ok(archive.append_data(&mut header, path.trim_start_matches('/'), bytes)?)
}

/// What the interpreter itself says that it would load.
async fn list(env: &Env, interpreter: &str, program: &Path) -> Result<String, String> {
    let mut command = Command::new(interpreter);
    command.arg("--list").arg(program).stdin(Stdio::null()).kill_on_drop(true);
    let output = env.timeout(LIST_MAX, command.output()).await;
    let output = output.map_err(|_| format!("{interpreter} does not answer"))?;
    let output = output.map_err(|e| format!("{interpreter}: {e}"))?;
    if !output.status.success() {
        return Err(format!("{interpreter} --list: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
