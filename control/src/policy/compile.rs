//! The model into a snapshot: names found, rules split, each tunnel's two SAs.

use std::collections::HashMap;
use std::net::IpAddr;

use ravelin_config::diagnostic::Collector;
use ravelin_config::filter::compile::{Scope, Tunnels, compile as compile_rule, selectors};
use ravelin_config::source::Place;
use ravelin_contract::address::AddressRange;
use ravelin_contract::identity::IdentityId;
use ravelin_contract::limits;
use ravelin_contract::name::Name;
use ravelin_contract::rule::{Action, Direction, Rule, TunnelId};
use ravelin_contract::sa::{Mode, Origin, Receiving, Sa, Side, Spi};
use ravelin_contract::selector::Selector;
use ravelin_contract::snapshot::{self, Snapshot};
use ravelin_events::catalogue::{CHECK_LIMIT, CHECK_NEVER, CHECK_UNUSED, FILE_TWICE};

use crate::policy::algorithm::Algorithm;
use crate::policy::attls::Attls;
use crate::policy::keys::{Entry, Keys};
use crate::policy::model::{Keying, Manual, Model, Tunnel};
use crate::policy::origin::Origins;
use crate::policy::peers::Ike;
use crate::policy::whom::Numbering;
use crate::policy::{attls, fingerprint, ike_permit, lint, model, peers};

/// What a model becomes.
#[derive(Debug)]
pub struct Built {
    /// For the packet process.
    pub snapshot: Snapshot,
    /// What IKE negotiates by.
    pub ike: Ike,
    /// How TLS is spoken.
    pub attls: Attls,
    /// Where rules and tunnels stand.
    pub origins: Origins,
}

/// What `model` means; `None` when anything of it cannot be enforced as it is written.
pub fn compile(model: &Model, keys: &Keys, zones: &[Name], notes: &Collector) -> Option<Built> {
    let tunnels = Tunnels::new(model.tunnels.iter().map(|tunnel| &tunnel.name).chain(&model.broken));
    let scope = Scope { objects: &model.objects, zones, tunnels: &tunnels, notes };
    let mut whom = Numbering::default();
    let compiled: Vec<_> = model
        .rules
        .iter()
        .map(|rule| {
            let (filters, identities) = (compile_rule(rule, &scope), whom.of(rule, model, notes));
            filters.zip(identities).map(|(filters, identities)| for_these(filters, &identities))
        })
        .collect();
    let whom = whom.done();
    let whole = compiled.iter().all(Option::is_some);
    let rules: Vec<Rule> = compiled.into_iter().flatten().flatten().collect();
    let named = Named::of(&rules);
    check_spis(&model.tunnels, notes);
    let ids = (0..).map(TunnelId);
    let mut children = HashMap::new();
    let mut sas = Vec::new();
    for (tunnel, id) in model.tunnels.iter().zip(ids) {
        match &tunnel.keying {
            Keying::Manual(manual) => sas.push(compile_manual(tunnel, manual, id, &named, keys, &scope)),
            Keying::Negotiated(_) => {
                children.extend(traffic(tunnel, id, &named, &scope).map(|outbound| (&tunnel.name, outbound)));
            }
        }
    }
    let ike = peers::compile(model, &children, keys, notes);
    let tls = attls::compile::compile(&model.attls, &scope);
    model.objects.check(notes);
    if !whole || notes.has_errors() {
        return None;
    }
    keys.warn_unused(notes);
    lint::shadowed(&model.rules, &rules, notes);
    ike_permit::check(model, &rules, notes);
    let (tls, attls) = tls?;
    let mut snapshot = Snapshot {
        fingerprint: String::new(),
        zones: zones.to_vec(),
        tunnels: model.tunnels.iter().map(|tunnel| snapshot::Tunnel { name: tunnel.name.clone() }).collect(),
        identities: whom.names(),
        rules,
        filter: model.filter.as_ref().map_or(model::FILTER, |(settings, _)| *settings),
        sas: sas.into_iter().flatten().flatten().collect(),
        tls,
    };
    snapshot.fingerprint = fingerprint::of(&snapshot);
    let origins = Origins::of(model, &attls);
    Some(Built { snapshot, ike: Ike { whom, ..ike? }, attls, origins })
}

