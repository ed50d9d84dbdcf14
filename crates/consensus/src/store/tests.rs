//! Both disks under openraft's own suite, and what sled must survive.

use std::{fs, future::Future, path::Path, sync::Arc};

use bytes::Bytes;
use openraft::{
    RaftLogReader, StorageError,
    entry::RaftEntry as _,
    storage::{RaftLogStorage, RaftLogStorageExt},
    testing::log::{StoreBuilder, Suite},
    vote::leader_id_std::CommittedLeaderId,
};
use seawall_env::{Env, RealConfig, net::grpc::GrpcNet, sim::Sim};
use seawall_model::MemberId;
use tempfile::TempDir;

use super::{
    Disk, Identity, LogStore, MemoryStore, SledDisk,
    disk::{Change, Recovered},
    record,
};
use crate::{
    StartError,
    machine::Machine,
    raft::{Entry, EntryKind, LogId, Payload, TypeConfig, Vote},
};

type Built = (TempDir, LogStore, Machine);

fn identity() -> Identity {
    Identity { member_id: 1, cluster_id: b"cluster".to_vec(), had_log: false }
}

/// Runs a test on the machine.
fn on_machine<F: Future>(test: impl FnOnce(Env) -> F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let env = Env::real(RealConfig { net: Arc::new(GrpcNet::new(None)) });
        env.scope(test(env.clone())).await
    })
}

fn disk(store: &MemoryStore) -> Arc<dyn Disk> {
    store.disk(Sim::new(1).node("disk").fs(), "/data".into())
}

async fn build(env: &Env, disk: impl FnOnce(&Path) -> Arc<dyn Disk>) -> Built {
    let folder = TempDir::new().unwrap();
    let log = LogStore::open(env, disk(folder.path()), &identity()).unwrap();
    let machine = Machine::recover(env, folder.path().join("snapshots"), log.clone()).await.unwrap();
    (folder, log, machine)
}

struct OnSled(Env);
struct InMemory(Env);

impl StoreBuilder<TypeConfig, LogStore, Machine, TempDir> for OnSled {
    async fn build(&self) -> Result<Built, StorageError<TypeConfig>> {
        Ok(build(&self.0, |folder| Arc::new(SledDisk::open(&self.0, &folder.join("log")).unwrap())).await)
    }
}

impl StoreBuilder<TypeConfig, LogStore, Machine, TempDir> for InMemory {
    async fn build(&self) -> Result<Built, StorageError<TypeConfig>> {
        Ok(build(&self.0, |folder| MemoryStore::default().disk(self.0.fs(), folder.into())).await)
    }
}

#[test]
fn openraft_accepts_the_sled_store() {
    on_machine(|env| Suite::test_all(OnSled(env))).unwrap();
}

#[test]
fn openraft_accepts_the_memory_store() {
    on_machine(|env| Suite::test_all(InMemory(env))).unwrap();
}

fn id(term: u64, index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(term), index)
}

fn entry(term: u64, index: u64, bytes: usize) -> Entry {
    Entry::new(id(term, index), EntryKind::Normal(Payload(vec![index as u8; bytes].into())))
}

fn append(entry: &Entry) -> Change {
    Change::Append { index: entry.log_id.index, record: record::encode(entry) }
}

fn entries(disk: &dyn Disk) -> Vec<Entry> {
    let records = disk.read(0..u64::MAX, usize::MAX).unwrap();
    records.into_iter().map(|(index, record)| record::decode(index, record).unwrap()).collect()
}

/// The files as a kill -9 at this moment would leave them.
fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        match item.file_type().unwrap().is_dir() {
            true => copy_folder(&item.path(), &target),
            false => drop(fs::copy(item.path(), target).unwrap()),
        }
    }
}

#[test]
fn entries_of_any_size_are_cut_into_parts_and_put_together() {
    on_machine(|env| async move {
        let folder = TempDir::new().unwrap();
        let disk = SledDisk::open(&env, &folder.path().join("log")).unwrap();
        disk.recover(&identity()).unwrap();
        let written: Vec<Entry> =
            (0..).zip([0, 1, 65_500, 65_536, 65_537, 200_000, 1 << 20]).map(|(i, b)| entry(1, i, b)).collect();
        disk.write(written.iter().map(append).collect()).unwrap();
        assert_eq!(entries(&disk), written);
        let some = disk.read(2..7, 100_000).unwrap();
        assert_eq!(some.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [2, 3], "the limit stops it after the second");
    });
}

