//! One line of text being typed: cursor, whole characters, a window that follows the cursor.

use unicode_segmentation::UnicodeSegmentation;

use crate::ui::text;

/// Text, with a cursor between two of its characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Editor {
    text: String,
    /// A byte position on a boundary of characters.
    cursor: usize,
    /// Nothing was typed yet: the first character replaces the text.
    fresh: bool,
}

/// What is shown of a text that is edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The visible part.
    pub text: String,
    /// The cursor's column in it.
    pub cursor: usize,
}

impl Editor {
    /// Editing begins with this text, the cursor at its end. The first typed character replaces it, wherever it came
    /// from; once the cursor moved, it is edited.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { cursor: text.len(), fresh: true, text }
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Inserts text at the cursor. Line breaks and other control characters, as in a paste, are dropped at its end, and
    /// become blanks within it.
    pub fn insert(&mut self, text: &str) {
        let text = text::typed(text.trim_end_matches(['\n', '\r']));
        if text.is_empty() {
            return;
        }
        if std::mem::take(&mut self.fresh) {
            self.text.clear();
            self.cursor = 0;
        }
        self.text.insert_str(self.cursor, &text);
        self.cursor += text.len();
    }

    /// Removes the character before the cursor.
    pub fn backspace(&mut self) {
        self.fresh = false;
        let before = self.before();
        self.text.replace_range(before..self.cursor, "");
        self.cursor = before;
    }

    /// Removes the character at the cursor.
    pub fn delete(&mut self) {
        self.fresh = false;
        let after = self.after();
        self.text.replace_range(self.cursor..after, "");
    }

    /// Removes everything before the cursor.
    pub fn clear_before(&mut self) {
        self.fresh = false;
        self.text.replace_range(..self.cursor, "");
        self.cursor = 0;
    }

