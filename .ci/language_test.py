"""Tests of .ci/language: `python3 .ci/language_test.py`."""

import contextlib
import io
import shutil
import sys
import tempfile
import unittest
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from commit_subjects import check_subjects, git, range_since, subject_fault  # noqa: E402
from rust_source import RustSource  # noqa: E402

_loader = SourceFileLoader("language", str(HERE / "language"))
language = module_from_spec(spec_from_loader("language", _loader))
_loader.exec_module(language)


def counted(source: str) -> language.Row:
    row = language.Row()
    language.count_rust("src/lib.rs", RustSource(source), row)
    return row


def found(source: str, column: str) -> list[tuple[int, str]]:
    """Returns line, and word or text, of the places of a column."""
    return [(place.line, place.word or place.text) for place in counted(source).places if place.column == column]


class Lexer(unittest.TestCase):
    def kinds(self, source: str) -> list[tuple[str, str]]:
        return [(token.kind, token.text) for token in RustSource(source).tokens]

    def test_raw_string_ends_at_as_many_hashes(self):
        source = RustSource('let a = r##"say "#who" // no comment"##; let b = br"\\"; // after')
        self.assertEqual([token.text for token in source.strings()], ['r##"say "#who" // no comment"##', 'br"\\"'])
        self.assertEqual([comment.text for comment in source.comments], ["// after"])

    def test_raw_name_is_no_raw_string(self):
        self.assertEqual(self.kinds('r#type "x"'), [("name", "r#type"), ("string", '"x"')])

    def test_escaped_quotes_end_no_string(self):
        self.assertEqual(self.kinds(r'"a\"b" c"\\" b"\x22"'), [("string", r'"a\"b"'), ("string", r'c"\\"'), ("string", r'b"\x22"')])

    def test_lifetime_is_no_char_literal(self):
        source = "fn f<'a,'b>(x: &'a str) -> char { 'a' }"
        kinds = [kind for kind in self.kinds(source) if kind[0] in ("lifetime", "char")]
        self.assertEqual(kinds, [("lifetime", "'a"), ("lifetime", "'b"), ("lifetime", "'a"), ("char", "'a'")])

    def test_char_literals_of_quotes_open_nothing(self):
        source = RustSource("""let q = ['"', '\\'', b'"', '\\u{22}', '\\\\']; // who""")
        self.assertEqual([token.kind for token in source.tokens if token.kind == "char"], ["char"] * 5)
        self.assertEqual(len(source.comments), 1)

    def test_block_comments_nest(self):
        source = RustSource("/* a /* who */ b */ fn f() {} /** doc */")
        self.assertEqual([comment.form for comment in source.comments], ["plain", "outer"])
        self.assertEqual([token.text for token in source.tokens][:2], ["fn", "f"])

    def test_comment_markers_in_strings_open_no_comment(self):
        self.assertEqual(RustSource('let url = "https://x /* y";').comments, [])

    def test_open_string_and_comment_are_errors(self):
        for source in ('fn f() {}\n"open', "fn f() {}\n/* open /* */"):
            with self.assertRaisesRegex(ValueError, "line 2"):
                RustSource(source)

    def test_consecutive_lines_of_one_form_are_one_comment(self):
        source = RustSource("//! Inner.\n/// Outer\n/// goes on.\n\n/// Another.\n// Plain.\nfn f() {}\n//// Ruler\n")
        self.assertEqual([comment.form for comment in source.comments], ["inner", "outer", "outer", "plain", "plain"])
        self.assertEqual(source.doc_comments()[1].prose(), "Outer goes on.")

    def test_prose_of_a_block_has_no_markers(self):
        self.assertEqual(RustSource("/** First line\n * and **second**.\n */").comments[0].prose(), "First line and **second**.")


class Comments(unittest.TestCase):
    def test_interrogative_doc_comment_is_counted(self):
        row = counted("/// What is known of an order.\nstruct A;\n//! Whether it is there by now.\n/// Returns what is stored.\n")
        self.assertEqual((row.docs, row.counts()["openings"]), (3, 2))

    def test_bare_prepositions_open_so_and_longer_words_do_not(self):
        source = "/// Of a basket, the lines.\n\n/// As stored in the table.\n\n/// Offers of all shops here.\n\n/// `what` is the field's name.\n"
        self.assertEqual(found(source, "openings"), [(1, "Of a basket, the lines."), (3, "As stored in the table.")])

    def test_plain_comments_may_open_so(self):
        self.assertEqual(found("// What a pity that is.\nfn f() {}", "openings"), [])

    def test_short_doc_comment_is_counted(self):
        source = "/// A whole order.\nstruct A;\n/// An order as stored.\nstruct B;\n/// Two - dashes\nstruct C;\n"
        self.assertEqual(found(source, "short"), [(1, "A whole order."), (5, "Two - dashes")])


