//! The configuration payload (RFC 7296 3.15, RFC 8598): addresses and names for road warriors.

use std::net::{IpAddr, Ipv4Addr};

use ravelin_contract::address::AddressRange;

use super::view::View;
use crate::action::{Action, Assignment};
use crate::context::Context;
use crate::policy::{Identity, Lease, Peer};
use crate::state::established::Established;
use crate::wire::{
    AttributeType, Configuration, ConfigurationAttribute, ConfigurationType, ConfigurationValue, Payload,
};

/// Asks for addresses, when policy says so.
pub(crate) fn request(peer: &Peer) -> Option<Payload<'static>> {
    let kinds = [
        AttributeType::InternalIp4Address,
        AttributeType::InternalIp6Address,
        AttributeType::InternalIp4Dns,
        AttributeType::InternalIp6Dns,
        AttributeType::InternalDnsDomain,
    ];
    let attributes = kinds.map(ConfigurationAttribute::ask).into();
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

/// Gives the peer addresses, when it asks and policy has some. With the addresses given.
pub(crate) fn answer(
    ctx: &mut Context<'_>,
    peer: &Peer,
    holder: &Identity,
    view: View<'_>,
) -> Option<(Payload<'static>, Vec<IpAddr>)> {
    let lease = peer.lease.as_ref()?;
    let request = view.cp().filter(|cp| cp.kind == ConfigurationType::Request)?;
    let wishes: Vec<IpAddr> = request.attributes.iter().filter_map(wish).collect();
    let addresses = ctx.shared.lease(&peer.name, lease, holder, &wishes);
    if addresses.is_empty() {
        return None;
    }
    let attributes = addresses.iter().copied().map(address).chain(extras(lease)).collect();
    let reply = Configuration { kind: ConfigurationType::Reply, attributes };
    Some((Payload::Configuration(reply), addresses))
}

fn wish(attribute: &ConfigurationAttribute<'_>) -> Option<IpAddr> {
    match (attribute.kind, attribute.value().ok()?) {
        (AttributeType::InternalIp4Address, ConfigurationValue::Ipv4(address)) => Some(address.into()),
        (AttributeType::InternalIp6Address, ConfigurationValue::Ipv6Prefix(address, _)) => {
            Some(address.into())
        }
        _ => None,
    }
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

fn extras(lease: &Lease) -> impl Iterator<Item = ConfigurationAttribute<'static>> + '_ {
    let dns = lease.dns.iter().map(|address| match address {
        IpAddr::V4(v4) => {
            ConfigurationAttribute::new(AttributeType::InternalIp4Dns, &ConfigurationValue::Ipv4(*v4))
        }
        IpAddr::V6(v6) => {
            ConfigurationAttribute::new(AttributeType::InternalIp6Dns, &ConfigurationValue::Ipv6(*v6))
        }
    });
    let domains = lease.domains.iter().map(|name| {
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
