//! The output of a step: a pane that follows its end, can be scrolled back, and searched.

use ratatui::text::Span;

use crate::ui::text;
use crate::ui::wizard::doc::{Doc, Writer};
use crate::ui::wizard::editor::Editor;
use crate::ui::wizard::keys::Act;
use crate::ui::wizard::running::{Kind, Output, Said};
use crate::ui::wizard::theme::{Role, Sign};

/// How the output is looked at.
#[derive(Debug, Default)]
pub struct Pane {
    /// The step whose lines stand still, and the number of the last one shown; none where it follows the end.
    still: Option<(String, usize)>,
    /// What is searched for, while it is typed.
    pub typing: Option<Editor>,
    /// What was searched for last.
    wanted: String,
    /// Nothing was found.
    missing: bool,
}

impl Pane {
    /// The number of the last line shown of a step's lines.
    fn last(&self, lines: &[&Said], rows: usize) -> usize {
        let end = lines.len();
        let Some((_, number)) = &self.still else { return end };
        let at = lines.iter().rposition(|line| line.number <= *number).map_or(0, |at| at + 1);
        at.max(rows).min(end)
    }

    /// Forgets the place when it was one in another step's lines.
    fn attend(&mut self, step: &str) {
        if self.still.as_ref().is_some_and(|(of, _)| of != step) {
            self.still = None;
        }
    }

    /// Scrolls, where `act` means that.
    pub fn moves(&mut self, act: Act, output: &Output, step: &str, rows: usize) -> bool {
        self.attend(step);
        let lines: Vec<&Said> = output.of(step).collect();
        let last = self.last(&lines, rows);
        let page = rows.saturating_sub(1).max(1);
        let to = match act {
            Act::PageUp => last.saturating_sub(page).max(rows),
            Act::PageDown => last + page,
            Act::First => rows,
            Act::Last => lines.len(),
            _ => return false,
        };
        self.stand(step, &lines, to);
        true
    }

    fn stand(&mut self, step: &str, lines: &[&Said], last: usize) {
        let line = if last >= lines.len() { None } else { lines.get(last.saturating_sub(1)) };
        self.still = line.map(|line| (step.to_owned(), line.number));
    }

    /// Begins to ask what to search for.
    pub fn ask(&mut self) {
        self.typing = Some(Editor::new(self.wanted.clone(), true));
        self.missing = false;
    }

    /// Searches for what was typed, from the last line shown upwards.
    pub fn find(&mut self, output: &Output, step: &str) {
        if let Some(editor) = self.typing.take() {
            editor.text().clone_into(&mut self.wanted);
            self.search(output, step, true, 0);
        }
    }

    /// Searches on: towards older lines, or newer ones.
    pub fn find_on(&mut self, output: &Output, step: &str, older: bool) {
        self.search(output, step, older, 1);
    }

    fn search(&mut self, output: &Output, step: &str, older: bool, skip: usize) {
        self.attend(step);
        self.missing = false;
        if self.wanted.is_empty() {
            return;
        }
        let lines: Vec<&Said> = output.of(step).collect();
        // The line found stands last on the pane, so that going on from there is going on from it.
        let here = self.last(&lines, 0);
        let has = |at: &usize| found(&lines[*at].text, &self.wanted).is_some();
        let at = if older {
            let before = here.saturating_sub(skip);
            (0..before).rev().chain((before..lines.len()).rev()).find(has)
        } else {
            (here..lines.len()).chain(0..here).find(has)
        };
        match at {
            Some(at) => self.still = Some((step.to_owned(), lines[at].number)),
            None => self.missing = true,
        }
    }

