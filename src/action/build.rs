//! `build`: has a user without rights build a tree from sources, and puts the result in place.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::action::command_runner::{CommandRunner, end_processes_of};
use crate::action::contract::{Act, Brings, Context, Verdict};
use crate::action::release::{Release, clear};
use crate::action::source::{Links, Source};
use crate::action::tools::Tools;
use crate::error::{Failure, Outcome};
use crate::hash::sha256_hex;
use crate::host::{Command, Host, Kind};
use crate::progress::Progress;
use crate::system::{accounts, paths};
use crate::undo::Undo;

/// Builds a tree from sources as a user without rights, and puts the result in place.
///
/// A build runs programs of many people. So it works on a copy of the sources, which its user owns, and only the result
/// is taken over: files, directories and the links that are allowed, which then belong to root. The path becomes a link
/// to `<path>.releases/<key>`, and is pointed to another tree when the sources or the program change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// Path of the result; must not exist before, and must be below directories that only root can change.
    pub path: PathBuf,
    /// The sources: a directory that the user can read. Where it is a link, as `source` makes it, another target is
    /// another build.
    pub from: PathBuf,
    /// The program that builds. It is started in the copy, with `HOME` beside it.
    pub program: PathBuf,
    /// User that it runs as, who has no other purpose: all its processes are ended afterwards.
    pub user: String,
    /// Directory in the copy in which it leaves the result; `.` for the whole copy.
    pub result: PathBuf,
    /// Which symbolic links the result may hold; `any` is not allowed.
    #[serde(default = "no_links", skip_serializing_if = "is_no_links")]
    pub links: Links,
    /// Files that the result must hold, by their paths in it; an empty one does not count.
    #[serde(default)]
    pub must_hold: Vec<String>,
    /// Packages that only it needs: installed before it, and purged after it.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Seconds after which it is killed.
    #[serde(default = "one_hour")]
    pub timeout: u64,
}

const fn one_hour() -> u64 {
    3600
}

