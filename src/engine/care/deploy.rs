//! The next release: the answers of the last run, with another version of the code.

use super::{Record, plan, warn_of_gone};
use crate::action::Action;
use crate::action::source::{From, Named, Source, short};
use crate::answers::{Given, Origin};
use crate::engine::health::Installed;
use crate::engine::launch::request::Request;
use crate::error::Problem;
use crate::facts::probe::probe;
use crate::facts::{Application, Deployed, Facts};
use crate::host::Host;
use crate::plan::care::Care;

/// The run that brings the next release.
#[derive(Debug)]
pub struct Next {
    /// The run.
    pub request: Request,
    /// What it brings, in a sentence.
    pub told: String,
}

/// Finds the next release: `reference` names a branch, a tag or a commit; without one, the branch or the local sources
/// are taken as they are now.
pub fn next(host: &dyn Host, it: &Installed, care: &Care, reference: Option<&str>) -> Result<Next, Vec<Problem>> {
    let source = source(it, care).map_err(|problem| vec![problem])?;
    let refuse = |message: String, hint: &str| Err(vec![Problem::new(message, hint)]);
    let (name, location) = (it.name(), &source.location);
    let mut changed = Given::default();
    let mut facts = probe(host);
    let told = match (source.from, reference) {
        (From::Asset, _) => {
            let hint = "answer with a source of your own: `bringup` asks with the present answers";
            return refuse(format!("{name} runs what its guide brings along, which has no releases"), hint);
        }
        (From::Push, Some(_)) => {
            let hint = "push that version; `bringup rollback` leads back to the former one";
            return refuse(format!("{name} runs what is pushed to {}", source.reference), hint);
        }
        (_, Some(_)) if source.is_local() => {
            let hint = "`bringup deploy` without a reference copies it as it is now";
            return refuse(format!("{name} comes from {location}, which has no branches or tags"), hint);
        }
        (_, None) if source.is_local() => format!("{name} is taken from {location} as it is now."),
        (_, reference) => {
            let wanted = reference.unwrap_or(&source.reference);
            let named = source.look_up(host, wanted).map_err(|failure| vec![Problem::in_step("", &failure)])?;
            let shown = match (wanted, source.from) {
                ("", From::Image) => "latest",
                ("", _) => "the default branch",
                _ => wanted,
            };
            if let (Some(reference), Some(path)) = (reference, &care.reference) {
                changed.values.insert(path.clone(), (reference.into(), Origin::Flag));
            } else if reference.is_some() {
                let hint = "its section `care` has no `reference`: answer anew with `bringup`";
                return refuse(
                    format!("the guide {} does not say which answer names the version", it.application.guide),
                    hint,
                );
            }
            match (named, reference) {
                (Named::Branch(commit), _) => {
                    let present = source.resolved(host);
                    let same = source.reference == wanted && present.as_deref() == Some(commit.as_str());
                    let told = told(shown, &commit, same);
                    if !same {
                        note(
                            &mut facts,
                            it,
                            &Deployed { location: location.clone(), reference: wanted.to_owned(), commit },
                        );
                    }
                    told
                }
                (Named::Tag | Named::Commit, Some(_)) => format!("{shown} is deployed."),
                (Named::Tag | Named::Commit, None) => {
                    let (kind, hint) = match source.from {
                        From::Image => ("digest", "name the next one: `bringup deploy REF`, a tag or a digest"),
                        _ if named_commit(wanted) => ("commit", NEXT),
                        _ => ("tag", NEXT),
                    };
                    return refuse(format!("{name} is at the {kind} {wanted}, which stays what it is"), hint);
                }
            }
        }
    };
    let mut request = Record::read(host, it)?.request(&facts, &changed)?;
    warn_of_gone(&mut request, it);
    Ok(Next { request, told })
}

const NEXT: &str = "name the next one: `bringup deploy REF`, a branch, a tag or a commit";

fn named_commit(name: &str) -> bool {
    name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn told(branch: &str, commit: &str, same: bool) -> String {
    let short = short(commit);
    if same { format!("{branch} is still at {short}.") } else { format!("{branch} is at {short} now.") }
}

/// The action with the code, in the last run's plan.
fn source<'a>(it: &'a Installed, care: &Care) -> Result<&'a Source, Problem> {
    let code = care.code.as_ref().and_then(|code| plan(it).ok()?.actions.iter().find(|planned| planned.id == *code));
    match code.map(|planned| &planned.action) {
        Some(Action::Source(source)) => Ok(source),
        _ => Err(Problem::new(
            format!("the guide {} does not say where the code of {} is", it.application.guide, it.name()),
            "for another version, run again with other answers: `bringup` asks with the present ones",
        )),
    }
}

/// Has the plan name this commit of the branch.
fn note(facts: &mut Facts, it: &Installed, deployed: &Deployed) {
    if !facts.applications.iter().any(|known| known.is_same(&it.application)) {
        facts.applications.push(Application { deployed: Vec::new(), ..it.application.clone() });
    }
    for known in facts.applications.iter_mut().filter(|known| known.is_same(&it.application)) {
        known.deployed.retain(|old| (&old.location, &old.reference) != (&deployed.location, &deployed.reference));
        known.deployed.push(deployed.clone());
    }
}
