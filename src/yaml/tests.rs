#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use serde::Deserialize;

use super::*;

fn refusal(text: impl AsRef<[u8]>) -> String {
    let problems = parse("a.yaml", text.as_ref()).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(!problems[0].hint.is_empty(), "no hint: {}", problems[0]);
    problems[0].to_string()
}

/// One message on each line.
fn assert_said(said: &[String], wanted: &str) {
    let wanted: Vec<_> = wanted.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(said, wanted, "\n{}\n", said.join("\n"));
}

fn children(node: &Node) -> &[(Key, Node)] {
    match &node.content {
        Content::Map(entries) => entries,
        other => panic!("{other:?}"),
    }
}

#[test]
fn values_have_the_types_of_yaml_1_2() {
    let text = "a: 1\nb: -2\nc: 1.5\nd: yes\ne: true\nf: ~\ng:\nh: '1'\ni: 0x10\nj: [x, 2]\n8080: k\non: l\n";
    let document = parse("a.yaml", text.as_bytes()).unwrap();
    assert_eq!(
        document.root().to_json(),
        serde_json::json!({"a": 1, "b": -2, "c": 1.5, "d": "yes", "e": true, "f": null, "g": null, "h": "1",
            "i": 16, "j": ["x", 2], "8080": "k", "on": "l"})
    );
}

#[test]
fn every_key_and_value_knows_its_place() {
    let text = "# comment\nwéb:\n  host: app.example.org\n  empty:\n  list: [a,\n    b]\n  block:\n    - x\n    - {k: v}\nlast: \"q\"\n";
    let document = parse("a.yaml", text.as_bytes()).unwrap();
    let place = |at| document.place(at);
    let (web, section) = &children(document.root())[0];
    assert_eq!(place(web.at), "a.yaml:2:1");
    let keys: Vec<_> = children(section).iter().map(|(key, node)| (place(key.at), place(node.at))).collect();
    let wanted = [("3:3", "3:9"), ("4:3", "4:9"), ("5:3", "5:9"), ("7:3", "8:5")];
    for ((key, value), (wanted_key, wanted_value)) in keys.iter().zip(wanted) {
        assert_eq!(key, &format!("a.yaml:{wanted_key}"));
        assert_eq!(value, &format!("a.yaml:{wanted_value}"));
    }
    let Content::Seq(items) = &children(section)[2].1.content else { panic!("no list") };
    assert_eq!(items.iter().map(|item| place(item.at)).collect::<Vec<_>>(), ["a.yaml:5:10", "a.yaml:6:5"]);
    let Content::Seq(items) = &children(section)[3].1.content else { panic!("no list") };
    assert_eq!(place(items[1].at), "a.yaml:9:7");
    assert_eq!(place(children(&items[1])[0].1.at), "a.yaml:9:11");
    let (last, value) = &children(document.root())[1];
    assert_eq!((place(last.at), place(value.at)), ("a.yaml:10:1".to_owned(), "a.yaml:10:7".to_owned()));
    assert_eq!(document.start(), "a.yaml:1:1");
}

#[test]
fn columns_count_characters_and_lines_may_end_in_crlf_behind_a_byte_order_mark() {
    let document = parse("a.yaml", "\u{feff}é: {ü: ö, b: 1}\r\nc: 2\r\n".as_bytes()).unwrap();
    let entries = children(document.root());
    assert_eq!(document.place(entries[0].0.at), "a.yaml:1:1");
    assert_eq!(document.place(children(&entries[0].1)[1].1.at), "a.yaml:1:14");
    assert_eq!(document.place(entries[1].1.at), "a.yaml:2:4");
    assert_eq!(document.root().get("c").unwrap().1.content, Content::Int(2));
}

#[test]
fn duplicate_keys_are_kept_and_found_at_every_level() {
    let document = parse("a.yaml", b"a: 1\nb:\n  - {c: 1, d: 2, c: 3}\na: 4\n").unwrap();
    let found: Vec<_> = document
        .root()
        .duplicates()
        .into_iter()
        .map(|(first, again)| (again.text.clone(), document.place(first.at), document.place(again.at)))
        .collect();
    let entry =
        |key: &str, first: &str, again: &str| (key.to_owned(), format!("a.yaml:{first}"), format!("a.yaml:{again}"));
    assert_eq!(found, [entry("c", "3:6", "3:18"), entry("a", "1:1", "4:1")]);
}

#[test]
fn an_empty_file_is_null_and_a_list_is_a_list() {
    for empty in ["", "\n\n", "# only a comment\n", "---\n", "~", "\u{feff}"] {
        assert_eq!(parse("a.yaml", empty.as_bytes()).unwrap().root().content, Content::Null, "{empty:?}");
    }
    let document = parse("a.yaml", b"- a\n- b\n").unwrap();
    assert!(matches!(document.root().content, Content::Seq(_)));
    assert_eq!(document.place(document.root().at), "a.yaml:1:1");
}

