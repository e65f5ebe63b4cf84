//! The wizard on this terminal, and the messages after its screen was closed.

use crate::cli::plan_inputs::{self, Opening};
use crate::cli::{Inputs, answers, runs};
use crate::engine::runs::RunDir;
use crate::error::Exit;
use crate::facts::probe::{applications, probe};
use crate::guide::{Guide, load};
use crate::host::Host;
use crate::host::real::RealHost;
use crate::ui::terminal::{self, Terminal};
use crate::ui::wizard::{App, Model, event_loop};
use crate::ui::{Look, stdio, tty_caps};

/// Opens the wizard; none where the terminal cannot show it. With a guide (and answers) on the command line it begins
/// at the guide's first question.
pub(super) fn ask(host: &dyn Host, given: &Inputs) -> Option<Exit> {
    if !terminal::suits(host) {
        return None;
    }
    let opening = match plan_inputs::named_guide(host, given).and_then(|guide| opening(host, given, guide)) {
        Ok(opening) => opening,
        Err(problems) => return Some(answers::refuse(&problems, super::Output::default())),
    };
    show(host, |look, size| {
        let model = model(host, look);
        match opening {
            Some(opening) => App::asked(model, opening.interview, &opening.refused, size),
            // A small world-readable file: the first frame waits for nothing else.
            None => App::new(model.with_applications(applications(host)), size),
        }
    })
}

/// Shows a run that works, or waits for someone; none where the terminal cannot.
pub(super) fn attach(host: &dyn Host, run: &str) -> Option<Exit> {
    if !terminal::suits(host) {
        return None;
    }
    show(host, |look, size| App::attached(model(host, look), run, size))
}

fn opening(
    host: &dyn Host,
    given: &Inputs,
    guide: Option<Guide>,
) -> Result<Option<Opening>, Vec<crate::error::Problem>> {
    guide.map(|guide| plan_inputs::opening(host, given, guide, probe(host))).transpose()
}

fn model(host: &dyn Host, look: Look) -> Model {
    Model::new(look, host.euid() == 0, load::list())
}

fn show(host: &dyn Host, make: impl FnOnce(Look, (u16, u16)) -> App) -> Option<Exit> {
    let look = tty_caps::look(host);
    let mut terminal = Terminal::open(look).ok()?;
    let asked = if tty_caps::tells_background(host) { terminal.ask_background() } else { Ok(None) };
    let mut app = make(look, terminal.size());
    // A terminal that cannot be asked for its size cannot be drawn on either: the first frame reports it.
    if let Ok(Some(background)) = asked {
        app.on(background);
    }
    let left = event_loop(&mut app, terminal, || Box::new(RealHost::new()));
    stdio::print(app.last_words());
    let exit = match left {
        Ok(exit) => exit,
        Err(error) => {
            stdio::error(&format!("bringup: the terminal: {error}\n"));
            Exit::HungUp
        }
    };
    // The screen is closed: what matters of a run is printed again, to stay.
    if let Some((run, ended)) = app.run() {
        runs::said(host, &RunDir::of(run), ended);
    }
    Some(exit)
}
