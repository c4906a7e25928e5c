//! The name that was meant, when another was written.

/// A hint at the one of `names` that is nearest to `name`, if one is near enough to be meant: ``did you mean `x`?``
pub fn nearest<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Option<String> {
    let lower = name.to_lowercase();
    names
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(&lower, &known.to_lowercase()), known))
        .filter(|(distance, known)| *distance <= 1 + known.chars().count().max(name.chars().count()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| format!("did you mean `{known}`?"))
}

/// The same as the end of a message: empty, or ``; did you mean `x`?``
pub fn did_you_mean<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    nearest(name, names).map(|hint| format!("; {hint}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_is_silent_about_strangers() {
        assert_eq!(nearest("Windwo", ["window", "rate"]).as_deref(), Some("did you mean `window`?"));
        assert_eq!(nearest("kitchen", ["window", "rate"]), None);
    }
}
