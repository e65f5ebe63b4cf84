//! Where secrets are kept between runs: `/var/lib/bringup/secrets/<guide>@<application>.json`, 0600, owned by root, and
//! `<guide>.json` for a guide that does not name its application.
//!
//! A generated secret is generated once and kept, so that a second run changes nothing. Each application has its own.
//! An earlier version kept those of all applications of a guide in `<guide>.json`: applications set up by it find them
//! there until a run of this version moves them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::answers::SecretSource;
use crate::engine::runs::{self, Run, RunDir};
use crate::error::{Failure, Outcome, Problem};
use crate::facts::Application;
use crate::host::{Host, Kind, Meta};
use crate::plan::SecretForm;
use crate::secret::{Secret, Secrets, has_form, is_plain};
use crate::state_dir::STATE_DIR;
use crate::system::env_file;

/// Characters of generated secrets: safe in URLs, YAML, INI, shells and SQL.
const ALPHABET: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";

/// The file that holds an application's secrets.
pub fn path(of: &Application) -> PathBuf {
    if of.name.is_empty() {
        return by_guide(&of.guide);
    }
    // A custom guide may allow any name, and a name is no path.
    let name = of.name.bytes().fold(String::new(), |mut name, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            byte => drop(write!(name, "%{byte:02x}")),
        }
        name
    });
    directory().join(format!("{}@{name}.json", of.guide))
}

fn directory() -> PathBuf {
    Path::new(STATE_DIR).join("secrets")
}

/// Where an earlier version kept the secrets of all applications of a guide.
fn by_guide(guide: &str) -> PathBuf {
    directory().join(format!("{guide}.json"))
}

/// The file that holds an application's secrets now: the guide's, while an application is in place whose secrets only
/// an earlier version kept.
pub fn in_use(host: &dyn Host, of: &Application) -> PathBuf {
    let (own, earlier) = (path(of), by_guide(&of.guide));
    let is_there = |path: &Path| host.stat(path).ok().flatten().is_some();
    if own == earlier || is_there(&own) || !is_there(&earlier) || !stands(host, of) { own } else { earlier }
}

/// Whether a run of the application is in place.
fn stands(host: &dyn Host, of: &Application) -> bool {
    let all = runs::all(host, None).unwrap_or_default();
    runs::standing(&all).any(|run| run.is_of(host, of))
}

/// The secrets kept for an application; none when there are none, or when the file is not readable.
pub fn load(host: &dyn Host, of: &Application) -> Secrets {
    read(host, &in_use(host, of)).unwrap_or_default()
}

fn read(host: &dyn Host, path: &Path) -> Outcome<Secrets> {
    let what = || format!("read the secrets in {}", path.display());
    let bytes = host.read(path).map_err(|e| Failure::new(what(), e))?;
    // A parser's message may quote the file.
    let kept: BTreeMap<String, String> =
        serde_json::from_slice(&bytes).map_err(|_| Failure::new(what(), "it is not a list of secrets"))?;
    let mut secrets = Secrets::default();
    for (name, value) in kept {
        secrets.insert(name, Secret::new(value));
    }
    Ok(secrets)
}

/// Writes them.
pub fn save(host: &dyn Host, of: &Application, secrets: &Secrets) -> Outcome<()> {
    save_in(host, &path(of), secrets)
}

/// Writes them to the file in use, for a run that has begun.
pub fn save_for_run(host: &dyn Host, of: &Application, secrets: &Secrets) -> Outcome<()> {
    save_in(host, &in_use(host, of), secrets)
}

fn save_in(host: &dyn Host, path: &Path, secrets: &Secrets) -> Outcome<()> {
    let what = || format!("keep the secrets in {}", path.display());
    for (dir, mode) in [(Path::new(STATE_DIR).to_owned(), 0o755), (directory(), 0o700)] {
        host.make_dir(&dir, Meta::root(mode)).map_err(|e| Failure::new(what(), e))?;
    }
    let bytes = serde_json::to_vec_pretty(&exposed(secrets)).map_err(|e| Failure::new(what(), e))?;
    host.write(path, &bytes, Meta::root(0o600)).map_err(|e| Failure::new(what(), e))
}

