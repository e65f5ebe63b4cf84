//! Guides from YAML: those that ship with the binary, and a person's own directory.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::action::Action;
use crate::assets::{self, Tree};
use crate::error::Problem;
use crate::guide::{
    ActionSpec, Exposed, Guide, GuideFile, Local, Notice, OutputSpec, PackageSpec, ProofSpec, Question, Releases, Rule,
    Stage, anywhere, lint, place, renamed,
};
use crate::host::Host;
use crate::proof::Proof;
use crate::suggest::nearest;
use crate::yaml;

/// The version of the format that this binary reads.
const FORMAT: u32 = 1;

/// A guide on offer.
#[derive(Clone, Debug, Deserialize)]
pub struct Offered {
    /// Its id.
    #[serde(rename = "guide")]
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// What the host will be afterwards.
    pub summary: String,
    /// Its place in the list; see [`GuideFile::order`](crate::guide::GuideFile::order).
    #[serde(default = "anywhere")]
    pub order: u32,
}

/// The guides that ship with the binary, without reading their stages.
pub fn list() -> Vec<Offered> {
    let head = |id: String| {
        let name = format!("{id}/guide.yaml");
        // One that cannot be read is refused when it is chosen; a test reads all that ship.
        assets::screen(&name).and_then(|bytes| yaml::from_slice(&name, bytes).ok())
    };
    let mut offered: Vec<Offered> = assets::guides().into_iter().filter_map(head).collect();
    offered.sort_by(|one, other| (one.order, &one.id).cmp(&(other.order, &other.id)));
    offered
}

/// A guide that ships with the binary.
pub fn load(id: &str) -> Result<Guide, Vec<Problem>> {
    let known = assets::guides();
    if !known.iter().any(|guide| guide == id) {
        let hint = nearest(id, known.iter().map(String::as_str)).map_or_else(
            || format!("there are: {}", known.join(", ")),
            |near| format!("did you mean {near}? There are: {}", known.join(", ")),
        );
        return Err(vec![problem("", "guide", format!("there is no guide {id}"), hint)]);
    }
    let mut tree = assets::below("common");
    tree.extend(assets::below(id));
    let read = |path: &str| {
        let path = if path.starts_with("common/") { path.to_owned() } else { format!("{id}/{path}") };
        assets::screen(&path).map(|bytes| (path, bytes.to_vec()))
    };
    assemble(Some(id), &read, tree)
}

/// A guide in a directory of this host: `guide.yaml`, the stage files and `assets/`. What it shares with the
/// shipped guides (`common/…`) comes from the binary unless the directory has its own.
pub fn load_dir(host: &dyn Host, dir: &Path) -> Result<Guide, Vec<Problem>> {
    let files = assets::read_tree(host, dir).map_err(|failure| {
        vec![problem(&dir.display().to_string(), "", failure.to_string(), failure.hint.unwrap_or_default())]
    })?;
    let mut tree = assets::below("common");
    for (name, bytes) in &files {
        if let Some(name) = name.strip_prefix("assets/") {
            tree.insert(name.to_owned(), bytes.clone());
        }
    }
    let read = |path: &str| {
        let own = files.get(path).map(|bytes| (dir.join(path).display().to_string(), bytes.clone()));
        own.or_else(|| {
            let shared = path.starts_with("common/").then(|| assets::screen(path)).flatten()?;
            Some((path.to_owned(), shared.to_vec()))
        })
    };
    // Read again later, perhaps by a process that works elsewhere.
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    Ok(Guide { dir: Some(dir), ..assemble(None, &read, tree)? })
}

type Read<'a> = &'a dyn Fn(&str) -> Option<(String, Vec<u8>)>;

