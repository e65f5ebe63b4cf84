//! Sources that are container images: podman keeps each in a store of its own, in the tree of its version.
//!
//! Nothing else uses that store, so nobody's `podman image prune` removes the version that a rollback leads back to, and
//! the rollback removes the whole image with the tree. What runs is elsewhere, in `/run`: containers come and go without a
//! change on the disk.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::{PATIENCE, Source, git::Named};
use crate::action::command_runner::CommandRunner;
use crate::action::contract::{Act, Context};
use crate::error::{Failure, Outcome};
use crate::hash::sha256_hex;
use crate::host::{Command, Host, Meta};
use crate::progress::Progress;
use crate::secret::shell_quote;
use crate::system::paths;

/// Timeout of asking a registry.
const ASKING: Duration = Duration::from_mins(1);
/// Timeout of listing an archive; one that takes longer is not judged.
const LISTING: Duration = Duration::from_secs(30);
/// The beginning of a digest.
const SHA256: &str = "sha256:";
/// What a registry says that will not get better by itself.
const REFUSALS: [&str; 6] =
    ["manifest unknown", "name unknown", "unauthorized", "authentication required", "denied", "not found"];

const HINT: &str = "try `skopeo inspect docker://NAME:TAG` on this server; a private registry needs root's \
    /root/.docker/config.json, as `podman login --authfile /root/.docker/config.json REGISTRY` writes it";

/// podman with settings of its own. Locks in shared memory are those of everybody's podman, and would be freed for a
/// store that is new after a boot. Its limit of processes would need a cgroup that the service may lack; the service has one.
const SETTINGS: &str = "\
# Written by bringup.
[containers]
pids_limit = 0
[engine]
lock_type = \"file\"
events_logger = \"none\"
";

impl Source {
    /// Whether it is an image in an archive on this server, not in a registry.
    pub(super) fn is_archived_image(&self) -> bool {
        self.location.starts_with('/')
    }

    /// The image as the registry's tools call it; `version` is a tag or a digest.
    fn image(&self, version: &str) -> String {
        match version {
            "" => format!("{}:latest", self.location),
            digest if is_digest(digest) => format!("{}@{digest}", self.location),
            tag => format!("{}:{tag}", self.location),
        }
    }

    /// Why its name cannot be right.
    pub(super) fn wrong_image(&self) -> Option<(&'static str, &'static str)> {
        if self.is_archived_image() {
            return None;
        }
        let plain = |text: &str, also: &str| {
            text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || also.as_bytes().contains(&b))
        };
        let named = self.location.split_once('/').is_some_and(|(registry, name)| {
            let is_host = registry == "localhost" || registry.contains(['.', ':']);
            is_host && plain(registry, ".:-") && name.split('/').all(|part| !part.is_empty() && plain(part, "._-"))
        });
        if !named {
            return Some((
                "its location is neither an absolute path nor an image with its registry",
                "write it as in registry.example.org/shop, or docker.io/library/nginx",
            ));
        }
        let is_tag =
            |text: &str| text.len() <= 128 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        let wrong = !is_digest(&self.reference) && !is_tag(&self.reference);
        wrong.then_some(("its reference is neither a tag nor a digest", "such as v1.2, or sha256: and 64 digits"))
    }
}