const fn no_links() -> Links {
    Links::None
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_no_links(links: &Links) -> bool {
    *links == Links::None
}

/// Largest archive of a result, in bytes.
const LARGEST: u64 = 4 << 30;
/// Timeout of copying.
const PATIENCE: Duration = Duration::from_mins(30);

impl Act for Build {
    fn describe(&self) -> String {
        format!("build {} from {}", self.path.display(), self.from.display())
    }

    fn check(&self, cx: &Context<'_>) -> Outcome<Verdict> {
        self.validate()?;
        match self.release(cx.host)? {
            Some(release) => release.verdict(cx.host, self.describe(), "version"),
            None => Ok(Verdict::change(self.describe())),
        }
    }

    fn prepare(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        self.validate()?;
        let release = self.required_release(cx.host)?;
        let mut records =
            if self.tools.is_empty() { Vec::new() } else { self.toolbox(&self.describe()).records(cx)? };
        records.extend(release.prepare(cx)?);
        records.push(Undo::RemoveTree { path: release.ground() });
        Ok(records)
    }

    fn apply(&self, cx: &Context<'_>) -> Outcome<()> {
        self.validate()?;
        let release = self.required_release(cx.host)?;
        let ground = release.ground();
        release.install(cx, |dir| {
            let build = || self.build(cx, &ground, dir);
            if self.tools.is_empty() {
                build()?;
            } else {
                self.toolbox(&self.describe()).with(cx, build)?;
            }
            Ok(self.from.display().to_string())
        })
    }

    fn brings(&self) -> Brings {
        Brings { paths: vec![self.path.clone()], ..Brings::default() }
    }
}

impl Build {
    fn toolbox<'a>(&'a self, describe: &str) -> Tools<'a> {
        Tools::new(&self.tools, describe)
    }

    fn validate(&self) -> Outcome<()> {
        let inside = |part| matches!(part, Component::Normal(_));
        let whole = self.result == Path::new(".");
        if self.result.as_os_str().is_empty() || !(whole || self.result.components().all(inside)) {
            return Err(Failure::new(self.describe(), format!("{} is not in the copy", self.result.display()))
                .hint("name a directory relative to the sources, without `..`"));
        }
        if self.links == Links::Any {
            return Err(Failure::new(self.describe(), "its user could put links to anything into the result")
                .hint("allow those that stay inside, or none"));
        }
        if ["", "root"].contains(&self.user.as_str()) {
            return Err(Failure::new(self.describe(), "root does not build").hint("make a user for it"));
        }
        Ok(())
    }

    /// The tree for these inputs; `None` when the sources or the program do not exist yet.
    fn release(&self, host: &dyn Host) -> Outcome<Option<Release<'_>>> {
        let target = match paths::stat(host, &self.from)?.map(|stat| stat.kind) {
            None => return Ok(None),
            Some(Kind::Symlink) => Some(paths::read_link(host, &self.from)?),
            Some(_) => None,
        };
        if paths::stat(host, &self.program)?.is_none() {
            return Ok(None);
        }
        let failed = |e| Failure::new(format!("read {}", self.program.display()), e);
        let program = sha256_hex(&host.read(&self.program).map_err(failed)?);
        Ok(Some(Release::new(&self.path, &(self, target, program))?))
    }

    fn required_release(&self, host: &dyn Host) -> Outcome<Release<'_>> {
        let missing = || {
            Failure::new(
                self.describe(),
                format!("{} or {} does not exist", self.from.display(), self.program.display()),
            )
        };
        self.release(host)?.ok_or_else(missing)
    }

    fn build(&self, cx: &Context<'_>, ground: &Path, dir: &Path) -> Outcome<()> {
        let what = self.describe();
        let owner = accounts::require_meta(cx.host, "0700", &self.user, &self.user)?;
        clear(cx, ground)?;
        paths::make_dir(cx.host, ground, owner)?;
        let (tree, home) = (ground.join("tree"), ground.join("home"));
        let as_user = |argv: &[&str]| {
            let command = Command::new(argv.iter().copied()).user(&self.user).cwd(ground).timeout(PATIENCE);
            Command { umask: Some(0o022), ..command }
        };
        let (at, to) = (format!("{}/.", self.from.display()), tree.to_string_lossy().into_owned());
        CommandRunner::new(as_user(&["cp", "--recursive", "--no-target-directory", "--", &at, &to]))
            .hint("the disk may be full, or the sources not readable for the user")
            .run(cx, &what)?;
        CommandRunner::new(as_user(&["mkdir", "--", &home.to_string_lossy()])).run(cx, &what)?;
        (cx.progress)(Progress::Note("building".to_owned()));
        let program = as_user(&[&self.program.to_string_lossy()])
            .cwd(&tree)
            .env("HOME", home.to_string_lossy())
            .timeout(Duration::from_secs(self.timeout));
        let built = CommandRunner::new(program).hint("the lines above name the step that failed").run(cx, &what);
        end_processes_of(cx, &self.user, &what)?;
        built?;
        self.take_over(cx, &tree, dir)?;
        clear(cx, ground)
    }

    /// Takes the result over as an archive that the user writes to a file of root's: root opens nothing that the user
    /// could exchange, and an archive is searched for links and foreign paths.
    fn take_over(&self, cx: &Context<'_>, tree: &Path, dir: &Path) -> Outcome<()> {
        let what = self.describe();
        let archive = dir.join(".bringup-download").to_string_lossy().into_owned();
        let result = tree.join(&self.result).to_string_lossy().into_owned();
        let script = "runuser -u \"$0\" -- tar --create --hard-dereference --directory \"$1\" --file - . | \
                      head --bytes=\"$2\" > \"$3\"";
        let pack = Command::new(["sh", "-ec", script, &self.user, &result, &LARGEST.to_string(), &archive]);
        CommandRunner::new(pack.timeout(PATIENCE)).run(cx, &what)?;
        let source = Source::of_build(&self.path, &archive, &self.must_hold, self.links);
        source.fill(cx, dir).map(drop).map_err(|failure| Failure { what, ..failure })
    }
}

