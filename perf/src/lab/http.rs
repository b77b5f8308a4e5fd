//! Large files over HTTP, from one namespace to another.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::command::{MOMENT, check};
use super::process::Process;
use super::{Lab, Namespace};

/// What every payload of the lab is full of, so that a capture can be searched for it. As long as ping's longest pattern.
pub const MARK: &[u8; 16] = b"cleartext canary";

/// A server of the files in a directory, for IPv4 and IPv6.
#[derive(Debug)]
pub struct FileServer {
    process: Process,
}

impl FileServer {
    /// Serves a directory on TCP port `port` of a namespace.
    pub fn start(lab: &Lab, namespace: &Namespace, directory: &Path, port: u16) -> Result<Self> {
        let mut command = namespace.command("/usr/bin/python3");
        // Unbuffered, so that the line we wait for comes when it is true.
        command
            .args(["-u", "-m", "http.server", "--bind", "::", "--directory"])
            .arg(directory)
            .arg(port.to_string());
        let log = lab.file(&format!("{}.http.log", namespace.name()));
        let process = Process::spawn("file server", &mut command, &log)?;
        process.wait_for_line("Serving HTTP", MOMENT)?;
        Ok(Self { process })
    }

    /// Leaves it running after this process.
    pub fn leave(self) {
        self.process.leave();
    }
}

/// A finished download.
#[derive(Debug, Clone, PartialEq)]
pub struct Download {
    /// Octets received.
    pub octets: u64,
    /// From the request to the last octet.
    pub took: Duration,
    /// SHA-256 of the file received, in hexadecimal.
    pub sha256: String,
}

/// A download to be made with curl.
#[derive(Debug, Clone)]
pub struct Fetch<'a> {
    from: &'a Namespace,
    url: &'a str,
    to: &'a Path,
    /// Octets a second.
    rate: Option<u32>,
}

impl<'a> Fetch<'a> {
    /// Of this URL, by a host in `from`, into the file `to`.
    pub fn new(from: &'a Namespace, url: &'a str, to: &'a Path) -> Self {
        Self { from, url, to, rate: None }
    }

    /// Not faster than so many octets a second, so that it takes known time.
    pub fn at_rate(mut self, rate: u32) -> Self {
        self.rate = Some(rate);
        self
    }

    /// Makes it and looks at what came. An error when it fails or is not done within `limit`.
    pub fn run(&self, limit: Duration) -> Result<Download> {
        let mut curl = self.from.command("curl");
        curl.args(["--silent", "--show-error", "--fail", "--noproxy", "*"]);
        curl.args([
            "--max-time",
            &limit.as_secs().to_string(),
            "--write-out",
            "%{size_download} %{time_total}",
        ]);
        if let Some(rate) = self.rate {
            curl.args(["--limit-rate", &rate.to_string()]);
        }
        let report = check(curl.arg("--output").arg(self.to).arg(self.url), limit + MOMENT)?;
        let (octets, seconds) = report.split_once(' ').context("curl reported no size and time")?;
        let took = Duration::try_from_secs_f64(seconds.parse()?)?;
        Ok(Download { octets: octets.parse()?, took, sha256: sha256(self.to)? })
    }
}

/// Writes a file of `octets` octets that has [`MARK`] in every 64, and a line number so that no two blocks are equal. Returns its
/// SHA-256, in hexadecimal.
pub fn marked_file(path: &Path, octets: u64) -> Result<String> {
    let mut file = BufWriter::new(File::create(path).with_context(|| format!("making {}", path.display()))?);
    let mut left = usize::try_from(octets)?;
    for number in 0_u64.. {
        if left == 0 {
            break;
        }
        let line = line(number);
        let length = left.min(line.len());
        file.write_all(&line[..length])?;
        left -= length;
    }
    file.flush()?;
    sha256(path)
}

fn line(number: u64) -> [u8; 64] {
    let mut line = [b' '; 64];
    line[..16].copy_from_slice(MARK);
    line[20..40].copy_from_slice(format!("{number:020}").as_bytes());
    line[63] = b'\n';
    line
}

/// The SHA-256 of a file, in hexadecimal.
pub fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            length => hash.update(&buffer[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_file_has_its_length_and_its_mark_everywhere() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let hash = marked_file(&path, 1000).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 1000);
        for block in bytes.chunks_exact(64) {
            assert!(block.windows(16).any(|window| window == MARK));
        }
        assert_ne!(bytes[..64], bytes[64..128]);
        assert_eq!(hash, sha256(&path).unwrap());
    }

    #[test]
    fn sha256_is_the_standards() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        // FIPS 180-4, example of one block.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&path).unwrap(), expected);
    }
}
