use std::{
    net::Ipv6Addr,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tonic::{
    client::GrpcService,
    transport::{Channel, Endpoint},
};

use crate::{Error, WatchBuilder, proto::config_service_client::ConfigServiceClient};

/// Servers allow a ping each 10 s.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// One connection to one server, shared by all its watches and clones.
///
/// It is made when the first call needs it, and again whenever it was lost; a ping each 20 s while streams are open
/// notices a peer that vanished without a word. It closes when the client, its clones and its watches are gone.
#[derive(Clone, Debug)]
pub struct Client {
    connection: Arc<Connection>,
}

#[derive(Debug)]
struct Connection {
    endpoint: Endpoint,
    current: Mutex<Current>,
}

#[derive(Debug, Default)]
struct Current {
    channel: Option<Channel>,
    number: u64,
}

impl Client {
    /// A client of the server at `address`: `host:port`, `[v6]:port` or `unix:/path`, without TLS.
    ///
    /// Returns at once: nothing is connected yet, and no runtime is needed yet.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidAddress`]: it is none of these.
    pub fn connect(address: impl AsRef<str>) -> Result<Self, Error> {
        let address = address.as_ref();
        uri_of(address)
            .and_then(|uri| Endpoint::from_shared(uri).ok())
            .map(|endpoint| Self::from_endpoint(endpoint.connect_timeout(CONNECT_TIMEOUT)))
            .ok_or_else(|| Error::InvalidAddress(address.to_owned()))
    }

    /// A client of the server at `endpoint`, which may have TLS and whatever else tonic offers. Pings are set here.
    #[must_use]
    pub fn from_endpoint(endpoint: Endpoint) -> Self {
        let endpoint = endpoint
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(false);
        Self {
            connection: Arc::new(Connection {
                endpoint,
                current: Mutex::default(),
            }),
        }
    }

    /// Begins to describe a watch of the source called `source`. Nothing happens before
    /// [`WatchBuilder::start`].
    pub fn watch(&self, source: impl Into<String>) -> WatchBuilder {
        WatchBuilder::new(self.clone(), source.into())
    }

    /// The generated client on this connection, for the calls that are no watch: `GetSnapshot` and `ListSources`.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    #[must_use]
    pub fn grpc(&self) -> ConfigServiceClient<Channel> {
        ConfigServiceClient::new(self.channel().0)
    }

    /// The channel to make calls on, and its number.
    pub(crate) fn channel(&self) -> (Channel, u64) {
        let mut current = self.current();
        if current.channel.as_ref().is_some_and(is_over) {
            current.give_up();
        }
        let channel = current
            .channel
            .get_or_insert_with(|| self.connection.endpoint.connect_lazy());
        (channel.clone(), current.number)
    }

    /// Gives up the channel of this number if it is still the one in use: its peer has fallen silent, and would be
    /// waited for until a ping told. Streams that are open on it go on.
    pub(crate) fn give_up(&self, number: u64) {
        let mut current = self.current();
        if current.number == number {
            current.give_up();
        }
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Current> {
        // No half-made change can be seen: each is one assignment.
        self.connection.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    fn give_up(&mut self) {
        *self = Self {
            channel: None,
            number: self.number + 1,
        };
    }
}

/// The task behind a channel ends with the runtime in which the channel was made, and every call on it fails from then
/// on: it does not connect again.
fn is_over(channel: &Channel) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    matches!(channel.clone().poll_ready(&mut context), Poll::Ready(Err(_)))
}

/// `address` as tonic writes it.
fn uri_of(address: &str) -> Option<String> {
    if let Some(path) = address.strip_prefix("unix:") {
        return (!path.is_empty() && !path.contains('\0')).then(|| address.to_owned());
    }
    let (host, port) = address.rsplit_once(':')?;
    let host_is_one = match host.strip_prefix('[') {
        Some(v6) => v6.strip_suffix(']')?.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c)),
    };
    let port_is_one = port.chars().all(|c| c.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    (host_is_one && port_is_one).then(|| format!("http://{address}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_host_and_port_or_a_socket() {
        for (address, uri) in [
            ("localhost:50051", "http://localhost:50051"),
            ("127.0.0.1:1", "http://127.0.0.1:1"),
            ("[::1]:50051", "http://[::1]:50051"),
            (
                "confstream.kube-system.svc:65535",
                "http://confstream.kube-system.svc:65535",
            ),
            ("unix:/run/confstream.sock", "unix:/run/confstream.sock"),
            ("unix:relative.sock", "unix:relative.sock"),
        ] {
            assert_eq!(uri_of(address).as_deref(), Some(uri));
            assert!(Client::connect(address).is_ok(), "{address}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for address in [
            "",
            "host",
            ":50051",
            "host:",
            "host:0",
            "host:65536",
            "host:+1",
            "host:http",
            "::1:50051",
            "[::1]",
            "[::1:50051",
            "[host]:1",
            "http://host:1",
            "user@host:1",
            "host name:1",
            "host:1/path",
            "unix:",
            "unix:\0",
        ] {
            let error = Client::connect(address).expect_err(address);
            assert!(error.to_string().contains("neither host:port"), "{error}");
        }
    }
}
