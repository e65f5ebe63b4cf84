//! Undo records: how to restore what a change replaced.
//!
//! They are self-contained: no guide, template or program type is needed to carry them out, so a journal
//! written today can be undone by any later binary. The vocabulary only ever grows; fields are never renamed
//! (`tests/receipts/v1` holds real journals that must stay undoable). Before-images are blobs, named by the
//! SHA-256 of their content, in the run's directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Failure, Outcome};
use crate::hash::sha256_hex;
use crate::host::{Host, Kind, Meta, Stamp};
use crate::state_dir;
use crate::system::paths;
use crate::undo::manifest::Manifest;

pub mod deadman;
pub mod manifest;

/// One undo record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Undo {
    /// Restore what was at `path`, unless someone else changed it since.
    Restore {
        /// The path that was changed.
        path: PathBuf,
        /// What was there.
        image: Image,
    },
    /// Remove the file or link we made at `path`, unless someone else changed it since.
    Remove {
        /// The path, which did not exist before.
        path: PathBuf,
    },
    /// Remove the directory we made, when nothing but ours is left in it.
    RemoveDir {
        /// The path, which did not exist before.
        path: PathBuf,
    },
    /// Remove the whole tree we put at `path`; what someone else changed or added in it stays.
    RemoveTree {
        /// The path, which did not exist before.
        path: PathBuf,
    },
    /// Remove a directory in which the product keeps its users' data. Data that changed since the end of the run is
    /// archived first, and removed only when the caller allows it.
    RemoveData {
        /// The path, which did not exist before.
        path: PathBuf,
    },
    /// Remove our lines from a file that is not ours, keeping what others changed in it.
    Unedit {
        /// Which file.
        path: PathBuf,
        /// The file as it was.
        image: Image,
        /// The file as we left it: a blob's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ours: Option<String>,
    },
    /// Purge exactly the packages that our transaction added, and restore the package database.
    Packages {
        /// `name:arch` of every package that was installed before.
        before: Vec<String>,
        /// What the transaction was to install, by simulation: `(name:arch, version)`.
        planned: Vec<(String, String)>,
    },
    /// Purge the packages that only one command needed, where it was cut off: a note beside the blobs says whether they
    /// are gone already.
    Tools {
        /// `name:arch` of every package that was installed before.
        before: Vec<String>,
        /// What was to be installed: `(name:arch, version)`.
        planned: Vec<(String, String)>,
        /// The note's name.
        note: String,
    },
    /// Remove a user we made (and the group of the same name if it came with it).
    User {
        /// Its name.
        name: String,
        /// Whether its primary group was made with it.
        with_group: bool,
    },
    /// Remove a user from a group.
    Membership {
        /// The user.
        user: String,
        /// The group.
        group: String,
    },
    /// Restore the prior state of a service.
    Service {
        /// `systemd`, `sysv` or `supervisor`.
        manager: String,
        /// Unit, script or program name.
        name: String,
        /// Whether it was known to its manager at all.
        existed: bool,
        /// Whether it ran.
        was_active: bool,
        /// Whether it started at boot.
        was_enabled: bool,
        /// What was to be done to it (`enable`, `start`, `restart`, `reload`, `stop`, `disable`), so that a rollback
        /// does no more to it than that; unknown in records of the first releases.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        steps: Vec<String>,
        /// The guide's own test of its configuration.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        test: Vec<String>,
        /// Actions whose change it takes up by a restart.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        restart_after: Vec<String>,
        /// Actions whose change it takes up by a reload.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        reload_after: Vec<String>,
    },
    /// Drop a database and a role that we made. Data that changed since the end of the run is dumped first, and dropped
    /// only when the caller allows it.
    Database {
        /// `postgresql`, `mariadb` or `sqlite`.
        engine: String,
        /// The database's name; for SQLite its path.
        name: String,
        /// The role; empty for SQLite.
        role: String,
        /// Whether the database existed before (then it is not dropped).
        database_existed: bool,
        /// Whether the role existed before (then it is not dropped).
        role_existed: bool,
        /// A blob with statements (a JSON list) that restore the former password and rights of a role that existed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<String>,
        /// Version and name of the PostgreSQL cluster, `15/main`; the only one when empty.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        cluster: String,
        /// Other PostgreSQL databases whose schema `public` let every role create objects, and no longer does.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        closed: Vec<String>,
    },
    /// Remove a RabbitMQ user and virtual host that we made.
    Rabbitmq {
        /// The user.
        user: String,
        /// The virtual host.
        vhost: String,
        /// Whether the user existed before.
        user_existed: bool,
        /// Whether the virtual host existed before.
        vhost_existed: bool,
        /// A blob with the definitions (JSON, as RabbitMQ imports them) of what existed and was changed: the user,
        /// and `guest` when it was removed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<String>,
    },
    /// Restore our former rules of a firewall, and leave those of others alone.
    Firewall {
        /// `nftables`, `ufw`, `firewalld` or `iptables`.
        manager: String,
        /// Whose rules they are: the name in our chains and comments.
        name: String,
        /// A blob with our rules as they were loaded, in the form that their program reads; none when there were
        /// none. (nftables and iptables)
        #[serde(default, skip_serializing_if = "Option::is_none")]
        loaded: Option<String>,
        /// The manager's own files as they were; none where there was none. (ufw and firewalld)
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        files: Vec<(PathBuf, Option<Image>)>,
        /// Chains of others to which `INPUT` did not jump before, and does because of us. (iptables)
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        made: Vec<String>,
        /// Kernel tables that did not exist, such as `ip6 filter`: they are removed when empty. (iptables)
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tables: Vec<String>,
    },
    /// Remove a certificate that certbot keeps, with the settings of its renewal.
    AcmeCertificate {
        /// The name under which certbot keeps it.
        name: String,
    },
    /// Have the SSH server reload its files, which other records have restored.
    Sshd {
        /// Whether the server itself ran, where systemd holds its socket.
        server_ran: bool,
    },
    /// Run a command that the guide declared as its undo.
    Command {
        /// Program and arguments.
        argv: Vec<String>,
        /// The user to run it as; root when empty.
        user: String,
        /// The working directory.
        cwd: PathBuf,
        /// What it does, for the report.
        describe: String,
    },
    /// The change cannot be rolled back: report what stays.
    Stays {
        /// What was done.
        what: String,
        /// Why it stays, and where.
        why: String,
    },
}

