//! Sources from a git repository.

use std::path::Path;
use std::time::Duration;

use super::{PATIENCE, Source, shown};
use crate::action::command_runner::CommandRunner;
use crate::action::contract::{Act, Context};
use crate::error::{Failure, Outcome};
use crate::host::{Command, Host};
use crate::progress::Progress;

pub(super) const HINT: &str = "try `git ls-remote <url>` on this server: it must work without a prompt; a private \
    repository needs a deploy key or root's credential store";

const LOCAL_HINT: &str = "git refuses a repository on this server that belongs to another user; give its path as a \
    directory to copy, or allow it with `git config --system --add safe.directory <path>`";

/// Clones the repository into `dir` and returns the commit.
pub fn clone(source: &Source, cx: &Context<'_>, dir: &Path) -> Outcome<String> {
    let tree = dir.to_string_lossy().into_owned();
    let what = source.describe();
    let hint = if source.location.starts_with('/') { LOCAL_HINT } else { HINT };
    let mut argv = vec!["git", "-c", "advice.detachedHead=false", "clone", "--progress", "--recurse-submodules"];
    let commit = [&source.commit, &source.reference].into_iter().find(|name| is_commit(name));
    if commit.is_some() {
        // Servers need not hand out a commit by its name, but they do hand out branches that contain it.
        argv.push("--no-checkout");
    } else {
        argv.extend(["--depth", "1"]);
    }
    if !source.reference.is_empty() && !is_commit(&source.reference) {
        argv.extend(["--branch", &source.reference]);
    }
    // A repository of this server would share its files with the clone, whose owner and modes are set afterwards.
    argv.push("--no-hardlinks");
    argv.extend(["--", &source.location, &tree]);
    let git = |argv| for_source(source, argv);
    CommandRunner::new(git(argv)).telling(&progress).hint(hint).run(cx, &what)?;
    if let Some(commit) = commit {
        let checkout = git(vec!["git", "-C", &tree, "checkout", "--quiet", "--detach", commit]);
        CommandRunner::new(checkout).hint("no branch or tag of the repository contains that commit").run(cx, &what)?;
        let modules = git(vec!["git", "-C", &tree, "submodule", "update", "--init", "--recursive"]);
        CommandRunner::new(modules).hint(hint).run(cx, &what)?;
    }
    let head = CommandRunner::new(git(vec!["git", "-C", &tree, "rev-parse", "HEAD"])).run(cx, &what)?;
    Ok(head.text())
}

/// What a name means in a repository now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// A commit.
    Commit,
    /// A tag: it stays what it is.
    Tag,
    /// A branch, or the default branch, which is at this commit.
    Branch(String),
}

/// Asks the repository what a branch, tag or commit is; an empty name is the default branch.
pub fn look_up(source: &Source, host: &dyn Host, name: &str) -> Outcome<Named> {
    if is_commit(name) {
        return Ok(Named::Commit);
    }
    let what = || {
        format!("look up {} in {}", if name.is_empty() { "the default branch" } else { name }, shown(&source.location))
    };
    let (branch, tag) = (format!("refs/heads/{name}"), format!("refs/tags/{name}"));
    let wanted = if name.is_empty() { vec!["HEAD"] } else { vec![branch.as_str(), tag.as_str()] };
    let mut argv = vec!["git", "ls-remote", "--quiet", "--", &source.location];
    argv.extend(&wanted);
    let output = host.run(&for_source(source, argv).timeout(ASKING)).map_err(|e| Failure::new(what(), e))?;
    if !output.ok() {
        let tail = output.tail(5);
        let last = tail.last().cloned().unwrap_or_else(|| format!("git ended with status {}", output.status));
        return Err(Failure::new(what(), last).hint(HINT).tail(tail));
    }
    let text = output.text();
    let at = |wanted: &str| text.lines().find_map(|line| line.split_once('\t').filter(|(_, name)| *name == wanted));
    // As `git clone --branch` prefers them.
    match at(wanted[0]).map(|(commit, _)| commit) {
        Some(commit) if is_commit(commit) => Ok(Named::Branch(commit.to_owned())),
        _ if wanted.len() > 1 && at(&tag).is_some() => Ok(Named::Tag),
        _ => Err(Failure::new(what(), "the repository has no such branch or tag")
            .hint(format!("`git ls-remote {}` lists them; of a commit give all 40 digits", shown(&source.location)))),
    }
}

/// Timeout of asking a repository.
const ASKING: Duration = Duration::from_mins(1);

/// [`git`], which a redirect or a submodule does not downgrade from TLS (or SSH).
fn for_source(source: &Source, argv: Vec<&str>) -> Command {
    let secure = ["https://", "ssh://"].iter().any(|scheme| source.location.starts_with(scheme));
    if secure { git(argv).env("GIT_ALLOW_PROTOCOL", "https:ssh") } else { git(argv) }
}

/// git without prompts: an unattended run cannot answer.
pub(super) fn git(argv: Vec<&str>) -> Command {
    let mut command = Command::new(argv)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ASKPASS", "/bin/true")
        .env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")
        .timeout(PATIENCE);
    command.umask = Some(0o022);
    command
}

/// Whether a reference is the name of a commit: a branch or tag of 40 hexadecimal digits is refused by git.
pub(super) fn is_commit(reference: &str) -> bool {
    reference.len() == 40 && reference.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// "Receiving objects:  45% (450/1000), 1.2 MiB" as a percentage.
fn progress(line: &str) -> Progress {
    let parsed = line.split_once('%').and_then(|(before, _)| {
        let (note, percent) = before.rsplit_once(':')?;
        Some((note.trim_start_matches("remote:").trim().to_lowercase(), percent.trim().parse().ok()?))
    });
    match parsed {
        Some((note, percent)) => Progress::Percent { percent, note, amount: None },
        None => Progress::Output(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_progress_of_git_is_a_percentage() {
        assert_eq!(
            progress("Receiving objects:  45% (450/1000), 1.20 MiB | 2.00 MiB/s"),
            Progress::Percent { percent: 45.0, note: "receiving objects".to_owned(), amount: None }
        );
        assert_eq!(
            progress("remote: Compressing objects: 100% (12/12), done."),
            Progress::Percent { percent: 100.0, note: "compressing objects".to_owned(), amount: None }
        );
        assert_eq!(progress("Cloning into 'x'..."), Progress::Output("Cloning into 'x'...".to_owned()));
    }

    #[test]
    fn only_a_full_name_is_a_commit() {
        assert!(is_commit("0123456789abcdef0123456789abcdef01234567"));
        assert!(!is_commit("v1.0") && !is_commit("abcdef1") && !is_commit(""));
    }
}
