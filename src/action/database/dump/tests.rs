//! The script itself, run by the real shell.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::host::real::RealHost;

fn summary(dump: &str) -> (String, String) {
    let run = |what: &str| {
        let script = format!("{SUMMARY}{what}");
        let command = Command::new(["/bin/bash", "-o", "pipefail", "-c", &script]).stdin(dump);
        let output = RealHost::default().run(&command).unwrap();
        assert!(output.ok(), "{:?}", output.tail(5));
        output.text()
    };
    (run("hash"), run("count"))
}

const POSTGRESQL: &str = "--\n-- PostgreSQL database dump\n--\n\n\\restrict 5FhJ2\n\n-- Dumped from database version 15.14\n\
    -- Dumped by pg_dump version 15.14\n\nSET lock_timeout = 0;\nSELECT pg_catalog.set_config('search_path', '', false);\n\
    \n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict 5FhJ2\n\n";
const MARIADB: &str = "/*M!999999\\- enable the sandbox mode */ \n\n/*!40101 SET NAMES utf8mb4 */;\n\
    /*M!100616 SET @OLD_NOTE_VERBOSITY=@@NOTE_VERBOSITY, NOTE_VERBOSITY=0 */;\n";

#[test]
fn a_dump_is_the_same_whatever_tool_and_token_made_it() {
    let (hash, count) = summary(POSTGRESQL);
    let again = POSTGRESQL.replace("5FhJ2", "Zz9").replace("15.14", "15.20");
    assert_eq!(summary(&again), (hash.clone(), "0".to_owned()));
    assert_eq!(count, "0");
    let filled = POSTGRESQL.replace("SET lock_timeout = 0;\n", "COPY t (a) FROM stdin;\n1\n\\.\n");
    assert_ne!(summary(&filled).0, hash);
    assert_eq!(summary(&filled).1, "3");
}

#[test]
fn mariadb_settings_and_sandbox_do_not_count() {
    let (hash, count) = summary(MARIADB);
    assert_eq!((hash, count), summary("\n"));
    let filled = format!("{MARIADB}INSERT INTO `t` VALUES (1,'SET x */;');\n");
    assert_ne!(summary(&filled), summary("\n"));
    assert_eq!(summary(&filled).1, "1");
}

#[test]
fn a_tool_that_fails_in_front_of_the_pipe_is_noticed() {
    let host = RealHost::default();
    let tool = ["/bin/bash", "-c", "echo half; exit 3"].map(str::to_owned).to_vec();
    assert!(bash(&host, "dump", &format!("{SUMMARY}\"$@\" | hash"), None, tool).is_err());
}
