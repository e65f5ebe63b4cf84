//! Before the first question: what was found on this machine, and what it can become.

use crate::error::Exit;
use crate::facts::Facts;
use crate::guide::load;
use crate::ui::prompts::voice::{Pick, Voice};

/// What was found on this machine, and how the dialogue works.
pub fn welcome(voice: &mut Voice<'_>, facts: &Facts) {
    voice.heading("bringup: from a fresh Debian to production, and back");
    voice.blank();
    for (label, value) in found(facts) {
        voice.hanging(&format!("  {label:<11} "), &value);
    }
    voice.blank();
    voice.prose(0, "Nothing is changed before you have seen the plan and said so.");
    voice.prose(0, "Enter takes what is offered, ? explains, < goes back, ! leaves.");
    if !facts.root {
        voice.blank();
        voice.prose(
            0,
            "You are not root. Everything can be answered, planned and saved; only `sudo bringup` can start it.",
        );
    }
}

/// The machine in a few lines.
fn found(facts: &Facts) -> Vec<(&'static str, String)> {
    let mut found = vec![
        ("System", format!("{}, {}, {}", facts.os.name, facts.arch, init(facts))),
        ("Name", facts.fqdn.clone()),
        ("Processors", format!("{} usable", facts.cpus.usable)),
        ("Memory", format!("{} MiB usable", facts.memory.usable_mib)),
    ];
    if let Some(disk) = facts.disks.get("/") {
        found.push(("Disk", format!("{} MiB free on /", disk.free_mib)));
    }
    if let Some(ssh) = &facts.ssh {
        found.push(("Connected", format!("over SSH from {}, port {} here", ssh.client, ssh.port)));
    }
    let mut ports: Vec<String> = facts.listening.iter().map(|socket| socket.port.to_string()).collect();
    ports.dedup();
    if !ports.is_empty() {
        found.push(("Ports taken", ports.join(", ")));
    }
    if !facts.standing.is_empty() {
        found.push(("Here already", facts.standing.join(", ")));
    }
    found
}

fn init(facts: &Facts) -> String {
    if facts.init == "systemd" { "systemd".to_owned() } else { "without systemd".to_owned() }
}

/// The id of the guide that is wanted. One that stands here is what Enter takes, or the only one there is.
pub fn choose_guide(voice: &mut Voice<'_>, facts: &Facts) -> Result<String, Exit> {
    let guides = load::list();
    let standing = guides.iter().position(|(id, _)| facts.standing.contains(id));
    let default = standing.or((guides.len() == 1).then_some(0));
    let titles: Vec<String> = guides.iter().map(|(_, title)| title.clone()).collect();
    loop {
        voice.blank();
        voice.line("What shall this server become?");
        match voice.choose(&titles, default)? {
            Pick::Item(at) => return Ok(guides[at].0.clone()),
            Pick::Back => voice.refusal("this is the first question", "! leaves"),
            Pick::Leave => {
                voice.line("Nothing was changed.");
                return Err(Exit::Rejected);
            }
        }
    }
}
