//! Where secrets lie between runs: `/var/lib/bringup/secrets/<guide>.json`, 0600, root's.
//!
//! A generated secret is made once and stays, so that a second run changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::answers::SecretSource;
use crate::engine::runs::RunDir;
use crate::error::{Failure, Outcome, Problem};
use crate::host::{Host, Kind, Meta};
use crate::plan::SecretForm;
use crate::secret::{Secret, Secrets, has_form, is_plain};
use crate::state_dir::STATE_DIR;

/// Characters of generated secrets: safe in URLs, YAML, INI, shells and SQL.
const ALPHABET: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";

/// The file that holds a guide's secrets.
pub fn path(guide: &str) -> PathBuf {
    Path::new(STATE_DIR).join("secrets").join(format!("{guide}.json"))
}

/// The secrets kept for a guide; none when there are none, or when we may not read them.
pub fn load(host: &dyn Host, guide: &str) -> Secrets {
    let kept: BTreeMap<String, String> =
        host.read(&path(guide)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let mut secrets = Secrets::default();
    for (name, value) in kept {
        secrets.insert(name, Secret::new(value));
    }
    secrets
}

/// Keeps them.
pub fn save(host: &dyn Host, guide: &str, secrets: &Secrets) -> Outcome<()> {
    let path = path(guide);
    let what = || format!("keep the secrets in {}", path.display());
    for dir in [Path::new(STATE_DIR).to_owned(), Path::new(STATE_DIR).join("secrets")] {
        let mode = if dir.ends_with("secrets") { 0o700 } else { 0o755 };
        host.make_dir(&dir, Meta::root(mode)).map_err(|e| Failure::new(what(), e))?;
    }
    let kept: BTreeMap<&str, &str> = secrets.iter().map(|(name, value)| (name, value.expose())).collect();
    let bytes = serde_json::to_vec_pretty(&kept).map_err(|e| Failure::new(what(), e))?;
    host.write(&path, &bytes, Meta::root(0o600)).map_err(|e| Failure::new(what(), e))
}

/// The file beside a run that holds the secrets from before it.
const BEFORE: &str = "secrets-before.json";

/// Keeps beside a run what [`give_back`] needs. Called before [`save`].
pub fn set_aside(host: &dyn Host, dir: &RunDir, secrets: &Secrets) -> Outcome<()> {
    let kept: BTreeMap<&str, &str> = secrets.iter().map(|(name, value)| (name, value.expose())).collect();
    let bytes = serde_json::to_vec(&kept).map_err(|e| Failure::new("keep the earlier secrets", e))?;
    dir.write(host, BEFORE, &bytes)
}

/// The run was rolled back: the secrets from before it are those that the earlier runs of the guide use. A run of an
/// older program has none set aside, and changes none.
pub fn give_back(host: &dyn Host, guide: &str, dir: &RunDir) -> Outcome<()> {
    let file = dir.file(BEFORE);
    let what = || format!("restore the secrets from {}", file.display());
    if host.stat(&file).map_err(|e| Failure::new(what(), e))?.is_none() {
        return Ok(());
    }
    let bytes = host.read(&file).map_err(|e| Failure::new(what(), e))?;
    let before: BTreeMap<String, String> = serde_json::from_slice(&bytes).map_err(|e| Failure::new(what(), e))?;
    let mut secrets = Secrets::default();
    for (name, value) in before {
        secrets.insert(name, Secret::new(value));
    }
    save(host, guide, &secrets)?;
    host.remove(&file).map_err(|e| Failure::new(format!("remove {}", file.display()), e))
}

/// Secrets that are to be generated and keep a value that was not: it was given in another way before.
pub fn notes(kept: &Secrets, sources: &BTreeMap<String, SecretSource>) -> Vec<String> {
    let note = |(name, source): (&String, &SecretSource)| {
        let SecretSource::Generate(length) = source else { return None };
        let value = kept.get(name)?.expose();
        let generated = value.len() == *length as usize && value.bytes().all(|byte| ALPHABET.contains(&byte));
        (!generated).then(|| {
            format!(
                "{name}: the secret from before stays, which is not a generated one of {length} characters; \
                 --rotate {name} replaces it"
            )
        })
    };
    sources.iter().filter_map(note).collect()
}

/// Forgets them; called when nothing of the guide stands any more.
pub fn forget(host: &dyn Host, guide: &str) -> Outcome<()> {
    let path = path(guide);
    host.remove(&path).map_err(|e| Failure::new(format!("remove {}", path.display()), e))
}

/// Gets every secret from its source, in memory only; the kept value of a generated one stays. `patterns` has the
/// form of those that need other characters than the usual ([`crate::plan::Plan::secret_patterns`]).
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
    if problems.is_empty() { Ok(secrets) } else { Err(problems) }
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
        SecretSource::Generate(length) => match kept.get(name) {
            Some(secret) => secret.clone(),
            None => generate(host, *length).map_err(|e| (format!("no random numbers: {e}"), String::new()))?,
        },
    };
    if secret.expose().is_empty() {
        return Err(("the secret is empty".to_owned(), "give it at least one character".to_owned()));
    }
    match form {
        Some(form) if !has_form(secret.expose(), &form.pattern) => {
            Err(("the secret has not the form that it should have".to_owned(), form.words.clone()))
        }
        None if !is_plain(secret.expose()) => Err((
            "the secret has characters that do not survive URLs and configuration files".to_owned(),
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

/// A new value for each of these secrets, all of them generated ones, for a look at what depends on them.
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
    // Bytes beyond the largest multiple of the alphabet are thrown away, or its first letters would be likelier.
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

    use super::*;
    use crate::host::fake::FakeHost;

    #[test]
    fn a_secret_has_the_usual_characters_or_the_form_of_its_question() {
        let host = FakeHost::new();
        host.set_env("KEY", "c2Vj+/8=");
        let sources = BTreeMap::from([("a.key".to_owned(), SecretSource::Env("KEY".to_owned()))]);
        let gather = |patterns| gather(&host, &Secrets::default(), &sources, &patterns);
        let told = gather(BTreeMap::new()).unwrap_err();
        assert!(told[0].message.contains("characters that do not survive"), "{told:?}");
        let form = |pattern: &str| {
            let form = SecretForm { pattern: pattern.to_owned(), words: "in words".to_owned() };
            BTreeMap::from([("a.key".to_owned(), form)])
        };
        assert_eq!(gather(form("[A-Za-z0-9+/=]+")).unwrap().get("a.key").unwrap().expose(), "c2Vj+/8=");
        let told = gather(form("[a-z]+")).unwrap_err();
        assert!(
            told[0].message.contains("not the form")
                && told[0].hint == "in words"
                && !format!("{told:?}").contains("c2Vj"),
            "{told:?}"
        );
    }
}
