//! `seawall check FILE…`: what of a task definition, a service or a Terraform plan works here, without asking a cluster.

mod terraform;
mod walk;

use std::path::Path;

use seawall_proto::v1::{CreateServiceRequest, RegisterTaskDefinitionRequest};
use seawall_rules as rules;
use serde_json::Value;

use crate::{
    args::{CheckArgs, Format},
    context::Context,
    failure::{Exit, Failure},
    input::{self, scan::Lines},
    output::{
        self, Listing,
        table::{Table, column, text},
    },
};
use walk::{Finding, Verdict};

/// The request that a task definition's file holds.
const DEFINITION: &str = "RegisterTaskDefinitionRequest";
/// The request that a service's file holds.
const SERVICE: &str = "CreateServiceRequest";

/// What DescribeTaskDefinition's answer holds the definition in.
const DESCRIBED: &str = "taskDefinition";
/// Of a file: plans hold everything that Terraform knows.
const FILE_BYTES_MAX: usize = 64 << 20;

/// One resource that was found in a file.
struct Subject {
    /// "task definition web", "aws_ecs_service.web".
    name: String,
    /// Its request's shape; `None` for what is not looked into.
    shape: Option<&'static str>,
    value: Value,
    /// The member of the document that it stands in; empty where it is the document.
    within: &'static str,
    /// A plan leaves out what is only known once it is applied.
    is_whole: bool,
}

/// Checks all files.
pub fn run(ctx: &Context, args: &CheckArgs) -> Result<(), Failure> {
    let mut report = Report::default();
    for file in &args.files {
        let shown = file.display().to_string();
        let text = input::read_at_most(&ctx.env, file, FILE_BYTES_MAX)?;
        let (value, lines) = document(&shown, file, &text)?;
        for subject in subjects(&shown, value)? {
            let name = if args.files.len() > 1 { format!("{shown}: {}", subject.name) } else { subject.name.clone() };
            report.add(name, findings(&subject, lines.as_ref()));
        }
    }
    report.print(ctx)?;
    report.end()
}

/// The value of a file, and where its parts stand if it is JSON.
fn document(shown: &str, file: &Path, text: &str) -> Result<(Value, Option<Lines>), Failure> {
    let refuse = |why: String| Failure::refused(format!("{shown}: {why}"));
    let is_yaml = file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    let looks_like_json = text.trim_start().starts_with(['{', '[']);
    if is_yaml || !looks_like_json {
        let value = serde_saphyr::from_str(text).map_err(|error| refuse(format!("neither JSON nor YAML: {error}")))?;
        return Ok((value, None));
    }
    let value: Value =
        serde_json::from_str(text).map_err(|error| refuse(format!("line {}: no JSON: {error}", error.line())))?;
    if terraform::is_plan(&value) {
        // Nobody wrote its lines.
        return Ok((value, None));
    }
    let lines = input::scan::lines(text).map_err(|broken| refuse(format!("line {}: {}", broken.line, broken.what)))?;
    Ok((value, Some(lines)))
}

/// What a document is, by its members.
fn subjects(shown: &str, value: Value) -> Result<Vec<Subject>, Failure> {
    if terraform::is_plan(&value) {
        return Ok(terraform::subjects(&value));
    }
    if let Some(described) = value.get(DESCRIBED).filter(|inner| inner.is_object()) {
        let request = walk::without_read_only(DEFINITION, "TaskDefinition", described);
        return Ok(vec![Subject { within: DESCRIBED, ..whole("task definition", "family", DEFINITION, request) }]);
    }
    if value.get("containerDefinitions").is_some() || value.get("family").is_some() {
        return Ok(vec![whole("task definition", "family", DEFINITION, value)]);
    }
    if value.get("serviceName").is_some() || value.get(DESCRIBED).is_some() {
        return Ok(vec![whole("service", "serviceName", SERVICE, value)]);
    }
    let what = format!("{shown}: neither a task definition, nor a service, nor a plan of `terraform show -json`");
    Err(Failure::refused(what).next("a file as `aws ecs register-task-definition --cli-input-json` takes"))
}

