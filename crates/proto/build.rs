//! Turns proto/ into Rust without protoc: messages with serde attributes that make ECS's own JSON of them, and a static
//! table of every public message's members for whoever must name an unknown one.

#[path = "build_facts.rs"]
mod facts;

use std::{env, fmt::Write as _, fs, path::PathBuf};

use prost::Message as _;
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

const PUBLIC: &str = "seawall.v1";
/// Lists that ECS writes even when they are empty (Terraform compares).
const ALWAYS_WRITTEN: &[&str] = &[
    "Cluster.tags",
    "Cluster.settings",
    "Cluster.statistics",
    "Cluster.capacity_providers",
    "Cluster.default_capacity_provider_strategy",
    "ContainerDefinition.port_mappings",
    "ContainerDefinition.environment",
    "ContainerDefinition.mount_points",
    "ContainerDefinition.volumes_from",
    "TaskDefinition.volumes",
    "TaskDefinition.placement_constraints",
    "Service.load_balancers",
    "Service.service_registries",
    "Service.events",
    "Service.deployments",
    "Service.placement_constraints",
    "Service.placement_strategy",
    "DeploymentAlarms.alarm_names",
    "Task.attachments",
    "Task.attributes",
    "Task.containers",
    "Task.tags",
    "TaskOverride.container_overrides",
    "TaskOverride.inference_accelerator_overrides",
    "Container.network_bindings",
    "Container.network_interfaces",
    "ContainerInstance.attachments",
    "ContainerInstance.attributes",
    "ContainerInstance.registered_resources",
    "ContainerInstance.remaining_resources",
    "ContainerInstance.tags",
];
/// Lists beside what an answer is about.
const ONLY_ON_REQUEST: &[&str] = &["RegisterTaskDefinitionResponse.tags", "DescribeTaskDefinitionResponse.tags"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    for folder in ["seawall/v1", "seawall/internal/v1"] {
        for entry in fs::read_dir(root.join(folder))? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "proto") {
                files.push(path);
            }
        }
    }
    files.sort();
    let set = protox::compile(&files, [&root])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), set.encode_to_vec())?;
    fs::write(out.join("shapes.rs"), shapes(&set))?;
    fs::write(out.join("facts.rs"), facts::table(&root)?)?;

    let mut config = tonic_prost_build::configure().btree_map(".").bytes(".seawall.internal.v1");
    for file in set.file.iter().filter(|f| f.package() == PUBLIC) {
        for message in &file.message_type {
            config = message_attributes(config, message);
        }
        for item in &file.enum_type {
            config = config.type_attribute(
                format!(".{PUBLIC}.{}", item.name()),
                "#[derive(serde::Serialize, serde::Deserialize)]",
            );
        }
    }
    config.compile_fds(set)?;
    Ok(())
}

type Config = tonic_prost_build::Builder;

fn message_attributes(config: Config, message: &DescriptorProto) -> Config {
    let path = format!(".{PUBLIC}.{}", message.name());
    // A stream's events are told apart by a oneof, which ECS's JSON has no form for.
    if message.field.iter().any(|f| f.oneof_index.is_some() && !f.proto3_optional()) {
        return config;
    }
    let wrapper = is_wrapper(message);
    let mut config = config.type_attribute(&path, "#[derive(serde::Serialize, serde::Deserialize)]");
    if wrapper {
        return config.type_attribute(&path, "#[serde(transparent)]");
    }
    config = config.type_attribute(&path, "#[serde(default)]");
    for field in &message.field {
        config = config.field_attribute(format!("{path}.{}", field.name()), field_attribute(message, field));
    }
    config
}

/// What a caller asked for is there also where it is empty: scripts read `taskArns` without asking.
fn is_always_written(message: &DescriptorProto, name: &str) -> bool {
    let is_answer = message.name().ends_with("Response") && !ONLY_ON_REQUEST.contains(&name);
    is_answer || ALWAYS_WRITTEN.contains(&name)
}

