//! Transforms and their attributes (RFC 7296 3.3.2, 3.3.5; RFC 9370 for additional key exchanges).

use super::code::code_points;
use super::cursor::{Body, Reader, at_most, with_length};
use super::error::WriteError;
use super::limits;

code_points! {
    /// Encryption, transform type 1. Names without the prefix `ENCR_`.
    EncryptionId: u16 {
        Des = 2 "DES_CBC",
        TripleDes = 3 "3DES_CBC",
        Null = 11 "NULL",
        AesCbc = 12 "AES_CBC",
        AesCtr = 13 "AES_CTR",
        AesCcm8 = 14 "AES_CCM_8",
        AesCcm12 = 15 "AES_CCM_12",
        AesCcm16 = 16 "AES_CCM_16",
        AesGcm8 = 18 "AES_GCM_8",
        AesGcm12 = 19 "AES_GCM_12",
        AesGcm16 = 20 "AES_GCM_16",
        NullAuthAesGmac = 21 "NULL_AES_GMAC",
        CamelliaCbc = 23 "CAMELLIA_CBC",
        ChaCha20Poly1305 = 28 "CHACHA20_POLY1305",
    }
}

code_points! {
    /// Pseudorandom function, transform type 2.
    PrfId: u16 {
        HmacMd5 = 1 "PRF_HMAC_MD5",
        HmacSha1 = 2 "PRF_HMAC_SHA1",
        AesXcbc = 4 "PRF_AES128_XCBC",
        HmacSha2_256 = 5 "PRF_HMAC_SHA2_256",
        HmacSha2_384 = 6 "PRF_HMAC_SHA2_384",
        HmacSha2_512 = 7 "PRF_HMAC_SHA2_512",
        AesCmac = 8 "PRF_AES128_CMAC",
    }
}

code_points! {
    /// Integrity, transform type 3. Names without the prefix `AUTH_`.
    IntegrityId: u16 {
        None = 0 "NONE",
        HmacMd5_96 = 1 "HMAC_MD5_96",
        HmacSha1_96 = 2 "HMAC_SHA1_96",
        AesXcbc96 = 5 "AES_XCBC_96",
        HmacMd5_128 = 6 "HMAC_MD5_128",
        HmacSha1_160 = 7 "HMAC_SHA1_160",
        AesCmac96 = 8 "AES_CMAC_96",
        Aes128Gmac = 9 "AES_128_GMAC",
        Aes192Gmac = 10 "AES_192_GMAC",
        Aes256Gmac = 11 "AES_256_GMAC",
        HmacSha2_256_128 = 12 "HMAC_SHA2_256_128",
        HmacSha2_384_192 = 13 "HMAC_SHA2_384_192",
        HmacSha2_512_256 = 14 "HMAC_SHA2_512_256",
    }
}

code_points! {
    /// Key exchange method, transform types 4 and 6 to 12.
    GroupId: u16 {
        None = 0 "NONE",
        Modp768 = 1 "MODP_768",
        Modp1024 = 2 "MODP_1024",
        Modp1536 = 5 "MODP_1536",
        Modp2048 = 14 "MODP_2048",
        Modp3072 = 15 "MODP_3072",
        Modp4096 = 16 "MODP_4096",
        Modp6144 = 17 "MODP_6144",
        Modp8192 = 18 "MODP_8192",
        Ecp256 = 19 "ECP_256",
        Ecp384 = 20 "ECP_384",
        Ecp521 = 21 "ECP_521",
        Modp1024Sub160 = 22 "MODP_1024_160",
        Modp2048Sub224 = 23 "MODP_2048_224",
        Modp2048Sub256 = 24 "MODP_2048_256",
        Ecp192 = 25 "ECP_192",
        Ecp224 = 26 "ECP_224",
        Curve25519 = 31 "CURVE_25519",
        Curve448 = 32 "CURVE_448",
        MlKem512 = 35 "ML_KEM_512",
        MlKem768 = 36 "ML_KEM_768",
        MlKem1024 = 37 "ML_KEM_1024",
    }
}

code_points! {
    /// Sequence numbers of ESP and AH, transform type 5.
    SequenceNumbers: u16 {
        Short = 0 "NO_EXT_SEQ",
        Extended = 1 "EXT_SEQ",
    }
}

/// Which of the seven additional key exchanges (RFC 9370 2.2.2): 1 to 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u8);

impl Slot {
    /// All of them.
    pub const ALL: [Self; 7] = [Self(1), Self(2), Self(3), Self(4), Self(5), Self(6), Self(7)];

    /// 1 to 7.
    pub fn number(self) -> u8 {
        self.0
    }

    /// 0 to 6.
    pub fn index(self) -> usize {
        usize::from(self.0 - 1)
    }
}

/// A transform's type and number in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransformId {
    /// Type 1.
    Encryption(EncryptionId),
    /// Type 2.
    Prf(PrfId),
    /// Type 3.
    Integrity(IntegrityId),
    /// Type 4.
    Group(GroupId),
    /// Type 5.
    SequenceNumbers(SequenceNumbers),
    /// Types 6 to 12.
    AdditionalGroup(Slot, GroupId),
    /// A type not known here: no proposal that has one can be chosen (RFC 7296 3.3.6).
    Unknown {
        /// Transform type.
        kind: u8,
        /// Transform ID.
        id: u16,
    },
}

impl TransformId {
    fn new(kind: u8, id: u16) -> Self {
        match kind {
            1 => Self::Encryption(id.into()),
            2 => Self::Prf(id.into()),
            3 => Self::Integrity(id.into()),
            4 => Self::Group(id.into()),
            5 => Self::SequenceNumbers(id.into()),
            6..=12 => Self::AdditionalGroup(Slot(kind - 5), id.into()),
            _ => Self::Unknown { kind, id },
        }
    }