/// Removes what a build has left; `rm` follows no link.
#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::action::testing::{Bench, kept};
    use crate::host::fake::output;

    const TREE: &str = "/opt/site/public.releases/";

    fn build() -> Build {
        serde_json::from_value(serde_json::json!({
            "path": "/opt/site/public", "from": "/opt/site/src", "program": "/opt/site/build", "user": "builder",
            "result": "out/public", "must_hold": ["index.html"]
        }))
        .unwrap()
    }

    /// Its program makes a page, unless `page` is none.
    fn bench(page: Option<&'static str>) -> Bench {
        let bench = Bench::new();
        for (file, line) in [("/etc/passwd", "builder:x:998:998::/:/bin/sh"), ("/etc/group", "builder:x:998:")] {
            let text = format!("{}{line}\n", bench.host.text(file).unwrap());
            bench.host.put_file(file, text, 0o644);
        }
        bench.host.put_file("/opt/site/src/page", "1\n", 0o644);
        bench.host.put_file("/opt/site/build", "#!/bin/sh\n", 0o755);
        bench.host.on(&["/opt/site/build"], move |_, _| match page {
            Some(_) => output(0, "", ""),
            None => output(1, "step 2 failed\n", ""),
        });
        bench.host.on(&["sh", "-ec"], move |host, command| {
            let archive = command.argv.last().unwrap();
            host.put_archive(archive, &[(page.unwrap_or_default(), "<p>")]);
            output(0, "", "")
        });
        bench.host.on(&["tar", "--list", "--verbose"], move |_, _| {
            output(0, &format!("-rw-r--r-- 998/998 3 2026-01-01 12:00 {}\n", page.unwrap_or_default()), "")
        });
        bench
    }

    #[test]
    fn the_result_belongs_to_root_and_nothing_else_stays() {
        let bench = bench(Some("index.html"));
        bench.round_trip(&build());
        let done = bench.make(&build());
        assert_eq!(bench.host.text("/opt/site/public/index.html").as_deref(), Some("<p>"));
        let left = bench.host.list(TREE.as_ref()).unwrap();
        assert_eq!(left.len(), 1, "{left:?}");
        let commands = bench.host.commands();
        let program = commands.iter().find(|command| command.argv[0] == "/opt/site/build").unwrap();
        assert_eq!(program.user.as_deref(), Some("builder"));
        assert!(program.cwd.ends_with("tree") && program.env.iter().any(|(name, _)| name == "HOME"));
        assert!(kept(bench.take_back(&done)).is_empty());
    }

    #[test]
    fn the_whole_copy_can_be_the_result_and_a_single_directory_in_it_stays() {
        let bench = bench(Some("css/app.css"));
        bench.make(&Build { result: ".".into(), must_hold: vec!["css/app.css".to_owned()], ..build() });
        assert_eq!(bench.host.text("/opt/site/public/css/app.css").as_deref(), Some("<p>"));
        let refused = bench.check(&Build { links: Links::Any, ..build() }).unwrap_err();
        assert!(refused.why.contains("links to anything"), "{refused:?}");
    }

    #[test]
    fn another_source_or_program_is_another_build() {
        let bench = bench(Some("index.html"));
        let first = bench.make(&build());
        bench.host.put_file("/opt/site/build", "#!/bin/sh\n: \n", 0o755);
        assert!(bench.summary(&build()).ends_with("replacing the existing version"));
        let second = bench.make(&build());
        assert_eq!(bench.host.list(TREE.as_ref()).unwrap().len(), 2);
        assert!(kept(bench.take_back(&second)).is_empty());
        assert_eq!(bench.host.list(TREE.as_ref()).unwrap().len(), 1);
        assert!(kept(bench.take_back(&first)).is_empty());
    }

    #[test]
    fn a_failed_build_and_an_incomplete_result_change_nothing() {
        let failure = bench(None).try_to_make(&build()).err().unwrap();
        assert!(failure.tail.iter().any(|line| line.contains("step 2 failed")), "{failure:?}");
        let failure = bench(Some("other.html")).try_to_make(&build()).err().unwrap();
        assert!(failure.why.contains("lacks index.html"), "{failure:?}");
    }

    #[test]
    fn what_would_be_dangerous_is_refused() {
        let bench = bench(Some("index.html"));
        for result in ["", "/etc", "../x", "a/../b"] {
            let act = Build { result: result.into(), ..build() };
            assert!(bench.check(&act).unwrap_err().why.contains("not in the copy"), "{result}");
        }
        let act = Build { user: "root".to_owned(), ..build() };
        assert!(bench.check(&act).unwrap_err().why.contains("root does not build"));
    }
}