/// A directory of the user's may be called anything (a checkout, an unpacked archive), so only the shipped guides
/// have an `id` to agree with.
fn assemble(id: Option<&str>, read: Read<'_>, tree: Tree) -> Result<Guide, Vec<Problem>> {
    let Some((name, bytes)) = read("guide.yaml") else {
        let hint = "a guide is a directory with guide.yaml, its stage files and assets/".to_owned();
        return Err(vec![problem("guide.yaml", "", "there is no guide.yaml".to_owned(), hint)]);
    };
    let file: GuideFile = yaml::from_slice(&name, &bytes)?;
    let mut problems = Vec::new();
    if file.version != FORMAT {
        let message = format!("this guide is written in version {} of the format", file.version);
        problems.push(problem("", "version", message, format!("this bringup reads version {FORMAT}")));
    }
    if let Some(id) = id
        && file.guide != id
    {
        let message = format!("the guide calls itself {} but its directory is {id}", file.guide);
        problems.push(problem("", "guide", message, "let both have the same name".to_owned()));
    }
    let mut releases = Releases::new();
    for path in ["common/releases.yaml", "releases.yaml"] {
        let Some((name, bytes)) = read(path) else { continue };
        match yaml::from_slice::<Releases>(&name, &bytes) {
            // A guide's own value wins over the shared one.
            Ok(table) => table.into_iter().for_each(|(line, values)| releases.entry(line).or_default().extend(values)),
            Err(found) => problems.extend(found),
        }
    }
    let mut stages = Vec::new();
    let mut files = vec![(name, bytes)];
    for (index, path) in file.stages.iter().enumerate() {
        let Some((name, bytes)) = read(path) else {
            let hint = "a stage lies beside guide.yaml, or is shared as common/…".to_owned();
            problems.push(problem("", &format!("stages[{index}]"), format!("there is no file {path}"), hint));
            continue;
        };
        match stage(&name, &bytes) {
            Ok(stage) => {
                problems.extend(kinds(&stage));
                stages.push(stage);
            }
            Err(found) => problems.extend(found),
        }
        files.push((name, bytes));
    }
    let guide = Guide {
        id: file.guide,
        title: file.title,
        summary: file.summary,
        stages,
        requires: file.requires,
        releases,
        assets: tree,
        dir: None,
    };
    if problems.is_empty() {
        problems = lint::lint(&guide);
    }
    if problems.is_empty() {
        return Ok(guide);
    }
    place::place(&mut problems, &files);
    Err(problems)
}

/// A stage; what is wrong with it, and which keys have other names today.
fn stage(name: &str, bytes: &[u8]) -> Result<Stage, Vec<Problem>> {
    entries(name, bytes).map_err(|mut problems| {
        for problem in problems.iter_mut().filter(|problem| problem.hint.is_empty()) {
            problem.hint = renamed::hint(&problem.message).unwrap_or_default();
        }
        problems
    })
}

/// A stage, or every entry of its lists that is not of its form: the reader itself stops at the first.
fn entries(name: &str, bytes: &[u8]) -> Result<Stage, Vec<Problem>> {
    let first = match yaml::from_slice::<Stage>(name, bytes) {
        Ok(stage) => return Ok(stage),
        Err(first) => first,
    };
    let Ok(document) = yaml::parse(name, bytes) else { return Err(first) };
    let mut problems: Vec<(u32, Problem)> = Vec::new();
    for (list, wrong) in ENTRIES {
        let Some((_, yaml::Node { content: yaml::Content::Seq(items), .. })) = document.root().get(list) else {
            continue;
        };
        for item in items {
            if let Some(why) = wrong(item.to_json()) {
                problems.push((item.at, problem(&document.place(item.at), list, why, String::new())));
            }
        }
    }
    problems.sort_by_key(|(at, _)| *at);
    let mut problems: Vec<Problem> = problems.into_iter().map(|(_, problem)| problem).collect();
    // The reader's own says where within the first of them.
    if let Some(one) =
        problems.first_mut().filter(|one| first.iter().any(|first| first.message.ends_with(&one.message)))
    {
        first[0].place.clone_into(&mut one.place);
        return Err(problems);
    }
    Err([first, problems].concat())
}

/// What is wrong with a value, read as a type.
fn wrong<T: DeserializeOwned>(value: Value) -> Option<String> {
    serde_json::from_value::<T>(value).err().map(|error| error.to_string())
}

type Wrong = fn(Value) -> Option<String>;

/// The lists of a stage, and how to see whether an entry has the form of its list.
const ENTRIES: [(&str, Wrong); 9] = [
    ("questions", wrong::<Question>),
    ("locals", wrong::<Local>),
    ("exposes", wrong::<Exposed>),
    ("rules", wrong::<Rule>),
    ("notices", wrong::<Notice>),
    ("packages", wrong::<PackageSpec>),
    ("actions", wrong::<ActionSpec>),
    ("proofs", wrong::<ProofSpec>),
    ("outputs", wrong::<OutputSpec>),
];

