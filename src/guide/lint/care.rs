//! `care`: what it refers to exists, and no secret is visible in it.

use serde_json::Value;

use super::Linter;
use crate::guide::care::Care;
use crate::guide::{Guide, QuestionKind, Stage};

impl Linter {
    /// Of a whole guide: it says once how its application is looked after.
    pub(super) fn care(&mut self, guide: &Guide) {
        let mut caring = guide.stages.iter().filter_map(|stage| Some((stage, stage.care.as_ref()?)));
        let Some((stage, care)) = caring.next() else { return };
        self.care_of(guide, stage, care);
        if let Some((second, _)) = caring.next() {
            self.tell(&format!("{}.care", second.id), format!("the stage {} has it already", stage.id), String::new());
        }
    }

    fn care_of(&mut self, guide: &Guide, stage: &Stage, care: &Care) {
        let at = format!("{}.care", stage.id);
        let is_source = |id: &str| {
            let actions = guide.stages.iter().flat_map(|stage| stage.actions.iter().map(move |action| (stage, action)));
            let named =
                |(stage, action): &(&Stage, &crate::guide::ActionSpec)| format!("{}.{}", stage.id, action.id) == id;
            actions.into_iter().find(named).is_some_and(|(_, action)| action.body.contains_key("source"))
        };
        if let Some(code) = &care.code {
            let at = format!("{at}.code");
            self.require(&at, is_source(code), &format!("{code} is no action of the kind `source`"));
        }
        let kind = |path: &str| {
            let (stage, question) = path.split_once('.')?;
            let stage = guide.stages.iter().find(|known| known.id == stage)?;
            Some(stage.questions.iter().find(|known| known.id == question)?.kind)
        };
        if let Some(reference) = &care.reference {
            let at = format!("{at}.reference");
            self.require(&at, care.code.is_some(), "there is a `reference` only where there is `code`");
            let is_text = kind(reference) == Some(QuestionKind::Text);
            self.require(&at, is_text, &format!("{reference} is no question of the type `text`"));
        }
        if let Some(environment) = &care.environment {
            let is_map = kind(environment) == Some(QuestionKind::Map);
            let told = format!("{environment} is no question of the type `map`");
            self.require(&format!("{at}.environment"), is_map, &told);
        }
        self.unique(&format!("{at}.services"), care.services.iter().map(|service| service.name.as_str()));
        for service in &care.services {
            let at = format!("{at}.services.{}", service.name);
            let extras = self.repeated(&at, service.for_each.as_deref());
            if extras.is_empty() {
                self.id(&at, &service.name);
            }
            self.expression(&at, service.when.as_deref(), extras);
            let managers = ["systemd", "sysv", "supervisor"];
            let known = match &service.manager {
                Value::String(name) => name.contains("{{") || managers.contains(&name.as_str()),
                _ => false,
            };
            self.require(&format!("{at}.manager"), known, "a manager is systemd, sysv or supervisor");
            let of_systemd = !service.job || service.manager == "systemd";
            self.require(&format!("{at}.job"), of_systemd, "only systemd runs jobs");
            self.section(&at, service, extras);
        }
        if let Some(shell) = &care.shell {
            self.section(&format!("{at}.shell"), shell, &[]);
        }
    }
}
