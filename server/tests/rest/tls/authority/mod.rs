//! A small certificate authority that speaks ACME (RFC 8555) and checks what it is told: nonces, signatures, and, by
//! connecting to the server, whether a domain is its own.

mod certificates;
mod jws;
mod order;
mod routes;
mod validation;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use certificates::Issuer;
use jws::Accounts;
use order::Order;

/// Ends when dropped.
pub struct Authority {
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

pub struct Shared {
    issuer: Issuer,
    port: u16,
    state: Mutex<State>,
    doors: watch::Sender<Option<Doors>>,
}

#[derive(Default)]
pub struct State {
    accounts: Accounts,
    orders: Vec<Order>,
    conduct: Conduct,
    lifetime: Option<Duration>,
}

/// The ports at which the server is looked for, in place of 80 and 443. `None` is not reached.
#[derive(Clone, Copy, Debug)]
pub struct Doors {
    pub http: Option<u16>,
    pub tls: Option<u16>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conduct {
    #[default]
    Honest,
    /// Issues certificates for a key of its own.
    WrongKey,
    /// Issues certificates for another name.
    WrongName,
    /// Has no certificate in its chain.
    Empty,
    /// Answers everything with an error in HTML.
    Unwell,
}

impl Authority {
    pub async fn start() -> Self {
        Self::of(Issuer::new(), 0).await
    }

    /// With a root that another one had, at a port of this machine; 0 is any free one.
    pub async fn of(issuer: Issuer, port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let config = issuer.server_config();
        let (doors, _) = watch::channel(None);
        let shared = Arc::new(Shared { issuer, port, state: Mutex::default(), doors });
        let https = Https { listener, acceptor: TlsAcceptor::from(Arc::<ServerConfig>::new(config)) };
        let router = routes::router(shared.clone());
        let serving = tokio::spawn(async move {
            axum::serve(https, router).await.expect("it serves");
        });
        Self { shared, serving }
    }

    pub fn directory(&self) -> String {
        self.shared.url("directory")
    }

    /// In PEM.
    pub fn root(&self) -> String {
        self.shared.issuer.root()
    }

    /// Where the server is; before it is said, validations wait.
    pub fn finds(&self, doors: Doors) {
        self.shared.doors.send_replace(Some(doors));
    }

    /// Validations wait again.
    pub fn loses(&self) {
        self.shared.doors.send_replace(None);
    }

    pub fn behave(&self, conduct: Conduct) {
        self.shared.state().conduct = conduct;
    }

    /// How long certificates live. Days, unless something else is said.
    pub fn issue_for(&self, lifetime: Duration) {
        self.shared.state().lifetime = Some(lifetime);
    }

    pub fn port(&self) -> u16 {
        self.shared.port
    }

    /// Ends, and leaves its root.
    pub async fn stop(mut self) -> Issuer {
        self.serving.abort();
        // Cancelled, which is what was wanted.
        let _ = (&mut self.serving).await;
        self.shared.issuer.clone()
    }

    pub fn forget_accounts(&self) {
        self.shared.state().accounts = Accounts::default();
    }

    pub fn accounts(&self) -> usize {
        self.shared.state().accounts.len()
    }

    /// The kind of challenge that proved each order so far; `None` for those that were not proved.
    pub fn proofs(&self) -> Vec<Option<&'static str>> {
        self.shared.state().orders.iter().map(Order::proof).collect()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Shared {
    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}/{path}", self.port)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }
}

struct Https {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Https {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, peer)) = self.listener.accept().await else { continue };
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
