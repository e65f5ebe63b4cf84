//! A shell as the application's user, with its environment and in its directory.
//!
//! root changes to that user before anything of the application's is read: the directory is entered and the environment
//! is evaluated by the user's own shell. It has a terminal of its own (`runuser --pty`), so that nothing it starts can
//! type into the administrator's (TIOCSTI), and no way to more rights (`no_new_privs`). What is typed is kept nowhere: a
//! history would be among the application's data.

use std::path::Path;

use crate::host::{Command, Host};
use crate::plan::care::Shell;
use crate::system::accounts::Account;

/// $1: directory, $2: environment, $3: programs; the rest is the command.
const SCRIPT: &str = r#"umask 027
cd -- "$1" || exit 1
if [ -n "$2" ]; then set -a; . "$2"; set +a; fi
if [ -n "$3" ]; then PATH=$3:$PATH; export PATH; fi
shift 3
if [ $# -gt 0 ]; then exec "$@"; fi
HISTFILE=; export HISTFILE
if [ -x /bin/bash ]; then exec /bin/bash --norc -i; fi
exec /bin/sh -i"#;

/// What of the administrator's environment goes along: how the terminal is, and no more.
const KEPT: [&str; 4] = ["TERM", "COLORTERM", "LANG", "LC_ALL"];

/// The beginning of a command with an environment of its own.
fn clean(host: &dyn Host) -> Vec<String> {
    let mut argv: Vec<String> = ["env", "-i"].map(str::to_owned).to_vec();
    argv.push("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    argv.extend(KEPT.iter().filter_map(|name| Some(format!("{name}={}", host.env(name)?))));
    argv
}

/// The command that opens it in a container, or runs `command` there: by the guide's program, which drops root's rights.
pub fn in_container(host: &dyn Host, program: &Path, command: &[String]) -> Command {
    let mut argv = clean(host);
    argv.extend(["HOME=/root".to_owned(), program.display().to_string()]);
    argv.extend(command.iter().cloned());
    Command::new(argv)
}

/// The command that opens it, or runs `command` in it. `terminal`: someone sits at one.
pub fn command(host: &dyn Host, shell: &Shell, account: &Account, command: &[String], terminal: bool) -> Command {
    let mut argv = clean(host);
    argv.push(format!("HOME={}", account.home));
    argv.extend(["USER", "LOGNAME"].map(|name| format!("{name}={}", shell.user)));
    argv.push(format!("PS1={}:\\w\\$ ", shell.user));
    // Without a terminal on its input the command still has none of ours to type into.
    argv.extend(
        if terminal { ["runuser", "--pty"].as_slice() } else { &["setsid", "--wait", "runuser"] }
            .iter()
            .map(|word| (*word).to_owned()),
    );
    argv.extend(["-u", &shell.user, "--", "setpriv", "--no-new-privs", "sh", "-c", SCRIPT, "sh"].map(str::to_owned));
    argv.push(shell.directory.display().to_string());
    for path in [&shell.environment, &shell.programs] {
        argv.push(path.as_ref().map(|path| path.display().to_string()).unwrap_or_default());
    }
    argv.extend(command.iter().cloned());
    Command::new(argv)
}
