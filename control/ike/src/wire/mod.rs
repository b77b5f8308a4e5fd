//! IKE octets, both directions: [`Message::parse`] to read, [`Message::write`] to write, one file for each kind of payload.
//!
//! Nothing here knows keys, states or policy. Reading never panics and never allocates more than a small multiple of the
//! datagram; every maximum stands in [`limits`]. What was read and is written again gives the same value. Reserved bits and
//! octets are ignored when read and zero when written (RFC 7296 2.5).

mod code;
mod cursor;

pub mod authentication;
pub mod certificate;
pub mod configuration;
pub mod content;
pub mod eap;
pub mod error;
pub mod header;
pub mod identity;
pub mod key_exchange;
pub mod limits;
pub mod message;
pub mod notify;
pub mod payload;
pub mod security_association;
pub mod traffic_selector;
pub mod transform;

pub use authentication::{AuthMethod, Authentication, DigitalSignature};
pub use certificate::{Certificate, CertificateEncoding, CertificateRequest};
pub use configuration::{
    AttributeType, Configuration, ConfigurationAttribute, ConfigurationType, ConfigurationValue,
};
pub use content::{Announcement, Content, Gateway, SignatureHash};
pub use eap::{Eap, EapType};
pub use error::{ParseError, WriteError};
pub use header::{ExchangeType, Header, IkeSpi};
pub use identity::Identity;
pub use key_exchange::{KeyExchange, Nonce};
pub use message::{FragmentNumber, Message, Sealed};
pub use notify::{Delete, Notify, NotifyType};
pub use payload::{Payload, PayloadType, parse_chain, write_chain};
pub use security_association::{Proposal, ProposalSpi, ProtocolId, SecurityAssociation};
pub use traffic_selector::{Ports, TrafficSelector, TrafficSelectors};
pub use transform::{
    EncryptionId, GroupId, IntegrityId, PrfId, SequenceNumbers, Slot, Transform, TransformId,
};
