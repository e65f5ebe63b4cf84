//! A search in lines of text: typed at the bottom, its places marked, stepped through around the end.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::ui::wizard::editor::{Editor, Window};
use crate::ui::wizard::theme::{Sign, Theme};

/// A search and how far it is.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// Being typed.
    editor: Option<Editor>,
    /// What is looked for; empty while nothing is.
    pattern: String,
    /// How it went, for people.
    said: String,
    /// The line of the last find.
    at: Option<usize>,
}

impl Search {
    /// Asks what to look for; what was looked for last is offered.
    pub fn begin(&mut self) {
        self.editor = Some(Editor::new(self.pattern.clone()));
    }

    /// The text that is typed.
    pub fn editor(&mut self) -> Option<&mut Editor> {
        self.editor.as_mut()
    }

    /// Whether it is being typed.
    pub fn is_typing(&self) -> bool {
        self.editor.is_some()
    }

    /// Whether there is something to look for.
    pub fn is_on(&self) -> bool {
        !self.pattern.is_empty()
    }

    /// How it went: "2 of 5".
    pub fn said(&self) -> &str {
        &self.said
    }

    /// The part of the typed text that fits, and the cursor's column in it.
    pub fn typed(&self, columns: usize, theme: &Theme) -> Option<Window> {
        let cut = theme.sign(Sign::Ellipsis);
        self.editor.as_ref().map(|editor| editor.window(columns, |text| theme.text(text), cut))
    }

    /// Takes the typed text back: what was looked for before stays.
    pub fn cancel(&mut self) {
        self.editor = None;
    }

