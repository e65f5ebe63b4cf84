//! What the wizard has others do, and what they report: nothing here waits on the host while a key is handled.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::answers::interview::Interview;
use crate::answers::{Given, SecretSource};
use crate::engine::health::{Finding, Installed};
use crate::engine::runs::RunDir;
use crate::engine::secret_store;
use crate::engine::{detach, launch, previous};
use crate::error::{Outcome, Problem};
use crate::facts::Facts;
use crate::facts::probe::probe;
use crate::guide::load;
use crate::host::Host;
use crate::plan::Plan;
use crate::plan::preview::{GuideChecks, Verdicts, packages, preview};
use crate::preflight::{self, Check};
use crate::system::packages::forecast::Forecast;
use crate::ui::estimate::Past;
use crate::ui::fit::{Fit, fits};
use crate::ui::wizard::home_cmd;
use crate::ui::wizard::model::server_status::Earlier;
use crate::ui::wizard::run_cmd::{RunCmd, RunMsg};

/// Work on the host, done beside the wizard.
#[derive(Clone, Debug)]
pub enum Cmd {
    /// Probe the server.
    Probe,
    /// Read a guide and open its questions.
    Open {
        /// The guide's id.
        guide: String,
        /// The run whose answers are wanted; else those of the newest.
        run: Option<String>,
        /// The server.
        facts: Box<Facts>,
    },
    /// Look at the applications that are applied here.
    Home,
    /// Try the proofs of one of them again.
    Verify {
        /// Its place among them.
        at: usize,
        /// Which.
        of: Box<Installed>,
    },
    /// Read what its services wrote.
    Logs {
        /// Which.
        of: Box<Installed>,
    },
    /// What concerns the run.
    Run(RunCmd),
    /// Look for what prevents changing the server.
    Check(Box<Facts>),
    /// Compare what every guide requires with the server.
    Guides(Box<Facts>),
    /// Compare a plan with the server.
    Preview {
        /// The plan.
        plan: Box<Plan>,
        /// The sources of its secrets.
        secrets: BTreeMap<String, SecretSource>,
    },
    /// Write an answers file that is not there yet.
    Save {
        /// Where, as it was typed.
        path: PathBuf,
        /// Its content.
        text: String,
    },
}

/// What came of it.
#[derive(Debug)]
pub enum Msg {
    /// The server.
    Facts(Box<Facts>),
    /// The result of a check of the server.
    Check(Check),
    /// The runs in place on it, oldest first.
    Runs(Vec<Earlier>),
    /// How every guide fits the server, by its id.
    Fits(BTreeMap<String, Fit>),
    /// The questions of the chosen guide.
    Opened(Box<Interview>),
    /// The guide cannot be read.
    NotOpened(String),
    /// A message of the run.
    Run(RunMsg),
    /// What each action of the plan with this hash would change, and the secrets that are not available.
    Compared(String, Verdicts, Vec<Problem>),
    /// The packages that the plan with this hash would install; none where it needs none.
    Forecast(String, Option<Outcome<Forecast>>),
    /// What earlier runs mean for the plan with this hash.
    Past(String, Past),
    /// The applications that are applied here.
    Home(Outcome<Vec<Installed>>),
    /// Something was found about one of them, or about the server.
    Health(Option<usize>, Finding),
    /// All findings about them were reported.
    Looked,
    /// What services wrote, and whose.
    Logs(String, String),
    /// The answers file was written.
    Saved(PathBuf),
    /// It was not, and why.
    NotSaved(String),
}