fn whole(kind: &str, named_by: &str, shape: &'static str, value: Value) -> Subject {
    let name =
        value.get(named_by).and_then(Value::as_str).map_or_else(|| kind.to_owned(), |name| format!("{kind} {name}"));
    Subject { name, shape: Some(shape), value, within: "", is_whole: true }
}

fn findings(subject: &Subject, lines: Option<&Lines>) -> Vec<Finding> {
    let Some(shape) = subject.shape else {
        return vec![Finding::new("", Verdict::Skipped, "is not looked into by this command")];
    };
    let mut found = walk::members(shape, &subject.value);
    if let Some(lines) = lines {
        found.iter_mut().for_each(|it| it.line = Some(lines.of(&input::scan::member(subject.within, &it.path))));
    }
    if subject.is_whole && found.iter().all(|finding| finding.verdict != Verdict::Refused) {
        found.extend(refusal(shape, &subject.value).map(|why| Finding::new("", Verdict::Refused, why)));
    }
    found
}

/// What a member would say to the request as a whole.
fn refusal(shape: &'static str, value: &Value) -> Option<String> {
    // Of the types only the first mistake is told, as where a file is registered.
    if let Some(mistake) = input::mistake(shape, value, &Lines::default()) {
        return Some(mistake);
    }
    let refused = match shape {
        DEFINITION => match serde_json::from_value::<RegisterTaskDefinitionRequest>(value.clone()) {
            Ok(request) => rules::request(DEFINITION, &request, &[])
                .and_then(|_| rules::task_definition::check(&request).map(drop))
                .and_then(|()| rules::tags::check(&request.tags, rules::tags::On::Other)),
            Err(error) => return Some(error.to_string()),
        },
        _ => match serde_json::from_value::<CreateServiceRequest>(value.clone()) {
            Ok(request) => rules::request(SERVICE, &request, &[])
                .and_then(|_| rules::tags::check(&request.tags, rules::tags::On::Service)),
            Err(error) => return Some(error.to_string()),
        },
    };
    refused.err().map(|error| error.message.trim_end_matches('.').to_owned())
}

/// All findings, by subject.
#[derive(Default)]
struct Report(Vec<(String, Vec<Finding>)>);

impl Report {
    fn add(&mut self, name: String, findings: Vec<Finding>) {
        self.0.push((name, findings));
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.0.iter().flat_map(|(_, findings)| findings).filter(|finding| finding.verdict == verdict).count()
    }

    /// What works is counted, and shown by `-o wide`.
    fn print(&self, ctx: &Context) -> Result<(), Failure> {
        let shows_all = ctx.global.output == Format::Wide;
        let mut table = Table::new(&[column("RESOURCE"), column("MEMBER"), column("HERE"), text("WHY")]);
        let (mut items, mut names) = (Vec::new(), Vec::new());
        for (name, findings) in &self.0 {
            for finding in findings {
                if shows_all || finding.verdict != Verdict::Works {
                    let at = finding.line.map_or(String::new(), |line| format!(" (line {line})"));
                    let member = format!("{}{at}", output::or_dash(Some(&finding.path)));
                    table.row([
                        name.clone(),
                        member,
                        finding.verdict.word().into(),
                        output::or_dash(Some(&finding.why)),
                    ]);
                }
                if finding.verdict == Verdict::Refused {
                    names.push(finding.path.clone());
                }
                items.push(finding.json(name));
            }
        }
        let json = serde_json::json!({ "findings": items });
        let listing = Listing { table, names, json, items, none: "" };
        if !(listing.table.is_empty() && matches!(output::effective(&ctx.global), Format::Table | Format::Wide)) {
            listing.print(&ctx.global)?;
        }
        match output::effective(&ctx.global) {
            Format::Table | Format::Wide => output::say(&self.summary()),
            Format::Json | Format::Jsonl | Format::Name => Ok(()),
        }
    }

