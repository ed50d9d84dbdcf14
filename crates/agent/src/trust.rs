//! How an agent proves who it is: by a certificate that it signs itself, holding the cluster's secret, or that the cluster
//! signed for a token.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use prost::Message;
use seawall_env::{
    Env, RealConfig, TaskKind,
    net::{
        Lane, NetError,
        grpc::GrpcNet,
        trust::{Ca, Credentials, Enrolment, Fingerprint, Identity, JoinToken, Secret, enrolling_config},
    },
};
use seawall_proto::internal::v1::{EnrollRequest, EnrollResponse};

use crate::{error::AgentError, news::News};

const ENROLL: &str = "/seawall.internal.v1.Enroll/Agent";
/// One member's answer: the token's use is written to the log.
const CALL: Duration = Duration::from_secs(12);
/// Between two rounds over all members.
const RETRY: Duration = Duration::from_secs(2);
/// How often it is looked whether half of the certificate's life is over.
const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// In the data folder.
const FILE: &str = "certificate.pem";
const FILE_MODE: u32 = 0o600;

/// What an agent has to prove itself with.
#[derive(Clone, Debug)]
pub enum Trust {
    /// The cluster's secret, where one deploys both.
    Secret(PathBuf),
    /// A token of `seawall token create`, until there is a certificate in the data folder.
    Token(String),
    /// The certificate in the data folder.
    Kept,
}

impl Trust {
    /// Of the cluster's secret: what its members are told by.
    ///
    /// # Errors
    /// There is nothing to tell them by.
    pub fn fingerprint(&self, env: &Env, data_dir: &Path) -> Result<Fingerprint, AgentError> {
        match self {
            Trust::Secret(file) => Secret::read(file).map(|secret| secret.fingerprint()).map_err(config),
            Trust::Token(text) => text.parse::<JoinToken>().map(|token| token.fingerprint()).map_err(config),
            Trust::Kept => {
                let kept = Enrolled { file: data_dir.join(FILE), servers: Vec::new(), instance_id: String::new() };
                let fingerprint = kept.load(env)?.and_then(|kept| kept.fingerprint());
                fingerprint.ok_or_else(|| AgentError::Config(nothing(data_dir)))
            }
        }
    }
}

/// The machine with links that prove this agent to be `instance_id`. The certificate is renewed for as long as it runs.
///
/// # Errors
/// There is nothing to prove it with, or the cluster does not accept it.
pub(crate) async fn links(
    env: Env,
    trust: &Trust,
    servers: &[String],
    instance_id: &str,
    data_dir: &Path,
) -> Result<Env, AgentError> {
    let name = format!("agent:{instance_id}");
    if let Trust::Secret(file) = trust {
        let ca = Secret::read(file).and_then(|secret| Ca::of(&secret)).map_err(config)?;
        let identity = Arc::new(Identity::issue(&ca, &name, env.wall_ms()).map_err(config)?);
        identity.keep_renewed(&env, Arc::new(ca), Vec::new());
        return Ok(with(&identity));
    }
    let enrolled = Enrolled { file: data_dir.join(FILE), servers: servers.to_vec(), instance_id: instance_id.into() };
    let token = match trust {
        Trust::Token(text) => Some(text.parse::<JoinToken>().map_err(config)?),
        _ => None,
    };
    let kept = enrolled.load(&env)?.filter(|kept| kept.name() == name && kept.valid_until_ms() > env.wall_ms());
    let credentials = match (kept, &token) {
        (Some(kept), Some(token)) if kept.fingerprint() != Some(token.fingerprint()) => {
            return Err(AgentError::Config(of_another_cluster(data_dir)));
        }
        (Some(kept), _) => kept,
        (None, Some(token)) => enrolled.enroll(&env, token).await?,
        (None, None) => return Err(AgentError::Config(nothing(data_dir))),
    };
    let identity = Arc::new(Identity::new(credentials).map_err(config)?);
    let linked = with(&identity);
    linked.spawn(TaskKind::vital("certificate renewal"), enrolled.keep_renewed(linked.clone(), identity));
    Ok(linked)
}

