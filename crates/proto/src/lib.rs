//! The messages of Seawall: `v1` is the public API, `internal` what members and agents say to each other and what the log
//! holds. Public messages serialize to ECS's own JSON (camelCase, epoch seconds, absent members left out).

/// The public API: ECS's shapes, made from botocore's model by `proto/generate.py`, and what Seawall has beyond them.
#[allow(missing_docs)]
pub mod v1 {
    tonic::include_proto!("seawall.v1");
}

/// Rows, commands and the protocols between members and agents.
// An agent's hello is larger than its beats and comes once: a box for it would buy nothing.
#[allow(missing_docs, clippy::large_enum_variant)]
pub mod internal {
    pub mod v1 {
        tonic::include_proto!("seawall.internal.v1");
    }
}

mod shapes {
    include!(concat!(env!("OUT_DIR"), "/shapes.rs"));
}

mod facts {
    include!(concat!(env!("OUT_DIR"), "/facts.rs"));
}

pub use facts::FACTS;
pub use shapes::SHAPES;

/// Descriptors of every file under proto/, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// A public message and its members under their JSON names.
#[derive(Debug, PartialEq, Eq)]
pub struct Shape {
    /// Message name ("TaskDefinition").
    pub name: &'static str,
    /// (JSON name, type).
    pub members: &'static [(&'static str, Kind)],
}

/// The JSON type of a member.
#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Double,
    /// `true` or `false`.
    Boolean,
    /// Epoch seconds with a fraction.
    Timestamp,
    /// Another message, by name.
    Message(&'static str),
    /// A list.
    List(&'static Kind),
    /// An object with free keys.
    Map(&'static Kind),
}

/// The public message called `name`.
pub fn shape(name: &str) -> Option<&'static Shape> {
    SHAPES.binary_search_by_key(&name, |s| s.name).ok().map(|i| &SHAPES[i])
}

/// What proto cannot say about the members of an ECS shape.
#[derive(Debug, PartialEq, Eq)]
pub struct Facts {
    /// Shape name ("RunTaskRequest").
    pub shape: &'static str,
    /// JSON names of members that must be there.
    pub required: &'static [&'static str],
    /// JSON names of members with limits.
    pub limits: &'static [(&'static str, Limit)],
}

/// The limits of one member.
#[derive(Debug, PartialEq, Eq)]
pub struct Limit {
    /// The values that a text may have; any when empty.
    pub values: &'static [&'static str],
    /// The least number, or the least length of a text or list.
    pub min: Option<i64>,
    /// The greatest number, or the greatest length of a text or list.
    pub max: Option<i64>,
    /// Of each item of a list.
    pub item: Option<&'static Limit>,
}

/// The facts of the ECS shape called `name`.
pub fn facts(name: &str) -> Option<&'static Facts> {
    FACTS.binary_search_by_key(&name, |f| f.shape).ok().map(|i| &FACTS[i])
}

/// ECS writes times as epoch seconds with milliseconds.
mod timestamp {
    use prost_types::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(time: &Option<Timestamp>, out: S) -> Result<S::Ok, S::Error> {
        match time {
            None => out.serialize_none(),
            Some(t) => out.serialize_f64(super::millis(t) as f64 / 1000.0),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<f64>::deserialize(input)?.map(|s| super::timestamp_of((s * 1000.0).round() as i64)))
    }
}

/// Bytes of public messages (log lines) are text in JSON.
mod text_bytes {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&String::from_utf8_lossy(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<u8>, D::Error> {
        Ok(String::deserialize(input)?.into_bytes())
    }
}

/// The one enum of public messages that is shown in JSON: by its word, as ECS shows its own.
mod member_role {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::v1::MemberRole;

    const PREFIX: &str = "MEMBER_ROLE_";

