//! Answers files as a whole: samples and schemas of every guide, and untrusted files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use bringup::answers::Origin;
use bringup::answers::file::{parse_set, peek_guide, read, read_leniently};
use bringup::answers::resolve::{Literals, resolve_file};
use bringup::answers::schema::{sample, schema};
use bringup::answers::{Given, SecretSource};
use bringup::facts::{Cpus, Facts, Memory, Netfilter, Os};
use bringup::guide::{Guide, GuideFile, Question, QuestionKind, Stage};
use bringup::yaml;
use proptest::prelude::*;
use serde_json::{Value, json};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn load(dir: &Path) -> Guide {
    let file: GuideFile = yaml::from_slice("guide.yaml", &fs::read(dir.join("guide.yaml")).unwrap()).unwrap();
    let stage = |path: &String| -> Stage { yaml::from_slice(path, &fs::read(dir.join(path)).unwrap()).unwrap() };
    Guide {
        id: file.guide,
        title: file.title,
        summary: file.summary,
        stages: file.stages.iter().map(stage).collect(),
        requires: file.requires,
        ..Guide::default()
    }
}

static TINY: LazyLock<Guide> = LazyLock::new(|| load(&root().join("tests/fixtures/guides/tiny")));

fn guides() -> Vec<Guide> {
    let mut found = vec![TINY.clone()];
    for entry in fs::read_dir(root().join("screens")).unwrap() {
        let dir = entry.unwrap().path();
        if dir.join("guide.yaml").exists() {
            let id = dir.file_name().unwrap().to_str().unwrap();
            found.push(bringup::guide::load::load(id).unwrap());
        }
    }
    found
}

fn facts() -> Facts {
    Facts {
        os: Os { id: "debian".into(), codename: "bookworm".into(), version: "12".into(), name: "Debian 12".into() },
        fqdn: "app.example.org".into(),
        hostname: "app".into(),
        init: "systemd".into(),
        cpus: Cpus { usable: 4, cores: 4, threads: 8, source: "4 processors".into() },
        memory: Memory { usable_mib: 8192, total_mib: 8192, ..Memory::default() },
        ..Facts::default()
    }
}

/// A plausible answer, as it stands in a file.
fn plausible(question: &Question) -> String {
    let text = match question.kind {
        QuestionKind::Choice => &question.choices[0].value,
        QuestionKind::Text => "example",
        QuestionKind::Integer => "12",
        QuestionKind::Bool => "true",
        QuestionKind::Port | QuestionKind::FreePort => "8080",
        QuestionKind::Hostname => "app.example.org",
        QuestionKind::Email => "admin@example.org",
        QuestionKind::Path => "/srv/example",
        QuestionKind::Secret => "{generate: 32}",
        QuestionKind::Map => "{NAME: text, KEY: {generate: 32}}",
        QuestionKind::List => "[example]",
        QuestionKind::Hostnames => "[www.example.org]",
        QuestionKind::Url => "https://example.org/x",
        QuestionKind::Ports => "[8443]",
        QuestionKind::Networks => "[192.0.2.0/24]",
        QuestionKind::Regex => "^x$",
        QuestionKind::Table => {
            let required = question.columns.iter().filter(|column| column.default.is_none() && !column.optional);
            let cells: Vec<_> = required.map(|column| format!("{}: {}", column.id, plausible(column))).collect();
            return format!("[{{{}}}]", cells.join(", "));
        }
    };
    text.to_owned()
}

/// The sample with every open answer filled in.
fn filled(guide: &Guide) -> String {
    let mut stage = None;
    let mut out = String::new();
    for line in sample(guide).lines() {
        let name = line.trim_start().split(':').next().unwrap_or_default();
        if !line.starts_with([' ', '#']) {
            stage = guide.stages.iter().find(|stage| stage.id == name).or(stage);
        }
        out.push_str(line);
        if line.ends_with(": # must be answered") || line.ends_with(":  # must be answered") {
            let question = stage.unwrap().questions.iter().find(|question| question.id == name).unwrap();
            out.truncate(out.len() - line.len());
            out.push_str("  ");
            out.push_str(name);
            out.push_str(": ");
            out.push_str(&plausible(question));
        }
        out.push('\n');
    }
    out
}

#[test]
fn the_sample_of_every_guide_reads_once_the_open_answers_are_filled_in() {
    for guide in guides() {
        let text = filled(&guide);
        assert!(!text.contains("must be answered"), "{text}");
        if let Err(problems) = read("sample.yaml", text.as_bytes(), &guide, Literals::Refused) {
            // A pattern may refuse what is plausible here.
            let patterned = |path: &str| {
                let find = |stage: &Stage, id: &str| stage.questions.iter().find(|q| q.id == id).cloned();
                let (stage, question) = path.split_once('.').unwrap();
                let stage = guide.stages.iter().find(|candidate| candidate.id == stage).unwrap();
                find(stage, question).unwrap().pattern.is_some()
            };
            assert!(problems.iter().all(|problem| patterned(&problem.path)), "{}: {problems:#?}", guide.id);
        }
    }
}

