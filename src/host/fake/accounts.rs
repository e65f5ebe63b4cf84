//! Users and groups, in the files where they live.

use std::path::Path;

use super::World;
use super::programs::Program;
use crate::host::Meta;

impl World {
    pub(super) fn has_user(&self, name: &str) -> bool {
        self.entry("/etc/passwd", name).is_some()
    }

    /// A line of a colon-separated database, by name or by number.
    fn entry(&self, file: &str, key: &str) -> Option<Vec<String>> {
        let text = self.files.text(file);
        let mut lines = text.lines().map(|line| line.split(':').map(str::to_owned).collect::<Vec<_>>());
        lines.find(|fields| fields[0] == key || fields.get(2).is_some_and(|number| number == key))
    }

    /// User and group number of a name, for chown.
    pub(super) fn number(&self, file: &str, key: &str) -> Option<u32> {
        self.entry(file, key)?.get(2)?.parse().ok()
    }

    pub(super) fn add_user(&mut self, name: &str, home: &str, shell: &str, group: Option<&str>) {
        let gid = match group {
            Some(group) => self.number("/etc/group", group).unwrap_or(0),
            None => self.add_group(name),
        };
        let uid = self.free_number("/etc/passwd");
        self.add_line("/etc/passwd", &format!("{name}:x:{uid}:{gid}::{home}:{shell}"));
        self.add_line("/etc/shadow", &format!("{name}:!:20000::::::"));
    }

    pub(super) fn add_group(&mut self, name: &str) -> u32 {
        if let Some(number) = self.number("/etc/group", name) {
            return number;
        }
        let gid = self.free_number("/etc/group");
        self.add_line("/etc/group", &format!("{name}:x:{gid}:"));
        self.add_line("/etc/gshadow", &format!("{name}:!::"));
        gid
    }

    /// System accounts count down from 999.
    fn free_number(&self, file: &str) -> u32 {
        let text = self.files.text(file);
        let taken: Vec<&str> = text.lines().filter_map(|line| line.split(':').nth(2)).collect();
        (100..1000).rev().find(|number| !taken.contains(&number.to_string().as_str())).unwrap_or(100)
    }

    fn add_line(&mut self, file: &str, line: &str) {
        let text = self.files.text(file);
        self.rewrite(file, &format!("{text}{line}\n"));
    }

    fn remove_line(&mut self, file: &str, name: &str) {
        let text = self.files.text(file);
        let kept = text.lines().filter(|line| line.split(':').next() != Some(name));
        self.rewrite(file, &kept.fold(String::new(), |all, line| all + line + "\n"));
    }

    /// As the real tools do: the old content is kept in the `-` file beside it.
    fn rewrite(&mut self, file: &str, text: &str) {
        let now = self.tick();
        let meta = self.files.stat(Path::new(file)).map_or(Meta::root(0o644), |stat| stat.meta);
        let old = self.files.text(file);
        self.files.put(Path::new(&format!("{file}-")), old.as_bytes(), meta, now);
        self.files.put(Path::new(file), text.as_bytes(), meta, now);
    }

    fn change_members(&mut self, group: &str, change: &dyn Fn(&mut Vec<String>)) {
        for (file, field) in [("/etc/group", 3), ("/etc/gshadow", 3)] {
            let text = self.files.text(file);
            let mut changed = String::new();
            for line in text.lines() {
                let mut fields: Vec<String> = line.split(':').map(str::to_owned).collect();
                if fields[0] == group && fields.len() > field {
                    let members = fields[field].split(',').filter(|name| !name.is_empty());
                    let mut members: Vec<String> = members.map(str::to_owned).collect();
                    change(&mut members);
                    fields[field] = members.join(",");
                }
                changed.push_str(&fields.join(":"));
                changed.push('\n');
            }
            if changed != text {
                self.rewrite(file, &changed);
            }
        }
    }

    fn join(&mut self, user: &str, group: &str) {
        self.change_members(group, &|members| {
            if !members.iter().any(|member| member == user) {
                members.push(user.to_owned());
            }
        });
    }