/// The filters, for peers of these identities alone; for all where there are none.
fn for_these(mut filters: Vec<Rule>, identities: &[IdentityId]) -> Vec<Rule> {
    filters.iter_mut().for_each(|filter| filter.identities = identities.to_vec());
    filters
}

/// Selectors of the rules that name each tunnel, by direction, each once.
struct Named(HashMap<(TunnelId, Direction), Vec<Selector>>);

impl Named {
    fn of(rules: &[Rule]) -> Self {
        let mut map: HashMap<_, Vec<Selector>> = HashMap::new();
        for rule in rules {
            if let Action::Protect(tunnel) = rule.action {
                let list = map.entry((tunnel, rule.direction)).or_default();
                if !list.contains(&rule.selector) {
                    list.push(rule.selector);
                }
            }
        }
        Self(map)
    }

    /// Outbound and inbound selectors. Where rules are for one direction only, the other gets the answers to it: an
    /// SA without selectors would accept everything.
    fn both(&self, tunnel: TunnelId) -> Option<(Vec<Selector>, Vec<Selector>)> {
        let of = |direction| self.0.get(&(tunnel, direction)).cloned();
        match (of(Direction::Outbound), of(Direction::Inbound)) {
            (None, None) => None,
            (Some(outbound), Some(inbound)) => Some((outbound, inbound)),
            (Some(outbound), None) => Some((outbound.clone(), reversed(&outbound))),
            (None, Some(inbound)) => Some((reversed(&inbound), inbound)),
        }
    }
}

fn reversed(selectors: &[Selector]) -> Vec<Selector> {
    selectors.iter().map(Selector::reversed).collect()
}

/// Outbound and inbound selectors of a tunnel; `None` when no rule sends anything through it, or a mistake was told.
fn both_ways(
    tunnel: &Tunnel,
    id: TunnelId,
    named: &Named,
    scope: &Scope<'_>,
) -> Option<(Vec<Selector>, Vec<Selector>)> {
    let Some(from_rules) = named.both(id) else {
        if !scope.notes.has_errors() {
            let message = format!("no rule uses the tunnel `{}`, so it is left out", tunnel.name);
            scope.notes.warning(
                tunnel.place.clone(),
                CHECK_UNUSED.of(message),
                "add a rule with action = \"ipsec\" for it, or remove it",
            );
        }
        return None;
    };
    let Some(written) = &tunnel.selectors else { return Some(from_rules) };
    let lists: Vec<_> = written.iter().map(|traffic| selectors(traffic, scope)).collect();
    let outbound: Vec<_> = lists.into_iter().collect::<Option<Vec<_>>>()?.concat();
    let inbound = reversed(&outbound);
    Some((outbound, inbound))
}

/// What a negotiated tunnel is for, as our side sends it: what rules send through it, and answers to what they let in.
fn traffic(tunnel: &Tunnel, id: TunnelId, named: &Named, scope: &Scope<'_>) -> Option<Vec<Selector>> {
    let (mut outbound, inbound) = both_ways(tunnel, id, named, scope)?;
    for selector in reversed(&inbound) {
        if !outbound.contains(&selector) {
            outbound.push(selector);
        }
    }
    let most = limits::SELECTORS;
    if outbound.len() > most {
        let message = format!(
            "the rules of tunnel `{}` have {} selectors, at most {most}",
            tunnel.name,
            outbound.len()
        );
        let remedy = "write `selectors` that cover them with fewer";
        scope.notes.error(tunnel.place.clone(), CHECK_LIMIT.of(message), remedy);
        return None;
    }
    Some(outbound)
}

