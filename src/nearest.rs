//! What a wrong name was probably meant to be.

/// The name that `wrong` was probably meant to be, if any is close.
pub fn nearest<'n>(wrong: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let mut best: Option<(usize, &str)> = None;
    for name in names {
        let apart = strsim::osa_distance(wrong, name);
        let longest = wrong.chars().count().max(name.chars().count());
        // At least three of five letters are right.
        if apart * 5 <= longest * 2 && best.is_none_or(|(least, _)| apart < least) {
            best = Some((apart, name));
        }
    }
    best.map(|(_, name)| name)
}
