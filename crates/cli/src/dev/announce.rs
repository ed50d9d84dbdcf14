//! What dev prints once all is ready: where everything is, and what to paste.

use std::time::Duration;

use crate::args::RuntimeKind;

/// Of a cluster that anybody on this machine commands.
const NO_KEYS: &str = "no access keys: any signature is accepted. seawall access-key create makes the first";
/// Of one with keys.
const KEYS: &str = "access keys exist: clients sign with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";

/// What is told.
#[derive(Clone, Debug)]
pub struct News {
    /// "docker 20.10.24"
    pub runtime: String,
    /// The same as the flag has it.
    pub kind: RuntimeKind,
    /// All zones.
    pub zones: Vec<String>,
    /// The leader's name: the last letter of its zone.
    pub leader: String,
    /// How many instances there are.
    pub instances: usize,
    /// What they have.
    pub cpu_units: u32,
    /// What they have.
    pub memory_mib: u64,
    /// How long it took.
    pub took: Duration,
    /// Where clients reach the members.
    pub endpoints: Vec<String>,
    /// Where everything is.
    pub folder: String,
    /// Whether access keys exist.
    pub keys: bool,
    /// The folder is not the one that `seawall zone` looks in by itself.
    pub own_folder: bool,
    /// The ports are not those that clients try by themselves.
    pub own_port: bool,
    /// This executable.
    pub program: String,
}

impl News {
    /// All of it.
    pub fn text(&self) -> String {
        let zones: Vec<String> = self.zones.iter().map(|zone| self.zone(zone)).collect();
        let mut lines = vec![
            format!(
                "runtime {}   zones {}   {} instances, {} vCPU, {:.1} GiB   ready in {:.1} s",
                self.runtime,
                zones.join(" "),
                self.instances,
                f64::from(self.cpu_units) / 1024.0,
                self.memory_mib as f64 / 1024.0,
                self.took.as_secs_f64()
            ),
            format!("members {}   data {}", self.endpoints.join(" "), self.folder),
        ];
        lines.extend(self.variables().map(|set| row(&format!("export {set}"), "first, in the other shell")));
        lines.push(row(&self.run(), "then  seawall status"));
        lines.push(row("seawall aws ecs list-clusters", "your aws, pointed here for this one call"));
        lines.push(row(r#"eval "$(seawall env)""#, "boto3, Terraform and aws in this shell"));
        lines.push(row("seawall zone kill b", "what you came for;  seawall zone return b"));
        lines.push(if self.keys { KEYS } else { NO_KEYS }.to_owned());
        let runs_on = "Ctrl-C ends everything; started again, it goes on where it was";
        lines.push(format!("{runs_on}. To start afresh, remove the data."));
        lines.join("\n")
    }

    fn zone(&self, zone: &str) -> String {
        let leads = !self.leader.is_empty() && zone.ends_with(&self.leader);
        if leads { format!("{zone} (leader)") } else { zone.to_owned() }
    }

    fn variables(&self) -> Option<String> {
        let folder = self.own_folder.then(|| format!("SEAWALL_DEV_DIR={}", self.folder));
        let addresses: Vec<&str> = self.endpoints.iter().map(|e| e.trim_start_matches("http://")).collect();
        let addresses = self.own_port.then(|| format!("SEAWALL_ADDR={}", addresses.join(",")));
        let set: Vec<String> = folder.into_iter().chain(addresses).collect();
        (!set.is_empty()).then(|| set.join(" "))
    }

    fn run(&self) -> String {
        match self.kind {
            RuntimeKind::Docker => "seawall run nginx:alpine --name web --count 6 -p 80".into(),
            RuntimeKind::Process => {
                format!("seawall run process --name web --count 6 -p 8080 -- {} web", self.program)
            }
            RuntimeKind::Fake => "seawall run anything --name web --count 6".into(),
        }
    }
}

fn row(command: &str, what_for: &str) -> String {
    format!("  {command:<52}   {what_for}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news() -> News {
        News {
            runtime: "docker 20.10.24".into(),
            kind: RuntimeKind::Docker,
            zones: ["a", "b", "c"].map(|letter| format!("us-local-1{letter}")).to_vec(),
            leader: "a".into(),
            instances: 3,
            cpu_units: 6144,
            memory_mib: 12_288,
            took: Duration::from_millis(2_940),
            endpoints: ["7400", "7410", "7420"].map(|port| format!("http://127.0.0.1:{port}")).to_vec(),
            folder: "/home/x/.local/state/seawall/dev".into(),
            keys: false,
            own_folder: false,
            own_port: false,
            program: "/usr/bin/seawall".into(),
        }
    }

    #[test]
    fn everything_to_paste_is_there() {
        insta::assert_snapshot!(news().text(), @r#"
        runtime docker 20.10.24   zones us-local-1a (leader) us-local-1b us-local-1c   3 instances, 6 vCPU, 12.0 GiB   ready in 2.9 s
        members http://127.0.0.1:7400 http://127.0.0.1:7410 http://127.0.0.1:7420   data /home/x/.local/state/seawall/dev
          seawall run nginx:alpine --name web --count 6 -p 80    then  seawall status
          seawall aws ecs list-clusters                          your aws, pointed here for this one call
          eval "$(seawall env)"                                  boto3, Terraform and aws in this shell
          seawall zone kill b                                    what you came for;  seawall zone return b
        no access keys: any signature is accepted. seawall access-key create makes the first
        Ctrl-C ends everything; started again, it goes on where it was. To start afresh, remove the data.
        "#);
    }

    #[test]
    fn another_folder_and_port_are_told_to_the_other_shell() {
        let other = News {
            kind: RuntimeKind::Process,
            runtime: "process".into(),
            folder: "/d".into(),
            keys: true,
            own_folder: true,
            own_port: true,
            ..news()
        };
        insta::assert_snapshot!(other.text(), @r#"
        runtime process   zones us-local-1a (leader) us-local-1b us-local-1c   3 instances, 6 vCPU, 12.0 GiB   ready in 2.9 s
        members http://127.0.0.1:7400 http://127.0.0.1:7410 http://127.0.0.1:7420   data /d
          export SEAWALL_DEV_DIR=/d SEAWALL_ADDR=127.0.0.1:7400,127.0.0.1:7410,127.0.0.1:7420   first, in the other shell
          seawall run process --name web --count 6 -p 8080 -- /usr/bin/seawall web   then  seawall status
          seawall aws ecs list-clusters                          your aws, pointed here for this one call
          eval "$(seawall env)"                                  boto3, Terraform and aws in this shell
          seawall zone kill b                                    what you came for;  seawall zone return b
        access keys exist: clients sign with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
        Ctrl-C ends everything; started again, it goes on where it was. To start afresh, remove the data.
        "#);
    }
}
