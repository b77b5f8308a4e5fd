//! Everything that can be told, by area. `docs/messages.md` and `ravelin explain` are made of these tables.

mod finding;
mod ike;
mod packets;
mod policy;
mod process;
mod rings;
mod tls;

pub use finding::*;
pub use ike::*;
pub use packets::*;
pub use policy::*;
pub use process::*;
pub use rings::*;
pub use tls::*;

use crate::Entry;

/// Entries of one area.
#[derive(Debug)]
pub struct Area {
    /// Heading.
    pub title: &'static str,
    /// What its entries have in common, in a sentence.
    pub about: &'static str,
    /// The entries.
    pub entries: &'static [&'static Entry],
}

/// All of them.
pub const AREAS: &[Area] = &[PROCESS, POLICY, PACKETS, IKE, TLS, RINGS, FINDING];

/// Every entry.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    AREAS.iter().flat_map(|area| area.entries).copied()
}

/// The entry of a code, however it is capitalised.
pub fn find(code: &str) -> Option<&'static Entry> {
    all().find(|entry| entry.code.eq_ignore_ascii_case(code))
}

/// Codes that are most like a word that is none.
pub fn like(word: &str) -> Vec<&'static str> {
    let word = word.to_ascii_uppercase();
    all().map(|entry| entry.code).filter(|code| code.to_ascii_uppercase().contains(&word)).collect()
}

/// One area's table: `NAME: Severity "CODE" [fields] "sentence"; cause "..", remedy "..";`.
macro_rules! entries {
    ($area:ident; $title:literal, $about:literal; $($name:ident: $severity:ident $code:literal [$($field:ident)*] $says:literal;
        cause $cause:literal; remedy $remedy:literal;)+) => {
        $(
            #[doc = $says]
            pub const $name: crate::Entry = crate::Entry {
                name: stringify!($name),
                code: $code,
                severity: crate::Severity::$severity,
                fields: &[$(stringify!($field)),*],
                says: $says,
                cause: $cause,
                remedy: $remedy,
            };
        )+
        pub(super) const $area: super::Area = super::Area { title: $title, about: $about, entries: &[$(&$name),+] };
    };
}
use entries;
