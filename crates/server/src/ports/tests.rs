//! The peers' port on real sockets: nothing is told, and nothing done, for who does not have the secret.

use bytes::Bytes;
use seawall_env::net::{Lane, Net, NetError};

use super::*;
use crate::member::form::{PROBE, Waiting};

const CALL: Duration = Duration::from_secs(10);

struct Member {
    _folder: tempfile::TempDir,
    ports: Ports,
    ca: Arc<Ca>,
}

impl Member {
    async fn open() -> Member {
        let folder = tempfile::tempdir().unwrap();
        let env = Env::real(RealConfig { net: Arc::new(GrpcNet::new(None)) });
        let secret_file = folder.path().join("secret");
        Secret::generate(&env).write(&secret_file).unwrap();
        let mut config = ServerConfig::new("s1", "a", folder.path().join("data"), secret_file);
        config.listen = "127.0.0.1:0".into();
        config.peer_listen = "127.0.0.1:0".into();
        env.fs().create_dir_all(&config.data_dir).unwrap();
        let (env, ports) = Ports::open(env, &config).await.unwrap();
        ports.serve_peers(Waiting::new(&env, &config).0);
        let ca = ports.ca.clone();
        Member { _folder: folder, ports, ca }
    }

    /// Probes it with a certificate that its own authority made out to `name`.
    async fn probe_as(&self, name: &str) -> Result<Bytes, NetError> {
        let now_ms = Env::real(RealConfig { net: Arc::new(GrpcNet::new(None)) }).wall_ms();
        let identity = Identity::issue(&self.ca, name, now_ms).unwrap();
        self.probe(GrpcNet::new(Some(identity.client_config()))).await
    }

    async fn probe(&self, net: GrpcNet) -> Result<Bytes, NetError> {
        net.call(&self.ports.peer_address(), Lane::Main, PROBE, Bytes::new(), CALL).await
    }
}

fn refusal(answer: Result<Bytes, NetError>) -> String {
    match answer {
        Err(NetError::Refused(why)) => why,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn the_peers_port_answers_members_alone() {
    let member = Member::open().await;
    assert!(member.probe_as("member:s2").await.is_ok());
    assert!(refusal(member.probe_as("agent:i-1").await).contains("agent:i-1"));
    let fingerprint = member.ca.fingerprint();
    let nobody = GrpcNet::new(Some(seawall_env::net::trust::enrolling_config(fingerprint)));
    assert!(refusal(member.probe(nobody).await).contains("members of the cluster"));
    member.ports.close().await;
}

#[tokio::test]
async fn a_member_of_another_secret_is_told_which_secrets_met() {
    let member = Member::open().await;
    let other = Member::open().await;
    let now_ms = Env::real(RealConfig { net: Arc::new(GrpcNet::new(None)) }).wall_ms();
    let identity = Identity::issue(&other.ca, "member:s2", now_ms).unwrap();
    let why = refusal(member.probe(GrpcNet::new(Some(identity.client_config()))).await);
    let (ours, theirs) = (member.ca.fingerprint().to_string(), other.ca.fingerprint().to_string());
    assert!(why.contains(&ours) && why.contains(&theirs), "{why}");
    member.ports.close().await;
    other.ports.close().await;
}
