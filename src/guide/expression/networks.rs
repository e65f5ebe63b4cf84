//! Filters over networks and ports in answers: each returns what is wrong, in words, so that a rule can refuse an
//! answer before anything is changed.

use std::net::{IpAddr, SocketAddr};

use minijinja::{Environment, Error, ErrorKind, Value};

use crate::facts::Admin;
use crate::facts::probe::admins::left;
use crate::guide::expression::filters::regex_escape;
use crate::system::firewall::knock;
use crate::system::firewall::opening::{Allow, Network};

/// Makes the filters known.
pub fn add(environment: &mut Environment<'static>) {
    environment.add_filter("knock_problems", knock_problems);
    environment.add_filter("address_problems", |addresses: Vec<String>, own: Vec<String>| {
        addresses.iter().filter_map(|address| address_problem(address, &own)).collect::<Vec<_>>()
    });
    environment.add_filter("single_addresses", |listening: Vec<String>| single_addresses(&listening));
    environment.add_filter("who_logs_in", who_logs_in);
    environment.add_filter("outside", |addresses: Vec<String>, networks: Vec<String>| outside(addresses, &networks));
    environment.add_filter("overlapping", |networks: Vec<String>, others: Vec<String>| overlapping(networks, &others));
    environment.add_filter("wider_than", |networks: Vec<String>, prefix: u8| wider_than(networks, prefix));
    environment.add_filter("ipv4_pattern", ipv4_pattern);
}

/// `["7001", "7003", "7002"] | knock_problems(locals.public.ports + firewall.ports, facts.sshd.ports)`: what is wrong
/// with this row of ports to knock on.
#[expect(clippy::needless_pass_by_value, reason = "a filter takes what the template engine hands over")]
fn knock_problems(row: Vec<String>, opened: Value, ssh: Vec<u16>) -> Result<Vec<String>, Error> {
    let failed = |e: serde_json::Error| Error::new(ErrorKind::InvalidOperation, format!("knock_problems: {e}"));
    let opened: Vec<Allow> = serde_json::from_value(serde_json::to_value(&opened).map_err(failed)?).map_err(failed)?;
    let ports: Result<Vec<u16>, String> = row
        .iter()
        .map(|text| text.trim().parse().map_err(|_| format!("\"{text}\" is not a port: write 1 to 65535")))
        .collect();
    Ok(ports.map_or_else(|why| vec![why], |ports| knock::problems(&ports, &opened, &ssh)))
}

/// `["10.0.0.5"] | address_problems(facts.addresses)`: what is wrong with one. Of a host whose addresses are not known
/// every one may be.
fn address_problem(text: &str, own: &[String]) -> Option<String> {
    match text.parse::<IpAddr>() {
        Err(_) => Some(format!("\"{text}\" is not an IP address")),
        Ok(ip) if own.is_empty() || ip.is_unspecified() || own.contains(&ip.to_string()) => None,
        Ok(ip) => Some(format!("this server does not have the address {ip}")),
    }
}

/// `facts.sshd.listening | single_addresses`: the addresses at which SSH listens, where it is not every one.
fn single_addresses(listening: &[String]) -> Vec<String> {
    let at: Vec<IpAddr> = listening.iter().filter_map(|at| Some(at.parse::<SocketAddr>().ok()?.ip())).collect();
    let mut single: Vec<String> = Vec::new();
    if !at.iter().any(IpAddr::is_unspecified) {
        single.extend(at.iter().map(ToString::to_string));
        single.dedup();
    }
    single
}

/// `facts.sshd.admins | who_logs_in(keys_only, root_login)`: who can still log in and become root.
#[expect(clippy::needless_pass_by_value, reason = "a filter takes what the template engine hands over")]
fn who_logs_in(admins: Value, keys_only: bool, root_login: &str) -> Result<Vec<String>, Error> {
    let failed = |e: serde_json::Error| Error::new(ErrorKind::InvalidOperation, format!("who_logs_in: {e}"));
    let admins: Vec<Admin> = serde_json::from_value(serde_json::to_value(&admins).map_err(failed)?).map_err(failed)?;
    Ok(left(&admins, keys_only, root_login))
}

/// `facts.sshd.peers | outside(networks)`: the addresses that are in none of them.
fn outside(mut addresses: Vec<String>, networks: &[String]) -> Vec<String> {
    let networks: Vec<Network> = networks.iter().filter_map(|network| network.parse().ok()).collect();
    addresses.retain(|address| {
        address.parse::<IpAddr>().is_ok_and(|address| !networks.iter().any(|network| network.contains(address)))
    });
    addresses
}

