//! The last page: what is where, which proofs passed, and what to do next. Each fits 80x24.

use std::collections::BTreeSet;

use crate::engine::runs::RunDir;
use crate::engine::secret_store;
use crate::engine::{event, health};
use crate::error::{Exit, Outcome};
use crate::host::Host;
use crate::plan::Plan;
use crate::plan::tally::Tally;
use crate::ui::outputs::Outputs;
use crate::ui::run_state::RunState;
use crate::ui::style::{Look, MARK, Paint};
use crate::ui::{messages, stdio, text, tty_caps};

/// Lines that a page may have: 24, less one for the prompt that follows.
const PAGE: usize = 23;
/// Of what may be many, so many are shown.
const SOME: usize = 3;
/// The column where values begin.
const LABEL: usize = 14;

/// Prints the page for the way a run (or its rollback) has ended.
pub fn after(host: &dyn Host, dir: &RunDir, exit: Exit) {
    let look = tty_caps::look(host);
    let state = RunState::of(&event::read(host, &dir.events(host)));
    let text = match exit {
        Exit::Done if state.is_rollback() => rolled_back(look, dir, &state),
        Exit::Done => {
            let plan = dir.plan(host).ok().map(|plan| Plan { outputs: health::outputs(host, &plan), ..plan });
            let secrets = plan.as_ref().and_then(|plan| kept_secrets(host, plan));
            finished(look, dir, &state, plan.as_ref(), secrets.as_deref())
        }
        _ => failed(look, dir, &state, exit),
    };
    stdio::print(&text);
}

/// The file that holds the secrets of this plan's application; none where it has no secret.
fn kept_secrets(host: &dyn Host, plan: &Plan) -> Option<String> {
    let of = plan.application();
    let any = secret_store::load(host, &of).iter().next().is_some();
    any.then(|| secret_store::in_use(host, &of).display().to_string())
}

/// Everything is done and proven.
pub fn finished(look: Look, dir: &RunDir, state: &RunState, plan: Option<&Plan>, secrets: Option<&str>) -> String {
    let mut page = Page::new(
        look,
        &format!("{} is in production.", if state.title.is_empty() { "Everything" } else { &state.title }),
    );
    page.prose(&messages::came_to(state));
    for warning in state.warnings.iter().take(SOME) {
        page.blank();
        page.lines.extend(messages::hanging(look, MARK, warning));
    }
    for step in state.skipped().take(SOME) {
        let why = step.evidence.as_deref().unwrap_or_default();
        page.lines.extend(messages::hanging(look, MARK, &format!("skipped: {}: {why}", step.describe)));
    }
    for step in state.untried().take(SOME) {
        let why = step.not_tried().unwrap_or_default();
        page.lines.extend(messages::hanging(look, MARK, &format!("not tried: {}: {why}", step.describe)));
    }
    page.blank();
    let outputs = plan.map(Outputs::of).unwrap_or_default();
    for line in outputs.needed {
        page.field(&line.label, &line.value);
    }
    if let Some(file) = secrets {
        page.field("Passwords", &format!("{file} (for root only)"));
    }
    page.field("Roll back", "bringup rollback");
    page.field("Verify again", "bringup verify");
    // The rest is whole or not here: `bringup status` shows it at any time.
    let mut details = Page { look, lines: vec![String::new()] };
    for line in &outputs.others {
        details.field(&line.label, &line.value);
    }
    details.field("Answers", &dir.file("answers.yaml").display().to_string());
    details.field("Run's log", &dir.file("log").display().to_string());
    if page.lines.len() + details.lines.len() <= PAGE {
        page.lines.extend(details.lines);
    } else {
        page.field("Details", "bringup status");
    }
    page.end()
}

/// A run, or a part of it, was rolled back on request.
pub fn rolled_back(look: Look, dir: &RunDir, state: &RunState) -> String {
    let mut page = Page::new(look, &messages::rolled_back(state.records));
    page.left(dir, state);
    page.blank();
    page.field("Log", &dir.file("log").display().to_string());
    page.field("In place", "bringup status");
    page.end()
}

