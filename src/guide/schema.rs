//! The JSON Schema of the files of a guide, made from the types by `tests/reference.rs`.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::Value;

/// The schema as it is printed: draft 2020-12, for `guide.yaml` and for stages.
pub const TEXT: &str = include_str!("../../docs/reference/guide.schema.json");

/// The fields that an action of this kind cannot do without.
pub(super) fn action_needs(kind: &str) -> Vec<String> {
    needs("ActionSpec", kind)
}

/// The fields that a proof of this kind cannot do without.
pub(super) fn proof_needs(kind: &str) -> Vec<String> {
    needs("ProofSpec", kind)
}

fn needs(spec: &str, kind: &str) -> Vec<String> {
    static NEEDS: OnceLock<BTreeMap<(String, String), Vec<String>>> = OnceLock::new();
    let all = NEEDS.get_or_init(|| {
        let schema: Value = serde_json::from_str(TEXT).unwrap_or_default();
        let mut all = BTreeMap::new();
        for spec in ["ActionSpec", "ProofSpec"] {
            for (kind, body) in schema["$defs"][spec]["properties"].as_object().into_iter().flatten() {
                let names = body["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
                all.insert((spec.to_owned(), kind.clone()), names.map(str::to_owned).collect());
            }
        }
        all
    });
    all.get(&(spec.to_owned(), kind.to_owned())).cloned().unwrap_or_default()
}
