"""The tree keeps its own rules: layers, the co_await trap, and each check finds what it is for."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
from importlib.machinery import SourceFileLoader

ROOT = pathlib.Path(os.environ.get("SPOOLD_SOURCE") or pathlib.Path(__file__).resolve().parents[2])
sys.dont_write_bytecode = True
co_await = SourceFileLoader("check_co_await", str(ROOT / "scripts/check_co_await")).load_module()

WRONG = [
    "co_await f(Agg{1, 2});",
    "co_await f({.a = 1});",
    "co_await ch.async_send({}, m, use);",
    "co_await co_spawn(ex, [x]{ return x; }, use);",
    "S s{.a = 1, .n = co_await g()};",
    "v.push_back(Agg{1, co_await g()});",
    "auto n = f(Agg{1}, co_await g());",
    "if (co_await f({1})) { x(); }",
    "co_return co_await f(\n    a,\n    std::array{1});",
]
RIGHT = [
    "auto [ec, n] = co_await f(a, b(c));",
    "if (auto r = co_await f(a); r) { x(); }",
    "while (co_await f()) { y(); }",
    "for (auto& x : co_await f()) { y(); }",
    "if (a) { b(); } co_await c();",
    "if (a) { b(); } else { co_await c(); }",
    'co_await f("a { b");  // { }',
    "auto make = [x]() -> awaitable<void> { co_await g(x); };",
    "Agg a{1, 2}; co_await f(std::move(a));",
    "for (;;) { if (co_await f()) co_return; }",
    "try { co_await f(); } catch (...) { }",
    "switch (co_await f()) { case 1: co_await g(); }",
    "co_await f(a[i], x ? 'a' : '{');",
]


class Checks(unittest.TestCase):
    def complains(self, script, files):
        """What the script says of a tree of these files, which is not right in all."""
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                path = pathlib.Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text + "\n")
            done = subprocess.run([ROOT / "scripts" / script, folder], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        return done

    def test_co_await_finder(self):
        for code in WRONG:
            self.assertTrue(list(co_await.problems_of("task f() {\n  " + code + "\n}\n")), code)
        for code in RIGHT:
            self.assertEqual(list(co_await.problems_of("task f() {\n  " + code + "\n}\n")), [], code)

    def test_co_await_tree(self):
        done = subprocess.run([ROOT / "scripts/check_co_await"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_layers_tree(self):
        done = subprocess.run([ROOT / "scripts/check_layers"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_layers_finder(self):
        cases = {
            "protocol/a.cpp": '#include "store/store.hpp"', "protocol/b.cpp": "#include <thread>",
            "store/spool/c.cpp": '#include "store/directory/directory.hpp"', "store/d.cpp": "#include <spdlog/spdlog.h>",
            "conf/e.cpp": '#include "protocol/time.hpp"', "protocol/f.cpp": "auto t = std::chrono::system_clock::now();",
            "server/g.cpp": "#include <lmdb.h>", "server/h.cpp": '#include "nowhere.hpp"',
            "server/k.cpp": "void f(store::Write& write);", "server/l.cpp": "store::Job job;",
            "server/m.cpp": "request.store.submit({kind, apply, done});",
            "store/spool/i.hpp": '#include "store/store.hpp"', "store/directory/j.cpp": '#include "store/writer.hpp"',
            "store/txn.hpp": '#include "store/spool/types.hpp"', "store/job.hpp": '#include "store/store.hpp"',
            "protocol/smtp/i.cpp": '#include "protocol/delivery/planner.hpp"', "protocol/mail/j.cpp": '#include "protocol/smtp/reply.hpp"',
            "protocol/dns/k.cpp": '#include "protocol/list/settings.hpp"', "protocol/smtp/l.cpp": '#include "protocol/mime/parts.hpp"',
            "protocol/time.cpp": '#include "protocol/mail/ascii.hpp"', "protocol/list/m.cpp": '#include "conf/load.hpp"',
            "server/admin/i.cpp": '#include "server/asio.hpp"', "server/spoolctl/j.cpp": '#include "server/inbound/census.hpp"',
            "server/inbound/k.cpp": '#include "server/spoolctl/print.hpp"', "server/admin/l.cpp": '#include "server/spoolctl/print.hpp"',
            "server/office/m.cpp": '#include "server/asio.hpp"', "server/office/n.cpp": "#include <openssl/hmac.h>",
            "server/office/o.cpp": "#include <asio.hpp>",
        }
        right = {
            "protocol/delivery/n.cpp": '#include "protocol/dns/records.hpp"', "protocol/list/o.cpp": '#include "protocol/time.hpp"',
            "protocol/list/p.cpp": '#include "conf/values.hpp"', "protocol/smtp/q.cpp": '#include "protocol/smtp/reply.hpp"',
        }
        there = {"server/asio.hpp": "", "server/inbound/census.hpp": "", "server/spoolctl/print.hpp": "",
                 "server/spoolctl/m.cpp": '#include "server/spoolctl/print.hpp"', "server/admin/control_socket.cpp": '#include "server/asio.hpp"'}
        done = self.complains("check_layers", {**cases, **right, **there})
        for name in cases:
            self.assertIn(name + ":1:", done.stdout)
        for name in right:  # what it includes does not exist here, and nothing else is wrong with it
            self.assertNotIn("must not", "".join(line for line in done.stdout.splitlines() if line.startswith(name)), name)
            self.assertNotIn("of conf", "".join(line for line in done.stdout.splitlines() if line.startswith(name)), name)
        for name in there:
            self.assertNotIn(name + ":1:", done.stdout)

    def test_documents_tree(self):
        done = subprocess.run([ROOT / "scripts/check_documents"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_documents_finder(self):
        files = {
            "README.md": "# a tree", "store/README.md": "`right` and `named-otherwise`: see [the rules](rules.md)", "store/rules.md": "",
            "protocol/README.md": "| 5321 | SMTP | yes | |\n| 2369, 2919 | lists | yes | |\n| 5321 | again | yes | |",
        }
        wrong = {
            "store/a.cpp": "// see style.md", "store/b.cpp": "// design section 5", "store/c.cpp": "// lists.md A2",
            "store/d.cpp": "// by RFC 9999", "store/e.cpp": "// RFC 2369, 9998", "store/f.cpp": "// the interface contract",
            "tests/g.py": "# ../shared/notes.md",
        }
        right = {
            "store/right.hpp": "// README.md, store/rules.md and rules.md; RFC 5321 4.5.3.1, RFC 2369, 2919.  ",
            "server/h.cpp": "// rules.md is the only one; https://example.org/other.md",
        }
        done = self.complains("check_documents", {**files, **wrong, **right, "store/named.hpp": ""})
        for name in wrong:
            self.assertIn(name + ":1:", done.stdout)
        for name in right:
            self.assertNotIn(name, done.stdout)
        self.assertIn("protocol/README.md:3: RFC 5321", done.stdout)
        self.assertIn("store/named.hpp", done.stdout)

    def test_requirements_tree(self):
        done = subprocess.run([ROOT / "scripts/check_requirements"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_requirements_finder(self):
        rows = {  # what is wrong with each
            "| 1.2 | MUST | server | a | tested | tests/dialogs/plain.txt |": "",
            "| 1.10 | SHOULD NOT | both | b | tested | tests/blackbox/test_x.py:test_y, tests/smtp/x_test.cpp: \"one, two: three\" |": "",
            "| 1.10 | MUST | client | c | not built | nobody has asked for it |": "",
            "| 1.9 | MUST | server | d | differs | as Postfix has it |": "behind a later one",
            "| 2 | WILL | server | e | differs | as Postfix has it |": "WILL is none of",
            "| 2 | MUST | peer | f | differs | as Postfix has it |": "peer is none of",
            "| 2 | MUST | server | g | done | as Postfix has it |": "done is none of",
            "| 2 | MUST | server | h | differs | |": "why",
            "| 2 | MUST | server | i | differs | see tests/gone.txt for it |": "tests/gone.txt does not exist",
            "| 2 | MUST | server | j | tested | somewhere |": "no test: somewhere",
            "| 2 | MUST | server | k | tested | tests/dialogs/gone.txt |": "tests/dialogs/gone.txt does not exist",
            "| 2 | MUST | server | l | tested | tests/blackbox/test_x.py:test_gone |": "no test test_gone",
            "| 2 | MUST | server | m | tested | tests/smtp/x_test.cpp: \"one\" |": "no test one",
            "| 2 | MUST | server | n | tested | tests/smtp/x_test.cpp |": "which test",
            "| 2 | MUST | server | o | tested | tests/dialogs/plain.txt, somewhere |": "no test: somewhere",
            "| 2 | MUST | server | | tested | tests/dialogs/plain.txt |": "no requirement",
            "| 2 | MUST | server | o | tested | tests/dialogs/plain.txt |": "stands there already",
            "| 2 | MUST | server | p | tested |": "six columns",
            "| two | MUST | server | q | tested | tests/dialogs/plain.txt |": "no section",
        }
        head = ["| section | level | who | requirement | status | where, or why |", "|---|---|---|---|---|---|"]
        marks = "<!-- scripts/check_requirements --fix writes this table -->\n<!-- end of the table -->"
        files = {
            "protocol/smtp/requirements/rfc1.md": "\n".join([*head, *rows]), "protocol/README.md": marks, "tests/dialogs/plain.txt": "",
            "tests/blackbox/test_x.py": "class X:\n    def test_y(self):\n        pass",
            "tests/smtp/x_test.cpp": 'TEST_CASE_FIXTURE(House,\n    "one, "\n    "two: three") {}',
        }
        said = self.complains("check_requirements", files).stdout
        for number, (row, words) in enumerate(rows.items(), 3):
            lines = [line for line in said.splitlines() if line.startswith(f"protocol/smtp/requirements/rfc1.md:{number}:")]
            self.assertEqual(len(lines), 1 if words else 0, (row, lines))
            self.assertIn(words, "".join(lines))
        self.assertIn("protocol/README.md:1: the table of requirements is stale", said)
        self.assertIn("no marks", self.complains("check_requirements", {**files, "protocol/README.md": ""}).stdout)
        self.assertIn("no requirements", self.complains("check_requirements", {"protocol/README.md": marks}).stdout)
        with tempfile.TemporaryDirectory() as folder:  # --fix writes the table, and then nothing is wrong
            for name, text in {**files, "protocol/smtp/requirements/rfc1.md": "\n".join([*head, *list(rows)[:3]])}.items():
                path = pathlib.Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text + "\n")
            for options, code in (([], 1), (["--fix"], 0), ([], 0)):
                done = subprocess.run([ROOT / "scripts/check_requirements", *options, folder], capture_output=True, text=True)
                self.assertEqual(done.returncode, code, done.stdout)
            self.assertIn("| [1](smtp/requirements/rfc1.md) | 3 | 2 | 0 | 1 | 0 | 1 |", pathlib.Path(folder, "protocol/README.md").read_text())


if __name__ == "__main__":
    unittest.main()
