//! Versions, what a project demands of them, and the conditions (markers) of its packages, as PEP 440 and PEP 508 have
//! them, and Poetry's own notation.

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// A version: its numbers, what comes before or after them, and that one's number.
#[derive(Clone, Debug)]
pub struct Version {
    numbers: Vec<u64>,
    phase: (i8, u64),
}

/// What may follow the numbers; 0 is a release.
const PHASES: [(&str, i8); 12] = [
    ("dev", -4),
    ("alpha", -3),
    ("a", -3),
    ("beta", -2),
    ("b", -2),
    ("preview", -1),
    ("pre", -1),
    ("rc", -1),
    ("c", -1),
    ("post", 1),
    ("rev", 1),
    ("r", 1),
];

impl Version {
    /// Reads one; none where it is none. An epoch is not read.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let text = text.strip_prefix('v').unwrap_or(&text);
        let text = text.split('+').next()?;
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (numbers, rest) = text.split_at(end);
        let numbers: Option<Vec<u64>> = numbers.trim_end_matches('.').split('.').map(|n| n.parse().ok()).collect();
        let rest = rest.trim_start_matches(['.', '-', '_']);
        let phase = if rest.is_empty() {
            (0, 0)
        } else {
            let (name, rank) = PHASES.into_iter().find(|(name, _)| rest.starts_with(name))?;
            let number = rest[name.len()..].trim_start_matches(['.', '-', '_']);
            let number: String = number.chars().take_while(char::is_ascii_digit).collect();
            (rank, number.parse().unwrap_or(0))
        };
        Some(Self { numbers: numbers?, phase })
    }

    fn number(&self, at: usize) -> u64 {
        self.numbers.get(at).copied().unwrap_or(0)
    }

    fn begins_with(&self, numbers: &[u64]) -> bool {
        numbers.iter().enumerate().all(|(at, number)| self.number(at) == *number)
    }

    fn compare(&self, other: &Self) -> Ordering {
        let length = self.numbers.len().max(other.numbers.len());
        let numbers = (0..length).map(|at| self.number(at).cmp(&other.number(at))).find(|order| order.is_ne());
        numbers.unwrap_or_else(|| self.phase.cmp(&other.phase))
    }
}

/// Whether a version meets one clause, such as `>=` and `3.9`; none where the clause cannot be read.
fn meets_clause(version: &Version, operator: &str, wanted: &str) -> Option<bool> {
    let wanted = wanted.trim();
    if let Some(beginning) = wanted.strip_suffix(".*") {
        let same = version.begins_with(&Version::new(beginning)?.numbers);
        return match operator {
            "==" => Some(same),
            "!=" => Some(!same),
            _ => None,
        };
    }
    let wanted = Version::new(wanted)?;
    let order = version.compare(&wanted);
    Some(match operator {
        "==" | "===" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        ">=" => order.is_ge(),
        "~=" => order.is_ge() && version.begins_with(wanted.numbers.split_last()?.1),
        _ => return None,
    })
}

/// The operators, longer ones first.
const OPERATORS: [&str; 8] = ["===", "~=", "==", "!=", "<=", ">=", "<", ">"];

fn split_operator(clause: &str) -> Option<(&'static str, &str)> {
    OPERATORS.into_iter().find_map(|operator| Some((operator, clause.strip_prefix(operator)?.trim())))
}

/// Whether a version meets clauses such as `>=3.9,<4`; none where they cannot be read.
pub fn meets(version: &str, clauses: &str) -> Option<bool> {
    let version = Version::new(version)?;
    for clause in clauses.split(',').map(str::trim).filter(|clause| !clause.is_empty()) {
        let (operator, wanted) = split_operator(clause)?;
        if !meets_clause(&version, operator, wanted)? {
            return Some(false);
        }
    }
    Some(true)
}

/// What Poetry writes, such as `^1.2` or `>=3.9,<4 || ^5`, as clauses of PEP 440, for each of the alternatives.
pub fn of_poetry(constraint: &str) -> Option<Vec<String>> {
    constraint.split("||").map(|one| of_poetry_one(one.trim())).collect()
}

