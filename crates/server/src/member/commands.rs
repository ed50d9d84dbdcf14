//! What operators ask of the leader itself: changes of members, and an end to its caution. They run on the leader; another member passes them on undecoded.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use seawall_model::{ApiError, MemberId};
use seawall_proto::v1::{
    AddMemberRequest, AddMemberResponse, Member, RemoveMemberRequest, RemoveMemberResponse, ReplaceLostResponse,
    ReplaceMemberRequest, ReplaceMemberResponse, TransferLeadershipRequest, TransferLeadershipResponse,
};

use super::membership;
use crate::{
    api::{Node, READ_DEADLINE},
    status,
};

/// The operations of this file.
pub(crate) const OPERATIONS: &[&str] =
    &["AddMember", "RemoveMember", "ReplaceMember", "TransferLeadership", "ReplaceLost"];

/// Runs one of [`OPERATIONS`] on the leader.
pub(crate) async fn run(node: &Arc<Node>, operation: &str, body: Bytes) -> Result<Bytes, ApiError> {
    // A leader that was paused may know neither its members nor that another one leads.
    node.read(false, node.env.now() + READ_DEADLINE).await?;
    match operation {
        "AddMember" => {
            let request: AddMemberRequest = decode(body)?;
            let id = membership::add(node, &request.peer_address).await?;
            encode(AddMemberResponse { member: member(node, id).await })
        }
        "RemoveMember" => {
            let request: RemoveMemberRequest = decode(body)?;
            membership::remove_named(node, &request.name, request.force).await?;
            encode(RemoveMemberResponse {})
        }
        "ReplaceMember" => {
            let request: ReplaceMemberRequest = decode(body)?;
            let id = membership::replace(node, &request.name, &request.peer_address).await?;
            encode(ReplaceMemberResponse { member: member(node, id).await })
        }
        "ReplaceLost" => {
            let held = node.liveness.release_hold(node).ok_or_else(nothing_held)?;
            encode(ReplaceLostResponse { held })
        }
        _ => {
            let request: TransferLeadershipRequest = decode(body)?;
            membership::transfer(node, request.to.as_deref()).await?;
            encode(TransferLeadershipResponse { leader: status::members(node).await.leader })
        }
    }
}

fn nothing_held() -> ApiError {
    ApiError::client("nothing is held: tasks of lost instances are replaced as they are lost. next: seawall status")
}

async fn member(node: &Arc<Node>, id: MemberId) -> Option<Member> {
    status::members(node).await.members.into_iter().find(|member| member.id == id.0)
}

fn decode<M: Message + Default>(body: Bytes) -> Result<M, ApiError> {
    M::decode(body).map_err(|e| ApiError::client(format!("The request does not decode: {e}")))
}

fn encode(message: impl Message) -> Result<Bytes, ApiError> {
    Ok(message.encode_to_vec().into())
}
