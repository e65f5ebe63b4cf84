//! Sources from a tar archive, on this server or at a URL.

use std::path::{Path, PathBuf};

use super::{PATIENCE, Source};
use crate::action::command_runner::CommandRunner;
use crate::action::contract::{Act, Context};
use crate::error::{Failure, Outcome};
use crate::facts::archive::components_to_strip;
use crate::host::{Command, Kind};
use crate::progress::Progress;
use crate::system::{paths, tree};

/// Unpacks the archive into `dir`, without its top directory when it has a single one, and returns its SHA-256.
pub fn unpack(source: &Source, cx: &Context<'_>, dir: &Path) -> Outcome<String> {
    let archive = fetch(source, cx, dir)?;
    let name = archive.to_string_lossy().into_owned();
    let what = source.describe();
    let sum = CommandRunner::new(Command::new(["sha256sum", "--", &name]).timeout(PATIENCE)).run(cx, &what)?.text();
    // sha256sum marks a name that it had to escape with a backslash in front of the sum.
    let sum = sum.trim_start_matches('\\').split_whitespace().next().unwrap_or_default().to_owned();
    if !source.sha256.is_empty() && !sum.eq_ignore_ascii_case(&source.sha256) {
        let why = format!("its SHA-256 is {sum}, not the expected {}", source.sha256);
        return Err(
            Failure::new(what, why).hint("the archive is damaged, or not the intended one; nothing was unpacked")
        );
    }
    let hint = "is it a tar archive? Its packer (xz-utils, bzip2, zstd) must be installed";
    let list = Command::new(["tar", "--list", "--quoting-style=escape", "--file", &name]).timeout(PATIENCE);
    // Reported as a note: a list of all file names is of no use.
    let quiet = |_: &str| Progress::Note("reading the archive".to_owned());
    let listed = CommandRunner::new(list).telling(&quiet).hint(hint).run(cx, &what)?.text();
    let names: Vec<&str> = listed.lines().collect();
    if let Some(stray) = names.iter().find(|name| strays(name)) {
        let why = format!("it holds {stray:?}, which would lie outside the directory");
        return Err(Failure::new(what, why).hint("do not use this archive; nothing was unpacked"));
    }
    // A link could lead the entries after it elsewhere, so it is looked for before anything is unpacked.
    if source.is_particular()
        && let Some(failure) = source.archived(cx.host, &name).and_then(|entries| source.unfit(&entries))
    {
        return Err(failure);
    }
    let strip = if source.keep_top { 0 } else { components_to_strip(&names) };
    let strip = format!("--strip-components={strip}");
    let directory = dir.to_string_lossy();
    let mut extract = Command::new([
        "tar",
        "--extract",
        "--no-same-owner",
        "--no-same-permissions",
        &strip,
        "--file",
        &name,
        "--directory",
        &directory,
    ]);
    extract.umask = Some(0o022);
    CommandRunner::new(extract.timeout(PATIENCE)).hint(hint).run(cx, &what)?;
    if archive.starts_with(dir) {
        cx.host.remove(&archive).map_err(|e| Failure::new(format!("remove {name}"), e))?;
    }
    let unpacked = tree::walk(cx.host, dir).map_err(|e| Failure::new(what.clone(), e))?;
    if let Some((odd, _)) = unpacked.iter().find(|(_, stat)| stat.kind == Kind::Other) {
        return Err(Failure::new(what, format!("it holds a device or a pipe, {}", odd.display()))
            .hint("sources hold files, directories and links; do not use this archive"));
    }
    Ok(sum)
}

/// The archive as a local file; a download is in `dir` for the moment.
fn fetch(source: &Source, cx: &Context<'_>, dir: &Path) -> Outcome<PathBuf> {
    let url = &source.location;
    if !url.contains("://") {
        return Ok(PathBuf::from(url));
    }
    let file = dir.join(".bringup-download");
    let to = file.to_string_lossy().into_owned();
    // A download over TLS must not be downgraded.
    let secure = url.starts_with("https://");
    let allowed = if secure { "=https" } else { "=http,https" };
    let curl: &[&str] = &[
        "curl",
        "--fail",
        "--location",
        "--silent",
        "--show-error",
        "--retry",
        "3",
        "--connect-timeout",
        "20",
        "--proto",
        allowed,
        "--proto-redir",
        allowed,
        "--output",
        &to,
        "--",
        url,
    ];
    let installed = |name: &str| paths::stat(cx.host, &Path::new("/usr/bin").join(name)).map(|found| found.is_some());
    let what = format!("download {url}");
    (cx.progress)(Progress::Note(format!("downloading {url}")));
    if installed("curl")? {
        CommandRunner::new(Command::new(curl.iter().copied()).timeout(PATIENCE)).hint(HINT).run(cx, &what)?;
        return Ok(file);
    }
    if installed("wget")? {
        with_wget(cx, url, &to)?;
        return Ok(file);
    }
    Err(Failure::new(what, "neither curl nor wget is installed")
        .hint("install curl, or download the archive yourself and give its path"))
}

