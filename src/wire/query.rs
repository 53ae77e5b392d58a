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

/// Makes `pairs` the end of the query of `url`.
pub fn add(url: &mut String, pairs: &str) {
    url.push(if url.contains('?') { '&' } else { '?' });
    url.push_str(pairs);
}

/// Where a redirect of `url` to `place` leads; `None` where that is another server, which must not see a credential.
pub fn within(url: &str, place: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?']).next()?;
    let origin = format!("{scheme}://{host}");
    if place.starts_with('/') && !place.starts_with("//") {
        return Some(origin + place);
    }
    let behind = place.strip_prefix(&origin)?;
    (behind.starts_with('/') || behind.starts_with('?')).then(|| place.to_owned())
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

    #[test]
    fn a_redirect_stays_with_its_server() {
        let url = "https://a.example:8/v1/x?y=1";
        let same = ["/v1/x?call=2", "https://a.example:8/other", "https://a.example:8?call=2"];
        for place in same {
            let expected =
                if place.starts_with('/') { format!("https://a.example:8{place}") } else { place.to_owned() };
            assert_eq!(within(url, place), Some(expected));
        }
        for place in ["//b.example/", "https://b.example/", "http://a.example:8/", "https://a.example:80/", "x", ""] {
            assert_eq!(within(url, place), None, "{place}");
        }
    }
}
