"""Reads Rust source text as far as the language check needs it: comments, string literals, names, tests, messages.

No parser: macro bodies are read like any other tokens, so that a test inside `proptest!` is found too.
"""

import bisect
import re
from typing import Iterator, NamedTuple

# A raw string comes before a name, since its prefix would pass for one; a character before a lifetime, since `'a'` starts
# like `'a`.
TOKEN = re.compile(
    r"""\s*(?:
      (?P<line>//[^\n]*)
    | (?P<block>/\*)
    | (?P<raw>[bc]?r(?P<hashes>\#*)"(?s:.*?)"(?P=hashes))
    | (?P<string>[bc]?"[^"\\]*(?:\\(?s:.)[^"\\]*)*")
    | (?P<char>b?'(?:[^'\\\n]|\\(?:x[0-9a-fA-F]{2}|u\{[0-9a-fA-F_]+\}|.))')
    | (?P<lifetime>'[^\W\d]\w*)
    | (?P<name>(?:r\#)?[^\W\d]\w*)
    | (?P<number>\d\w*)
    | (?P<other>\S)
    )""",
    re.VERBOSE,
)
BLOCK_EDGE = re.compile(r"/\*|\*/")
LOG_MACROS = {"trace", "debug", "info", "warn", "error"}
PROBLEM_TYPES = {"Problem", "FieldError", "FieldErrors"}
CLOSING = {"(": ")", "[": "]", "{": "}"}


class Token(NamedTuple):
    """`kind` is the name of the group of TOKEN that matched."""

    kind: str
    start: int
    text: str


class Comment(NamedTuple):
    """A comment, or consecutive line comments of one form. `form` is "outer" (`///`), "inner" (`//!`) or "plain"."""

    form: str
    start: int
    text: str

    def prose(self) -> str:
        """Returns the text without comment markers, on one line."""
        text = self.text.removesuffix("*/") if self.text.startswith("/*") else self.text
        return " ".join(re.sub(r"(?m)^\s*(?://[/!]?|/\*[*!]?|\*(?!\*))", "", text).split())


def form_of(comment: str) -> str:
    """Returns a single comment's form by Rust's rules: `////`, `/***` and `/**/` document nothing."""
    if comment.startswith(("//!", "/*!")):
        return "inner"
    if comment.startswith("///") and not comment.startswith("////"):
        return "outer"
    if comment.startswith("/**") and not comment.startswith(("/***", "/**/")):
        return "outer"
    return "plain"


