//! What a handshake's parts cost here: microseconds of each group, nanoseconds of reading, deriving and sealing.
//! `cargo bench --package ravelin-ike`. Processor time, so that other work on the machine shows little.

use std::hint::black_box;
use std::time::Duration;

use ravelin_ike::crypto::{
    AdditionalGroups, Cipher, Group, IkeSuite, KeyPair, KeySize, Prf, Secret, SystemRandom,
};
use ravelin_ike::keymat::{IkeKeys, Nonces, Spis};
use ravelin_ike::sealed::{OpeningKey, Plain, SealingKey, Side};
use ravelin_ike::wire::{
    Header, IkeSpi, Message, Nonce, Notify, NotifyType, Payload, ProposalSpi, SecurityAssociation,
};

const ROUNDS: usize = 3;
/// Enough that the kernel's accounting by ticks does not show.
const ROUND: Duration = Duration::from_millis(200);

/// What this thread has had of the processor.
fn used() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux accounts for threads");
    let nanoseconds = text.split_whitespace().next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.expect("a number"))
}

/// The least mean of a call in processor time, over rounds.
fn best(mut call: impl FnMut()) -> Duration {
    let mut least = Duration::MAX;
    for _ in 0..ROUNDS {
        let (start, mut calls, mut batch) = (used(), 0, 1);
        while used() - start < ROUND {
            (0..batch).for_each(|_| call());
            calls += batch;
            // Asking for the time costs more than the smallest calls.
            batch = (batch * 2).min(if (used() - start) > ROUND / 4 { batch } else { 1_000 });
        }
        least = least.min((used() - start) / calls);
    }
    least
}

fn show(what: &str, time: Duration) {
    println!("{what:<34} {:>10.2} us", time.as_secs_f64() * 1e6);
}

fn main() {
    for group in Group::ALL {
        groups(group);
    }
    messages();
}

fn groups(group: Group) {
    let pair = || KeyPair::generate(group, &mut SystemRandom).expect("a key");
    let share = pair().share().to_vec();
    show(&format!("{group} initiator, key"), best(|| drop(black_box(pair()))));
    let respond = || group.respond(&share, &mut SystemRandom).expect("an answer");
    show(&format!("{group} responder, whole"), best(|| drop(black_box(respond()))));
}

fn suite() -> IkeSuite {
    IkeSuite {
        cipher: Cipher::AesGcm16(KeySize::Bits256),
        integrity: None,
        prf: Prf::HmacSha256,
        group: Group::Curve25519,
        additional: AdditionalGroups::NONE,
    }
}

fn messages() {
    let header = Header {
        initiator_spi: IkeSpi(1),
        responder_spi: IkeSpi::ZERO,
        exchange: 34.into(),
        from_initiator: true,
        response: false,
        message_id: 0,
    };
    let pair = KeyPair::generate(Group::Curve25519, &mut SystemRandom).expect("a key");
    let share = ravelin_ike::wire::KeyExchange { group: pair.group().id(), data: pair.share().into() };
    let payloads = [
        Payload::SecurityAssociation(SecurityAssociation {
            proposals: vec![suite().to_proposal(1, ProposalSpi::None)],
        }),
        Payload::KeyExchange(share),
        Payload::Nonce(Nonce::new(&[7; 32][..]).expect("a length")),
        Payload::Notify(Notify::new(NotifyType::NatDetectionSourceIp, &[1; 20][..])),
        Payload::Notify(Notify::new(NotifyType::NatDetectionDestinationIp, &[2; 20][..])),
        Payload::Notify(Notify::new(NotifyType::FragmentationSupported, &[][..])),
        Payload::Notify(Notify::new(NotifyType::SignatureHashAlgorithms, &[0, 2, 0, 3, 0, 4, 0, 5][..])),
    ];
    let init = Message::write(&header, &payloads).expect("writes");
    show("IKE_SA_INIT read", best(|| drop(black_box(Message::parse(black_box(&init))))));
    show("IKE_SA_INIT written", best(|| drop(black_box(Message::write(&header, black_box(&payloads))))));

    let nonces = Nonces { initiator: &[1; 32], responder: &[2; 32] };
    let spis = Spis { initiator: IkeSpi(1), responder: IkeSpi(2) };
    let shared = Secret::new(vec![3; 32]);
    let derive = || IkeKeys::initial(&suite(), nonces, spis, &shared);
    show("keys of an IKE SA", best(|| drop(black_box(derive()))));
    let keys = derive();
    let mut sealer = SealingKey::new(&suite(), &keys, Side::Initiator, 0).expect("keys fit");
    let opener = OpeningKey::new(&suite(), &keys, Side::Initiator).expect("keys fit");
    let plain = Plain::write(&payloads).expect("a chain");
    let datagram = sealer.seal(&header, &plain, &mut SystemRandom).expect("seals");
    show("sealed", best(|| drop(black_box(sealer.seal(&header, &plain, &mut SystemRandom)))));
    let message = Message::parse(&datagram).expect("parses");
    let sealed = message.sealed.expect("encrypted");
    show("opened", best(|| drop(black_box(opener.open(&sealed)))));
}
