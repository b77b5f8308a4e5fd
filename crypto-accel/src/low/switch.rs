//! The environment variable that turns back ends off, so that the others can be tested and measured on any machine.

/// Comma-separated names of back ends that must not be used.
const VARIABLE: &str = "RAVELIN_CRYPTO_DISABLE";

/// Those that can be turned off. What is left when all are is `portable`.
const KNOWN: [&str; 3] = ["vaes512", "vaes256", "aesni"];

/// A value of the variable.
pub(super) struct Switch(String);

/// The variable names a back end that there is not, so something that was to be off is on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{VARIABLE}: there is no back end `{unknown}`; write some of {known}, separated by commas", known = KNOWN.join(", "))]
pub struct SwitchError {
    unknown: String,
}

/// Whether the environment variable `RAVELIN_CRYPTO_DISABLE` names only back ends that there are. Programs ask before
/// they use any.
///
/// # Errors
/// It does not.
pub fn check_environment() -> Result<(), SwitchError> {
    Switch::of_environment().check()
}

impl Switch {
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_ascii_lowercase())
    }

    pub(super) fn of_environment() -> Self {
        Self::new(&std::env::var_os(VARIABLE).unwrap_or_default().to_string_lossy())
    }

    pub(super) fn turns_off(&self, name: &str) -> bool {
        self.names().any(|off| off == name)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split(',').map(str::trim).filter(|name| !name.is_empty())
    }

    fn check(&self) -> Result<(), SwitchError> {
        let unknown = self.names().find(|name| !KNOWN.contains(name));
        unknown.map_or(Ok(()), |name| Err(SwitchError { unknown: name.to_owned() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_none_is_refused() {
        let refused = Switch::new("vaes512,avx10").check().unwrap_err();
        let text = "RAVELIN_CRYPTO_DISABLE: there is no back end `avx10`; write some of vaes512, vaes256, aesni, separated by commas";
        assert_eq!(refused.to_string(), text);
        for fine in ["", " , ", "AESNI, vaes256,vaes512"] {
            assert_eq!(Switch::new(fine).check(), Ok(()), "{fine}");
        }
    }
}
