//! One IKE SA: SPIs, keys, path and window, whatever its state. Messages come in opened and go out sealed.

use ravelin_contract::secret::Secret;

use crate::context::Context;
use crate::crypto::{ChildSuite, CryptoError, IkeSuite};
use crate::fragment::{Progress, Reassembly};
use crate::input::{IkeId, Path};
use crate::keymat::{ChildKeys, IkeKeys, Nonces, Spis};
use crate::part::nat_detection::Nat;
use crate::policy::Peer;
use crate::record::{SaRecord, SuiteRecord};
use crate::sealed::{OpeningKey, Plain, SealingKey, Side};
use crate::window::{Arrival, Packets, Window};
use crate::wire::{ExchangeType, Header, IkeSpi, Message, Payload, Sealed};

/// Who began the IKE SA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// We did.
    Initiator,
    /// The peer did.
    Responder,
}

impl Role {
    fn side(self) -> Side {
        match self {
            Self::Initiator => Side::Initiator,
            Self::Responder => Side::Responder,
        }
    }
}

/// An authentic message, decrypted. What repeats, is incomplete or not authentic is [`Incoming::Nothing`].
#[derive(Debug)]
pub(crate) enum Incoming {
    /// Nothing to handle.
    Nothing,
    /// The peer's next request.
    Request {
        exchange: ExchangeType,
        id: u32,
        plain: Plain,
        /// The first 28 octets of the message.
        header: [u8; 28],
    },
    /// The awaited response.
    Response {
        plain: Plain,
        /// The first 28 octets of the message.
        header: [u8; 28],
    },
}

/// What went out in one message: IKE_INTERMEDIATE binds it to AUTH.
pub(crate) struct Sent {
    pub(crate) header: [u8; 28],
    pub(crate) plain: Plain,
}

/// Keys that only the first exchanges need.
#[derive(Debug)]
struct Early {
    keys: IkeKeys,
}

/// IVs that a restored IKE SA leaves out. Records are written before what they speak of is sent, so none is ever used twice; should
/// writing have failed unseen, this is more than could have been sent since.
const IV_RESERVE: u64 = 1 << 40;

/// Fragments of one message.
struct Pieces {
    message_id: u32,
    response: bool,
    /// The first octets of the first fragment.
    first: Option<[u8; 28]>,
    held: Reassembly,
}

/// One IKE SA.
pub(crate) struct IkeSa {
    pub(crate) id: IkeId,
    pub(crate) role: Role,
    pub(crate) initiator_spi: u64,
    pub(crate) responder_spi: u64,
    pub(crate) path: Path,
    /// Where the last authentic message came from and went to.
    pub(crate) arrived: Path,
    pub(crate) nat: Nat,
    /// Whether ESP goes in UDP.
    pub(crate) udp: bool,
    pub(crate) suite: IkeSuite,
    pub(crate) window: Window,
    /// Octets above which a message goes out in fragments, when the peer takes them.
    pub(crate) fragment_above: Option<u16>,
    /// Until both have proved themselves the peer is followed wherever an authentic message comes from.
    pub(crate) proved: bool,
    sk_d: Secret,
    protection: Protection,
    early: Option<Box<Early>>,
    sealing: SealingKey,
    opening: OpeningKey,
    pieces: Option<Box<Pieces>>,
}

impl std::fmt::Debug for IkeSa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IkeSa({} {:?} {})", self.id, self.role, self.suite)
    }
}

fn contexts(
    suite: &IkeSuite,
    keys: &IkeKeys,
    role: Role,
    first_iv: u64,
) -> Result<(SealingKey, OpeningKey), CryptoError> {
    let side = role.side();
    Ok((SealingKey::new(suite, keys, side, first_iv)?, OpeningKey::new(suite, keys, side.peer())?))
}

/// SK_ai, SK_ar, SK_ei and SK_er in this order: what a record of the IKE SA needs besides SK_d.
type Protection = Box<[Secret; 4]>;

fn protection(keys: &IkeKeys) -> Protection {
    Box::new([keys.ai.clone(), keys.ar.clone(), keys.ei.clone(), keys.er.clone()])
}

impl IkeSa {
    /// After IKE_SA_INIT. `spis` and `nonces` name the initiator's first.
    pub(crate) fn first(
        role: Role,
        spis: (u64, u64),
        path: Path,
        suite: IkeSuite,
        secret: &Secret,
        (ni, nr): (&[u8], &[u8]),
    ) -> Result<Self, CryptoError> {
        let keys = IkeKeys::initial(&suite, Nonces { initiator: ni, responder: nr }, to_spis(spis), secret);
        let window = match role {
            Role::Initiator => Window::starting_at(1, 0),
            Role::Responder => Window::starting_at(0, 1),
        };
        let mut sa = Self::with_keys(role, spis, path, suite, &keys, window, 0)?;
        sa.early = Some(Box::new(Early { keys }));
        Ok(sa)
    }

