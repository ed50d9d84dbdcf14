//! What clients do while faults happen.

pub mod convergence;
pub mod register;
mod view;
