//! Names and digests that travel through every crate.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The text of the id.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

text_id! {
    /// One experiment: `YYYY-MM-DD-<topic>`, also the name of its folder under `docs/experiments/`.
    ExperimentId
}
text_id! {
    /// One arm as the person named it: 1 to 32 characters of `a-z`, `0-9`, `-`, `_`.
    ArmId
}
text_id! {
    /// One row, opaque: `r_` and 16 hexadecimal digits of a keyed hash of the source key.
    ///
    /// It says nothing of the row and cannot be looked up in the source without the vault's key.
    RowId
}
text_id! {
    /// A BLAKE3 digest in 64 hexadecimal digits.
    Digest
}

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).to_hex().to_string())
    }

    /// The digest of everything a reader gives.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn of_reader(reader: &mut dyn std::io::Read) -> std::io::Result<Self> {
        let mut hasher = blake3::Hasher::new();
        std::io::copy(reader, &mut hasher)?;
        Ok(Self(hasher.finalize().to_hex().to_string()))
    }

    /// The digest of a value's canonical encoding: its JSON with fields in declaration order and
    /// maps sorted by key (all maps of this crate are B-trees).
    ///
    /// # Panics
    /// Never for the types of this workspace: they hold no maps with non-text keys.
    pub fn of_json<T: Serialize + ?Sized>(value: &T) -> Self {
        Self::of(&serde_json::to_vec(value).expect("types of this crate encode as JSON"))
    }

    /// The first 12 digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

/// A version of an arm: 1 is the version of the frame, each proposed change adds one.
pub type Version = u32;

/// Which part of the sample a row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Rows that may be read freely and that arms may be fitted on.
    Train,
    /// Rows that are scored in every iteration; revealed only at the price of moving to train.
    Dev,
    /// Sealed rows, scored once.
    Test,
}

impl Split {
    /// The lower-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Dev => "dev",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
