//! A place in a JSON text, which moves over it once, value by value, and never back, unless every mistake of the text is
//! to be told ([`super::parse_strictly`]).
//!
//! Nothing here returns an error. The first fault is kept and the cursor goes to the end of the text, where every loop
//! over fields or elements ends too; so a struct is filled without a way out after each field, which would be most of
//! its code. Whoever made the cursor asks once, with [`Cursor::end`].
//!
//! Source: RFC 8259. Strict: what serde_json refuses is refused.

use std::borrow::Cow;

use super::strict::Strict;
use super::{Error, Fault, Raw};

#[derive(Debug)]
pub struct Cursor<'a> {
    text: &'a str,
    /// Where the next byte stands.
    pub(super) at: usize,
    /// The first, and where it stood.
    pub(super) fault: Option<(Fault, usize)>,
    /// Where every mistake of the text is to be told, and not only the first.
    pub(super) strict: Option<Box<Strict<'a>>>,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0, fault: None, strict: None }
    }

    /// `value`, or why it is not what the text says. Nothing but white space may be left.
    pub fn end<T>(mut self, value: T) -> Result<T, Error> {
        if self.peek() != END || self.at < self.text.len() {
            self.fail(Fault::Said("trailing characters"));
        }
        self.fault.map_or(Ok(value), |(fault, at)| Err(Error::new(fault, self.text, at)))
    }

    /// What the next value begins with; [`END`] where there is none.
    #[inline]
    pub fn peek(&mut self) -> u8 {
        while matches!(self.byte(), b' ' | b'\n' | b'\t' | b'\r') {
            self.at += 1;
        }
        self.byte()
    }

    /// Says that the next value should be `due`.
    pub fn expected(&mut self, due: &'static str) {
        self.fail(Fault::Expected(due));
    }

    #[cold]
    #[inline(never)]
    pub(super) fn fail(&mut self, fault: Fault) {
        self.fault.get_or_insert((fault, self.at));
        self.at = self.text.len();
    }

    /// The text of the next value, whatever it is.
    #[inline(never)]
    pub fn raw(&mut self) -> Raw<'a> {
        self.peek();
        let start = self.at;
        self.skip();
        if self.fault.is_some() { Raw::NULL } else { Raw::of(self.since(start)) }
    }

    /// Borrowed where it holds no escape.
    #[inline(never)]
    pub fn string(&mut self) -> Cow<'a, str> {
        if self.peek() != b'"' {
            self.expected("a string");
            return Cow::Borrowed("");
        }
        self.at += 1;
        let start = self.at;
        self.run();
        if self.byte() != b'"' {
            return self.escaped(start);
        }
        let text = self.since(start);
        self.at += 1;
        Cow::Borrowed(text)
    }

    /// The place in `words` of the string that comes next; `due` says what they are.
    #[inline(never)]
    pub(crate) fn one_of(&mut self, words: &'static [&'static str], due: &'static str) -> usize {
        let is_text = self.peek() == b'"';
        let text = if is_text { self.string() } else { Cow::Borrowed("") };
        words.iter().position(|word| *word == text).unwrap_or_else(|| {
            self.fail(Fault::Word(due, words));
            words.len()
        })
    }

    /// A number's text; `due` says what it should be where there is none.
    #[inline(never)]
    pub fn number(&mut self, due: &'static str) -> &'a str {
        if !matches!(self.peek(), b'-' | b'0'..=b'9') {
            self.expected(due);
        }
        let start = self.at;
        self.skip_number();
        self.since(start)
    }

    /// Moves past `null`, if that comes next.
    #[inline]
    pub fn is_null(&mut self) -> bool {
        let is_null = self.peek() == b'n';
        if is_null {
            self.word("null");
        }
        is_null
    }

    #[inline(never)]
    pub fn bool(&mut self) -> bool {
        let first = self.peek();
        match first {
            b't' => self.word("true"),
            b'f' => self.word("false"),
            _ => self.expected("a boolean"),
        }
        first == b't'
    }

    /// Enters an object or a list.
    pub(crate) fn open(&mut self, bracket: u8, due: &'static str) {
        if let Some(strict) = &mut self.strict {
            strict.enter();
        }
        if self.peek() == bracket {
            self.at += 1;
        } else {
            self.expected(due);
        }
    }

    /// The name of the object's next field; `None` after its last, or a fault.
    pub(crate) fn name(&mut self, is_first: bool) -> Option<Cow<'a, str>> {
        if self.strict.is_some() {
            self.recover();
        }
        let name = self.next_name(is_first);
        if let Some(strict) = &mut self.strict {
            strict.step(name.clone(), self.at);
        }
        name
    }

    /// Where every mistake is told: the field whose value comes next was there before.
    #[cold]
    pub(crate) fn twice(&mut self) {
        if let Some(strict) = &mut self.strict {
            strict.twice();
        }
    }

    fn next_name(&mut self, is_first: bool) -> Option<Cow<'a, str>> {
        if !self.another(b'}', is_first) {
            return None;
        }
        if self.peek() != b'"' {
            self.fail(Fault::Said("key must be a string"));
        }
        let name = self.string();
        self.colon();
        Some(name).filter(|_| self.fault.is_none())
    }

    /// Whether the list has another element, which then comes next.
    pub(super) fn element(&mut self, is_first: bool) -> bool {
        if self.strict.is_some() {
            self.recover();
        }
        let is_another = self.another(b']', is_first) && self.fault.is_none();
        if let Some(strict) = &mut self.strict {
            strict.step_on(is_another, self.at);
        }
        is_another
    }

    /// Whether another member comes before `close`: a comma does, but for the first.
    fn another(&mut self, close: u8, is_first: bool) -> bool {
        match self.peek() {
            byte if byte == close => {
                self.at += 1;
                false
            }
            b',' if !is_first => {
                self.at += 1;
                true
            }
            _ if is_first => true,
            _ => {
                self.fail(Fault::Said("expected `,` or the end of the list or object"));
                false
            }
        }
    }

    fn colon(&mut self) {
        if self.peek() == b':' {
            self.at += 1;
        } else {
            self.fail(Fault::Said("expected `:`"));
        }
    }

    /// Moves past the next value. Nests are counted, not entered: their depth is the sender's to choose.
    #[inline(never)]
    pub fn skip(&mut self) {
        let mut nests = Nests::default();
        loop {
            let mut is_first = false;
            match self.peek() {
                b'"' => self.skip_string(),
                b'-' | b'0'..=b'9' => self.skip_number(),
                b't' => self.word("true"),
                b'f' => self.word("false"),
                b'n' => self.word("null"),
                bracket @ (b'{' | b'[') => {
                    self.at += 1;
                    nests.enter(bracket == b'{');
                    is_first = true;
                }
                _ => self.fail(Fault::Said("expected value")),
            }
            loop {
                if nests.depth == 0 {
                    return;
                }
                let is_object = nests.is_object();
                if self.another(if is_object { b'}' } else { b']' }, is_first) {
                    if is_object {
                        self.skip_name();
                    }
                    break;
                }
                if self.fault.is_some() {
                    return;
                }
                nests.leave();
                is_first = false;
            }
        }
    }

    fn skip_name(&mut self) {
        if self.peek() == b'"' {
            self.skip_string();
            self.colon();
        } else {
            self.fail(Fault::Said("key must be a string"));
        }
    }

    /// As serde_json, does not mind half a surrogate pair in what is only passed over.
    fn skip_string(&mut self) {
        self.at += 1;
        loop {
            self.run();
            match self.byte() {
                b'"' => {
                    self.at += 1;
                    return;
                }
                b'\\' => {
                    if self.escape() == b'u' {
                        self.code_unit();
                    }
                }
                _ => return self.break_off(),
            }
        }
    }

    fn skip_number(&mut self) {
        self.at += usize::from(self.byte() == b'-');
        if self.byte() == b'0' {
            self.at += 1;
        } else {
            self.digits();
        }
        if self.byte() == b'.' {
            self.at += 1;
            self.digits();
        }
        if matches!(self.byte(), b'e' | b'E') {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), b'+' | b'-'));
            self.digits();
        }
    }

    /// One at least.
    fn digits(&mut self) {
        if !self.byte().is_ascii_digit() {
            self.fail(Fault::Said("invalid number"));
        }
        while self.byte().is_ascii_digit() {
            self.at += 1;
        }
    }

    fn word(&mut self, word: &str) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if rest.starts_with(word.as_bytes()) {
            self.at += word.len();
        } else {
            self.fail(Fault::Said("expected ident"));
        }
    }

    /// Moves to the next byte that does not stand for itself in a string: a quote, a backslash, a control character, or
    /// the text's end.
    #[inline(never)]
    fn run(&mut self) {
        const EACH: u64 = 0x0101_0101_0101_0101;
        const HIGHEST: u64 = EACH << 7;
        // The highest bit of each byte that is zero; above the first one others may have it too.
        let zeros = |word: u64| word.wrapping_sub(EACH) & !word;
        let mut rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        while let Some((eight, after)) = rest.split_first_chunk() {
            let word = u64::from_le_bytes(*eight);
            let control = word.wrapping_sub(EACH * 0x20) & !word;
            let found = (zeros(word ^ (EACH * b'"' as u64)) | zeros(word ^ (EACH * b'\\' as u64)) | control) & HIGHEST;
            if found != 0 {
                self.at = self.text.len() - rest.len() + found.trailing_zeros() as usize / 8;
                return;
            }
            rest = after;
        }
        self.at = self.text.len() - rest.len();
        while !matches!(self.byte(), b'"' | b'\\' | ..0x20) {
            self.at += 1;
        }
    }

    /// The rest of a string that began at `start` and has an escape where the cursor is.
    #[inline(never)]
    fn escaped(&mut self, start: usize) -> Cow<'a, str> {
        let mut text = String::new();
        let mut start = start;
        loop {
            text.push_str(self.since(start));
            match self.byte() {
                b'"' => {
                    self.at += 1;
                    return Cow::Owned(text);
                }
                b'\\' => text.push(match self.escape() {
                    b'b' => '\u{8}',
                    b'f' => '\u{c}',
                    b'n' => '\n',
                    b'r' => '\r',
                    b't' => '\t',
                    b'u' => self.code_point(),
                    itself => itself.into(),
                }),
                _ => {
                    self.break_off();
                    return Cow::Borrowed("");
                }
            }
            start = self.at;
            self.run();
        }
    }

    /// Moves past a backslash and the letter after it.
    fn escape(&mut self) -> u8 {
        self.at += 1;
        let letter = self.byte();
        if matches!(letter, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' | b'u') {
            self.at += 1;
        } else {
            self.fail(Fault::Said("invalid escape"));
        }
        letter
    }

    /// What four hexadecimal digits stand for, or two times four with `\u` between them.
    fn code_point(&mut self) -> char {
        let mut code = self.code_unit();
        if let 0xd800..0xdc00 = code
            && self.byte() == b'\\'
            && self.escape() == b'u'
        {
            let low = self.code_unit();
            // Out of range for any pair's second half that is none, which no character is.
            code = if let 0xdc00..0xe000 = low {
                0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00)
            } else {
                low | !0xffff
            };
        }
        char::from_u32(code).unwrap_or_else(|| {
            self.fail(Fault::Said("half a surrogate pair in hex escape"));
            char::REPLACEMENT_CHARACTER
        })
    }

    fn code_unit(&mut self) -> u32 {
        let mut unit = 0;
        for _ in 0..4 {
            match char::from(self.byte()).to_digit(16) {
                Some(digit) => unit = unit << 4 | digit,
                None => self.fail(Fault::Said("invalid escape")),
            }
            self.at += 1;
        }
        unit
    }

    /// Says why a string does not go on.
    fn break_off(&mut self) {
        let is_over = self.at >= self.text.len();
        self.fail(Fault::Said(if is_over {
            "EOF while parsing a string"
        } else {
            "control character (\\u0000-\\u001F) found while parsing a string"
        }));
    }

    #[inline]
    fn byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(END)
    }

    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }
}

/// What stands after the text. As a control character it may not stand in one.
pub const END: u8 = 0;

/// The objects and lists around a place: a bit each, and no heap for the first 64.
#[derive(Default)]
struct Nests {
    depth: usize,
    /// The innermost is the lowest; a one is an object.
    inner: u64,
    outer: Vec<u64>,
}

impl Nests {
    fn enter(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.inner);
        }
        self.depth += 1;
        self.inner = self.inner << 1 | u64::from(is_object);
    }

    fn leave(&mut self) {
        self.depth -= 1;
        self.inner >>= 1;
        if self.depth.is_multiple_of(64) {
            self.inner = self.outer.pop().unwrap_or_default();
        }
    }

    fn is_object(&self) -> bool {
        self.inner & 1 == 1
    }
}
