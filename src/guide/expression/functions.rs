//! Functions over facts, so that no guide has to search their lists.

use std::ops::RangeInclusive;

use minijinja::value::{Kwargs, Rest};
use minijinja::{Environment, Error, ErrorKind, State, Value};
use serde::de::DeserializeOwned;

use crate::facts::probe::installed;
use crate::facts::{Application, Cluster, Files, Instance, Listener};
use crate::sizing;

/// Ports that [`first_free_port`] tries.
const TRIED: u16 = 100;

/// The functions, and the facts that each depends on.
const FUNCTIONS: &[(&str, &[&str])] = &[
    ("applied", &["facts.applied", "facts.applications"]),
    ("deployed", &["facts.applications"]),
    // Whether a file is seen depends on who looks.
    ("files_of", &["facts.root"]),
    ("first_free_port", &["facts.listening", "facts.postgresql", "facts.mariadb", "facts.redis"]),
    ("installed", &["facts.installed"]),
    ("installed_by_us", &["facts.installed_by_us", "facts.applications"]),
    ("port_owner", &["facts.listening"]),
    ("ports_of", &["facts.listening"]),
    ("size_workers", &[]),
    ("taken_port", &["facts.listening"]),
    ("unit", &["facts.init"]),
    ("words_of", &["facts.root"]),
];

/// The name under which expressions find the files of this server: no guide can write it.
pub const FILES: &str = "the files";

/// Makes the functions known; `guide` is whose expressions these are.
pub fn add(environment: &mut Environment<'static>, guide: String) {
    let (of, whose) = (guide.clone(), guide.clone());
    environment
        .add_function("applied", move |state: &State<'_, '_>, name: Option<String>| applied(state, &guide, name));
    environment.add_function(
        "deployed",
        move |state: &State<'_, '_>, name: String, location: String, reference: String| {
            deployed(state, &of, &name, &location, &reference)
        },
    );
    environment.add_function("files_of", files_of);
    environment.add_function("first_free_port", first_free_port);
    environment.add_function("installed", installed);
    environment.add_function("installed_by_us", move |state: &State<'_, '_>, package: String, name: Option<String>| {
        installed_by_us(state, &whose, &package, name.as_deref())
    });
    environment.add_function("port_owner", port_owner);
    environment.add_function("ports_of", ports_of);
    environment.add_function("size_workers", size_workers);
    environment.add_function("taken_port", taken_port);
    environment.add_function("unit", unit);
    environment.add_function("words_of", words_of);
}

/// The facts that a call of `function` looks at; none for a name that is no function.
pub fn facts_of(function: &str) -> Option<&'static [&'static str]> {
    FUNCTIONS.iter().find(|(name, _)| *name == function).map(|(_, facts)| *facts)
}

fn fact<T: DeserializeOwned>(state: &State<'_, '_>, name: &str) -> Result<T, Error> {
    let failed = |e: serde_json::Error| Error::new(ErrorKind::InvalidOperation, format!("facts.{name}: {e}"));
    let facts = state.lookup("facts").unwrap_or_default();
    serde_json::from_value(serde_json::to_value(facts.get_attr(name)?).map_err(failed)?).map_err(failed)
}

/// `applied()`: whether a run of this guide is in place. `applied(name)`: whether one that calls its application so
/// is; an earlier version of the program did not note names.
fn applied(state: &State<'_, '_>, guide: &str, name: Option<String>) -> Result<bool, Error> {
    let in_place = fact::<Vec<String>>(state, "applied")?.iter().any(|id| id == guide);
    let Some(name) = name.filter(|_| in_place) else { return Ok(in_place) };
    let known: Vec<Application> = fact(state, "applications")?;
    let is_it = |known: &Application| known.guide == guide && (known.name.is_empty() || known.name == name);
    Ok(known.is_empty() || known.iter().any(is_it))
}

