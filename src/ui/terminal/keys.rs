//! What the terminal sends, taken apart into keys and pastes (xterm's control sequences, and those of the Linux
//! console and rxvt that differ).
//!
//! crossterm has a parser too, but only behind its reader, which blocks in the middle of a sequence and spins
//! when the terminal is gone (its issue 793).

use std::collections::VecDeque;
use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::ui::terminal::{Background, Input};

/// What can be a key of its own, such as Esc, is one after so long. Terminals send a sequence at once.
const ESCAPE: Duration = Duration::from_millis(50);
/// Nobody types the beginning of such a sequence: it was torn on its way.
const SEQUENCE: Duration = Duration::from_secs(1);
/// A longer sequence is no key.
const LONGEST: usize = 64;
/// What is kept of a paste, in bytes.
const PASTE: usize = 1 << 20;
const PASTE_END: &[u8] = b"\x1b[201~";

#[derive(Debug, Default)]
pub(super) struct Parser {
    state: State,
    /// What has come of the present sequence, character, report or paste.
    held: Vec<u8>,
    /// The answers to [`super::background::QUESTION`] are listened for.
    pub asked: bool,
    /// The terminal has reported its background.
    pub background: Option<Background>,
    /// It has answered what every terminal answers: nothing more is on its way.
    pub answered: bool,
    queue: VecDeque<Input>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// In a character of so many bytes; after an ESC or not.
    Character { length: usize, alt: bool },
    /// After an ESC.
    Escape,
    /// After ESC [.
    Sequence,
    /// After ESC O.
    Shift3,
    /// After ESC [ [, which the Linux console sends for F1 to F5.
    Console,
    /// The last bytes of a mouse report in the old form.
    Mouse { left: u8 },
    /// In a report (OSC, DCS), up to BEL or ST.
    Report,
    /// In a paste; so many bytes of its end have come.
    Paste { end: usize },
}

