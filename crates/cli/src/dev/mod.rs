//! Three zones on this machine, as child processes that can be killed one by one: `seawall dev`, and what `seawall demo`
//! stands on.

pub mod announce;
pub mod board;
mod child;
pub mod cluster;
pub mod control;
pub mod docker;
pub mod folder;
pub mod layout;
pub mod machine;
pub mod ports;
pub mod proc;
pub mod ready;
pub mod signals;
pub mod tasks;

use seawall_env::Env;

use crate::{
    args::{RuntimeChoice, RuntimeKind},
    failure::Failure,
};
use docker::Engine;
use tasks::Tasks;

/// What runs the tasks, by the flag or by what the folder was made with. `tell` hears what `auto` chose and why.
pub async fn runtime(
    env: &Env,
    choice: RuntimeChoice,
    made_with: Option<RuntimeKind>,
    tell: impl Fn(&str),
) -> Result<Tasks, Failure> {
    let wanted = match (choice, made_with) {
        (RuntimeChoice::Auto, None) => return Ok(auto(env, tell).await),
        (RuntimeChoice::Auto, Some(made_with)) => made_with,
        (RuntimeChoice::Docker, _) => RuntimeKind::Docker,
        (RuntimeChoice::Process, _) => RuntimeKind::Process,
        (RuntimeChoice::Fake, _) => RuntimeKind::Fake,
    };
    match wanted {
        RuntimeKind::Process => Ok(Tasks::Processes),
        RuntimeKind::Fake => Ok(Tasks::Fake),
        RuntimeKind::Docker => Engine::connect(env).await.map(Tasks::Containers).map_err(|why| {
            Failure::refused(format!("the Docker engine does not answer: {why}"))
                .next("start it, let this user use its socket, or --runtime process")
        }),
    }
}

async fn auto(env: &Env, tell: impl Fn(&str)) -> Tasks {
    match Engine::connect(env).await {
        Ok(engine) => {
            tell(&format!("runtime: docker, since the engine answers ({})", engine.version()));
            Tasks::Containers(engine)
        }
        Err(why) => {
            tell(&format!("runtime: process, since no Docker engine answers ({why})"));
            Tasks::Processes
        }
    }
}
