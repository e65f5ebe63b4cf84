//! The choice of a guide.

use crate::guide::load::Offered;
use crate::ui::wizard::keys::{Act, KeyHint, key_hint};
use crate::ui::wizard::model::Model;
use crate::ui::wizard::page::{Page, Transition};
use crate::ui::wizard::theme::{Role, Sign};
use crate::ui::wizard::view::{Focus, View, ViewBuilder};

/// The page with the guides.
pub struct ProductPage;

impl Page for ProductPage {
    fn write(&self, model: &Model, mut writer: ViewBuilder<'_>) -> View {
        writer.prose(Role::Value, 0, "What shall this server become?");
        if let Some(why) = &model.server.refused {
            writer.note(Role::Bad, Sign::Bad, 0, why);
        }
        for (at, product) in model.products.iter().enumerate() {
            writer.blank();
            let stop = Focus::Item(at);
            let from = writer.row();
            one(model, product, &stop, &mut writer);
            writer.stop(stop, from);
        }
        writer.done()
    }

    fn key_hints(&self, _: &Model, _: Option<&Focus>) -> Vec<KeyHint> {
        vec![key_hint(Act::Enter, "choose"), key_hint(Act::Back, "back")]
    }

    fn act(&self, act: Act, focus: Option<&Focus>, model: &mut Model) -> Transition {
        match (act, focus) {
            (Act::Enter, Some(Focus::Item(at))) => {
                let Some(id) = model.products.get(*at).map(|product| product.id.clone()) else {
                    return Transition::Stay;
                };
                if model.choose(&id) { Transition::Forward } else { Transition::Stay }
            }
            (Act::Back, _) => Transition::Back,
            _ => Transition::Stay,
        }
    }
}

fn one(model: &Model, product: &Offered, stop: &Focus, writer: &mut ViewBuilder<'_>) {
    let chosen = model.interview.as_ref().map(|interview| interview.guide().id.as_str());
    let sign = if chosen == Some(product.id.as_str()) { Sign::Chosen } else { Sign::Open };
    // Only the sign is shown to be pointed at: over a slow line, a whole title would be felt.
    let role = if writer.at(stop) { Role::Focus } else { Role::Value };
    let title = writer.span(Role::Heading, &product.title);
    let pieces = vec![writer.sign(role, sign), writer.span(Role::Value, " "), title];
    writer.stop_line(stop, pieces, None);
    writer.prose(Role::Value, 6, &product.summary);
    let stands = model.facts.as_ref().is_some_and(|facts| facts.applied.contains(&product.id));
    if stands {
        let says = "Stands on this server. You begin with its answers, and only what differs is changed.";
        writer.note(Role::Good, Sign::Good, 6, says);
    }
    if let Some(fit) = model.server.fits.get(&product.id) {
        for unmet in &fit.unmet {
            writer.note(Role::Bad, Sign::Bad, 6, unmet);
        }
        for need in &fit.needs {
            writer.note(Role::Warning, Sign::Right, 6, need);
        }
        if fit.is_whole() && !stands {
            writer.note(Role::Good, Sign::Good, 6, "Fits this server; every question has an answer on offer.");
        }
    }
    if model.server.wanted.as_ref() == Some(&product.id) {
        let says = if model.facts.is_none() { "one moment: this server is still looked at" } else { "opening" };
        writer.note(Role::Dim, Sign::Working, 6, says);
    }
}
