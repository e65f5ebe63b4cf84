#![allow(clippy::unwrap_used)]
use super::*;
use crate::answers::Origin;
use crate::assets::Tree;
use crate::secret::mark;

const STAGE: &str = r#"
id: a
title: Stage A
why: because
questions:
  - {id: name, ask: n?, type: text, help: h}
  - {id: key, ask: k?, type: secret, help: h}
  - {id: unasked, ask: u?, type: text, help: h}
locals: [{name: n, value: "2"}, {name: never, value: "1", when: "false"}]
packages:
  - {install: [zsh, "{{ a.name }}"], reason: shells}
  - {install: [nothing], when: "false", reason: never}
actions:
  - {id: link, for_each: "range(locals.n)", reason: "for {{ item }}", symlink: {path: "/l{{ index }}", target: /t}}
  - {id: conf, reason: settings, file: {path: /etc/x, template: x.conf, mode: "0600"}}
  - {id: code, reason: code, source: {path: /opt/x, from: asset, location: demo}}
  - {id: gone, when: "a.unasked is not none", reason: never, remove: {path: /y}}
  - id: run
    reason: it must run
    service: {manager: systemd, name: x, restart_after: [a.link, a.conf, a.gone]}
proofs:
  - {id: open, ports: {ports: [{port: "{{ 80 if a.name else 1 }}", name: x, on: any}]}}
  - {id: never, when: "locals.never", service: {manager: systemd, names: [x]}}
  - {id: each, for_each: "range(3)", when: item > 0, skip_reason: "{{ item }}", service: {manager: systemd, names: ["x{{ index }}"]}}
outputs: [{label: Name, value: "{{ a.name }}"}]
"#;

fn guide(stage: &str) -> Guide {
    let mut assets = Tree::new();
    assets.insert("x.conf".to_owned(), b"key={{ a.key }}\n".to_vec());
    assets.insert("demo/app.py".to_owned(), b"{{ not a template }}\n".to_vec());
    Guide {
        id: "t".into(),
        title: "T".into(),
        summary: "S".into(),
        stages: vec![crate::yaml::from_slice("a.yaml", stage.as_bytes()).unwrap()],
        assets,
        ..Guide::default()
    }
}

fn resolved() -> Resolved {
    let mut resolved = Resolved { stages: vec!["a".into()], ..Resolved::default() };
    let answers = [("name", json!("bash")), ("key", json!(mark("a.key"))), ("unasked", Value::Null)];
    resolved.values.insert("a".into(), answers.into_iter().map(|(k, v)| (k.to_owned(), v)).collect());
    resolved.origins.insert("a.name".into(), Origin::File);
    resolved.origins.insert("a.key".into(), Origin::Default);
    resolved.locals.insert("n".into(), json!(2));
    resolved
}

fn built() -> Plan {
    build(&guide(STAGE), &Facts::default(), &resolved()).unwrap()
}

fn action(plan: &Plan, id: &str) -> Value {
    serde_json::to_value(&plan.actions.iter().find(|action| action.id == id).unwrap().action).unwrap()
}

#[test]
fn packages_come_first_sorted_and_once() {
    let plan = built();
    assert_eq!(plan.actions[0].id, "packages");
    assert_eq!(plan.actions[0].reason, "shells");
    assert_eq!(action(&plan, "packages")["packages"]["names"], json!(["bash", "zsh"]));
    assert_eq!(plan.stages[0].title, "Packages");
}

#[test]
fn repeated_proofs_are_numbered_and_see_their_item() {
    let proofs = built().proofs.into_iter().map(|proof| (proof.id, proof.skip_reason.unwrap_or_default()));
    let wanted = [("a.open", ""), ("a.each[1]", "1"), ("a.each[2]", "2")];
    assert_eq!(proofs.collect::<Vec<_>>(), wanted.map(|(id, why)| (id.to_owned(), why.to_owned())));
}

