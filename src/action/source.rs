//! `source`: puts the sources of an application in place.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::action::command_runner::CommandRunner;
use crate::action::contract::{Act, Brings, Context, Verdict};
use crate::action::release::Release;
use crate::error::{Failure, Outcome};
use crate::host::{Command, Host, Kind, Meta};
use crate::secret::OPEN;
use crate::system::{accounts, paths, tree};
use crate::undo::Undo;

pub use git::Named;

mod archive;
mod content;
mod git;
mod image;
mod links;
mod push;
mod reach;

/// Puts the sources of an application in place.
///
/// The path becomes a link to `<path>.releases/<key>`, and is pointed to another tree when the source changes. The
/// files belong to `owner` and `group`; nobody else may change them, and the group may read them all. A branch is
/// fetched once, and again by `bringup deploy`; so is the tag of an image.
///
/// An image is kept by podman in a store of its own. The file `image` in the tree has the image's ID, and the program
/// `podman` there is podman with that image, and with containers apart from those of others.
///
/// What is pushed to this server lies in a directory of root's: `COMMIT.tar`, and the commit of the newest in `head`. It is
/// unpacked by `bringup deploy`; until then the asset `placeholder` is in place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Path of the result; must not exist before, and must be below directories that only root can change.
    pub path: PathBuf,
    /// Kind of source: `asset`, `directory`, `archive`, `git`, `image` or `push`.
    pub from: From,
    /// The asset's name, the directory, the archive (path or URL), the git URL, or the image with its registry and without
    /// its tag; the path of an archive that `podman save` or `docker save` wrote is an image, too. Of `push` it is the
    /// directory with what was pushed.
    pub location: String,
    /// Branch, tag or commit of a git source; the default branch when empty. Tag or digest of an image; `latest` when empty.
    /// Of `push` it is the branch's name, for messages.
    #[serde(default)]
    pub reference: String,
    /// The commit of the branch, or the digest of the tag, in `reference` that is meant. Filled in by the planner with what
    /// `bringup deploy` found.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub commit: String,
    /// Of `push`: the asset that is in place until something is deployed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub placeholder: String,
    /// Expected SHA-256 of an archive; unchecked when empty.
    #[serde(default)]
    pub sha256: String,
    /// Files that it must hold, by their paths in it; an empty one does not count. A directory or an archive on this
    /// server is checked before anything changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub must_hold: Vec<String>,
    /// Which symbolic links it may hold.
    #[serde(default, skip_serializing_if = "Links::is_any")]
    pub links: Links,
    /// Whether a single top directory of an archive is kept, as of one that was packed here.
    #[serde(skip)]
    pub keep_top: bool,
    /// Owner's name.
    #[serde(default = "root")]
    pub owner: String,
    /// Group's name.
    #[serde(default = "root")]
    pub group: String,
    /// Files of an `asset` source, or of the placeholder: relative path -> content. Filled in by the planner.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
}

/// Kinds of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum From {
    /// Shipped with the guide.
    Asset,
    /// A directory on this server, copied.
    Directory,
    /// A tar archive (gzip, xz, bzip2, zstd), a path or an http(s) URL.
    Archive,
    /// A git repository.
    Git,
    /// A container image, in a registry or in an archive on this server.
    Image,
    /// What was pushed to this server with git.
    Push,
}

/// Which symbolic links a tree may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Links {
    /// Whatever they lead to.
    #[default]
    Any,
    /// Those that stay in the tree, followed to their end.
    Inside,
    /// None, as in files that a web server serves.
    None,
}

impl Links {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    const fn is_any(&self) -> bool {
        matches!(self, Self::Any)
    }
}

fn root() -> String {
    "root".to_owned()
}

/// Timeout of fetching or copying.
const PATIENCE: Duration = Duration::from_mins(30);