/// What was at a path before we changed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// What it was.
    pub kind: Kind,
    /// Permissions and ownership.
    pub meta: Meta,
    /// Modification time.
    pub mtime: Stamp,
    /// The content of a file: a blob's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<String>,
    /// The target of a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<PathBuf>,
}

/// The largest file that an action writes, or that is kept before it is changed, in bytes.
pub const WRITTEN_AT_MOST: u64 = 1 << 30;

/// Files up to this size are read into memory.
const AT_ONCE: u64 = 4 << 20;

/// The before-images of a run: files named by the SHA-256 of their content, 0600.
#[derive(Clone, Debug)]
pub struct Blobs {
    dir: PathBuf,
}

impl Blobs {
    /// The store in `dir`, which must exist before the first [`Blobs::put`].
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Their directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes `content` durably and returns its name.
    pub fn put(&self, host: &dyn Host, content: &[u8]) -> Outcome<String> {
        let name = sha256_hex(content);
        let path = self.dir.join(&name);
        let known = host.stat(&path).map_err(|e| Failure::new(format!("look at {}", path.display()), e))?;
        if known.is_none_or(|stat| stat.size != content.len() as u64) {
            state_dir::with_room(host, &|| host.write(&path, content, Meta::root(0o600)))
                .map_err(|e| state_dir::failure(host, format!("keep a before-image in {}", path.display()), &e))?;
        }
        Ok(name)
    }

    /// Writes a file durably, which may be larger than memory, and returns the blob's name.
    fn put_file(&self, host: &dyn Host, path: &Path, size: u64) -> Outcome<String> {
        let what = || format!("keep a before-image of {}", path.display());
        if size > WRITTEN_AT_MOST {
            let why = format!("it is larger than {}", crate::human_bytes::human(WRITTEN_AT_MOST));
            return Err(Failure::new(what(), why).hint("move it away; bringup does not replace files of this size"));
        }
        let failed = |e| Failure::new(what(), e);
        if size <= AT_ONCE {
            return self.put(host, &host.read(path).map_err(failed)?);
        }
        let name = host.hash(path).map_err(failed)?;
        let blob = self.dir.join(&name);
        if host.stat(&blob).map_err(failed)?.is_none_or(|stat| stat.size != size) {
            host.copy(path, &blob, Meta::root(0o600)).map_err(failed)?;
        }
        if host.hash(&blob).map_err(failed)? != name {
            return Err(Failure::new(what(), "it is being changed right now").hint("try again"));
        }
        Ok(name)
    }