#[test]
fn repeated_actions_are_numbered_and_what_does_not_apply_is_left_out() {
    let ids: Vec<String> = built().actions.into_iter().map(|action| action.id).collect();
    assert_eq!(ids, ["packages", "a.link[0]", "a.link[1]", "a.conf", "a.code", "a.run"]);
}

#[test]
fn what_covers_a_command_is_in_the_plan() {
    let told = |covering: &str| {
        let command = format!("{{describe: d, run: [x], check: [y], covered_by: {covering}}}");
        let stage = STAGE.replace("proofs:", &format!("  - {{id: rows, reason: rows, command: {command}}}\nproofs:"));
        build(&guide(&stage), &Facts::default(), &resolved()).err().unwrap_or_default()
    };
    assert_eq!(told("a.conf"), []);
    assert_eq!(told("a.link"), [], "a repetition of it is");
    assert!(told("a.gone")[0].message.contains("which is not in this plan"));
}

#[test]
fn a_service_restarts_after_every_repetition_that_is_planned() {
    let plan = built();
    assert_eq!(action(&plan, "a.run")["service"]["restart_after"], json!(["a.link[0]", "a.link[1]", "a.conf"]));
}

#[test]
fn templates_become_content_with_marks_and_assets_are_taken_as_they_are() {
    let plan = built();
    assert_eq!(action(&plan, "a.conf")["file"]["content"], json!(format!("key={}\n", mark("a.key"))));
    assert_eq!(action(&plan, "a.code")["source"]["files"], json!({"app.py": "{{ not a template }}\n"}));
}

#[test]
fn a_single_expression_gives_a_field_its_type() {
    let plan = built();
    let proof = serde_json::to_value(&plan.proofs[0].proof).unwrap();
    assert_eq!(proof["listens"]["ports"][0]["port"], json!(80));
}

#[test]
fn the_same_input_gives_the_same_bytes_and_another_answer_another_hash() {
    let (one, two) = (built(), built());
    assert_eq!(serde_json::to_vec(&one).unwrap(), serde_json::to_vec(&two).unwrap());
    assert_eq!(one.hash(), two.hash());
    let mut other = resolved();
    other.values.get_mut("a").unwrap().insert("name".into(), json!("fish"));
    assert_ne!(build(&guide(STAGE), &Facts::default(), &other).unwrap().hash(), one.hash());
}

#[test]
fn only_a_step_that_may_be_skipped_says_so_in_the_plan() {
    let text = serde_json::to_string(&built()).unwrap();
    assert!(!text.contains("skip_reason"), "{text}");
    let reason = "skip_reason: '{{ a.name }} works without it'";
    let skip_reason = STAGE.replace("- {id: conf,", &format!("- {{id: conf, {reason},"));
    let plan = build(&guide(&skip_reason), &Facts::default(), &resolved()).unwrap();
    let conf = plan.actions.iter().find(|action| action.id == "a.conf").unwrap();
    assert_eq!(conf.skip_reason.as_deref(), Some("bash works without it"));
}

#[test]
fn where_an_answer_came_from_does_not_change_the_hash() {
    let mut typed = resolved();
    typed.origins.insert("a.name".into(), Origin::Typed);
    let plan = build(&guide(STAGE), &Facts::default(), &typed).unwrap();
    assert_eq!(plan.hash(), built().hash());
    assert_ne!(plan, built());
}

#[test]
fn a_plan_survives_being_written_and_read() {
    let plan = built();
    let read: Plan = serde_json::from_slice(&serde_json::to_vec(&plan).unwrap()).unwrap();
    assert_eq!(read, plan);
    assert_eq!(read.hash(), plan.hash());
}

#[test]
fn what_cannot_be_resolved_is_told_all_at_once_with_the_action() {
    let broken = STAGE.replace("target: /t", "target: [1]").replace("location: demo", "location: nowhere");
    let problems = build(&guide(&broken), &Facts::default(), &resolved()).unwrap_err();
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["a.link[0]", "a.link[1]", "a.code"], "{problems:#?}");
}
