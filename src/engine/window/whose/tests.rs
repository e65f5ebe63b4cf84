//! A test for every row of the table.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::engine::window::Nature;
use crate::engine::window::dpkg::PriorVersions;
use crate::host::Meta;
use crate::host::fake::FakeHost;
use crate::undo::manifest::FileEntry;

/// What a test knows of a window.
struct Window {
    step: Footprint,
    writers: Option<BTreeMap<u64, Writer>>,
    others: BTreeMap<u64, Writer>,
    transaction: Option<Transaction>,
    crashed: Option<Stamp>,
    owned: Vec<&'static str>,
    renamed: BTreeSet<PathBuf>,
    accounts: BTreeSet<u32>,
    contents: Contents,
}

const INO: u64 = 7;

impl Window {
    fn of(nature: Nature) -> Self {
        Self {
            step: Footprint {
                action: "a.b".to_owned(),
                nature,
                names: vec!["shop.service".to_owned()],
                ..Footprint::default()
            },
            writers: Some(BTreeMap::new()),
            others: BTreeMap::new(),
            transaction: None,
            crashed: None,
            owned: Vec::new(),
            renamed: BTreeSet::new(),
            accounts: BTreeSet::new(),
            contents: Contents::new(),
        }
    }

    /// nginx is being installed, somebody else has installed htop.
    fn of_packages() -> Self {
        let host = FakeHost::new();
        let list = "Package: nginx\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\nConffiles:\n \
                    /etc/nginx/nginx.conf 900150983cd24fb0d6963f7d28e17f72\n\nPackage: htop\nStatus: install ok \
                    installed\nArchitecture: amd64\nVersion: 3\n";
        host.put_file("/var/lib/dpkg/status", list, 0o644);
        let files = "/etc/nginx\n/etc/nginx/nginx.conf\n/lib/systemd/system/nginx.service\n/var/lib/nginx\n\
                     /usr/share/nginx/mod.conf\n";
        host.put_file("/var/lib/dpkg/info/nginx.list", files, 0o644);
        host.put_file("/var/lib/dpkg/info/htop.list", "/etc/htoprc\n", 0o644);
        let script = "echo > /etc/default/nginx\nadduser nginx\nmkdir /var/www/html\n";
        host.put_file("/var/lib/dpkg/info/nginx.postinst", script, 0o755);
        let planned = ["nginx:amd64".to_owned()];
        let transaction = Transaction::read(&host, &PriorVersions::default(), &planned).unwrap();
        Self { transaction: Some(transaction), ..Self::of(Nature::Packages) }
    }

    fn written_by(mut self, writer: Writer) -> Self {
        self.writers = Some([(INO, writer)].into());
        self
    }

    fn blind(mut self) -> Self {
        self.writers = None;
        self
    }

    /// Whose these changes are.
    fn sort(&self, changes: &[StepChange]) -> Vec<Whose> {
        let owned = |path: &Path| self.owned.iter().any(|known| path == Path::new(known));
        let case = Case {
            step: &self.step,
            writers: self.writers.as_ref(),
            others: &self.others,
            transaction: self.transaction.as_ref(),
            crashed: self.crashed,
            owned: &owned,
            renamed: &self.renamed,
            accounts: &self.accounts,
            contents: &self.contents,
        };
        sort(&case, changes)
    }

    fn ours(&self, change: StepChange) -> bool {
        self.sort(&[change]) == [Whose::Ours]
    }

    fn theirs(&self, change: StepChange) -> bool {
        matches!(self.sort(&[change])[..], [Whose::Theirs(_)])
    }
}

fn entry(kind: Kind) -> FileEntry {
    let at = Stamp { sec: 100, nsec: 0 };
    let meta = Meta::root(0o644);
    FileEntry {
        kind,
        meta,
        size: 1,
        mtime: at,
        ctime: at,
        ino: INO,
        mounted: false,
        hash: None,
        target: None,
        xattrs: Vec::new(),
    }
}

fn new(path: &str, kind: Kind) -> StepChange {
    StepChange { path: path.into(), before: None, after: Some(entry(kind)) }
}

fn file(path: &str) -> StepChange {
    new(path, Kind::File)
}

fn link(path: &str, target: &str) -> StepChange {
    let after = FileEntry { target: Some(target.into()), ..entry(Kind::Symlink) };
    StepChange { path: path.into(), before: None, after: Some(after) }
}

fn changed(path: &str) -> StepChange {
    let before = FileEntry { size: 9, ino: 3, ..entry(Kind::File) };
    StepChange { before: Some(before), ..file(path) }
}

