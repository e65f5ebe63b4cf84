//! The only code that changes the whole: it takes messages in, and carries out what follows from an act.

use super::{App, Leave, SURE, Viewport};
use crate::error::Exit;
use crate::ui::wizard::cmd::{Cmd, Msg};
use crate::ui::wizard::keys::Act;
use crate::ui::wizard::model::{Route, run_view};
use crate::ui::wizard::overlay::{self, Line, Overlay, Pager, Prompt};
use crate::ui::wizard::page::{Transition, home, page};
use crate::ui::wizard::theme::Role;
use crate::ui::wizard::view::{Focus, View};

impl App {
    pub(super) fn update(&mut self, message: Msg) -> Leave {
        match message {
            Msg::Facts(facts) => self.model.found(*facts),
            Msg::Check(check) => self.model.server.learn(check),
            Msg::Runs(runs) => self.model.server.runs = runs,
            Msg::Fits(fits) => self.model.server.fits = fits,
            Msg::Opened(interview) => {
                self.model.open(*interview);
                if matches!(self.route, Route::Product | Route::Home)
                    && let Some(next) = self.model.beside(&Route::Product, true)
                {
                    self.go(next, None);
                }
            }
            Msg::Run(msg) => self.update_run(msg),
            Msg::NotOpened(why) => self.model.server.not_opened(why),
            Msg::Compared(hash, verdicts, missing) => self.model.review.compared(&hash, verdicts, missing),
            Msg::Forecast(hash, forecast) => self.model.review.forecast(&hash, forecast),
            Msg::Home(installed) => {
                if let Some(home) = &mut self.model.home {
                    home.found(installed);
                }
            }
            Msg::Health(at, finding) => {
                if let Some(home) = &mut self.model.home {
                    home.health.learn(at, finding);
                }
            }
            Msg::Looked => {
                if let Some(home) = &mut self.model.home {
                    home.done = true;
                }
            }
            Msg::Logs(name, text) => {
                let lines = text.lines().map(|line| Line::Exact(Role::Value, line.to_owned())).collect();
                let pager = Pager::new(format!("Logs of {name}"), lines);
                self.lay(Overlay::Pager(pager));
            }
            Msg::Past(hash, past) => self.model.review.remembered(&hash, past),
            Msg::Saved(path) => {
                let interview = self.model.interview.as_ref();
                self.last_words = interview.map(|interview| overlay::saved(interview, &path)).unwrap_or_default();
                return Leave::Yes(Exit::Done);
            }
            Msg::NotSaved(why) => {
                if let Some((overlay, _)) = &mut self.overlay
                    && let Overlay::Prompt(prompt) = overlay.as_mut()
                {
                    prompt.refuse(why);
                }
            }
        }
        Leave::No
    }

    pub(super) fn act(&mut self, act: Act) -> Leave {
        let (focus, rows) = (self.view().focus.clone(), usize::from(self.layout().pane.height.saturating_sub(1)));
        if self.overlay.is_none()
            && self.route == Route::Run
            && let Some(run_view) = &mut self.model.run_view
            && run_view.scroll(act, focus.as_ref(), rows)
        {
            return Leave::No;
        }
        let moved = match act {
            Act::Up => self.step_focus(false),
            Act::Down => self.step_focus(true),
            Act::PageUp => self.page(-(self.page_height() - 1)),
            Act::PageDown => self.page(self.page_height() - 1),
            Act::First => self.page(isize::MIN / 2),
            Act::Last => self.page(isize::MAX / 2),
            Act::Next => self.next_question(true),
            Act::Previous => self.next_question(false),
            _ => false,
        };
        if moved {
            return Leave::No;
        }
        let step = match (&mut self.overlay, act) {
            (Some((overlay, _)), Act::Quit) => match overlay.way_out() {
                Some(exit) => Transition::Leave(exit),
                None => self.leaving(),
            },
            (None, Act::Quit) => self.leaving(),
            (Some((overlay, view)), act) => overlay.act(act, focus.as_ref(), &self.doc, view.scroll),
            (None, act) if self.route == Route::Run && act != Act::Help => self.act_on_run(act, focus.as_ref()),
            (None, Act::GoTo) => {
                // The pointer begins at this page.
                let here = self.model.places().iter().position(|place| *place == self.route);
                let view = Viewport { focus: here.map(Focus::Item), ..Viewport::default() };
                self.overlay = Some((Box::new(Overlay::go_to(self.model.contents())), view));
                Transition::Stay
            }
            (None, Act::Help) if !matches!(self.route, Route::Stage(_) | Route::Product) => {
                Transition::Open(Box::new(Overlay::keys(&self.model.theme)))
            }
            (None, Act::Less | Act::More) if self.model.editor.is_some() => {
                self.step_number(act == Act::More);
                Transition::Stay
            }
            (None, act) => page(&self.route, &self.model).act(act, focus.as_ref()),
        };
        self.follow(step)
    }

