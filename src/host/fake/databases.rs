//! Database engines and a broker, as far as their clients' commands show them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::programs::Program;
use super::{FakeHost, World};

/// What the engines hold.
#[expect(clippy::struct_field_names, reason = "databases is what they are called")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Databases {
    /// `postgresql:name` -> rows.
    pub(super) databases: BTreeMap<String, Vec<String>>,
    /// `postgresql:name`.
    pub(super) roles: BTreeSet<String>,
    /// What PostgreSQL's roles own beside their own database: role, database, table; or role, nothing, database.
    pub(super) owned: BTreeSet<(String, String, String)>,
    /// PostgreSQL databases in which an object of another role depends on what a role owns.
    pub(super) entangled: BTreeSet<String>,
    /// PostgreSQL databases whose schema `public` lets every role create objects.
    pub(super) open: BTreeSet<String>,
    /// Users of the broker.
    pub(super) broker_users: BTreeSet<String>,
    /// `user tag,tag`, for those that have any.
    pub(super) broker_tags: BTreeSet<String>,
    /// Virtual hosts of the broker.
    pub(super) vhosts: BTreeSet<String>,
    /// `vhost user conf write read`.
    pub(super) permissions: BTreeSet<String>,
}

impl FakeHost {
    /// Whether `engine` (`postgresql`, `mariadb`) has this database.
    pub fn has_database(&self, engine: &str, name: &str) -> bool {
        self.world().databases.databases.contains_key(&format!("{engine}:{name}"))
    }

    /// Whether `engine` has this role.
    pub fn has_role(&self, engine: &str, name: &str) -> bool {
        self.world().databases.roles.contains(&format!("{engine}:{name}"))
    }

    /// Has a PostgreSQL role own a table in another database, or with none a database.
    pub fn put_owned(&self, role: &str, database: &str, name: &str) {
        self.world().databases.owned.insert((role.to_owned(), database.to_owned(), name.to_owned()));
        if database.is_empty() {
            self.put_row("postgresql", name, "made since");
        }
    }

    /// Makes another role's view depend on what a role owns in this database, or no longer.
    pub fn entangle(&self, database: &str, is_entangled: bool) {
        let entangled = &mut self.world().databases.entangled;
        if is_entangled {
            entangled.insert(database.to_owned())
        } else {
            entangled.remove(database)
        };
    }

    /// Opens the schema `public` of a PostgreSQL database to every role, as up to version 14.
    pub fn open_schema(&self, database: &str) {
        self.world().databases.open.insert(database.to_owned());
    }

    /// Whether the schema `public` of a PostgreSQL database takes objects of every role.
    pub fn is_schema_open(&self, database: &str) -> bool {
        self.world().databases.open.contains(database)
    }

    /// Puts a row into a database, which is made when it is not there.
    pub fn put_row(&self, engine: &str, name: &str, row: &str) {
        self.world().databases.databases.entry(format!("{engine}:{name}")).or_default().push(row.to_owned());
    }
}

impl World {
    /// An engine that has a unit must run to answer.
    pub(super) fn engine_is_down(&self, engine: &str) -> bool {
        let unit = format!("{engine}.service");
        self.unit_file(&unit).is_some() && !self.services.active.contains(&unit)
    }
}

fn engine_of(program: &str) -> &'static str {
    match program {
        "psql" | "pg_dump" | "createdb" | "dropdb" | "createuser" | "dropuser" => "postgresql",
        _ => "mariadb",
    }
}

/// `psql`, `mariadb`, `mysql`: statements from -c, -e or stdin.
pub(super) fn client(program: &mut Program<'_>) -> i32 {
    let engine = engine_of(&program.name);
    if program.world.engine_is_down(engine) {
        return program.fail(2, format!("{}: error: could not connect to server", program.name));
    }
    let mut text = program.values(&["-c", "--command", "-e", "--execute"]).join(";\n");
    for args in program.args.clone() {
        // Clusters like -Atc or -NBe take the next argument.
        let is_cluster = args.len() > 2 && args.starts_with('-') && !args.starts_with("--");
        if is_cluster && (args.ends_with('c') || args.ends_with('e')) {
            let at = program.args.iter().position(|arg| *arg == args).unwrap_or(0);
            text.push_str(program.args.get(at + 1).map_or("", String::as_str));
        }
    }
    if text.is_empty() {
        text.clone_from(&program.stdin);
    }
    for statement in tokens(&text).split(|token| token == ";") {
        let status = execute(program, engine, statement);
        if status != 0 {
            return status;
        }
    }
    0
}

/// The tokens of SQL without their quotes; a quoted one begins with `'`.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' | '`' => {
                let word: String = chars.by_ref().take_while(|next| *next != c).collect();
                tokens.push(format!("'{word}"));
            }
            ';' | '(' | ')' | ',' | '=' | '@' | '*' => tokens.push(c.to_string()),
            c if c.is_whitespace() => {}
            c => {
                let mut word = c.to_string();
                while let Some(next) = chars.next_if(|next| next.is_alphanumeric() || "_.$-\\:".contains(*next)) {
                    word.push(next);
                }
                tokens.push(word);
            }
        }
    }
    tokens
}

