//! Every operation of `seawall.v1.Ecs` as pure functions over a copy of the state: no clock, no IO.
//!
//! A read is answered from one state. A write is prepared (names resolved, shapes checked, defaults filled in), proposed, and
//! rendered from the state after it was applied. `State::apply` alone decides whether a write is allowed: the proposer rehearses
//! the commands, so nothing here repeats its rules.
//!
//! To add an operation: one line in [`for_each_operation`], one `impl` in the file of its family.

mod account_settings;
mod attributes;
mod capacity_providers;
mod clusters;
mod history;
mod instances;
pub(crate) mod jobs;
mod page;
mod recall;
mod resolve;
pub(crate) mod schedules;
mod services;
mod table;
mod tags;
mod task_definitions;
mod tasks;
mod token;
pub(crate) mod tolerance;
mod usage;

#[cfg(test)]
mod tests;

use prost::Message;
use seawall_model::{ApiError, ErrorCode, TaskId};
use seawall_proto::{
    internal::v1::{ClientToken, Done, ForwardId, Invocation, PlaceTasks, Principal, Reply, command, reply},
    v1::Failure,
};
use seawall_scheduler::{Fargate, PlaceRequest};
use seawall_state::State;

use crate::{api::SERIALS_A_WRITE, validate};

pub(crate) use history::list_history;
pub(crate) use recall::Lacked;
pub use recall::Recall;
pub(crate) use resolve::active_task_definition;
pub(crate) use table::for_each_operation;
pub use table::*;
pub(crate) use usage::list_usage;

/// One change for the log, without who asked and when.
pub type CommandKind = command::Kind;

/// Draws ids. The proposer's are random; what is drawn travels in the command.
pub trait IdSource {
    /// The digits of a new `ecs-svc/<digits>`.
    fn deployment_id(&mut self) -> u64;
    /// The 21 characters of a new service deployment.
    fn service_deployment_id(&mut self) -> String;
    /// The id of the first task of a bulk placement.
    fn task_base(&mut self) -> TaskId;
}

/// What a write is prepared with.
pub struct Ctx<'a> {
    /// The proposer's view.
    pub state: &'a State,
    /// Who asks.
    pub principal: &'a Principal,
    /// Where ids come from.
    pub ids: &'a mut dyn IdSource,
    /// The first serial of the write; `None` where nobody may send it again.
    pub forward: Option<ForwardId>,
    /// Members that the operator has stored where they would be refused.
    pub accept_inert: &'a [String],
    /// What serves tasks for FARGATE.
    pub fargate: Fargate,
    /// The call of an SDK that this may be a retry of.
    pub invocation: Option<Invocation>,
    /// The proposer's estimate of cluster time.
    pub now_ms: i64,
}

/// What a read is answered from.
pub struct ReadCtx<'a> {
    /// One index, so that an answer never mixes two moments.
    pub state: &'a State,
    /// Who asks.
    pub principal: &'a Principal,
    /// An estimate of cluster time: how old a stopped task is.
    pub now_ms: i64,
    /// What is known of history.
    pub history: &'a Recall,
    /// Instances of FARGATE's pools are shown too.
    pub shows_pools: bool,
}

/// What a write wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// These commands, in this order.
    Commands(Vec<(CommandKind, Option<ClientToken>)>),
    /// Tasks on instances that the planner chooses.
    Place {
        /// What is asked of the planner.
        request: PlaceRequest,
        /// The command but for its placements.
        template: Box<PlaceTasks>,
        /// The client's idempotency token.
        token: Option<ClientToken>,
    },
    /// Nothing: the answer is made by `render` alone.
    Nothing,
    /// Nothing any more: it was done before, with these replies.
    Repeated(Vec<Reply>),
}

impl Write {
    /// One command without a token.
    fn one(kind: CommandKind) -> Self {
        Write::Commands(vec![(kind, None)])
    }
}

/// What became of a write.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Of each command, in order. None is a refusal: those are the client's answer already.
    pub replies: Vec<Reply>,
    /// What the planner could not place, where nothing was placed. Else it is in the reply.
    pub failures: Vec<Failure>,
}

impl Outcome {
    /// What the one command of the write did.
    fn done(&self) -> Result<&Done, ApiError> {
        match self.replies.first().and_then(|reply| reply.kind.as_ref()) {
            Some(reply::Kind::Done(done)) => Ok(done),
            _ => Err(ApiError::new(ErrorCode::Server, "The write has no result.")),
        }
    }
}

/// What a write's answer is made from.
pub struct RenderCtx<'a> {
    /// Whose resources they are.
    pub account: u32,
    /// The state that the write was prepared with: holds what the write took away.
    pub before: &'a State,
    /// The state after the write.
    pub state: &'a State,
}

/// An operation that changes nothing.
pub trait ReadOp {
    /// ECS's input shape.
    type Request: Message + Default + serde::Serialize;
    /// ECS's output shape.
    type Response: Message + Default;

    /// The answer, from one state.
    ///
    /// # Errors
    /// What the client is told.
    fn answer(ctx: &ReadCtx<'_>, request: &Self::Request) -> Result<Self::Response, ApiError>;
}

/// An operation that changes something.
pub trait WriteOp {
    /// ECS's input shape.
    type Request: Message + Default + serde::Serialize;
    /// ECS's output shape.
    type Response: Message + Default;

    /// The client's idempotency token, for operations that take one.
    ///
    /// # Errors
    /// What the client is told.
    fn token(state: &State, account: u32, request: &Self::Request) -> Result<Option<ClientToken>, ApiError> {
        let _ = (state, account, request);
        Ok(None)
    }