#[test]
fn row_1_what_lives_goes_on_living() {
    let window = Window::of(Nature::Program).written_by(Writer::Ours);
    assert_eq!(window.sort(&[changed("/var/lib/foo/db")]), [Whose::Lives]);
    assert_eq!(window.sort(&[file("/var/lib/foo/new")]), [Whose::Lives], "in a directory that was there");
    assert!(window.ours(file("/var/lib/systemd/x")), "settings are kept");
    assert!(Window::of_packages().ours(new("/var/lib/nginx", Kind::Dir)), "listed");
    let top = new("/var/lib/shop.service", Kind::Dir);
    assert!(Window::of(Nature::Settings).ours(top), "a top of the step's name");
}

#[test]
fn row_2_a_package_of_somebody_else() {
    assert!(Window::of_packages().written_by(Writer::Ours).theirs(file("/etc/htoprc")));
}

#[test]
fn rows_3_and_4_the_last_writer_decides() {
    for nature in [Nature::Settings, Nature::Program] {
        assert!(Window::of(nature).written_by(Writer::Ours).ours(file("/etc/x")), "{nature:?}");
        assert!(Window::of(nature).written_by(Writer::Other).theirs(file("/etc/x")), "{nature:?}");
        assert!(Window::of(nature).written_by(Writer::Other).theirs(changed("/etc/x")), "{nature:?}");
    }
    assert!(Window::of_packages().written_by(Writer::Other).theirs(file("/etc/nginx/nginx.conf")));
    let unit = |name: &str| Writer::Unit(name.to_owned());
    assert!(Window::of(Nature::Settings).written_by(unit("shop.service")).ours(file("/etc/x")));
    assert!(Window::of(Nature::Settings).written_by(unit("puppet.service")).theirs(file("/etc/x")));
    assert!(Window::of_packages().written_by(unit("nginx.service")).ours(file("/etc/x")));
    let remembered = Window { others: [(INO, Writer::Other)].into(), ..Window::of(Nature::Program).blind() };
    assert!(remembered.theirs(file("/etc/x")), "from before a crash");
}

#[test]
fn what_triggers_make_below_var_lib_is_kept_so_that_it_can_be_restored() {
    for path in MADE_BY_TRIGGERS.iter().filter(|path| path.starts_with("/var/lib/")) {
        assert!(is_kept(Path::new(path)), "{path}");
    }
}

#[test]
fn what_a_program_with_packages_of_its_own_makes_is_ours() {
    // Nobody tells who makes an empty directory or a link.
    for made in [new("/opt/shop/build/empty", Kind::Dir), link("/opt/shop/build/all.sql", "../all.sql")] {
        assert!(Window::of_packages().theirs(made.clone()), "{made:?}");
        let step = Footprint { nature: Nature::ProgramWithPackages, ..Window::of_packages().step };
        assert!(Window { step, ..Window::of_packages() }.ours(made));
    }
}

#[test]
fn row_5_after_the_last_sign_of_life() {
    let died = |sec| Some(Stamp { sec, nsec: 0 });
    assert!(Window { crashed: died(98), ..Window::of(Nature::Program).blind() }.theirs(file("/etc/x")));
    assert!(Window { crashed: died(99), ..Window::of(Nature::Program).blind() }.ours(file("/etc/x")));
    let packages = Window { crashed: died(10), ..Window::of_packages().blind() };
    assert!(packages.ours(file("/etc/nginx/nginx.conf")), "dpkg may have worked on");
}

#[test]
fn row_6_the_package_managers_records() {
    assert!(Window::of_packages().ours(file("/var/lib/dpkg/status")));
    assert!(Window::of(Nature::Program).theirs(file("/var/lib/dpkg/status")));
    // Killed while it unpacks, dpkg has neither named the file nor listed it.
    let changes = [new("/etc/python3.11", Kind::Dir), file("/etc/python3.11/sitecustomize.py.dpkg-new")];
    assert_eq!(Window::of_packages().blind().sort(&changes), [Whose::Ours, Whose::Ours]);
}

#[test]
fn row_7_a_new_log() {
    assert!(Window::of(Nature::Settings).ours(file("/var/log/shop.log")));
    assert!(Window::of(Nature::Settings).written_by(Writer::Other).theirs(file("/var/log/shop.log")));
}

#[test]
fn row_8_links_that_start_services() {
    let wants = |name: &str| link(&format!("/etc/systemd/system/multi-user.target.wants/{name}"), "/x");
    assert!(Window::of(Nature::Settings).ours(wants("shop.service")));
    assert!(Window::of(Nature::Settings).theirs(wants("mine.service")));
    assert!(Window::of(Nature::Program).theirs(wants("mine.service")));
    assert!(Window::of_packages().ours(wants("nginx.service")));
    assert!(Window::of(Nature::Settings).ours(link("/etc/rc2.d/S01shop", "../init.d/shop")));
    assert!(Window::of(Nature::Settings).theirs(link("/etc/rc2.d/S01mine", "../init.d/mine")));
    let alias = link("/etc/systemd/system/www.service", "/lib/systemd/system/nginx.service");
    assert!(Window::of_packages().ours(alias), "another name of a unit of ours");
}

