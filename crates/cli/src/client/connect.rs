//! Opens connections and proves them alive: a member that is stopped still accepts, and would hold a request for ever.

use std::{path::Path, sync::Arc, time::Duration};

use seawall_env::Env;
use seawall_proto::v1::{control_client::ControlClient, ecs_client::EcsClient};
use seawall_sigv4::Signer;
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::{
    ANSWER_BYTES_MAX, Address, Connection,
    refusal::{self, Verdict},
    sign::SigningChannel,
};
use crate::failure::Failure;

/// Refused, unreachable or silent for this long: the next address.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// An idle connection is asked whether it lives…
const PING_EVERY: Duration = Duration::from_millis(500);
/// …and given up when it does not say so.
const PING_MAX: Duration = Duration::from_secs(1);

/// Whose certificates are good.
pub struct Trust {
    roots: Option<Arc<rustls::RootCertStore>>,
}

impl Trust {
    /// Reads the certificates of `--ca-file`.
    pub fn load(env: &Env, file: Option<&Path>) -> Result<Self, Failure> {
        let Some(file) = file else { return Ok(Trust { roots: None }) };
        let shown = file.display();
        let pem = match env.fs().read(file) {
            Ok(Some(pem)) => pem,
            Ok(None) => return Err(Failure::usage(format!("--ca-file {shown}: there is no such file"))),
            Err(error) => return Err(Failure::usage(format!("--ca-file {shown}: {error}"))),
        };
        let mut roots = rustls::RootCertStore::empty();
        for certificate in rustls::pki_types::pem::PemObject::pem_slice_iter(&pem) {
            let refuse = |why: String| Failure::usage(format!("--ca-file {shown}: {why}"));
            roots.add(certificate.map_err(|e| refuse(format!("{e:?}")))?).map_err(|e| refuse(e.to_string()))?;
        }
        if roots.is_empty() {
            return Err(Failure::usage(format!("--ca-file {shown}: holds no certificate")));
        }
        Ok(Trust { roots: Some(Arc::new(roots)) })
    }
}

/// Connects to one address and has it answer.
///
/// # Errors
/// Why not, for people.
pub async fn open(
    env: &Env,
    address: &Address,
    trust: &Trust,
    signer: Option<Arc<Signer>>,
) -> Result<Connection, String> {
    let attempt = async {
        let channel = dial(address, trust).await?;
        probe(channel.clone()).await?;
        Ok::<_, String>(channel)
    };
    let channel = env.timeout(CONNECT_MAX, attempt).await.map_err(|_| "no answer within 1 s".to_owned())??;
    // The socket takes every call as it is.
    let signer = signer.filter(|_| !matches!(address, Address::Socket(_)));
    let channel = SigningChannel::new(channel, env, signer, address.authority());
    Ok(Connection {
        ecs: EcsClient::new(channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX),
        control: ControlClient::new(channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX),
        channel,
        address: address.uri(),
    })
}

async fn dial(address: &Address, trust: &Trust) -> Result<Channel, String> {
    let endpoint = Endpoint::from_shared(address.uri())
        .map_err(|e| e.to_string())?
        .connect_timeout(CONNECT_MAX)
        .http2_adaptive_window(true)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_MAX)
        .keep_alive_while_idle(true);
    let channel = match address {
        Address::Plain(_) | Address::Socket(_) => endpoint.connect().await,
        Address::Tls(authority) => {
            let Some(roots) = &trust.roots else { return Err("https needs --ca-file".into()) };
            endpoint.connect_with_connector(tls::connector(authority, roots.clone())).await
        }
    };
    channel.map_err(|e| deepest(&e))
}

/// Any answer proves that somebody reads: a member that serves no health check says so.
async fn probe(channel: Channel) -> Result<(), String> {
    let request = HealthCheckRequest { service: String::new() };
    match HealthClient::new(channel).check(request).await {
        Ok(_) => Ok(()),
        Err(status) if matches!(status.code(), Code::Unimplemented | Code::NotFound) => Ok(()),
        // It waits for the others, and says so to whatever is asked.
        Err(status) if refusal::judge(&status) == Verdict::NoLeader => Ok(()),
        Err(status) => Err(deepest(&status)),
    }
}

/// The cause below all wrappers: "Connection refused", not "transport error".
fn deepest(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// rustls under hyper's own connector.
mod tls {
    use std::{
        future::Future,
        io,
        pin::Pin,
        sync::Arc,
        task::{Context, Poll},
    };

    use http::Uri;
    use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
    use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
    use tower::Service;

    #[derive(Clone)]
    pub struct Connector {
        http: HttpConnector,
        tls: tokio_rustls::TlsConnector,
        name: String,
    }

    pub fn connector(authority: &str, roots: Arc<RootCertStore>) -> Connector {
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        let name = authority.rsplit_once(':').map_or(authority, |(host, _)| host).trim_matches(['[', ']']).to_owned();
        Connector { http, tls: Arc::new(config).into(), name }
    }

    type Plain = TokioIo<<HttpConnector as Service<Uri>>::Response>;
    type Stream = TokioIo<tokio_rustls::client::TlsStream<Plain>>;

    impl Service<Uri> for Connector {
        type Response = Stream;
        type Error = io::Error;
        type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.http.poll_ready(cx).map_err(io::Error::other)
        }

        fn call(&mut self, uri: Uri) -> Self::Future {
            let (dialing, tls, name) = (self.http.call(uri), self.tls.clone(), self.name.clone());
            Box::pin(async move {
                let plain = dialing.await.map_err(io::Error::other)?;
                let name = ServerName::try_from(name).map_err(io::Error::other)?;
                Ok(TokioIo::new(tls.connect(name, TokioIo::new(plain)).await?))
            })
        }
    }
}
