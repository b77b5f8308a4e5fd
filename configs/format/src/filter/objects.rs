//! Named objects: `[addresses]` and `[services]`, shared by all files of a policy (row A27).

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use ravelin_contract::address::{AddressRange, Family, RangeError};
use ravelin_contract::name::Name;
use ravelin_events::catalogue::{
    CHECK_LIMIT, CHECK_UNUSED, FILE_LOOP, FILE_MISSING, FILE_NO_SUCH, FILE_TWICE,
};

use crate::address::{self, AddressError, Written};
use crate::diagnostic::Collector;
use crate::document::Table;
use crate::service::{self, Part};
use crate::similar::did_you_mean;
use crate::source::Place;
use crate::value::Value;

/// Objects that refer to objects, at most this deep.
const DEPTH: usize = 32;

/// Most values that the names of one rule may stand for.
const VALUES: usize = 1 << 16;

/// A thing written where addresses may stand.
#[derive(Debug, Clone)]
pub enum AddressTerm {
    /// Every address of both families.
    Any(Place),
    /// Addresses.
    Range(AddressRange, Place),
    /// An object of `[addresses]`.
    Named(Name, Place),
}

/// A thing written where services may stand.
#[derive(Debug, Clone)]
pub enum ServiceTerm {
    /// Simple services.
    Parts(Vec<Part>),
    /// An object of `[services]`.
    Named(Name, Place),
}

/// Addresses without names.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// One range.
    pub range: AddressRange,
    /// Part of `any`, so that the other family may take its place.
    pub any: bool,
    /// Where it was written.
    pub place: Place,
}

/// All objects, and which of them were used.
#[derive(Debug, Default)]
pub struct Objects {
    addresses: HashMap<Name, Object<AddressTerm>>,
    services: HashMap<Name, Object<ServiceTerm>>,
    used: RefCell<HashSet<(Kind, Name)>>,
}

/// Where an object was named, and its values; `None` when they could not be read, which was told already.
type Object<T> = (Place, Option<Vec<T>>);

/// The two name spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Address,
    Service,
}

impl Objects {
    /// Takes `[addresses]` and `[services]` of a file. A name that stands twice, also in two files, is an error.
    pub fn read(&mut self, file: &Table<'_>) {
        let notes = file.context().notes;
        if let Some(section) = file.get("addresses") {
            for (place, value) in section.named() {
                let terms = read_addresses(&value);
                if let Some(name) = object_name(&place, &value, true) {
                    insert(&mut self.addresses, name, place, terms, notes);
                }
            }
        }
        if let Some(section) = file.get("services") {
            for (place, value) in section.named() {
                let terms = read_services(&value);
                if let Some(name) = object_name(&place, &value, false) {
                    insert(&mut self.services, name, place, terms, notes);
                }
            }
        }
    }

    /// The addresses of `terms` with every name replaced; `None` when one is missing.
    pub fn endpoints(&self, terms: &[AddressTerm], notes: &Collector) -> Option<Vec<Endpoint>> {
        let mut found = Vec::new();
        let whole = terms.iter().all(|term| self.add_endpoints(term, DEPTH, notes, &mut found));
        whole.then_some(found)
    }

    /// The services of `terms` with every name replaced; `None` when one is missing.
    pub fn parts(&self, terms: &[ServiceTerm], notes: &Collector) -> Option<Vec<Part>> {
        let mut found = Vec::new();
        let whole = terms.iter().all(|term| self.add_parts(term, DEPTH, notes, &mut found));
        whole.then_some(found)
    }

    /// Resolves every object, so that a fault in one that no rule uses is told too, and warns of those unused. Call it
    /// when all rules are compiled.
    pub fn check(&self, notes: &Collector) {
        let used = self.used.borrow().clone();
        for (name, (place, terms)) in &self.addresses {
            terms.as_ref().map(|terms| self.endpoints(terms, notes));
            warn_unused(&used, Kind::Address, name, place, notes);
        }
        for (name, (place, terms)) in &self.services {
            terms.as_ref().map(|terms| self.parts(terms, notes));
            warn_unused(&used, Kind::Service, name, place, notes);
        }
    }

    fn add_endpoints(
        &self,
        term: &AddressTerm,
        depth: usize,
        notes: &Collector,
        to: &mut Vec<Endpoint>,
    ) -> bool {
        let (name, place) = match term {
            AddressTerm::Any(place) => {
                let all =
                    |family| Endpoint { range: AddressRange::all(family), any: true, place: place.clone() };
                to.extend([all(Family::V4), all(Family::V6)]);
                return true;
            }
            AddressTerm::Range(range, place) => {
                to.push(Endpoint { range: *range, any: false, place: place.clone() });
                return true;
            }
            AddressTerm::Named(name, place) => (name, place),
        };
        self.used.borrow_mut().insert((Kind::Address, name.clone()));
        let Some((_, terms)) = self.addresses.get(name) else {
            missing(name, place, self.addresses.keys(), "an address or an object of [addresses]", notes);
            return false;
        };
        !is_too_much(depth, to.len(), name, place, notes)
            && terms.iter().flatten().all(|term| self.add_endpoints(term, depth - 1, notes, to))
            && terms.is_some()
    }

