//! The operations as clients see them: ECS's answers, its errors, and what each leaves behind. One file a family.

mod attributes;
mod clusters;
mod instances;
mod paging;
mod service_deployments;
mod services;
mod tags;
mod task_definitions;
mod tasks;
mod tokens;
