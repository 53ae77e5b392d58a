//! How long receipts are kept.

use super::Draft;
use crate::host::Millis;
use crate::limit::calendar::DAY_MS;
use crate::mistake::Mistakes;
use crate::wire::json::{Shape, objects, written};

objects! {
    /// A receipt says of one request what its log line says.
    #[derive(Debug, Default)]
    pub struct ReceiptsDraft {
        /// For so many days, up to 3660; 30 by default, and none are written for 0.
        pub days: Option<u64> where days,
    }
}

written! {
    impl ReceiptsDraft { days? }
}

fn days(number: Shape) -> Shape {
    Shape { minimum: Some(0), maximum: Some(DAYS_MAX), ..number }
}

/// As long as clients ask for reports: a month.
const DAYS: u64 = 30;
/// Ten years, which is as long as books are kept.
const DAYS_MAX: u64 = 3_660;

/// In milliseconds; 0 where none are kept.
pub(super) fn compile(draft: &Draft, mistakes: &mut Mistakes) -> Millis {
    let days = draft.receipts.days.unwrap_or(DAYS);
    if days > DAYS_MAX {
        mistakes.say("receipts.days", &format!("at most {DAYS_MAX}, like {DAYS}"));
    }
    days.saturating_mul(DAY_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn receipts_are_kept_for_a_month_or_as_long_as_is_written() {
        let kept = |text: &str| {
            let config = Draft::from_json(Some(text)).and_then(|draft| Config::compile(&draft, |_| None));
            config.map(|config| config.receipts_ms / DAY_MS).map_err(|mistakes| mistakes[0].0.clone())
        };
        assert_eq!(kept("{}"), Ok(30));
        assert_eq!(kept(r#"{"receipts":{"days":0}}"#), Ok(0));
        assert_eq!(kept(r#"{"receipts":{"days":3660}}"#), Ok(3660));
        assert!(kept(r#"{"receipts":{"days":3661}}"#).unwrap_err().starts_with("receipts.days: at most"));
    }
}
