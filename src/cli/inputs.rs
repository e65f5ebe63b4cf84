//! From the command line to a plan: guide + facts + answers, or every problem at once.

use std::path::Path;

use crate::answers::file;
use crate::answers::resolve::{Literals, requirements, resolve_file};
use crate::answers::{Given, OnFailure, Origin, Resolved};
use crate::cli::Inputs;
use crate::error::Problem;
use crate::facts::Facts;
use crate::guide::{Guide, load};
use crate::host::Host;
use crate::plan::Plan;
use crate::plan::build::build;

/// More of an answers file is never read: its own limit is lower, and `/dev/zero` has no end.
const LONGEST: u64 = 1 << 20;

/// Everything that a plan was made from, and the plan.
pub(super) struct Made {
    /// The guide.
    pub guide: Guide,
    /// Every answer.
    pub resolved: Resolved,
    /// What to do when the run fails.
    pub on_failure: OnFailure,
    /// The plan.
    pub plan: Plan,
}

/// Makes the plan. The host's unmet requirements come first: nothing else matters then.
pub(super) fn make(host: &dyn Host, inputs: &Inputs, facts: &Facts) -> Result<Made, Vec<Problem>> {
    let Some(path) = &inputs.answers else {
        let hint = "use --answers FILE; `bringup answers new webapp` makes one";
        return Err(vec![Problem::new("no answers are given", hint)]);
    };
    let literals = if inputs.allow_literal_secrets { Literals::Allowed } else { Literals::Refused };
    let name = path.display().to_string();
    let bytes = host
        .read_at_most(path, LONGEST)
        .map_err(|e| vec![Problem::new(format!("cannot read {name}: {e}"), "check the path")])?;
    let guide = match &inputs.guide {
        Some(dir) => load::load_dir(host, dir)?,
        None => load::load(&file::peek_guide(&name, &bytes)?).map_err(|problems| {
            // A guide that is not there is a mistake of the file that names it.
            problems
                .into_iter()
                .map(|p| Problem { place: if p.place.is_empty() { name.clone() } else { p.place }, ..p })
                .collect::<Vec<_>>()
        })?,
    };
    let unmet = requirements(&guide, facts);
    if !unmet.is_empty() {
        return Err(unmet);
    }
    let answers = file::read_leniently(&name, &bytes, &guide, literals)?;
    let flags = flags(&guide, &inputs.set, literals)?;
    let resolved = resolve_file(&guide, facts, &answers, &flags)?;
    let plan = build(&guide, facts, &resolved)?;
    Ok(Made { guide, resolved, on_failure: answers.given.on_failure, plan })
}

/// The answers of `--set`.
fn flags(guide: &Guide, texts: &[String], literals: Literals) -> Result<Given, Vec<Problem>> {
    let mut given = Given::default();
    let mut problems = Vec::new();
    for text in texts {
        match file::parse_set(guide, text, literals) {
            Ok((path, value)) => {
                given.values.insert(path, (value, Origin::Flag));
            }
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(given) } else { Err(problems) }
}

/// Facts from a file, for planning for another machine.
pub(super) fn facts_from(host: &dyn Host, path: &Path) -> Result<Facts, Vec<Problem>> {
    let name = path.display().to_string();
    let bytes =
        host.read(path).map_err(|e| vec![Problem::new(format!("cannot read {name}: {e}"), "check the path")])?;
    serde_json::from_slice(&bytes).map_err(|e| {
        vec![Problem::new(format!("{name}: {e}"), "make it with `bringup facts --json` on the other machine")]
    })
}