/// `deployed(name, location, reference)`: the commit of the branch at this location that `bringup deploy` brought to the
/// application of this name; none where it did not.
fn deployed(
    state: &State<'_, '_>,
    guide: &str,
    name: &str,
    location: &str,
    reference: &str,
) -> Result<Option<String>, Error> {
    let known: Vec<Application> = fact(state, "applications")?;
    let own = known.into_iter().filter(|known| known.guide == guide && known.name == name);
    let mut all = own.flat_map(|known| known.deployed);
    Ok(all.find(|known| known.location == location && known.reference == reference).map(|known| known.commit))
}

/// `installed('chrony', 'ntpsec')`: those of these packages that are installed.
#[expect(clippy::needless_pass_by_value, reason = "what minijinja calls")]
fn installed(state: &State<'_, '_>, packages: Rest<String>) -> Result<Vec<String>, Error> {
    if let Some(unknown) = packages.iter().find(|package| !installed::is_known(package)) {
        return Err(Error::new(ErrorKind::InvalidOperation, format!("installed: facts do not cover {unknown}")));
    }
    let found: std::collections::BTreeMap<String, String> = fact(state, "installed")?;
    Ok(packages.iter().filter(|package| found.contains_key(*package)).cloned().collect())
}

/// `installed_by_us('redis-server')`: whether a run that is in place installed this package. `installed_by_us(package,
/// name)`: whether one of the application of this name did.
fn installed_by_us(state: &State<'_, '_>, guide: &str, package: &str, name: Option<&str>) -> Result<bool, Error> {
    let by_any = fact::<Vec<String>>(state, "installed_by_us")?.iter().any(|known| known == package);
    let Some(name) = name.filter(|_| by_any) else { return Ok(by_any) };
    let known: Vec<Application> = fact(state, "applications")?;
    let mut its = known.iter().filter(|known| known.guide == guide && (known.name.is_empty() || known.name == name));
    // An earlier version of the program did not note names.
    Ok(known.is_empty()
        || its
            .any(|known| known.installed.as_ref().is_none_or(|packages| packages.iter().any(|known| known == package))))
}

/// `port_owner(8000)`: the program that listens on this TCP port, `another program` where its name is unknown; none
/// where nothing listens.
fn port_owner(state: &State<'_, '_>, port: Option<u16>) -> Result<Option<String>, Error> {
    let Some(port) = port else { return Ok(None) };
    let found = fact::<Vec<Listener>>(state, "listening")?.into_iter().find(|listener| listener.port == port);
    Ok(found.map(|found| found.owner().to_owned()))
}

/// `taken_port([5672, 4369])`: the first of these on which something listens; none where nothing does.
#[expect(clippy::needless_pass_by_value, reason = "what minijinja calls")]
fn taken_port(state: &State<'_, '_>, ports: Vec<u16>) -> Result<Option<u16>, Error> {
    let listening: Vec<Listener> = fact(state, "listening")?;
    Ok(listening.iter().map(|listener| listener.port).find(|port| ports.contains(port)))
}

/// `ports_of('nginx')`: the ports on which this program listens, each once; with `public=true` only those that are open
/// beyond the loopback address.
#[expect(clippy::needless_pass_by_value, reason = "what minijinja calls")]
fn ports_of(state: &State<'_, '_>, process: &str, options: Kwargs) -> Result<Vec<u16>, Error> {
    let public = options.get::<Option<bool>>("public")?.unwrap_or(false);
    options.assert_all_used()?;
    let listening: Vec<Listener> = fact(state, "listening")?;
    let counts = |listener: &&Listener| {
        listener.process == process && !(public && ["127.0.0.1", "::1"].contains(&listener.address.as_str()))
    };
    let mut ports = Vec::new();
    for listener in listening.iter().filter(counts) {
        if !ports.contains(&listener.port) {
            ports.push(listener.port);
        }
    }
    Ok(ports)
}

