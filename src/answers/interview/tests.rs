#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::answers::fixture::{facts, table, tiny};
use crate::answers::resolve::Literals;

fn begun() -> Interview {
    Interview::new(tiny(), facts(), Given::default())
}

fn asked(interview: &Interview, stage: &str) -> Vec<String> {
    interview.fields(stage).into_iter().map(|field| field.question.id.clone()).collect()
}

#[test]
fn what_is_missing_is_told_with_its_stage_and_goes_when_it_is_answered() {
    let mut interview = begun();
    let gaps = interview.gaps();
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].stage.as_deref(), gaps[0].question.as_deref()), (Some("web"), Some("host")));
    assert_eq!(interview.standing("web"), Standing::Missing(1));
    interview.type_in("web.host", "app.example.org");
    assert_eq!(interview.gaps(), []);
    assert_eq!(interview.standing("web"), Standing::Complete);
    assert_eq!(interview.fields("web")[0].origin, Some(Origin::Typed));
}

#[test]
fn questions_and_stages_come_and_go_with_the_answers_they_depend_on() {
    let mut interview = begun();
    assert_eq!(asked(&interview, "database"), ["engine"]);
    assert_eq!(interview.standing("workers"), Standing::NotAsked);
    interview.type_in("database.engine", "postgresql");
    assert_eq!(asked(&interview, "database"), ["engine", "version", "password"]);
    assert_eq!(interview.standing("workers"), Standing::Missing(1));
    interview.type_in("workers.users", "12");
    interview.type_in("database.engine", "sqlite");
    assert_eq!(interview.stages().len(), 2);
    // What was typed comes back with the question.
    interview.type_in("database.engine", "mariadb");
    assert_eq!(interview.text("workers.users"), "12");
}

#[test]
fn a_refused_text_is_kept_for_editing_and_said() {
    let mut interview = begun();
    interview.type_in("web.http_port", "70000");
    let field = interview.fields("web").into_iter().find(|field| field.path == "web.http_port").unwrap();
    assert!(field.problem.unwrap().message.contains("out of range"), "{field:?}");
    assert_eq!((field.value, field.origin), (None, None));
    assert_eq!(interview.text("web.http_port"), "70000");
    // Nothing typed is the default again.
    interview.type_in("web.http_port", "");
    assert_eq!(interview.text("web.http_port"), "80");
}

#[test]
fn a_text_can_be_judged_without_being_taken() {
    let interview = begun();
    assert!(interview.refusal("web.host", "no spaces here").is_some());
    assert!(interview.refusal("web.host", "app.example.org").is_none());
    assert_eq!(interview.text("web.host"), "");
}

#[test]
fn an_answer_of_a_file_goes_when_another_answer_makes_it_pointless() {
    let mut given = Given::default();
    for (path, value) in [
        ("web.host", json!("a.example.org")),
        ("database.engine", json!("postgresql")),
        ("database.version", json!("17")),
    ] {
        given.values.insert(path.to_owned(), (value, Origin::File));
    }
    let mut interview = Interview::new(tiny(), facts(), given);
    interview.type_in("workers.users", "5");
    assert_eq!(interview.gaps(), []);
    interview.type_in("database.engine", "sqlite");
    assert_eq!(interview.gaps(), []);
    assert!(!interview.given().values.contains_key("database.version"));
}

#[test]
fn a_choice_that_is_not_on_offer_here_says_so() {
    let mut small = facts();
    small.memory.usable_mib = 256;
    let interview = Interview::new(tiny(), small, Given::default());
    let question = interview.question("database.engine").unwrap();
    let offered: Vec<bool> = interview.offers(question).into_iter().map(|(_, offered)| offered).collect();
    assert_eq!(offered, [true, false, true]);
}

#[test]
fn an_unmet_requirement_of_the_host_is_a_gap_without_a_stage() {
    let mut other = facts();
    other.os.id = "fedora".to_owned();
    let interview = Interview::new(tiny(), other, Given::default());
    assert_eq!(interview.gaps()[0].stage, None);
    assert!(interview.gaps()[0].message.contains("not supported"));
}

