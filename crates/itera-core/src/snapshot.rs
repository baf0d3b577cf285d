//! What an arm was when it was registered: the digest of its definition and of every file.

use crate::frame::ArmSpec;
use crate::ids::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Digest of one file of an arm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileDigest {
    /// Path relative to the project, with `/`.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// BLAKE3 of the content.
    pub digest: Digest,
    /// Whether the file may be executed.
    pub executable: bool,
}

/// The files of an arm at one moment, sorted by path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Snapshot {
    /// Files, sorted by path.
    pub files: Vec<FileDigest>,
    /// Digest over the arm's command and all files: two equal digests run the same thing.
    pub digest: Digest,
}

impl Snapshot {
    /// The snapshot of an arm whose files have these digests.
    pub fn new(arm: &ArmSpec, mut files: Vec<FileDigest>) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let digest = Digest::of_json(&(arm.kind, &arm.command, &arm.prepare, &arm.env, &files));
        Self { files, digest }
    }

    /// The digest of one file.
    pub fn file(&self, path: &str) -> Option<&FileDigest> {
        self.files.iter().find(|f| f.path == path)
    }
}

/// Difference between two snapshots of one arm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotDiff {
    /// Unified diff of the text files, at most 20,000 characters.
    pub text: String,
    /// Lines added.
    pub added: u64,
    /// Lines removed.
    pub removed: u64,
    /// Separate places changed.
    pub hunks: u64,
    /// Files changed, added or removed.
    pub files: Vec<String>,
}

/// A file before and after, where it exists on that side.
pub type FileChange = (String, Option<Vec<u8>>, Option<Vec<u8>>);

/// Most characters of a diff that are kept in the ledger and shown.
pub const DIFF_LIMIT: usize = 20_000;

impl SnapshotDiff {
    /// Diffs files given as `(path, before, after)`; equal ones are passed over. A file that is
    /// not UTF-8 is named without a text diff.
    pub fn between(files: &[FileChange]) -> Self {
        let mut diff = Self { text: String::new(), added: 0, removed: 0, hunks: 0, files: Vec::new() };
        for (path, before, after) in files {
            if before == after {
                continue;
            }
            diff.files.push(path.clone());
            let text = |side: &Option<Vec<u8>>| match side {
                None => Some(String::new()),
                Some(bytes) => String::from_utf8(bytes.clone()).ok(),
            };
            let (Some(old), Some(new)) = (text(before), text(after)) else {
                diff.text.push_str(&format!("binary file {path} differs\n"));
                diff.hunks += 1;
                continue;
            };
            let lines = similar::TextDiff::from_lines(&old, &new);
            for change in lines.iter_all_changes() {
                match change.tag() {
                    similar::ChangeTag::Insert => diff.added += 1,
                    similar::ChangeTag::Delete => diff.removed += 1,
                    similar::ChangeTag::Equal => {}
                }
            }
            let mut unified = lines.unified_diff();
            unified.context_radius(2).header(&format!("a/{path}"), &format!("b/{path}"));
            diff.hunks += unified.iter_hunks().count() as u64;
            diff.text.push_str(&unified.to_string());
        }
        if diff.text.len() > DIFF_LIMIT {
            let cut = (0..=DIFF_LIMIT).rev().find(|i| diff.text.is_char_boundary(*i)).unwrap_or(0);
            diff.text.truncate(cut);
            diff.text.push_str("\n[diff cut at 20,000 characters]\n");
        }
        diff
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_counts_lines_and_places_and_names_files() {
        let file = |p: &str, a: &str, b: &str| (p.to_owned(), Some(a.as_bytes().to_vec()), Some(b.as_bytes().to_vec()));
        let diff = SnapshotDiff::between(&[
            file("same.txt", "x\n", "x\n"),
            file("p.txt", "one\ntwo\nthree\n", "one\n2\nthree\nfour\n"),
        ]);
        assert_eq!((diff.added, diff.removed, diff.files.len()), (2, 1, 1));
        assert!(diff.text.contains("+2\n") && diff.text.contains("-two\n"));
    }

    #[test]
    fn a_long_diff_is_cut_on_a_character() {
        let after = "é\n".repeat(DIFF_LIMIT);
        let diff = SnapshotDiff::between(&[("a".into(), None, Some(after.into_bytes()))]);
        assert!(diff.text.len() < DIFF_LIMIT + 100);
        assert_eq!(diff.added as usize, DIFF_LIMIT);
    }
}
