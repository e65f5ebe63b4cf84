//! Undo records: how to get from a changed host back to what it was.
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

/// One step back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Undo {
    /// Put back what stood at `path`, unless someone else changed it since.
    Restore {
        /// Where.
        path: PathBuf,
        /// What stood there.
        image: Image,
    },
    /// Remove the file or link we made at `path`, unless someone else changed it since.
    Remove {
        /// Where nothing was before.
        path: PathBuf,
    },
    /// Remove the directory we made, when nothing but ours is left in it.
    RemoveDir {
        /// Where nothing was before.
        path: PathBuf,
    },
    /// Remove the whole tree we put at `path`; what someone else changed or added in it stays.
    RemoveTree {
        /// Where nothing was before.
        path: PathBuf,
    },
    /// Remove a directory in which the product keeps data of its users. When the data changed since the end
    /// of the run it is archived first, and removed only with leave.
    RemoveData {
        /// Where nothing was before.
        path: PathBuf,
    },
    /// Take our lines out of a file that is not ours, keeping what others changed in it.
    Unedit {
        /// Which file.
        path: PathBuf,
        /// The file as it was.
        image: Image,
        /// The file as we were to leave it: a blob's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ours: Option<String>,
    },
    /// Purge exactly the packages that our transaction added, and put the package database back.
    Packages {
        /// `name:arch` of every package that was installed before.
        before: Vec<String>,
        /// What the transaction was to install, by simulation: `(name:arch, version)`.
        planned: Vec<(String, String)>,
    },
    /// Remove a user we made (and the group of the same name if it came with it).
    User {
        /// Its name.
        name: String,
        /// Whether its primary group was made with it.
        with_group: bool,
    },
    /// Take a user out of a group.
    Membership {
        /// The user.
        user: String,
        /// The group.
        group: String,
    },
    /// Bring a service back to how it was.
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
    /// Drop a database and a role that we made. When the data changed since the end of the run it is dumped
    /// first, and dropped only with leave.
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
        /// A blob with statements (a JSON list) that give a role that existed its former password and rights.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<String>,
        /// Version and name of the PostgreSQL cluster, `15/main`; the only one when empty.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        cluster: String,
        /// PostgreSQL databases of others whose schema `public` took objects of every role, and does not any more.
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
    /// Bring a firewall back to the rules of ours that it had, and leave those of others alone.
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
        /// Chains of others that were not asked before, and are because of us. (iptables)
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        made: Vec<String>,
        /// Tables of the kernel that were not there, such as `ip6 filter`: they go when nothing is in them. (iptables)
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tables: Vec<String>,
    },
    /// Remove a certificate that certbot keeps, with the settings of its renewal.
    AcmeCertificate {
        /// The name under which certbot keeps it.
        name: String,
    },
    /// Have the SSH server take up its files, which other records have brought back.
    Sshd {
        /// Whether the server itself ran, where systemd holds its socket.
        server_ran: bool,
    },
    /// Run a command that the guide declared as the way back.
    Command {
        /// Program and arguments.
        argv: Vec<String>,
        /// As whom; root when empty.
        user: String,
        /// Where.
        cwd: PathBuf,
        /// What it does, for the report.
        describe: String,
    },
    /// Nothing brings this back: say what stays.
    Stays {
        /// What was done.
        what: String,
        /// Why it stays, and where.
        why: String,
    },
}

/// What stood at a path before we changed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// What it was.
    pub kind: Kind,
    /// Permissions and ownership.
    pub meta: Meta,
    /// Last change of its content.
    pub mtime: Stamp,
    /// The content of a file: a blob's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<String>,
    /// The target of a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<PathBuf>,
}

/// No file that an action writes, or that is kept before it is changed, is larger.
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

    /// Where they lie.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Keeps `content` durably and returns its name.
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

    /// Keeps a file durably, which may be larger than memory, and returns the blob's name.
    fn put_file(&self, host: &dyn Host, path: &Path, size: u64) -> Outcome<String> {
        let what = || format!("keep a before-image of {}", path.display());
        if size > WRITTEN_AT_MOST {
            let why = format!("it is larger than {}", crate::human_bytes::human(WRITTEN_AT_MOST));
            return Err(
                Failure::new(what(), why).hint("move it away; a file of this size is none that is replaced here")
            );
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
            return Err(Failure::new(what(), "it is being changed at this moment").hint("try again"));
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

    /// The record that brings `path` back to what stands there now: [`Undo::Restore`], or [`Undo::Remove`]
    /// when nothing does.
    pub fn before(&self, host: &dyn Host, path: &Path) -> Outcome<Undo> {
        Ok(match self.image(host, path)? {
            Some(image) => Undo::Restore { path: path.to_owned(), image },
            None => Undo::Remove { path: path.to_owned() },
        })
    }

    /// Keeps what stands at `path` now; `None` when nothing does.
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

/// What carrying out a record works with.
pub struct UndoContext<'a> {
    /// The machine.
    pub host: &'a dyn Host,
    /// The run's before-images.
    pub blobs: &'a Blobs,
    /// A file for the whole output of commands.
    pub log: &'a Path,
    /// Tells how far it is.
    pub progress: &'a (dyn Fn(crate::progress::Progress) + Sync),
    /// Told when data was saved before it goes: what it is, and the file that holds it.
    pub dumped: &'a (dyn Fn(&str, &Path) + Sync),
    /// Where dumps of data go: an existing directory, 0700.
    pub dumps: &'a Path,
    /// Whether data that changed since the end of the run may be dropped (after it was dumped).
    pub drop_data: bool,
    /// SHA-256 of the files that the action wrote, as they stood right after it; empty when it never ended.
    pub written_hashes: &'a BTreeMap<PathBuf, String>,
    /// Fingerprint of the data at the end of the run (see [`data_fingerprint`]); none when it never ended.
    pub data: Option<&'a str>,
    /// What the disk looked like at the end of the run; none when it never ended.
    pub post: Option<&'a Manifest>,
    /// For an action that a crash cut off, which therefore knows no `written_hashes`: the last sign of life before it. What was
    /// changed later is not ours.
    pub died: Option<Stamp>,
}

/// What no action wrote.
static NOTHING: BTreeMap<PathBuf, String> = BTreeMap::new();

impl<'a> UndoContext<'a> {
    /// For records that put settings back in the middle of a run: nobody is told, and none of them has data.
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

/// How records are carried out. The actions know what each of them means, so that it is handed down to whoever must
/// put something back ([`deadman`]).
#[derive(Clone, Copy, Debug)]
pub struct Carry {
    /// Carries one out. Safe to call again after it was interrupted anywhere.
    pub carry_out: fn(&Undo, &UndoContext<'_>) -> Outcome<Undone>,
    /// Has a service whose record this is take up the files that are back.
    pub restore_service: fn(&Undo, &UndoContext<'_>) -> Outcome<Undone>,
}

/// What came of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undone {
    /// Carried out: what was done, as a past phrase ("removed /etc/nginx/sites-available/webapp").
    Done(String),
    /// There was nothing to do.
    Nothing,
    /// Left in place, since it is not ours alone any more or nothing brings it back.
    Kept {
        /// What.
        what: String,
        /// Why.
        why: String,
    },
}
