//! Everything that the wizard's pages share: what is known of the machine, the answers, the run.

use crate::answers::interview::Interview;
use crate::facts::Facts;
use crate::ui::look::Look;
use crate::ui::wizard::editor::Editor;
use crate::ui::wizard::job::Job;
use crate::ui::wizard::theme::Theme;

/// A page of the wizard.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// What was found on this machine.
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

/// A guide on offer.
#[derive(Clone, Debug)]
pub struct Product {
    /// Its id.
    pub id: String,
    /// Its name.
    pub title: String,
    /// What the host will be afterwards.
    pub summary: String,
}

/// The state that pages read and change.
pub struct Desk {
    /// What the terminal can show.
    pub look: Look,
    /// Styles and signs.
    pub theme: Theme,
    /// What was found on this machine; none while it is looked at.
    pub facts: Option<Facts>,
    /// Whether we may change it.
    pub root: bool,
    /// The guides on offer.
    pub products: Vec<Product>,
    /// The answers, once a guide is chosen.
    pub interview: Option<Interview>,
    /// The text under the cursor, and the question it answers.
    pub editor: Option<(String, Editor)>,
    /// Whether the secret under the cursor is shown.
    pub revealed: bool,
    /// Work to be done outside, in order; taken by whoever drives the wizard.
    pub jobs: Vec<Job>,
}

impl Desk {
    /// A desk on which nothing lies yet but the guides.
    pub fn new(look: Look, root: bool, products: Vec<Product>) -> Self {
        Self {
            look,
            theme: Theme::new(look),
            facts: None,
            root,
            products,
            interview: None,
            editor: None,
            revealed: false,
            jobs: vec![Job::Probe],
        }
    }

    /// The pages that can be gone to, in order.
    pub fn places(&self) -> Vec<Place> {
        let mut places = vec![Place::Welcome, Place::Product];
        if let Some(interview) = &self.interview {
            places.extend(interview.stages().into_iter().map(|stage| Place::Stage(stage.id.clone())));
            places.push(Place::Review);
        }
        places
    }

    /// The page after (or before) this one.
    pub fn beside(&self, place: &Place, forward: bool) -> Option<Place> {
        let places = self.places();
        let at = places.iter().position(|candidate| candidate == place)?;
        let to = if forward { at + 1 } else { at.checked_sub(1)? };
        places.get(to).cloned()
    }

    /// A page's name.
    pub fn title(&self, place: &Place) -> String {
        match place {
            Place::Welcome => "Welcome".to_owned(),
            Place::Product => "Product".to_owned(),
            Place::Stage(id) => {
                let stages = self.interview.iter().flat_map(|interview| &interview.guide().stages);
                stages.into_iter().find(|stage| stage.id == *id).map_or_else(|| id.clone(), |stage| stage.title.clone())
            }
            Place::Review => "Review".to_owned(),
            Place::Run => "Run".to_owned(),
        }
    }
}
