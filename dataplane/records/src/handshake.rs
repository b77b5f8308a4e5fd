//! Handshake messages that may come after the handshake: NewSessionTicket and KeyUpdate (RFC 8446 4.6), and in TLS 1.2
//! the wish to renegotiate, which we never grant.

use ravelin_contract::limits;
use ravelin_contract::tls_session::{Role, Ticket, Version};

use crate::failure::Failure;

/// Octets before the body: type and length.
const HEADER_LEN: usize = 4;
const HELLO_REQUEST: u8 = 0;
const CLIENT_HELLO: u8 = 1;
const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;
/// Tickets of one connection that are handed on; what comes beyond is left aside.
const TICKETS: u8 = 32;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A ticket of the server's, for control.
    Ticket(Ticket),
    /// The peer has changed its keys; `answer` when we are to change ours.
    KeyUpdate {
        /// Whether it asks for ours.
        answer: bool,
    },
    /// The peer of a TLS 1.2 connection wants to renegotiate: it is told no_renegotiation (RFC 5246 7.2.2).
    Renegotiate,
}

/// Puts messages together that came in several records.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    /// Which messages may come.
    expects: Expects,
    /// The begin of a message whose end is missing. At most its header or as long as the header says.
    held: Vec<u8>,
    tickets: u8,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Expects {
    /// TLS 1.3, we are the client.
    #[default]
    TicketsAndUpdates,
    /// TLS 1.3, we are the server.
    Updates,
    /// TLS 1.2: a server may send HelloRequest, a client ClientHello.
    Renegotiation(u8),
}

impl Assembly {
    pub(crate) fn new(version: Version, role: Role) -> Self {
        let expects = match (version, role) {
            (Version::Tls13, Role::Client) => Expects::TicketsAndUpdates,
            (Version::Tls13, Role::Server) => Expects::Updates,
            (Version::Tls12, Role::Client) => Expects::Renegotiation(HELLO_REQUEST),
            (Version::Tls12, Role::Server) => Expects::Renegotiation(CLIENT_HELLO),
        };
        Self { expects, ..Self::default() }
    }

    /// Whether part of a message is held.
    pub(crate) fn is_begun(&self) -> bool {
        !self.held.is_empty()
    }

    pub(crate) fn is_tls13(&self) -> bool {
        !matches!(self.expects, Expects::Renegotiation(_))
    }

    /// Takes the content of one record; gives the messages that it makes whole.
    pub(crate) fn take(&mut self, mut content: &[u8]) -> Result<Vec<Message>, Failure> {
        let mut messages = Vec::new();
        while !content.is_empty() {
            let Some((kind, body)) = self.next(&mut content)? else { break };
            let message = self.message(kind, &body)?;
            let updates = matches!(message, Some(Message::KeyUpdate { .. }));
            messages.extend(message);
            if updates && !content.is_empty() {
                return Err(Failure::SpansKeys);
            }
        }
        Ok(messages)
    }

    /// Type and body of the next message, cut off from `content`.
    fn next(&mut self, content: &mut &[u8]) -> Result<Option<(u8, Vec<u8>)>, Failure> {
        self.fill(HEADER_LEN, content);
        let [kind, a, b, c, ..] = *self.held.as_slice() else { return Ok(None) };
        let length = u32::from_be_bytes([0, a, b, c]);
        self.check(kind, length)?;
        let whole = HEADER_LEN + length as usize;
        self.fill(whole, content);
        if self.held.len() < whole {
            return Ok(None);
        }
        let body = self.held.split_off(HEADER_LEN);
        self.held = Vec::new();
        Ok(Some((kind, body)))
    }

    /// Moves octets from `content` until `wanted` are held.
    fn fill(&mut self, wanted: usize, content: &mut &[u8]) {
        let missing = wanted.saturating_sub(self.held.len()).min(content.len());
        let (taken, rest) = content.split_at(missing);
        self.held.extend_from_slice(taken);
        *content = rest;
    }

    /// Refuses by the header what has no place, before any of it is kept.
    fn check(&self, kind: u8, length: u32) -> Result<(), Failure> {
        let welcome = match self.expects {
            Expects::TicketsAndUpdates => [NEW_SESSION_TICKET, KEY_UPDATE].contains(&kind),
            Expects::Updates => kind == KEY_UPDATE,
            Expects::Renegotiation(hello) => kind == hello,
        };
        match kind {
            _ if !welcome => Err(Failure::UnexpectedHandshake(kind)),
            KEY_UPDATE if length != 1 => Err(Failure::MalformedKeyUpdate(length)),
            _ if length as usize > limits::TLS_TICKET => Err(Failure::LongHandshake(length)),
            _ => Ok(()),
        }
    }

    fn message(&mut self, kind: u8, body: &[u8]) -> Result<Option<Message>, Failure> {
        match (kind, body) {
            (KEY_UPDATE, [asks @ (0 | 1)]) => Ok(Some(Message::KeyUpdate { answer: *asks == 1 })),
            (KEY_UPDATE, _) => Err(Failure::UnknownKeyUpdate(body.first().copied().unwrap_or_default())),
            (NEW_SESSION_TICKET, _) if self.tickets == TICKETS => Ok(None),
            (NEW_SESSION_TICKET, _) => {
                self.tickets += 1;
                Ok(Ticket::new(body.to_vec()).ok().map(Message::Ticket))
            }
            _ => Ok(Some(Message::Renegotiate)),
        }
    }
}

/// The message that says that our keys change.
pub(crate) fn key_update(ask_peer: bool) -> [u8; 5] {
    [KEY_UPDATE, 0, 0, 1, u8::from(ask_peer)]
}
