//! The wizard on a terminal: keys to the [`App`], its frames to the screen, its commands to threads of their own.

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::error::Exit;
use crate::host::{Command, Host};
use crate::ui::stdio;
use crate::ui::terminal::{Input, Signal, Terminal};
use crate::ui::wizard::{App, Leave, Msg};

/// Opens a host handle for a command: each has its own.
pub type MakeHost = fn() -> Box<dyn Host>;

/// Runs the wizard until it is left. The terminal is restored when this returns; commands that still wait for the host
/// then are abandoned and end with the program.
pub fn event_loop(app: &mut App, mut terminal: Terminal, host: MakeHost) -> io::Result<Exit> {
    let (tell, told) = mpsc::channel::<Msg>();
    loop {
        // The first frame is drawn before the server is probed.
        if !terminal.pending() {
            terminal.draw(|frame| app.draw(frame))?;
        }
        for cmd in app.cmds() {
            let (tell, waker) = (tell.clone(), terminal.waker());
            thread::Builder::new().name("job".to_owned()).spawn(move || {
                cmd.work(&*host(), &|message| {
                    // Nobody listens any more when the wizard was left.
                    let _ = tell.send(message);
                    waker.wake();
                });
            })?;
        }
        let leave = match terminal.next(app.pause())? {
            Input::Key(key) => app.key(key),
            Input::Paste(text) => {
                app.paste(&text);
                Leave::No
            }
            Input::Resize(width, height) => {
                app.resize(width, height);
                Leave::No
            }
            Input::Background(background) => {
                app.on(background);
                Leave::No
            }
            Input::Woken => {
                let mut leave = Leave::No;
                while leave == Leave::No
                    && let Ok(message) = told.try_recv()
                {
                    leave = app.tell(message);
                }
                leave
            }
            Input::Continued => Leave::No,
            Input::Timeout => app.paused(host().now()),
            Input::End(signal) => Leave::Yes(match signal {
                Signal::Interrupt => Exit::Interrupted,
                Signal::Terminate => Exit::Terminated,
                Signal::HangUp => Exit::HungUp,
            }),
        };
        if let Leave::Shell(note) = &leave {
            terminal.leave();
            shell(&*host(), note);
            terminal.enter()?;
        }
        if let Leave::Yes(exit) = leave {
            return Ok(exit);
        }
    }
}

/// The administrator's own shell, until it ends.
fn shell(host: &dyn Host, note: &str) {
    stdio::error(&format!("\n{note}\n"));
    let program = host.env("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".to_owned());
    // Debian's bash puts the first before its prompt; other shells show the second as theirs.
    let command = Command::new([program.as_str()]).env("debian_chroot", "bringup").env("PS1", "(bringup) # ");
    if let Err(error) = host.hand_over(&command) {
        // Long enough to be read before the screen is ours again.
        stdio::error(&format!("{program}: {error}\n"));
        host.sleep(Duration::from_secs(2));
    }
}
