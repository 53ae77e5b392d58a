//! What stands in a configuration in vain: rules that no request can meet, models that none can reach, and names that stand
//! for nobody among those that they are about. Only what is certain, whoever asks for what and when.
//!
//! Which models requests will name is never known, so no rule is in vain for its model alone.

use tollgate::auth::LOCAL;
use tollgate::config::{Alias, AliasDraft, BUILT_IN, Config, Draft, Reach, Target};
use tollgate::mistake::under;
use tollgate::route::place::is_named;
use tollgate::route::rule::{Glob, Hours, RuleDraft};
use tollgate::route::wish::variant;

/// `complete` is what `draft` makes where all secrets are.
pub(super) fn vain(draft: &Draft, complete: &Config, warnings: &mut Vec<String>) {
    let rules: Vec<Ruling<'_>> = draft
        .rules
        .iter()
        .zip(&complete.rules)
        .map(|(draft, rule)| Ruling { draft, hours: rule.when.between })
        .collect();
    for (index, rule) in rules.iter().enumerate() {
        let at = format!("rules[{index}]");
        if let Some((field, why)) = rule.impossible(complete) {
            warnings.push(format!("{at}.when.{field}: {why}, so it is for no request"));
        } else if let Some(before) = shadow(&rules, index) {
            warnings.push(format!("{at}: is for no request, since rules[{before}] has taken all that it is for"));
        }
        for (name, _) in rule.draft.split.iter().filter(|(_, share)| **share == 0) {
            warnings.push(format!("{}: has no share, so it is never chosen", under(&format!("{at}.split"), name)));
        }
    }
    usages(draft, complete, warnings);
    for (name, written) in draft.models.iter() {
        let at = under("models", name);
        let taken = (0..rules.len()).find(|index| is_taken(&rules, *index, name));
        if let Some(index) = taken {
            warnings
                .push(format!("{at}: is asked for by no request, since rules[{index}] has another answer to its name"));
        }
        if let Some(alias) = complete.aliases.get(name) {
            targets(&at, written, alias, complete, warnings);
        }
    }
}

/// Rules of usage that no answer is read by.
fn usages(draft: &Draft, complete: &Config, warnings: &mut Vec<String>) {
    for (name, written) in draft.providers.iter() {
        let rules = written.usage.as_deref().unwrap_or_default();
        let upstream = complete.providers.get(name).and_then(|provider| match &provider.reach {
            Reach::Upstream(upstream) => Some(upstream),
            Reach::Echo => None,
        });
        let is_read = upstream.is_none_or(|own| own.dialects.iter().any(|dialect| dialect.counts_by_rules()));
        for (index, rule) in rules.iter().enumerate() {
            let at = format!("{}.usage[{index}]", under("providers", name));
            if rule.is_behind(rules.get(..index).unwrap_or_default()) {
                warnings.push(format!("{at}: is for no model, since those before it are for all of its models"));
            }
            for field in rule.counts().filter(|_| !is_read) {
                let why = "is not looked at, since all servers of the dialects of this provider count alike";
                warnings.push(format!("{at}.{field}: {why}"));
            }
        }
    }
}

/// A rule as it is written, where all that is given must hold, and its hours as they are read.
struct Ruling<'a> {
    draft: &'a RuleDraft,
    hours: Option<Hours>,
}

