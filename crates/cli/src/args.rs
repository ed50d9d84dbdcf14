//! The command line as clap reads it: every global flag, and every flag of server, agent, dev and demo, has a `SEAWALL_…`
//! variable. Help texts are the manual.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{BoolishValueParser, NonEmptyStringValueParser},
};
use serde::{Deserialize, Serialize};

use crate::values::{Port, duration, key_value};

/// openraft says in many lines what a member says in one.
const DEFAULT_LOG: &str = "info,openraft=off";

/// Runs the Amazon ECS API on your own machines and keeps services up through the loss of a zone.
#[derive(Parser, Debug)]
#[command(
    name = "seawall",
    version,
    max_term_width = 110,
    disable_help_subcommand = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command takes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global")]
pub struct Global {
    /// Cluster that names without one belong to
    #[arg(short, long, global = true, env = "SEAWALL_CLUSTER", default_value = seawall_model::DEFAULT_CLUSTER)]
    pub cluster: String,
    /// Members to ask, one after the other: host:port, https://host:port or unix:/path
    #[arg(long, global = true, env = "SEAWALL_ADDR", value_delimiter = ',', value_name = "A,B,C")]
    pub addr: Vec<String>,
    /// Certificates (PEM) that https members are checked against; https needs them
    #[arg(long, global = true, env = "SEAWALL_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Form of the output; json of an ECS resource is ECS's own
    #[arg(short, long, global = true, env = "SEAWALL_OUTPUT", value_enum, default_value_t = Format::Table)]
    pub output: Format,
    /// Names only
    #[arg(short, long, global = true, env = "SEAWALL_QUIET", value_parser = BoolishValueParser::new())]
    pub quiet: bool,
    /// Read what the member that answers knows, without asking for the leader
    #[arg(long, global = true, env = "SEAWALL_STALE", value_parser = BoolishValueParser::new())]
    pub stale: bool,
    /// Longest wait for an answer, and for what a command waits for (10s; 10m where a command waits for tasks)
    #[arg(long, global = true, env = "SEAWALL_TIMEOUT", value_parser = duration, value_name = "TIME")]
    pub timeout: Option<Duration>,
    /// Return at once, without waiting until it is done
    #[arg(long, global = true, env = "SEAWALL_DETACH", value_parser = BoolishValueParser::new())]
    pub detach: bool,
    /// Do not ask before destructive commands
    #[arg(short, long, global = true, env = "SEAWALL_YES", value_parser = BoolishValueParser::new())]
    pub yes: bool,
    /// Print what would be sent, and send nothing
    #[arg(long, global = true, env = "SEAWALL_DRY_RUN", value_parser = BoolishValueParser::new())]
    pub dry_run: bool,
    /// No colours
    #[arg(long, global = true, env = "SEAWALL_NO_COLOR", value_parser = BoolishValueParser::new())]
    pub no_color: bool,
}

/// Form of the output.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// For people, as wide as the terminal.
    Table,
    /// All columns, as wide as they are.
    Wide,
    /// One JSON document.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// One name a line.
    Name,
}

/// Commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run a member (a scheduler)
    Server(Box<ServerArgs>),
    /// Run an agent: this machine becomes a container instance of --cluster
    Agent(Box<AgentArgs>),
    /// One address for the whole cluster: passes connections on to a member that serves
    ///
    /// SDKs take one endpoint, and wait a minute on a member that swallows packets. Run this beside them and point them
    /// at it: a member that does not answer is left within two seconds. Bytes pass untouched, so signatures and TLS hold.
    Proxy(Box<ProxyArgs>),
    /// Three zones on this machine, to try things on, until interrupted
    ///
    /// Runs three members and their agents as processes of this machine, on loopback and without keys. Clients find them
    /// by themselves: `seawall status` in another shell. The data stays: started again, dev goes on where it was, with
    /// its services; the tasks themselves end with dev. To start afresh, remove the folder.
    Dev(DevArgs),
    /// How fast the cluster answers, over gRPC and ECS's JSON
    ///
    /// Starts a hundred tasks of its own, asks for them, starts and stops more, and takes everything away again: best on
    /// seawall dev --runtime fake.
    Bench(BenchArgs),
    /// Lose a zone and watch a service survive it; cleans up after itself
    ///
    /// Starts three zones on free ports and in a temporary folder, runs a service of six tasks, loses the zone that holds
    /// the leader by power and by a cut, rolls a second version out, scales and deletes. Exits 0 only if every step held.
    Demo(DemoArgs),
    /// The secret that members trust each other by
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Tokens that let agents join
    #[command(subcommand)]
    Token(TokenCommand),
    /// Keys that clients sign their requests with
    ///
    /// The first one closes the port to whoever does not sign. The CLI and every tool of AWS read AWS_ACCESS_KEY_ID and
    /// AWS_SECRET_ACCESS_KEY; the CLI takes SEAWALL_ACCESS_KEY_ID and SEAWALL_SECRET_ACCESS_KEY first.
    #[command(subcommand)]
    AccessKey(AccessKeyCommand),
    /// What points aws, boto3 and Terraform at this cluster: eval "$(seawall env)"
    Env(EnvArgs),
    /// Your aws, pointed at this cluster for one call: seawall aws ecs list-clusters
    ///
    /// Everything after `aws` goes to the program `aws` as it stands, and its exit code comes back. Flags of seawall stand
    /// before it: seawall --addr host-a:7400 aws ecs list-services.
    #[command(override_usage = "seawall [OPTIONS] aws ARGUMENTS...")]
    Aws {
        /// Whatever aws takes
        #[arg(last = true, value_name = "ARGUMENTS")]
        arguments: Vec<OsString>,
    },
    /// Any operation of ECS, raw: JSON in, JSON out
    ///
    /// Sent again while nobody leads or a connection breaks, with one effect. Refusals come under ECS's name of them.
    Api(ApiArgs),
    /// What of a task definition, a service or a Terraform plan works here
    ///
    /// Asks no cluster. What is stored without effect or refused is told by member and line, with the reason; -o wide tells of
    /// what works as well. Exits 1 where something is refused.
    Check(CheckArgs),
    /// Leader, zones, and services that are short of tasks, with the reason
    Status(StatusArgs),
    /// Members: the schedulers that hold the cluster's state
    #[command(subcommand)]
    Member(MemberCommand),
    /// Clusters
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Instances: the machines that run tasks
    #[command(subcommand)]
    Instance(InstanceCommand),
    /// Task definitions
    #[command(subcommand, alias = "td")]
    Taskdef(TaskdefCommand),
    /// Run an image or a task definition: a task, or with --name a service
    Run(RunArgs),
    /// Tasks (task ls)
    Ps(TaskListArgs),
    /// Tasks
    #[command(subcommand)]
    Task(TaskCommand),
    /// Services
    #[command(subcommand, alias = "svc")]
    Service(ServiceCommand),
    /// Set how many tasks services run
    Scale {
        /// SERVICE=COUNT
        #[arg(required = true, value_parser = key_value, value_name = "SERVICE=COUNT")]
        services: Vec<(String, String)>,
    },
    /// Jobs: tasks that run until enough of them have succeeded
    #[command(subcommand)]
    Job(JobCommand),
    /// Schedules: jobs that begin by the clock
    #[command(subcommand)]
    Schedule(ScheduleCommand),
    /// Tags of a service, task or instance; set them (KEY=VALUE), remove them (KEY-)
    Tag {
        /// Service, task or instance; anything else by its ARN
        resource: String,
        /// KEY=VALUE or KEY-; without any, the tags are listed
        #[arg(value_name = "KEY=VALUE|KEY-")]
        changes: Vec<String>,
    },
    /// Output of a task, or of all tasks of a service; of stopped tasks too
    Logs(LogsArgs),
    /// What happened to services, tasks and instances
    Events(EventsArgs),
    /// Why a service, task or instance is as it is
    Why {
        /// Service, task or instance
        name: String,
        /// Of a task: also what every instance says to one more like it now
        #[arg(long)]
        all: bool,
    },
    /// Decide again where a task goes, from what a member still has of the past, and compare
    Replay {
        /// A task
        task: String,
    },
    /// What FARGATE tasks used: vCPU-seconds and MiB-seconds
    Usage(UsageArgs),
    /// Where tasks would go, with the cluster as it is or as it would be; starts nothing
    Simulate(SimulateArgs),
    /// Wait for a state, in the words of `aws ecs wait`
    Wait {
        /// What to wait for
        #[arg(value_enum)]
        state: WaitFor,
        /// Services or tasks
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Zones: what a loss would mean, taking one out of use, losing one of `seawall dev`
    #[command(subcommand)]
    Zone(ZoneCommand),
    /// Completions for a shell
    Completion {
        /// Which shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Versions of this program and of the members
    Version,
    /// `instance` or `member`?
    #[command(hide = true)]
    Node {
        /// Whatever follows
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
    /// The demo's web service
    #[command(hide = true)]
    Web(WebArgs),
}

/// `seawall server`.
#[derive(Args, Debug)]
pub struct ServerArgs {
    /// Settings in TOML, under the names of these flags
    #[arg(long, env = "SEAWALL_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The member's name, unique in the cluster
    #[arg(long, env = "SEAWALL_NAME", required = true)]
    pub name: String,
    /// The zone it stands in
    #[arg(long, env = "SEAWALL_ZONE", required = true)]
    pub zone: String,
    /// Folder of the log, the state and the local socket
    #[arg(long, env = "SEAWALL_DATA_DIR", required = true, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Where clients and agents are served
    #[arg(long, env = "SEAWALL_LISTEN", default_value = "127.0.0.1:7400", value_name = "HOST:PORT")]
    pub listen: String,
    /// Where the other members are served
    #[arg(long, env = "SEAWALL_PEER_LISTEN", default_value = "127.0.0.1:7401", value_name = "HOST:PORT")]
    pub peer_listen: String,
    /// What clients and agents dial, if not --listen
    #[arg(long, env = "SEAWALL_ADVERTISE", value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// What members dial, if not --peer-listen
    #[arg(long, env = "SEAWALL_PEER_ADVERTISE", value_name = "HOST:PORT")]
    pub peer_advertise: Option<String>,
    /// Peer addresses of all members, to form a cluster with or to join
    #[arg(long, env = "SEAWALL_JOIN", value_delimiter = ',', value_name = "A,B,C")]
    pub join: Vec<String>,
    /// How many members a new cluster forms with
    #[arg(long, env = "SEAWALL_EXPECT", default_value_t = 1, value_name = "N")]
    pub expect: usize,
    /// The secret of `seawall secret new`
    #[arg(long, env = "SEAWALL_SECRET_FILE", required = true, value_name = "FILE")]
    pub secret_file: PathBuf,
    /// Region in the ARNs of a new cluster
    #[arg(long, env = "SEAWALL_REGION", default_value = seawall_model::DEFAULT_REGION)]
    pub region: String,
    /// Account number in the ARNs of a new cluster
    #[arg(long, env = "SEAWALL_ACCOUNT", default_value = seawall_model::DEFAULT_ACCOUNT_NUMBER)]
    pub account: String,
    /// Certificate shown to clients: auto (of the cluster's own authority), or CERT,KEY (two PEM files)
    #[arg(long, env = "SEAWALL_TLS", default_value = "auto", value_name = "auto|CERT,KEY")]
    pub tls: String,
    /// Serve clients beyond loopback without access keys
    #[arg(long, env = "SEAWALL_INSECURE", value_parser = BoolishValueParser::new())]
    pub insecure: bool,
    /// Raft's heartbeat
    #[arg(long, env = "SEAWALL_HEARTBEAT_MS", default_value_t = 40, value_name = "MS")]
    pub heartbeat_ms: u64,
    /// Shortest election timeout
    #[arg(long, env = "SEAWALL_ELECTION_MIN_MS", default_value_t = 80, value_name = "MS")]
    pub election_min_ms: u64,
    /// Longest election timeout
    #[arg(long, env = "SEAWALL_ELECTION_MAX_MS", default_value_t = 160, value_name = "MS")]
    pub election_max_ms: u64,
    /// An agent that is silent for this long is lost
    #[arg(long, env = "SEAWALL_LEASE_MS", default_value_t = 3000, value_name = "MS")]
    pub lease_ms: u64,
    /// How often an agent says that it lives
    #[arg(long, env = "SEAWALL_BEAT_MS", default_value_t = 1000, value_name = "MS")]
    pub beat_ms: u64,
    /// An instance that is silent for this long is deregistered
    #[arg(long, env = "SEAWALL_FORGET_AFTER", value_parser = duration, default_value = "24h", value_name = "TIME")]
    pub forget_after: Duration,
    /// Longest hold of replacement when too many instances fall silent at once
    #[arg(long, env = "SEAWALL_MASS_LOSS_HOLD", value_parser = duration, default_value = "10m", value_name = "TIME")]
    pub mass_loss_hold: Duration,
    /// Tasks that are moved to a better place in a minute at most, in all clusters; 0 for none
    #[arg(long, env = "SEAWALL_MOVES_PER_MINUTE", default_value_t = 60, value_name = "MOVES")]
    pub moves_per_minute: u32,
    /// Members of requests that are stored without effect where they would be refused, such as secrets
    ///
    /// The same on every member, and for a task definition's on the agents.
    #[arg(long, env = "SEAWALL_ACCEPT_INERT", value_delimiter = ',', value_name = "MEMBER")]
    pub accept_inert: Vec<String>,
    /// What serves tasks for FARGATE: the pool of that name and until there is one every instance (instances), the pool alone
    /// (pool), or nothing (refuse)
    ///
    /// The same on every member. Instances join the pool by `seawall agent --capacity-provider FARGATE`.
    #[arg(long, env = "SEAWALL_FARGATE", default_value = "instances", value_name = "BY")]
    pub fargate: FargateBy,
    /// With less free disk than this, writes that grow state are refused
    #[arg(long, env = "SEAWALL_DISK_RESERVE_MIB", default_value_t = 512, value_name = "MIB")]
    pub disk_reserve_mib: u64,
    /// Logs
    #[command(flatten)]
    pub log: LogArgs,
}

/// `seawall agent`.
#[derive(Args, Debug)]
pub struct AgentArgs {
    /// Settings in TOML, under the names of these flags
    #[arg(long, env = "SEAWALL_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Members, one after the other
    #[arg(long, env = "SEAWALL_SERVERS", value_delimiter = ',', required = true, value_name = "A,B,C")]
    pub servers: Vec<String>,
    /// The zone this machine stands in
    #[arg(long, env = "SEAWALL_ZONE", required = true)]
    pub zone: String,
    /// Folder of its certificate and of what its tasks are
    #[arg(long, env = "SEAWALL_DATA_DIR", required = true, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// A token of `seawall token create`
    #[arg(long, env = "SEAWALL_TOKEN", conflicts_with = "secret_file")]
    pub token: Option<String>,
    /// The cluster's secret, where one deploys both
    #[arg(long, env = "SEAWALL_SECRET_FILE", value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// What runs the tasks
    #[arg(long, env = "SEAWALL_RUNTIME", value_enum, default_value_t = RuntimeKind::Docker)]
    pub runtime: RuntimeKind,
    /// ec2InstanceId; from the machine's id when absent
    #[arg(long, env = "SEAWALL_INSTANCE_ID", value_name = "ID")]
    pub instance_id: Option<String>,
    /// Address that ports are published on; all of the machine when absent, and others are told the one it calls from
    #[arg(long, env = "SEAWALL_HOST_IP", value_name = "IP")]
    pub host_ip: Option<String>,
    /// CPU units to offer (1024 a core); the machine's when absent
    #[arg(long, env = "SEAWALL_CPU", value_name = "UNITS")]
    pub cpu: Option<u32>,
    /// Memory to offer; the machine's when absent
    #[arg(long, env = "SEAWALL_MEMORY_MIB", value_name = "MIB")]
    pub memory_mib: Option<u32>,
    /// CPU units kept back
    #[arg(long, env = "SEAWALL_RESERVE_CPU", value_name = "UNITS")]
    pub reserve_cpu: Option<u32>,
    /// Members of task definitions that this agent's tasks do without, such as secrets
    #[arg(long, env = "SEAWALL_ACCEPT_INERT", value_delimiter = ',', value_name = "MEMBER")]
    pub accept_inert: Vec<String>,
    /// Memory kept back (the greater of 256 and 5 %)
    #[arg(long, env = "SEAWALL_RESERVE_MEMORY_MIB", value_name = "MIB")]
    pub reserve_memory_mib: Option<u32>,
    /// Host ports that tasks do not get
    #[arg(long, env = "SEAWALL_RESERVED_PORTS", value_delimiter = ',', value_name = "PORTS")]
    pub reserved_ports: Vec<u16>,
    /// Attributes of the instance
    #[arg(long, env = "SEAWALL_ATTRIBUTES", value_delimiter = ',', value_parser = key_value, value_name = "NAME=VALUE")]
    pub attributes: Vec<(String, String)>,
    /// The capacity provider whose tasks the instance takes, such as FARGATE or the name of a group
    #[arg(long, env = "SEAWALL_CAPACITY_PROVIDER", value_name = "NAME")]
    pub capacity_provider: Option<String>,
    /// When images are pulled: default, always, once, prefer-cached
    #[arg(long, env = "SEAWALL_IMAGE_PULL", default_value = "default", value_name = "WHEN")]
    pub image_pull: String,
    /// Credentials of registries, as docker login writes them (/etc/seawall/docker.json, then the user's)
    #[arg(long, env = "SEAWALL_REGISTRY_CONFIG", value_name = "FILE")]
    pub registry_config: Option<std::path::PathBuf>,
    /// Docker's socket
    #[arg(long, env = "SEAWALL_DOCKER_SOCKET", default_value = "/var/run/docker.sock", value_name = "PATH")]
    pub docker_socket: String,
    /// Serve `seawall proxy` here as well, for the programs of this machine, such as on 127.0.0.1:7400
    #[arg(long, env = "SEAWALL_PROXY", value_name = "HOST:PORT")]
    pub proxy: Option<String>,
    /// Logs
    #[command(flatten)]
    pub log: LogArgs,
}

/// `seawall proxy`.
#[derive(Args, Debug)]
pub struct ProxyArgs {
    /// Settings in TOML, under the names of these flags
    #[arg(long, env = "SEAWALL_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where clients are served
    #[arg(long, env = "SEAWALL_LISTEN", default_value = "127.0.0.1:7400", value_name = "HOST:PORT")]
    pub listen: String,
    /// Members to begin with; the cluster tells of the others
    #[arg(long, env = "SEAWALL_SERVERS", value_delimiter = ',', required = true, value_name = "A,B,C")]
    pub server: Vec<String>,
    /// Members of this zone come first
    #[arg(long, env = "SEAWALL_ZONE")]
    pub zone: Option<String>,
    /// Speak TLS to the members for clients that speak plain, trusting the cluster of this secret
    #[arg(long, env = "SEAWALL_SECRET_FILE", value_name = "FILE", conflicts_with = "fingerprint")]
    pub secret_file: Option<PathBuf>,
    /// The same by the secret's fingerprint, the last part of a join token
    #[arg(long, env = "SEAWALL_FINGERPRINT", value_name = "HEX")]
    pub fingerprint: Option<String>,
    /// Serve clients beyond this machine
    #[arg(long, env = "SEAWALL_INSECURE", value_parser = BoolishValueParser::new())]
    pub insecure: bool,
    /// Logs
    #[command(flatten)]
    pub log: LogArgs,
}

/// `seawall env`.
#[derive(Args, Debug)]
pub struct EnvArgs {
    /// Print a provider block for Terraform
    #[arg(long, conflicts_with = "profile")]
    pub terraform: bool,
    /// Print a profile for ~/.aws/config
    #[arg(long)]
    pub profile: bool,
}

/// `seawall api`.
#[derive(Args, Debug)]
pub struct ApiArgs {
    /// The operation, in ECS's case or as aws writes it: ListClusters, list-clusters
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub operation: String,
    /// The request: JSON, @FILE, or @- for standard input; {} when absent
    #[arg(short, long, value_name = "JSON|@FILE")]
    pub data: Option<String>,
    /// Ask for page after page, and put the lists together
    #[arg(long)]
    pub all_pages: bool,
}

/// `seawall check`.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// Task definitions, services (JSON or YAML) and plans (terraform show -json); - for standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// Logs of a process that runs on.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// Text for people or one JSON object a line
    #[arg(long, env = "SEAWALL_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// What to log, in the words of tracing's EnvFilter
    #[arg(long, env = "SEAWALL_LOG", default_value = DEFAULT_LOG, value_name = "FILTER")]
    pub log: String,
    /// End when standard input closes: children of dev go with it, even when it is killed
    #[arg(long, hide = true, env = "SEAWALL_LIFELINE", value_parser = BoolishValueParser::new())]
    pub lifeline: bool,
}

/// Form of the logs.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// What serves tasks for FARGATE.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FargateBy {
    /// The pool of that name; until an instance has joined it, every instance.
    Instances,
    /// The pool of that name alone.
    Pool,
    /// Nothing: such tasks are refused.
    Refuse,
}

