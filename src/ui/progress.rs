//! Bars: one for the whole, one for what is being done; what is finished scrolls away above them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::engine::event::{Ended, Event, EventKind};
use crate::host::Stamp;
use crate::progress::Progress;
use crate::ui::estimate::Expected;
use crate::ui::follow::Followed;
use crate::ui::run_state::{Count, RunState};
use crate::ui::style::{Look, MARK, Paint};
use crate::ui::{Renderer, messages, stdio, text};

/// Draws at most so often, in Hz: SSH lines are slow.
const RATE: u8 = 10;
/// How often the spinner moves when there is no news, to show that the follower lives.
const BEAT: Duration = Duration::from_secs(1);
/// Waiting longer than this is shown.
const LONG: Duration = Duration::from_secs(5);

/// Draws bars.
pub struct Bars {
    multi: MultiProgress,
    overall: ProgressBar,
    current: Option<Current>,
    look: Look,
    width: Box<dyn Fn() -> usize>,
    beat: Option<Duration>,
    state: RunState,
    /// The overall bar is labeled for a rollback.
    back: bool,
    /// What it counts.
    unit: &'static str,
    left: Arc<Mutex<Left>>,
}

/// What the bar of the whole says of the time left.
#[derive(Default)]
struct Left {
    /// As estimated when the bar was so old.
    told: Option<(Duration, Duration)>,
    shown: String,
}

impl Left {
    /// What is to be said when the bar is so old.
    fn text(&self, age: Duration) -> String {
        let left = self.told.and_then(|(left, at)| left.checked_sub(age.saturating_sub(at)));
        left.map_or_else(String::new, |left| format!("  {}", messages::left(left)))
    }
}

/// The bar of what is being done.
struct Current {
    id: String,
    bar: ProgressBar,
    /// It shows percents.
    measured: bool,
}

impl Bars {
    /// Draws on stderr, which is a terminal of this look; `width` returns its present width.
    pub fn on_stderr(look: Look, width: impl Fn() -> usize + 'static, expected: Expected) -> Self {
        Self::on(stdio::bars(RATE), look, width, expected, Some(BEAT))
    }

    pub(super) fn on(
        target: ProgressDrawTarget,
        look: Look,
        width: impl Fn() -> usize + 'static,
        expected: Expected,
        beat: Option<Duration>,
    ) -> Self {
        let multi = MultiProgress::with_draw_target(target);
        let overall = multi.add(ProgressBar::new(0));
        Self {
            multi,
            overall,
            current: None,
            look,
            width: Box::new(width),
            beat,
            state: RunState::expecting(expected),
            back: false,
            unit: "",
            left: Arc::default(),
        }
    }

    /// A terminal can be resized at any time.
    fn measure(&mut self) {
        self.look.width = (self.width)();
    }

    fn println(&self, line: &str) {
        // The terminal is gone: nobody is left to tell.
        let _ = self.multi.println(line);
    }

    fn print_all(&self, lines: &[String]) {
        for line in lines {
            self.println(line);
        }
    }

    /// Shows how many of the steps are done.
    fn count(&mut self) {
        let Count { over, all, unit } = self.state.count();
        let (done, total) = (over as u64, all as u64);
        if self.overall.length() != Some(total) || self.unit != unit || self.back != self.state.rolling_back {
            self.unit = unit;
            self.back = self.state.rolling_back;
            let label = if self.state.rolling_back { "rolling back  " } else { "" };
            let columns = self.look.width.saturating_sub(20 + label.len()).clamp(5, 40);
            let unit = if self.look.width < messages::NARROW || self.back { String::new() } else { format!(" {unit}") };
            let left = if self.look.width < messages::NARROW { "" } else { "{left}" };
            let style = self.style(&format!("  {label}{{bar:{columns}}} {{pos}}/{{len}}{unit}{left}"));
            self.overall.set_style(style.with_key("left", self.left_at_draw()));
            self.overall.set_length(total);
            if let Some(beat) = self.beat {
                self.overall.enable_steady_tick(beat);
            }
        }
        self.overall.set_position(done);
        // A position that comes right after another is counted and not drawn, as in the first moment of `attach`.
        self.overall.tick();
    }

