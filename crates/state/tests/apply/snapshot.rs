//! Chunks and back.

use seawall_model::InstanceId;
use seawall_state::{CHUNK_BYTES, Chunk, Restore, RestoreError, State};

use crate::fixture::*;

pub fn restored(state: &State) -> State {
    let mut restore = Restore::default();
    state.chunks().for_each(|chunk| restore.add(&chunk).unwrap());
    restore.finish().unwrap()
}

fn many() -> World {
    let mut world = World::new();
    let definition = world.definition("web", size(0, 0));
    let instances: Vec<InstanceId> = (0..3).map(|i| world.instance(&format!("i-{i}"), "a")).collect();
    for _ in 0..10 {
        let all: Vec<InstanceId> = instances.iter().copied().cycle().take(1000).collect();
        world.place(definition, &all);
    }
    world
}

#[test]
fn a_restored_state_is_the_same() {
    let world = many();
    let chunks: Vec<Chunk> = world.state.chunks().collect();
    assert!(chunks.iter().all(|chunk| chunk.rows.len() <= CHUNK_BYTES));
    assert!(chunks.iter().filter(|chunk| chunk.table == world.state.tasks.number()).count() > 1);
    let copy = restored(&world.state);
    assert_eq!(copy.hash(), world.state.hash());
    assert_eq!(copy.index, world.state.index);
    assert_eq!(copy.meta, world.state.meta);
    copy.check().unwrap();
}

#[test]
fn damage_is_noticed() {
    let world = World::new();
    let unknown = Chunk { table: 200, rows: vec![0] };
    assert_eq!(Restore::default().add(&unknown), Err(RestoreError::UnknownTable(200)));
    let mut cut = world.state.chunks().next().unwrap();
    cut.rows.pop();
    assert!(matches!(Restore::default().add(&cut), Err(RestoreError::Row { table: 0, .. })));
    let mut restore = Restore::default();
    world.state.chunks().skip(1).for_each(|chunk| restore.add(&chunk).unwrap());
    assert_eq!(restore.finish().err(), Some(RestoreError::Incomplete));
}

#[test]
fn the_hash_sees_every_table_and_the_meta_row() {
    let world = World::new();
    let mut other = world.state.clone();
    std::sync::Arc::make_mut(&mut other.meta).epoch += 1;
    assert_ne!(other.hash(), world.state.hash());
    let mut hashes = std::collections::BTreeSet::from([world.state.hash()]);
    let mut world = world;
    let instance = world.instance("i-1", "a");
    hashes.insert(world.state.hash());
    let definition = world.definition("web", size(1, 1));
    hashes.insert(world.state.hash());
    world.task(definition, instance);
    hashes.insert(world.state.hash());
    world.service("web", definition, 1);
    hashes.insert(world.state.hash());
    assert_eq!(hashes.len(), 5);
}