impl Parser {
    /// Takes what has been read.
    pub fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.byte(*byte);
        }
    }

    /// The next input that is complete.
    pub fn pop(&mut self) -> Option<Input> {
        self.queue.pop_front()
    }

    /// Whether an input is complete.
    pub fn ready(&self) -> bool {
        !self.queue.is_empty() || self.background.is_some()
    }

    /// How long the rest of what has begun is waited for. A character or a paste may take its time: its rest
    /// must not be taken for keys.
    pub fn patience(&self) -> Option<Duration> {
        match self.state {
            State::Ground | State::Character { .. } | State::Paste { .. } => None,
            State::Escape | State::Shift3 => Some(ESCAPE),
            State::Sequence if self.held.is_empty() => Some(ESCAPE),
            State::Sequence | State::Console | State::Mouse { .. } | State::Report => Some(SEQUENCE),
        }
    }

    /// Nothing has followed: the input so far is processed as it is.
    pub fn give_up(&mut self) {
        match self.state {
            State::Escape => self.key(KeyCode::Esc, KeyModifiers::NONE),
            State::Sequence if self.held.is_empty() => self.key(KeyCode::Char('['), KeyModifiers::ALT),
            State::Shift3 => self.key(KeyCode::Char('O'), KeyModifiers::ALT | KeyModifiers::SHIFT),
            _ => {}
        }
        self.to(State::Ground);
    }

    fn to(&mut self, state: State) {
        self.held.clear();
        self.state = state;
    }

    fn key(&mut self, code: KeyCode, modifiers: KeyModifiers) {
        self.queue.push_back(Input::Key(KeyEvent::new(code, modifiers)));
    }

    fn byte(&mut self, byte: u8) {
        match self.state {
            State::Ground => self.ground(byte, false),
            State::Escape => self.escape(byte),
            State::Character { length, alt } => self.character(byte, length, alt),
            State::Sequence => self.sequence(byte),
            State::Shift3 => self.shift3(byte),
            State::Console => {
                self.to(State::Ground);
                if let b'A'..=b'E' = byte {
                    self.key(KeyCode::F(byte - b'A' + 1), KeyModifiers::NONE);
                }
            }
            State::Mouse { left } => {
                self.state = if left > 1 { State::Mouse { left: left - 1 } } else { State::Ground }
            }
            State::Report => match byte {
                0x18 | 0x1a => self.to(State::Ground),
                0x07 => self.report(State::Ground),
                // The ESC of an ST. What follows a lone one is a key.
                0x1b => self.report(State::Escape),
                _ if self.held.len() < LONGEST => self.held.push(byte),
                _ => {}
            },
            State::Paste { end } => self.paste(byte, end),
        }
    }

    fn ground(&mut self, byte: u8, alt: bool) {
        let modifiers = if alt { KeyModifiers::ALT } else { KeyModifiers::NONE };
        let control = modifiers | KeyModifiers::CONTROL;
        self.to(State::Ground);
        match byte {
            0x1b => self.to(State::Escape),
            b'\r' | b'\n' => self.key(KeyCode::Enter, modifiers),
            b'\t' => self.key(KeyCode::Tab, modifiers),
            0x08 | 0x7f => self.key(KeyCode::Backspace, modifiers),
            0x00 => self.key(KeyCode::Char(' '), control),
            0x01..=0x1a => self.key(KeyCode::Char(char::from(byte - 1 + b'a')), control),
            0x1c..=0x1f => self.key(KeyCode::Char(char::from(byte - 0x1c + b'4')), control),
            0x20..=0x7e => self.typed(char::from(byte), modifiers),
            _ => {
                let length = match byte {
                    0xc2..=0xdf => 2,
                    0xe0..=0xef => 3,
                    0xf0..=0xf4 => 4,
                    _ => return,
                };
                self.to(State::Character { length, alt });
                self.held.push(byte);
            }
        }
    }

    fn typed(&mut self, c: char, modifiers: KeyModifiers) {
        let shift = if c.is_uppercase() { KeyModifiers::SHIFT } else { KeyModifiers::NONE };
        self.key(KeyCode::Char(c), modifiers | shift);
    }

    fn character(&mut self, byte: u8, length: usize, alt: bool) {
        if byte & 0xc0 != 0x80 {
            // The character before was cut off.
            return self.ground(byte, false);
        }
        self.held.push(byte);
        if self.held.len() < length {
            return;
        }
        let c = std::str::from_utf8(&self.held).ok().and_then(|text| text.chars().next());
        self.to(State::Ground);
        // C1 controls are no keys.
        if let Some(c) = c.filter(|c| !c.is_control()) {
            self.typed(c, if alt { KeyModifiers::ALT } else { KeyModifiers::NONE });
        }
    }

    fn escape(&mut self, byte: u8) {
        match byte {
            b'[' => self.to(State::Sequence),
            b'O' => self.to(State::Shift3),
            b']' | b'P' => self.to(State::Report),
            // The end of a report.
            b'\\' => self.to(State::Ground),
            0x1b => self.key(KeyCode::Esc, KeyModifiers::NONE),
            _ => self.ground(byte, true),
        }
    }

    fn shift3(&mut self, byte: u8) {
        self.to(State::Ground);
        let code = match byte {
            b'P'..=b'S' => KeyCode::F(byte - b'P' + 1),
            // The numeric keypad.
            b'M' => KeyCode::Enter,
            b'j'..=b'y' => KeyCode::Char(char::from(byte - 0x40)),
            0x1b => return self.to(State::Escape),
            _ => match cursor_key(byte) {
                Some(code) => code,
                None => return,
            },
        };
        self.key(code, KeyModifiers::NONE);
    }

    fn sequence(&mut self, byte: u8) {
        match byte {
            b'[' if self.held.is_empty() => self.to(State::Console),
            0x20..=0x3f => {
                if self.held.len() < LONGEST {
                    self.held.push(byte);
                }
            }
            0x40..=0x7e => {
                let held = std::mem::take(&mut self.held);
                self.to(State::Ground);
                self.control(&held, byte);
            }
            // Cut off by a key.
            _ => self.ground(byte, false),
        }
    }

    /// A whole report. Only one that was asked for means anything.
    fn report(&mut self, next: State) {
        if self.asked {
            self.background = Background::told(&self.held).or(self.background);
        }
        self.to(next);
    }

    /// A whole control sequence: its parameters and its last byte.
    fn control(&mut self, parameters: &[u8], end: u8) {
        if parameters.is_empty() && end == b'M' {
            return self.to(State::Mouse { left: 3 });
        }
        if parameters.starts_with(b"?") && end == b'c' {
            self.answered = true;
        }
        if parameters == b"200" && end == b'~' {
            return self.to(State::Paste { end: 0 });
        }
        let Some(numbers) = numbers(parameters) else {
            // A reply or a report of the mouse.
            return;
        };
        let first = numbers.first().map_or(0, |number| number.0);
        let (modifiers, event) = numbers.get(1).copied().unwrap_or((1, 1));
        if event == 3 {
            return; // a key that was let go
        }
        let modifiers = self::modifiers(modifiers);
        let code = match end {
            b'~' if first == 27 => {
                // modifyOtherKeys: 27;modifiers;character~
                let Some(code) = numbers.get(2).and_then(|number| char_key(number.0)) else { return };
                code
            }
            b'~' => match numbered_key(first) {
                Some(code) => code,
                None => return,
            },
            b'u' => match char_key(first) {
                Some(code) => code,
                None => return,
            },
            b'Z' => return self.key(KeyCode::BackTab, modifiers | KeyModifiers::SHIFT),
            // With other parameters R is a cursor position report, which we do not request.
            b'R' if first == 1 && numbers.len() == 2 => KeyCode::F(3),
            b'P' => KeyCode::F(1),
            b'Q' => KeyCode::F(2),
            b'S' => KeyCode::F(4),
            _ => match cursor_key(end) {
                Some(code) => code,
                None => return,
            },
        };
        self.key(code, modifiers);
    }

    fn paste(&mut self, byte: u8, end: usize) {
        if byte == PASTE_END[end] {
            if end + 1 < PASTE_END.len() {
                self.state = State::Paste { end: end + 1 };
                return;
            }
            let text = String::from_utf8_lossy(&self.held).replace("\r\n", "\n").replace('\r', "\n");
            self.queue.push_back(Input::Paste(text));
            return self.to(State::Ground);
        }
        self.hold(&PASTE_END[..end]);
        self.state = State::Paste { end: 0 };
        if byte == PASTE_END[0] {
            self.state = State::Paste { end: 1 };
        } else {
            self.hold(&[byte]);
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.held.len() + bytes.len() <= PASTE {
            self.held.extend_from_slice(bytes);
        }
    }
}