#[test]
fn an_unfilled_sample_says_which_answers_are_open() {
    let guide = &*TINY;
    let text = sample(guide);
    let file = read("sample.yaml", text.as_bytes(), guide, Literals::Refused).unwrap();
    let problems = resolve_file(guide, &facts(), &file, &Given::default()).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:#?}");
    let line = text.lines().position(|line| line.starts_with("  host:")).unwrap() + 1;
    assert_eq!(problems[0].place, format!("sample.yaml:{line}:3"));
    assert_eq!(problems[0].message, "has no value");
}

#[test]
fn every_line_of_a_sample_that_is_commented_out_can_be_used() {
    let guide = &*TINY;
    let names: Vec<_> = guide.stages.iter().flat_map(|stage| &stage.questions).map(|question| &question.id).collect();
    let text: String = filled(guide)
        .lines()
        .map(|line| {
            let shown = line.trim_start().strip_prefix("# ");
            let used = shown.filter(|rest| names.iter().any(|name| rest.starts_with(&format!("{name}:"))));
            used.map_or_else(|| format!("{line}\n"), |rest| format!("  {rest}\n"))
        })
        .collect();
    let file = read("sample.yaml", text.as_bytes(), guide, Literals::Refused);
    let file = file.unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"));
    assert_eq!(file.given.values.len(), names.len(), "{text}");
}

#[test]
fn the_sample_of_the_tiny_guide_is_this() {
    assert_eq!(sample(&TINY), fs::read_to_string(root().join("tests/fixtures/guides/tiny/sample.yaml")).unwrap());
}

#[test]
fn the_schema_of_the_tiny_guide_is_this() {
    let wanted = fs::read(root().join("tests/fixtures/guides/tiny/schema.json")).unwrap();
    let wanted: Value = serde_json::from_slice(&wanted).unwrap();
    assert_eq!(schema(&TINY), wanted, "\n{}", serde_json::to_string_pretty(&schema(&TINY)).unwrap());
}

#[test]
fn schemas_allow_nothing_that_the_guide_does_not_know() {
    for guide in guides() {
        let schema = schema(&guide);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["additionalProperties"], false);
        assert!(schema["patternProperties"]["^x-"].is_object());
        for stage in guide.stages.iter().filter(|stage| !stage.questions.is_empty()) {
            let section = &schema["properties"][&stage.id];
            assert_eq!(section["additionalProperties"], false, "{}", stage.id);
            assert_eq!(section["properties"].as_object().unwrap().len(), stage.questions.len(), "{}", stage.id);
        }
    }
}

/// Pieces that YAML, answers files and expressions are made of, and some that they are not.
fn pieces() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "version: 1\n",
        "guide: tiny\n",
        "web:\n",
        "  host: ",
        "a.example.org",
        "database:\n",
        "  engine: ",
        "postgresql\n",
        "  password: ",
        "{generate: 32}",
        "workers: ",
        "{users: 3, count: auto}",
        "\n",
        " ",
        "  ",
        "\t",
        "- ",
        ": ",
        ":",
        "? ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "#",
        "&a ",
        "*a",
        "!t ",
        "!!str ",
        "|",
        ">-",
        "\n  ",
        "'",
        "\"",
        "\\",
        "---\n",
        "...\n",
        "%TAG ! x\n",
        "~",
        "null",
        "true",
        "-1",
        "0x1f",
        ".nan",
        "1e999",
        "99999999999999999999",
        "\r\n",
        "\r",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "\0",
        "é",
        "⟦secret:database.password⟧",
        "{{ facts }}",
        "{% if",
        "x-a: ",
        "<<: ",
        "on_failure: pause\n",
        "@",
        "`",
    ]);
    prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat())
}

/// Everything that reads a file, on bytes that nobody vouches for. What is found must be well-formed.
fn survive(guide: &Guide, bytes: &[u8]) {
    let _ = peek_guide("a.yaml", bytes);
    let problems = match read_leniently("a.yaml", bytes, guide, Literals::Refused) {
        Err(problems) => problems,
        Ok(file) => match resolve_file(guide, &facts(), &file, &Given::default()) {
            Err(problems) => problems,
            Ok(resolved) => {
                assert!(file.problems.is_empty());
                assert!(resolved.secrets.values().all(|source| !matches!(source, SecretSource::Literal(_))));
                return;
            }
        },
    };
    assert!(!problems.is_empty());
    let lines = bytes.len() + 1;
    for problem in &problems {
        let numbers: Vec<_> = problem.place.strip_prefix("a.yaml:").unwrap().split(':').collect();
        let numbers: Vec<usize> = numbers.iter().map(|number| number.parse().unwrap()).collect();
        assert!(numbers.len() == 2 && (1..=lines).contains(&numbers[0]) && numbers[1] >= 1, "{problem}");
        assert!(!problem.message.is_empty() && !problem.hint.is_empty(), "{problem}");
        assert!(!problem.to_string().chars().any(char::is_control), "{problem:?}");
    }
}

