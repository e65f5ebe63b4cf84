//! What tar archives hold.

use std::path::Path;
use std::time::Duration;

use crate::host::{Command, Host};

/// Timeout of looking into an archive, which has to be unpacked for it up to its end.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many leading components of every name to drop: published archives have everything in one top directory. To tar,
/// a leading `./` is a component too.
pub fn components_to_strip(names: &[&str]) -> usize {
    let dotted = names.iter().all(|name| name.starts_with("./"));
    let bare: Vec<&str> =
        names.iter().map(|name| if dotted { &name[2..] } else { name }).filter(|name| !name.is_empty()).collect();
    let Some((top, _)) = bare.first().and_then(|name| name.split_once('/')) else {
        return 0;
    };
    let single = bare.iter().all(|name| name.split_once('/').is_some_and(|(first, _)| first == top));
    if single && top != "." { 1 + usize::from(dotted) } else { 0 }
}

/// The names of all entries; none of what tar cannot read.
pub fn entries(host: &dyn Host, archive: &Path) -> Vec<String> {
    let listed = tar(host, &["--list", "--file", &archive.to_string_lossy()]);
    String::from_utf8_lossy(&listed).lines().map(str::to_owned).collect()
}

/// The entry that becomes the file `name` at the top of what is unpacked.
pub fn at_top<'a>(entries: &'a [String], name: &str) -> Option<&'a String> {
    let names: Vec<&str> = entries.iter().map(String::as_str).collect();
    let strip = components_to_strip(&names);
    entries.iter().find(|entry| {
        // A leading `./` that is not stripped is none of the name.
        let rest = entry.splitn(strip + 1, '/').nth(strip);
        rest.is_some_and(|rest| rest.trim_start_matches("./") == name)
    })
}

/// The content of an entry.
pub fn read(host: &dyn Host, archive: &Path, entry: &str) -> Vec<u8> {
    tar(host, &["--extract", "--to-stdout", "--file", &archive.to_string_lossy(), "--", entry])
}

fn tar(host: &dyn Host, arguments: &[&str]) -> Vec<u8> {
    let command = Command::new(std::iter::once("tar").chain(arguments.iter().copied())).timeout(PATIENCE);
    host.run(&command).ok().filter(crate::host::Output::ok).map(|output| output.stdout).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_single_top_directory_is_left_out() {
        assert_eq!(components_to_strip(&["app-1.0/", "app-1.0/a", "app-1.0/b/c"]), 1);
        assert_eq!(components_to_strip(&["./", "./app/", "./app/a"]), 2);
        assert_eq!(components_to_strip(&["./", "./a", "./app/b"]), 0);
        assert_eq!(components_to_strip(&["app/", "app/a", "b"]), 0);
        assert_eq!(components_to_strip(&["a"]), 0);
        assert_eq!(components_to_strip(&[]), 0);
    }

    #[test]
    fn an_entry_is_found_by_its_place_after_unpacking() {
        let found = |entries: &[&str], name: &str| {
            let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
            at_top(&entries, name).cloned()
        };
        assert_eq!(found(&["shop-1/", "shop-1/app.py", "shop-1/lib/b.py"], "app.py").unwrap(), "shop-1/app.py");
        assert_eq!(found(&["shop-1/", "shop-1/app.py", "shop-1/lib/b.py"], "b.py"), None);
        assert_eq!(found(&["./", "./shop/", "./shop/app.py"], "app.py").unwrap(), "./shop/app.py");
        assert_eq!(found(&["./", "./app.py", "./lib/b.py"], "app.py").unwrap(), "./app.py");
        assert_eq!(found(&["app.py", "lib/b.py"], "app.py").unwrap(), "app.py");
        assert_eq!(found(&["app.py/", "app.py/x", "y"], "app.py"), None);
    }
}
