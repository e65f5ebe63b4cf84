//! The command line: what can be asked for, and who answers it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::answers::OnFailure;
use crate::engine::decision::Decision;
use crate::engine::rollback::Options;
use crate::error::Exit;
use crate::host::Host;
use crate::host::real::RealHost;
use crate::plan::preview::GuideChecks;
use crate::ui::prompts::modes;
use crate::ui::{stdio, terminal};

mod answers;
mod apply;
mod ask;
mod care;
mod decide;
mod execute;
mod guard;
mod guide;
mod plan;
mod plan_inputs;
mod preflight;
mod probe;
mod rollback;
mod runs;
mod status;
mod tls;
mod wizard;

/// Takes a fresh Linux server to a working production set-up, and rolls it back.
#[derive(Debug, Parser)]
#[command(name = "bringup", version, max_term_width = 80, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    inputs: Inputs,
    /// When the run fails: roll everything back, pause and keep the changes, or wait for a decision; overrides the file
    #[arg(long, value_name = "WHAT")]
    on_failure: Option<WhenItFails>,
    #[command(flatten)]
    questions: Questions,
    #[command(flatten)]
    output: Output,
}

/// What a run does when it fails.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum WhenItFails {
    Rollback,
    #[value(alias = "stop")]
    Pause,
    Ask,
}

impl From<WhenItFails> for OnFailure {
    fn from(what: WhenItFails) -> Self {
        match what {
            WhenItFails::Rollback => Self::Rollback,
            WhenItFails::Pause => Self::Pause,
            WhenItFails::Ask => Self::Ask,
        }
    }
}

const EXIT_CODES: &str = "Exit codes: 0 done, nothing to do, or left while the run continues, 1 answers or server \
    rejected (nothing touched), 2 usage, 3 failed and rolled back, 4 paused or incomplete (the message says how to go \
    on), 5 internal error, 6 a proof failed, 7 plan: changes pending, 129/130/143 hung up/interrupted/terminated (a \
    run that had begun continues)";

/// What a plan is made from.
#[derive(Clone, Debug, Default, Args)]
struct Inputs {
    /// The answers file; asks no questions
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// A shipped guide, or the directory of your own guide
    #[arg(long, value_name = "GUIDE|DIR")]
    guide: Option<PathBuf>,
    /// One answer, such as database.engine=postgresql; overrides the file
    #[arg(long = "set", value_name = "STAGE.QUESTION=VALUE")]
    set: Vec<String>,
    /// Generate a new value for this secret, such as database.password, and use it everywhere
    #[arg(long, value_name = "STAGE.QUESTION", requires = "answers")]
    rotate: Vec<String>,
    /// Take over something that bringup did not create: a path, or a name such as unit:shop.service or user:shop,
    /// as shown when the run was refused; a rollback restores it
    #[arg(long, value_name = "PATH|KIND:NAME")]
    take_over: Vec<String>,
    /// Accept secrets in plain text in the answers file
    #[arg(long)]
    allow_literal_secrets: bool,
}