    fn groups_of(&self, user: &str) -> Vec<String> {
        let primary = self.entry("/etc/passwd", user).and_then(|fields| fields.get(3).cloned()).unwrap_or_default();
        let text = self.files.text("/etc/group");
        let mut groups = Vec::new();
        for fields in text.lines().map(|line| line.split(':').collect::<Vec<_>>()) {
            if fields.get(2) == Some(&primary.as_str()) {
                groups.insert(0, fields[0].to_owned());
            } else if fields.get(3).is_some_and(|members| members.split(',').any(|member| member == user)) {
                groups.push(fields[0].to_owned());
            }
        }
        groups
    }
}

const VALUES: &[&str] = &[
    "-d",
    "--home",
    "--home-dir",
    "-s",
    "--shell",
    "-g",
    "--gid",
    "-G",
    "--groups",
    "-c",
    "--comment",
    "--gecos",
    "-u",
    "--uid",
    "-K",
    "-k",
    "--ingroup",
    "-b",
    "--base-dir",
];

/// `useradd`, and `adduser` as far as it is the same.
pub(super) fn useradd(program: &mut Program<'_>) -> i32 {
    let operands = program.operands(VALUES);
    // `adduser USER GROUP`
    if let [user, group] = &operands[..] {
        program.world.join(user, group);
        return 0;
    }
    let Some(name) = operands.last().cloned() else {
        return program.fail(2, "useradd: no name");
    };
    if program.world.has_user(&name) {
        let status = if program.name == "adduser" { 0 } else { 9 };
        return program.fail(status, format!("useradd: user '{name}' already exists"));
    }
    let home = program.value(&["-d", "--home", "--home-dir"]).unwrap_or_else(|| format!("/home/{name}"));
    let shell = program.value(&["-s", "--shell"]).unwrap_or_else(|| "/bin/sh".to_owned());
    let group = program.value(&["-g", "--gid", "--ingroup"]);
    if let Some(group) = group.as_deref().filter(|group| program.world.number("/etc/group", group).is_none()) {
        return program.fail(6, format!("useradd: group '{group}' does not exist"));
    }
    if group.is_none() && !program.has(&["-N"]) && program.world.number("/etc/group", &name).is_some() {
        return program
            .fail(9, format!("useradd: group {name} exists - if you want to add this user to that group, use -g."));
    }
    program.world.add_user(&name, &home, &shell, group.as_deref());
    for group in program.value(&["-G", "--groups"]).unwrap_or_default().split(',').filter(|group| !group.is_empty()) {
        program.world.join(&name, group);
    }
    if program.has(&["--create-home"]) || program.args.iter().any(|arg| arg == "-m") {
        let now = program.world.tick();
        program.world.files.make_dirs(Path::new(&home), now);
    }
    0
}

pub(super) fn groupadd(program: &mut Program<'_>) -> i32 {
    let Some(name) = program.operands(&["-g", "--gid", "-K"]).pop() else {
        return program.fail(2, "groupadd: no name");
    };
    if program.world.number("/etc/group", &name).is_some() {
        return program.fail(9, format!("groupadd: group '{name}' already exists"));
    }
    program.world.add_group(&name);
    0
}

/// `userdel`, and `deluser USER [GROUP]`.
pub(super) fn userdel(program: &mut Program<'_>) -> i32 {
    let operands = program.operands(&[]);
    if let [user, group] = &operands[..] {
        program.world.change_members(group, &|members| members.retain(|member| member != user));
        return 0;
    }
    let Some(name) = operands.last().cloned() else {
        return program.fail(2, "userdel: no name");
    };
    let Some(fields) = program.world.entry("/etc/passwd", &name) else {
        return program.fail(6, format!("userdel: user '{name}' does not exist"));
    };
    for group in program.world.groups_of(&name) {
        program.world.change_members(&group, &|members| members.retain(|member| *member != name));
    }
    for file in ["/etc/passwd", "/etc/shadow"] {
        program.world.remove_line(file, &name);
    }
    // USERGROUPS_ENAB: its own group is removed with it.
    if program.world.number("/etc/group", &name).map(|gid| gid.to_string()) == fields.get(3).cloned() {
        program.world.remove_line("/etc/group", &name);
        program.world.remove_line("/etc/gshadow", &name);
    }
    if program.has(&["-r", "--remove", "--remove-home"]) {
        let now = program.world.tick();
        program.world.files.remove_tree(Path::new(&fields[5]), now);
    }
    0
}

