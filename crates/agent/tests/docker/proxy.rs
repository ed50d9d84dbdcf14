//! Stands between the runtime and the engine, to cut them off from each other.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    io::copy_bidirectional,
    net::{UnixListener, UnixStream},
    task::{AbortHandle, JoinHandle},
};

use crate::ground;

/// A socket that leads to the engine's.
pub struct Proxy {
    pub socket: PathBuf,
    shared: Arc<Shared>,
    listener: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    is_cut: AtomicBool,
    connections: Mutex<Vec<AbortHandle>>,
}

impl Proxy {
    pub fn start(folder: &Path) -> Self {
        let socket = folder.join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let shared = Arc::new(Shared::default());
        let listener = tokio::spawn(listen(listener, shared.clone()));
        Proxy { socket, shared, listener }
    }

    /// Ends all connections and refuses new ones, as an engine that restarts.
    pub fn cut(&self) {
        self.shared.is_cut.store(true, Ordering::SeqCst);
        self.shared.connections.lock().unwrap().drain(..).for_each(|connection| connection.abort());
    }

    pub fn heal(&self) {
        self.shared.is_cut.store(false, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        self.listener.abort();
    }
}

async fn listen(listener: UnixListener, shared: Arc<Shared>) {
    loop {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut connections = shared.connections.lock().unwrap();
        // Looked at under the lock, so that no connection slips past a cut.
        if shared.is_cut.load(Ordering::SeqCst) {
            continue;
        }
        let passing = tokio::spawn(async move {
            let mut far = UnixStream::connect(ground::socket()).await.unwrap();
            // Either side may go away at any time.
            let _ = copy_bidirectional(&mut near, &mut far).await;
        });
        connections.push(passing.abort_handle());
    }
}
