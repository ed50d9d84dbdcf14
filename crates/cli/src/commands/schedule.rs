//! `seawall schedule …`.

use seawall_proto::v1::{
    CreateScheduleRequest, DeleteScheduleRequest, DescribeSchedulesRequest, JobTemplate, PreviewScheduleRequest,
    RunJobRequest, Schedule, ScheduleSpec, UpdateScheduleRequest,
};

use crate::{
    args::{CatchUp, Concurrency, JobFlags, ScheduleCommand, ScheduleFlags},
    client::{Again, Connection},
    context::Context,
    failure::Failure,
    names::{self, Kind, Named},
    output::{
        self, Listing,
        table::{Table, column, text, wide},
    },
};

use super::{job, taskdef};

/// Runs `seawall schedule …`.
pub async fn run(ctx: &Context, command: ScheduleCommand) -> Result<(), Failure> {
    match command {
        ScheduleCommand::Create { name, expression, what, disabled, when, flags } => {
            let job = job::template(ctx, &what, &flags).await?;
            let state = Some(if disabled { "DISABLED" } else { "ENABLED" }.to_owned());
            let spec = ScheduleSpec { state, ..spec(Some(expression), Some(job), &when) };
            create(ctx, &name, spec, &what).await
        }
        ScheduleCommand::Ls => list(ctx).await,
        ScheduleCommand::Show { names } => show(ctx, &names).await,
        ScheduleCommand::Set { name, expression, run, when, flags } => {
            set(ctx, &name, expression, run, &when, &flags).await
        }
        ScheduleCommand::Rm { names } => remove(ctx, &names).await,
        ScheduleCommand::Enable { names } => switch(ctx, &names, "ENABLED", "enabled").await,
        ScheduleCommand::Disable { names } => switch(ctx, &names, "DISABLED", "disabled").await,
        ScheduleCommand::RunNow { name } => run_now(ctx, &name).await,
        ScheduleCommand::Next { what, time_zone, count } => next(ctx, what, time_zone, count).await,
    }
}

fn spec(expression: Option<String>, job: Option<JobTemplate>, when: &ScheduleFlags) -> ScheduleSpec {
    let concurrency = when.concurrency.map(|word| match word {
        Concurrency::Forbid => "FORBID",
        Concurrency::Replace => "REPLACE",
        Concurrency::Allow => "ALLOW",
    });
    let catch_up = when.catch_up.map(|word| match word {
        CatchUp::One => "ONE",
        CatchUp::Skip => "SKIP",
        CatchUp::All => "ALL",
    });
    ScheduleSpec {
        expression,
        time_zone: when.time_zone.clone(),
        job,
        concurrency: concurrency.map(str::to_owned),
        catch_up: catch_up.map(str::to_owned),
        start_deadline_seconds: when.start_deadline.map(|time| time.as_secs().max(1)),
        jobs_kept: when.jobs_kept,
        state: None,
    }
}

fn named(ctx: &Context, text: &str) -> Result<(String, String), Failure> {
    let Named { cluster, id, .. } = names::parse(Kind::Schedule, text)?;
    Ok((ctx.cluster(cluster.as_deref()), id))
}

async fn create(ctx: &Context, name: &str, spec: ScheduleSpec, what: &str) -> Result<(), Failure> {
    let (cluster, name) = named(ctx, name)?;
    let request = CreateScheduleRequest { cluster: Some(cluster), name: name.clone(), spec: Some(spec) };
    let ask = async |mut c: Connection, r| c.control.create_schedule(r).await;
    match ctx.change(Again::Never, request, ask).await {
        Ok(None) => Ok(()),
        Ok(Some(made)) => {
            let next = made.schedule.as_ref().and_then(|schedule| schedule.next_at.as_ref()).map(output::clock);
            let next = next.map_or_else(|| "it is disabled".to_owned(), |at| format!("the next job begins at {at}"));
            output::done(&ctx.global, &name, &format!("schedule {name} created: {next}"), &made)
        }
        Err(failure) => Err(taskdef::named_if_missing(ctx, failure, what).await),
    }
}

async fn list(ctx: &Context) -> Result<(), Failure> {
    let schedules = ctx.client().await?.schedules(&ctx.cluster(None)).await?;
    listing(&schedules).print(&ctx.global)
}

async fn show(ctx: &Context, names: &[String]) -> Result<(), Failure> {
    let mut schedules = Vec::new();
    for name in names {
        let (cluster, name) = named(ctx, name)?;
        let request = DescribeSchedulesRequest {
            cluster: Some(cluster.clone()),
            names: vec![name.clone()],
            ..Default::default()
        };
        let ask = async |mut c: Connection, r| c.control.describe_schedules(r).await;
        let client = ctx.client().await?;
        match client.call(Again::Safe, request, ask).await?.schedules.pop() {
            Some(schedule) => schedules.push(schedule),
            None => {
                let known = client.schedules(&cluster).await?;
                return Err(names::unknown(Kind::Schedule, &name, known.iter().map(|known| known.name.as_str())));
            }
        }
    }
    listing(&schedules).print(&ctx.global)
}