/// Both SAs of a tunnel with manual keys, or none when no rule sends anything through it.
fn compile_manual(
    tunnel: &Tunnel,
    manual: &Manual,
    id: TunnelId,
    named: &Named,
    keys: &Keys,
    scope: &Scope<'_>,
) -> Option<Vec<Sa>> {
    let entry = keys.take(&manual.keys.0, &manual.keys.1, scope.notes);
    let transforms = entry.and_then(|entry| transforms(entry, manual.algorithm, scope.notes));
    let Some((outbound, inbound)) = both_ways(tunnel, id, named, scope) else {
        return (!scope.notes.has_errors()).then(Vec::new);
    };
    let ends = (manual.local, manual.remote);
    check_selectors(tunnel, ends, &outbound, &inbound, scope.notes)?;
    let (seal, open) = transforms?;
    let sa = |spi: &(Spi, Place), transform, selectors, side| Sa {
        name: tunnel.name.clone(),
        tunnel: id,
        spi: spi.0,
        mode: tunnel.mode,
        local: manual.local,
        remote: manual.remote,
        carrier: manual.carrier,
        transform,
        extended_sequence: tunnel.extended_sequence.unwrap_or(true),
        selectors,
        origin: Origin::Manual,
        side,
    };
    let receiving = Receiving { replay_window: tunnel.replay_window };
    Some(vec![
        sa(&manual.outbound_spi, seal, outbound, Side::Outbound(tunnel.sending.clone())),
        sa(&manual.inbound_spi, open, inbound, Side::Inbound(receiving)),
    ])
}

/// Both directions are asked, so that the faults of both are told.
fn transforms(
    entry: &Entry,
    algorithm: &Algorithm,
    notes: &Collector,
) -> Option<(ravelin_contract::sa::Transform, ravelin_contract::sa::Transform)> {
    let (seal, open) =
        (entry.outbound.transform(algorithm, notes), entry.inbound.transform(algorithm, notes));
    seal.zip(open)
}

fn check_selectors(
    tunnel: &Tunnel,
    (local, remote): (IpAddr, IpAddr),
    outbound: &[Selector],
    inbound: &[Selector],
    notes: &Collector,
) -> Option<()> {
    let (place, name) = (&tunnel.place, &tunnel.name);
    let most = limits::SELECTORS;
    if let Some(many) = [outbound.len(), inbound.len()].into_iter().find(|count| *count > most) {
        let message =
            CHECK_LIMIT.of(format!("the rules of tunnel `{name}` have {many} selectors, at most {most}"));
        notes.error(place.clone(), message, "write `selectors` that cover them with fewer");
        return None;
    }
    let ends = (AddressRange::single(local), AddressRange::single(remote));
    let stray = outbound.iter().find(|s| tunnel.mode == Mode::Transport && (s.source, s.destination) != ends);
    if let Some(stray) = stray {
        let (source, destination) = (stray.source, stray.destination);
        let message = format!(
            "transport mode carries packets of {local} and {remote} alone, not from {source} to {destination}"
        );
        let remedy = "write the two endpoints as source and destination of the rule, or mode = \"tunnel\"";
        notes.error(place.clone(), CHECK_NEVER.of(message), remedy);
        return None;
    }
    Some(())
}

/// The receiver finds an SA by SPI and destination, so a pair may stand once in each direction.
fn check_spis(tunnels: &[Tunnel], notes: &Collector) {
    let mut seen: HashMap<(Direction, IpAddr, Spi), &Name> = HashMap::new();
    for tunnel in tunnels {
        let Keying::Manual(manual) = &tunnel.keying else { continue };
        let sides = [
            (Direction::Outbound, manual.remote, &manual.outbound_spi),
            (Direction::Inbound, manual.local, &manual.inbound_spi),
        ];
        for (direction, to, (spi, place)) in sides {
            if let Some(first) = seen.insert((direction, to, *spi), &tunnel.name) {
                let message = FILE_TWICE.of(format!("SPI {spi} to {to} is that of tunnel `{first}` too"));
                notes.error(place.clone(), message, "choose another number, on both sides");
            }
        }
    }
}
