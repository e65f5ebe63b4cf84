//! Files of environment variables, as applications have them (`.env`): a small, strict grammar.
//!
//! Programs read such files differently: some replace `$NAME` and some do not, some know escapes, some take quotes as
//! they are. What they agree on is accepted, and the rest refused with what to write instead, so that a secret never
//! changes silently. (The crate dotenvy replaces `$NAME` from our own environment, and quotes lines in its messages.)
//! No message here has a value.

use std::collections::BTreeMap;
use std::path::Path;

use crate::host::{Host, Kind};

/// Longer files are refused, in bytes.
const LONGEST: u64 = 256 << 10;

/// Names with values.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct EnvFile {
    /// Each with the line that it begins in, and its value.
    pub entries: BTreeMap<String, (usize, String)>,
    /// Whether others than root can read it.
    pub exposed: bool,
}

/// What is wrong with a file, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The problem, with the file and the line.
    pub message: String,
    /// What is allowed, or what to do.
    pub hint: String,
}

fn refused<T>(message: String, hint: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { message, hint: hint.into() })
}

/// Reads a file that only root can change; none where there is none.
pub fn read(host: &dyn Host, path: &Path) -> Result<Option<EnvFile>, Refused> {
    let shown = path.display();
    let unreadable = |e: std::io::Error| {
        let hint = if host.euid() == 0 { "check the path" } else { "only root may be able to read it: use sudo" };
        Refused { message: format!("cannot read {shown}: {e}"), hint: hint.to_owned() }
    };
    let Some(stat) = host.stat(path).map_err(unreadable)? else { return Ok(None) };
    match stat.kind {
        Kind::File => {}
        Kind::Symlink => return refused(format!("{shown} is a link"), "name the file itself"),
        _ => return refused(format!("{shown} is not a regular file"), "name a file with lines such as DEBUG=0"),
    }
    let by_group = stat.meta.mode & 0o020 != 0 && stat.meta.gid != 0;
    if stat.meta.uid != 0 || by_group || stat.meta.mode & 0o002 != 0 {
        let why = format!(
            "users other than root can change {shown} (user id {}, mode {:04o})",
            stat.meta.uid, stat.meta.mode
        );
        return refused(why, format!("chown root:root {shown} && chmod 600 {shown}"));
    }
    for above in path.ancestors().skip(1) {
        let Some(stat) = host.stat(above).map_err(unreadable)? else { continue };
        let by_group = stat.meta.mode & 0o020 != 0 && stat.meta.gid != 0;
        let by_others = (by_group || stat.meta.mode & 0o002 != 0) && stat.kind == Kind::Dir;
        if stat.meta.uid != 0 || by_others {
            let why = format!("users other than root can change {}, and so exchange {shown}", above.display());
            return refused(why, "put the file into a directory that only root can change, such as /root");
        }
    }
    if stat.size > LONGEST {
        return refused(format!("{shown} is too large"), format!("at most {}", crate::human_bytes::human(LONGEST)));
    }
    let bytes = host.read_at_most(path, LONGEST).map_err(unreadable)?;
    let Ok(text) = String::from_utf8(bytes) else {
        return refused(format!("{shown} is not UTF-8 text"), "write it as UTF-8");
    };
    let by_group = stat.meta.mode & 0o040 != 0 && stat.meta.gid != 0;
    let exposed = by_group || stat.meta.mode & 0o004 != 0;
    let entries = parse(&text).map_err(|(line, message, hint)| Refused {
        message: format!("{shown}, line {line}: {message}"),
        hint: hint.to_owned(),
    })?;
    Ok(Some(EnvFile { entries, exposed }))
}

