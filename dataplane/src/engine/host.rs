//! Holds the kernel to the filters in force for this host's own traffic.
//!
//! Slow: a process is waited for. So it happens beside `state`, under a lock of its own, and looks at what is in force
//! only then: whoever tells the kernel last tells it what was chosen last.

use std::sync::{Arc, MutexGuard, PoisonError};

use ravelin_contract::address::AddressRange;
use ravelin_contract::message::Refusal;
use ravelin_contract::report::FilterMode;

use super::{Engine, InForce, State};
use crate::table::policy::Policy;

impl Engine {
    /// Holds the kernel to the filters in force. Nothing may start before it has once been done.
    ///
    /// # Errors
    /// Why not; the kernel holds to what it held to.
    pub fn guard_host(&self) -> Result<(), Refusal> {
        self.hold_host(State::in_force, None)
    }

    /// The same for a policy that is about to come into force, unless default filters are forced.
    pub(super) fn guard_host_for(
        &self,
        next: &Arc<Policy>,
        protected: &[AddressRange],
    ) -> Result<(), Refusal> {
        let in_force = |state: &State| match state.forced_default {
            true => (FilterMode::DefaultForced, Arc::clone(&state.defaults)),
            false => (FilterMode::Policy, Arc::clone(next)),
        };
        self.hold_host(in_force, Some(protected))
    }

    /// For when there is nobody to refuse to: then the kernel goes on by what it held to.
    pub(super) fn try_guard_host(&self) {
        if let Err(error) = self.guard_host() {
            ravelin_events::tell!(HOST_GUARD_STALE, %error);
        }
    }

    /// Whether the kernel holds to the filters in force.
    pub(super) fn is_host_guarded(&self) -> bool {
        let held = self.host();
        let (_, policy) = self.state().in_force();
        held.as_ref().is_some_and(|held| Arc::ptr_eq(held, &policy))
    }

    fn hold_host(
        &self,
        filters: impl FnOnce(&State) -> (FilterMode, Arc<Policy>),
        protected: Option<&[AddressRange]>,
    ) -> Result<(), Refusal> {
        let mut held = self.host();
        let ((mode, policy), ports) = {
            let state = self.state();
            (filters(&state), state.ports.clone())
        };
        let in_force = InForce { mode, policy: &policy, ports: &ports, protected };
        self.surroundings.host(&in_force).map_err(Refusal::Unenforceable)?;
        *held = Some(policy);
        Ok(())
    }

    fn host(&self) -> MutexGuard<'_, Option<Arc<Policy>>> {
        self.host.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn in_force(&self) -> (FilterMode, Arc<Policy>) {
        let mode = self.mode();
        (mode, Arc::clone(self.filters(mode)))
    }
}
