//! How we log in by EAP at a peer that wants it (RFC 7296 2.16): as a user with a password, or with a certificate.

use ravelin_config::diagnostic::Collector;
use ravelin_config::document::Table;
use ravelin_config::source::Place;
use ravelin_contract::name::Name;
use ravelin_events::catalogue::{CHECK_KEY, CHECK_NEVER, FILE_CONTRADICTION, FILE_MISSING};
use ravelin_ike::policy::{LogIn, Proof, Trust};

use crate::policy::credential::Pick;
use crate::policy::keys::{Keys, USER};

/// Who we are there, and what shows it.
#[derive(Debug, Clone)]
pub struct OurLogIn {
    user: String,
    place: Place,
    by: By,
}

#[derive(Debug, Clone)]
enum By {
    /// The user's password in this entry of the file of keys.
    Password(Name, Place),
    /// This certificate, where the peer shows one that is believed.
    Certificate(Pick, Trust),
}

/// The name that we log in by.
#[derive(Debug)]
pub struct User {
    name: String,
    place: Place,
    users: Option<(Name, Place)>,
}

/// Reads `log_in`, and `users` beside it; `Some(None)` when there is none.
pub fn user(table: &Table<'_>) -> Option<Option<User>> {
    let name = table.optional("log_in", |value| {
        let text = value.text()?;
        let odd = text.is_empty() || text.len() > USER || text.contains(char::is_control);
        if odd {
            value.error("`log_in` is no name of a user", "write it like \"carol\" or \"carol@corp.example\"");
        }
        (!odd).then(|| (text.to_owned(), value.place()))
    })?;
    let Some((name, place)) = name else { return Some(None) };
    let users = table.optional("users", |value| Some((value.name()?, value.place())))?;
    Some(Some(User { name, place, users }))
}

impl User {
    /// With what the peer says of certificates.
    pub fn with(
        self,
        table: &Table<'_>,
        certificate: Option<Pick>,
        trust: Option<&Trust>,
    ) -> Option<OurLogIn> {
        let by = match (self.users, certificate, trust) {
            (Some((users, place)), None, _) => By::Password(users, place),
            (None, Some(pick), Some(trust)) => By::Certificate(pick, trust.clone()),
            (Some(_), Some(_), _) => {
                table
                    .error(FILE_CONTRADICTION.of("two things log us in"), "remove `users`, or `certificate`");
                return None;
            }
            (None, Some(_), None) => {
                table.error(
                    FILE_MISSING.of("EAP-TLS asks the peer for a certificate, and nothing says whose"),
                    "add trust = [\"RING\"]",
                );
                return None;
            }
            (None, None, _) => {
                let remedy = "add users = \"own\", an entry of keys.toml with users = { NAME = \"PASSWORD\" }, or certificate = \"RING\"";
                table.error(FILE_MISSING.of("nothing says what we log in with"), remedy);
                return None;
            }
        };
        Some(OurLogIn { user: self.name, place: self.place, by })
    }
}

impl OurLogIn {
    /// With the password, where there is one.
    pub fn proof(&self, keys: &Keys, notes: &Collector) -> Option<Proof> {
        let by = match &self.by {
            By::Password(name, place) => {
                let password = keys.users(name, place, notes)?.get(&self.user).cloned();
                if password.is_none() {
                    let message = CHECK_KEY.of(format!("`{name}` has no user {}", self.user));
                    notes.error(self.place.clone(), message, "add the user to that entry of keys.toml");
                }
                LogIn::Password(password?)
            }
            By::Certificate(pick, trust) => {
                LogIn::Certificate { key: pick.to_string(), trust: trust.clone() }
            }
        };
        Some(Proof::Eap { user: self.user.clone(), by })
    }

    /// Only who begins can log in.
    pub fn cannot_be_called(&self, notes: &Collector) {
        let message = CHECK_NEVER.of("whoever logs in has to begin, and the peer may be anywhere");
        notes.error(self.place.clone(), message, "write one address for the peer, or remove `log_in`");
    }
}