    fn numbers(self) -> (u8, u16) {
        match self {
            Self::Encryption(id) => (1, id.into()),
            Self::Prf(id) => (2, id.into()),
            Self::Integrity(id) => (3, id.into()),
            Self::Group(id) => (4, id.into()),
            Self::SequenceNumbers(id) => (5, id.into()),
            Self::AdditionalGroup(slot, id) => (slot.0 + 5, id.into()),
            Self::Unknown { kind, id } => (kind, id),
        }
    }

    /// The transform type's number. Choices are made within one type.
    pub fn kind(self) -> u8 {
        self.numbers().0
    }
}

impl std::fmt::Display for TransformId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Encryption(id) => write!(f, "{id}"),
            Self::Prf(id) => write!(f, "{id}"),
            Self::Integrity(id) => write!(f, "{id}"),
            Self::Group(id) => write!(f, "{id}"),
            Self::SequenceNumbers(id) => write!(f, "{id}"),
            Self::AdditionalGroup(slot, id) => write!(f, "KE{}_{id}", slot.0),
            Self::Unknown { kind, id } => write!(f, "({kind}:{id})"),
        }
    }
}

/// An attribute other than the key length. A transform that has one cannot be chosen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attribute {
    /// Attribute type, 15 bits.
    pub kind: u16,
    /// Its value.
    pub value: AttributeValue,
}

/// The two forms of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AttributeValue {
    /// Two octets.
    Short(u16),
    /// Octets with a length.
    Long(Vec<u8>),
}

/// One algorithm of a proposal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Transform {
    /// What it is.
    pub id: TransformId,
    /// Key length attribute in bits.
    pub key_bits: Option<u16>,
    /// Attributes not known here.
    pub other: Vec<Attribute>,
}

const KEY_LENGTH: u16 = 14;
const SHORT_FORM: u16 = 0x8000;

impl Transform {
    /// Without attributes.
    pub fn new(id: TransformId) -> Self {
        Self { id, key_bits: None, other: Vec::new() }
    }

    /// With a key length.
    pub fn with_key_bits(id: TransformId, bits: u16) -> Self {
        Self { id, key_bits: Some(bits), other: Vec::new() }
    }

    /// One transform substructure, and whether another is said to follow.
    pub(super) fn parse(reader: &mut Reader<'_>) -> Body<(Self, bool)> {
        let short = "ends within a transform";
        let more = match reader.u8().ok_or(short)? {
            0 => false,
            3 => true,
            _ => return Err("a transform's first octet is neither 0 nor 3"),
        };
        reader.u8().ok_or(short)?;
        let length = usize::from(reader.u16().ok_or(short)?);
        let inside = length.checked_sub(4).ok_or("a transform's length is below 8")?;
        let mut body = Reader::new(reader.take(inside).ok_or(short)?);
        let kind = body.u8().ok_or(short)?;
        body.u8().ok_or(short)?;
        let id = body.u16().ok_or(short)?;
        let mut transform = Self::new(TransformId::new(kind, id));
        while !body.is_empty() {
            transform.parse_attribute(&mut body)?;
        }
        Ok((transform, more))
    }

    fn parse_attribute(&mut self, body: &mut Reader<'_>) -> Body<()> {
        let short = "ends within an attribute";
        let kind = body.u16().ok_or(short)?;
        let value = body.u16().ok_or(short)?;
        if kind == KEY_LENGTH | SHORT_FORM {
            return match self.key_bits.replace(value) {
                None => Ok(()),
                Some(_) => Err("a transform has two key lengths"),
            };
        }
        at_most(self.other.len() + 1, limits::ATTRIBUTES, "a transform has too many attributes")?;
        let value = if kind & SHORT_FORM != 0 {
            AttributeValue::Short(value)
        } else {
            AttributeValue::Long(body.take(value.into()).ok_or(short)?.to_vec())
        };
        self.other.push(Attribute { kind: kind & !SHORT_FORM, value });
        Ok(())
    }

    pub(super) fn write(&self, more: bool, out: &mut Vec<u8>) -> Result<(), WriteError> {
        at_most(self.other.len(), limits::ATTRIBUTES, "too many attributes").map_err(WriteError)?;
        let start = out.len();
        let (kind, id) = self.id.numbers();
        out.extend_from_slice(&[if more { 3 } else { 0 }, 0]);
        with_length(out, start, |out| {
            out.extend_from_slice(&[kind, 0]);
            out.extend_from_slice(&id.to_be_bytes());
            if let Some(bits) = self.key_bits {
                out.extend_from_slice(&(KEY_LENGTH | SHORT_FORM).to_be_bytes());
                out.extend_from_slice(&bits.to_be_bytes());
            }
            self.other.iter().try_for_each(|attribute| attribute.write(out))
        })
    }
}

impl Attribute {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), WriteError> {
        if self.kind & SHORT_FORM != 0
            || (self.kind == KEY_LENGTH && matches!(self.value, AttributeValue::Short(_)))
        {
            return Err(WriteError("an attribute's type is out of place"));
        }
        match &self.value {
            AttributeValue::Short(value) => {
                out.extend_from_slice(&(self.kind | SHORT_FORM).to_be_bytes());
                out.extend_from_slice(&value.to_be_bytes());
            }
            AttributeValue::Long(value) => {
                let length =
                    u16::try_from(value.len()).map_err(|_| WriteError("an attribute is too long"))?;
                out.extend_from_slice(&self.kind.to_be_bytes());
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(value);
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Transform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.id)?;
        if let Some(bits) = self.key_bits {
            write!(f, "_{bits}")?;
        }
        if self.other.is_empty() { Ok(()) } else { f.write_str("+unknown_attributes") }
    }
}
