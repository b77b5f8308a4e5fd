//! `docs/messages.md`, made of the catalogue.

use std::fmt::Write;

use crate::catalogue::{AREAS, Area};
use crate::entry::Entry;
use crate::glossary;

const HEAD: &str = "# Messages

Everything that Ravelin tells by a code: events in the log of both processes, and findings in files. Codes are stable; runbooks and
alarms may rely on them. `ravelin explain CODE` shows the same. This file is generated from `configs/events/src/catalogue`;
`RAVELIN_BLESS=1 cargo test --workspace --test messages` writes it anew.

Where events go, [operating.md](operating.md#the-log) says.
";

/// The whole file.
pub fn document() -> String {
    let mut text = HEAD.to_owned();
    AREAS.iter().for_each(|area| section(&mut text, area));
    text += "\n## Fields\n\n| field | meaning |\n|---|---|\n";
    for (name, meaning) in glossary::FIELDS {
        put(&mut text, format_args!("| `{name}` | {meaning} |\n"));
    }
    text
}

fn section(text: &mut String, area: &Area) {
    put(text, format_args!("\n## {}\n\n{}\n", area.title, area.about));
    area.entries.iter().for_each(|entry| paragraph(text, entry));
}

fn paragraph(text: &mut String, entry: &Entry) {
    let Entry { code, severity, fields, says, cause, remedy, .. } = entry;
    put(
        text,
        format_args!(
            "\n### `{code}`\n\n**{}**: {says}.\n\n{cause} *What to do:* {remedy}\n",
            severity.name()
        ),
    );
    if !fields.is_empty() {
        let fields: Vec<_> = fields.iter().map(|field| format!("`{field}`")).collect();
        put(text, format_args!("\nFields: {}\n", fields.join(", ")));
    }
}

/// Text takes whatever is written into it.
fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(what);
}
