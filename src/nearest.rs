//! What a wrong name was probably meant to be.

/// No name that anybody means is so much longer or shorter.
const FAR_BYTES: usize = 64;

/// The name that `wrong` was probably meant to be, if any is close.
pub fn nearest<'n>(wrong: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let mut best: Option<(usize, &str)> = None;
    for name in names {
        // What differs so much in length alone is not compared: callers choose how long a name is.
        if wrong.len().abs_diff(name.len()) > FAR_BYTES {
            continue;
        }
        let apart = strsim::osa_distance(wrong, name);
        let longest = wrong.chars().count().max(name.chars().count());
        // At least three of five letters are right.
        if apart * 5 <= longest * 2 && best.is_none_or(|(least, _)| apart < least) {
            best = Some((apart, name));
        }
    }
    best.map(|(_, name)| name)
}
