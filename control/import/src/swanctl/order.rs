//! The order of children. strongSwan prefers the narrower selector wherever it stands; of our rules the first that fits holds.

use ravelin_contract::address::AddressRange;

/// Source and destination; `None` where it could not be read.
pub(super) type Traffic = [Option<Vec<AddressRange>>; 2];

/// How two children are to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meet {
    /// No packet is for both.
    Not,
    /// The first is narrower wherever they meet.
    Before,
    /// The second is.
    Behind,
    /// No order says what strongSwan does.
    Either,
}

/// Indexes of the children as they have to stand, and each whose place no order can say, with another that it meets.
///
/// Those of which not all is known stand first: they are denied, and may be for anything.
pub(super) fn order(children: &[&Traffic]) -> (Vec<usize>, Vec<(usize, usize)>) {
    let known = |at: &usize| children[*at].iter().all(Option::is_some);
    let (mut rest, mut found): (Vec<usize>, Vec<usize>) = (0..children.len()).partition(known);
    let mut spoilt = Vec::new();
    for &one in &rest {
        let other = rest
            .iter()
            .find(|other| **other != one && meet(children[one], children[**other]) == Meet::Either);
        spoilt.extend(other.map(|other| (one, *other)));
    }
    while !rest.is_empty() {
        let narrowest = |one: &usize| {
            rest.iter().all(|other| one == other || meet(children[*one], children[*other]) != Meet::Behind)
        };
        let at = rest.iter().position(narrowest).unwrap_or_else(|| {
            // Lists can go round in a circle: each is narrower than the next at some address.
            spoilt.extend(rest.iter().map(|one| (*one, rest[0])));
            0
        });
        found.push(rest.remove(at));
    }
    (found, spoilt)
}

fn meet(one: &Traffic, other: &Traffic) -> Meet {
    let ends = || one.iter().flatten().zip(other.iter().flatten());
    let pairs = |ends: (&'_ Vec<AddressRange>, &'_ Vec<AddressRange>)| -> Vec<(AddressRange, AddressRange)> {
        let all = ends.0.iter().flat_map(|a| ends.1.iter().map(|b| (*a, *b)));
        all.filter(|(a, b)| a.intersects(b)).collect()
    };
    let meeting: Vec<_> = ends().map(pairs).collect();
    if meeting.iter().any(Vec::is_empty) {
        return Meet::Not;
    }
    let within = |a: &AddressRange, b: &AddressRange| b.contains(a.first()) && b.contains(a.last());
    let all = |fits: &dyn Fn(&AddressRange, &AddressRange) -> bool| {
        meeting.iter().flatten().all(|(a, b)| fits(a, b))
    };
    if meeting.iter().all(|pairs| pairs.iter().any(|(a, b)| a == b)) {
        Meet::Either
    } else if all(&|a, b| within(a, b)) {
        Meet::Before
    } else if all(&|a, b| within(b, a)) {
        Meet::Behind
    } else {
        Meet::Either
    }
}
