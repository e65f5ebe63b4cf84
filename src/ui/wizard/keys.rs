//! What keys do. A page says which acts it accepts at the moment; the same table turns key presses into acts and
//! acts into the line at the bottom, so the two cannot differ.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::guide::QuestionKind;
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
    /// Choose or toggle without going on.
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

/// The keys of each act. Letters act only where they are not typed into a field.
const KEYS: &[(Act, &[(KeyCode, KeyModifiers)])] = &[
    (Act::Up, &[plain(KeyCode::Up), control('p')]),
    (Act::Down, &[plain(KeyCode::Down), control('n')]),
    (Act::PageUp, &[plain(KeyCode::PageUp), control('b')]),
    (Act::PageDown, &[plain(KeyCode::PageDown), control('f')]),
    (Act::First, &[plain(KeyCode::Home)]),
    (Act::Last, &[plain(KeyCode::End)]),
    (Act::Next, &[plain(KeyCode::Tab)]),
    (Act::Previous, &[plain(KeyCode::BackTab)]),
    (Act::Enter, &[plain(KeyCode::Enter)]),
    (Act::Pick, &[letter(' ')]),
    (Act::Back, &[plain(KeyCode::Esc)]),
    (Act::Help, &[plain(KeyCode::F(1)), letter('?')]),
    (Act::GoTo, &[plain(KeyCode::F(2)), letter('g')]),
    (Act::Reveal, &[control('r')]),
    (Act::Generate, &[control('g')]),
    (Act::Default, &[control('d')]),
    (Act::Less, &[plain(KeyCode::Left), letter('-')]),
    (Act::More, &[plain(KeyCode::Right), letter('+')]),
    (Act::Search, &[letter('/')]),
    (Act::SearchNext, &[letter('n')]),
    (Act::SearchPrevious, &[letter('N')]),
    (Act::Log, &[letter('l')]),
    (Act::Detach, &[letter('d')]),
    (Act::Retry, &[letter('r')]),
    (Act::Skip, &[letter('k')]),
    (Act::Change, &[letter('c')]),
    (Act::RollBackStage, &[letter('b')]),
    (Act::RollBack, &[letter('B')]),
    (Act::Abort, &[letter('x')]),
    (Act::Pause, &[letter('p')]),
    (Act::Shell, &[letter('!')]),
    (Act::Save, &[letter('s')]),
    (Act::Quit, &[control('c'), letter('q')]),
];

const fn plain(code: KeyCode) -> (KeyCode, KeyModifiers) {
    (code, KeyModifiers::NONE)
}

const fn letter(c: char) -> (KeyCode, KeyModifiers) {
    (KeyCode::Char(c), KeyModifiers::NONE)
}

const fn control(c: char) -> (KeyCode, KeyModifiers) {
    (KeyCode::Char(c), KeyModifiers::CONTROL)
}

/// The act of a key, if the page accepts it. While text is typed, letters are text.
pub fn act_of(key: KeyEvent, key_hints: &[KeyHint], typing: bool) -> Option<Act> {
    let accepted = |act: Act| key_hints.iter().any(|offer| offer.act == act);
    // A capital says by itself that Shift was held; terminals disagree on telling it once more.
    let modifiers = key.modifiers.difference(KeyModifiers::SHIFT);
    let pressed = (key.code, modifiers);
    KEYS.iter()
        .filter(|(act, _)| accepted(*act))
        .find(|(_, keys)| keys.iter().any(|known| *known == pressed && !(typing && types(*known))))
        .map(|(act, _)| *act)
}

/// Whether a key that would type acts instead, because answers of this kind can never hold it.
pub fn acts_while_typing(key: KeyEvent, kind: QuestionKind) -> bool {
    match key.code {
        KeyCode::Left | KeyCode::Right | KeyCode::Char('+' | '-') => kind == QuestionKind::Integer,
        KeyCode::Char('?') => kind.is_number() || matches!(kind, QuestionKind::Hostname | QuestionKind::Secret),
        _ => false,
    }
}

/// The text of a key, where it types.
pub fn typed(key: KeyEvent) -> Option<char> {
    match key.code {
        KeyCode::Char(c) if (key.modifiers.difference(KeyModifiers::SHIFT)).is_empty() => Some(c),
        _ => None,
    }
}

