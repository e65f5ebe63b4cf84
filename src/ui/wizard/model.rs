//! The state that the wizard's pages share: the server, the answers, the run.

use std::collections::BTreeMap;

use crate::answers::Origin;
use crate::answers::interview::{Interview, Standing};
use crate::facts::{Application, Facts};
use crate::guide::load::Offered;
use crate::ui::health::Health;
use crate::ui::style::Look;
use crate::ui::wizard::cmd::Cmd;
use crate::ui::wizard::editor::Editor;
use crate::ui::wizard::model::home::Home;
use crate::ui::wizard::model::review::{Review, Reviewed};
use crate::ui::wizard::model::run_view::RunView;
use crate::ui::wizard::model::server_status::ServerStatus;
use crate::ui::wizard::model::visit::Visit;
use crate::ui::wizard::theme::{Role, Sign, Theme};

mod change;
pub mod home;
pub mod review;
pub mod run_view;
pub mod server_status;
pub mod visit;

pub use change::Change;

/// A page of the wizard.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    /// The applications of this server.
    Home,
    /// What was found on this server.
    Welcome,
    /// The choice of a guide.
    Product,
    /// A stage of the guide, by its id.
    Stage(String),
    /// The plan, before anything is changed.
    Review,
    /// The run, its failures and its result.
    Run,
}

/// The state of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Nothing is left to do on it.
    Ready,
    /// So many things are in the way.
    Missing(usize),
    /// So many questions have no answer yet, and none has a wrong one.
    Unanswered(usize),
    /// It was not come to yet.
    Open,
}

impl Readiness {
    /// Its sign, and how that looks.
    pub const fn sign(self) -> (Role, Sign) {
        match self {
            Self::Ready => (Role::Good, Sign::Good),
            Self::Missing(_) => (Role::Bad, Sign::Bad),
            Self::Unanswered(_) | Self::Open => (Role::Dim, Sign::Pending),
        }
    }
}

/// The state that pages read and change.
pub struct Model {
    /// What the terminal can show.
    pub look: Look,
    /// Styles and signs.
    pub theme: Theme,
    /// What was found on this server; none while it is being probed.
    pub facts: Option<Facts>,
    /// Whether we may change it.
    pub root: bool,
    /// The guides on offer.
    pub products: Vec<Offered>,
    /// The applications that are applied here, where there are any.
    pub home: Option<Home>,
    /// What else is known of the server.
    pub server: ServerStatus,
    /// The answers, once a guide is chosen.
    pub interview: Option<Interview>,
    /// The answers to other guides that were chosen before, by guide.
    shelf: BTreeMap<String, Interview>,
    /// The plan that the answers come to.
    pub review: Review,
    /// The text under the cursor, and the question it answers.
    pub editor: Option<(String, Editor)>,
    /// Whether the secret under the cursor is shown.
    pub revealed: bool,
    /// What the page of a stage remembers while it is open.
    pub visit: Visit,
    /// The run that is followed.
    pub run_view: Option<Box<RunView>>,
    /// Work to be done outside, in order; taken by the event loop.
    pub cmds: Vec<Cmd>,
}

impl Model {
    /// A model that holds nothing yet but the guides.
    pub fn new(look: Look, root: bool, products: Vec<Offered>) -> Self {
        Self {
            look,
            theme: Theme::new(look),
            facts: None,
            root,
            products,
            home: None,
            server: ServerStatus::default(),
            interview: None,
            shelf: BTreeMap::new(),
            review: Review::default(),
            editor: None,
            revealed: false,
            visit: Visit::default(),
            run_view: None,
            cmds: vec![Cmd::Probe],
        }
    }

    /// With these applications on the server: the wizard opens on them.
    #[must_use]
    pub fn with_applications(mut self, noted: Vec<Application>) -> Self {
        self.home = Home::of(noted);
        self.cmds.extend(self.home.is_some().then_some(Cmd::Home));
        self
    }

    /// The server was probed.
    pub fn found(&mut self, facts: Facts) {
        for interview in self.interview.iter_mut().chain(self.shelf.values_mut()) {
            interview.found(facts.clone());
        }
        self.cmds.extend([Cmd::Check(Box::new(facts.clone())), Cmd::Guides(Box::new(facts.clone()))]);
        if let Some(guide) = self.server.wanted.clone() {
            let run = self.server.wanted_run.take();
            self.cmds.push(Cmd::Open { guide, run, facts: Box::new(facts.clone()) });
        }
        self.facts = Some(facts);
    }

    /// Probes the server again.
    pub fn look_again(&mut self) {
        self.server.forget();
        self.review.forget();
        self.cmds.push(Cmd::Probe);
        if let Some(home) = &mut self.home {
            (home.health, home.done) = (Health::default(), false);
            self.cmds.push(Cmd::Home);
        }
    }

    /// Chooses a guide: its questions come when they are read, or are there from before.
    pub fn choose(&mut self, guide: &str) -> bool {
        self.server.refused = None;
        if self.interview.as_ref().is_some_and(|interview| interview.guide().id == guide) {
            return true;
        }
        if let Some(interview) = self.shelf.remove(guide) {
            self.open(interview);
            return true;
        }
        let reading = self.server.wanted.replace(guide.to_owned()).is_some_and(|wanted| wanted == guide);
        if let Some(facts) = self.facts.as_ref().filter(|_| !reading) {
            self.cmds.push(Cmd::Open { guide: guide.to_owned(), run: None, facts: Box::new(facts.clone()) });
        }
        false
    }