const HINT: &str = "check the address, and the proxy variables if there is a proxy";

/// wget cannot restrict which redirects to follow, so it follows none, and we do.
fn with_wget(cx: &Context<'_>, url: &str, to: &str) -> Outcome<()> {
    let what = format!("download {url}");
    let mut next = url.to_owned();
    for _ in 0..REDIRECTS {
        let argv = ["wget", "--no-verbose", "--server-response", "--max-redirect=0", "--tries=3", "--timeout=20", "-O"];
        let command = Command::new(argv.into_iter().chain([to, "--", &next])).timeout(PATIENCE);
        let Err(failure) = CommandRunner::new(command).hint(HINT).run(cx, &what) else { return Ok(()) };
        let location = failure.tail.iter().rev().find_map(|line| line.trim().strip_prefix("Location: "));
        let Some(location) = location else { return Err(failure) };
        next = redirect(&next, location).map_err(|why| Failure::new(what.clone(), why).hint(REFUSED))?;
    }
    Err(Failure::new(what, format!("it redirects more than {REDIRECTS} times")).hint(HINT))
}

/// Limit of redirects.
const REDIRECTS: usize = 10;
const REFUSED: &str = "download the archive yourself and give its path, or give its final address and its SHA-256";

/// The target of a redirect; never from https to anything else.
fn redirect(from: &str, location: &str) -> Result<String, String> {
    let (scheme, rest) = from.split_once("://").unwrap_or(("https", from));
    let to = match location {
        absolute if absolute.contains("://") => absolute.to_owned(),
        relative if relative.starts_with("//") => format!("{scheme}:{relative}"),
        rooted if rooted.starts_with('/') => {
            format!("{scheme}://{}{rooted}", rest.split(['/', '?', '#']).next().unwrap_or_default())
        }
        relative => {
            let path = from.split(['?', '#']).next().unwrap_or(from);
            format!("{}/{relative}", path.rsplit_once('/').map_or(path, |(directory, _)| directory))
        }
    };
    let kept = to.starts_with("https://") || scheme == "http" && to.starts_with("http://");
    if kept { Ok(to) } else { Err(format!("it redirects to {to}, which is not https")) }
}

/// Whether an archive's entry would lie outside the directory that it is unpacked into.
pub(super) fn strays(name: &str) -> bool {
    name.starts_with('/') || name.split('/').any(|part| part == "..")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn entries_that_leave_the_directory_are_seen() {
        assert!(strays("/etc/passwd") && strays("../x") && strays("a/../../x") && strays(".."));
        assert!(!strays("a/b") && !strays("./a") && !strays("a..b/c") && !strays("..a"));
    }

    #[test]
    fn a_redirect_never_leaves_tls() {
        let from = "https://example.org/a/b.tar?x=/1";
        assert_eq!(redirect(from, "https://cdn.example.net/b").unwrap(), "https://cdn.example.net/b");
        assert_eq!(redirect(from, "//cdn.example.net/b").unwrap(), "https://cdn.example.net/b");
        assert_eq!(redirect(from, "/c").unwrap(), "https://example.org/c");
        assert_eq!(redirect(from, "c").unwrap(), "https://example.org/a/c");
        for leaves in ["http://example.org/b", "ftp://example.org/b", "file:///etc/shadow"] {
            assert!(redirect(from, leaves).unwrap_err().contains("not https"), "{leaves}");
        }
        assert_eq!(redirect("http://example.org/a", "http://example.org/b").unwrap(), "http://example.org/b");
        assert!(redirect("http://example.org/a", "file:///etc/shadow").is_err());
    }
}