impl Ruling<'_> {
    /// A condition that cannot hold, and why.
    fn impossible(&self, complete: &Config) -> Option<(&'static str, String)> {
        let when = &self.draft.when;
        let (over, under) = (when.body_bytes_over, when.body_bytes_under);
        if self.hours.is_some_and(|hours| hours.from == hours.until) {
            return Some(("between", "begins when it ends".to_owned()));
        }
        if over.zip(under).is_some_and(|(over, under)| over.saturating_add(1) >= under) || under == Some(0) {
            return Some(("body_bytes_under", "leaves no size".to_owned()));
        }
        if over.is_some_and(|over| over >= complete.body_bytes_max) {
            return Some(("body_bytes_over", format!("longer bodies than {} are refused", complete.body_bytes_max)));
        }
        let caller = when.caller.as_deref()?;
        let mut callers = complete.callers.iter().map(|caller| caller.name.as_str()).chain([LOCAL]);
        // Others may be made while it runs.
        let is_closed = complete.callers.iter().all(|caller| !caller.admin);
        let is_nobody = is_closed && !callers.any(|name| Glob::new(caller).matches(name));
        is_nobody.then(|| ("caller", format!("no caller is called \"{caller}\"")))
    }

    /// Whether it is for every request that `other` is for, as long as both see the same model.
    fn is_wider_than(&self, other: &Self) -> bool {
        let (when, narrow) = (&self.draft.when, &other.draft.when);
        let all = |wide: &Option<String>, narrow: &Option<String>| {
            wide.as_deref().is_none_or(|wide| narrow.as_deref().is_some_and(|narrow| covers(wide, narrow)))
        };
        let has_header = |(name, wide): (&str, &String)| {
            narrow.headers.iter().any(|(other, glob)| other.eq_ignore_ascii_case(name) && covers(wide, glob))
        };
        all(&when.model, &narrow.model)
            && all(&when.caller, &narrow.caller)
            && all(&when.tag, &narrow.tag)
            && when.headers.iter().all(has_header)
            && when.body_bytes_over.is_none_or(|wide| narrow.body_bytes_over.is_some_and(|narrow| narrow >= wide))
            && when.body_bytes_under.is_none_or(|wide| narrow.body_bytes_under.is_some_and(|narrow| narrow <= wide))
            && when.needs.iter().all(|need| narrow.needs.contains(need))
            && self.hours.is_none_or(|hours| hours.cover(other.hours.unwrap_or(Hours::ALL)))
    }

    /// Whether it may give a request a name that `model` is about.
    fn gives(&self, model: Option<&str>) -> bool {
        let Some(glob) = model.map(Glob::new) else { return self.draft.deny.is_none() };
        let names = self.draft.model.as_deref().into_iter().chain(self.draft.split.names());
        let plain = |name| variant(name).map(|(plain, _)| plain);
        names.flat_map(|name| [Some(name), plain(name)]).flatten().any(|name| glob.matches(name))
    }
}

