//! `seawall bench`: how fast the cluster answers, over both of its protocols, from this machine.
//!
//! Best against `seawall dev --runtime fake`, whose tasks cost nothing: it starts a hundred tasks of its own, asks for them and
//! starts and stops more, and takes everything away again.

use std::time::Duration;

use futures::future::try_join_all;
use seawall_env::Instant;
use seawall_proto::v1::{
    ContainerDefinition, DeregisterTaskDefinitionRequest, DescribeMembersRequest, DescribeTasksRequest,
    RegisterTaskDefinitionRequest, RunTaskRequest, RunTaskResponse, StopTaskRequest,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    args::{BenchArgs, Format},
    client::{Again, Client, Connection},
    context::Context,
    failure::Failure,
    output::{
        self,
        table::{Table, column},
    },
};

/// Of the task definition, and of every task's `startedBy`.
const NAME: &str = "seawall-bench";
/// Tasks that one DescribeTasks asks for: ECS's limit.
const DESCRIBED: usize = 100;
/// Tasks of one RunTask: ECS's limit.
const RUN_AT_ONCE: i32 = 10;
/// MiB of a task: what Docker needs at least.
const MEMORY: i32 = 6;

/// What one measurement found.
#[derive(Serialize)]
struct Measured {
    operation: &'static str,
    protocol: &'static str,
    requests_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// Of the bodies of answers.
    mb_per_second: f64,
    /// Entries that the cluster's log took meanwhile.
    log_entries: u64,
}

/// Runs every measurement and shows them.
pub async fn run(ctx: &Context, args: &BenchArgs) -> Result<(), Failure> {
    let one = ctx.client().await?;
    let clients = (0..args.connections).map(|_| Client::new(&ctx.env, &ctx.global, ctx.answer_max()));
    let clients: Vec<Client> = clients.collect::<Result<_, _>>()?;
    let revision = register(one).await?;
    let result = measure_all(ctx, args, one, &clients).await;
    // Whatever came of it, nothing is left behind.
    clean_up(one, &revision).await?;
    show(ctx, result?)
}

async fn measure_all(
    ctx: &Context,
    args: &BenchArgs,
    one: &Client,
    clients: &[Client],
) -> Result<Vec<Measured>, Failure> {
    let tasks = start(one).await?;
    let request = DescribeTasksRequest { tasks, ..Default::default() };
    let body = output::json(&request);
    let bench = Bench { ctx, one, clients, length: Duration::from_secs(args.seconds) };
    Ok(vec![
        bench
            .measure("DescribeTasks of 100", "gRPC", async |client: &Client| {
                let began = ctx.env.now();
                let ask = async |mut c: Connection, r| c.ecs.describe_tasks(r).await;
                let answer = client.call(Again::Safe, request.clone(), ask).await?;
                Ok((ctx.env.now() - began, prost::Message::encoded_len(&answer)))
            })
            .await?,
        bench
            .measure("DescribeTasks of 100", "JSON", async |client: &Client| {
                let began = ctx.env.now();
                let answer = client.raw_bytes("DescribeTasks", &body).await?;
                Ok((ctx.env.now() - began, answer.len()))
            })
            .await?,
        bench
            .measure("RunTask, StopTask", "gRPC", async |client: &Client| {
                let began = ctx.env.now();
                let answer = run_tasks(client, 1).await?;
                let took = ctx.env.now() - began;
                let arn = answer.tasks.first().and_then(|task| task.task_arn.clone()).ok_or_else(no_room)?;
                stop(client, arn).await?;
                Ok((took, prost::Message::encoded_len(&answer)))
            })
            .await?,
        bench
            .measure("RunTask, StopTask", "JSON", async |client: &Client| {
                let body = json!({"taskDefinition": NAME, "startedBy": NAME});
                let began = ctx.env.now();
                let answer = client.raw_bytes("RunTask", &body).await?;
                let took = ctx.env.now() - began;
                let value: Value = serde_json::from_slice(&answer).unwrap_or_default();
                let arn = value["tasks"][0]["taskArn"].as_str().ok_or_else(no_room)?;
                stop(client, arn.to_owned()).await?;
                Ok((took, answer.len()))
            })
            .await?,
    ])
}

struct Bench<'a> {
    ctx: &'a Context,
    one: &'a Client,
    clients: &'a [Client],
    length: Duration,
}

