//! The program under test: a list and a text field on the real [`Terminal`], as the wizard has them.

use std::process::{Command, ExitCode};
use std::time::Duration;

use bringup::ui::Look;
use bringup::ui::terminal::{self, Input, Signal, Terminal};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Position;
use ratatui::style::{Color, Modifier, Style};
use unicode_width::UnicodeWidthStr;

pub const PRODUCTS: [(&str, &str); 8] = [
    ("Your own web application", "database, job queue, workers, web server and TLS"),
    ("WebLab-Deusto", "remote laboratories, scheduled and shared"),
    ("Flectra", "business software: sales, stock, accounts"),
    ("Saltant", "tasks on many machines, one place to look at them"),
    ("Exosphere", "clouds of OpenStack for people who do research"),
    ("Ravada", "virtual desktops in the browser"),
    ("Mailbox", "mail for one domain, with a web interface"),
    ("Something else", "a guide of your own"),
];

/// Lines that scroll: the log of a run.
const LOG: u16 = 5;

struct Demo {
    selected: usize,
    field: String,
    pasted: usize,
    size: (u16, u16),
    note: String,
    log: usize,
}

pub fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|defect| {
        terminal::restore();
        eprintln!("defect: {defect}");
        std::process::exit(5);
    }));
    let look = Look { width: 80, unicode: true, colour: true };
    let mut terminal = match Terminal::open(look) {
        Ok(terminal) => terminal,
        Err(error) => {
            println!("no full screen: {error}");
            return ExitCode::from(2);
        }
    };
    let status = run(&mut terminal);
    drop(terminal);
    // A program that was asked to end says nothing: the line may take nothing more.
    if status == 0 {
        println!("the demo says good-bye");
    }
    ExitCode::from(status)
}

fn run(terminal: &mut Terminal) -> u8 {
    let size = terminal.size();
    let mut demo = Demo { selected: 0, field: String::new(), pasted: 0, size, note: String::new(), log: 0 };
    loop {
        if terminal.draw(|frame| demo.draw(frame)).is_err() {
            return 1;
        }
        loop {
            let Ok(input) = terminal.next(None) else {
                return 1;
            };
            match input {
                Input::End(Signal::Interrupt) => return 130,
                Input::End(Signal::Terminate) => return 143,
                Input::End(Signal::HangUp) => return 129,
                Input::Key(key) => {
                    if let Some(status) = demo.key(key, terminal) {
                        return status;
                    }
                }
                Input::Paste(text) => {
                    demo.pasted += text.len();
                    demo.note = format!("{} lines", text.lines().count());
                }
                Input::Resize(columns, rows) => demo.size = (columns, rows),
                Input::Background(_) => {}
                Input::Woken => demo.note = "woken".into(),
                Input::Timeout => demo.note = "timeout".into(),
                Input::Continued => demo.note = "continued".into(),
            }
            if !terminal.pending() {
                break;
            }
        }
    }
}

impl Demo {
    fn key(&mut self, key: KeyEvent, terminal: &mut Terminal) -> Option<u8> {
        match (key.code, key.modifiers) {
            (KeyCode::Char('c'), KeyModifiers::CONTROL) => return Some(0),
            (KeyCode::Down, _) => self.selected = (self.selected + 1) % PRODUCTS.len(),
            (KeyCode::Up, _) => self.selected = (self.selected + PRODUCTS.len() - 1) % PRODUCTS.len(),
            (KeyCode::Backspace, _) => _ = self.field.pop(),
            (KeyCode::Esc, _) => self.note = "escape".into(),
            (KeyCode::PageDown, _) => self.log += 1,
            (KeyCode::F(2), _) => panic!("as asked for"),
            (KeyCode::F(3), _) => {
                terminal.leave();
                let status = Command::new("sh").arg("-c").arg("echo in the shell; read answer; exit $answer").status();
                self.note = format!("shell: {:?}", status.ok().and_then(|status| status.code()));
                if terminal.enter().is_err() {
                    return Some(1);
                }
            }
            (KeyCode::F(4), _) => {
                let waker = terminal.waker();
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(50));
                    waker.wake();
                });
            }
            (KeyCode::F(5), _) => {
                if let Ok(input) = terminal.next(Some(Duration::from_millis(50))) {
                    self.note = format!("{input:?}");
                }
            }
            (KeyCode::Char(c), KeyModifiers::NONE | KeyModifiers::SHIFT) => self.field.push(c),
            (code, modifiers) => self.note = format!("{modifiers:?} {code:?}"),
        }
        None
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        let area = frame.area();
        let buffer = frame.buffer_mut();
        let quiet = Style::new().fg(Color::DarkGray);
        put(buffer, 1, 0, "bringup", Style::new().add_modifier(Modifier::BOLD));
        put(buffer, 60, 0, &format!("{}x{}", self.size.0, self.size.1), quiet);
        for (y, (name, summary)) in (2..).zip(PRODUCTS) {
            let selected = usize::from(y - 2) == self.selected;
            let style = if selected { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
            put(buffer, 1, y, if selected { "▸" } else { " " }, style);
            put(buffer, 3, y, name, style);
            put(buffer, 29, y, summary, quiet);
        }
        put(buffer, 1, 12, "Name", Style::new());
        let room = usize::from(area.width.saturating_sub(9)).max(1);
        let shown = tail(&self.field, room);
        put(buffer, 7, 12, shown, Style::new().fg(Color::Cyan));
        put(buffer, 7, 13, "1 to 63 letters, digits and hyphens", quiet);
        if self.pasted > 0 {
            put(buffer, 1, 14, &format!("pasted {} bytes", self.pasted), Style::new());
        }
        put(buffer, 30, 14, &self.note, Style::new());
        for line in 0..LOG {
            let number = self.log + usize::from(line);
            put(buffer, 1, 16 + line, &format!("{number:>6} Setting up package number {number} (1.{number}-1)"), quiet);
        }
        put(buffer, 1, 22, &"─".repeat(usize::from(area.width.saturating_sub(2))), quiet);
        put(buffer, 1, 23, "↑↓ choose  Ctrl-C leave  F3 shell", Style::new());
        let column = 7 + u16::try_from(shown.width()).unwrap_or(0);
        if column < area.width && 12 < area.height {
            frame.set_cursor_position(Position { x: column, y: 12 });
        }
    }
}

/// Writes what fits.
fn put(buffer: &mut Buffer, x: u16, y: u16, text: &str, style: Style) {
    if x < buffer.area.width && y < buffer.area.height {
        buffer.set_string(x, y, text, style);
    }
}

/// The end of `text` that fits into `columns`.
fn tail(text: &str, columns: usize) -> &str {
    let start = text.char_indices().map(|(at, _)| at).find(|at| text[*at..].width() <= columns);
    start.map_or("", |at| &text[at..])
}