fn types((code, modifiers): (KeyCode, KeyModifiers)) -> bool {
    matches!(code, KeyCode::Char(_)) && modifiers.is_empty()
}

/// The bottom line: the key of each act with its word, as many as fit, in the page's order.
pub fn footer(theme: &Theme, key_hints: &[KeyHint], typing: bool, width: usize) -> Vec<(String, &'static str)> {
    let mut shown = Vec::new();
    let mut used = 0;
    for hint in key_hints.iter().filter(|hint| !hint.label.is_empty()) {
        let Some(name) = name(theme, hint.act, typing) else { continue };
        let columns = crate::ui::text::width(&name) + 1 + crate::ui::text::width(hint.label) + 2;
        if used + columns > width + 2 {
            continue;
        }
        used += columns;
        shown.push((name, hint.label));
    }
    shown
}

/// What is printed on the key of an act.
pub fn name(theme: &Theme, act: Act, typing: bool) -> Option<String> {
    let (_, keys) = KEYS.iter().find(|(known, _)| *known == act)?;
    // The shortest name wins: `?` rather than `F1` where it does not type.
    let best = keys.iter().filter(|key| !(typing && types(**key))).min_by_key(|key| !types(**key))?;
    Some(match *best {
        (KeyCode::Char(' '), _) => "Space".to_owned(),
        (KeyCode::Char(c), modifiers) if modifiers.contains(KeyModifiers::CONTROL) => {
            format!("^{}", c.to_ascii_uppercase())
        }
        (KeyCode::Char(c), _) => c.to_string(),
        (KeyCode::F(n), _) => format!("F{n}"),
        (KeyCode::Up, _) => theme.sign(Sign::Up).to_owned(),
        (KeyCode::Down, _) => theme.sign(Sign::Down).to_owned(),
        (KeyCode::Left, _) => theme.sign(Sign::Left).to_owned(),
        (KeyCode::Right, _) => theme.sign(Sign::Right).to_owned(),
        (KeyCode::PageUp, _) => "PgUp".to_owned(),
        (KeyCode::PageDown, _) => "PgDn".to_owned(),
        (KeyCode::BackTab, _) => "Shift-Tab".to_owned(),
        (code, _) => format!("{code}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::style::Look;

    fn press(code: KeyCode, modifiers: KeyModifiers) -> KeyEvent {
        KeyEvent::new(code, modifiers)
    }

    #[test]
    fn a_letter_acts_unless_it_is_typed_and_only_what_is_offered_acts() {
        let key_hints = [key_hint(Act::Help, "help"), key_hint(Act::Quit, "quit")];
        let question = press(KeyCode::Char('?'), KeyModifiers::SHIFT);
        assert_eq!(act_of(question, &key_hints, false), Some(Act::Help));
        assert_eq!(act_of(question, &key_hints, true), None);
        assert_eq!(act_of(press(KeyCode::F(1), KeyModifiers::NONE), &key_hints, true), Some(Act::Help));
        assert_eq!(act_of(press(KeyCode::Char('c'), KeyModifiers::CONTROL), &key_hints, true), Some(Act::Quit));
        assert_eq!(act_of(press(KeyCode::Char('s'), KeyModifiers::NONE), &key_hints, false), None);
    }

    #[test]
    fn the_bottom_line_names_the_keys_that_act_now() {
        let theme = Theme::new(Look::PLAIN);
        let key_hints = [key_hint(Act::Enter, "go on"), key_hint(Act::Help, "help"), key_hint(Act::Up, "")];
        let shown = |typing, width| footer(&theme, &key_hints, typing, width);
        assert_eq!(shown(false, 80), [("Enter".to_owned(), "go on"), ("?".to_owned(), "help")]);
        assert_eq!(shown(true, 80)[1].0, "F1");
        assert_eq!(shown(true, 12).len(), 1);
    }

    #[test]
    fn no_key_means_two_things_where_both_could_be_offered() {
        for (at, (act, keys)) in KEYS.iter().enumerate() {
            for (other, others) in &KEYS[at + 1..] {
                let shared = keys.iter().any(|key| others.contains(key));
                assert!(!shared, "{act:?} and {other:?}");
            }
        }
    }
}
