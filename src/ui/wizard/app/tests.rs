#![allow(clippy::unwrap_used)]

use crossterm::event::{KeyCode, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::guide::load;
use crate::host::fake::FakeHost;
use crate::preflight;
use crate::ui::style::Look;
use crate::ui::wizard::page::Transition;

mod answering;
mod bytes;
mod captures;
mod home;
mod random;
mod review;
mod reviewing;
mod run;
mod stage;
mod svg;

/// A wizard on a machine that is not there, with its commands done at once.
fn wizard(size: (u16, u16)) -> App {
    let look = Look { width: usize::from(size.0), unicode: true, colour: false };
    let mut app = App::new(Model::new(look, true, load::list()), size);
    settle(&mut app);
    app
}

fn settle(app: &mut App) {
    settle_on(app, &FakeHost::new());
}

/// The commands are done at once, on this machine; how the last word of the wizard was, if it came.
fn settle_on(app: &mut App, host: &FakeHost) -> Leave {
    loop {
        let cmds = app.cmds();
        if cmds.is_empty() {
            return Leave::No;
        }
        let told = std::sync::Mutex::new(Vec::new());
        for cmd in cmds {
            cmd.work(host, &|message| told.lock().unwrap().push(message));
        }
        let mut told = told.into_inner().unwrap();
        // The checks are made side by side: here they come in the order of their list.
        told.sort_by_key(|message| match message {
            Msg::Check(check) => preflight::checks().position(|(id, _)| id == check.id).map_or(0, |at| at + 1),
            _ => 0,
        });
        for message in told {
            let leave = app.tell(message);
            if leave != Leave::No {
                return leave;
            }
        }
    }
}

fn screen(app: &App) -> String {
    let mut terminal = Terminal::new(TestBackend::new(app.size.0, app.size.1)).unwrap();
    terminal.draw(|frame| app.draw(frame)).unwrap();
    terminal.backend().to_string()
}

fn press(app: &mut App, keys: &str) {
    press_on(app, &FakeHost::new(), keys);
}

fn press_on(app: &mut App, host: &FakeHost, keys: &str) -> Leave {
    for key in keys.split_whitespace() {
        let code = match key {
            "Enter" => KeyCode::Enter,
            "Esc" => KeyCode::Esc,
            "Tab" => KeyCode::Tab,
            "Home" => KeyCode::Home,
            "End" => KeyCode::End,
            "Backspace" => KeyCode::Backspace,
            "PageDown" => KeyCode::PageDown,
            "Down" => KeyCode::Down,
            "Up" => KeyCode::Up,
            "Space" => KeyCode::Char(' '),
            "^C" => KeyCode::Char('c'),
            "F1" => KeyCode::F(1),
            "F2" => KeyCode::F(2),
            other => KeyCode::Char(other.chars().next().unwrap()),
        };
        let modifiers = if key == "^C" { KeyModifiers::CONTROL } else { KeyModifiers::NONE };
        let mut leave = app.key(KeyEvent::new(code, modifiers));
        if leave == Leave::No {
            leave = settle_on(app, host);
        }
        if leave != Leave::No {
            return leave;
        }
    }
    Leave::No
}

#[test]
fn enter_leads_through_all_pages() {
    let mut app = wizard((80, 24));
    press(&mut app, "Enter Enter");
    assert_eq!(app.route, Route::Stage("application".to_owned()));
    press(&mut app, "s h o p Enter");
    assert_eq!(app.model.interview.as_ref().unwrap().text("application.name"), "shop");
    press(&mut app, "F1");
}