class Words(unittest.TestCase):
    def test_word_in_names_of_each_case_is_counted(self):
        source = "struct ToldRecord;\nfn has_told_all(toldAll: u8) {}\nconst TOLD_ALL: u8 = 1;\nlet untold = scold;\n'told: loop {}\n"
        self.assertEqual(found(source, "names"), [(1, "told"), (2, "told"), (2, "told"), (3, "told"), (5, "told")])

    def test_words_of_strings_count_and_escapes_belong_to_none(self):
        source = 'let a = "one\\nwho\\u{61}sk";\nlet b = r"\\nwho";\nlet c = "{whom}";\n'
        self.assertEqual(found(source, "strings"), [(1, "who"), (3, "whom")])

    def test_words_together_match_across_lines(self):
        source = "/// It goes on for\n/// ever, to look\nfn look_again() {}\n// again.\nlet s = \"get \\\n  on\"; // look, again\n"
        self.assertEqual(found(source, "prose"), [(1, "for ever")])
        self.assertEqual(found(source, "names"), [(3, "look again")])
        self.assertEqual(found(source, "strings"), [(5, "get on")])

    def test_words_of_markdown_are_prose(self):
        row = language.Row()
        language.count_text("docs/a.md", "# Heading\n\nTell me.\nWho's there? Whole.\n", row)
        self.assertEqual([(place.line, place.word) for place in row.places], [(3, "tell"), (4, "who")])


class Tests(unittest.TestCase):
    SOURCE = """
    #[test] fn what_is_lost_comes_back() {}
    #[tokio::test(flavor = "multi_thread")] async fn that_order_is_placed() {}
    #[rstest] #[case(1)] fn order_is_placed(#[case] n: u8) { fn whose_helper() {} }
    proptest! { #[test] fn whose_total_adds_up(n in 0..9u8) {} }
    #[actix_web::test] async fn thatched_roof_is_listed() {}
    #[cfg(test)] mod tests { fn who_is_no_test() {} }
    """

    def test_functions_of_each_attribute_are_tests(self):
        self.assertEqual(counted(self.SOURCE).tests, 5)

    def test_names_that_open_so_are_counted(self):
        names = [name for _, name in found(self.SOURCE, "test_openings")]
        self.assertEqual(names, ["what_is_lost_comes_back", "that_order_is_placed", "whose_total_adds_up"])

    def test_name_of_61_characters_is_too_long(self):
        source = f"#[test]\nfn {'a' * 60}() {{}}\n#[test]\nfn {'b' * 61}() {{}}\n"
        self.assertEqual(found(source, "test_long"), [(4, "b" * 61)])


class Samples(unittest.TestCase):
    SOURCE = """
    fn f() -> Problem {
        warn!(target: "shop", order_id = "o", error = format!("{e}"), "order {id} parked", id = 1);
        tracing::info!("ready");
        let detail = format!("at most {MAX} lines");
        Problem::conflict("line_limit", detail).with("a b", 1);
        Self::new(StatusCode::CONFLICT, "line_limit", "too many lines")
    }
    """

    def test_log_messages_are_neither_fields_nor_targets(self):
        texts = [literal.text for literal in RustSource(self.SOURCE).log_messages()]
        self.assertEqual(texts, ['"order {id} parked"', '"ready"'])

    def test_problem_details_are_found(self):
        texts = [literal.text for literal in RustSource(self.SOURCE).problem_details()]
        self.assertEqual(texts, ['"at most {MAX} lines"', '"too many lines"'])