/// Every action and every proof has exactly one key that names its kind, and nothing else.
fn kinds(stage: &Stage) -> Vec<Problem> {
    let mut problems = Vec::new();
    for action in &stage.actions {
        // Packages are written as a list of the stage, so that all of them can become one transaction.
        let known = Action::KINDS.iter().copied().filter(|kind| *kind != "packages");
        let path = format!("{}.actions.{}", stage.id, action.id);
        problems.extend(one_kind(&path, &action.body, &known.collect::<Vec<_>>()));
    }
    for proof in &stage.proofs {
        let path = format!("{}.proofs.{}", stage.id, proof.id);
        problems.extend(one_kind(&path, &proof.body, Proof::KINDS));
    }
    problems
}

fn one_kind(path: &str, body: &BTreeMap<String, Value>, known: &[&'static str]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for key in body.keys().filter(|key| !known.contains(&key.as_str())) {
        let all = [known, &["id", "reason", "when", "phase", "for_each", "skip_reason"]].concat();
        let hint = renamed::nearest(key, all.iter().copied())
            .map_or_else(|| format!("kinds are: {}", known.join(", ")), |near| format!("did you mean {near}?"));
        problems.push(problem("", path, format!("`{key}` is no kind and no common key"), hint));
    }
    let found: Vec<&str> = body.keys().map(String::as_str).filter(|key| known.contains(key)).collect();
    if found.len() > 1 {
        let message = format!("one action or proof has one kind, here are {}", found.join(" and "));
        problems.push(problem("", path, message, "write one entry for each".to_owned()));
    }
    if body.is_empty() {
        problems.push(problem("", path, "it says not what to do".to_owned(), format!("one of: {}", known.join(", "))));
    }
    problems
}

