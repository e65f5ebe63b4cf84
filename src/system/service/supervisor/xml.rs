//! The part of XML-RPC that supervisord speaks, as JSON values.

use std::fmt::Write as _;
use std::io;

use serde_json::{Map, Value};

use super::malformed;

/// Nobody nests deeper; a bound keeps a mad answer from exhausting the stack.
const DEEPEST: u32 = 32;

/// The request that calls `method` with `arguments`, a list of texts and flags.
pub fn call(method: &str, arguments: &Value) -> String {
    let mut xml = format!("<?xml version=\"1.0\"?><methodCall><methodName>{method}</methodName><params>");
    for argument in arguments.as_array().into_iter().flatten() {
        let _ = match argument {
            Value::Bool(flag) => {
                write!(xml, "<param><value><boolean>{}</boolean></value></param>", u8::from(*flag))
            }
            other => {
                let text = escape(other.as_str().unwrap_or_default());
                write!(xml, "<param><value><string>{text}</string></value></param>")
            }
        };
    }
    xml.push_str("</params></methodCall>");
    xml
}

/// What an answer holds: the result, or the fault.
pub fn reply(xml: &str) -> io::Result<Result<Value, Value>> {
    let start = xml.find("<methodResponse>").ok_or_else(|| malformed("not an answer to a call"))?;
    let mut reader = Reader { rest: &xml[start..] };
    reader.expect("<methodResponse>")?;
    if reader.take("<fault>") {
        return reader.value(0).map(Err);
    }
    reader.expect("<params>")?;
    reader.expect("<param>")?;
    reader.value(0).map(Ok)
}

struct Reader<'x> {
    rest: &'x str,
}

impl<'x> Reader<'x> {
    fn value(&mut self, depth: u32) -> io::Result<Value> {
        if depth > DEEPEST {
            return Err(malformed("it is nested too deeply"));
        }
        self.expect("<value>")?;
        let value = if self.take("<array>") {
            self.array(depth)?
        } else if self.take("<struct>") {
            self.members(depth)?
        } else if self.take("<nil/>") || self.take("<string/>") {
            Value::Null
        } else if let Some(kind) = self.opening() {
            let text = self.until(&format!("</{kind}>"))?;
            scalar(kind, text)
        } else {
            // A text may appear without a tag of its own.
            let text = self.until("</value>")?;
            return Ok(Value::String(unescape(text)));
        };
        self.expect("</value>")?;
        Ok(value)
    }

    fn array(&mut self, depth: u32) -> io::Result<Value> {
        let mut items = Vec::new();
        if !self.take("<data/>") {
            self.expect("<data>")?;
            while !self.take("</data>") {
                items.push(self.value(depth + 1)?);
            }
        }
        self.expect("</array>")?;
        Ok(Value::Array(items))
    }

    fn members(&mut self, depth: u32) -> io::Result<Value> {
        let mut members = Map::new();
        while !self.take("</struct>") {
            self.expect("<member>")?;
            self.expect("<name>")?;
            let name = unescape(self.until("</name>")?);
            members.insert(name, self.value(depth + 1)?);
            self.expect("</member>")?;
        }
        Ok(Value::Object(members))
    }

    /// The name of the tag that opens here.
    fn opening(&mut self) -> Option<&'x str> {
        let rest = self.rest.trim_start().strip_prefix('<')?;
        let (name, after) = rest.split_once('>')?;
        if name.starts_with('/') {
            return None;
        }
        self.rest = after;
        Some(name)
    }

    fn take(&mut self, tag: &str) -> bool {
        let found = self.rest.trim_start().strip_prefix(tag);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn expect(&mut self, tag: &str) -> io::Result<()> {
        if self.take(tag) { Ok(()) } else { Err(malformed(&format!("{tag} is missing in the answer"))) }
    }

    fn until(&mut self, tag: &str) -> io::Result<&'x str> {
        let (text, rest) =
            self.rest.split_once(tag).ok_or_else(|| malformed(&format!("{tag} is missing in the answer")))?;
        self.rest = rest;
        Ok(text)
    }
}

fn scalar(kind: &str, text: &str) -> Value {
    match kind {
        "int" | "i4" | "i8" => text.trim().parse::<i64>().map_or(Value::Null, Value::from),
        "boolean" => Value::Bool(text.trim() == "1"),
        "double" => text.trim().parse::<f64>().map_or(Value::Null, Value::from),
        _ => Value::String(unescape(text)),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_of_processes_becomes_data() {
        let xml = "<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n<value><array><data>\n\
            <value><struct>\n<member>\n<name>group</name>\n<value><string>web</string></value>\n</member>\n\
            <member>\n<name>pid</name>\n<value><int>42</int></value>\n</member>\n\
            <member>\n<name>spawnerr</name>\n<value><string>a &lt;b&gt; &amp;amp;</string></value>\n</member>\n\
            </struct></value>\n</data></array></value>\n</param>\n</params>\n</methodResponse>\n";
        let expected = json!([{"group": "web", "pid": 42, "spawnerr": "a <b> &amp;"}]);
        assert_eq!(reply(xml).unwrap(), Ok(expected));
    }

    #[test]
    fn a_fault_is_told_from_a_result() {
        let xml = "<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>10</int></value>\
            </member></struct></value></fault></methodResponse>";
        assert_eq!(reply(xml).unwrap(), Err(json!({"faultCode": 10})));
    }

    #[test]
    fn an_answer_that_is_cut_or_nested_too_deeply_is_refused() {
        assert!(reply("<methodResponse><params><param><value><array><data><value><int>1").is_err());
        assert!(reply("no answer").is_err());
        let deep = "<value><array><data>".repeat(100_000);
        assert!(reply(&format!("<methodResponse><params><param>{deep}")).is_err());
    }

    #[test]
    fn names_are_escaped_in_a_call() {
        let xml = call("supervisor.stopProcess", &json!(["a<&>", false]));
        assert!(xml.contains("<string>a&lt;&amp;&gt;</string>") && xml.contains("<boolean>0</boolean>"));
    }
}
