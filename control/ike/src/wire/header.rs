//! The IKE header (RFC 7296 3.1): 28 octets, and a length that must be the datagram's exactly.

use super::code::code_points;
use super::cursor::Reader;
use super::error::ParseError;
use super::limits;
use super::payload::PayloadType;

code_points! {
    /// Which exchange a message belongs to.
    ExchangeType: u8 {
        IkeSaInit = 34 "IKE_SA_INIT",
        IkeAuth = 35 "IKE_AUTH",
        CreateChildSa = 36 "CREATE_CHILD_SA",
        Informational = 37 "INFORMATIONAL",
        SessionResume = 38 "IKE_SESSION_RESUME",
        Intermediate = 43 "IKE_INTERMEDIATE",
        FollowupKe = 44 "IKE_FOLLOWUP_KE",
    }
}

/// An IKE SPI: eight octets that its owner chose. Zero stands for "not known yet".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IkeSpi(pub u64);

impl IkeSpi {
    /// The responder's SPI in the first message.
    pub const ZERO: Self = Self(0);

    /// Whether it is zero.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Its octets on the wire.
    pub fn to_octets(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl std::fmt::Display for IkeSpi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl std::fmt::Debug for IkeSpi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IkeSpi({self})")
    }
}

/// What stands in every message before its payloads. Length and first payload follow from the payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Of the original initiator; never zero.
    pub initiator_spi: IkeSpi,
    /// Of the original responder; zero in the first request.
    pub responder_spi: IkeSpi,
    /// The exchange.
    pub exchange: ExchangeType,
    /// Whether the sender began this IKE SA (flag I).
    pub from_initiator: bool,
    /// Whether it is a response (flag R).
    pub response: bool,
    /// Number of the exchange, from 0, one count for each direction of requests.
    pub message_id: u32,
}

const VERSION_2: u8 = 0x20;
const FLAG_INITIATOR: u8 = 0x08;
const FLAG_RESPONSE: u8 = 0x20;

impl Header {
    /// The header of `datagram`, the type of its first payload, and the octets after the header.
    pub fn parse(datagram: &[u8]) -> Result<(Self, PayloadType, &[u8]), ParseError> {
        if datagram.len() > limits::MESSAGE {
            return Err(ParseError::Long(datagram.len()));
        }
        let mut reader = Reader::new(datagram);
        let (header, first, version, said) =
            Self::fields(&mut reader).ok_or(ParseError::Short(datagram.len()))?;
        match version >> 4 {
            2 => {}
            1 => return Err(ParseError::IkeV1(ikev1::Refused::new(datagram[18]))),
            other => return Err(ParseError::Version(other)),
        }
        if usize::try_from(said) != Ok(datagram.len()) {
            return Err(ParseError::Length { said, found: datagram.len() });
        }
        if header.initiator_spi.is_zero() {
            return Err(ParseError::NoSpi);
        }
        Ok((header, first, reader.rest()))
    }

    fn fields(reader: &mut Reader<'_>) -> Option<(Self, PayloadType, u8, u32)> {
        let initiator_spi = IkeSpi(reader.u64()?);
        let responder_spi = IkeSpi(reader.u64()?);
        let first = PayloadType::from(reader.u8()?);
        let version = reader.u8()?;
        let exchange = ExchangeType::from(reader.u8()?);
        let flags = reader.u8()?;
        let message_id = reader.u32()?;
        let length = reader.u32()?;
        let header = Self {
            initiator_spi,
            responder_spi,
            exchange,
            from_initiator: flags & FLAG_INITIATOR != 0,
            response: flags & FLAG_RESPONSE != 0,
            message_id,
        };
        Some((header, first, version, length))
    }

    /// Its 28 octets before a message of `length` octets in all that begins with payload `first`.
    pub fn to_octets(&self, first: PayloadType, length: u32) -> [u8; limits::HEADER] {
        let mut out = [0; limits::HEADER];
        out[..8].copy_from_slice(&self.initiator_spi.to_octets());
        out[8..16].copy_from_slice(&self.responder_spi.to_octets());
        out[16] = first.into();
        out[17] = VERSION_2;
        out[18] = self.exchange.into();
        out[19] = u8::from(self.from_initiator) * FLAG_INITIATOR + u8::from(self.response) * FLAG_RESPONSE;
        out[20..24].copy_from_slice(&self.message_id.to_be_bytes());
        out[24..].copy_from_slice(&length.to_be_bytes());
        out
    }

    /// The header of the answer to this request.
    pub fn answer(&self) -> Self {
        Self { from_initiator: !self.from_initiator, response: true, ..*self }
    }
}

impl std::fmt::Display for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.response { "response" } else { "request" };
        write!(f, "{} {kind} {}", self.exchange, self.message_id)
    }
}

/// IKEv1 (RFC 2409), recognised to be refused in plain words.
pub mod ikev1 {
    /// What an IKEv1 peer tried.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Refused {
        exchange: u8,
    }

    impl Refused {
        pub(super) fn new(exchange: u8) -> Self {
            Self { exchange }
        }

        /// The name of the exchange that the peer tried.
        pub fn exchange(&self) -> &'static str {
            match self.exchange {
                1 => "Base",
                2 => "Main Mode",
                4 => "Aggressive Mode",
                5 => "Informational",
                6 => "Transaction",
                32 => "Quick Mode",
                _ => "unknown exchange",
            }
        }
    }

    impl std::fmt::Display for Refused {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(
                f,
                "the peer speaks IKEv1 ({}), which is obsolete (RFC 9395); set it to IKEv2",
                self.exchange()
            )
        }
    }
}