/// Something failed, or the run was aborted: the first error first, then the state of the host, then what to do.
pub fn failed(look: Look, dir: &RunDir, state: &RunState, exit: Exit) -> String {
    let mut below = Page::new(look, messages::outcome(state, exit));
    below.others(dir, state);
    below.left(dir, state);
    below.blank();
    for (label, value) in messages::commands_after(state, exit) {
        below.field(label, value);
    }
    below.field("Journal", &dir.file("journal.jsonl").display().to_string());

    let mut page = Page { look, lines: vec![String::new()] };
    if let Some((_, failure, _)) = state.failure() {
        let failure = failure.clone();
        let failure = &if exit == Exit::RolledBack { failure.rolled_back() } else { failure };
        // The tail of the output gets what lines are left: the cause and the way out are worth more.
        let bare = messages::failure_with(look, failure, 0).len();
        let room = PAGE.saturating_sub(below.lines.len() + bare + 2);
        page.lines.extend(messages::failure_with(look, failure, room.min(8)));
    }
    page.lines.extend(below.lines);
    page.end()
}

/// The host is already as the answers want it.
pub fn nothing_to_do(plan: &Plan) -> String {
    let actions = plan.actions.len();
    let tally = Tally { actions, unchanged: actions, proofs: plan.proofs.len(), ..Tally::default() };
    let mut page = Page::new(Look::PLAIN, &format!("Nothing to do: {} already matches the answers.", plan.title));
    page.prose(&format!("{tally} ({}).", tally.total()));
    page.blank();
    let outputs = Outputs::of(plan);
    for line in &outputs.needed {
        page.field(&line.label, &line.value);
    }
    page.field("Details", "bringup status");
    page.field("Verify again", "bringup verify");
    page.field("Roll back", "bringup rollback");
    page.end()
}

/// A proof that was tried again: the evidence, or why it failed.
pub fn proof_line(host: &dyn Host, describe: &str, result: &Outcome<String>) -> String {
    proof_lines(tty_caps::look(host), describe, result).join("\n") + "\n"
}

/// What was not verified, because its stages are rolled back; empty when none is. `proofs` are those that were not
/// tried for that reason.
pub fn not_verified(stages: &BTreeSet<String>, proofs: &[&str]) -> String {
    if stages.is_empty() {
        return String::new();
    }
    let mut page = Page { look: Look::PLAIN, lines: Vec::new() };
    let names: Vec<&str> = stages.iter().map(String::as_str).collect();
    page.prose(&format!("Not verified, because rolled back: {}.", names.join(", ")));
    for proof in proofs {
        page.lines.extend(messages::hanging(Look::PLAIN, MARK, proof));
    }
    page.prose("`bringup` with the same answers applies it again.");
    page.end()
}

/// Why data keeps a rollback from beginning.
pub fn data_at_risk(names: &[String]) -> String {
    let mut page = Page { look: Look::PLAIN, lines: Vec::new() };
    page.prose("error: this data changed since the run, and the rollback would drop it:");
    for name in names {
        page.lines.extend(messages::hanging(Look::PLAIN, MARK, name));
    }
    page.prose("Nothing was changed. With --drop-data it is saved to a file first, then dropped.");
    page.end()
}

fn proof_lines(look: Look, describe: &str, result: &Outcome<String>) -> Vec<String> {
    match result {
        Ok(evidence) => messages::proven(look, describe, evidence),
        Err(failure) => {
            let mut lines = messages::unproven(look, describe, failure);
            if let Some(hint) = &failure.hint {
                lines.extend(messages::indented(look, hint));
            }
            lines
        }
    }
}

/// A page in the making.
struct Page {
    look: Look,
    lines: Vec<String>,
}

impl Page {
    fn new(look: Look, headline: &str) -> Self {
        let mut page = Self { look, lines: vec![String::new()] };
        for line in text::wrap(&look.text(headline), look.width) {
            page.lines.push(look.paint(Paint::Bold, &line));
        }
        page
    }

