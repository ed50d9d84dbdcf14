//! Who the agent is to a registry: the engine itself holds no credentials.
//!
//! They stand in a file of Docker's own form (`docker login` writes one), read again for each pull: a password that was
//! changed needs no restart. A helper that the file names is a program of the machine, as Docker has them.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, process::Stdio, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use bollard::auth::DockerCredentials;
use seawall_env::Env;
use serde::Deserialize;
use tokio::{io::AsyncWriteExt, process::Command};

/// Where it is looked for without `--registry-config`; then the user's own.
pub const SYSTEM_FILE: &str = "/etc/seawall/docker.json";
const USERS_FILE: &str = ".docker/config.json";
/// What `docker login` calls the hub.
const HUB_KEY: &str = "https://index.docker.io/v1/";
/// Before the name of a helper.
const HELPER: &str = "docker-credential-";
/// A helper may ask another machine.
const HELPER_MAX: Duration = Duration::from_secs(20);
/// What a helper says of a registry that it does not know.
const UNKNOWN_TO_HELPER: &str = "credentials not found";
/// The user name that stands for a token.
const TOKEN_USER: &str = "<token>";

/// Finds credentials.
pub struct Credentials {
    env: Env,
    /// In the order in which they are looked for.
    files: Vec<PathBuf>,
    is_named: bool,
    /// Where helpers are; without it the agent's own PATH.
    path: Option<OsString>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    auths: BTreeMap<String, Auth>,
    creds_store: String,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Auth {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

/// A helper's answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Helped {
    username: String,
    secret: String,
}

impl Credentials {
    /// From the file that the operator named, or from where they are by default.
    pub fn new(env: Env, named: Option<PathBuf>) -> Self {
        let home = || {
            let folder = std::env::var_os("DOCKER_CONFIG").map(|folder| PathBuf::from(folder).join("config.json"));
            folder.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(USERS_FILE)))
        };
        let is_named = named.is_some();
        let files = match named {
            Some(file) => vec![file],
            None => [Some(SYSTEM_FILE.into()), home()].into_iter().flatten().collect(),
        };
        Credentials { env, files, is_named, path: None }
    }

    /// For a registry, by its host; `None` where the file knows none.
    ///
    /// # Errors
    /// The file or its helper is at fault.
    pub async fn of(&self, registry: &str) -> Result<Option<DockerCredentials>, String> {
        let Some(config) = self.read()? else { return Ok(None) };
        let key = if registry == "docker.io" { HUB_KEY } else { registry };
        let helper = config.cred_helpers.get(registry).or(config.cred_helpers.get(key)).unwrap_or(&config.creds_store);
        let helped = if helper.is_empty() { None } else { self.ask(helper, key).await? };
        let found = match helped {
            Some(helped) => Some(helped),
            None => config.auths.iter().find(|(name, _)| is_of(name, key)).map(|(_, auth)| auth.clone()),
        };
        found.map(|auth| credentials(auth, registry)).transpose().map(Option::flatten)
    }

    fn read(&self) -> Result<Option<Config>, String> {
        for file in &self.files {
            let wrong = |why: String| format!("{}: {why}", file.display());
            let Some(bytes) = self.env.fs().read(file).map_err(|error| wrong(error.to_string()))? else { continue };
            return serde_json::from_slice(&bytes).map(Some).map_err(|error| wrong(error.to_string()));
        }
        match self.files.first().filter(|_| self.is_named) {
            Some(file) => Err(format!("{}: --registry-config names a file that is not there", file.display())),
            None => Ok(None),
        }
    }

    /// By Docker's protocol: the registry on standard input, JSON on standard output.
    async fn ask(&self, helper: &str, key: &str) -> Result<Option<Auth>, String> {
        let program = format!("{HELPER}{helper}");
        let wrong = |why: String| format!("{program} get: {why}");
        let answer = async {
            let mut command = Command::new(&program);
            command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
            self.path.iter().for_each(|path| {
                command.env("PATH", path);
            });
            let mut child = command.spawn()?;
            if let Some(mut input) = child.stdin.take() {
                input.write_all(key.as_bytes()).await?;
            }
            child.wait_with_output().await
        };
        let output = self.env.timeout(HELPER_MAX, answer).await;
        let output = output.map_err(|_| wrong(format!("no answer within {} s", HELPER_MAX.as_secs())))?;
        let output = output.map_err(|error| wrong(error.to_string()))?;
        let said = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() && said.contains(UNKNOWN_TO_HELPER) {
            return Ok(None);
        }
        if !output.status.success() {
            return Err(wrong(said.trim().chars().take(200).collect()));
        }
        // Its answer is a secret: an error must not quote it.
        let helped: Helped =
            serde_json::from_slice(&output.stdout).map_err(|_| wrong("not the JSON of a helper".into()))?;
        Ok(Some(match helped.username.as_str() {
            TOKEN_USER => Auth { identitytoken: helped.secret, ..Default::default() },
            _ => Auth { username: helped.username, password: helped.secret, ..Default::default() },
        }))
    }
}

