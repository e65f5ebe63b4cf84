//! The wizard on a terminal: keys to the [`App`], its frames to the screen, its jobs to threads of their own.

use std::io;
use std::sync::mpsc;
use std::thread;

use crate::error::Exit;
use crate::host::Host;
use crate::ui::out;
use crate::ui::terminal::{Input, Signal, Terminal};
use crate::ui::wizard::{App, Leave, Message};

/// Makes the door to the machine for a job: each has one of its own.
pub type MakeHost = fn() -> Box<dyn Host>;

/// Runs the wizard until it is left. The terminal is given back when this returns; jobs that still wait for the
/// host then are of no use to anyone and end with the program.
pub fn drive(mut app: App, mut terminal: Terminal, host: MakeHost) -> io::Result<Exit> {
    let (tell, told) = mpsc::channel::<Message>();
    let mut stale = true;
    loop {
        // The first frame comes before the first look at the machine.
        if stale && !terminal.pending() {
            terminal.draw(|frame| app.draw(frame))?;
            stale = false;
        }
        for job in app.jobs() {
            let (tell, waker) = (tell.clone(), terminal.waker());
            thread::Builder::new().name("job".to_owned()).spawn(move || {
                job.work(&*host(), &|message| {
                    // Nobody listens any more when the wizard was left.
                    let _ = tell.send(message);
                    waker.wake();
                });
            })?;
        }
        let leave = match terminal.next(None)? {
            Input::Key(key) => app.key(key),
            Input::Paste(text) => {
                app.paste(&text);
                Leave::No
            }
            Input::Resize(width, height) => {
                app.resize(width, height);
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
            Input::Timeout => continue,
            Input::End(signal) => Leave::Yes(match signal {
                Signal::Interrupt => Exit::Interrupted,
                Signal::Terminate => Exit::Terminated,
                Signal::HangUp => Exit::HungUp,
            }),
        };
        if let Leave::Yes(exit) = leave {
            drop(terminal);
            out::print(app.last_words());
            return Ok(exit);
        }
        stale = true;
    }
}