/// `first_free_port(5432, application.port)`: the first port from 5432 on that is none of the others, on which nothing
/// listens, and that no database server has in its settings, whether it runs or not.
#[expect(clippy::needless_pass_by_value, reason = "what minijinja calls")]
fn first_free_port(state: &State<'_, '_>, from: u16, others: Rest<Option<u16>>) -> Result<u16, Error> {
    let mut taken: Vec<u16> = others.iter().copied().flatten().collect();
    taken.extend(fact::<Vec<Listener>>(state, "listening")?.iter().map(|listener| listener.port));
    taken.extend(fact::<Vec<Cluster>>(state, "postgresql")?.iter().map(|cluster| cluster.configured_port));
    for engine in ["mariadb", "redis"] {
        taken.extend(fact::<Vec<Instance>>(state, engine)?.iter().map(|instance| instance.port));
    }
    let tried: RangeInclusive<u16> = from..=from.saturating_add(TRIED - 1);
    tried.clone().find(|port| !taken.contains(port)).ok_or_else(|| {
        let why = format!("no port from {} to {} is free", tried.start(), tried.end());
        Error::new(ErrorKind::InvalidOperation, why)
    })
}

/// `files_of('/srv/shop', 'package.json', 'manage.py')`: those of these names that are regular files at the top of a
/// directory of this server; none of what is no such directory.
#[expect(clippy::needless_pass_by_value, reason = "what minijinja calls")]
fn files_of(state: &State<'_, '_>, dir: Option<String>, names: Rest<String>) -> Vec<String> {
    with_files(state, |files| files.which(&dir.unwrap_or_default(), &names))
}

/// `words_of('/srv/shop', 'requirements.txt', 'fastapi')`: those of these words that are in a file at the top of a
/// directory of this server.
#[expect(clippy::needless_pass_by_value, reason = "what minijinja calls")]
fn words_of(state: &State<'_, '_>, dir: Option<String>, file: &str, words: Rest<String>) -> Vec<String> {
    with_files(state, |files| files.words(&dir.unwrap_or_default(), file, &words))
}

fn with_files(state: &State<'_, '_>, look: impl FnOnce(&Files) -> Vec<String>) -> Vec<String> {
    let files = state.lookup(FILES).unwrap_or_default();
    files.downcast_object_ref::<Looker>().map_or_else(Vec::new, |looker| look(&looker.0))
}

/// The files of this server, for expressions.
#[derive(Debug)]
pub struct Looker(pub Files);

impl minijinja::value::Object for Looker {}

/// `unit('nginx')`: what Debian's service is called here, `nginx.service` where systemd runs and `nginx` elsewhere.
fn unit(state: &State<'_, '_>, service: &str) -> Result<String, Error> {
    let systemd = fact::<String>(state, "init")? == "systemd";
    Ok(if systemd { format!("{service}.service") } else { service.to_owned() })
}

