//! Scans a stream of JSON byte by byte and assumes nothing about it: strings, words
//! and whole values, read or skipped. Damage is recorded and skipped. `damaged.rs`
//! decides what the pieces mean together.

use std::io::{self, Read};

/// How much is read at a time. Most lines are shorter.
pub(super) const BLOCK: usize = 8 * 1024;
/// How many brackets may be open around a value that is read. What is deeper is passed over.
const DEEPEST: u32 = 64;

/// How what was read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The outermost bracket was closed, and nothing that was passed over is known to be damaged.
    Closed,
    /// It was closed, but what is inside is not JSON.
    Damaged,
    /// The bytes end inside the value.
    CutOff,
}

/// A stream of JSON, or of what should be JSON.
pub(super) struct Scanner<R> {
    reader: R,
    buffer: Vec<u8>,
    /// The bytes of `buffer` that are still to come.
    pub(super) at: usize,
    end: usize,
    pub(super) depth: u32,
    /// How many of the open brackets are arrays'.
    pub(super) arrays: u32,
    /// How many values may still be read.
    pub(super) left: u32,
    /// How many bytes of strings may still be kept.
    room: usize,
    pub(super) is_cut: bool,
    pub(super) is_damaged: bool,
    /// The bytes of a character that a block ended in.
    partial: Vec<u8>,
    failed: Option<io::Error>,
}

/// A string, once it is passed.
pub(super) enum Text {
    Kept(String),
    TooLong,
    CutOff,
}

impl<R: Read> Scanner<R> {
    pub(super) fn new(reader: R, room: usize, left: u32) -> Self {
        let buffer = vec![0; BLOCK];
        Self {
            reader,
            buffer,
            at: 0,
            end: 0,
            depth: 0,
            arrays: 0,
            left,
            room,
            is_cut: false,
            is_damaged: false,
            partial: Vec::new(),
            failed: None,
        }
    }

    pub(super) fn end(self) -> io::Result<End> {
        match self.failed {
            Some(error) => Err(error),
            None if self.is_cut => Ok(End::CutOff),
            None if self.is_damaged => Ok(End::Damaged),
            None => Ok(End::Closed),
        }
    }

    /// The next byte; stays there. None at the end.
    pub(super) fn byte(&mut self) -> Option<u8> {
        while self.at == self.end && self.failed.is_none() {
            match self.reader.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => {
                    (self.at, self.end) = (0, count);
                    self.check_text();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.failed = Some(error),
            }
        }
        self.buffer[..self.end].get(self.at).copied()
    }

    /// Checks whether a block that was just read continues as UTF-8.
    fn check_text(&mut self) {
        if self.is_damaged {
            return;
        }
        self.partial.extend_from_slice(&self.buffer[..self.end]);
        match std::str::from_utf8(&self.partial) {
            Ok(_) => self.partial.clear(),
            Err(error) if error.error_len().is_none() => drop(self.partial.drain(..error.valid_up_to())),
            Err(_) => self.is_damaged = true,
        }
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.byte()?;
        self.at += 1;
        Some(byte)
    }

