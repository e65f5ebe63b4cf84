//! What the engine actions ask: the catalogue in one question, dumps through pipes, a broker's definitions.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::databases;
use super::programs::Program;
use crate::hash::sha256_hex;
use crate::host::Meta;

/// `psql`, `mariadb`, `mysql`.
pub(super) fn client(program: &mut Program<'_>) -> i32 {
    let text = program.stdin.clone();
    let between = |start: &str| {
        let rest = text.split_once(start)?.1;
        Some(rest.split_once('\'')?.0.to_owned())
    };
    if let (Some(role), Some(name)) = (between("r.rolname = '"), between("d.datname = '")) {
        return catalogue(program, &name, &role);
    }
    let asked =
        ["pg_catalog.json_agg(", "has_schema_privilege('public'", "OWNED BY", "rolcanlogin AND", "SELECT 1 FROM"];
    if asked.iter().any(|words| text.contains(words)) {
        return owners(program, &text);
    }
    if let (Some(name), Some(role)) = (between("schema_name = '"), between("user = '")) {
        return privileges(program, &name, &role);
    }
    databases::client(program)
}

/// PostgreSQL's roles and databases, all of them made well.
fn catalogue(program: &mut Program<'_>, name: &str, role: &str) -> i32 {
    if program.world.engine_is_down("postgresql") {
        return program.fail(2, "psql: error: connection to server failed");
    }
    let known = &program.world.databases;
    let flag = |is: bool| if is { "t" } else { "f" };
    let role = flag(known.roles.contains(&format!("postgresql:{role}")));
    let database = flag(known.databases.contains_key(&format!("postgresql:{name}")));
    program.say(format!("{role}|{role}|f|{database}|{database}|f|UTF8|f"));
    0
}

/// What roles of PostgreSQL's own beside their database, and which schemas are open to all of them.
fn owners(program: &mut Program<'_>, text: &str) -> i32 {
    if program.world.engine_is_down("postgresql") {
        return program.fail(2, "psql: error: connection to server failed");
    }
    let at = program.value(&["-d"]).unwrap_or_default();
    let quoted = |start: &str, end: char| Some(text.split_once(start)?.1.split_once(end)?.0.to_owned());
    let known = &mut program.world.databases;
    if text.contains("has_schema_privilege('public'") {
        let open = known.open.contains(&at);
        program.say(if open { "t" } else { "f" });
        return 0;
    }
    if text.contains("rolcanlogin AND") {
        let count = known.roles.iter().filter(|role| role.starts_with("postgresql:")).count();
        program.say(count.to_string());
        return 0;
    }
    if let Some(name) = quoted("SELECT 1 FROM pg_catalog.pg_database WHERE datname = '", '\'') {
        let standing = ["postgres", "template1"].contains(&name.as_str());
        if standing || known.databases.contains_key(&format!("postgresql:{name}")) {
            program.say("1");
        }
        return 0;
    }
    if let Some(role) = quoted("DROP OWNED BY \"", '"') {
        if known.entangled.contains(&at) {
            return program.fail(
                3,
                "psql:<stdin>:1: ERROR:  cannot drop desired object(s) because other objects depend on them\n\
                 DETAIL:  view reports depends on table entries\n\
                 HINT:  Use DROP ... CASCADE to drop the dependent objects too.",
            );
        }
        known.owned.retain(|(owner, database, _)| *owner != role || *database != at);
        return 0;
    }
    let role = quoted("rolname = '", '\'').unwrap_or_default();
    let list: Vec<String> = if text.contains("WHERE NOT datistemplate") || text.contains("WHERE datallowconn") {
        let made = known.databases.keys().filter_map(|name| name.strip_prefix("postgresql:"));
        let standing = if text.contains("NOT datistemplate") { &[][..] } else { &["postgres", "template1"] };
        standing.iter().copied().chain(made).map(str::to_owned).collect()
    } else if text.contains("pg_class") {
        let own = known.owned.iter().filter(|(owner, database, _)| *owner == role && *database == at);
        own.map(|(_, _, table)| table.clone()).filter(|table| !table.is_empty()).collect()
    } else if text.contains("pg_shdepend") {
        let own = known.owned.iter().filter(|(owner, database, _)| *owner == role && !database.is_empty());
        own.map(|(_, database, _)| database.clone()).collect::<BTreeSet<_>>().into_iter().collect()
    } else {
        let own = known.owned.iter().filter(|(owner, database, _)| *owner == role && database.is_empty());
        own.map(|(_, _, database)| database.clone()).collect()
    };
    if !list.is_empty() {
        program.say(json!(list).to_string());
    }
    0
}