impl Act for Source {
    fn describe(&self) -> String {
        let (from, path) = (shown(&self.location), self.path.display());
        match self.from {
            From::Asset => format!("put the bundled {from} into {path}"),
            From::Directory => format!("copy {from} to {path}"),
            From::Archive => format!("unpack {from} into {path}"),
            From::Git => format!("clone {}{from} into {path}", self.version()),
            From::Image if self.is_archived_image() => format!("load the image in {from} into {path}"),
            From::Image => format!("fetch the image {}{from} into {path}", self.version()),
            From::Push if self.commit.is_empty() => {
                format!("put the bundled {} into {path}, until a push", self.placeholder)
            }
            From::Push => format!("unpack {}what was pushed into {path}", self.version()),
        }
    }

    fn check(&self, cx: &Context<'_>) -> Outcome<Verdict> {
        self.validate()?;
        accounts::meta(cx.host, "0755", &self.owner, &self.group)?;
        let Some(identity) = self.identity(cx.host)? else {
            let why = "only root can check the current state";
            return Ok(Verdict::change(format!("{} ({why})", self.describe())));
        };
        self.release(identity)?.verdict(cx.host, self.describe(), "version")
    }

    fn prepare(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        self.validate()?;
        self.release(self.required_identity(cx.host)?)?.prepare(cx)
    }

    fn apply(&self, cx: &Context<'_>) -> Outcome<()> {
        self.validate()?;
        let release = self.release(self.required_identity(cx.host)?)?;
        release.install(cx, |dir| self.fill(cx, dir))
    }

    fn brings(&self) -> Brings {
        Brings { paths: vec![self.path.clone()], ..Brings::default() }
    }
}

impl Source {
    /// An archive that a build has left, with these files and others in it.
    pub(super) fn of_build(path: &Path, archive: &str, must_hold: &[String], links: Links) -> Self {
        Self {
            path: path.to_owned(),
            from: From::Archive,
            location: archive.to_owned(),
            reference: String::new(),
            commit: String::new(),
            placeholder: String::new(),
            sha256: String::new(),
            must_hold: must_hold.to_vec(),
            links,
            keep_top: true,
            owner: root(),
            group: root(),
            files: BTreeMap::new(),
        }
    }

    /// "v1.0 of ", or "main (0123456789ab) of ", as the beginning of where it is from; nothing for a default branch.
    fn version(&self) -> String {
        let commit = (!self.commit.is_empty()).then(|| short(&self.commit));
        match (self.reference.as_str(), commit) {
            ("", None) => String::new(),
            ("", Some(commit)) => format!("{commit} of "),
            (reference, None) => format!("{reference} of "),
            (reference, Some(commit)) => format!("{reference} ({commit}) of "),
        }
    }

    /// What a branch, tag or commit is in the repository now; the default branch where `name` is empty. The tag of an image
    /// can move, as a branch does.
    pub fn look_up(&self, host: &dyn Host, name: &str) -> Outcome<Named> {
        match self.from {
            From::Image => image::look_up(self, host, name),
            From::Push => push::look_up(self, host),
            From::Asset | From::Directory | From::Archive | From::Git => git::look_up(self, host, name),
        }
    }

    /// Whether it is on this server, and copied as it is.
    pub fn is_local(&self) -> bool {
        match self.from {
            From::Directory | From::Archive => true,
            From::Image => self.is_archived_image(),
            From::Asset | From::Git | From::Push => false,
        }
    }

    /// What the tree in place was resolved to when it was fetched, such as a commit; none where it is not in place.
    pub fn resolved(&self, host: &dyn Host) -> Option<String> {
        self.release(self.identity(host).ok()??).ok()?.resolved(host)
    }

    /// Whether the tree is complete, in place or not.
    fn is_filled(&self, host: &dyn Host) -> Outcome<bool> {
        super::release::is_complete(host, &self.release(String::new())?.dir())
    }