    fn with_keys(
        role: Role,
        (initiator_spi, responder_spi): (u64, u64),
        path: Path,
        suite: IkeSuite,
        keys: &IkeKeys,
        window: Window,
        first_iv: u64,
    ) -> Result<Self, CryptoError> {
        let (sealing, opening) = contexts(&suite, keys, role, first_iv)?;
        let ours = if role == Role::Initiator { initiator_spi } else { responder_spi };
        Ok(Self {
            id: IkeId(ours),
            role,
            initiator_spi,
            responder_spi,
            path,
            arrived: path,
            nat: Nat::default(),
            udp: false,
            suite,
            window,
            fragment_above: None,
            proved: false,
            sk_d: keys.d.clone(),
            protection: protection(keys),
            early: None,
            sealing,
            opening,
            pieces: None,
        })
    }

    /// The IKE SA that a rekey makes (RFC 7296 2.18). Its message numbers begin at 0.
    pub(crate) fn successor(
        &self,
        role: Role,
        spis: (u64, u64),
        suite: IkeSuite,
        secrets: &[Secret],
        (ni, nr): (&[u8], &[u8]),
    ) -> Result<Self, CryptoError> {
        // Only SK_d of the old SA goes into the new keys.
        let empty = || Secret::new(Vec::new());
        let old = IkeKeys {
            d: self.sk_d.clone(),
            ai: empty(),
            ar: empty(),
            ei: empty(),
            er: empty(),
            pi: empty(),
            pr: empty(),
        };
        let nonces = Nonces { initiator: ni, responder: nr };
        let keys = old.successor(self.suite.prf, &suite, nonces, to_spis(spis), secrets);
        let mut sa = Self::with_keys(role, spis, self.path, suite, &keys, Window::default(), 0)?;
        sa.arrived = self.path;
        sa.nat = self.nat;
        sa.udp = self.udp;
        sa.fragment_above = self.fragment_above;
        sa.proved = true;
        Ok(sa)
    }

    /// Keys after an additional key exchange (RFC 9370 2.2.2).
    pub(crate) fn add_secret(
        &mut self,
        secret: &Secret,
        (ni, nr): (&[u8], &[u8]),
    ) -> Result<(), CryptoError> {
        let Some(early) = &mut self.early else { return Err(CryptoError::Library) };
        let nonces = Nonces { initiator: ni, responder: nr };
        let keys = early.keys.intermediate(
            &self.suite,
            nonces,
            to_spis((self.initiator_spi, self.responder_spi)),
            secret,
        );
        (self.sealing, self.opening) = contexts(&self.suite, &keys, self.role, 0)?;
        self.protection = protection(&keys);
        self.sk_d = keys.d.clone();
        early.keys = keys;
        Ok(())
    }

    /// SK_pi or SK_pr, with a post-quantum pre-shared key in it where one is given (RFC 8784 3).
    pub(crate) fn sk_p(&self, side: Role, ppk: Option<&Secret>) -> Secret {
        let Some(early) = &self.early else { return Secret::new(Vec::new()) };
        let pick = |keys: &IkeKeys| if side == Role::Initiator { keys.pi.clone() } else { keys.pr.clone() };
        match ppk {
            None => pick(&early.keys),
            Some(ppk) => pick(&early.keys.with_ppk(self.suite.prf, ppk)),
        }
    }

    /// Both use the post-quantum pre-shared key: it goes into SK_d, SK_pi and SK_pr.
    pub(crate) fn mix_ppk(&mut self, ppk: &Secret) {
        if let Some(early) = &mut self.early {
            early.keys = early.keys.with_ppk(self.suite.prf, ppk);
            self.sk_d = early.keys.d.clone();
        }
    }

    /// Both have proved themselves: keys that only proofs need are wiped.
    pub(crate) fn now_proved(&mut self) {
        self.proved = true;
        self.early = None;
    }

    /// Keys of a child by nonces and, with PFS, key exchanges of its own.
    pub(crate) fn child_keys(
        &self,
        suite: &ChildSuite,
        secrets: &[Secret],
        (ni, nr): (&[u8], &[u8]),
    ) -> Result<ChildKeys, CryptoError> {
        let nonces = Nonces { initiator: ni, responder: nr };
        ChildKeys::derive(self.suite.prf, &self.sk_d, suite, nonces, secrets)
    }

