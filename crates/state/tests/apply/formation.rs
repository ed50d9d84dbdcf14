//! Forming, members, tokens, time.

use seawall_proto::internal::v1::{
    DropMember, DropToken, InitCluster, Limits, MemberRow, PutMember, PutToken, RaiseClusterVersion, TokenRow, UseToken,
};
use seawall_state::{DEFAULT_LIMITS, State};

use crate::fixture::*;

fn member(id: u64, name: &str) -> Kind {
    let row = MemberRow { id, name: name.into(), zone: "a".into(), ..MemberRow::default() };
    Kind::PutMember(PutMember { member: Some(row) })
}

#[test]
fn a_cluster_forms_once_with_the_cluster_default() {
    let mut world = World::new();
    // 0 is the default of a limit that came with a later version.
    assert_eq!(world.state.meta.limits, Some(Limits { invocations: 0, ..DEFAULT_LIMITS }));
    assert_eq!(world.state.meta.cluster_version, 1);
    assert_eq!(world.state.arns().cluster("default"), "arn:aws:ecs:us-local-1:000000000000:cluster/default");
    assert!(world.state.cluster_by_name(0, "default").unwrap().active);
    assert!(world.done(init()).existed);
    let Kind::InitCluster(first) = init() else { unreachable!() };
    let other = InitCluster { cluster_id: vec![2; 16].into(), ..first.clone() };
    assert_eq!(world.refused(Kind::InitCluster(other)).code, "ClientException");
    let mut fresh = World { state: State::new(), now_ms: 0, ..World::new() };
    let bad_region = InitCluster { region: "local".into(), ..first };
    assert!(fresh.refused(Kind::InitCluster(bad_region)).message.contains("us-local-1"));
}

#[test]
fn cluster_time_never_goes_back() {
    let mut world = World::new();
    world.now_ms = 5;
    world.done(Kind::RaiseClusterVersion(RaiseClusterVersion { version: 2 }));
    assert_eq!(world.state.meta.cluster_time_ms, 1_000_000);
    world.now_ms = 2_000_000;
    world.done(Kind::RaiseClusterVersion(RaiseClusterVersion { version: 2 }));
    assert_eq!(world.state.meta.cluster_time_ms, 2_000_000);
    world.refused(Kind::RaiseClusterVersion(RaiseClusterVersion { version: 1 }));
    assert_eq!(world.state.meta.cluster_version, 2);
}

#[test]
fn a_members_id_is_never_drawn_twice() {
    let mut world = World::new();
    world.done(member(77, "s1"));
    let drawn = world.done(member(0, "s2")).id;
    assert!(drawn > 77);
    world.done(Kind::DropMember(DropMember { member_id: drawn }));
    assert!(world.state.members.get(&drawn).is_none());
    assert!(world.done(member(0, "s2")).id > drawn);
    let version = world.state.members.get(&77).unwrap().changed;
    world.done(member(77, "s1"));
    assert_eq!(world.state.members.get(&77).unwrap().changed, version, "announcing the same changes nothing");
    assert_eq!(world.refused(member(1, "not a name")).code, "InvalidParameterException");
}

#[test]
fn a_join_token_is_used_up() {
    let mut world = World::new();
    let secret: bytes::Bytes = vec![9; 32].into();
    let row = TokenRow {
        id: "t".into(),
        secret_sha256: secret.clone(),
        uses_left: 2,
        limited: true,
        expires_at_ms: world.now_ms + 10,
        ..TokenRow::default()
    };
    world.done(Kind::PutToken(PutToken { token: Some(row) }));
    let using = |secret: &bytes::Bytes| Kind::UseToken(UseToken { id: "t".into(), secret_sha256: secret.clone() });
    assert_eq!(world.refused(using(&vec![8; 32].into())).code, "AccessDeniedException");
    world.done(using(&secret));
    world.done(using(&secret));
    assert!(world.refused(using(&secret)).message.contains("used up"));
    world.done(Kind::DropToken(DropToken { id: "t".into() }));
    world.refused(Kind::DropToken(DropToken { id: "t".into() }));
}

#[test]
fn an_expired_join_token_is_refused_and_leaves_with_the_next() {
    let mut world = World::new();
    let token = |id: &str, expires_at_ms| TokenRow {
        id: id.into(),
        secret_sha256: vec![1].into(),
        expires_at_ms,
        ..TokenRow::default()
    };
    let first = token("short", world.now_ms + 10);
    world.done(Kind::PutToken(PutToken { token: Some(first) }));
    world.now_ms += 10;
    // The refusal's own time must not count as a change of the state.
    world.done(Kind::RaiseClusterVersion(RaiseClusterVersion { version: 1 }));
    let refusal = world.refused(Kind::UseToken(UseToken { id: "short".into(), secret_sha256: vec![1].into() }));
    assert!(refusal.message.contains("expired"));
    world.done(Kind::PutToken(PutToken { token: Some(token("long", 0)) }));
    assert_eq!(world.state.tokens.len(), 1);
}

#[test]
fn an_unknown_command_is_refused() {
    let mut world = World::new();
    let command = seawall_proto::internal::v1::Command::default();
    let reply = world.send(&command);
    assert!(matches!(reply, seawall_proto::internal::v1::reply::Kind::Refusal(r) if r.code == "ServerException"));
}
