//! Machines and answers for the tests of guides and plans.

use bringup::answers::Given;
use std::sync::LazyLock;

use bringup::answers::file::{self, peek_guide};
use bringup::answers::resolve::{Literals, resolve_file};
use bringup::error::Problem;
use bringup::facts::{Cpus, Disk, Facts, Memory, Netfilter, Os, Sshd};
use bringup::guide::{Guide, load};
use bringup::plan::Plan;
use bringup::plan::build::build;

/// A small fresh server of a release, with what PID 1 is called.
pub fn facts(codename: &str, init: &str) -> Facts {
    let version = match codename {
        "bullseye" => "11",
        "bookworm" => "12",
        "trixie" => "13",
        "jammy" => "22.04",
        "noble" => "24.04",
        _ => "10",
    };
    let (id, product) =
        if ["jammy", "noble"].contains(&codename) { ("ubuntu", "Ubuntu") } else { ("debian", "Debian GNU/Linux") };
    let mut facts = Facts {
        os: Os {
            id: id.to_owned(),
            codename: codename.to_owned(),
            version: version.to_owned(),
            name: format!("{product} {version} ({codename})"),
        },
        arch: "amd64".to_owned(),
        hostname: "web".to_owned(),
        fqdn: "web.example.org".to_owned(),
        cpus: Cpus { usable: 2, cores: 2, threads: 2, source: "2 processors".to_owned() },
        memory: Memory { usable_mib: 4096, total_mib: 4096, swap_mib: 0, source: String::new() },
        init: init.to_owned(),
        root: true,
        firewall: "none".to_owned(),
        netfilter: Netfilter { allowed: true, nft: true },
        sshd: Sshd { ports: vec![22], listening: vec!["0.0.0.0:22".to_owned()], peers: Vec::new(), admins: Vec::new() },
        ipv6: true,
        name_servers: vec!["192.0.2.53".to_owned()],
        ..Facts::default()
    };
    if id == "ubuntu" {
        // Ubuntu's server images bring it, active or not.
        facts.installed.insert("ufw".to_owned(), "0.36".to_owned());
    }
    facts.disks.insert("/".to_owned(), Disk { free_mib: 20_000, total_mib: 30_000 });
    facts
}

/// The plan that these answers came to, which must be right.
#[track_caller]
pub fn right(made: Result<Plan, Vec<Problem>>, answers: &str) -> Plan {
    made.unwrap_or_else(|problems| {
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        panic!("{answers}{}", told.join("\n"));
    })
}

/// The plan of an answers file on a host, all the way that the program goes.
pub fn planned(facts: &Facts, name: &str, answers: &[u8]) -> Result<Plan, Vec<Problem>> {
    // Reading a guide takes longer than everything after it, and there are hundreds of plans here.
    static WEBAPP: LazyLock<Result<Guide, Vec<Problem>>> = LazyLock::new(|| load::load("webapp"));
    let other;
    let id = peek_guide(name, answers)?;
    let guide = if id == "webapp" {
        WEBAPP.as_ref().map_err(Clone::clone)?
    } else {
        other = load::load(&id)?;
        &other
    };
    let read = file::read(name, answers, guide, Literals::Refused)?;
    let resolved = resolve_file(guide, facts, &read, &Given::default())?;
    build(guide, facts, &resolved)
}