/// `message XValue { repeated Y items = 1; }`: in JSON just the list.
fn is_wrapper(message: &DescriptorProto) -> bool {
    message.field.len() == 1 && message.field[0].name() == "items"
}

fn field_attribute(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let mut parts = vec![format!("rename = {:?}", field.json_name())];
    let repeated = field.label() == Label::Repeated;
    let timestamp = field.type_name() == ".google.protobuf.Timestamp";
    if field.name() == "expected_version" || (field.name() == "version" && field.number() == 1000) {
        return "#[serde(skip)]".into();
    }
    if timestamp {
        parts.push("with = \"crate::timestamp\"".into());
        parts.push("skip_serializing_if = \"Option::is_none\"".into());
    } else if repeated {
        let name = format!("{}.{}", message.name(), field.name());
        let is_map = message.nested_type.iter().any(|n| {
            n.options.as_ref().is_some_and(|o| o.map_entry()) && field.type_name().ends_with(&format!(".{}", n.name()))
        });
        parts.push("deserialize_with = \"crate::null_as_default\"".into());
        if !is_always_written(message, &name) {
            let kind = if is_map { "std::collections::BTreeMap::is_empty" } else { "Vec::is_empty" };
            parts.push(format!("skip_serializing_if = {kind:?}"));
        }
    } else if field.proto3_optional() || field.r#type() == Type::Message {
        parts.push("skip_serializing_if = \"Option::is_none\"".into());
    }
    if field.r#type() == Type::Bytes {
        parts.push("with = \"crate::text_bytes\"".into());
    }
    if field.type_name() == ".seawall.v1.MemberRole" {
        parts.push("with = \"crate::member_role\"".into());
    }
    format!("#[serde({})]", parts.join(", "))
}

/// `pub static SHAPES`: every public message with its members as JSON names them.
fn shapes(set: &FileDescriptorSet) -> String {
    let mut out = String::from(
        "/// Every public message and its members, sorted by name.\npub static SHAPES: &[crate::Shape] = &[\n",
    );
    let mut messages: Vec<_> = set
        .file
        .iter()
        .filter(|f: &&FileDescriptorProto| f.package() == PUBLIC)
        .flat_map(|f| &f.message_type)
        .collect();
    messages.sort_by_key(|m| m.name().to_owned());
    for message in &messages {
        let _ = writeln!(out, "    crate::Shape {{ name: {:?}, members: &[", message.name());
        for field in &message.field {
            let _ = writeln!(out, "        ({:?}, {}),", field.json_name(), kind(&messages, message, field));
        }
        out.push_str("    ] },\n");
    }
    out.push_str("];\n");
    out
}

fn kind(messages: &[&DescriptorProto], message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let short = field.type_name().rsplit('.').next().unwrap_or_default().to_owned();
    if let Some(entry) = message.nested_type.iter().find(|n| n.name() == short) {
        return format!("crate::Kind::Map(&{})", kind(messages, entry, &entry.field[1]));
    }
    let one = match field.r#type() {
        Type::Message if field.type_name() == ".google.protobuf.Timestamp" => "crate::Kind::Timestamp".to_owned(),
        Type::Message => match messages.iter().find(|m| m.name() == short) {
            Some(m) if is_wrapper(m) => return kind(messages, m, &m.field[0]),
            _ => format!("crate::Kind::Message({short:?})"),
        },
        Type::Enum => "crate::Kind::Integer".to_owned(),
        Type::String | Type::Bytes => "crate::Kind::String".to_owned(),
        Type::Bool => "crate::Kind::Boolean".to_owned(),
        Type::Double | Type::Float => "crate::Kind::Double".to_owned(),
        _ => "crate::Kind::Integer".to_owned(),
    };
    if field.label() == Label::Repeated { format!("crate::Kind::List(&{one})") } else { one }
}
