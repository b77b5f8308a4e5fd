//! Why a handshake failed, in plain words, with the alerts that went and came.

use ravelin_rings::revocation::Lookup;
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use crate::environment::Ours;
use crate::scope::{Hello, Notes, Refused};

/// A handshake that failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub struct Failure {
    /// Why.
    pub reason: Reason,
    /// Number of the alert that we sent (RFC 8446 6.2), if one went.
    pub alert_sent: Option<u8>,
    /// Number of the alert that the peer sent, if one came.
    pub alert_received: Option<u8>,
    /// Who could tell more of revocation; with that known the next handshake may succeed.
    pub wanted: Vec<Lookup>,
}

/// Why. The text is for people, [`Reason::code`] for programs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Nothing came within the time (row A36).
    #[error("the peer sent nothing within {0} s")]
    Silent(u64),
    /// It did not come to its end within the time.
    #[error("the handshake was not done within {0} s")]
    Slow(u64),
    /// The stream ended.
    #[error("the peer closed the connection during the handshake")]
    Closed,
    /// More octets than a handshake takes.
    #[error("the peer sent more than a handshake takes")]
    TooMuch,
    /// Octets that are no records.
    #[error("the peer does not speak TLS: it sent {0:?}")]
    NotTls(String),
    /// The peer said no.
    #[error("the peer refused with the alert {alert}{hint}")]
    Refused {
        /// Its name.
        alert: String,
        /// What it may mean.
        hint: String,
    },
    /// The peer's certificate is not believed.
    #[error("the peer's certificate is not believed ({code}): {problem}")]
    Certificate {
        /// As the judge has it.
        code: &'static str,
        /// In words.
        problem: String,
    },
    /// The peer showed none where one is due.
    #[error("the client showed no certificate, and must")]
    NoCertificate,
    /// Two lists have nothing in common.
    #[error("no common {what}: the peer has {theirs}; we have {ours}")]
    NoCommon {
        /// Which.
        what: &'static str,
        /// The peer's list.
        theirs: String,
        /// Ours.
        ours: String,
    },
    /// No certificate of ours can be shown.
    #[error("{0}")]
    NoIdentity(String),
    /// The key of ours could not be used.
    #[error("our key could not be used: {0}")]
    Signing(String),
    /// The peer broke the protocol.
    #[error("the peer broke the protocol: {0}")]
    Protocol(String),
    /// Something else.
    #[error("{0}")]
    Other(String),
}

impl Reason {
    /// A stable word for logs, metrics and scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Silent(_) => "silent",
            Self::Slow(_) => "slow",
            Self::Closed => "closed",
            Self::TooMuch => "too-much",
            Self::NotTls(_) => "not-tls",
            Self::Refused { .. } => "refused",
            Self::Certificate { code, .. } => code,
            Self::NoCertificate => "no-certificate",
            Self::NoCommon { what: "application protocol", .. } => "no-common-alpn",
            Self::NoCommon { what: "version", .. } => "no-common-version",
            Self::NoCommon { what: "suite", .. } => "no-common-suite",
            Self::NoCommon { what: "group", .. } => "no-common-group",
            Self::NoCommon { .. } => "no-common-scheme",
            Self::NoIdentity(_) => "no-identity",
            Self::Signing(_) => "signing",
            Self::Protocol(_) => "protocol",
            Self::Other(_) => "other",
        }
    }
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self { reason, alert_sent: None, alert_received: None, wanted: Vec::new() }
    }
}

/// What rustls' error means for a connection with these notes. `begin` is what the peer sent first, where nothing was eaten.
pub(crate) fn explain(error: &Error, notes: &mut Notes, ours: &Ours, begin: &[u8]) -> Failure {
    let hello = notes.hello.clone();
    let mut failure: Failure = match notes.refused.take() {
        Some(Refused::Certificate(code, problem, wanted)) => {
            let mut failure: Failure = Reason::Certificate { code, problem }.into();
            failure.wanted = wanted;
            failure
        }
        Some(Refused::NoIdentity(why)) => Reason::NoIdentity(why).into(),
        Some(Refused::Signing(why)) => Reason::Signing(why).into(),
        None => reason(error, hello.as_ref(), ours, begin).into(),
    };
    if let Error::AlertReceived(alert) = error {
        failure.alert_received = Some(u8::from(*alert));
    }
    failure
}

