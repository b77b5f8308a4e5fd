//! A peer that knows the shared key and keeps no rule: it seals whatever it is given, in any state.

use std::net::SocketAddr;

use ravelin_contract::address::{AddressRange, NumberRange};
use ravelin_ike::crypto::auth::{shared_key_payload, signature_payload};
use ravelin_ike::crypto::{
    AdditionalGroups, ChildCipher, ChildSuite, Cipher, Group, IkeSuite, KeyPair, KeySize, Prf, Random,
    Secret, SignatureScheme, SignedOctets,
};
use ravelin_ike::keymat::{IkeKeys, Nonces, Spis};
use ravelin_ike::sealed::{OpeningKey, Plain, SealingKey, Side};
use ravelin_ike::wire::{
    AttributeType, Authentication, Certificate, Configuration, ConfigurationAttribute, ConfigurationType,
    ConfigurationValue, Content, ExchangeType, Header, Identity, IkeSpi, KeyExchange, Message, Nonce, Notify,
    NotifyType, Payload, PayloadType, Ports, Proposal, ProposalSpi, SecurityAssociation, SignatureHash, Slot,
    TrafficSelector, TrafficSelectors,
};

use super::login::Talk;
use super::rules::Proofs;

/// What both sides prove themselves with.
pub(crate) const SHARED_KEY: &[u8] = b"correct horse battery staple";
/// What whoever logs in by EAP knows.
pub(crate) const PASSWORD: &str = "Tr0ub4dor & 3";
/// How it wants further key exchanges to go on.
const LINK: [u8; 5] = *b"chain";
/// The peer's nonces.
const NONCE: [u8; 32] = [0x5a; 32];
/// Its SPI of the IKE SA.
const SPI: u64 = 0x4d61_6c6c_6f72_7921;
/// Its SPI of the first child.
pub(crate) const CHILD: u32 = 0x0bad_cafe;

/// The address that it gives.
const GIVEN: [u8; 4] = [10, 1, 0, 7];

/// Keys, once IKE_SA_INIT is over.
struct Keys {
    sealing: SealingKey,
    opening: OpeningKey,
    all: IkeKeys,
}

/// The peer.
pub(crate) struct Mallory {
    /// Where it is.
    pub(crate) at: SocketAddr,
    initiator: bool,
    spis: Spis,
    /// The algorithms of the first IKE SA.
    pub(crate) suite: IkeSuite,
    pair: Option<KeyPair>,
    request: Vec<u8>,
    response: Vec<u8>,
    their_nonce: Vec<u8>,
    keys: Option<Keys>,
    /// Number of its next request.
    pub(crate) next_id: u32,
    /// Number and exchange of the last request that came.
    pub(crate) asked: Option<(u32, ExchangeType)>,
    talk: Talk,
    /// How the endpoint wants further key exchanges to go on.
    link: Vec<u8>,
}

/// The algorithms of the first IKE SA.
pub(crate) fn suite() -> IkeSuite {
    IkeSuite {
        cipher: Cipher::AesGcm16(KeySize::Bits128),
        integrity: None,
        prf: Prf::HmacSha256,
        group: Group::Curve25519,
        additional: AdditionalGroups::NONE,
    }
}

/// The algorithms of a child.
pub(crate) fn child_suite(group: Option<Group>) -> ChildSuite {
    ChildSuite {
        cipher: ChildCipher::AesGcm16(KeySize::Bits128),
        integrity: None,
        group,
        additional: AdditionalGroups::NONE,
        extended_sequence: true,
    }
}

/// Traffic of 10.`net`.0.0/16.
fn selectors(net: u8) -> TrafficSelectors {
    of(AddressRange::prefix([10, net, 0, 0].into(), 16).expect("a prefix"))
}

fn of(addresses: AddressRange) -> TrafficSelectors {
    TrafficSelectors::new(vec![TrafficSelector {
        protocol: 0,
        ports: Ports::Range(NumberRange::ALL),
        addresses,
    }])
}

