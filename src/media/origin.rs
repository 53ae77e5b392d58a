//! Whom a URL leads to: scheme, host and port.
//!
//! It is read more strictly than by any of those that will go there, so that none of them can read another host in it:
//! a host is letters, digits, hyphens and dots, and nothing stands before it.

/// Longer ones are refused by many servers.
const URL_BYTES_MAX: usize = 8192;
/// Ends of names that are not of the public internet. Sources: "Special-Use Domain Names", IANA, read 2026-11; the rest is
/// what private networks use, `internal` by ICANN's reservation.
const PRIVATE_ENDS: &[&str] = &[
    "localhost",
    "localdomain",
    "local",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "arpa",
    "alt",
    "onion",
    "test",
    "invalid",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    is_tls: bool,
    /// In lower case; of a listed one `*.` may stand before it.
    host: String,
    port: u16,
}

/// Whether it is a URL that could be fetched, and not a name in some store.
pub fn is_web(url: &str) -> bool {
    scheme(url).is_some()
}

/// Whether it is over TLS, and what stands behind `://`.
fn scheme(url: &str) -> Option<(bool, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    match () {
        () if scheme.eq_ignore_ascii_case("https") => Some((true, rest)),
        () if scheme.eq_ignore_ascii_case("http") => Some((false, rest)),
        () => None,
    }
}