#[test]
fn a_typed_secret_is_never_among_the_answers() {
    let mut interview = begun();
    interview.type_in("database.engine", "postgresql");
    interview.type_in("database.password", "hunter2hunter2");
    assert!(!format!("{:?}", interview.resolved().values).contains("hunter2"));
    assert_eq!(interview.secret("database.password"), Some(&SecretSource::Literal("hunter2hunter2".to_owned())));
    interview.answer("database.password", Some(json!({"generate": 24})));
    assert_eq!(interview.secret("database.password"), Some(&SecretSource::Generate(24)));
    assert_eq!(interview.text("database.password"), "");
}

/// What a run before has set an application up with.
fn earlier(run: &str, name: &str, port: u16) -> Earlier {
    let answers = [
        ("application.name", json!(name)),
        ("application.port", json!(port)),
        ("database.engine", json!("mariadb")),
        ("database.name", json!(format!("{name}_data"))),
    ];
    let mut given = Given::default();
    for (path, value) in answers {
        given.values.insert(path.to_owned(), (value, Origin::PreviousRun));
    }
    Earlier { run: run.to_owned(), given }
}

/// A named application's port and database, and where the latter came from.
fn bound(interview: &Interview) -> (String, String, Origin) {
    let origin = interview.fields("application").iter().find(|field| field.path == "application.port").unwrap().origin;
    (interview.text("application.port"), interview.text("database.name"), origin.unwrap())
}

#[test]
fn another_application_does_not_begin_with_the_answers_of_the_first() {
    let begun = |given| {
        let guide = crate::guide::load::load("webapp").unwrap();
        Interview::new(guide, facts(), given).offering(vec![earlier("2", "shop", 8002), earlier("1", "blog", 8001)])
    };
    let mut interview = begun(Given::default());
    assert_eq!(interview.previous_run(), Some("2"));
    assert_eq!(bound(&interview), ("8002".to_owned(), "shop_data".to_owned(), Origin::PreviousRun));
    interview.type_in("workers.users", "77");

    // A new name: defaults, but for what was typed.
    interview.type_in("application.name", "wiki");
    assert_eq!(interview.previous_run(), None);
    assert_eq!(bound(&interview), ("8000".to_owned(), String::new(), Origin::Default));
    assert_eq!(
        (interview.text("database.engine").as_str(), interview.text("workers.users").as_str()),
        ("sqlite", "77")
    );
    interview.type_in("database.engine", "postgresql");
    assert_eq!(interview.text("database.name"), "wiki");

    // While the name is refused nothing is offered anew; a known one has its own.
    interview.type_in("application.name", "No Name");
    assert_eq!(interview.text("application.port"), "8000");
    interview.type_in("application.name", "blog");
    assert_eq!(interview.previous_run(), Some("1"));
    assert_eq!(bound(&interview), ("8001".to_owned(), "blog_data".to_owned(), Origin::PreviousRun));
    assert_eq!(interview.text("database.engine"), "postgresql", "it was typed");
    interview.type_in("application.name", "shop");
    assert_eq!(bound(&interview).0, "8002");

    // Named from the beginning.
    let named = |name: &str| {
        let mut given = Given::default();
        given.values.insert("application.name".to_owned(), (json!(name), Origin::Flag));
        begun(given)
    };
    assert_eq!(bound(&named("blog")), ("8001".to_owned(), "blog_data".to_owned(), Origin::PreviousRun));
    assert_eq!(bound(&named("wiki")).0, "8000");
    assert_eq!(named("wiki").given().values.len(), 1);
}

#[test]
fn a_guide_without_a_name_for_its_application_is_offered_the_newest_answers() {
    let mut given = Given::default();
    given.values.insert("web.host".to_owned(), (json!("a.example.org"), Origin::PreviousRun));
    let earlier = Earlier { run: "1".to_owned(), given };
    let interview = Interview::new(tiny(), facts(), Given::default()).offering(vec![earlier]);
    assert_eq!((interview.previous_run(), interview.text("web.host").as_str()), (Some("1"), "a.example.org"));
}

#[test]
fn a_secret_is_edited_as_it_was_typed_and_not_told_where_it_is_generated() {
    let mut interview = begun();
    interview.type_in("database.engine", "mariadb");
    assert_eq!(interview.text("database.password"), "");
    for typed in ["file:/root/password", "env:DB_PASSWORD", "a-literal-secret"] {
        interview.type_in("database.password", typed);
        assert_eq!(interview.text("database.password"), typed);
    }
}

