//! The sites in nginx's configuration, as `nginx -T` shows it.

use super::{Door, askable};
use crate::error::{Failure, Outcome};
use crate::host::{Command, Host};

pub(super) fn doors(host: &dyn Host) -> Outcome<Vec<Door>> {
    let what = "list nginx's sites";
    // Not logged: a configuration may hold passwords.
    let output = host.run(&Command::new(["nginx", "-T", "-q"])).map_err(|e| Failure::new(what, e))?;
    if !output.ok() {
        return Err(Failure::new(what, format!("`nginx -T` ended with status {}", output.status)).tail(output.tail(20)));
    }
    Ok(parse(&String::from_utf8_lossy(&output.stdout)))
}

/// Files are shown one after the other, so that `server` is at the top of its file or within `http`.
fn parse(text: &str) -> Vec<Door> {
    let mut doors = Vec::new();
    let mut blocks: Vec<String> = Vec::new();
    let mut directive: Vec<String> = Vec::new();
    let (mut names, mut listens) = (Vec::new(), Vec::new());
    for token in tokens(text) {
        match token {
            Token::Word(word) => directive.push(word),
            Token::Open => {
                let name = directive.first().cloned().unwrap_or_default();
                if name == "server" {
                    (names, listens) = (Vec::new(), Vec::new());
                }
                blocks.push(name);
                directive.clear();
            }
            Token::Close => {
                let is_site = blocks.pop().is_some_and(|block| block == "server");
                if is_site && !blocks.iter().any(|block| block == "stream" || block == "mail") {
                    doors.extend(site(&names, &listens));
                }
                directive.clear();
            }
            Token::End => {
                if blocks.last().is_some_and(|block| block == "server") {
                    match directive.split_first() {
                        Some((name, values)) if name == "server_name" => names.extend_from_slice(values),
                        Some((name, values)) if name == "listen" => listens.push(values.to_vec()),
                        _ => {}
                    }
                }
                directive.clear();
            }
        }
    }
    doors
}

fn site(names: &[String], listens: &[Vec<String>]) -> Vec<Door> {
    let default = [vec!["80".to_owned()]];
    let listens = if listens.is_empty() { &default } else { listens };
    let mut known: Vec<Option<String>> = names.iter().filter_map(|name| askable(name)).map(Some).collect();
    // A site with only regular expressions is not requested: no matching name is known.
    if known.is_empty() && !names.iter().any(|name| name.starts_with('~')) {
        known.push(None);
    }
    let places = listens.iter().filter_map(|values| {
        let (at, parameters) = values.split_first()?;
        // QUIC has the same port for UDP.
        (!parameters.iter().any(|parameter| parameter == "quic")).then(|| place(at)).flatten()
    });
    places.flat_map(|(address, port)| known.iter().map(move |name| Door::new(&address, port, name.clone()))).collect()
}

/// `80`, `*:80`, `10.0.0.1`, `[::]:80`, `localhost:8080`; none for sockets in files.
fn place(at: &str) -> Option<(String, u16)> {
    if at.starts_with("unix:") {
        return None;
    }
    if let Ok(port) = at.parse() {
        return Some(("*".to_owned(), port));
    }
    match at.rsplit_once(':') {
        Some((address, port)) if !port.contains(']') => Some((address.to_owned(), port.parse().ok()?)),
        _ => Some((at.to_owned(), 80)),
    }
}

enum Token {
    Word(String),
    Open,
    Close,
    End,
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '{' => tokens.push(Token::Open),
            '}' => tokens.push(Token::Close),
            ';' => tokens.push(Token::End),
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            '"' | '\'' => {
                let mut word = String::new();
                while let Some(inner) = chars.next_if(|inner| *inner != c) {
                    word.push(if inner == '\\' { chars.next().unwrap_or(inner) } else { inner });
                }
                chars.next();
                tokens.push(Token::Word(word));
            }
            c if c.is_whitespace() => {}
            c => {
                // `${name}` stands within a word.
                let mut word = String::from(c);
                while let Some(inner) = chars
                    .next_if(|inner| !inner.is_whitespace() && *inner != ';' && (*inner != '{' || word.ends_with('$')))
                {
                    word.push(inner);
                    if inner == '{' {
                        while let Some(name) = chars.next_if(|name| *name != '}') {
                            word.push(name);
                        }
                    }
                    if inner == '\\' {
                        word.extend(chars.next());
                    }
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        parse(text).iter().map(|door| format!("{} {}", door.address, door.url(false))).collect()
    }

    #[test]
    fn sites_are_found_by_their_names_wherever_they_listen() {
        let text = "http {\n  upstream u { server 10.0.0.9:80; }\n  map $a ${x}_b { default upgrade; '' ''; }\n\
            server { listen 80; listen [::]:8080; server_name Shop.example.org \"www.example.org\"; # listen 99;\n\
            location ~ \"^/a{2};$\" { return 301 https://$host$request_uri; } }\n\
            server { listen 10.0.0.1:443 ssl http2; listen 443 quic; listen unix:/run/x; server_name .a.org *.b.org c.*; }\n\
            }\nserver { server_name d.org; }\n";
        assert_eq!(
            found(text),
            [
                "127.0.0.1 http://shop.example.org/",
                "127.0.0.1 http://www.example.org/",
                "::1 http://shop.example.org:8080/",
                "::1 http://www.example.org:8080/",
                "10.0.0.1 http://a.org:443/",
                "10.0.0.1 http://any.b.org:443/",
                "10.0.0.1 http://c.test:443/",
                "127.0.0.1 http://d.org/",
            ]
        );
    }

    #[test]
    fn a_site_without_a_name_answers_by_the_address() {
        let text = "server { listen 80 default_server; listen [::]:80; server_name _; }\n\
            server { listen localhost:81; }\nserver { server_name 10.0.0.1; listen 82; }\nserver { server_name ~^x$; }\n";
        let expected = [
            "127.0.0.1 http://127.0.0.1/",
            "::1 http://[::1]/",
            "localhost http://localhost:81/",
            "127.0.0.1 http://127.0.0.1:82/",
        ];
        assert_eq!(found(text), expected);
    }

    #[test]
    fn what_is_no_http_is_left_alone() {
        let text = "stream { server { listen 3306; proxy_pass db; } }\nmail { server { listen 25; } }\n";
        assert_eq!(found(text), [""; 0]);
    }
}
