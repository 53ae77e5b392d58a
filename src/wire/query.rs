//! The query of a URL, and percent escapes. Pure.

/// The value of a parameter in a query.
pub fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    query?.split('&').find_map(|pair| {
        let (given, value) = pair.split_once('=').unwrap_or((pair, ""));
        if decoded(given).as_deref() == Some(name) { decoded(value) } else { None }
    })
}

/// What an upstream may see of a query: not the caller's key, and not what the upstream's own URL says.
pub fn passed_on(query: &str) -> Option<String> {
    let own = |pair: &&str| {
        let name = decoded(pair.split('=').next().unwrap_or_default());
        // A name that cannot be read may be any.
        !matches!(name.as_deref(), None | Some("key" | "alt" | ""))
    };
    let rest: Vec<&str> = query.split('&').filter(own).collect();
    (!rest.is_empty()).then(|| rest.join("&"))
}

/// Without percent escapes; `None` where that is no text.
pub fn decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || char::from(rest.next()?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push(if byte == b'%' { digit()? * 16 + digit()? } else { byte });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_key_is_found_and_not_passed_on() {
        assert_eq!(parameter(Some("alt=sse&key=a%2Bb"), "key").as_deref(), Some("a+b"));
        assert_eq!(parameter(Some("k%65y=a"), "key").as_deref(), Some("a"));
        assert_eq!(parameter(Some("keys=a"), "key"), None);
        assert_eq!(passed_on("beta=true").as_deref(), Some("beta=true"));
        assert_eq!(passed_on("key=a&beta=true&k%65y=b&alt=sse&%k=c").as_deref(), Some("beta=true"));
        assert_eq!(passed_on("key=a"), None);
    }
}
