//! What is served by while configurations are offered: a good one takes the place of the last, a bad one is refused and
//! told of once, and the last good one goes on. Where they are from is for the hosts to say.

use std::sync::Arc;

use super::Gateway;
use crate::auth::Keyless;
use crate::config::{Config, Mistake, version};

/// Under which a host keeps the last text that was good, where whoever starts next may find a bad one.
pub const LAST_GOOD: &str = "config.good";
/// A year: it is written again whenever another one is taken.
pub const LAST_GOOD_SECONDS: u32 = 365 * 24 * 60 * 60;

#[derive(Debug)]
pub struct Current {
    keyless: Keyless,
    gateway: Option<Arc<Gateway>>,
    /// The version that was refused last.
    refused: Option<String>,
}

/// What came of an offer.
#[derive(Debug, PartialEq, Eq)]
pub enum Offered {
    /// It is what is served by, or was refused before: there is nothing to say.
    Known,
    /// It is served by from now on; so the log says.
    Taken(String),
    /// It has mistakes; so the log says.
    Refused(String),
}

impl Current {
    pub const fn new(keyless: Keyless) -> Self {
        Self { keyless, gateway: None, refused: None }
    }

    pub fn gateway(&self) -> Option<Arc<Gateway>> {
        self.gateway.clone()
    }

    /// Offers the configuration of this version, compiled only if it is neither known nor refused already.
    pub fn offer(&mut self, version: &str, compile: impl FnOnce() -> Result<Config, Vec<Mistake>>) -> Offered {
        if self.knows(version) {
            return Offered::Known;
        }
        match compile().and_then(|config| self.keeps_callers(config)) {
            Ok(config) => {
                let config = Config { version: version.to_owned(), ..config };
                self.gateway = Some(Arc::new(match &self.gateway {
                    Some(gateway) => gateway.with(config),
                    None => Gateway::new(config, self.keyless),
                }));
                Offered::Taken(version::taken(version))
            }
            Err(mistakes) => {
                let line = version::refused(self.version(), version, &mistakes);
                self.refused = Some(version.to_owned());
                Offered::Refused(line)
            }
        }
    }

    /// A file that is being written is empty for a moment, and would let everybody in.
    fn keeps_callers(&self, config: Config) -> Result<Config, Vec<Mistake>> {
        let has_callers = self.gateway.as_ref().is_some_and(|gateway| !gateway.config.callers.is_empty());
        if has_callers && config.callers.is_empty() {
            let why =
                "callers: there is none, and the configuration that goes on has some; start anew to serve without keys";
            return Err(vec![Mistake(why.to_owned())]);
        }
        Ok(config)
    }

    /// Whether there is nothing to be learned from an offer of this version.
    pub fn knows(&mut self, version: &str) -> bool {
        let is_served = self.version() == Some(version);
        if is_served {
            // Whoever mended a mistake and makes it again is told again.
            self.refused = None;
        }
        is_served || self.refused.as_deref() == Some(version)
    }

    fn version(&self) -> Option<&str> {
        self.gateway.as_ref().map(|gateway| gateway.config.version.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Reading;

    const GOOD: &str = r#"{"strict":true}"#;
    const OTHER: &str = r#"{"strict":false}"#;
    const BAD: &str = r#"{"strikt":true}"#;

    fn offer(current: &mut Current, text: &str) -> Offered {
        let compile = || Config::of(&Reading::of(Some(text)), None, |_| None);
        current.offer(&version::version(Some(text)), compile)
    }

    #[test]
    fn a_good_one_is_taken_and_a_bad_one_changes_nothing() {
        let mut current = Current::new(Keyless::Refused);
        assert!(
            matches!(offer(&mut current, GOOD), Offered::Taken(line) if line.contains(&version::version(Some(GOOD))))
        );
        assert_eq!(offer(&mut current, GOOD), Offered::Known);
        let Offered::Refused(line) = offer(&mut current, BAD) else { panic!("it is taken") };
        assert!(line.contains("strikt") && line.contains(&version::version(Some(GOOD))), "{line}");
        assert_eq!(offer(&mut current, BAD), Offered::Known, "it is told of once");
        assert!(current.gateway().unwrap().config.policy.strict);
        assert!(matches!(offer(&mut current, OTHER), Offered::Taken(_)));
        assert!(!current.gateway().unwrap().config.policy.strict);
        assert_eq!(offer(&mut current, BAD), Offered::Known, "even if another came between");
        assert_eq!(offer(&mut current, OTHER), Offered::Known);
        assert!(matches!(offer(&mut current, BAD), Offered::Refused(_)), "it was mended, and is there again");
    }

    #[test]
    fn no_change_takes_all_callers_away() {
        let with_caller = format!(r#"{{"callers":{{"ci":{{"sha256":"{}"}}}}}}"#, "0".repeat(64));
        let mut current = Current::new(Keyless::Loopback);
        assert!(matches!(offer(&mut current, &with_caller), Offered::Taken(_)));
        assert!(matches!(offer(&mut current, "{}"), Offered::Refused(line) if line.contains("start anew")));
        assert_eq!(current.gateway().unwrap().config.callers.len(), 1);
    }

    #[test]
    fn without_a_good_one_there_is_no_gateway_until_one_comes() {
        let mut current = Current::new(Keyless::Refused);
        assert!(matches!(offer(&mut current, BAD), Offered::Refused(line) if !line.contains("version")));
        assert!(current.gateway().is_none());
        assert!(matches!(offer(&mut current, GOOD), Offered::Taken(_)));
    }

    #[test]
    fn what_was_learned_stays() {
        let mut current = Current::new(Keyless::Refused);
        offer(&mut current, GOOD);
        let before = current.gateway().unwrap();
        offer(&mut current, OTHER);
        let after = current.gateway().unwrap();
        assert!(!Arc::ptr_eq(&before, &after) && Arc::ptr_eq(&before.sharing, &after.sharing));
    }
}