    /// Looks for what was typed, from line `top` on; the line where it is found first.
    pub fn take(&mut self, lines: &[Line<'_>], top: usize) -> Option<usize> {
        if let Some(editor) = self.editor.take() {
            editor.text().clone_into(&mut self.pattern);
            self.said.clear();
            self.at = None;
        }
        self.find(lines, |line| line >= top, true)
    }

    /// The next (or previous) line with it, around the end.
    pub fn step(&mut self, forward: bool, lines: &[Line<'_>], top: usize) -> Option<usize> {
        let Some(at) = self.at else { return self.take(lines, top) };
        self.find(lines, |line| if forward { line > at } else { line < at }, forward)
    }

    /// The first (or last) line with it that is wanted; when there is none, the first (or last) of all.
    fn find(&mut self, lines: &[Line<'_>], wanted: impl Fn(usize) -> bool, forward: bool) -> Option<usize> {
        if self.pattern.is_empty() {
            return None;
        }
        let finds: Vec<usize> =
            (0..lines.len()).filter(|at| !places(&text_of(&lines[*at]), &self.pattern).is_empty()).collect();
        let Some(last) = finds.len().checked_sub(1) else {
            self.at = None;
            self.said = format!("\"{}\" not found", self.pattern);
            return None;
        };
        let ahead = if forward {
            finds.iter().position(|line| wanted(*line))
        } else {
            finds.iter().rposition(|line| wanted(*line))
        };
        let place = ahead.unwrap_or(if forward { 0 } else { last });
        let around = if ahead.is_none() { ", past the end" } else { "" };
        self.said = format!("{} of {}{around}", place + 1, finds.len());
        self.at = Some(finds[place]);
        self.at
    }

    /// The line with the places that were found in this style.
    pub fn mark(&self, line: Line<'static>, style: Style) -> Line<'static> {
        if self.pattern.is_empty() {
            return line;
        }
        let places = places(&text_of(&line), &self.pattern);
        if places.is_empty() {
            return line;
        }
        let mut pieces = Vec::new();
        let mut from = 0;
        for span in line.spans {
            // Cuts the piece where a place begins or ends.
            let to = from + span.content.len();
            let mut cuts: Vec<usize> =
                places.iter().flat_map(|(start, end)| [*start, *end]).filter(|cut| *cut > from && *cut < to).collect();
            cuts.push(to);
            let mut start = from;
            for cut in cuts {
                let found = places.iter().any(|(first, end)| *first <= start && start < *end);
                let style = if found { span.style.patch(style) } else { span.style };
                pieces.push(Span::styled(span.content[start - from..cut - from].to_owned(), style));
                start = cut;
            }
            from = to;
        }
        Line::from(pieces)
    }
}

fn text_of(line: &Line<'_>) -> String {
    line.spans.iter().map(|span| span.content.as_ref()).collect()
}

/// Where `pattern` stands in `text`: from byte to byte. Small ASCII letters stand for capitals too.
fn places(text: &str, pattern: &str) -> Vec<(usize, usize)> {
    let exact = pattern.chars().any(char::is_uppercase);
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(part) = text.get(from..from + pattern.len()).or_else(|| (from < text.len()).then_some("")) {
        if !part.is_empty() && (part == pattern || !exact && part.eq_ignore_ascii_case(pattern)) {
            found.push((from, from + pattern.len()));
            from += pattern.len();
        } else {
            from += text[from..].chars().next().map_or(1, char::len_utf8);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::style::Look;

    fn lines() -> Vec<Line<'static>> {
        ["listen 80;", "server_name x;", "Listen 443;", "end"].map(Line::from).to_vec()
    }

    fn look_for(search: &mut Search, text: &str, top: usize) -> Option<usize> {
        search.begin();
        search.editor().expect("being typed").insert(text);
        search.take(&lines(), top)
    }

    #[test]
    fn finds_are_stepped_through_around_the_end() {
        let mut search = Search::default();
        assert_eq!(look_for(&mut search, "listen", 1), Some(2));
        assert_eq!(search.said(), "2 of 2");
        assert_eq!(search.step(true, &lines(), 0), Some(0));
        assert_eq!(search.said(), "1 of 2, past the end");
        assert_eq!(search.step(true, &lines(), 0), Some(2));
        assert_eq!(search.said(), "2 of 2");
        assert_eq!(search.step(false, &lines(), 0), Some(0));
        assert_eq!(search.step(false, &lines(), 0), Some(2));
        assert_eq!(search.said(), "2 of 2, past the end");
    }

    #[test]
    fn what_is_nowhere_is_said_and_a_capital_means_itself() {
        let mut search = Search::default();
        assert_eq!(look_for(&mut search, "Listen", 0), Some(2));
        assert_eq!(look_for(&mut search, "nginx", 0), None);
        assert_eq!(search.said(), "\"nginx\" not found");
        assert_eq!(search.step(true, &lines(), 0), None);
    }

    #[test]
    fn what_is_typed_replaces_what_was_looked_for_unless_it_is_cancelled() {
        let mut search = Search::default();
        look_for(&mut search, "end", 0);
        search.begin();
        let typed = search.typed(20, &Theme::new(Look::PLAIN)).expect("being typed");
        assert_eq!((typed.text.as_str(), typed.cursor), ("end", 3));
        search.cancel();
        assert_eq!(search.step(true, &lines(), 0), Some(3));
    }

    #[test]
    fn finds_are_marked_across_pieces_and_nothing_else_changes() {
        let mut search = Search::default();
        look_for(&mut search, "ten 8", 0);
        let bold = Style::new().bold();
        let line = Line::from(vec![Span::styled("listen", bold), Span::raw(" 80;")]);
        let marked = search.mark(line, Style::new().reversed());
        let pieces: Vec<(&str, Style)> = marked.spans.iter().map(|span| (span.content.as_ref(), span.style)).collect();
        let plain = Style::new();
        assert_eq!(pieces, [("lis", bold), ("ten", bold.reversed()), (" 8", plain.reversed()), ("0;", plain)]);
    }

    #[test]
    fn wide_characters_are_not_cut() {
        assert_eq!(places("日本語本", "本"), [(3, 6), (9, 12)]);
        assert!(places("日本", "a").is_empty());
        assert!(places("", "a").is_empty());
    }
}
