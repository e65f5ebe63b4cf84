//! The choice of a guide.

use crate::facts::Facts;
use crate::guide::load::Offered;
use crate::ui::wizard::keys::{self, Act, KeyHint, key_hint};
use crate::ui::wizard::model::server_status::ServerStatus;
use crate::ui::wizard::overlay::{Line, Overlay, Pager};
use crate::ui::wizard::page::{Page, Transition, help};
use crate::ui::wizard::theme::{Role, Sign, Theme};
use crate::ui::wizard::view::{Focus, View, ViewBuilder};

/// The page with the guides.
pub struct ProductPage<'m> {
    /// The guides on offer.
    pub products: &'m [Offered],
    /// How each fits this server, and which one is being read.
    pub server: &'m ServerStatus,
    /// What was found here; none while it is looked at.
    pub facts: Option<&'m Facts>,
    /// The guide whose questions are asked.
    pub chosen: Option<&'m str>,
    /// For the list of keys.
    pub theme: &'m Theme,
}

impl Page for ProductPage<'_> {
    /// As much as fits on the screen; the rest is in the help, so that moving scrolls nothing.
    fn write(&self, writer: ViewBuilder<'_>) -> View {
        // Two lines for each of which it is not known yet how it fits: nothing jumps when it is.
        let to_come = 2 * (self.products.len() - self.server.fits.len().min(self.products.len()));
        for detail in [Detail::Summaries, Detail::Fits] {
            let view = self.list(writer.again(), detail);
            if view.lines.len() + to_come <= writer.height() {
                return view;
            }
        }
        self.list(writer, Detail::Signs)
    }

    fn key_hints(&self, _: Option<&Focus>) -> Vec<KeyHint> {
        vec![key_hint(Act::Enter, "choose"), key_hint(Act::Back, "back")]
    }

    fn act(&self, act: Act, focus: Option<&Focus>) -> Transition {
        match (act, focus) {
            (Act::Enter, Some(Focus::Item(at))) => {
                let product = self.products.get(*at);
                product.map_or(Transition::Stay, |product| Transition::Choose(product.id.clone()))
            }
            (Act::Help, Some(Focus::Item(at))) => self.products.get(*at).map_or(Transition::Stay, |product| {
                let mut lines = vec![Line::Prose(Role::Heading, product.title.clone())];
                lines.push(Line::Prose(Role::Value, product.summary.clone()));
                let fit = self.server.fits.get(&product.id);
                let unmet = fit.into_iter().flat_map(|fit| &fit.unmet).map(|unmet| (Role::Bad, unmet));
                let needs = fit.into_iter().flat_map(|fit| &fit.needs).map(|need| (Role::Warning, need));
                lines.extend(unmet.chain(needs).map(|(role, text)| Line::Prose(role, capitalized(text))));
                lines.extend(help::keys(self.theme));
                Transition::Open(Box::new(Overlay::Pager(Pager::new("Help", lines))))
            }),
            (Act::Back, _) => Transition::Back,
            _ => Transition::Stay,
        }
    }
}

/// How much is said about each guide.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Detail {
    /// What it is, and how it fits this server.
    Summaries,
    /// How it fits.
    Fits,
    /// Whether it fits, in one line.
    Signs,
}

impl ProductPage<'_> {
    fn list(&self, mut writer: ViewBuilder<'_>, detail: Detail) -> View {
        let key = keys::name(writer.theme(), Act::Help, true).unwrap_or_default();
        let more = if detail == Detail::Summaries { String::new() } else { format!(" ({key} explains each)") };
        writer.prose(Role::Value, 0, &format!("What shall this server become?{more}"));
        if let Some(why) = &self.server.refused {
            writer.note(Role::Bad, Sign::Bad, 0, why);
        }
        for (at, product) in self.products.iter().enumerate() {
            if detail != Detail::Signs || at == 0 {
                writer.blank();
            }
            let stop = Focus::Item(at);
            let from = writer.row();
            self.one(product, &stop, &mut writer, detail);
            writer.stop(stop, from);
        }
        writer.done()
    }

    fn one(&self, product: &Offered, stop: &Focus, writer: &mut ViewBuilder<'_>, detail: Detail) {
        let sign = if self.chosen == Some(product.id.as_str()) { Sign::Chosen } else { Sign::Open };
        // Only the sign is shown to be pointed at: over a slow line, a whole title would be felt.
        let role = if writer.at(stop) { Role::Focus } else { Role::Value };
        let title = writer.span(Role::Heading, &product.title);
        let pieces = vec![writer.sign(role, sign), writer.span(Role::Value, " "), title];
        writer.stop_line(stop, pieces, None);
        if detail == Detail::Summaries {
            writer.prose(Role::Value, 6, &product.summary);
        }
        let stands = self.facts.is_some_and(|facts| facts.applied.contains(&product.id));
        let fit = self.server.fits.get(&product.id);
        if stands {
            let more = if detail == Detail::Signs {
                ""
            } else {
                " You start with its answers, and only what differs is changed."
            };
            writer.note(Role::Good, Sign::Good, 6, &format!("Applied on this server.{more}"));
        }
        if let Some(fit) = fit.filter(|_| detail == Detail::Signs) {
            let (role, sign, says) = match (fit.unmet.is_empty(), fit.needs.len()) {
                (false, _) => (Role::Bad, Sign::Bad, "Not on this server.".to_owned()),
                (true, 0) => (Role::Good, Sign::Good, "Fits this server.".to_owned()),
                (true, 1) => (Role::Warning, Sign::Right, "Needs one thing from you.".to_owned()),
                (true, n) => (Role::Warning, Sign::Right, format!("Needs {n} things from you.")),
            };
            if !stands || !fit.unmet.is_empty() {
                writer.note(role, sign, 6, &says);
            }
        } else if let Some(fit) = fit {
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
        if self.server.wanted.as_ref() == Some(&product.id) {
            let says = if self.facts.is_none() { "still checking this server" } else { "opening" };
            writer.note(Role::Dim, Sign::Working, 6, says);
        }
    }
}

/// As the beginning of a sentence.
fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
