//! Lines of a body that has any length: one at a time, and none longer than the limit kept.

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};

/// A line without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// As it came.
    Text(Bytes),
    /// It was longer than a line may be, and is gone.
    TooLong,
}

/// Cuts a body into lines. It holds one line at most, and what came with it.
#[derive(Debug)]
pub(super) struct Lines<S> {
    body: S,
    buffer: BytesMut,
    most: usize,
    /// Bytes of `buffer` in which no line ends.
    searched: usize,
    /// The rest of a line that was too long is being thrown away.
    skipping: bool,
    ended: bool,
}

impl<S, E> Lines<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    /// Of that body, lines of `most` bytes.
    pub(super) fn new(body: S, most: usize) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
            most,
            searched: 0,
            skipping: false,
            ended: false,
        }
    }

    /// The next line; the last one needs no end. None when the body is over, or broken off: what
    /// stood before its last line's end has been answered by then.
    pub(super) async fn next(&mut self) -> Option<Line> {
        loop {
            if let Some(line) = self.take_line() {
                return Some(line);
            }
            if self.ended {
                return self.rest();
            }
            match self.body.next().await {
                Some(Ok(bytes)) => self.buffer.extend_from_slice(&bytes),
                Some(Err(_broken)) => {
                    // Half a line is none.
                    self.buffer.clear();
                    self.skipping = false;
                    self.ended = true;
                }
                None => self.ended = true,
            }
        }
    }

    fn take_line(&mut self) -> Option<Line> {
        let found = self.buffer.get(self.searched..)?.iter().position(|byte| *byte == b'\n');
        let Some(at) = found.map(|at| self.searched + at) else {
            if self.buffer.len() > self.most {
                self.skipping = true;
                self.buffer.clear();
            }
            self.searched = self.buffer.len();
            return None;
        };
        self.searched = 0;
        if at == 0 && !self.skipping {
            // There may be millions of them, and nothing to keep of any.
            self.buffer.advance(1);
            return Some(Line::Text(Bytes::new()));
        }
        let line = self.buffer.split_to(at + 1).freeze();
        if std::mem::take(&mut self.skipping) || at > self.most {
            return Some(Line::TooLong);
        }
        Some(Line::Text(without_end(&line)))
    }

    fn rest(&mut self) -> Option<Line> {
        let rest = self.buffer.split().freeze();
        self.searched = 0;
        if std::mem::take(&mut self.skipping) {
            return Some(Line::TooLong);
        }
        (!rest.is_empty()).then(|| Line::Text(without_end(&rest)))
    }
}

fn without_end(line: &Bytes) -> Bytes {
    let end = line.strip_suffix(b"\n").unwrap_or(line);
    let end = end.strip_suffix(b"\r").unwrap_or(end);
    line.slice(..end.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    async fn lines(chunks: Vec<Result<Bytes, ()>>, most: usize) -> Vec<Option<String>> {
        let mut lines = Lines::new(futures_util::stream::iter(chunks), most);
        let mut all = Vec::new();
        while let Some(line) = lines.next().await {
            all.push(match line {
                Line::Text(text) => Some(String::from_utf8(text.to_vec()).unwrap()),
                Line::TooLong => None,
            });
        }
        all
    }

    fn run(chunks: Vec<Result<Bytes, ()>>, most: usize) -> Vec<Option<String>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(lines(chunks, most))
    }

    fn texts(all: &[&str]) -> Vec<Option<String>> {
        all.iter().map(|text| Some((*text).to_owned())).collect()
    }

    #[test]
    fn the_last_line_needs_no_end() {
        assert_eq!(run(vec![Ok("a\r\n\nb".into())], 10), texts(&["a", "", "b"]));
        assert_eq!(run(vec![Ok("a\n".into())], 10), texts(&["a"]));
        assert_eq!(run(vec![], 10), texts(&[]));
    }

    #[test]
    fn half_a_line_of_a_broken_body_is_none() {
        assert_eq!(run(vec![Ok("a\nb".into()), Err(())], 10), texts(&["a"]));
    }

    #[test]
    fn a_line_too_long_is_thrown_away_and_the_next_is_read() {
        let long = "x".repeat(100);
        let expected = vec![Some("a".to_owned()), None, Some("b".to_owned()), None];
        assert_eq!(run(vec![Ok(format!("a\n{long}\nb\n{long}").into())], 10), expected);
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_they_arrive(
            sent in prop::collection::vec("[a-z]{0,12}", 0..20),
            cut in 1_usize..7,
        ) {
            let body = sent.iter().map(|line| format!("{line}\n")).collect::<String>();
            let chunks = body.as_bytes().chunks(cut).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
            let expected: Vec<_> = sent.iter().map(|l| (l.len() <= 8).then(|| l.clone())).collect();
            prop_assert_eq!(run(chunks, 8), expected);
        }
    }
}
