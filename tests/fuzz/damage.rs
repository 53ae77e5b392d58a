//! What becomes of a body: damage that knows of JSON and of frames, by dice that always fall alike.

/// SplitMix64.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64, round: u64) -> Self {
        Self(seed.wrapping_mul(0xD129_0A6B_4E2F_5C31) ^ round.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// 0 where `most` is.
    pub(super) fn below(&mut self, most: usize) -> usize {
        (self.next() % most.max(1) as u64) as usize
    }

    pub(super) fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// `body` with one to four things done to it.
    pub(super) fn damage(&mut self, body: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = body.to_vec();
        for _ in 0..=self.below(4) {
            self.once(&mut bytes, other);
        }
        bytes.truncate(BODY_BYTES_MAX);
        bytes
    }

    fn once(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(bytes.len());
        match self.below(10) {
            0 => bytes.truncate(at),
            1 => drop(self.range(bytes).map(|range| bytes.drain(range))),
            2 => {
                if let Some(range) = self.range(bytes) {
                    let twice = bytes[range].to_vec();
                    insert(bytes, at, &twice);
                }
            }
            3 => {
                if let Some(range) = self.range(other) {
                    insert(bytes, at, &other[range]);
                }
            }
            4 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
            5 => insert(bytes, at, self.pick::<&[u8]>(NOISE)),
            6 => {
                let depth = *self.pick(&[3, 127, 128, 5_000]);
                let open = *self.pick(&["[", "{\"a\":"]);
                self.value(bytes, open.repeat(depth).as_bytes());
            }
            7 | 8 => {
                let value = self.pick(VALUES).as_bytes();
                self.value(bytes, value);
            }
            _ => self.lines(bytes),
        }
    }

    fn range(&mut self, of: &[u8]) -> Option<std::ops::Range<usize>> {
        let start = self.below(of.len());
        let length = if self.one_in(3) { self.below(of.len()) } else { self.below(24) };
        (start < of.len()).then(|| start..(start + length + 1).min(of.len()))
    }

    /// Puts `value` where some JSON value begins: after a colon, a comma or a bracket.
    fn value(&mut self, bytes: &mut Vec<u8>, value: &[u8]) {
        let from = self.below(bytes.len());
        let place = bytes.iter().skip(from).position(|byte| matches!(byte, b':' | b',' | b'['));
        let Some(start) = place.map(|place| from + place + 1) else { return };
        let end = bytes.iter().skip(start).position(|byte| matches!(byte, b',' | b'}' | b']'));
        let end = end.map_or(start, |end| start + end);
        bytes.splice(start..end, value.iter().copied());
    }

    /// Takes a line away, says it twice or puts it elsewhere.
    fn lines(&mut self, bytes: &mut Vec<u8>) {
        let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        if lines.is_empty() {
            return;
        }
        let line = lines.remove(self.below(lines.len()));
        for _ in 0..self.below(3) {
            lines.insert(self.below(lines.len() + 1), line);
        }
        *bytes = lines.concat();
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, more: &[u8]) {
    bytes.splice(at..at, more.iter().copied());
}

const BODY_BYTES_MAX: usize = 256 * 1024;

const VALUES: &[&str] = &[
    "null",
    "true",
    "0",
    "-1",
    "1e400",
    "1e999",
    "-1e999",
    "[1e999]",
    "{\"a\":-1E+9999}",
    "1234567890123456789012345678901234567890",
    "0.1234567890123456789012345678901234567890e-7",
    "-0.0",
    "18446744073709551615",
    "18446744073709551616",
    "0.1e-9999",
    "99999999999999999999999999999999999999999999999999999999999999",
    "\"\"",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "\"\u{1f980}\"",
    "[]",
    "{}",
    "[null]",
    "[[]]",
    "{\"type\":null}",
    "{\"type\":\"text\"}",
    "\"text\"",
    "\"tool_use\"",
    "\"error\"",
];

const NOISE: &[&[u8]] = &[
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\0",
    b"\n\n",
    b"\r\n\r\n",
    b"\r",
    b"data: ",
    b"data: [DONE]\n\n",
    b"event: error\ndata: {}\n\n",
    b": ping\n\n",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b",",
];
