//! The choice of a guide.

use crate::guide::load::Offered;
use crate::ui::wizard::keys::{self, Act, KeyHint, key_hint};
use crate::ui::wizard::model::Model;
use crate::ui::wizard::overlay::{Line, Overlay, Pager};
use crate::ui::wizard::page::{Page, Transition, help};
use crate::ui::wizard::theme::{Role, Sign};
use crate::ui::wizard::view::{Focus, View, ViewBuilder};

/// The page with the guides.
pub struct ProductPage;

impl Page for ProductPage {
    /// All of it where it fits on the screen; else the summaries are in the help, so that moving scrolls nothing.
    fn write(&self, model: &Model, writer: ViewBuilder<'_>) -> View {
        let short = writer.again();
        let whole = list(model, writer, true);
        // Two lines for each of which it is not known yet how it fits: nothing jumps when it is.
        let to_come = 2 * (model.products.len() - model.server.fits.len().min(model.products.len()));
        if whole.lines.len() + to_come <= short.height() { whole } else { list(model, short, false) }
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
            (Act::Help, Some(Focus::Item(at))) => model.products.get(*at).map_or(Transition::Stay, |product| {
                let mut lines = vec![Line::Prose(Role::Heading, product.title.clone())];
                lines.push(Line::Prose(Role::Value, product.summary.clone()));
                lines.extend(help::keys(&model.theme));
                Transition::Open(Box::new(Overlay::Pager(Pager::new("Help", lines))))
            }),
            (Act::Back, _) => Transition::Back,
            _ => Transition::Stay,
        }
    }
}

fn list(model: &Model, mut writer: ViewBuilder<'_>, whole: bool) -> View {
    let key = keys::name(writer.theme(), Act::Help, true).unwrap_or_default();
    let more = if whole { String::new() } else { format!(" ({key} explains each)") };
    writer.prose(Role::Value, 0, &format!("What shall this server become?{more}"));
    if let Some(why) = &model.server.refused {
        writer.note(Role::Bad, Sign::Bad, 0, why);
    }
    for (at, product) in model.products.iter().enumerate() {
        writer.blank();
        let stop = Focus::Item(at);
        let from = writer.row();
        one(model, product, &stop, &mut writer, whole);
        writer.stop(stop, from);
    }
    writer.done()
}

fn one(model: &Model, product: &Offered, stop: &Focus, writer: &mut ViewBuilder<'_>, whole: bool) {
    let chosen = model.interview.as_ref().map(|interview| interview.guide().id.as_str());
    let sign = if chosen == Some(product.id.as_str()) { Sign::Chosen } else { Sign::Open };
    // Only the sign is shown to be pointed at: over a slow line, a whole title would be felt.
    let role = if writer.at(stop) { Role::Focus } else { Role::Value };
    let title = writer.span(Role::Heading, &product.title);
    let pieces = vec![writer.sign(role, sign), writer.span(Role::Value, " "), title];
    writer.stop_line(stop, pieces, None);
    if whole {
        writer.prose(Role::Value, 6, &product.summary);
    }
    let stands = model.facts.as_ref().is_some_and(|facts| facts.applied.contains(&product.id));
    if stands {
        let says = "Applied on this server. You start with its answers, and only what differs is changed.";
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
            writer.note(Role::Good, Sign::Good, 6, "Fits this server; every question has a suggested answer.");
        }
    }
    if model.server.wanted.as_ref() == Some(&product.id) {
        let says = if model.facts.is_none() { "still checking this server" } else { "opening" };
        writer.note(Role::Dim, Sign::Working, 6, says);
    }
}
