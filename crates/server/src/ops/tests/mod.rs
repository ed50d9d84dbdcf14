//! The operations as clients see them: ECS's answers, its errors, and what each leaves behind. One file a family.

mod account_settings;
mod attributes;
mod capacity_providers;
mod clusters;
mod history;
mod instances;
mod jobs;
mod paging;
mod placement;
mod pools;
mod protection;
mod schedules;
mod service_deployments;
mod services;
mod tags;
mod task_definitions;
mod tasks;
mod tokens;
mod waiting;
