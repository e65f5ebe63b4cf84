//! Reads the types behind guides from the source: names, doc comments, types, defaults. What serde does with them is
//! read from their attributes; what this reader does not understand, it refuses, so that it cannot tell less than
//! the code.

use std::collections::BTreeMap;
use std::path::Path;

use syn::{Attribute, Expr, Fields, Item, Lit, Meta, Type, UseTree};

/// A type that a guide can write, or a fact.
#[derive(Clone, Debug)]
pub struct Shape {
    pub docs: String,
    pub form: Form,
}

#[derive(Clone, Debug)]
pub enum Form {
    /// A mapping.
    Fields(Vec<Field>),
    /// One of some words, with what each means.
    Words(Vec<(String, String)>),
    /// An enum whose variants hold a type each: the name of a kind, and its type.
    Kinds(Vec<(String, Value)>),
    /// Read from text by code of its own.
    Custom,
}

#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub docs: String,
    pub value: Value,
    /// What it is when it is left out, in words; none where it must be written.
    pub default: Option<String>,
}

#[derive(Clone, Debug)]
pub enum Value {
    Text,
    Path,
    Bool,
    Number,
    Address,
    Anything,
    List(Box<Value>),
    Map(Box<Value>),
    Option(Box<Value>),
    /// A type of this crate, by its path.
    Named(String),
}

/// All modules of `src`, parsed as they are asked for.
#[derive(Default)]
pub struct Source {
    files: BTreeMap<String, syn::File>,
}

impl Source {
    /// A type by its module and its name: `action::file::File`.
    pub fn shape(&mut self, path: &str) -> Shape {
        let (module, name) = path.rsplit_once("::").unwrap();
        let file = self.file(module).clone();
        for item in &file.items {
            match item {
                Item::Struct(found) if found.ident == name => {
                    let form = if custom(&file, name) {
                        Form::Custom
                    } else {
                        Form::Fields(self.fields(module, &found.fields, &found.attrs, &file))
                    };
                    return Shape { docs: docs(&found.attrs), form };
                }
                Item::Enum(found) if found.ident == name => {
                    let form = self.variants(module, found);
                    return Shape { docs: docs(&found.attrs), form };
                }
                _ => {}
            }
        }
        panic!("there is no type {path}");
    }

    /// The first words of a module about itself.
    pub fn module_docs(&mut self, module: &str) -> String {
        docs(&self.file(module).attrs)
    }

