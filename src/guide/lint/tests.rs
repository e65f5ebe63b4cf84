#![allow(clippy::unwrap_used)]
use super::*;
use crate::assets::Tree;

/// A guide with one stage, `a`, from the YAML of what follows its title.
fn problems(stage: &str) -> Vec<String> {
    let head = "id: a\ntitle: A\nwhy: because\n";
    let stage: Stage = crate::yaml::from_slice("a.yaml", format!("{head}{stage}").as_bytes()).unwrap();
    let mut assets = Tree::new();
    assets.insert("key.env".to_owned(), b"KEY={{ a.key }}\n".to_vec());
    assets.insert("outer.env".to_owned(), b"{% include \"key.env\" %}\n".to_vec());
    assets.insert("typo.conf".to_owned(), b"{{ a.nmae }}\n".to_vec());
    let guide = Guide {
        id: "t".into(),
        title: "T".into(),
        summary: "S".into(),
        stages: vec![stage],
        assets,
        ..Guide::default()
    };
    lint(&guide).iter().map(ToString::to_string).collect()
}

const QUESTIONS: &str = "questions:
  - {id: name, ask: Name?, type: text, default: x, help: h}
  - {id: key, ask: Key?, type: secret, default: {generate: 32}, help: h}
locals: [{name: url, value: \"'x://' ~ a.key\"}]
";

/// Problems of a stage with the questions above.
fn with_questions(rest: &str) -> Vec<String> {
    problems(&format!("{QUESTIONS}{rest}"))
}

#[track_caller]
fn one(found: &[String], expected: &str) {
    assert!(found.len() == 1 && found[0].contains(expected), "expected one problem with `{expected}`, got {found:#?}");
}

#[test]
fn a_sound_stage_has_no_problems() {
    let found = with_questions(
        "actions:
  - {id: env, reason: the settings, file: {path: /etc/x, template: outer.env, mode: \"0640\"}}
  - {id: run, reason: it must run, service: {manager: systemd, name: x, restart_after: [a.env, packages]}}
proofs:
  - {id: up, service: {manager: systemd, names: [x]}}
outputs: [{label: Name, value: \"{{ a.name }}\"}]
",
    );
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_step_that_may_be_skipped_says_why() {
    let stage = |why: &str| {
        with_questions(&format!(
            "actions: [{{id: x, reason: b, remove: {{path: /a}}, skip_reason: \"{why}\"}}]\n\
             proofs: [{{id: up, service: {{manager: systemd, names: [x]}}, skip_reason: nothing rests on it}}]\n"
        ))
    };
    assert_eq!(stage("{{ a.name }} works without it"), Vec::<String>::new());
    one(&stage(" "), "`skip_reason` says why");
    one(&stage("{{ a.nmae }} works without it"), "a.nmae");
    one(&stage("{{ a.key }} is the key"), "a.key");
}

#[test]
fn an_expression_sees_only_what_was_asked_before() {
    one(
        &problems(
            "questions:
  - {id: one, ask: a?, type: text, default: \"{{ a.two }}\", help: h}
  - {id: two, ask: a?, type: text, default: x, help: h}
",
        ),
        "`a.two` does not exist here",
    );
}

#[test]
fn a_misspelt_name_is_found_in_expressions_templates_and_assets() {
    one(&with_questions("outputs: [{label: L, value: \"{{ a.nam }}\"}]\n"), "did you mean `name`");
    one(&with_questions("rules: [{that: facts.ipv5, message: m}]\n"), "did you mean `ipv6`");
    one(&with_questions("actions: [{id: f, reason: b, file: {path: /x, template: typo.conf}}]\n"), "`a.nmae`");
}

#[test]
fn what_does_not_compile_is_found() {
    one(&with_questions("rules: [{that: 'a.name ==', message: m}]\n"), "a.rules");
    one(&with_questions("outputs: [{label: L, value: '{{ a.name '}]\n"), "a.outputs.L");
}

#[test]
fn a_missing_template_is_told_with_the_nearest() {
    one(
        &with_questions("actions: [{id: f, reason: b, file: {path: /x, template: kee.env}}]\n"),
        "did you mean key.env",
    );
}

#[test]
fn a_field_that_its_kind_does_not_have_is_told_with_the_nearest() {
    one(
        &with_questions("actions: [{id: f, reason: b, symlink: {path: /x, taget: /y}}]\n"),
        "`symlink` has no field `taget` (did you mean target?)",
    );
    one(
        &with_questions("proofs: [{id: f, http: {ulr: \"http://x/\"}}]\n"),
        "`http` has no field `ulr` (did you mean url?)",
    );
}

#[test]
fn a_secret_is_refused_wherever_somebody_would_see_it() {
    for seen in [
        "outputs: [{label: L, value: \"{{ a.key }}\"}]\n",
        "outputs: [{label: L, value: \"{{ locals.url }}\"}]\n",
        "rules: [{that: 'true', message: \"{{ a.key }}\"}]\n",
        "actions: [{id: c, reason: b, command: {describe: d, run: [x, \"{{ a.key }}\"], check: [y], undo: [z]}}]\n",
        "actions: [{id: c, reason: \"{{ a.key }}\", remove: {path: /x}}]\n",
        "actions: [{id: c, reason: b, source: {path: /x, from: git, location: \"{{ locals.url }}\"}}]\n",
        "packages: [{install: [x], reason: \"{{ a.key }}\"}]\n",
    ] {
        one(&with_questions(seen), "would be visible here");
    }
}

#[test]
fn a_secret_may_go_into_files_of_few_readers_and_through_the_environment() {
    let found = with_questions(
        "actions:
  - {id: f, reason: b, file: {path: /x, content: \"{{ a.key }}\", mode: \"0600\"}}
  - {id: c, reason: b, command: {describe: d, run: [x], check: [y], undo: [z], env: {K: \"{{ a.key }}\"}, stdin: \"{{ a.key }}\"}}
  - {id: e, reason: b, edit: {path: /x, set: [{key: k, value: \"{{ a.key }}\"}]}}
",
    );
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_secret_in_a_file_that_everybody_can_read_is_refused() {
    for action in [
        "file: {path: /x, content: \"{{ a.key }}\"}",
        "file: {path: /x, content: \"{{ locals.url }}\", mode: \"0644\"}",
        "file: {path: /x, template: outer.env}",
    ] {
        one(
            &with_questions(&format!("actions: [{{id: f, reason: b, {action}}}]\n")),
            "lets every user on the server read it",
        );
    }
}

#[test]
fn a_command_needs_a_check_and_either_a_way_back_or_a_reason_for_none() {
    for (fields, expected) in [
        ("run: [x], undo: [z]", "needs `check`"),
        ("run: [x], check: [y]", "has one of `undo`, `irreversible"),
        ("run: [x], check: [y], undo: [z], irreversible: w", "has one of `undo`, `irreversible"),
        ("run: [x], check: [y], undo: [z], covered_by: a.c", "has one of `undo`, `irreversible"),
        ("run: [x], check: [y], undo: ['true']", "its `undo` does nothing"),
        ("run: [x], check: [y], covered_by: a.d", "`covered_by` names a.d, which is not an action (did you mean a.c?)"),
    ] {
        let action = format!("actions: [{{id: c, reason: b, command: {{describe: d, {fields}}}}}]\n");
        one(&with_questions(&action), expected);
    }
}

#[test]
fn a_field_without_a_default_must_be_written() {
    one(&with_questions("actions: [{id: l, reason: b, symlink: {path: /a}}]\n"), "`symlink` needs `target`");
    one(&with_questions("proofs: [{id: p, http: {}}]\n"), "`http` needs `url`");
    one(
        &with_questions("actions: [{id: c, reason: b, command: {describe: d, run: [], check: [y], undo: [z]}}]\n"),
        "is empty",
    );
}

#[test]
fn what_is_wrong_in_the_content_of_a_file_is_told_once() {
    one(&with_questions("actions: [{id: f, reason: b, file: {path: /a, content: '{{ a.nmae }}'}}]\n"), "`a.nmae`");
}

#[test]
fn restart_after_must_name_an_action() {
    one(
        &with_questions(
            "actions: [{id: s, reason: b, service: {manager: systemd, name: x, restart_after: [a.nothing]}}]\n",
        ),
        "names a.nothing, which is not an action",
    );
}

#[test]
fn questions_are_complete() {
    one(&problems("questions: [{id: q, ask: a?, type: text, default: x}]\n"), "`help` is missing");
    one(&problems("questions: [{id: q, ask: '', type: text, help: h}]\n"), "`ask` is missing");
    one(&problems("questions: [{id: q, ask: a?, type: text, auto: true, help: h}]\n"), "means the default");
    one(&problems("questions: [{id: q, ask: a?, type: choice, help: h}]\n"), "needs `choices`");
    one(
        &problems(
            "questions: [{id: q, ask: a?, type: choice, help: h, default: z, choices: [{value: x, label: X}]}]\n",
        ),
        "none of its choices",
    );
    one(&problems("questions: [{id: q, ask: a?, type: table, help: h}]\n"), "a `table` needs `columns`");
    one(
        &problems("questions: [{id: q, ask: a?, type: text, help: h, columns: [{id: c, ask: a, type: text}]}]\n"),
        "only a `table` has `columns`",
    );
    for (column, why) in [
        ("type: secret", "neither a `table`, a `map` nor a `secret`"),
        ("type: text, default: '{{ facts.fqdn }}'", "is a literal"),
        ("type: text, when: 'true'", "a column has no `when`"),
        ("type: text, pattern: x", "needs a `pattern_hint`"),
    ] {
        let columns = format!("columns: [{{id: c, ask: a, {column}}}]");
        one(&problems(&format!("questions: [{{id: q, ask: a?, type: table, help: h, {columns}}}]\n")), why);
    }
    one(&problems("questions: [{id: q, ask: '{{ x }}?', type: text, help: h}]\n"), "`ask` is shown as it is written");
    one(
        &problems(
            "questions: [{id: q, ask: a?, type: choice, help: h, choices: [{value: x, label: X, note: '{{ y }}'}]}]\n",
        ),
        "`note` is shown as it is written",
    );
    one(&problems("questions: [{id: Q, ask: a?, type: text, help: h}]\n"), "an id is lower case");
}

#[test]
fn ids_are_unique_and_rules_are_about_questions() {
    one(
        &problems("actions: [{id: x, reason: b, remove: {path: /x}}, {id: x, reason: b, remove: {path: /y}}]\n"),
        "`x` is defined twice",
    );
    let both = "actions: [{id: x, reason: b, remove: {path: /x}}]\n\
                proofs: [{id: x, service: {manager: systemd, names: [x]}}]\n";
    one(&problems(both), "`x` is defined twice");
    one(&with_questions("rules: [{that: 'true', message: m, field: a.nam}]\n"), "did you mean a.name?");
}

#[test]
fn item_exists_only_in_repeated_actions() {
    let found = problems(
        "actions: [{id: x, for_each: \"['p', 'q']\", reason: \"{{ item }} {{ index }}\", remove: {path: \"/{{ item }}\"}}]\n",
    );
    assert!(found.is_empty(), "{found:#?}");
    one(&problems("actions: [{id: x, reason: b, remove: {path: \"/{{ item }}\"}}]\n"), "`item` does not exist here");
}

#[test]
fn a_guide_holds_no_programs() {
    one(
        &with_questions("outputs: [{label: L, value: \"{% for x in [1] %}{{ x }}{% endfor %}\"}]\n"),
        "`for x in [1]`: statements are allowed in assets only",
    );
    one(
        &with_questions("rules: [{that: \"a.name | upper | lower | trim\", message: m}]\n"),
        "a chain of more than 2 filters",
    );
    one(
        &with_questions("outputs: [{label: L, value: \"{{ a.name | upper | lower | trim }}\"}]\n"),
        "more than 2 filters",
    );
    assert_eq!(with_questions("rules: [{that: \"a.name | upper | lower\", message: m}]\n"), [""; 0]);
}

#[test]
fn a_package_that_nobody_looks_for_is_found() {
    for looked in
        ["facts.installed['ngnix'] is not defined", "not installed('nginx', 'ngnix')", "'ngnix' in facts.installed"]
    {
        one(&with_questions(&format!("rules: [{{that: \"{looked}\", message: m}}]\n")), "did you mean nginx?");
    }
    assert_eq!(with_questions("rules: [{that: \"not installed('postgresql-15', 'certbot')\", message: m}]\n"), [""; 0]);
}

#[test]
fn fields_of_a_question_belong_to_its_type() {
    let question = |fields: &str| problems(&format!("questions: [{{id: q, ask: a?, help: h, {fields}}}]\n"));
    assert_eq!(question("type: free_port, allow_taken: \"owner == 'nginx' and value == 80\""), [""; 0]);
    assert_eq!(question("type: ports, beside: \"[{'port': 80}]\""), [""; 0]);
    one(&question("type: port, allow_taken: 'true'"), "questions of its type have no `allow_taken`");
    one(&question("type: text, schemes: [https]"), "questions of its type have no `schemes`");
    one(&question("type: ports, beside: locals.nothing"), "`locals.nothing` does not exist here");
}

#[test]
fn notices_are_linted_like_rules() {
    let notice = |fields: &str| with_questions(&format!("notices: [{{{fields}}}]\n"));
    assert_eq!(notice("for_each: \"['p']\", when: a.name == item, say: \"{{ item }}\", field: a.name"), [""; 0]);
    one(&notice("say: \"{{ item }}\""), "`item` does not exist here");
    one(&notice("say: \"{{ a.key }}\""), "would be visible here");
    one(&notice("say: ' '"), "`say` is missing");
    one(&notice("say: s, field: a.nam"), "did you mean a.name?");
}

#[test]
fn a_table_of_releases_has_a_value_for_every_release() {
    let releases = |text: &str| {
        let releases = crate::yaml::from_slice("releases.yaml", text.as_bytes()).unwrap();
        let stage = "id: a\ntitle: A\nwhy: w\noutputs: [{label: L, value: \"{{ release.x }}\"}]\n";
        let stages = vec![crate::yaml::from_slice("a.yaml", stage.as_bytes()).unwrap()];
        let (title, summary) = ("T".to_owned(), "S".to_owned());
        let guide = Guide { id: "t".into(), title, summary, stages, releases, ..Guide::default() };
        lint(&guide).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(releases("other: {x: 1}\nbullseye: {x: 2}\n"), [""; 0]);
    one(&releases("bullseye: {x: 2}\n"), "releases.other: has no `x`");
}

#[test]
fn what_care_refers_to_exists_and_no_secret_is_in_it() {
    let stage = |care: &str| {
        problems(&format!(
            "questions:
  - {{id: version, ask: V?, type: text, default: x, help: h}}
  - {{id: env, ask: E?, type: map, default: {{}}, optional: true, help: h}}
  - {{id: key, ask: K?, type: secret, default: {{generate: 32}}, help: h}}
actions: [{{id: code, reason: b, source: {{path: /opt/x, from: git, location: /x, reference: '{{{{ a.version }}}}'}}}}]
care: {care}
"
        ))
    };
    let service =
        |rest: &str| stage(&format!("{{services: [{{name: web, manager: systemd, unit: x.service{rest}}}]}}"));
    let sound = "{code: a.code, reference: a.version, environment: a.env, services: [{name: web, manager: sysv, unit: x, log: /var/log/x}]}";
    assert_eq!(stage(sound), [""; 0]);
    one(&stage("{code: a.cod}"), "a.care.code: a.cod is no action of the kind `source`");
    one(&stage("{reference: a.version}"), "only where there is `code`");
    one(&stage("{code: a.code, reference: a.env}"), "a.env is no question of the type `text`");
    one(&stage("{environment: a.version}"), "a.version is no question of the type `map`");
    one(&service(", when: 'a.nothing'"), "a.care.services.web");
    one(&service(", log: '/var/log/{{ a.key }}'"), "the secret a.key would be visible");
    one(&stage("{services: [{name: web, manager: upstart, unit: x}]}"), "a manager is systemd, sysv or supervisor");
    let twice = "{services: [{name: web, manager: sysv, unit: x}, {name: web, manager: sysv, unit: y}]}";
    one(&stage(twice), "`web` is defined twice");
    let guide = Guide {
        stages: ["a", "b"]
            .map(|id| {
                let text = format!("id: {id}\ntitle: T\nwhy: w\ncare: {{services: []}}\n");
                crate::yaml::from_slice("a.yaml", text.as_bytes()).unwrap()
            })
            .to_vec(),
        ..Guide { id: "t".into(), title: "T".into(), summary: "S".into(), ..Guide::default() }
    };
    one(&lint(&guide).iter().map(ToString::to_string).collect::<Vec<_>>(), "b.care: the stage a has it already");
}

#[test]
fn a_map_takes_entries_from_a_file_that_an_optional_path_before_it_names() {
    let map = |first: &str, more: &str| {
        problems(&format!(
            "questions:
  - {{id: file, ask: F?, {first}, help: h}}
  - {{id: env, ask: E?, type: map, optional: true, entries_from: file, help: h{more}}}
"
        ))
    };
    assert_eq!(map("type: path, optional: true", ""), [""; 0]);
    for (first, more) in [
        ("type: path, default: /x", ""),
        ("type: text, optional: true", ""),
        ("type: path, optional: true", ", value_pattern: '[0-9]+', value_hint: a number"),
    ] {
        one(&map(first, more), "`entries_from` names an optional `path` before it");
    }
    one(&problems("questions: [{id: n, ask: N?, type: text, default: x, entries_from: n, help: h}]\n")[..1], "a.n: ");
}

#[test]
fn what_is_detected_is_an_answer_and_has_a_reason() {
    let question = |detect: &str| {
        problems(&format!(
            "questions:
  - id: kind
    ask: Kind?
    type: choice
    help: h
    choices: [{{value: a, label: A}}, {{value: b, label: B}}]
    default: a
    detect: [{detect}]
"
        ))
    };
    assert_eq!(
        question("{value: b, when: \"files_of('/srv', 'x')\", reason: '{{ found | first }} is there'}"),
        [""; 0]
    );
    one(&question("{value: c, when: 'true', reason: r}"), "its value is none of the choices");
    one(&question("{value: b, when: 'true', reason: ' '}"), "`reason` is missing");
    one(&question("{value: b, when: a.none, reason: r}"), "a.none");
    one(&question("{value: b, when: 'true', reason: '{{ fuond }}'}"), "fuond");
}