    /// The time left, as it passes between two events.
    fn left_at_draw(&self) -> impl Fn(&ProgressState, &mut dyn std::fmt::Write) + Clone + Send + Sync + 'static {
        let left = Arc::clone(&self.left);
        move |state, out| {
            let text = left.lock().map(|left| left.text(state.elapsed())).unwrap_or_default();
            let _ = out.write_str(&text);
        }
    }

    /// Updates the estimate of the time left.
    fn estimate(&self, now: Stamp) {
        let age = self.overall.elapsed();
        let changed = self.left.lock().is_ok_and(|mut left| {
            left.told = self.state.left(Some(now)).map(|told| (told, age));
            let text = left.text(age);
            std::mem::replace(&mut left.shown, text.clone()) != text
        });
        if changed {
            self.overall.tick();
        }
    }

    /// Something begins.
    fn begin(&mut self, id: &str, text: &str) {
        self.clear_current();
        let bar = self.multi.insert_before(&self.overall, ProgressBar::new(100));
        let bar = bar.with_style(self.style(&format!("  {{spinner}} {}{{wide_msg}}{{waited}}", self.prefix(id))));
        bar.set_message(self.look.text(text));
        if let Some(beat) = self.beat {
            bar.enable_steady_tick(beat);
        }
        self.current = Some(Current { id: id.to_owned(), bar, measured: false });
    }

    /// Progress of a step.
    fn go_on(&mut self, id: &str, progress: &Progress) {
        if self.current.as_ref().is_none_or(|current| current.id != id) {
            let describe = self.state.describe_of(id).to_owned();
            self.begin(id, &describe);
        }
        let measured =
            self.style(&format!("  {{spinner}} {}{{bar:10}} {{pos:>3}} % {{wide_msg}}{{waited}}", self.prefix(id)));
        let look = self.look;
        let Some(current) = &mut self.current else {
            return;
        };
        match progress {
            Progress::Percent { percent, .. } => {
                if !current.measured {
                    current.bar.set_style(measured);
                    current.measured = true;
                }
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=100")]
                current.bar.set_position(percent.clamp(0.0, 100.0) as u64);
                current.bar.set_message(look.text(&text::of_tool(&progress.text())));
            }
            Progress::Note(note) | Progress::Output(note) | Progress::Warning(note) if !note.trim().is_empty() => {
                current.bar.set_message(look.text(&text::of_tool(note)));
            }
            Progress::Deadline { .. } => current.bar.set_message(look.text(&text::of_tool(&progress.text()))),
            Progress::Note(_) | Progress::Output(_) | Progress::Warning(_) => {}
        }
    }

    /// The id with room after it, where there is room. Braces would be a template's.
    fn prefix(&self, id: &str) -> String {
        if self.look.width < messages::NARROW {
            return String::new();
        }
        format!("{}  ", text::pad(&self.look.text(id), self.state.id_width())).replace(['{', '}'], "")
    }

    fn style(&self, template: &str) -> ProgressStyle {
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let style = style.with_key("waited", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            if state.elapsed() >= LONG {
                let _ = write!(out, "  {} s", state.elapsed().as_secs());
            }
        });
        if self.look.unicode {
            style.progress_chars("━╸─").tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
        } else {
            style.progress_chars("#>-").tick_chars("|/-\\ ")
        }
    }

    fn clear(&mut self) {
        self.clear_current();
        self.overall.finish_and_clear();
    }

    fn clear_current(&mut self) {
        if let Some(current) = self.current.take() {
            current.bar.disable_steady_tick();
            current.bar.finish_and_clear();
            self.multi.remove(&current.bar);
        }
    }

    fn action_ended(&mut self, action: &str, ended: Ended, millis: u64) {
        self.clear_current();
        let id = (action, self.state.id_width());
        self.println(&messages::ended(self.look, id, self.state.describe_of(action), ended, millis));
        self.count();
    }
}