fn problem(place: &str, path: &str, message: String, hint: String) -> Problem {
    Problem { place: place.to_owned(), path: path.to_owned(), message, hint }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fake::FakeHost;

    fn assembled(files: &[(&str, &str)]) -> Result<Guide, Vec<Problem>> {
        let read = |path: &str| {
            files
                .iter()
                .find(|(name, _)| *name == path)
                .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()))
        };
        assemble(Some("t"), &read, Tree::new())
    }

    const GUIDE: &str = "version: 1\nguide: t\ntitle: T\nsummary: S\nstages: [a.yaml]\n";

    #[test]
    fn an_unknown_kind_is_told_with_the_nearest_one() {
        let stage = "id: a\ntitle: A\nwhy: because\nactions:\n  - {id: x, reason: b, symlnk: {path: /a}}\n";
        let problems = assembled(&[("guide.yaml", GUIDE), ("a.yaml", stage)]).unwrap_err();
        assert_eq!(
            problems[0].to_string(),
            "a.yaml:5:5: a.actions.x: `symlnk` is no kind and no common key (did you mean symlink?)"
        );
    }

    #[test]
    fn every_problem_of_the_linter_has_its_file_and_line() {
        let guide = format!("{GUIDE}requires:\n  - that: facts.nothing\n    message: m\n");
        let stage = "id: a\ntitle: A\nwhy: because\nquestions:\n  - id: q\n    ask: q?\n    type: text\n    help: ''\n\
            rules:\n  - {that: a.q == 'x', message: m}\n  - that: a.nothing\n    message: m\n    field: a.qq\n\
            actions:\n  - id: x\n    reason: b\n    symlink:\n      path: /a\n      traget: /b\n\
            proofs:\n  - {id: p, http: {url: 'http://{{ a.z }}/'}}\noutputs:\n  - {label: Two words, value: '{{ a.z }}'}\n";
        let problems = assembled(&[("guide.yaml", &guide), ("a.yaml", stage)]).unwrap_err();
        let shown: Vec<_> = problems.iter().map(|one| format!("{}: {}", one.place, one.path)).collect();
        let expected = [
            "guide.yaml:7:5: requires[0]",
            "a.yaml:5:5: a.q",
            "a.yaml:11:5: a.rules[1]",
            "a.yaml:11:5: a.rules[1]",
            "a.yaml:19:7: a.actions.x.symlink.traget",
            "a.yaml:21:20: a.proofs.p.http.url",
            "a.yaml:23:5: a.outputs.Two words",
        ];
        assert_eq!(shown, expected, "{problems:#?}");
    }

    #[test]
    fn of_every_entry_that_has_not_its_form_it_is_told() {
        let stage = "id: a\ntitle: A\nwhy: because\nquestions:\n  - {id: q, ask: q?, type: texxt, help: h}\n\
            actions:\n  - {id: x, symlink: {path: /a, target: /b}}\nrules:\n  - id: r\n    that: a.q == 'x'\n    message: m\n";
        let problems = assembled(&[("guide.yaml", GUIDE), ("a.yaml", stage)]).unwrap_err();
        let shown: Vec<_> = problems.iter().map(ToString::to_string).collect();
        let expected = [
            "a.yaml:5:28: questions: unknown variant `texxt`",
            "a.yaml:7:5: actions: missing field `reason`",
            "a.yaml:9:5: rules: unknown field `id`",
        ];
        assert_eq!(shown.len(), expected.len(), "{shown:#?}");
        assert!(shown.iter().zip(expected).all(|(one, begins)| one.starts_with(begins)), "{shown:#?}");
    }

    #[test]
    fn two_kinds_in_one_action_are_refused() {
        let stage = "id: a\ntitle: A\nwhy: because\nactions:\n  - {id: x, reason: b, remove: {path: /a}, symlink: {path: /a, target: /b}}\n";
        let problems = assembled(&[("guide.yaml", GUIDE), ("a.yaml", stage)]).unwrap_err();
        assert!(problems[0].message.contains("remove and symlink"), "{problems:?}");
    }

    #[test]
    fn an_action_without_a_kind_is_refused() {
        let stage = "id: a\ntitle: A\nwhy: because\nactions:\n  - {id: x, reason: b}\n";
        assert!(assembled(&[("guide.yaml", GUIDE), ("a.yaml", stage)]).is_err());
    }

    #[test]
    fn unknown_keys_are_refused_with_their_place() {
        let problems = assembled(&[("guide.yaml", &format!("{GUIDE}colour: red\n"))]).unwrap_err();
        assert!(problems[0].place.starts_with("guide.yaml:"), "{problems:?}");
        assert!(problems[0].message.contains("colour"), "{problems:?}");
    }

    #[test]
    fn a_missing_stage_file_and_a_foreign_name_are_told_together() {
        let problems = assembled(&[("guide.yaml", &GUIDE.replace("guide: t", "guide: other"))]).unwrap_err();
        assert_eq!(problems.len(), 2, "{problems:?}");
    }

    #[test]
    fn a_guide_that_does_not_exist_is_told_with_those_that_do() {
        let problems = load("webap").unwrap_err();
        assert!(problems[0].hint.contains("did you mean webapp?"), "{problems:?}");
    }

    #[test]
    fn a_directory_of_the_users_brings_its_own_assets_and_shares_the_common_stages() {
        let host = FakeHost::new();
        let stage = "id: web\ntitle: W\nwhy: because\nquestions:\n  - {id: host, ask: h?, type: hostname, help: h}\n  \
            - {id: http_port, ask: p?, type: port, help: h}\n  - {id: https_port, ask: p?, type: port, help: h}\n\
            locals:\n  - {name: certificate_users, value: \"['nginx.service']\"}\n  - {name: certificate, value: \"'/c'\"}\n  - {name: certificate_key, value: \"'/k'\"}\n  - {name: public, value: \"{'name': 't', 'ports': []}\"}\n\
            actions:\n  - {id: site, reason: b, file: {path: /x, template: site.conf}}\n";
        let guide = GUIDE.replace("[a.yaml]", "[web.yaml, common/tls.yaml]");
        host.put_file("/root/checkout/guide.yaml", &guide, 0o644);
        host.put_file("/root/checkout/web.yaml", stage, 0o644);
        host.put_file("/root/checkout/assets/site.conf", "{{ web.host }}\n", 0o644);
        let guide = load_dir(&host, Path::new("/root/checkout")).unwrap();
        assert_eq!(guide.id, "t");
        assert_eq!(guide.stages.iter().map(|stage| stage.id.as_str()).collect::<Vec<_>>(), ["web", "tls"]);
        assert_eq!(guide.assets["site.conf"], b"{{ web.host }}\n");
    }

    #[test]
    fn a_directory_that_is_no_guide_is_told_so() {
        let host = FakeHost::new();
        host.put_file("/root/empty/notes.txt", "", 0o644);
        let problems = load_dir(&host, Path::new("/root/empty")).unwrap_err();
        assert!(problems[0].message.contains("no guide.yaml"), "{problems:?}");
        let problems = load_dir(&host, Path::new("/nowhere")).unwrap_err();
        assert!(problems[0].message.contains("/nowhere"), "{problems:?}");
    }
}