/// What runs tasks.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuntimeKind {
    /// Docker's containers.
    Docker,
    /// Child processes, for trials without Docker.
    Process,
    /// Nothing at all, for load.
    Fake,
}

/// `--runtime` of dev and demo.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum RuntimeChoice {
    /// Docker where its socket answers, else processes.
    Auto,
    /// Docker's containers.
    Docker,
    /// Child processes.
    Process,
    /// Nothing at all.
    Fake,
}

/// `seawall bench`.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// Length of each measurement
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// Clients at once, each with a connection of its own
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=512))]
    pub connections: u16,
}

/// `seawall simulate`.
#[derive(Args, Debug)]
pub struct SimulateArgs {
    /// A service, or a task definition (FAMILY or FAMILY:REVISION)
    pub name: String,
    /// Tasks [default: of a service what the losses cost it, else 1]
    #[arg(long, value_name = "N")]
    pub count: Option<u32>,
    /// Suppose that a zone is lost (its name, or a unique end of it)
    #[arg(long, value_name = "ZONE")]
    pub without_zone: Vec<String>,
    /// Suppose that an instance is lost
    #[arg(long, value_name = "INSTANCE")]
    pub without_instance: Vec<String>,
    /// Suppose more instances: zone=b,cpu=4096,memory=8192[,count=2][,attribute=NAME:VALUE]
    #[arg(long, value_name = "WHAT")]
    pub with_instance: Vec<String>,
    /// Of a task definition: a constraint, such as "attribute:disk == ssd" or distinctInstance
    #[arg(long, value_name = "EXPRESSION")]
    pub constraint: Vec<String>,
    /// Of a task definition: a step of its strategy, such as binpack:memory or spread:attribute:rack
    #[arg(long, value_name = "TYPE[:FIELD]")]
    pub strategy: Vec<String>,
}