fn exposed(secrets: &Secrets) -> BTreeMap<&str, &str> {
    secrets.iter().map(|(name, value)| (name, value.expose())).collect()
}

/// Loads the secrets of a run's application, kept by application from now on.
pub fn adopt(host: &dyn Host, of: &Application) -> Outcome<Secrets> {
    let secrets = load(host, of);
    if in_use(host, of) != path(of) {
        save(host, of, &secrets)?;
    }
    Ok(secrets)
}

/// Prefix of the file beside a run that holds the secrets from before it; the name of their own file follows.
const BEFORE: &str = "secrets-before.";
/// What an earlier version used instead of a name: its secrets were in the guide's file.
const UNNAMED: &str = "json";

/// Sets aside beside a run what [`give_back`] needs. Called before the run, or other answers for it, [`save`] anything.
pub fn set_aside(host: &dyn Host, dir: &RunDir, of: &Application, secrets: &Secrets) -> Outcome<()> {
    let bytes = serde_json::to_vec(&exposed(secrets)).map_err(|e| Failure::new("keep the earlier secrets", e))?;
    dir.write(host, &format!("{BEFORE}{}", name_of(&path(of))), &bytes)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Restores the secrets from before a run that was rolled back, unless a later run in place uses the new ones, too.
/// Secrets that no run in place uses are deleted: they would only serve a thief. A run of a much older version has none
/// set aside, and restores none.
pub fn give_back(host: &dyn Host, dir: &RunDir, guide: &str, all: &[Run]) -> Outcome<()> {
    let own = all.iter().find(|run| run.dir.id == dir.id).map(|run| run.journal.header.at);
    let is_later = |run: &Run| (Some(run.journal.header.at), &run.dir.id) > (own, &dir.id);
    let later = used(host, runs::standing(all).filter(|run| is_later(run)));
    let files = host.list(&dir.path).map_err(|e| Failure::new(format!("list {}", dir.path.display()), e))?;
    for file in files {
        let name = name_of(Path::new(&file));
        let Some(earlier) = name.strip_prefix(BEFORE) else { continue };
        let before = dir.file(&name);
        for target in targets(host, dir, guide, earlier).iter().filter(|target| !later.contains(*target)) {
            save_in(host, target, &read(host, &before)?)?;
        }
        host.remove(&before).map_err(|e| Failure::new(format!("remove {}", before.display()), e))?;
    }
    forget_unused(host, guide, all)
}

/// The files into which secrets from before a run are restored.
fn targets(host: &dyn Host, dir: &RunDir, guide: &str, earlier: &str) -> Vec<PathBuf> {
    if earlier != UNNAMED {
        return vec![directory().join(earlier)];
    }
    // A later run may have moved them to a file by application meanwhile.
    let own = dir.plan(host).ok().map(|plan| path(&plan.application()));
    let own = own.filter(|own| host.stat(own).ok().flatten().is_some());
    own.into_iter().chain([by_guide(guide)]).collect()
}

/// The files that the applications of these runs use.
fn used<'a>(host: &dyn Host, runs: impl Iterator<Item = &'a Run>) -> BTreeSet<PathBuf> {
    let file = |run: &Run| {
        let plan = run.dir.plan(host);
        plan.map_or_else(|_| by_guide(&run.journal.header.guide), |plan| in_use(host, &plan.application()))
    };
    runs.map(file).collect()
}

