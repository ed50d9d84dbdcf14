//! Data folders that released versions left: they open, with the state that they held.
//!
//! `tests/compat/<version>/data.tar.gz` is the folder of a cluster of one member after a snapshot and some entries past it. With a
//! release it is written once: `SEAWALL_COMPAT_WRITE=v0.1.0 cargo test -p seawall-consensus --test compat`. A file that exists is
//! never changed.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use seawall_consensus::{Config, Consensus, PeerAddress, StoreKind};
use seawall_env::Env;
use seawall_model::MemberId;
use seawall_proto::internal::v1::{Command, CreateCluster, InitCluster, command::Kind};

const DATA: &str = "data.tar.gz";
const HASH: &str = "data.state-hash";
const CLUSTER_ID: [u8; 16] = [7; 16];
/// A loaded machine syncs slowly; nothing here waits for time to pass.
const LIMIT: Duration = Duration::from_secs(60);
/// Commands before the snapshot, and as many after it.
const COMMANDS: u32 = 50;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/compat")
}

async fn open(env: &Env, folder: &Path) -> Consensus {
    let config = Config { cluster_id: CLUSTER_ID.to_vec(), epoch: 1, ..Config::new(MemberId(1), folder.to_owned()) };
    Consensus::start(env.clone(), config, StoreKind::Sled).await.unwrap()
}

async fn lead(env: &Env, consensus: &Consensus) {
    let mut leadership = consensus.watch_leadership();
    env.timeout(LIMIT, leadership.wait_for(|now| now.is_leader)).await.unwrap().unwrap();
}

fn init() -> Command {
    let cluster = InitCluster {
        cluster_id: CLUSTER_ID.to_vec().into(),
        region: "us-local-1".into(),
        account: "000000000000".into(),
        first_id: 2,
        ..Default::default()
    };
    Command { kind: Some(Kind::InitCluster(cluster)), cluster_time_ms: 1, ..Default::default() }
}

fn create(number: u32) -> Command {
    let cluster = CreateCluster { account: 0, name: format!("c-{number}"), ..Default::default() };
    Command { kind: Some(Kind::CreateCluster(cluster)), cluster_time_ms: 2, ..Default::default() }
}

async fn write(env: &Env, version: &str) {
    let target = folder().join(version);
    fs::create_dir_all(&target).unwrap();
    assert!(!target.join(DATA).exists(), "golden files are never changed");
    let data = tempfile::tempdir().unwrap();
    let consensus = open(env, data.path()).await;
    let members = BTreeMap::from([(MemberId(1), PeerAddress("s1:7401".into()))]);
    consensus.initialize(members).await.unwrap();
    lead(env, &consensus).await;
    consensus.propose(vec![init()], None).await.unwrap();
    for number in 0..COMMANDS {
        consensus.propose(vec![create(number)], None).await.unwrap();
    }
    consensus.trigger_snapshot().await;
    let until = env.now() + LIMIT;
    while consensus.snapshot_index().is_none() {
        assert!(env.now() < until, "no snapshot in time");
        env.sleep(Duration::from_millis(10)).await;
    }
    for number in COMMANDS..2 * COMMANDS {
        consensus.propose(vec![create(number)], None).await.unwrap();
    }
    let hash = consensus.state().state.hash();
    consensus.shutdown().await;
    let file = fs::File::create(target.join(DATA)).unwrap();
    let mut tar = tar::Builder::new(GzEncoder::new(file, Compression::best()));
    tar.append_dir_all(".", data.path()).unwrap();
    tar.into_inner().unwrap().finish().unwrap();
    fs::write(target.join(HASH), format!("{hash:032x}\n")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn data_folders_of_all_versions_open_with_the_states_that_they_held() {
    let env = Env::real_with_default_net();
    if let Ok(version) = env::var("SEAWALL_COMPAT_WRITE") {
        env.scope(write(&env, &version)).await;
    }
    let versions: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!versions.is_empty());
    for version in versions {
        let data = tempfile::tempdir().unwrap();
        let packed = fs::File::open(version.join(DATA)).unwrap();
        tar::Archive::new(GzDecoder::new(packed)).unpack(data.path()).unwrap();
        let consensus = open(&env, data.path()).await;
        // The committed index on disk may lag: leading again commits all that the log holds.
        lead(&env, &consensus).await;
        let expected = fs::read_to_string(version.join(HASH)).unwrap();
        let hash = format!("{:032x}\n", consensus.state().state.hash());
        consensus.shutdown().await;
        assert_eq!(hash, expected, "{}: the folder holds another state than it held", version.display());
    }
}
