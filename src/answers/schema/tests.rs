#![allow(clippy::unwrap_used)]

use super::*;

/// A guide with one stage of these questions, and one that is not always gone through.
fn guide(questions: &str) -> Guide {
    let first = format!("id: app\ntitle: Application\nwhy: It is the purpose.\nquestions:\n{questions}");
    let second = "id: extra\ntitle: Extras\nwhy: Some want them.\nwhen: app.more\n\
                  questions:\n  - {id: name, ask: Which name?, type: text}\n";
    let silent = "id: silent\ntitle: Nothing is asked\nwhy: It needs nothing.\n";
    let stage = |text: &str| yaml::from_slice("stage.yaml", text.as_bytes()).unwrap();
    Guide {
        id: "shop".to_owned(),
        title: "A shop".to_owned(),
        summary: "Sells things.\n".to_owned(),
        stages: [first.as_str(), second, silent].into_iter().map(stage).collect(),
        ..Guide::default()
    }
}

fn questions(lines: &[&str]) -> Guide {
    guide(&lines.iter().map(|line| format!("  - {{{line}}}")).collect::<Vec<_>>().join("\n"))
}

/// What the schema says of one question.
fn of(question: &str) -> Value {
    schema(&questions(&[question]))["properties"]["app"]["properties"]["x"].clone()
}

#[test]
fn the_schema_of_a_question_says_what_its_type_and_bounds_allow() {
    let secret = json!({"oneOf": [
        {"type": "object", "additionalProperties": false, "required": ["file"], "properties":
            {"file": {"type": "string", "pattern": "^/", "description": "The first line of this file."}}},
        {"type": "object", "additionalProperties": false, "required": ["env"], "properties":
            {"env": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$",
                "description": "This environment variable."}}},
        {"type": "object", "additionalProperties": false, "required": ["generate"], "properties":
            {"generate": {"type": "integer", "minimum": GENERATED.start(), "maximum": GENERATED.end(),
                "description": "Generated on the server, this many characters long."}}},
    ]});
    let entry = json!({"type": ["string", "integer"], "minLength": 1, "minimum": 0});
    for (line, wanted) in [
        ("type: text", json!({"type": "string", "minLength": 1})),
        ("type: text, min: 3, max: 9", json!({"type": "string", "minLength": 3, "maxLength": 9})),
        ("type: text, min: 0", json!({"type": "string", "minLength": 1})),
        ("type: text, pattern: 'a|b'", json!({"type": "string", "minLength": 1, "pattern": "^(?:a|b)$"})),
        ("type: path", json!({"type": "string", "minLength": 1, "pattern": "^/"})),
        ("type: path, pattern: /srv/.+", json!({"type": "string", "minLength": 1, "pattern": "^(?:/srv/.+)$"})),
        ("type: hostname", json!({"type": "string", "format": "hostname", "minLength": 1})),
        ("type: email", json!({"type": "string", "format": "email", "minLength": 1})),
        ("type: regex", json!({"type": "string", "format": "regex", "minLength": 1})),
        ("type: url", json!({"type": "string", "format": "uri", "minLength": 1})),
        ("type: url, or_path: true", json!({"type": "string", "minLength": 1})),
        ("type: bool", json!({"type": "boolean"})),
        ("type: integer", json!({"type": "integer"})),
        ("type: integer, min: 2, max: 7", json!({"type": "integer", "minimum": 2, "maximum": 7})),
        ("type: port", json!({"type": "integer", "minimum": 1, "maximum": 65535})),
        ("type: free_port, min: 1024", json!({"type": "integer", "minimum": 1024, "maximum": 65535})),
        ("type: list", json!({"type": "array", "items": entry, "minItems": 1})),
        ("type: ports, min: 2, max: 4", json!({"type": "array", "items": entry, "minItems": 2, "maxItems": 4})),
        ("type: secret", secret),
    ] {
        let mut told = of(&format!("id: x, ask: Which?, {line}"));
        assert_eq!(told["description"].take(), "Which?", "{line}");
        told.as_object_mut().unwrap().remove("description");
        assert_eq!(told, wanted, "{line}");
    }
    let patterned = of("id: x, ask: Which?, type: list, pattern: '[a-z]+'");
    assert_eq!(patterned["items"]["pattern"], "^(?:[a-z]+)$");
    // What is no value of the type may be answered beside it.
    assert_eq!(
        of("id: x, ask: Which?, type: bool, auto: true, optional: true, default: true"),
        json!({
            "anyOf": [
                {"type": "boolean"},
                {"const": "auto", "description": "The default."},
                {"enum": [null, "", []], "description": "None."},
            ],
            "description": "Which?",
            "default": true,
        })
    );
    let computed = of("id: x, ask: Which?, type: text, default: 'a {{ facts.host }}'");
    assert_eq!(
        computed.get("default"),
        None,
        "what is computed on the host is no default that an editor could fill in"
    );
}

