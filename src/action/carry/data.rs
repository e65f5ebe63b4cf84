//! Data of the product's users: whether it changed since the run, and how it is saved before it is removed.

use std::path::Path;
use std::time::Duration;

use crate::action::database::{self, DatabaseServer};
use crate::error::{Failure, Outcome};
use crate::hash::sha256_hex;
use crate::host::{Command, Hash, Host, Kind, Stat};
use crate::undo::{Undo, UndoContext, Undone};

/// Timeout of archiving a directory.
const LONGEST: Duration = Duration::from_hours(4);
/// Limits for one tree: the application's user may put anything there, and reading it all would take forever.
struct Bounds {
    /// Files up to this size, in bytes, count by their content; larger ones by size and time.
    read_at_most: u64,
    /// Bytes read in all; further files count by size and time.
    read_in_all: u64,
    /// Number of files that are read one by one.
    most_files: usize,
    /// Depth up to which directories are read.
    deepest: usize,
}

const BOUNDS: Bounds = Bounds { read_at_most: 64 << 20, read_in_all: 4 << 30, most_files: 200_000, deepest: 100 };

impl Undo {
    /// A fingerprint of the data that this record would remove; `None` when it has none (left).
    pub fn data(&self, host: &dyn Host) -> Outcome<Option<String>> {
        match self {
            Self::Database { database_existed: false, .. } => {
                self.database().map_or(Ok(None), |record| database::data_fingerprint(host, record))
            }
            Self::RemoveData { path } => tree(host, path),
            // Purging an engine's packages removes every database, whoever created it.
            Self::Packages { planned, .. } => Ok(served_fingerprint(&served(host, planned))),
            _ => Ok(None),
        }
    }

    /// What the record of a database says; none for other records.
    pub fn database(&self) -> Option<database::Record<'_>> {
        match self {
            Self::Database { engine, name, role, database_existed, role_existed, before, cluster, closed } => {
                Some(database::Record {
                    engine,
                    name,
                    role,
                    database_existed: *database_existed,
                    role_existed: *role_existed,
                    before: before.as_deref(),
                    cluster,
                    closed,
                })
            }
            _ => None,
        }
    }

    /// The name of the data in messages.
    pub fn data_name(&self) -> Option<String> {
        match self {
            Self::Database { engine, name, database_existed: false, .. } => {
                Some(format!("the {engine} database {name}"))
            }
            Self::RemoveData { path } => Some(format!("the data in {}", path.display())),
            _ => None,
        }
    }
}

/// The databases in the servers among these packages: server and name.
pub fn served(host: &dyn Host, planned: &[(String, String)]) -> Vec<(DatabaseServer, String)> {
    let of = |(server, names): (DatabaseServer, Vec<String>)| names.into_iter().map(move |name| (server.clone(), name));
    database::served_by(host, planned).into_iter().flat_map(of).collect()
}

/// The names by which a record of packages knows those databases.
pub fn served_fingerprint(databases: &[(DatabaseServer, String)]) -> Option<String> {
    let lines: Vec<String> = databases.iter().map(|(server, name)| server.remembered(name)).collect();
    (!lines.is_empty()).then(|| sha256_hex(lines.join("\n").as_bytes()))
}

/// Saves others' data in the engines that are purged with these packages.
pub fn save_databases(cx: &UndoContext<'_>, planned: &[(String, String)]) -> Outcome<()> {
    for (server, names) in database::served_by(cx.host, planned) {
        for name in names {
            database::save(cx, &server, &name)?;
        }
    }
    Ok(())
}

/// Removes a data directory; archives it first when its data changed since the run.
pub fn remove(cx: &UndoContext<'_>, path: &Path) -> Outcome<Undone> {
    let what = || format!("remove the data in {}", path.display());
    if cx.host.stat(path).map_err(|e| Failure::new(what(), e))?.is_none() {
        return Ok(Undone::Nothing);
    }
    let now = tree(cx.host, path)?;
    if now.is_some() && now.as_deref() != cx.data {
        // Without a fingerprint the run never ended: the data is the run's own. It is still archived.
        if cx.data.is_some() && !cx.drop_data {
            return Ok(Undone::Kept {
                what: path.display().to_string(),
                why: "its data changed since the run; --drop-data archives and removes it".to_owned(),
            });
        }
        archive(cx, path)?;
    }
    cx.host.remove_tree(path).map_err(|e| Failure::new(what(), e))?;
    Ok(Undone::Done(format!("removed the data in {}", path.display())))
}

