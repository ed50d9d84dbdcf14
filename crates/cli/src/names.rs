//! Names as people type them: `web`, `prod/web`, `web:7`, the beginning of an id, an ARN.

use seawall_model::nearest;

use crate::failure::Failure;

/// Shortest beginning of an id that is taken for one.
pub const PREFIX_CHARS_MIN: usize = 6;
/// Names shown where one is unknown.
const NEAREST_SHOWN: usize = 3;

/// A kind of resource, as ARNs name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A cluster.
    Cluster,
    /// A container instance.
    Instance,
    /// A task definition.
    Definition,
    /// A task.
    Task,
    /// A service.
    Service,
    /// A job.
    Job,
    /// A schedule.
    Schedule,
}

impl Kind {
    fn in_arn(self) -> &'static str {
        match self {
            Kind::Cluster => "cluster",
            Kind::Instance => "container-instance",
            Kind::Definition => "task-definition",
            Kind::Task => "task",
            Kind::Service => "service",
            Kind::Job => "job",
            Kind::Schedule => "schedule",
        }
    }

    /// As people call it.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Cluster => "cluster",
            Kind::Instance => "instance",
            Kind::Definition => "task definition",
            Kind::Task => "task",
            Kind::Service => "service",
            Kind::Job => "job",
            Kind::Schedule => "schedule",
        }
    }

    /// The command that lists them.
    pub fn list_command(self) -> &'static str {
        match self {
            Kind::Cluster => "seawall cluster ls",
            Kind::Instance => "seawall instance ls",
            Kind::Definition => "seawall taskdef ls",
            Kind::Task => "seawall task ls",
            Kind::Service => "seawall service ls",
            Kind::Job => "seawall job ls",
            Kind::Schedule => "seawall schedule ls",
        }
    }
}

/// A name taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// The cluster it says; the current one otherwise.
    pub cluster: Option<String>,
    /// The name or id without its cluster.
    pub id: String,
    /// Whether it was an ARN, which the cluster must see whole: it refuses another region's.
    pub arn: Option<String>,
}

impl Named {
    /// What is sent: the ARN where there was one.
    pub fn sent(&self) -> String {
        self.arn.clone().unwrap_or_else(|| self.id.clone())
    }
}

/// Takes a name of one kind apart.
///
/// # Errors
/// An ARN of another kind, or an empty name.
pub fn parse(kind: Kind, text: &str) -> Result<Named, Failure> {
    if text.starts_with("arn:") {
        return parse_arn(kind, text);
    }
    let flat = matches!(kind, Kind::Cluster | Kind::Definition);
    let (cluster, id) = match text.split_once('/') {
        Some((cluster, id)) if !flat => (Some(cluster), id),
        _ => (None, text),
    };
    if id.is_empty() || cluster == Some("") || id.contains('/') {
        return Err(Failure::usage(format!("{text:?} is no name of a {}", kind.word())));
    }
    Ok(Named { cluster: cluster.map(str::to_owned), id: id.to_owned(), arn: None })
}

fn parse_arn(kind: Kind, text: &str) -> Result<Named, Failure> {
    let resource = text.splitn(6, ':').nth(5).unwrap_or_default();
    let parts: Vec<&str> = resource.split('/').collect();
    let (found, cluster, id) = match parts.as_slice() {
        [found, id] => (*found, None, *id),
        [found, cluster, id] => (*found, Some(*cluster), *id),
        _ => return Err(Failure::usage(format!("{text} is no ARN of a {}", kind.word()))),
    };
    if found != kind.in_arn() {
        return Err(Failure::usage(format!("{text} names a {found}, not a {}", kind.word())));
    }
    Ok(Named { cluster: cluster.map(str::to_owned), id: id.to_owned(), arn: Some(text.to_owned()) })
}

