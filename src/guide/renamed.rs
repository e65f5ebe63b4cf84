//! Former names of keys: an old one is refused with its present name.

use crate::suggest;

/// Old and new, each for itself: what is legal where is known to those who ask.
const RENAMED: [(&str, &str); 20] = [
    ("about", "field"),
    ("absent", "remove"),
    ("because", "reason"),
    ("before", "preflight"),
    ("brought", "installed_by_us"),
    ("data", "user_data"),
    ("each", "for_each"),
    ("figures", "locals"),
    ("job", "queue_roundtrip"),
    ("late", "phase"),
    ("listens", "ports"),
    ("or", "accept_target"),
    ("own", "server_names"),
    ("patience", "retry_for"),
    ("rehearse", "dry_run"),
    ("results", "outputs"),
    ("row", "database_roundtrip"),
    ("skippable", "skip_reason"),
    ("standing", "applied"),
    ("within", "timeout"),
];

/// The one of `known` that `name` is called today, or that is most like it.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let known: Vec<&str> = known.into_iter().collect();
    let new = RENAMED.iter().find(|(old, _)| *old == name).map(|(_, new)| *new);
    known.iter().copied().find(|one| Some(*one) == new).or_else(|| suggest::nearest(name, known))
}

/// What to do where serde's message is about a key that has another name today.
pub(super) fn hint(message: &str) -> Option<String> {
    let key = |begin: &str| message.split_once(begin)?.1.split('`').next();
    let (old, new) = match (key("unknown field `"), key("missing field `")) {
        (Some(unknown), _) => RENAMED.iter().find(|(old, _)| *old == unknown)?,
        (_, Some(missing)) => RENAMED.iter().find(|(_, new)| *new == missing)?,
        _ => return None,
    };
    Some(format!("`{old}` is called `{new}` now"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;

    use crate::error::Problem;
    use crate::guide::load::load_dir;
    use crate::host::fake::FakeHost;

    fn problems(stage: &str) -> Vec<Problem> {
        let host = FakeHost::new();
        let guide = "version: 1\nguide: t\ntitle: T\nsummary: S\nstages: [a.yaml]\n";
        host.put_file("/g/guide.yaml", guide, 0o644);
        host.put_file("/g/a.yaml", format!("id: a\ntitle: A\nwhy: because\n{stage}\n"), 0o644);
        load_dir(&host, Path::new("/g")).unwrap_err()
    }

    #[test]
    fn a_key_of_an_earlier_version_is_told_with_its_name_of_today() {
        for (stage, hint) in [
            ("figures: []", "`figures` is called `locals` now"),
            ("results: []", "`results` is called `outputs` now"),
            ("packages: [{install: [x], because: b}]", "`because` is called `reason` now"),
            ("rules: [{that: 'true', message: m, about: a.b}]", "`about` is called `field` now"),
            ("actions: [{id: x, because: b, remove: {path: /a}}]", "`because` is called `reason` now"),
            ("actions: [{id: x, reason: b, late: true, remove: {path: /a}}]", "did you mean phase?"),
            ("actions: [{id: x, reason: b, absent: {path: /a}}]", "did you mean remove?"),
            ("actions: [{id: x, reason: b, directory: {path: /a, data: true}}]", "did you mean user_data?"),
            ("actions: [{id: x, reason: b, symlink: {path: /a, target: b, or: c}}]", "did you mean accept_target?"),
            ("proofs: [{id: x, listens: {ports: []}}]", "did you mean ports?"),
        ] {
            assert_eq!(problems(stage)[0].hint, hint, "{stage}");
        }
        let expression = problems("rules: [{that: figures.x, message: m}]");
        assert!(expression[0].message.contains("did you mean `locals`?"), "{expression:?}");
    }
}
