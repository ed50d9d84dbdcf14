//! Unmodified clients of ECS against a `seawall dev`: boto3, the AWS CLI and Terraform. What they do stands in tests/ecs, in
//! Python; this makes their virtual environments (once: they stay in target/), starts the cluster, and ends everything,
//! whatever came of it. A suite that lacks a tool is skipped with a visible line; under CI that is a failure, but for
//! Terraform, which no package manager has.

#![allow(clippy::disallowed_methods, reason = "the clock of a program that drives others from outside")]

mod support;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use support::{Dev, Guard};

/// Longest run of a suite: several times of what it takes on a slow machine that does much else.
const SUITE_MAX: Duration = Duration::from_secs(900);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The AWS CLI of Debian, beside the newest one.
const DEBIANS_AWS: &str = "/usr/bin/aws";
/// Where Terraform's providers may be, since there may be no registry.
const PLUGINS: [&str; 2] = ["/opt/tf-plugins", "/usr/share/terraform/plugins"];
const PROVIDER: &str = "registry.terraform.io/hashicorp/aws/5.100.0";

fn suites() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/ecs").canonicalize().unwrap()
}

/// What a program printed, where it succeeded.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(printed) } else { Err(format!("{command:?}: {}\n{printed}", output.status)) }
}

/// What a suite needs; `None` where it is skipped.
fn or_skip<T>(found: Result<T, String>) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(lacks) => {
            assert!(env::var_os("CI").is_none(), "needed under CI: {lacks}");
            println!("SKIP: {lacks}");
            None
        }
    }
}

/// The folder of programs of a virtual environment with what `requirements` asks for, kept as long as that does not change.
fn venv(requirements: &str) -> Result<PathBuf, String> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap();
    let file = suites().join(requirements);
    let wanted = fs::read_to_string(&file).unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(requirements).with_extension("venv");
    let (programs, installed) = (folder.join("bin"), folder.join("installed"));
    if fs::read_to_string(&installed).is_ok_and(|had| had == wanted) {
        return Ok(programs);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut install = Command::new(programs.join("python"));
    run(install.args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(file))?;
    fs::write(installed, wanted).map_err(|error| error.to_string())?;
    Ok(programs)
}

/// A program that finds the suites' own modules and nothing of whoever runs this.
fn python(programs: &Path) -> Command {
    let mut command = Command::new(programs.join("python"));
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if ["AWS_", "TF_", "SEAWALL_", "PYTEST_"].iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(&*name);
        }
    }
    command.arg("-B").env("PYTHONPATH", suites()).stdin(Stdio::null());
    command
}

/// Runs the tests of a folder against `dev`; panics with what they said when one fails.
fn suite(dev: &Dev, folder: &str, python: &mut Command, settings: &[(&str, &str)]) {
    let endpoints = [0, 10, 20].map(|offset| format!("http://127.0.0.1:{}", dev.port() + offset)).join(",");
    let said = dev.folder().join("said");
    let output = fs::File::create(&said).unwrap();
    python
        .args(["-m", "pytest", "-q", "-rs", "--tb=short", "-p", "no:cacheprovider", "--durations=5"])
        .arg("--basetemp")
        .arg(dev.folder().join("pytest"))
        .arg(suites().join(folder))
        .env("SEAWALL_ENDPOINTS", endpoints)
        .env("SEAWALL_DEV_DIR", dev.folder())
        .env("SEAWALL_PROGRAM", env!("CARGO_BIN_EXE_seawall"))
        .envs(settings.iter().copied())
        .stdout(output.try_clone().unwrap())
        .stderr(output);
    let mut child = Guard(python.spawn().unwrap());
    let deadline = Instant::now() + SUITE_MAX;
    let status = loop {
        match child.0.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if Instant::now() > deadline => break None,
            None => thread::sleep(LOOK_EVERY),
        }
    };
    let said = fs::read_to_string(&said).unwrap();
    let passed = status.is_some_and(|status| status.success());
    assert!(passed, "{folder} ended with {status:?} (none: not within {SUITE_MAX:?}):\n{said}");
    println!("{folder}: {said}");
}

