//! The configuration payload (RFC 7296 3.15, RFC 8598): addresses and names for road warriors.

use std::net::{IpAddr, Ipv4Addr};

use ravelin_contract::address::{AddressRange, Family};

use super::child::Failure;
use super::view::View;
use crate::action::{Action, Assignment};
use crate::context::Context;
use crate::policy::{Identity, Lease, Peer};
use crate::pool::Claim;
use crate::state::established::Established;
use crate::wire::{
    AttributeType, Configuration, ConfigurationAttribute, ConfigurationType, ConfigurationValue, NotifyType,
    Payload,
};

/// Asks for addresses, when policy says so: for those that we had before, if any.
pub(crate) fn request(peer: &Peer, wishes: &[IpAddr]) -> Option<Payload<'static>> {
    let wish = |kind, of: fn(&IpAddr) -> bool| match wishes.iter().copied().find(of) {
        Some(wished) => address(wished),
        None => ConfigurationAttribute::ask(kind),
    };
    let names =
        [AttributeType::InternalIp4Dns, AttributeType::InternalIp6Dns, AttributeType::InternalDnsDomain];
    let attributes = [
        wish(AttributeType::InternalIp4Address, IpAddr::is_ipv4),
        wish(AttributeType::InternalIp6Address, IpAddr::is_ipv6),
    ];
    let attributes = attributes.into_iter().chain(names.map(ConfigurationAttribute::ask)).collect();
    peer.request_address
        .then_some(Payload::Configuration(Configuration { kind: ConfigurationType::Request, attributes }))
}

/// Takes what the peer gave us.
pub(crate) fn take(this: &mut Established, ctx: &mut Context<'_>, view: View<'_>) {
    let Some(reply) = view.cp().filter(|cp| cp.kind == ConfigurationType::Reply && this.peer.request_address)
    else {
        return;
    };
    let mut assignment = Assignment::new(this.sa.id, &this.peer);
    for attribute in &reply.attributes {
        match (attribute.kind, attribute.value()) {
            (AttributeType::InternalIp4Address, Ok(ConfigurationValue::Ipv4(address))) => {
                assignment.addresses.push(address.into());
            }
            (AttributeType::InternalIp6Address, Ok(ConfigurationValue::Ipv6Prefix(address, _))) => {
                assignment.addresses.push(address.into());
            }
            (AttributeType::InternalIp4Dns, Ok(ConfigurationValue::Ipv4(address))) => {
                assignment.dns.push(address.into())
            }
            (AttributeType::InternalIp6Dns, Ok(ConfigurationValue::Ipv6(address))) => {
                assignment.dns.push(address.into())
            }
            (AttributeType::InternalDnsDomain, Ok(ConfigurationValue::Domain(name))) => {
                assignment.domains.push(name.to_owned());
            }
            _ => {}
        }
    }
    this.assigned.clone_from(&assignment.addresses);
    ctx.act(Action::Assigned(Box::new(assignment)));
}

/// What a peer that policy has addresses for gets.
pub(crate) enum Given {
    /// This, with the addresses in it.
    Addresses(Payload<'static>, Vec<IpAddr>),
    /// Nothing: it gets no child either (RFC 7296 3.15.4).
    Failed(Failure),
}

/// Gives the peer addresses, where policy has some for it. `sole` when it has just said that nothing else of it is alive.
pub(crate) fn answer(
    ctx: &mut Context<'_>,
    lease: &Lease,
    holder: &Identity,
    sole: bool,
    view: View<'_>,
) -> Given {
    let request = view.cp().filter(|cp| cp.kind == ConfigurationType::Request);
    let asked = request.map(|cp| cp.attributes.iter().filter_map(wish).collect::<Vec<_>>());
    let claims: Vec<_> = [Family::V4, Family::V6]
        .into_iter()
        .filter_map(|family| {
            let wish = asked.iter().flatten().find(|(of, _)| *of == family)?.1;
            Some((family, Claim { holder, wish, sole }))
        })
        .collect();
    if claims.is_empty() {
        let text = format!("{holder} asks for no address, and policy gives it one of pool {}", lease.pool);
        return Given::Failed(Failure::new(NotifyType::FailedCpRequired, text));
    }
    let addresses = ctx.shared.lease(lease, &claims);
    if addresses.is_empty() {
        let text = format!("pool {} has no address left for {holder}", lease.pool);
        return Given::Failed(Failure::new(NotifyType::InternalAddressFailure, text));
    }
    let asks = |attribute: &ConfigurationAttribute<'_>| attribute.kind == AttributeType::InternalDnsDomain;
    let splits = request.is_some_and(|cp| cp.attributes.iter().any(asks));
    let attributes = addresses.iter().copied().map(address).chain(extras(lease, splits)).collect();
    let reply = Configuration { kind: ConfigurationType::Reply, attributes };
    Given::Addresses(Payload::Configuration(reply), addresses)
}

/// The family that is asked for, and the address that would be welcome.
fn wish(attribute: &ConfigurationAttribute<'_>) -> Option<(Family, Option<IpAddr>)> {
    let family = match attribute.kind {
        AttributeType::InternalIp4Address => Family::V4,
        AttributeType::InternalIp6Address => Family::V6,
        _ => return None,
    };
    let address = match attribute.value().ok()? {
        ConfigurationValue::Ipv4(address) => Some(address.into()),
        ConfigurationValue::Ipv6Prefix(address, _) => Some(address.into()),
        _ => None,
    };
    Some((family, address.filter(|address: &IpAddr| !address.is_unspecified())))
}

fn address(address: IpAddr) -> ConfigurationAttribute<'static> {
    match address {
        IpAddr::V4(v4) => {
            ConfigurationAttribute::new(AttributeType::InternalIp4Address, &ConfigurationValue::Ipv4(v4))
        }
        IpAddr::V6(v6) => ConfigurationAttribute::new(
            AttributeType::InternalIp6Address,
            &ConfigurationValue::Ipv6Prefix(v6, 128),
        ),
    }
}

/// Names and networks. Domains only for clients that ask for some (RFC 8598 3.1).
fn extras(lease: &Lease, splits: bool) -> impl Iterator<Item = ConfigurationAttribute<'static>> + '_ {
    let dns = lease.dns.iter().map(|address| match address {
        IpAddr::V4(v4) => {
            ConfigurationAttribute::new(AttributeType::InternalIp4Dns, &ConfigurationValue::Ipv4(*v4))
        }
        IpAddr::V6(v6) => {
            ConfigurationAttribute::new(AttributeType::InternalIp6Dns, &ConfigurationValue::Ipv6(*v6))
        }
    });
    let domains = lease.domains.iter().filter(move |_| splits).map(|name| {
        ConfigurationAttribute::new(AttributeType::InternalDnsDomain, &ConfigurationValue::Domain(name))
    });
    dns.chain(domains).chain(lease.subnets.iter().filter_map(subnet))
}

fn subnet(range: &AddressRange) -> Option<ConfigurationAttribute<'static>> {
    let length = range.as_prefix()?;
    Some(match range.first() {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            let value = ConfigurationValue::Ipv4Subnet(v4, Ipv4Addr::from_bits(mask));
            ConfigurationAttribute::new(AttributeType::InternalIp4Subnet, &value)
        }
        IpAddr::V6(v6) => ConfigurationAttribute::new(
            AttributeType::InternalIp6Subnet,
            &ConfigurationValue::Ipv6Prefix(v6, length),
        ),
    })
}
