//! What was found on this machine, before anything is asked.

use crate::ui::wizard::desk::Desk;
use crate::ui::wizard::doc::{Doc, Stop, Writer};
use crate::ui::wizard::keys::{Act, Offer, offer};
use crate::ui::wizard::page::{Page, Step};
use crate::ui::wizard::theme::{Role, Sign};

/// The first page.
pub struct Welcome;

impl Page for Welcome {
    fn write(&self, desk: &Desk, mut writer: Writer<'_>) -> Doc {
        writer.prose(
            Role::Value,
            0,
            "bringup sets up a product on this server. It asks, shows every change, and changes nothing before you say \
             yes. Whatever it does can be taken back.",
        );
        writer.blank();
        match &desk.facts {
            None => writer.note(Role::Dim, Sign::Working, 0, "looking at this machine"),
            Some(facts) => writer.note(Role::Good, Sign::Good, 0, &facts.os.name),
        }
        writer.blank();
        writer.button("continue", "Choose a product");
        writer.done()
    }

    fn offers(&self, _: &Desk, _: Option<&Stop>) -> Vec<Offer> {
        vec![offer(Act::Enter, "continue")]
    }

    fn act(&self, act: Act, _: Option<&Stop>, _: &mut Desk) -> Step {
        match act {
            Act::Enter => Step::Forward,
            _ => Step::Stay,
        }
    }
}
