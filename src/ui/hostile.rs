//! Every renderer over events whose every text is hostile: what reaches a terminal is text and our own sequences.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use indicatif::{ProgressDrawTarget, TermLike};
use proptest::prelude::*;
use serde_json::Value;

use crate::engine::decision::Waiting;
use crate::engine::event;
use crate::engine::event::Event;
use crate::engine::runs::RunDir;
use crate::error::{Exit, Failure};
use crate::host::fake::FakeHost;
use crate::preflight::{Check, CheckStatus};
use crate::ui::estimate::Expected;
use crate::ui::json::Json;
use crate::ui::plain::Plain;
use crate::ui::progress::Bars;
use crate::ui::run_state::RunState;
use crate::ui::run_state::recorded::{decided, gone_wrong, recorded, waiting};
use crate::ui::{Look, Renderer, ask, messages, preflight, report};
use crate::visible::{HOSTILE, is_harmless, json, line, styled};

const LOOKS: [Look; 3] = [
    Look { width: 80, unicode: true, colour: false },
    Look { width: 40, unicode: false, colour: false },
    Look { width: 80, unicode: true, colour: true },
];

/// The event with `hostile` in every text that may be any.
fn poisoned<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T, hostile: &str) -> T {
    let mut whole = serde_json::to_value(value).unwrap();
    let mut paths = Vec::new();
    texts(&whole, &mut String::new(), &mut paths);
    for path in paths {
        let leaf = whole.pointer_mut(&path).unwrap();
        let before = leaf.clone();
        *leaf = Value::String(format!("{}{hostile}", before.as_str().unwrap()));
        if serde_json::from_value::<T>(whole.clone()).is_err() {
            // A word of ours.
            *whole.pointer_mut(&path).unwrap() = before;
        }
    }
    serde_json::from_value(whole).unwrap()
}

fn texts(value: &Value, at: &mut String, found: &mut Vec<String>) {
    let here = at.len();
    match value {
        Value::String(_) => found.push(at.clone()),
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                let _ = write!(at, "/{n}");
                texts(item, at, found);
                at.truncate(here);
            }
        }
        Value::Object(fields) => {
            for (key, item) in fields {
                let _ = write!(at, "/{key}");
                texts(item, at, found);
                at.truncate(here);
            }
        }
        _ => {}
    }
}

/// Before the door nothing is hidden but our own styles, and behind it nothing but their sequences.
fn assert_harmless(text: &str, colour: bool) {
    let mut before = text.to_owned();
    if colour {
        before.retain(|c| !('\u{e0f00}'..='\u{e0f7f}').contains(&c));
    }
    assert!(is_harmless(&before), "a page lets it through: {before:?}");
    let mut behind = styled(text);
    for own in ["31", "32", "2", "1", "0"] {
        behind = behind.replace(&format!("\u{1b}[{own}m"), "");
    }
    assert!(is_harmless(&behind), "{behind:?}");
}

/// What is drawn, without the moves of the cursor.
#[derive(Clone, Debug, Default)]
struct Drawn(Arc<Mutex<String>>);

impl TermLike for Drawn {
    fn width(&self) -> u16 {
        80
    }
    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(&format!("{text}\n"))
    }
    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.lock().unwrap().push_str(text);
        Ok(())
    }
    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

fn try_every_renderer(hostile: &str) {
    let events = || recorded().into_iter().chain(gone_wrong()).chain(decided());
    let events: Vec<Event> = events().map(|event| poisoned(&event, hostile)).collect();
    for look in LOOKS {
        let written = Rc::new(RefCell::new(String::new()));
        let sink = Rc::clone(&written);
        let mut plain = Plain::new(look, move |text| sink.borrow_mut().push_str(text));
        let drawn = Drawn::default();
        let target = ProgressDrawTarget::term_like(Box::new(drawn.clone()));
        let mut bars = Bars::on(target, look, move || look.width, Expected::default(), None);
        for event in &events {
            plain.event(event);
            bars.event(event);
        }
        drop(bars);
        assert_harmless(&written.borrow(), false);
        assert_harmless(&drawn.0.lock().unwrap(), look.colour);
        pages(look, &events, hostile);
    }
    let written = Rc::new(RefCell::new(String::new()));
    let sink = Rc::clone(&written);
    let mut lines = Json::new(move |text| sink.borrow_mut().push_str(text));
    for event in &events {
        lines.event(event);
    }
    let text = json(&written.borrow());
    assert!(is_harmless(&text), "{text:?}");
    let back: Vec<Event> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(back, events);
}

fn pages(look: Look, events: &[Event], hostile: &str) {
    let host = FakeHost::new();
    let dir = RunDir::of("20260101-000000-webapp");
    let log: String = events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect();
    host.put_file("/events.jsonl", &log, 0o600);
    let state = RunState::of(&event::read(&host, Path::new("/events.jsonl")));
    let failure = Failure::new(hostile, hostile).hint(hostile).tail(vec![hostile.to_owned()]);
    let failure = Failure { log: Some(hostile.to_owned()), ..failure };
    let question: Waiting = poisoned(&waiting(3), hostile);
    let check = Check {
        id: "memory",
        title: "Memory",
        state: CheckStatus::Problem,
        found: hostile.into(),
        fix: hostile.into(),
    };
    for text in [
        report::finished(look, &dir, &state, None, Some(hostile)),
        report::rolled_back(look, &dir, &state),
        report::failed(look, &dir, &state, Exit::Incomplete),
        report::data_at_risk(&[hostile.to_owned()]),
        ask::how_to(look, &question),
        line(&ask::standing(&question)),
        preflight::page(look, &[check]),
        messages::failure(look, &failure).join("\n"),
        messages::kept(look, hostile, hostile).join("\n"),
        messages::dumped(look, hostile, hostile).join("\n"),
        messages::step(look, "+", (hostile, 20), hostile, ""),
    ] {
        assert_harmless(&text, look.colour);
    }
}

#[test]
fn no_renderer_lets_anything_hostile_through() {
    for hostile in HOSTILE {
        try_every_renderer(hostile);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn nor_anything_else(text in any::<String>(), at in 0usize..12) {
        try_every_renderer(&format!("{text}{}", HOSTILE[at]));
    }
}
