//! Faults: one file a scenario. Each drives a [`crate::World`], heals it and lets it settle.
