//! The AUTH payload (RFC 7296 3.8) and its digital signatures (RFC 7427).

use std::borrow::Cow;

use super::code::code_points;
use super::cursor::{Body, Reader, at_most};
use super::error::WriteError;
use super::limits;

code_points! {
    /// How a side proves who it is.
    AuthMethod: u8 {
        RsaPkcs1Sha1 = 1 "RSA_DIGITAL_SIGNATURE",
        SharedKey = 2 "SHARED_KEY_MIC",
        DssSha1 = 3 "DSS_DIGITAL_SIGNATURE",
        EcdsaSha256P256 = 9 "ECDSA_SHA256_P256",
        EcdsaSha384P384 = 10 "ECDSA_SHA384_P384",
        EcdsaSha512P521 = 11 "ECDSA_SHA512_P521",
        GenericSecurePassword = 12 "GENERIC_SECURE_PASSWORD",
        Null = 13 "NULL",
        DigitalSignature = 14 "DIGITAL_SIGNATURE",
    }
}

/// Proof of an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authentication<'a> {
    /// How.
    pub method: AuthMethod,
    /// A MAC, a signature, or for [`AuthMethod::DigitalSignature`] the algorithm and the signature.
    pub data: Cow<'a, [u8]>,
}

/// The inside of a [`AuthMethod::DigitalSignature`] (RFC 7427 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DigitalSignature<'a> {
    /// `AlgorithmIdentifier` in DER.
    pub algorithm: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
}

impl<'a> DigitalSignature<'a> {
    /// Splits the data of an AUTH payload.
    pub fn parse(data: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(data);
        let length = reader.u8()?;
        let algorithm = reader.take(length.into())?;
        let signature = reader.rest();
        (!algorithm.is_empty() && !signature.is_empty()).then_some(Self { algorithm, signature })
    }

    /// The data of an AUTH payload, unless the algorithm's name is longer than 255 octets.
    pub fn to_octets(&self) -> Option<Vec<u8>> {
        let length = u8::try_from(self.algorithm.len()).ok()?;
        Some([&[length], self.algorithm, self.signature].concat())
    }
}

impl<'a> Authentication<'a> {
    pub(super) fn parse(octets: &'a [u8]) -> Body<Self> {
        let mut reader = Reader::new(octets);
        let method = reader.u8().ok_or("ends within the method")?.into();
        reader.take(3).ok_or("ends within the reserved octets")?;
        let data = reader.rest();
        at_most(data.len(), limits::AUTHENTICATION, "the proof is too long")?;
        if data.is_empty() { Err("the proof is empty") } else { Ok(Self { method, data: data.into() }) }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), WriteError> {
        if self.data.is_empty() || self.data.len() > limits::AUTHENTICATION {
            return Err(WriteError("a proof is empty or too long"));
        }
        out.extend_from_slice(&[self.method.into(), 0, 0, 0]);
        out.extend_from_slice(&self.data);
        Ok(())
    }
}
