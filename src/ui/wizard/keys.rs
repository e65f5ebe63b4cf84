//! What keys do. A page says which acts it accepts at the moment; the same table turns key presses into acts and
//! acts into the line at the bottom, the help and the manual, so they cannot differ.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::ui::text;
use crate::ui::wizard::editor::Editor;
use crate::ui::wizard::theme::{Sign, Theme};

/// What a person can do. One word each, the same on every page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Act {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    /// To the next question.
    Next,
    /// To the one before.
    Previous,
    /// Go on, open, press.
    Enter,
    /// Choose or toggle without moving to the next question.
    Pick,
    /// To the page before, or close.
    Back,
    Help,
    /// Jump to any page.
    GoTo,
    Reveal,
    Generate,
    /// Take the default again.
    Default,
    /// A smaller number.
    Less,
    /// A larger number.
    More,
    Search,
    SearchNext,
    SearchPrevious,
    /// The whole log.
    Log,
    Detach,
    Retry,
    Skip,
    Change,
    RollBackStage,
    RollBack,
    /// End the run and roll it back.
    Abort,
    /// End the run and leave everything as it is.
    Pause,
    Shell,
    Save,
    Quit,
}

/// An act that a page accepts now, with what the bottom line says of it; nothing for those that go without saying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHint {
    /// The act.
    pub act: Act,
    /// A word or two.
    pub label: &'static str,
}

/// An act, with its word for the bottom line.
pub const fn key_hint(act: Act, label: &'static str) -> KeyHint {
    KeyHint { act, label }
}

/// A key with its modifiers.
type Key = (KeyCode, KeyModifiers);

/// An act with its keys, the one that is shown first, and what it does.
struct Binding {
    act: Act,
    keys: &'static [Key],
    does: &'static str,
}

const fn bind(act: Act, keys: &'static [Key], does: &'static str) -> Binding {
    Binding { act, keys, does }
}

/// Every key and what it does, under headings: the bottom line, the help and the manual are made from it. A key means
/// the same on every page, so what works everywhere is no letter: letters are text in a field. Control keys exist on
/// every terminal; function keys do not, and are never the only way.
const KEYS: &[(&str, &[Binding])] = &[
    (
        "Everywhere",
        &[
            bind(Act::Help, &[control('g'), plain(KeyCode::F(1))], "help and all keys"),
            bind(Act::GoTo, &[control('t'), plain(KeyCode::F(2))], "the list of pages"),
            bind(Act::Quit, &[control('c')], "leave; press it twice to skip the question"),
            bind(Act::Back, &[plain(KeyCode::Esc)], "to the previous page; closes an overlay"),
            bind(Act::Enter, &[plain(KeyCode::Enter)], "choose, or continue"),
            bind(Act::Next, &[plain(KeyCode::Tab)], "to the next question or list"),
            bind(Act::Previous, &[plain(KeyCode::BackTab)], "to the previous one"),
            bind(Act::Up, &[plain(KeyCode::Up), control('p')], "one line up"),
            bind(Act::Down, &[plain(KeyCode::Down), control('n')], "one line down"),
            bind(Act::PageUp, &[plain(KeyCode::PageUp), control('b')], "one screen up"),
            bind(Act::PageDown, &[plain(KeyCode::PageDown), control('f')], "one screen down"),
            bind(Act::First, &[plain(KeyCode::Home)], "to the top; in a field, to its start"),
            bind(Act::Last, &[plain(KeyCode::End)], "to the bottom; in a field, to its end"),
        ],
    ),
    (
        "Answers",
        &[
            bind(Act::Pick, &[letter(' ')], "choose, or switch between yes and no"),
            bind(Act::More, &[letter('+')], "a larger number; another row of a table"),
            bind(Act::Less, &[letter('-')], "a smaller number; remove a row"),
            bind(Act::Default, &[control('d')], "restore the default"),
            bind(Act::Generate, &[control('y')], "generate a password"),
            bind(Act::Reveal, &[control('r')], "show or hide a password"),
        ],
    ),
    (
        "Long texts",
        &[
            bind(Act::Search, &[letter('/')], "search"),
            bind(Act::SearchNext, &[letter('n')], "the next match"),
            bind(Act::SearchPrevious, &[letter('N')], "the previous match"),
        ],
    ),
    (
        "Review and run",
        &[
            bind(Act::Save, &[letter('s')], "save the answers"),
            bind(Act::Retry, &[letter('r')], "check again; retry a step that failed"),
            bind(Act::Log, &[letter('l')], "the log of a step"),
            bind(Act::Detach, &[letter('d')], "leave; the run continues"),
            bind(Act::Change, &[letter('c')], "change an answer and retry"),
            bind(Act::Skip, &[letter('k')], "skip this step"),
            bind(Act::RollBackStage, &[letter('b')], "roll back this stage"),
            bind(Act::RollBack, &[letter('B')], "roll back everything"),
            bind(Act::Abort, &[letter('x')], "abort: end the run and roll back"),
            bind(Act::Pause, &[letter('p')], "pause: end the run and keep its changes"),
            bind(Act::Shell, &[letter('!')], "a shell"),
        ],
    ),
];

