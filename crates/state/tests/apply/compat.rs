//! Logs that released versions wrote: their commands decode, encode to the same bytes and give the same state for ever.
//!
//! `tests/compat/<version>/commands.bin` holds commands as a log does, each after its length. With a release they are written
//! once: `SEAWALL_COMPAT_WRITE=v0.1.0 cargo test -p seawall-state compat`. A file that exists is never changed.

use std::{collections::BTreeSet, env, fs, mem, path::PathBuf};

use prost::Message;
use seawall_proto::internal::v1::Command;
use seawall_state::State;

use crate::{
    fixture::*,
    random::{Dice, Maker},
};

const COMMANDS: &str = "commands.bin";
const HASH: &str = "commands.state-hash";
/// Kinds of commands in this version: each must be among those that are written.
const KINDS: usize = 29;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/compat")
}

/// Numbers that are the same for ever, whatever random sources other tests use.
fn dice(step: u64) -> Dice {
    let mut x = (step + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (x >> 33) as u8
    };
    (next(), std::array::from_fn(|_| next()))
}

/// A cluster with a past of every kind of command.
fn lived() -> World {
    let mut world = World::new();
    for (name, zone) in [("i-0", "a"), ("i-1", "b"), ("i-2", "c")] {
        world.instance(name, zone);
    }
    world.definition("web", size(100, 100));
    let definition = world.definition("db", with_port(size(50, 50), 80));
    world.service("s0", definition, 2);
    for step in 0..600 {
        let (which, dice) = dice(step);
        world.now_ms += i64::from(dice[3]);
        let command = Maker { state: &world.state, dice, serial: 1000 + step }.command(which, world.now_ms);
        world.send(&command);
    }
    world
}

fn write(version: &str) {
    let world = lived();
    let kinds: BTreeSet<_> =
        world.log.iter().filter_map(|c| c.kind.as_ref()).map(|kind| format!("{:?}", mem::discriminant(kind))).collect();
    assert_eq!(kinds.len(), KINDS, "not every kind of command is among them");
    let folder = folder().join(version);
    fs::create_dir_all(&folder).unwrap();
    assert!(!folder.join(COMMANDS).exists(), "golden files are never changed");
    let bytes: Vec<u8> = world.log.iter().flat_map(Message::encode_length_delimited_to_vec).collect();
    fs::write(folder.join(COMMANDS), bytes).unwrap();
    fs::write(folder.join(HASH), format!("{:032x}\n", world.state.hash())).unwrap();
}

#[test]
fn compat_logs_of_all_versions_give_the_states_that_they_gave() {
    if let Ok(version) = env::var("SEAWALL_COMPAT_WRITE") {
        write(&version);
    }
    let versions: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!versions.is_empty());
    for version in versions {
        let shown = version.display();
        let bytes = fs::read(version.join(COMMANDS)).unwrap();
        let mut rest = bytes.as_slice();
        let (mut state, mut again, mut index) = (State::new(), Vec::new(), 0);
        while !rest.is_empty() {
            index += 1;
            let command = Command::decode_length_delimited(&mut rest).unwrap();
            again.extend(command.encode_length_delimited_to_vec());
            state.apply(index, &command);
        }
        assert_eq!(again, bytes, "{shown}: commands are encoded in another way than they were");
        let expected = fs::read_to_string(version.join(HASH)).unwrap();
        assert_eq!(format!("{:032x}\n", state.hash()), expected, "{shown}: the log gives another state than it gave");
    }
}