type Wrong = (usize, String, &'static str);

const NAMES: &str = "a name has letters, digits and _, and begins with no digit";
const QUOTE: &str = "put the value between single quotes, in which every character stands for itself";

/// The grammar: empty lines, `# comments`, and `NAME=value` with or without `export` before it. A value is between single
/// quotes, where every character stands for itself; between double quotes, where `\n`, `\r`, `\t`, `\\`, `\"` and `\$`
/// are escapes; or a bare word up to the end of the line, or to a space and `#`. Quoted ones may have several lines.
fn parse(text: &str) -> Result<BTreeMap<String, (usize, String)>, Wrong> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let mut found: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let (mut rest, mut line) = (text.as_str(), 1);
    while !rest.is_empty() {
        let (head, tail) = rest.split_once('\n').unwrap_or((rest, ""));
        let statement = head.trim();
        if statement.is_empty() || statement.starts_with('#') {
            (rest, line) = (tail, line + 1);
            continue;
        }
        let named = head.trim_start();
        let named = named.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])).unwrap_or(named);
        let Some((name, _)) = named.split_once('=') else {
            return Err((line, "it has no `=`".to_owned(), "write NAME=value, or # before a comment"));
        };
        let name = name.trim();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(is_part) {
            // What stands there may be a part of a secret.
            return Err((line, "what is before `=` is no name".to_owned(), NAMES));
        }
        if let Some((first, _)) = found.get(name) {
            return Err((line, format!("{name} is given in line {first} already"), "keep one of them"));
        }
        let start = rest.len() - rest.split_once('=').map_or("", |(_, after)| after).len();
        let (value, after) =
            value(&rest[start..]).map_err(|(message, hint)| (line, format!("{name} {message}"), hint))?;
        let is_odd = |c: char| c.is_control() && !"\n\r\t".contains(c);
        if let Some(odd) = value.chars().find(|c| is_odd(*c)) {
            let message = format!("{name} contains the character U+{:04X}", u32::from(odd));
            return Err((line, message, "remove it"));
        }
        found.insert(name.to_owned(), (line, value));
        let used = rest.len() - after.len();
        line += rest[..used].matches('\n').count();
        rest = after;
    }
    Ok(found)
}

/// The value at the beginning of `text`, and what is after its line.
fn value(text: &str) -> Result<(String, &str), (&'static str, &'static str)> {
    let text = text.trim_start_matches([' ', '\t']);
    let (value, rest) = match text.chars().next() {
        Some('\'') => {
            let Some((value, rest)) = text[1..].split_once('\'') else {
                return Err(("has no closing quote", "end the value with '"));
            };
            (value.to_owned(), rest)
        }
        Some('"') => double_quoted(&text[1..])?,
        _ => {
            let end = text.find('\n').unwrap_or(text.len());
            return Ok((bare(&text[..end])?, text.get(end + 1..).unwrap_or_default()));
        }
    };
    let (more, rest) = rest.split_once('\n').unwrap_or((rest, ""));
    let is_comment = more.starts_with([' ', '\t']) && more.trim_start().starts_with('#');
    if more.trim().is_empty() || is_comment {
        return Ok((value, rest));
    }
    Err(("has something after its closing quote", QUOTE))
}

fn bare(text: &str) -> Result<String, (&'static str, &'static str)> {
    let comment = text.match_indices('#').find(|(at, _)| text[..*at].ends_with([' ', '\t']) || *at == 0);
    let value = comment.map_or(text, |(at, _)| &text[..at]).trim();
    if value.contains(['\'', '"', '\\', '`']) {
        return Err(("has a quote or a backslash, which programs read differently", QUOTE));
    }
    if replaced(value) {
        return Err(("has a `$` that some programs replace", QUOTE));
    }
    Ok(value.to_owned())
}

/// Whether something would be replaced: `$NAME`, `${NAME}`, `$(command)`.
fn replaced(text: &str) -> bool {
    text.match_indices('$').any(|(at, _)| begins_replaced(&text[at + 1..]))
}

fn begins_replaced(after_dollar: &str) -> bool {
    after_dollar.starts_with(|c: char| c.is_ascii_alphanumeric() || "_{($".contains(c))
}