#[test]
fn row_9_what_dpkg_lists_with_the_content_it_delivered() {
    let delivered = |content: &[u8]| {
        let mut change = file("/etc/nginx/nginx.conf");
        change.after.as_mut().unwrap().hash = Some("h".to_owned());
        let contents: Contents = [("h".to_owned(), content.to_vec())].into();
        (Window { contents, ..Window::of_packages().blind() }, change)
    };
    let (window, change) = delivered(b"abc");
    assert!(window.ours(change));
    let (window, change) = delivered(b"abc, and by hand");
    assert!(window.theirs(change));
}

#[test]
fn row_10_what_earlier_steps_changed() {
    let owned = |window: Window| Window { owned: vec!["/etc/x"], ..window };
    let gone = StepChange { after: None, ..changed("/etc/x") };
    assert!(owned(Window::of(Nature::Settings)).ours(gone));
    assert!(owned(Window::of_packages()).ours(changed("/etc/x")));
    let later = Window { crashed: Some(Stamp { sec: 10, nsec: 0 }), ..Window::of_packages().blind() };
    assert!(owned(later).theirs(changed("/etc/x")), "written after the crash");
}

#[test]
fn rows_11_and_12_where_only_packages_write() {
    assert!(Window::of_packages().blind().ours(file("/usr/lib/x")));
    assert!(Window::of_packages().theirs(file("/usr/lib/x")), "its writer should have been told");
    assert!(Window::of_packages().blind().theirs(file("/usr/local/bin/x")));
    assert!(Window::of_packages().blind().ours(link("/etc/alternatives/x", "/usr/bin/x")));
    assert!(Window::of(Nature::Settings).theirs(file("/usr/lib/x")));
    assert!(Window::of_packages().blind().ours(file("/var/cache/apt/archives/x.deb")));
}

/// update-catalog(8) keeps the former catalog by renaming it.
#[test]
fn row_12_what_a_trigger_renames_to_keep_it() {
    let old = "/var/lib/sgml-base/supercatalog.old";
    assert!(Window::of_packages().theirs(changed(old)), "moved there from elsewhere");
    let window = Window { renamed: [old.into()].into(), ..Window::of_packages() };
    assert!(window.ours(changed(old)));
    let window = Window { renamed: [old.into()].into(), ..Window::of(Nature::Settings) };
    assert!(window.theirs(changed(old)), "no package step");
}

#[test]
fn row_13_what_a_script_names() {
    assert!(Window::of_packages().blind().ours(file("/etc/default/nginx")));
    assert!(Window::of_packages().ours(new("/var/www/html", Kind::Dir)));
    assert!(Window::of_packages().theirs(file("/etc/default/nginx")), "its writer should have been told");
    assert!(Window::of_packages().blind().theirs(file("/etc/default/mine")));
    // A purge takes the whole directory.
    let removed = |path: &str| StepChange { after: None, ..changed(path) };
    assert!(Window::of_packages().ours(removed("/var/www/html/shop/index.html")));
    assert!(Window::of_packages().theirs(removed("/var/www/shop/index.html")));
    assert!(Window::of(Nature::Settings).theirs(removed("/var/www/html/shop/index.html")));
}

#[test]
fn row_14_a_link_to_what_a_package_of_ours_has() {
    let enabled = |target: &str| link("/etc/nginx.d/x.conf", target);
    assert!(Window::of_packages().ours(enabled("../../usr/share/nginx/mod.conf")));
    assert!(Window::of_packages().theirs(enabled("/root/mine")));
}

#[test]
fn row_15_below_a_new_directory_of_ours() {
    let both = |window: &Window, change: StepChange| window.sort(&[new("/etc/nginx", Kind::Dir), change])[1].clone();
    let theirs = |whose: &Whose| matches!(whose, Whose::Theirs(_));
    let made = || new("/etc/nginx/15", Kind::Dir);
    assert_eq!(both(&Window::of_packages(), made()), Whose::Ours);
    assert_eq!(both(&Window::of_packages().written_by(Writer::Unknown), file("/etc/nginx/a")), Whose::Ours);
    assert!(theirs(&both(&Window::of_packages(), file("/etc/nginx/a"))), "moved there");
    assert!(theirs(&both(&Window::of_packages().blind(), file("/etc/nginx/a"))), "nobody knows");
    let of_nginx = Window { accounts: [0].into(), ..Window::of_packages().blind() };
    assert_eq!(both(&of_nginx, file("/etc/nginx/a")), Whose::Ours, "an account of ours");
    let state = [new("/var/lib/nginx", Kind::Dir), file("/var/lib/nginx/a")];
    assert_eq!(Window::of_packages().blind().sort(&state), [Whose::Ours, Whose::Ours], "running state");
}

