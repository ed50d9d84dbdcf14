//! What an expression is, and whether it holds for an instance. Kept in one form: `and` holds no `and`, `not` no `not`.

use std::cmp::Ordering;

use jiff::Timestamp;
use semver::Version;

use crate::{
    Subject, literal,
    operator::{Operator, Order},
    pattern::Pattern,
};

/// An expression, or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// One of them.
    Or(Vec<Node>),
    /// Each of them.
    And(Vec<Node>),
    /// Not this one.
    Not(Box<Node>),
    /// One condition.
    Is(Condition),
}

/// A subject and what is asked of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// `attribute:NAME`
    Attribute(Box<str>, Test),
    /// `task:group`
    Group(Test),
    /// `ec2InstanceId`
    InstanceId(Test),
    /// `agentConnected`
    Connected(Test),
    /// `agentVersion`
    Version(Order, Version),
    /// `registeredAt`, to the millisecond
    RegisteredAt(Order, Timestamp),
    /// `runningTasksCount`
    RunningTasks(Order, u32),
}

/// What is asked of a subject that has texts for values.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// It has a value.
    Exists,
    /// It has none.
    NotExists,
    /// It has a value that fits.
    Is(Check),
    /// It has a value that does not fit.
    IsNot(Check),
}

/// What one value is held against.
#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    /// The same text.
    Equals(Box<str>),
    /// One of these texts.
    In(Vec<Box<str>>),
    /// A pattern.
    Matches(Pattern),
    /// Before or after this, by number where both are numbers.
    Compare(Order, Bound),
}

/// The right side of `<` and the like.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    text: Box<str>,
    number: Option<f64>,
}

impl Node {
    /// One of `nodes`, of which there is at least one.
    pub fn or(nodes: Vec<Node>) -> Node {
        let flat = nodes.into_iter().flat_map(|node| match node {
            Node::Or(inner) => inner,
            other => vec![other],
        });
        one_or(flat.collect(), Node::Or)
    }

    /// Each of `nodes`, of which there is at least one.
    pub fn and(nodes: Vec<Node>) -> Node {
        let flat = nodes.into_iter().flat_map(|node| match node {
            Node::And(inner) => inner,
            other => vec![other],
        });
        one_or(flat.collect(), Node::And)
    }

    /// Not `node`.
    pub fn negated(node: Node) -> Node {
        match node {
            Node::Not(inner) => *inner,
            other => Node::Not(Box::new(other)),
        }
    }

    /// Whether it holds for the instance.
    pub fn holds<S: Subject>(&self, subject: &S) -> bool {
        match self {
            Node::Or(nodes) => nodes.iter().any(|node| node.holds(subject)),
            Node::And(nodes) => nodes.iter().all(|node| node.holds(subject)),
            Node::Not(node) => !node.holds(subject),
            Node::Is(condition) => condition.holds(subject),
        }
    }

    /// Whether a condition asks for `task:group`.
    pub fn uses_task_group(&self) -> bool {
        match self {
            Node::Or(nodes) | Node::And(nodes) => nodes.iter().any(Node::uses_task_group),
            Node::Not(node) => node.uses_task_group(),
            Node::Is(condition) => matches!(condition, Condition::Group(_)),
        }
    }
}

fn one_or(mut nodes: Vec<Node>, many: fn(Vec<Node>) -> Node) -> Node {
    match nodes.len() {
        1 => nodes.remove(0),
        _ => many(nodes),
    }
}

impl Condition {
    fn holds<S: Subject>(&self, subject: &S) -> bool {
        match self {
            Condition::Attribute(name, test) => test.holds(subject.attribute(name)),
            Condition::Group(test) => test.holds_for_groups(subject),
            Condition::InstanceId(test) => test.holds(Some(subject.ec2_instance_id())),
            Condition::Connected(test) => test.holds(Some(if subject.agent_connected() { "true" } else { "false" })),
            Condition::Version(order, version) => literal::version(subject.agent_version())
                .is_some_and(|running| order.holds(running.cmp_precedence(version))),
            Condition::RegisteredAt(order, at) => order.holds(subject.registered_at_ms().cmp(&at.as_millisecond())),
            Condition::RunningTasks(order, count) => order.holds(subject.running_tasks_count().cmp(count)),
        }
    }
}

impl Test {
    /// What it is written with.
    pub fn operator(&self) -> Operator {
        match self {
            Test::Exists => Operator::Exists,
            Test::NotExists => Operator::NotExists,
            Test::Is(Check::Equals(_)) => Operator::Order(Order::Equal),
            Test::IsNot(Check::Equals(_)) => Operator::Order(Order::NotEqual),
            Test::Is(Check::In(_)) => Operator::In,
            Test::IsNot(Check::In(_)) => Operator::NotIn,
            Test::Is(Check::Matches(_)) => Operator::Matches,
            Test::IsNot(Check::Matches(_)) => Operator::NotMatches,
            Test::Is(Check::Compare(order, _)) | Test::IsNot(Check::Compare(order, _)) => Operator::Order(*order),
        }
    }

    fn holds(&self, value: Option<&str>) -> bool {
        match self {
            Test::Exists => value.is_some(),
            Test::NotExists => value.is_none(),
            Test::Is(check) => value.is_some_and(|value| check.fits(value)),
            Test::IsNot(check) => value.is_some_and(|value| !check.fits(value)),
        }
    }

    /// Finds a group by its name where it can: an instance may have many tasks.
    fn holds_for_groups<S: Subject>(&self, subject: &S) -> bool {
        match self {
            Test::Exists => subject.groups().next().is_some(),
            Test::NotExists => subject.groups().next().is_none(),
            Test::Is(Check::Equals(group)) => subject.runs_group(group),
            Test::Is(Check::In(groups)) => groups.iter().any(|group| subject.runs_group(group)),
            Test::Is(check) => subject.groups().any(|group| check.fits(group)),
            Test::IsNot(check) => subject.groups().any(|group| !check.fits(group)),
        }
    }
}

impl Check {
    fn fits(&self, value: &str) -> bool {
        match self {
            Check::Equals(text) => **text == *value,
            Check::In(texts) => texts.iter().any(|text| **text == *value),
            Check::Matches(pattern) => pattern.fits(value),
            Check::Compare(order, bound) => order.holds(bound.compare(value)),
        }
    }
}

impl Bound {
    /// The right side of a comparison.
    pub fn new(text: &str) -> Self {
        Bound { text: text.into(), number: literal::decimal(text) }
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How `value` stands to it.
    fn compare(&self, value: &str) -> Ordering {
        let numbers = self.number.zip(literal::decimal(value));
        numbers.and_then(|(bound, value)| value.partial_cmp(&bound)).unwrap_or_else(|| value.cmp(&self.text))
    }
}
