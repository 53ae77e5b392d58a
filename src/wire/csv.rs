//! Tables as comma-separated values, by RFC 4180, for people who open them with a spreadsheet.
//!
//! A cell that one would take for a formula was named by a caller, who is not to run anything there: it gets an apostrophe in
//! front, by which a spreadsheet knows a text.

use crate::price::Dollars;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell<'a> {
    Text(&'a str),
    Whole(i64),
    Dollars(Dollars),
}

#[derive(Debug)]
pub struct Sheet(String);

impl Sheet {
    pub fn new(names: &[&str]) -> Self {
        let mut sheet = Self(String::new());
        sheet.row(&names.iter().map(|name| Cell::Text(name)).collect::<Vec<_>>());
        sheet
    }

    pub fn row(&mut self, cells: &[Cell<'_>]) {
        for (number, cell) in cells.iter().enumerate() {
            if number > 0 {
                self.0.push(',');
            }
            match cell {
                Cell::Text(text) => self.text(text),
                Cell::Whole(count) => self.0.push_str(&count.to_string()),
                Cell::Dollars(Dollars(cost)) => self.0.push_str(&cost.dollars()),
            }
        }
        self.0.push_str("\r\n");
    }

    pub fn finish(self) -> Vec<u8> {
        self.0.into_bytes()
    }

    fn text(&mut self, text: &str) {
        // White space in front does not keep all of them from it.
        let is_formula =
            text.trim_start().starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'])
                || text.starts_with(['\t', '\r', '\n']);
        let mark = if is_formula { "'" } else { "" };
        if text.contains([',', '"', '\r', '\n', ';', '\t']) || is_formula {
            self.0.push('"');
            self.0.push_str(mark);
            self.0.push_str(&text.replace('"', "\"\""));
            self.0.push('"');
        } else {
            self.0.push_str(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::Picodollars;

    #[test]
    fn cells_are_quoted_where_they_must_and_are_no_formulas() {
        for (text, expected) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "\"'=1+1\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            (" =1", "\"' =1\""),
            ("\t=1", "\"'\t=1\""),
            ("=HYPERLINK(\"http://x\")", "\"'=HYPERLINK(\"\"http://x\"\")\""),
            ("a=1", "a=1"),
            ("", ""),
        ] {
            let mut sheet = Sheet::new(&["n"]);
            sheet.row(&[Cell::Text(text), Cell::Whole(-1), Cell::Dollars(Dollars(Picodollars(1)))]);
            let found = String::from_utf8(sheet.finish()).unwrap();
            assert_eq!(found, format!("n\r\n{expected},-1,0.000000000001\r\n"), "{text:?}");
        }
    }
}
