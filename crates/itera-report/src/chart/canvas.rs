//! Shapes and text in pixels, written as one SVG.
//!
//! Shapes lie below all text. They go through plotters' SVG backend in hundredths of a pixel, since
//! the backend knows whole numbers only.

use super::ChartError;
use super::palette::{CARD, Color, EDGE};
use super::text::{self, Weight};
use plotters::backend::{DrawingBackend, SVGBackend};
use plotters::style::{Color as _, RGBColor, ShapeStyle};
use std::fmt::Write as _;

/// Units of the backend in one pixel.
const FINE: f64 = 100.0;

/// A rectangle in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
}

impl Area {
    /// Area that two rectangles share.
    pub fn overlap(&self, other: &Self) -> f64 {
        let w = (self.x + self.w).min(other.x + other.w) - self.x.max(other.x);
        let h = (self.y + self.h).min(other.y + other.h) - self.y.max(other.y);
        if w > 0.0 && h > 0.0 { w * h } else { 0.0 }
    }
}

/// Which point of a text its position names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// The left end.
    Start,
    /// The middle.
    Middle,
    /// The right end.
    End,
}

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub struct Type {
    /// Size in pixels.
    pub size: f64,
    /// Weight.
    pub weight: Weight,
    /// Colour.
    pub color: Color,
    /// Which point the position names.
    pub anchor: Anchor,
    /// Whether a rim in the card's colour sets the text off from the shapes below it.
    pub halo: bool,
}

impl Type {
    /// Regular text, anchored at its left end.
    pub fn new(size: f64, color: Color) -> Self {
        Self { size, weight: Weight::Regular, color, anchor: Anchor::Start, halo: false }
    }

    /// The same in semibold.
    pub fn bold(self) -> Self {
        Self { weight: Weight::SemiBold, ..self }
    }

    /// The same, centred.
    pub fn middle(self) -> Self {
        Self { anchor: Anchor::Middle, ..self }
    }

    /// The same, anchored at its right end.
    pub fn end(self) -> Self {
        Self { anchor: Anchor::End, ..self }
    }

    /// The same with a halo.
    pub fn halo(self) -> Self {
        Self { halo: true, ..self }
    }

    /// The same in another colour.
    pub fn color(self, color: Color) -> Self {
        Self { color, ..self }
    }

    /// Width of a text of this type.
    pub fn width(&self, text: &str) -> f64 {
        text::width(text, self.size, self.weight)
    }

    /// Baseline that centres capitals and digits on `y`.
    pub fn centred(&self, y: f64) -> f64 {
        y + self.size * text::CAP_HEIGHT / 2.0
    }
}

#[derive(Debug, Clone)]
enum Shape {
    Rect { area: Area, fill: Color },
    Path { points: Vec<(f64, f64)>, color: Color, width: f64 },
    Polygon { points: Vec<(f64, f64)>, fill: Color },
    Circle { center: (f64, f64), radius: f64, fill: Color },
}

#[derive(Debug, Clone)]
struct Written {
    text: String,
    x: f64,
    y: f64,
    kind: Type,
}

/// A drawing that grows downwards.
#[derive(Debug, Clone)]
pub struct Canvas {
    width: f64,
    shapes: Vec<Shape>,
    texts: Vec<Written>,
}

impl Canvas {
    /// An empty drawing of that width.
    pub fn new(width: f64) -> Self {
        Self { width, shapes: Vec::new(), texts: Vec::new() }
    }

    /// A filled rectangle.
    pub fn rect(&mut self, area: Area, fill: Color) {
        self.shapes.push(Shape::Rect { area, fill });
    }

    /// A rectangle's outline.
    pub fn frame(&mut self, area: Area, color: Color, width: f64) {
        let Area { x, y, w, h } = area;
        self.path(vec![(x, y), (x + w, y), (x + w, y + h), (x, y + h), (x, y - width / 2.0)], color, width);
    }