fn execute(program: &mut Program<'_>, engine: &str, statement: &[String]) -> i32 {
    let words: Vec<String> = statement.iter().map(|token| token.to_ascii_uppercase()).collect();
    let word = |index: usize| words.get(index).map_or("", String::as_str);
    let guarded = words.iter().take(5).any(|word| word == "EXISTS");
    // Past IF [NOT] EXISTS.
    let after = words.iter().take(5).position(|word| word == "EXISTS").map_or(2, |at| at + 1);
    let name = statement.get(after).map(|name| name.trim_start_matches('\'').to_owned()).unwrap_or_default();
    let key = format!("{engine}:{name}");
    let databases = &mut program.world.databases;
    let refused = match (word(0), word(1)) {
        ("CREATE", "DATABASE" | "SCHEMA") => {
            let is_there = databases.databases.contains_key(&key);
            databases.databases.entry(key).or_default();
            is_there.then(|| format!("database \"{name}\" already exists"))
        }
        ("DROP", "DATABASE" | "SCHEMA") => {
            let removed = databases.databases.remove(&key);
            databases.owned.retain(|(_, at, table)| !(at.is_empty() && *table == name) && *at != name);
            removed.is_none().then(|| format!("database \"{name}\" does not exist"))
        }
        ("CREATE", "ROLE" | "USER") => {
            (!databases.roles.insert(key)).then(|| format!("role \"{name}\" already exists"))
        }
        ("DROP", "ROLE" | "USER") if databases.owned.iter().any(|(owner, _, _)| *owner == name) => {
            return program.fail(3, format!("ERROR:  role \"{name}\" cannot be dropped because some objects depend on it\nDETAIL:  2 objects in database postgres"));
        }
        ("REVOKE" | "GRANT", "CREATE") => {
            let at = program.value(&["-d"]).unwrap_or_default();
            let open = &mut program.world.databases.open;
            if word(0) == "GRANT" {
                open.insert(at)
            } else {
                open.remove(&at)
            };
            None
        }
        ("DROP", "ROLE" | "USER") => (!databases.roles.remove(&key)).then(|| format!("role \"{name}\" does not exist")),
        ("SELECT", _) => {
            select(program, engine, statement, &words);
            None
        }
        ("SHOW", "DATABASES") => {
            select(program, engine, &[], &["SCHEMATA".to_owned()]);
            None
        }
        _ => None,
    };
    match refused {
        Some(why) if !guarded => program.fail(1, format!("ERROR:  {why}")),
        _ => 0,
    }
}

/// The one row about a role and a database together: role, login, privileged, database, owned by the role, open to
/// every role, encoding.
fn state_of(databases: &Databases, statement: &[String]) -> String {
    let compared_with = |column: &str| {
        statement
            .windows(3)
            .find(|window| window[0].ends_with(column) && window[1] == "=" && window[2].starts_with('\''))
            .map(|window| format!("postgresql:{}", &window[2][1..]))
            .unwrap_or_default()
    };
    let role = databases.roles.contains(&compared_with("rolname"));
    let database = databases.databases.contains_key(&compared_with("datname"));
    let flag = |is: bool| if is { "t" } else { "f" };
    let encoding = if database { "UTF8" } else { "" };
    [flag(role), flag(role), "f", flag(database), flag(role && database), "f", encoding].join("|")
}

/// Answers queries about the catalog; `SELECT 1` proves that the engine runs.
fn select(program: &mut Program<'_>, engine: &str, statement: &[String], words: &[String]) {
    let about = |names: &[&str]| words.iter().any(|word| names.iter().any(|name| word.contains(name)));
    if about(&["PG_ROLES"]) && about(&["PG_DATABASE"]) {
        let row = state_of(&program.world.databases, statement);
        program.say(&row);
        return;
    }
    let databases = &program.world.databases;
    let all: Vec<&String> = if about(&["PG_DATABASE", "SCHEMATA"]) {
        databases.databases.keys().collect()
    } else if about(&["PG_ROLES", "PG_USER", "PG_AUTHID", "MYSQL.USER", "GLOBAL_PRIV"]) {
        databases.roles.iter().collect()
    } else {
        if words.get(1).is_some_and(|word| word == "1") {
            program.say("1");
        }
        return;
    };
    let prefix = format!("{engine}:");
    // The names compared with, wherever they stand: conditions on host or owner name no database.
    let literals: Vec<&str> = statement.iter().filter_map(|token| token.strip_prefix('\'')).collect();
    let is_wanted = |name: &str| !words.iter().any(|word| word == "WHERE") || literals.contains(&name);
    let found: Vec<String> = all
        .iter()
        .filter_map(|name| name.strip_prefix(&prefix))
        .filter(|name| is_wanted(name))
        .map(str::to_owned)
        .collect();
    let (yes, no) = if engine == "postgresql" { ("t", "f") } else { ("1", "0") };
    match words.get(1).map(String::as_str) {
        Some("COUNT") => program.say(found.len().to_string()),
        Some("EXISTS") => program.say(if found.is_empty() { no } else { yes }),
        Some("1") => found.iter().for_each(|_| program.say("1")),
        _ => found.iter().for_each(|name| program.say(name)),
    }
}

