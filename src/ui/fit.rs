//! Whether a guide fits this server, and what it still needs from its user: shown where the guide is chosen, before its
//! pages.

use std::collections::BTreeMap;

use crate::answers::Given;
use crate::answers::interview::{Gap, Interview};
use crate::answers::resolve::{UNANSWERED, requirements};
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

fn joined(message: &str, hint: &str) -> String {
    if hint.is_empty() { message.to_owned() } else { format!("{message}: {hint}") }
}

fn first_sentence(help: &str) -> String {
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    help.split_inclusive(". ").next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::facts::probe::probe;
    use crate::host::fake::FakeHost;
    use crate::yaml;

    fn guide(requires: &str, question: &str) -> Guide {
        let stage = format!(
            "id: shop\ntitle: Shop\nwhy: It sells.\nquestions:\n  - {{id: name, ask: Which name?, type: text, default: a}}\n  - {question}\n"
        );
        Guide {
            id: "shop".to_owned(),
            requires: yaml::from_slice("guide.yaml", requires.as_bytes()).unwrap(),
            stages: vec![yaml::from_slice("stage.yaml", stage.as_bytes()).unwrap()],
            ..Guide::default()
        }
    }

    #[test]
    fn what_a_guide_needs_of_this_server_is_known_before_its_first_question() {
        let on = |question: &str| {
            let rule = "[{that: \"facts.os.codename == 'bookworm'\", message: not supported, hint: use Debian 12}]";
            let fits = |release| fit(guide(rule, question), &probe(&FakeHost::debian(release)));
            (fits("bookworm"), fits("bullseye"))
        };
        let (here, elsewhere) = on("{id: more, ask: More?, type: bool, default: false}");
        assert!(here.is_whole());
        assert_eq!((elsewhere.unmet, elsewhere.needs.len()), (vec!["not supported: use Debian 12".to_owned()], 0));
        let (here, _) = on("{id: mail, ask: Whose address?, type: email, help: 'It is written to. Often.'}");
        assert_eq!(
            (here.needs.as_slice(), here.is_whole()),
            (&["have ready: Whose address? It is written to.".to_owned()][..], false)
        );
        let (here, _) = on("{id: size, ask: How large?, type: integer, max: 5, default: 9}");
        assert!(here.needs[0].contains("9 is out of range"), "a default that does not fit is a need: {here:?}");
    }
}