    pub fn serialize<S: Serializer>(role: &i32, out: S) -> Result<S::Ok, S::Error> {
        let name = MemberRole::try_from(*role).unwrap_or_default().as_str_name();
        out.serialize_str(name.trim_start_matches(PREFIX))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<i32, D::Error> {
        let word = String::deserialize(input)?;
        let role = MemberRole::from_str_name(&format!("{PREFIX}{word}"));
        role.map(i32::from).ok_or_else(|| D::Error::custom(format!("{word:?} is no role of a member")))
    }
}

/// A list that is `null` is an empty one: SDKs send both.
fn null_as_default<'de, D, T>(input: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + serde::Deserialize<'de>,
{
    Ok(<Option<T> as serde::Deserialize>::deserialize(input)?.unwrap_or_default())
}

/// Epoch milliseconds of a timestamp.
pub fn millis(time: &prost_types::Timestamp) -> i64 {
    time.seconds * 1000 + i64::from(time.nanos) / 1_000_000
}

/// The timestamp of epoch milliseconds.
pub fn timestamp_of(millis: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: millis.div_euclid(1000), nanos: (millis.rem_euclid(1000) * 1_000_000) as i32 }
}

/// The timestamp of epoch milliseconds, where 0 means that it has not happened.
pub fn timestamp_unless_zero(millis: i64) -> Option<prost_types::Timestamp> {
    (millis != 0).then(|| timestamp_of(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_messages_speak_ecs_json() {
        let json = r#"{"clusterName":"prod","tags":[{"key":"a","value":"b"}],"settings":null}"#;
        let request: v1::CreateClusterRequest = serde_json::from_str(json).unwrap();
        assert_eq!(request.cluster_name.as_deref(), Some("prod"));
        assert_eq!(request.tags.len(), 1);
        let task =
            v1::Task { created_at: Some(timestamp_of(1_557_119_253_821)), version: Some(3), ..Default::default() };
        let json = serde_json::to_value(&task).unwrap();
        assert_eq!(json["createdAt"], 1_557_119_253.821);
        assert_eq!(json["version"], 3);
        assert!(json.get("startedAt").is_none());
        assert_eq!(json["containers"], serde_json::json!([]));
    }

    #[test]
    fn a_members_role_is_a_word() {
        let member = v1::Member { role: v1::MemberRole::Voter.into(), ..Default::default() };
        let json = serde_json::to_value(&member).unwrap();
        assert_eq!(json["role"], "VOTER");
        assert_eq!(serde_json::from_value::<v1::Member>(json).unwrap(), member);
        assert!(serde_json::from_str::<v1::Member>(r#"{"role":"KING"}"#).is_err());
    }

    #[test]
    fn update_lists_tell_absent_from_empty() {
        let kept: v1::UpdateServiceRequest = serde_json::from_str(r#"{"service":"web"}"#).unwrap();
        assert!(kept.placement_strategy.is_none());
        let cleared: v1::UpdateServiceRequest =
            serde_json::from_str(r#"{"service":"web","placementStrategy":[]}"#).unwrap();
        assert_eq!(cleared.placement_strategy.unwrap().items, vec![]);
    }

    #[test]
    fn shapes_are_sorted_and_name_members() {
        assert!(SHAPES.is_sorted_by_key(|s| s.name));
        let shape = shape("PortMapping").unwrap();
        assert!(shape.members.iter().any(|(name, kind)| *name == "hostPort" && *kind == Kind::Integer));
    }

    #[test]
    fn facts_hold_what_proto_cannot_say() {
        assert!(FACTS.is_sorted_by_key(|f| f.shape));
        let facts = facts("RunTaskRequest").unwrap();
        assert_eq!(facts.required, ["taskDefinition"]);
        let (_, launch_type) = facts.limits.iter().find(|(name, _)| *name == "launchType").unwrap();
        assert!(launch_type.values.contains(&"EC2"));
        let include = super::facts("DescribeServicesRequest").unwrap().limits;
        assert_eq!(include[0].1.item.unwrap().values, ["TAGS"]);
    }
}
