//! Notify and delete payloads (RFC 7296 3.10, 3.11). What stands in a notification's data is in [`super::content`].

use std::borrow::Cow;

use super::code::code_points;
use super::cursor::{Body, Reader, at_most};
use super::error::WriteError;
use super::limits;
use super::security_association::{ProposalSpi, ProtocolId};

code_points! {
    /// What is notified. Errors are below 16,384.
    NotifyType: u16 {
        UnsupportedCriticalPayload = 1 "UNSUPPORTED_CRITICAL_PAYLOAD",
        InvalidIkeSpi = 4 "INVALID_IKE_SPI",
        InvalidMajorVersion = 5 "INVALID_MAJOR_VERSION",
        InvalidSyntax = 7 "INVALID_SYNTAX",
        InvalidMessageId = 9 "INVALID_MESSAGE_ID",
        InvalidSpi = 11 "INVALID_SPI",
        NoProposalChosen = 14 "NO_PROPOSAL_CHOSEN",
        InvalidKePayload = 17 "INVALID_KE_PAYLOAD",
        AuthenticationFailed = 24 "AUTHENTICATION_FAILED",
        SinglePairRequired = 34 "SINGLE_PAIR_REQUIRED",
        NoAdditionalSas = 35 "NO_ADDITIONAL_SAS",
        InternalAddressFailure = 36 "INTERNAL_ADDRESS_FAILURE",
        FailedCpRequired = 37 "FAILED_CP_REQUIRED",
        TsUnacceptable = 38 "TS_UNACCEPTABLE",
        InvalidSelectors = 39 "INVALID_SELECTORS",
        UnacceptableAddresses = 40 "UNACCEPTABLE_ADDRESSES",
        UnexpectedNatDetected = 41 "UNEXPECTED_NAT_DETECTED",
        TemporaryFailure = 43 "TEMPORARY_FAILURE",
        ChildSaNotFound = 44 "CHILD_SA_NOT_FOUND",
        InvalidGroupId = 45 "INVALID_GROUP_ID",
        AuthorizationFailed = 46 "AUTHORIZATION_FAILED",
        StateNotFound = 47 "STATE_NOT_FOUND",
        TsMaxQueue = 48 "TS_MAX_QUEUE",
        InitialContact = 16384 "INITIAL_CONTACT",
        SetWindowSize = 16385 "SET_WINDOW_SIZE",
        AdditionalTsPossible = 16386 "ADDITIONAL_TS_POSSIBLE",
        IpcompSupported = 16387 "IPCOMP_SUPPORTED",
        NatDetectionSourceIp = 16388 "NAT_DETECTION_SOURCE_IP",
        NatDetectionDestinationIp = 16389 "NAT_DETECTION_DESTINATION_IP",
        Cookie = 16390 "COOKIE",
        UseTransportMode = 16391 "USE_TRANSPORT_MODE",
        HttpCertLookupSupported = 16392 "HTTP_CERT_LOOKUP_SUPPORTED",
        RekeySa = 16393 "REKEY_SA",
        EspTfcPaddingNotSupported = 16394 "ESP_TFC_PADDING_NOT_SUPPORTED",
        NonFirstFragmentsAlso = 16395 "NON_FIRST_FRAGMENTS_ALSO",
        MobikeSupported = 16396 "MOBIKE_SUPPORTED",
        AdditionalIp4Address = 16397 "ADDITIONAL_IP4_ADDRESS",
        AdditionalIp6Address = 16398 "ADDITIONAL_IP6_ADDRESS",
        NoAdditionalAddresses = 16399 "NO_ADDITIONAL_ADDRESSES",
        UpdateSaAddresses = 16400 "UPDATE_SA_ADDRESSES",
        Cookie2 = 16401 "COOKIE2",
        NoNatsAllowed = 16402 "NO_NATS_ALLOWED",
        AuthLifetime = 16403 "AUTH_LIFETIME",
        MultipleAuthSupported = 16404 "MULTIPLE_AUTH_SUPPORTED",
        AnotherAuthFollows = 16405 "ANOTHER_AUTH_FOLLOWS",
        RedirectSupported = 16406 "REDIRECT_SUPPORTED",
        Redirect = 16407 "REDIRECT",
        RedirectedFrom = 16408 "REDIRECTED_FROM",
        EapOnlyAuthentication = 16417 "EAP_ONLY_AUTHENTICATION",
        ChildlessSupported = 16418 "CHILDLESS_IKEV2_SUPPORTED",
        QuickCrashDetection = 16419 "QUICK_CRASH_DETECTION",
        MessageIdSyncSupported = 16420 "IKEV2_MESSAGE_ID_SYNC_SUPPORTED",
        ReplayCounterSyncSupported = 16421 "IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED",
        MessageIdSync = 16422 "IKEV2_MESSAGE_ID_SYNC",
        ReplayCounterSync = 16423 "IPSEC_REPLAY_COUNTER_SYNC",
        FragmentationSupported = 16430 "IKEV2_FRAGMENTATION_SUPPORTED",
        SignatureHashAlgorithms = 16431 "SIGNATURE_HASH_ALGORITHMS",
        UsePpk = 16435 "USE_PPK",
        PpkIdentity = 16436 "PPK_IDENTITY",
        NoPpkAuth = 16437 "NO_PPK_AUTH",
        IntermediateExchangeSupported = 16438 "INTERMEDIATE_EXCHANGE_SUPPORTED",
        Ip4Allowed = 16439 "IP4_ALLOWED",
        Ip6Allowed = 16440 "IP6_ALLOWED",
        AdditionalKeyExchange = 16441 "ADDITIONAL_KEY_EXCHANGE",
        UseAggfrag = 16442 "USE_AGGFRAG",
        SupportedAuthMethods = 16443 "SUPPORTED_AUTH_METHODS",
        SaResourceInfo = 16444 "SA_RESOURCE_INFO",
    }
}

