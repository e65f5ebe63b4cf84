//! The program: parse the command line, do it, end with the documented exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(bringup::cli::main(std::env::args_os()).code())
}
