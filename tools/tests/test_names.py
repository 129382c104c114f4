# SPDX-License-Identifier: MIT OR Apache-2.0
"""The tests that the documents name, against those that there are."""
import re
import unittest

from lib import env, suites

DOCUMENTS = ("bad-inputs.md", "security.md")
# What a document may put in quotes: a case of an image, a fuzz target, a host test.
CASE = re.compile(r"^(?:linux: )?(?!group::)[a-z0-9_]+::[a-z0-9_]*\*?$")
HOST_TEST = re.compile(r"#\[test\]\s*(?:#\[[^\]]*\]\s*)*fn (\w+)")


def sources(*folders, ends=(".rs", ".S", ".c")):
    """Return the text of all sources in some folders."""
    files = (path for folder in folders for path in sorted((env.ROOT / folder).rglob("*")) if path.suffix in ends)
    return "\n".join(path.read_text() for path in files)


class Names(unittest.TestCase):
    """One test per kind of name."""

    @classmethod
    def setUpClass(cls):
        texts = [(env.ROOT / "docs" / name).read_text() for name in DOCUMENTS]
        cls.quoted = sorted({name for text in texts for name in re.findall(r"`([^`\n]+)`", text)})
        cls.suites = sorted({name for text in texts for name in re.findall(r'suite "([^"\n]+)"', text)})
        # The other document has names of functions, too; they are shorter.
        words = [set(re.findall(r"`([a-z0-9_]+)`", text)) for text in texts]
        cls.host = words[0] | {name for name in words[1] if name.count("_") > 3}

    def assert_there(self, names, there):
        """Demand that all names are among those there are, and that there were some to look for."""
        self.assertTrue(names)
        self.assertEqual([name for name in names if not there(name)], [])

    def test_cases(self):
        known = {
            False: set(re.findall(r'"(\w+::\w+)"', sources("bl33-tests"))),
            True: set(re.findall(r'"(\w+::\w+)"', sources("linux/modules"))),
        }

        def there(name):
            case, linux = name.removeprefix("linux: "), name.startswith("linux: ")
            if case.endswith("*"):
                return any(one.startswith(case[:-1]) for one in known[linux])
            return case in known[linux]

        self.assert_there([name for name in self.quoted if CASE.match(name)], there)

    def test_host_tests(self):
        known = set(HOST_TEST.findall(sources("src")))
        self.assert_there(sorted(self.host), known.__contains__)

    def test_fuzz_targets(self):
        targets = [name.removeprefix("fuzz: ") for name in self.quoted if name.startswith("fuzz: ")]
        there = {path.stem for path in (env.ROOT / "fuzz/fuzz_targets").glob("*.rs")}
        self.assert_there([name for name in targets if name != "target"], there.__contains__)

    def test_suites(self):
        known = {suite.name for suite in suites.SUITES}
        self.assert_there([name for name in self.suites if name != "..."], known.__contains__)


if __name__ == "__main__":
    unittest.main()
