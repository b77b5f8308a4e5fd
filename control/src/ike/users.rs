//! Users who log in with a password: which password is whose, and who has to go when policy knows a user no more.

use ravelin_contract::name::Name;
use ravelin_ike::policy::{Demand, Identity};
use ravelin_ike::status::Status;
use ravelin_ike::{Answer, Command};

use super::driver::Driver;

impl Driver {
    pub(super) fn password(&self, peer: &Name, user: &str) -> Answer {
        let password = self.ike.users.get(peer).and_then(|users| users.get(user));
        password.cloned().map_or_else(
            || Answer::Refused(format!("policy knows no user of that name for peer {peer}")),
            Answer::Password,
        )
    }

    /// Whoever logged in with a password and is a user no more has to go. Every IKE SA must be to be seen.
    pub(super) fn put_out_former_users(&mut self) {
        let leaves = |ike: &Status| self.by_password_alone(&ike.peer) && !self.knows(ike);
        let leaving: Vec<_> = self.endpoint.statuses().filter(leaves).map(|ike| ike.ike).collect();
        leaving.into_iter().for_each(|ike| self.command(Command::Down { ike }));
    }

    /// Where certificates prove users too, names say nothing of who may stay.
    fn by_password_alone(&self, peer: &Name) -> bool {
        match self.ike.policy.peer(peer).map(|peer| &peer.demand) {
            Some(Demand::Eap(eap)) => eap.methods.iter().all(|method| method.trust().is_none()),
            _ => false,
        }
    }

    fn knows(&self, ike: &Status) -> bool {
        let Identity::User(user) = &ike.identity else { return false };
        self.ike.users.get(&ike.peer).is_some_and(|users| users.contains_key(user))
    }
}
