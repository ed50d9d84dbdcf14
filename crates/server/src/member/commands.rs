//! Changes of members that operators ask for. They run on the leader; another member passes them on undecoded.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use seawall_model::{ApiError, MemberId};
use seawall_proto::v1::{
    AddMemberRequest, AddMemberResponse, Member, RemoveMemberRequest, RemoveMemberResponse, ReplaceMemberRequest,
    ReplaceMemberResponse, TransferLeadershipRequest, TransferLeadershipResponse,
};

use super::membership;
use crate::{api::Node, status};

/// The operations of this file.
pub(crate) const OPERATIONS: &[&str] = &["AddMember", "RemoveMember", "ReplaceMember", "TransferLeadership"];

/// Runs one of [`OPERATIONS`] on the leader.
pub(crate) async fn run(node: &Arc<Node>, operation: &str, body: Bytes) -> Result<Bytes, ApiError> {
    match operation {
        "AddMember" => {
            let request: AddMemberRequest = decode(body)?;
            let id = membership::add(node, &request.peer_address, None).await?;
            encode(AddMemberResponse { member: member(node, id).await })
        }
        "RemoveMember" => {
            let request: RemoveMemberRequest = decode(body)?;
            membership::remove_named(node, &request.name, request.force).await?;
            encode(RemoveMemberResponse {})
        }
        "ReplaceMember" => {
            let request: ReplaceMemberRequest = decode(body)?;
            let id = membership::add(node, &request.peer_address, Some(&request.name)).await?;
            encode(ReplaceMemberResponse { member: member(node, id).await })
        }
        _ => {
            let request: TransferLeadershipRequest = decode(body)?;
            membership::transfer(node, request.to.as_deref()).await?;
            encode(TransferLeadershipResponse { leader: status::members(node).await.leader })
        }
    }
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