    /// A straight line.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), color: Color, width: f64) {
        self.path(vec![from, to], color, width);
    }

    /// A line through points.
    pub fn path(&mut self, points: Vec<(f64, f64)>, color: Color, width: f64) {
        self.shapes.push(Shape::Path { points, color, width });
    }

    /// A dashed straight line.
    pub fn dashed(&mut self, from: (f64, f64), to: (f64, f64), color: Color, width: f64) {
        const DASH: f64 = 5.0;
        const GAP: f64 = 3.5;
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = dx.hypot(dy);
        let at = |d: f64| (from.0 + dx * d / length, from.1 + dy * d / length);
        let mut start = 0.0;
        while start < length {
            self.line(at(start), at((start + DASH).min(length)), color, width);
            start += DASH + GAP;
        }
    }

    /// A filled polygon.
    pub fn polygon(&mut self, points: Vec<(f64, f64)>, fill: Color) {
        self.shapes.push(Shape::Polygon { points, fill });
    }

    /// A filled disc.
    pub fn disc(&mut self, center: (f64, f64), radius: f64, fill: Color) {
        self.shapes.push(Shape::Circle { center, radius, fill });
    }

    /// A disc with a rim in the card's colour, which keeps it apart from what it lies on.
    pub fn dot(&mut self, center: (f64, f64), radius: f64, fill: Color) {
        self.disc(center, radius + 1.5, CARD);
        self.disc(center, radius, fill);
    }

    /// A ring.
    pub fn ring(&mut self, center: (f64, f64), radius: f64, color: Color, width: f64) {
        self.disc(center, radius, color);
        self.disc(center, radius - width, CARD);
    }

    /// A diamond.
    pub fn diamond(&mut self, center: (f64, f64), radius: f64, fill: Color) {
        let ((x, y), r) = (center, radius);
        self.polygon(vec![(x - r, y), (x, y - r), (x + r, y), (x, y + r)], fill);
    }

    /// A line that ends in an arrow head.
    pub fn arrow(&mut self, mut points: Vec<(f64, f64)>, color: Color, width: f64) {
        let [.., before, tip] = points[..] else { return };
        let (dx, dy) = (tip.0 - before.0, tip.1 - before.1);
        let length = dx.hypot(dy).max(1e-9);
        let (ux, uy) = (dx / length, dy / length);
        let head = 4.0 + 2.0 * width;
        let neck = (tip.0 - ux * head, tip.1 - uy * head);
        if let Some(last) = points.last_mut() {
            *last = neck;
        }
        self.path(points, color, width);
        let half = head * 0.5;
        self.polygon(
            vec![tip, (neck.0 - uy * half, neck.1 + ux * half), (neck.0 + uy * half, neck.1 - ux * half)],
            color,
        );
    }

    /// Text whose baseline is at `y`.
    pub fn text(&mut self, text: impl AsRef<str>, x: f64, y: f64, kind: Type) {
        let text = text::one_line(text.as_ref());
        if !text.is_empty() {
            self.texts.push(Written { text, x, y, kind });
        }
    }

    /// The SVG; `title` and `description` are for those who cannot see it.
    pub fn svg(&self, height: f64, title: &str, description: &str) -> Result<String, ChartError> {
        let (width, height) = (self.width.ceil(), height.ceil());
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             role=\"img\" font-family=\"{}\" style=\"font-variant-numeric:tabular-nums\">\n<title>{}</title>\n<desc>{}</desc>\n",
            text::FAMILIES,
            escape(title),
            escape(description),
        );
        let _ = writeln!(
            out,
            "<rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\" fill=\"{}\" stroke=\"{}\"/>",
            width - 1.0,
            height - 1.0,
            CARD.hex(),
            EDGE.hex()
        );
        let _ = writeln!(out, "<g transform=\"scale({})\">", 1.0 / FINE);
        out.push_str(&self.shapes(width, height)?);
        out.push_str("</g>\n");
        for written in &self.texts {
            write_text(&mut out, written);
        }
        out.push_str("</svg>\n");
        Ok(out)
    }

    fn shapes(&self, width: f64, height: f64) -> Result<String, ChartError> {
        let mut drawn = String::new();
        let mut backend = SVGBackend::with_string(&mut drawn, (whole(width), whole(height)));
        for shape in &self.shapes {
            draw(&mut backend, shape).map_err(|message| ChartError::Render { message })?;
        }
        backend.present().map_err(|e| ChartError::Render { message: e.to_string() })?;
        drop(backend);
        // The backend writes a document; only what it holds is wanted.
        let inner = drawn.split_once(">\n").map_or("", |(_, rest)| rest);
        Ok(inner.trim_end().trim_end_matches("</svg>").to_owned())
    }
}

fn ink(color: Color, width: f64) -> ShapeStyle {
    ShapeStyle { color: RGBColor(color.0, color.1, color.2).to_rgba(), filled: true, stroke_width: whole(width) }
}

fn fine(value: f64) -> i32 {
    (value * FINE).round() as i32
}

fn whole(value: f64) -> u32 {
    (value * FINE).round().max(0.0) as u32
}

fn draw(backend: &mut SVGBackend<'_>, shape: &Shape) -> Result<(), String> {
    let points = |points: &[(f64, f64)]| points.iter().map(|p| (fine(p.0), fine(p.1))).collect::<Vec<_>>();
    let done = match shape {
        Shape::Rect { area, fill } => backend.draw_rect(
            (fine(area.x), fine(area.y)),
            (fine(area.x + area.w), fine(area.y + area.h)),
            &ink(*fill, 0.0),
            true,
        ),
        Shape::Path { points: p, color, width } => {
            let style = ink(*color, *width);
            match points(p)[..] {
                [from, to] => backend.draw_line(from, to, &style),
                ref many => backend.draw_path(many.iter().copied(), &style),
            }
        }
        Shape::Polygon { points: p, fill } => backend.fill_polygon(points(p), &ink(*fill, 0.0)),
        Shape::Circle { center, radius, fill } => {
            backend.draw_circle((fine(center.0), fine(center.1)), whole(*radius), &ink(*fill, 0.0), true)
        }
    };
    done.map_err(|e| e.to_string())
}

fn write_text(out: &mut String, written: &Written) {
    let kind = &written.kind;
    let _ = write!(out, "<text x=\"{:.2}\" y=\"{:.2}\" font-size=\"{}\"", written.x, written.y, kind.size);
    if kind.weight != Weight::Regular {
        let _ = write!(out, " font-weight=\"{}\"", kind.weight.number());
    }
    match kind.anchor {
        Anchor::Start => {}
        Anchor::Middle => out.push_str(" text-anchor=\"middle\""),
        Anchor::End => out.push_str(" text-anchor=\"end\""),
    }
    let _ = write!(out, " fill=\"{}\"", kind.color.hex());
    if kind.halo {
        let _ = write!(
            out,
            " stroke=\"{}\" stroke-width=\"3\" stroke-linejoin=\"round\" paint-order=\"stroke\"",
            CARD.hex()
        );
    }
    let _ = writeln!(out, ">{}</text>", escape(&written.text));
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text::one_line(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}