    fn summary(&self) -> String {
        let [works, stored, refused] = [Verdict::Works, Verdict::Stored, Verdict::Refused].map(|v| self.count(v));
        format!("{works} members work, {stored} stored without effect, {refused} refused")
    }

    fn end(&self) -> Result<(), Failure> {
        match self.count(Verdict::Refused) {
            0 => Ok(()),
            1 => Err(Failure::new(Exit::Refused, "1 member is refused")),
            count => Err(Failure::new(Exit::Refused, format!("{count} members are refused"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is not simply fine, a line each, then the summary.
    fn told(text: &str) -> String {
        let (value, lines) = document("f", Path::new("f"), text).unwrap();
        let mut report = Report::default();
        for subject in subjects("f", value).unwrap() {
            report.add(subject.name.clone(), findings(&subject, lines.as_ref()));
        }
        let mut out = String::new();
        for (name, findings) in &report.0 {
            for finding in findings.iter().filter(|finding| finding.verdict != Verdict::Works) {
                let line = finding.line.map_or(String::new(), |line| format!(" (line {line})"));
                out.push_str(&format!("{name}: {}{line} {}: {}\n", finding.path, finding.verdict.word(), finding.why));
            }
        }
        out + &report.summary()
    }

    #[test]
    fn a_definition_is_told_by_member() {
        let text = r#"{
  "family": "web",
  "taskRoleArn": "arn:aws:iam::000000000000:role/web",
  "pidMode": null,
  "requiresCompatibilities": ["EC2"],
  "containerDefinitions": [
    {
      "name": "web", "image": "web:1", "memory": 64,
      "memroy": 1,
      "secrets": [{"name": "A", "valueFrom": "x"}],
      "linuxParameters": {}
    }
  ]
}"#;
        insta::assert_snapshot!(told(text), @r#"
        task definition web: taskRoleArn (line 3) stored: is kept and shown, without effect
        task definition web: containerDefinitions[0].memroy (line 9) refused: unknown; did you mean memory?
        task definition web: containerDefinitions[0].secrets (line 10) refused: is not supported by this version
        5 members work, 1 stored without effect, 2 refused
        "#);
    }

    #[test]
    fn yaml_is_read_and_registration_is_tried() {
        let yaml = "family: web\nmemory: '32'\ncontainerDefinitions:\n- name: a\n  image: x\n  memory: 64\n";
        insta::assert_snapshot!(told(yaml), @r#"
        task definition web:  refused: Invalid setting for container 'a'. 'memory' 64 is greater than the task's 32
        5 members work, 0 stored without effect, 1 refused
        "#);
        let wrong = told("family: web\ncontainerDefinitions:\n- name: a\n  image: x\n  memory: '64'\n");
        assert!(wrong.contains("expected a whole number, found \"64\""), "{wrong}");
    }

    #[test]
    fn what_describe_gives_is_taken_without_what_only_ecs_writes() {
        let text = r#"{"taskDefinition": {"family": "web", "revision": 7, "status": "ACTIVE",
            "containerDefinitions": [{"name": "a", "image": "x", "memory": 64}]}, "tags": []}"#;
        assert_eq!(told(text), "4 members work, 0 stored without effect, 0 refused");
    }

    #[test]
    fn what_describe_gives_has_its_lines() {
        let text = "{\"taskDefinition\": {\n\"family\": \"web\",\n\"proxyConfiguration\": {\"containerName\": \"p\"}}}";
        let expected = "task definition web: proxyConfiguration (line 3) refused";
        assert!(told(text).starts_with(expected), "{}", told(text));
    }

    #[test]
    fn a_service_is_told_by_member() {
        let text =
            r#"{"serviceName": "web", "taskDefinition": "web:1", "desiredCount": 2, "platformVersion": "1.3.0"}"#;
        assert!(told(text).contains("service web: platformVersion (line 1) refused: 1.3.0 is not supported"));
    }

    #[test]
    fn what_is_none_of_these_is_refused() {
        let failure = subjects("f", serde_json::json!({"a": 1})).err().unwrap();
        assert!(failure.to_string().starts_with("f: neither a task definition"), "{failure}");
    }
}
