//! The Python example against a real cluster: the API is for others, so a client that knows only proto/ must get through
//! the whole round. Needs python3 with venv, and pip's index once; skipped with a visible line without them, except under
//! CI, where that is a failure.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use jepsen_style_tests::{
    client::Clients,
    cluster::{Cluster, Setup},
};

const READY_DEADLINE: Duration = Duration::from_secs(60);

/// What a program printed, where it succeeded.
fn run(command: &mut Command) -> Result<String, String> {
    let Output { status, stdout, stderr } = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let printed = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    if status.success() { Ok(printed) } else { Err(format!("{command:?}: {status}\n{printed}")) }
}

/// target/debug or target/release, in which this test was built.
fn profile_folder() -> PathBuf {
    let test = env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().to_owned()
}

/// The binary that was built with this test; made now where only this crate was.
fn seawall() -> PathBuf {
    let binary = profile_folder().join("seawall");
    if !binary.is_file() {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "-p", "seawall-cli"]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        run(&mut build).unwrap();
    }
    binary
}

/// A virtual environment with the example's requirements, kept between runs as long as those do not change.
fn python(example: &Path) -> Result<PathBuf, String> {
    let wanted = fs::read_to_string(example.join("requirements.txt")).unwrap();
    let folder = profile_folder().join("python-client-venv");
    let python = folder.join("bin/python");
    let installed = folder.join("installed");
    if fs::read_to_string(&installed).is_ok_and(|had| had == wanted) {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let requirements = example.join("requirements.txt");
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(requirements))?;
    fs::write(installed, wanted).map_err(|error| error.to_string())?;
    Ok(python)
}

#[tokio::test]
async fn a_python_client_does_the_whole_round() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/python-client");
    let python = match python(&example) {
        Ok(python) => python,
        Err(missing) => {
            assert!(env::var_os("CI").is_none(), "Python is needed under CI: {missing}");
            println!("SKIP: no Python with grpcio: {missing}");
            return;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let stubs = folder.path().join("stubs");
    run(Command::new(&python).arg(example.join("make_stubs.py")).arg(&stubs)).unwrap();

    let setup = Setup { seawall: seawall(), folder: folder.path().to_owned(), agents_per_zone: 1 };
    let cluster = Cluster::start(&setup).unwrap();
    let clients = Clients::new(&cluster.endpoints).unwrap();
    clients.wait_until_ready(1, READY_DEADLINE).await.unwrap();
    let address = cluster.endpoints[1].trim_start_matches("http://").to_owned();
    let mut client = Command::new(&python);
    client.arg("-B").arg(example.join("client.py")).arg(address).env("PYTHONPATH", &stubs);
    let printed = run(&mut client).unwrap();
    assert_eq!(printed.lines().filter(|line| line.starts_with("ok ")).count(), 10, "{printed}");
}