/// The parameters of a sequence, each with its first sub-parameter; `None` when it is no key.
fn numbers(parameters: &[u8]) -> Option<Vec<(u32, u32)>> {
    let text = std::str::from_utf8(parameters).ok()?;
    let number = |text: Option<&str>, missing: u32| match text {
        None | Some("") => Some(missing),
        Some(digits) => digits.parse().ok(),
    };
    text.split(';')
        .map(|parameter| {
            let mut parts = parameter.split(':');
            Some((number(parts.next(), 1)?, number(parts.next(), 1)?))
        })
        .collect()
}

fn modifiers(parameter: u32) -> KeyModifiers {
    let bits = parameter.saturating_sub(1);
    let mut modifiers = KeyModifiers::NONE;
    for (bit, modifier) in [(1, KeyModifiers::SHIFT), (2, KeyModifiers::ALT), (4, KeyModifiers::CONTROL)] {
        if bits & bit != 0 {
            modifiers |= modifier;
        }
    }
    modifiers
}

fn cursor_key(end: u8) -> Option<KeyCode> {
    Some(match end {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'H' => KeyCode::Home,
        b'F' => KeyCode::End,
        _ => return None,
    })
}

fn numbered_key(number: u32) -> Option<KeyCode> {
    let function = |base: u32| u8::try_from(number - base).ok().map(KeyCode::F);
    match number {
        1 | 7 => Some(KeyCode::Home),
        2 => Some(KeyCode::Insert),
        3 => Some(KeyCode::Delete),
        4 | 8 => Some(KeyCode::End),
        5 => Some(KeyCode::PageUp),
        6 => Some(KeyCode::PageDown),
        11..=15 => function(10),
        17..=21 => function(11),
        23..=26 => function(12),
        28 | 29 => function(13),
        31..=34 => function(14),
        _ => None,
    }
}

