//! Expressions and templates of a guide, evaluated by minijinja over facts, answers and locals.
//!
//! There is no clock, no randomness and no access to the host in here, so the same names give the same text.
//! Secrets are marks by the time they get here, and every filter of ours lets marks through as they are.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};
use serde_json::Value;

use crate::assets::Tree;
use crate::guide::Guide;

pub use context::Context;

mod context;
mod filters;
mod functions;
mod networks;
mod redirects;

/// Steps that one expression or template may take. The longest of the shipped ones takes a few thousand.
const FUEL: u64 = 1_000_000;

/// Bytes that one template may write.
const LONGEST: usize = 8 << 20;

/// Evaluates the expressions and templates of one guide.
#[derive(Debug)]
pub struct Expressions {
    environment: Environment<'static>,
    assets: Arc<Tree>,
    /// The names in expressions that were looked at already: the same ones come again with every answer.
    names: Mutex<HashMap<String, BTreeSet<String>>>,
    /// Which templates are a single expression.
    singles: Mutex<HashMap<String, bool>>,
}

impl Expressions {
    /// With the guide's assets as templates.
    pub fn new(guide: &Guide) -> Self {
        let assets = Arc::new(guide.assets.clone());
        let (names, singles) = (Mutex::default(), Mutex::default());
        Self { environment: environment(&guide.id, Arc::clone(&assets)), assets, names, singles }
    }

    /// The value of an expression. A name that does not exist is an error.
    pub fn eval(&self, expression: &str, context: &Context) -> Result<Value, String> {
        let compiled = self.environment.compile_expression(expression).map_err(|e| told(expression, &e))?;
        let value = compiled.eval(context.root()).map_err(|e| told(expression, &e))?;
        if value.is_undefined() {
            return Err(format!("`{expression}` is not defined"));
        }
        serde_json::to_value(&value).map_err(|e| format!("`{expression}` has no plain value: {e}"))
    }

    /// Whether an expression is true: `false`, `none`, zero and what is empty are not.
    pub fn truth(&self, expression: &str, context: &Context) -> Result<bool, String> {
        Ok(match self.eval(expression, context)? {
            Value::Null => false,
            Value::Bool(yes) => yes,
            Value::Number(number) => number.as_f64().is_none_or(|number| number != 0.0),
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Object(entries) => !entries.is_empty(),
        })
    }

    /// The text of a template; one that is a single `{{ expression }}` keeps the expression's type.
    pub fn render(&self, template: &str, context: &Context) -> Result<Value, String> {
        if let Some(expression) = self.single(template) {
            return self.eval(expression, context);
        }
        if !is_template(template) {
            return Ok(Value::String(template.to_owned()));
        }
        let parsed = self.environment.template_from_str(template).map_err(|e| told(template, &e))?;
        written(&parsed, context).map(Value::String).map_err(|e| told(template, &e))
    }

    /// As [`Self::render`], for places where only text makes sense.
    pub fn render_text(&self, template: &str, context: &Context) -> Result<String, String> {
        Ok(match self.render(template, context)? {
            Value::String(text) => text,
            Value::Null => String::new(),
            other => other.to_string(),
        })
    }

