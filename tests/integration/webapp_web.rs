//! The web server of one's own application, and how the application is started.

use bringup::action::Action;
use bringup::answers::Given;
use bringup::answers::file as answers_file;
use bringup::answers::resolve::{Literals, survey};
use bringup::error::Problem;
use bringup::facts::{Facts, Files};
use bringup::guide::{Guide, load};
use bringup::host::fake::FakeHost;
use bringup::plan::Plan;
use bringup::proof::Proof;

use crate::outline::file;
use crate::support::{facts, planned, right};

const OWN: &str = "application: {source: directory, location: /srv/shop}\n";
const NAMES: &str = "host: shop.example.org, aliases: [www.shop.example.org, shop.example.net]";

fn made(web: &str) -> Result<Plan, Vec<Problem>> {
    let answers = format!("version: 1\nguide: webapp\n{OWN}{web}");
    planned(&facts("bookworm", "systemd"), "answers.yaml", answers.as_bytes())
}

#[track_caller]
fn plan(web: &str) -> Plan {
    right(made(web), web)
}

#[track_caller]
fn refused(web: &str, why: &str) {
    let problems = made(web).expect_err(web);
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|told| told.contains(why)), "{web}: {told:?}");
}

fn site<'p>(plan: &'p Plan, server: &str) -> &'p str {
    let end = if server == "apache" { "apache2/sites-available/webapp.conf" } else { "nginx/sites-available/webapp" };
    file(plan, &format!("/etc/{end}"))
}

/// Id, URL, status and `Location` of the proofs of pages whose id begins so.
fn pages(plan: &Plan, id: &str) -> Vec<(String, u16, String)> {
    let proofs = plan.proofs.iter().filter(|planned| planned.id.starts_with(id));
    let page = |proof: &Proof| match proof {
        Proof::Http(http) => (http.url.clone(), http.status, http.location.clone()),
        other => panic!("{other:?}"),
    };
    proofs.map(|planned| page(&planned.proof)).collect()
}

#[test]
fn other_names_lead_to_the_host_name() {
    for server in ["nginx", "apache"] {
        let plan = plan(&format!("web: {{server: {server}, {NAMES}, https_port: 8443}}\n"));
        let names = ["shop.example.org", "www.shop.example.org", "shop.example.net"];
        for planned in &plan.actions {
            match &planned.action {
                Action::Certificate(certificate) => assert_eq!(certificate.names, names),
                Action::Service(service) => {
                    let own = service.sites.as_ref().map_or(&[][..], |sites| &sites.server_names);
                    assert!(own.is_empty() || own == names, "{own:?}");
                }
                _ => {}
            }
        }
        assert!(file(&plan, "/etc/webapp/env").contains("ALLOWED_HOSTS='shop.example.org'\n"));
        let proof = |name: &str| format!("https://{name}:8443/bringup/proof?of=redirects");
        let wanted = names[1..].iter().map(|name| (proof(name), 301, proof(names[0])));
        assert_eq!(pages(&plan, "web.alias"), wanted.collect::<Vec<_>>());
        assert!(plan.outputs.iter().any(|line| line.value.contains("shop.example.net, redirected to it")));
        let site = site(&plan, server);
        let lines = match server {
            "nginx" => [
                "    server_name shop.example.org www.shop.example.org shop.example.net;\n",
                "    server_name shop.example.org;\n",
                "    server_name www.shop.example.org shop.example.net;\n",
            ],
            _ => [
                "ServerName shop.example.org\n    ServerAlias www.shop.example.org\n    ServerAlias shop.example.net\n    #",
                "ServerName shop.example.org\n    ServerSignature",
                "ServerName www.shop.example.org\n    ServerAlias shop.example.net\n    ServerSignature",
            ],
        };
        for lines in lines {
            assert_eq!(site.matches(lines).count(), 1, "{lines}\n{site}");
        }
    }
}

