//! `seawall demo`: three zones on this machine, a service that survives the loss of one of them, twice, and a timeline of
//! it all. It takes free ports, a temporary folder and an image of its own, and leaves none of them behind.

mod elf;
mod image;
mod probe;
mod story;
mod timeline;
mod view;
mod writer;

use seawall_env::Env;
use tokio::sync::mpsc;

use crate::{
    args::DemoArgs,
    context::Context,
    dev::{
        self,
        cluster::Cluster,
        folder::{self, Folder, MadeWith},
        layout::Layout,
        machine, ports, ready,
        signals::Signals,
        tasks::Tasks,
    },
    failure::{Exit, Failure},
    output,
};
use story::{Story, Web};
use timeline::{Timeline, note};

/// Ports of the members: below those that the kernel gives to outgoing connections, which could take a dead member's.
const PORTS: std::ops::Range<u16> = 20_000..30_000;
/// Tries to find free ones.
const PORT_TRIES_MAX: usize = 100;
/// Agents' addresses are 127.74.BLOCK.11 and following; dev's own are in block 0.
const BLOCKS: u32 = 250;
const BLOCK_HOSTS: u32 = 256;
/// The image of the web service.
const IMAGE: &str = "seawall-demo";
/// What the processes log: it is read only when something went wrong.
const LOG: &str = "info,openraft=off";
/// Steps ask for it while another is done.
const REQUESTS_WAITING: usize = 4;

/// Runs `seawall demo`.
pub async fn run(ctx: &Context, args: DemoArgs) -> Result<(), Failure> {
    let mut signals = Signals::listen(&ctx.env)?;
    let mut timeline = Timeline::new(&ctx.env);
    let result = play(ctx, &args, &mut timeline, &mut signals).await;
    output::say(&format!("\n{}", timeline.table()))?;
    if let Some(file) = &args.json {
        let written = ctx.env.fs().write_atomic(file, timeline.json().as_bytes(), 0o644);
        written.map_err(|e| Failure::refused(format!("{}: {e}", file.display())))?;
    }
    result
}

fn interrupted() -> Failure {
    Failure::new(Exit::Interrupted, "interrupted")
}

/// Builds the stage, plays, and takes the stage down whatever came of it.
async fn play(ctx: &Context, args: &DemoArgs, timeline: &mut Timeline, signals: &mut Signals) -> Result<(), Failure> {
    let tasks = tokio::select! {
        biased;
        () = signals.next() => return Err(interrupted()),
        tasks = dev::runtime(&ctx.env, args.runtime, None, note) => tasks?,
    };
    timeline.runtime(tasks.shown());
    let folder = tempfile::Builder::new().prefix("seawall-demo-").tempdir()?;
    let taken = folder::take(&ctx.env, folder::choose(Some(folder.path()))?)?;
    let mut stage = Stage::build(ctx, &taken, tasks).await?;
    let played = tokio::select! {
        biased;
        () = signals.next() => Err(interrupted()),
        played = stage.play(ctx, timeline) => played,
    };
    if let Err(failure) = &played
        && failure.exit != Exit::Interrupted
    {
        note(&format!("the last words of all processes:\n{}", stage.cluster.last_words()));
    }
    let struck = stage.strike(ctx, signals).await;
    drop(taken);
    let removed = folder.close().map_err(Failure::from);
    played.and(struck).and(removed)
}

struct Stage {
    cluster: Cluster,
    tasks: Tasks,
    /// With its tag.
    image: String,
}

impl Stage {
    async fn build(ctx: &Context, folder: &Folder, tasks: Tasks) -> Result<Self, Failure> {
        let layout = layout(&ctx.env, folder, &tasks).await?;
        folder.prepare(ctx, MadeWith { runtime: tasks.kind(), port: layout.port })?;
        Ok(Stage {
            cluster: Cluster::new(&ctx.env, layout, tasks.clone(), None)?,
            tasks,
            image: format!("{IMAGE}:{}", ctx.env.new_id()),
        })
    }