impl Mallory {
    pub(crate) fn new(at: SocketAddr, initiator: bool, proofs: Proofs) -> Self {
        let own = IkeSpi(SPI);
        let spis = match initiator {
            true => Spis { initiator: own, responder: IkeSpi::ZERO },
            false => Spis { initiator: IkeSpi::ZERO, responder: own },
        };
        Self {
            at,
            initiator,
            spis,
            suite: suite(),
            pair: None,
            request: Vec::new(),
            response: Vec::new(),
            their_nonce: Vec::new(),
            keys: None,
            next_id: u32::from(initiator),
            asked: None,
            talk: Talk::new(initiator, proofs),
            link: LINK.to_vec(),
        }
    }

    fn first_header(&self, response: bool) -> Header {
        Header {
            initiator_spi: self.spis.initiator,
            responder_spi: self.spis.responder,
            exchange: ExchangeType::IkeSaInit,
            from_initiator: self.initiator,
            response,
            message_id: 0,
        }
    }

    fn first_payloads(&self, share: &[u8]) -> Vec<Payload<'static>> {
        let proposals = vec![self.suite.to_proposal(1, ProposalSpi::None)];
        let ke = KeyExchange { group: self.suite.group.id(), data: share.to_vec().into() };
        let mut payloads = vec![
            Payload::SecurityAssociation(SecurityAssociation { proposals }),
            Payload::KeyExchange(ke),
            Payload::Nonce(Nonce::new(NONCE.to_vec()).expect("a nonce")),
            Payload::Notify(Content::SignatureHashes(vec![SignatureHash::Identity]).notify()),
        ];
        if !self.suite.additional.is_empty() {
            let kind = NotifyType::IntermediateExchangeSupported;
            payloads.push(Payload::Notify(Notify::new(kind, Vec::new())));
        }
        payloads
    }

    /// IKE_SA_INIT as an honest initiator sends it.
    pub(crate) fn begin(&mut self, random: &mut dyn Random) -> Vec<u8> {
        let pair = KeyPair::generate(self.suite.group, random).expect("a share");
        let payloads = self.first_payloads(pair.share());
        self.pair = Some(pair);
        self.request = Message::write(&self.first_header(false), &payloads).expect("fits");
        self.request.clone()
    }

    /// Reads the answer to it; or, as a responder, the request, and answers.
    pub(crate) fn meet(&mut self, datagram: &[u8], random: &mut dyn Random) -> Option<Vec<u8>> {
        let message = Message::parse(datagram).ok()?;
        let find =
            |wanted: PayloadType| message.payloads.iter().find(move |payload| payload.kind() == wanted);
        let Some(Payload::KeyExchange(ke)) = find(PayloadType::KeyExchange) else { return None };
        let Some(Payload::Nonce(nonce)) = find(PayloadType::Nonce) else { return None };
        self.their_nonce = nonce.octets().to_vec();
        if self.initiator {
            self.spis.responder = message.header.responder_spi;
            self.response = datagram.to_vec();
            let secret = self.pair.take()?.finish(&ke.data).ok()?;
            self.derive(&secret);
            return None;
        }
        self.spis.initiator = message.header.initiator_spi;
        self.request = datagram.to_vec();
        let (share, secret) = self.suite.group.respond(&ke.data, random).ok()?;
        self.response = Message::write(&self.first_header(true), &self.first_payloads(&share)).expect("fits");
        self.derive(&secret);
        Some(self.response.clone())
    }

    fn nonces(&self) -> Nonces<'_> {
        match self.initiator {
            true => Nonces { initiator: &NONCE, responder: &self.their_nonce },
            false => Nonces { initiator: &self.their_nonce, responder: &NONCE },
        }
    }

    fn derive(&mut self, secret: &Secret) {
        let all = IkeKeys::initial(&self.suite, self.nonces(), self.spis, secret);
        self.take(all);
    }

    fn take(&mut self, all: IkeKeys) {
        let side = if self.initiator { Side::Initiator } else { Side::Responder };
        let sealing = SealingKey::new(&self.suite, &all, side, 0).expect("keys fit");
        let opening = OpeningKey::new(&self.suite, &all, side.peer()).expect("keys fit");
        self.keys = Some(Keys { sealing, opening, all });
    }

    /// IKE_AUTH as an honest side sends it: identity, proof and a child.
    pub(crate) fn proof(&self) -> Vec<Payload<'static>> {
        let auth = self.auth(&Secret::new(SHARED_KEY.to_vec()));
        self.identity(auth.into_iter().map(Payload::Authentication).collect())
    }

    /// The first IKE_AUTH, by how both prove themselves. Signatures are not worth more than their form.
    pub(crate) fn first_auth(&mut self, proofs: Proofs, random: &mut dyn Random) -> Vec<Payload<'static>> {
        match proofs {
            Proofs::TheySign => {
                let certificate = Payload::Certificate(Certificate::x509(vec![0x30, 1, 0]));
                let auth = signature_payload(SignatureScheme::Ed25519, &[7; 64]).expect("fits");
                self.identity(vec![certificate, Payload::Authentication(auth)])
            }
            _ if proofs.by_eap() && self.initiator => self.identity(Vec::new()),
            _ if proofs.by_eap() => [self.proof(), self.log_in(random)].concat(),
            _ => self.proof(),
        }
    }

    /// The next IKE_AUTH of a log-in: an EAP packet, or at its end the proof by the key that EAP left.
    pub(crate) fn log_in(&mut self, random: &mut dyn Random) -> Vec<Payload<'static>> {
        if let Some(packet) = self.talk.next(random) {
            return vec![Payload::Eap(packet)];
        }
        let Some(auth) = self.talk.key().and_then(|key| self.auth(key)) else { return Vec::new() };
        let mut payloads = vec![Payload::Authentication(auth)];
        if !self.initiator {
            payloads.push(self.configuration());
            payloads.extend(self.child(CHILD, None, false));
        }
        payloads
    }

    fn id(&self) -> Identity<'static> {
        Identity::Fqdn(b"mallory.example".as_slice().into())
    }

    /// Identity, what proves it, and a child.
    fn identity(&self, proof: Vec<Payload<'static>>) -> Vec<Payload<'static>> {
        if self.keys.is_none() {
            return Vec::new();
        }
        let id = self.id();
        let id = if self.initiator { Payload::IdInitiator(id) } else { Payload::IdResponder(id) };
        let mut payloads = [vec![id], proof, vec![self.configuration()]].concat();
        payloads.extend(self.child(CHILD, None, false));
        payloads
    }

    fn auth(&self, secret: &Secret) -> Option<Authentication<'static>> {
        let keys = self.keys.as_ref()?;
        let (message, sk_p) = match self.initiator {
            true => (&self.request, &keys.all.pi),
            false => (&self.response, &keys.all.pr),
        };
        let (prf, id) = (self.suite.prf, self.id().body());
        let octets = SignedOctets::new(prf, message, &self.their_nonce, sk_p.expose(), &id);
        Some(shared_key_payload(prf, secret, &octets))
    }

    /// What asks for an address as an initiator does, or gives one as a responder does.
    pub(crate) fn configuration(&self) -> Payload<'static> {
        let (kind, attribute) = match self.initiator {
            true => {
                (ConfigurationType::Request, ConfigurationAttribute::ask(AttributeType::InternalIp4Address))
            }
            false => {
                let value = ConfigurationValue::Ipv4(GIVEN.into());
                let attribute = ConfigurationAttribute::new(AttributeType::InternalIp4Address, &value);
                (ConfigurationType::Reply, attribute)
            }
        };
        Payload::Configuration(Configuration { kind, attributes: vec![attribute] })
    }

    /// What asks for a child, or gives one: traffic is 10.1.0.0/16, or the address that was given, on the endpoint's side,
    /// 10.2.0.0/16 here.
    pub(crate) fn child(&self, spi: u32, group: Option<Group>, answer: bool) -> Vec<Payload<'static>> {
        self.child_by(child_suite(group).to_proposal(1, spi), answer)
    }

    /// The same with a key exchange that is to follow, with what comes with it and says how (RFC 9370).
    pub(crate) fn child_that_goes_on(
        &self,
        spi: u32,
        answer: bool,
        random: &mut dyn Random,
    ) -> Vec<Payload<'static>> {
        let additional = AdditionalGroups::NONE.with(Slot::ALL[0], Group::MlKem768);
        let suite = ChildSuite { additional, ..child_suite(Some(Group::Curve25519)) };
        let child = self.child_by(suite.to_proposal(2, spi), answer);
        let link = answer.then(|| Payload::Notify(Content::AdditionalKeyExchange(&LINK).notify()));
        [child, self.exchange(Group::Curve25519, random), link.into_iter().collect()].concat()
    }

    /// The key exchange that follows.
    pub(crate) fn share_that_follows(&self, random: &mut dyn Random) -> Vec<Payload<'static>> {
        let link = Payload::Notify(Content::AdditionalKeyExchange(&self.link).notify());
        let mut payloads = self.exchange(Group::MlKem768, random);
        payloads.retain(|payload| matches!(payload, Payload::KeyExchange(_)));
        payloads.push(link);
        payloads
    }

    fn child_by(&self, proposal: Proposal, answer: bool) -> Vec<Payload<'static>> {
        let proposals = vec![proposal];
        // The initiator of the exchange stands first.
        let ours_first = self.initiator != answer;
        let endpoint = if self.initiator { selectors(1) } else { of(AddressRange::single(GIVEN.into())) };
        let own = selectors(2);
        let (first, second) = if ours_first { (own, endpoint) } else { (endpoint, own) };
        vec![
            Payload::SecurityAssociation(SecurityAssociation { proposals }),
            Payload::TsInitiator(first),
            Payload::TsResponder(second),
        ]
    }

    /// A nonce, and a share of the group.
    pub(crate) fn exchange(&self, group: Group, random: &mut dyn Random) -> Vec<Payload<'static>> {
        let mut payloads = vec![Payload::Nonce(Nonce::new(NONCE.to_vec()).expect("a nonce"))];
        if let Ok(pair) = KeyPair::generate(group, random) {
            let data = pair.share().to_vec().into();
            payloads.push(Payload::KeyExchange(KeyExchange { group: group.id(), data }));
        }
        payloads
    }

    /// What the endpoint sent, where it can be opened.
    pub(crate) fn open(&mut self, datagram: &[u8]) -> Option<(Header, Plain)> {
        let message = Message::parse(datagram).ok()?;
        if !message.header.response && message.sealed.is_some() {
            self.asked = Some((message.header.message_id, message.header.exchange));
        }
        let plain = self.keys.as_ref()?.opening.open(&message.sealed?).ok()?;
        let payloads = plain.payloads().unwrap_or_default();
        for payload in &payloads {
            match payload {
                Payload::Eap(packet) => self.talk.hear(packet),
                Payload::Notify(notify) => {
                    if let Ok(Content::AdditionalKeyExchange(link)) = notify.content() {
                        self.link = link.to_vec();
                    }
                }
                _ => {}
            }
        }
        drop(payloads);
        Some((message.header, plain))
    }

    /// A message under the right keys, in datagrams of at most `limit` octets; nothing before there are any.
    pub(crate) fn seal(
        &mut self,
        exchange: ExchangeType,
        id: u32,
        response: bool,
        plain: &Plain,
        limit: usize,
        random: &mut dyn Random,
    ) -> Vec<Vec<u8>> {
        let header = Header {
            initiator_spi: self.spis.initiator,
            responder_spi: self.spis.responder,
            exchange,
            from_initiator: self.initiator,
            response,
            message_id: id,
        };
        let Some(keys) = &mut self.keys else { return Vec::new() };
        keys.sealing.seal_within(&header, plain, limit, random).unwrap_or_default()
    }
}