/// What a key does to the text under the cursor.
type Edit = fn(&mut Editor);

/// The keys that edit a field, with what they do.
const EDITS: &[(Edit, &[Key], &str)] = &[
    (Editor::left, &[plain(KeyCode::Left)], "one character to the left"),
    (Editor::right, &[plain(KeyCode::Right)], "one character to the right"),
    (Editor::home, &[plain(KeyCode::Home), control('a')], "to the start"),
    (Editor::end, &[plain(KeyCode::End), control('e')], "to the end"),
    (Editor::backspace, &[plain(KeyCode::Backspace)], "removes the character before the cursor"),
    (Editor::delete, &[plain(KeyCode::Delete)], "removes the character under the cursor"),
    (Editor::delete_word, &[control('w')], "removes the word before the cursor"),
    (Editor::clear_before, &[control('u')], "removes everything before the cursor"),
];

/// What is said above the keys of a field.
const TYPING: &str = "The first character you type replaces the field's value; an arrow, Home or End edits it.";

const fn plain(code: KeyCode) -> Key {
    (code, KeyModifiers::NONE)
}

const fn letter(c: char) -> Key {
    (KeyCode::Char(c), KeyModifiers::NONE)
}

const fn control(c: char) -> Key {
    (KeyCode::Char(c), KeyModifiers::CONTROL)
}

fn bindings() -> impl Iterator<Item = &'static Binding> {
    KEYS.iter().flat_map(|(_, bindings)| *bindings)
}

/// A capital already implies Shift; terminals differ in whether they report it as well.
fn pressed(key: KeyEvent) -> Key {
    (key.code, key.modifiers.difference(KeyModifiers::SHIFT))
}

/// The act of a key, if the page accepts it. While text is typed, letters are text.
pub fn act_of(key: KeyEvent, key_hints: &[KeyHint], typing: bool) -> Option<Act> {
    let accepted = |act: Act| key_hints.iter().any(|offer| offer.act == act);
    let pressed = pressed(key);
    bindings()
        .filter(|binding| accepted(binding.act))
        .find(|binding| binding.keys.iter().any(|known| *known == pressed && !(typing && types(*known))))
        .map(|binding| binding.act)
}

/// What a key does to the text under the cursor.
pub fn edit_of(key: KeyEvent) -> Option<Edit> {
    let pressed = pressed(key);
    EDITS.iter().find(|(_, keys, _)| keys.contains(&pressed)).map(|(edit, ..)| *edit)
}

/// Whether a key changes a number by steps, which it does where a number is typed.
pub fn is_step(key: KeyEvent) -> bool {
    matches!(key.code, KeyCode::Char('+' | '-'))
}

/// The text of a key, where it types.
pub fn typed(key: KeyEvent) -> Option<char> {
    match key.code {
        KeyCode::Char(c) if pressed(key).1.is_empty() => Some(c),
        _ => None,
    }
}

fn types((code, modifiers): (KeyCode, KeyModifiers)) -> bool {
    matches!(code, KeyCode::Char(_)) && modifiers.is_empty()
}

/// Columns of the first key, whose label changes most, so that what follows it does not move.
const FIRST: usize = 14;

