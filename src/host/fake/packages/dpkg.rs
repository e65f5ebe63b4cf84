//! dpkg and dpkg-query.

use super::{FIELDS, INSTALLED, Stanza, UNPACKED, bare, list_file};
use crate::host::fake::programs::Program;

/// `dpkg`.
pub(in crate::host::fake) fn dpkg(program: &mut Program<'_>) -> i32 {
    let operands = program.operands(&["-o", "--force"]);
    if program.has(&["--print-architecture"]) {
        program.say("amd64");
        return 0;
    }
    if program.has(&["--audit"]) || program.args.iter().any(|arg| arg == "-C") {
        for name in program.world.unconfigured() {
            program.say(format!(" {name} made for a test"));
        }
        return 0;
    }
    if program.has(&["--get-selections"]) {
        for (name, stanza) in program.world.stanzas() {
            let state =
                stanza.get("Status").and_then(|status| status.split(' ').next()).unwrap_or("install").to_owned();
            program.say(format!("{name}\t\t\t\t{state}"));
        }
        return 0;
    }
    if program.has(&["--configure"]) {
        if program.world.is_locked() {
            return program.fail(2, "dpkg: error: dpkg frontend lock was locked by another process with pid 4711");
        }
        return match program.world.configure_all() {
            Ok(()) => 0,
            Err(error) => program.fail(1, error),
        };
    }
    if program.has(&["--purge", "--remove"]) || program.args.first().is_some_and(|arg| arg == "-P" || arg == "-r") {
        let purge = program.args.iter().any(|arg| arg == "--purge" || arg == "-P");
        let names: Vec<String> = operands.iter().map(|name| bare(name)).collect();
        let offline = program.is_offline();
        for name in program.world.with_dependents(&names) {
            program.world.take_off(&name, purge, offline);
        }
        return 0;
    }
    dpkg_query(program)
}

/// `dpkg-query -W [-f FORMAT] [NAME…]`, `-s NAME`, `-L NAME`, `-l`.
pub(in crate::host::fake) fn dpkg_query(program: &mut Program<'_>) -> i32 {
    let names: Vec<String> = program.operands(&["-f", "--showformat"]).iter().map(|name| bare(name)).collect();
    let stanzas = program.world.stanzas();
    let wanted = |name: &String| names.is_empty() || names.iter().any(|wanted| matches(wanted, name));
    let mut format = program.value(&["-f", "--showformat"]);
    if format.is_none() {
        format = program.args.iter().find_map(|arg| arg.strip_prefix("-f").map(str::to_owned));
    }
    let mut status = 0;
    for name in names.iter().filter(|name| !stanzas.keys().any(|known| matches(name, known))) {
        status = program.fail(1, format!("dpkg-query: no packages found matching {name}"));
    }
    for (name, stanza) in stanzas.iter().filter(|(name, _)| wanted(name)) {
        let text = if program.has(&["-L", "--listfiles"]) {
            program.world.files.text(list_file(name))
        } else if program.has(&["-s", "--status"]) {
            stanza.iter().fold(String::new(), |all, (name, value)| all + &format!("{name}: {value}\n")) + "\n"
        } else if program.has(&["-l", "--list"]) {
            format!("{}  {name} {} amd64 made for a test\n", abbreviation(stanza), stanza["Version"])
        } else {
            filled_in(format.as_deref().unwrap_or("${binary:Package}\t${Version}\n"), stanza)
        };
        program.out.push_str(&text);
    }
    status
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

fn abbreviation(stanza: &Stanza) -> &'static str {
    match stanza.get("Status").map(String::as_str) {
        Some(INSTALLED) => "ii ",
        Some(UNPACKED) => "iU ",
        _ => "rc ",
    }
}

fn filled_in(format: &str, stanza: &Stanza) -> String {
    let mut text = format.replace("\\n", "\n").replace("\\t", "\t");
    let field = |name: &str| stanza.get(name).map_or("", String::as_str);
    let state = field("Status").rsplit(' ').next().unwrap_or_default();
    let computed = [
        ("${binary:Package}", field("Package")),
        ("${db:Status-Abbrev}", abbreviation(stanza)),
        ("${db:Status-Status}", state),
        ("${Multi-Arch}", ""),
    ];
    for (mark, value) in computed {
        text = text.replace(mark, value);
    }
    for name in FIELDS {
        text = text.replace(&format!("${{{name}}}"), field(name));
    }
    text
}