/// The alert that goes with an error where it goes encrypted, and cannot be read off the wire.
pub(crate) fn alert_for(error: &Error) -> Option<u8> {
    let alert: AlertDescription = match error {
        Error::InvalidCertificate(error) => CertificateError::into(error.clone()),
        Error::NoCertificatesPresented => AlertDescription::CertificateRequired,
        Error::DecryptError => AlertDescription::BadRecordMac,
        Error::NoApplicationProtocol => AlertDescription::NoApplicationProtocol,
        Error::PeerIncompatible(_) => AlertDescription::HandshakeFailure,
        _ => return None,
    };
    Some(u8::from(alert))
}

fn reason(error: &Error, hello: Option<&Hello>, ours: &Ours, begin: &[u8]) -> Reason {
    match error {
        Error::AlertReceived(alert) => refused(*alert, ours),
        Error::NoCertificatesPresented => Reason::NoCertificate,
        Error::PeerIncompatible(why) => incompatible(why, hello, ours),
        Error::NoApplicationProtocol => {
            no_common("application protocol", hello.map(|hello| &hello.alpn), &ours.alpn)
        }
        Error::InvalidCertificate(why) => {
            Reason::Certificate { code: "wrong-signature", problem: why.to_string() }
        }
        Error::InvalidMessage(_) if !begin.is_empty() && !(20..=23).contains(&begin[0]) => {
            Reason::NotTls(String::from_utf8_lossy(begin).into_owned())
        }
        Error::InvalidMessage(_)
        | Error::PeerMisbehaved(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::DecryptError
        | Error::PeerSentOversizedRecord => Reason::Protocol(error.to_string()),
        other => Reason::Other(other.to_string()),
    }
}

fn no_common(what: &'static str, theirs: Option<&Vec<String>>, ours: &[String]) -> Reason {
    let theirs = match theirs {
        Some(list) if !list.is_empty() => list.join(", "),
        _ => "none of ours".to_owned(),
    };
    Reason::NoCommon { what, theirs, ours: ours.join(", ") }
}

fn incompatible(why: &PeerIncompatible, hello: Option<&Hello>, ours: &Ours) -> Reason {
    // rustls looks for groups first, and clients that offer none of our suites may have no groups.
    let shares = |hello: &Hello| hello.suites.iter().any(|suite| ours.suites.contains(suite));
    match why {
        PeerIncompatible::NoCipherSuitesInCommon => {
            no_common("suite", hello.map(|hello| &hello.suites), &ours.suites)
        }
        PeerIncompatible::NoKxGroupsInCommon
            if hello.is_some_and(|hello| !hello.suites.is_empty() && !shares(hello)) =>
        {
            no_common("suite", hello.map(|hello| &hello.suites), &ours.suites)
        }
        PeerIncompatible::NoKxGroupsInCommon
        | PeerIncompatible::NamedGroupsExtensionRequired
        | PeerIncompatible::KeyShareExtensionRequired => {
            no_common("group", hello.map(|hello| &hello.groups), &ours.groups)
        }
        PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon
        | PeerIncompatible::SignatureAlgorithmsExtensionRequired => {
            no_common("signature scheme", hello.map(|hello| &hello.schemes), &ours.schemes)
        }
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled => no_common("version", None, &ours.versions),
        PeerIncompatible::ExtendedMasterSecretExtensionRequired => {
            Reason::Protocol("it does not bind the master secret to the handshake (RFC 7627)".to_owned())
        }
        other => Reason::Protocol(format!("{other:?}")),
    }
}

/// What an alert of the peer may mean.
fn refused(alert: AlertDescription, ours: &Ours) -> Reason {
    let hint = match alert {
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => format!(
            ": it may lack our suites ({}), groups ({}) or schemes ({})",
            ours.suites.join(", "),
            ours.groups.join(", "),
            ours.schemes.join(", ")
        ),
        AlertDescription::ProtocolVersion => {
            format!(": it lacks our versions ({})", ours.versions.join(", "))
        }
        AlertDescription::NoApplicationProtocol => {
            format!(": it lacks our application protocols ({})", ours.alpn.join(", "))
        }
        AlertDescription::UnrecognisedName => ": it does not serve the name that we asked for".to_owned(),
        AlertDescription::CertificateRequired => ": it wants a certificate of ours".to_owned(),
        AlertDescription::UnknownCA => ": it does not trust who issued our certificate".to_owned(),
        AlertDescription::BadCertificate
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::AccessDenied => ": it does not accept our certificate".to_owned(),
        _ => String::new(),
    };
    Reason::Refused { alert: format!("{alert:?}"), hint }
}