/// Archives a tree under its full path, so that unpacking it in / restores everything.
fn archive(cx: &UndoContext<'_>, path: &Path) -> Outcome<()> {
    let what = || format!("archive {}", path.display());
    let relative = path.display().to_string().trim_matches('/').to_owned();
    let file = cx.dumps.join(format!("{}.tar", relative.replace('/', "-")));
    // Names as they are stored; a link stays a link.
    let escaped = relative.replace('\\', "\\\\").replace(',', "\\,").replace('&', "\\&");
    let argv = [
        "tar",
        "--create",
        "--sparse",
        &format!("--transform=flags=rSh;s,^\\.,{escaped},"),
        "--file",
        &file.display().to_string(),
        ".",
    ]
    .map(str::to_owned);
    // Not by its path: only the working directory is opened without following a link that its user could change, and
    // below it tar follows none.
    let command = Command::new(argv).cwd(path).timeout(LONGEST).log(cx.log);
    let output = cx.host.run(&command).map_err(|e| Failure::new(what(), e))?;
    if !output.ok() {
        // Half an archive is of no use, and may be what fills the disk.
        let _ = cx.host.remove(&file);
        return Err(Failure::new(what(), "tar failed, so nothing was removed").tail(output.tail(10)));
    }
    (cx.dumped)(&format!("the data in {}", path.display()), &file);
    Ok(())
}

/// One fingerprint over names and contents. SQLite files count by their rows, because checkpoints move bytes.
fn tree(host: &dyn Host, path: &Path) -> Outcome<Option<String>> {
    fingerprint_within(host, path, &BOUNDS)
}

fn fingerprint_within(host: &dyn Host, path: &Path, bounds: &Bounds) -> Outcome<Option<String>> {
    let mut print = Print { bounds, hash: Hash::default(), files: 0, read: 0 };
    print.collect(host, path, 0)?;
    Ok((print.files > 0).then(|| print.hash.finish()))
}

struct Print<'a> {
    bounds: &'a Bounds,
    hash: Hash,
    files: usize,
    read: u64,
}