    fn blank(&mut self) {
        if self.lines.last().is_some_and(|last| !last.is_empty()) {
            self.lines.push(String::new());
        }
    }

    fn prose(&mut self, text: &str) {
        self.lines.extend(text::wrap(&self.look.text(text), self.look.width));
    }

    /// `  Address       https://...`. A long value is wrapped below its beginning.
    fn field(&mut self, label: &str, value: &str) {
        let label = text::pad(&self.look.text(label), LABEL);
        let indent = " ".repeat(2 + text::width(&label));
        let room = self.look.width.saturating_sub(indent.len()).max(10);
        let lines = text::wrap(&self.look.text(value), room);
        for (n, line) in lines.into_iter().enumerate() {
            self.lines.push(if n == 0 { format!("  {label}{line}") } else { format!("{indent}{line}") });
        }
    }

    /// Failures after the first.
    fn others(&mut self, dir: &RunDir, state: &RunState) {
        let look = self.look;
        for failure in state.other_failures().take(SOME) {
            self.lines.extend(messages::hanging(look, &look.cross(), &failure.to_string()));
        }
        self.more(dir, state.other_failures().count());
    }

    /// What a rollback saved, and what it left in place.
    fn left(&mut self, dir: &RunDir, state: &RunState) {
        let look = self.look;
        for (what, file) in &state.dumped {
            self.lines.extend(messages::dumped(look, what, file));
        }
        for (what, why) in state.kept.iter().take(SOME) {
            self.lines.extend(messages::kept(look, what, why));
        }
        self.more(dir, state.kept.len());
    }

    /// Says where the rest of a list is, when only some of it is shown.
    fn more(&mut self, dir: &RunDir, all: usize) {
        if all > SOME {
            let text = format!("and {} more: {}", all - SOME, dir.file("rollback.json").display());
            self.lines.extend(messages::hanging(self.look, " ", &text));
        }
    }

