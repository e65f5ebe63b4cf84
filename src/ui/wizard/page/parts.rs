//! Lines that the pages of the run have in common: a headline, names with values, a failure.

use ratatui::text::Span;

use crate::error::Failure;
use crate::ui::text;
use crate::ui::wizard::theme::{Role, Sign};
use crate::ui::wizard::view::{Focus, ViewBuilder};

/// Columns for the names of things.
const LABEL: usize = 14;
/// Narrower screens have values below their names.
const NARROW: usize = 60;

/// The first thing to read: a line that the pointer can stand on, so that a long page opens at its top.
pub fn headline(role: Role, sign: Sign, says: &str, writer: &mut ViewBuilder<'_>) {
    let stop = Focus::Step("headline".to_owned());
    let from = writer.row();
    let lines = text::wrap(&writer.clean(says), writer.width().saturating_sub(4).max(8));
    let pieces = vec![writer.sign(role, sign), Span::raw(" "), writer.span(Role::Heading, &lines[0])];
    writer.stop_line(&stop, pieces, None);
    for line in &lines[1..] {
        let pieces = vec![Span::raw("    "), writer.span(Role::Heading, line)];
        writer.line(pieces);
    }
    writer.stop(stop, from);
}

/// Names with their values, one after the other.
pub fn fields(all: &[(&str, String)], writer: &mut ViewBuilder<'_>) {
    for (label, value) in all {
        field(&format!("field {label}"), label, Role::Value, value, writer);
    }
}

/// What was tried, why it failed, the last lines, what to do, and where all of it is.
pub fn failure(step: &str, failure: &Failure, tail: usize, writer: &mut ViewBuilder<'_>) {
    headline(Role::Bad, Sign::Bad, &format!("Could not {}:", failure.what), writer);
    writer.prose(Role::Value, 4, &failure.why);
    let shown = &failure.tail[failure.tail.len().saturating_sub(tail)..];
    // A tool's only line is often the cause itself.
    let msg: Vec<&String> = shown.iter().filter(|line| !failure.why.contains(line.trim())).collect();
    if !msg.is_empty() {
        writer.blank();
    }
    for line in msg {
        // Whole: the end of a line may name the file to correct.
        for part in chunks(writer.clean(&text::of_tool(line)).trim_end(), writer.width().saturating_sub(6).max(8)) {
            let rule = writer.sign(Role::Dim, Sign::Rule);
            let pieces = vec![Span::raw("    "), rule, Span::raw(" "), writer.span(Role::Value, &part)];
            writer.line(pieces);
        }
    }
    writer.blank();
    let mut about = vec![("Step", step.to_owned())];
    about.extend(failure.hint.as_ref().map(|hint| ("What to do", hint.clone())));
    about.extend(failure.log.as_ref().map(|log| ("Log", log.clone())));
    fields(&about, writer);
}

/// A name and what it is, as a line that the pointer can stand on, so that a long page can be walked down. A value
/// that has no room beside its name stands below it, whole, so that it can be copied.
pub fn field(id: &str, label: &str, role: Role, value: &str, writer: &mut ViewBuilder<'_>) {
    let stop = Focus::Step(id.to_owned());
    let from = writer.row();
    let value = writer.clean(value);
    let beside = writer.width().saturating_sub(2 + LABEL);
    let whole = beside < text::width(&value) && text::width(&value) <= writer.width().saturating_sub(4);
    let below = whole || writer.width() < NARROW || value.split_whitespace().any(|word| text::width(word) > beside);
    let room = if below { writer.width().saturating_sub(4).max(8) } else { beside };
    let mut lines: Vec<String> = text::wrap(&value, room).iter().flat_map(|line| chunks(line, room)).collect();
    let head = if writer.at(&stop) { Role::Focus } else { Role::Dim };
    let label = writer.clean(label);
    let mut pieces = vec![writer.span(head, &text::pad(&label, LABEL))];
    if !below {
        pieces.push(writer.span(role, &lines.remove(0)));
    }
    writer.stop_line(&stop, pieces, None);
    for line in lines {
        let indent = if below { 4 } else { 2 + LABEL };
        let pieces = vec![Span::raw(" ".repeat(indent)), writer.span(role, &line)];
        writer.line(pieces);
    }
    writer.stop(stop, from);
}

/// A word that is wider than a line goes on in the next.
fn chunks(line: &str, columns: usize) -> Vec<String> {
    let mut chunks = vec![String::new()];
    for c in line.chars() {
        let last = chunks.len() - 1;
        if text::width(&chunks[last]) + text::width(c.encode_utf8(&mut [0; 4])) > columns {
            chunks.push(c.to_string());
        } else {
            chunks[last].push(c);
        }
    }
    chunks
}
