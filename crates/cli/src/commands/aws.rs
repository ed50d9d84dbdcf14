//! `seawall aws …`: the user's own `aws`, pointed at this cluster for one call.

use std::{ffi::OsString, io, os::unix::process::CommandExt as _, process::Command};

use super::env::{variable, variables};
use crate::{client::endpoint::Endpoint, context::Context, failure::Failure};

/// The program.
const AWS: &str = "aws";
const ENDPOINT_FLAG: &str = "--endpoint-url";
/// What goes to the cluster; the rest of AWS is where it was.
const OURS: [&str; 2] = ["ecs", "sts"];
/// Flags before the service's name that take a value of their own.
const WITH_VALUE: [&str; 9] = [
    "--output",
    "--query",
    "--profile",
    "--region",
    "--color",
    "--ca-bundle",
    "--cli-read-timeout",
    "--cli-connect-timeout",
    "--cli-binary-format",
];
/// Set unless the user has: nothing waits for a metadata service that is not there, or for a pager.
const DEFAULTS: [(&str, &str); 2] = [("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_PAGER", "")];

/// Becomes `aws`: its signals and exit code are its own.
pub async fn run(ctx: &Context, arguments: Vec<OsString>) -> Result<(), Failure> {
    let endpoint = ctx.client().await?.endpoint().await?;
    let mut command = Command::new(AWS);
    command.args(with_endpoint(arguments, &endpoint)).envs(variables(&endpoint, variable));
    command.envs(DEFAULTS.iter().filter(|(name, _)| std::env::var_os(name).is_none()).copied());
    Err(failure(&command.exec()))
}

/// The arguments with the endpoint among them: before 2.13 `aws` knows no variable for it.
fn with_endpoint(mut arguments: Vec<OsString>, endpoint: &Endpoint) -> Vec<OsString> {
    let is_ours = service(&arguments).is_some_and(|service| OURS.contains(&service));
    if is_ours && !arguments.iter().any(is_endpoint) {
        arguments.splice(0..0, [ENDPOINT_FLAG.into(), OsString::from(&endpoint.url)]);
    }
    arguments
}

fn is_endpoint(word: &OsString) -> bool {
    word.to_str().is_some_and(|word| word.split('=').next() == Some(ENDPOINT_FLAG))
}

/// The first word that is neither a flag nor a flag's value.
fn service(arguments: &[OsString]) -> Option<&str> {
    let mut words = arguments.iter().map(|word| word.to_str().unwrap_or_default());
    loop {
        match words.next()? {
            flag if WITH_VALUE.contains(&flag) || flag == ENDPOINT_FLAG => drop(words.next()),
            flag if flag.starts_with('-') => {}
            service => return Some(service),
        }
    }
}

fn failure(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::NotFound => Failure::refused("there is no program `aws` in PATH")
            .next("install it (apt-get install awscli, or pip install awscli); or seawall api, which needs none"),
        _ => Failure::refused(format!("aws does not start: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(words: &str) -> String {
        let endpoint = Endpoint { url: "http://m:1".into(), region: "us-local-1".into() };
        let words = with_endpoint(words.split(' ').map(OsString::from).collect(), &endpoint);
        words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ecs_and_sts_are_pointed_here_and_nothing_else_is() {
        for ours in ["ecs list-clusters", "--region x --debug ecs help", "sts get-caller-identity", "--query=ecs ecs x"]
        {
            assert_eq!(given(ours), format!("--endpoint-url http://m:1 {ours}"));
        }
        for other in ["s3 ls ecs", "--version", "--profile ecs s3 ls", "help"] {
            assert_eq!(given(other), other);
        }
    }

    #[test]
    fn the_users_own_endpoint_stays() {
        for own in ["ecs list-clusters --endpoint-url http://x", "--endpoint-url=http://x ecs list-clusters"] {
            assert_eq!(given(own), own);
        }
    }
}
