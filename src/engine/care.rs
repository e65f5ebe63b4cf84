//! Looking after an application that is in place: which one is meant, what its guide says about it, and runs with the
//! answers of its last run.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::answers::file::{self, AnswersFile};
use crate::answers::resolve::map::path_of;
use crate::answers::resolve::{Literals, requirements, resolve_file};
use crate::answers::{Given, Origin};
use crate::engine::health::Installed;
use crate::engine::launch::request::Request;
use crate::engine::runs::RunDir;
use crate::error::{Failure, Problem};
use crate::facts::Facts;
use crate::facts::probe::probe;
use crate::guide::{Guide, load};
use crate::host::Host;
use crate::plan::Plan;
use crate::plan::care::{Care, Service};
use crate::secret;
use crate::suggest::did_you_mean;

pub mod deploy;
pub mod environment;
pub mod logs;
pub mod shell;

/// The installation that is meant: the one of this name (or `GUIDE/NAME`), else the only one.
pub fn choose<'a>(installed: &'a [Installed], name: Option<&str>) -> Result<&'a Installed, Problem> {
    let full = |it: &Installed| format!("{}/{}", it.application.guide, it.name());
    let names = || installed.iter().map(Installed::name).collect::<Vec<_>>().join(", ");
    let Some(name) = name else {
        return match installed {
            [] => Err(Problem::new("no application is in place on this server", "`bringup` sets one up")),
            [only] => Ok(only),
            _ => {
                Err(Problem::new("several applications are in place on this server", format!("name one: {}", names())))
            }
        };
    };
    let called: Vec<&Installed> = installed.iter().filter(|it| it.name() == name || full(it) == name).collect();
    match called.as_slice() {
        [it] => Ok(it),
        [] => {
            let hint = format!("in place: {}{}", names(), did_you_mean(name, installed.iter().map(Installed::name)));
            Err(Problem::new(format!("no application {name} is in place on this server"), hint))
        }
        several => {
            let full: Vec<String> = several.iter().map(|it| full(it)).collect();
            Err(Problem::new(
                format!("several applications are called {name}"),
                format!("name one: {}", full.join(", ")),
            ))
        }
    }
}

/// The plan of its last run that ended.
fn plan(it: &Installed) -> Result<&Plan, Problem> {
    let of_ended = it.ended.as_ref().and(it.plan.as_ref());
    of_ended.ok_or_else(|| {
        let hint = "`bringup status` says more; `bringup resume` or `bringup rollback` ends an interrupted run";
        Problem::new(format!("no run of {} has come to its end", it.name()), hint)
    })
}

/// What its guide says about looking after it: as recorded by its last run, else, of a run by an earlier version, as the
/// guide says now.
pub fn care(host: &dyn Host, it: &Installed) -> Result<Care, Vec<Problem>> {
    if let Some(care) = &plan(it).map_err(|problem| vec![problem])?.care {
        return Ok(care.clone());
    }
    let request = Record::read(host, it)?.request(&probe(host), &Given::default())?;
    request.plan.care.ok_or_else(|| {
        let hint = "a guide offers `deploy`, `env`, `logs`, `restart` and `shell` by its section `care`";
        vec![Problem::new(
            format!("the guide {} does not say how {} is looked after", it.application.guide, it.name()),
            hint,
        )]
    })
}

/// Its services, or the one of this name.
pub fn services(it: &Installed, care: &Care, name: Option<&str>) -> Result<Vec<Service>, Problem> {
    let known = || care.services.iter().map(|service| service.name.as_str());
    let wanted: Vec<Service> =
        care.services.iter().filter(|service| name.is_none_or(|name| service.name == name)).cloned().collect();
    match name {
        _ if !wanted.is_empty() => Ok(wanted),
        Some(name) if !care.services.is_empty() => {
            let hint =
                format!("its services: {}{}", known().collect::<Vec<_>>().join(", "), did_you_mean(name, known()));
            Err(Problem::new(format!("{} has no service {name}", it.name()), hint))
        }
        _ => {
            let hint = "its web server may be all that runs: `bringup status` shows it";
            Err(Problem::new(format!("{} has no service of its own", it.name()), hint))
        }
    }
}

/// Those that are restarted: all but its jobs, or the one of this name, which may be a job.
pub fn to_restart(it: &Installed, care: &Care, name: Option<&str>) -> Result<Vec<Service>, Problem> {
    let wanted = services(it, care, name)?;
    Ok(wanted.into_iter().filter(|service| name.is_some() || !service.job).collect())
}

/// The guide and the answers of the last run that ended.
pub(crate) struct Record {
    guide: Guide,
    answers: AnswersFile,
    /// By the path of a question: the names that its file had.
    former: BTreeMap<String, Vec<String>>,
}

impl Record {
    pub(crate) fn read(host: &dyn Host, it: &Installed) -> Result<Self, Vec<Problem>> {
        let plan = plan(it).map_err(|problem| vec![problem])?;
        let dir = RunDir::of(it.ended.as_deref().unwrap_or(&it.run));
        let refuse = |failure: &Failure| vec![Problem::in_step("", failure)];
        let settings = dir.settings(host).map_err(|e| refuse(&e))?;
        let guide = match &settings.guide {
            Some(guide) => load::load_dir(host, guide)?,
            None => load::load(&it.application.guide)?,
        };
        let path = dir.file("answers.yaml");
        let name = path.display().to_string();
        let bytes = host.read(&path).map_err(|e| refuse(&Failure::new(format!("read {name}"), e)))?;
        let mut answers = file::read_leniently(&name, &bytes, &guide, Literals::Refused)?;
        // Whose things may be taken over is asked anew for every run.
        answers.given.take_over.clear();
        for (_, origin) in answers.given.values.values_mut() {
            *origin = Origin::PreviousRun;
        }
        let former = former(&guide, plan);
        Ok(Self { guide, answers, former })
    }

    /// A run with these answers, and others in the place of some.
    pub(crate) fn request(self, facts: &Facts, changed: &Given) -> Result<Request, Vec<Problem>> {
        let mut facts = facts.clone();
        facts.files.former = self.former;
        let unmet = requirements(&self.guide, &facts);
        if !unmet.is_empty() {
            return Err(unmet);
        }
        let resolved = resolve_file(&self.guide, &facts, &self.answers, changed)?;
        let on_failure = self.answers.given.on_failure;
        Ok(Request { keeps_secrets: true, ..Request::new(self.guide, &facts, resolved, on_failure)? })
    }
}

/// The entries of maps that a plan has from files, by the question that names the file.
fn former(guide: &Guide, plan: &Plan) -> BTreeMap<String, Vec<String>> {
    let mut former = BTreeMap::new();
    for stage in &guide.stages {
        for question in &stage.questions {
            let Some(from) = &question.entries_from else { continue };
            let (map, file) = (format!("{}.{}", stage.id, question.id), format!("{}.{from}", stage.id));
            let answered = plan.answers.iter().find(|answered| answered.path == map);
            let entries = answered.and_then(|answered| answered.value.as_object()).into_iter().flatten();
            let of_file = |name: &str, value: &Value| value == &Value::String(secret::mark(&path_of(&file, name)));
            let names = entries.filter(|(name, value)| of_file(name, value)).map(|(name, _)| name.clone());
            former.insert(file.clone(), names.collect());
        }
    }
    former
}

/// Says in the plan which stages come back that were rolled back separately.
pub(crate) fn warn_of_gone(request: &mut Request, it: &Installed) {
    for stage in &it.gone {
        let told = format!("the stage {stage} was rolled back, and is applied again");
        request.plan.warnings.push(told);
    }
}

#[cfg(test)]
mod tests;
