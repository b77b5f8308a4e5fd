//! ECDSA P-256 for both sides: what the protocol core asks about certificates, answered from a folder of PEM files.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use ravelin_ike::crypto::SignatureScheme;
use ravelin_ike::policy::Identity;
use ravelin_ike::{Answer, Ask};
use ravelin_rings::certificate::Certificate;
use ravelin_rings::revocation::{Cache, Mode, RevocationPolicy};
use ravelin_rings::verify::{Anchors, PeerName, Presented, Purpose, Requirements, verify};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};

/// The certificate of the authority, in the folder.
const ROOT: &str = "root";

/// One side's certificate with its key, and whom it believes.
#[derive(Debug)]
pub struct Papers {
    own: Vec<u8>,
    key: EcdsaKeyPair,
    anchors: Anchors,
    /// Whether chains are judged. Initiators only make load, so they take what comes.
    judges: bool,
    cache: Cache,
}

impl Papers {
    /// Those of `name`: `NAME.pem` and `NAME.key`, under the authority of `root.pem`.
    pub fn read(folder: &Path, name: &str, judges: bool) -> Result<Self> {
        let certificate = |name: &str| -> Result<CertificateDer<'static>> {
            let path = folder.join(format!("{name}.pem"));
            CertificateDer::from_pem_file(&path).map_err(|error| anyhow!("{}: {error}", path.display()))
        };
        let key = folder.join(format!("{name}.key"));
        let key = PrivatePkcs8KeyDer::from_pem_file(&key).map_err(|e| anyhow!("{}: {e}", key.display()))?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.secret_pkcs8_der());
        let mut anchors = Anchors::none();
        anchors.add(&certificate(ROOT)?).map_err(|refusal| anyhow!("{refusal}"))?;
        Ok(Self {
            own: certificate(name)?.to_vec(),
            key: key.context("a P-256 key")?,
            anchors,
            judges,
            cache: Cache::default(),
        })
    }

    /// What the core asks.
    pub fn answer(&self, ask: &Ask) -> Answer {
        let answer = match ask {
            Ask::Sign { octets, .. } => self.sign(octets),
            Ask::Verify { chain, identity, .. } if self.judges => self.judge(chain, identity),
            Ask::Verify { chain, .. } => take(chain),
            Ask::Password { .. } | Ask::Tls { .. } | Ask::TlsLogIn { .. } => {
                Err(anyhow!("nobody logs in here"))
            }
        };
        answer.unwrap_or_else(|error| Answer::Refused(error.to_string()))
    }

    fn sign(&self, octets: &[u8]) -> Result<Answer> {
        let signature = self.key.sign(&SystemRandom::new(), octets)?;
        Ok(Answer::Signature {
            scheme: SignatureScheme::EcdsaSha256,
            signature: signature.as_ref().to_vec(),
            chain: vec![self.own.clone()],
            good_for: None,
        })
    }

    fn judge(&self, chain: &[Vec<u8>], identity: &Identity) -> Result<Answer> {
        let Identity::Fqdn(name) = identity else { return Err(anyhow!("not a name: {identity}")) };
        let chain: Vec<_> = chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let revocation = RevocationPolicy::new(Mode::Soft);
        let requirements = Requirements::new(Purpose::Ike, Some(PeerName::Dns(name.clone())), revocation);
        let presented = Presented { chain: &chain, stapled: None };
        let judged = verify(presented, &self.anchors, &requirements, UnixTime::now(), &self.cache);
        let verified = judged.map_err(|refusal| anyhow!("{refusal}"))?;
        Ok(Answer::Trusted { public_key: verified.public_key(), good_for: None })
    }
}

fn take(chain: &[Vec<u8>]) -> Result<Answer> {
    let leaf = Certificate::from_der(chain.first().context("no certificate")?)?;
    Ok(Answer::Trusted { public_key: leaf.spki()?, good_for: None })
}