/// The bottom line: the key of each act with its word, as many as fit. What every page has comes at the same place,
/// behind the first of the page's own.
pub fn footer(theme: &Theme, key_hints: &[KeyHint], typing: bool, width: usize) -> Vec<(String, String)> {
    let mut wanted: Vec<&KeyHint> = Vec::new();
    for hint in key_hints.iter().filter(|hint| !hint.label.is_empty()) {
        if !wanted.iter().any(|known| known.act == hint.act) {
            wanted.push(hint);
        }
    }
    let order = |at: usize, act: Act| match act {
        _ if at == 0 => 0,
        Act::Back => 1,
        Act::Help => 2,
        Act::GoTo => 3,
        Act::Quit => 4,
        _ => 5 + at,
    };
    let mut wanted: Vec<_> = wanted.into_iter().enumerate().map(|(at, hint)| (order(at, hint.act), hint)).collect();
    wanted.sort_by_key(|(order, _)| *order);
    let mut shown = Vec::new();
    let mut used = 0;
    for (_, hint) in wanted {
        let Some(name) = name(theme, hint.act, typing) else { continue };
        let mut label = hint.label.to_owned();
        if shown.is_empty() && width >= 60 {
            label = text::pad(&label, FIRST.saturating_sub(text::width(&name) + 1));
        }
        let columns = text::width(&name) + 1 + text::width(&label) + 2;
        if used + columns > width + 2 {
            continue;
        }
        used += columns;
        shown.push((name, label));
    }
    shown
}

/// What is printed on the key of an act; none where only text can be typed and the act has no other key.
pub fn name(theme: &Theme, act: Act, typing: bool) -> Option<String> {
    let binding = bindings().find(|binding| binding.act == act)?;
    let key = binding.keys.iter().find(|key| !(typing && types(**key)) || is_step(KeyEvent::new(key.0, key.1)))?;
    Some(printed(theme, *key))
}

/// What is printed on the key that was pressed.
pub fn name_of(theme: &Theme, key: KeyEvent) -> String {
    printed(theme, pressed(key))
}

fn printed(theme: &Theme, (code, modifiers): Key) -> String {
    let key = match code {
        KeyCode::Char(' ') => "Space".to_owned(),
        KeyCode::Char(c) if modifiers.contains(KeyModifiers::CONTROL) => return format!("^{}", c.to_ascii_uppercase()),
        KeyCode::Char(c) => theme.text(&c.to_string()),
        KeyCode::F(n) => format!("F{n}"),
        KeyCode::Up => theme.sign(Sign::Up).to_owned(),
        KeyCode::Down => theme.sign(Sign::Down).to_owned(),
        KeyCode::Left => theme.sign(Sign::Left).to_owned(),
        KeyCode::Right => theme.sign(Sign::Right).to_owned(),
        KeyCode::PageUp => "PgUp".to_owned(),
        KeyCode::PageDown => "PgDn".to_owned(),
        KeyCode::BackTab => "Shift-Tab".to_owned(),
        KeyCode::Delete => "Del".to_owned(),
        code => format!("{code}"),
    };
    if modifiers.contains(KeyModifiers::ALT) { format!("Alt-{key}") } else { key }
}

