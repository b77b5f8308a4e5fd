//! Foreign programs as judges, and small authorities to have something to judge.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use ravelin_rings::certificate::Certificate;
use ravelin_rings::issue::{Plan, Profile, issue, parse_alternative_name, self_sign};
use ravelin_rings::key::{KeyKind, PrivateKey};
use ravelin_rings::verify::parse_name;

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// All kinds of keys that are made here.
pub(crate) const KINDS: [KeyKind; 7] = [
    KeyKind::Rsa(2048),
    KeyKind::Rsa(3072),
    KeyKind::Rsa(4096),
    KeyKind::P256,
    KeyKind::P384,
    KeyKind::P521,
    KeyKind::Ed25519,
];

/// A key that OpenSSL makes quickly.
pub(crate) const EC: &str = "ec -pkeyopt ec_paramgen_curve:P-256";

/// A certificate and its key.
pub(crate) struct Pair {
    pub(crate) certificate: Certificate,
    pub(crate) key: PrivateKey,
}

/// A plan that began an hour ago.
pub(crate) fn plan(subject: &str, names: &[&str], profile: Profile, days: u32) -> Plan {
    let subject = parse_name(subject).expect("a name");
    let names = names.iter().map(|name| parse_alternative_name(name).expect("a name")).collect();
    Plan::new(subject, names, profile, now() - 3600, days)
}

/// An authority of its own.
pub(crate) fn root(kind: KeyKind, subject: &str) -> Pair {
    let key = PrivateKey::generate(kind).expect("a key");
    let certificate = self_sign(&plan(subject, &[], Profile::Ca(None), 3650), &key).expect("a certificate");
    Pair { certificate, key }
}

/// Something issued by `issuer`.
pub(crate) fn below(issuer: &Pair, kind: KeyKind, plan: &Plan) -> Pair {
    let key = PrivateKey::generate(kind).expect("a key");
    let certificate = issue(plan, key.public(), &issuer.certificate, &issuer.key).expect("a certificate");
    Pair { certificate, key }
}

/// PEM of DER.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    der::pem::encode_string(label, der::pem::LineEnding::LF, der).expect("PEM")
}

/// A folder of files for the judges.
pub(crate) struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).expect("written");
        path
    }

    pub(crate) fn certificate(&self, name: &str, certificate: &Certificate) -> PathBuf {
        self.write(name, pem("CERTIFICATE", certificate.der()))
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// DER of the first PEM block of a file.
    pub(crate) fn read_pem(&self, name: &str) -> Vec<u8> {
        let text = self.read(name);
        let from = text.windows(10).position(|window| window == b"-----BEGIN").expect("PEM");
        der::pem::decode_vec(&text[from..]).expect("PEM").1
    }

    /// Runs a program in the folder.
    pub(crate) fn run(&self, program: &str, arguments: &str) -> Output {
        Command::new(program)
            .args(arguments.split_ascii_whitespace())
            .current_dir(self.path())
            .output()
            .unwrap_or_else(|e| panic!("{program} must be installed: {e}"))
    }

    /// Runs a program that must succeed; gives what it said.
    pub(crate) fn ok(&self, program: &str, arguments: &str) -> String {
        let output = self.run(program, arguments);
        let said = text(&output);
        assert!(output.status.success(), "{program} {arguments}: {said}");
        said
    }

    /// Runs a program that must fail; gives what it said.
    pub(crate) fn fails(&self, program: &str, arguments: &str) -> String {
        let output = self.run(program, arguments);
        let said = text(&output);
        assert!(!output.status.success(), "{program} {arguments} succeeded: {said}");
        said
    }

    /// Has OpenSSL make a key and a certificate, signed by `issuer` or, without one, by itself; gives the DER.
    pub(crate) fn issue(&self, name: &str, key: &str, issuer: &str, extensions: &str, more: &str) -> Vec<u8> {
        self.write("v3.cnf", extensions.replace(';', "\n"));
        self.ok(
            "openssl",
            &format!("req -new -newkey {key} -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"),
        );
        let signer = match issuer {
            "" => format!("-signkey {name}.key"),
            issuer => format!("-CA {issuer}.pem -CAkey {issuer}.key -CAcreateserial"),
        };
        self.ok(
            "openssl",
            &format!("x509 -req -in {name}.csr {signer} -days 30 -extfile v3.cnf -out {name}.pem {more}"),
        );
        self.read_pem(&format!("{name}.pem"))
    }

    /// Runs a Python program with the packages that `make ready` provides.
    pub(crate) fn python(&self, program: &str) -> String {
        self.write("judge.py", program);
        self.ok(&interpreter(), "judge.py")
    }
}

fn interpreter() -> String {
    std::env::var("RAVELIN_PYTHON").unwrap_or_else(|_| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        root.join(".venv/bin/python").display().to_string()
    })
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