    /// Fills an empty directory, and returns what the source was resolved to, such as a commit.
    pub(super) fn fill(&self, cx: &Context<'_>, dir: &Path) -> Outcome<String> {
        let meta = accounts::require_meta(cx.host, "0755", &self.owner, &self.group)?;
        let resolved = match self.from {
            From::Asset => self.write_assets(cx, dir)?,
            From::Directory => self.copy(cx, dir)?,
            From::Archive => archive::unpack(self, cx, dir)?,
            From::Git => git::clone(self, cx, dir)?,
            From::Push if self.commit.is_empty() => self.write_assets(cx, dir)?,
            From::Push => push::unpack(self, cx, dir)?,
            // Owners and modes in it are the image's.
            From::Image => return image::fill(self, cx, dir),
        };
        if let Some(failure) = content::directory(cx.host, dir).and_then(|entries| self.unfit(&entries)) {
            return Err(failure);
        }
        self.settle(cx, dir, meta)?;
        Ok(resolved)
    }

    /// Checks of the source that need no look at the host.
    fn validate(&self) -> Outcome<()> {
        let refuse = |why: &str, hint: &str| Err(Failure::new(self.describe(), why).hint(hint));
        if self.location.contains(OPEN) || credentials(&self.location).is_some() {
            return refuse(
                "its location contains a password or token, which every user could read in the process list",
                "use a deploy key or root's ~/.netrc or git credential store, and leave the password out of the URL",
            );
        }
        if [&self.location, &self.reference, &self.commit].iter().any(|text| text.starts_with('-')) {
            return refuse("its location or reference begins with `-`", "tools would take it for an option");
        }
        if self.from == From::Image
            && let Some((why, hint)) = self.wrong_image()
        {
            return refuse(why, hint);
        }
        if self.from == From::Push && !self.commit.is_empty() && !git::is_commit(&self.commit) {
            return refuse("its commit is not 40 hexadecimal digits", "push again");
        }
        let local = !self.location.contains("://");
        let web = ["http://", "https://"].iter().any(|scheme| self.location.starts_with(scheme));
        if self.from == From::Archive && !web && !(local && self.location.starts_with('/')) {
            return refuse("its location is neither an absolute path nor an http(s) URL", "give one of these");
        }
        if !self.sha256.is_empty() && (self.sha256.len() != 64 || !self.sha256.bytes().all(|b| b.is_ascii_hexdigit())) {
            return refuse("its SHA-256 is not 64 hexadecimal digits", "copy it from `sha256sum <archive>`");
        }
        if self.location.starts_with("http://") && self.from == From::Archive && self.sha256.is_empty() {
            return refuse(
                "anyone on the network path could change it over plain http, and no SHA-256 is given",
                "use an https URL, or give the archive's SHA-256",
            );
        }
        let strays = |name: &&String| {
            Path::new(name).components().any(|part| !matches!(part, Component::Normal(_))) || name.is_empty()
        };
        if let Some(name) = self.files.keys().find(strays) {
            return refuse(&format!("the file {name:?} would lie outside it"), "use relative paths without `..`");
        }
        Ok(())
    }

