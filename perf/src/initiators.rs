//! Many IKE initiators behind one socket, each with its own identity and one address: how a gateway fares with thousands of
//! peers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ravelin_contract::address::AddressRange;
use ravelin_contract::name::Name;
use ravelin_contract::secret::Secret;
use ravelin_ike::crypto::{ChildCipher, Cipher, Group, KeySize, Prf, SystemRandom};
use ravelin_ike::policy::{
    Child, Demand, Encapsulation, EspOffer, Identity, IdentityPattern, IkeOffer, Lifetime, Narrowing, Peer,
    PerResource, Policy, Proof, Start, Traffic,
};
use ravelin_ike::{Action, Command, Endpoint, Input, Path, Time};

/// Initiators have addresses from here on.
pub const NETWORK: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 0);
/// How often the clock is looked at.
const PATIENCE: Duration = Duration::from_millis(20);

/// Whom they come to.
#[derive(Debug, Clone)]
pub struct Target {
    /// Our end.
    pub from: SocketAddr,
    /// The gateway's end.
    pub to: SocketAddr,
    /// Identity of the gateway, a name.
    pub gateway: String,
    /// What all of them share with it.
    pub secret: String,
    /// Traffic on the gateway's side, a /24.
    pub network: Ipv4Addr,
}

fn net(address: Ipv4Addr, length: u8) -> Result<Traffic> {
    Ok(Traffic::of(AddressRange::prefix(address.into(), length).context("a prefix")?))
}

fn peer(target: &Target, number: u32) -> Result<Peer> {
    let size = KeySize::Bits256;
    let offer = IkeOffer::new(&[Cipher::AesGcm16(size)], &[], &[Prf::HmacSha256], &[Group::Curve25519], &[])?;
    let secret = || Secret::new(target.secret.as_bytes().to_vec());
    let child = Child {
        name: Name::new("net").context("a name")?,
        local: vec![net(Ipv4Addr::from_bits(NETWORK.to_bits() + number), 32)?],
        remote: vec![net(target.network, 24)?],
        offers: vec![EspOffer::new(&[ChildCipher::AesGcm16(size)], &[], &[], &[true, false])?],
        encapsulation: Encapsulation::Tunnel,
        lifetime: Lifetime::default(),
        start: Start::OnCommand,
        narrowing: Narrowing::Rule,
        per_resource: PerResource::default(),
    };
    Ok(Peer {
        name: Name::new(format!("site-{number}")).context("a name")?,
        local_addresses: Vec::new(),
        remote_addresses: Vec::new(),
        initiate: Some((target.from, target.to)),
        local_identity: Identity::Fqdn(format!("site-{number}.example")),
        proof: Proof::SharedKey(secret()),
        remote_identity: IdentityPattern::Exactly(Identity::Fqdn(target.gateway.clone())),
        demand: Demand::SharedKey(secret()),
        ppk: None,
        offers: vec![offer],
        lifetime: Lifetime::default(),
        reauthenticate: None,
        liveness: None,
        allow_nat: true,
        force_udp: false,
        mobike: false,
        fragment_above: 1200,
        request_address: false,
        lease: None,
        redirect_to: None,
        unique: false,
        children: vec![Arc::new(child)],
    })
}

/// The first message that an initiator would send.
pub fn first_message(target: &Target) -> Result<Vec<u8>> {
    let peer = peer(target, 0)?;
    let up = Command::Up { peer: peer.name.clone() };
    let policy = Arc::new(Policy { peers: vec![Arc::new(peer)], ..Policy::default() });
    let mut endpoint = Endpoint::new(Time::from_micros(0), policy, &mut SystemRandom);
    let actions = endpoint.handle(Time::from_micros(1), Input::Command(up), &mut SystemRandom);
    let sent = |action| match action {
        Action::Send { bytes, .. } => Some(bytes),
        _ => None,
    };
    actions.into_iter().find_map(sent).context("nothing was sent")
}

/// All of them, in one endpoint.
pub struct Crowd {
    endpoint: Endpoint,
    socket: UdpSocket,
    names: Vec<Name>,
    /// Those not begun yet are the rest of `names`.
    begun: usize,
    standing: u32,
    since: Instant,
    timer: Option<Time>,
}

impl Crowd {
    /// So many of them; none has begun.
    pub fn new(target: &Target, count: u32) -> Result<Self> {
        let socket = UdpSocket::bind(target.from).context("our end")?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let peers: Vec<Arc<Peer>> =
            (0..count).map(|number| peer(target, number).map(Arc::new)).collect::<Result<_>>()?;
        let names = peers.iter().map(|peer| peer.name.clone()).collect();
        let policy = Arc::new(Policy { peers, ..Policy::default() });
        let endpoint = Endpoint::new(Time::from_micros(0), policy, &mut SystemRandom);
        let since = Instant::now();
        Ok(Self { endpoint, socket, names, begun: 0, standing: 0, since, timer: None })
    }

    /// Children that stand.
    pub fn standing(&self) -> u32 {
        self.standing
    }

    /// Lets more begin, as long as fewer than `window` are under way.
    pub fn begin_some(&mut self, window: usize) {
        while self.begun < self.names.len() && self.begun - (self.standing as usize) < window {
            let peer = self.names[self.begun].clone();
            self.begun += 1;
            self.handle(Input::Command(Command::Up { peer }));
        }
    }

    /// Handles one datagram, or the timer.
    pub fn breathe(&mut self) {
        let mut buffer = [0; 4096];
        if let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
            let local = self.socket.local_addr().unwrap_or(SocketAddr::new(IpAddr::V4(NETWORK), 0));
            let path = Path { local, remote: from };
            self.handle(Input::Datagram { path, bytes: buffer[..length].to_vec() });
        }
        if self.timer.is_some_and(|timer| timer <= self.now()) {
            self.handle(Input::Timer);
        }
    }

    fn now(&self) -> Time {
        Time::from_micros(self.since.elapsed().as_micros() as u64)
    }

    fn handle(&mut self, input: Input) {
        for action in self.endpoint.handle(self.now(), input, &mut SystemRandom) {
            match action {
                Action::Send { remote, bytes, .. } => {
                    // What is lost is sent again.
                    let _ = self.socket.send_to(&bytes, remote);
                }
                Action::InstallChild(_) => self.standing += 1,
                Action::RemoveChild { .. } => self.standing -= 1,
                Action::SetTimer(timer) => self.timer = timer,
                _ => {}
            }
        }
    }
}
