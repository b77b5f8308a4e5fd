//! Code points that IANA assigns: one list gives the type, its numbers and the field's own names.

/// Makes an enum of code points with an `Unknown` rest, conversions both ways, and the registry's names as text.
macro_rules! code_points {
    ($(#[$meta:meta])* $name:ident: $int:ty { $($variant:ident = $value:literal $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $(#[doc = concat!("`", $text, "`, ", stringify!($value), ".")] $variant,)*
            /// A number that has no name here. Made by `From` only, so that a known number never hides in it.
            Unknown($int),
        }

        impl From<$int> for $name {
            fn from(value: $int) -> Self {
                match value {
                    $($value => Self::$variant,)*
                    other => Self::Unknown(other),
                }
            }
        }

        impl From<$name> for $int {
            fn from(value: $name) -> Self {
                match value {
                    $($name::$variant => $value,)*
                    $name::Unknown(other) => other,
                }
            }
        }

        impl $name {
            /// Every code point that has a name here.
            pub const NAMED: &[Self] = &[$(Self::$variant,)*];
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Self::$variant => f.pad($text),)*
                    Self::Unknown(other) => f.pad(&format!("({other})")),
                }
            }
        }
    };
}
pub(crate) use code_points;
