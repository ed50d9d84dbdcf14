//! Real links on loopback.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use seawall_env::{
    BoxFuture, Env, RealConfig,
    net::{
        Caller, Handler, Lane, Net, NetError,
        grpc::{GrpcNet, Listener, Plain, Serving, service},
    },
};
use tokio::sync::watch;

const ECHO: &str = "/test.Test/Echo";
const STREAM: &str = "/test.Test/Stream";
const NOBODYS: &str = "/test.Test/Nobodys";

/// Answers one method, and has no streams.
struct Echo;

impl Handler for Echo {
    fn handles(&self, method: &str) -> bool {
        method == ECHO || method == STREAM
    }

    fn is_stream(&self, method: &str) -> bool {
        method == STREAM
    }

    fn call(self: Arc<Self>, _: Caller, _: String, body: Bytes) -> BoxFuture<'static, Result<Bytes, NetError>> {
        Box::pin(async move { Ok(body) })
    }
}

#[test]
fn who_calls_what_is_not_served_is_told_so_and_by_whom() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let net = GrpcNet::new(None);
        let env = Env::real(RealConfig { net: Arc::new(net.clone()) });
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (_stop, shutdown) = watch::channel(false);
        let router = service(env.clone(), Arc::new(Echo));
        tokio::spawn(listener.serve(
            env,
            Serving { router, tls: None, plain: Plain::Loopback, connections_max: 8, shutdown, grace: Duration::ZERO },
        ));

        let call = |method| net.call(&address, Lane::Main, method, Bytes::from_static(b"x"), Duration::from_secs(5));
        assert_eq!(call(ECHO).await.unwrap().as_ref(), b"x");
        let refusals = [
            call(NOBODYS).await.unwrap_err(),
            net.open(&address, Lane::Main, NOBODYS).await.unwrap_err(),
            net.open(&address, Lane::Main, STREAM).await.unwrap_err(),
        ];
        for (refusal, why) in refusals.iter().zip(["--listen", "--listen", "is no stream"]) {
            let NetError::Refused(text) = refusal else { panic!("{refusal}") };
            assert!(text.starts_with(&address) && text.contains(why), "{text}");
        }
    });
}