/// Any JSON value that YAML can hold: whole numbers, and texts of any characters.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[-a-z0-9 :#,{}\\[\\]'\"~.&*!|>%@`\\\\]{0,8}".prop_map(Value::from),
        prop::sample::select(vec!["yes", "null", "~", "1e3", ".inf", "0o7", "-", "?", "<<", "=", "true", "08", "+1"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_answers_or_problems(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        survive(&TINY, &bytes);
    }

    #[test]
    fn any_text_is_answers_or_problems(text in any::<String>()) {
        survive(&TINY, text.as_bytes());
    }

    #[test]
    fn any_heap_of_pieces_is_answers_or_problems(text in pieces(), header in any::<bool>()) {
        let header = if header { "version: 1\nguide: tiny\nweb:\n  host: " } else { "" };
        survive(&TINY, format!("{header}{text}").as_bytes());
    }

    #[test]
    fn any_flag_is_an_answer_or_a_problem(text in "((web|database|workers)\\.(host|users|engine|token|aliases|strict)=)?.{0,20}") {
        if let Err(problem) = parse_set(&TINY, &text, Literals::Refused) {
            prop_assert!(!problem.hint.is_empty() && !problem.to_string().chars().any(char::is_control));
        }
    }

    #[test]
    fn whatever_is_written_on_one_line_reads_back(value in values()) {
        let line = yaml::inline(&value).unwrap();
        prop_assert!(!line.contains('\n'));
        let text = format!("k: {line}  # comment\n");
        let document = yaml::parse("a.yaml", text.as_bytes()).map_err(|p| TestCaseError::fail(format!("{p:?} {text}")))?;
        prop_assert_eq!(document.root().get("k").unwrap().1.to_json(), value, "{}", text);
    }

    #[test]
    fn a_secret_in_the_clear_is_in_no_problem(secret in "[!-~]{8,20}", close in "[\\]}'\"]{0,2}") {
        // The mark makes the secret recognisable wherever a part of it comes out.
        let text = format!("version: 1\nguide: tiny\nweb: {{host: a.b}}\ndatabase:\n  engine: mariadb\n  password: zq7{secret}zq7{close}\n");
        let file = read_leniently("a.yaml", text.as_bytes(), &TINY, Literals::Refused);
        let problems = match file {
            Err(problems) => problems,
            Ok(file) => resolve_file(&TINY, &facts(), &file, &Given::default()).map_or_else(|problems| problems, |_| Vec::new()),
        };
        prop_assert!(!format!("{problems:?}").contains("zq7"), "{problems:?}");
    }
}

#[test]
fn answers_keep_their_origin() {
    let guide = &*TINY;
    let file = read("a.yaml", filled(guide).as_bytes(), guide, Literals::Refused).unwrap();
    let resolved = resolve_file(guide, &facts(), &file, &Given::default()).unwrap();
    assert_eq!(resolved.origins["web.host"], Origin::File);
    assert_eq!(resolved.origins["web.http_port"], Origin::Default);
}

/// Whatever stands in an answer, the guide is not to blame, and the answer's place is told.
#[test]
fn an_odd_answer_is_never_blamed_on_the_guide() {
    let odd = [
        "' 7003 '",
        "\"7003\\u00a0\"",
        "'+7003'",
        "abc",
        "70000",
        "“7003”",
        "-1",
        "'٧٠٠٣'",
        "1e3",
        "[]",
        "{a: 1}",
        "''",
    ];
    let facts = Facts { firewall: "none".into(), netfilter: Netfilter { allowed: true, nft: true }, ..facts() };
    for guide in guides() {
        for stage in &guide.stages {
            for question in stage.questions.iter().filter(|question| question.kind != QuestionKind::Secret) {
                // Entries of lists are what guides compute with.
                let all = question.kind.is_list() || [QuestionKind::Url, QuestionKind::Regex].contains(&question.kind);
                let tried = if all { odd.len() } else { 2 };
                for value in &odd[..tried] {
                    let value = match question.kind {
                        kind if kind.is_list() => format!("[{value}, 9001, 8111]"),
                        _ => (*value).to_owned(),
                    };
                    let text = format!("version: 1\nguide: {}\n{}:\n  {}: {value}\n", guide.id, stage.id, question.id);
                    let Ok(file) = read_leniently("a.yaml", text.as_bytes(), &guide, Literals::Refused) else {
                        panic!("{text}")
                    };
                    let told = resolve_file(&guide, &facts, &file, &Given::default()).err().unwrap_or_default();
                    for problem in &told {
                        assert!(!problem.hint.contains("bug in the guide"), "{text}{problem}");
                    }
                }
            }
        }
    }
}