#[test]
fn names_that_are_served_are_all_alike() {
    for server in ["nginx", "apache"] {
        let plan = plan(&format!("web: {{server: {server}, {NAMES}, aliases_served: serve}}\n"));
        let env = file(&plan, "/etc/webapp/env");
        assert!(env.contains("ALLOWED_HOSTS='shop.example.org,www.shop.example.org,shop.example.net'\n"), "{env}");
        let page = |name: &str| (format!("https://{name}/"), 200, String::new());
        assert_eq!(pages(&plan, "web.alias"), [page("www.shop.example.org"), page("shop.example.net")]);
        let site = site(&plan, server);
        for name in ["shop.example.org", "www.shop.example.org", "shop.example.net"] {
            let leads =
                [format!("return 301 https://{name}$request_uri;"), format!("Redirect permanent / https://{name}/\n")];
            assert_eq!(leads.iter().map(|lead| site.matches(lead.as_str()).count()).sum::<usize>(), 1, "{site}");
        }
        let all =
            ["server_name shop.example.org www.shop.example.org shop.example.net;", "ServerAlias shop.example.net"];
        assert_eq!(all.iter().map(|all| site.matches(all).count()).sum::<usize>(), 1, "{site}");
    }
}

#[test]
fn names_that_cannot_be_are_refused() {
    for (aliases, why) in [
        ("[shop.example.org]", "shop.example.org is the host name itself"),
        ("[a.example.org, a.example.org]", "is given twice"),
        ("[www]", "has no domain"),
        ("['*.example.org']", "is a wildcard"),
        ("['a.example.org; return 301 x']", "contains a space"),
    ] {
        refused(&format!("web: {{host: shop.example.org, aliases: {aliases}}}\n"), why);
    }
    let wildcard = "tls: {mode: acme, terms: true, challenge: dns, wildcard: true, provider: cloudflare, \
                    cloudflare_token: {file: /root/token}}\n";
    refused(&format!("web: {{{NAMES}}}\n{wildcard}"), "names right below shop.example.org are covered by its wildcard");
    let others = "web: {host: shop.example.org, aliases: [a.www.shop.example.org, myshop.example.org]}\n";
    let plan = plan(&format!("{others}{wildcard}"));
    let acme = plan.actions.iter().find_map(|planned| match &planned.action {
        Action::Acme(acme) => Some((acme.wildcard, acme.aliases.clone())),
        _ => None,
    });
    let aliases = ["a.www.shop.example.org", "myshop.example.org"].map(str::to_owned).to_vec();
    assert_eq!(acme, Some((true, aliases)));
}

#[test]
fn paths_lead_elsewhere_and_to_other_programs() {
    let web = "redirects: {/old: /new, /blog/: 'https://blog.example.org/', /blog/own: /own}, backends: {/api/: 9000}";
    for server in ["nginx", "apache"] {
        let plan = plan(&format!("web: {{server: {server}, host: shop.example.org, {web}}}\n"));
        let page = |from: &str, to: &str| (format!("https://shop.example.org{from}"), 301, to.to_owned());
        let wanted = [
            page("/blog/bringup/proof?of=redirects", "https://blog.example.org/bringup/proof?of=redirects"),
            page("/blog/own?of=redirects", "https://shop.example.org/own?of=redirects"),
            page("/old?of=redirects", "https://shop.example.org/new?of=redirects"),
        ];
        assert_eq!(pages(&plan, "web.redirect"), wanted);
        assert_eq!(pages(&plan, "web.backend")[0].0, "https://shop.example.org/api/");
        let lines: &[&str] = match server {
            "nginx" => &[
                "    location = /old {\n        return 301 https://shop.example.org/new$is_args$args;\n    }\n",
                "    location ^~ /blog/ {\n        rewrite ^\\/blog\\/(.*)$ https://blog.example.org/$1 permanent;\n    }\n",
                "    location ^~ /api/ {\n        proxy_pass http://127.0.0.1:9000;\n",
                "    location / {\n        proxy_pass http://127.0.0.1:8000;\n",
            ],
            _ => &[
                "    RedirectMatch permanent \"^\\/blog\\/own$\" https://shop.example.org/own\n    ProxyPass        /blog/ !\n",
                "    Redirect permanent /blog/ https://blog.example.org/\n",
                "/api/ http://127.0.0.1:9000/api/ upgrade=websocket connectiontimeout=5\n    ProxyPassReverse /api/ \
                 http://127.0.0.1:9000/api/\n    ProxyPass        / http://127.0.0.1:8000/ ",
            ],
        };
        let site = site(&plan, server);
        for lines in lines {
            assert_eq!(site.matches(lines).count(), 1, "{lines}\n{site}");
        }
        assert_eq!(site.matches("X-Forwarded-Proto https").count(), if server == "nginx" { 2 } else { 1 });
    }
}