/// The key of a character code, in the protocol of terminals that distinguish all keys.
fn char_key(code: u32) -> Option<KeyCode> {
    Some(match char::from_u32(code)? {
        '\r' | '\n' => KeyCode::Enter,
        '\t' => KeyCode::Tab,
        '\u{1b}' => KeyCode::Esc,
        '\u{8}' | '\u{7f}' => KeyCode::Backspace,
        c if c.is_control() => return None,
        c => KeyCode::Char(c),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(bytes: &[u8]) -> Vec<Input> {
        let mut parser = Parser::default();
        parser.feed(bytes);
        parser.give_up();
        std::iter::from_fn(|| parser.pop()).collect()
    }

    fn key(code: KeyCode, modifiers: KeyModifiers) -> Input {
        Input::Key(KeyEvent::new(code, modifiers))
    }

    fn plain(code: KeyCode) -> Input {
        key(code, KeyModifiers::NONE)
    }

    #[test]
    fn keys_of_all_usual_terminals() {
        for (bytes, code) in [
            ("\x1b[A", KeyCode::Up),
            ("\x1bOB", KeyCode::Down),
            ("\x1b[H", KeyCode::Home),
            ("\x1b[1~", KeyCode::Home),
            ("\x1b[7~", KeyCode::Home),
            ("\x1bOF", KeyCode::End),
            ("\x1b[3~", KeyCode::Delete),
            ("\x1b[5~", KeyCode::PageUp),
            ("\x1bOP", KeyCode::F(1)),
            ("\x1b[[A", KeyCode::F(1)),
            ("\x1b[15~", KeyCode::F(5)),
            ("\x1b[17~", KeyCode::F(6)),
            ("\x1b[24~", KeyCode::F(12)),
            ("\r", KeyCode::Enter),
            ("\n", KeyCode::Enter),
            ("\t", KeyCode::Tab),
            ("\x7f", KeyCode::Backspace),
            ("\x08", KeyCode::Backspace),
            ("\x1b", KeyCode::Esc),
            ("é", KeyCode::Char('é')),
            ("日", KeyCode::Char('日')),
            ("?", KeyCode::Char('?')),
        ] {
            assert_eq!(parse(bytes.as_bytes()), [plain(code)], "{bytes:?}");
        }
    }

    #[test]
    fn modifiers_are_told() {
        for (bytes, code, modifiers) in [
            ("\x03", KeyCode::Char('c'), KeyModifiers::CONTROL),
            ("\x00", KeyCode::Char(' '), KeyModifiers::CONTROL),
            ("\x1bx", KeyCode::Char('x'), KeyModifiers::ALT),
            ("\x1bé", KeyCode::Char('é'), KeyModifiers::ALT),
            ("A", KeyCode::Char('A'), KeyModifiers::SHIFT),
            ("\x1b[Z", KeyCode::BackTab, KeyModifiers::SHIFT),
            ("\x1b[1;5C", KeyCode::Right, KeyModifiers::CONTROL),
            ("\x1b[3;2~", KeyCode::Delete, KeyModifiers::SHIFT),
            ("\x1b[1;2R", KeyCode::F(3), KeyModifiers::SHIFT),
            ("\x1b[13;3u", KeyCode::Enter, KeyModifiers::ALT),
            ("\x1b[27;5;9~", KeyCode::Tab, KeyModifiers::CONTROL),
            ("\x1b[", KeyCode::Char('['), KeyModifiers::ALT),
        ] {
            assert_eq!(parse(bytes.as_bytes()), [key(code, modifiers)], "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_key_is_no_key() {
        for bytes in [
            &b"\x1b[12;40R"[..],
            b"\x1b[?64;1;2c",
            b"\x1b[<0;10;10M",
            b"\x1b[Mabc",
            b"\x1b[I",
            b"\x1b]11;rgb:0000/0000/0000\x1b\\",
            b"\x1b]11;rgb:0000/0000/0000\x07",
            b"\x1bP1+r\x1b\\",
            b"\x1b[201~",
            b"\x1b[97;1:3u",
            b"\xff\xfe\x80",
            b"\xc2\x9b",
            b"\xe6\x97",
            b"\x1b[99999999999999999999~",
        ] {
            assert_eq!(parse(bytes), [], "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn an_answer_is_heard_when_it_was_asked_for_and_is_never_a_key() {
        for (asked, heard) in [(false, None), (true, Some(Background::Light))] {
            for end in ["\x1b\\", "\x07"] {
                let mut parser = Parser { asked, ..Parser::default() };
                for byte in format!("x\x1b]11;rgb:ffff/ffff/ffff{end}\x1b[?64;1cy").as_bytes() {
                    parser.feed(&[*byte]);
                }
                assert_eq!(parser.background.take(), heard);
                assert!(parser.answered);
                let keys: Vec<Input> = std::iter::from_fn(|| parser.pop()).collect();
                assert_eq!(keys, [plain(KeyCode::Char('x')), plain(KeyCode::Char('y'))]);
            }
        }
    }

    #[test]
    fn what_was_cut_off_swallows_no_key() {
        assert_eq!(parse(b"\xe6\x97x"), [plain(KeyCode::Char('x'))]);
        assert_eq!(parse(b"\x1b[1;\rx"), [plain(KeyCode::Enter), plain(KeyCode::Char('x'))]);
        assert_eq!(parse(b"\x1b[1\x1b[B"), [plain(KeyCode::Down)]);
        assert_eq!(parse(b"\x1bO\x1b[B"), [plain(KeyCode::Down)]);
        assert_eq!(parse(b"\x1b\x1b"), [plain(KeyCode::Esc), plain(KeyCode::Esc)]);
    }

    #[test]
    fn a_paste_is_one_input_with_line_feeds() {
        let paste = |text: &str| Input::Paste(text.to_owned());
        assert_eq!(
            parse(b"\x1b[200~a\rb\r\nc\x1b[A\x1b[20\x1b[201~\x1b[201~x"),
            [paste("a\nb\nc\x1b[A\x1b[20"), plain(KeyCode::Char('x'))]
        );
        assert_eq!(parse(b"\x1b[200~\x1b[201~"), [paste("")]);
    }

    #[test]
    fn a_paste_without_end_is_not_kept_for_ever() {
        let mut parser = Parser::default();
        parser.feed(b"\x1b[200~");
        for _ in 0..40 {
            parser.feed(&vec![b'x'; PASTE / 32]);
        }
        assert!(parser.patience().is_none() && !parser.ready());
        assert!(parser.held.len() <= PASTE);
        parser.feed(PASTE_END);
        assert!(matches!(parser.pop(), Some(Input::Paste(text)) if text.len() == PASTE));
    }

    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            any::<u8>().prop_map(|byte| vec![byte]),
            prop::sample::select(vec![
                "\x1b",
                "\x1b[",
                "\x1bO",
                "\x1b[200~",
                "\x1b[201~",
                "\x1b]",
                "日",
                "1;5A",
                ";",
                "~"
            ])
            .prop_map(|piece| piece.as_bytes().to_vec()),
        ]
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_are_cut(
            pieces in prop::collection::vec(pieces(), 0..40), cut in 1usize..7
        ) {
            let bytes = pieces.concat();
            let mut parser = Parser::default();
            for chunk in bytes.chunks(cut) {
                parser.feed(chunk);
            }
            parser.give_up();
            let cut: Vec<_> = std::iter::from_fn(|| parser.pop()).collect();
            prop_assert_eq!(cut, parse(&bytes));
        }

        #[test]
        fn after_any_rubbish_a_key_is_a_key_again(pieces in prop::collection::vec(pieces(), 0..40)) {
            let mut parser = Parser::default();
            parser.feed(&pieces.concat());
            parser.feed(PASTE_END);
            parser.give_up();
            parser.give_up();
            while parser.pop().is_some() {}
            parser.feed(b"\x1b[B");
            prop_assert_eq!(parser.pop(), Some(plain(KeyCode::Down)));
        }
    }
}