impl NotifyType {
    /// Whether it says that something failed (RFC 7296 3.10.1).
    pub fn is_error(self) -> bool {
        u16::from(self) < 16_384
    }
}

/// One notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify<'a> {
    /// What.
    pub kind: NotifyType,
    /// The protocol of the SA that is spoken of, when `spi` is there.
    pub protocol: Option<ProtocolId>,
    /// The SA that is spoken of.
    pub spi: ProposalSpi,
    /// Octets whose form follows from `kind`: see [`super::content::Content`].
    pub data: Cow<'a, [u8]>,
}

impl<'a> Notify<'a> {
    /// Without an SA.
    pub fn new(kind: NotifyType, data: impl Into<Cow<'a, [u8]>>) -> Self {
        Self { kind, protocol: None, spi: ProposalSpi::None, data: data.into() }
    }

    /// About one child SA: `REKEY_SA`, `CHILD_SA_NOT_FOUND`.
    pub fn about_child(kind: NotifyType, protocol: ProtocolId, spi: u32) -> Self {
        Self { kind, protocol: Some(protocol), spi: ProposalSpi::Child(spi), data: Cow::Borrowed(&[]) }
    }

    pub(super) fn parse(octets: &'a [u8]) -> Body<Self> {
        let mut reader = Reader::new(octets);
        let short = "ends before its data";
        let protocol = reader.u8().ok_or(short)?;
        let spi_len = reader.u8().ok_or(short)?;
        let kind = NotifyType::from(reader.u16().ok_or(short)?);
        let spi = ProposalSpi::parse(reader.take(spi_len.into()).ok_or(short)?)?;
        let data = reader.rest();
        at_most(data.len(), limits::NOTIFY_DATA, "the data is too long")?;
        // Zero stands for "none"; RFC 7296 3.10 asks to ignore the field when there is no SPI, so any number is kept.
        let protocol = (protocol != 0).then(|| protocol.into());
        Ok(Self { kind, protocol, spi, data: data.into() })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), WriteError> {
        at_most(self.data.len(), limits::NOTIFY_DATA, "a notification's data is too long")
            .map_err(WriteError)?;
        if self.protocol == Some(ProtocolId::Unknown(0)) {
            return Err(WriteError("protocol 0 is written as none"));
        }
        out.extend_from_slice(&[self.protocol.map_or(0, u8::from), self.spi.len()]);
        out.extend_from_slice(&u16::from(self.kind).to_be_bytes());
        self.spi.write(out);
        out.extend_from_slice(&self.data);
        Ok(())
    }
}

/// What a side has deleted of its inbound SAs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delete {
    /// The IKE SA itself with all that it holds.
    Ike,
    /// Child SAs of one protocol, by the SPIs that the sender receives with.
    Children {
        /// ESP or AH.
        protocol: ProtocolId,
        /// Their SPIs.
        spis: Vec<u32>,
    },
}

impl Delete {
    pub(super) fn parse(octets: &[u8]) -> Body<Self> {
        let mut reader = Reader::new(octets);
        let short = "ends before its SPIs";
        let protocol = ProtocolId::from(reader.u8().ok_or(short)?);
        let spi_len = reader.u8().ok_or(short)?;
        let count = usize::from(reader.u16().ok_or(short)?);
        match (protocol, spi_len) {
            (ProtocolId::Ike, 0) if count == 0 && reader.is_empty() => Ok(Self::Ike),
            (ProtocolId::Ah | ProtocolId::Esp, 4) if count * 4 == reader.left() => {
                at_most(count, limits::DELETED, "too many SPIs")?;
                let spis =
                    reader.rest().as_chunks::<4>().0.iter().map(|spi| u32::from_be_bytes(*spi)).collect();
                Ok(Self::Children { protocol, spis })
            }
            _ => Err("protocol, length and number of SPIs contradict each other"),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), WriteError> {
        match self {
            Self::Ike => out.extend_from_slice(&[ProtocolId::Ike.into(), 0, 0, 0]),
            Self::Children { protocol: protocol @ (ProtocolId::Ah | ProtocolId::Esp), spis } => {
                at_most(spis.len(), limits::DELETED, "too many SPIs").map_err(WriteError)?;
                let count = u16::try_from(spis.len()).map_err(|_| WriteError("too many SPIs"))?;
                out.extend_from_slice(&[(*protocol).into(), 4]);
                out.extend_from_slice(&count.to_be_bytes());
                spis.iter().for_each(|spi| out.extend_from_slice(&spi.to_be_bytes()));
            }
            Self::Children { .. } => return Err(WriteError("a child SA is neither ESP nor AH")),
        }
        Ok(())
    }
}
