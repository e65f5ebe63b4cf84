//! Before the first question: what was found on this server, and what it can become.

use crate::error::Exit;
use crate::facts::Facts;
use crate::guide::load;
use crate::host::Host;
use crate::preflight::run;
use crate::ui::fit::fits;
use crate::ui::preflight;
use crate::ui::prompts::voice::{Pick, Voice};

/// What was found on this server, and how the dialogue works.
pub fn welcome(host: &dyn Host, voice: &mut Voice<'_>, facts: &Facts) {
    voice.heading("bringup: from a fresh Debian to production, and back");
    voice.blank();
    voice.line("Checking this server ...");
    let found = run(host, facts, &|_| {});
    voice.blank();
    for line in preflight::page(voice.look, &found).lines() {
        voice.line(line);
    }
    voice.blank();
    voice.prose(0, "Nothing is changed until you have seen the plan and confirmed it.");
    voice.prose(0, "Enter accepts the suggested answer, ? explains, < goes back, ! leaves.");
    if !facts.root {
        voice.blank();
        let what = "You are not root. You can plan and save the answers; only `sudo bringup` can start.";
        voice.prose(0, what);
    }
}

/// Asks for a guide; returns its id. Enter accepts the applied one, or the only one.
pub fn choose_guide(voice: &mut Voice<'_>, facts: &Facts) -> Result<String, Exit> {
    let guides = load::list();
    let standing = guides.iter().position(|guide| facts.applied.contains(&guide.id));
    let default = standing.or((guides.len() == 1).then_some(0));
    let fits = fits(facts);
    let titles: Vec<String> = guides.iter().map(|guide| guide.title.clone()).collect();
    loop {
        voice.blank();
        for guide in &guides {
            let Some(fit) = fits.get(&guide.id) else { continue };
            for told in fit.unmet.iter().chain(&fit.needs) {
                voice.hanging("  ", &format!("{}: {told}", guide.title));
            }
        }
        voice.line("What shall this server become?");
        match voice.choose(&titles, default)? {
            Pick::Item(at) => return Ok(guides[at].id.clone()),
            Pick::Back => voice.refusal("this is the first question", "! leaves"),
            Pick::Leave => {
                voice.line("Nothing was changed.");
                return Err(Exit::Rejected);
            }
        }
    }
}