/// All keys under their headings: each with its names and what it does.
pub fn table(theme: &Theme) -> Vec<(String, Vec<(String, &'static str)>)> {
    let names = |keys: &[Key]| keys.iter().map(|key| printed(theme, *key)).collect::<Vec<_>>().join(" ");
    let mut table: Vec<_> = KEYS
        .iter()
        .map(|(heading, bindings)| {
            let rows = bindings.iter().map(|binding| (names(binding.keys), binding.does)).collect();
            ((*heading).to_owned(), rows)
        })
        .collect();
    let edits = EDITS.iter().map(|(_, keys, does)| (names(keys), *does)).collect();
    table.insert(1, (format!("In a field. {TYPING}"), edits));
    table
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fmt::Write as _;

    use super::*;
    use crate::ui::style::Look;

    fn press(code: KeyCode, modifiers: KeyModifiers) -> KeyEvent {
        KeyEvent::new(code, modifiers)
    }

    #[test]
    fn a_letter_acts_unless_it_is_typed_and_only_what_is_offered_acts() {
        let key_hints = [key_hint(Act::Help, "help"), key_hint(Act::Quit, "leave"), key_hint(Act::Log, "log")];
        let log = press(KeyCode::Char('l'), KeyModifiers::NONE);
        assert_eq!(act_of(log, &key_hints, false), Some(Act::Log));
        assert_eq!(act_of(log, &key_hints, true), None);
        assert_eq!(act_of(press(KeyCode::Char('s'), KeyModifiers::NONE), &key_hints, false), None);
    }

    #[test]
    fn what_works_everywhere_works_in_fields_and_without_function_keys() {
        for binding in KEYS[0].1 {
            let safe = |key: &&Key| !types(**key) && !matches!(key.0, KeyCode::F(_));
            let key = binding.keys.iter().find(safe).unwrap_or_else(|| panic!("{:?}", binding.act));
            assert_eq!(binding.keys[0], *key, "the one that is shown: {:?}", binding.act);
            let hints = [key_hint(binding.act, "x")];
            for typing in [false, true] {
                assert_eq!(act_of(press(key.0, key.1), &hints, typing), Some(binding.act));
            }
        }
        let hints = [key_hint(Act::Help, "help"), key_hint(Act::GoTo, "pages"), key_hint(Act::Quit, "leave")];
        for c in ['?', 'g', 'q'] {
            assert_eq!(
                act_of(press(KeyCode::Char(c), KeyModifiers::NONE), &hints, false),
                None,
                "{c} is text in a field"
            );
        }
    }

    #[test]
    fn the_bottom_line_names_the_same_keys_at_the_same_place() {
        let theme = Theme::new(Look::PLAIN);
        let line = |key_hints: &[KeyHint], typing, width| {
            let shown = footer(&theme, key_hints, typing, width);
            shown.into_iter().map(|(key, says)| format!("{key} {says}")).collect::<Vec<_>>().join("  ")
        };
        let help = key_hint(Act::Help, "help");
        let short = [key_hint(Act::Enter, "next"), key_hint(Act::Default, "default"), key_hint(Act::Up, ""), help];
        let long = [key_hint(Act::Enter, "continue"), help];
        assert_eq!(line(&short, true, 80), "Enter next      ^G help  ^D default");
        assert_eq!(line(&short, true, 80), line(&short, false, 80));
        assert_eq!(line(&short, true, 80).find("^G"), line(&long, false, 80).find("^G"));
        assert_eq!(line(&short, true, 20), "Enter next  ^G help");
    }

    #[test]
    fn no_key_means_two_things() {
        let all: Vec<&Binding> = bindings().collect();
        for (at, binding) in all.iter().enumerate() {
            for other in &all[at + 1..] {
                let shared = binding.keys.iter().any(|key| other.keys.contains(key));
                assert!(!shared, "{:?} and {:?}", binding.act, other.act);
            }
            // Home and End go as far as there is something to go to: in a field to its ends.
            if !matches!(binding.act, Act::First | Act::Last) {
                let edits = EDITS.iter().any(|(_, keys, _)| keys.iter().any(|key| binding.keys.contains(key)));
                assert!(!edits, "{:?} is a key of the editor too", binding.act);
            }
        }
    }

    /// The table of keys in the manual. `KEYS=write cargo test --lib keys` rewrites it.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a page of the manual, on no host")]
    fn the_manual_has_these_keys() {
        let theme = Theme::new(Look { unicode: true, ..Look::PLAIN });
        let mut pages = String::new();
        for (heading, rows) in table(&theme) {
            let _ = write!(pages, "\n**{heading}**\n\n| Keys | |\n| --- | --- |\n");
            for (keys, does) in rows {
                let keys: Vec<String> = keys.split(' ').map(|key| format!("`{key}`")).collect();
                let _ = writeln!(pages, "| {} | {does} |", keys.join(" "));
            }
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/wizard.md");
        let manual = std::fs::read_to_string(path).unwrap();
        let (before, rest) = manual.split_once("<!-- keys -->\n").unwrap();
        let (kept, after) = rest.split_once("\n<!-- end of keys -->").unwrap();
        if std::env::var_os("KEYS").is_some() {
            std::fs::write(path, format!("{before}<!-- keys -->\n{pages}\n<!-- end of keys -->{after}")).unwrap();
        } else {
            assert!(kept == pages, "docs/wizard.md has other keys; KEYS=write cargo test --lib keys");
        }
    }
}