/// Deletes the secrets of those applications of a guide that have nothing in place.
pub fn forget_unused(host: &dyn Host, guide: &str, all: &[Run]) -> Outcome<()> {
    let failed = |e| Failure::new("look for unused secrets", e);
    if host.stat(&directory()).map_err(failed)?.is_none() {
        return Ok(());
    }
    let used = used(host, runs::standing(all));
    for file in host.list(&directory()).map_err(failed)? {
        let name = name_of(Path::new(&file));
        let of_guide = name.strip_suffix(".json").and_then(|name| name.split('@').next()) == Some(guide);
        let path = directory().join(&name);
        if of_guide && !used.contains(&path) {
            host.remove(&path).map_err(|e| Failure::new(format!("remove {}", path.display()), e))?;
        }
    }
    Ok(())
}

/// Secrets that are to be generated but keep a value that was not: an earlier answer gave it.
pub fn notes(kept: &Secrets, sources: &BTreeMap<String, SecretSource>) -> Vec<String> {
    let note = |(name, source): (&String, &SecretSource)| {
        let SecretSource::Generate(length) = source else { return None };
        let value = kept.get(name)?.expose();
        let generated = value.len() == *length as usize && value.bytes().all(|byte| ALPHABET.contains(&byte));
        (!generated).then(|| {
            format!(
                "{name}: the existing secret is kept, although it is not a generated one of {length} characters; \
                 --rotate {name} replaces it"
            )
        })
    };
    sources.iter().filter_map(note).collect()
}

/// Gets every secret from its source, in memory only; a generated one keeps its stored value. `patterns` has the form
/// of those that need other characters than the default ([`crate::plan::Plan::secret_patterns`]).
pub fn gather(
    host: &dyn Host,
    kept: &Secrets,
    sources: &BTreeMap<String, SecretSource>,
    patterns: &BTreeMap<String, SecretForm>,
) -> Result<Secrets, Vec<Problem>> {
    let mut secrets = Secrets::default();
    let mut problems = Vec::new();
    for (name, source) in sources {
        match value(host, kept, name, source, patterns.get(name)) {
            Ok(secret) => secrets.insert(name.clone(), secret),
            Err((message, hint)) => {
                problems.push(Problem { place: String::new(), path: name.clone(), message, hint });
            }
        }
    }
    secrets.hide_former(kept);
    if problems.is_empty() { Ok(secrets) } else { Err(problems) }
}

/// Has secrets keep their value whose variable is not set, or whose file is gone.
pub fn keep_unavailable(host: &dyn Host, of: &Application, sources: &mut BTreeMap<String, SecretSource>) {
    let kept = load(host, of);
    for (name, source) in sources {
        let is_there = match source {
            SecretSource::Env(variable) => host.env(variable).is_some(),
            SecretSource::File(path) => !matches!(host.stat(Path::new(path)), Ok(None)),
            // One of a file that is gone is asked for only where it keeps its value.
            SecretSource::Generate(_) | SecretSource::Literal(_) | SecretSource::Entry { .. } => true,
        };
        if let Some(value) = kept.get(name).filter(|_| !is_there) {
            *source = SecretSource::Literal(value.expose().to_owned());
        }
    }
}

type Refusal = (String, String);

fn value(
    host: &dyn Host,
    kept: &Secrets,
    name: &str,
    source: &SecretSource,
    form: Option<&SecretForm>,
) -> Result<Secret, Refusal> {
    let secret = match source {
        SecretSource::Literal(value) => Secret::new(value),
        SecretSource::Env(variable) => host.env(variable).map(Secret::new).ok_or_else(|| {
            (format!("the environment has no variable {variable}"), "export it; sudo needs --preserve-env".to_owned())
        })?,
        SecretSource::File(path) => from_file(host, Path::new(path))?,
        // As it is, empty or of several lines: the guide writes it for a shell.
        SecretSource::Entry { file, name: of } => return entry(host, kept.get(name), Path::new(file), of),
        SecretSource::Generate(length) => match kept.get(name) {
            Some(secret) => secret.clone(),
            None => generate(host, *length).map_err(|e| (format!("no random numbers: {e}"), String::new()))?,
        },
    };
    if secret.expose().is_empty() {
        return Err(("the secret is empty".to_owned(), "give it at least one character".to_owned()));
    }
    if let Some(allowed) = form.and_then(|form| form.length_refused(secret.expose().chars().count())) {
        return Err(("the length of the secret is not allowed".to_owned(), allowed));
    }
    match form.filter(|form| !form.pattern.is_empty()) {
        Some(form) if !has_form(secret.expose(), &form.pattern) => {
            Err(("the secret does not have the required form".to_owned(), form.words.clone()))
        }
        None if !is_plain(secret.expose()) => Err((
            "the secret contains characters that are not safe in URLs and configuration files".to_owned(),
            "allowed are letters, digits, `-`, `_` and `.`".to_owned(),
        )),
        _ => Ok(secret),
    }
}