fn of_poetry_one(constraint: &str) -> Option<String> {
    let mut clauses = Vec::new();
    // An operator may be apart from its version, and a comma may be left out.
    let mut words = constraint.split([',', ' ']).filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        let alone = word.chars().all(|c| "=!<>~^".contains(c));
        let word = if alone { format!("{word}{}", words.next()?) } else { word.to_owned() };
        if word == "*" {
            continue;
        }
        if let Some(from) = word.strip_prefix('^') {
            let numbers = Version::new(from)?.numbers;
            // What counts is the first number other than 0, or the last one that is written.
            let counts = numbers.iter().position(|number| *number != 0).unwrap_or(numbers.len() - 1);
            clauses.push(format!(">={from},<{}", above(&numbers[..=counts])));
        } else if let (Some(from), false) = (word.strip_prefix('~'), word.starts_with("~=")) {
            let numbers = Version::new(from)?.numbers;
            clauses.push(format!(">={from},<{}", above(&numbers[..numbers.len().min(2)])));
        } else if let Some((operator, wanted)) = split_operator(&word) {
            Version::new(wanted.strip_suffix(".*").unwrap_or(wanted))?;
            clauses.push(format!("{operator}{wanted}"));
        } else {
            Version::new(word.strip_suffix(".*").unwrap_or(&word))?;
            clauses.push(format!("=={word}"));
        }
    }
    Some(clauses.join(","))
}

/// The first version that does not begin with these numbers.
fn above(numbers: &[u64]) -> String {
    let (last, first) = numbers.split_last().unwrap_or((&0, &[]));
    let numbers: Vec<String> =
        first.iter().copied().chain([last.saturating_add(1)]).map(|number| number.to_string()).collect();
    numbers.join(".")
}

/// Whether a condition such as `python_version < "3.11" and sys_platform == "linux"` is met, by the values of its
/// variables; `Err` has what cannot be read.
pub fn is_met(marker: &str, variables: &BTreeMap<String, String>) -> Result<bool, String> {
    let words = words(marker)?;
    let mut reader = Reader { words: &words, variables, depth: 0 };
    let met = reader.any()?;
    if reader.words.is_empty() { Ok(met) } else { Err(marker.to_owned()) }
}

#[derive(Debug, PartialEq, Eq)]
enum Word {
    Bare(String),
    Quoted(String),
}

fn words(marker: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut rest = marker.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first == '"' || first == '\'' {
            let end = rest[1..].find(first).ok_or_else(|| marker.to_owned())?;
            words.push(Word::Quoted(rest[1..=end].to_owned()));
            end + 2
        } else {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
            let same = |c: char| if is_name(first) { is_name(c) } else { "=!<>~".contains(c) };
            let end = if "()".contains(first) { 1 } else { rest.find(|c| !same(c)).unwrap_or(rest.len()) };
            if end == 0 {
                return Err(marker.to_owned());
            }
            words.push(Word::Bare(rest[..end].to_owned()));
            end
        };
        rest = rest[length..].trim_start();
    }
    Ok(words)
}

/// Parentheses within each other; tools write two. A hostile file could have a million.
const DEEPEST: usize = 50;

struct Reader<'a> {
    words: &'a [Word],
    variables: &'a BTreeMap<String, String>,
    depth: usize,
}

impl Reader<'_> {
    fn takes(&mut self, word: &str) -> bool {
        let is = matches!(self.words.first(), Some(Word::Bare(first)) if first == word);
        if is {
            self.words = &self.words[1..];
        }
        is
    }

    fn any(&mut self) -> Result<bool, String> {
        let mut met = self.all()?;
        while self.takes("or") {
            met |= self.all()?;
        }
        Ok(met)
    }

    fn all(&mut self) -> Result<bool, String> {
        let mut met = self.one()?;
        while self.takes("and") {
            met &= self.one()?;
        }
        Ok(met)
    }

    fn one(&mut self) -> Result<bool, String> {
        if self.takes("(") {
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err("too many parentheses".to_owned());
            }
            let met = self.any()?;
            self.depth -= 1;
            return if self.takes(")") { Ok(met) } else { Err("a parenthesis is not closed".to_owned()) };
        }
        let (left, left_is_version) = self.operand()?;
        let operator = match self.words.split_first() {
            Some((Word::Bare(operator), rest)) => {
                self.words = rest;
                operator.clone()
            }
            _ => return Err(format!("no comparison after {left}")),
        };
        let operator = if operator == "not" && self.takes("in") { "not in" } else { operator.as_str() };
        let (right, right_is_version) = self.operand()?;
        compare(&left, operator, &right, left_is_version || right_is_version)
            .ok_or_else(|| format!("{left} {operator} {right}"))
    }

    /// Its value, and whether it is a version.
    fn operand(&mut self) -> Result<(String, bool), String> {
        let Some((first, rest)) = self.words.split_first() else { return Err("it ends too early".to_owned()) };
        self.words = rest;
        match first {
            Word::Quoted(text) => Ok((text.clone(), false)),
            Word::Bare(name) => match self.variables.get(name) {
                Some(value) => Ok((value.clone(), name.ends_with("_version") && name != "platform_version")),
                None => Err(name.clone()),
            },
        }
    }
}

