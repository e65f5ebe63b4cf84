//! The pictures of the README: the wizard's own frames as SVG, kept beside the tests. They are compared here, so
//! they cannot show what is not so; `CAPTURES=write cargo test --lib captures` makes them anew.

#![allow(clippy::disallowed_methods)]

use std::fmt::Write as _;
use std::path::Path;

use super::run::{stuck, told};
use super::svg::svg;
use super::*;
use crate::facts::{Cpus, Disk, Facts, Memory, Netfilter, Os, Sshd};
use crate::ui::run_state::recorded::recorded;

const SIZE: (u16, u16) = (80, 24);
/// The head of the page that shows all pictures.
const PAGE: &str = "# The wizard in pictures\n\nThe wizard's own frames at 80x24, written and compared by a test: \
                    `CAPTURES=write cargo test --lib captures` makes\nthem and this page anew.\n";

/// A small server, as many have it.
fn facts() -> Facts {
    let mut facts = Facts {
        os: Os {
            id: "debian".to_owned(),
            codename: "bookworm".to_owned(),
            version: "12".to_owned(),
            name: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        },
        arch: "amd64".to_owned(),
        hostname: "app".to_owned(),
        fqdn: "app.example.org".to_owned(),
        cpus: Cpus { usable: 2, cores: 2, threads: 2, source: "2 processors".to_owned() },
        memory: Memory { usable_mib: 2048, total_mib: 2048, swap_mib: 0, source: String::new() },
        init: "systemd".to_owned(),
        root: true,
        firewall: "none".to_owned(),
        ipv6: true,
        netfilter: Netfilter { allowed: true, nft: true },
        sshd: Sshd { ports: vec![22], ..Sshd::default() },
        ..Facts::default()
    };
    facts.disks.insert("/".to_owned(), Disk { free_mib: 20_000, total_mib: 30_000 });
    facts
}

/// The wizard in colour, at a stage of the shipped guide.
fn at(stage: &str, focus: Option<Focus>) -> App {
    let mut app = coloured(wizard(SIZE));
    app.tell(Msg::Facts(Box::new(facts())));
    app.cmds();
    let guide = crate::guide::load::load("webapp").unwrap();
    app.tell(Msg::Opened(Box::new(Interview::new(guide, facts(), crate::answers::Given::default()))));
    app.go(Route::Stage(stage.to_owned()), focus);
    app.settle();
    app
}

fn coloured(mut app: App) -> App {
    app.model.theme = crate::ui::wizard::theme::Theme::new(Look { colour: true, ..app.model.look });
    app.settle();
    app
}

fn picture(title: &str, app: &App) -> String {
    let mut terminal = Terminal::new(TestBackend::new(SIZE.0, SIZE.1)).unwrap();
    let mut cursor = None;
    terminal.draw(|frame| app.draw(frame)).unwrap();
    if let (Some(_), Ok(position)) = (&app.doc.cursor, terminal.get_cursor_position()) {
        cursor = Some((position.x, position.y));
    }
    svg(title, terminal.backend().buffer(), cursor)
}

#[test]
fn captures_show_what_is_so() {
    let mut database = at("database", None);
    press(&mut database, "Down Space");
    let mut workers = at("workers", Some(Focus::Field("workers.users".to_owned())));
    press(&mut workers, "4 0");
    let host = super::home::two();
    let mut home = coloured(super::home::home(&host, SIZE));
    settle_on(&mut home, &host);
    let mut product = coloured(super::review::on(&super::review::fit(), SIZE));
    press(&mut product, "Enter");
    let review = coloured(super::review::reviewing(&super::review::fit(), SIZE, &[]));
    let mut work = super::run::quickstart();
    work.truncate(work.len() / 2);
    let scenes = vec![
        ("home", "Home: every application, how well it is, and what can be done", home),
        ("product", "The products, with what fits this server and what each still needs", product),
        ("stage", "A stage: why it matters, its questions, where each answer comes from", database),
        ("sizing", "Workers and memory, drawn while the numbers change", workers),
        ("review", "The review: changes first, how long it will take, what stays", review),
        ("run", "A run at work: how far, how long, and the output of the step", coloured(told(SIZE, &work))),
        ("failure", "A run that failed asks what to do", coloured(told(SIZE, &stuck()))),
        ("result", "The result: what one needs now, the rest behind a key", coloured(told(SIZE, &recorded()))),
    ];
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let mut page = String::from(PAGE);
    for (name, title, _) in &scenes {
        let _ = write!(page, "\n## {title}\n\n![{title}](../tests/captures/{name}.svg)\n");
    }
    kept(&dir.join("../../docs/captures.md"), &page);
    for (name, title, app) in scenes {
        kept(&dir.join(format!("{name}.svg")), &picture(title, &app));
    }
}

/// Compares a file with what it should be now, or writes it.
#[track_caller]
fn kept(path: &Path, now: &str) {
    if std::env::var_os("CAPTURES").is_some() {
        std::fs::write(path, now).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == now, "{} is not what the wizard shows; see this file's head", path.display());
}