fn from_file(host: &dyn Host, path: &Path) -> Result<Secret, Refusal> {
    let shown = path.display();
    let unreadable = |e: std::io::Error| (format!("cannot read {shown}: {e}"), "check path and permissions".to_owned());
    let stat = host.stat(path).map_err(unreadable)?;
    let stat = stat.ok_or_else(|| (format!("there is no file {shown}"), "check the path".to_owned()))?;
    if stat.kind != Kind::File {
        return Err((
            format!("{shown} is not a regular file"),
            "name a file with the secret in its first line".to_owned(),
        ));
    }
    if stat.meta.mode & 0o077 != 0 {
        return Err((
            format!("{shown} can be read by others (mode {:04o})", stat.meta.mode),
            format!("chmod 600 {shown}"),
        ));
    }
    let content = host.read(path).map_err(unreadable)?;
    let text = String::from_utf8_lossy(&content);
    Ok(Secret::new(text.lines().next().unwrap_or("").trim_end()))
}

fn entry(host: &dyn Host, kept: Option<&Secret>, file: &Path, name: &str) -> Result<Secret, Refusal> {
    let missing = || (format!("{} has no {name} any more", file.display()), "try again".to_owned());
    match env_file::read(host, file).map_err(|refused| (refused.message, refused.hint))? {
        Some(mut read) => {
            let (_, value) = read.entries.remove(name).ok_or_else(missing)?;
            Ok(Secret::new(value))
        }
        None => kept.cloned().ok_or_else(missing),
    }
}

/// A new value for each of these generated secrets, to see what depends on them.
pub fn rotated(host: &dyn Host, sources: &BTreeMap<String, SecretSource>, names: &BTreeSet<String>) -> Secrets {
    let mut secrets = Secrets::default();
    for name in names {
        if let Some(SecretSource::Generate(length)) = sources.get(name)
            && let Ok(secret) = generate(host, *length)
        {
            secrets.insert(name.clone(), secret);
        }
    }
    secrets
}

