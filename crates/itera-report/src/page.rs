//! A page as blocks, written as Markdown for a code review and as HTML for a browser.
//!
//! Text inside blocks is a small Markdown: `` `code` ``, `**strong**`, and a backslash before a mark
//! that is meant as itself. What people wrote goes in through [`escaped`], so that it stays what they
//! wrote on both pages.

use crate::chart::Chart;
use std::fmt::Write;

/// One piece of a page.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// A heading of the second level.
    Heading(String),
    /// A paragraph.
    Paragraph(String),
    /// Somebody's words, verbatim and not escaped.
    Quote(String),
    /// Points.
    List(Vec<String>),
    /// Figures.
    Table(Table),
    /// A chart, with a sentence for those who cannot see it.
    Figure(Chart, String),
    /// Folded away behind its summary.
    Details(String, Vec<Block>),
}

/// A table; every row has as many cells as the head.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// Names of the columns, with whether they hold numbers.
    pub head: Vec<(String, bool)>,
    /// Cells.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with its head: a name that begins with `#` is a column of numbers.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let head = names
            .into_iter()
            .map(|n| n.strip_prefix('#').map_or_else(|| (n.to_owned(), false), |n| (n.to_owned(), true)));
        Self { head: head.collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }
}

/// People's text on one line, such that no mark in it means anything.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut rest = text.trim().chars().peekable();
    while let Some(c) = rest.next() {
        let c = if c.is_control() { ' ' } else { c };
        let within_word = |next: Option<&char>| before.is_alphanumeric() && next.is_some_and(|n| n.is_alphanumeric());
        match c {
            '\\' | '`' | '*' | '[' | ']' | '|' | '~' | '$' => out.extend(['\\', c]),
            // These begin markup only before a name and at the start of a line.
            '<' if rest.peek().is_some_and(|n| !n.is_whitespace()) => out.extend(['\\', c]),
            '>' if before == ' ' => out.extend(['\\', c]),
            // An underscore or ampersand inside a word is only ever itself.
            '_' if !within_word(rest.peek()) => out.extend(['\\', c]),
            '&' if rest.peek().is_some_and(|n| n.is_alphanumeric() || *n == '#') => out.extend(['\\', c]),
            c => out.push(c),
        }
        before = c;
    }
    out
}

/// A sentence that we wrote around names: code between backticks stays code, the rest is escaped.
pub fn prose(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('`') {
        let Some(length) = rest[open + 1..].find('`').filter(|n| *n > 0) else { break };
        let code = &rest[open..open + length + 2];
        out.push_str(&kept_spaces(&rest[..open]));
        if code.chars().any(|c| c.is_control() || c == '|' || c == '<') {
            out.push_str(&escaped(code));
        } else {
            out.push_str(code);
        }
        rest = &rest[open + length + 2..];
    }
    out.push_str(&kept_spaces(rest));
    out.trim().to_owned()
}

/// [`escaped`], with a space at either end kept.
fn kept_spaces(text: &str) -> String {
    let edge = |yes: bool| if yes { " " } else { "" };
    let inner = escaped(text);
    if inner.is_empty() {
        return edge(!text.is_empty()).to_owned();
    }
    let (first, last) = (text.starts_with(char::is_whitespace), text.ends_with(char::is_whitespace));
    format!("{}{inner}{}", edge(first), edge(last))
}

