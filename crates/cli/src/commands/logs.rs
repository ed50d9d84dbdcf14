//! `seawall logs`: what tasks write, of running and stopped ones, through any member.

use std::io::{self, Write as _};

use futures::{StreamExt as _, stream::FuturesUnordered};
use seawall_proto::v1::{ListTasksRequest, LogLine, Task, TaskLogsRequest};

use crate::{
    args::{Format, LogsArgs},
    client::{Again, Connection},
    context::Context,
    failure::Failure,
    names, output,
};

use super::why::{Thing, find_any};

/// Tasks whose output is read at once.
const TASKS_MAX: usize = 100;

/// Runs `seawall logs`.
pub async fn run(ctx: &Context, args: LogsArgs) -> Result<(), Failure> {
    let (cluster, arns) = match find_any(ctx, &args.name).await? {
        Thing::Task(found) => (found.cluster, vec![found.it.task_arn.unwrap_or_default()]),
        Thing::Service(found) => {
            let request = ListTasksRequest {
                cluster: Some(found.cluster.clone()),
                service_name: found.it.service_name,
                ..Default::default()
            };
            let client = ctx.client().await?;
            let arns = match args.follow {
                true => client.task_arns(request).await?,
                false => client.all_task_arns(request).await?,
            };
            (found.cluster, arns)
        }
        Thing::Instance(_) => {
            let what = format!("{:?} is an instance: logs are of a service or a task", args.name);
            return Err(Failure::usage(what).next(format!("seawall task ls --on {}", args.name)));
        }
    };
    if arns.len() > TASKS_MAX {
        let what = format!("{} has {} tasks; logs of at most {TASKS_MAX} are shown at once", args.name, arns.len());
        return Err(Failure::refused(what).next("seawall logs TASK"));
    }
    let since = args.since.map(|since| seawall_proto::timestamp_of(ctx.env.wall_ms() - since.as_millis() as i64));
    let request = TaskLogsRequest {
        cluster: Some(cluster),
        container: args.container,
        follow: args.follow,
        tail: args.tail,
        since,
        ..Default::default()
    };
    let many = arns.len() > 1;
    read_all(ctx, request, &arns, many).await
}

/// What tasks wrote, and with `follow` what they write until all have stopped.
pub async fn of_tasks(ctx: &Context, cluster: &str, tasks: &[Task], follow: bool) -> Result<(), Failure> {
    let arns: Vec<String> = tasks.iter().map(|task| task.task_arn().to_owned()).collect();
    let request = TaskLogsRequest { cluster: Some(cluster.to_owned()), follow, ..Default::default() };
    read_all(ctx, request, &arns, arns.len() > 1).await
}

/// Reads tasks beside one another when they are followed, else one after the other, so that each stays in one piece.
async fn read_all(ctx: &Context, request: TaskLogsRequest, arns: &[String], many: bool) -> Result<(), Failure> {
    let one = |arn: &String| TaskLogsRequest { task: arn.clone(), ..request.clone() };
    if !request.follow {
        for arn in arns {
            read(ctx, one(arn), many).await?;
        }
        return Ok(());
    }
    let mut reads: FuturesUnordered<_> = arns.iter().map(|arn| read(ctx, one(arn), many)).collect();
    while let Some(ended) = reads.next().await {
        ended?;
    }
    Ok(())
}

/// One task's lines. A stream that breaks while following is taken up again where it was.
async fn read(ctx: &Context, mut request: TaskLogsRequest, many: bool) -> Result<(), Failure> {
    let client = ctx.client().await?;
    let mut last = 0;
    loop {
        let ask = async |mut c: Connection, mut r: tonic::Request<TaskLogsRequest>| {
            // A stream that is followed has no end to wait for.
            r.metadata_mut().remove("grpc-timeout");
            c.control.task_logs(r).await
        };
        let mut lines = client.call(Again::Safe, request.clone(), ask).await?;
        let broken = loop {
            match lines.message().await {
                Ok(Some(line)) => {
                    let at = line.time.as_ref().map_or(0, nanos);
                    if at > last || last == 0 {
                        show(ctx, &line, many)?;
                        last = last.max(at);
                    }
                }
                Ok(None) => return Ok(()),
                Err(status) => break status,
            }
        };
        if !request.follow {
            let task = names::abbreviated(names::short(&request.task));
            return Err(Failure::refused(format!("task {task}: the output broke off: {}", broken.message())));
        }
        request.since = Some(seawall_proto::timestamp_of(last / 1_000_000));
        request.tail = None;
        client.after_broken_stream(&broken).await?;
    }
}

fn nanos(time: &prost_types::Timestamp) -> i64 {
    time.seconds.saturating_mul(1_000_000_000).saturating_add(time.nanos.into())
}

fn show(ctx: &Context, line: &LogLine, many: bool) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    if matches!(output::effective(&ctx.global), Format::Json | Format::Jsonl) {
        return Ok(writeln!(out, "{}", output::json(line))?);
    }
    if many {
        write!(out, "{} {} | ", names::abbreviated(&line.task_id), line.container)?;
    }
    out.write_all(&line.line)?;
    if !line.line.ends_with(b"\n") {
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}
