//! The settings of an endpoint. The defaults are those of PROTOCOL 2; tests shorten the times.

use std::time::Duration;

/// How an endpoint behaves. Each field may be changed before the endpoint is bound.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// Whether quiet links are kept alive, until [`Endpoint::set_keep_alive`](super::Endpoint::set_keep_alive) says
    /// otherwise. Only in the foreground.
    pub keep_alive: bool,
    /// How long a link may be quiet before something is sent to keep it alive. 15 s.
    pub keep_alive_after: Duration,
    /// How long nothing may come before a link is given up. 30 s.
    pub idle: Duration,
    /// When a connection that has not proved itself ends, counted from its acceptance, whatever it did. 10 s.
    pub mute: Duration,
    /// How long a dial may take altogether. 10 s.
    pub dial: Duration,
    /// Most connections accepted and not proved. 32.
    pub unproven: usize,
    /// Most of them from one address (of IPv6: one /64). 4.
    pub unproven_per_address: usize,
    /// Most of them through one door. 4.
    pub unproven_per_door: usize,
    /// From so many on, an address must prove itself by a Retry first. 8.
    pub retry_from: usize,
    /// Most frames waiting to be sent on one link. 1 024.
    pub queue_frames: usize,
    /// Most bytes waiting to be sent on one link. 1 MiB.
    pub queue_bytes: usize,
    /// Most bytes given to QUIC and not yet acknowledged, per link: what an urgent frame can not overtake. 512 KiB.
    pub send_window: u64,
    /// Most bytes a friend may send ahead of what the node has taken, per link. 512 KiB.
    pub receive_window: u32,
}

impl Default for EndpointConfig {
    fn default() -> EndpointConfig {
        EndpointConfig {
            keep_alive: true,
            keep_alive_after: Duration::from_secs(15),
            idle: Duration::from_secs(30),
            mute: Duration::from_secs(10),
            dial: Duration::from_secs(10),
            unproven: 32,
            unproven_per_address: 4,
            unproven_per_door: 4,
            retry_from: 8,
            queue_frames: 1024,
            queue_bytes: 1 << 20,
            send_window: 512 * 1024,
            receive_window: 512 * 1024,
        }
    }
}
