//! The file and the line that a test's output names, in each server's format.

/// Lines about the outcome, not about the fault.
const VERDICTS: [&str; 6] = [
    "test failed",
    "contains errors",
    "terminating,",
    "The Apache error log may have more information",
    "For help, use",
    "Action 'configtest' failed",
];

/// The place (`file:line`, or the file alone) and the description of the fault.
pub(crate) fn find(lines: &[&str]) -> (Option<String>, Option<String>) {
    let telling: Vec<&str> = lines.iter().copied().filter(|line| !is_verdict(line) && !is_harmless(line)).collect();
    let at = telling.iter().position(|line| place(line).is_some_and(|place| place.contains(':')));
    let at = at.or_else(|| telling.iter().position(|line| place(line).is_some()));
    let Some(at) = at else {
        let file = lines.iter().find_map(|line| place(line));
        return (file, telling.first().map(|line| words(line)));
    };
    let mut said = words(telling[at]);
    // Apache names the place in one line and the fault in the next; supervisor the other way round.
    if said.ends_with(':') {
        let next = telling.get(at + 1).copied().unwrap_or_default();
        said = format!("{said} {next}");
    } else if said.starts_with("file: ") && at > 0 {
        said = words(telling[at - 1]);
    }
    (place(telling[at]), Some(said))
}

fn is_verdict(line: &str) -> bool {
    VERDICTS.iter().any(|verdict| line.contains(verdict))
}

fn is_harmless(line: &str) -> bool {
    ["[Warning]", "[warn]", "[Note]", "AH00558", "[notice]", "onfig validation run"]
        .iter()
        .any(|mark| line.contains(mark))
}

/// Without the time and the process that servers put before what they say.
fn words(line: &str) -> String {
    let line = line.trim();
    let after = |mark: &str| line.split_once(mark).map(|(_, rest)| rest.trim_start());
    let said = after("[emerg] ").map(|rest| {
        let numbered = rest.split_once(": ").filter(|(pid, _)| pid.contains('#'));
        numbered.map_or(rest, |(_, rest)| rest)
    });
    let said = said.or_else(|| after("[ERROR] ").map(|rest| rest.trim_start_matches("Buffered error: ")));
    let said = said.or_else(|| after("LOG:  ")).or_else(|| after("FATAL:  "));
    said.unwrap_or(line).to_owned()
}

/// The file that a line names, with the number of its line.
fn place(line: &str) -> Option<String> {
    let path = paths(line).into_iter().find(|path| is_configuration(path))?;
    let number = |text: &str| {
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        (!digits.is_empty()).then_some(digits)
    };
    let beside = line.split_once(path.as_str()).and_then(|(_, rest)| number(rest.strip_prefix(':')?));
    let named = || {
        let words = line.match_indices("line").map(|(at, word)| &line[at + word.len()..]);
        words.into_iter().find_map(|rest| number(rest.trim_start_matches([':', ' '])))
    };
    Some(beside.or_else(named).map_or(path.clone(), |number| format!("{path}:{number}")))
}

/// Programs name themselves, too.
fn is_configuration(path: &str) -> bool {
    !["/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/", "/usr/lib/"].iter().any(|dir| path.starts_with(dir))
}

/// The absolute paths in a line.
pub fn paths(line: &str) -> Vec<String> {
    let end = |c: char| c.is_whitespace() || "'\"`():,;<>[]".contains(c);
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find('/') {
        let begins = rest[..at].chars().next_back().is_none_or(end);
        let path = rest[at..].split(end).next().unwrap_or_default();
        // What begins with two is the rest of a web address.
        if begins && path.len() > 1 && !path.starts_with("//") {
            found.push(path.trim_end_matches('.').to_owned());
        }
        rest = &rest[at + path.len().max(1)..];
    }
    found
}