    fn end(self) -> String {
        self.lines.join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::engine::decision::Choice;
    use crate::engine::event::{Event, EventKind};
    use crate::error::Failure;
    use crate::host::fake::FakeHost;
    use crate::plan::OutputLine;
    use crate::secret::{Secret, Secrets};
    use crate::ui::run_state::recorded::{at, decided, gone_wrong, recorded};

    const WIDE: Look = Look { width: 80, unicode: true, colour: false };
    const NARROW: Look = Look { width: 40, unicode: false, colour: false };
    const SECRETS: &str = "/var/lib/bringup/secrets/webapp@webapp.json";

    fn dir() -> RunDir {
        RunDir::of("20261121-093015-webapp")
    }

    fn plan() -> Plan {
        let line = |label: &str, value: &str| OutputLine { label: label.to_owned(), value: value.to_owned() };
        Plan {
            outputs: vec![
                line("Address", "https://app.example.org/"),
                line("Application", "/srv/webapp, as the user webapp, 5 workers"),
                line("Database", "PostgreSQL, database webapp, on this host only"),
                line("Jobs", "Redis, on this host only, 2 workers"),
                line("Certificate", "self-signed, until 2027-11-21; browsers will warn"),
            ],
            ..Plan::new("webapp", "Your own web application")
        }
    }

    fn state() -> RunState {
        RunState::of(&recorded())
    }

    /// A page fits: no more lines than a terminal, none wider, except for a path or an address that stays whole.
    fn assert_fits(page: &str, look: Look) {
        assert!(page.lines().count() <= PAGE, "{} lines:\n{page}", page.lines().count());
        for line in page.lines().filter(|line| !line.contains('/')) {
            assert!(text::width(line) <= look.width, "{line}");
        }
        assert!(look.unicode || page.is_ascii(), "{page}");
    }

    #[test]
    fn what_did_not_go_as_it_should_comes_first() {
        let text = "a self-signed certificate stands in: Let's Encrypt cannot reach port 80 of app.example.org (open \
                    port 80 to everybody). `bringup tls retry` asks again";
        let warned = EventKind::ActionProgress {
            action: "tls.acme".to_owned(),
            progress: crate::progress::Progress::Warning(text.to_owned()),
        };
        let page = finished(WIDE, &dir(), &RunState::of(&[recorded(), vec![at(warned)]].concat()), Some(&plan()), None);
        assert_fits(&page, WIDE);
        let begins = "\nYour own web application is in production.\n2 changes, 1 unchanged; 2 of 2 proofs passed\n\n  \
                      ! a self-signed certificate stands in: Let's Encrypt cannot reach port 80 of\n    \
                      app.example.org (open port 80 to everybody). `bringup tls retry` asks again\n\n  Address ";
        assert!(page.starts_with(begins), "{page}");
    }

    #[test]
    fn the_page_of_a_finished_run() {
        let page = finished(WIDE, &dir(), &state(), Some(&plan()), Some(SECRETS));
        assert_fits(&page, WIDE);
        insta::assert_snapshot!(page.trim_matches('\n'), @r"
        Your own web application is in production.
        2 changes, 1 unchanged; 2 of 2 proofs passed

          Address       https://app.example.org/
          Passwords     /var/lib/bringup/secrets/webapp@webapp.json (for root only)
          Roll back     bringup rollback
          Verify again  bringup verify

          Application   /srv/webapp, as the user webapp, 5 workers
          Database      PostgreSQL, database webapp, on this host only
          Jobs          Redis, on this host only, 2 workers
          Certificate   self-signed, until 2027-11-21; browsers will warn
          Answers       /var/lib/bringup/runs/20261121-093015-webapp/answers.yaml
          Run's log     /var/lib/bringup/runs/20261121-093015-webapp/log
        ");
        insta::assert_snapshot!(finished(NARROW, &dir(), &state(), Some(&plan()), None).trim_matches('\n'), @r"
        Your own web application is in
        production.
        2 changes, 1 unchanged; 2 of 2 proofs
        passed

          Address       https://app.example.org/
          Roll back     bringup rollback
          Verify again  bringup verify

          Application   /srv/webapp, as the user
                        webapp, 5 workers
          Database      PostgreSQL, database
                        webapp, on this host
                        only
          Jobs          Redis, on this host
                        only, 2 workers
          Certificate   self-signed, until
                        2027-11-21; browsers
                        will warn
          Answers       /var/lib/bringup/runs/20261121-093015-webapp/answers.yaml
          Run's log     /var/lib/bringup/runs/20261121-093015-webapp/log
        ");
    }

    #[test]
    fn nothing_is_cut_and_what_has_no_room_is_shown_by_status() {
        let long = "4 (20 users / 6 per worker = 4 wanted; ".to_owned()
            + &"2 x 2 CPU + 1 = 5 at most; ".repeat(9)
            + "= 192 MiB)";
        for results in [1, 7, 12] {
            let line = |n| OutputLine { label: format!("Label {n}"), value: long.clone() };
            let mut lines = vec![OutputLine { label: "Address".to_owned(), value: "https://a.example/".to_owned() }];
            lines.extend((0..results).map(line));
            let plan = Plan { outputs: lines, ..plan() };
            let page = finished(WIDE, &dir(), &state(), Some(&plan), Some(SECRETS));
            assert_fits(&page, WIDE);
            assert!(!page.contains('…') && page.contains("2 of 2 proofs passed"), "{page}");
            assert_eq!(page.contains("bringup status"), results > 1, "{page}");
            let row = |what: &str| page.lines().position(|line| line.contains(what)).unwrap();
            assert!(
                row("https://a.example/") < row("Passwords") && row("Passwords") < row("bringup rollback"),
                "{page}"
            );
            assert_fits(&nothing_to_do(&plan), Look::PLAIN);
        }
    }

    #[test]
    fn many_proofs_do_not_push_the_page_off_the_screen() {
        let mut state = state();
        for n in 0..28 {
            let (proof, evidence) = (format!("port {n} is closed to others"), Some("refused from outside".to_owned()));
            state.take_in(&at(EventKind::ProofEnded { proof, evidence, failure: None, millis: 1 }));
        }
        let page = finished(WIDE, &dir(), &state, Some(&plan()), Some(SECRETS));
        assert_fits(&page, WIDE);
        assert!(page.contains("30 of 30 proofs passed"), "{page}");
        assert!(page.contains("bringup rollback"), "{page}");
    }

    #[test]
    fn a_run_that_went_on_after_a_decision_ends_like_any_other_and_says_what_it_left_out() {
        let state = RunState::of(&decided());
        assert_eq!((state.failure(), state.rolling_back, state.proven().count()), (None, false, 2));
        let page = finished(WIDE, &dir(), &RunState::of(&decided()), Some(&plan()), None);
        assert_fits(&page, WIDE);
        let skipped = page.lines().find(|line| line.contains("skipped")).unwrap_or_default();
        insta::assert_snapshot!(skipped, @r"  ! skipped: create the role and the database webapp in PostgreSQL: the role can");
    }

    #[test]
    fn a_stage_that_was_taken_back_before_the_run_was_stopped_is_no_unfinished_rollback() {
        let mut events = decided();
        let stage = events.iter().position(|event| matches!(event.what, EventKind::Undone { .. })).unwrap_or_default();
        events.truncate(stage + 3);
        events.push(at(EventKind::Decided { choice: Choice::Pause }));
        let page = failed(WIDE, &dir(), &RunState::of(&events), Exit::Incomplete);
        assert!(page.contains("Paused.") && page.contains("bringup resume"), "{page}");
        assert!(page.contains("could not create the role"), "the failure is told:\n{page}");
    }

    #[test]
    fn the_page_of_a_run_that_failed_and_was_rolled_back() {
        let page = failed(WIDE, &dir(), &RunState::of(&gone_wrong()), Exit::RolledBack);
        assert_fits(&page, WIDE);
        insta::assert_snapshot!(page.trim_matches('\n'), @r"
          ✗ could not create the role and the database webapp:
            psql ended with status 2: connection to server on socket failed

            | psql: error: connection to server on socket
            |  Is the server running locally and accepting connections on that socket?

            Log: /var/lib/bringup/runs/20261121-093015-webapp/log/database.role.log
            What to do: `journalctl -u postgresql` shows its log

        Rolled back, except for what had to stay:
          ! saved: the database webapp is in
            /var/lib/bringup/runs/20261121-093015-webapp/dumps/webapp.sql
          ! kept: /etc/nginx/nginx.conf — it was changed since the run

          Try again     run the same command; no cleanup is needed
          Journal       /var/lib/bringup/runs/20261121-093015-webapp/journal.jsonl
        ");
    }

    #[test]
    fn a_long_output_does_not_push_the_page_off_the_screen() {
        let mut state = RunState::of(&gone_wrong());
        if let Some((_, failure, _)) = state.failures.first_mut() {
            failure.tail = (0..50).map(|n| format!("line {n} of a long traceback")).collect();
        }
        let page = failed(WIDE, &dir(), &state, Exit::RolledBack);
        assert_fits(&page, WIDE);
        assert!(page.contains("line 49"), "{page}");
    }

    #[test]
    fn a_run_that_stopped_can_go_on_or_go_back() {
        let mut events = gone_wrong();
        events.truncate(8);
        let page = failed(WIDE, &dir(), &RunState::of(&events), Exit::Incomplete);
        assert_fits(&page, WIDE);
        assert!(page.contains("bringup resume") && page.contains("bringup rollback"), "{page}");
        assert!(page.contains("/var/lib/bringup/runs/20261121-093015-webapp/journal.jsonl"), "{page}");
    }

    #[test]
    fn a_rollback_that_stopped_can_only_go_back() {
        let mut events = gone_wrong();
        events.push(at(EventKind::Failed {
            step: "packages".to_owned(),
            failure: Failure::new("purge nginx", "dpkg is locked"),
        }));
        let page = failed(WIDE, &dir(), &RunState::of(&events), Exit::Incomplete);
        assert!(!page.contains("bringup resume") && page.contains("bringup rollback"), "{page}");
        let [first, second] = ["could not create the role", "could not purge nginx"].map(|text| page.find(text));
        assert!(first.is_some() && first < second, "the first failure comes first:\n{page}");
    }

    #[test]
    fn the_file_of_secrets_is_named_where_there_are_any() {
        let host = FakeHost::new();
        let of = plan().application();
        secret_store::save(&host, &of, &Secrets::default()).unwrap();
        assert_eq!(kept_secrets(&host, &plan()), None, "a file without secrets");
        let mut secrets = Secrets::default();
        secrets.insert("database.password", Secret::new("hunter2-hunter2"));
        secret_store::save(&host, &of, &secrets).unwrap();
        assert_eq!(kept_secrets(&host, &plan()), Some(secret_store::in_use(&host, &of).display().to_string()));
    }

    #[test]
    fn a_failed_proof_leaves_the_changes_and_says_so() {
        let page = failed(WIDE, &dir(), &RunState::of(&gone_wrong()[..8]), Exit::ProofFailed);
        assert!(page.contains("in place") && page.contains("bringup verify"), "{page}");
    }

    #[test]
    fn the_page_of_a_rollback() {
        let events: Vec<Event> = gone_wrong()[8..].to_vec();
        let state = RunState::of(&events);
        assert!(state.is_rollback() && !RunState::of(&gone_wrong()).is_rollback());
        let page = rolled_back(WIDE, &dir(), &state);
        assert_fits(&page, WIDE);
        insta::assert_snapshot!(page.trim_matches('\n'), @r"
        Rolled back: 3 changes.
          ! saved: the database webapp is in
            /var/lib/bringup/runs/20261121-093015-webapp/dumps/webapp.sql
          ! kept: /etc/nginx/nginx.conf — it was changed since the run

          Log           /var/lib/bringup/runs/20261121-093015-webapp/log
          In place      bringup status
        ");
    }

    #[test]
    fn of_many_failures_the_first_are_shown_and_the_rest_is_counted() {
        let mut state = RunState::of(&gone_wrong());
        for n in 0..9 {
            let failure = Failure::new(format!("remove file {n}"), "busy");
            state.take_in(&at(EventKind::Failed { step: "packages".to_owned(), failure }));
        }
        let page = failed(WIDE, &dir(), &state, Exit::Incomplete);
        assert_fits(&page, WIDE);
        assert!(page.contains("remove file 2") && !page.contains("remove file 3"), "{page}");
        assert!(page.contains("and 6 more: /var/lib/bringup/runs/20261121-093015-webapp/rollback.json"), "{page}");
    }

    #[test]
    fn nothing_to_do_is_said_with_what_stands() {
        let page = nothing_to_do(&plan());
        assert_fits(&page, Look::PLAIN);
        insta::assert_snapshot!(page.trim_matches('\n'), @r"
        Nothing to do: Your own web application already matches the answers.
        0 changes (0 actions).

          Address       https://app.example.org/
          Details       bringup status
          Verify again  bringup verify
          Roll back     bringup rollback
        ");
    }

    #[test]
    fn data_at_risk_is_named_with_the_way_out() {
        insta::assert_snapshot!(data_at_risk(&["the database webapp in PostgreSQL".to_owned()]), @r"
        error: this data changed since the run, and the rollback would drop it:
          ! the database webapp in PostgreSQL
        Nothing was changed. With --drop-data it is saved to a file first, then dropped.
        ");
    }

    #[test]
    fn a_proof_that_fails_says_why_and_what_to_do() {
        let failure = Failure::new("fetch the page", "connection refused").hint("systemctl status nginx");
        let lines = proof_lines(WIDE, "the page answers over TLS", &Err(failure));
        assert_eq!(
            lines,
            ["  ✗ not verified: the page answers over TLS — connection refused", "    systemctl status nginx"]
        );
    }
}