/// `seawall dev`.
#[derive(Args, Clone, Debug)]
pub struct DevArgs {
    /// Folder of everything; started again on it, dev goes on where it was [default: ~/.local/state/seawall/dev]
    #[arg(long, env = "SEAWALL_DEV_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Port of the first member; the others follow at +10 and +20, peers one above each [default: that of the folder, 7400
    /// in a new one]
    #[arg(long, env = "SEAWALL_PORT")]
    pub port: Option<u16>,
    /// What runs the tasks; auto is Docker where its socket answers, else processes, and in a folder that was used before
    /// what ran there
    #[arg(long, env = "SEAWALL_RUNTIME", value_enum, default_value_t = RuntimeChoice::Auto)]
    pub runtime: RuntimeChoice,
    /// Instances in each zone
    #[arg(long, env = "SEAWALL_AGENTS_PER_ZONE", default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=50))]
    pub agents_per_zone: u8,
    /// Start a process that died again after this time (never: leave it dead)
    #[arg(long, env = "SEAWALL_RESTART_AFTER", value_parser = crate::values::duration_or_never, default_value = "3s", value_name = "TIME")]
    pub restart_after: crate::values::MaybeNever,
    /// What the processes log, in the words of tracing's EnvFilter
    #[arg(long, env = "SEAWALL_LOG", default_value = DEFAULT_LOG, value_name = "FILTER")]
    pub log: String,
}