    /// Puts the content of a blob at `path`.
    pub fn restore(&self, host: &dyn Host, name: &str, path: &Path, meta: Meta) -> Outcome<()> {
        let blob = self.dir.join(name);
        let what = || format!("restore {}", path.display());
        if host.stat(&blob).map_err(|e| Failure::new(what(), e))?.is_none_or(|stat| stat.size <= AT_ONCE) {
            return host.write(path, &self.get(host, name)?, meta).map_err(|e| Failure::new(what(), e));
        }
        if host.hash(&blob).map_err(|e| Failure::new(what(), e))? != name {
            return Err(Failure::new(
                what(),
                format!("the before-image {} does not match its name (damaged disk?)", blob.display()),
            ));
        }
        host.copy(&blob, path, meta).map_err(|e| Failure::new(what(), e))
    }

    /// The content of a blob, checked against its name.
    pub fn get(&self, host: &dyn Host, name: &str) -> Outcome<Vec<u8>> {
        let path = self.dir.join(name);
        let what = || format!("read the before-image {}", path.display());
        let content = host.read(&path).map_err(|e| Failure::new(what(), e))?;
        if sha256_hex(&content) != name {
            return Err(Failure::new(what(), "its content does not match its name (damaged disk?)"));
        }
        Ok(content)
    }

    /// The record that restores what is at `path` now: [`Undo::Restore`], or [`Undo::Remove`] when nothing is there.
    pub fn before(&self, host: &dyn Host, path: &Path) -> Outcome<Undo> {
        Ok(match self.image(host, path)? {
            Some(image) => Undo::Restore { path: path.to_owned(), image },
            None => Undo::Remove { path: path.to_owned() },
        })
    }

    /// Keeps what is at `path` now; `None` when nothing is there.
    pub fn image(&self, host: &dyn Host, path: &Path) -> Outcome<Option<Image>> {
        let failed = |e| Failure::new(format!("look at {}", path.display()), e);
        let Some(stat) = host.stat(path).map_err(failed)? else { return Ok(None) };
        let mut image = Image { kind: stat.kind, meta: stat.meta, mtime: stat.mtime, blob: None, target: None };
        match stat.kind {
            Kind::File => image.blob = Some(self.put_file(host, path, stat.size)?),
            Kind::Symlink => image.target = Some(host.read_link(path).map_err(failed)?),
            Kind::Dir | Kind::Other => {}
        }
        Ok(Some(image))
    }
}

/// The records that remove the directories above `path` which [`paths::make_parents`] will make, outermost first:
/// undone in reverse, the innermost goes first.
pub fn parent_records(host: &dyn Host, path: &Path) -> Outcome<Vec<Undo>> {
    Ok(paths::missing_parents(host, path)?.into_iter().map(|path| Undo::RemoveDir { path }).collect())
}

/// What a record is carried out with.
pub struct UndoContext<'a> {
    /// The server.
    pub host: &'a dyn Host,
    /// The run's before-images.
    pub blobs: &'a Blobs,
    /// The log file for the output of commands.
    pub log: &'a Path,
    /// Reports progress.
    pub progress: &'a (dyn Fn(crate::progress::Progress) + Sync),
    /// Called when data was saved before it is dropped: what it is, and the file that holds it.
    pub dumped: &'a (dyn Fn(&str, &Path) + Sync),
    /// Where dumps of data go: an existing directory, 0700.
    pub dumps: &'a Path,
    /// Whether data that changed since the end of the run may be dropped (after it was dumped).
    pub drop_data: bool,
    /// SHA-256 of the files that the action wrote, right after it; empty when it never ended.
    pub written_hashes: &'a BTreeMap<PathBuf, String>,
    /// Fingerprint of the data at the end of the run (see [`data_fingerprint`]); none when it never ended.
    pub data: Option<&'a str>,
    /// The disk at the end of the run; none when it never ended.
    pub post: Option<&'a Manifest>,
    /// For an action that a crash interrupted, which has no `written_hashes`: the last sign of life before the crash.
    /// Later changes are not ours.
    pub died: Option<Stamp>,
}

/// What no action wrote.
static NOTHING: BTreeMap<PathBuf, String> = BTreeMap::new();

