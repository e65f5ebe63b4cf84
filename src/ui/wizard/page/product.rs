//! The choice of a guide.

use crate::ui::wizard::desk::Desk;
use crate::ui::wizard::doc::{Doc, Stop, Writer};
use crate::ui::wizard::job::Job;
use crate::ui::wizard::keys::{Act, Offer, offer};
use crate::ui::wizard::page::{Page, Step};
use crate::ui::wizard::theme::{Role, Sign};

/// The page with the guides.
pub struct ProductPage;

impl Page for ProductPage {
    fn write(&self, desk: &Desk, mut writer: Writer<'_>) -> Doc {
        writer.prose(Role::Value, 0, "What shall this server become?");
        writer.blank();
        let chosen = desk.interview.as_ref().map(|interview| interview.guide().id.as_str());
        for (at, product) in desk.products.iter().enumerate() {
            let stop = Stop::Item(at);
            let from = writer.row();
            let sign = if chosen == Some(product.id.as_str()) { Sign::Chosen } else { Sign::Open };
            let role = if writer.at(&stop) { Role::Focus } else { Role::Heading };
            let pieces =
                vec![writer.sign(Role::Value, sign), writer.span(Role::Value, " "), writer.span(role, &product.title)];
            writer.stop_line(&stop, pieces, None);
            writer.prose(Role::Dim, 6, &product.summary);
            writer.stop(stop, from);
            writer.blank();
        }
        writer.done()
    }

    fn offers(&self, _: &Desk, _: Option<&Stop>) -> Vec<Offer> {
        vec![offer(Act::Enter, "choose"), offer(Act::Back, "back")]
    }

    fn act(&self, act: Act, focus: Option<&Stop>, desk: &mut Desk) -> Step {
        match (act, focus) {
            (Act::Enter, Some(Stop::Item(at))) => {
                let Some(product) = desk.products.get(*at) else { return Step::Stay };
                let chosen = desk.interview.as_ref().map(|interview| interview.guide().id.as_str());
                if chosen == Some(product.id.as_str()) {
                    return Step::Forward;
                }
                let Some(facts) = &desk.facts else { return Step::Stay };
                desk.jobs.push(Job::Open { guide: product.id.clone(), facts: Box::new(facts.clone()) });
                Step::Stay
            }
            (Act::Back, _) => Step::Back,
            _ => Step::Stay,
        }
    }
}
