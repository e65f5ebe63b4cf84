//! The XML-RPC interface of supervisord, as far as the engine speaks it.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::{Defect, process_program, processes, setting};
use crate::host::Address;
use crate::host::fake::faults::{Cut, Fate};
use crate::host::fake::{Answer, FakeHost, World};

const SOCKETS: &[&str] = &["/var/run/supervisor.sock", "/run/supervisor.sock"];

impl FakeHost {
    /// What answers at `address`, when that is supervisord's socket and it runs.
    pub(in crate::host::fake) fn supervisord(&self, world: &World, address: &Address) -> Option<Answer> {
        let Address::Unix(path) = address else {
            return None;
        };
        let is_socket = SOCKETS.iter().any(|socket| path == Path::new(socket));
        if !is_socket || !world.services.active.contains("supervisor.service") {
            return None;
        }
        let host = self.clone();
        Some(Arc::new(move |asked: &[u8]| {
            host.world().answer_call(&String::from_utf8_lossy(asked)).unwrap_or_default()
        }))
    }
}

impl World {
    /// The answer to a call; none when the program was killed over it.
    fn answer_call(&mut self, request: &str) -> Option<Vec<u8>> {
        let method = between(request, "<methodName>supervisor.", "</methodName>")?.to_owned();
        let name = between(request, "<string>", "</string>").unwrap_or_default().to_owned();
        let changes = !matches!(method.as_str(), "getAllProcessInfo" | "reloadConfig");
        let fate = if changes { self.faults.next_change() } else { Fate::Happens };
        let result = match fate {
            Fate::Fails => fault(90, "FAILED: made to fail by the test"),
            Fate::Killed(Cut::Before | Cut::Halfway) => return None,
            Fate::Happens | Fate::Killed(Cut::After) => self.call(&method, &name),
        };
        if matches!(fate, Fate::Killed(_)) {
            return None;
        }
        let xml = format!("<?xml version='1.0'?>\n<methodResponse>{result}</methodResponse>");
        Some(format!("HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\n\r\n{xml}").into_bytes())
    }

    fn call(&mut self, method: &str, name: &str) -> String {
        let group = process_program(name).to_owned();
        match method {
            "getAllProcessInfo" => param(&self.process_infos()),
            "reloadConfig" => param(&self.news()),
            "addProcessGroup" => {
                let Some(body) = self.programs_in_files().remove(&group) else {
                    return fault(10, &format!("BAD_NAME: {name}"));
                };
                let starts = setting(&body, "autostart").is_none_or(|value| value != "false");
                let members = processes(&group, &body);
                self.services.known_programs.insert(group, body);
                for process in members.iter().filter(|_| starts) {
                    self.start_program(process);
                }
                param("<boolean>1</boolean>")
            }
            "removeProcessGroup" => {
                if self.services.known_programs.remove(&group).is_none() {
                    return fault(10, &format!("BAD_NAME: {name}"));
                }
                param("<boolean>1</boolean>")
            }
            "startProcess" | "startProcessGroup" | "stopProcess" | "stopProcessGroup" => {
                let Some(body) = self.services.known_programs.get(&group) else {
                    return fault(10, &format!("BAD_NAME: {name}"));
                };
                let one = !method.ends_with("Group");
                for process in processes(&group, body).iter().filter(|process| !one || *process == name) {
                    let runs = self.services.running_programs.contains(process);
                    if method.starts_with("start") && !runs {
                        self.start_program(process);
                    } else if method.starts_with("stop") {
                        self.services.running_programs.remove(process);
                    }
                }
                param("<boolean>1</boolean>")
            }
            _ => fault(1, "UNKNOWN_METHOD"),
        }
    }

    fn process_infos(&self) -> String {
        let mut list = String::new();
        for (group, body) in &self.services.known_programs {
            let autostart = setting(body, "autostart").is_none_or(|value| value != "false");
            for process in processes(group, body) {
                let name = process.split(':').next_back().unwrap_or(group);
                let runs = self.services.running_programs.contains(&process);
                let defect = self.services.defects.get(group);
                let state = match (runs, defect) {
                    (true, _) => "RUNNING",
                    (false, Some(Defect::Refuses | Defect::Dies)) if autostart => "FATAL",
                    (false, _) => "STOPPED",
                };
                let error = if state == "FATAL" { "Exited too quickly" } else { "" };
                let pid = if runs { 5000 } else { 0 };
                let _ = write!(
                    list,
                    "<value><struct>{}{}{}{}{}</struct></value>",
                    member("group", group),
                    member("name", name),
                    member("statename", state),
                    member("spawnerr", error),
                    format_args!("<member><name>pid</name><value><int>{pid}</int></value></member>"),
                );
            }
        }
        format!("<array><data>{list}</data></array>")
    }

    /// Names of groups that are added, changed and removed in the files.
    fn news(&self) -> String {
        let (files, known) = (self.programs_in_files(), &self.services.known_programs);
        let added = files.keys().filter(|name| !known.contains_key(*name));
        let changed = files
            .iter()
            .filter(|(name, body)| known.get(*name).is_some_and(|loaded| loaded != *body))
            .map(|(name, _)| name);
        let removed = known.keys().filter(|name| !files.contains_key(*name));
        let lists = [names(added), names(changed), names(removed)].concat();
        format!("<array><data><value><array><data>{lists}</data></array></value></data></array>")
    }
}

fn names<'n>(names: impl Iterator<Item = &'n String>) -> String {
    let items: String = names.fold(String::new(), |mut all, name| {
        let _ = write!(all, "<value><string>{name}</string></value>");
        all
    });
    format!("<value><array><data>{items}</data></array></value>")
}

fn member(name: &str, value: &str) -> String {
    format!("<member><name>{name}</name><value><string>{value}</string></value></member>")
}

fn param(value: &str) -> String {
    format!("<params><param><value>{value}</value></param></params>")
}

fn fault(code: u32, text: &str) -> String {
    format!(
        "<fault><value><struct><member><name>faultCode</name><value><int>{code}</int></value></member>{}</struct></value></fault>",
        member("faultString", text)
    )
}

fn between<'t>(text: &'t str, start: &str, end: &str) -> Option<&'t str> {
    text.split_once(start)?.1.split_once(end).map(|(inside, _)| inside)
}
