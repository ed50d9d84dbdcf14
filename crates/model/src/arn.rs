//! ECS's ARNs in the long form.

use crate::{ApiError, ErrorCode, Id128};

/// What an ARN names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// `cluster/<name>`
    Cluster(String),
    /// `container-instance/<cluster>/<id>`
    Instance(String, Id128),
    /// `task-definition/<family>:<revision>`
    TaskDefinition(String, u32),
    /// `task/<cluster>/<id>`
    Task(String, Id128),
    /// `service/<cluster>/<name>`
    Service(String, String),
    /// `capacity-provider/<name>`
    CapacityProvider(String),
    /// `service-deployment/<cluster>/<service>/<id>`
    ServiceDeployment(String, String, String),
    /// `service-revision/<cluster>/<service>/<id>`
    ServiceRevision(String, String, u64),
}

/// A parsed ARN of this cluster's region and account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arn(pub Resource);

/// The region and account that all of a cluster's ARNs carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArnScope {
    /// "us-local-1"
    pub region: String,
    /// "000000000000"
    pub account: String,
}

impl ArnScope {
    fn arn(&self, rest: std::fmt::Arguments<'_>) -> String {
        format!("arn:aws:ecs:{}:{}:{rest}", self.region, self.account)
    }

    /// ARN of a cluster.
    pub fn cluster(&self, name: &str) -> String {
        self.arn(format_args!("cluster/{name}"))
    }

    /// ARN of a container instance.
    pub fn instance(&self, cluster: &str, id: Id128) -> String {
        self.arn(format_args!("container-instance/{cluster}/{id}"))
    }

    /// ARN of a task definition.
    pub fn task_definition(&self, family: &str, revision: u32) -> String {
        self.arn(format_args!("task-definition/{family}:{revision}"))
    }

    /// ARN of a task.
    pub fn task(&self, cluster: &str, id: Id128) -> String {
        self.arn(format_args!("task/{cluster}/{id}"))
    }

    /// ARN of a container of a task: a UUID made from the task's id and the container's place in its definition.
    pub fn container(&self, cluster: &str, task: Id128, ordinal: usize) -> String {
        let bits = task.0 ^ ((ordinal as u128 + 1) << 72);
        let hex = format!("{bits:032x}");
        let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
        self.arn(format_args!("container/{cluster}/{task}/{a}-{b}-{c}-{d}-{e}"))
    }

    /// ARN of a service.
    pub fn service(&self, cluster: &str, name: &str) -> String {
        self.arn(format_args!("service/{cluster}/{name}"))
    }

    /// ARN of a capacity provider.
    pub fn capacity_provider(&self, name: &str) -> String {
        self.arn(format_args!("capacity-provider/{name}"))
    }

    /// ARN of whoever signs with an access key of that name.
    pub fn user(&self, name: &str) -> String {
        format!("arn:aws:iam::{}:user/{name}", self.account)
    }

    /// ARN of a service's deployment.
    pub fn service_deployment(&self, cluster: &str, service: &str, id: &str) -> String {
        self.arn(format_args!("service-deployment/{cluster}/{service}/{id}"))
    }

    /// ARN of a service's revision: ECS's ids have 19 digits.
    pub fn service_revision(&self, cluster: &str, service: &str, id: u64) -> String {
        self.arn(format_args!("service-revision/{cluster}/{service}/{id:019}"))
    }

    /// Parses an ARN; `None` where `text` is no ARN but a name.
    ///
    /// # Errors
    /// `InvalidParameterException` for an ARN of another region or account, or one that does not parse.
    pub fn parse(&self, text: &str) -> Result<Option<Resource>, ApiError> {
        if !text.starts_with("arn:") {
            return Ok(None);
        }
        let invalid = |message: String| ApiError::new(ErrorCode::InvalidParameter, message);
        let mut parts = text.splitn(6, ':');
        let (_, _, service, region, account, rest) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next());
        let (Some("ecs"), Some(region), Some(account), Some(rest)) = (service, region, account, rest) else {
            return Err(invalid(format!("Invalid arn syntax: {text}")));
        };
        if region != self.region {
            return Err(invalid(format!("Identifier is for {region}. Your accessing region is {}.", self.region)));
        }
        if account != self.account {
            return Err(invalid(format!("Identifier is for account {account}. Your account is {}.", self.account)));
        }
        resource(rest).map(Some).ok_or_else(|| invalid(format!("Invalid arn syntax: {text}")))
    }
}

fn resource(rest: &str) -> Option<Resource> {
    let fields: Vec<&str> = rest.split('/').collect();
    Some(match fields.as_slice() {
        ["cluster", name] => Resource::Cluster((*name).into()),
        ["container-instance", cluster, id] => Resource::Instance((*cluster).into(), id.parse().ok()?),
        ["task", cluster, id] => Resource::Task((*cluster).into(), id.parse().ok()?),
        ["capacity-provider", name] => Resource::CapacityProvider((*name).into()),
        ["service", cluster, name] => Resource::Service((*cluster).into(), (*name).into()),
        ["service-deployment", cluster, service, id] => {
            Resource::ServiceDeployment((*cluster).into(), (*service).into(), (*id).into())
        }
        ["service-revision", cluster, service, id] => {
            Resource::ServiceRevision((*cluster).into(), (*service).into(), id.parse().ok()?)
        }
        ["task-definition", named] => {
            let (family, revision) = named.split_once(':')?;
            Resource::TaskDefinition(family.into(), revision.parse().ok()?)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_parse_back_and_foreign_ones_are_refused() {
        let scope = ArnScope { region: "us-local-1".into(), account: "000000000000".into() };
        let arn = scope.service("prod", "web");
        assert_eq!(arn, "arn:aws:ecs:us-local-1:000000000000:service/prod/web");
        assert_eq!(scope.parse(&arn).unwrap(), Some(Resource::Service("prod".into(), "web".into())));
        assert_eq!(scope.parse("web").unwrap(), None);
        let named = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let (cluster, service) = named("prod", "web");
        let revision = Resource::ServiceRevision(cluster.clone(), service.clone(), 7);
        assert_eq!(scope.parse(&scope.service_revision("prod", "web", 7)).unwrap(), Some(revision));
        let deployment = Resource::ServiceDeployment(cluster, service, "NCWGC2ZR-tawPAYrIaU5_".into());
        assert_eq!(
            scope.parse(&scope.service_deployment("prod", "web", "NCWGC2ZR-tawPAYrIaU5_")).unwrap(),
            Some(deployment)
        );
        let foreign = scope.parse("arn:aws:ecs:eu-west-1:000000000000:service/prod/web").unwrap_err();
        assert_eq!(foreign.message, "Identifier is for eu-west-1. Your accessing region is us-local-1.");
        assert!(scope.parse("arn:aws:ecs:us-local-1:000000000000:task/prod/xyz").is_err());
    }
}