/// What stands after the last slash of an ARN: a name, an id, or family:revision.
pub fn short(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// The first eight characters of an id, which people read and type.
pub fn abbreviated(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// Which of `ids` `text` is, or begins.
///
/// # Errors
/// Several ids begin so, or none does: then the nearest are shown.
pub fn pick<'a>(kind: Kind, text: &str, ids: &'a [String]) -> Result<&'a String, Failure> {
    if let Some(exact) = ids.iter().find(|id| *id == text) {
        return Ok(exact);
    }
    let begins: Vec<&String> = if text.len() >= PREFIX_CHARS_MIN {
        ids.iter().filter(|id| id.starts_with(text)).collect()
    } else {
        Vec::new()
    };
    match begins.as_slice() {
        [one] => Ok(one),
        [] => Err(unknown(kind, text, ids.iter().map(String::as_str))),
        several => {
            let shown: Vec<&str> = several.iter().take(NEAREST_SHOWN).map(|id| id.as_str()).collect();
            let count = several.len();
            Err(Failure::refused(format!("{count} {}s begin with {text:?}: {}", kind.word(), shown.join(", "))))
        }
    }
}

/// A name that nothing has, with the three nearest that exist.
pub fn unknown<'a>(kind: Kind, text: &str, names: impl IntoIterator<Item = &'a str>) -> Failure {
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let known = nearest_of(text, &names);
    Failure::refused(format!("{} {text:?} not found ({known})", kind.word())).next(kind.list_command())
}

/// What to say of the names there are: all of them if they are few, else the nearest.
pub fn nearest_of(text: &str, names: &[String]) -> String {
    let shown = nearest(text, names.iter().map(String::as_str), NEAREST_SHOWN);
    match shown.as_slice() {
        [] => "there are none".to_owned(),
        _ if names.len() > shown.len() => format!("nearest: {}", shown.join(", ")),
        _ => format!("there are: {}", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(cluster: Option<&str>, id: &str) -> Named {
        Named { cluster: cluster.map(str::to_owned), id: id.into(), arn: None }
    }

    #[test]
    fn names_may_carry_their_cluster() {
        assert_eq!(parse(Kind::Service, "web"), Ok(named(None, "web")));
        assert_eq!(parse(Kind::Service, "prod/web"), Ok(named(Some("prod"), "web")));
        assert_eq!(parse(Kind::Definition, "web:7"), Ok(named(None, "web:7")));
        for wrong in ["", "prod/", "/web", "a/b/c"] {
            assert!(parse(Kind::Service, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn arns_carry_cluster_and_kind() {
        let arn = "arn:aws:ecs:us-local-1:000000000000:service/prod/web";
        let parsed = parse(Kind::Service, arn).unwrap();
        assert_eq!((parsed.cluster.as_deref(), parsed.id.as_str()), (Some("prod"), "web"));
        assert_eq!(parsed.sent(), arn);
        let wrong = parse(Kind::Task, arn).unwrap_err();
        assert_eq!(wrong.what, format!("{arn} names a service, not a task"));
        let definition = "arn:aws:ecs:us-local-1:000000000000:task-definition/web:7";
        assert_eq!(parse(Kind::Definition, definition).unwrap().id, "web:7");
        assert!(parse(Kind::Task, "arn:aws:ecs").is_err());
        assert_eq!(short(definition), "web:7");
    }

    #[test]
    fn six_characters_of_an_id_are_enough_if_no_other_begins_so() {
        let ids: Vec<String> = ["0199aaaa11", "0199aaab22", "0199bbbb33"].map(String::from).to_vec();
        assert_eq!(pick(Kind::Task, "0199bb", &ids).unwrap(), "0199bbbb33");
        assert_eq!(pick(Kind::Task, "0199aaaa11", &ids).unwrap(), "0199aaaa11");
        let several = pick(Kind::Task, "0199aa", &ids).unwrap_err();
        assert_eq!(several.what, "2 tasks begin with \"0199aa\": 0199aaaa11, 0199aaab22");
        assert!(pick(Kind::Task, "0199b", &ids).is_err());
    }

    #[test]
    fn unknown_names_show_the_nearest() {
        let services = ["web", "worker", "api", "wep"];
        let failure = unknown(Kind::Service, "wbe", services);
        assert_eq!(failure.to_string(), "service \"wbe\" not found (nearest: web, wep, api). next: seawall service ls");
        assert_eq!(unknown(Kind::Task, "x", []).what, "task \"x\" not found (there are none)");
    }
}