/// Whether a reference is the digest of an image.
pub(super) fn is_digest(reference: &str) -> bool {
    let digits = reference.strip_prefix(SHA256).unwrap_or_default();
    digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Asks the registry for the digest of a tag; an empty name is `latest`.
pub(super) fn look_up(source: &Source, host: &dyn Host, name: &str) -> Outcome<Named> {
    if is_digest(name) {
        return Ok(Named::Commit);
    }
    let image = source.image(name);
    let what = || format!("look up {image}");
    // As it is: the digest is that of these bytes, for all architectures.
    let url = format!("docker://{image}");
    let output =
        host.run(&tool(["skopeo", "inspect", "--raw", &url]).timeout(ASKING)).map_err(|e| Failure::new(what(), e))?;
    if !output.ok() || output.stdout.is_empty() {
        let tail = output.tail(5);
        let last = tail.last().cloned().unwrap_or_else(|| format!("skopeo ended with status {}", output.status));
        return Err(Failure::new(what(), last).hint(HINT).tail(tail));
    }
    Ok(Named::Branch(format!("{SHA256}{}", sha256_hex(&output.stdout))))
}

/// Fetches or loads the image into `dir`, and returns its digest, or the image's own name (ID) where it is from an archive.
pub(super) fn fill(source: &Source, cx: &Context<'_>, dir: &Path) -> Outcome<String> {
    let what = source.describe();
    let store = dir.join("images");
    // Its files have owners and modes of their own, programs with set-user-id among them: only root gets there.
    paths::make_dir(cx.host, &store, Meta::root(0o700))?;
    let settings = dir.join("podman.conf");
    write(cx.host, &settings, SETTINGS, 0o644)?;
    let key = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    write(cx.host, &dir.join("podman"), &wrapper(dir, &key), 0o755)?;
    let podman = |words: &[&str]| {
        let state = format!("/run/bringup-podman/{key}-fill");
        let (root, run, tmp) = (store.display().to_string(), format!("{state}/run"), format!("{state}/tmp"));
        let mut argv = vec!["podman", "--root", &root, "--runroot", &run, "--tmpdir", &tmp];
        argv.extend(["--storage-driver", "overlay", "--storage-opt", "overlay.skip_mount_home=true"]);
        argv.extend(words);
        tool(argv).env("CONTAINERS_CONF", settings.display().to_string())
    };
    let told = |line: &str| Progress::Output(line.to_owned());
    let resolved = if source.is_archived_image() {
        let hint = "it must be what `podman save` or `docker save` wrote; and its disk may be full";
        let load = podman(&["load", "--quiet", "--input", &source.location]);
        CommandRunner::new(load).telling(&told).hint(hint).run(cx, &what)?;
        None
    } else {
        let digest = match [&source.commit, &source.reference].into_iter().find(|name| is_digest(name)) {
            Some(digest) => digest.clone(),
            None => match look_up(source, cx.host, &source.reference)? {
                Named::Branch(digest) => digest,
                Named::Tag | Named::Commit => source.reference.clone(),
            },
        };
        let pull = podman(&["pull", "--quiet", &source.image(&digest)]);
        CommandRunner::new(pull).telling(&told).hint(HINT).run(cx, &what)?;
        Some(digest)
    };
    let listed = CommandRunner::new(podman(&["images", "--quiet", "--no-trunc"])).run(cx, &what)?.text();
    let ids: BTreeSet<&str> = listed.lines().map(str::trim).filter(|line| is_digest(line)).collect();
    let id = match ids.into_iter().collect::<Vec<_>>().as_slice() {
        [id] => (*id).to_owned(),
        [] => return Err(Failure::new(what, "it holds no image")),
        several => {
            let why = format!("it holds {} images", several.len());
            return Err(Failure::new(what, why).hint("save one image only: `podman save -o FILE NAME:TAG`"));
        }
    };
    write(cx.host, &dir.join("image"), &format!("{id}\n"), 0o644)?;
    // Of the fetching itself nothing stays.
    let clear = Command::new(["rm", "--recursive", "--force", "--", &format!("/run/bringup-podman/{key}-fill")]);
    CommandRunner::new(clear).run(cx, &what)?;
    Ok(resolved.unwrap_or(id))
}

/// Why an image cannot be had, as far as can be determined without fetching it.
pub(super) fn obstacle(source: &Source, host: &dyn Host) -> Option<Failure> {
    if source.is_archived_image() {
        let output = host.run(&Command::new(["tar", "--list", "--file", &source.location]).timeout(LISTING)).ok()?;
        let list = output.text();
        let holds = list.lines().any(|name| ["manifest.json", "index.json"].contains(&name.trim_start_matches("./")));
        return (output.status != 124 && !holds).then(|| {
            Failure::new(source.describe(), "it is no archive of an image")
                .hint("write it with `podman save -o FILE NAME:TAG` or `docker save -o FILE NAME:TAG`")
        });
    }
    let skopeo = host.stat(Path::new("/usr/bin/skopeo")).is_ok_and(|stat| stat.is_some());
    if !skopeo || host.euid() != 0 {
        return None;
    }
    // A registry that cannot be reached now may be reached later.
    let wanted = if source.commit.is_empty() { &source.reference } else { &source.commit };
    let failure = look_up(source, host, wanted).err()?;
    REFUSALS.iter().any(|refusal| failure.why.contains(refusal)).then_some(failure)
}

fn tool<'a>(argv: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(argv).env("HOME", "/root").timeout(PATIENCE);
    command.umask = Some(0o022);
    command
}

fn write(host: &dyn Host, path: &Path, text: &str, mode: u32) -> Outcome<()> {
    host.write(path, text.as_bytes(), Meta::root(mode))
        .map_err(|e| Failure::new(format!("write {}", path.display()), e))
}