impl<'a> UndoContext<'a> {
    /// For records that restore settings in the middle of a run: nothing is reported, and none of them has data.
    pub fn of_settings(host: &'a dyn Host, blobs: &'a Blobs, log: &'a Path) -> Self {
        Self {
            host,
            blobs,
            log,
            progress: &|_| {},
            dumped: &|_, _| {},
            dumps: Path::new("/nonexistent"),
            drop_data: false,
            written_hashes: &NOTHING,
            data: None,
            post: None,
            died: None,
        }
    }
}

/// How records are carried out. The actions know what each record means, so they are passed down to modules that
/// restore something ([`deadman`]).
#[derive(Clone, Copy, Debug)]
pub struct Carry {
    /// Carries one out. Safe to call again after it was interrupted anywhere.
    pub carry_out: fn(&Undo, &UndoContext<'_>) -> Outcome<Undone>,
    /// Has the service of this record reload the restored files.
    pub restore_service: fn(&Undo, &UndoContext<'_>) -> Outcome<Undone>,
}

/// The outcome of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undone {
    /// Carried out: what was done, as a past phrase ("removed /etc/nginx/sites-available/webapp").
    Done(String),
    /// There was nothing to do.
    Nothing,
    /// Left in place, since others use or changed it, or nothing can undo it.
    Kept {
        /// The thing that is kept.
        what: String,
        /// The reason.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::host::fake::FakeHost;

    fn store() -> (FakeHost, Blobs) {
        let host = FakeHost::new();
        host.put_file("/b/.keep", "", 0o600);
        (host, Blobs::new("/b"))
    }

    fn writes(host: &FakeHost) -> usize {
        host.calls().iter().filter(|call| call.method == "write").count()
    }

    #[test]
    fn a_before_image_is_written_once_and_again_where_a_crash_left_half_of_it() {
        for content in ["before".to_owned(), "x".repeat(usize::try_from(AT_ONCE).unwrap() + 1)] {
            let (host, blobs) = store();
            host.put_file("/etc/x", &content, 0o644);
            let kept = |expected: usize| {
                host.forget_calls();
                let image = blobs.image(&host, "/etc/x".as_ref()).unwrap().unwrap();
                assert_eq!(writes(&host), expected, "{} bytes", content.len());
                image.blob.unwrap()
            };
            let name = kept(1);
            let blob = blobs.dir().join(&name);
            assert_eq!(host.stat(&blob).unwrap().unwrap().meta, Meta::root(0o600));
            kept(0);
            host.put_file(&blob, "bef", 0o600);
            kept(1);
            assert_eq!(host.text(&blob).unwrap(), content);
            blobs.restore(&host, &name, "/etc/y".as_ref(), Meta::root(0o640)).unwrap();
            assert_eq!(host.text("/etc/y").unwrap(), content);
            // A blob whose content does not match its name must not be restored.
            host.put_file(&blob, content.replace(['b', 'x'], "y"), 0o600);
            let failure = blobs.restore(&host, &name, "/etc/y".as_ref(), Meta::root(0o640)).unwrap_err();
            assert!(failure.why.contains("damaged disk"), "{failure}");
            assert_eq!(host.text("/etc/y").unwrap(), content);
        }
    }

    /// Reading it at once would take unbounded memory.
    #[test]
    fn a_large_file_is_copied_and_a_small_one_read() {
        for (size, hashed) in [(9, 0), (usize::try_from(AT_ONCE).unwrap() + 1, 2)] {
            let (host, blobs) = store();
            host.put_file("/etc/x", vec![b'x'; size], 0o644);
            let stat_of_blob = |name: &str| host.stat(&blobs.dir().join(name)).unwrap().unwrap().size;
            let reads = || host.calls().iter().filter(|call| call.method == "read").count();
            host.forget_calls();
            let name = blobs.put_file(&host, "/etc/x".as_ref(), size as u64).unwrap();
            assert_eq!(reads(), 1 + hashed, "read, or hashed, copied and hashed once more");
            assert_eq!(stat_of_blob(&name), size as u64);
            host.forget_calls();
            blobs.restore(&host, &name, "/etc/y".as_ref(), Meta::root(0o644)).unwrap();
            assert_eq!(reads(), 1 + hashed / 2, "read, or hashed and copied");
        }
        let (host, blobs) = store();
        host.put_file("/etc/x", "x", 0o644);
        assert!(blobs.put_file(&host, "/etc/x".as_ref(), WRITTEN_AT_MOST).is_ok());
        let failure = blobs.put_file(&host, "/etc/x".as_ref(), WRITTEN_AT_MOST + 1).unwrap_err();
        assert!(failure.why.contains("larger than"), "{failure}");
    }
}