fn compare(left: &str, operator: &str, right: &str, versions: bool) -> Option<bool> {
    match operator {
        "in" => return Some(right.contains(left)),
        "not in" => return Some(!right.contains(left)),
        _ => {}
    }
    if versions {
        // A condition may have the version on its left.
        if let Some(met) = Version::new(left).and_then(|left| meets_clause(&left, operator, right)) {
            return Some(met);
        }
    }
    Some(match operator {
        "==" | "===" => left == right,
        "!=" => left != right,
        "<" => left < right,
        "<=" => left <= right,
        ">" => left > right,
        ">=" => left >= right,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (version, clauses, met) in [
            ("3.11.2", ">=3.9", true),
            ("3.9", ">=3.10", false),
            ("3.11.2", ">=3.9,<3.11", false),
            ("3.11.2", "==3.11.*", true),
            ("3.11.2", "!=3.11.*", false),
            ("3.11.2", "~=3.10", true),
            ("4.0", "~=3.10", false),
            ("3.11.2", "~=3.11.0", true),
            ("3.12", "~=3.11.0", false),
            ("3.14.0rc1", "<3.14", true),
            ("3.14.0.post1", ">3.14", true),
            ("3.13.0", "==3.13", true),
            ("3.13", "", true),
        ] {
            assert_eq!(meets(version, clauses), Some(met), "{version} {clauses}");
        }
        assert_eq!(meets("3.11", "3.9"), None);
        assert_eq!(meets("3.11", ">=x"), None);
    }

    #[test]
    fn what_poetry_writes_has_a_meaning_elsewhere() {
        for (poetry, clauses) in [
            ("^1.2.3", ">=1.2.3,<2"),
            ("^0.2.3", ">=0.2.3,<0.3"),
            ("^0.0.3", ">=0.0.3,<0.0.4"),
            ("^0.0", ">=0.0,<0.1"),
            ("^3", ">=3,<4"),
            ("~1.2.3", ">=1.2.3,<1.3"),
            ("~1", ">=1,<2"),
            ("^18446744073709551615", ">=18446744073709551615,<18446744073709551615"),
            ("*", ""),
            ("1.2.*", "==1.2.*"),
            ("1.2", "==1.2"),
            (">= 3.9, <4.0", ">=3.9,<4.0"),
            (">=3.9 <4.0", ">=3.9,<4.0"),
            ("~=3.9", "~=3.9"),
        ] {
            assert_eq!(of_poetry(poetry), Some(vec![clauses.to_owned()]), "{poetry}");
        }
        assert_eq!(of_poetry("^2.7 || ^3.9").unwrap().len(), 2);
        assert_eq!(of_poetry("latest"), None);
    }

    #[test]
    fn conditions_are_read_as_pip_reads_them() {
        let variables = [
            ("python_version", "3.9"),
            ("python_full_version", "3.9.2"),
            ("sys_platform", "linux"),
            ("platform_machine", "x86_64"),
            ("extra", ""),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        for (marker, met) in [
            ("python_version < '3.10'", true),
            ("python_full_version >= \"3.11\"", false),
            ("'3.8' < python_version", true),
            ("python_version in '3.8, 3.9'", true),
            ("sys_platform == 'win32' or python_version < '3.10' and sys_platform == 'linux'", true),
            ("(sys_platform == 'win32' or python_version < '3.10') and sys_platform == 'darwin'", false),
            ("platform_machine not in 'arm64 aarch64'", true),
            ("extra == 'cpu'", false),
            ("python_full_version == '3.9.*'", true),
        ] {
            assert_eq!(is_met(marker, &variables), Ok(met), "{marker}");
        }
        for odd in [
            "python_version",
            "os.name == 'posix'",
            "(sys_platform == 'x'",
            "sys_platform == 'x",
            "a & b",
            "",
            "sys_platform ! 'x'",
        ] {
            assert!(is_met(odd, &variables).is_err(), "{odd}");
        }
        assert!(is_met(&"(".repeat(1_000_000), &variables).is_err(), "it does not fill the stack");
    }
}
