//! From SVG to PNG, with the embedded fonts only.

use super::ChartError;
use super::text::FONTS;
use resvg::{tiny_skia, usvg};
use std::sync::Arc;

/// Pixels of the PNG in one pixel of the SVG.
const SCALE: f32 = 2.0;

/// Draws an SVG as a PNG of twice its size.
///
/// # Errors
/// When the text is not an SVG, or has no size.
pub fn png(svg: &str) -> Result<Vec<u8>, ChartError> {
    let tree = tree(svg)?;
    let size = tree.size().to_int_size().scale_by(SCALE).ok_or_else(|| fail("the size is out of range"))?;
    let mut pixels =
        tiny_skia::Pixmap::new(size.width(), size.height()).ok_or_else(|| fail("the size is out of range"))?;
    resvg::render(&tree, tiny_skia::Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().map_err(|e| fail(&e.to_string()))
}

/// The parsed SVG, its text laid out in the embedded fonts.
pub(super) fn tree(svg: &str) -> Result<usvg::Tree, ChartError> {
    let options = usvg::Options { font_family: "Inter".to_owned(), fontdb: Arc::clone(&FONTS), ..Default::default() };
    usvg::Tree::from_str(svg, &options).map_err(|e| fail(&e.to_string()))
}

fn fail(message: &str) -> ChartError {
    ChartError::Render { message: message.to_owned() }
}
