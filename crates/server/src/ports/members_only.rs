//! Who may speak on the members' port.

use std::sync::Arc;

use bytes::Bytes;
use seawall_env::{
    BoxFuture,
    net::{Caller, Handler, MessageReceiver, MessageSender, NetError},
};

use crate::member::Switch;

/// Certificates of members are called this and the member's name. Only who has the secret can make one.
pub(super) const MEMBER: &str = "member:";

/// Lets members through to what they ask of each other: everything there is done without further questions.
pub(super) struct MembersOnly(pub(super) Arc<Switch>);

impl MembersOnly {
    fn check(caller: &Caller) -> Result<(), NetError> {
        match &caller.certificate_name {
            Some(name) if name.starts_with(MEMBER) => Ok(()),
            Some(name) => Err(NetError::Refused(format!("this port is for members of the cluster, not for {name}"))),
            None => {
                Err(NetError::Refused("this port is for members of the cluster; show a member's certificate".into()))
            }
        }
    }
}

impl Handler for MembersOnly {
    fn handles(&self, method: &str) -> bool {
        self.0.handles(method)
    }

    fn is_stream(&self, method: &str) -> bool {
        self.0.is_stream(method)
    }

    fn call(
        self: Arc<Self>,
        caller: Caller,
        method: String,
        body: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, NetError>> {
        match Self::check(&caller) {
            Ok(()) => self.0.clone().call(caller, method, body),
            Err(error) => Box::pin(async move { Err(error) }),
        }
    }

    fn open(
        self: Arc<Self>,
        caller: Caller,
        method: String,
        incoming: MessageReceiver,
        outgoing: MessageSender,
    ) -> BoxFuture<'static, Result<(), NetError>> {
        match Self::check(&caller) {
            Ok(()) => self.0.clone().open(caller, method, incoming, outgoing),
            Err(error) => Box::pin(async move { Err(error) }),
        }
    }
}