/// MariaDB's databases and users, all of them known by the socket.
fn privileges(program: &mut Program<'_>, name: &str, role: &str) -> i32 {
    if program.world.engine_is_down("mariadb") {
        return program.fail(1, "ERROR 2002 (HY000): Can't connect to local server through socket");
    }
    let known = &program.world.databases;
    let has_role = known.roles.contains(&format!("mariadb:{role}"));
    if known.databases.contains_key(&format!("mariadb:{name}")) {
        program.say("charset\tutf8mb4");
    }
    if !has_role {
        return program.fail(1, "ERROR 1141 (42000) at line 3: There is no such grant defined");
    }
    program.say(r#"user	{"access":0,"plugin":"unix_socket","authentication_string":""}"#);
    let pattern = name.replace('_', "\\_");
    program.say(format!("GRANT ALL PRIVILEGES ON `{pattern}`.* TO `{role}`@`localhost`"));
    0
}

/// `bash -o pipefail -c SCRIPT bash [FILE] TOOL...` of a dump.
pub(super) fn bash(program: &mut Program<'_>) -> i32 {
    let is_postgresql = program.args.iter().any(|arg| arg.ends_with("pg_dump"));
    let engine = if is_postgresql { "postgresql" } else { "mariadb" };
    if program.world.engine_is_down(engine) {
        return program.fail(1, "could not connect to the server");
    }
    let name = program.args.last().cloned().unwrap_or_default();
    let tables: Vec<String> =
        program.args.iter().filter_map(|arg| arg.strip_prefix("--table=")).map(str::to_owned).collect();
    let rows = if tables.is_empty() {
        program.world.databases.databases.get(&format!("{engine}:{name}")).cloned()
    } else {
        Some(tables)
    };
    let Some(rows) = rows else {
        return program.fail(1, format!("database \"{name}\" does not exist"));
    };
    let text = rows.join("\n");
    program.say(sha256_hex(text.as_bytes()));
    let script = program.args.get(3).cloned().unwrap_or_default();
    if script.contains("file=$1") {
        let file = PathBuf::from(program.args.get(5).cloned().unwrap_or_default());
        let now = program.world.tick();
        program.world.files.put(&file, text.as_bytes(), Meta::root(0o600), now);
        program.say(rows.len().to_string());
    }
    0
}

/// `rabbitmqctl`.
pub(super) fn rabbitmqctl(program: &mut Program<'_>) -> i32 {
    let operands = program.operands(&["-p", "--vhost", "-n", "--node"]);
    let operand = |index: usize| operands.get(index).map_or("", String::as_str);
    if program.world.engine_is_down("rabbitmq-server") {
        return program.fail(69, "Error: unable to perform an operation on node. Node is down");
    }
    match operand(0) {
        "export_definitions" => {
            let broker = &program.world.databases;
            let named = |names: &std::collections::BTreeSet<String>| -> Vec<Value> {
                names.iter().map(|name| json!({"name": name})).collect()
            };
            let permissions: Vec<Value> = broker
                .permissions
                .iter()
                .filter_map(|line| line.split_once(' '))
                .map(|(vhost, rest)| json!({"vhost": vhost, "user": rest.split(' ').next()}))
                .collect();
            let (mut users, vhosts) = (named(&broker.broker_users), named(&broker.vhosts));
            for user in &mut users {
                let prefix = format!("{} ", user["name"].as_str().unwrap_or_default());
                let tags = broker.broker_tags.iter().find_map(|line| line.strip_prefix(&prefix));
                user["tags"] = json!(tags.unwrap_or_default());
            }
            program.say(json!({"users": users, "vhosts": vhosts, "permissions": permissions}).to_string());
            0
        }
        "import_definitions" => {
            let content = program.world.files.read(&program.path(operand(1))).unwrap_or_default();
            let Ok(definitions) = serde_json::from_slice::<Value>(&content) else {
                return program.fail(65, "Error: the file is not JSON");
            };
            let entries = |list: &str| definitions.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
            let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
            let broker = &mut program.world.databases;
            for user in &entries("users") {
                let (name, tags) = (text(user, "name"), text(user, "tags"));
                broker.broker_tags.retain(|line| !line.starts_with(&format!("{name} ")));
                if !tags.is_empty() {
                    broker.broker_tags.insert(format!("{name} {tags}"));
                }
                broker.broker_users.insert(name);
            }
            broker.vhosts.extend(entries("vhosts").iter().map(|vhost| text(vhost, "name")));
            let allowed = |entry: &Value| format!("{} {} .* .* .*", text(entry, "vhost"), text(entry, "user"));
            broker.permissions.extend(entries("permissions").iter().map(allowed));
            0
        }
        _ => databases::rabbitmqctl(program),
    }
}
