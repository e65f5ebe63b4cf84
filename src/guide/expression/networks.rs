//! Filters over networks and ports in answers: each returns what is wrong, in words, so that a rule can refuse an
//! answer before anything is changed.

use std::net::{IpAddr, SocketAddr};

use minijinja::{Environment, Error, ErrorKind, Value};

use crate::facts::Admin;
use crate::facts::probe::admins::left;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
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
}
