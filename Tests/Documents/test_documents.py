"""Tests of the test of the documents: python3 -m unittest discover Tests/Documents

The tool is a script here that prints what it is told to.
"""
import contextlib, importlib.machinery, importlib.util, io, pathlib, sys, tempfile, unittest, unittest.mock

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import comparison, pages  # noqa: E402

TOOL = r"""#!/bin/sh
if [ "$1" = --help-all ]; then printf 'OPTIONS:\n  --version\n\nSUBCOMMANDS:\n  say   Says something.\n'; exit; fi
if [ "$2" = --help-all ]; then printf 'OPTIONS:\n  --loud   Louder.\n'; exit; fi
[ "$1" = say ] || exit 1
shift
printf '%b' "$*"
"""


def runner():
    loader = importlib.machinery.SourceFileLoader("run_documents", str(HERE / "run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("run_documents", loader))
    loader.exec_module(module)
    return module


RUN = runner()


class PageTests(unittest.TestCase):
    """Runs pages in a repository made for each test."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name).resolve()
        (self.root / "docs").mkdir()
        self.tool = self.root / "tool"
        self.tool.write_text(TOOL)
        self.tool.chmod(0o755)

    def check(self, readme, *options, **others):
        """The exit status and what was printed for a README and pages of docs/."""
        (self.root / "README.md").write_text(readme)
        for name, text in others.items():
            (self.root / "docs" / f"{name}.md").write_text(text)
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            status = RUN.main([str(self.tool), *options], self.root)
        return status, output.getvalue()

    def console(self, *lines):
        return self.check("\n".join(("# Title", "```console", *lines, "```", "")))

    def passes(self, *lines):
        status, output = self.console(*lines)
        self.assertEqual(status, 0, output)

    def fails(self, why, *lines):
        status, output = self.console(*lines)
        self.assertEqual(status, 1, output)
        self.assertIn(why, output)

    def test_right_output(self):
        self.passes("$ tmpack say one", "one", "", "$ tmpack say 'two\\n\\nthree'", "two", "", "three")

    def test_wrong_output(self):
        self.fails("-two", "$ tmpack say one", "two")
        self.fails("+one", "$ tmpack say one")
        self.fails("-two", "$ tmpack say one", "one", "two")
        self.fails("README.md:5:", "$ tmpack say one", "one", "$ tmpack say two", "one")

    def test_standard_error_is_output(self):
        self.passes("$ tmpack say a; echo b >&2", "ab")
        self.fails("+b", "$ echo b >&2")

    def test_exit_status(self):
        self.passes("$ (exit 3)", "$ echo $?", "3")
        self.fails("exit status 3", "$ (exit 3)", "$ tmpack say one", "one")
        self.fails("exit status 3", "$ (exit 3)")
        self.fails("exit status 3", "$ (exit 3) | cat")
        self.fails("-4", "$ (exit 3)", "$ echo $?", "4")

    def test_commands_of_several_lines_share_a_folder(self):
        self.passes("$ printf '%s' a \\", "    b > f", "$ cat f", "ab")

    def test_elision(self):
        self.passes("$ seq 5", "1", "…", "5")
        self.fails("-6", "$ seq 5", "1", "…", "6")

    def test_each_page_has_its_folder(self):
        page = "```console\n$ ls\n```\n"
        self.assertEqual(self.check(page.replace("ls", "touch f"), other=page.replace("ls", "test ! -e f"))[0], 0)

    def test_nothing_run_is_a_fault(self):
        self.assertEqual(self.check("# Nothing\n")[0], 1)

    def test_commands_in_other_blocks(self):
        status, output = self.check("```console\n$ true\n```\n```sh\ntmpack say one\n```\n")
        self.assertEqual(status, 1)
        self.assertIn("README.md:5:", output)

    def test_python(self):
        good = "```console\n$ echo 7 > f\n```\n```python\nassert open('f').read() == '7\\n'\n```\n"
        self.assertEqual(self.check(good)[0], 0)
        self.assertEqual(self.check(good.replace("== '7", "== '8"))[0], 1)
        status, output = self.check(good.replace("assert", "import no_such_module\nassert"))
        self.assertIn("for want of no_such_module", output)

    def test_blocks_that_need_what_is_missing(self):
        page = "```console\n$ true\n```\n```console\n$ openssl-of-nowhere\n```\n"
        self.assertEqual(self.check(page)[0], 1)
        with unittest.mock.patch.object(RUN, "OPTIONAL", ("openssl-of-nowhere",)):
            status, output = self.check(page)
        self.assertEqual(status, 0)
        self.assertIn("README.md:5: not run, for want of openssl-of-nowhere", output)

    def test_code_spans(self):
        example = "\n```console\n$ true\n```\n"
        for text, why in (("`tmpack say --loud`", None), ("`--loud`", None), ("`tmpack say --quiet`", "no option --quiet"), ("`--quiet x`", "no command has"),
                          ("`tmpack sing`", "no command sing"), ("`other --quiet`", None)):
            status, output = self.check(text + example)
            self.assertEqual(status, 1 if why else 0, text)
            self.assertIn(why or "", output)

    def test_links(self):
        example = "\n```console\n$ true\n```\n"
        for text, right in (("[a](docs/a.md)", True), ("[a](docs/a.md#one-two)", True), ("[a](docs/b.md)", False), ("[a](docs/a.md#three)", False),
                            ("[a](#three)", False), ("[a](https://example.org/x)", True)):
            self.assertEqual(self.check(text + example, a="# One, two" + example)[0], 0 if right else 1, text)

    def test_length_of_the_readme(self):
        example = "\n```console\n$ true\n```\n"
        self.assertEqual(self.check("x" * 9000 + example)[0], 0)
        self.assertEqual(self.check("x" * 10_000 + example)[0], 1)

    def test_update(self):
        text = "# Title\n```console\n$ tmpack say one\ntwo\n\n$ tmpack say three\n```\nEnd.\n"
        self.assertEqual(self.check(text, "--update")[0], 1)
        text = (self.root / "README.md").read_text()
        self.assertEqual(text, "# Title\n```console\n$ tmpack say one\none\n\n$ tmpack say three\nthree\n```\nEnd.\n")
        self.assertEqual(self.check(text)[0], 0)


class ComparisonTests(unittest.TestCase):
    def test_numbers(self):
        for shown, printed, same in (
            ("7 tensors, 13.0 kB", "7 tensors, 13.1 kB", True), ("7 tensors, 13.0 kB", "8 tensors, 13.0 kB", False),
            ("13.0 kB", "13.3 kB", False), ("0.432", "0.433", True), ("0.432", "0.438", False), ("zoo: 149 kB, 2.83×", "zoo: 150 kB, 2.82×", True),
            ("149 kB", "159 kB", False), ("131×", "132×", True), ("131×", "140×", False), ("5.8e-5", "5.9e-5", True), ("5.8e-5", "5.8e-4", False),
            ("13.0 kB", "13.0 MB", False), ("16384 of 16384", "16383 of 16384", False),
            ("byte 110554, expert 'b': bytes 110554 to 121540, 10987 bytes", "byte 110560, expert 'b': bytes 110560 to 121531, 10972 bytes", True),
            ("byte 110554", "byte 210554", False), ("takes 97053", "takes 97060", True), ("7 tensors", "8 tensors", False),
        ):
            self.assertEqual(comparison.same_line(shown, printed), same, (shown, printed))

    def test_masks(self):
        self.assertTrue(comparison.same_line("root " + "a" * 64, "root " + "b" * 64))
        self.assertFalse(comparison.same_line("root " + "a" * 64, "root " + "b" * 63))
        self.assertTrue(comparison.same_line("time: about 1 s; memory: about 39.3 MB", "time: about 20 ms; memory: about 1.20 GB"))
        self.assertFalse(comparison.same_line("time: about 1 s", "time: 1 s"))

    def test_columns(self):
        self.assertTrue(comparison.same_line("a66    7", "a66  7"))
        self.assertFalse(comparison.same_line("a66 7", "a667"))


class MarkdownTests(unittest.TestCase):
    def test_a_block_without_an_end(self):
        with self.assertRaisesRegex(ValueError, "line 2"):
            pages.blocks("text\n```console\n$ true\n")

    def test_output_before_a_command(self):
        with self.assertRaisesRegex(ValueError, "line 2"):
            pages.commands(pages.blocks("```console\nx\n$ true\n```")[0])


if __name__ == "__main__":
    unittest.main()
