//! What rustls' callbacks must know, and tell, of the one connection that is being driven.
//!
//! rustls calls the judge of certificates, the choice of a certificate and the clock while it eats bytes, always on the thread
//! that feeds it, and gives them no way to name the connection. One set of callbacks serves many connections, or sessions could
//! not be resumed. So the connection's [`Notes`] lie in this thread while it is driven, and are taken back afterwards.

use std::cell::RefCell;

use ravelin_rings::revocation::Lookup;
use ravelin_rings::verify::PeerName;

/// Of one connection.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Seconds since 1970.
    pub(crate) unix: u64,
    /// Who the server must be; none when nobody is asked for.
    pub(crate) expected: Option<PeerName>,
    /// What the client offered.
    pub(crate) hello: Option<Hello>,
    /// Which certificate of ours is shown.
    pub(crate) shown: Option<String>,
    /// Why one of the callbacks refused, in plain words and a code.
    pub(crate) refused: Option<Refused>,
    /// What the peer's certificate stands for.
    pub(crate) judged: Option<Judged>,
}

/// A ClientHello in words.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hello {
    pub(crate) name: Option<String>,
    pub(crate) suites: Vec<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) schemes: Vec<String>,
    pub(crate) alpn: Vec<String>,
}

/// Why a callback said no.
#[derive(Debug, Clone)]
pub(crate) enum Refused {
    /// The judge of certificates: a code, and why.
    Certificate(&'static str, String, Vec<Lookup>),
    /// No certificate of ours fits.
    NoIdentity(String),
    /// The key could not be used.
    Signing(String),
}

/// A peer's certificate that is believed.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    pub(crate) subject: String,
    pub(crate) identity: Option<String>,
    pub(crate) not_after: u64,
    pub(crate) wanted: Vec<Lookup>,
}

thread_local! {
    static DRIVEN: RefCell<Notes> = RefCell::new(Notes::default());
}

/// Does `work` for the connection with these notes.
pub(crate) fn drive<T>(notes: &mut Notes, work: impl FnOnce() -> T) -> T {
    DRIVEN.with_borrow_mut(|driven| std::mem::swap(driven, notes));
    let done = work();
    DRIVEN.with_borrow_mut(|driven| std::mem::swap(driven, notes));
    done
}

/// Looks at, or writes, the notes of the connection that is driven.
pub(crate) fn notes<T>(work: impl FnOnce(&mut Notes) -> T) -> T {
    DRIVEN.with_borrow_mut(work)
}