#[test]
fn rows_16_and_17_commands_and_everything_else() {
    assert!(Window::of(Nature::Program).blind().ours(file("/etc/x")));
    assert!(Window::of(Nature::Program).theirs(file("/etc/x")), "moved there");
    assert!(Window::of(Nature::Program).ours(new("/opt/x", Kind::Dir)));
    assert!(Window::of(Nature::Settings).blind().theirs(file("/etc/x")));
    assert!(Window::of_packages().blind().theirs(file("/etc/cron.d/mine")));
    assert!(Window::of_packages().theirs(new("/opt/tool", Kind::Dir)));
}

#[test]
fn a_new_directory_follows_what_is_in_it() {
    let program = Window { writers: Some([(INO, Writer::Other)].into()), ..Window::of(Nature::Program) };
    let theirs = program.sort(&[new("/opt/tool", Kind::Dir), file("/opt/tool/run")]);
    assert!(theirs.iter().all(|whose| matches!(whose, Whose::Theirs(_))), "{theirs:?}");
    let wants = "/etc/systemd/system/multi-user.target.wants";
    let changes = [new(wants, Kind::Dir), link(&format!("{wants}/shop.service"), "/x")];
    assert_eq!(Window::of(Nature::Settings).sort(&changes), [Whose::Ours, Whose::Ours]);
}

#[test]
fn a_content_changed_where_kind_size_or_hash_did_and_without_a_hash_where_time_or_inode_did() {
    type Make = fn(&mut FileEntry);
    let hashed: Make = |e| e.hash = Some("a".to_owned());
    let plain: Make = |_| {};
    let table: [(Make, Make, bool); 9] = [
        (plain, |e| e.kind = Kind::Symlink, true),
        (plain, |e| e.size = 2, true),
        (plain, |e| e.mtime.sec = 200, true),
        (plain, |e| e.ino = 8, true),
        (plain, |e| e.meta.mode = 0o600, false),
        (plain, |e| e.ctime.sec = 200, false),
        (hashed, |e| e.hash = Some("b".to_owned()), true),
        (hashed, |e| (e.mtime.sec, e.ino) = (200, 8), false),
        (hashed, |e| (e.mtime.sec, e.hash) = (200, None), true),
    ];
    for (row, (base, change, is_changed)) in table.into_iter().enumerate() {
        let mut before = entry(Kind::File);
        base(&mut before);
        let mut after = before.clone();
        assert!(!changed_content(&StepChange {
            path: "/x".into(),
            before: Some(before.clone()),
            after: Some(before.clone())
        }));
        change(&mut after);
        let changed = changed_content(&StepChange { path: "/x".into(), before: Some(before), after: Some(after) });
        assert_eq!(changed, is_changed, "row {row}");
    }
    assert!(changed_content(&file("/x")));
    assert!(!changed_content(&StepChange { after: None, ..changed("/x") }));
}

#[test]
fn the_service_that_a_link_starts_is_read_from_its_name() {
    for (path, service) in [
        ("/etc/systemd/system/multi-user.target.wants/shop.service", Some("shop.service")),
        ("/etc/systemd/system/www.service", Some("www.service")),
        ("/etc/rc2.d/S01shop", Some("shop")),
        ("/etc/rcS.d/K20a", Some("a")),
        ("/etc/rc2.d/S01", None),
        ("/etc/alternatives/shop", None),
        ("/usr/rc2.d/S01shop", None),
        ("/etc/x/rc2.d/S01shop", None),
    ] {
        assert_eq!(starts_service(&link(path, "/x")).as_deref(), service, "{path}");
        assert_eq!(starts_service(&file(path)), None, "{path}");
        // One that is gone is known by what it was.
        let gone = StepChange { path: path.into(), before: link(path, "/x").after, after: None };
        assert_eq!(starts_service(&gone).as_deref(), service, "{path}");
    }
}

#[test]
fn only_a_new_directory_is_a_new_directory() {
    assert!(is_new_dir(&new("/x", Kind::Dir)));
    assert!(!is_new_dir(&file("/x")) && !is_new_dir(&changed("/x")));
    let old = StepChange { before: Some(entry(Kind::Dir)), ..new("/x", Kind::Dir) };
    assert!(!is_new_dir(&old) && !is_new_dir(&StepChange { after: None, ..old.clone() }));
    // What lies below an old one, or below one of somebody else's, is not ours for its sake.
    let below =
        |dir: StepChange| Window::of_packages().blind().sort(&[dir, new("/etc/cron.d/15", Kind::Dir)])[1].clone();
    assert!(matches!(below(StepChange { path: "/etc/cron.d".into(), ..old }), Whose::Theirs(_)));
    assert!(matches!(below(new("/etc/cron.d", Kind::Dir)), Whose::Theirs(_)));
}
