//! The cluster query language of ECS: which container instances a filter, a placement constraint or an affinity means.
//!
//! One parser for ListContainerInstances' `filter` and for `memberOf`. [`Expression::parse`] reads the text once, with its
//! patterns compiled; [`Expression::matches`] asks it of a [`Subject`] and allocates nothing. Pure: no clock, no state.
//!
//! ```text
//! or        := and (("||" | "or") and)*
//! and       := not (("&&" | "and") not)*
//! not       := ("!" | "not")* ("(" or ")" | condition)
//! condition := subject operator [value | "[" value ("," value)* "]"]
//! ```
//!
//! Subjects, operators and examples are those of "Cluster query language" in the ECS developer guide. Where it leaves something
//! open, this is what holds here, and why:
//!
//! - **A condition asks whether there is a value that fits.** So `attribute:stack != prod` leaves out instances without that
//!   attribute: the guide says it lists "the instances with the custom attribute stack unless the attribute value is prod", and
//!   aws/containers-roadmap#486 sees ECS do it. What is absent fits `not_exists` and nothing else; `not(attribute:stack == prod)`
//!   is the negation.
//! - **`task:group` has as many values as the instance has groups of tasks.** `task:group != database` fits where a task of
//!   another group is; the anti-affinity is `not(task:group == database)`, as in the guide. Groups have no order, so `<` and the
//!   like are refused.
//! - **A pattern fits the whole value**, as Java's `String.matches` and the guide's `g2.*` have it. It is matched in linear time,
//!   so what of Java cannot be (backreferences, lookaround, possessive quantifiers) is refused.
//! - **`<` and the like compare attributes as numbers** where both sides are decimal numbers, otherwise as texts. `==` compares
//!   texts: the guide calls it string equality.
//! - **`registeredAt` is compared as an instant.** A date is its first one, and what names no zone is UTC.
//! - **`agentVersion` is compared by semantic versioning**, missing parts being 0; an agent without such a version fits nothing.
//! - **A bare value ends at a space, a parenthesis or an operator.** Others stand in `'…'` or `"…"`, which know no escapes. A bare
//!   pattern may have brackets and commas, and no parentheses ("a single expression can't contain parentheses").
//! - **Words** (`and`, `not_in`) are read in either case; subjects and values are not.

mod ast;
mod cursor;
mod display;
mod error;
mod literal;
mod operator;
mod parse;
mod pattern;
mod subject;
#[cfg(test)]
mod tests;

use std::fmt;

use ast::Node;
pub use error::ParseError;
pub use subject::Subject;

/// Longest expression: ECS's own limit for `memberOf`.
pub const EXPRESSION_CHARS_MAX: usize = 2000;
/// Parentheses within parentheses.
pub const NESTING_MAX: usize = 32;
/// Values of one list.
pub const LIST_ITEMS_MAX: usize = 256;
/// Patterns of one expression: each holds memory of its own.
pub const PATTERNS_MAX: usize = 16;

/// An expression that was read, ready to be asked of many instances.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    root: Node,
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`ParseError`] with the place of what is wrong and what was expected there.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::parse(text).map(|root| Expression { root })
    }

    /// Whether the instance is one of those that the expression means.
    pub fn matches<S: Subject>(&self, subject: &S) -> bool {
        self.root.holds(subject)
    }

    /// Whether it looks at `task:group`: then each placement may change what it says.
    pub fn uses_task_group(&self) -> bool {
        self.root.uses_task_group()
    }
}

/// The canonical form, which reads as the same expression.
impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}
