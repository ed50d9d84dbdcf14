//! A registry with one image, taken from the engine's own: enough of the protocol for a pull.

use std::{
    collections::BTreeMap,
    io::Read,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bollard::Docker;
use futures::TryStreamExt;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// What one without credentials is told.
const STRANGER: (&str, &str, &[u8]) = ("401 Unauthorized", "application/json", b"{}");
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// Listens on the loopback, where engines take plain HTTP.
pub struct Registry {
    /// "127.0.0.1:40000"
    pub address: String,
    shared: Arc<Shared>,
    listener: JoinHandle<()>,
}

struct Shared {
    manifest: Vec<u8>,
    blobs: BTreeMap<String, Vec<u8>>,
    asked: AtomicUsize,
    is_mute: bool,
    /// What must stand in the header; empty: nothing need.
    authorization: String,
}

impl Registry {
    /// With the image `name` of the engine, under any name and tag.
    pub async fn serve(docker: &Docker, name: &str) -> Self {
        let saved: Vec<bytes::Bytes> = docker.export_image(name).try_collect().await.unwrap();
        let (manifest, blobs) = unpack(&saved.concat());
        let asked = AtomicUsize::new(0);
        Registry::listen(Shared { manifest, blobs, asked, is_mute: false, authorization: String::new() }).await
    }

    /// The same, for one who knows the user and the password in base64 alone.
    pub async fn serve_to(docker: &Docker, name: &str, secret: &str) -> Self {
        let saved: Vec<bytes::Bytes> = docker.export_image(name).try_collect().await.unwrap();
        let (manifest, blobs) = unpack(&saved.concat());
        let (asked, authorization) = (AtomicUsize::new(0), format!("authorization: basic {secret}").to_lowercase());
        Registry::listen(Shared { manifest, blobs, asked, is_mute: false, authorization }).await
    }

    /// One that takes connections and never answers.
    pub async fn mute() -> Self {
        let (manifest, blobs) = Default::default();
        Registry::listen(Shared {
            manifest,
            blobs,
            asked: AtomicUsize::new(0),
            is_mute: true,
            authorization: String::new(),
        })
        .await
    }

    /// How often it was asked for an image so far: some times for each pull.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    async fn listen(shared: Shared) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(shared);
        let serving = shared.clone();
        let listener = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // A client that goes away in the middle is no failure of the test.
                tokio::spawn(answer_all(stream, serving.clone()));
            }
        });
        Registry { address, shared, listener }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// The manifest and the blobs of a saved image. Layers stay as they are saved: their digest is in the image's configuration.
fn unpack(saved: &[u8]) -> (Vec<u8>, BTreeMap<String, Vec<u8>>) {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(saved).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        files.insert(path, bytes);
    }
    let list: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    let config_name = list[0]["Config"].as_str().unwrap();
    let config_bytes = files[config_name].clone();
    let config: serde_json::Value = serde_json::from_slice(&config_bytes).unwrap();
    let hex = config_name.trim_end_matches(".json").rsplit('/').next().unwrap();
    let mut blobs = BTreeMap::from([(format!("sha256:{hex}"), config_bytes.clone())]);
    let mut layers = Vec::new();
    let names = list[0]["Layers"].as_array().unwrap().iter();
    for (name, digest) in names.zip(config["rootfs"]["diff_ids"].as_array().unwrap()) {
        let bytes = files[name.as_str().unwrap()].clone();
        layers.push(serde_json::json!({ "mediaType": LAYER, "size": bytes.len(), "digest": digest }));
        blobs.insert(digest.as_str().unwrap().to_owned(), bytes);
    }
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": { "mediaType": CONFIG, "size": config_bytes.len(), "digest": format!("sha256:{hex}") },
        "layers": layers,
    });
    (serde_json::to_vec(&manifest).unwrap(), blobs)
}

async fn answer_all(stream: TcpStream, shared: Arc<Shared>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            if stream.read_line(&mut request).await? == 0 {
                return Ok(());
            }
        }
        if shared.is_mute {
            continue;
        }
        let mut words = request.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let is_known = request.to_lowercase().contains(&shared.authorization);
        let (status, kind, body) = if is_known { answer(&shared, path) } else { STRANGER };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nWWW-Authenticate: Basic realm=\"test\"\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        if method != "HEAD" {
            stream.write_all(body).await?;
        }
        stream.flush().await?;
    }
}

fn answer<'a>(shared: &'a Shared, path: &str) -> (&'static str, &'static str, &'a [u8]) {
    if path == "/v2/" {
        return ("200 OK", "application/json", b"{}");
    }
    if path.contains("/manifests/") {
        shared.asked.fetch_add(1, Ordering::SeqCst);
        return ("200 OK", MANIFEST, &shared.manifest);
    }
    let digest = path.rsplit('/').next().unwrap_or_default();
    match shared.blobs.get(digest) {
        Some(blob) => ("200 OK", "application/octet-stream", blob),
        None => ("404 Not Found", "application/json", b"{}"),
    }
}
