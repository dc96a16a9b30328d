"""Real clients in front (swaks, curl), a real server behind (aiosmtpd): what goes in by them comes out right."""
import email
import email.policy
import subprocess
import threading

from aiosmtpd.controller import Controller

import harness


class Box:
    """aiosmtpd's handler: keeps what it was given."""

    def __init__(self):
        self.got = []
        self.lock = threading.Lock()

    async def handle_DATA(self, server, session, envelope):
        with self.lock:
            self.got.append((envelope.mail_from, list(envelope.rcpt_tos), envelope.original_content))
        return "250 2.0.0 kept"


class Test(harness.Case):
    def setUp(self):
        super().setUp()
        self.box = Box()
        self.controller = Controller(self.box, hostname="127.0.0.1", port=harness.free_port())
        self.controller.start()
        self.addCleanup(self.controller.stop)
        self.daemon = self.spoold(f"smtp://127.0.0.1:{self.controller.port}")
        self.people = [f"{n}@{n}.example" for n in ("anne", "bart", "cris")]
        self.daemon.list(members=self.people)

    def swaks(self, *options):
        return subprocess.run(["swaks", "--server", f"127.0.0.1:{self.daemon.port}", "--helo", "client.example", "--from", "poster@example.net", "--to",
                               harness.LIST, *options], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)

    def curl(self, file, *options):
        return subprocess.run(["curl", "-sS", "--url", f"smtp://127.0.0.1:{self.daemon.port}/client.example", "--mail-from", "poster@example.net",
                               "--mail-rcpt", harness.LIST, "--upload-file", str(file), *options], capture_output=True, text=True, timeout=60)

    def test_swaks_and_curl_post_to_aiosmtpd(self):
        done = self.swaks("--pipeline", "--header", "Subject: by swaks", "--body", "a line\n.leading dot\nend")
        self.assertEqual(done.returncode, 0, done.stdout)
        file = self.folder / "post.eml"
        file.write_bytes("From: poster@example.net\r\nTo: x\r\nSubject: by curl\r\nMessage-ID: <c@x>\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n\r\n"
                         "Grüße\r\n.\r\n..\r\nend\r\n".encode())
        done = self.curl(file)
        self.assertEqual(done.returncode, 0, done.stderr)
        harness.wait_until(lambda: len(self.box.got) == 6, 20, "six copies")
        for subject, body in (("by swaks", b".leading dot\r\n"), ("by curl", "Grüße\r\n.\r\n..\r\nend\r\n".encode())):
            copies = [g for g in self.box.got if f"Subject: {subject}".encode() in g[2]]
            self.assertEqual({tuple(rcpts): sender for sender, rcpts, _ in copies},
                             {(p,): f"test-bounces+{p.replace('@', '=')}@lists.example" for p in self.people})
            for _, _, content in copies:
                self.assertIn(body, content)
                head = email.message_from_bytes(content, policy=email.policy.default)
                self.assertIn("<test.lists.example>", head["List-Id"])
                self.assertIn("mailto:test@lists.example", head["List-Post"])
                self.assertTrue(head["List-Unsubscribe"] and head["List-Help"] and head["Precedence"] == "list")
                self.assertIn("mx.lists.example", head.get_all("Received")[0])
                self.assertEqual(len(head.get_all("List-Id")), 1)
        harness.wait_until(lambda: not self.daemon.queue(), 10, "an empty queue")
        self.daemon.check()

    def test_what_is_refused_is_refused_in_the_session(self):
        done = self.swaks("--to", "nobody@lists.example")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("550 5.1.1", done.stdout)
        # an address in a header that must work: mail to the owner
        done = self.swaks("--to", "test-owner@lists.example", "--header", "Subject: to the owner")
        self.assertEqual(done.returncode, 0, done.stdout)
        harness.wait_until(lambda: self.box.got, 10, "the owner's copy")
        self.assertEqual(self.box.got[0][1], [harness.OWNER])

    def test_a_member_who_is_also_a_plain_recipient(self):
        """One transaction to the list and to somebody else: two messages, one commit, each delivered once."""
        done = self.swaks("--to", f"{harness.LIST},guest@guest.example", "--header", "Subject: both")
        self.assertEqual(done.returncode, 0, done.stdout)
        harness.wait_until(lambda: len(self.box.got) == 4, 10, "four copies")
        guest = [g for g in self.box.got if g[1] == ["guest@guest.example"]]
        self.assertEqual(len(guest), 1)
        self.assertEqual(guest[0][0], "poster@example.net")
        self.assertNotIn(b"List-Id", guest[0][2])


if __name__ == "__main__":
    harness.main()