#[test]
fn a_file_of_ten_megabytes_is_refused_unread() {
    let said = [refusal(vec![b'x'; 10 * 1024 * 1024])];
    assert_said(
        &said,
        "
        a.yaml:1:1: the file is too large: 10485760 bytes, at most 262144 are read (check that this is the right file)
    ",
    );
}

#[test]
fn what_is_no_text_is_refused_with_its_place() {
    let said = [
        refusal(b"a: 1\nb: x\0y\n"),
        refusal(b"a: 1\r\nb: \xe9t\xe9\n"),
        refusal(b"\xff\xfea\0"),
        refusal("a: \u{1b}[31m\n"),
        refusal("a: 1\rb: \u{7f}\n"),
    ];
    assert_said(&said, "
        a.yaml:2:5: a NUL byte: this is not a text file (check that this is the right file)
        a.yaml:2:4: byte 0xe9 is not UTF-8 (save the file as UTF-8; if it is Latin-1: iconv -f ISO-8859-1 -t UTF-8 FILE > NEW)
        a.yaml:1:1: the file is UTF-16, not UTF-8 (save it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE > NEW)
        a.yaml:1:4: the control character U+001B is not allowed (remove it, or write it as an escape between double quotes)
        a.yaml:2:4: the control character U+007F is not allowed (remove it, or write it as an escape between double quotes)
    ");
}

#[test]
fn bombs_are_refused() {
    let mut laughs = String::from("a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]\n");
    for n in 1..12 {
        let before = n - 1;
        let list = vec![format!("*a{before}"); 9].join(", ");
        writeln!(laughs, "a{n}: &a{n} [{list}]").unwrap();
    }
    let said = [
        refusal("[".repeat(100_000)),
        refusal("[".repeat(100_000) + &"]".repeat(100_000)),
        refusal("{a: ".repeat(40) + "1" + &"}".repeat(40)),
        refusal("- ".repeat(33) + "x"),
        refusal("- ".repeat(100_000)),
        refusal("{\"}\": ".repeat(10_001)),
        refusal("%TAG !a! b\n".repeat(17)),
        refusal(laughs),
        refusal("a: &a [*a]\n"),
        refusal("a: &a [x]\nb: [".to_owned() + &"*a,".repeat(10_001) + "]\n"),
        refusal("x\n---\n".repeat(3)),
        refusal("- 1\n".repeat(20_000)),
    ];
    assert_said(&said, "
        a.yaml:1:10001: too many brackets: at most 10000 of [ and { are read (write lists and sections as lines, indented with spaces)
        a.yaml:1:10001: too many brackets: at most 10000 of [ and { are read (write lists and sections as lines, indented with spaces)
        a.yaml:1:129: nested too deeply: at most 32 levels are read (use fewer levels)
        a.yaml:1:65: nested too deeply: at most 32 levels are read (use fewer levels)
        a.yaml:1:65: nested too deeply: at most 32 levels are read (use fewer levels)
        a.yaml:1:60001: too many brackets: at most 10000 of [ and { are read (write lists and sections as lines, indented with spaces)
        a.yaml:17:1: too many directives: at most 16 lines may begin with % (remove them; none is needed)
        a.yaml:1:26: too many keys and values: at most 20000 are read, aliases counted each time (remove what is not needed; write values out instead of aliases to aliases)
        a.yaml:1:4: nested too deeply: at most 32 levels are read (use fewer levels)
        a.yaml:1:4: too many keys and values: at most 20000 are read, aliases counted each time (remove what is not needed; write values out instead of aliases to aliases)
        a.yaml:3:1: a second document begins here; a file holds one (remove the line `---`, or put what follows in a file of its own)
        a.yaml:20000:3: too many keys and values: at most 20000 are read, aliases counted each time (remove what is not needed; write values out instead of aliases to aliases)
    ");
}

#[test]
fn thirty_two_levels_are_not_too_deep() {
    assert!(parse("a.yaml", ("[".repeat(32) + &"]".repeat(32)).as_bytes()).is_ok());
    assert!(parse("a.yaml", "- 1\n".repeat(19_999).as_bytes()).is_ok());
}

#[test]
fn broken_yaml_is_explained() {
    let said = [
        refusal("a:\n\tb: 1\n"),
        refusal("a:\n  b: 1\n  \tc: 2\n"),
        refusal("a: b: c\n"),
        refusal("a: 1\n b: 2\n"),
        refusal("a:\n  b: 1\n c: 2\n"),
        refusal("a: \"open\nb: 1\n"),
        refusal("a: [1, 2\nb: 3\n"),
        refusal("a: @x\n"),
        refusal("a: *x\n"),
        refusal("a: !include x\n"),
        refusal("a: \"\\q\"\n"),
        refusal("a\nb: 1\n"),
        refusal("{a: 1}: 2\n"),
        refusal("? [a]\n: 2\n"),
        refusal("a: 99999999999999999999\n"),
        refusal("a: 1\n---\nb: 2\n"),
        refusal("a: 1\n...\n@\n"),
    ];
    assert_said(
        &said,
        r"
        a.yaml:2:1: a tab is used to indent (indent with spaces, two for each level)
        a.yaml:3:3: a tab is used to indent (indent with spaces, two for each level)
        a.yaml:1:5: this is not valid YAML: mapping values are not allowed in this context (put a value that contains `: ` between quotes, and check the indentation)
        a.yaml:2:3: this is not valid YAML: mapping values are not allowed in this context (put a value that contains `: ` between quotes, and check the indentation)
        a.yaml:3:2: this is not valid YAML: did not find expected key, while parsing a block mapping (check the indentation of this line and of the one before, and the quotes)
        a.yaml:2:5: this is not valid YAML: found unexpected end of stream, while scanning a quoted scalar at line 1 column 4 (close the quote)
        a.yaml:2:2: this is not valid YAML: did not find expected ',' or ']', while parsing a flow sequence at line 1 column 4 (close the bracket, and put commas between the entries)
        a.yaml:1:4: this is not valid YAML: found character that cannot start any token, while scanning for the next token (put a value that begins with @, ` or % between quotes)
        a.yaml:1:4: this is not valid YAML: unknown anchor (write the value out, or put it between quotes if it begins with *)
        a.yaml:1:4: a tag (!…) is not allowed (write the plain value, between quotes if it begins with !)
        a.yaml:1:5: this is not valid YAML: found unknown escape character, while parsing a quoted scalar at line 1 column 4 (use single quotes, or write \\ for a backslash)
        a.yaml:2:2: this is not valid YAML: mapping values are not allowed in this context (put a value that contains `: ` between quotes, and check the indentation)
        a.yaml:1:1: a key must be text (write `name: value`; a value that begins with { or [ goes between quotes)
        a.yaml:1:3: a key must be text (write `name: value`; a value that begins with { or [ goes between quotes)
        a.yaml:1:4: a number this large cannot be read (use at most 9223372036854775807; if it is text, put it between quotes)
        a.yaml:3:1: a second document begins here; a file holds one (remove the line `---`, or put what follows in a file of its own)
        a.yaml:3:1: this is not valid YAML: found character that cannot start any token, while scanning for the next token (put a value that begins with @, ` or % between quotes)
    ",
    );
}

#[test]
fn typed_reading_says_where_it_failed() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Small {
        #[expect(dead_code)]
        count: u32,
    }
    let small = |text: &str| from_slice::<Small>("g.yaml", text.as_bytes()).unwrap_err()[0].to_string();
    let said = [
        small("count: many\n"),
        small("count: 1\nother: 2\n"),
        small("count: 1\ncount: 2\n"),
        small("{}"),
        small("count: [\n"),
    ];
    assert_said(
        &said,
        r#"
        g.yaml:1:8: count: invalid type: string "many", expected u32
        g.yaml:2:1: unknown field `other`, expected `count`
        g.yaml:2:1: 'count' is given twice (the first one is at g.yaml:1:1; keep one of them)
        g.yaml:1:1: missing field `count`
        g.yaml:1:9: this is not valid YAML: did not find expected node content, while parsing a flow node (check the indentation, the quotes and the colons of this line and of the one before)
    "#,
    );
}

#[test]
fn what_is_written_inline_reads_back() {
    for value in [
        serde_json::json!("plain"),
        serde_json::json!("yes"),
        serde_json::json!("true"),
        serde_json::json!("12"),
        serde_json::json!("1e3"),
        serde_json::json!("0x1f"),
        serde_json::json!(""),
        serde_json::json!(" lead"),
        serde_json::json!("a: b"),
        serde_json::json!("a # b"),
        serde_json::json!("two\nlines"),
        serde_json::json!("⟦é⟧"),
        serde_json::json!("\u{85}\u{2028}\u{feff}"),
        serde_json::json!("a\u{2028}b"),
        serde_json::json!(["a \u{2029} b"]),
        serde_json::json!(["a", "b, c", 3, true]),
        serde_json::json!({"generate": 32}),
        serde_json::json!({"file": "/a b"}),
    ] {
        let line = inline(&value).unwrap();
        assert!(!line.contains('\n'), "{line}");
        let document = parse("a.yaml", format!("k: {line}  # comment\n").as_bytes()).unwrap();
        assert_eq!(document.root().get("k").unwrap().1.to_json(), value, "{line}");
    }
}

#[test]
fn aliases_to_a_long_text_are_counted_by_their_length() {
    let long = "x".repeat(100_000);
    let aliases = vec!["*a"; 15_000].join(",");
    let text = format!("a: &a {long}\nb: [{aliases}]\n");
    let problems = parse("f", text.as_bytes()).unwrap_err();
    assert!(problems[0].message.contains("too long: at most 4 MiB"), "{problems:?}");
}