/// `networks | overlapping(['127.0.0.0/8'])`: those (networks or addresses) that share an address with one of the others.
fn overlapping(mut networks: Vec<String>, others: &[String]) -> Vec<String> {
    let others: Vec<Network> = others.iter().filter_map(|other| other.parse().ok()).collect();
    networks.retain(|text| {
        text.parse::<Network>().is_ok_and(|network| others.iter().any(|other| network.overlaps(*other)))
    });
    networks
}

/// `networks | wider_than(8)`: those with more addresses than a `/8`.
fn wider_than(mut networks: Vec<String>, prefix: u8) -> Vec<String> {
    networks.retain(|text| text.parse::<Network>().is_ok_and(|network| network.prefix_len() < prefix));
    networks
}

/// `['198.51.100.16/28'] | ipv4_pattern('-')`: a regular expression, in one group, for the addresses of these networks
/// with this between their numbers, `(?:198-51-100-(?:1[6-9]|2[0-9]|3[01]))`. Numbers have no leading zeros. Networks of
/// IPv6 are left out.
#[expect(clippy::needless_pass_by_value, reason = "a filter takes what the template engine hands over")]
fn ipv4_pattern(networks: Vec<String>, between: String) -> Result<String, Error> {
    let failed = |why: String| Error::new(ErrorKind::InvalidOperation, format!("ipv4_pattern: {why}"));
    let networks: Vec<Network> =
        networks.iter().map(|text| text.parse()).collect::<Result<_, String>>().map_err(failed)?;
    // Special in brackets only.
    let between = regex_escape(&between).replace(r"\-", "-");
    let patterns: Vec<String> = Network::merged(&networks)
        .into_iter()
        .filter_map(Network::ipv4_range)
        .map(|(first, last)| {
            let octets = first.octets().into_iter().zip(last.octets());
            octets.map(|(from, to)| numbers(from, to)).collect::<Vec<_>>().join(&between)
        })
        .collect();
    if patterns.is_empty() {
        return Err(failed("there is no network of IPv4".to_owned()));
    }
    Ok(format!("(?:{})", patterns.join("|")))
}

/// A regular expression for the numbers of a range, decade by decade.
fn numbers(from: u8, to: u8) -> String {
    let (from, to) = (u16::from(from), u16::from(to));
    let is_whole = |decade: u16| from <= decade * 10 && decade * 10 + 9 <= to;
    let mut patterns = Vec::new();
    let mut decade = from / 10;
    while decade <= to / 10 {
        // Whole decades that differ in one digit only are one alternative; the first has no such digit.
        let mut last = decade;
        while decade > 0 && is_whole(decade) && is_whole(last + 1) && last % 10 < 9 {
            last += 1;
        }
        let before = match (decade, last > decade) {
            (0, _) => String::new(),
            (_, false) => decade.to_string(),
            (1..=9, true) => digits(decade, last),
            (_, true) => format!("{}{}", decade / 10, digits(decade % 10, last % 10)),
        };
        patterns.push(before + &digits(from.max(decade * 10) % 10, to.min(last * 10 + 9) % 10));
        decade = last + 1;
    }
    if patterns.len() == 1 { patterns.concat() } else { format!("(?:{})", patterns.join("|")) }
}