fn dev(runtime: &str) -> Dev {
    let mut dev = Dev::new();
    let port = dev.port().to_string();
    dev.start(&["--runtime", runtime, "--port", &port, "--restart-after", "300ms"]);
    dev
}

#[test]
fn boto3_finds_ecs() {
    let Some(programs) = or_skip(venv("requirements.txt")) else { return };
    let mut dev = dev("process");
    suite(&dev, "api", &mut python(&programs), &[("SEAWALL_RUNTIME", "process")]);
    assert_eq!(dev.end("INT"), Some(0));
    dev.assert_no_process_left();
}

/// An image with busybox; it goes with everything that was made of it.
struct Image(String);

impl Image {
    fn make(programs: &Path) -> Result<Self, String> {
        run(Command::new("docker").arg("info"))?;
        let image = Image(format!("seawall-ecs-clients:{}", std::process::id()));
        run(python(programs).arg(suites().join("support/docker.py")).arg(&image.0))?;
        Ok(image)
    }

    fn containers(&self) -> Vec<String> {
        let filter = format!("ancestor={}", self.0);
        let listed = run(Command::new("docker").args(["ps", "--all", "--quiet", "--filter", &filter]));
        listed.unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        for id in self.containers() {
            // Gone already where dev ended as it should.
            let _ = run(Command::new("docker").args(["rm", "--force", "--volumes", &id]));
        }
        let _ = run(Command::new("docker").args(["rmi", "--force", &self.0]));
    }
}

#[test]
fn boto3_and_the_aws_cli_run_containers() {
    let Some(programs) = or_skip(venv("requirements.txt")) else { return };
    let Some(image) = or_skip(Image::make(&programs)) else { return };
    let newest = venv("requirements-awscli.txt").map(|programs| programs.join("aws"));
    let debians = PathBuf::from(DEBIANS_AWS);
    let debians = if debians.exists() { Ok(debians) } else { Err(format!("{DEBIANS_AWS} is missing (awscli)")) };
    let clis = [("newest", or_skip(newest)), ("debian", or_skip(debians))];
    let clis: Vec<String> =
        clis.into_iter().filter_map(|(name, path)| Some(format!("{name}={}", path?.display()))).collect();

    let mut dev = dev("docker");
    let settings = [("SEAWALL_RUNTIME", "docker"), ("SEAWALL_IMAGE", &*image.0), ("SEAWALL_AWS", &*clis.join(","))];
    suite(&dev, "containers", &mut python(&programs), &settings);
    assert_eq!(dev.end("INT"), Some(0));
    dev.assert_no_process_left();
    assert_eq!(image.containers(), Vec::<String>::new(), "dev removes what it ran");
}

/// The program, and the folder with its provider.
fn terraform() -> Result<(PathBuf, &'static str), String> {
    let paths = env::var_os("PATH").unwrap_or_default();
    let program = env::split_paths(&paths).map(|folder| folder.join("terraform")).find(|file| file.is_file());
    let program = program.ok_or("terraform is not in PATH")?;
    let plugins = PLUGINS.into_iter().find(|folder| Path::new(folder).join(PROVIDER).is_dir());
    Ok((program, plugins.ok_or(format!("{PROVIDER} is in none of {PLUGINS:?}"))?))
}

#[test]
fn terraform_owns_a_service() {
    let (program, plugins) = match terraform() {
        Ok(found) => found,
        Err(lacks) => return println!("SKIP: {lacks}"),
    };
    let Some(programs) = or_skip(venv("requirements.txt")) else { return };
    let mut dev = dev("process");
    let program = program.display().to_string();
    let settings =
        [("SEAWALL_RUNTIME", "process"), ("SEAWALL_TERRAFORM", &*program), ("SEAWALL_TERRAFORM_PLUGINS", plugins)];
    suite(&dev, "terraform", &mut python(&programs), &settings);
    assert_eq!(dev.end("INT"), Some(0));
    dev.assert_no_process_left();
}
