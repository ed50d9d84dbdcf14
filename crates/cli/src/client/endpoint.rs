//! Where other tools reach the cluster: a URL that SDKs take, and the region that its ARNs are of.

use seawall_proto::v1::{DescribeMembersRequest, GetStatusRequest};

use super::{Again, Client, Connection, address::SOCKET_SCHEME};
use crate::failure::Failure;

/// For tools that take one endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// `http://host:port` or `https://host:port`.
    pub url: String,
    /// As in the cluster's ARNs.
    pub region: String,
}

impl Client {
    /// The first member that answers, as others reach it.
    pub async fn endpoint(&self) -> Result<Endpoint, Failure> {
        let ask = async |mut c: Connection, r| c.control.get_status(r).await;
        let status = self.call(Again::Safe, GetStatusRequest { stale: true }, ask).await?;
        let address = self.connection().await?.address;
        let url = match address.starts_with(SOCKET_SCHEME) {
            true => format!("http://{}", self.address_of(&status.answered_by).await?),
            false => address,
        };
        Ok(Endpoint { url, region: status.region })
    }

    /// Where clients reach a member that was reached by its socket.
    async fn address_of(&self, name: &str) -> Result<String, Failure> {
        let ask = async |mut c: Connection, r| c.control.describe_members(r).await;
        let found = self.call(Again::Safe, DescribeMembersRequest { stale: true }, ask).await?;
        let member = found.members.into_iter().find(|member| member.name == name);
        member
            .map(|member| member.client_address)
            .ok_or_else(|| Failure::refused(format!("member {name} does not know where clients reach it")))
    }
}
