//! What the packet process reports, as structured log lines with stable codes (rows B76, B77).

use ravelin_contract::message::Event;
use ravelin_contract::rule::Action;
use ravelin_events::tell;

/// Writes one event to the log.
pub fn write(event: &Event) {
    match event {
        Event::FilterMatch { rule, action, verdict, flow, port, length, fragment, suppressed, time } => {
            let (name, extension) =
                rule.as_ref().map_or(("IMPLICIT-DENY", 0), |(name, part)| (name.as_str(), *part));
            let (first, second) = flow.upper.unwrap_or_default();
            tell!(
                FILTER_MATCH,
                rule = name,
                extension,
                action = action_name(action.as_ref()),
                verdict = verdict.name(),
                source = %flow.source,
                destination = %flow.destination,
                protocol = flow.protocol,
                source_port_or_type = first,
                destination_port_or_code = second,
                port,
                length,
                fragment,
                suppressed,
                time_us = time
            );
        }
        Event::Acquire { tunnel, flow } => {
            tell!(SA_ACQUIRE, %tunnel, source = %flow.source, destination = %flow.destination);
        }
        Event::SequenceEnding { name, spi, reason } => {
            tell!(SA_SEQUENCE, sa = %name, spi = format!("{spi:#010x}"), reason);
        }
        Event::Child { spi, name, happening } => {
            tell!(SA_CHILD, sa = %name, %spi, ?happening);
        }
        Event::UnknownSpi { spi, local, remote, ports } => {
            let (source_port, destination_port) = ports.unwrap_or_default();
            tell!(SA_UNKNOWN, spi = format!("{spi:#010x}"), %local, %remote, source_port, destination_port);
        }
    }
}

fn action_name(action: Option<&Action>) -> &'static str {
    match action {
        None => "implicit-deny",
        Some(Action::Permit) => "permit",
        Some(Action::Deny(_)) => "deny",
        Some(Action::Protect(_)) => "ipsec",
    }
}