#[test]
fn paths_that_would_not_work_or_write_configuration_are_refused() {
    for (web, why) in [
        ("redirects: {/a: /a}", "/a leads to itself"),
        ("redirects: {/: /a}", "is not a name here"),
        ("redirects: {/a/: /b}", "must end with /, too"),
        ("redirects: {/a: 'http://example.org/'}", "is not allowed (a path such as /new"),
        ("redirects: {/a: //example.org/}", "is not allowed (a path such as /new"),
        ("redirects: {/a: '/b; return 200'}", "is not allowed (a path such as /new"),
        ("redirects: {/a: '/$host'}", "is not allowed (a path such as /new"),
        ("redirects: {/a: \"/b\\n}\"}", "is not allowed (a path such as /new"),
        ("redirects: {'/a b': /c}", "is not a name here"),
        ("redirects: {'/a\"': /c}", "is not a name here"),
        ("redirects: {/rabbitmq/: /c/}", "/rabbitmq/ cannot be redirected"),
        ("backends: {/api: 9000}", "is not a name here"),
        ("backends: {/api/: 70000}", "is not allowed (a port, 1 to 65535)"),
        ("backends: {/api/: 443}", "the web server would pass requests on to itself"),
        ("backends: {/api/: 9000}, redirects: {/api/: /v2/}", "/api/ is redirected, and goes to another program"),
    ] {
        refused(&format!("web: {{host: shop.example.org, {web}}}\n"), why);
    }
}

/// How it is started by default with these files in its directory, each with its content, and what is good to know.
fn kind(source: &str, files: &[(&str, &str)]) -> (String, Vec<String>) {
    let host = FakeHost::new();
    host.put_file("/srv/shop/README", "", 0o644);
    for (name, content) in files {
        host.put_file(format!("/srv/shop/{name}"), *content, 0o644);
    }
    let facts = Facts { files: Files::of(&host), ..facts("bookworm", "systemd") };
    let answers = format!(
        "version: 1\nguide: webapp\napplication: {{source: {source}, location: /srv/shop}}\nweb: {{host: shop.example.org}}\n"
    );
    let guide = load::load("webapp").unwrap();
    let file = read(&answers, &guide);
    let (resolved, _) = survey(&guide, &facts, &file, &|_| String::new());
    let kind = resolved.values["application"]["kind"].as_str().unwrap().to_owned();
    let reason = resolved.reasons.get("application.kind").cloned().unwrap_or_default();
    let warnings = resolved.warnings.into_iter().filter(|warning| warning.contains("/srv/shop"));
    (format!("{kind}: {reason}"), warnings.collect())
}

fn read(answers: &str, guide: &Guide) -> Given {
    answers_file::read("answers.yaml", answers.as_bytes(), guide, Literals::Refused).unwrap().given
}

#[test]
fn how_it_is_started_follows_from_the_files_in_its_directory() {
    for (files, expected) in [
        (&[][..], "wsgi: "),
        (&[("manage.py", ""), ("asgi.py", ""), ("package.json", "")], "wsgi: manage.py is there"),
        (&[("wsgi.py", "")], "wsgi: wsgi.py is there"),
        (&[("asgi.py", ""), ("requirements.txt", "flask")], "asgi: asgi.py is there"),
        (&[("requirements.txt", "FastAPI[all]==0.1\n")], "asgi: requirements.txt has fastapi"),
        (&[("pyproject.toml", "dependencies = ['starlette>1']")], "asgi: pyproject.toml has starlette"),
        (&[("requirements.txt", "flask"), ("package.json", "{}")], "wsgi: requirements.txt is there"),
        (&[("Pipfile", "")], "wsgi: Pipfile is there"),
        (&[("uv.lock", "")], "wsgi: uv.lock is there"),
        (&[("package.json", "{}")], "node: package.json is there"),
        (&[("Procfile", "web: ./shop")], "command: Procfile is there"),
        (&[("index.html", "")], "static: index.html is there, and no program"),
        (&[("index.html", ""), ("package.json", "{}")], "node: package.json is there"),
        (&[("package.json/x", "")], "wsgi: "),
    ] {
        assert_eq!(kind("directory", files), (expected.to_owned(), Vec::new()), "{files:?}");
    }
    // So does it from those that are checked out in a repository's directory. An image is built elsewhere.
    assert_eq!(kind("git", &[("package.json", "{}")]).0, "node: package.json is there");
    let (kind, told) = kind("directory", &[("Dockerfile", "FROM x")]);
    assert!(kind == "wsgi: " && told[0].contains("/srv/shop has a Dockerfile, and no image is built here"), "{told:?}");
}
