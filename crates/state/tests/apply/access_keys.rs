//! Clients' access keys.

use seawall_model::limits::{ACCESS_KEYS_MAX, KEY_DESCRIPTION_CHARS_MAX};
use seawall_proto::internal::v1::{
    AccessKeyRow, Command, DropAccessKey, Principal, PutAccessKey, SetAccessKeyStatus, principal,
};

use crate::{fixture::*, snapshot::restored};

fn id(number: usize) -> String {
    format!("AKIA{number:016}")
}

fn key(number: usize) -> AccessKeyRow {
    AccessKeyRow { id: id(number), sealed_secret: vec![1, 2].into(), active: true, ..AccessKeyRow::default() }
}

fn put(key: AccessKeyRow) -> Kind {
    Kind::PutAccessKey(PutAccessKey { key: Some(key) })
}

fn set(number: usize, active: bool) -> Kind {
    Kind::SetAccessKeyStatus(SetAccessKeyStatus { id: id(number), active })
}

#[test]
fn a_key_is_made_turned_off_and_dropped() {
    let mut world = World::new();
    let before = world.state.hash();
    world.done(put(key(1)));
    let row = world.state.access_keys.get(&id(1)).unwrap().clone();
    assert_eq!((row.created_at_ms, row.created_by.as_str(), row.changed), (world.now_ms, "anonymous", world.index));
    assert_ne!(world.state.hash(), before);
    assert_eq!(restored(&world.state).hash(), world.state.hash());

    world.now_ms += 5;
    let who = Principal { kind: principal::Kind::AccessKey.into(), name: "AKIA2".into(), account: 0 };
    let off = Command { principal: Some(who), ..world.command(set(1, false)) };
    world.send(&off);
    let row = world.state.access_keys.get(&id(1)).unwrap().clone();
    assert_eq!((row.active, row.changed_by.as_str(), row.changed_at_ms), (false, "AKIA2", world.now_ms));
    assert_eq!((row.created_by.as_str(), row.created_at_ms), ("anonymous", world.now_ms - 5));

    let hash = world.state.hash();
    world.done(set(1, false));
    assert_eq!(world.state.hash(), hash, "what is off already stays as it is");
    world.done(Kind::DropAccessKey(DropAccessKey { id: id(1) }));
    assert!(world.state.access_keys.is_empty());
}

#[test]
fn what_is_no_key_is_refused() {
    let mut world = World::new();
    world.done(put(key(1)));
    assert_eq!(world.refused(put(key(1))).code, "ConflictException");
    assert_eq!(world.refused(set(2, true)).code, "ResourceNotFoundException");
    assert_eq!(world.refused(Kind::DropAccessKey(DropAccessKey { id: id(2) })).code, "ResourceNotFoundException");
    for wrong in [
        AccessKeyRow { id: "akia0000000000000001".into(), ..key(2) },
        AccessKeyRow { sealed_secret: Vec::new().into(), ..key(2) },
        AccessKeyRow { sealed_secret: vec![0; 257].into(), ..key(2) },
        AccessKeyRow { description: "é".repeat(KEY_DESCRIPTION_CHARS_MAX + 1), ..key(2) },
    ] {
        assert_eq!(world.refused(put(wrong)).code, "InvalidParameterException");
    }
}

#[test]
fn there_is_a_limit_to_keys() {
    let mut world = World::new();
    for number in 0..ACCESS_KEYS_MAX {
        world.done(put(key(number)));
    }
    let refused = world.refused(put(key(ACCESS_KEYS_MAX)));
    assert_eq!(refused.code, "LimitExceededException");
    assert!(refused.message.contains("1000 access keys exist"), "{}", refused.message);
}
