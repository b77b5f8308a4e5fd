//! What of a TLS session is refused before anything is sealed under it.

use ravelin_contract::codec::{decode, encode};
use ravelin_contract::limits;
use ravelin_contract::secret::Secret;
use ravelin_contract::tls_session::*;

fn session(suite: Suite) -> Session {
    let traffic = || Traffic {
        key: Secret::new(vec![1; suite.aead().key_len()]),
        iv: Secret::new(vec![2; 12]),
        next_number: 0,
    };
    let (sending, receiving) = (traffic(), traffic());
    Session { suite, role: Role::Client, sending, receiving, shape: Shape::default() }
}

#[test]
fn suites_are_known_by_their_numbers() {
    for suite in Suite::ALL {
        assert_eq!(Suite::from_code(suite.code()), Some(suite));
        assert_eq!(suite.name().contains("ECDHE"), suite.version() == Version::Tls12, "{suite:?}");
        assert_eq!(session(suite).check(), Ok(()));
        let good = session(suite);
        assert_eq!(decode::<Session>(&encode(&good).expect("fits")).expect("decodes"), good);
    }
    assert_eq!(Suite::from_code(0xc02d), None);
}

#[test]
fn lengths_and_limits_must_fit() {
    let refused = |suite, spoil: &dyn Fn(&mut Session)| {
        let mut session = session(suite);
        spoil(&mut session);
        session.check().expect_err("refused")
    };
    let suite = Suite::Aes256GcmSha384;
    assert_eq!(
        refused(suite, &|s| s.receiving.key = Secret::new(vec![0; 16])),
        Fault::Key { suite, given: 16 }
    );
    assert_eq!(refused(suite, &|s| s.sending.iv = Secret::new(vec![0; 4])), Fault::Iv(4));
    assert_eq!(refused(suite, &|s| s.shape.send_most = 62), Fault::RecordLimit(62));
    assert_eq!(refused(suite, &|s| s.shape.receive_most = 16385), Fault::RecordLimit(16385));
    assert_eq!(refused(suite, &|s| s.shape.pad_to = 0), Fault::Padding(0));
    assert_eq!(refused(suite, &|s| s.shape.pad_to = 513), Fault::Padding(513));
    assert_eq!(refused(Suite::EcdheRsaAes128GcmSha256, &|s| s.shape.pad_to = 16), Fault::Padding(16));
}

#[test]
fn a_long_ticket_is_no_ticket() {
    assert!(Ticket::new(vec![0; limits::TLS_TICKET]).is_ok());
    let long = vec![0; limits::TLS_TICKET + 1];
    assert!(Ticket::new(long.clone()).is_err());
    assert!(decode::<Ticket>(&encode(&Secret::new(long)).expect("fits")).is_err());
}