    /// What the client is told whose token was used for another request.
    fn conflict(error: ApiError) -> ApiError {
        error
    }

    /// Resolves names, checks shapes and fills in defaults.
    ///
    /// # Errors
    /// What the client is told. Nothing was proposed.
    fn prepare(ctx: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError>;

    /// The answer, once the write is applied.
    ///
    /// # Errors
    /// Where the resource is gone again already.
    fn render(ctx: &RenderCtx<'_>, request: &Self::Request, outcome: &Outcome) -> Result<Self::Response, ApiError>;
}

/// Makes the encoded answer of a prepared write.
pub type Render = Box<dyn Fn(&State, &Outcome) -> Result<Vec<u8>, ApiError> + Send>;

/// A write that came as a name and a body, ready to propose.
pub struct Prepared {
    /// What to do.
    pub write: Write,
    /// The version that the caller expects the resource to have; 0: not asked.
    pub expected_version: u64,
    /// Members that the request uses and that are only stored.
    pub stored: Vec<String>,
    /// Makes the encoded answer once the write is applied.
    pub render: Render,
}

/// Checks the request's shape and answers it.
///
/// # Errors
/// What the client is told.
pub fn answer<Op: ReadOp>(ctx: &ReadCtx<'_>, request: &Op::Request) -> Result<Op::Response, ApiError> {
    validate::request(shape_of::<Op::Request>(), request, &[])?;
    Op::answer(ctx, request)
}

/// Prepares the write called `operation`, as a member that leads does for the others.
///
/// # Errors
/// What the client is told. Nothing was proposed.
pub fn prepare(operation: &str, body: &[u8], ctx: &mut Ctx<'_>) -> Result<Prepared, ApiError> {
    table::prepare(operation, body, ctx)
}

fn prepare_op<Op>(
    ctx: &mut Ctx<'_>,
    body: &[u8],
    version: fn(&Op::Request) -> Option<i64>,
) -> Result<Prepared, ApiError>
where
    Op: WriteOp,
    Op::Request: Send + 'static,
{
    let request =
        Op::Request::decode(body).map_err(|e| ApiError::client(format!("The request does not decode: {e}")))?;
    let stored = validate::request(shape_of::<Op::Request>(), &request, ctx.accept_inert)?;
    let write = match repeated::<Op>(ctx, &request)? {
        Some(replies) => Write::Repeated(replies),
        None => Op::prepare(ctx, &request)?,
    };
    let expected_version = version(&request).and_then(|v| u64::try_from(v).ok()).unwrap_or(0);
    let (account, before) = (ctx.principal.account, ctx.state.clone());
    let render = Box::new(move |state: &State, outcome: &Outcome| {
        let ctx = RenderCtx { account, before: &before, state };
        Op::render(&ctx, &request, outcome).map(|response| response.encode_to_vec())
    });
    Ok(Prepared { write, expected_version, stored, render })
}

/// The replies of a write that was done before. Looked for before anything else: what the first one changed must not make
/// the second one fail (an instance that it deregistered, the room that its tasks took).
fn repeated<Op: WriteOp>(ctx: &Ctx<'_>, request: &Op::Request) -> Result<Option<Vec<Reply>>, ApiError> {
    let serials = ctx.forward.into_iter().flat_map(|first| {
        (0..SERIALS_A_WRITE).map(move |ordinal| ForwardId { serial: first.serial + ordinal, ..first })
    });
    let replies: Vec<Reply> =
        serials.map_while(|id| ctx.state.answer_of_forward(&id)).map(|kind| Reply { kind: Some(kind) }).collect();
    if !replies.is_empty() {
        return Ok(Some(replies));
    }
    let calls = ctx
        .invocation
        .iter()
        .flat_map(|first| (0..SERIALS_A_WRITE as u32).map(move |ordinal| Invocation { ordinal, ..first.clone() }));
    let answer = |call: Invocation| ctx.state.answer_of_invocation(ctx.principal, &call, ctx.now_ms);
    let replies: Vec<Reply> = calls.map_while(answer).map(|kind| Reply { kind: Some(kind) }).collect();
    if !replies.is_empty() {
        return Ok(Some(replies));
    }
    let account = ctx.principal.account;
    let Some(token) = Op::token(ctx.state, account, request)? else { return Ok(None) };
    let recorded = ctx.state.answer_of_token(account, &token, ctx.now_ms).map_err(Op::conflict)?;
    Ok(recorded.map(|kind| vec![Reply { kind: Some(kind) }]))
}

/// The name of a request's message, which is its type's.
fn shape_of<R>() -> &'static str {
    let path = std::any::type_name::<R>();
    path.rsplit_once("::").map_or(path, |(_, name)| name)
}

/// A list that ECS limits.
fn at_most(member: &str, count: usize, limit: usize) -> Result<(), ApiError> {
    if count <= limit {
        return Ok(());
    }
    Err(ApiError::invalid(format!("{member} has {count} items; at most {limit} are allowed.")))
}

/// A list that must not be empty; `what` as ECS calls it ("Tasks").
fn not_empty(what: &str, count: usize) -> Result<(), ApiError> {
    if count > 0 { Ok(()) } else { Err(ApiError::invalid(format!("{what} cannot be empty."))) }
}

fn unknown_operation(operation: &str) -> ApiError {
    ApiError::new(ErrorCode::UnsupportedFeature, format!("{operation} is not an operation of this version."))
}
