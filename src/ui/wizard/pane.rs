//! The output of a step: a pane that follows its end, can be scrolled back, and searched.

use ratatui::text::{Line, Span};

use crate::ui::run_state::{Kind, Output, Said};
use crate::ui::text;
use crate::ui::wizard::keys::Act;
use crate::ui::wizard::overlay::Search;
use crate::ui::wizard::theme::{Role, Sign, Theme};
use crate::ui::wizard::view::{View, ViewBuilder};

/// How the output is looked at.
#[derive(Debug, Default)]
pub struct Pane {
    /// What is looked for in it.
    pub search: Search,
    /// The step whose lines do not scroll, and the number of the last one shown; none where it follows the end.
    still: Option<(String, usize)>,
}

impl Pane {
    /// How many of a step's lines are above the pane's lower edge.
    fn last(&self, step: &str, lines: &[&Said], rows: usize) -> usize {
        match &self.still {
            Some((of, number)) if of == step => {
                let at = lines.iter().rposition(|line| line.number <= *number).map_or(0, |at| at + 1);
                at.max(rows).min(lines.len())
            }
            _ => lines.len(),
        }
    }

    /// Shows the lines up to this one; follows the end where there is none after it.
    fn stand(&mut self, step: &str, lines: &[&Said], last: usize) {
        let line = if last >= lines.len() { None } else { lines.get(last.saturating_sub(1)) };
        self.still = line.map(|line| (step.to_owned(), line.number));
    }

    /// Scrolls by what `act` means, if it means that.
    pub fn moves(&mut self, act: Act, output: &Output, step: &str, rows: usize) -> bool {
        let lines: Vec<&Said> = output.of(step).collect();
        let last = self.last(step, &lines, rows);
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

    /// Looks for what was typed, or for the next (or previous) place of what was looked for last.
    pub fn find(&mut self, act: Act, output: &Output, step: &str, rows: usize) {
        let said: Vec<&Said> = output.of(step).collect();
        let lines: Vec<Line<'_>> =
            said.iter().map(|line| Line::from(text::clean(&text::of_tool(&line.text)))).collect();
        let last = self.last(step, &said, rows);
        let top = last.saturating_sub(rows);
        let found = match act {
            Act::SearchNext => self.search.step(true, &lines, top),
            Act::SearchPrevious => self.search.step(false, &lines, top),
            _ => self.search.take(&lines, top),
        };
        if let Some(at) = found.filter(|at| !(top..last).contains(at)) {
            self.stand(step, &said, (at + 1 + rows / 2).max(rows));
        }
    }

    /// Draws the lines of a step into so many rows, the first of them a rule with the step's name.
    pub fn write(&self, output: &Output, step: &str, rows: usize, mut writer: ViewBuilder<'_>) -> View {
        let lines: Vec<&Said> = output.of(step).collect();
        let room = rows.saturating_sub(1);
        let last = self.last(step, &lines, room);
        rule(step, lines.len() - last, &mut writer);
        if lines.is_empty() {
            let nothing = writer.span(Role::Dim, "no output yet");
            writer.line(vec![nothing]);
        }
        for line in &lines[last.saturating_sub(room)..last] {
            let pieces = line_of(line, &writer);
            writer.line(pieces);
        }
        let found = writer.theme().style(Role::Found);
        let mut doc = writer.done();
        if self.search.is_on() {
            let marked = doc.lines.drain(1..).map(|line| self.search.mark(line, found)).collect::<Vec<_>>();
            doc.lines.extend(marked);
        }
        doc
    }
}

/// Where the pane begins: whose output it is, and how much of it is further down.
fn rule(step: &str, below: usize, writer: &mut ViewBuilder<'_>) {
    let (line, width) = (writer.theme().sign(Sign::Line).to_owned(), writer.width());
    let says = if step.is_empty() { "Output".to_owned() } else { format!("Output of {step}") };
    let says = text::shorten(&writer.clean(&says), width.saturating_sub(16), writer.theme().sign(Sign::Ellipsis));
    let more = if below == 0 { String::new() } else { format!(" {}{below} more", writer.theme().sign(Sign::Down)) };
    let rest = width.saturating_sub(4 + text::width(&says) + text::width(&more));
    let pieces = vec![writer.span(Role::Dim, &format!("{} {says} {}{more}", line.repeat(2), line.repeat(rest)))];
    writer.line(pieces);
}

fn line_of(line: &Said, writer: &ViewBuilder<'_>) -> Vec<Span<'static>> {
    let (role, lead) = lead(line.kind, writer.theme());
    vec![writer.span(role, &lead), writer.span(role, &line.text)]
}

fn lead(kind: Kind, theme: &Theme) -> (Role, String) {
    match kind {
        Kind::Output => (Role::Value, String::new()),
        Kind::Note => (Role::Dim, String::new()),
        Kind::Undone => (Role::Value, format!("{} ", theme.sign(Sign::Left))),
        Kind::Kept => (Role::Warning, format!("{} kept: ", theme.sign(Sign::Warning))),
        Kind::Saved => (Role::Warning, format!("{} saved: ", theme.sign(Sign::Warning))),
        Kind::Failed => (Role::Bad, format!("{} ", theme.sign(Sign::Bad))),
    }
}
