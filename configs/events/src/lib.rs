//! What an operator is told: every event and every finding has one entry in the [`catalogue`], and [`tell!`] is the only way out.
//!
//! `tracing` carries events. [`tell!`] takes the name of an entry and fields; code, severity and sentence come out of the entry.
//! A name that the catalogue lacks does not compile, and neither does a field that its entry does not list. The macros of
//! `tracing` that could go around it are forbidden in `clippy.toml`; `trace!` and `debug!` are for those who work on the code.

pub mod catalogue;
mod entry;
pub mod glossary;
pub mod markdown;
#[doc(hidden)]
pub use tracing;

pub use entry::{Entry, Finding, Severity, lists};

/// Where decisions on keys go, beside all else: an audit trail. Nothing of it is ever suppressed.
pub const AUDIT: &str = "ravelin::audit";

/// Emits an event of the [`catalogue`]: `tell!(RING_UNREADABLE, %ring, %error)`.
///
/// Fields are written as for `tracing`: `name`, `%name`, `?name`, `name = value`, `name = %value`, `name = ?value`. A target may
/// come first, as in `tell!(target: AUDIT, KEY_USED, ..)`; else it is the module.
#[macro_export]
macro_rules! tell {
    (@take $entry:ident [$target:expr] [$($name:ident)*] [$($field:tt)*]) => {{
        const ENTRY: &$crate::Entry = &$crate::catalogue::$entry;
        const { $crate::lists(ENTRY, &[$(stringify!($name)),*]) };
        $crate::tracing::event!(
            target: $target,
            ENTRY.severity.level(),
            code = ENTRY.code,
            $($field)*
            "{}",
            ENTRY.says
        )
    }};
    (@take $entry:ident $target:tt $names:tt $fields:tt , $($rest:tt)*) => {
        $crate::tell!(@take $entry $target $names $fields $($rest)*)
    };
    (@take $entry:ident $target:tt [$($name:ident)*] [$($field:tt)*] % $new:ident $($rest:tt)*) => {
        $crate::tell!(@take $entry $target [$($name)* $new] [$($field)* $new = %$new,] $($rest)*)
    };
    (@take $entry:ident $target:tt [$($name:ident)*] [$($field:tt)*] ? $new:ident $($rest:tt)*) => {
        $crate::tell!(@take $entry $target [$($name)* $new] [$($field)* $new = ?$new,] $($rest)*)
    };
    (@take $entry:ident $target:tt [$($name:ident)*] [$($field:tt)*] $new:ident = % $value:expr $(, $($rest:tt)*)?) => {
        $crate::tell!(@take $entry $target [$($name)* $new] [$($field)* $new = %$value,] $($($rest)*)?)
    };
    (@take $entry:ident $target:tt [$($name:ident)*] [$($field:tt)*] $new:ident = ? $value:expr $(, $($rest:tt)*)?) => {
        $crate::tell!(@take $entry $target [$($name)* $new] [$($field)* $new = ?$value,] $($($rest)*)?)
    };
    (@take $entry:ident $target:tt [$($name:ident)*] [$($field:tt)*] $new:ident = $value:expr $(, $($rest:tt)*)?) => {
        $crate::tell!(@take $entry $target [$($name)* $new] [$($field)* $new = $value,] $($($rest)*)?)
    };
    (@take $entry:ident $target:tt [$($name:ident)*] [$($field:tt)*] $new:ident $($rest:tt)*) => {
        $crate::tell!(@take $entry $target [$($name)* $new] [$($field)* $new = $new,] $($rest)*)
    };
    (target: $target:expr, $entry:ident $(, $($rest:tt)*)?) => {
        $crate::tell!(@take $entry [$target] [] [] $($($rest)*)?)
    };
    ($entry:ident $(, $($rest:tt)*)?) => {
        $crate::tell!(@take $entry [module_path!()] [] [] $($($rest)*)?)
    };
}

/// As [`tell!`], for an entry that is known only while the program runs; all that may come by here list the same fields.
#[macro_export]
macro_rules! tell_of {
    (@at $level:expr, $entry:expr, $($field:tt)*) => {
        $crate::tracing::event!($level, code = $entry.code, $($field)*, "{}", $entry.says)
    };
    ($entry:expr, $($field:tt)*) => {{
        let entry: &$crate::Entry = $entry;
        match entry.severity {
            $crate::Severity::Error => $crate::tell_of!(@at $crate::tracing::Level::ERROR, entry, $($field)*),
            $crate::Severity::Warning => $crate::tell_of!(@at $crate::tracing::Level::WARN, entry, $($field)*),
            $crate::Severity::Info => $crate::tell_of!(@at $crate::tracing::Level::INFO, entry, $($field)*),
            $crate::Severity::Debug => $crate::tell_of!(@at $crate::tracing::Level::DEBUG, entry, $($field)*),
        }
    }};
}
