//! Messages as octets: a length in four octets, big-endian, then the message. Never longer than [`limits::MESSAGE`].

use std::io::{Read, Write};

use postcard::ser_flavors::Size;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::limits;

/// Why octets are not a message, or a message cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The stream ended or failed.
    #[error("contract socket: {0}")]
    Io(#[from] std::io::Error),
    /// Longer than [`limits::MESSAGE`].
    #[error("contract message of {0} octets, at most {max}", max = limits::MESSAGE)]
    TooLong(usize),
    /// Not a message of this version, or octets left over.
    #[error("contract message does not decode: {0}")]
    Malformed(String),
}

/// The octets of one message, without the length. Wiped on drop, since messages carry keys.
pub fn encode<M: Serialize>(message: &M) -> Result<Zeroizing<Vec<u8>>, CodecError> {
    let failed = |error: postcard::Error| CodecError::Malformed(error.to_string());
    // Sized first: a buffer that grew would leave copies of keys where it was before.
    let size = postcard::serialize_with_flavor(message, Size::default()).map_err(failed)?;
    if size > limits::MESSAGE {
        return Err(CodecError::TooLong(size));
    }
    let mut octets = Zeroizing::new(vec![0; size]);
    postcard::to_slice(message, &mut octets).map_err(failed)?;
    Ok(octets)
}

/// The message in `octets`, all of them.
pub fn decode<M: DeserializeOwned>(octets: &[u8]) -> Result<M, CodecError> {
    if octets.len() > limits::MESSAGE {
        return Err(CodecError::TooLong(octets.len()));
    }
    match postcard::take_from_bytes(octets) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(CodecError::Malformed(format!("{} octets left over", rest.len()))),
        Err(e) => Err(CodecError::Malformed(e.to_string())),
    }
}

/// Writes one message with its length.
pub fn write<M: Serialize>(to: &mut impl Write, message: &M) -> Result<(), CodecError> {
    let octets = encode(message)?;
    to.write_all(&(octets.len() as u32).to_be_bytes())?;
    to.write_all(&octets)?;
    Ok(to.flush()?)
}

/// Reads one message with its length; `None` when the stream ends before the first octet.
pub fn read<M: DeserializeOwned>(from: &mut impl Read) -> Result<Option<M>, CodecError> {
    let mut length = [0u8; 4];
    match from.read(&mut length[..1])? {
        0 => return Ok(None),
        _ => from.read_exact(&mut length[1..])?,
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > limits::MESSAGE {
        return Err(CodecError::TooLong(length));
    }
    let mut octets = Zeroizing::new(vec![0u8; length]);
    from.read_exact(&mut octets)?;
    decode(&octets).map(Some)
}
