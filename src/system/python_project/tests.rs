//! Against real lock files, those of the projects that the tests with hosts install.

#![allow(clippy::unwrap_used)]

use super::*;

const UV: &str = include_str!("../../../tests/hosts/apps/uv/uv.lock");
const POETRY: &str = include_str!("../../../tests/hosts/apps/poetry/poetry.lock");
const POETRY_1: &str = include_str!("../../../tests/hosts/apps/poetry/poetry-1.8.lock");
const POETRY_PROJECT: &str = include_str!("../../../tests/hosts/apps/poetry/pyproject.toml");
const PIPFILE: &str = include_str!("../../../tests/hosts/apps/pipenv/Pipfile.lock");

fn python(full: &str) -> Python {
    let minor: Vec<&str> = full.split('.').take(2).collect();
    Python(
        [
            ("os_name", "posix"),
            ("sys_platform", "linux"),
            ("platform_machine", "x86_64"),
            ("platform_python_implementation", "CPython"),
            ("platform_system", "Linux"),
            ("python_full_version", full),
            ("python_version", &minor.join(".")),
            ("implementation_name", "cpython"),
            ("extra", ""),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
    )
}

/// What is installed, as `name==version` separated by spaces.
fn pins(format: Format, text: &str, project: Option<&str>, full: &str) -> String {
    let read = read(format, text, project, &python(full)).unwrap();
    assert!(read.locked && read.lines.iter().all(|line| line.contains(" --hash=sha256:")), "{:?}", read.lines);
    read.pins.join(" ")
}

fn refusal(format: Format, text: &str) -> String {
    read(format, text, None, &python("3.11.2")).unwrap_err().why
}

#[test]
fn of_uv_lock_each_python_gets_its_own_packages() {
    // As `uv export --frozen --no-dev --no-emit-project` has them.
    let common = "flask==3.0.3 itsdangerous==2.2.0 jinja2==3.1.6 markupsafe==3.0.4 werkzeug==3.1.9";
    let uv = |full| pins(Format::Uv, UV, None, full);
    assert_eq!(uv("3.13.5"), format!("blinker==1.9.0 click==8.5.1 {common}"));
    let (first, last) = common.split_once(" its").unwrap();
    let old = format!("blinker==1.9.0 click==8.1.8 {first} importlib-metadata==8.7.1 its{last} zipp==3.23.1");
    assert_eq!(uv("3.9.2"), old);
}

#[test]
fn both_of_poetrys_lock_files_say_the_same() {
    let expected = "anyio==4.12.1 click==8.1.8 h11==0.16.0 httptools==0.9.0 idna==3.20 python-dotenv==1.2.1 pyyaml==6.0.3 \
                    starlette==0.37.2 typing-extensions==4.16.0 uvicorn==0.29.0 uvloop==0.23.0 watchfiles==1.1.1 \
                    websockets==15.0.1";
    let project = Some(POETRY_PROJECT);
    assert_eq!(pins(Format::Poetry, POETRY, project, "3.11.2"), expected);
    assert_eq!(pins(Format::Poetry, POETRY_1, project, "3.11.2"), expected);
    for full in ["3.9.2", "3.13.5"] {
        assert_eq!(pins(Format::Poetry, POETRY, project, full), pins(Format::Poetry, POETRY_1, project, full));
    }
    assert!(refusal(Format::Poetry, POETRY_1).contains("no pyproject.toml"));
}

#[test]
fn pipfile_lock_has_what_production_needs() {
    let expected = "blinker==1.9.0 click==8.5.1 flask==3.0.3 itsdangerous==2.2.0 jinja2==3.1.6 markupsafe==3.0.4 \
                    werkzeug==3.1.9";
    assert_eq!(pins(Format::PipfileLock, PIPFILE, None, "3.11.2"), expected);
    let for_other = PIPFILE.replace(r#""requires": {}"#, r#""requires": {"python_version": "3.12"}"#);
    assert_ne!(for_other, PIPFILE);
    assert_eq!(refusal(Format::PipfileLock, &for_other), "the project is for Python 3.12, and this is Python 3.11.2");
}

#[test]
fn what_cannot_be_checked_is_refused_by_name() {
    let project = "version = 1\n[[package]]\nname = \"shop\"\nversion = \"1\"\nsource = { virtual = \".\" }\n\
                   dependencies = [{ name = \"lib\" }]\n[[package]]\nname = \"lib\"\nversion = \"2\"\n";
    let lib = |rest: &str| refusal(Format::Uv, &format!("{project}{rest}"));
    let registry = "source = { registry = \"https://pypi.org/simple\" }\n";
    assert_eq!(lib("source = { editable = \"lib\" }"), "lib comes from a directory or a file, which has no hash");
    assert_eq!(
        lib("source = { git = \"https://x.test/a?rev=1#2\" }"),
        "lib comes from a git repository, which has no hash"
    );
    assert!(lib(registry).starts_with("lib has no SHA-256 hash"));
    assert!(lib(&format!("{registry}wheels = [{{ hash = \"md5:0\" }}]")).starts_with("lib has no SHA-256 hash"));
    assert!(lib("source = { registry = \"http://x.test/simple\" }").contains("not reached over https"));
    assert!(refusal(Format::Uv, "version = 2").contains("only version 1"));
    assert!(refusal(Format::Uv, "version = 1\n[[package").contains("line 2"));
    assert!(refusal(Format::Uv, "version = 1\nrequires-python = '>=3.12'").contains("for Python >=3.12"));
    // An option, or a second line, hidden in a name.
    let named = project.replace("lib", "lib --index-url=x");
    let hash = "wheels = [{ hash = \"sha256:00\" }]";
    assert!(refusal(Format::Uv, &format!("{named}{registry}{hash}")).contains("not a package with a version"));
    let private = format!("{project}source = {{ registry = \"https://x.test/simple/\" }}\n{hash}");
    let private = read(Format::Uv, &private, None, &python("3.11.2")).unwrap();
    assert_eq!(private.lines, ["--extra-index-url https://x.test/simple", "lib==2 --hash=sha256:00"]);
}

#[test]
fn without_a_lock_file_pip_chooses() {
    let lines = |format, text: &str| read(format, text, None, &python("3.11.2")).map(|read| read.lines.join("|"));
    let toml = |text: &str| lines(Format::Pyproject, text);
    let project = "[project]\nname = 'x'\nrequires-python = '>=3.9'\ndependencies = ['fastapi[standard]>=0.110', 'tzdata; os_name == \"nt\"']";
    assert_eq!(toml(project).unwrap(), "fastapi[standard]>=0.110|tzdata; os_name == \"nt\"");
    assert_eq!(toml("[tool.black]\nline-length = 100").unwrap(), "");
    assert_eq!(
        toml("[tool.poetry.dependencies]\npython = '^3.9'\ndjango = '^5.1'\nuvicorn = {version = '~0.30', extras = ['standard']}\nx = {version = '*', optional = true}").unwrap(),
        "django>=5.1,<6|uvicorn[standard]>=0.30,<0.31"
    );
    for (text, why) in [
        ("[project]\nname = 'x'\ndynamic = ['dependencies']", "its dependencies are dynamic"),
        (
            "[project]\nname = 'x'\nrequires-python = '>=3.12'",
            "the project is for Python >=3.12, and this is Python 3.11.2",
        ),
        ("[project]\nname = 'x'\ndependencies = ['--index-url=x']", "is not a requirement"),
        ("[project]\nname = 'x'\n[tool.uv.sources]\nlib = {path = 'lib'}", "where lib comes from"),
        ("[tool.poetry.dependencies]\nlib = {git = 'https://x.test/lib'}", "`git` of lib cannot be told to pip"),
        ("[tool.poetry.dependencies]\npython = '^3.12'", "the project is for Python ^3.12"),
    ] {
        let told = toml(text).unwrap_err().why;
        assert!(told.contains(why), "{told}");
    }
    let pipfile = "[[source]]\nurl = 'https://pypi.org/simple'\n[packages]\nflask = '~=3.0'\nredis = '*'\nx = {version = '>=1', markers = \"os_name == 'nt'\"}\n[dev-packages]\npytest = '*'";
    assert_eq!(lines(Format::Pipfile, pipfile).unwrap(), "flask~=3.0|redis");
    assert!(lines(Format::Pipfile, "[packages]\nlib = {path = '.'}").unwrap_err().why.contains("`path` of lib"));
}
