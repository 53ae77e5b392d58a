//! Keys and certificates as text: what stands between two lines of dashes, in base64 (RFC 7468).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The bytes of the first block with this label; `None` where there is none, or no base64.
pub fn block(text: &str, label: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (lines, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let digits: String = lines.split_whitespace().collect();
    STANDARD.decode(digits).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_found_by_its_label() {
        let text = "before\n-----BEGIN KEY-----\r\nAQID\r\nBAU=\r\n-----END KEY-----\nafter";
        assert_eq!(block(text, "KEY"), Some(vec![1, 2, 3, 4, 5]));
        assert_eq!(block("-----BEGIN KEY-----AQ==-----END KEY-----", "KEY"), Some(vec![1]));
        for (text, label) in [(text, "CERTIFICATE"), ("-----BEGIN KEY-----\nA\n-----END KEY-----", "KEY"), ("", "KEY")]
        {
            assert_eq!(block(text, label), None, "{text}");
        }
    }
}