    /// Renders every text leaf of `value`.
    pub fn render_leaves(&self, value: &Value, context: &Context) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) => self.render(text, context)?,
            Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.render_leaves(item, context)).collect::<Result<_, _>>()?)
            }
            Value::Object(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, item)| Ok((key.clone(), self.render_leaves(item, context)?)))
                    .collect::<Result<_, String>>()?,
            ),
            plain => plain.clone(),
        })
    }

    /// The text of the asset `name` as a template.
    pub fn render_asset(&self, name: &str, context: &Context) -> Result<String, String> {
        written(&self.asset(name)?, context).map_err(|e| told(name, &e))
    }

    /// The names that an expression uses, dotted (`database.engine`); an error when it does not parse.
    pub fn names_in_expression(&self, expression: &str) -> Result<BTreeSet<String>, String> {
        if let Some(known) = remembered(&self.names, expression) {
            return Ok(known);
        }
        let compiled = self.environment.compile_expression(expression).map_err(|e| told(expression, &e))?;
        let mut names = self.names(compiled.undeclared_variables(true));
        // minijinja does not look into what is sliced.
        if let Some(unsliced) = without_slices(expression) {
            names.extend(self.names_in_expression(&unsliced)?);
        }
        remember(&self.names, expression, names.clone());
        Ok(names)
    }

    /// The names that a template uses.
    pub fn names_in_template(&self, template: &str) -> Result<BTreeSet<String>, String> {
        if let Some(expression) = self.single(template) {
            return self.names_in_expression(expression);
        }
        let compiled = self.environment.template_from_str(template).map_err(|e| told(template, &e))?;
        Ok(self.names(compiled.undeclared_variables(true)))
    }

    /// The names that an asset uses as a template, those of what it includes too.
    pub fn names_in_asset(&self, name: &str) -> Result<BTreeSet<String>, String> {
        let mut names = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut left = vec![name.to_owned()];
        while let Some(next) = left.pop() {
            let template = self.asset(&next)?;
            names.extend(self.names(template.undeclared_variables(true)));
            left.extend(included(template.source()));
            seen.insert(next);
            left.retain(|name| !seen.contains(name));
        }
        Ok(names)
    }

    fn asset(&self, name: &str) -> Result<minijinja::Template<'_, '_>, String> {
        self.environment.get_template(name).map_err(|error| {
            if error.kind() != ErrorKind::TemplateNotFound {
                return told(name, &error);
            }
            let near = crate::suggest::nearest(name, self.assets.keys().map(String::as_str));
            near.map_or_else(
                || format!("there is no asset {name}"),
                |near| format!("there is no asset {name}; did you mean {near}?"),
            )
        })
    }

    /// The expression of a template that is nothing but one `{{ expression }}`.
    fn single<'t>(&self, template: &'t str) -> Option<&'t str> {
        let inside = template.trim().strip_prefix("{{")?.strip_suffix("}}")?;
        let controls_whitespace = inside.starts_with(['-', '+']) || inside.ends_with(['-', '+']);
        // `{{ a }} and {{ b }}` is no single expression: what is left between its braces does not compile.
        if controls_whitespace {
            return None;
        }
        let single = remembered(&self.singles, inside).unwrap_or_else(|| {
            let single = self.environment.compile_expression(inside).is_ok();
            remember(&self.singles, inside, single);
            single
        });
        single.then_some(inside.trim())
    }

    /// Names with a value, of those that are used: in the place of a function the facts that it looks at.
    fn names(&self, used: HashSet<String>) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for name in used {
            match functions::facts_of(&name) {
                Some(facts) => names.extend(facts.iter().map(|fact| (*fact).to_owned())),
                None if self.environment.globals().any(|(global, _)| global == name) => {}
                None => drop(names.insert(name)),
            }
        }
        names
    }
}

fn remembered<T: Clone>(memory: &Mutex<HashMap<String, T>>, text: &str) -> Option<T> {
    memory.lock().ok()?.get(text).cloned()
}

fn remember<T>(memory: &Mutex<HashMap<String, T>>, text: &str, known: T) {
    if let Ok(mut memory) = memory.lock() {
        memory.insert(text.to_owned(), known);
    }
}

/// Removes `none` from lists and sections, so that `["a", "{{ 'b' if x else none }}"]` can leave an entry out.
pub fn drop_absent(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(drop_absent);
        }
        Value::Object(entries) => {
            entries.retain(|_, item| !item.is_null());
            entries.values_mut().for_each(drop_absent);
        }
        _ => {}
    }
}