    /// Removes the word before the cursor.
    pub fn delete_word(&mut self) {
        self.fresh = false;
        let head = self.text[..self.cursor].trim_end();
        let from = head
            .rfind(|c: char| !c.is_alphanumeric())
            .map_or(0, |at| at + head[at..].chars().next().map_or(0, char::len_utf8));
        let from = if from == head.len() { head.len().saturating_sub(1) } else { from };
        let from = (0..=from).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0);
        self.text.replace_range(from..self.cursor, "");
        self.cursor = from;
    }

    /// One character to the left.
    pub fn left(&mut self) {
        self.fresh = false;
        self.cursor = self.before();
    }

    /// One character to the right.
    pub fn right(&mut self) {
        self.fresh = false;
        self.cursor = self.after();
    }

    /// To the beginning.
    pub fn home(&mut self) {
        self.fresh = false;
        self.cursor = 0;
    }

    /// To the end.
    pub fn end(&mut self) {
        self.fresh = false;
        self.cursor = self.text.len();
    }

    /// Whether the first typed character replaces the text.
    pub fn is_suggestion(&self) -> bool {
        self.fresh
    }

    /// The part of the text around the cursor that fits into `columns`, with `cut` where more is hidden; `show` draws
    /// each character. The window moves by halves, so that it rarely moves while one types.
    pub fn window(&self, columns: usize, show: impl Fn(&str) -> String, cut: &str) -> Window {
        let mut cells = Vec::new();
        let (mut used, mut cursor) = (0, 0);
        for (at, grapheme) in self.text.grapheme_indices(true) {
            if at < self.cursor {
                cursor = used + text::width(&show(grapheme));
            }
            cells.push((used, show(grapheme)));
            used += text::width(&show(grapheme));
        }
        // The cursor needs a column of its own at the end.
        if used.max(cursor + 1) <= columns {
            return Window { text: cells.into_iter().map(|(_, shown)| shown).collect(), cursor };
        }
        let sign = if columns >= 8 { text::width(cut) } else { 0 };
        let half = (columns / 2).max(1);
        let from = (cursor + 1 + sign).saturating_sub(columns).div_ceil(half) * half;
        let lead = if from > 0 { sign } else { 0 };
        let mut window = cut.repeat(usize::from(lead > 0));
        let start = cells.iter().map(|(at, _)| *at).find(|at| *at >= from + lead).unwrap_or(used).min(cursor);
        for (at, shown) in cells.iter().filter(|(at, _)| *at >= start) {
            let end = lead + at - start + text::width(shown);
            let tail = if at + text::width(shown) < used { sign } else { 0 };
            if end + tail > columns {
                window.push_str(&cut.repeat(usize::from(sign > 0)));
                break;
            }
            window.push_str(shown);
        }
        Window { text: window, cursor: lead + cursor - start }
    }

    fn before(&self) -> usize {
        self.text[..self.cursor].grapheme_indices(true).next_back().map_or(0, |(at, _)| at)
    }

    fn after(&self) -> usize {
        self.text[self.cursor..].graphemes(true).next().map_or(self.text.len(), |first| self.cursor + first.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The cursor was moved to the end of this text.
    fn edited(text: impl Into<String>) -> Editor {
        let mut editor = Editor::new(text);
        editor.end();
        editor
    }

    #[test]
    fn a_suggestion_is_replaced_by_typing_and_kept_by_moving() {
        let mut editor = Editor::new("webapp");
        editor.insert("s");
        assert_eq!(editor.text(), "s");
        let mut editor = Editor::new("webapp");
        editor.end();
        editor.insert("2");
        assert_eq!(editor.text(), "webapp2");
        let mut editor = Editor::new("webapp");
        editor.backspace();
        assert_eq!(editor.text(), "webap");
    }

    #[test]
    fn whole_characters_go_at_once() {
        let mut editor = edited("a👩‍👩‍👧e\u{301}");
        editor.backspace();
        assert_eq!(editor.text(), "a👩‍👩‍👧");
        editor.left();
        editor.delete();
        assert_eq!(editor.text(), "a");
    }

    #[test]
    fn words_go_at_once() {
        let mut editor = edited("app.example.org");
        editor.delete_word();
        assert_eq!(editor.text(), "app.example.");
        editor.delete_word();
        assert_eq!(editor.text(), "app.example");
        editor.delete_word();
        assert_eq!(editor.text(), "app.");
    }

    #[test]
    fn a_paste_is_one_line_without_control_codes() {
        let mut editor = Editor::default();
        editor.insert("one\u{1b}[31m\r\ntwo\n");
        assert_eq!(editor.text(), "one  two");
    }

    #[test]
    fn the_window_follows_the_cursor_and_says_where_more_is_hidden() {
        let window = |editor: &Editor, columns| {
            let Window { text, cursor } = editor.window(columns, str::to_owned, "…");
            (text, cursor)
        };
        let mut editor = edited("0123456789abcdef");
        assert_eq!(window(&editor, 20), ("0123456789abcdef".to_owned(), 16));
        assert_eq!(window(&editor, 10), ("…bcdef".to_owned(), 6));
        editor.left();
        assert_eq!(window(&editor, 10), ("…bcdef".to_owned(), 5));
        editor.home();
        assert_eq!(window(&editor, 10), ("012345678…".to_owned(), 0));
        assert_eq!(editor.window(20, |_| "*".to_owned(), "…").text, "****************");
        assert_eq!(window(&edited("日本語"), 7), ("日本語".to_owned(), 6));
        assert_eq!(window(&edited("日本語"), 4), ("語".to_owned(), 2));
    }

    proptest! {
        #[test]
        fn any_keys_leave_text_and_cursor_sound(text in "\\PC{0,20}", keys in prop::collection::vec(0u8..8, 0..60)) {
            let mut editor = edited(text);
            for key in keys {
                match key {
                    0 => editor.left(),
                    1 => editor.right(),
                    2 => editor.backspace(),
                    3 => editor.delete(),
                    4 => editor.delete_word(),
                    5 => editor.home(),
                    6 => editor.insert("é👩‍👩‍👧x"),
                    _ => editor.end(),
                }
                prop_assert!(editor.text.is_char_boundary(editor.cursor));
                for columns in 1..12 {
                    let Window { text: shown, cursor } = editor.window(columns, str::to_owned, "…");
                    prop_assert!(text::width(&shown) <= columns && cursor < columns, "{columns}: {shown} {cursor}");
                }
            }
        }
    }
}
