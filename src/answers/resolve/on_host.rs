//! What this server says to an answer whose type is about the host: ports and networks.

use serde_json::Value;

use super::Walk;
use super::value::{NETWORKS, PORTS};
use crate::guide::{Question, QuestionKind};
use crate::system::firewall::opening::{Allow, Network, Ports, Protocol, clashes};

impl Walk<'_> {
    /// Checks a value of the right form against this host.
    pub(super) fn on_host(&mut self, question: &Question, path: &str, value: &Value) {
        match question.kind {
            QuestionKind::Networks => self.networks(path, value),
            QuestionKind::Ports => self.ports(question, path, value),
            QuestionKind::FreePort => self.free_port(question, path, value),
            _ => {}
        }
    }

    fn networks(&mut self, path: &str, value: &Value) {
        if self.facts.ipv6 {
            return;
        }
        for (index, text) in texts(value).enumerate() {
            if let Some(network) = text.parse::<Network>().ok().filter(|network| network.is_ipv6()) {
                self.refuse(&format!("{path}[{index}]"), no_ipv6(network), NETWORKS);
            }
        }
    }

    fn ports(&mut self, question: &Question, path: &str, value: &Value) {
        let opened = match question.beside.as_deref().map(|beside| self.evaluate(beside, path)) {
            None => Vec::new(),
            // What it depends on is refused, and was reported.
            Some(None) => return,
            Some(Some(opened)) => match serde_json::from_value::<Vec<Allow>>(opened) {
                Ok(opened) => opened,
                Err(why) => return self.defect(path, "`beside` gives no list of ports", &why.to_string()),
            },
        };
        let ports: Vec<&str> = texts(value).collect();
        let problems = port_problems(&ports, opened, &self.facts.sshd.ports, self.facts.ipv6);
        if !problems.is_empty() {
            self.refuse(path, problems.join("; "), PORTS);
        }
    }

    fn free_port(&mut self, question: &Question, path: &str, value: &Value) {
        let facts = self.facts;
        let here = facts.listening.iter().filter(|listener| value.as_u64() == Some(u64::from(listener.port)));
        for listener in here {
            let allowed = question.allow_taken.as_deref().map(|allowed| {
                let context = self.context.with("value", value).with("owner", &listener.process.as_str().into());
                // It is checked once what it depends on is answered.
                self.truth(allowed, path, &context).unwrap_or(true)
            });
            if allowed != Some(true) {
                let hint = question.taken_hint.as_deref().unwrap_or("choose another port, or stop that program");
                return self.refuse(path, format!("port {value} is already taken by {}", listener.owner()), hint);
            }
        }
    }
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn no_ipv6(network: Network) -> String {
    format!("{network} is IPv6, but this server has no IPv6")
}

/// Problems with ports to open, each by itself, or together with those that the guide opens and with SSH.
fn port_problems(ports: &[&str], opened: Vec<Allow>, ssh: &[u16], ipv6: bool) -> Vec<String> {
    let mut all = opened;
    let mut problems = Vec::new();
    for text in ports {
        let Ok(allow) = text.parse::<Allow>() else { continue };
        if let Some(network) = allow.sources.iter().copied().find(|network| network.is_ipv6() && !ipv6) {
            problems.push(no_ipv6(network));
        }
        let is_ssh = |port: &&u16| allow.protocol == Protocol::Tcp && allow.port.meets(Ports::one(**port));
        if let Some(port) = ssh.iter().find(is_ssh) {
            problems.push(format!("\"{text}\" opens port {port}, which is SSH and has its own question"));
        }
        all.push(allow);
    }
    problems.extend(clashes(&all));
    problems
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::answers::resolve::survey;
    use crate::answers::{Given, Origin};
    use crate::facts::{Facts, Listener, Sshd};
    use crate::guide::{Guide, Stage};
    use serde_json::json;

    /// What is said to an answer to a question of these fields, on a host without IPv6 with SSH on port 22 and nginx
    /// and something unknown on 80.
    fn told(fields: &str, value: Value) -> Vec<String> {
        let stage = format!("{{id: a, title: A, why: w, questions: [{{id: q, ask: q, help: h, {fields}}}]}}");
        let stage: Stage = crate::yaml::from_slice("a.yaml", stage.as_bytes()).unwrap();
        let guide = Guide { id: "t".into(), stages: vec![stage], ..Guide::default() };
        let listener = |process: &str| Listener { port: 80, address: "0.0.0.0".into(), process: process.into() };
        let facts = Facts {
            sshd: Sshd { ports: vec![22], ..Sshd::default() },
            listening: vec![listener("nginx"), listener("")],
            ..Facts::default()
        };
        let given = Given { values: [("a.q".to_owned(), (value, Origin::File))].into(), ..Given::default() };
        survey(&guide, &facts, &given, &|_| String::new()).1.iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    fn one(found: &[String], expected: &str) {
        assert!(found.len() == 1 && found[0].contains(expected), "expected `{expected}`, got {found:#?}");
    }

    #[test]
    fn networks_are_networks_and_within_reach() {
        assert_eq!(told("type: networks", json!(["10.0.0.0/8", "192.0.2.7"])), [""; 0]);
        one(&told("type: networks", json!(["10.0.0.5/8"])), "a.q[0]: ");
        one(
            &told("type: networks", json!(["10.0.0.0/8", "::/0"])),
            "a.q[1]: ::/0 is IPv6, but this server has no IPv6",
        );
    }

    #[test]
    fn ports_to_open_are_neither_sshs_nor_twice_the_same() {
        let ports = |value| told("type: ports, beside: \"[{'port': 443, 'name': 'https'}]\"", value);
        assert_eq!(ports(json!(["8443", "443/udp", "5671 from 10.0.0.0/8"])), [""; 0]);
        one(&ports(json!(["443 from 10.0.0.0/8"])), "443/tcp (https) is open to everybody");
        one(&ports(json!(["20-30"])), "opens port 22, which is SSH");
        one(&ports(json!(["5671 from ::/0"])), "but this server has no IPv6");
        one(&ports(json!(["x"])), "a.q[0]: ");
    }

    #[test]
    fn a_port_in_use_is_free_only_for_whom_the_guide_says() {
        assert_eq!(told("type: free_port", json!(81)), [""; 0]);
        one(
            &told("type: free_port", json!(80)),
            "port 80 is already taken by nginx (choose another port, or stop that program)",
        );
        one(
            &told("type: free_port, allow_taken: owner == 'nginx', taken_hint: move", json!(80)),
            "taken by another program (move)",
        );
        assert_eq!(told("type: free_port, allow_taken: \"owner in ['nginx', '']\"", json!(80)), [""; 0]);
        assert_eq!(told("type: free_port, allow_taken: value == 80", json!(80)), [""; 0]);
        one(&told("type: free_port", json!(0)), "out of range");
    }

    #[test]
    fn a_regular_expression_compiles() {
        assert_eq!(told("type: regex", json!("^%d$")), [""; 0]);
        one(&told("type: regex", json!("(acme")), "is not a regular expression");
    }
}