    /// Whether something was searched for.
    pub fn searched(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Draws the lines of a step into so many rows, the first of them a rule with the step's name.
    pub fn write(&self, output: &Output, step: &str, rows: usize, mut writer: Writer<'_>) -> Doc {
        let lines: Vec<&Said> = output.of(step).collect();
        let room = rows.saturating_sub(1);
        let still = self.still.as_ref().is_some_and(|(of, _)| of == step);
        let last = if still { self.last(&lines, room) } else { lines.len() };
        let first = last.saturating_sub(room);
        self.rule(step, lines.len() - last, &mut writer);
        if lines.is_empty() {
            let nothing = writer.span(Role::Dim, "nothing so far");
            writer.line(vec![nothing]);
        }
        for line in &lines[first..last] {
            let pieces = self.line(line, &writer);
            writer.line(pieces);
        }
        writer.done()
    }

    fn rule(&self, step: &str, below: usize, writer: &mut Writer<'_>) {
        let line = writer.theme().sign(Sign::Line).to_owned();
        let width = writer.width();
        if let Some(editor) = &self.typing {
            let (shown, at) = editor.window(width.saturating_sub(12), None);
            let mut pieces = vec![writer.span(Role::Heading, "Search: ")];
            pieces.push(writer.span(Role::Value, &shown));
            writer.line(pieces);
            writer.cursor(8 + at);
            return;
        }
        let mut says = if step.is_empty() { "Output".to_owned() } else { format!("Output of {step}") };
        if self.missing {
            says.push_str(&format!(": \"{}\" is not there", self.wanted));
        }
        let says = text::shorten(&writer.clean(&says), width.saturating_sub(16), writer.theme().sign(Sign::Ellipsis));
        let more =
            if below == 0 { String::new() } else { format!(" {below} more {}", writer.theme().sign(Sign::Down)) };
        let used = text::width(&says) + text::width(&more) + 4;
        let pieces = vec![
            writer.span(Role::Dim, &line.repeat(2)),
            Span::raw(" "),
            writer.span(Role::Dim, &says),
            Span::raw(" "),
            writer.span(Role::Dim, &line.repeat(width.saturating_sub(used + 1))),
            writer.span(Role::Dim, &more),
        ];
        writer.line(pieces);
    }

    fn line(&self, line: &Said, writer: &Writer<'_>) -> Vec<Span<'static>> {
        let text = writer.clean(&line.text);
        let (role, lead) = match line.kind {
            Kind::Output => (Role::Value, String::new()),
            Kind::Note => (Role::Dim, String::new()),
            Kind::Undone => (Role::Value, format!("{} ", writer.theme().sign(Sign::Left))),
            Kind::Kept => (Role::Warning, format!("{} kept: ", writer.theme().sign(Sign::Warning))),
            Kind::Saved => (Role::Warning, format!("{} saved: ", writer.theme().sign(Sign::Warning))),
            Kind::Failed => (Role::Bad, format!("{} ", writer.theme().sign(Sign::Bad))),
        };
        let mut pieces = vec![writer.span(role, &lead)];
        let mut rest = text.as_str();
        while !self.wanted.is_empty()
            && let Some((from, to)) = found(rest, &self.wanted)
        {
            pieces.push(writer.span(role, &rest[..from]));
            pieces.push(writer.span(Role::Found, &rest[from..to]));
            rest = &rest[to..];
        }
        pieces.push(writer.span(role, rest));
        pieces
    }
}

/// Where a text has what is searched for. Small letters find capitals too, capitals only themselves.
fn found(text: &str, wanted: &str) -> Option<(usize, usize)> {
    if wanted.chars().any(char::is_uppercase) {
        return text.find(wanted).map(|from| (from, from + wanted.len()));
    }
    let starts = text.char_indices().map(|(at, _)| at);
    starts.into_iter().find_map(|from| {
        let mut rest = text[from..].char_indices();
        let mut to = from;
        for c in wanted.chars() {
            let (at, here) = rest.next()?;
            if !here.to_lowercase().eq(c.to_lowercase()) {
                return None;
            }
            to = from + at + here.len_utf8();
        }
        Some((from, to))
    })
}
