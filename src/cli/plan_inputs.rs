//! From the command line to a plan: guide + facts + answers, or every problem at once.

use std::collections::BTreeSet;
use std::path::Path;

use crate::answers::file;
use crate::answers::interview::Interview;
use crate::answers::resolve::{Literals, requirements, resolve_file};
use crate::answers::{Given, Origin, Resolved, SecretSource};
use crate::cli::Inputs;
use crate::engine::launch::request::Request;
use crate::engine::previous;
use crate::error::Problem;
use crate::facts::Facts;
use crate::guide::{Guide, load};
use crate::host::Host;

/// More of an answers file is never read: its own limit is lower, and `/dev/zero` has no end.
const LONGEST: u64 = 1 << 20;

/// Makes the plan. The host's unmet requirements come first: nothing else matters then.
pub(super) fn make(host: &dyn Host, inputs: &Inputs, facts: &Facts) -> Result<Request, Vec<Problem>> {
    let Some(path) = &inputs.answers else {
        let hint = "use --answers FILE; `bringup answers init webapp` makes one";
        return Err(vec![Problem::new("no answers are given", hint)]);
    };
    let literals = literals(inputs);
    let (name, bytes) = read(host, path)?;
    let guide = guide_of(host, inputs, &name, &bytes)?;
    let unmet = requirements(&guide, facts);
    if !unmet.is_empty() {
        return Err(unmet);
    }
    let answers = file::read_leniently(&name, &bytes, &guide, literals)?;
    let flags = flags(&guide, inputs, literals)?;
    let resolved = resolve_file(&guide, facts, &answers, &flags)?;
    let rotate = rotated(&inputs.rotate, &resolved)?;
    Ok(Request { rotate, ..Request::new(guide, facts, resolved, answers.given.on_failure)? })
}

/// The secrets of `--rotate`; each must be a generated one.
fn rotated(names: &[String], resolved: &Resolved) -> Result<BTreeSet<String>, Vec<Problem>> {
    let problem = |name: &String| {
        let (message, hint) = match resolved.secrets.get(name) {
            Some(SecretSource::Generate(_)) => return None,
            Some(_) => ("is given, not generated", "give another value, or answer {generate: 32}".to_owned()),
            None => {
                let generated = |(name, source): (&String, &SecretSource)| {
                    matches!(source, SecretSource::Generate(_)).then(|| name.clone())
                };
                let known: Vec<String> = resolved.secrets.iter().filter_map(generated).collect();
                ("is not a secret of these answers", format!("generated secrets: {}", known.join(", ")))
            }
        };
        Some(Problem { place: "--rotate".to_owned(), path: name.clone(), message: message.to_owned(), hint })
    };
    let problems: Vec<Problem> = names.iter().filter_map(problem).collect();
    if problems.is_empty() { Ok(names.iter().cloned().collect()) } else { Err(problems) }
}

/// The initial answers of the questions.
pub(super) struct Opening {
    /// The questions, with the answers of flags, of the file, or else of an earlier run.
    pub interview: Interview,
    /// What the file gives and is not taken.
    pub refused: Vec<Problem>,
}

/// The guide that the command line names, by `--guide` or in the answers file; none when it names none.
pub(super) fn named_guide(host: &dyn Host, inputs: &Inputs) -> Result<Option<Guide>, Vec<Problem>> {
    match (&inputs.answers, &inputs.guide) {
        (Some(path), _) => {
            let (name, bytes) = read(host, path)?;
            guide_of(host, inputs, &name, &bytes).map(Some)
        }
        (None, Some(guide)) => shipped_or_own(host, guide).map(Some),
        (None, None) => Ok(None),
    }
}

/// Starts an interview. A file that cannot be read at all, or an invalid flag, is an error; an invalid line of the file
/// is only reported, since its question will be asked.
pub(super) fn opening(host: &dyn Host, inputs: &Inputs, guide: Guide, facts: Facts) -> Result<Opening, Vec<Problem>> {
    let literals = literals(inputs);
    let mut refused = Vec::new();
    let mut earlier = Vec::new();
    let mut given = Given::default();
    if let Some(path) = &inputs.answers {
        let (name, bytes) = read(host, path)?;
        let file = file::read_leniently(&name, &bytes, &guide, literals)?;
        refused = file.problems;
        given = file.given;
    } else {
        earlier = previous::answers(host, &guide);
    }
    let flags = flags(&guide, inputs, literals)?;
    given.values.extend(flags.values);
    given.take_over.extend(flags.take_over);
    let mut interview = Interview::new(guide, facts, given).offering(earlier);
    refused.extend(interview.drop_pointless());
    Ok(Opening { interview, refused })
}

fn literals(inputs: &Inputs) -> Literals {
    if inputs.allow_literal_secrets { Literals::Allowed } else { Literals::Refused }
}

/// The name and the content of an answers file.
fn read(host: &dyn Host, path: &Path) -> Result<(String, Vec<u8>), Vec<Problem>> {
    let name = path.display().to_string();
    let bytes = host
        .read_at_most(path, LONGEST)
        .map_err(|e| vec![Problem::new(format!("cannot read {name}: {e}"), "check the path")])?;
    Ok((name, bytes))
}

/// The guide of an answers file: the one named on the command line, or else in the file.
fn guide_of(host: &dyn Host, inputs: &Inputs, name: &str, bytes: &[u8]) -> Result<Guide, Vec<Problem>> {
    if let Some(guide) = &inputs.guide {
        return shipped_or_own(host, guide);
    }
    load::load(&file::peek_guide(name, bytes)?).map_err(|problems| {
        // A guide that is not there is a mistake of the file that names it.
        let placed = |p: Problem| Problem { place: if p.place.is_empty() { name.to_owned() } else { p.place }, ..p };
        problems.into_iter().map(placed).collect()
    })
}

/// A shipped guide by its id, or else a directory; `./webapp` is a directory in any case.
pub(super) fn shipped_or_own(host: &dyn Host, guide: &Path) -> Result<Guide, Vec<Problem>> {
    match guide.to_str() {
        Some(id) if load::list().iter().any(|known| known.id == id) => load::load(id),
        // A misspelled id is reported with the existing ones.
        Some(id) if !id.contains('/') && matches!(host.stat(guide), Ok(None)) => load::load(id),
        _ => load::load_dir(host, guide),
    }
}

/// The answers of `--set`, and what `--take-over` names.
fn flags(guide: &Guide, inputs: &Inputs, literals: Literals) -> Result<Given, Vec<Problem>> {
    let mut given = Given { take_over: inputs.take_over.clone(), ..Given::default() };
    let mut problems = Vec::new();
    for odd in inputs.take_over.iter().filter(|name| !file::may_take_over(name)) {
        problems.push(Problem::new(format!("--take-over {odd}: not a name that can be taken over"), file::TAKE_OVER));
    }
    for text in &inputs.set {
        match file::parse_set(guide, text, literals) {
            Ok((path, value)) => {
                given.values.insert(path, (value, Origin::Flag));
            }
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(given) } else { Err(problems) }
}

/// Facts from a file, for planning for another server.
pub(super) fn facts_from(host: &dyn Host, path: &Path) -> Result<Facts, Vec<Problem>> {
    let name = path.display().to_string();
    let bytes =
        host.read(path).map_err(|e| vec![Problem::new(format!("cannot read {name}: {e}"), "check the path")])?;
    serde_json::from_slice(&bytes).map_err(|e| {
        vec![Problem::new(format!("{name}: {e}"), "create it with `bringup facts --json` on the other server")]
    })
}