fn with(identity: &Identity) -> Env {
    Env::real(RealConfig { net: Arc::new(GrpcNet::new(Some(identity.client_config()))) })
}

fn config(error: impl std::fmt::Display) -> AgentError {
    AgentError::Config(error.to_string())
}

fn nothing(data_dir: &Path) -> String {
    format!(
        "there is no valid certificate of this instance in {}: give --token (of `seawall token create --role agent`), or \
         --secret-file",
        data_dir.display()
    )
}

fn of_another_cluster(data_dir: &Path) -> String {
    format!(
        "the token is of another cluster than the certificate in {0}: empty {0} to move this instance to the token's \
         cluster, or leave --token out to stay",
        data_dir.display()
    )
}

/// A certificate that the cluster signs.
struct Enrolled {
    file: PathBuf,
    servers: Vec<String>,
    instance_id: String,
}

impl Enrolled {
    fn load(&self, env: &Env) -> Result<Option<Credentials>, AgentError> {
        let damaged = |why: String| AgentError::DataFolder { path: self.file.clone(), why };
        let Some(bytes) = env.fs().read(&self.file).map_err(|e| damaged(e.to_string()))? else { return Ok(None) };
        match std::str::from_utf8(&bytes).map_err(config).and_then(|text| Credentials::from_pem(text).map_err(config)) {
            Ok(credentials) => Ok(Some(credentials)),
            Err(error) => {
                tracing::warn!(file = %self.file.display(), %error, "the kept certificate is damaged: going on without it");
                Ok(None)
            }
        }
    }

    fn save(&self, env: &Env, credentials: &Credentials) -> Result<(), AgentError> {
        let written = env.fs().write_atomic(&self.file, credentials.to_pem().as_bytes(), FILE_MODE);
        written.map_err(|error| AgentError::DataFolder { path: self.file.clone(), why: error.to_string() })
    }

    /// Shows the token to one member after the other, until one answers.
    async fn enroll(&self, env: &Env, token: &JoinToken) -> Result<Credentials, AgentError> {
        let net = GrpcNet::new(Some(enrolling_config(token.fingerprint())));
        let asking = Env::real(RealConfig { net: Arc::new(net) });
        let shown = token.to_string();
        let mut news = News::default();
        loop {
            match self.ask(&asking, &shown).await {
                Ok(credentials) => {
                    self.save(env, &credentials)?;
                    tracing::info!(name = credentials.name(), "the cluster signed this agent's certificate");
                    return Ok(credentials);
                }
                Err(Failed::Refused(why)) => return Err(AgentError::Refused(why)),
                Err(Failed::NoAnswer(why)) if news.is_new(ENROLL, &why) => {
                    tracing::warn!(why, "no member takes the token yet; trying on");
                }
                Err(Failed::NoAnswer(_)) => {}
            }
            env.sleep(env.jitter(RETRY)).await;
        }
    }

    async fn ask(&self, env: &Env, token: &str) -> Result<Credentials, Failed> {
        let refused = |error: &dyn std::fmt::Display| Failed::Refused(error.to_string());
        let enrolment = Enrolment::new().map_err(|e| refused(&e))?;
        let request = EnrollRequest {
            token: token.to_owned(),
            ec2_instance_id: self.instance_id.clone(),
            csr: enrolment.csr_der().to_vec().into(),
            ..Default::default()
        };
        let body: bytes::Bytes = request.encode_to_vec().into();
        let mut last = String::from("there are no members to ask");
        for address in &self.servers {
            let answer = env.net().call(address, Lane::Main, ENROLL, body.clone(), CALL).await;
            let answer = match answer {
                Ok(bytes) => EnrollResponse::decode(bytes).map_err(|e| refused(&e))?,
                Err(NetError::Refused(why)) => return Err(Failed::Refused(why)),
                Err(error) => {
                    last = error.to_string();
                    continue;
                }
            };
            if !answer.error.is_empty() {
                return Err(Failed::Refused(answer.error));
            }
            let finished = enrolment.finish(answer.certificate_der.to_vec(), answer.ca_der.to_vec());
            return finished.map_err(|e| refused(&e));
        }
        Err(Failed::NoAnswer(last))
    }