#[test]
fn the_schema_describes_a_question_in_all_the_words_that_the_guide_has() {
    let told = of("id: x, ask: Which?, type: choice, help: It matters., when: app.more, pattern_hint: small words, \
                   choices: [{value: a, label: A one, note: cheap}, {value: b, label: b}, {value: c, label: '', note: dear}]");
    assert_eq!(told["enum"], json!(["a", "b", "c"]));
    assert_eq!(
        told["description"],
        "Which?\nIt matters.\na: A one; cheap\nb\nc: dear\nsmall words\nOnly when: app.more"
    );
}

#[test]
fn a_section_is_required_where_a_question_of_it_must_always_be_answered() {
    let schema_of = |lines: &[&str]| {
        let schema = schema(&questions(lines));
        let app = &schema["properties"]["app"];
        assert_eq!(schema["additionalProperties"], false);
        (schema["required"].clone(), app["required"].clone(), app["type"].clone())
    };
    let always = json!(["version", "guide"]);
    assert_eq!(
        schema_of(&["id: x, ask: W, type: text", "id: more, ask: W, type: bool, default: false"]),
        (json!(["version", "guide", "app"]), json!(["x"]), json!("object"))
    );
    for free in ["default: a", "optional: true", "when: app.more"] {
        let line = format!("id: x, ask: W, type: text, {free}");
        assert_eq!(schema_of(&[&line]), (always.clone(), json!([]), json!(["object", "null"])), "{free}");
    }
    let schema = schema(&questions(&["id: x, ask: W, type: text"]));
    let extra = &schema["properties"]["extra"];
    assert_eq!(extra["required"], json!(["name"]), "within a section that is there");
    assert_eq!(extra["description"], "Extras\n\nSome want them.\n\nOnly when: app.more");
    assert_eq!(schema["properties"]["app"]["description"], "Application\n\nIt is the purpose.");
    assert_eq!(schema["properties"].get("silent"), None);
    assert_eq!(schema["properties"]["guide"], json!({"const": "shop", "description": "A shop"}));
}

#[test]
fn the_sample_leaves_open_what_must_be_answered_and_shows_every_other_default() {
    let guide = guide(concat!(
        "  - {id: host, ask: Which name?, type: hostname, help: As in DNS.}\n",
        "  - {id: more, ask: More?, type: bool, default: false}\n",
        "  - {id: port, ask: Which port?, type: port, default: 80, auto: true}\n",
        "  - {id: mail, ask: Whom?, type: email, default: 'admin@{{ app.host }}'}\n",
        "  - {id: size, ask: How large?, type: integer, default: \"{{ facts.memory\\n  }}\", auto: true}\n",
        "  - {id: note, ask: A note?, type: text, optional: true}\n",
        "  - {id: word, ask: A word?, type: text, optional: true, pattern: a*, pattern_hint: a word or nothing}\n",
        "  - {id: names, ask: Names?, type: list, default: ['{{ app.host }}', b]}\n",
        "  - {id: kind, ask: Which kind?, type: choice, auto: true, default: a, when: app.more, choices: ",
        "[{value: a, label: A one}, {value: b, label: ''}]}\n",
        "  - {id: key, ask: A key?, type: secret, when: app.more}\n",
    ));
    assert_eq!(
        sample(&guide),
        r#"# Answers for: A shop
# Sells things.
# Lines that begin with `# name:` show the defaults; remove the `#` to change one.
version: 1
guide: shop

# What an unattended run does when it fails: rollback or pause.
# on_failure: rollback
# Existing things that bringup did not create and may take over, such as ["unit:shop.service"].
# take_over: []

# Application
# It is the purpose.
app:

  # Which name?
  # As in DNS.
  # Allowed: a host name such as app.example.org
  host:  # must be answered

  # More?
  # Allowed: true or false
  # more: false

  # Which port?
  # Allowed: a port, 1 to 65535, or auto
  # port: 80

  # Whom?
  # Allowed: an e-mail address
  # mail:  # computed: admin@{{ app.host }}

  # How large?
  # Allowed: a whole number, or auto
  # size: auto  # computed: {{ facts.memory }}

  # A note?
  # Allowed: text, or nothing
  # note: ''

  # A word?
  # Allowed: text, a word or nothing
  # word: ''

  # Names?
  # Allowed: a list of texts
  # names:  # computed: ["{{ app.host }}","b"]

  # Which kind?
  # - a: A one
  # - b
  # - auto: the default
  # Only when: app.more
  # kind: a

  # A key?
  # Allowed: {file: /path}, {env: NAME} or {generate: 32}
  # Only when: app.more
  # key:  # no default

# Extras
# Some want them.
# Only when: app.more
extra:

  # Which name?
  # Allowed: text
  # name:  # no default
"#
    );
}

#[test]
fn a_default_is_computed_wherever_in_it_a_template_stands() {
    for computed in
        [json!("{{ a }}"), json!("{% if a %}b{% endif %}"), json!([1, "{{ a }}"]), json!({"k": ["{{ a }}"]})]
    {
        assert!(is_template(&computed), "{computed}");
    }
    for literal in [json!("a"), json!(1), json!(null), json!(["a"]), json!({"{{ a }}": "b"})] {
        assert!(!is_template(&literal), "{literal}");
    }
}