    /// What distinguishes one state of a local source from another; empty where the specification is enough. `None`
    /// when it is not readable.
    fn identity(&self, host: &dyn Host) -> Outcome<Option<String>> {
        let location = Path::new(&self.location);
        let what = || format!("read {}", location.display());
        let found = match self.from {
            From::Directory => {
                if !location.is_absolute() {
                    return Err(Failure::new(what(), "it is not an absolute path"));
                }
                tree::walk(host, location).map(|tree| {
                    let seen = |(path, stat): &(PathBuf, crate::host::Stat)| {
                        // A directory's own time changes with what a copy leaves out or someone else removed.
                        let content = (stat.kind != Kind::Dir).then_some((stat.size, stat.mtime));
                        (path.clone(), stat.kind, stat.meta.mode, content)
                    };
                    serde_json::to_string(&tree.iter().map(seen).collect::<Vec<_>>()).unwrap_or_default()
                })
            }
            From::Archive | From::Image if location.is_absolute() && self.sha256.is_empty() => {
                host.stat(location).and_then(|stat| {
                    let stat = stat.ok_or(ErrorKind::NotFound)?;
                    Ok(format!("{}:{}:{}", stat.size, stat.mtime.sec, stat.mtime.nsec))
                })
            }
            From::Archive | From::Asset | From::Git | From::Image | From::Push => Ok(String::new()),
        };
        match found {
            Ok(identity) => Ok(Some(identity)),
            Err(e) if e.kind() == ErrorKind::PermissionDenied => Ok(None),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Err(Failure::new(what(), e).hint("the source must be on this server before the run"))
            }
            Err(e) => Err(Failure::new(what(), e)),
        }
    }

    fn required_identity(&self, host: &dyn Host) -> Outcome<String> {
        self.identity(host)?.ok_or_else(|| Failure::new(format!("read {}", self.location), "permission denied"))
    }

    fn release(&self, identity: String) -> Outcome<Release<'_>> {
        Release::new(&self.path, &(self, identity))
    }

    fn copy(&self, cx: &Context<'_>, dir: &Path) -> Outcome<String> {
        let all = format!("{}/.", self.location.trim_end_matches('/'));
        // `--archive` keeps links and times; the original's owners are irrelevant here.
        let argv = ["cp", "--archive", "--no-preserve=ownership", "--", &all, &dir.to_string_lossy()];
        CommandRunner::new(Command::new(argv).timeout(PATIENCE))
            .hint("the disk may be full, or a file unreadable; the lines above name it")
            .run(cx, &self.describe())?;
        Ok(self.location.clone())
    }

    fn write_assets(&self, cx: &Context<'_>, dir: &Path) -> Outcome<String> {
        for (name, content) in &self.files {
            let path = dir.join(name);
            let mode = if content.starts_with("#!") { 0o755 } else { 0o644 };
            // Not `make_parents`: within the tree the modes are set afterwards, with everything else.
            for parent in Path::new(name).ancestors().skip(1).collect::<Vec<_>>().into_iter().rev().skip(1) {
                paths::make_dir(cx.host, &dir.join(parent), Meta::root(0o755))?;
            }
            cx.host
                .write(&path, content.as_bytes(), Meta::root(mode))
                .map_err(|e| Failure::new(format!("write {}", path.display()), e))?;
        }
        Ok(format!("{} bundled files", self.files.len()))
    }

    /// Sets the owner of the tree, and removes write permission from everybody else.
    fn settle(&self, cx: &Context<'_>, dir: &Path, meta: Meta) -> Outcome<()> {
        if self.from == From::Asset && meta == Meta::root(0o755) {
            return Ok(());
        }
        let what = || format!("set the owner and modes of {}", dir.display());
        cx.host.settle_tree(dir, meta).map_err(|e| Failure::new(what(), e))
    }
}

/// The beginning of a commit's or a digest's digits, to tell it from others.
pub fn short(commit: &str) -> &str {
    let digits = commit.strip_prefix("sha256:").unwrap_or(commit);
    digits.get(..12).unwrap_or(digits)
}

/// A location as it may be shown: without credentials.
fn shown(location: &str) -> String {
    match credentials(location) {
        Some(credentials) => location.replacen(&format!("{credentials}@"), "", 1),
        None => location.to_owned(),
    }
}