class Project(unittest.TestCase):
    """A workspace of two crates in a repository of its own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        git(self.root, "init", "--quiet")
        for setting in ("user.name=Test", "user.email=test@example.com", "commit.gpgsign=false"):
            git(self.root, "config", *setting.split("=", 1))
        self.write("Cargo.toml", '[workspace]\nmembers = ["a", "b"]\n')
        for crate in "ab":
            self.write(f"{crate}/Cargo.toml", f'[package]\nname = "commerce-{crate}"\n\n[lib]\nname = "x"\n')
            self.write(f"{crate}/src/lib.rs", "/// Who asks for an order.\npub struct A;\n")
        self.write("docs/guide.md", "Whoever reads this.\n")
        self.write("deploy/up.sh", "# Nobody runs this.\n")
        self.write("target/doc/x.md", "Nobody counts this.\n")
        self.write(language.TABLE, language.write_table(language.updated({}, self.counts())[0]))
        self.commit("workspace: Add two crates")

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8")

    def commit(self, subject: str) -> None:
        git(self.root, "add", "--all")
        git(self.root, "commit", "--quiet", "--message", subject)

    def rows(self) -> dict[str, language.Row]:
        return language.count(self.root, language.project_files(self.root))

    def counts(self) -> dict[str, dict[str, int]]:
        return {name: row.counts() for name, row in self.rows().items()}

    def table(self) -> dict[str, language.Maxima]:
        return language.read_table((self.root / language.TABLE).read_text(encoding="utf-8"))

    def faults(self) -> list[str]:
        return language.compare(self.root, self.rows(), self.table())


class Ratchet(Project):
    def test_rows_are_crates_documents_and_tools(self):
        prose = {name: counts["prose"] for name, counts in self.counts().items()}
        self.assertEqual(prose, {"commerce-a": 2, "commerce-b": 2, "docs": 1, "tools": 1})

    def test_counts_at_their_maxima_pass(self):
        self.assertEqual(self.faults(), [])

    def test_count_above_names_the_new_places_only(self):
        self.write("a/src/lib.rs", "/// Who asks for an order.\npub struct A;\n\nfn told() {}\n// Nobody.\n")
        self.assertEqual(
            self.faults(),
            [
                "commerce-a: prose is 3, above its maximum of 2:",
                "  a/src/lib.rs:5: nobody: // Nobody.",
                "commerce-a: names is 1, above its maximum of 0:",
                "  a/src/lib.rs:4: told: fn told() {}",
            ],
        )

    def test_count_above_in_a_new_file_is_named_without_a_commit(self):
        self.write("a/src/new.rs", "fn told() {}\n")
        self.assertIn("  a/src/new.rs:1: told: fn told() {}", self.faults())

    def test_count_above_names_all_places_without_history(self):
        shutil.rmtree(self.root / ".git")
        self.write("a/src/lib.rs", "/// Who asks for an order.\npub struct A;\n// Nobody.\n")
        self.assertEqual(len(self.faults()), 4)

    def test_count_below_has_the_table_lowered(self):
        self.write("docs/guide.md", "Readers of this.\n")
        self.assertEqual(self.faults(), ["docs: prose is 0, below its maximum of 1: run .ci/language --update"])
        table, refused = language.updated(self.table(), self.counts())
        self.assertEqual((table["docs"].counts["prose"], refused), (0, []))

    def test_update_raises_no_row(self):
        self.write("a/src/lib.rs", "/// Returns the stored order.\npub struct Told;\n")
        table, refused = language.updated(self.table(), self.counts())
        self.assertEqual(refused[0], "commerce-a: names is 1, above its maximum of 0")
        self.assertEqual((table["commerce-a"].counts["names"], table["commerce-a"].counts["prose"]), (0, 0))

    def test_reason_of_a_raise_stays_until_the_row_changes(self):
        table = {**self.table(), "docs": language.Maxima(self.table()["docs"].counts, "quoted text")}
        table = language.read_table(language.write_table(table))
        self.assertEqual(language.updated(table, self.counts())[0]["docs"].reason, "quoted text")
        self.write("docs/guide.md", "Readers of this.\n")
        self.assertEqual(language.updated(table, self.counts())[0]["docs"].reason, "")

    def test_renamed_and_moved_crate_keeps_its_maxima(self):
        git(self.root, "mv", "b", "shared")
        self.write("shared/Cargo.toml", '[package]\nname = "commerce-shared"\n')
        self.assertTrue(any(fault.startswith("commerce-shared has no row") for fault in self.faults()))
        table, refused = language.updated(self.table(), self.counts())
        self.assertEqual((list(table), refused), (["commerce-a", "commerce-shared", "docs", "tools"], []))

    def split(self, text: str) -> tuple[dict[str, language.Maxima], list[str]]:
        self.write("a/src/lib.rs", "/// Returns the stored order.\npub struct A;\n")
        self.write("c/Cargo.toml", '[package]\nname = "commerce-c"\n')
        self.write("c/src/lib.rs", text)
        return language.updated(self.table(), self.counts())

    def test_split_crate_gets_a_row_where_no_total_rises(self):
        table, refused = self.split("/// Who asks for an order.\npub struct A;\n")
        self.assertEqual(refused, [])
        self.assertEqual((table["commerce-a"].counts["prose"], table["commerce-c"].counts["prose"]), (0, 2))

    def test_new_crate_that_raises_a_total_is_refused(self):
        _, refused = self.split("/// Who asks for an order.\npub struct Told;\n")
        self.assertEqual(refused, ["the new rows raise the total of names from 0 to 1"])


class Exceptions(Project):
    TEXT = '# Reasons.\n[[exception]]\npath = "docs/*.md"\nword = "whoever"\ntext = "Whoever reads"\nreason = "a quotation"\n'

    def apply(self, text: str) -> tuple[int, list[str]]:
        rows = self.rows()
        faults = language.apply_exceptions(rows, language.read_exceptions(text))
        return rows["docs"].counts()["prose"], faults

    def test_exception_covers_its_word(self):
        self.assertEqual(self.apply(self.TEXT), (0, []))

    def test_exception_covers_no_other_word_of_the_line(self):
        self.write("docs/guide.md", "Whoever reads this, whoever it is.\n")
        self.assertEqual(self.apply(self.TEXT), (1, []))

    def test_stale_exception_fails(self):
        count, faults = self.apply(self.TEXT.replace('"whoever"', '"door"'))
        self.assertEqual((count, len(faults)), (1, 1))
        self.assertIn("matches nothing: remove it", faults[0])

    def test_exception_without_a_reason_and_unknown_keys_are_errors(self):
        for text in (self.TEXT.replace('reason = "a quotation"\n', ""), self.TEXT + 'crate = "x"\n'):
            with self.assertRaises(SystemExit):
                language.read_exceptions(text)


class Subjects(Project):
    def test_form_scope_length_and_mood_are_checked(self):
        for subject, fault in {
            "order-service: Reject quantities above the limit": None,
            "ci: Process subjects": None,
            "ci: Embed " + "x" * 62: None,
            "ci: Embed " + "x" * 63: "73 characters",
            "Reject quantities": "not of the form",
            "ci: reject quantities": "not of the form",
            "orders: Reject quantities": "unknown scope",
            "ci: Rejects quantities": "no imperative",
            "ci: Rejected quantities": "no imperative",
            "ci: What it rejects": "no imperative",
            "ci: Reject quantities.": "full stop",
        }.items():
            with self.subTest(subject):
                found = subject_fault(subject, {"order-service", "ci"})
                self.assertTrue(found is None if fault is None else fault in (found or ""), found)

    def test_subjects_are_judged_since_the_file_was_added(self):
        self.assertEqual(range_since(self.root, "new.toml"), "HEAD..HEAD")
        self.write("new.toml", "")
        self.commit("What came before is not judged")
        self.write("new.toml", "# changed")
        self.commit("a: Change a file")
        git(self.root, "mv", "b", "c")
        self.commit("b: Move a crate")
        self.write("c/src/lib.rs", "")
        self.commit("c: Clears a file")
        number, faults = check_subjects(self.root, range_since(self.root, "new.toml"))
        self.assertEqual((number, len(faults)), (3, 1))
        self.assertIn("c: Clears a file: `Clears` is no imperative", faults[0])

    def test_shallow_clone_has_no_range(self):
        self.commit_twice()
        clone = self.root / "target/clone"
        git(self.root, "clone", "--quiet", "--depth", "1", self.root.as_uri(), str(clone))
        self.assertIsNone(range_since(clone, "new.toml"))

    def commit_twice(self) -> None:
        for text in "12":
            self.write("new.toml", text)
            self.commit(f"ci: Write {text}")


class Output(unittest.TestCase):
    def test_report_prints_faults_and_fails(self):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            self.assertEqual((language.report([]), language.report(["a fault"])), (0, 1))
        self.assertEqual(printed.getvalue(), "a fault\n")


if __name__ == "__main__":
    unittest.main()