/// A program beside the image: podman, with this image and with containers that are apart from those of others.
fn wrapper(dir: &Path, key: &str) -> String {
    let dir = shell_quote(&dir.to_string_lossy());
    format!(
        "\
#!/bin/sh
# podman with the image of this version ($here/image) and with containers of its own. Written by bringup.
here={dir}
state=/run/bringup-podman/{key}
[ -d /run/bringup-podman ] || mkdir -m 0700 /run/bringup-podman
CONTAINERS_CONF=$here/podman.conf
export CONTAINERS_CONF
exec podman --root \"$state/storage\" --runroot \"$state/run\" --tmpdir \"$state/tmp\" --storage-driver overlay \\
    --storage-opt overlay.skip_mount_home=true --storage-opt \"overlay.imagestore=$here/images\" \"$@\"
"
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::action::testing::{Bench, kept};
    use crate::host::fake::output;

    const ID: &str = "sha256:2568217089d5d3b659b89bc8a52c7afff14767256309e20dac976352d6ade4b6";

    fn source(location: &str, reference: &str) -> Source {
        let fields =
            serde_json::json!({"path": "/opt/shop/app", "from": "image", "location": location, "reference": reference});
        serde_json::from_value(fields).unwrap()
    }

    /// A server with podman, and a registry whose tags are all at the same image.
    fn bench() -> Bench {
        let bench = Bench::new();
        bench.host.on(&["skopeo", "inspect", "--raw"], |_, _| output(0, "{\"schemaVersion\": 2}", ""));
        bench.host.on(&["podman"], |_, command| {
            let listed = command.argv.contains(&"images".to_owned());
            output(0, &if listed { format!("{ID}\n{ID}\n") } else { String::new() }, "")
        });
        bench
    }

    fn commands(bench: &Bench) -> Vec<String> {
        bench.host.commands().iter().map(|command| command.argv.join(" ")).collect()
    }

    #[test]
    fn a_tag_is_fetched_by_the_digest_that_it_has_and_goes_with_the_rollback() {
        let bench = bench();
        let digest = format!("sha256:{}", sha256_hex(b"{\"schemaVersion\": 2}"));
        let act = source("registry.example.org/shop", "v1");
        bench.round_trip(&act);
        let done = bench.make(&act);
        let pulled = format!("pull --quiet registry.example.org/shop@{digest}");
        assert!(commands(&bench).iter().any(|told| told.ends_with(&pulled)), "{:?}", commands(&bench));
        assert_eq!(act.resolved(&bench.host), Some(digest.clone()));
        assert_eq!(bench.host.text("/opt/shop/app/image"), Some(format!("{ID}\n")));
        let wrapper = bench.host.text("/opt/shop/app/podman").unwrap();
        assert!(wrapper.contains("\nhere=/opt/shop/app.releases/") && wrapper.starts_with("#!/bin/sh\n"), "{wrapper}");
        // A tag that moved changes nothing until it is deployed; the next version has a store of its own.
        bench.host.on(&["skopeo", "inspect", "--raw"], |_, _| output(0, "{\"schemaVersion\": 3}", ""));
        assert_eq!(bench.check(&act), Ok(crate::action::Verdict::Unchanged));
        let Named::Branch(moved) = act.look_up(&bench.host, "v1").unwrap() else { panic!() };
        let second = bench.make(&Source { commit: moved.clone(), ..act.clone() });
        assert_eq!(Source { commit: moved, ..act.clone() }.resolved(&bench.host).unwrap().len(), digest.len());
        assert!(kept(bench.take_back(&second)).is_empty());
        assert_eq!(act.resolved(&bench.host), Some(digest));
        assert!(kept(bench.take_back(&done)).is_empty());
    }

    #[test]
    fn an_archive_is_loaded_and_must_hold_one_image() {
        let bench = bench();
        bench.host.put_archive("/root/shop.tar", &[("manifest.json", "[]")]);
        let act = source("/root/shop.tar", "");
        assert_eq!(act.obstacle(&bench.host), None);
        let done = bench.make(&act);
        assert_eq!(act.resolved(&bench.host).as_deref(), Some(ID));
        assert!(!commands(&bench).iter().any(|told| told.starts_with("skopeo")));
        bench.take_back(&done);
        bench.host.put_archive("/root/code.tar", &[("app.py", "1\n")]);
        assert!(source("/root/code.tar", "").obstacle(&bench.host).unwrap().why.contains("no archive of an image"));
        let two = format!("{ID}\nsha256:{}\n", "ab".repeat(32));
        bench.host.on(&["podman"], move |_, _| output(0, &two, ""));
        assert!(bench.try_to_make(&act).err().unwrap().why.contains("2 images"));
    }

    #[test]
    fn a_name_without_its_registry_is_refused() {
        let bench = bench();
        let why = |location: &str, reference: &str| bench.check(&source(location, reference)).err().map(|f| f.why);
        for wrong in [
            "nginx",
            "library/nginx",
            "https://registry.example.org/shop",
            "registry.example.org/shop:v1",
            "registry.example.org/Shop",
        ] {
            assert!(why(wrong, "v1").unwrap().contains("image with its registry"), "{wrong}");
        }
        assert!(why("registry.example.org/shop", "v1 --tls-verify=false").unwrap().contains("tag nor a digest"));
        for right in ["docker.io/library/nginx", "localhost:5000/a/b", "registry.example.org/shop"] {
            assert_eq!(why(right, "v1.2"), None, "{right}");
            assert_eq!(why(right, ID), None, "{right}");
        }
    }

    #[test]
    fn what_a_registry_refuses_counts_and_that_it_cannot_be_reached_does_not() {
        let bench = bench();
        let act = source("registry.example.org/shop", "v9");
        bench.host.on(&["skopeo"], |_, _| output(1, "", "level=fatal msg=\"reading manifest v9: manifest unknown\"\n"));
        assert_eq!(act.obstacle(&bench.host), None, "skopeo is not installed yet");
        bench.host.put_file("/usr/bin/skopeo", "elf", 0o755);
        assert!(act.obstacle(&bench.host).unwrap().why.contains("manifest unknown"));
        bench.host.on(&["skopeo"], |_, _| output(1, "", "dial tcp: i/o timeout\n"));
        assert_eq!(act.obstacle(&bench.host), None);
    }
}
