#![allow(clippy::unwrap_used)]

use super::*;

fn wanted(password: Option<&str>) -> DatabaseSpec {
    DatabaseSpec {
        name: "web_app".to_owned(),
        role: "app".to_owned(),
        password: password.map(str::to_owned),
        createdb: None,
        owner: String::new(),
        cluster: String::new(),
        extensions: Vec::new(),
    }
}

const BY_SOCKET: &str = "charset\tutf8mb4\n\
    user\t{\"access\":0,\"version_id\":101119,\"plugin\":\"unix_socket\",\"authentication_string\":\"\"}\n\
    GRANT USAGE ON *.* TO `app`@`localhost` IDENTIFIED VIA unix_socket\n\
    GRANT ALL PRIVILEGES ON `web\\_app`.* TO `app`@`localhost`";

fn state(text: &str) -> ServerState {
    ServerState::parse(text, "web_app").unwrap()
}

#[test]
fn nothing_there_makes_database_user_and_grant() {
    assert_eq!(
        statements(&wanted(None), &state("")),
        [
            "CREATE DATABASE `web_app` CHARACTER SET utf8mb4",
            "CREATE USER `app`@`localhost` IDENTIFIED VIA unix_socket",
            "GRANT ALL PRIVILEGES ON `web\\_app`.* TO `app`@`localhost`",
        ]
    );
}

#[test]
fn a_complete_one_needs_nothing() {
    assert_eq!(statements(&wanted(None), &state(BY_SOCKET)), Vec::<String>::new());
}

#[test]
fn a_password_is_sent_as_its_hash_and_compared_by_it() {
    // What SELECT PASSWORD('password') answers.
    assert_eq!(native_hash("password"), "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19");
    let changes = statements(&wanted(Some("password")), &state(BY_SOCKET));
    let by_hash = "IDENTIFIED VIA mysql_native_password USING '*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19'";
    assert_eq!(changes, [format!("ALTER USER `app`@`localhost` {by_hash}")]);
    let by_password = BY_SOCKET.replace("\"unix_socket\"", "\"mysql_native_password\"").replace(
        "\"authentication_string\":\"\"",
        "\"authentication_string\":\"*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19\"",
    );
    assert_eq!(statements(&wanted(Some("password")), &state(&by_password)), Vec::<String>::new());
}

#[test]
fn grants_on_another_database_do_not_count() {
    let other = BY_SOCKET.replace("web\\_app", "webxapp");
    assert_eq!(statements(&wanted(None), &state(&other)).len(), 1);
}

#[test]
fn what_belongs_to_somebody_else_is_not_bent() {
    let why = |text: &str| state(text).obstacle(&wanted(None)).unwrap_or_default();
    assert!(why(&BY_SOCKET.replace("\"access\":0", "\"access\":1073741823")).contains("every database"));
    assert!(why(&BY_SOCKET.replace("utf8mb4", "latin1")).contains("latin1"));
    assert_eq!(why(BY_SOCKET), "");
}