/// `seawall demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// What runs the tasks
    #[arg(long, env = "SEAWALL_RUNTIME", value_enum, default_value_t = RuntimeChoice::Auto)]
    pub runtime: RuntimeChoice,
    /// Write the timeline to this file
    #[arg(long, env = "SEAWALL_JSON", value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// `seawall secret`.
#[derive(Subcommand, Debug)]
pub enum SecretCommand {
    /// Make a new secret
    New {
        /// Where to (mode 0600; its folder is made); an existing file is never replaced
        file: PathBuf,
    },
}

/// `seawall token`.
#[derive(Subcommand, Debug)]
pub enum TokenCommand {
    /// Make a token; it is shown once
    Create {
        /// What it lets in
        #[arg(long, default_value = "agent")]
        role: String,
        /// How long it is good for
        #[arg(long, value_parser = duration, value_name = "TIME")]
        ttl: Option<Duration>,
        /// How often it is good
        #[arg(long, value_name = "N")]
        uses: Option<u32>,
    },
    /// List tokens
    Ls,
    /// Revoke tokens
    Rm {
        /// Ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

/// `seawall access-key`.
#[derive(Subcommand, Debug)]
pub enum AccessKeyCommand {
    /// Make a key; its secret is shown once, for eval "$(seawall access-key create)"
    Create {
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// How long it is good for [default: for ever]
        #[arg(long, value_parser = duration, value_name = "TIME")]
        ttl: Option<Duration>,
    },
    /// List keys
    Ls,
    /// Turn keys off: what they sign is refused
    Off {
        /// Ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Turn keys on again
    On {
        /// Ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Delete keys
    Rm {
        /// Ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

/// `seawall status`.
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// Go on showing it
    #[arg(short, long)]
    pub watch: bool,
}

/// `seawall member`.
#[derive(Subcommand, Debug)]
pub enum MemberCommand {
    /// List members
    Ls,
    /// Invite a server that waits on an empty folder
    Add {
        /// Where it listens for peers
        #[arg(value_name = "HOST:PORT")]
        peer_address: String,
    },
    /// Remove a member
    Rm {
        /// Its name
        name: String,
        /// Also when no spare takes its vote
        #[arg(long)]
        force: bool,
    },
    /// Give a lost member's place to a server that waits on an empty folder
    Replace {
        /// The lost member
        name: String,
        /// Where the new one listens for peers
        #[arg(value_name = "HOST:PORT")]
        peer_address: String,
    },
    /// Hand leadership over
    Transfer {
        /// To this member; the best other one when absent
        to: Option<String>,
    },
}

/// `seawall cluster`.
#[derive(Subcommand, Debug)]
pub enum ClusterCommand {
    /// List clusters
    Ls,
    /// Show clusters
    Show {
        /// Names or ARNs; the current one when absent
        names: Vec<String>,
    },
    /// Create a cluster
    Create {
        /// Its name
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
        /// Tags
        #[arg(long = "tag", value_parser = key_value, value_name = "KEY=VALUE")]
        tags: Vec<(String, String)>,
    },
    /// How much of the capacity providers with managed scaling is needed (CapacityProviderReservation)
    Capacity,
    /// Delete clusters that hold nothing
    Rm {
        /// Names or ARNs
        #[arg(required = true)]
        names: Vec<String>,
    },
}

/// `seawall instance`.
#[derive(Subcommand, Debug)]
pub enum InstanceCommand {
    /// List instances
    Ls {
        /// Only those that fit (`attribute:stack == prod and agentConnected == true`: ECS's cluster query language)
        #[arg(long, value_name = "EXPRESSION")]
        filter: Option<String>,
    },
    /// Show instances
    Show {
        /// Instance ids, id prefixes or ARNs
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Place nothing new on instances and move their service tasks away
    Drain {
        /// Instance ids, id prefixes or ARNs
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Place tasks on drained instances again
    Activate {
        /// Instance ids, id prefixes or ARNs
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Announce that instances of FARGATE_SPOT go: services move off, what is left is interrupted after the notice
    Reclaim {
        /// Instance ids, id prefixes or ARNs
        #[arg(required = true)]
        names: Vec<String>,
        /// The notice, at most an hour
        #[arg(long = "in", value_parser = duration, default_value = "2m", value_name = "TIME")]
        notice: Duration,
    },
    /// Deregister instances
    Rm {
        /// Instance ids, id prefixes or ARNs
        #[arg(required = true)]
        names: Vec<String>,
        /// Also while tasks run there; they are orphaned
        #[arg(long)]
        force: bool,
    },
    /// Set attributes (NAME=VALUE) and remove them (NAME-)
    Attr {
        /// Instance id, id prefix or ARN
        name: String,
        /// NAME=VALUE or NAME-
        #[arg(required = true, value_name = "NAME=VALUE|NAME-")]
        changes: Vec<String>,
    },
    /// Replace the tasks of lost instances though many fell silent at once (the HOLD of `seawall status`)
    ReplaceLost,
}

/// `seawall taskdef`.
#[derive(Subcommand, Debug)]
pub enum TaskdefCommand {
    /// Register a revision from ECS JSON (as `aws ecs register-task-definition --cli-input-json`)
    Register {
        /// File, or - for standard input
        file: PathBuf,
    },
    /// List task definitions
    Ls {
        /// Only of this family
        family: Option<String>,
        /// Deregistered ones too
        #[arg(short, long)]
        all: bool,
    },
    /// Show task definitions as ECS JSON
    Show {
        /// FAMILY, FAMILY:REVISION or ARN
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Deregister revisions
    Rm {
        /// FAMILY:REVISION or ARN
        #[arg(required = true)]
        names: Vec<String>,
    },
}

/// `seawall run`.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// An image, a task definition (FAMILY or FAMILY:REVISION), or a task definition's file
    #[arg(value_name = "IMAGE|FAMILY|FILE", value_parser = NonEmptyStringValueParser::new())]
    pub what: String,
    /// Publish a port: CONTAINER, HOST:CONTAINER, with /udp for UDP
    #[arg(short, long = "publish", value_name = "[HOST:]PORT")]
    pub publish: Vec<Port>,
    /// Environment
    #[arg(short, long = "env", value_parser = key_value, value_name = "KEY=VALUE")]
    pub env: Vec<(String, String)>,
    /// CPU units (1024 a core)
    #[arg(long, value_name = "UNITS", allow_negative_numbers = true)]
    pub cpu: Option<i32>,
    /// Memory over which the container is killed, in MiB; 64 are reserved when absent
    #[arg(long, value_name = "MIB", allow_negative_numbers = true)]
    pub memory: Option<i32>,
    /// How many tasks
    #[arg(long, default_value_t = 1, value_name = "N", allow_negative_numbers = true)]
    pub count: i32,
    /// Run it as a service of this name
    #[arg(long)]
    pub name: Option<String>,
    /// One task on each instance, as a service
    #[arg(long, requires = "name", conflicts_with = "count")]
    pub daemon: bool,
    /// Follow the output until the tasks stop
    #[arg(long, conflicts_with = "name")]
    pub attach: bool,
    /// Like --attach, and deregister the task definition that was made for it
    #[arg(long, conflicts_with = "name")]
    pub rm: bool,
    /// The command, in place of the image's own
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<String>,
}

/// `seawall task ls`.
#[derive(Args, Debug)]
pub struct TaskListArgs {
    /// Only tasks of this service
    pub service: Option<String>,
    /// Stopped ones too, as far back as they are kept
    #[arg(short, long)]
    pub all: bool,
    /// Only on this instance
    #[arg(long)]
    pub on: Option<String>,
    /// Only of this family
    #[arg(long)]
    pub family: Option<String>,
}

/// `seawall task`.
#[derive(Subcommand, Debug)]
pub enum TaskCommand {
    /// List tasks
    Ls(TaskListArgs),
    /// Show tasks
    Show {
        /// Ids, id prefixes or ARNs
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Start a task definition on chosen instances, past placement
    Start {
        /// FAMILY, FAMILY:REVISION or ARN
        definition: String,
        /// Instances
        #[arg(long, required = true, value_delimiter = ',')]
        on: Vec<String>,
    },
    /// Stop tasks
    Stop {
        /// Ids, id prefixes or ARNs
        #[arg(required = true)]
        names: Vec<String>,
        /// Kept with the task
        #[arg(long)]
        reason: Option<String>,
    },
}

/// `seawall service`.
#[derive(Subcommand, Debug)]
pub enum ServiceCommand {
    /// Create a service from ECS JSON (as `aws ecs create-service --cli-input-json`)
    Create {
        /// File, or - for standard input
        file: PathBuf,
    },
    /// List services
    Ls,
    /// Show services
    Show {
        /// Names or ARNs
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Change members of UpdateService (desiredCount=4, taskDefinition=web:2, minimumHealthyPercent=50)
    Set {
        /// Name or ARN
        name: String,
        /// MEMBER=VALUE; a value may be JSON
        #[arg(required = true, value_parser = key_value, value_name = "MEMBER=VALUE")]
        changes: Vec<(String, String)>,
    },
    /// Drain and delete services
    Rm {
        /// Names or ARNs
        #[arg(required = true)]
        names: Vec<String>,
        /// Also while the desired count is above 0
        #[arg(long)]
        force: bool,
    },
    /// Where a service's tasks can be reached
    Endpoints {
        /// Name or ARN
        name: String,
    },
}

/// What a job runs, and how often it tries.
#[derive(Args, Clone, Debug, Default)]
pub struct JobFlags {
    /// Tasks that must succeed: every essential container exits with 0 [default: 1]
    #[arg(long, value_name = "N")]
    pub completions: Option<u32>,
    /// Tasks at once [default: 1]
    #[arg(long, value_name = "N")]
    pub parallelism: Option<u32>,
    /// Stop it and count it as failed after this time [default: never]
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub deadline: Option<Duration>,
    /// Failed tasks that are replaced [default: 3]
    #[arg(long, value_name = "N")]
    pub retries: Option<u32>,
    /// Wait before the first retry; each failure doubles it [default: 10s]
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub retry_wait: Option<Duration>,
    /// Environment of the first container
    #[arg(short, long = "env", value_parser = key_value, value_name = "KEY=VALUE")]
    pub env: Vec<(String, String)>,
    /// The command of the first container, in place of its own
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<String>,
}

/// `seawall job`.
#[derive(Subcommand, Debug)]
pub enum JobCommand {
    /// Run a task definition as a job, and wait until it is over
    Run {
        /// FAMILY, FAMILY:REVISION, or a file (.json) with a JobTemplate
        #[arg(value_name = "FAMILY|FILE", value_parser = NonEmptyStringValueParser::new())]
        what: String,
        /// Its name; one is made up when absent
        #[arg(long)]
        name: Option<String>,
        /// Once it has succeeded, deploy the task definition to this service: migrations before a rollout
        #[arg(long, value_name = "SERVICE")]
        deploy_to: Option<String>,
        /// How
        #[command(flatten)]
        flags: JobFlags,
    },
    /// List jobs, the newest first
    Ls {
        /// Only of this schedule
        schedule: Option<String>,
    },
    /// Show jobs
    Show {
        /// Names
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Stop jobs and their tasks
    Stop {
        /// Names
        #[arg(required = true)]
        names: Vec<String>,
        /// Kept with the job
        #[arg(long)]
        reason: Option<String>,
    },
    /// Output of a job's tasks
    Logs {
        /// Its name
        name: String,
        /// Go on with what comes
        #[arg(short, long)]
        follow: bool,
    },
}

/// When a schedule's jobs begin, beside its expression.
#[derive(Args, Clone, Debug, Default)]
pub struct ScheduleFlags {
    /// Zone of IANA that the expression is in (Europe/Berlin) [default: UTC]
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<String>,
    /// While a job of it is not over: wait for it, stop it, or begin another beside it [default: forbid]
    #[arg(long, value_enum)]
    pub concurrency: Option<Concurrency>,
    /// Of the times that passed while no job could begin: none, the last, or all up to 100 [default: one]
    #[arg(long, value_enum)]
    pub catch_up: Option<CatchUp>,
    /// A job that could not begin for so long after its time does not [default: never; with --catch-up skip, 60s]
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub start_deadline: Option<Duration>,
    /// Jobs of it that are kept once they are over [default: 10]
    #[arg(long, value_name = "N")]
    pub jobs_kept: Option<u32>,
}

/// While a job of the schedule is not over.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Concurrency {
    /// Wait until it is.
    Forbid,
    /// Stop it.
    Replace,
    /// Begin another.
    Allow,
}

/// Of the times that passed.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum CatchUp {
    /// Begin a job for the last.
    One,
    /// For none.
    Skip,
    /// For each.
    All,
}

/// `seawall schedule`.
#[derive(Subcommand, Debug)]
pub enum ScheduleCommand {
    /// Create a schedule: seawall schedule create nightly 'cron(0 3 * * ? *)' report
    Create {
        /// Its name
        name: String,
        /// cron(…) of EventBridge or UNIX, rate(5 minutes), or at(2030-12-01T10:00:00)
        expression: String,
        /// FAMILY, FAMILY:REVISION, or a file (.json) with a JobTemplate
        #[arg(value_name = "FAMILY|FILE")]
        what: String,
        /// Begin no jobs before `seawall schedule enable`
        #[arg(long)]
        disabled: bool,
        /// When
        #[command(flatten)]
        when: ScheduleFlags,
        /// How
        #[command(flatten)]
        flags: JobFlags,
    },
    /// List schedules
    Ls,
    /// Show schedules
    Show {
        /// Names
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Change a schedule; what is not named stays
    Set {
        /// Its name
        name: String,
        /// As of create
        #[arg(long)]
        expression: Option<String>,
        /// As of create; with it the flags of a job count, and their defaults
        #[arg(long, value_name = "FAMILY|FILE")]
        run: Option<String>,
        /// When
        #[command(flatten)]
        when: ScheduleFlags,
        /// How
        #[command(flatten)]
        flags: JobFlags,
    },
    /// Delete schedules; jobs that they began go on
    Rm {
        /// Names
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Begin jobs by the clock again; what was missed meanwhile is not made up for
    Enable {
        /// Names
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Begin no more jobs
    Disable {
        /// Names
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Begin a job of a schedule now, and wait until it is over
    RunNow {
        /// Its name
        name: String,
    },
    /// The next times of a schedule, or of an expression
    Next {
        /// A schedule, or an expression
        #[arg(value_name = "NAME|EXPRESSION")]
        what: String,
        /// Zone that the expression is in
        #[arg(long, value_name = "ZONE")]
        time_zone: Option<String>,
        /// How many
        #[arg(long, default_value_t = 5, value_name = "N")]
        count: u32,
    },
}

/// `seawall logs`.
#[derive(Args, Debug)]
pub struct LogsArgs {
    /// A service or a task
    pub name: String,
    /// Go on with what comes
    #[arg(short, long)]
    pub follow: bool,
    /// Only what is younger than this
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub since: Option<Duration>,
    /// Only the last lines
    #[arg(long, value_name = "N")]
    pub tail: Option<u32>,
    /// Only of this container
    #[arg(long, value_name = "NAME")]
    pub container: Option<String>,
}

/// `seawall events`.
#[derive(Args, Debug)]
pub struct EventsArgs {
    /// A service, task or instance; every service when absent
    pub name: Option<String>,
    /// Go on with what comes
    #[arg(short, long)]
    pub follow: bool,
    /// Only what is younger than this
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub since: Option<Duration>,
}

/// `seawall usage`.
#[derive(Args, Debug)]
pub struct UsageArgs {
    /// From so long ago on
    #[arg(long, value_parser = duration, default_value = "24h", value_name = "TIME")]
    pub since: Duration,
    /// Until so long ago; until now when absent
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub until: Option<Duration>,
}

/// The words of `aws ecs wait`.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitFor {
    /// One deployment, all of its tasks running.
    ServicesStable,
    /// Deleted.
    ServicesInactive,
    /// Running.
    TasksRunning,
    /// Stopped.
    TasksStopped,
}

/// `seawall zone`.
#[derive(Subcommand, Debug)]
pub enum ZoneCommand {
    /// List zones: members, instances, tasks, and which are fenced
    Ls,
    /// Would everything fit if a zone were lost now? Exits 1 where something would be short
    Check {
        /// Names, or unique ends of them [default: every zone, one at a time]
        zones: Vec<String>,
    },
    /// Place nothing new there; what runs stays
    Fence {
        /// Its name, or a unique end of it (b)
        zone: String,
        /// For people who look
        #[arg(long)]
        reason: Option<String>,
    },
    /// Fence it, and move services' tasks off: replacements first, within the services' percentages
    Evacuate {
        /// Its name, or a unique end of it (b)
        zone: String,
        /// For people who look
        #[arg(long)]
        reason: Option<String>,
    },
    /// Open a fenced zone again, and in dev bring back one that was lost
    Return(ZoneArgs),
    /// dev: power loss; member, agents and tasks of the zone are killed
    Kill(ZoneArgs),
    /// dev: cut off; they live on and are silent
    Cut(ZoneArgs),
}

/// A zone of dev.
#[derive(Args, Debug)]
pub struct ZoneArgs {
    /// Its name, or a unique end of it (b)
    pub zone: String,
    /// dev's folder [default: ~/.local/state/seawall/dev]
    #[arg(long, env = "SEAWALL_DEV_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// `seawall web`.
#[derive(Args, Debug)]
pub struct WebArgs {
    /// What it calls itself in its answers
    #[arg(long, env = "WEB_VERSION", default_value = "1")]
    pub answer_version: String,
}