    /// The next byte that is no space; stays there. At the end, what is open is cut off.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while self.byte().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
        let byte = self.byte();
        self.is_cut |= byte.is_none();
        byte
    }

    /// Moves past a string, whose first quote is next.
    pub(super) fn string(&mut self) -> Text {
        self.at += 1;
        let (mut bytes, mut fits) = (Vec::new(), true);
        loop {
            let Some(byte) = self.next() else {
                self.is_cut = true;
                return Text::CutOff;
            };
            match byte {
                b'"' => break,
                b'\\' => self.escape(&mut bytes),
                _ => {
                    self.is_damaged |= byte < b' ';
                    bytes.push(byte);
                }
            }
            if bytes.len() > self.room {
                fits = false;
                bytes.clear();
            }
        }
        if !fits {
            return Text::TooLong;
        }
        self.room -= bytes.len();
        Text::Kept(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into()))
    }

    /// Reads what follows a backslash; what is no escape stays as it is.
    fn escape(&mut self, bytes: &mut Vec<u8>) {
        let Some(byte) = self.next() else { return };
        let plain = match byte {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            b'"' | b'\\' | b'/' => byte,
            b'u' => {
                let unit = self.unit();
                return self.character(unit, bytes);
            }
            other => {
                self.is_damaged = true;
                bytes.push(b'\\');
                other
            }
        };
        bytes.push(plain);
    }

    /// The character that begins with this unit of UTF-16; half of one is a replacement character.
    fn character(&mut self, mut unit: u32, bytes: &mut Vec<u8>) {
        while (0xd800..0xdc00).contains(&unit) && self.byte() == Some(b'\\') {
            self.at += 1;
            if self.byte() != Some(b'u') {
                bytes.extend_from_slice("\u{fffd}".as_bytes());
                return self.escape(bytes);
            }
            self.at += 1;
            let low = self.unit();
            if (0xdc00..0xe000).contains(&low) {
                unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            } else {
                bytes.extend_from_slice("\u{fffd}".as_bytes());
                unit = low;
            }
        }
        let character = char::from_u32(unit).unwrap_or('\u{fffd}');
        bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }

    /// Up to four hexadecimal digits.
    fn unit(&mut self) -> u32 {
        let mut unit = 0;
        for _ in 0..4 {
            let Some(digit) = self.byte().and_then(|byte| char::from(byte).to_digit(16)) else { break };
            (unit, self.at) = (unit << 4 | digit, self.at + 1);
        }
        unit
    }

    /// A word or a number, as far as one goes: not even a byte of what must mean something else.
    pub(super) fn bare(&mut self) -> String {
        const LONGEST: usize = 64;
        let mut word = String::new();
        while let Some(byte) = self.byte() {
            if byte.is_ascii_whitespace() || b",:{}[]\"".contains(&byte) {
                break;
            }
            self.at += 1;
            if word.len() < LONGEST {
                word.push(char::from(byte));
            }
        }
        word
    }

    /// Moves past a value, however deep.
    pub(super) fn skip(&mut self) {
        let mut depth = 0_u64;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => self.pass_string(),
                b'{' | b'[' => (depth, self.at) = (depth + 1, self.at + 1),
                b'}' | b']' if depth == 0 => return,
                b'}' | b']' => (depth, self.at) = (depth - 1, self.at + 1),
                b',' if depth == 0 => return,
                b',' | b':' => {
                    self.at += 1;
                    continue;
                }
                _ => self.pass_bare(),
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// Moves past a word or a number.
    fn pass_bare(&mut self) {
        let word = self.bare();
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
        self.is_damaged |= !is_number && !["true", "false", "null"].contains(&word.as_str());
    }

    /// Moves past a string and keeps nothing of it.
    fn pass_string(&mut self) {
        self.at += 1;
        while self.byte().is_some() {
            let chunk = &self.buffer[self.at..self.end];
            let end = memchr::memchr2(b'"', b'\\', chunk);
            let plain = &chunk[..end.unwrap_or(chunk.len())];
            self.is_damaged |= plain.iter().fold(false, |found, byte| found | (*byte < b' '));
            self.at += plain.len();
            match end.and_then(|_| self.next()) {
                Some(b'"') => return,
                Some(_) => drop(self.next()),
                None => {}
            }
        }
        self.is_cut = true;
    }

    /// Moves past the rest of what is between the innermost brackets.
    pub(super) fn skip_rest(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b'}' | b']' => {
                    self.at += 1;
                    return;
                }
                b',' | b':' => self.at += 1,
                _ => self.skip(),
            }
        }
    }

    /// Whether a value may be read here; if not, it is to be passed over.
    pub(super) fn may_read(&mut self) -> bool {
        let may = self.left > 0 && self.depth < DEEPEST;
        self.left = self.left.saturating_sub(1);
        may
    }
}