/// One digit of a range.
fn digits(from: u16, to: u16) -> String {
    match to - from {
        0 => from.to_string(),
        1 => format!("[{from}{to}]"),
        _ => format!("[{from}-{to}]"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::Ipv4Addr;

    use super::*;

    fn eval(expression: &str) -> String {
        let mut environment = Environment::new();
        add(&mut environment);
        environment.compile_expression(expression).unwrap().eval(()).unwrap().to_string()
    }

    #[test]
    fn what_is_wrong_with_a_row_of_knocks_is_told_in_words() {
        let row = |row: &str| eval(&format!("{row} | knock_problems([{{'port': 443}}, '8443'], [22])"));
        assert_eq!(row("[7001, '7003', '7002']"), "[]");
        assert!(row("['7001', 'x', '7002']").contains("\"x\" is not a port"));
        assert!(row("['7001', '8443', '7002']").contains("port 8443 is open for something else"));
    }

    #[test]
    fn addresses_and_those_who_log_in_are_looked_at() {
        assert_eq!(eval("['10.0.0.5', '0.0.0.0'] | address_problems(['10.0.0.5'])"), "[]");
        assert!(eval("['10.0.0.6'] | address_problems(['10.0.0.5'])").contains("the address 10.0.0.6"));
        assert!(eval("['x'] | address_problems([])").contains("is not an IP address"));
        assert_eq!(eval("['10.0.0.5:22', '10.0.0.5:2222', '[::1]:22'] | single_addresses"), "['10.0.0.5', '::1']");
        assert_eq!(eval("['0.0.0.0:22', '10.0.0.5:2222'] | single_addresses"), "[]");
        let admins = "[{'name': 'root', 'key': true}, {'name': 'al', 'password': true, 'root': true}]";
        assert_eq!(eval(&format!("{admins} | who_logs_in(true, 'keep')")), "['root']");
        assert_eq!(eval(&format!("{admins} | who_logs_in(false, 'never')")), "['al']");
    }

    #[test]
    fn addresses_in_no_network_are_outside() {
        assert_eq!(eval("['192.0.2.7', '10.1.2.3'] | outside(['10.0.0.0/8'])"), "['192.0.2.7']");
    }

    #[test]
    fn networks_are_compared() {
        let all = "['10.0.0.0/7', '10.1.0.0/16', '192.0.2.7', '2001:db8::/32']";
        assert_eq!(eval(&format!("{all} | overlapping(['10.1.2.3', '::1'])")), "['10.0.0.0/7', '10.1.0.0/16']");
        assert_eq!(eval(&format!("{all} | overlapping(['192.0.2.0/24'])")), "['192.0.2.7']");
        assert_eq!(eval(&format!("{all} | overlapping(['0.0.0.0/0', '2001:db8::1'])")), all);
        assert_eq!(eval(&format!("{all} | overlapping(['198.51.100.0/24'])")), "[]");
        assert_eq!(eval(&format!("{all} | wider_than(8)")), "['10.0.0.0/7']");
        assert_eq!(eval("['10.0.0.0/8'] | wider_than(8)"), "[]");
    }

    #[test]
    fn a_pattern_is_as_short_as_a_person_would_write_it() {
        let of = |networks: &str, between: &str| eval(&format!("{networks} | ipv4_pattern('{between}')"));
        assert_eq!(of("['198.51.100.16/28']", "-"), "(?:198-51-100-(?:1[6-9]|2[0-9]|3[01]))");
        assert_eq!(of("['10.0.0.7', '10.0.0.6', '::/0']", "."), r"(?:10\.0\.0\.[67])");
        let any = "(?:[0-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5])";
        assert_eq!(of("['10.0.0.0/8']", "_"), format!("(?:10_{any}_{any}_{any})"));
        for bad in ["[]", "['::/0']", "['10.0.0.1/8']", "['x']"] {
            let mut environment = Environment::new();
            add(&mut environment);
            let expression = format!("{bad} | ipv4_pattern('-')");
            assert!(environment.compile_expression(&expression).unwrap().eval(()).is_err(), "{bad}");
        }
    }

    /// What a pattern should match, said without it: four numbers as they are written, of an address in the network.
    fn is_in(text: &str, network: u32, length: u32) -> bool {
        let parts: Vec<&str> = text.split('-').collect();
        let numbers: Vec<u8> = parts.iter().filter_map(|part| part.parse().ok()).collect();
        let [a, b, c, d] = numbers[..] else { return false };
        let canonical = parts.len() == 4 && text == format!("{a}-{b}-{c}-{d}");
        canonical && u32::from_be_bytes([a, b, c, d]) >> (32 - length) == network >> (32 - length)
    }

    #[test]
    fn patterns_of_every_length_match_exactly_the_addresses_of_their_network() {
        // All numbers, with zeros before them and larger ones.
        let written: Vec<String> = (0..=300)
            .map(|number: u16| number.to_string())
            .chain((0..100).map(|number| format!("0{number}")))
            .chain(["00", "000", "007", "0255", "999", "1000", "", "1a", "+1"].map(str::to_owned))
            .collect();
        let mut found = 0;
        for length in 1..=32_u32 {
            for address in [0xC633_6410_u32, 0x0A4D_001D, 0xFFFF_FFFF, 0, 0x6363_6363, 0x8000_0000] {
                let network = u32::try_from((u64::from(address) >> (32 - length)) << (32 - length)).unwrap();
                let cidr = format!("{}/{length}", Ipv4Addr::from(network));
                let pattern = ipv4_pattern(vec![cidr.clone()], "-".to_owned()).unwrap();
                let regex = regex_lite::Regex::new(&format!("^{pattern}$")).unwrap();
                // Each of the four numbers takes all values, while the others are those of the first or the last address.
                let last = network | u32::try_from((1_u64 << (32 - length)) - 1).unwrap();
                for base in [network, last] {
                    for place in 0..4 {
                        for number in &written {
                            let mut parts = base.to_be_bytes().map(|octet| octet.to_string());
                            parts[place].clone_from(number);
                            let text = parts.join("-");
                            let expected = is_in(&text, network, length);
                            found += usize::from(expected);
                            assert_eq!(regex.is_match(&text), expected, "{text} in {cidr}: {pattern}");
                        }
                    }
                }
            }
        }
        assert!(found > 10_000, "only {found} addresses were in their networks");
    }
}
