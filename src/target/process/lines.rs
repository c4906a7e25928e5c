//! Bytes of output to lines of text.

/// Cuts a stream of bytes into lines. Line ends (`\n`, `\r\n`) are taken off, invalid UTF-8 becomes
/// U+FFFD, and a line longer than the limit is split between characters.
#[derive(Debug)]
pub struct Lines {
    limit: usize,
    partial: Vec<u8>,
}

impl Lines {
    /// `limit` in bytes, at least 4 (one character).
    pub fn new(limit: usize) -> Self {
        Self { limit: limit.max(4), partial: Vec::new() }
    }

    /// Takes `bytes`, and hands on every line that they complete.
    pub fn push(&mut self, bytes: &[u8], mut emit: impl FnMut(String)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if self.partial.last() == Some(&b'\n') {
                self.partial.pop();
                if self.partial.last() == Some(&b'\r') {
                    self.partial.pop();
                }
                self.split(&mut emit);
                emit(text(&std::mem::take(&mut self.partial)));
            } else {
                self.split(&mut emit);
            }
        }
    }

    /// Hands on what is there of a line without an end.
    pub fn flush(&mut self, emit: impl FnOnce(String)) {
        if !self.partial.is_empty() {
            emit(text(&std::mem::take(&mut self.partial)));
        }
    }

    fn split(&mut self, emit: &mut impl FnMut(String)) {
        let mut start = 0;
        while self.partial.len() - start > self.limit {
            let end = start + boundary(&self.partial[start..], self.limit);
            emit(text(&self.partial[start..end]));
            start = end;
        }
        self.partial.drain(..start);
    }
}

/// The largest index up to `limit` that does not cut a UTF-8 character, or `limit` in other bytes.
fn boundary(bytes: &[u8], limit: usize) -> usize {
    let is_start = |index: &usize| bytes[*index] & 0b1100_0000 != 0b1000_0000;
    (limit.saturating_sub(3).max(1)..=limit).rev().find(is_start).unwrap_or(limit)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(limit: usize, chunks: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::new(limit);
        let mut out = Vec::new();
        for chunk in chunks {
            lines.push(chunk, |line| out.push(line));
        }
        lines.flush(|line| out.push(line));
        out
    }

    #[test]
    fn lines_are_joined_over_chunks_and_stripped_of_their_ends() {
        assert_eq!(lines(80, &[b"one\r\ntw", b"o\n\nthree"]), ["one", "two", "", "three"]);
    }

    #[test]
    fn a_character_cut_by_a_chunk_survives() {
        let drum = "鼓楼\n".as_bytes();
        assert_eq!(lines(80, &[&drum[..2], &drum[2..5], &drum[5..]]), ["鼓楼"]);
    }

    #[test]
    fn invalid_bytes_are_replaced() {
        assert_eq!(lines(80, &[b"a\xff\xfeb\n"]), ["a\u{fffd}\u{fffd}b"]);
    }

    #[test]
    fn a_long_line_is_split_between_characters() {
        let out = lines(8, &["鼓楼鼓楼鼓楼\n".as_bytes()]);
        assert_eq!(out, ["鼓楼", "鼓楼", "鼓楼"]);
        assert_eq!(lines(4, &[&[0x80; 9]]).concat().chars().count(), 9);
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_one_line() {
        assert_eq!(lines(4, &[b"abcd\nabcd", b"\n"]), ["abcd", "abcd"]);
    }
}
