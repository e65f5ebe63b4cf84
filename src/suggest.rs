//! The name that a person may have meant.

/// `; did you mean …?` when one of `known` is like `name`, else nothing.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map(|near| format!("; did you mean {near}?")).unwrap_or_default()
}

/// The most similar name, when at most a third of it differs.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Nothing this long is a slip of the pen, and comparing costs the product of the lengths.
    if name.len() > 100 {
        return None;
    }
    let name = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.chars().count() / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_names_are_not() {
        assert_eq!(did_you_mean("hots", ["port", "host"]), "; did you mean host?");
        assert_eq!(did_you_mean("Engine", ["engine"]), "; did you mean engine?");
        assert_eq!(did_you_mean("zebra", ["port", "host"]), "");
        assert_eq!(nearest("postgres", ["postgresql", "sqlite"]), Some("postgresql"));
        assert_eq!(did_you_mean("16", ["15"]), "");
        assert_eq!(did_you_mean(&"x".repeat(100_000), ["port"]), "");
    }
}