class RustSource:
    """One file's comments, in order, and its other tokens without white space."""

    def __init__(self, text: str):
        self.text = text
        self.comments: list[Comment] = []
        self.tokens: list[Token] = []
        self._newlines = [match.start() for match in re.finditer("\n", text)]
        self._read()

    def line(self, offset: int) -> int:
        """Returns the line of an offset, from 1."""
        return bisect.bisect_left(self._newlines, offset) + 1

    def line_start(self, line: int) -> int:
        return self._newlines[line - 2] + 1 if line > 1 else 0

    def line_text(self, line: int) -> str:
        end = self._newlines[line - 1] if line <= len(self._newlines) else len(self.text)
        return self.text[self.line_start(line) : end]

    def _read(self) -> None:
        position, text = 0, self.text
        # The end of a line comment that the next line may continue; -1 after anything else.
        open_end = -1
        while match := TOKEN.match(text, position):
            kind, position = match.lastgroup, match.end()
            start = match.start(kind)
            if kind == "line":
                self._add_line(start, position, open_end)
                open_end = position
                continue
            open_end = -1
            if kind == "block":
                position = self._block_end(start)
                self.comments.append(Comment(form_of(text[start:position]), start, text[start:position]))
            elif kind == "other" and text[start] == '"':
                raise ValueError(f"line {self.line(start)}: string literal without an end")
            else:
                self.tokens.append(Token(kind, start, text[start:position]))

    def _add_line(self, start: int, end: int, open_end: int) -> None:
        form = form_of(self.text[start:end])
        if open_end >= 0 and self.text.count("\n", open_end, start) == 1 and self.comments[-1].form == form:
            start = self.comments.pop().start
        self.comments.append(Comment(form, start, self.text[start:end]))

    def _block_end(self, start: int) -> int:
        depth = 0
        for edge in BLOCK_EDGE.finditer(self.text, start):
            depth += 1 if edge.group() == "/*" else -1
            if depth == 0:
                return edge.end()
        raise ValueError(f"line {self.line(start)}: block comment without an end")

    def doc_comments(self) -> list[Comment]:
        return [comment for comment in self.comments if comment.form != "plain"]

    def strings(self) -> Iterator[Token]:
        return (token for token in self.tokens if token.kind in ("string", "raw"))

    def names(self) -> Iterator[Token]:
        return (token for token in self.tokens if token.kind in ("name", "lifetime"))

    def tests(self) -> Iterator[Token]:
        """Yields the names of functions under `#[test]`, `#[PATH::test]` or `#[rstest]`."""
        index, is_test = 0, False
        while index < len(self.tokens):
            text = self.tokens[index].text
            if text == "#" and self._text(index + 1) == "[":
                end = self._closing(index + 1)
                is_test |= self._is_test_attribute(index + 2, end)
                index = end
            elif text == "fn" and is_test:
                yield self.tokens[index + 1]
                is_test = False
            elif text in ("{", ";"):
                is_test = False
            index += 1

    def log_messages(self) -> Iterator[Token]:
        """Yields the message of each tracing macro: its first literal that is neither a field's value nor a target."""
        for index, token in enumerate(self.tokens):
            if token.text in LOG_MACROS and self._text(index + 1) == "!" and self._text(index + 2) in CLOSING:
                for literal, previous in self._literals(index + 2, depth_limit=1):
                    if previous not in ("=", ":"):
                        yield literal
                        break

    def problem_details(self) -> Iterator[Token]:
        """Yields literals that end up in problem details: two words or more in `Problem::x(..)`, `FieldErrors::at(..)`,
        `X::new(StatusCode..)`, `#[error(..)]`, or in what is assigned to a field or variable `detail`."""
        found = {}
        for index, token in enumerate(self.tokens):
            after = "".join(self._text(index + ahead) for ahead in range(1, 5))
            if token.text in PROBLEM_TYPES and after.startswith("::") and after.endswith("("):
                literals = self._literals(index + 4)
            elif (token.text == "new" and after.startswith("(StatusCode")) or (token.text == "error" and after[:2] == '("'):
                literals = self._literals(index + 1)
            elif token.text == "detail" and after[:1] in (":", "=") and after[1:2] not in (":", "="):
                literals = self._literals(index + 1, until=",;")
            else:
                continue
            found.update((literal.start, literal) for literal, _ in literals if re.search(r"\w \w", literal.text))
        return iter(found.values())

    def _text(self, index: int) -> str:
        return self.tokens[index].text if index < len(self.tokens) else ""

    def _closing(self, index: int) -> int:
        """Returns the index of the bracket that closes the one at `index`."""
        opening, depth = self._text(index), 0
        for at in range(index, len(self.tokens)):
            depth += {opening: 1, CLOSING[opening]: -1}.get(self._text(at), 0)
            if depth == 0:
                return at
        return len(self.tokens)

    def _is_test_attribute(self, start: int, end: int) -> bool:
        path = "".join(token.text for token in self.tokens[start:end]).split("(", 1)[0]
        return path.rsplit("::", 1)[-1] in ("test", "rstest")

    def _literals(self, start: int, depth_limit: int = 99, until: str = "") -> Iterator[tuple[Token, str]]:
        """Yields string literals, each with the text before it, up to the bracket that closes what is open at `start`."""
        depth = 0
        for index in range(start, len(self.tokens)):
            token = self.tokens[index]
            if token.text in CLOSING:
                depth += 1
            elif token.text in CLOSING.values():
                depth -= 1
                if depth < 0 or (depth == 0 and not until):
                    return
            elif depth == 0 and token.text in until and token.kind == "other":
                return
            elif token.kind in ("string", "raw") and depth <= depth_limit:
                yield token, self._text(index - 1)
