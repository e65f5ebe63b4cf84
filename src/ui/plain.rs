//! One line an event, without control codes: for pipes, dumb terminals and screen readers.

use crate::engine::event::{Ended, Event, EventKind};
use crate::plan::tally::Tally;
use crate::progress::Progress;
use crate::proof::not_tried;
use crate::ui::run_state::RunState;
use crate::ui::style::Look;
use crate::ui::{Renderer, messages, text};

/// A deadline is printed again this many seconds before it.
const LAST_CALL: u64 = 10;

/// Writes lines.
pub struct Plain {
    look: Look,
    state: RunState,
    write: Box<dyn FnMut(&str)>,
    /// Of the current action: its id, and the last tenth or note that was printed.
    told: (String, Option<u8>, String),
}

impl Plain {
    /// Writes with `write`.
    pub fn new(look: Look, write: impl FnMut(&str) + 'static) -> Self {
        let told = (String::new(), None, String::new());
        Self { look: Look { colour: false, ..look }, state: RunState::default(), write: Box::new(write), told }
    }

    fn line(&mut self, text: &str) {
        let text = self.look.text(text);
        (self.write)(&format!("{text}\n"));
    }

    /// Lines that are already fit to be shown.
    fn lines(&mut self, lines: &[String]) {
        for line in lines {
            (self.write)(&format!("{}\n", line.trim_end()));
        }
    }

    fn step(&mut self, id: &str, text: &str) {
        let place = self.state.place(id);
        self.line(&format!("{place}{id}: {}", text::of_tool(text)));
    }

    /// A percentage is printed once per ten, a note when it changes.
    fn progress(&mut self, id: &str, progress: &Progress) {
        if self.told.0 != id {
            self.told = (id.to_owned(), None, String::new());
        }
        match progress {
            Progress::Percent { percent, .. } => {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=100")]
                let percent = percent.clamp(0.0, 100.0) as u8;
                let tenth = percent / 10;
                if self.told.1.is_none_or(|told| tenth > told) {
                    self.told.1 = Some(tenth);
                    self.step(id, &format!("{percent} %, {}", progress.text()));
                }
            }
            Progress::Note(note) => {
                if self.told.2 != *note {
                    self.told.2.clone_from(note);
                    self.step(id, note);
                }
            }
            // Told once, and again shortly before.
            Progress::Deadline { left, note, .. } => {
                let last_call = self.told.1.is_none() && *left <= LAST_CALL;
                if self.told.2 != *note || last_call {
                    self.told.1 = last_call.then_some(0);
                    self.told.2.clone_from(note);
                    self.step(id, &progress.text());
                }
            }
            Progress::Warning(text) => self.step(id, &format!("warning: {text}")),
            // The log has it.
            Progress::Output(_) => {}
        }
    }
}