    fn add_parts(&self, term: &ServiceTerm, depth: usize, notes: &Collector, to: &mut Vec<Part>) -> bool {
        let (name, place) = match term {
            ServiceTerm::Parts(parts) => {
                to.extend(parts.iter().cloned());
                return true;
            }
            ServiceTerm::Named(name, place) => (name, place),
        };
        self.used.borrow_mut().insert((Kind::Service, name.clone()));
        let Some((_, terms)) = self.services.get(name) else {
            missing(name, place, self.services.keys(), "an object of [services]", notes);
            return false;
        };
        !is_too_much(depth, to.len(), name, place, notes)
            && terms.iter().flatten().all(|term| self.add_parts(term, depth - 1, notes, to))
            && terms.is_some()
    }
}

/// Reads addresses where one or a list may stand.
pub fn read_addresses(value: &Value<'_>) -> Option<Vec<AddressTerm>> {
    let terms: Option<Vec<_>> = value.one_or_more().iter().map(read_address).collect();
    terms.filter(|terms| !terms.is_empty())
}

/// Reads names of services, or services in braces.
pub fn read_services(value: &Value<'_>) -> Option<Vec<ServiceTerm>> {
    let terms: Option<Vec<_>> = value.one_or_more().iter().map(read_service).collect();
    terms.filter(|terms| !terms.is_empty())
}

fn read_address(value: &Value<'_>) -> Option<AddressTerm> {
    let text = value.text()?;
    match address::parse(text) {
        Ok(Written::Any) => Some(AddressTerm::Any(value.place())),
        Ok(Written::Range(range)) => Some(AddressTerm::Range(range, value.place())),
        Err(AddressError::NotAnAddress) => {
            let name = Name::new(text).ok().filter(|name| !is_like_an_address(name.as_str()));
            if name.is_none() {
                let remedy =
                    "write an address, a prefix, a range, any, or the name of an object of [addresses]";
                value.error(format!("{text:?} is not an address"), remedy);
            }
            name.map(|name| AddressTerm::Named(name, value.place()))
        }
        Err(AddressError::HostBits(meant)) => {
            value.error(
                format!("{text} has bits set behind its prefix"),
                format!("did you mean \"{meant}\"?"),
            );
            None
        }
        Err(AddressError::Range(e)) => {
            let remedy = match e {
                RangeError::Mixed => "write one range for each family",
                RangeError::Reversed => "write the lower address first",
                RangeError::TooLong(_) => "write a shorter prefix",
            };
            value.error(format!("{text:?}: {e}"), remedy);
            None
        }
    }
}

/// Such text is a mistyped address rather than a name; a message about a missing object would mislead.
fn is_like_an_address(text: &str) -> bool {
    let digits = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '/' | '-');
    text.chars().all(digits) && text.contains(['.', ':', '/'])
}

fn read_service(value: &Value<'_>) -> Option<ServiceTerm> {
    if value.as_text().is_some() {
        return value.name().map(|name| ServiceTerm::Named(name, value.place()));
    }
    let table = value.table("a service", service::KEYS)?;
    if service::KEYS.iter().all(|key| table.get(key).is_none()) {
        table.error(FILE_MISSING.of("the service says nothing"), "add protocol = \"tcp\" or another");
        return None;
    }
    service::read(&table).map(ServiceTerm::Parts)
}

fn object_name(place: &Place, value: &Value<'_>, of_addresses: bool) -> Option<Name> {
    let notes = value.context().notes;
    let taken = of_addresses && (address::parse(value.key()).is_ok() || is_like_an_address(value.key()));
    if taken {
        notes.error(place.clone(), format!("`{}` reads as an address", value.key()), "choose another name");
        return None;
    }
    match Name::new(value.key()) {
        Ok(name) => Some(name),
        Err(e) => {
            notes.error(place.clone(), e.to_string(), "choose another name");
            None
        }
    }
}

fn insert<T>(
    map: &mut HashMap<Name, Object<T>>,
    name: Name,
    place: Place,
    terms: Option<Vec<T>>,
    notes: &Collector,
) {
    if let Some((first, _)) = map.get(&name) {
        let message = FILE_TWICE.of(format!("object `{name}` stands in {} already", first.source.name()));
        notes.error(place, message, "rename or remove one of the two");
        return;
    }
    map.insert(name, (place, terms));
}

fn missing<'a>(
    name: &Name,
    place: &Place,
    known: impl Iterator<Item = &'a Name>,
    expected: &str,
    notes: &Collector,
) {
    let remedy =
        did_you_mean(name.as_str(), known.map(Name::as_str), "define the object, or correct the name");
    notes.error(place.clone(), FILE_NO_SUCH.of(format!("`{name}` is not {expected}")), remedy);
}

fn is_too_much(depth: usize, have: usize, name: &Name, place: &Place, notes: &Collector) -> bool {
    if have > VALUES {
        notes.error(
            place.clone(),
            CHECK_LIMIT.of(format!("`{name}` stands for more than {VALUES} values")),
            "use prefixes or ranges",
        );
    }
    if depth == 0 {
        let message =
            FILE_LOOP.of(format!("`{name}` refers to itself, or objects are nested more than {DEPTH} deep"));
        notes.error(place.clone(), message, "list the values instead of the name");
    }
    depth == 0 || have > VALUES
}

fn warn_unused(used: &HashSet<(Kind, Name)>, kind: Kind, name: &Name, place: &Place, notes: &Collector) {
    if !notes.has_errors() && !used.contains(&(kind, name.clone())) {
        notes.warning(
            place.clone(),
            CHECK_UNUSED.of(format!("no rule uses the object `{name}`")),
            "remove it, or use it in a rule",
        );
    }
}
