//! Whether a guide fits this server, and what it still needs from its user: shown where the guide is chosen, before its
//! pages.

use std::collections::BTreeMap;

use crate::answers::Given;
use crate::answers::interview::{Gap, Interview};
use crate::answers::resolve::requirements;
use crate::error::Problem;
use crate::facts::Facts;
use crate::guide::Guide;
use crate::guide::load;

/// How a guide fits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fit {
    /// What this server lacks: the guide cannot be applied here.
    pub unmet: Vec<String>,
    /// What the user has to provide or decide for this server.
    pub needs: Vec<String>,
}

impl Fit {
    /// Nothing prevents it, and every question has a suggested answer.
    pub fn is_whole(&self) -> bool {
        self.unmet.is_empty() && self.needs.is_empty()
    }
}

/// Every shipped guide, by its id. One that cannot be read is left out: opening it says why.
pub fn fits(facts: &Facts) -> BTreeMap<String, Fit> {
    let guides = load::list().into_iter().filter_map(|guide| load::load(&guide.id).ok());
    guides.map(|guide| (guide.id.clone(), fit(guide, facts))).collect()
}

fn fit(guide: Guide, facts: &Facts) -> Fit {
    let sentence = |Problem { message, hint, .. }: &Problem| joined(message, hint);
    let unmet: Vec<String> = requirements(&guide, facts).iter().map(sentence).collect();
    if !unmet.is_empty() {
        return Fit { unmet, needs: Vec::new() };
    }
    // With every suggested answer in place, what is left is for the user to provide.
    let interview = Interview::new(guide, facts.clone(), Given::default());
    let gaps = interview.gaps();
    let needs = gaps.iter().filter(|gap| gap.question.is_some()).map(|gap| need(&interview, gap)).collect();
    Fit { unmet, needs }
}

/// A question without an answer is shown with what it asks for, and a refused answer with its reason.
fn need(interview: &Interview, gap: &Gap) -> String {
    let path = format!("{}.{}", gap.stage.as_deref().unwrap_or_default(), gap.question.as_deref().unwrap_or_default());
    match interview.question(&path).filter(|_| gap.message == UNANSWERED) {
        Some(question) => format!("have ready: {} {}", question.ask, first_sentence(&question.help)),
        None => joined(&gap.message, &gap.hint),
    }
}

/// What is said of a question that has no answer.
const UNANSWERED: &str = "must be answered";

fn joined(message: &str, hint: &str) -> String {
    if hint.is_empty() { message.to_owned() } else { format!("{message}: {hint}") }
}

fn first_sentence(help: &str) -> String {
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    help.split_inclusive(". ").next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::probe::probe;
    use crate::host::fake::FakeHost;

    #[test]
    fn what_a_guide_needs_of_this_server_is_known_before_its_first_question() {
        let on = |release: &str| fits(&probe(&FakeHost::debian(release)));
        let (bookworm, bullseye) = (on("bookworm"), on("bullseye"));
        let python =
            |fits: &BTreeMap<String, Fit>| fits["flectra"].needs.iter().any(|need| need.contains("Python 3.7 to 3.9"));
        assert!(python(&bookworm) && !python(&bullseye), "{bookworm:?}");
        assert!(bookworm["weblab-deusto"].needs[0].contains("no Python 2.7"), "{bookworm:?}");
        assert!(bullseye["weblab-deusto"].is_whole() && bookworm["webapp"].is_whole());
        assert!(!on("sid")["flectra"].unmet.is_empty());
    }
}