/// How to be asked.
#[derive(Clone, Debug, Default, Args)]
struct Questions {
    /// Ask the questions; the answers file gives the defaults
    #[arg(long, requires = "answers")]
    ask: bool,
    /// Also save the answers in this new file
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

/// How the output looks.
#[derive(Clone, Copy, Debug, Default, Args)]
struct Output {
    /// Machine-readable output: JSON, or JSON lines for a run
    #[arg(long, global = true)]
    json: bool,
    /// Plain lines: no progress bars, no control codes, questions one after another
    #[arg(long, global = true)]
    plain: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show every action, its reason and its diff; changes nothing, needs no root
    Plan {
        #[command(flatten)]
        inputs: Inputs,
        /// Plan for the server described in this file (from `bringup facts --json`) instead of this one
        #[arg(long, value_name = "FILE")]
        facts: Option<PathBuf>,
        /// Also run the guide's own commands that check whether something is already done
        #[arg(long)]
        run_checks: bool,
    },
    /// Validate, describe or create an answers file; needs no root
    Answers {
        #[command(subcommand)]
        verb: AnswersVerb,
    },
    /// List the guides
    Guides,
    /// Create, check or describe a guide of your own; needs no root
    Guide {
        #[command(subcommand)]
        verb: GuideVerb,
    },
    /// Show the facts found on this server
    Facts,
    /// Check whether this server is ready for a run, and for a guide; needs no root
    Preflight {
        /// Also check the requirements of this guide
        guide: Option<String>,
        /// Your own guide: a directory with guide.yaml
        #[arg(long = "guide", value_name = "DIR", conflicts_with = "guide")]
        dir: Option<PathBuf>,
    },
    /// Show what is in place on this server, and what is running
    Status,
    /// Bring the next release of an application, with the answers of its last run
    Deploy {
        /// A branch, a tag or a commit; without one, the branch or the local sources as they are now
        #[arg(value_name = "REF")]
        reference: Option<String>,
        /// Which application, where several are in place
        #[arg(long)]
        name: Option<String>,
        /// When the run fails; overrides the recorded answers
        #[arg(long, value_name = "WHAT")]
        on_failure: Option<WhenItFails>,
    },
    /// Show or change the settings of an application
    Env {
        #[command(subcommand)]
        verb: EnvVerb,
        /// Which application, where several are in place
        #[arg(long, global = true)]
        name: Option<String>,
    },
    /// Show what the services of an application logged
    Logs {
        /// Which application, where several are in place
        name: Option<String>,
        /// Also show what they log from now on
        #[arg(long, short)]
        follow: bool,
        /// How many of the last lines
        #[arg(long, short = 'n', value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=100_000))]
        lines: u32,
        /// Only this service, such as worker
        #[arg(long)]
        service: Option<String>,
    },
    /// Restart the services of an application, or run one of its jobs now
    Restart {
        /// Which application, where several are in place
        name: Option<String>,
        /// Only this service, such as worker or job-clear
        #[arg(long)]
        service: Option<String>,
    },
    /// Open a shell as an application's user, with its environment and in its directory
    Shell {
        /// Which application, where several are in place
        name: Option<String>,
        /// Run this command instead of a shell
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Follow the run in progress
    Attach,
    /// Decide how a failed run that waits continues
    Decide {
        /// What to do
        what: DecisionArg,
    },
    /// Resume an interrupted run
    Resume {
        /// What to do when it fails, from now on
        #[arg(long, value_name = "WHAT")]
        on_failure: Option<WhenItFails>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Roll back the last run, one stage of it, a run and the later ones of its installation, or everything
    Rollback {
        /// Only the changes of this stage
        #[arg(long, conflicts_with = "all")]
        stage: Option<String>,
        /// This run, and every later one of the same installation
        #[arg(long, value_name = "ID", conflicts_with = "all")]
        run: Option<String>,
        /// Every run
        #[arg(long)]
        all: bool,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        /// Drop data that changed since the run, after dumping it to a file
        #[arg(long)]
        drop_data: bool,
    },
    /// End the run in progress after its current step and roll everything back
    #[command(alias = "stop")]
    Abort,
    /// Certificates from an authority
    Tls {
        #[command(subcommand)]
        verb: TlsVerb,
    },
    /// Run the proofs again
    Verify,
    /// List all runs
    History,
    /// Keep a change that would be reverted, such as the firewall's or SSH's; type it in a new SSH session
    Confirm,
    /// Try the ports of another server from here; needs no root
    Probe {
        /// Its name or address
        host: String,
        /// Ports to try, such as 22,443,5432=closed
        #[arg(long, value_name = "PORTS")]
        ports: Option<String>,
        /// The answers file it was set up with: its plan says which ports should be open
        #[command(flatten)]
        inputs: Inputs,
        /// Its facts (from `bringup facts --json` there), to make the plan with
        #[arg(long, value_name = "FILE", requires = "answers")]
        facts: Option<PathBuf>,
    },
    /// Print shell completions
    #[command(hide = true)]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(hide = true)]
    Man,
    /// Revert an unconfirmed change; started by a timer
    #[command(hide = true)]
    Deadman {
        /// Wait this many seconds first
        #[arg(long, default_value_t = 0)]
        wait: u64,
    },
    /// Work through a run's plan; started by bringup itself
    #[command(hide = true)]
    Execute {
        /// The run
        id: String,
        /// Roll it back instead
        #[arg(long)]
        rollback: bool,
        /// With these runs, in the same pass
        #[arg(long)]
        with: Vec<String>,
        /// Only this stage
        #[arg(long)]
        stage: Option<String>,
        /// Drop data, too
        #[arg(long)]
        drop_data: bool,
    },
}

/// The decisions after a failure that need no further input.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum DecisionArg {
    /// Retry the failed step; after `rollback-stage`, its whole stage
    Retry,
    /// Skip the step, where the guide allows that
    Skip,
    /// Roll its stage back, then ask again
    RollbackStage,
    /// Roll everything back
    Rollback,
    /// End the run and keep its changes; `bringup resume` continues
    #[value(alias = "stop")]
    Pause,
}

impl From<DecisionArg> for Decision {
    fn from(way: DecisionArg) -> Self {
        match way {
            DecisionArg::Retry => Self::Retry,
            DecisionArg::Skip => Self::Skip,
            DecisionArg::RollbackStage => Self::RollbackStage,
            DecisionArg::Rollback => Self::Rollback,
            DecisionArg::Pause => Self::Pause,
        }
    }
}

#[derive(Debug, Subcommand)]
enum EnvVerb {
    /// List the settings; secrets are masked
    List,
    /// Set some; the run restarts what reads them
    Set {
        /// NAME=VALUE, NAME={file: /path} or NAME={generate: 50} for a secret, or NAME alone, which asks for a secret
        #[arg(required = true, value_name = "NAME[=VALUE]")]
        settings: Vec<String>,
    },
    /// Remove some
    Unset {
        /// Their names
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
enum TlsVerb {
    /// Request the certificate again that the authority did not issue
    Retry,
}

#[derive(Debug, Subcommand)]
enum GuideVerb {
    /// Write a small working guide into a new directory
    #[command(alias = "init")]
    New {
        /// The directory
        dir: PathBuf,
    },
    /// Check a guide: reports every problem with file and line
    Lint {
        /// The directory with guide.yaml
        dir: PathBuf,
    },
    /// Print the JSON Schema of the files of a guide
    Schema,
}

#[derive(Debug, Subcommand)]
enum AnswersVerb {
    /// Check an answers file: reports every problem in one pass
    #[command(alias = "check")]
    Validate {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        inputs: Inputs,
    },
    /// Print the JSON Schema of a guide's answers file
    Schema {
        /// A shipped guide, or the directory of your own guide
        #[arg(default_value = "webapp")]
        guide: PathBuf,
    },
    /// Print a commented answers file to start from
    #[command(alias = "new")]
    Init {
        /// A shipped guide, or the directory of your own guide
        guide: PathBuf,
    },
}

/// Runs the program with these arguments.
pub fn main(args: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, everything else is a mistake.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            let text = error.render().to_string();
            if error.use_stderr() {
                stdio::error(&text);
            } else {
                stdio::print(&text);
            }
            return exit;
        }
    };
    let host = RealHost::new();
    end_on_defect();
    dispatch(&host, cli)
}

/// A bug ends the program at once with its own exit code. A run that it ends is resumed like any other that
/// was interrupted.
fn end_on_defect() {
    std::panic::set_hook(Box::new(|defect| {
        terminal::restore();
        modes::restore();
        stdio::error(&format!("bringup: this is a bug in bringup: {defect}\n"));
        #[expect(clippy::exit, clippy::disallowed_methods, reason = "there is nobody left to return to")]
        std::process::exit(i32::from(Exit::Internal.code()));
    }));
}

fn dispatch(host: &dyn Host, cli: Cli) -> Exit {
    let output = cli.output;
    match cli.verb {
        None if cli.questions.ask && !cli.inputs.rotate.is_empty() => {
            stdio::error("error: --rotate asks no questions: leave out --ask.\n");
            Exit::Usage
        }
        None if cli.inputs.answers.is_none() || cli.questions.ask => {
            ask::ask(host, &cli.inputs, cli.questions.save.as_deref(), output)
        }
        None if cli.questions.save.is_some() => {
            stdio::error("error: --save needs questions: add --ask, or leave out --answers.\n");
            Exit::Usage
        }
        None => apply::start(host, &cli.inputs, cli.on_failure.map(Into::into), output),
        Some(Verb::Plan { inputs, facts, run_checks }) => {
            let checks = if run_checks { GuideChecks::Run } else { GuideChecks::Leave };
            plan::show(host, &inputs, facts.as_deref(), checks, output)
        }
        Some(Verb::Answers { verb }) => match verb {
            AnswersVerb::Validate { file, inputs } => answers::check(host, file, inputs, output),
            AnswersVerb::Schema { guide } => answers::schema(host, &guide),
            AnswersVerb::Init { guide } => answers::sample(host, &guide),
        },
        Some(Verb::Guides) => answers::guides(output),
        Some(Verb::Guide { verb }) => match verb {
            GuideVerb::New { dir } => guide::new(host, &dir),
            GuideVerb::Lint { dir } => guide::lint(host, &dir, output),
            GuideVerb::Schema => guide::print_schema(),
        },
        Some(Verb::Facts) => answers::facts(host, output),
        Some(Verb::Preflight { guide, dir }) => preflight::show(host, guide.as_deref(), dir.as_deref(), output),
        Some(Verb::Status) => status::status(host, output),
        Some(Verb::History) => status::history(host, output),
        Some(Verb::Verify) => runs::verify(host, output),
        Some(Verb::Confirm) => guard::confirm(host),
        Some(Verb::Deadman { wait }) => guard::deadman(host, wait),
        Some(Verb::Probe { host: other, ports, inputs, facts }) => {
            let (ports, facts) = (ports.as_deref(), facts.as_deref());
            probe::probe(host, &probe::Request { host: &other, ports, inputs: &inputs, facts }, output)
        }
        Some(Verb::Deploy { reference, name, on_failure }) => {
            care::deploy(host, reference.as_deref(), name.as_deref(), on_failure.map(Into::into), output)
        }
        Some(Verb::Env { verb, name }) => match verb {
            EnvVerb::List => care::list(host, name.as_deref(), output),
            EnvVerb::Set { settings } => care::set(host, &settings, name.as_deref(), output),
            EnvVerb::Unset { names } => care::unset(host, &names, name.as_deref(), output),
        },
        Some(Verb::Logs { name, follow, lines, service }) => {
            let of = care::Of { name: name.as_deref(), service: service.as_deref() };
            care::logs(host, &of, follow, lines as usize, output)
        }
        Some(Verb::Restart { name, service }) => {
            care::restart(host, &care::Of { name: name.as_deref(), service: service.as_deref() }, output)
        }
        Some(Verb::Shell { name, command }) => care::shell(host, name.as_deref(), &command, output),
        Some(Verb::Attach) => runs::attach(host, output),
        Some(Verb::Tls { verb: TlsVerb::Retry }) => tls::retry(host, output),
        Some(Verb::Abort) => runs::abort(host),
        Some(Verb::Decide { what }) => decide::decide(host, &what.into(), output),
        Some(Verb::Resume { on_failure, yes }) => runs::resume(host, yes, on_failure.map(Into::into), output),
        Some(Verb::Rollback { stage, run, all, yes, drop_data }) => {
            let scope = rollback::RollbackScope { run, all, yes, options: Options { stage, drop_data } };
            rollback::rollback(host, &scope, output)
        }
        Some(Verb::Execute { id, rollback, with, stage, drop_data }) => {
            let options = Options { stage, drop_data };
            execute::execute(host, &id, rollback.then_some((&options, with.as_slice())))
        }
        Some(Verb::Completions { shell }) => {
            let mut bytes = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "bringup", &mut bytes);
            stdio::print(&String::from_utf8_lossy(&bytes));
            Exit::Done
        }
        Some(Verb::Man) => {
            let mut bytes = Vec::new();
            if clap_mangen::Man::new(Cli::command()).render(&mut bytes).is_err() {
                return Exit::Internal;
            }
            stdio::print(&String::from_utf8_lossy(&bytes));
            Exit::Done
        }
    }
}