/// `pg_dump`, `mariadb-dump`.
pub(super) fn dump(program: &mut Program<'_>) -> i32 {
    let engine = engine_of(&program.name);
    if program.world.engine_is_down(engine) {
        return program.fail(2, "could not connect to server");
    }
    let named = program.values(&["-d", "--dbname", "--databases"]);
    let operands = program.operands(&["-U", "--user", "-f", "--file", "-h", "--host"]);
    let Some(name) = named.into_iter().chain(operands).next() else {
        return program.fail(1, "no database named");
    };
    let Some(rows) = program.world.databases.databases.get(&format!("{engine}:{name}")).cloned() else {
        return program.fail(1, format!("error: database \"{name}\" does not exist"));
    };
    let mut text = format!("-- dump of {name}\n");
    for row in rows {
        let _ = writeln!(text, "INSERT {row};");
    }
    match program.value(&["-f", "--file", "--result-file"]) {
        Some(file) => {
            let (path, now) = (program.path(file), program.world.tick());
            program.world.files.put(&path, text.as_bytes(), crate::host::Meta::root(0o600), now);
        }
        None => program.out = text,
    }
    0
}

/// `createdb`, `dropdb`, `createuser`, `dropuser`.
pub(super) fn short_form(program: &mut Program<'_>) -> i32 {
    let operands = program.operands(&["-O", "--owner", "-E", "--encoding", "-T", "--template", "-l", "--locale"]);
    let Some(name) = operands.first() else {
        return program.fail(1, "no name");
    };
    let (verb, kind) = match program.name.as_str() {
        "createdb" => ("CREATE", "DATABASE"),
        "dropdb" => ("DROP", "DATABASE"),
        "createuser" => ("CREATE", "ROLE"),
        _ => ("DROP", "ROLE"),
    };
    let guard = if program.has(&["--if-exists"]) { "IF EXISTS" } else { "" };
    let statement = tokens(&format!("{verb} {kind} {guard} \"{name}\""));
    execute(program, "postgresql", &statement)
}

/// `rabbitmqctl`.
pub(super) fn rabbitmqctl(program: &mut Program<'_>) -> i32 {
    if program.world.engine_is_down("rabbitmq-server") {
        return program.fail(69, "Error: unable to perform an operation on node. Node is down");
    }
    let vhost = program.value(&["-p", "--vhost"]).unwrap_or_else(|| "/".to_owned());
    let operands = program.operands(&["-p", "--vhost", "-n", "--node", "-t", "--timeout", "--formatter"]);
    let operand = |index: usize| operands.get(index).cloned().unwrap_or_default();
    let name = operand(1);
    let broker = &mut program.world.databases;
    match operand(0).as_str() {
        "add_user" => {
            let is_new = broker.broker_users.insert(name.clone());
            let refused = format!("Error:\nUser \"{name}\" already exists");
            return if is_new { 0 } else { program.fail(70, refused) };
        }
        "delete_user" => {
            broker.broker_tags.retain(|line| !line.starts_with(&format!("{name} ")));
            if !broker.broker_users.remove(&name) {
                return program.fail(70, format!("Error:\nUser \"{name}\" does not exist"));
            }
            broker.permissions.retain(|line| line.split(' ').nth(1) != Some(name.as_str()));
        }
        "add_vhost" => {
            broker.vhosts.insert(name);
        }
        "delete_vhost" => {
            broker.vhosts.remove(&name);
            broker.permissions.retain(|line| line.split(' ').next() != Some(name.as_str()));
        }
        "set_permissions" => {
            broker.permissions.insert(format!("{vhost} {}", operands[1..].join(" ")));
        }
        "clear_permissions" => broker.permissions.retain(|line| !line.starts_with(&format!("{vhost} {name} "))),
        "list_users" => {
            let tags = |user: &str| {
                let line = broker.broker_tags.iter().find_map(|line| line.strip_prefix(user)?.strip_prefix(' '));
                line.unwrap_or_default().replace(',', ", ")
            };
            let lines: Vec<String> =
                broker.broker_users.iter().map(|user| format!("{user}\t[{}]", tags(user))).collect();
            for line in lines {
                program.say(line);
            }
        }
        "list_vhosts" => {
            let lines: Vec<String> = broker.vhosts.iter().cloned().collect();
            for line in lines {
                program.say(line);
            }
        }
        "list_permissions" => {
            let own = broker.permissions.iter().filter_map(|line| line.strip_prefix(&format!("{vhost} ")));
            let lines: Vec<String> = own.map(|line| line.replace(' ', "\t")).collect();
            for line in lines {
                program.say(line);
            }
        }
        _ => {}
    }
    0
}