impl Bench<'_> {
    /// Every connection asks again as soon as it has an answer. `ask` says how long an answer took, and its bytes.
    async fn measure<F>(&self, operation: &'static str, protocol: &'static str, ask: F) -> Result<Measured, Failure>
    where
        F: AsyncFn(&Client) -> Result<(Duration, usize), Failure>,
    {
        let before = applied(self.one).await?;
        let end: Instant = self.ctx.env.now() + self.length;
        let all = try_join_all(self.clients.iter().map(async |client| {
            let mut answers = Vec::new();
            while self.ctx.env.now() < end {
                answers.push(ask(client).await?);
            }
            Ok::<_, Failure>(answers)
        }));
        let mut answers: Vec<(Duration, usize)> = all.await?.into_iter().flatten().collect();
        let log_entries = applied(self.one).await?.saturating_sub(before);
        answers.sort();
        let seconds = self.length.as_secs_f64();
        let at =
            |share: usize| answers.get(answers.len() * share / 100).map_or(0.0, |(took, _)| took.as_secs_f64() * 1e3);
        Ok(Measured {
            operation,
            protocol,
            requests_per_second: answers.len() as f64 / seconds,
            p50_ms: at(50),
            p99_ms: at(99),
            mb_per_second: answers.iter().map(|(_, bytes)| *bytes as f64).sum::<f64>() / seconds / 1e6,
            log_entries,
        })
    }
}

/// The log's last entry that every member is known to have applied or will.
async fn applied(client: &Client) -> Result<u64, Failure> {
    let ask = async |mut c: Connection, r| c.control.describe_members(r).await;
    let answer = client.call(Again::Safe, DescribeMembersRequest::default(), ask).await?;
    Ok(answer.members.iter().map(|member| member.applied_index).max().unwrap_or_default())
}

async fn register(client: &Client) -> Result<String, Failure> {
    let container = ContainerDefinition {
        name: Some("main".into()),
        image: Some(NAME.into()),
        memory: Some(MEMORY),
        ..Default::default()
    };
    let request = RegisterTaskDefinitionRequest {
        family: Some(NAME.into()),
        container_definitions: vec![container],
        ..Default::default()
    };
    let ask = async |mut c: Connection, r| c.ecs.register_task_definition(r).await;
    let answer = client.call(Again::Never, request, ask).await?;
    let registered = answer.task_definition.and_then(|definition| definition.task_definition_arn);
    registered.ok_or_else(|| Failure::refused("the cluster named no task definition"))
}

async fn start(client: &Client) -> Result<Vec<String>, Failure> {
    let mut arns = Vec::new();
    while arns.len() < DESCRIBED {
        let answer = run_tasks(client, RUN_AT_ONCE).await?;
        if answer.tasks.is_empty() {
            return Err(no_room());
        }
        arns.extend(answer.tasks.into_iter().filter_map(|task| task.task_arn));
    }
    arns.truncate(DESCRIBED);
    Ok(arns)
}

async fn run_tasks(client: &Client, count: i32) -> Result<RunTaskResponse, Failure> {
    let request = RunTaskRequest {
        task_definition: Some(NAME.into()),
        started_by: Some(NAME.into()),
        count: Some(count),
        ..Default::default()
    };
    client.call(Again::Never, request, async |mut c, r| c.ecs.run_task(r).await).await
}

async fn stop(client: &Client, task: String) -> Result<(), Failure> {
    let request = StopTaskRequest { task: Some(task), ..Default::default() };
    client.call(Again::Safe, request, async |mut c, r| c.ecs.stop_task(r).await).await?;
    Ok(())
}

async fn clean_up(client: &Client, revision: &str) -> Result<(), Failure> {
    loop {
        let body = json!({"startedBy": NAME});
        let listed: Value = serde_json::from_slice(&client.raw_bytes("ListTasks", &body).await?).unwrap_or_default();
        let arns: Vec<&str> = listed["taskArns"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if arns.is_empty() {
            break;
        }
        for arn in arns {
            stop(client, arn.to_owned()).await?;
        }
    }
    let request = DeregisterTaskDefinitionRequest { task_definition: Some(revision.into()), ..Default::default() };
    client.call(Again::Safe, request, async |mut c, r| c.ecs.deregister_task_definition(r).await).await?;
    Ok(())
}

fn no_room() -> Failure {
    Failure::refused("the cluster has no room for the tasks of the measurement").next("seawall dev --runtime fake")
}

fn show(ctx: &Context, all: Vec<Measured>) -> Result<(), Failure> {
    if matches!(output::effective(&ctx.global), Format::Json | Format::Jsonl) {
        return output::document(&all);
    }
    let heads = ["OPERATION", "PROTOCOL", "PER SECOND", "P50", "P99", "MB/S", "LOG ENTRIES"];
    let mut table = Table::new(&heads.map(column));
    for one in all {
        table.row([
            one.operation.into(),
            one.protocol.into(),
            format!("{:.0}", one.requests_per_second),
            format!("{:.1} ms", one.p50_ms),
            format!("{:.1} ms", one.p99_ms),
            format!("{:.1}", one.mb_per_second),
            one.log_entries.to_string(),
        ]);
    }
    output::say(table.render(output::style(&ctx.global)).trim_end())
}