/// Files name a registry as a host or as an address of it.
fn is_of(name: &str, key: &str) -> bool {
    let host = |text: &str| {
        let bare = text.trim_start_matches("https://").trim_start_matches("http://");
        bare.split('/').next().unwrap_or_default().to_owned()
    };
    name == key || host(name) == host(key)
}

/// `None` where the entry is empty: `docker login` leaves such where a store has the secret.
fn credentials(auth: Auth, registry: &str) -> Result<Option<DockerCredentials>, String> {
    let text = |text: String| (!text.is_empty()).then_some(text);
    let (mut username, mut password) = (text(auth.username), text(auth.password));
    if !auth.auth.is_empty() {
        let wrong = || format!("the credentials of {registry} are not base64 of user:password");
        let decoded = BASE64_STANDARD.decode(&auth.auth).map_err(|_| wrong())?;
        let decoded = String::from_utf8(decoded).map_err(|_| wrong())?;
        let (user, secret) = decoded.split_once(':').ok_or_else(wrong)?;
        (username, password) = (text(user.to_owned()), text(secret.trim_end_matches('\0').to_owned()));
    }
    let (identitytoken, registrytoken) = (text(auth.identitytoken), text(auth.registrytoken));
    if username.is_none() && identitytoken.is_none() && registrytoken.is_none() {
        return Ok(None);
    }
    let serveraddress = Some(registry.to_owned());
    Ok(Some(DockerCredentials {
        username,
        password,
        identitytoken,
        registrytoken,
        serveraddress,
        ..Default::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(text: &str) -> Auth {
        Auth { auth: BASE64_STANDARD.encode(text), ..Default::default() }
    }

    #[tokio::test]
    async fn helpers_are_asked_as_docker_asks_them() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            file
        };
        let line = |body: &str| format!("#!/bin/sh\nread registry\n{body}\n");
        write("docker-credential-good", &line(r#"echo "{\"Username\": \"me\", \"Secret\": \"for $registry\"}""#));
        write("docker-credential-token", &line(r#"echo '{"Username": "<token>", "Secret": "t"}'"#));
        write("docker-credential-empty", &line("echo 'credentials not found in native keychain'; exit 1"));
        write("docker-credential-bad", &line("echo 'no keychain'; exit 1"));
        let config = r#"{"credsStore": "empty", "auths": {"plain": {"auth": "bWU6c2VjcmV0"}, "e": {}},
                         "credHelpers": {"good": "good", "token": "token", "bad": "bad"}}"#;
        let mut credentials = Credentials::new(Env::real_with_default_net(), Some(write("config.json", config)));
        credentials.path = Some(format!("{}:/usr/bin:/bin", folder.path().display()).into());
        let of = async |registry: &str| credentials.of(registry).await.map(|found| found.unwrap_or_default());
        assert_eq!(of("good").await.unwrap().password.as_deref(), Some("for good"));
        assert_eq!(of("token").await.unwrap().identitytoken.as_deref(), Some("t"));
        assert_eq!(of("plain").await.unwrap().password.as_deref(), Some("secret"));
        assert_eq!(credentials.of("e").await, Ok(None));
        assert_eq!(of("bad").await.unwrap_err(), "docker-credential-bad get: no keychain");
    }

    #[test]
    fn a_registry_is_known_by_its_host() {
        assert!(is_of("ghcr.io", "ghcr.io") && is_of("https://ghcr.io/v2/", "ghcr.io"));
        assert!(is_of("https://index.docker.io/v1/", HUB_KEY));
        assert!(!is_of("ghcr.io", "ghcr.io:443") && !is_of("notghcr.io", "ghcr.io"));
    }

    #[test]
    fn a_password_may_hold_colons() {
        let found = credentials(auth("me:a:b"), "r").unwrap().unwrap();
        assert_eq!((found.username.as_deref(), found.password.as_deref()), (Some("me"), Some("a:b")));
        assert_eq!(credentials(Auth::default(), "r"), Ok(None));
        let error = credentials(Auth { auth: "?".into(), ..Default::default() }, "r").unwrap_err();
        assert_eq!(error, "the credentials of r are not base64 of user:password");
    }
}