#[test]
fn a_table_is_answered_cell_by_cell() {
    let mut interview = Interview::new(table(), facts(), Given::default());
    let problems = |interview: &Interview| -> Vec<String> {
        let of = |field: Field<'_>| field.problem.map(|problem| format!("{}: {}", field.path, problem.message));
        interview.rows("clouds.list").into_iter().flatten().filter_map(of).collect()
    };
    // The first row is there to be filled in, and nothing is wrong yet.
    assert_eq!(problems(&interview), ["clouds.list[0].host: must be answered"]);
    assert!(!interview.refuses("clouds"));
    interview.type_in("clouds.list[0].regions", "north, south");
    assert_eq!(problems(&interview), ["clouds.list[0].host: must be answered"]);
    assert_eq!(interview.gaps()[0].question.as_deref(), Some("list[0].host"));
    assert!(!interview.refuses("clouds"));
    interview.type_in("clouds.list[0].host", "nowhere");
    assert!(interview.refuses("clouds") && problems(&interview).len() == 1);
    assert_eq!(interview.text("clouds.list[0].host"), "nowhere");
    interview.type_in("clouds.list[0].host", "a.example.org");
    assert_eq!(problems(&interview), [""; 0]);
    interview.type_in("clouds.list[1].host", "b.example.org");
    interview.type_in("clouds.list[1].port", "0");
    assert_eq!(problems(&interview), ["clouds.list[1].port: 0 is out of range"]);
    // An empty text is the default again.
    interview.type_in("clouds.list[1].port", "");
    assert_eq!(interview.text("clouds.list[1].port"), "5000");
    let rows = json!([
        {"host": "a.example.org", "port": 5000, "regions": ["north", "south"]},
        {"host": "b.example.org", "port": 5000, "regions": []},
    ]);
    assert_eq!(interview.resolved().values["clouds"]["list"], rows);
    assert_eq!(text_of(&rows), "a.example.org, 5000, north, south; b.example.org, 5000");
    interview.answer("clouds.list[0]", None);
    assert_eq!(interview.resolved().values["clouds"]["list"], json!([rows[1]]));
    interview.answer("clouds.list[0]", None);
    assert_eq!(interview.standing("clouds"), Standing::Missing(1));
}

#[test]
fn a_table_that_is_wrong_in_a_file_is_told_at_its_cells() {
    let text = "version: 1\nguide: tiny\nclouds:\n  list:\n    - host: a.example.org\n      prot: 5000\n    - port: 0\n      regions: [x, '']\n    - c\n";
    let told = crate::answers::file::read("a.yaml", text.as_bytes(), &table(), Literals::Refused).unwrap_err();
    let places: Vec<_> = told.iter().map(|problem| format!("{} {}", problem.place, problem.path)).collect();
    let wanted = [
        "a.yaml:5:7 clouds.list[0]",
        "a.yaml:7:7 clouds.list[1].host",
        "a.yaml:7:13 clouds.list[1].port",
        "a.yaml:8:20 clouds.list[1].regions[1]",
        "a.yaml:9:7 clouds.list[2]",
    ];
    assert_eq!(places, wanted);
}

#[test]
fn a_table_can_be_given_on_the_command_line_and_is_described_to_editors() {
    let set = |text: &str| crate::answers::file::parse_set(&table(), &format!("clouds.list={text}"), Literals::Refused);
    let rows = json!([{"host": "a.example.org", "port": 5000, "regions": []}]);
    assert_eq!(set("[{host: a.example.org}]").unwrap().1, rows);
    assert_eq!(set("[{host: a.example.org, port: 0}]").unwrap_err().path, "clouds.list[0].port");
    assert!(set("a.example.org").unwrap_err().message.contains("where rows are expected"));
    let schema = crate::answers::schema::schema(&table());
    let form = &schema["properties"]["clouds"]["properties"]["list"];
    assert_eq!((&form["maxItems"], &form["items"]["required"]), (&json!(3), &json!(["host"])));
    assert_eq!(form["items"]["properties"]["port"]["default"], json!(5000));
}