fn double_quoted(text: &str) -> Result<(String, &str), (&'static str, &'static str)> {
    const ESCAPES: &str = "between double quotes, \\n, \\r, \\t, \\\\, \\\" and \\$ are known";
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => value.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, 'r')) => '\r',
                Some((_, 't')) => '\t',
                Some((_, c @ ('\\' | '"' | '$'))) => c,
                _ => return Err(("has an unknown escape", ESCAPES)),
            }),
            '`' => return Err(("has a ` that some programs replace", QUOTE)),
            '$' if begins_replaced(&text[at + 1..]) => {
                return Err(("has a `$` that some programs replace", "write \\$, or use single quotes"));
            }
            c => value.push(c),
        }
    }
    Err(("has no closing quote", "end the value with \""))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::host::Meta;
    use crate::host::fake::FakeHost;

    fn one(text: &str) -> Result<String, String> {
        match parse(text) {
            Ok(found) => Ok(found.into_values().map(|(_, value)| value).collect::<Vec<_>>().join("|")),
            Err((line, message, hint)) => Err(format!("{line}: {message} ({hint})")),
        }
    }

    #[test]
    fn values_that_programs_agree_on_are_taken_as_they_are() {
        for (text, value) in [
            ("A=1", "1"),
            ("A=1\r\nB=2\r\n", "1|2"),
            ("\u{feff}A=1", "1"),
            ("export A=1", "1"),
            ("  A = 1  ", "1"),
            ("A=", ""),
            ("A= # nothing", ""),
            ("A=''", ""),
            ("A=b#c # d", "b#c"),
            ("A=a b=c", "a b=c"),
            ("A=5$", "5$"),
            ("A=postgres://u:p@h/d?x=1&y=2", "postgres://u:p@h/d?x=1&y=2"),
            ("A='it is $5 \"#1\" \\n' # why", "it is $5 \"#1\" \\n"),
            ("A='one\ntwo\n'\nB=3", "one\ntwo\n|3"),
            (r#"A="a\n\t\\\"\$x ' # $ 5""#, "a\n\t\\\"$x ' # $ 5"),
            ("A=\"one\ntwo\"\n\n# x\nB='3'", "one\ntwo|3"),
            ("exported=1", "1"),
            ("A=ü", "ü"),
        ] {
            assert_eq!(one(text), Ok(value.to_owned()), "{text:?}");
        }
        let found = parse("# x\nA='1\n2'\n\nB=3\n").unwrap();
        assert_eq!((found["A"].0, found["B"].0), (2, 5), "the line of each");
    }

    #[test]
    fn what_programs_read_differently_is_refused_with_its_line_and_never_shown() {
        for (text, why) in [
            ("A=1\nhunter22", "2: it has no `=` (write NAME=value"),
            ("hunter 22=x", "1: what is before `=` is no name"),
            ("1A=x", "1: what is before"),
            ("=x", "1: what is before"),
            ("A=1\n\nA=2", "3: A is given in line 1 already"),
            ("A='hunter22", "1: A has no closing quote (end the value with ')"),
            ("A=\"hunter22\n\n", "1: A has no closing quote"),
            ("A='hunter'22", "1: A has something after its closing quote"),
            ("A='x'#hunter", "1: A has something after"),
            ("A=hun\"ter22", "1: A has a quote or a backslash"),
            ("A=hunter\\22", "1: A has a quote or a backslash"),
            ("A=hunter$x", "1: A has a `$` that some programs replace (put the value between single quotes"),
            ("A=${hunter}", "1: A has a `$`"),
            ("A=\"hunter$(id)\"", "1: A has a `$` that some programs replace (write \\$"),
            ("A=\"hunter\\x\"", "1: A has an unknown escape"),
            ("A=\"`hunter`\"", "1: A has a `"),
            ("A='\u{7}hunter'", "1: A contains the character U+0007"),
        ] {
            let told = one(text).unwrap_err();
            assert!(told.starts_with(why) && !told.contains("hunter"), "{text:?}: {told}");
        }
    }

    #[test]
    fn only_a_file_that_root_alone_can_change_is_read() {
        let host = FakeHost::new();
        let read = |path: &str| read(&host, Path::new(path));
        assert_eq!(read("/root/none"), Ok(None));
        host.put_file("/root/shop.env", "A=1\n", 0o600);
        let file = read("/root/shop.env").unwrap().unwrap();
        assert_eq!((file.entries["A"].clone(), file.exposed), ((1, "1".to_owned()), false));
        host.put_file("/root/shop.env", "A=1\n", 0o644);
        assert!(read("/root/shop.env").unwrap().unwrap().exposed);
        host.put_file("/root/shop.env", "A=1\nB\n", 0o600);
        assert!(read("/root/shop.env").unwrap_err().message.starts_with("/root/shop.env, line 2: it has no"));
        let told = |path: &str| read(path).unwrap_err().message;
        host.put_file("/root/open.env", "A=1\n", 0o606);
        assert!(told("/root/open.env").contains("users other than root can change /root/open.env"));
        host.put_file("/root/theirs.env", "A=1\n", 0o600);
        host.set_meta("/root/theirs.env".as_ref(), Meta { mode: 0o600, uid: 1000, gid: 1000 }).unwrap();
        assert!(told("/root/theirs.env").contains("user id 1000"));
        host.make_symlink("/root/link.env".as_ref(), "shop.env".as_ref()).unwrap();
        assert!(told("/root/link.env").contains("is a link"));
        assert!(told("/root").contains("is not a regular file"));
        host.put_file("/home/anna/shop.env", "A=1\n", 0o600);
        host.set_meta("/home/anna".as_ref(), Meta { mode: 0o755, uid: 1000, gid: 1000 }).unwrap();
        assert!(told("/home/anna/shop.env").contains("can change /home/anna"));
        host.put_file("/root/large.env", vec![b'#'; usize::try_from(LONGEST).unwrap() + 1], 0o600);
        assert!(told("/root/large.env").contains("too large"));
        host.put_file("/root/odd.env", [b'A', b'=', 0xff], 0o600);
        assert!(told("/root/odd.env").contains("not UTF-8"));
    }
}
