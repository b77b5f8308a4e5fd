//! Every maximum of the product in one place, with the relations between them checked at compile time.

/// Longest message on the socket between the two processes, in octets.
pub const MESSAGE: usize = 1 << 20;
/// Longest name of a rule, tunnel, zone or port, in octets.
pub const NAME: usize = 64;
/// Most ports (network interfaces) of one gateway.
pub const PORTS: usize = 32;
/// Most worker threads.
pub const WORKERS: usize = 64;
/// Most zones.
pub const ZONES: usize = 255;
/// Most compiled rules in one generation.
pub const RULES: usize = 1 << 20;
/// Most tunnels in one generation.
pub const TUNNELS: usize = 1 << 20;
/// Most security associations in one generation, both directions together.
pub const SAS: usize = 1 << 22;
/// Most patterns of identities in one generation.
pub const IDENTITIES: usize = 1 << 16;
/// Longest pattern of identities, in octets.
pub const IDENTITY: usize = 512;
/// Most patterns of identities that one rule asks for, and that one peer may fit.
pub const FITTING: usize = 64;
/// Most traffic selectors of one SA (RFC 7296 3.13 counts them in one octet).
pub const SELECTORS: usize = 255;
/// Smallest anti-replay window, in packets (RFC 4303 3.4.3 asks for 32, prefers 64).
pub const REPLAY_WINDOW_MIN: u32 = 64;
/// Largest anti-replay window, in packets.
pub const REPLAY_WINDOW_MAX: u32 = 1 << 16;
/// Lowest SPI that may be used; 1 to 255 are reserved (RFC 4303 2.1).
pub const SPI_MIN: u32 = 256;
/// Longest key of any algorithm, in octets.
pub const KEY: usize = 64;
/// Most list entries in one message, so that any message fits [`MESSAGE`].
pub const ENTRIES: usize = 256;
/// Most ranges of addresses that the status of one negotiated SA names.
pub const LEADS_TO: usize = 16;
/// Most events that wait for control before the oldest are counted as lost.
pub const EVENTS: usize = 4096;
/// Milliseconds between two looks at how far negotiated SAs have come.
pub const CHILD_LOOK_MS: u64 = 50;
/// Most octets of content in a TLS record (RFC 8446 5.1).
pub const TLS_CONTENT: u16 = 1 << 14;
/// Least that a limit of TLS records may be (RFC 8449 4 asks for 64 with the content type, which is no content).
pub const TLS_CONTENT_MIN: u16 = 63;
/// TLS records are padded at most to a multiple of this.
pub const TLS_PADDING: u16 = 512;
/// Longest body of a TLS session ticket message that is kept, in octets.
pub const TLS_TICKET: usize = 1 << 14;
/// Most rules for TLS in one generation.
pub const TLS_RULES: usize = 1 << 16;
/// Most octets of a peer in one notice, and of what comes back in one order.
pub const TLS_CHUNK: usize = 2048;
/// Most octets of a peer that are on their way to a handshake.
pub const TLS_WINDOW: usize = 1 << 14;
/// Most octets of a handshake in one order.
pub const TLS_FLIGHT: usize = 1 << 14;
/// Most orders in one message, so that any message fits [`MESSAGE`].
pub const TLS_ORDERS: usize = 32;
/// Longest that the packet process lets control wait for notices, in milliseconds.
pub const TLS_WAIT_MS: u32 = 1000;

const _: () = assert!(TLS_ORDERS * (TLS_FLIGHT + 1024) <= MESSAGE);
const _: () = assert!(ENTRIES * (IDENTITY + 8) <= MESSAGE && FITTING * (IDENTITY + 8) <= MESSAGE / 8);
const _: () = assert!(ENTRIES * 2048 <= MESSAGE && ENTRIES * (TLS_CHUNK + 256) <= MESSAGE);
const _: () = assert!(REPLAY_WINDOW_MIN.is_multiple_of(64) && REPLAY_WINDOW_MAX.is_multiple_of(64));
