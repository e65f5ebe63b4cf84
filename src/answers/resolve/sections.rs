//! Sections of a stage that other stages use: what it exposes becomes part of `locals.public`, what is to be backed up
//! of `locals.backup`.

use serde_json::{Value, json};

use super::Walk;
use crate::guide::expression::drop_absent;
use crate::guide::{Backup, Exposed, Stage};

/// The local with all ports that are let in, and the name under which they are.
pub const PUBLIC: &str = "public";

/// The local with what is backed up.
pub const BACKUP: &str = "backup";

impl Walk<'_> {
    /// Makes the locals of a stage's sections; they are unknown where it is not `known` whether the stage applies.
    pub(super) fn sections(&mut self, stage: &Stage, known: bool) {
        if let Some(exposes) = &stage.exposes {
            let value = known.then(|| self.public(exposes)).flatten();
            self.section(PUBLIC, value);
        }
        if let Some(backup) = &stage.backup {
            let value = known.then(|| self.backup(backup)).flatten();
            self.section(BACKUP, value);
        }
    }

    pub(super) fn sections_do_not_apply(&mut self, stage: &Stage) {
        if stage.exposes.is_some() {
            self.local_does_not_apply(PUBLIC);
        }
        if stage.backup.is_some() {
            self.local_does_not_apply(BACKUP);
        }
    }

    fn section(&mut self, name: &str, value: Option<Value>) {
        match value {
            Some(value) => self.set_local(name, value),
            None => drop(self.unknown.insert(format!("locals.{name}"))),
        }
    }

    fn public(&mut self, exposes: &[Exposed]) -> Option<Value> {
        let former = self.resolved.locals.get(PUBLIC).filter(|former| !former.is_null()).cloned();
        if self.unknown.contains("locals.public") {
            return None;
        }
        let mut public = match former {
            Some(former) => former,
            None => json!({"name": self.application()?, "ports": []}),
        };
        for exposed in exposes {
            if !self.condition(exposed.when.as_deref(), "exposes")? {
                continue;
            }
            let port = self.rendered("exposes", exposed)?;
            public.get_mut("ports").and_then(Value::as_array_mut)?.push(port);
        }
        Some(public)
    }

    fn backup(&mut self, backup: &Backup) -> Option<Value> {
        let mut value = self.rendered(BACKUP, backup)?;
        value["name"] = self.application()?.into();
        value["database"] = match &backup.database {
            Some(database) if self.condition(database.when.as_deref(), BACKUP)? => self.rendered(BACKUP, database)?,
            _ => Value::Null,
        };
        Some(value)
    }

    /// What an application of the guide is called: the answer `application.name`, or as the guide.
    fn application(&self) -> Option<String> {
        if self.unknown.contains("application.name") {
            return None;
        }
        let named = self.resolved.values.get("application").and_then(|answers| answers.get("name"));
        Some(named.and_then(Value::as_str).unwrap_or(&self.guide.id).to_owned())
    }

    fn rendered(&mut self, path: &str, section: &impl serde::Serialize) -> Option<Value> {
        let leaves = serde_json::to_value(section).ok()?;
        let names = self.names_in(&leaves);
        if self.is_unknown(&names) {
            return None;
        }
        match self.expressions.render_leaves(&leaves, &self.context) {
            Ok(mut value) => {
                drop_absent(&mut value);
                Some(value)
            }
            Err(error) => {
                self.defect(path, "it cannot be computed", &error);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::answers::resolve::survey;
    use crate::answers::{Given, Origin};
    use crate::facts::Facts;
    use crate::guide::Guide;

    const WEB: &str = "id: web
title: W
why: w
questions: [{id: port, ask: p, type: port, default: 443, help: h}]
exposes: [{port: \"{{ web.port }}\", name: https}, {port: 80, when: web.port == 443}]
backup:
  directories: [/srv, \"{{ '/opt' if web.port == 443 else none }}\"]
  database: {engine: sqlite, name: /srv/db, user: app, role: app, cluster: \"{{ none }}\", when: web.port == 443}
";
    const MORE: &str =
        "{id: more, title: M, why: w, when: web.port == 443, exposes: [{port: 5671, sources: [10.0.0.0/8]}]}";

    fn locals(port: Value) -> std::collections::BTreeMap<String, Value> {
        let stages = [WEB, MORE].map(|text| crate::yaml::from_slice::<Stage>("a.yaml", text.as_bytes()).unwrap());
        let guide = Guide { id: "shop".into(), stages: stages.into(), ..Guide::default() };
        let given = Given { values: [("web.port".to_owned(), (port, Origin::File))].into(), ..Given::default() };
        survey(&guide, &Facts::default(), &given, &|_| String::new()).0.locals
    }

    #[test]
    fn what_stages_expose_adds_up() {
        assert_eq!(
            locals(json!(443))["public"],
            json!({"name": "shop", "ports": [
                {"port": 443, "name": "https"}, {"port": 80}, {"port": 5671, "sources": ["10.0.0.0/8"]}
            ]})
        );
        assert_eq!(locals(json!(8443))["public"], json!({"name": "shop", "ports": [{"port": 8443, "name": "https"}]}));
        assert!(!locals(json!(0)).contains_key("public"), "the port is refused");
        // A guide that opens nothing has a list, too.
        let nothing = crate::yaml::from_slice("a.yaml", b"{id: w, title: W, why: w, exposes: []}").unwrap();
        let guide = Guide { id: "worker".to_owned(), stages: vec![nothing], ..Guide::default() };
        let (resolved, _) = survey(&guide, &Facts::default(), &Given::default(), &|_| String::new());
        assert_eq!(resolved.locals["public"], json!({"name": "worker", "ports": []}));
    }

    #[test]
    fn what_gives_none_is_not_in_a_backup() {
        assert_eq!(
            locals(json!(443))["backup"],
            json!({"name": "shop", "directories": ["/srv", "/opt"], "exclude": [], "writable": [],
                "database": {"engine": "sqlite", "name": "/srv/db", "user": "app", "role": "app"}})
        );
        let elsewhere = locals(json!(8443));
        assert_eq!(
            (&elsewhere["backup"]["directories"], &elsewhere["backup"]["database"]),
            (&json!(["/srv"]), &Value::Null)
        );
    }
}
