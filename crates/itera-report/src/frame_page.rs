//! `frame.md`: what was registered.

use crate::record::{Record, RecordError};
use crate::words::{cell, frame_table};
use itera_core::event::Event;
use std::fmt::Write;

/// The registered frame, with the hash under which it was locked.
///
/// # Errors
/// When no frame is locked.
pub fn frame_md(record: &Record) -> Result<String, RecordError> {
    let state = record.state();
    let frame = record.frame(&state)?;
    let locked = record
        .entries
        .iter()
        .find_map(|e| match &e.event {
            Event::FrameLocked { consent, snapshots, .. } => Some((e.at, consent, snapshots)),
            _ => None,
        })
        .ok_or(RecordError::Missing("lock"))?;
    let mut text = format!("# Frame: {}\n\n{}\n", frame.topic, frame_table(frame));
    let _ = writeln!(
        text,
        "Locked {} under `{}`, confirmed {}.\n",
        locked.0,
        state.frame_hash.as_ref().map_or("", |h| h.as_str()),
        locked.1.channel.words()
    );
    text.push_str("## What ran\n\n| arm | command | snapshot | files |\n|---|---|---|---|\n");
    for arm in frame.all_arms() {
        let snapshot = locked.2.get(&arm.id);
        let _ = writeln!(
            text,
            "| `{}` | `{}` | `{}` | {} |",
            arm.id,
            cell(&arm.command.join(" ")),
            snapshot.map_or("", |s| s.digest.short()),
            snapshot.map_or(String::new(), |s| s
                .files
                .iter()
                .map(|f| format!("`{}`", f.path))
                .collect::<Vec<_>>()
                .join(", "))
        );
    }
    text.push_str("\n## As registered\n\n```json\n");
    text.push_str(&serde_json::to_string_pretty(frame).unwrap_or_default());
    text.push_str("\n```\n");
    Ok(text)
}