/// Whether a text has anything to evaluate.
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// What a template writes, up to a size.
fn written(template: &minijinja::Template<'_, '_>, context: &Context) -> Result<String, Error> {
    let mut text = Text(Vec::new());
    let done = template.render_captured_to(context.root(), &mut text);
    if let Err(error) = done {
        let full = std::error::Error::source(&error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
        let why = format!("it writes more than {} MiB", LONGEST >> 20);
        return Err(if full { Error::new(ErrorKind::InvalidOperation, why) } else { error });
    }
    String::from_utf8(text.0).map_err(|e| Error::new(ErrorKind::InvalidOperation, e.to_string()))
}

struct Text(Vec<u8>);

impl std::io::Write for Text {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn environment(guide: &str, assets: Arc<Tree>) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    if let Ok(syntax) = syntax.build() {
        environment.set_syntax(syntax);
    }
    environment.set_loader(move |name| {
        let Some(bytes) = assets.get(name) else {
            return Ok(None);
        };
        String::from_utf8(bytes.clone())
            .map(Some)
            .map_err(|_| Error::new(ErrorKind::InvalidOperation, format!("{name} is not UTF-8 text")))
    });
    filters::add(&mut environment);
    functions::add(&mut environment, guide.to_owned());
    networks::add(&mut environment);
    redirects::add(&mut environment);
    environment
}

/// The assets that a template includes, imports or extends by a literal name.
fn included(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for tag in source.split("{%").skip(1) {
        let tag = tag.split("%}").next().unwrap_or_default().trim_matches(['-', '+', ' ']);
        let mut words = tag.split_whitespace();
        if matches!(words.next(), Some("include" | "import" | "extends" | "from"))
            && let Some(name) = words.next()
        {
            found.push(name.trim_matches(['"', '\'']).to_owned());
        }
    }
    found
}

/// An error in one line, with the text it is about.
fn told(about: &str, error: &Error) -> String {
    let about = about.trim();
    let short = if about.chars().count() > 80 {
        format!("{}…", about.chars().take(79).collect::<String>())
    } else {
        about.to_owned()
    };
    let what = error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
    match (error.name(), error.line()) {
        (Some(name), Some(line)) if !name.starts_with('<') => {
            format!("{name}, line {line}: {what}")
        }
        _ => format!("`{}`: {what}", short.replace('\n', " ")),
    }
}

/// An expression without its slices, such as `[:24]`; none when there are none.
fn without_slices(expression: &str) -> Option<String> {
    let (start, rest) = expression.match_indices('[').find_map(|(at, _)| {
        let inner = &expression[at + 1..];
        let end = inner.find(']')?;
        let slice = &inner[..end];
        let is_one = slice.contains(':') && slice.chars().all(|c| c.is_ascii_digit() || matches!(c, ':' | '-' | ' '));
        is_one.then(|| (&expression[..at], &inner[end + 1..]))
    })?;
    Some(format!("{start}{rest}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::facts::{Facts, Listener};
    use crate::secret::{self, mark};
    use serde_json::json;

    fn expressions(assets: &[(&str, &str)]) -> Expressions {
        Expressions::new(&Guide {
            id: "t".into(),
            assets: assets.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect(),
            ..Guide::default()
        })
    }

    fn context() -> Context {
        let facts = Facts {
            fqdn: "web.example.org".into(),
            listening: vec![Listener { port: 80, address: "0.0.0.0".into(), process: "apache2".into() }],
            ..Facts::default()
        };
        let mut context = Context::new(&facts);
        context.set_answer("web", "port", &json!(443));
        context.set_answer("web", "names", &json!(["a", "b"]));
        context.set_answer("web", "absent", &Value::Null);
        context.set_answer("database", "password", &json!(mark("database.password")));
        context
    }

    #[test]
    fn a_single_expression_keeps_its_type_and_other_templates_are_text() {
        let e = expressions(&[]);
        assert_eq!(e.render("{{ web.port }}", &context()), Ok(json!(443)));
        assert_eq!(e.render("{{ web.names }}", &context()), Ok(json!(["a", "b"])));
        assert_eq!(e.render("{{ web.port == 443 }}", &context()), Ok(json!(true)));
        assert_eq!(e.render("port {{ web.port }}", &context()), Ok(json!("port 443")));
        assert_eq!(e.render("{{ web.port }}{{ web.port }}", &context()), Ok(json!("443443")));
        assert_eq!(e.render("plain } text", &context()), Ok(json!("plain } text")));
    }

    #[test]
    fn a_name_that_does_not_exist_is_an_error_everywhere() {
        let e = expressions(&[]);
        for text in ["{{ web.prot }}", "x {{ web.prot }}", "{{ nothing.at.all }}", "x {{ locals.none }}"] {
            assert!(e.render(text, &context()).is_err(), "{text}");
        }
        assert!(e.truth("web.prot", &context()).is_err());
    }

    #[test]
    fn truth_is_what_a_reader_expects() {
        let e = expressions(&[]);
        for (text, expected) in [
            ("web.port == 443", true),
            ("web.absent is none", true),
            ("web.absent", false),
            ("0", false),
            ("''", false),
            ("[]", false),
            ("facts.fqdn in ['web.example.org']", true),
            ("facts.listening | map(attribute='port') | list == [80]", true),
        ] {
            assert_eq!(e.truth(text, &context()), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_mark_of_a_secret_goes_through_every_filter_of_ours_untouched() {
        let e = expressions(&[]);
        let sign = mark("database.password");
        for filter in ["shell_quote", "ini_escape", "regex_escape", "url_quote", "systemd_escape", "json"] {
            let text = e.render_text(&format!("{{{{ database.password | {filter} }}}}"), &context()).unwrap();
            // Quoted when it is filled in.
            let quoted = secret::quoted_mark("database.password");
            assert_eq!(text.replace('"', ""), if filter == "shell_quote" { quoted } else { sign.clone() }, "{filter}");
        }
    }

    #[test]
    fn assets_include_each_other_and_keep_their_last_line_break() {
        let e = expressions(&[
            ("a.conf", "a {{ web.port }}\n{% include \"b.conf\" %}\n{% if web.absent is none %}\nyes\n{% endif %}\n"),
            ("b.conf", "b {{ database.password }}\n"),
        ]);
        let text = e.render_asset("a.conf", &context()).unwrap();
        assert_eq!(text, format!("a 443\nb {}\nyes\n", mark("database.password")));
        let names = e.names_in_asset("a.conf").unwrap();
        assert!(names.contains("database.password") && names.contains("web.port"), "{names:?}");
    }

    #[test]
    fn a_missing_asset_is_told_with_the_nearest_name() {
        let e = expressions(&[("nginx/site.conf", "")]);
        let error = e.render_asset("nginx/sit.conf", &context()).unwrap_err();
        assert!(error.contains("did you mean nginx/site.conf?"), "{error}");
    }

    #[test]
    fn functions_are_not_taken_for_names() {
        let e = expressions(&[]);
        let sliced = e.names_in_expression("(locals.a.name | string)[:24] ~ facts.cpus.usable[1:]").unwrap();
        assert_eq!(sliced.into_iter().collect::<Vec<_>>(), ["facts.cpus.usable", "locals.a.name"]);
        let names = e.names_in_expression("size_workers(cpus=facts.cpus.usable).workers + range(3) | length").unwrap();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["facts.cpus.usable"]);
    }

    #[test]
    fn sizing_takes_its_inputs_by_name_and_refuses_unknown_ones() {
        let e = expressions(&[]);
        let sized = e.eval("size_workers(cpus=4, memory_mib=8192, users=30).workers", &context()).unwrap();
        assert!(sized.as_u64().is_some_and(|workers| workers >= 1), "{sized}");
        assert!(e.eval("size_workers(cpu=4)", &context()).is_err());
    }
}
