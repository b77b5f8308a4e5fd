//! Every bound and every number of the splice that an operator or a test may choose.

use crate::time::ticks;

/// Bounds and times. [`Limits::default`] suits one worker of an appliance.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once.
    pub flows: u32,
    /// Half-open connections at once.
    pub openings: u32,
    /// Half-open connections from which on SYNs are answered with cookies, so that a flood leaves room for who is there.
    pub cookies_above: u32,
    /// Received frames that one leg may hold out of order.
    pub out_of_order: u16,
    /// Octets that one direction of one connection may hold: received, unsent and unacknowledged together.
    pub budget: u32,
    /// Free frames below which nothing is held out of order, and half below which no window opens.
    pub reserve: u32,
    /// Octets left free before the data of a frame that we fill: link, IP and TCP headers and what is put around them.
    pub headroom: u16,
    /// Largest IP packet towards client and server.
    pub mtu: [u16; 2],
    /// Octets by which the largest segment that we announce is below what the link takes, so that what a relay puts around a
    /// received segment still fits one that is sent.
    pub growth: u16,
    /// Resets in answer to segments without a flow, per second.
    pub resets_per_second: u32,
    /// Milliseconds after which a half-open connection is forgotten.
    pub opening_ms: u32,
    /// Milliseconds that TIME-WAIT lasts (RFC 9293: twice the maximum segment lifetime).
    pub time_wait_ms: u32,
    /// Milliseconds of silence after which a keepalive is sent; 0 sends none.
    pub keepalive_ms: u32,
    /// Milliseconds between keepalives that stay without answer.
    pub keepalive_interval_ms: u32,
    /// Unanswered keepalives after which both legs are reset.
    pub keepalive_probes: u8,
    /// Retransmissions of one segment, or window probes, after which both legs are reset (RFC 9293 3.8.3, R2).
    pub retries: u8,
    /// Shift of the windows that we announce (RFC 7323 2.2).
    pub scale: u8,
    /// Whether to verify checksums; only what has verified them before may turn this off.
    pub verify: bool,
    /// Keys of the flow table's hash and of time stamp offsets; random in the product.
    pub secret: [u64; 2],
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            flows: 10_000,
            openings: 4_096,
            cookies_above: 2_048,
            out_of_order: 256,
            budget: 1 << 20,
            reserve: 256,
            headroom: 160,
            mtu: [1_500; 2],
            growth: 0,
            resets_per_second: 100,
            opening_ms: 75_000,
            time_wait_ms: 60_000,
            keepalive_ms: 7_200_000,
            keepalive_interval_ms: 75_000,
            keepalive_probes: 9,
            retries: 15,
            scale: 7,
            verify: true,
            secret: [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344],
        }
    }
}

impl Limits {
    pub(crate) fn time_wait_ticks(&self) -> u32 {
        ticks(self.time_wait_ms)
    }

    pub(crate) fn opening_ticks(&self) -> u32 {
        ticks(self.opening_ms)
    }
}
