//! The canonical form: words between conditions, signs within them, no parentheses and quotes but those that are needed.

use std::fmt::{self, Display, Formatter};

use crate::{
    ast::{Check, Condition, Node, Test},
    cursor::{is_bare, is_bare_pattern},
    operator::{Operator, sign},
};

impl Display for Node {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Node::Or(nodes) => joined(f, nodes, " or ", |f, node| node.fmt(f)),
            Node::And(nodes) => joined(f, nodes, " and ", |f, node| match node {
                Node::Or(_) => write!(f, "({node})"),
                _ => node.fmt(f),
            }),
            Node::Not(node) => match **node {
                Node::Is(_) => write!(f, "not {node}"),
                _ => write!(f, "not({node})"),
            },
            Node::Is(condition) => condition.fmt(f),
        }
    }
}

impl Display for Condition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Attribute(name, test) => write!(f, "attribute:{name} {test}"),
            Condition::Group(test) => write!(f, "task:group {test}"),
            Condition::InstanceId(test) => write!(f, "ec2InstanceId {test}"),
            Condition::Connected(test) => write!(f, "agentConnected {test}"),
            Condition::Version(order, version) => {
                write!(f, "agentVersion {} {version}", sign(Operator::Order(*order)))
            }
            Condition::RegisteredAt(order, at) => {
                write!(f, "registeredAt {} {at}", sign(Operator::Order(*order)))
            }
            Condition::RunningTasks(order, count) => {
                write!(f, "runningTasksCount {} {count}", sign(Operator::Order(*order)))
            }
        }
    }
}

impl Display for Test {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let operator = sign(self.operator());
        match self {
            Test::Exists | Test::NotExists => f.write_str(operator),
            Test::Is(check) | Test::IsNot(check) => write!(f, "{operator} {check}"),
        }
    }
}

impl Display for Check {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Check::Equals(text) => value(f, text),
            Check::In(texts) => {
                f.write_str("[")?;
                joined(f, texts, ", ", |f, text| value(f, text))?;
                f.write_str("]")
            }
            Check::Matches(pattern) if is_bare_pattern(pattern.text()) => f.write_str(pattern.text()),
            Check::Matches(pattern) => quoted(f, pattern.text()),
            Check::Compare(_, bound) => value(f, bound.text()),
        }
    }
}

fn value(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    if is_bare(text) { f.write_str(text) } else { quoted(f, text) }
}

/// No value has both kinds of quotes: it could not have been written.
fn quoted(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    let quote = if text.contains('\'') { '"' } else { '\'' };
    write!(f, "{quote}{text}{quote}")
}

fn joined<T>(
    f: &mut Formatter<'_>,
    items: &[T],
    between: &str,
    write: impl Fn(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            f.write_str(between)?;
        }
        write(f, item)?;
    }
    Ok(())
}