/// The credentials in a URL: `https://user:password@host/` or `https://token@host/`. A bare user name, as in
/// `ssh://git@host/`, is none.
fn credentials(location: &str) -> Option<&str> {
    let (scheme, rest) = location.split_once("://")?;
    let authority = rest.split('/').next()?;
    let (credentials, _) = authority.rsplit_once('@')?;
    (credentials.contains(':') || scheme.starts_with("http")).then_some(credentials)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::action::testing::{Bench, kept};
    use crate::host::Stamp;
    use crate::host::real::RealHost;

    fn source(from: &str, location: &str) -> Source {
        serde_json::from_value(serde_json::json!({"path": "/srv/app/code", "from": from, "location": location}))
            .unwrap()
    }

    fn asset() -> Source {
        let file = |name: &str, content: &str| (name.to_owned(), content.to_owned());
        let files = [file("app.py", "#!/usr/bin/python3\n"), file("static/deep/x.css", "a {}\n")].into();
        Source { files, ..source("asset", "demo") }
    }

    fn bench() -> Bench {
        let bench = Bench::new();
        bench.host.put_file("/home/me/app/app.py", "1\n", 0o644);
        bench.host.put_file("/home/me/app/lib/a.py", "2\n", 0o644);
        bench.host.put_archive("/home/me/app.tar", &[("app-1.0/app.py", "1\n"), ("app-1.0/lib/a.py", "2\n")]);
        bench.host.put_repository("https://git.example.org/app.git", &[("app.py", "1\n"), ("lib/a.py", "2\n")]);
        bench.host.on(&["sha256sum"], |_, _| crate::host::fake::output(0, &format!("{}  x\n", "ab".repeat(32)), ""));
        bench
    }

    #[test]
    fn sources_of_every_kind_come_and_go() {
        let bench = bench();
        let sources = [
            asset(),
            source("directory", "/home/me/app"),
            source("archive", "/home/me/app.tar"),
            source("git", "https://git.example.org/app.git"),
        ];
        for act in sources {
            bench.round_trip(&act);
            let done = bench.make(&act);
            assert!(bench.host.text("/srv/app/code/app.py").is_some(), "{}", act.describe());
            bench.take_back(&done);
        }
    }

    #[test]
    fn a_changed_source_takes_the_place_of_the_old_one_and_gives_it_back() {
        let bench = bench();
        let act = source("directory", "/home/me/app");
        let first = bench.make(&act);
        bench.host.put_file("/home/me/app/app.py", "changed\n", 0o644);
        assert!(bench.summary(&act).ends_with("replacing the existing version"));
        let second = bench.make(&act);
        assert_eq!(bench.host.text("/srv/app/code/app.py").as_deref(), Some("changed\n"));
        assert!(kept(bench.take_back(&second)).is_empty());
        assert_eq!(bench.host.text("/srv/app/code/app.py").as_deref(), Some("1\n"));
        assert!(kept(bench.take_back(&first)).is_empty());
        assert!(bench.host.stat("/srv/app".as_ref()).unwrap().is_none());
    }

    #[test]
    fn what_an_interrupted_attempt_left_is_made_anew() {
        let bench = bench();
        let act = asset();
        let broken = act.release(String::new()).unwrap().dir();
        bench.host.put_file(broken.join("half"), "x", 0o644);
        bench.make(&act);
        assert_eq!(bench.check(&act), Ok(Verdict::Unchanged));
        assert!(bench.host.text("/srv/app/code/half").is_none());
    }

    #[test]
    fn what_stands_at_the_path_already_is_not_touched() {
        let bench = bench();
        bench.host.put_file("/srv/app/code/theirs", "x", 0o644);
        assert!(bench.check(&asset()).unwrap_err().why.contains("did not create it"));
        assert!(bench.try_to_make(&asset()).is_err());
        bench.host.take_away("/srv/app/code");
        bench.host.make_symlink("/srv/app/code".as_ref(), "/etc".as_ref()).unwrap();
        assert!(bench.check(&asset()).unwrap_err().why.contains("a link to /etc"));
    }

    #[test]
    fn a_wrong_checksum_stops_before_anything_is_unpacked() {
        let bench = bench();
        let act = Source { sha256: "cd".repeat(32), ..source("archive", "/home/me/app.tar") };
        let failure = bench.try_to_make(&act).err().unwrap();
        assert!(failure.why.contains("abab") && failure.why.contains("cdcd"), "{failure}");
        assert!(!bench.host.commands().iter().any(|command| command.argv[0] == "tar"));
        let right = Source { sha256: "AB".repeat(32), ..act };
        bench.make(&right);
    }

    #[test]
    fn an_archive_that_climbs_out_is_refused() {
        let bench = bench();
        bench.host.put_archive("/home/me/evil.tar", &[("../../etc/cron.d/x", "1\n")]);
        let failure = bench.try_to_make(&source("archive", "/home/me/evil.tar")).err().unwrap();
        assert!(failure.why.contains("outside the directory"), "{failure}");
        assert!(bench.host.text("/etc/cron.d/x").is_none());
    }

    #[test]
    fn locations_that_cannot_be_right_are_refused_before_the_run() {
        let bench = bench();
        let why = |act: &Source| bench.check(act).unwrap_err().why;
        assert!(why(&source("git", "https://me:hunter2@git.example.org/x")).contains("password or token"));
        assert!(!source("git", "https://me:hunter2@git.example.org/x").describe().contains("hunter2"));
        assert!(why(&source("git", "--upload-pack=x")).contains("begins with `-`"));
        assert!(why(&source("archive", "http://example.org/x.tar")).contains("plain http"));
        assert!(why(&source("archive", "app.tar")).contains("neither an absolute path"));
        let missing = bench.check(&source("directory", "/home/nobody")).unwrap_err();
        assert!(missing.hint.unwrap().contains("on this server before the run"));
        assert!(why(&Source { sha256: "abc".to_owned(), ..source("archive", "/home/me/app.tar") }).contains("64"));
        let stray = Source { files: [("../x".to_owned(), String::new())].into(), ..asset() };
        assert!(why(&stray).contains("outside"));
    }

    #[test]
    fn a_download_needs_a_tool_and_says_so() {
        let bench = bench();
        let act = source("archive", "https://example.org/app.tar");
        let failure = bench.try_to_make(&act).err().unwrap();
        assert!(failure.hint.unwrap().contains("install curl"));
        bench.host.put_file("/usr/bin/curl", "", 0o755);
        bench.host.on(&["curl"], |host, command| {
            let at = command.argv.iter().position(|word| word == "--output").unwrap();
            host.put_archive(&command.argv[at + 1], &[("app.py", "1\n")]);
            crate::host::fake::output(0, "", "")
        });
        bench.make(&act);
        assert_eq!(bench.host.text("/srv/app/code/app.py").as_deref(), Some("1\n"));
        assert!(bench.host.text("/srv/app/code/.bringup-download").is_none());
    }

    #[test]
    fn what_was_asked_for_over_tls_never_comes_without() {
        let bench = bench();
        let act = source("archive", "https://example.org/app.tar");
        bench.host.put_file("/usr/bin/wget", "", 0o755);
        bench.host.on(&["wget"], |host, command| {
            let url = command.argv.last().unwrap();
            assert!(command.argv.contains(&"--max-redirect=0".to_owned()));
            let location = match url.as_str() {
                "https://example.org/app.tar" => "https://cdn.example.net/1",
                "https://cdn.example.net/1" => "/2",
                "https://example.org/evil.tar" => "http://example.org/evil.tar",
                url => {
                    assert_eq!(url, "https://cdn.example.net/2");
                    let at = command.argv.iter().position(|word| word == "-O").unwrap();
                    host.put_archive(&command.argv[at + 1], &[("app.py", "1\n")]);
                    return crate::host::fake::output(0, "", "");
                }
            };
            crate::host::fake::output(
                8,
                "",
                &format!("  HTTP/1.1 302 Found\n  Location: {location}\n0 redirections exceeded.\n"),
            )
        });
        bench.make(&act);
        assert_eq!(bench.host.text("/srv/app/code/app.py").as_deref(), Some("1\n"));
        let evil = Source { path: "/srv/app/evil".into(), ..source("archive", "https://example.org/evil.tar") };
        let failure = bench.try_to_make(&evil).err().unwrap();
        assert!(failure.why.contains("redirects to http://example.org/evil.tar, which is not https"), "{failure}");
        bench.host.put_file("/usr/bin/curl", "", 0o755);
        bench.host.on(&["curl"], |_, _| crate::host::fake::output(1, "", ""));
        assert!(bench.try_to_make(&evil).is_err());
        let curl = bench.host.commands().into_iter().rfind(|command| command.argv[0] == "curl").unwrap();
        assert!(curl.argv.join(" ").contains("--proto =https --proto-redir =https"), "{:?}", curl.argv);
    }

    #[test]
    fn git_asks_nothing_and_fetches_what_is_named() {
        let bench = bench();
        let branch = Source { reference: "v1".to_owned(), ..source("git", "https://git.example.org/app.git") };
        bench.make(&branch);
        let clone =
            bench.host.commands().into_iter().find(|command| command.argv.contains(&"clone".to_owned())).unwrap();
        assert!(clone.argv.join(" ").contains("--depth 1 --branch v1"));
        assert!(clone.env.contains(&("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned())));
        assert!(clone.env.contains(&("GIT_ALLOW_PROTOCOL".to_owned(), "https:ssh".to_owned())));
        bench.host.forget_calls();
        let commit = Source { reference: "ab".repeat(20), ..branch };
        bench.make(&commit);
        assert!(bench.host.commands().iter().any(|command| command.argv.contains(&"--detach".to_owned())));
    }

    /// Real tools in a directory of our own; they change owners, so only root can try them.
    #[test]
    fn real_tools_copy_and_unpack_with_safe_modes() {
        let host = RealHost::new();
        if host.euid() != 0 {
            return;
        }
        let home = PathBuf::from(format!("/tmp/bringup-source-{}", std::process::id()));
        let shell = |script: &str| {
            let output = host.run(&Command::new(["sh", "-ec", script]).cwd("/")).unwrap();
            assert!(output.ok(), "{:?}", output.tail(5));
        };
        let at = |name: &str| home.join(name).to_string_lossy().into_owned();
        shell(&format!(
            "mkdir -p {h}/ours {h}/app-1/lib; cd {h}; echo 1 > app-1/run.sh; chmod 4777 app-1/run.sh; echo 2 > app-1/lib/.env; \
             chmod 600 app-1/lib/.env; ln -s lib/.env app-1/link; chown -R 1234:1234 app-1; tar -czf app.tgz app-1",
            h = home.display()
        ));
        let bench = Bench::on(RealHost::new(), &home.join("ours"));
        for (from, location) in [("directory", at("app-1")), ("archive", at("app.tgz"))] {
            let act = Source { path: home.join("in/code"), ..source(from, &location) };
            let done = bench.make(&act);
            assert_eq!(bench.check(&act), Ok(Verdict::Unchanged));
            let meta = |name: &str| bench.host.stat(&home.join("in/code").join(name)).unwrap().unwrap().meta;
            assert_eq!(meta("run.sh"), Meta::root(0o755), "{from}: no set-user-id, nobody else may write");
            assert_eq!(meta("lib/.env"), Meta::root(0o640), "{from}: what was private is no more open than its group");
            assert_eq!(meta("."), Meta::root(0o755), "{from}");
            assert_eq!(bench.host.read_link(&home.join("in/code/link")).unwrap(), Path::new("lib/.env"));
            assert!(kept(bench.take_back(&done)).is_empty());
            assert!(bench.host.stat(&home.join("in")).unwrap().is_none(), "{from}");
        }
        let old = Stamp { sec: 1, nsec: 0 };
        let act = Source { path: home.join("in/code"), ..source("directory", &at("app-1")) };
        bench.make(&act);
        bench.host.set_mtime(&home.join("app-1/lib/.env"), old).unwrap();
        assert_ne!(bench.check(&act), Ok(Verdict::Unchanged), "a changed file is a changed source");
        shell(&format!("rm -rf {}", home.display()));
    }
}
