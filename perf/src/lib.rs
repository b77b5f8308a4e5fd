//! The lab: namespaces, peers, traffic, measurement.
