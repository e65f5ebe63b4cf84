#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;

use super::*;
use crate::answers::Given;
use crate::facts::probe::probe;
use crate::guide::load;
use crate::host::fake::FakeHost;
use crate::ui::look::Look;

/// Answers from a list, then nobody; keeps everything that stood on the screen.
struct Script {
    lines: VecDeque<String>,
    screen: String,
}

impl Script {
    fn of(lines: &[&str]) -> Self {
        Self { lines: lines.iter().map(|line| (*line).to_owned()).collect(), screen: String::new() }
    }

    fn next(&mut self, shown: bool) -> Result<String, Gone> {
        let line = self.lines.pop_front().ok_or(Gone::Ended)?;
        let shown = if shown { line.as_str() } else { "" };
        self.screen.push_str(&format!("{} {shown}\n", talk::PROMPT));
        Ok(line)
    }
}

impl Talk for Script {
    fn tell(&mut self, text: &str) {
        self.screen.push_str(text);
    }

    fn line(&mut self, _begun: &str) -> Result<String, Gone> {
        self.next(true)
    }

    fn secret(&mut self) -> Result<String, Gone> {
        self.next(false)
    }
}

/// The whole of line mode on this host, as `bringup` goes through it.
fn talked(host: &FakeHost, width: usize, lines: &[&str]) -> (Result<Decision, Exit>, String) {
    let mut script = Script::of(lines);
    let facts = probe(host);
    let mut voice = Voice::new(&mut script, Look { width, ..Look::PLAIN }, 24);
    welcome(&mut voice, &facts);
    let ended = choose_guide(&mut voice, &facts).and_then(|guide| {
        let interview = Interview::new(load::load(&guide).unwrap(), facts, Given::default());
        let means = Means { start: host.euid() == 0, save: None };
        Dialogue::new(host, &mut voice, interview, means).run()
    });
    (ended, script.screen)
}

#[test]
fn look_at_it() {
    let host = FakeHost::debian("bookworm");
    let lines = [
        "",
        "shop",
        "",
        "?",
        "70000",
        "8080",
        "",
        "<",
        "2",
        "",
        "2",
        "",
        "hunter2hunter2",
        "3",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "3",
        "",
        "<",
        "2",
        "6",
        "",
        "1",
    ];
    let (ended, screen) = talked(&host, std::env::var("W").unwrap().parse().unwrap(), &lines);
    println!("{screen}\n{:?}", ended.is_ok());
}