fn listing(schedules: &[Schedule]) -> Listing {
    let mut table = Table::new(&[
        column("SCHEDULE"),
        column("STATE"),
        column("EXPRESSION"),
        column("ZONE"),
        column("NEXT"),
        column("LAST"),
        column("ACTIVE"),
        wide("CONCURRENCY"),
        wide("CATCH UP"),
        wide("FIRED"),
        wide("MISSED"),
        text("LAST JOB"),
    ]);
    for schedule in schedules {
        let spec = schedule.spec.clone().unwrap_or_default();
        let time = |time: Option<&prost_types::Timestamp>| time.map_or_else(|| "-".to_owned(), output::clock);
        table.row([
            schedule.name.clone(),
            spec.state().to_owned(),
            spec.expression().to_owned(),
            spec.time_zone().to_owned(),
            time(schedule.next_at.as_ref()),
            time(schedule.last_at.as_ref()),
            schedule.active.to_string(),
            spec.concurrency().to_owned(),
            spec.catch_up().to_owned(),
            schedule.fired.to_string(),
            schedule.missed.to_string(),
            output::or_dash(schedule.last_job.as_deref()),
        ]);
    }
    Listing {
        table,
        names: schedules.iter().map(|schedule| schedule.name.clone()).collect(),
        json: serde_json::json!({ "schedules": schedules }),
        items: schedules.iter().map(output::json).collect(),
        none: "no schedules. next: seawall schedule create NAME EXPRESSION FAMILY",
    }
}

async fn set(
    ctx: &Context,
    name: &str,
    expression: Option<String>,
    run: Option<String>,
    when: &ScheduleFlags,
    flags: &JobFlags,
) -> Result<(), Failure> {
    let job = match &run {
        Some(what) => Some(job::template(ctx, what, flags).await?),
        None if says_how(flags) => {
            let what = "flags of a job need --run FAMILY: a job is replaced as a whole";
            return Err(Failure::usage(what).next(format!("seawall schedule show {name} -o json")));
        }
        None => None,
    };
    let spec = spec(expression, job, when);
    if spec == ScheduleSpec::default() {
        return Err(Failure::usage("nothing to change was named").next("seawall schedule set --help"));
    }
    match update(ctx, name, spec, "changed").await {
        Err(failure) => Err(taskdef::named_if_missing(ctx, failure, run.as_deref().unwrap_or_default()).await),
        done => done,
    }
}

fn says_how(flags: &JobFlags) -> bool {
    let numbers = flags.completions.is_some() || flags.parallelism.is_some() || flags.retries.is_some();
    let times = flags.deadline.is_some() || flags.retry_wait.is_some();
    numbers || times || !flags.env.is_empty() || !flags.command.is_empty()
}

async fn switch(ctx: &Context, names: &[String], state: &str, word: &str) -> Result<(), Failure> {
    for name in names {
        update(ctx, name, ScheduleSpec { state: Some(state.to_owned()), ..Default::default() }, word).await?;
    }
    Ok(())
}

async fn update(ctx: &Context, name: &str, spec: ScheduleSpec, word: &str) -> Result<(), Failure> {
    let (cluster, name) = named(ctx, name)?;
    let request = UpdateScheduleRequest { cluster: Some(cluster), name: name.clone(), spec: Some(spec) };
    let ask = async |mut c: Connection, r| c.control.update_schedule(r).await;
    let Some(made) = ctx.change(Again::Safe, request, ask).await? else { return Ok(()) };
    output::done(&ctx.global, &name, &format!("schedule {name} {word}"), &made)
}

async fn remove(ctx: &Context, names: &[String]) -> Result<(), Failure> {
    ctx.confirm(&format!("delete {}", names.join(", ")))?;
    for name in names {
        let (cluster, name) = named(ctx, name)?;
        let ask = async |mut c: Connection, r| c.control.delete_schedule(r).await;
        let request = DeleteScheduleRequest { cluster: Some(cluster), name: name.clone() };
        let Some(gone) = ctx.change(Again::Never, request, ask).await? else { continue };
        output::done(&ctx.global, &name, &format!("schedule {name} deleted"), &gone)?;
    }
    Ok(())
}

async fn run_now(ctx: &Context, name: &str) -> Result<(), Failure> {
    let (cluster, name) = named(ctx, name)?;
    job::run_and_wait(ctx, RunJobRequest { cluster: Some(cluster), schedule: Some(name), ..Default::default() }).await
}

async fn next(ctx: &Context, what: String, time_zone: Option<String>, count: u32) -> Result<(), Failure> {
    // No name holds either.
    let is_expression = what.contains([' ', '(']);
    let request = match is_expression {
        true => PreviewScheduleRequest { expression: Some(what), time_zone, ..Default::default() },
        false => {
            let (cluster, name) = named(ctx, &what)?;
            PreviewScheduleRequest { cluster: Some(cluster), name: Some(name), ..Default::default() }
        }
    };
    let request = PreviewScheduleRequest { count: Some(count), ..request };
    let ask = async |mut c: Connection, r| c.control.preview_schedule(r).await;
    let times = ctx.client().await?.call(Again::Safe, request, ask).await?.times;
    let mut table = Table::new(&[column("IN THE SCHEDULE'S ZONE"), column("HERE")]);
    for time in &times {
        table.row([time.local.clone(), time.at.as_ref().map_or_else(|| "-".to_owned(), output::clock)]);
    }
    let listing = Listing {
        table,
        names: times.iter().map(|time| time.local.clone()).collect(),
        json: serde_json::json!({ "times": times }),
        items: times.iter().map(output::json).collect(),
        none: "no times to come",
    };
    listing.print(&ctx.global)
}