impl Renderer for Plain {
    fn event(&mut self, event: &Event) {
        self.state.take_in(event);
        match &event.what {
            EventKind::RunStarted { run, guide, resumed, actions, proofs } => {
                let verb = if *resumed { "resumes" } else { "starts" };
                let tally = Tally { actions: actions.len(), proofs: proofs.len(), ..Tally::default() };
                self.line(&format!("{guide}: run {run} {verb}, {}", tally.total()));
            }
            EventKind::ActionStarted { action } => {
                let describe = self.state.describe_of(action).to_owned();
                self.step(action, &describe);
            }
            EventKind::ActionProgress { action, progress } => self.progress(action, progress),
            EventKind::ActionEnded { action, ended, millis } => {
                let how = match ended {
                    Ended::Changed => "done",
                    Ended::Unchanged => "unchanged",
                    Ended::Failed => "failed",
                };
                let after = messages::duration(*millis);
                let after = if after.is_empty() { after } else { format!(" after {after}") };
                self.step(action, &format!("{how}{after}"));
            }
            EventKind::ProofStarted { proof } => {
                let text = format!("verifying that {}", self.state.describe_of(proof));
                self.step(proof, &text);
            }
            EventKind::ProofEnded { proof, evidence, failure, .. } => match failure {
                None => {
                    let evidence = evidence.as_deref().unwrap_or("yes");
                    let says = if not_tried(evidence).is_some() {
                        evidence.to_owned()
                    } else {
                        format!("verified: {evidence}")
                    };
                    self.step(proof, &says);
                }
                Some(failure) => self.step(proof, &format!("not verified: {}", failure.why)),
            },
            EventKind::Failed { failure, .. } => self.lines(&messages::failure(self.look, failure)),
            EventKind::Waiting(waiting) => self.line(&messages::waiting(waiting)),
            EventKind::Decided { choice } => self.line(messages::decided(*choice)),
            EventKind::Skipped { step, reason } => self.step(step, &format!("skipped: {reason}")),
            EventKind::RollbackStarted { run, records } => {
                self.line(&format!("rolling back: {} of run {run}", messages::changes(*records)));
            }
            EventKind::Undone { action, describe } => {
                self.line(&format!("{action}: undone: {describe}"));
            }
            EventKind::Kept { what, why } => self.line(&messages::kept_sentence(self.look, what, why)),
            EventKind::Dumped { what, file } => self.line(&messages::dumped_sentence(what, file)),
            EventKind::Note { text } => self.line(&format!("note: {text}")),
            EventKind::RunEnded { .. } => self.line(&messages::run_ended(&self.state)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;
    use crate::ui::run_state::recorded::{at, decided, goes_on, gone_wrong, recorded, started};

    fn shown(look: Look, events: &[Event]) -> String {
        let text = Rc::new(RefCell::new(String::new()));
        let sink = Rc::clone(&text);
        let mut plain = Plain::new(look, move |line| sink.borrow_mut().push_str(line));
        for event in events {
            plain.event(event);
        }
        drop(plain);
        text.take()
    }

    #[test]
    fn a_run_reads_line_by_line() {
        insta::assert_snapshot!(shown(Look::PLAIN, &recorded()), @r"
        Your own web application: run 20261121-093015-webapp starts, 3 actions, 2 proofs
        [1/3] packages: install nginx, postgresql, gunicorn and 9 more
        [1/3] packages: 12 %, fetching 12.4 of 38.2 MB
        [1/3] packages: 61 %, unpacking postgresql-15
        [1/3] packages: done after 23.1 s
        [2/3] application.user: create the system user webapp
        [2/3] application.user: unchanged
        [3/3] database.role: create the role and the database webapp in PostgreSQL
        [3/3] database.role: done after 0.3 s
        [proof 1/2] tls.page: verifying that the page answers over TLS
        [proof 1/2] tls.page: verified: 200, 1,204 bytes, TLSv1.3, certificate valid for app.example.org until 2027-11-21
        [proof 2/2] database.row: verifying that a row can be written and read back
        [proof 2/2] database.row: verified: written and read in PostgreSQL 15.8
        run ended, 2 changes in place
        ");
    }

    #[test]
    fn a_failure_comes_before_what_is_undone() {
        insta::assert_snapshot!(shown(Look { width: 40, ..Look::PLAIN }, &gone_wrong()), @r"
        Your own web application: run 20261121-093015-webapp starts, 3 actions, 2 proofs
        [1/3] packages: install nginx, postgresql, gunicorn and 9 more
        [1/3] packages: done after 23.1 s
        [2/3] application.user: create the system user webapp
        [2/3] application.user: done after 0.1 s
        [3/3] database.role: create the role and the database webapp in PostgreSQL
        [3/3] database.role: failed after 2 min 10 s
          x could not create the role and the
            database webapp:
            psql ended with status 2: connection
            to server on socket failed

            | psql: error: connection to serv...
            |  Is the server running locally...

            Log:
            /var/lib/bringup/runs/20261121-093015-webapp/log/database.role.log
            What to do: systemctl status
            postgresql says why the engine does
            not run
        rolling back: 3 changes of run 20261121-093015-webapp
        saved: the database webapp is in /var/lib/bringup/runs/20261121-093015-webapp/dumps/webapp.sql
        database.role: undone: dropped the database webapp
        database.role: undone: dropped the role webapp
        kept: /etc/nginx/nginx.conf - it was changed since the run
        application.user: undone: removed the user webapp
        [1/3] packages: 50 %, removing nginx
        packages: undone: purged 12 packages
        rollback ended
        ");
    }

    #[test]
    fn a_decision_reads_line_by_line() {
        let lines = shown(Look::PLAIN, &decided());
        let from = lines.find("waiting").unwrap_or_default();
        insta::assert_snapshot!(lines[from..], @r"
        waiting for a decision about database.role; 3 changes in place
        decided: roll back the stage
        rolling back: 1 change of run 20261121-093015-webapp
        database.role: undone: dropped the database webapp
        database.role: undone: dropped the role webapp
        waiting for a decision about database.role; 3 changes in place
        decided: retry
        [3/3] database.role: create the role and the database webapp in PostgreSQL
        [3/3] database.role: failed after 2 min 10 s
          x could not create the role and the database webapp:
            psql ended with status 2: connection to server on socket failed

            | psql: error: connection to server on socket
            |  Is the server running locally and accepting connections on that socket?

            Log: /var/lib/bringup/runs/20261121-093015-webapp/log/database.role.log
            What to do: systemctl status postgresql says why the engine does not run
        waiting for a decision about database.role; 3 changes in place
        decided: skip the step
        [3/3] database.role: skipped: the role can be made by hand later
        [proof 1/2] tls.page: verifying that the page answers over TLS
        [proof 1/2] tls.page: verified: 200, 1,204 bytes, TLSv1.3, certificate valid for app.example.org until 2027-11-21
        [proof 2/2] database.row: verifying that a row can be written and read back
        [proof 2/2] database.row: verified: written and read in PostgreSQL 15.8
        run ended, 2 changes in place
        ");
    }

    #[test]
    fn no_control_code_and_in_ascii_no_other_sign_comes_out() {
        for look in [Look::PLAIN, Look { unicode: true, colour: true, ..Look::PLAIN }] {
            for events in [recorded(), gone_wrong(), decided()] {
                let text = shown(look, &events);
                assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
                assert!(look.unicode || text.is_ascii(), "{text}");
            }
        }
    }

    #[test]
    fn a_percentage_is_told_once_per_ten() {
        let mut events = vec![at(started())];
        events.extend((0u16..=1000).map(|n| at(goes_on("packages", f32::from(n) / 10.0, "unpacking"))));
        assert_eq!(shown(Look::PLAIN, &events).lines().count(), 1 + 11);
    }

    #[test]
    fn a_deadline_is_told_at_once_and_shortly_before() {
        let progress = |left| {
            let note = "log in by SSH once more (port 22) to keep the firewall".to_owned();
            let at = crate::host::Stamp { sec: 1_795_253_475, nsec: 0 };
            EventKind::ActionProgress { action: "packages".to_owned(), progress: Progress::Deadline { at, left, note } }
        };
        // A second may be skipped on a busy server.
        let lefts = (0..=60).rev().filter(|left| *left != LAST_CALL);
        let events: Vec<Event> = [started()].into_iter().chain(lefts.map(progress)).map(at).collect();
        insta::assert_snapshot!(shown(Look::PLAIN, &events), @r"
        Your own web application: run 20261121-093015-webapp starts, 3 actions, 2 proofs
        [1/3] packages: 60 s left: log in by SSH once more (port 22) to keep the firewall
        [1/3] packages: 9 s left: log in by SSH once more (port 22) to keep the firewall
        ");
    }
}