    fn file(&mut self, module: &str) -> &syn::File {
        self.files.entry(module.to_owned()).or_insert_with(|| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(module.replace("::", "/"));
            let text = std::fs::read_to_string(path.with_extension("rs")).unwrap_or_else(|e| panic!("{module}: {e}"));
            syn::parse_file(&text).unwrap_or_else(|e| panic!("{module}: {e}"))
        })
    }

    fn fields(&mut self, module: &str, fields: &Fields, attrs: &[Attribute], file: &syn::File) -> Vec<Field> {
        let container = serde(attrs);
        for key in container.keys() {
            assert!(["deny_unknown_fields", "default", "from"].contains(&key.as_str()), "{module}: serde({key})");
        }
        let mut found = Vec::new();
        for field in fields {
            let serde = serde(&field.attrs);
            for key in serde.keys() {
                let known =
                    ["default", "skip_serializing", "skip_serializing_if", "rename", "alias", "skip", "flatten"];
                assert!(known.contains(&key.as_str()), "{module}: serde({key})");
            }
            // What is skipped is not written; what is flattened is the kind of an action or of a proof.
            if serde.contains_key("skip") || serde.contains_key("flatten") {
                continue;
            }
            // An alias is the word of today where plans keep an older one.
            let name = serde
                .get("alias")
                .or(serde.get("rename"))
                .cloned()
                .unwrap_or_else(|| field.ident.as_ref().unwrap().to_string());
            let value = self.value(module, &field.ty);
            let default = match serde.get("default") {
                Some(function) if !function.is_empty() => Some(constant(module, function, file)),
                Some(_) => Some(self.empty(&value)),
                None if container.contains_key("default") => Some(self.empty(&value)),
                None if matches!(value, Value::Option(_)) => Some("none".to_owned()),
                None => None,
            };
            found.push(Field { name, docs: docs(&field.attrs), value, default });
        }
        found
    }

    fn variants(&mut self, module: &str, found: &syn::ItemEnum) -> Form {
        let serde = serde(&found.attrs);
        assert_eq!(serde.get("rename_all").map(String::as_str), Some("snake_case"), "{module}::{}", found.ident);
        let name = |ident: &syn::Ident| snake(&ident.to_string());
        if found.variants.iter().all(|variant| variant.fields.is_empty()) {
            return Form::Words(found.variants.iter().map(|one| (name(&one.ident), docs(&one.attrs))).collect());
        }
        let kind = |one: &syn::Variant| {
            let field = one.fields.iter().next().unwrap_or_else(|| panic!("{module}: {} holds nothing", one.ident));
            (name(&one.ident), field.ty.clone())
        };
        let kinds: Vec<_> = found.variants.iter().map(kind).collect();
        Form::Kinds(kinds.into_iter().map(|(name, ty)| (name, self.value(module, &ty))).collect())
    }

    fn value(&mut self, module: &str, ty: &Type) -> Value {
        let Type::Path(path) = ty else { panic!("{module}: a type that is no path") };
        let last = path.path.segments.last().unwrap();
        let inner = |at: usize| match &last.arguments {
            syn::PathArguments::AngleBracketed(arguments) => match &arguments.args[at] {
                syn::GenericArgument::Type(ty) => ty.clone(),
                _ => panic!("{module}: an argument that is no type"),
            },
            _ => panic!("{module}: {} without arguments", last.ident),
        };
        match last.ident.to_string().as_str() {
            "String" => Value::Text,
            "PathBuf" => Value::Path,
            "bool" => Value::Bool,
            "u16" | "u32" | "u64" | "i64" => Value::Number,
            "IpAddr" => Value::Address,
            "Value" => Value::Anything,
            "Vec" => Value::List(Box::new(self.value(module, &inner(0)))),
            "Option" => Value::Option(Box::new(self.value(module, &inner(0)))),
            "BTreeMap" => {
                assert!(matches!(self.value(module, &inner(0)), Value::Text), "{module}: a map with keys of its own");
                Value::Map(Box::new(self.value(module, &inner(1))))
            }
            _ => {
                let segments: Vec<String> = path.path.segments.iter().map(|one| one.ident.to_string()).collect();
                Value::Named(self.resolve(module, &segments))
            }
        }
    }

    /// Where a path leads from a module: an own item, a child, or what a `use` line names.
    fn resolve(&mut self, module: &str, segments: &[String]) -> String {
        let (first, rest) = segments.split_first().unwrap();
        let join = |head: &str| [&[head.to_owned()], rest].concat().join("::");
        if first == "crate" {
            let (name, parents) = rest.split_last().unwrap();
            let parent = parents.join("::");
            let own = defines(self.file(&parent), name);
            return if own { rest.join("::") } else { self.resolve(&parent, std::slice::from_ref(name)) };
        }
        let file = self.file(module).clone();
        if rest.is_empty() && defines(&file, first) {
            return format!("{module}::{first}");
        }
        if file.items.iter().any(|item| matches!(item, Item::Mod(one) if one.ident == first)) {
            let whole = [vec!["crate".to_owned()], module.split("::").map(str::to_owned).collect(), segments.to_vec()];
            return self.resolve(module, &whole.concat());
        }
        for item in &file.items {
            let Item::Use(used) = item else { continue };
            if let Some(target) = used_as(&used.tree, first, &mut Vec::new()) {
                let inside = target.first().is_some_and(|head| head != "crate");
                let target =
                    if inside { [vec!["crate".to_owned(), module.to_owned()], target].concat() } else { target };
                let target: Vec<String> = target.iter().flat_map(|part| part.split("::").map(str::to_owned)).collect();
                return self.resolve(module, &[target, rest.to_vec()].concat());
            }
        }
        panic!("{module} does not know {}", join(first));
    }

    /// What `#[serde(default)]` gives.
    fn empty(&mut self, value: &Value) -> String {
        match value {
            Value::Text | Value::Path | Value::List(_) | Value::Map(_) => "empty".to_owned(),
            Value::Bool => "`false`".to_owned(),
            Value::Number => "`0`".to_owned(),
            Value::Option(_) | Value::Anything | Value::Address => "none".to_owned(),
            Value::Named(path) => {
                let (module, name) = path.rsplit_once("::").unwrap();
                let file = self.file(module).clone();
                let words = file.items.iter().find_map(|item| match item {
                    Item::Enum(found) if found.ident == name => Some(found),
                    _ => None,
                });
                let Some(found) = words else { return "empty".to_owned() };
                let is_default = |one: &&syn::Variant| one.attrs.iter().any(|attr| attr.path().is_ident("default"));
                format!("`{}`", snake(&found.variants.iter().find(is_default).unwrap().ident.to_string()))
            }
        }
    }
}

