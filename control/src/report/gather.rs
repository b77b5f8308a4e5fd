//! Whole lists out of the packet process's pages.

use ravelin_contract::message::{Reply, Request};
use ravelin_contract::report::{InterfaceStatus, PortStatus, RuleStatus, SaStatus, Status};

use super::metrics;
use crate::io::dataplane::{Dataplane, LinkError};

/// Its state.
pub async fn status(dataplane: &Dataplane) -> Result<Status, LinkError> {
    match dataplane.ask(Request::Status).await? {
        Reply::Status(status) => Ok(*status),
        _ => Err(LinkError::Unexpected("Status")),
    }
}

/// Its ports.
pub async fn ports(dataplane: &Dataplane) -> Result<Vec<PortStatus>, LinkError> {
    match dataplane.ask(Request::Ports).await? {
        Reply::Ports(ports) => Ok(ports),
        _ => Err(LinkError::Unexpected("Ports")),
    }
}

/// Its physical interfaces.
pub async fn interfaces(dataplane: &Dataplane) -> Result<Vec<InterfaceStatus>, LinkError> {
    match dataplane.ask(Request::Interfaces).await? {
        Reply::Interfaces(interfaces) => Ok(interfaces),
        _ => Err(LinkError::Unexpected("Interfaces")),
    }
}

/// The rules in force.
pub async fn rules(dataplane: &Dataplane) -> Result<Vec<RuleStatus>, LinkError> {
    let (mut all, mut from) = (Vec::new(), 0);
    loop {
        match dataplane.ask(Request::ListRules { from }).await? {
            Reply::Rules { mut rules, next } => {
                all.append(&mut rules);
                match next {
                    Some(next) => from = next,
                    None => return Ok(all),
                }
            }
            _ => return Err(LinkError::Unexpected("ListRules")),
        }
    }
}

/// The SAs held.
pub async fn sas(dataplane: &Dataplane) -> Result<Vec<SaStatus>, LinkError> {
    let (mut all, mut from) = (Vec::new(), 0);
    loop {
        match dataplane.ask(Request::ListSas { from }).await? {
            Reply::Sas { mut sas, next } => {
                all.append(&mut sas);
                match next {
                    Some(next) => from = next,
                    None => return Ok(all),
                }
            }
            _ => return Err(LinkError::Unexpected("ListSas")),
        }
    }
}

/// All that a scrape shows.
pub async fn everything(dataplane: &Dataplane) -> Result<metrics::Dataplane, LinkError> {
    Ok(metrics::Dataplane {
        status: status(dataplane).await?,
        ports: ports(dataplane).await?,
        interfaces: interfaces(dataplane).await?,
        rules: rules(dataplane).await?,
        sas: sas(dataplane).await?,
    })
}
