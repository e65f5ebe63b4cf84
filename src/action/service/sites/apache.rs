//! The virtual hosts in Apache's configuration, as `apache2ctl -S` shows them.

use std::path::Path;

use super::{Door, askable};
use crate::error::{Failure, Outcome};
use crate::host::{Command, Host};

pub(super) fn doors(host: &dyn Host) -> Outcome<Vec<Door>> {
    let what = "list Apache's sites";
    let command = Command::new(["apache2ctl", "-t", "-D", "DUMP_VHOSTS"]);
    let output = host.run(&command).map_err(|e| Failure::new(what, e))?;
    if !output.ok() {
        return Err(
            Failure::new(what, format!("`apache2ctl -S` ended with status {}", output.status)).tail(output.tail(20))
        );
    }
    Ok(parse(&String::from_utf8_lossy(&output.stdout), &|file, line| has_name(host, file, line)))
}

/// `named` tells whether the virtual host at a line of a file has a name of its own: without one it is shown with the
/// server's global name.
fn parse(text: &str, named: &dyn Fn(&str, usize) -> bool) -> Vec<Door> {
    let mut doors = Vec::new();
    let mut at: Option<(String, u16)> = None;
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let site = match words.as_slice() {
            ["default", "server", ..] => None,
            ["port", _, "namevhost", name, source] => Some((*name, *source)),
            ["alias", name] | ["wild", "alias", name] => Some((*name, "")),
            [place, name, source] if !line.starts_with(' ') && source.starts_with('(') => {
                at = address(place);
                Some((*name, *source))
            }
            [place, "is", "a", "NameVirtualHost"] => {
                at = address(place);
                None
            }
            _ => None,
        };
        if let (Some((name, source)), Some((address, port))) = (site, &at) {
            let own = source_of(source).is_none_or(|(file, line)| named(file, line));
            doors.push(Door::new(address, *port, askable(name).filter(|_| own)));
        }
    }
    doors
}

/// `*:80`, `[::1]:8080`.
fn address(place: &str) -> Option<(String, u16)> {
    let (address, port) = place.rsplit_once(':')?;
    Some((address.to_owned(), port.parse().ok()?))
}

/// `(/etc/apache2/sites-enabled/shop.conf:1)`.
fn source_of(source: &str) -> Option<(&str, usize)> {
    let (file, line) = source.strip_prefix('(')?.strip_suffix(')')?.rsplit_once(':')?;
    Some((file, line.parse().ok()?))
}

fn has_name(host: &dyn Host, file: &str, line: usize) -> bool {
    let text = host.read(Path::new(file)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).to_ascii_lowercase();
    let within = text.lines().skip(line).map(str::trim).take_while(|line| !line.starts_with("</virtualhost"));
    within.into_iter().any(|line| line.split_whitespace().next() == Some("servername"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    const SHOWN: &str = "\
VirtualHost configuration:
[::1]:8080             eight.example.test (/etc/apache2/sites-enabled/shop.conf:9)
*:80                   is a NameVirtualHost
         default server 127.0.1.1 (/etc/apache2/sites-enabled/000-default.conf:1)
         port 80 namevhost 127.0.1.1 (/etc/apache2/sites-enabled/000-default.conf:1)
         port 80 namevhost shop.example.test (/etc/apache2/sites-enabled/shop.conf:1)
                 alias www.shop.example.test
                 wild alias *.shop.example.test
*:443                  host.example.test (/etc/apache2/sites-enabled/000-default.conf:20)
ServerRoot: \"/etc/apache2\"
";

    #[test]
    fn virtual_hosts_are_found_and_those_without_a_name_by_the_address() {
        let named = |file: &str, _: usize| !file.contains("000-default");
        let found: Vec<String> =
            parse(SHOWN, &named).iter().map(|door| format!("{} {}", door.address, door.url(false))).collect();
        assert_eq!(
            found,
            [
                "::1 http://eight.example.test:8080/",
                "127.0.0.1 http://127.0.0.1/",
                "127.0.0.1 http://shop.example.test/",
                "127.0.0.1 http://www.shop.example.test/",
                "127.0.0.1 http://any.shop.example.test/",
                "127.0.0.1 http://127.0.0.1:443/",
            ]
        );
    }

    #[test]
    fn a_name_of_its_own_stands_between_its_tags() {
        let host = FakeHost::new();
        let text =
            "<VirtualHost *:80>\n#ServerName x\n</VirtualHost>\n<VirtualHost *:80>\n  servername y\n</VirtualHost>\n";
        host.put_file("/etc/x.conf", text, 0o644);
        assert!(!has_name(&host, "/etc/x.conf", 1));
        assert!(has_name(&host, "/etc/x.conf", 4));
    }
}
