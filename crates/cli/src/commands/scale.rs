//! `seawall scale`.

use seawall_proto::v1::UpdateServiceRequest;

use crate::{
    client::{
        Again, Connection,
        find::{self, Found},
    },
    context::Context,
    failure::Failure,
    output,
};

use super::wait;

/// Sets the desired count of services, all of them before any is waited for.
pub async fn run(ctx: &Context, services: Vec<(String, String)>) -> Result<(), Failure> {
    let mut planned = Vec::new();
    for (name, count) in services {
        let count: i32 = count
            .parse()
            .ok()
            .filter(|count| *count >= 0)
            .ok_or_else(|| Failure::usage(format!("{name}={count}: a count is a whole number from 0")))?;
        planned.push((find::service(ctx, &name).await?, count));
    }
    let mut arns = Vec::new();
    for (Found { cluster, it }, count) in planned {
        let request = UpdateServiceRequest {
            cluster: Some(cluster),
            service: it.service_arn.clone(),
            desired_count: Some(count),
            ..Default::default()
        };
        let ask = async |mut c: Connection, r| c.ecs.update_service(r).await;
        let Some(answer) = ctx.change(Again::Safe, request, ask).await? else { continue };
        let sentence = format!("service {}: {} → {count}", it.service_name(), it.desired_count());
        output::done(&ctx.global, it.service_name(), &sentence, &answer)?;
        arns.push(it.service_arn().to_owned());
    }
    if !ctx.waits() {
        return Ok(());
    }
    wait::services_stable(ctx, &arns).await
}
