//! Lifetimes of a working IKE SA and its children: what is renewed when, and when the clock is to be looked at again.

use std::sync::Arc;

use super::established::{Doing, Established, Task};
use super::initiated::Plan;
use crate::child::{Child, Life};
use crate::context::{Context, Effect};
use crate::event::Code;
use crate::time::Time;

impl Established {
    /// New keys, or new proofs, for the IKE SA.
    pub(super) fn renew_ike(&mut self, ctx: &mut Context<'_>) {
        if self.clock.reauthenticate.is_some_and(|due| due <= ctx.now) {
            self.clock.reauthenticate = None;
            self.reauthenticate(ctx);
        }
        let due = self.clock.rekey.is_some_and(|due| due <= ctx.now) || self.sa.window.is_nearly_spent();
        if due {
            self.clock.rekey = None;
            if !self.is_rekeying_ike() {
                self.push(Task::RekeyIke);
            }
        }
    }

    fn is_rekeying_ike(&self) -> bool {
        matches!(self.doing, Some(Doing::RekeyIke { .. }))
            || self.tasks.iter().any(|task| matches!(task, Task::RekeyIke))
    }

    /// A new IKE SA from the first message on; the old one ends when that one stands (make before break).
    pub(crate) fn reauthenticate(&mut self, ctx: &mut Context<'_>) {
        if self.peer.initiate.is_none() && !self.birth.ours {
            let text = "the peer must begin anew: policy does not say where it can be reached";
            ctx.event(Code::CommandRefused, Some(&self.peer), self.sa.id, self.sa.path, text);
            return;
        }
        let wants = self.standing();
        let plan = Plan {
            peer: Arc::clone(&self.peer),
            ends: Some((self.sa.path.local, self.sa.path.remote)),
            wants,
            supersedes: Some(self.birth),
            redirects: 0,
            initial_contact: false,
            wishes: self.assigned.clone(),
        };
        ctx.out.push(Effect::Begin(plan));
    }

    /// New keys for children, and the end of those whose time is over.
    pub(super) fn renew_children(&mut self, ctx: &mut Context<'_>) {
        let mut tasks = Vec::new();
        for child in &mut self.children {
            if child.hard.is_some_and(|hard| hard <= ctx.now) {
                child.hard = None;
                tasks.push(Task::DeleteChild(child.inbound));
            } else if child.soft.is_some_and(|soft| soft <= ctx.now) {
                child.soft = None;
                match child.life {
                    Life::Standing => tasks.push(Task::RekeyChild(child.inbound)),
                    Life::Replaced => tasks.push(Task::DeleteChild(child.inbound)),
                    Life::Rekeying | Life::Deleting => {}
                }
            }
        }
        tasks.into_iter().for_each(|task| self.push(task));
    }

    /// When [`Self::timer`] has something to do next. Tasks that came with a takeover are due at once.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let free = !self.awaits && self.doing.is_none() && self.sa.window.is_free();
        if free && !self.tasks.is_empty() {
            return Some(self.clock.heard);
        }
        let idle = self.doing.is_none() && self.tasks.is_empty();
        let liveness =
            self.peer.liveness.filter(|_| idle && !self.awaits).map(|liveness| self.clock.heard + liveness);
        let own = [
            self.sa.window.deadline(),
            self.clock.rekey,
            self.clock.hard,
            self.clock.reauthenticate,
            self.clock.proof,
            liveness,
            self.pending.as_ref().map(|pending| pending.until),
        ];
        own.into_iter().flatten().chain(self.children.iter().filter_map(Child::deadline)).min()
    }
}