/// A random secret of `length` characters, about 5.8 bits each.
fn generate(host: &dyn Host, length: u32) -> std::io::Result<Secret> {
    let mut out = String::with_capacity(length as usize);
    let mut bytes = [0u8; 64];
    // Bytes above the largest multiple of the alphabet are discarded, or its first letters would be likelier.
    let fair = 256 - 256 % ALPHABET.len();
    while out.len() < length as usize {
        host.random(&mut bytes)?;
        for byte in bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair) {
            if out.len() < length as usize {
                out.push(char::from(ALPHABET[byte % ALPHABET.len()]));
            }
        }
    }
    Ok(Secret::new(out))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::answers::Origin;
    use crate::engine::journal::{Journal, Record};
    use crate::host::fake::FakeHost;
    use crate::plan::{Answered, Plan};

    fn named(name: &str) -> Plan {
        let mut plan = Plan::new("webapp", "");
        let value = json!(name);
        plan.answers.push(Answered { path: "application.name".to_owned(), value, origin: Origin::Typed });
        plan
    }

    fn of(name: &str) -> Application {
        named(name).application()
    }

    fn secret(value: &str) -> Secrets {
        let mut secrets = Secrets::default();
        secrets.insert("database.password", Secret::new(value));
        secrets
    }

    /// A run of this version, that keeps this secret.
    fn ran(host: &FakeHost, name: &str, value: &str) -> (RunDir, Journal) {
        let (dir, journal) = RunDir::create(host, &named(name)).unwrap();
        set_aside(host, &dir, &of(name), &load(host, &of(name))).unwrap();
        save(host, &of(name), &secret(value)).unwrap();
        (dir, journal)
    }

    /// One of a version that kept the secrets by guide.
    fn ran_earlier(host: &FakeHost, name: &str, value: &str) -> (RunDir, Journal) {
        let (dir, journal) = RunDir::create(host, &named(name)).unwrap();
        let file = by_guide("webapp");
        if let Ok(before) = host.read(&file) {
            host.put_file(dir.file("secrets-before.json"), before, 0o600);
        }
        host.put_file(file, json!({"database.password": value}).to_string(), 0o600);
        (dir, journal)
    }

    fn roll_back(host: &FakeHost, (dir, journal): &mut (RunDir, Journal)) {
        journal.write(host, Record::RolledBack { stage: None, kept: 0, waits: Vec::new() }).unwrap();
        give_back(host, dir, "webapp", &runs::all(host, None).unwrap()).unwrap();
    }

    fn files(host: &FakeHost) -> Vec<String> {
        host.list(&directory()).unwrap().iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn applications_of_one_guide_have_secrets_of_their_own() {
        let host = FakeHost::new();
        let mut shop = ran(&host, "shop", "first");
        let mut blog = ran(&host, "blog", "other");
        let mut again = ran(&host, "shop", "second");
        assert_eq!((load(&host, &of("shop")), load(&host, &of("blog"))), (secret("second"), secret("other")));
        assert_eq!(load(&host, &of("third")), Secrets::default());
        assert_eq!(host.stat(&path(&of("shop"))).unwrap().unwrap().meta.mode & 0o777, 0o600);
        roll_back(&host, &mut again);
        assert_eq!((load(&host, &of("shop")), load(&host, &of("blog"))), (secret("first"), secret("other")));
        roll_back(&host, &mut shop);
        assert_eq!(files(&host), ["webapp@blog.json"]);
        assert_eq!(load(&host, &of("blog")), secret("other"));
        roll_back(&host, &mut blog);
        assert_eq!(files(&host), [""; 0]);
    }

    #[test]
    fn of_two_runs_of_an_application_the_later_one_keeps_what_it_uses() {
        let host = FakeHost::new();
        let mut first = ran(&host, "shop", "first");
        let mut second = ran(&host, "shop", "second");
        roll_back(&host, &mut first);
        assert_eq!(load(&host, &of("shop")), secret("second"));
        roll_back(&host, &mut second);
        assert_eq!(files(&host), [""; 0]);
    }

    #[test]
    fn what_an_earlier_version_kept_by_guide_belongs_to_the_applications_that_it_set_up() {
        let host = FakeHost::new();
        let mut shop = ran_earlier(&host, "shop", "shared");
        assert_eq!((load(&host, &of("shop")), load(&host, &of("blog"))), (secret("shared"), Secrets::default()));
        assert_eq!(in_use(&host, &of("shop")), by_guide("webapp"));
        // A second application starts with none, and removes none.
        let mut blog = ran(&host, "blog", "own");
        roll_back(&host, &mut blog);
        assert_eq!((load(&host, &of("shop")), files(&host).len()), (secret("shared"), 1));
        // The next run of the first keeps them by application.
        let mut again = ran(&host, "shop", "rotated");
        assert_eq!(load(&host, &of("shop")), secret("rotated"));
        roll_back(&host, &mut again);
        assert_eq!(load(&host, &of("shop")), secret("shared"));
        roll_back(&host, &mut shop);
        assert_eq!(files(&host), [""; 0]);
        assert_eq!(load(&host, &of("shop")), Secrets::default());
    }

    #[test]
    fn a_run_of_an_earlier_version_is_rolled_back_to_what_was_kept_before_it() {
        let host = FakeHost::new();
        ran_earlier(&host, "shop", "first");
        let mut second = ran_earlier(&host, "shop", "second");
        let mut third = ran(&host, "shop", "third");
        roll_back(&host, &mut third);
        assert_eq!(load(&host, &of("shop")), secret("second"));
        roll_back(&host, &mut second);
        assert_eq!(load(&host, &of("shop")), secret("first"));
        // Resumed, it keeps them by application.
        let host = FakeHost::new();
        ran_earlier(&host, "shop", "first");
        assert_eq!(adopt(&host, &of("shop")).unwrap(), secret("first"));
        assert_eq!(in_use(&host, &of("shop")), path(&of("shop")));
    }

    #[test]
    fn a_name_is_no_path_and_no_two_names_share_a_file() {
        let file = |name: &str| path(&of(name)).display().to_string();
        assert_eq!(file("../../x"), "/var/lib/bringup/secrets/webapp@%2e%2e%2f%2e%2e%2fx.json");
        assert_eq!(file("a%2f"), "/var/lib/bringup/secrets/webapp@a%252f.json");
        assert_eq!(file(""), "/var/lib/bringup/secrets/webapp.json");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_quoted() {
        let host = FakeHost::new();
        host.put_file("/x", "{\"database.password\": hunter22", 0o600);
        let failure = read(&host, Path::new("/x")).unwrap_err();
        assert!(!format!("{failure:?}").contains("hunter"), "{failure:?}");
    }

    #[test]
    fn a_secret_has_the_usual_characters_or_the_form_of_its_question() {
        let host = FakeHost::new();
        host.set_env("KEY", "c2Vj+/8=");
        let sources = BTreeMap::from([("a.key".to_owned(), SecretSource::Env("KEY".to_owned()))]);
        let gather = |patterns| gather(&host, &Secrets::default(), &sources, &patterns);
        let told = gather(BTreeMap::new()).unwrap_err();
        assert!(told[0].message.contains("characters that are not safe"), "{told:?}");
        let form = |pattern: &str| {
            let form =
                SecretForm { pattern: pattern.to_owned(), words: "in words".to_owned(), min: Some(4), max: None };
            BTreeMap::from([("a.key".to_owned(), form)])
        };
        assert_eq!(gather(form("[A-Za-z0-9+/=]+")).unwrap().get("a.key").unwrap().expose(), "c2Vj+/8=");
        let told = gather(form("[a-z]+")).unwrap_err();
        assert!(
            told[0].message.contains("the required form")
                && told[0].hint == "in words"
                && !format!("{told:?}").contains("c2Vj"),
            "{told:?}"
        );
        host.set_env("KEY", "abc");
        for pattern in ["", "[a-z]+"] {
            let told = gather(form(pattern)).unwrap_err();
            assert_eq!(
                (told[0].message.as_str(), told[0].hint.as_str()),
                ("the length of the secret is not allowed", "use at least 4 characters")
            );
        }
        host.set_env("KEY", "abcd");
        assert!(gather(form("")).is_ok());
    }

    #[test]
    fn a_secret_comes_from_where_its_source_says() {
        let host = FakeHost::new();
        host.set_env("KEY", "from-env");
        host.put_file("/root/key", "from-file \nmore\n", 0o600);
        let mut kept = Secrets::default();
        kept.insert("kept", Secret::new("kept-from-before"));
        let from = |name: &str, source: SecretSource| {
            let secrets = gather(&host, &kept, &BTreeMap::from([(name.to_owned(), source)]), &BTreeMap::new());
            secrets
                .map(|secrets| secrets.get(name).unwrap().expose().to_owned())
                .map_err(|told| told[0].message.clone())
        };
        let (env, file) = (|name: &str| SecretSource::Env(name.into()), |path: &str| SecretSource::File(path.into()));
        assert_eq!(from("x", env("KEY")).as_deref(), Ok("from-env"));
        assert_eq!(from("x", file("/root/key")).as_deref(), Ok("from-file"));
        assert_eq!(from("x", SecretSource::Literal("as-it-is".into())).as_deref(), Ok("as-it-is"));
        assert_eq!(from("kept", SecretSource::Generate(20)).as_deref(), Ok("kept-from-before"));
        assert_ne!(from("x", SecretSource::Generate(20)), from("x", SecretSource::Generate(20)));
        assert_eq!(from("x", SecretSource::Literal(String::new())).unwrap_err(), "the secret is empty");
        assert!(from("x", env("NONE")).unwrap_err().contains("no variable NONE"));
        assert!(from("x", file("/root/none")).unwrap_err().contains("there is no file"));
        assert!(from("x", file("/root")).unwrap_err().contains("not a regular file"));
    }

    #[test]
    fn a_file_that_others_can_use_in_any_way_is_no_place_for_a_secret() {
        let host = FakeHost::new();
        let taken = |mode: u32| {
            host.put_file("/root/key", "hunter22", mode);
            from_file(&host, Path::new("/root/key"))
        };
        for ours in [0o400, 0o600, 0o700, 0o4600] {
            assert_eq!(taken(ours).unwrap().expose(), "hunter22", "{ours:o}");
        }
        for theirs in [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o644, 0o777] {
            let (told, hint) = taken(theirs).unwrap_err();
            let wanted = format!("/root/key can be read by others (mode {theirs:04o})");
            assert_eq!((told, hint.as_str()), (wanted, "chmod 600 /root/key"));
        }
    }

    #[test]
    fn a_generated_secret_has_its_length_and_every_character_as_likely_as_any_other() {
        let host = FakeHost::new();
        for length in [1, 16, 63, 64, 65, 128] {
            assert_eq!(generate(&host, length).unwrap().expose().len(), length as usize);
        }
        let each = 1000;
        let drawn = generate(&host, u32::try_from(each * ALPHABET.len()).unwrap()).unwrap();
        // Bytes that are only taken modulo the alphabet favour its first characters by a quarter.
        let of = |some: &[u8]| drawn.expose().bytes().filter(|byte| some.contains(byte)).count();
        for some in ALPHABET.chunks(19) {
            let share = of(some) * 100 / (each * some.len());
            assert!((95..=105).contains(&share), "{share} %");
        }
        let likely = each * 85 / 100..each * 115 / 100;
        assert!(ALPHABET.iter().all(|byte| likely.contains(&of(&[*byte]))));
    }

    #[test]
    fn of_the_named_secrets_those_are_made_anew_that_are_generated() {
        let mut sources: BTreeMap<_, _> = ["a", "b"].map(|name| (name.to_owned(), SecretSource::Generate(20))).into();
        sources.insert("given".to_owned(), SecretSource::Env("X".to_owned()));
        let names = ["a", "given", "unknown"].map(str::to_owned).into();
        let fresh = rotated(&FakeHost::new(), &sources, &names);
        let lengths: Vec<_> = fresh.iter().map(|(name, secret)| (name, secret.expose().len())).collect();
        assert_eq!(lengths, [("a", 20)]);
    }

    #[test]
    fn a_kept_secret_that_is_none_of_the_wanted_length_is_told_of_and_not_quoted() {
        let generated = generate(&FakeHost::new(), 20).unwrap();
        let mut kept = Secrets::default();
        kept.insert("generated", generated.clone());
        kept.insert("shorter", Secret::new(&generated.expose()[1..]));
        kept.insert("given", Secret::new(format!("{}-", &generated.expose()[1..])));
        kept.insert("elsewhere", Secret::new("x"));
        let mut sources: BTreeMap<_, _> =
            ["generated", "shorter", "given", "new"].map(|name| (name.to_owned(), SecretSource::Generate(20))).into();
        sources.insert("elsewhere".to_owned(), SecretSource::Env("X".to_owned()));
        let told = notes(&kept, &sources);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("given: ") && told[1].starts_with("shorter: "), "{told:?}");
        assert!(!told.join("").contains(&generated.expose()[1..]));
    }
}
