//! The operators and how they are written.

use std::cmp::Ordering;

/// `==`, `<` and the like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
}

/// What stands between a subject and its argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `==`, `<` and the like.
    Order(Order),
    /// `exists`
    Exists,
    /// `!exists`
    NotExists,
    /// `in`
    In,
    /// `!in`
    NotIn,
    /// `=~`
    Matches,
    /// `!~`
    NotMatches,
}

impl Order {
    /// Whether a value that stands so to the argument fits.
    pub fn holds(self, ordering: Ordering) -> bool {
        match self {
            Order::Equal => ordering.is_eq(),
            Order::NotEqual => ordering.is_ne(),
            Order::Greater => ordering.is_gt(),
            Order::GreaterOrEqual => ordering.is_ge(),
            Order::Less => ordering.is_lt(),
            Order::LessOrEqual => ordering.is_le(),
        }
    }
}

/// An operator, its sign and its word.
pub type Spelling = (Operator, &'static str, &'static str);

/// All of them. A sign that begins as another one stands before it.
pub const OPERATORS: [Spelling; 12] = [
    (Operator::Order(Order::Equal), "==", "equals"),
    (Operator::Order(Order::NotEqual), "!=", "not_equals"),
    (Operator::Order(Order::GreaterOrEqual), ">=", "greater_than_equal"),
    (Operator::Order(Order::Greater), ">", "greater_than"),
    (Operator::Order(Order::LessOrEqual), "<=", "less_than_equal"),
    (Operator::Order(Order::Less), "<", "less_than"),
    (Operator::Exists, "exists", "exists"),
    (Operator::NotExists, "!exists", "not_exists"),
    (Operator::In, "in", "in"),
    (Operator::NotIn, "!in", "not_in"),
    (Operator::Matches, "=~", "matches"),
    (Operator::NotMatches, "!~", "not_matches"),
];

/// How an operator is written in the canonical form.
pub fn sign(operator: Operator) -> &'static str {
    OPERATORS.iter().find(|(of, ..)| *of == operator).map_or("", |(_, sign, _)| sign)
}
