//! Why a text is no expression.

use thiserror::Error;

/// What is wrong with an expression, and where.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("Invalid expression at position {position}: {message}")]
pub struct ParseError {
    /// Characters before the place, so the first is 0.
    pub position: usize,
    /// What was expected there.
    pub message: String,
}