/// The text as a sentence: it ends in a full stop where it had no end, and begins with a capital.
pub fn sentence(text: &str) -> String {
    let text = text.trim();
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with(['.', '!', '?', '…']) || text.is_empty() { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}

/// The page as GitHub-flavoured Markdown.
pub fn markdown(blocks: &[Block]) -> String {
    let mut out = String::new();
    for block in blocks {
        match block {
            Block::Heading(text) => {
                let _ = writeln!(out, "## {text}\n");
            }
            Block::Paragraph(text) => {
                let _ = writeln!(out, "{text}\n");
            }
            Block::Quote(text) => {
                let lines = text.lines().map(|l| format!("> {}", escaped(l)).trim_end().to_owned());
                let _ = writeln!(out, "{}\n", lines.collect::<Vec<_>>().join("  \n"));
            }
            Block::List(points) => {
                for point in points {
                    let _ = writeln!(out, "- {point}");
                }
                out.push('\n');
            }
            Block::Table(table) => {
                let line = |cells: &mut dyn Iterator<Item = &str>| {
                    cells.fold(String::from("|"), |line, cell| format!("{line} {cell} |"))
                };
                let _ = writeln!(out, "{}", line(&mut table.head.iter().map(|h| h.0.as_str())));
                let _ = writeln!(out, "{}", line(&mut table.head.iter().map(|h| if h.1 { "---:" } else { "---" })));
                for row in &table.rows {
                    let _ = writeln!(out, "{}", line(&mut row.iter().map(String::as_str)));
                }
                out.push('\n');
            }
            // PNG: it carries its own letters, which a viewer's fonts cannot shift.
            Block::Figure(chart, alt) => {
                let _ = writeln!(out, "![{}](charts/{chart}.png)\n", escaped(alt));
            }
            Block::Details(summary, inner) => {
                let _ = writeln!(
                    out,
                    "<details><summary>{}</summary>\n\n{}</details>\n",
                    inline_html(summary),
                    markdown(inner)
                );
            }
        }
    }
    out
}

/// The page as HTML; `figure` gives the drawing of a chart.
pub fn html(blocks: &[Block], figure: &dyn Fn(Chart) -> Option<String>) -> String {
    let mut out = String::new();
    for block in blocks {
        match block {
            Block::Heading(text) => {
                let _ = writeln!(out, "<h2>{}</h2>", inline_html(text));
            }
            Block::Paragraph(text) => {
                let _ = writeln!(out, "<p>{}</p>", inline_html(text));
            }
            Block::Quote(text) => {
                let lines: Vec<String> = text.lines().map(escape_html).collect();
                let _ = writeln!(out, "<blockquote>{}</blockquote>", lines.join("<br>"));
            }
            Block::List(points) => {
                out.push_str("<ul>\n");
                for point in points {
                    let _ = writeln!(out, "<li>{}</li>", inline_html(point));
                }
                out.push_str("</ul>\n");
            }
            Block::Table(table) => html_table(&mut out, table),
            Block::Figure(chart, _) => {
                if let Some(svg) = figure(*chart) {
                    let _ = writeln!(out, "<figure id=\"{chart}\">{svg}</figure>");
                }
            }
            Block::Details(summary, inner) => {
                let _ = writeln!(
                    out,
                    "<details><summary>{}</summary>\n{}</details>",
                    inline_html(summary),
                    html(inner, figure)
                );
            }
        }
    }
    out
}

fn html_table(out: &mut String, table: &Table) {
    let class = |number: bool| if number { " class=\"n\"" } else { "" };
    out.push_str("<div class=\"wide\"><table><thead><tr>");
    for (name, number) in &table.head {
        let _ = write!(out, "<th{}>{}</th>", class(*number), inline_html(name));
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in &table.rows {
        out.push_str("<tr>");
        for (cell, (_, number)) in row.iter().zip(&table.head) {
            let _ = write!(out, "<td{}>{}</td>", class(*number), inline_html(cell));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
}

/// Text with its code and strong marks as HTML; everything else escaped.
pub fn inline_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let (mut strong, mut emphasis) = (false, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        if let Some(next) = after.chars().next().filter(|n| c == '\\' && n.is_ascii_punctuation()) {
            push_escaped(&mut out, next);
            rest = &after[1..];
        } else if let Some(end) = after.find('`').filter(|_| c == '`') {
            let _ = write!(out, "<code>{}</code>", escape_html(&after[..end]));
            rest = &after[end + 1..];
        } else if let Some(inner) = rest.strip_prefix("**") {
            out.push_str(if strong { "</strong>" } else { "<strong>" });
            strong = !strong;
            rest = inner;
        } else if c == '*' {
            out.push_str(if emphasis { "</em>" } else { "<em>" });
            emphasis = !emphasis;
            rest = after;
        } else {
            push_escaped(&mut out, c);
            rest = after;
        }
    }
    if emphasis {
        out.push_str("</em>");
    }
    if strong {
        out.push_str("</strong>");
    }
    out
}

/// Text in which nothing is markup, fit for elements and quoted attributes.
pub fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push_escaped(&mut out, c));
    out
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '"' => out.push_str("&quot;"),
        '\'' => out.push_str("&#39;"),
        // Text direction can be turned round by invisible marks; a reader should see what is there.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
        c if c.is_control() => out.push(' '),
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_stays_what_they_wrote() {
        for text in
            ["a|b *c* _d_ snake_case `x`", "<script>alert(1)</script>", "R&D, AT&T &lt; 3 & \\ [x](y)", "$x$ ~y~"]
        {
            let shown = inline_html(&escaped(text));
            assert_eq!(shown, escape_html(text), "{text}");
        }
        assert_eq!(escaped("two\nlines"), "two lines");
        assert_eq!(escaped("snake_case and R&D"), "snake_case and R\\&D");
    }

    #[test]
    fn prose_keeps_code_and_escapes_the_rest() {
        assert_eq!(prose("`wrong_code` in a=<b> | x"), "`wrong_code` in a=\\<b> \\| x");
        assert_eq!(prose("in a`b only"), "in a\\`b only");
        assert_eq!(prose("arm `<img>` won"), "arm \\`\\<img>\\` won");
        assert_eq!(inline_html("**ship** `a<b`"), "<strong>ship</strong> <code>a&lt;b</code>");
    }

    #[test]
    fn a_sentence_has_a_capital_and_an_end() {
        assert_eq!(sentence("costs fall"), "Costs fall.");
        assert_eq!(sentence("Really?"), "Really?");
        assert_eq!(sentence("`v2` won"), "`v2` won.");
    }

    #[test]
    fn a_table_is_written_both_ways() {
        let mut table = Table::new(["arm", "#n"]);
        table.row(["`v1`", "3"]);
        let blocks = [Block::Table(table)];
        assert_eq!(markdown(&blocks), "| arm | n |\n| --- | ---: |\n| `v1` | 3 |\n\n");
        let found = html(&blocks, &|_| None);
        assert!(found.contains("<th class=\"n\">n</th>") && found.contains("<td><code>v1</code></td>"), "{found}");
    }
}