impl Print<'_> {
    fn add(&mut self, line: &str) {
        if self.files > 0 {
            self.hash.add(b"\n");
        }
        self.hash.add(line.as_bytes());
        self.files += 1;
    }

    fn collect(&mut self, host: &dyn Host, path: &Path, depth: usize) -> Outcome<()> {
        let failed = |e| Failure::new(format!("read {}", path.display()), e);
        let by_time =
            |stat: &Stat| format!("{} {} {}.{:09}", path.display(), stat.size, stat.mtime.sec, stat.mtime.nsec);
        let Some(stat) = host.stat(path).map_err(failed)? else { return Ok(()) };
        match stat.kind {
            Kind::Dir if depth == self.bounds.deepest || self.files > self.bounds.most_files => {
                self.add(&by_time(&stat));
            }
            Kind::Dir => match host.list(path) {
                Ok(names) => {
                    for name in names {
                        self.collect(host, &path.join(name), depth + 1)?;
                    }
                }
                // It vanished meanwhile, or is beyond the limits.
                Err(_) => self.add(&by_time(&stat)),
            },
            Kind::File => {
                let name = path.display().to_string();
                if name.ends_with("-wal") || name.ends_with("-shm") {
                    return Ok(());
                }
                self.read += stat.size.min(self.bounds.read_at_most);
                let large = stat.size > self.bounds.read_at_most
                    || self.read > self.bounds.read_in_all
                    || self.files > self.bounds.most_files;
                let start = host.read_start(path, 16).unwrap_or_default();
                let rows = if start == b"SQLite format 3\0" {
                    // One that cannot be read as such counts by its bytes.
                    database::sqlite_fingerprint(host, path).ok().flatten()
                } else {
                    None
                };
                match rows {
                    Some(rows) => self.add(&format!("{name} {rows}")),
                    None if large => self.add(&by_time(&stat)),
                    None => match host.hash(path) {
                        Ok(hash) => self.add(&format!("{name} {hash}")),
                        Err(_) => self.add(&by_time(&stat)),
                    },
                }
            }
            Kind::Symlink | Kind::Other => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::unnecessary_wraps)]

    use std::collections::BTreeMap;
    use std::path::PathBuf;
    use std::sync::Mutex;

    use super::*;
    use crate::action::carry::carry_out;
    use crate::host::Meta;
    use crate::host::fake::{FakeHost, output};
    use crate::undo::Blobs;

    const DATA: &str = "/srv/app/data";

    fn print(host: &FakeHost) -> Option<String> {
        Undo::RemoveData { path: DATA.into() }.data(host).unwrap()
    }

    /// What a print over these lines is: earlier versions have written it down, and later ones must find it again.
    fn of_lines(lines: &[String]) -> Option<String> {
        Some(sha256_hex(lines.join("\n").as_bytes()))
    }

    fn by_content(path: &str, content: &str) -> String {
        format!("{path} {}", sha256_hex(content.as_bytes()))
    }

    fn by_time(host: &FakeHost, path: &str) -> String {
        let stat = host.stat(path.as_ref()).unwrap().unwrap();
        format!("{path} {} {}.{:09}", stat.size, stat.mtime.sec, stat.mtime.nsec)
    }

    #[test]
    fn a_print_of_data_is_of_names_and_contents_and_of_nothing_else() {
        let host = FakeHost::new();
        assert_eq!(print(&host), None);
        host.put_file("/srv/app/data/sub/.x", "", 0o644);
        host.take_away("/srv/app/data/sub/.x");
        assert_eq!(print(&host), None, "directories alone are no data");
        for (path, content) in [("a", "one"), ("sub/b", "two"), ("a.db-wal", "w"), ("a.db-shm", "s")] {
            host.put_file(format!("{DATA}/{path}"), content, 0o644);
        }
        let lines = [by_content("/srv/app/data/a", "one"), by_content("/srv/app/data/sub/b", "two")];
        let before = print(&host);
        assert_eq!(before, of_lines(&lines));
        host.put_file("/srv/app/data/a", "one", 0o600);
        host.put_file("/srv/app/data/a.db-wal", "checkpointed", 0o644);
        assert_eq!(print(&host), before, "time and mode are no data");
        host.put_file("/srv/app/data/a", "two", 0o644);
        assert_ne!(print(&host), before);
        host.put_file("/srv/app/data/a", "one", 0o644);
        host.put_file("/srv/app/data/c", "", 0o644);
        assert_ne!(print(&host), before, "an empty file is one, too");
    }

    #[test]
    fn a_sqlite_file_counts_by_its_rows_and_one_that_cannot_be_read_by_its_bytes() {
        let host = FakeHost::new();
        host.put_file("/usr/bin/python3", "", 0o755);
        host.put_file("/srv/app/data/a.db", "SQLite format 3\0 and pages", 0o644);
        host.on(&["/usr/bin/python3"], |_, _| output(0, "rows 3", ""));
        assert_eq!(print(&host), of_lines(&["/srv/app/data/a.db rows".to_owned()]));
        host.put_file("/srv/app/data/b", "no database", 0o644);
        let b = by_content("/srv/app/data/b", "no database");
        assert_eq!(print(&host), of_lines(&["/srv/app/data/a.db rows".to_owned(), b.clone()]));
        host.on(&["/usr/bin/python3"], |_, _| output(1, "", "file is not a database\n"));
        assert_eq!(print(&host), of_lines(&[by_content("/srv/app/data/a.db", "SQLite format 3\0 and pages"), b]));
    }

    /// What lies beyond a bound counts by size and time, and what is just within it by its content.
    #[test]
    fn beyond_its_bounds_data_counts_by_size_and_time() {
        let host = FakeHost::new();
        let names: Vec<String> = ["a", "b", "c", "d"].map(|name| format!("{DATA}/{name}")).to_vec();
        for name in &names {
            host.put_file(name, "four", 0o644);
        }
        let wide = || Bounds { read_at_most: 4, read_in_all: 16, most_files: 4, deepest: 9 };
        let told = |bounds: &Bounds| fingerprint_within(&host, DATA.as_ref(), bounds).unwrap();
        // So many are read, and the others are not.
        let with = |read: usize| {
            let line = |(i, name): (usize, &String)| {
                if i < read { by_content(name, "four") } else { by_time(&host, name) }
            };
            of_lines(&names.iter().enumerate().map(line).collect::<Vec<_>>())
        };
        assert_eq!(told(&wide()), with(4));
        assert_eq!(told(&Bounds { read_at_most: 3, ..wide() }), with(0));
        assert_eq!(told(&Bounds { read_in_all: 8, ..wide() }), with(2));
        assert_eq!(told(&Bounds { read_in_all: 9, ..wide() }), with(2));
        assert_eq!(told(&Bounds { most_files: 1, ..wide() }), with(2));
        // A large file counts only with what is read of it.
        host.put_file(&names[0], "much larger than the others", 0o644);
        let first = by_time(&host, &names[0]);
        let rest = names[1..].iter().map(|name| by_content(name, "four"));
        assert_eq!(told(&wide()), of_lines(&std::iter::once(first).chain(rest).collect::<Vec<_>>()));
    }

    #[test]
    fn directories_beyond_the_bounds_are_not_looked_into() {
        let host = FakeHost::new();
        for file in ["a", "sub/b", "sub/sub/c"] {
            host.put_file(format!("{DATA}/{file}"), "x", 0o644);
        }
        let line = |file: &str| by_content(&format!("{DATA}/{file}"), "x");
        let told = |deepest, most_files| {
            let bounds = Bounds { read_at_most: 9, read_in_all: 99, most_files, deepest };
            fingerprint_within(&host, DATA.as_ref(), &bounds).unwrap()
        };
        let dir = |dir: &str| by_time(&host, &format!("{DATA}/{dir}"));
        assert_eq!(told(9, 9), of_lines(&[line("a"), line("sub/b"), line("sub/sub/c")]));
        assert_eq!(told(2, 9), of_lines(&[line("a"), line("sub/b"), dir("sub/sub")]));
        assert_eq!(told(1, 9), of_lines(&[line("a"), dir("sub")]));
        assert_eq!(told(9, 0), of_lines(&[line("a"), dir("sub")]));
        assert_eq!(told(9, 1), of_lines(&[line("a"), line("sub/b"), dir("sub/sub")]));
    }

    /// Removes the data with what is known of its print; what came of it, and whether it was archived before.
    fn removed(host: &FakeHost, known: Option<&str>, drop_data: bool) -> (Outcome<Undone>, Vec<PathBuf>) {
        let (blobs, nothing, dumped) = (Blobs::new("/b"), BTreeMap::new(), Mutex::new(Vec::new()));
        let cx = UndoContext {
            drop_data,
            written_hashes: &nothing,
            data: known,
            dumps: "/dumps".as_ref(),
            dumped: &|what, file| {
                assert_eq!(what, "the data in /srv/app/data");
                dumped.lock().unwrap().push(file.to_owned());
            },
            ..UndoContext::of_settings(host, &blobs, "/log".as_ref())
        };
        let done = carry_out(&Undo::RemoveData { path: DATA.into() }, &cx);
        (done, dumped.into_inner().unwrap())
    }

    #[test]
    fn changed_data_goes_only_with_leave_and_never_unarchived() {
        let tar = [PathBuf::from("/dumps/srv-app-data.tar")];
        let host = || {
            let host = FakeHost::new();
            host.put_file("/dumps/.keep", "", 0o600);
            host.put_file("/srv/app/data/a", "theirs", 0o644);
            host
        };
        let gone = |host: &FakeHost| host.stat(DATA.as_ref()).unwrap().is_none();
        let done = || Ok(Undone::Done("removed the data in /srv/app/data".to_owned()));
        let (changed, is_archived) = (Some("another"), |of: &[PathBuf]| of == tar);
        for (known, drop_data) in [(changed, true), (None, true), (None, false)] {
            let host = host();
            let (told, files) = removed(&host, known, drop_data);
            assert_eq!((told, is_archived(&files), gone(&host)), (done(), true, true), "{known:?} {drop_data}");
            assert!(host.commands().iter().any(|command| command.argv[0] == "tar"));
        }
        let kept = host();
        let (told, files) = removed(&kept, changed, false);
        assert!(matches!(told, Ok(Undone::Kept { .. })) && files.is_empty() && !gone(&kept), "{told:?}");
        // Unchanged, it came with the run.
        let unchanged = host();
        let known = print(&unchanged);
        assert_eq!((removed(&unchanged, known.as_deref(), false), gone(&unchanged)), ((done(), vec![]), true));
        assert_eq!(removed(&unchanged, known.as_deref(), false), (Ok(Undone::Nothing), vec![]));
        // Nor does one hold anything that somebody has emptied.
        let emptied = host();
        emptied.take_away("/srv/app/data/a");
        assert_eq!((removed(&emptied, changed, false), gone(&emptied)), ((done(), vec![]), true));
    }

    #[test]
    fn what_cannot_be_archived_stays_and_half_an_archive_does_not() {
        let host = FakeHost::new();
        host.put_file("/srv/app/data/a", "theirs", 0o644);
        host.on(&["tar"], |host, _| {
            host.put_file("/dumps/srv-app-data.tar", "half", 0o600);
            output(2, "", "No space left on device\n")
        });
        let (told, files) = removed(&host, None, true);
        assert!(told.unwrap_err().why.contains("nothing was removed") && files.is_empty());
        assert_eq!(host.text("/srv/app/data/a").as_deref(), Some("theirs"));
        assert_eq!(host.text("/dumps/srv-app-data.tar"), None);
    }

    #[test]
    fn records_that_take_data_along_name_it_and_know_it_again() {
        let database = |database_existed| Undo::Database {
            engine: "mariadb".to_owned(),
            name: "shop".to_owned(),
            role: "shop".to_owned(),
            database_existed,
            role_existed: false,
            before: None,
            cluster: String::new(),
            closed: Vec::new(),
        };
        let planned = vec![("mariadb-server:all".to_owned(), "1".to_owned())];
        let packages = Undo::Packages { before: Vec::new(), planned: planned.clone() };
        let names = [
            (database(false), Some("the mariadb database shop")),
            (database(true), None),
            (Undo::RemoveData { path: DATA.into() }, Some("the data in /srv/app/data")),
            // Of packages the databases themselves are named.
            (packages.clone(), None),
            (Undo::RemoveTree { path: DATA.into() }, None),
        ];
        for (record, name) in names {
            assert_eq!(record.data_name().as_deref(), name, "{record:?}");
        }
        let host = FakeHost::new();
        assert_eq!((served(&host, &planned), packages.data(&host)), (Vec::new(), Ok(None)));
        host.on(&["mariadb"], |_, _| output(0, "blog\nshop\n", ""));
        assert_eq!(
            served(&host, &planned),
            [(DatabaseServer::Mariadb, "blog".to_owned()), (DatabaseServer::Mariadb, "shop".to_owned())]
        );
        assert_eq!(packages.data(&host), Ok(of_lines(&["Mariadb blog".to_owned(), "Mariadb shop".to_owned()])));
        let other = Undo::Packages { before: Vec::new(), planned: vec![("nginx:amd64".to_owned(), "1".to_owned())] };
        assert_eq!(other.data(&host), Ok(None));
    }

    /// The application's user has put a link in the place of a directory above its data.
    #[test]
    fn a_link_of_the_applications_user_leads_no_removal_elsewhere() {
        let host = FakeHost::new();
        host.put_file("/srv/keep/data/file", "root's", 0o600);
        host.put_file("/srv/app/other", "", 0o644);
        let theirs = Meta { mode: 0o755, uid: 1001, gid: 1001 };
        host.set_meta("/srv/app".as_ref(), theirs).unwrap();
        host.make_symlink("/srv/app/link".as_ref(), "/srv/keep".as_ref()).unwrap();
        host.set_meta("/srv/app/link".as_ref(), theirs).unwrap();
        let (blobs, nothing) = (Blobs::new("/b"), BTreeMap::new());
        let cx = UndoContext {
            drop_data: true,
            written_hashes: &nothing,
            data: Some("as it was"),
            ..UndoContext::of_settings(&host, &blobs, "/log".as_ref())
        };
        let path = Path::new("/srv/app/link/data");
        for record in [
            Undo::RemoveData { path: path.into() },
            Undo::RemoveTree { path: path.into() },
            Undo::Remove { path: path.join("file") },
        ] {
            let refused = carry_out(&record, &cx).unwrap_err();
            assert!(refused.why.contains("/srv/app/link is a symbolic link that another user can change"), "{refused}");
        }
        assert_eq!(host.text("/srv/keep/data/file").as_deref(), Some("root's"));
    }
}
