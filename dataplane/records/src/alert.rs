//! Alerts (RFC 8446 6, RFC 5246 7.2): two octets, a level and a description.

/// What an alert says. Peers may send numbers that have no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Alert(u8);

#[expect(missing_docs, reason = "the names are those of RFC 8446 6")]
impl Alert {
    pub const CLOSE_NOTIFY: Self = Self(0);
    pub const UNEXPECTED_MESSAGE: Self = Self(10);
    pub const BAD_RECORD_MAC: Self = Self(20);
    pub const RECORD_OVERFLOW: Self = Self(22);
    pub const ILLEGAL_PARAMETER: Self = Self(47);
    pub const DECODE_ERROR: Self = Self(50);
    pub const PROTOCOL_VERSION: Self = Self(70);
    pub const INTERNAL_ERROR: Self = Self(80);
    pub const USER_CANCELED: Self = Self(90);
    pub const NO_RENEGOTIATION: Self = Self(100);
}

/// Names by number, as the IANA registry has them.
const NAMES: &[(u8, &str)] = &[
    (0, "close_notify"),
    (10, "unexpected_message"),
    (20, "bad_record_mac"),
    (22, "record_overflow"),
    (40, "handshake_failure"),
    (42, "bad_certificate"),
    (43, "unsupported_certificate"),
    (44, "certificate_revoked"),
    (45, "certificate_expired"),
    (46, "certificate_unknown"),
    (47, "illegal_parameter"),
    (48, "unknown_ca"),
    (49, "access_denied"),
    (50, "decode_error"),
    (51, "decrypt_error"),
    (70, "protocol_version"),
    (71, "insufficient_security"),
    (80, "internal_error"),
    (86, "inappropriate_fallback"),
    (90, "user_canceled"),
    (100, "no_renegotiation"),
    (109, "missing_extension"),
    (110, "unsupported_extension"),
    (112, "unrecognized_name"),
    (113, "bad_certificate_status_response"),
    (115, "unknown_psk_identity"),
    (116, "certificate_required"),
    (120, "no_application_protocol"),
];

impl Alert {
    /// The alert of this number.
    pub fn from_code(code: u8) -> Self {
        Self(code)
    }

    /// Its number.
    pub fn code(self) -> u8 {
        self.0
    }

    /// Its name; `unknown` where the registry had none.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(code, _)| *code == self.0).map_or("unknown", |(_, name)| name)
    }

    /// Whether it ends nothing by itself; we send those with the level of a warning (RFC 8446 6.1, RFC 5246 7.2.2).
    pub(crate) fn is_warning(self) -> bool {
        [Self::CLOSE_NOTIFY, Self::USER_CANCELED, Self::NO_RENEGOTIATION].contains(&self)
    }

    /// Level and description as they are sent.
    pub(crate) fn octets(self) -> [u8; 2] {
        [if self.is_warning() { 1 } else { 2 }, self.0]
    }
}

impl std::fmt::Display for Alert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}
