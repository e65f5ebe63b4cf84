//! Line mode, as a person uses it, against the interview that it is built on.

mod screens;
mod walks;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::LazyLock;

use bringup::guide::{Guide, GuideFile, load};
use bringup::ui::prompts::{Gone, Talk};
use bringup::yaml;

/// A person who says what stands on a list, and a screen that keeps everything.
#[derive(Default)]
struct Script {
    lines: VecDeque<String>,
    screen: String,
}

impl Script {
    /// Lines with bars between them.
    fn of(lines: &str) -> Self {
        Self { lines: lines.split('|').map(str::to_owned).collect(), screen: String::new() }
    }

    /// The next line; a terminal shows it behind the prompt.
    fn next(&mut self, shown: bool) -> Result<String, Gone> {
        let line = self.lines.pop_front().ok_or(Gone::Ended)?;
        let echo = if shown { format!("> {line}") } else { "> ".to_owned() };
        self.screen.push_str(echo.trim_end());
        self.screen.push('\n');
        Ok(line)
    }
}

impl Talk for Script {
    fn tell(&mut self, text: &str) {
        self.screen.push_str(text);
    }

    fn line(&mut self, _begun: &str) -> Result<String, Gone> {
        self.next(true)
    }

    fn secret(&mut self) -> Result<String, Gone> {
        self.next(false)
    }
}

/// The shipped guides; reading one takes longer than a walk through it.
fn guides() -> &'static BTreeMap<String, Guide> {
    static GUIDES: LazyLock<BTreeMap<String, Guide>> = LazyLock::new(|| {
        load::list().into_iter().map(|guide| (guide.id.clone(), load::load(&guide.id).unwrap())).collect()
    });
    &GUIDES
}

/// A guide whose only question is a table.
fn table() -> Guide {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/guides/tiny/table.yaml");
    let stage = yaml::from_slice("table.yaml", &std::fs::read(file).unwrap()).unwrap();
    Guide { stages: vec![stage], ..tiny() }
}

/// One question of every type. Its help is missing, so it is put together without being linted.
fn tiny() -> Guide {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/guides/tiny");
    let bytes = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let file: GuideFile = yaml::from_slice("guide.yaml", &bytes("guide.yaml")).unwrap();
    let stages = file.stages.iter().map(|name| yaml::from_slice(name, &bytes(name)).unwrap()).collect();
    let (id, title, summary, requires) = (file.guide, file.title, file.summary, file.requires);
    Guide { id, title, summary, stages, requires, ..Guide::default() }
}
