//! What control says of TLS connections, and what it hears.

use std::time::{Duration, Instant};

use ravelin_contract::limits;
use ravelin_contract::message::{Refusal, Reply};
use ravelin_contract::tls::Order;

use super::Engine;
use crate::tls::order::Command;

/// How long orders may wait for a worker that has no room.
const PATIENCE: Duration = Duration::from_millis(500);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(1);

impl Engine {
    /// Notices for the connection of control that has this number; see [`ravelin_contract::message::Request::TakeTlsNotices`].
    pub fn take_tls_notices(&self, holder: u64, wait_ms: u32) -> Reply {
        let patience = Duration::from_millis(wait_ms.min(limits::TLS_WAIT_MS).into());
        Reply::TlsNotices(self.desk.take(holder, patience))
    }

    /// Gives orders to the workers.
    ///
    /// # Errors
    /// One of them cannot be carried out, and then none is; or a worker takes none.
    pub fn order_tls(&self, orders: Vec<Order>) -> Result<Reply, Refusal> {
        if orders.len() > limits::TLS_ORDERS {
            let most = limits::TLS_ORDERS;
            return Err(Refusal::TlsOrder(format!("{} at once; at most {most} are possible", orders.len())));
        }
        let commands = orders.into_iter().map(Command::prepare).collect::<Result<Vec<_>, _>>();
        let until = Instant::now() + PATIENCE;
        for mut command in commands.map_err(Refusal::TlsOrder)? {
            while let Err(back) = self.desk.order(command) {
                if Instant::now() > until {
                    return Err(Refusal::TlsOrder("a worker takes no orders".to_owned()));
                }
                std::thread::sleep(PAUSE);
                command = back;
            }
        }
        Ok(Reply::Done)
    }
}
