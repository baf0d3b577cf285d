//! The frame of every figure: title, subtitle, the drawing, notes.

use super::ChartError;
use super::canvas::{Canvas, Type};
use super::palette::{INK, MUTED};
use super::text::{self, Weight};
use std::ops::{Deref, DerefMut};

/// Width of every figure in pixels.
pub const WIDTH: f64 = 800.0;
/// Space left free at each side.
pub const MARGIN: f64 = 28.0;

const TITLE: f64 = 18.0;
const SUBTITLE: f64 = 12.5;
const NOTE: f64 = 11.0;

/// A figure in the making.
#[derive(Debug, Clone)]
pub struct Card {
    canvas: Canvas,
    title: String,
    said: Vec<String>,
    /// Where the drawing may begin, then where it ends.
    pub bottom: f64,
    notes: Vec<String>,
}

impl Card {
    /// A figure with its title and subtitle written.
    pub fn new(title: &str, subtitle: &str) -> Self {
        let mut canvas = Canvas::new(WIDTH);
        let room = WIDTH - 2.0 * MARGIN;
        let mut y = 38.0;
        for line in text::wrap(title, TITLE, Weight::SemiBold, room, 2) {
            canvas.text(line, MARGIN, y, Type::new(TITLE, INK).bold());
            y += 23.0;
        }
        for line in text::wrap(subtitle, SUBTITLE, Weight::Regular, room, 2) {
            canvas.text(line, MARGIN, y, Type::new(SUBTITLE, MUTED));
            y += 17.0;
        }
        Self { canvas, title: title.to_owned(), said: vec![subtitle.to_owned()], bottom: y + 6.0, notes: Vec::new() }
    }

    /// Adds a line below the drawing.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Adds a sentence to the description for those who cannot see the figure.
    pub fn say(&mut self, sentence: impl Into<String>) {
        self.said.push(sentence.into());
    }

    /// The SVG of the whole figure.
    pub fn svg(mut self) -> Result<String, ChartError> {
        let mut y = self.bottom + 20.0;
        for note in std::mem::take(&mut self.notes) {
            for line in text::wrap(&note, NOTE, Weight::Regular, WIDTH - 2.0 * MARGIN, 3) {
                self.canvas.text(line, MARGIN, y, Type::new(NOTE, MUTED));
                y += 16.0;
            }
        }
        let description = self.said.join(". ");
        self.canvas.svg(y + 8.0, &self.title, &description)
    }
}

impl Deref for Card {
    type Target = Canvas;

    fn deref(&self) -> &Canvas {
        &self.canvas
    }
}

impl DerefMut for Card {
    fn deref_mut(&mut self) -> &mut Canvas {
        &mut self.canvas
    }
}
