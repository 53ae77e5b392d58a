//! The pages in browsers that may use a key, by their origin: scheme, host and port, as browsers send it.

use crate::route::rule::Glob;

/// An origin as a configuration lists it: `https://app.example.com`, `https://*.example.com`, `http://localhost:5173`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    scheme: String,
    host: Glob,
    /// Empty where it is the scheme's own, which browsers leave out.
    port: String,
}

impl Listed {
    /// None where it is no origin. A star stands for any text in the host only.
    pub fn written(text: &str) -> Option<Self> {
        let (scheme, host, port) = parts(text, "*")?;
        Some(Self { scheme, host: Glob::new(host), port })
    }

    /// Whether it means the origin that a browser sent.
    pub fn means(&self, origin: &str) -> bool {
        parts(origin, "").is_some_and(|(scheme, host, port)| {
            (scheme.as_str(), port.as_str()) == (self.scheme.as_str(), self.port.as_str()) && self.host.matches(&host)
        })
    }
}

/// Scheme, host and port in lower case, where nothing else stands there. Apps have schemes of their own.
fn parts(origin: &str, also: &str) -> Option<(String, String, String)> {
    let (scheme, rest) = origin.split_once("://")?;
    let (host, port) = match rest.rsplit_once(':') {
        // The colon is one of an IPv6 address.
        Some((_, port)) if !port.ends_with(']') => rest.rsplit_once(':')?,
        _ => (rest, ""),
    };
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let is_host = |c: char| c.is_ascii_alphanumeric() || "-_.:[]".contains(c) || also.contains(c);
    let is_port = rest.len() == host.len() || !port.is_empty();
    let fits = !scheme.is_empty()
        && scheme.bytes().all(is_scheme)
        && !host.is_empty()
        && host.chars().all(is_host)
        && is_port
        && port.bytes().all(|byte| byte.is_ascii_digit());
    let (scheme, host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
    let is_usual = matches!((scheme.as_str(), port), ("https", "443") | ("http", "80"));
    fits.then(|| (scheme, host, if is_usual { String::new() } else { port.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_meant_by_scheme_host_and_port() {
        let cases = [
            ("https://app.example.com", "https://app.example.com", true),
            ("https://App.example.com:443", "https://app.example.com", true),
            ("https://app.example.com", "http://app.example.com", false),
            ("https://app.example.com", "https://app.example.com:8443", false),
            ("https://app.example.com", "https://app.example.com.evil.example", false),
            ("https://*.example.com", "https://a.b.example.com", true),
            ("https://*.example.com", "https://example.com", false),
            ("https://*.example.com", "https://evilexample.com", false),
            ("https://*.example.com", "https://evil.example/.example.com", false),
            ("https://*.example.com", "https://evil.example:1#.example.com", false),
            ("https://*", "https://anything.example", true),
            ("https://*", "http://anything.example", false),
            ("http://localhost:5173", "http://localhost:5173", true),
            ("http://localhost:5173", "http://localhost:5174", false),
            ("http://[::1]:5173", "http://[::1]:5173", true),
            ("http://[::1]", "http://[::1]", true),
            ("capacitor://localhost", "capacitor://localhost", true),
            ("https://*", "null", false),
            ("https://*", "", false),
        ];
        for (listed, origin, expected) in cases {
            assert_eq!(Listed::written(listed).unwrap().means(origin), expected, "{listed} {origin}");
        }
        let wrong = [
            "",
            "*",
            "app.example.com",
            "https://",
            "https://a/",
            "https://a/b",
            "https://a:b",
            "https://a:*",
            "https://a:",
            "*://a",
        ];
        for wrong in wrong {
            assert_eq!(Listed::written(wrong), None, "{wrong}");
        }
    }
}
