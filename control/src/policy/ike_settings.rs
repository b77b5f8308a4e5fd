//! `[ike]`: what holds for all peers (rows B26 and B55).

use std::time::Duration;

use ravelin_config::document::Table;
use ravelin_events::catalogue::FILE_TWICE;
use ravelin_ike::policy::Retransmission;

use crate::policy::model::Model;

const KEYS: &[&str] = &["wait", "longest_wait", "retries", "keepalive"];

/// Seconds between two keepalives where a NAT may forget us (RFC 3948 4).
const KEEPALIVE: u16 = 20;

/// Settings of IKE as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IkeSettings {
    /// How long answers are waited for.
    pub retransmission: Retransmission,
    /// Seconds between two NAT keepalives; 0 for none.
    pub keepalive: u16,
}

impl Default for IkeSettings {
    fn default() -> Self {
        Self { retransmission: Retransmission::default(), keepalive: KEEPALIVE }
    }
}

/// Reads `[ike]` of one file. A mistake in it leaves its default, and is told.
pub(super) fn read(file: &Table<'_>, model: &mut Model) {
    let Some(table) = file.table("ike", "[ike]", KEYS) else { return };
    if let Some((_, first)) = &model.ike {
        let message = FILE_TWICE.of(format!("`[ike]` stands in {} already", first.source.name()));
        table.error(message, "say it in one file");
    }
    let number = |key, bounds| table.get(key).and_then(|value| value.number(bounds));
    let mut settings = IkeSettings::default();
    let pace = &mut settings.retransmission;
    pace.first = number("wait", 1..=60).map_or(pace.first, Duration::from_secs);
    pace.longest = number("longest_wait", 1..=300).map_or(pace.longest, Duration::from_secs).max(pace.first);
    pace.retries = number("retries", 1..=20).map_or(pace.retries, |count| count as u8);
    settings.keepalive = number("keepalive", 0..=3600).map_or(settings.keepalive, |seconds| seconds as u16);
    model.ike = Some((settings, table.place()));
}