impl Cmd {
    /// Carries it out; every result is reported as it is known.
    pub fn work(self, host: &dyn Host, tell: &(dyn Fn(Msg) + Sync)) {
        match self {
            Self::Run(task) => task.work(host, &|msg| tell(Msg::Run(msg))),
            Self::Probe => tell(Msg::Facts(Box::new(probe(host)))),
            Self::Check(facts) => {
                tell(Msg::Runs(Earlier::all(host)));
                preflight::run(host, &facts, &|check| tell(Msg::Check(check)));
            }
            Self::Guides(facts) => tell(Msg::Fits(fits(&facts))),
            Self::Open { guide, run, facts } => tell(open(host, &guide, run.as_deref(), *facts)),
            Self::Home => home_cmd::look(host, tell),
            Self::Verify { at, of } => home_cmd::verify(host, at, &of, tell),
            Self::Logs { of } => tell(Msg::Logs(of.name().to_owned(), home_cmd::logs(host, &of))),
            Self::Preview { plan, secrets } => compare(host, &plan, &secrets, tell),
            Self::Save { path, text } => tell(save(host, path, &text)),
        }
    }
}

/// The questions of a guide, with the answers of an earlier run.
fn open(host: &dyn Host, guide: &str, run: Option<&str>, facts: Facts) -> Msg {
    // An application of a custom guide is asked with that guide.
    let own = run.and_then(|run| RunDir::of(run).settings(host).ok()?.guide);
    match own.map_or_else(|| load::load(guide), |own| load::load_dir(host, &own)) {
        Ok(guide) => {
            let mut earlier = previous::answers(host, &guide);
            let name = run.and_then(|run| RunDir::of(run).plan(host).ok()).map(|plan| plan.application().name);
            earlier.sort_by_key(|known| name.as_ref().is_some_and(|name| known.application() != name));
            let mut interview = Interview::new(guide, facts, Given::default()).offering(earlier);
            // Answers that the present guide does not ask for need no message here.
            interview.drop_pointless();
            Msg::Opened(Box::new(interview))
        }
        Err(problems) => Msg::NotOpened(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
    }
}

/// apt takes a while to look up the packages: that runs in parallel. What prevents a run is reported when all is known,
/// as `bringup plan` does.
fn compare(host: &dyn Host, plan: &Plan, sources: &BTreeMap<String, SecretSource>, tell: &(dyn Fn(Msg) + Sync)) {
    let hash = plan.hash();
    std::thread::scope(|scope| {
        let forecast = scope.spawn(|| {
            let forecast = packages(host, plan);
            tell(Msg::Forecast(hash.clone(), forecast.clone()));
            forecast
        });
        scope.spawn(|| tell(Msg::Past(hash.clone(), Past::read(host, plan))));
        let kept = secret_store::load(host, &plan.application());
        let (secrets, missing) = match secret_store::gather(host, &kept, sources, &plan.secret_patterns) {
            Ok(secrets) => (secrets, Vec::new()),
            Err(problems) => (kept, problems),
        };
        let verdicts = preview(host, plan, &secrets, GuideChecks::Leave);
        let mut missing = missing;
        // What a run that works has made already is not in the way of its other answers.
        if detach::running(host).is_none() {
            let forecast = forecast.join().ok().flatten();
            let untold =
                |problem: &Problem| verdicts.iter().any(|(id, verdict)| *id == problem.path && verdict.is_err());
            let foreseen = launch::foreseen(host, plan, &verdicts, forecast.as_ref());
            missing.extend(foreseen.into_iter().filter(|problem| !untold(problem)));
        }
        tell(Msg::Compared(hash.clone(), verdicts, missing));
    });
}

/// Creates a file that only its owner can read. An existing one is left alone.
fn save(host: &dyn Host, path: PathBuf, text: &str) -> Msg {
    let path = match (path.strip_prefix("~"), host.env("HOME")) {
        (Ok(rest), Some(home)) => Path::new(&home).join(rest),
        _ => path,
    };
    let shown = path.display();
    match host.stat(&path) {
        Ok(None) => {}
        Ok(Some(_)) => return Msg::NotSaved(format!("{shown} exists already; choose another name")),
        Err(why) => return Msg::NotSaved(format!("{shown} cannot be written: {why}")),
    }
    match host.append(&path, text.as_bytes()) {
        Ok(()) => Msg::Saved(path),
        Err(why) => Msg::NotSaved(format!("{shown} cannot be written: {why}")),
    }
}
