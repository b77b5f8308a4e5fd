//! An order of control as a worker takes it: its keys are expanded already, since that is no work for a worker.

use ravelin_contract::secret::Secret;
use ravelin_contract::tls::{ConnectionId, Order};
use ravelin_contract::tls_session::Change;
use ravelin_records::Session;

/// For one connection.
#[derive(Debug)]
pub struct Command {
    /// Which.
    pub connection: ConnectionId,
    /// What to do.
    pub deed: Deed,
}

/// What to do; see [`Order`].
#[derive(Debug)]
pub enum Deed {
    /// [`Order::Octets`].
    Send(Vec<u8>),
    /// [`Order::Taken`].
    Taken(u32),
    /// [`Order::Run`].
    Run(Box<Session>, Vec<u8>),
    /// [`Order::Returned`].
    TakeBack(Secret),
    /// [`Order::Change`].
    Change(Change),
    /// [`Order::End`].
    End,
}

impl Command {
    /// From an order.
    ///
    /// # Errors
    /// It is longer than it may be, or its keys do not fit.
    pub fn prepare(order: Order) -> Result<Self, String> {
        order.check()?;
        let connection = order.connection();
        let deed = match order {
            Order::Octets { octets, .. } => Deed::Send(octets),
            Order::Taken { count, .. } => Deed::Taken(count),
            Order::Run { session, preface, .. } => {
                let session = Session::new(*session).map_err(|fault| fault.to_string())?;
                Deed::Run(Box::new(session), preface)
            }
            Order::Returned { octets, .. } => Deed::TakeBack(octets),
            Order::Change { change, .. } => Deed::Change(change),
            Order::End { .. } => Deed::End,
        };
        Ok(Self { connection, deed })
    }
}