    async fn play(&mut self, ctx: &Context, timeline: &mut Timeline) -> Result<(), Failure> {
        let web = self.web(ctx, timeline).await?;
        let cluster = &mut self.cluster;
        let step = async {
            cluster.start()?;
            let status = ready::wait(ctx, cluster).await?;
            let seen = format!(
                "three members, led by {}, and three instances with {}",
                status.leader,
                cluster.tasks().shown()
            );
            Ok(((), seen))
        };
        timeline.step("three zones start", step).await?;
        let (requests, mut served) = mpsc::channel(REQUESTS_WAITING);
        let zones = cluster.layout().zones().into_iter().zip(cluster.layout().endpoints()).collect();
        let mut story = Story { ctx, timeline, requests, zones, web };
        tokio::select! {
            biased;
            never = cluster.supervise(&mut served, note) => match never {},
            told = story.tell() => told,
        }
    }

    /// What the service runs; with Docker, an image of this program.
    async fn web(&self, ctx: &Context, timeline: &mut Timeline) -> Result<Web, Failure> {
        let command = |program: &str| vec![program.to_owned(), "web".to_owned()];
        match &self.tasks {
            Tasks::Fake => Ok(Web { image: IMAGE.into(), command: Vec::new(), answers: false }),
            Tasks::Processes => {
                let program = std::env::current_exe()?.display().to_string();
                Ok(Web { image: "process".into(), command: command(&program), answers: true })
            }
            Tasks::Containers(engine) => {
                let step = async {
                    let (tar, changes) = image::pack(&ctx.env).await?;
                    let (name, tag) = self.image.split_once(':').unwrap_or((&self.image, "latest"));
                    let size = output::bytes(tar.len() as u64);
                    engine.import(name, tag, tar, changes).await?;
                    Ok(((), format!("{size}, this program and its shared libraries")))
                };
                timeline.step("import an image", step).await?;
                Ok(Web { image: self.image.clone(), command: command(image::PROGRAM), answers: true })
            }
        }
    }

    /// Ends everything that was started, and removes the image.
    async fn strike(&mut self, ctx: &Context, signals: &mut Signals) -> Result<(), Failure> {
        let folder = self.cluster.layout().folder.clone();
        let ended = tokio::select! {
            biased;
            () = signals.next() => None,
            ended = self.cluster.end() => Some(ended),
        };
        let ended = match ended {
            Some(ended) => ended,
            None => self.cluster.kill_all().await.and(Err(interrupted())),
        };
        let left = match self.tasks.count(&ctx.env, &folder).await {
            Ok(None | Some(0)) => Ok(()),
            Ok(Some(left)) => Err(Failure::refused(format!("{left} containers are left"))),
            Err(failure) => Err(failure),
        };
        let removed = match &self.tasks {
            Tasks::Containers(engine) => engine.remove_image(&self.image).await,
            Tasks::Processes | Tasks::Fake => Ok(()),
        };
        ended.and(left).and(removed)
    }
}

async fn layout(env: &Env, folder: &Folder, tasks: &Tasks) -> Result<Layout, Failure> {
    let block = 1 + (env.random_u64() % u64::from(BLOCKS)) as u32;
    let mut layout = Layout {
        folder: folder.path.clone(),
        port: PORTS.start,
        runtime: tasks.kind(),
        agents_per_zone: 1,
        cpu_units: machine::cpu_units(env),
        memory_mib: machine::memory_mib(env),
        host_offset: block * BLOCK_HOSTS,
        log: LOG.to_owned(),
    };
    let mut last = None;
    for _ in 0..PORT_TRIES_MAX {
        layout.port = PORTS.start + (env.random_u64() % PORTS.len() as u64) as u16;
        match ports::check(env, &layout).await {
            Ok(()) => return Ok(layout),
            Err(taken) => last = Some(taken),
        }
    }
    Err(last.unwrap_or_else(|| Failure::refused("no ports were tried")))
}
