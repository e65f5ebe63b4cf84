//! `bringup` on a terminal: the wizard, or line mode where the terminal shows lines only.

use crate::error::Exit;
use crate::guide::load;
use crate::host::Host;
use crate::host::real::RealHost;
use crate::ui::terminal::{self, Terminal};
use crate::ui::wizard::{App, Desk, drive};
use crate::ui::{out, term};

/// Opens the wizard; none where the terminal cannot show it.
pub(super) fn open(host: &dyn Host) -> Option<Exit> {
    if !terminal::suits(host) {
        return None;
    }
    let look = term::look(host);
    let terminal = Terminal::open(look).ok()?;
    let app = App::new(Desk::new(look, host.euid() == 0, load::heads()), terminal.size());
    Some(drive(app, terminal, || Box::new(RealHost::new())).unwrap_or_else(|error| {
        out::error(&format!("bringup: the terminal: {error}\n"));
        Exit::HungUp
    }))
}