impl Renderer for Bars {
    fn event(&mut self, event: &Event) {
        self.measure();
        self.state.take_in(event);
        let look = self.look;
        match &event.what {
            EventKind::RunStarted { guide, resumed, .. } => {
                let again = if *resumed { " (resumed)" } else { "" };
                let title = look.shorten(&look.text(&format!("{guide}{again}")), look.width.saturating_sub(1));
                self.println(&look.paint(Paint::Bold, &title));
                self.count();
            }
            EventKind::ActionStarted { action } => {
                let describe = self.state.describe_of(action).to_owned();
                self.begin(action, &describe);
            }
            EventKind::ActionProgress { action, progress } => self.go_on(action, progress),
            EventKind::ActionEnded { action, ended, millis } => self.action_ended(action, *ended, *millis),
            EventKind::ProofStarted { proof } => {
                let text = format!("verifying that {}", self.state.describe_of(proof));
                self.begin(proof, &text);
            }
            EventKind::ProofEnded { proof, evidence, failure, .. } => {
                self.clear_current();
                let describe = self.state.describe_of(proof);
                self.print_all(&match failure {
                    None => messages::proven(look, describe, evidence.as_deref().unwrap_or("")),
                    Some(failure) => messages::unproven(look, describe, failure),
                });
                self.count();
            }
            EventKind::Failed { failure, .. } => {
                self.clear_current();
                self.println("");
                self.print_all(&messages::failure(look, failure));
                self.println("");
            }
            EventKind::Waiting(waiting) => {
                // Nothing moves while a question is open.
                self.clear();
                self.print_all(&messages::hanging(look, MARK, &messages::waiting(waiting)));
            }
            EventKind::Decided { choice } => {
                self.print_all(&messages::hanging(look, MARK, messages::decided(*choice)));
                self.overall.reset();
                self.count();
            }
            EventKind::Skipped { step, reason } => {
                self.print_all(&messages::skipped(look, self.state.describe_of(step), reason));
                self.count();
            }
            EventKind::RollbackStarted { records, .. } => {
                self.println(&look.paint(Paint::Bold, &format!("Rolling back {}", messages::changes(*records))));
                self.count();
            }
            EventKind::Undone { action, describe } => {
                self.clear_current();
                let id = (action.as_str(), self.state.id_width());
                self.println(&messages::step(look, look.back(), id, describe, ""));
                self.count();
            }
            EventKind::Kept { what, why } => self.print_all(&messages::kept(look, what, why)),
            EventKind::Dumped { what, file } => self.print_all(&messages::dumped(look, what, file)),
            EventKind::Note { text } => self.print_all(&messages::hanging(look, MARK, text)),
            EventKind::RunEnded { .. } => return self.clear(),
        }
        self.estimate(event.at);
    }