/// What the function that `#[serde(default = "…")]` names gives: a literal, alone or made into something.
fn constant(module: &str, function: &str, file: &syn::File) -> String {
    let body = file.items.iter().find_map(|item| match item {
        Item::Fn(found) if found.sig.ident == function => Some(&found.block),
        _ => None,
    });
    let body = body.unwrap_or_else(|| panic!("{module} has no function {function}"));
    match body.stmts.last() {
        Some(syn::Stmt::Expr(expr, None)) => format!("`{}`", literal(expr)),
        _ => panic!("{module}::{function} is no single expression"),
    }
}

/// The value of an expression that a default is made with.
fn literal(expr: &Expr) -> String {
    match expr {
        Expr::Lit(lit) => match &lit.lit {
            Lit::Str(text) => text.value(),
            Lit::Int(number) => number.base10_digits().to_owned(),
            Lit::Bool(flag) => flag.value.to_string(),
            _ => panic!("a default that is neither text nor number"),
        },
        Expr::MethodCall(call) => literal(&call.receiver),
        Expr::Call(call) => literal(call.args.first().unwrap()),
        Expr::Path(path) => snake(&path.path.segments.last().unwrap().ident.to_string()),
        _ => panic!("a default that is no literal"),
    }
}

fn defines(file: &syn::File, name: &str) -> bool {
    file.items.iter().any(|item| match item {
        Item::Struct(found) => found.ident == name,
        Item::Enum(found) => found.ident == name,
        _ => false,
    })
}

/// Whether it is read by code of its own (`impl Deserialize for`).
fn custom(file: &syn::File, name: &str) -> bool {
    file.items.iter().any(|item| match item {
        Item::Impl(found) => {
            let of =
                found.trait_.as_ref().is_some_and(|(_, path, _)| path.segments.last().unwrap().ident == "Deserialize");
            of && matches!(&*found.self_ty, Type::Path(path) if path.path.is_ident(name))
        }
        _ => false,
    })
}

/// The path that a `use` tree gives to a name.
fn used_as(tree: &UseTree, name: &str, before: &mut Vec<String>) -> Option<Vec<String>> {
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            let found = used_as(&path.tree, name, before);
            before.pop();
            found
        }
        UseTree::Name(one) if one.ident == name => Some([before.clone(), vec![name.to_owned()]].concat()),
        UseTree::Name(one) if one.ident == "self" && before.last().is_some_and(|last| last == name) => {
            Some(before.clone())
        }
        UseTree::Rename(one) if one.rename == name => Some([before.clone(), vec![one.ident.to_string()]].concat()),
        UseTree::Group(group) => group.items.iter().find_map(|tree| used_as(tree, name, before)),
        _ => None,
    }
}

/// What `#[serde(…)]` says: keys, with their text where they have one.
fn serde(attrs: &[Attribute]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("serde")) {
        attr.parse_nested_meta(|meta| {
            let key = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
            let text = if meta.input.peek(syn::Token![=]) {
                meta.value()?.parse::<syn::LitStr>()?.value()
            } else {
                String::new()
            };
            found.insert(key, text);
            Ok(())
        })
        .unwrap();
    }
    found
}

/// The doc comment, paragraphs kept, lines joined, links as plain names.
fn docs(attrs: &[Attribute]) -> String {
    let line = |attr: &Attribute| match &attr.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(lit) => match &lit.lit {
                Lit::Str(text) => Some(text.value().trim().to_owned()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    let mut text = String::new();
    for line in attrs.iter().filter_map(line) {
        match (line.is_empty(), text.is_empty() || text.ends_with('\n')) {
            (true, false) => text.push_str("\n\n"),
            (true, true) => {}
            (false, true) => text.push_str(&line),
            (false, false) => {
                text.push(' ');
                text.push_str(&line);
            }
        }
    }
    text.trim().replace("[`", "`").replace("`]", "`")
}

/// `SelfSigned` as serde writes it: `self_signed`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for (at, c) in name.chars().enumerate() {
        if c.is_uppercase() && at > 0 {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}
