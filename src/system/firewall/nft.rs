//! The program `nft`.

use std::time::Duration;

use crate::error::{Failure, Outcome};
use crate::host::{Command, Host, Output};

/// Nobody waits longer for `nft`.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs `nft`. An error means that it may not do here what it does.
pub fn nft(host: &dyn Host, arguments: &[&str], stdin: Option<&str>) -> Outcome<Output> {
    let mut command = Command::new(["nft"].iter().chain(arguments).copied()).timeout(PATIENCE);
    if let Some(stdin) = stdin {
        command = command.stdin(stdin);
    }
    let what = || format!("run nft {}", arguments.join(" "));
    let output = match host.run(&command) {
        Ok(output) => output,
        // It comes with a package of the plan: until then nothing is loaded.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Output {
                status: 127,
                stdout: Vec::new(),
                stderr: b"the program nft is not installed".to_vec(),
            });
        }
        Err(e) => return Err(Failure::new(what(), e)),
    };
    if !output.ok() && String::from_utf8_lossy(&output.stderr).contains("Operation not permitted") {
        return Err(Failure::new(what(), "the kernel does not permit it").tail(output.tail(3)).hint(
            "this needs root, and in a container the capability CAP_NET_ADMIN; otherwise set `firewall.manage: false`",
        ));
    }
    Ok(output)
}

/// Has `nft` read commands, as one transaction.
pub fn feed(host: &dyn Host, what: &str, text: &str) -> Outcome<()> {
    let output = nft(host, &["-f", "-"], Some(text))?;
    if output.ok() {
        return Ok(());
    }
    Err(Failure::new(what, format!("nft ended with status {}", output.status)).tail(output.tail(10)))
}