fn authority(rest: &str) -> &str {
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// What the last part of a URL's path calls the file.
pub fn file_name(url: &str) -> Option<String> {
    let (_, rest) = scheme(url)?;
    let (_, name) = rest.split(['?', '#']).next()?.rsplit_once('/')?;
    Some(name.to_owned()).filter(|name| !name.is_empty())
}

/// Where a redirect away from `url` leads. `None` where it is written as no server has to: by a path without a root.
pub fn moved(url: &str, location: &str) -> Option<String> {
    let (start, rest) = url.split_once("://")?;
    match location {
        _ if is_web(location) => Some(location.to_owned()),
        _ if location.starts_with("//") => Some(format!("{start}:{location}")),
        _ if location.starts_with('/') => Some(format!("{start}://{}{location}", authority(rest))),
        _ => None,
    }
}

impl Origin {
    /// Of a URL that a caller gave; the error says what is wrong with that.
    pub fn of(url: &str) -> Result<Self, &'static str> {
        if url.len() > URL_BYTES_MAX {
            return Err("it is longer than 8192 bytes");
        }
        if !url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            return Err("it holds characters that must be percent-encoded");
        }
        let (is_tls, rest) = scheme(url).ok_or("it is not an https URL")?;
        Self::read(is_tls, authority(rest)).ok_or("its host is not written as one")
    }

    /// As a configuration lists it: `files.example.com`, `*.example.com`, `http://127.0.0.1:9000`. Without a scheme it
    /// is https.
    pub fn written(text: &str) -> Option<Self> {
        let (is_tls, rest) = if text.contains("://") { scheme(text)? } else { (true, text) };
        match rest.strip_prefix("*.") {
            Some(rest) => {
                let Self { is_tls, host, port } = Self::read(is_tls, rest)?;
                Some(Self { is_tls, host: format!("*.{host}"), port })
            }
            None => Self::read(is_tls, rest),
        }
    }

    fn read(is_tls: bool, authority: &str) -> Option<Self> {
        let (host, port) = match authority.rsplit_once(':') {
            // The colon is one of an IPv6 address.
            Some((_, port)) if port.ends_with(']') => (authority, None),
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        let port = match port {
            None if is_tls => 443,
            None => 80,
            // A number may have a sign before it where Rust reads it.
            Some(port) => port.parse().ok().filter(|_| port.bytes().all(|byte| byte.is_ascii_digit()))?,
        };
        let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        let is_v6 = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(&byte));
        let fits = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => is_v6(address),
            None => is_name(host),
        };
        (fits && !host.is_empty()).then(|| Self { is_tls, host: host.to_ascii_lowercase(), port })
    }

    /// Whether this listed one means `other`.
    pub fn covers(&self, other: &Self) -> bool {
        let is_host = match self.host.strip_prefix('*') {
            Some(end) => other.host.len() > end.len() && other.host.ends_with(end),
            None => self.host == other.host,
        };
        is_host && (self.is_tls, self.port) == (other.is_tls, other.port)
    }

    /// Whether it can be a host of the public internet, as far as that can be seen; the error says why not.
    ///
    /// An address is none, however it is written: a certificate for one is rare, and to be sure what each of `127.1`,
    /// `0x7f000001` and `[::ffff:7f00:1]` means one would have to read it as its reader does.
    pub fn must_be_public(&self) -> Result<(), &'static str> {
        if !self.is_tls {
            return Err("only https is fetched");
        }
        if self.port != 443 {
            return Err("only port 443 is fetched from");
        }
        let (name, end) = self.host.rsplit_once('.').unwrap_or_default();
        // Every domain at the top begins with a letter, and no number does.
        let is_end = end.starts_with(|c: char| c.is_ascii_alphabetic()) && !PRIVATE_ENDS.contains(&end);
        if is_end && name.split('.').all(|label| !label.is_empty()) {
            Ok(())
        } else {
            Err("its host is not a name on the public internet")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_public_internet_are_public() {
        let public = [
            "https://example.com/a.png?x=1#y",
            "HTTPS://Example.COM:443",
            "https://a-b.xn--p1ai/@x:1",
            "https://my_bucket.s3.amazonaws.com/a%20b",
            "https://1.2.3.4.example.com/",
        ];
        for url in public {
            assert_eq!(Origin::of(url).and_then(|origin| origin.must_be_public()), Ok(()), "{url}");
        }
        let inside = [
            "http://example.com/",
            "https://example.com:8443/",
            "https://localhost/",
            "https://LOCALHOST./",
            "https://a.localhost/",
            "https://metadata/",
            "https://metadata.google.internal/",
            "https://printer.local/",
            "https://example.com./",
            "https://.com/",
            "https://a..com/",
            "https://1.0.0.10.in-addr.arpa/",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0x7f.0.0.0x1/",
            "https://0177.0.0.1/",
            "https://169.254.169.254/latest/meta-data/",
            "https://8.8.8.8/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://[2001:db8::1]:443/",
        ];
        for url in inside {
            assert!(Origin::of(url).and_then(|origin| origin.must_be_public()).is_err(), "{url}");
        }
    }

    #[test]
    fn a_url_in_which_two_readers_could_see_two_hosts_is_refused() {
        let urls = [
            "https://a.com@127.0.0.1/",
            "https://user:password@a.com/",
            "https://127.0.0.1\\@a.com/",
            "https://a.com\\.b.com/",
            "https://a.com%2f.b.com/",
            "https://a.com%00.b.com/",
            "https:// a.com/",
            "https://a.com/ b",
            "https://a\t.com/",
            "https://\u{ff41}.com/",
            "https://a\u{3002}com/",
            "https://a.com:/",
            "https://a.com:+443/",
            "https://a.com:99999/",
            "https://a.com:443:80/",
            "https://[::1/",
            "https://::1/",
            "https://[a.com]/",
            "https:///a.com/",
            "https://",
            "https:/a.com/",
            "ftp://a.com/",
            "file:///etc/passwd",
            "//a.com/",
        ];
        for url in urls {
            assert!(Origin::of(url).is_err(), "{url}");
        }
        assert!(Origin::of(&format!("https://a.com/{}", "x".repeat(URL_BYTES_MAX))).is_err());
    }

    #[test]
    fn a_listed_host_means_itself_and_a_star_what_is_below_it() {
        let cases = [
            ("a.example", "https://A.example/x", true),
            ("a.example", "https://b.a.example/x", false),
            ("a.example", "http://a.example/x", false),
            ("a.example", "https://a.example:444/x", false),
            ("a.example:444", "https://a.example:444/x", true),
            ("*.a.example", "https://b.c.a.example/x", true),
            ("*.a.example", "https://a.example/x", false),
            ("*.a.example", "https://.a.example/x", false),
            ("*.a.example", "https://ba.example/x", false),
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000/x", true),
            ("http://127.0.0.1:9000", "http://127.0.0.1:9001/x", false),
            ("http://[::1]", "http://[::1]:80/x", true),
        ];
        for (listed, url, expected) in cases {
            let origin = Origin::of(url).unwrap();
            assert_eq!(Origin::written(listed).unwrap().covers(&origin), expected, "{listed} {url}");
        }
        for wrong in ["", "*", "*.", "a/b", "https://a.example/x", "ftp://a", "u@a", "a.*.b", "https://a.example/"] {
            assert_eq!(Origin::written(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_file_is_called_as_in_its_address() {
        let cases = [
            ("https://a.com/x/y.pdf?z=/q", Some("y.pdf")),
            ("https://a.com/x/#/y", None),
            ("https://a.com", None),
            ("https://a.com/", None),
        ];
        for (url, expected) in cases {
            assert_eq!(file_name(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn a_redirect_leads_to_a_whole_url() {
        let from = "https://a.com/x/y?z";
        let cases = [
            ("https://b.com/1", Some("https://b.com/1")),
            ("http://b.com/1", Some("http://b.com/1")),
            ("//b.com/1", Some("https://b.com/1")),
            ("/1?2", Some("https://a.com/1?2")),
            ("1", None),
            ("", None),
            ("file:///etc/passwd", None),
        ];
        for (location, expected) in cases {
            assert_eq!(moved(from, location).as_deref(), expected, "{location}");
        }
    }
}
