//! What an authentic record says: data, alerts, handshake messages, or something that has no place.

use crate::alert::Alert;
use crate::failure::Failure;
use crate::handshake::{Assembly, Message};
use crate::header::ContentType;

/// Records without data, alerts that end nothing, and tickets that a peer may send before it is held to be a nuisance.
const PATIENCE: u8 = 32;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    /// The first so many octets of the output are what the peer's application says.
    Data(usize),
    /// Handshake messages, in their order; none where one is not whole yet.
    Messages(Vec<Message>),
    /// Nothing for anybody.
    Nothing,
    /// close_notify: all that the peer had to say has come (RFC 8446 6.1). Whatever follows is ignored.
    Closed,
    /// Not opened: a record before it has changed the keys. Prepare it again when the next ones are there.
    Again,
}

/// Judges contents in their order.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    assembly: Assembly,
    /// Records without data since the last with some.
    empty: u8,
    /// Alerts that ended nothing, and requests to renegotiate.
    warnings: u8,
}

/// Type and length of the content in the text of a TLS 1.3 record: what is before the last octet that is not zero
/// (RFC 8446 5.4).
pub(crate) fn inner(text: &[u8]) -> Result<(u8, usize), Failure> {
    let at = text.iter().rposition(|octet| *octet != 0).ok_or(Failure::NoContentType)?;
    Ok((text[at], at))
}

impl Judge {
    pub(crate) fn new(assembly: Assembly) -> Self {
        Self { assembly, ..Self::default() }
    }

    /// Judges the next content.
    pub(crate) fn judge(&mut self, kind: u8, content: &[u8]) -> Result<Incoming, Failure> {
        let typed = ContentType::from_code(kind)?;
        if typed != ContentType::Handshake && self.assembly.is_begun() {
            return Err(Failure::Interrupted(kind));
        }
        if typed != ContentType::Data && content.is_empty() {
            return Err(Failure::Empty(kind));
        }
        match typed {
            ContentType::Data if content.is_empty() => {
                count(&mut self.empty, Failure::EmptyFlood)?;
                Ok(Incoming::Nothing)
            }
            ContentType::Data => {
                self.empty = 0;
                Ok(Incoming::Data(content.len()))
            }
            ContentType::Alert => self.alert(content),
            ContentType::Handshake => self.handshake(content),
        }
    }

    /// In TLS 1.3 the level means nothing, and all but two alerts end the connection (RFC 8446 6). In TLS 1.2 warnings may
    /// be passed over (RFC 5246 7.2.2).
    fn alert(&mut self, content: &[u8]) -> Result<Incoming, Failure> {
        let [level, description] = *content else {
            return Err(Failure::MalformedAlert(content.len() as u16));
        };
        let alert = Alert::from_code(description);
        let passes = match self.assembly.is_tls13() {
            true => alert == Alert::USER_CANCELED,
            false => level == 1,
        };
        match passes {
            _ if alert == Alert::CLOSE_NOTIFY => Ok(Incoming::Closed),
            true => {
                count(&mut self.warnings, Failure::WarningFlood)?;
                Ok(Incoming::Nothing)
            }
            false => Err(Failure::PeerAlert(alert)),
        }
    }

    fn handshake(&mut self, content: &[u8]) -> Result<Incoming, Failure> {
        let messages = self.assembly.take(content)?;
        for message in &messages {
            if *message == Message::Renegotiate {
                count(&mut self.warnings, Failure::WarningFlood)?;
            }
        }
        Ok(Incoming::Messages(messages))
    }
}

fn count(counter: &mut u8, failure: Failure) -> Result<(), Failure> {
    *counter += 1;
    if *counter > PATIENCE { Err(failure) } else { Ok(()) }
}
