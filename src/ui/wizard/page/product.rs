//! The choice of a guide.

use crate::guide::load::Offered;
use crate::ui::wizard::desk::Desk;
use crate::ui::wizard::doc::{Doc, Stop, Writer};
use crate::ui::wizard::keys::{Act, Offer, offer};
use crate::ui::wizard::page::{Page, Step};
use crate::ui::wizard::theme::{Role, Sign};

/// The page with the guides.
pub struct ProductPage;

impl Page for ProductPage {
    fn write(&self, desk: &Desk, mut writer: Writer<'_>) -> Doc {
        writer.prose(Role::Value, 0, "What shall this server become?");
        if let Some(why) = &desk.machine.refused {
            writer.note(Role::Bad, Sign::Bad, 0, why);
        }
        for (at, product) in desk.products.iter().enumerate() {
            writer.blank();
            let stop = Stop::Item(at);
            let from = writer.row();
            one(desk, product, &stop, &mut writer);
            writer.stop(stop, from);
        }
        writer.done()
    }

    fn offers(&self, _: &Desk, _: Option<&Stop>) -> Vec<Offer> {
        vec![offer(Act::Enter, "choose"), offer(Act::Back, "back")]
    }

    fn act(&self, act: Act, focus: Option<&Stop>, desk: &mut Desk) -> Step {
        match (act, focus) {
            (Act::Enter, Some(Stop::Item(at))) => {
                let Some(id) = desk.products.get(*at).map(|product| product.id.clone()) else { return Step::Stay };
                if desk.choose(&id) { Step::Forward } else { Step::Stay }
            }
            (Act::Back, _) => Step::Back,
            _ => Step::Stay,
        }
    }
}

fn one(desk: &Desk, product: &Offered, stop: &Stop, writer: &mut Writer<'_>) {
    let chosen = desk.interview.as_ref().map(|interview| interview.guide().id.as_str());
    let sign = if chosen == Some(product.id.as_str()) { Sign::Chosen } else { Sign::Open };
    let role = if writer.at(stop) { Role::Focus } else { Role::Heading };
    let pieces = vec![writer.sign(Role::Value, sign), writer.span(Role::Value, " "), writer.span(role, &product.title)];
    writer.stop_line(stop, pieces, None);
    writer.prose(Role::Value, 6, &product.summary);
    let stands = desk.facts.as_ref().is_some_and(|facts| facts.standing.contains(&product.id));
    if stands {
        let says = "Stands on this server. You begin with its answers, and only what differs is changed.";
        writer.note(Role::Good, Sign::Good, 6, says);
    }
    for unmet in desk.machine.unmet.get(&product.id).into_iter().flatten() {
        let hint = if unmet.hint.is_empty() { String::new() } else { format!(": {}", unmet.hint) };
        writer.note(Role::Bad, Sign::Bad, 6, &format!("{}{hint}", unmet.message));
    }
    if desk.machine.wanted.as_ref() == Some(&product.id) {
        let says = if desk.facts.is_none() { "one moment: this server is still looked at" } else { "opening" };
        writer.note(Role::Dim, Sign::Working, 6, says);
    }
}