pub(super) fn groupdel(program: &mut Program<'_>) -> i32 {
    let Some(name) = program.operands(&[]).pop() else {
        return program.fail(2, "groupdel: no name");
    };
    if program.world.number("/etc/group", &name).is_none() {
        return program.fail(6, format!("groupdel: group '{name}' does not exist"));
    }
    program.world.remove_line("/etc/group", &name);
    program.world.remove_line("/etc/gshadow", &name);
    0
}

pub(super) fn usermod(program: &mut Program<'_>) -> i32 {
    let groups = program.values(&["-G", "-aG", "-Ga", "--groups"]);
    let Some(name) = program.operands(&["-G", "-aG", "-Ga", "--groups", "-d", "-s", "-g"]).pop() else {
        return 2;
    };
    if !program.world.has_user(&name) {
        return program.fail(6, format!("usermod: user '{name}' does not exist"));
    }
    for group in groups.iter().flat_map(|groups| groups.split(',')) {
        if program.world.number("/etc/group", group).is_none() {
            return program.fail(6, format!("usermod: group '{group}' does not exist"));
        }
        program.world.join(&name, group);
    }
    0
}

/// `gpasswd -a USER GROUP`, `gpasswd -d USER GROUP`.
pub(super) fn gpasswd(program: &mut Program<'_>) -> i32 {
    let (Some(user), Some(group)) = (program.value(&["-a", "-d", "--add", "--delete"]), program.args.last().cloned())
    else {
        return program.fail(2, "gpasswd: usage");
    };
    if program.has(&["-a", "--add"]) {
        program.world.join(&user, &group);
    } else {
        program.world.change_members(&group, &|members| members.retain(|member| *member != user));
    }
    0
}

pub(super) fn getent(program: &mut Program<'_>) -> i32 {
    let operands = program.operands(&[]);
    let Some((database, keys)) = operands.split_first() else {
        return 1;
    };
    if database.starts_with("ahosts") || database == "hosts" {
        return addresses(program, keys);
    }
    let file = format!("/etc/{database}");
    if keys.is_empty() {
        program.out = program.world.files.text(&file);
        return 0;
    }
    for key in keys {
        match program.world.entry(&file, key) {
            Some(fields) => program.say(fields.join(":")),
            None => return 2,
        }
    }
    0
}

/// `getent ahosts NAME`: what /etc/hosts says.
fn addresses(program: &mut Program<'_>, names: &[String]) -> i32 {
    let hosts = program.world.files.text("/etc/hosts");
    for name in names {
        let known = hosts.lines().find_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let address = words.next()?;
            words.any(|word| word == name).then(|| address.to_owned())
        });
        let Some(address) = known else { return 2 };
        program.say(format!("{address} STREAM {name}"));
    }
    0
}

pub(super) fn id(program: &mut Program<'_>) -> i32 {
    let name = program.operands(&[]).pop().unwrap_or_else(|| program.user.clone());
    let Some(fields) = program.world.entry("/etc/passwd", &name) else {
        return program.fail(1, format!("id: '{name}': no such user"));
    };
    let groups = program.world.groups_of(&fields[0]);
    let line = if program.has(&["-G"]) || (program.has(&["-g"]) && program.has(&["-n"])) {
        let shown = if program.has(&["-G"]) { groups.len() } else { 1 };
        groups[..shown.min(groups.len())].join(" ")
    } else if program.has(&["-g"]) {
        fields[3].clone()
    } else if program.has(&["-n"]) {
        fields[0].clone()
    } else if program.has(&["-u"]) {
        fields[2].clone()
    } else {
        format!(
            "uid={}({}) gid={}({}) groups={}",
            fields[2],
            fields[0],
            fields[3],
            groups.first().cloned().unwrap_or_default(),
            groups.join(",")
        )
    };
    program.say(line);
    0
}
