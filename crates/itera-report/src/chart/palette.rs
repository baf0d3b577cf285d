//! Colours. Arms and outcomes take theirs from Okabe and Ito's set, which stays apart under the
//! common forms of colour blindness; nothing is said by colour alone.

/// An opaque colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color(pub u8, pub u8, pub u8);

impl Color {
    /// `#rrggbb`.
    pub fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }

    /// The colour mixed with the background; `share` of 1 is the colour itself.
    pub fn tint(self, share: f64) -> Self {
        let mix = |c: u8, b: u8| (f64::from(c) * share + f64::from(b) * (1.0 - share)).round() as u8;
        Self(mix(self.0, CARD.0), mix(self.1, CARD.1), mix(self.2, CARD.2))
    }
}

/// Background of every figure: set, so that a dark page does not swallow the text.
pub const CARD: Color = Color(0xff, 0xff, 0xff);
/// Edge of the card.
pub const EDGE: Color = Color(0xdd, 0xe1, 0xe6);
/// Titles and values.
pub const INK: Color = Color(0x1b, 0x22, 0x2b);
/// Labels of axes, notes.
pub const MUTED: Color = Color(0x59, 0x63, 0x70);
/// Axes and leader lines.
pub const AXIS: Color = Color(0x9a, 0xa4, 0xb0);
/// Grid lines.
pub const GRID: Color = Color(0xec, 0xef, 0xf2);
/// The threshold.
pub const THRESHOLD: Color = Color(0x33, 0x3d, 0x49);
/// A loss beyond the floor, and the floor itself.
pub const LOSS: Color = Color(0xc4, 0x32, 0x1c);
/// The baseline.
pub const BASELINE: Color = Color(0x6b, 0x76, 0x83);

const CANDIDATES: [Color; 5] = [
    Color(0x00, 0x72, 0xb2),
    Color(0x00, 0x9e, 0x73),
    Color(0xb8, 0x5c, 0x94),
    Color(0xd5, 0x8a, 0x00),
    Color(0x3d, 0x9f, 0xd6),
];

/// Colour of the arm at that position; the first is the baseline.
pub fn arm(index: usize) -> Color {
    match index {
        0 => BASELINE,
        i => CANDIDATES[(i - 1) % CANDIDATES.len()],
    }
}

/// Ship.
pub const SHIP: Color = Color(0x00, 0x7f, 0x5c);
/// Scope narrowly.
pub const SCOPE: Color = Color(0x56, 0xb4, 0xe9);
/// Kill.
pub const KILL: Color = Color(0xc4, 0x4b, 0x1c);
/// Underpowered.
pub const UNDERPOWERED: Color = Color(0xd9, 0xde, 0xe4);
