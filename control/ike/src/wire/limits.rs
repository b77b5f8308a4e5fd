//! Every maximum of a message. What exceeds one is refused with its name, before anything is allocated for it.

/// Octets of a message: what a UDP datagram over IPv4 can carry.
pub const MESSAGE: usize = 65_507;
/// Octets of the IKE header (RFC 7296 3.1).
pub const HEADER: usize = 28;
/// Octets of the generic payload header (RFC 7296 3.2).
pub const PAYLOAD_HEADER: usize = 4;
/// Payloads of one chain. Long certificate chains with requests and address lists stay below 60.
pub const PAYLOADS: usize = 128;
/// Proposals in an SA payload. Peers that offer every combination on its own send about 40.
pub const PROPOSALS: usize = 64;
/// Transforms in a proposal.
pub const TRANSFORMS: usize = 128;
/// Attributes of a transform. One is in use, the key length.
pub const ATTRIBUTES: usize = 8;
/// Octets of a proposal's SPI: 8 for IKE, 4 for ESP and AH.
pub const PROPOSAL_SPI: usize = 8;
/// Octets of a nonce (RFC 7296 3.9).
pub const NONCE_MIN: usize = 16;
/// Octets of a nonce (RFC 7296 3.9).
pub const NONCE_MAX: usize = 256;
/// Octets of a key exchange. ML-KEM-1024 needs 1,568.
pub const KEY_EXCHANGE: usize = 4_096;
/// Octets of an identification.
pub const IDENTITY: usize = 2_048;
/// Octets of one certificate or revocation list.
pub const CERTIFICATE: usize = 32_768;
/// Octets of the authorities in a certificate request.
pub const AUTHORITIES: usize = 20 * 512;
/// Octets of an AUTH value. RSA with 8,192 bits needs 1,024 and its algorithm's name.
pub const AUTHENTICATION: usize = 8_192;
/// Octets of a notification's data.
pub const NOTIFY_DATA: usize = 8_192;
/// SPIs in one delete payload.
pub const DELETED: usize = 1_024;
/// Octets of a vendor ID.
pub const VENDOR_ID: usize = 1_024;
/// Traffic selectors of one side: its count is one octet.
pub const TRAFFIC_SELECTORS: usize = 255;
/// Attributes of a configuration payload.
pub const CONFIGURATION_ATTRIBUTES: usize = 128;
/// Octets of an EAP packet, one TLS record with its header above all.
pub const EAP: usize = 20_480;
/// Octets of a cookie (RFC 7296 2.6).
pub const COOKIE: usize = 64;
/// Fragments of one message (RFC 7383), enough for the greatest message at the least MTU.
pub const FRAGMENTS: u16 = 128;

const _: () = assert!(NONCE_MIN < NONCE_MAX && HEADER + PAYLOAD_HEADER < MESSAGE);
const _: () = assert!(CERTIFICATE < MESSAGE && EAP < MESSAGE && KEY_EXCHANGE < MESSAGE);
// 576 octets of IPv4 leave 460 and more for the inside of a fragment.
const _: () = assert!(FRAGMENTS as usize * 460 > MESSAGE / 2);