    fn end(&mut self, how: Followed) {
        if how == Followed::Left {
            // The terminal has echoed `^C` where the cursor stood, so that we do not know any more where it is.
            // The bars stay as they were at that moment.
            self.multi.set_draw_target(ProgressDrawTarget::hidden());
        }
        self.clear();
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use indicatif::InMemoryTerm;

    use super::*;
    use crate::error::Exit;
    use crate::ui::estimate::tests::recordings;
    use crate::ui::run_state::recorded::{at, decided, gone_wrong, recorded};

    fn shown(columns: u16, unicode: bool, events: &[Event]) -> String {
        let screen = InMemoryTerm::new(60, columns);
        let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
        let width = usize::from(columns);
        let mut bars =
            Bars::on(target, Look { width, unicode, colour: false }, move || width, Expected::default(), None);
        for event in events {
            bars.event(event);
        }
        let contents = screen.contents();
        bars.clear();
        contents
    }

    #[test]
    fn bars_show_what_is_done_and_what_goes_on() {
        let events = recorded();
        insta::assert_snapshot!(shown(80, true, &events[..5]), @r"
        Your own web application
          ⠸ packages          ━━━━━━╸───  64 % 5 of 14, unpacking postgresql-common
          ──────────────────────────────────────── 0/3 actions
        ");
        insta::assert_snapshot!(shown(40, false, &events[..5]), @r"
        Your own web application
          \ ######>---  64 % 5 of 14, unpacking
          -------------------- 0/3
        ");
        insta::assert_snapshot!(shown(80, true, &events[..11]), @r"
        Your own web application
          ✓ packages          install nginx, postgresql, gunicorn and 9 more  23.1 s
          · application.user  create the system user webapp  unchanged
          ✓ database.role     create the role and the database webapp in Postgre…  0.3 s
          ⠋ tls.page          verifying that the page answers over TLS
          ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 3/3 actions
        ");
    }

    #[test]
    fn the_time_left_stands_beside_the_bar_of_the_whole_where_there_is_room() {
        let [_, (plan, events)] = recordings();
        let shown = |columns: u16| {
            let screen = InMemoryTerm::new(60, columns);
            let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
            let look = Look { width: usize::from(columns), unicode: false, colour: false };
            let expected = Expected::of(&plan, &[(plan.clone(), events.clone())]);
            let mut bars = Bars::on(target, look, move || usize::from(columns), expected, None);
            for event in &events[..events.len() / 3] {
                bars.event(event);
            }
            let contents = screen.contents();
            bars.clear();
            contents
        };
        let wide = shown(80);
        let last = wide.lines().last().unwrap_or_default();
        assert!(last.contains(" 0/37 actions  about ") && last.ends_with(" s left"), "{wide}");
        assert!(!shown(40).contains("about"));
    }

    #[test]
    fn the_time_left_passes_between_two_events() {
        let seconds = Duration::from_secs;
        let left = Left { told: Some((seconds(40), seconds(100))), shown: String::new() };
        assert_eq!(left.text(seconds(100)), "  about 40 s left");
        assert_eq!(left.text(seconds(115)), "  about 25 s left");
        // Nobody knows what takes so long.
        assert_eq!(left.text(seconds(141)), "");
        assert_eq!(Left::default().text(seconds(1)), "");
    }

    #[test]
    fn at_the_end_only_lines_are_left() {
        insta::assert_snapshot!(shown(80, true, &recorded()), @r"
        Your own web application
          ✓ packages          install nginx, postgresql, gunicorn and 9 more  23.1 s
          · application.user  create the system user webapp  unchanged
          ✓ database.role     create the role and the database webapp in Postgre…  0.3 s
          ✓ verified: the page answers over TLS — 200, 1,204 bytes, TLSv1.3, certificate
            valid for app.example.org until 2027-11-21
          ✓ verified: a row can be written and read back — written and read in
            PostgreSQL 15.8
        ");
        insta::assert_snapshot!(shown(40, false, &recorded()), @r"
        Your own web application
          + install nginx, postgresql...  23.1 s
          = create the system user...  unchanged
          + create the role and the da...  0.3 s
          + verified: the page answers over TLS
            - 200, 1,204 bytes, TLSv1.3,
            certificate valid for
            app.example.org until 2027-11-21
          + verified: a row can be written and
            read back - written and read in
            PostgreSQL 15.8
        ");
    }

    #[test]
    fn a_failure_comes_before_what_is_undone() {
        insta::assert_snapshot!(shown(80, true, &gone_wrong()), @r"
        Your own web application
          ✓ packages          install nginx, postgresql, gunicorn and 9 more  23.1 s
          ✓ application.user  create the system user webapp  0.1 s
          ✗ database.role     create the role and the database webapp in Postgr…  failed

          ✗ could not create the role and the database webapp:
            psql ended with status 2: connection to server on socket failed

            | psql: error: connection to server on socket
            |  Is the server running locally and accepting connections on that socket?

            Log: /var/lib/bringup/runs/20261121-093015-webapp/log/database.role.log
            What to do: systemctl status postgresql says why the engine does not run

        Rolling back 3 changes
          ! saved: the database webapp is in
            /var/lib/bringup/runs/20261121-093015-webapp/dumps/webapp.sql
          ↩ database.role     dropped the database webapp
          ↩ database.role     dropped the role webapp
          ! kept: /etc/nginx/nginx.conf — it was changed since the run
          ↩ application.user  removed the user webapp
          ↩ packages          purged 12 packages
        ");
        insta::assert_snapshot!(shown(40, false, &gone_wrong()), @r"
        Your own web application
          + install nginx, postgresql...  23.1 s
          + create the system user webapp  0.1 s
          x create the role and the d...  failed

          x could not create the role and the
            database webapp:
            psql ended with status 2: connection
            to server on socket failed

            | psql: error: connection to serv...
            |  Is the server running locally...

            Log:
            /var/lib/bringup/runs/20261121-09301
        5-webapp/log/database.role.log
            What to do: systemctl status
            postgresql says why the engine does
            not run

        Rolling back 3 changes
          ! saved: the database webapp is in
            /var/lib/bringup/runs/20261121-09301
        5-webapp/dumps/webapp.sql
          < dropped the database webapp
          < dropped the role webapp
          ! kept: /etc/nginx/nginx.conf - it was
            changed since the run
          < removed the user webapp
          < purged 12 packages
        ");
    }

    #[test]
    fn the_way_back_has_a_bar_of_its_own() {
        insta::assert_snapshot!(shown(80, true, &gone_wrong()[8..15]), @r"
        Rolling back 3 changes
          ! saved: the database webapp is in
            /var/lib/bringup/runs/20261121-093015-webapp/dumps/webapp.sql
          ↩ database.role  dropped the database webapp
          ↩ database.role  dropped the role webapp
          ! kept: /etc/nginx/nginx.conf — it was changed since the run
          ↩ application.user  removed the user webapp
          ⠙ packages  ━━━━━╸────  50 % removing nginx
          rolling back  ━━━━━━━━━━━━━━━━━━━━━━━━━━╸───────────── 2/3
        ");
    }

    #[test]
    fn while_it_asks_nothing_moves_and_afterwards_the_bars_are_back() {
        let events = decided();
        let until = |what: fn(&EventKind) -> bool| {
            let at = events.iter().rposition(|event| what(&event.what)).unwrap_or_default();
            let text = shown(80, true, &events[..=at]);
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len() - 4..].join("\n")
        };
        insta::assert_snapshot!(until(|what| matches!(what, EventKind::Waiting(_))), @r"
            Log: /var/lib/bringup/runs/20261121-093015-webapp/log/database.role.log
            What to do: systemctl status postgresql says why the engine does not run

          ! waiting for a decision about database.role; 3 changes in place
        ");
        insta::assert_snapshot!(until(|what| matches!(what, EventKind::Undone { .. })), @r"
        Rolling back 1 change
          ↩ database.role     dropped the database webapp
          ↩ database.role     dropped the role webapp
          rolling back  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 1/1
        ");
        insta::assert_snapshot!(until(|what| matches!(what, EventKind::ProofStarted { .. })), @r"
        ✓ verified: the page answers over TLS — 200, 1,204 bytes, TLSv1.3, certificate
          valid for app.example.org until 2027-11-21
        ⠋ database.row      verifying that a row can be written and read back
        ━━━━━━━━━━━━━━━━━━━━╸─────────────────── 1/2 proofs
        ");
    }

    fn after(how: Followed) -> (Vec<String>, Vec<String>) {
        let screen = InMemoryTerm::new(60, 80);
        let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
        let mut bars =
            Bars::on(target, Look { width: 80, unicode: true, colour: false }, || 80, Expected::default(), None);
        for event in &recorded()[..9] {
            bars.event(event);
        }
        let lines = || screen.contents().lines().map(str::to_owned).collect::<Vec<_>>();
        let before = lines();
        bars.end(how);
        drop(bars);
        (before, lines())
    }

    #[test]
    fn a_run_that_died_leaves_its_lines_and_no_bars() {
        let (before, after) = after(Followed::Died);
        assert_eq!((before.len(), before[4].ends_with("2/3 actions")), (5, true), "{before:?}");
        assert_eq!(after, before[..3]);
    }

    #[test]
    fn a_follower_that_leaves_touches_the_screen_no_more() {
        let (before, after) = after(Followed::Left);
        assert_eq!(after, before);
    }

    #[test]
    fn what_a_tool_prints_cannot_steer_the_terminal() {
        let mut events = recorded()[..2].to_vec();
        let evil = Progress::Output("\u{1b}[2J\u{1b}[Hgone {pos} {".to_owned());
        events.push(at(EventKind::ActionProgress { action: "packages".to_owned(), progress: evil }));
        let text = shown(80, true, &events);
        assert!(text.starts_with("Your own web application") && text.contains("gone {pos} {"), "{text}");
        events.push(at(EventKind::RunEnded { exit: Exit::Done, changed: 0 }));
        assert!(!shown(80, true, &events).contains("gone"));
    }
}