    /// What leaving means now: a run continues, answers may be lost.
    fn leaving(&mut self) -> Transition {
        if self.model.run_view.is_some() {
            return self.act_on_run(Act::Quit, None);
        }
        Transition::Open(Box::new(self.quit()))
    }

    /// What could not be had was read by whoever goes on.
    fn act_on_run(&mut self, act: Act, focus: Option<&Focus>) -> Transition {
        if let Some(run_view) = &mut self.model.run_view {
            run_view.trouble = None;
        }
        page(&Route::Run, &self.model).act(act, focus)
    }

    fn quit(&self) -> Overlay {
        Overlay::quit(self.model.unsaved(), self.model.interview.is_some())
    }

    pub(super) fn lay(&mut self, overlay: Overlay) {
        self.overlay = Some((Box::new(overlay), Viewport::default()));
    }

    pub(super) fn follow(&mut self, step: Transition) -> Leave {
        match step {
            Transition::Stay => {}
            Transition::Next => {
                // The answer may have opened further questions.
                self.doc = self.write();
                self.next_question(true);
            }
            Transition::Forward => {
                if let Some(next) = self.model.beside(&self.route, true) {
                    self.go(next, None);
                }
            }
            Transition::Back => match self.model.beside(&self.route, false) {
                Some(before) => self.go(before, None),
                None => self.lay(self.quit()),
            },
            Transition::Go(place, stop) => self.go(place, stop),
            Transition::Change(change, then) => {
                self.model.change(change);
                return self.follow(*then);
            }
            Transition::Choose(guide) => {
                if self.model.choose(&guide) {
                    return self.follow(Transition::Forward);
                }
            }
            Transition::AskToSave => match &self.model.interview {
                Some(interview) => self.lay(Overlay::Prompt(Prompt::save(interview))),
                None => self.overlay = None,
            },
            Transition::Save(path, text) => self.model.cmds.push(Cmd::Save { path, text }),
            Transition::Application(at, wanted) => {
                let it = self.model.home.as_ref().and_then(|home| home.installed_at(at));
                let step = it.map_or(Transition::Close, |it| home::application(at, it, wanted));
                return self.follow(step);
            }
            Transition::Open(overlay) => self.overlay = Some((overlay, Viewport::default())),
            Transition::Close => self.overlay = None,
            Transition::Show(line) => {
                let height = usize::from(self.layout().main.height);
                let view = self.view_mut();
                if line < view.scroll || line >= view.scroll + height {
                    view.scroll = line.saturating_sub(height / 3);
                }
            }
            Transition::Sure(act) => {
                self.overlay = None;
                let step = self.act_on_run(act, Some(&Focus::Button(SURE)));
                return self.follow(step);
            }
            Transition::Answers(run, guide) => {
                self.overlay = None;
                self.model.reopen(&run, &guide);
            }
            Transition::Do(cmd) => {
                self.overlay = None;
                self.model.cmds.push(*cmd);
            }
            Transition::Start => {
                run_view::start(&mut self.model);
                self.views.remove(&Route::Run);
                self.go(Route::Run, None);
            }
            Transition::Attend(run, attend) => {
                run_view::attend(&mut self.model, &run, attend);
                self.views.remove(&Route::Run);
                self.go(Route::Run, None);
            }
            Transition::Shell => {
                return Leave::Shell(self.model.run_view.as_ref().map(|run_view| run_view.note()).unwrap_or_default());
            }
            Transition::AskToLeave if self.model.unsaved() == 0 => return Leave::Yes(Exit::Interrupted),
            Transition::AskToLeave => {
                self.lay(self.quit());
            }
            Transition::Leave(exit) => return Leave::Yes(exit),
        }
        Leave::No
    }

    pub(super) fn go(&mut self, place: Route, stop: Option<Focus>) {
        self.overlay = None;
        self.model.revealed = false;
        self.route = place;
        self.doc = View::default();
        self.at_top = self.route == Route::Review && !self.views.contains_key(&self.route);
        let Some(stop) = stop else { return };
        self.point_at(stop.clone());
        self.doc = self.write();
        // A question with choices is stopped at by these.
        if self.focused().is_none()
            && let Some((near, _)) = self.doc.stops.iter().find(|(other, _)| other.beside(&stop))
        {
            let near = self.chosen(near.clone());
            self.point_at(near);
        }
    }
}