    /// Asks for another certificate at half life, showing the one in use.
    async fn keep_renewed(self, env: Env, identity: Arc<Identity>) {
        loop {
            env.sleep(LOOK_EVERY).await;
            if env.wall_ms() < identity.credentials().renew_at_ms() {
                continue;
            }
            match self.ask(&env, "").await {
                Ok(credentials) => self.renew(&env, &identity, credentials),
                Err(Failed::Refused(why) | Failed::NoAnswer(why)) => {
                    tracing::warn!(why, "the certificate could not be renewed yet");
                }
            }
        }
    }

    /// It is used even where it cannot be kept: a disk that stays full must not let the agent's certificate run out.
    fn renew(&self, env: &Env, identity: &Identity, credentials: Credentials) {
        if let Err(error) = self.save(env, &credentials) {
            tracing::warn!(%error, "the renewed certificate cannot be kept: the next start renews it again");
        }
        match identity.replace(credentials) {
            Ok(()) => tracing::info!("the cluster renewed this agent's certificate"),
            Err(error) => tracing::error!(%error, "the renewed certificate cannot be used"),
        }
    }
}

/// Why there is no certificate.
enum Failed {
    /// Asking again will not help.
    Refused(String),
    NoAnswer(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The real machine's links need one.
    fn in_runtime(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    #[test]
    fn a_token_of_another_cluster_than_the_kept_certificate_is_told() {
        in_runtime(async {
            let folder = tempfile::tempdir().unwrap();
            let env = Env::real(RealConfig { net: Arc::new(GrpcNet::new(None)) });
            let cluster = || Ca::of(&Secret::generate(&env)).unwrap();
            let (own, other) = (cluster(), cluster());
            let kept = own.issue("agent:i-1", &[], env.wall_ms(), RETRY * 1000).unwrap();
            std::fs::write(folder.path().join(FILE), kept.to_pem()).unwrap();
            let links = async |ca: &Ca| {
                let token = JoinToken::generate(&env, ca.fingerprint()).to_string();
                links(env.clone(), &Trust::Token(token), &[], "i-1", folder.path()).await.map(|_| ())
            };
            links(&own).await.unwrap();
            let error = links(&other).await.unwrap_err().to_string();
            assert!(error.contains(&format!("empty {}", folder.path().display())), "{error}");
        });
    }

    #[test]
    fn every_way_to_prove_oneself_names_the_cluster() {
        in_runtime(async {
            let folder = tempfile::tempdir().unwrap();
            let env = Env::real(RealConfig { net: Arc::new(GrpcNet::new(None)) });
            let (secret, file) = (Secret::generate(&env), folder.path().join("secret"));
            secret.write(&file).unwrap();
            let ca = Ca::of(&secret).unwrap();
            let named = |trust: Trust| trust.fingerprint(&env, folder.path());
            assert!(named(Trust::Kept).unwrap_err().to_string().contains("give --token"));
            let kept = ca.issue("agent:i-1", &[], env.wall_ms(), RETRY).unwrap();
            std::fs::write(folder.path().join(FILE), kept.to_pem()).unwrap();
            let token = JoinToken::generate(&env, ca.fingerprint()).to_string();
            for trust in [Trust::Secret(file), Trust::Token(token), Trust::Kept] {
                assert_eq!(named(trust).unwrap(), ca.fingerprint());
            }
        });
    }

    #[test]
    fn a_renewed_certificate_is_used_where_it_cannot_be_kept() {
        in_runtime(async {
            let folder = tempfile::tempdir().unwrap();
            let env = Env::real(RealConfig { net: Arc::new(GrpcNet::new(None)) });
            let ca = Ca::of(&Secret::generate(&env)).unwrap();
            let issue = || ca.issue("agent:i-1", &[], env.wall_ms(), RETRY).unwrap();
            let (identity, renewed) = (Identity::new(issue()).unwrap(), issue());
            let file = folder.path().join("no folder").join(FILE);
            let enrolled = Enrolled { file, servers: Vec::new(), instance_id: "i-1".into() };
            enrolled.renew(&env, &identity, renewed.clone());
            assert_eq!(identity.credentials(), renewed);
        });
    }
}
