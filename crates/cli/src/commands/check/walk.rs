//! Every member that a document uses, against the table that the server checks requests by.

use seawall_proto::{Kind, shape};
use seawall_rules::members::{Rule, is_use, rule};
use serde_json::{Map, Value, json};

use crate::input::scan::{element, member};

/// What becomes of a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It does what ECS says.
    Works,
    /// Kept and echoed, without effect.
    Stored,
    /// The request that holds it is refused.
    Refused,
    /// Not known to this command.
    Skipped,
}

impl Verdict {
    /// As it is shown.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Works => "works",
            Verdict::Stored => "stored",
            Verdict::Refused => "refused",
            Verdict::Skipped => "skipped",
        }
    }
}

/// One member and what becomes of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Empty for the document as a whole.
    pub path: String,
    /// Where it stands, if that is known.
    pub line: Option<usize>,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Empty where it works.
    pub why: String,
}

impl Finding {
    /// A finding without a line.
    pub fn new(path: &str, verdict: Verdict, why: impl Into<String>) -> Self {
        Finding { path: path.to_owned(), line: None, verdict, why: why.into() }
    }

    /// For programs.
    pub fn json(&self, resource: &str) -> Value {
        let mut out =
            json!({ "resource": resource, "member": self.path, "verdict": self.verdict.word(), "why": self.why });
        if let Some(line) = self.line {
            out["line"] = line.into();
        }
        out
    }
}

/// All members of `value`, a message called `name`.
pub fn members(name: &str, value: &Value) -> Vec<Finding> {
    let mut found = Vec::new();
    message(name, value, "", &mut found);
    found
}

fn message(name: &str, value: &Value, path: &str, found: &mut Vec<Finding>) {
    // Of another type: that is told elsewhere.
    let Value::Object(members) = value else { return };
    let known = shape(name).map_or(&[][..], |shape| shape.members);
    for (key, value) in members.iter().filter(|(_, value)| !value.is_null()) {
        let path = member(path, key);
        match known.iter().find(|(name, _)| name == key) {
            Some((_, kind)) => one(rule(name, key), kind, value, &path, found),
            None => found.push(Finding::new(&path, Verdict::Refused, unknown(key, known))),
        }
    }
}

fn one(rule: Rule, kind: &Kind, value: &Value, path: &str, found: &mut Vec<Finding>) {
    match rule {
        Rule::Refused if is_use(value) => {
            found.push(Finding::new(path, Verdict::Refused, "is not supported by this version"));
        }
        Rule::Stored if is_use(value) => {
            found.push(Finding::new(path, Verdict::Stored, "is kept and shown, without effect"));
        }
        Rule::Refused | Rule::Stored => {}
        Rule::Only(allowed) => {
            found.push(match words(value).into_iter().find(|word| !allowed.contains(&word.as_str())) {
                Some(other) => {
                    let why = format!("{other} is not supported by this version; it may be {}", allowed.join(" or "));
                    Finding::new(path, Verdict::Refused, why)
                }
                None => Finding::new(path, Verdict::Works, ""),
            })
        }
        Rule::Works => match (kind, value) {
            (Kind::Message(name), _) => message(name, value, path, found),
            (Kind::List(Kind::Message(name)), Value::Array(items)) => {
                items.iter().enumerate().for_each(|(i, item)| message(name, item, &element(path, i), found));
            }
            _ => found.push(Finding::new(path, Verdict::Works, "")),
        },
    }
}

/// The words of a text, a list of texts, or a number.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) if !text.is_empty() => vec![text.clone()],
        Value::Number(number) => vec![number.to_string()],
        Value::Array(items) => items.iter().flat_map(words).collect(),
        _ => Vec::new(),
    }
}

fn unknown(key: &str, known: &[(&str, Kind)]) -> String {
    match seawall_model::nearest(key, known.iter().map(|(name, _)| *name), 1).as_slice() {
        [near] => format!("unknown; did you mean {near}?"),
        _ => "unknown".to_owned(),
    }
}

/// A description as the request that would make it: what only ECS writes is left out.
pub fn without_read_only(request: &str, described: &str, value: &Value) -> Value {
    let has = |name: &str, key: &str| shape(name).is_some_and(|s| s.members.iter().any(|(known, _)| *known == key));
    let Value::Object(members) = value else { return value.clone() };
    let kept = members.iter().filter(|(key, _)| has(request, key) || !has(described, key));
    Value::Object(kept.map(|(key, value)| (key.clone(), value.clone())).collect::<Map<_, _>>())
}
