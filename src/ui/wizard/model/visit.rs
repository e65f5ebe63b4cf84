//! What a stage's page remembers while it is open.

use crate::answers::interview::Interview;
use crate::sizing::Sizing;
use crate::ui::wizard::page::sizing;

/// The questions that came and went since the page was opened, and the last figures that could be drawn.
#[derive(Debug, Default)]
pub struct Visit {
    stage: String,
    asked: Vec<String>,
    /// Questions that the last change brought.
    more: Vec<String>,
    /// How many it took away.
    fewer: usize,
    sizing: Option<Sizing>,
}

impl Visit {
    /// Looks at the questions of the open page again; none when another page is open.
    pub fn look(&mut self, interview: &Interview, stage: Option<&str>) {
        let Some(stage) = stage else { return *self = Self::default() };
        let asked: Vec<String> = interview.fields(stage).into_iter().map(|field| field.path).collect();
        if self.stage != stage {
            *self = Self { stage: stage.to_owned(), asked, ..Self::default() };
        } else if self.asked != asked {
            self.more = asked.iter().filter(|path| !self.asked.contains(path)).cloned().collect();
            self.fewer = self.asked.iter().filter(|path| !asked.contains(path)).count();
            self.asked = asked;
        }
        if let Some(sizing) = sizing::of(interview, stage) {
            self.sizing = Some(sizing);
        }
    }

    /// Whether the page draws figures that follow its answers.
    pub fn draws(&self) -> bool {
        self.sizing.is_some()
    }

    /// Whether the last change brought this question.
    pub fn is_new(&self, path: &str) -> bool {
        self.more.iter().any(|new| new == path)
    }

    /// What the last change did to the questions, in words.
    pub fn notice(&self) -> Option<String> {
        let questions = |count: usize| if count == 1 { "question" } else { "questions" };
        match (self.more.len(), self.fewer) {
            (0, 0) => None,
            (0, fewer) => Some(format!("{fewer} fewer {}", questions(fewer))),
            (more, _) => Some(format!("{more} more {}", questions(more))),
        }
    }

    /// The figures to draw while an answer that they need is refused.
    pub fn last_sizing(&self) -> Option<&Sizing> {
        self.sizing.as_ref()
    }
}
