//! Records of RFC 8448 3 (Simple 1-RTT Handshake), octet for octet.

use ravelin_contract::secret::Secret;
use ravelin_contract::tls_session::*;
use ravelin_records::alert::Alert;
use ravelin_records::{ContentType, Incoming, Session as Records};

const CLIENT_KEY: &str = "17422dda596ed5d9acd890e3c63f5051";
const CLIENT_IV: &str = "5b78923dee08579033e523d9";
const SERVER_KEY: &str = "9f02283b6c9c07efc26bb9f2ac92e356";
const SERVER_IV: &str = "cf782b88dd83549aadf1e984";
const CLIENT_DATA: &str = "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a\
                           20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4";
/// The server's second record; its first carried a ticket.
const SERVER_DATA: &str = "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb\
                           501a59a8fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d";
const CLIENT_CLOSE: &str = "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3";
const SERVER_CLOSE: &str = "1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9";

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let value = |digit: u8| (digit as char).to_digit(16).expect("a digit") as u8;
    digits.chunks(2).map(|pair| value(pair[0]) << 4 | value(pair[1])).collect()
}

fn traffic(key: &str, iv: &str, next_number: u64) -> Traffic {
    Traffic { key: Secret::new(octets(key)), iv: Secret::new(octets(iv)), next_number }
}

fn end(role: Role) -> Records {
    let (client, server) = (traffic(CLIENT_KEY, CLIENT_IV, 0), traffic(SERVER_KEY, SERVER_IV, 1));
    let (sending, receiving) = match role {
        Role::Client => (client, server),
        Role::Server => (server, client),
    };
    let suite = Suite::Aes128GcmSha256;
    Records::new(Session { suite, role, sending, receiving, shape: Shape::default() }).expect("keys")
}

#[test]
fn rfc_8448_simple_handshake() {
    let payload: Vec<u8> = (0..50).collect();
    let story = [(Role::Client, CLIENT_DATA, CLIENT_CLOSE), (Role::Server, SERVER_DATA, SERVER_CLOSE)];
    for (role, data, close) in story {
        let (mut here, mut there) = match role {
            Role::Client => (end(Role::Client), end(Role::Server)),
            Role::Server => (end(Role::Server), end(Role::Client)),
        };
        let mut record = [0; 72];
        assert_eq!(here.seal(ContentType::Data, &[&payload], 50, &mut record), Ok(72));
        assert_eq!(record.as_slice(), octets(data), "{role:?}");
        let mut clear = [0; 72];
        assert_eq!(there.open(&[&record], &mut clear), Ok(Incoming::Data(50)));
        assert_eq!(clear[..50], payload);
        let mut record = [0; 24];
        assert_eq!(here.alert(Alert::CLOSE_NOTIFY, &mut record), Ok(24));
        assert_eq!(record.as_slice(), octets(close), "{role:?}");
        assert_eq!(there.open(&[&record], &mut clear), Ok(Incoming::Closed));
        assert_eq!(there.stream_ended(), Ok(()));
    }
}