    /// NATs that IKE_SA_INIT found. Who began goes on from port 4500 to port 4500 (RFC 7296 2.23), also for MOBIKE, whose
    /// later moves may lead through a NAT.
    pub(crate) fn meet_nat(&mut self, nat: Option<Nat>, peer: &Peer) {
        let Some(nat) = nat else { return };
        self.nat = nat;
        self.udp = nat.is_any() || peer.force_udp;
        let float = self.udp || peer.mobike;
        if float && self.role == Role::Initiator && self.path.remote.port() == 500 {
            self.path.local.set_port(4500);
            self.path.remote.set_port(4500);
        }
    }

    /// All that goes on after this process.
    pub(crate) fn record(&self) -> SaRecord {
        SaRecord {
            initiator: self.role == Role::Initiator,
            spis: (self.initiator_spi, self.responder_spi),
            path: self.path,
            nat: self.nat,
            udp: self.udp,
            suite: SuiteRecord::of(&self.suite),
            window: self.window.clone(),
            fragment_above: self.fragment_above,
            sk_d: self.sk_d.clone(),
            protection: (*self.protection).clone(),
            next_iv: self.sealing.next_iv(),
        }
    }

    /// Goes on from a record. IVs go on far beyond those that it knows of.
    pub(crate) fn restored(record: SaRecord) -> Result<Self, &'static str> {
        let suite = record.suite.suite().ok_or("its algorithms are not known")?;
        let role = if record.initiator { Role::Initiator } else { Role::Responder };
        let first_iv =
            record.next_iv.and_then(|iv| iv.checked_add(IV_RESERVE)).ok_or("its IVs are used up")?;
        let [ai, ar, ei, er] = record.protection;
        let none = || Secret::new(Vec::new());
        let keys = IkeKeys { d: record.sk_d, ai, ar, ei, er, pi: none(), pr: none() };
        let made = Self::with_keys(role, record.spis, record.path, suite, &keys, record.window, first_iv);
        let mut sa = made.map_err(|_| "its keys do not fit its algorithms")?;
        (sa.nat, sa.udp, sa.fragment_above, sa.proved) =
            (record.nat, record.udp, record.fragment_above, true);
        Ok(sa)
    }

    fn header(&self, exchange: ExchangeType, message_id: u32, response: bool) -> Header {
        Header {
            initiator_spi: IkeSpi(self.initiator_spi),
            responder_spi: IkeSpi(self.responder_spi),
            exchange,
            from_initiator: self.role == Role::Initiator,
            response,
            message_id,
        }
    }

    fn seal(&mut self, ctx: &mut Context<'_>, header: &Header, plain: &Plain) -> Packets {
        let limit = self.fragment_above.map_or(usize::MAX, usize::from);
        // A message that cannot be sealed is not sent: the peer's repetitions, then its patience, end the SA.
        self.sealing.seal_within(header, plain, limit, ctx.random).unwrap_or_else(|error| {
            ravelin_events::tell!(IKE_NOT_SEALED, ike = %self.id, %error);
            Packets::new()
        })
    }

    fn write(payloads: &[Payload<'_>]) -> Plain {
        Plain::write(payloads).unwrap_or_else(|error| {
            ravelin_events::tell!(IKE_NOT_SEALED, %error);
            Plain::write(&[]).expect("an empty message can be written")
        })
    }

    /// Sends a request and remembers it until it is answered.
    pub(crate) fn request(
        &mut self,
        ctx: &mut Context<'_>,
        exchange: ExchangeType,
        payloads: &[Payload<'_>],
    ) -> Sent {
        let header = self.header(exchange, self.window.next_request(), false);
        let plain = Self::write(payloads);
        let packets = self.seal(ctx, &header, &plain);
        ctx.send(self.path, &packets);
        let sent = Sent { header: first_octets(&packets), plain };
        let pace = ctx.policy.retransmission;
        self.window.sent(ctx.now, packets, &pace);
        sent
    }

    /// Answers a request, to where it came from.
    pub(crate) fn respond(
        &mut self,
        ctx: &mut Context<'_>,
        exchange: ExchangeType,
        id: u32,
        payloads: &[Payload<'_>],
    ) -> Sent {
        let header = self.header(exchange, id, true);
        let plain = Self::write(payloads);
        let packets = self.seal(ctx, &header, &plain);
        ctx.send(self.arrived, &packets);
        let sent = Sent { header: first_octets(&packets), plain };
        self.window.responded(packets);
        sent
    }

    /// Reads a datagram for this SA.
    pub(crate) fn receive(&mut self, ctx: &mut Context<'_>, path: Path, datagram: &[u8]) -> Incoming {
        let Ok(message) = Message::parse(datagram) else { return Incoming::Nothing };
        let header = message.header;
        let ours = header.initiator_spi == IkeSpi(self.initiator_spi)
            && header.responder_spi == IkeSpi(self.responder_spi)
            && header.from_initiator != (self.role == Role::Initiator);
        let Some(sealed) = message.sealed.filter(|_| ours) else { return Incoming::Nothing };
        if header.response {
            if !self.window.awaits(header.message_id, header.exchange) {
                return Incoming::Nothing;
            }
            let Some((plain, first)) = self.open(&header, &sealed, datagram) else {
                return Incoming::Nothing;
            };
            self.window.answered();
            self.came_from(path);
            return Incoming::Response { plain, header: first };
        }
        if !self.proved && self.role == Role::Initiator {
            // The responder's proof is still on its way, or judged: it will repeat what it asks.
            return Incoming::Nothing;
        }
        match self.window.judge(header.message_id) {
            Arrival::Outside => Incoming::Nothing,
            Arrival::Repeat => {
                self.repeat(ctx, path, &sealed);
                Incoming::Nothing
            }
            Arrival::New => {
                let Some((plain, first)) = self.open(&header, &sealed, datagram) else {
                    return Incoming::Nothing;
                };
                self.window.accepted();
                self.came_from(path);
                Incoming::Request { exchange: header.exchange, id: header.message_id, plain, header: first }
            }
        }
    }

    /// The last answer again, to where the repetition came from. Of fragments only the first one asks (RFC 7383 2.6.1).
    fn repeat(&mut self, ctx: &mut Context<'_>, path: Path, sealed: &Sealed<'_>) {
        let first = sealed.fragment.is_none_or(|fragment| fragment.number() == 1);
        if first && self.opening.open(sealed).is_ok() {
            let packets = self.window.last_response().clone();
            ctx.send(path, &packets);
        }
    }

    fn open(&mut self, header: &Header, sealed: &Sealed<'_>, datagram: &[u8]) -> Option<(Plain, [u8; 28])> {
        let first: [u8; 28] = *datagram.first_chunk()?;
        let Some(number) = sealed.fragment else {
            let plain = self.opening.open(sealed).ok()?;
            self.pieces = None;
            return Some((plain, first));
        };
        let (message_id, response) = (header.message_id, header.response);
        let same = |pieces: &Pieces| (pieces.message_id, pieces.response) == (message_id, response);
        if !self.pieces.as_deref().is_some_and(same) {
            let held = Reassembly::new();
            self.pieces = Some(Box::new(Pieces { message_id, response, first: None, held }));
        }
        let pieces = self.pieces.as_deref_mut()?;
        pieces.held.wants(number).ok()?;
        let plain = self.opening.open(sealed).ok()?;
        if number.number() == 1 {
            pieces.first = Some(first);
        }
        match pieces.held.add(number, plain).ok()? {
            Progress::Waiting => None,
            Progress::Whole(plain) => {
                let first = pieces.first;
                self.pieces = None;
                Some((plain, first?))
            }
        }
    }

    /// Only what was authentic and no repetition comes here. A peer behind a NAT is followed (RFC 7296 2.23); until both
    /// have proved themselves anybody is, since who began floats to port 4500.
    fn came_from(&mut self, path: Path) {
        self.arrived = path;
        if !self.proved {
            self.path = path;
        } else if self.nat.there && path.remote != self.path.remote && path.local.ip() == self.path.local.ip()
        {
            self.path.remote = path.remote;
        }
    }

    /// Octets held on the heap, without what the cryptographic library holds.
    pub(crate) fn heap(&self) -> usize {
        let protection = self.protection.iter().map(|key| size_of::<Secret>() + key.len()).sum::<usize>();
        self.window.heap()
            + protection
            + self.sk_d.len()
            + self.early.as_ref().map_or(0, |_| size_of::<Early>() + 7 * 64)
            + self.pieces.as_ref().map_or(0, |pieces| size_of::<Pieces>() + pieces.held.heap())
    }
}

fn first_octets(packets: &Packets) -> [u8; 28] {
    packets.first().and_then(|packet| packet.first_chunk()).copied().unwrap_or([0; 28])
}

fn to_spis((initiator, responder): (u64, u64)) -> Spis {
    Spis { initiator: IkeSpi(initiator), responder: IkeSpi(responder) }
}
