//! The network interface of a task with networkMode awsvpc, as ECS attaches one.

use seawall_model::TaskId;
use seawall_proto::{
    internal::v1::{TaskRow, TaskStatus},
    v1::{Attachment, KeyValuePair, NetworkInterface},
};

use super::id;

/// The attachment; `None` where the task has the instance's network.
pub fn attachment(region: &str, awsvpc: bool, row: &TaskRow) -> Option<Attachment> {
    if row.interface.is_none() && !awsvpc {
        return None;
    }
    let status = match (&row.interface, row.last_status()) {
        (_, TaskStatus::Stopped) => "DELETED",
        (None, _) => "PRECREATED",
        (Some(_), _) => "ATTACHED",
    };
    Some(Attachment {
        id: Some(attachment_id(id(row))),
        r#type: Some("ElasticNetworkInterface".into()),
        status: Some(status.into()),
        details: details(region, row),
    })
}

/// The interface as each container of the task has it.
pub fn of_container(row: &TaskRow) -> Option<NetworkInterface> {
    let interface = row.interface.as_ref()?;
    Some(NetworkInterface {
        attachment_id: Some(attachment_id(id(row))),
        private_ipv4_address: Some(interface.private_ipv4.clone()),
        ..Default::default()
    })
}

fn details(region: &str, row: &TaskRow) -> Vec<KeyValuePair> {
    let configuration = row.network_configuration.as_ref().and_then(|network| network.awsvpc_configuration.as_ref());
    let subnet = configuration.and_then(|configuration| configuration.subnets.first().cloned());
    let mut details = vec![("subnetId", subnet.unwrap_or_default())];
    if let Some(interface) = &row.interface {
        let dashes = interface.private_ipv4.replace('.', "-");
        details.extend([
            ("networkInterfaceId", format!("eni-{}", &id(row).to_string()[..17])),
            ("macAddress", interface.mac.clone()),
            ("privateDnsName", format!("ip-{dashes}.{region}.compute.internal")),
            ("privateIPv4Address", interface.private_ipv4.clone()),
        ]);
    }
    let detail = |(name, value): (&str, String)| KeyValuePair { name: Some(name.into()), value: Some(value) };
    details.into_iter().filter(|(_, value)| !value.is_empty()).map(detail).collect()
}

/// A UUID of its own, the same at every look.
fn attachment_id(task: TaskId) -> String {
    let digits = TaskId::from_halves(!task.hi(), task.lo()).to_string();
    let part = |from: usize, to: usize| &digits[from..to];
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}