/// The first wider rule that leaves no request to the one at `index`. A request that comes to that has the name that it came
/// to the wider one with, which is then taken, or one that a rule has given it, which must not be the wider one or one behind.
fn shadow(rules: &[Ruling<'_>], index: usize) -> Option<usize> {
    let (before, narrow) = (rules.get(..index)?, rules.get(index)?);
    let model = narrow.draft.when.model.as_deref();
    let giver = before.iter().rposition(|rule| rule.gives(model));
    let behind = giver.map_or(0, |giver| giver + 1);
    let wider = before.get(behind..)?.iter().position(|rule| rule.is_wider_than(narrow));
    wider.map(|wider| behind + wider)
}

/// Whether the rule at `index` is for whatever asks for `model`, which no rule gives any more from then on.
fn is_taken(rules: &[Ruling<'_>], index: usize, model: &str) -> bool {
    // As if there were a rule for this name alone.
    let mut alone = RuleDraft::default();
    alone.when.model = Some(model.to_owned());
    let alone = Ruling { draft: &alone, hours: None };
    let behind = rules.get(index..).unwrap_or_default();
    // A star in a model's own name would be one of any text.
    !model.contains('*')
        && behind.first().is_some_and(|rule| rule.is_wider_than(&alone))
        && !behind.iter().any(|rule| rule.gives(Some(model)))
}

/// Whether `wide` matches every text that `narrow` does. What a star of `narrow` stands for is unlike all that `wide` says,
/// so it must fall into one of its stars, as any other text there would.
fn covers(wide: &str, narrow: &str) -> bool {
    const ANY: char = '\u{1}';
    !wide.contains(ANY) && Glob::new(wide).matches(&narrow.replace('*', "\u{1}"))
}

/// Targets of a model that stand for nobody or are left out, and names of its policy that are none of them.
fn targets(at: &str, written: &AliasDraft, alias: &Alias, complete: &Config, warnings: &mut Vec<String>) {
    let is_open = written.targets.iter().any(|target| target.contains('*'));
    if is_open && complete.refresh.is_some() {
        // The next list may know more models.
        return;
    }
    for (index, text) in written.targets.iter().enumerate().filter(|(_, text)| text.contains('*')) {
        if !is_known(text, complete) {
            warnings.push(format!("{at}.targets[{index}]: no known model is like \"{text}\""));
        }
    }
    let policy = &alias.policy;
    let among = |names: &[String], target: &Target| names.iter().any(|name| is_named(target, name));
    let is_out =
        |target: &Target| (!policy.only.is_empty() && !among(&policy.only, target)) || among(&policy.ignore, target);
    if !alias.targets.is_empty() && alias.targets.iter().all(|target| is_out(target)) {
        warnings.push(format!("{at}: no target is left by only and ignore of its policy"));
    } else {
        for (index, text) in written.targets.iter().enumerate() {
            if alias.targets.iter().any(|target| target.to_string() == *text && is_out(target)) {
                warnings.push(format!("{at}.targets[{index}]: \"{text}\" is left out by only or ignore of the policy"));
            }
        }
    }
    let Some(own) = &written.policy else { return };
    for (field, names) in [("only", &own.only), ("ignore", &own.ignore)] {
        for (index, name) in names.iter().enumerate() {
            if !alias.targets.iter().any(|target| is_named(target, name)) {
                warnings.push(format!("{at}.policy.{field}[{index}]: \"{name}\" is none of its targets"));
            }
        }
    }
    for name in own.weights.names() {
        if !alias.targets.iter().any(|target| target.provider.name == name || target.to_string() == name) {
            let at = under(&format!("{at}.policy.weights"), name);
            warnings.push(format!("{at}: is none of its targets"));
        }
    }
}

fn is_known(text: &str, complete: &Config) -> bool {
    let Some((provider, model)) = text.split_once('/') else { return false };
    let (provider, model) = (Glob::new(provider), Glob::new(model));
    let like = complete.providers.values().filter(|own| own.name != BUILT_IN && provider.matches(&own.name));
    like.into_iter().any(|own| {
        let listed = own.models.iter().map(String::as_str);
        listed.chain(complete.models.of(&own.name)).any(|name| model.matches(name))
    })
}

#[cfg(test)]
mod tests {
    use tollgate::config::Reading;
    use tollgate::host::Headers;
    use tollgate::route::dice::Dice;
    use tollgate::route::rule::{Denied, Facts, follow};

    use super::*;
    use crate::command::elsewhere;

    fn warnings(json: &str) -> Vec<String> {
        let reading = Reading::of(Some(json));
        let complete = Config::of(&reading, None, elsewhere).unwrap();
        let mut warnings = Vec::new();
        vain(&reading.draft, &complete, &mut warnings);
        warnings
    }

    fn rules(rules: &str) -> Vec<String> {
        let models = r#""a":{"targets":["openai/gpt-5"]},"b":{"targets":["openai/gpt-5-mini"]}"#;
        warnings(&format!(r#"{{"models":{{{models}}},"callers":{{"ci":{{"secret":"CI"}}}},"rules":[{rules}]}}"#))
    }

    #[test]
    fn a_condition_that_cannot_hold_is_warned_of() {
        let cases = [
            (r#""between":["09:00","09:00"]"#, "between: begins when it ends"),
            (r#""body_bytes_over":10,"body_bytes_under":11"#, "body_bytes_under: leaves no size"),
            (r#""body_bytes_under":0"#, "body_bytes_under: leaves no size"),
            (r#""body_bytes_over":33554432"#, "body_bytes_over: longer bodies than 33554432 are refused"),
            (r#""caller":"cl*""#, r#"caller: no caller is called "cl*""#),
        ];
        for (when, expected) in cases {
            let told = rules(&format!(r#"{{"when":{{{when}}},"use":"a"}}"#));
            assert_eq!(told, [format!("rules[0].when.{expected}, so it is for no request")]);
        }
        for when in [
            r#""between":["09:00","09:01"]"#,
            r#""between":["24:00","06:00"]"#,
            r#""body_bytes_over":10,"body_bytes_under":12"#,
            r#""body_bytes_over":33554431"#,
            r#""caller":"c*""#,
            r#""caller":"default""#,
            r#""caller":"local""#,
            r#""model":"nobody-knows-*""#,
        ] {
            assert_eq!(rules(&format!(r#"{{"when":{{{when}}},"use":"openai/x"}}"#)), [""; 0], "{when}");
        }
        let admin =
            r#"{"callers":{"ci":{"secret":"CI","admin":true}},"rules":[{"when":{"caller":"made-later"},"deny":"no"}]}"#;
        assert_eq!(warnings(admin), [""; 0]);
        assert_eq!(
            rules(r#"{"when":{"model":"x"},"split":{"a":1,"openai/gpt-5":0}}"#),
            [r#"rules[0].split."openai/gpt-5": has no share, so it is never chosen"#]
        );
    }

    #[test]
    fn a_rule_behind_one_that_takes_all_of_its_requests_is_warned_of() {
        let shadowed = [
            r#"{"when":{"model":"x"},"use":"a"},{"when":{"model":"x"},"use":"b"}"#,
            r#"{"when":{"model":"gpt-*"},"use":"a"},{"when":{"model":"gpt-5*","caller":"ci"},"use":"b"}"#,
            r#"{"when":{"model":"*"},"deny":"no"},{"when":{"model":"x"},"use":"b"}"#,
            r#"{"deny":"no"},{"when":{"caller":"ci"},"deny":"never"}"#,
            r#"{"when":{"tag":"t*","headers":{"X-Team":"a*"},"needs":["tools"],"body_bytes_over":5},"deny":"no"},
               {"when":{"tag":"to","headers":{"x-team":"ab"},"needs":["images","tools"],"body_bytes_over":6},"use":"b"}"#,
            r#"{"when":{"between":["22:00","06:00"]},"deny":"no"},{"when":{"between":["23:00","24:00"]},"use":"b"}"#,
            r#"{"when":{"between":["00:00","24:00"]},"deny":"no"},{"when":{"caller":"ci"},"use":"b"}"#,
        ];
        for text in shadowed {
            let expected = "rules[1]: is for no request, since rules[0] has taken all that it is for";
            assert!(rules(text).contains(&expected.to_owned()), "{text}: {:?}", rules(text));
        }
        let sound = [
            // What the first gives, the second is for.
            r#"{"when":{"model":"x"},"use":"openai/x"},{"when":{"model":"*x"},"use":"openai/z"}"#,
            r#"{"when":{"model":"x"},"use":"openai/x"},{"use":"openai/z"}"#,
            r#"{"when":{"model":"*x*"},"use":"openai/xy"},{"when":{"model":"openai/xy"},"use":"openai/z"}"#,
            r#"{"when":{"model":"*x"},"split":{"b":1,"openai/x:floor":1}},{"when":{"model":"openai/x"},"use":"openai/z"}"#,
            // Others come to the second.
            r#"{"when":{"model":"x","caller":"ci"},"use":"openai/x"},{"when":{"model":"x"},"use":"openai/z"}"#,
            r#"{"when":{"model":"x*y"},"deny":"no"},{"when":{"model":"x*"},"use":"openai/z"}"#,
            r#"{"when":{"model":"a*"},"deny":"no"},{"when":{"model":"*a"},"use":"openai/z"}"#,
            r#"{"when":{"needs":["tools","images"]},"deny":"no"},{"when":{"needs":["tools"]},"use":"openai/z"}"#,
            r#"{"when":{"body_bytes_under":5},"deny":"no"},{"when":{"body_bytes_under":6},"use":"openai/z"}"#,
            r#"{"when":{"between":["22:00","06:00"]},"deny":"no"},{"when":{"between":["21:59","23:00"]},"use":"openai/z"}"#,
            r#"{"when":{"headers":{"x-a":"1"}},"deny":"no"},{"when":{"headers":{"x-b":"1"}},"use":"openai/z"}"#,
            r#"{"when":{"tag":"t"},"deny":"no"},{"when":{"tag":"*"},"use":"openai/z"}"#,
            // One in between gives a name that the first has not seen.
            r#"{"when":{"model":"x"},"deny":"no"},{"when":{"model":"y"},"use":"openai/x"},{"when":{"model":"*x"},"use":"openai/z"}"#,
        ];
        for text in sound {
            assert!(rules(text).iter().all(|told| !told.starts_with("rules[1]")), "{text}: {:?}", rules(text));
        }
    }

    #[test]
    fn a_rule_of_usage_that_no_answer_is_read_by_is_warned_of() {
        let usage = |dialects: &str, rules: &str| {
            let url = r#""base_url":"http://x","auth":"none""#;
            warnings(&format!(r#"{{"providers":{{"p":{{"dialects":[{dialects}],{url},"usage":[{rules}]}}}}}}"#))
        };
        let behind = "providers.p.usage[1]: is for no model, since those before it are for all of its models";
        assert_eq!(usage(r#""openai-chat""#, r#"{"cached":"beside"},{"models":["a"],"cached":"inside"}"#), [behind]);
        assert_eq!(usage(r#""openai-chat""#, r#"{"models":["a"],"cached":"beside"},{"cached":"inside"}"#), [""; 0]);
        let rule = r#"{"reasoning":"beside","cached_at":"a","cost":{"at":"b"}}"#;
        let why = "is not looked at, since all servers of the dialects of this provider count alike";
        let expected = ["reasoning", "cached_at"].map(|field| format!("providers.p.usage[0].{field}: {why}"));
        assert_eq!(usage(r#""anthropic""#, rule), expected);
        assert_eq!(usage(r#""anthropic","openai-chat""#, rule), [""; 0]);
        assert_eq!(usage(r#""anthropic""#, r#"{"cost":{"at":"b"}}"#), [""; 0]);
    }

    #[test]
    fn a_model_that_no_rule_leaves_its_name_is_warned_of() {
        let told = "models.a: is asked for by no request, since rules[0] has another answer to its name";
        for text in [r#"{"when":{"model":"a"},"use":"b"}"#, r#"{"when":{"model":"a*"},"deny":"no"}"#] {
            assert_eq!(rules(text), [told], "{text}");
        }
        for text in [
            r#"{"when":{"model":"a","caller":"ci"},"use":"b"}"#,
            r#"{"when":{"model":"a"},"split":{"a":1,"b":1}}"#,
            r#"{"when":{"model":"a"},"use":"b"},{"when":{"model":"x"},"use":"a"}"#,
        ] {
            assert_eq!(rules(text), [""; 0], "{text}");
        }
    }

    /// Random rules, and every request of a small world.
    #[test]
    fn no_alarm_is_false() {
        let mut dice = Dice::new(5);
        let mut alarms = 0;
        for _ in 0..500 {
            let mut pick = |among: &[&'static str]| among[usize::try_from(dice.below(among.len() as u64)).unwrap()];
            let rules: Vec<String> = (0..4)
                .map(|_| {
                    let when = [
                        pick(&["", r#""model":"a""#, r#""model":"a*""#, r#""model":"*b""#, r#""model":"*""#]),
                        pick(&["", "", r#""caller":"c*""#, r#""caller":"ci""#]),
                        pick(&["", "", r#""body_bytes_over":4"#, r#""body_bytes_under":6"#]),
                        pick(&["", "", "", r#""between":["00:00","12:00"]"#, r#""between":["06:00","02:00"]"#]),
                    ];
                    let when: Vec<&str> = when.into_iter().filter(|part| !part.is_empty()).collect();
                    let then = pick(&[
                        r#""use":"a""#,
                        r#""use":"b""#,
                        r#""use":"ab""#,
                        r#""split":{"a":1,"b":1}"#,
                        r#""deny":"no""#,
                    ]);
                    format!(r#"{{"when":{{{}}},{then}}}"#, when.join(","))
                })
                .collect();
            let model = |name: &str| format!(r#""{name}":{{"targets":["openai/gpt-5"]}}"#);
            let models = ["a", "b", "ab"].map(model).join(",");
            let json = format!(
                r#"{{"models":{{{models}}},"callers":{{"ci":{{"secret":"CI"}}}},"rules":[{}]}}"#,
                rules.join(",")
            );
            let warnings = warnings(&json);
            alarms += warnings.len();
            let config = Config::of(&Reading::of(Some(&json)), None, elsewhere).unwrap();
            let warns = |of: &str| warnings.iter().any(|warning| warning.starts_with(of));
            let headers = Headers::default();
            for (model, caller) in
                ["a", "b", "ab", "a:floor", "x"].iter().flat_map(|model| [(*model, "ci"), (*model, "default")])
            {
                for (other, body_bytes, hour) in [None, Some("ba")]
                    .into_iter()
                    .flat_map(|other| [4, 5, 6].map(|bytes| (other, bytes)))
                    .flat_map(|(other, bytes)| [1, 3, 8, 14].map(|hour| (other, bytes, hour)))
                {
                    let needs = Default::default();
                    let facts =
                        Facts { caller, tags: &[], headers: &headers, body_bytes, needs, now: hour * 3_600_000 };
                    let (rules, then) = match follow(&config.rules, (model, other), &facts, &mut dice) {
                        Ok(followed) => (followed.rules, Some(followed.model.unwrap_or(model))),
                        Err(Denied(rule, _)) => (vec![rule], None),
                    };
                    assert!(rules.iter().all(|rule| !warns(&format!("rules[{rule}]:"))), "{json} {model} {warnings:?}");
                    let then = then.map(|then| variant(then).map_or(then, |(plain, _)| plain));
                    assert!(!then.is_some_and(|then| warns(&format!("models.{then}:"))), "{json} {model} {warnings:?}");
                }
            }
        }
        assert!(alarms > 200, "{alarms}");
    }

    #[test]
    fn names_that_stand_for_no_target_are_warned_of() {
        let of = |alias: &str| warnings(&format!(r#"{{"models":{{"m":{{{alias}}}}}}}"#));
        let two = r#""targets":["openai/gpt-5","groq/llama-4"]"#;
        let cases: [(String, &[&str]); 7] = [
            (two.to_owned(), &[]),
            (
                r#""targets":["*/no-such-model-*"]"#.to_owned(),
                &[r#"models.m.targets[0]: no known model is like "*/no-such-model-*""#],
            ),
            (r#""targets":["*/gpt-5"]"#.to_owned(), &[]),
            (
                format!(r#"{two},"policy":{{"ignore":["groq"]}}"#),
                &[r#"models.m.targets[1]: "groq/llama-4" is left out by only or ignore of the policy"#],
            ),
            (
                format!(r#"{two},"policy":{{"only":["mistral"]}}"#),
                &[
                    "models.m: no target is left by only and ignore of its policy",
                    r#"models.m.policy.only[0]: "mistral" is none of its targets"#,
                ],
            ),
            (
                format!(r#"{two},"policy":{{"weights":{{"openai":1,"groq/llama-4":2,"groq/llama-3":3}}}}"#),
                &[r#"models.m.policy.weights."groq/llama-3": is none of its targets"#],
            ),
            (format!(r#"{two},"policy":{{"order":"weighted","weights":{{"openai":0}}}}"#), &[]),
        ];
        for (alias, expected) in cases {
            assert_eq!(of(&alias), expected, "{alias}");
        }
    }
}