/// `size_workers(cpus=…, memory_mib=…, users=…)`: the arithmetic of [`sizing`], its inputs by name.
fn size_workers(inputs: Kwargs) -> Result<Value, Error> {
    let failed = |e: serde_json::Error| Error::new(ErrorKind::InvalidOperation, format!("size_workers: {e}"));
    let inputs = serde_json::to_value(Value::from(inputs)).map_err(failed)?;
    let input: sizing::Input = serde_json::from_value(inputs).map_err(failed)?;
    Ok(Value::from(minijinja::value::Serde(sizing::size_workers(&input))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::facts::Facts;
    use crate::guide::Guide;
    use crate::guide::expression::{Context, Expressions};
    use serde_json::json;

    fn listener(port: u16, address: &str, process: &str) -> Listener {
        Listener { port, address: address.into(), process: process.into() }
    }

    fn facts() -> Facts {
        Facts {
            init: "systemd".into(),
            listening: vec![
                listener(80, "0.0.0.0", "nginx"),
                listener(80, "::", "nginx"),
                listener(8000, "127.0.0.1", "nginx"),
                listener(5432, "127.0.0.1", ""),
            ],
            installed: [("nginx".to_owned(), "1".to_owned())].into(),
            installed_by_us: vec!["postgresql-15".into()],
            applied: vec!["t".into()],
            applications: vec![Application { guide: "t".into(), name: "shop".into(), ..Application::default() }],
            postgresql: vec![Cluster { configured_port: 5433, ..Cluster::default() }],
            ..Facts::default()
        }
    }

    fn with(facts: &Facts, expression: &str) -> Result<serde_json::Value, String> {
        Expressions::new(&Guide { id: "t".into(), ..Guide::default() }).eval(expression, &Context::new(facts))
    }

    fn eval(expression: &str) -> serde_json::Value {
        with(&facts(), expression).unwrap()
    }

    #[test]
    fn a_port_has_an_owner_or_none() {
        assert_eq!(eval("port_owner(80)"), json!("nginx"));
        assert_eq!(eval("port_owner(5432)"), json!("another program"));
        assert_eq!(eval("port_owner(81)"), json!(null));
        assert_eq!(eval("port_owner(none)"), json!(null));
        assert_eq!(eval("taken_port([81, 8000, 5432])"), json!(8000));
        assert_eq!(eval("taken_port(range(81, 90))"), json!(null));
        assert_eq!(eval("ports_of('nginx')"), json!([80, 8000]));
        assert_eq!(eval("ports_of('nginx', public=true)"), json!([80]));
        assert!(with(&facts(), "ports_of('nginx', pubic=true)").is_err());
    }

    #[test]
    fn a_free_port_is_neither_in_use_nor_in_somebodys_settings_nor_asked_to_be_left() {
        assert_eq!(eval("first_free_port(5432, 5434, none)"), json!(5435));
        assert_eq!(eval("first_free_port(7000)"), json!(7000));
    }

    #[test]
    fn packages_are_told_apart_by_who_installed_them() {
        assert_eq!(eval("installed('apache2', 'nginx')"), json!(["nginx"]));
        assert_eq!(eval("installed('postgresql-15')"), json!([]));
        assert_eq!(eval("installed_by_us('postgresql-15')"), json!(true));
        assert_eq!(eval("installed_by_us('nginx')"), json!(false));
        // An earlier version did not note by which application.
        assert_eq!(eval("installed_by_us('postgresql-15', 'shop')"), json!(true));
        let mut facts = facts();
        facts.applications[0].installed = Some(vec!["postgresql-15".into()]);
        assert_eq!(with(&facts, "installed_by_us('postgresql-15', 'shop')"), Ok(json!(true)));
        assert_eq!(with(&facts, "installed_by_us('postgresql-15', 'blog')"), Ok(json!(false)));
        facts.applications[0].installed = Some(Vec::new());
        assert_eq!(with(&facts, "installed_by_us('postgresql-15', 'shop')"), Ok(json!(false)));
        assert!(with(&self::facts(), "installed('left-pad')").unwrap_err().contains("facts do not cover left-pad"));
    }

    #[test]
    fn a_guide_knows_which_of_its_applications_are_in_place() {
        assert_eq!(eval("[applied(), applied('shop'), applied('blog')]"), json!([true, true, false]));
        let nameless = Facts { applications: Vec::new(), ..facts() };
        assert_eq!(with(&nameless, "applied('blog')"), Ok(json!(true)));
        assert_eq!(with(&Facts::default(), "applied('shop')"), Ok(json!(false)));
    }

    #[test]
    fn a_service_is_a_unit_where_systemd_runs() {
        assert_eq!(eval("unit('nginx')"), json!("nginx.service"));
        assert_eq!(with(&Facts { init: "sh".into(), ..facts() }, "unit('nginx')"), Ok(json!("nginx")));
    }

    #[test]
    fn whoever_calls_a_function_depends_on_its_facts() {
        let e = Expressions::new(&Guide::default());
        let names = e.names_in_expression("port_owner(web.port) and unit('x')").unwrap();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["facts.init", "facts.listening", "web.port"]);
        let environment = {
            let mut environment = Environment::new();
            add(&mut environment, String::new());
            environment
        };
        for (name, _) in environment.globals().filter(|(_, value)| value.kind() == minijinja::value::ValueKind::Plain) {
            let builtin = Environment::new().globals().any(|(known, _)| known == name);
            assert!(builtin || facts_of(name).is_some(), "{name} is missing in FUNCTIONS");
        }
    }
}