#[test]
fn a_shorter_entry_in_place_of_a_longer_one_keeps_none_of_its_parts() {
    on_machine(|env| async move {
        let folder = TempDir::new().unwrap();
        let disk = SledDisk::open(&env, &folder.path().join("log")).unwrap();
        disk.recover(&identity()).unwrap();
        disk.write([entry(1, 0, 10), entry(1, 1, 300_000), entry(1, 2, 10)].iter().map(append).collect()).unwrap();
        // In one batch, with an entry that never reaches the disk.
        let changes = vec![append(&entry(1, 3, 10)), Change::TruncateFrom(1), append(&entry(2, 1, 10))];
        disk.write(changes).unwrap();
        assert_eq!(entries(&disk), [entry(1, 0, 10), entry(2, 1, 10)]);
    });
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    on_machine(|env| async move {
        let (folder, copy) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let disk = SledDisk::open(&env, &folder.path().join("log")).unwrap();
        let mut log = LogStore::open(&env, Arc::new(disk), &identity()).unwrap();
        log.save_vote(&Vote::new_committed(3, 1)).await.unwrap();
        for index in 0..200 {
            log.blocking_append([entry(3, index, 1000)]).await.unwrap();
        }
        log.purge(id(3, 49)).await.unwrap();
        log.save_committed(Some(id(3, 199))).await.unwrap();
        log.blocking_append([entry(3, 200, 1000)]).await.unwrap();
        copy_folder(folder.path(), copy.path());
        // Left by a kill while sled wrote it: without care it does not open again.
        fs::write(copy.path().join("log/snap.0000000000000001.generating"), b"cut off").unwrap();

        let disk = SledDisk::open(&env, &copy.path().join("log")).unwrap();
        let found = disk.recover(&identity()).unwrap();
        let expected = Recovered {
            vote: Some(Vote::new_committed(3, 1)),
            committed: Some(id(3, 199)),
            purged: Some(id(3, 49)),
            first: 50,
            last: Some(id(3, 200)),
        };
        assert_eq!(found, expected);
        let mut log = LogStore::open(&env, Arc::new(disk), &identity()).unwrap();
        let found = log.try_get_log_entries(0..=200).await.unwrap();
        assert_eq!(found, (50..=200).map(|i| entry(3, i, 1000)).collect::<Vec<_>>());
        log.close().await;
    });
}

#[test]
fn an_idle_log_is_closed_with_its_committed_index_and_can_be_opened_again() {
    on_machine(|env| async move {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("log");
        let mut log = LogStore::open(&env, Arc::new(SledDisk::open(&env, &path).unwrap()), &identity()).unwrap();
        log.blocking_append([entry(1, 0, 10)]).await.unwrap();
        log.save_committed(Some(id(1, 0))).await.unwrap();
        log.close().await;
        assert!(log.blocking_append([entry(1, 1, 10)]).await.is_err(), "a closed log takes nothing");
        let disk = SledDisk::open(&env, &path).unwrap();
        assert_eq!(disk.recover(&identity()).unwrap().committed, Some(id(1, 0)));
    });
}

#[test]
fn a_committed_index_past_the_log_on_disk_is_not_written() {
    on_machine(|env| async move {
        let store = MemoryStore::default();
        let mut log = LogStore::open(&env, disk(&store), &identity()).unwrap();
        log.save_committed(Some(id(1, 9))).await.unwrap();
        log.blocking_append([entry(1, 0, 10)]).await.unwrap();
        assert_eq!(disk(&store).recover(&identity()).unwrap().committed, None);
        log.close().await;
    });
}

#[test]
fn purged_entries_leave_the_disk() {
    on_machine(|env| async move {
        let folder = TempDir::new().unwrap();
        let disk = SledDisk::open(&env, &folder.path().join("log")).unwrap();
        disk.recover(&identity()).unwrap();
        disk.write((0..2000).map(|i| append(&entry(1, i, 10))).collect()).unwrap();
        disk.write(vec![Change::Purge(id(1, 1498))]).unwrap();
        assert!(disk.tidy().unwrap(), "not all in one step");
        while disk.tidy().unwrap() {}
        assert_eq!(disk.read(0..2000, usize::MAX).unwrap(), [], "a read from a purged entry finds none");
        assert_eq!(disk.read(1499..2000, usize::MAX).unwrap().len(), 501);
    });
}

#[test]
fn a_damaged_entry_is_reported_and_never_read() {
    on_machine(|env| async move {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("log");
        let disk = SledDisk::open(&env, &path).unwrap();
        disk.recover(&identity()).unwrap();
        let mut bytes = record::encode(&entry(1, 1, 100)).to_vec();
        bytes[50] ^= 1;
        let damaged = Change::Append { index: 1, record: Bytes::from(bytes) };
        disk.write(vec![append(&entry(1, 0, 10)), damaged, append(&entry(1, 2, 10))]).unwrap();
        let log = LogStore::open(&env, Arc::new(disk), &identity()).unwrap();
        let error = log.read(0..3, usize::MAX).await.unwrap_err();
        assert!(error.to_string().contains("log entry 1 is damaged"), "{error}");
        log.close().await;
    });
}

#[test]
fn a_damaged_last_entry_stops_the_start() {
    let store = MemoryStore::default();
    disk(&store).write(vec![append(&entry(1, 0, 10))]).unwrap();
    assert!(store.damage_entry(0));
    assert!(matches!(disk(&store).recover(&identity()), Err(StartError::Corrupt(_))));
}

#[test]
fn a_log_of_another_member_or_cluster_is_refused() {
    on_machine(|env| async move {
        let folder = TempDir::new().unwrap();
        let disk = SledDisk::open(&env, &folder.path().join("log")).unwrap();
        let forming = Identity { member_id: 1, cluster_id: Vec::new(), had_log: false };
        disk.recover(&forming).unwrap();
        disk.recover(&identity()).expect("a member learns its cluster when it joins one");
        disk.recover(&forming).expect("not asked");
        let other = Identity { member_id: 2, ..identity() };
        let expected = (MemberId(1), MemberId(2));
        match disk.recover(&other) {
            Err(StartError::WrongMember { found, expected: asked, .. }) => assert_eq!((found, asked), expected),
            other => panic!("{other:?}"),
        }
        let other = Identity { cluster_id: b"another".to_vec(), ..identity() };
        assert!(matches!(disk.recover(&other), Err(StartError::WrongCluster(_))));
    });
}
