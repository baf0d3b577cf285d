//! The embedded fonts, and how wide a text is in them.

use resvg::usvg::fontdb;
use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider};
use std::sync::{Arc, LazyLock};

const INTER_REGULAR: &[u8] = include_bytes!("../../assets/Inter-Regular.ttf");
const INTER_SEMIBOLD: &[u8] = include_bytes!("../../assets/Inter-SemiBold.ttf");
const ARABIC: &[u8] = include_bytes!("../../assets/NotoSansArabic-Regular.ttf");
const HEBREW: &[u8] = include_bytes!("../../assets/NotoSansHebrew-Regular.ttf");
const EAST_ASIAN: &[u8] = include_bytes!("../../assets/DroidSansFallback.ttf");

/// Families in the order in which a viewer should try them.
pub const FAMILIES: &str = "Inter, 'Noto Sans', 'Noto Sans CJK SC', sans-serif";

/// Height of a capital letter as a share of the font size.
pub const CAP_HEIGHT: f64 = 0.727;

/// Width of a glyph that no font has: the box that is drawn in its place.
const MISSING_ADVANCE: f64 = 0.65;

/// How heavy a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// 400.
    Regular,
    /// 600.
    SemiBold,
}

impl Weight {
    /// As `font-weight` says it.
    pub fn number(self) -> u16 {
        match self {
            Self::Regular => 400,
            Self::SemiBold => 600,
        }
    }
}

struct Face {
    font: FontRef<'static>,
    units: f64,
}

impl Face {
    fn new(bytes: &'static [u8]) -> Option<Self> {
        let font = FontRef::new(bytes).ok()?;
        let units = f64::from(font.metrics(Size::unscaled(), LocationRef::default()).units_per_em);
        Some(Self { font, units })
    }

    fn advance(&self, c: char) -> Option<f64> {
        let glyph = self.font.charmap().map(c)?;
        let width = self.font.glyph_metrics(Size::unscaled(), LocationRef::default()).advance_width(glyph)?;
        Some(f64::from(width) / self.units)
    }
}

static REGULAR: LazyLock<Option<Face>> = LazyLock::new(|| Face::new(INTER_REGULAR));
static SEMIBOLD: LazyLock<Option<Face>> = LazyLock::new(|| Face::new(INTER_SEMIBOLD));
static FALLBACKS: LazyLock<Vec<Face>> =
    LazyLock::new(|| [ARABIC, HEBREW, EAST_ASIAN].into_iter().filter_map(Face::new).collect());

/// The fonts for the rasteriser, and no others.
pub static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut db = fontdb::Database::new();
    for bytes in [INTER_REGULAR, INTER_SEMIBOLD, ARABIC, HEBREW, EAST_ASIAN] {
        db.load_font_source(fontdb::Source::Binary(Arc::new(bytes)));
    }
    db.set_sans_serif_family("Inter");
    Arc::new(db)
});

fn advance(c: char, weight: Weight) -> f64 {
    let inter = match weight {
        Weight::Regular => &REGULAR,
        Weight::SemiBold => &SEMIBOLD,
    };
    inter
        .as_ref()
        .and_then(|face| face.advance(c))
        .or_else(|| FALLBACKS.iter().find_map(|face| face.advance(c)))
        .unwrap_or(MISSING_ADVANCE)
}

/// Width of a text in pixels at that font size.
pub fn width(text: &str, size: f64, weight: Weight) -> f64 {
    text.chars().map(|c| advance(c, weight)).sum::<f64>() * size
}

/// The text on one line: white space collapsed, characters that XML forbids left out.
pub fn one_line(text: &str) -> String {
    let shown: String = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}'))
        .collect();
    shown.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The text, shortened with an ellipsis where it is wider than `most` pixels.
pub fn fit(text: &str, size: f64, weight: Weight, most: f64) -> String {
    let text = one_line(text);
    if width(&text, size, weight) <= most {
        return text;
    }
    let mut kept = String::new();
    let mut used = advance('…', weight) * size;
    for c in text.chars() {
        used += advance(c, weight) * size;
        if used > most {
            break;
        }
        kept.push(c);
    }
    kept.truncate(kept.trim_end().len());
    kept.push('…');
    kept
}

/// The text on at most `lines` lines of at most `most` pixels, the last one shortened where need be.
pub fn wrap(text: &str, size: f64, weight: Weight, most: f64, lines: usize) -> Vec<String> {
    let text = one_line(text);
    let mut done: Vec<String> = Vec::new();
    let mut line = String::new();
    let mut rest = breakable(&text).into_iter().peekable();
    while let Some(piece) = rest.peek() {
        let candidate = format!("{line}{piece}");
        if width(candidate.trim_end(), size, weight) <= most || line.is_empty() {
            line = candidate;
            rest.next();
        } else {
            if done.len() + 1 == lines {
                break;
            }
            done.push(std::mem::take(&mut line).trim_end().to_owned());
        }
    }
    let left: String = rest.collect();
    done.push(fit(&format!("{line}{left}"), size, weight, most));
    done.iter().map(|line| fit(line, size, weight, most)).collect()
}

/// Pieces after each of which a line may end: words, parts of slugs, single ideographs.
fn breakable(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = vec![String::new()];
    for c in text.chars() {
        if let Some(last) = pieces.last_mut() {
            last.push(c);
        }
        if matches!(c, ' ' | '-' | '/' | '_' | '=') || is_ideograph(c) {
            pieces.push(String::new());
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

fn is_ideograph(c: char) -> bool {
    matches!(u32::from(c), 0x3040..=0x30ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xac00..=0xd7af)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_font_is_read() {
        assert!(REGULAR.is_some() && SEMIBOLD.is_some());
        assert_eq!(FALLBACKS.len(), 3);
        assert_eq!(FONTS.len(), 5);
        for c in "Aé€−→Ωжم א税の한".chars() {
            assert!((advance(c, Weight::SemiBold) - MISSING_ADVANCE).abs() > 1e-9, "{c} is in no font");
        }
    }

    #[test]
    fn digits_are_as_wide_as_each_other() {
        let one = width("1", 10.0, Weight::Regular);
        assert!("0123456789".chars().all(|c| (width(&c.to_string(), 10.0, Weight::Regular) - one).abs() < 1e-9));
    }

    #[test]
    fn wraps_and_shortens_within_the_width() {
        for text in [
            "a rather long name of an arm with many words",
            "one_very_long_slug-without/any/spaces=at-all",
            "取引分類器の新しい版を比較する実験",
        ] {
            let lines = wrap(text, 12.0, Weight::SemiBold, 110.0, 2);
            assert!(lines.len() <= 2);
            assert!(lines.iter().all(|l| width(l, 12.0, Weight::SemiBold) <= 110.0), "{lines:?}");
        }
        assert_eq!(wrap("short", 12.0, Weight::Regular, 110.0, 2), ["short"]);
        assert_eq!(wrap("", 12.0, Weight::Regular, 110.0, 2), [""]);
        assert_eq!(one_line("a\n b\u{7}\tc"), "a b c");
    }
}