    /// Opens the questions of a guide with the answers of this run, which one of its applications was made by.
    pub fn reopen(&mut self, run: &str, guide: &str) {
        self.server.refused = None;
        self.server.wanted = Some(guide.to_owned());
        match &self.facts {
            None => self.server.wanted_run = Some(run.to_owned()),
            Some(facts) => {
                let (guide, run) = (guide.to_owned(), Some(run.to_owned()));
                self.cmds.push(Cmd::Open { guide, run, facts: Box::new(facts.clone()) });
            }
        }
    }

    /// Puts the questions of a guide on the model; those of another are kept.
    pub fn open(&mut self, interview: Interview) {
        self.server.wanted = None;
        let guide = interview.guide().id.clone();
        if let Some(other) = self.interview.replace(interview).filter(|other| other.guide().id != guide) {
            self.shelf.insert(other.guide().id.clone(), other);
        }
    }

    /// How many answers were typed and are kept nowhere else.
    pub fn unsaved(&self) -> usize {
        let interviews = self.interview.iter().chain(self.shelf.values());
        interviews.flat_map(|it| it.given().values.values()).filter(|(_, origin)| *origin == Origin::Typed).count()
    }

    /// What the review is made of.
    pub fn reviewed(&self) -> Reviewed<'_> {
        Reviewed {
            review: &self.review,
            interview: self.interview.as_ref(),
            server: &self.server,
            root: self.root,
            waiting: self.run_view.as_deref().filter(|run_view| run_view.waiting().is_some()),
        }
    }

    /// The pages that can be gone to, in order, each with its name and how it stands.
    pub fn contents(&self) -> Vec<(Route, String, Readiness)> {
        let of = |place: Route| (self.title(&place), self.readiness(&place), place);
        self.places().into_iter().map(of).map(|(title, readiness, place)| (place, title, readiness)).collect()
    }

    /// The pages that can be reached, in order.
    pub fn places(&self) -> Vec<Route> {
        let mut places: Vec<Route> = self.home.iter().map(|_| Route::Home).collect();
        places.extend([Route::Welcome, Route::Product]);
        if let Some(interview) = &self.interview {
            places.extend(interview.stages().into_iter().map(|stage| Route::Stage(stage.id.clone())));
            places.push(Route::Review);
        }
        if self.run_view.is_some() {
            places.push(Route::Run);
        }
        places
    }

    /// The page after (or before) this one.
    pub fn beside(&self, place: &Route, forward: bool) -> Option<Route> {
        let places = self.places();
        let at = places.iter().position(|candidate| candidate == place)?;
        let to = if forward { at + 1 } else { at.checked_sub(1)? };
        places.get(to).cloned()
    }

    /// The state of a page.
    pub fn readiness(&self, place: &Route) -> Readiness {
        let done = |done: bool| if done { Readiness::Ready } else { Readiness::Open };
        match (place, &self.interview) {
            (Route::Welcome, _) => match self.server.problems().count() {
                0 => done(self.facts.is_some()),
                count => Readiness::Missing(count),
            },
            (Route::Home, _) => done(self.home.as_ref().is_some_and(Home::is_looked_at)),
            (Route::Product, interview) => done(interview.is_some()),
            (Route::Review, Some(_)) if self.review.is_begun() => match self.reviewed().obstacles().len() {
                0 => done(self.review.is_compared()),
                count => Readiness::Missing(count),
            },
            (Route::Stage(id), Some(interview)) => match interview.standing(id) {
                Standing::Missing(count) if interview.refuses(id) => Readiness::Missing(count),
                Standing::Missing(count) => Readiness::Unanswered(count),
                Standing::Complete | Standing::NotAsked => Readiness::Ready,
            },
            _ => Readiness::Open,
        }
    }

    /// A page's name.
    pub fn title(&self, place: &Route) -> String {
        match place {
            Route::Home => "Applications".to_owned(),
            Route::Welcome => "Welcome".to_owned(),
            Route::Product => "Product".to_owned(),
            Route::Stage(id) => title_of(self.interview.as_ref(), id),
            Route::Review => "Review".to_owned(),
            Route::Run => self.run_view.as_ref().map_or("Run", |run_view| run_view.title()).to_owned(),
        }
    }
}

/// The name of a stage.
fn title_of(interview: Option<&Interview>, id: &str) -> String {
    let mut stages = interview.into_iter().flat_map(|interview| &interview.guide().stages);
    stages.find(|stage| stage.id == id).map_or_else(|| id.to_owned(), |stage| stage.title.clone())
}

/// The page with the questions of a stage; none where it has none now.
pub fn questions(interview: Option<&Interview>, stage: &str) -> Option<Route> {
    let asked = interview?.stages().into_iter().any(|asked| asked.id == stage);
    asked.then(|| Route::Stage(stage.to_owned()))
}
