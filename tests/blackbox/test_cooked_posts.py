"""What members get of a post: every option of cooking on the wire, and the values of each member in his own copy only."""
import email
import email.policy
import json
import pathlib
import re
import smtplib

import harness

MEMBERS = [f"Member Nr. {i} <m{i}@d{i % 3}.example>" if i % 4 else f"m{i}@d{i % 3}.example" for i in range(40)]
NAMES = ["Jörg Müller <joerg@d0.example>", ". dotted <dotted@d1.example>"]
FOOTER = "-- \n$list_name: $user_name <$user_address>, as $user_delivered_to\n"


class Test(harness.Case):
    def hop(self, name, *options, members=MEMBERS, **settings):
        folder = self.folder / name
        folder.mkdir()
        peer = self.peer("--content", folder, *options, name="peer-" + name)
        spoold = self.spoold(peer.url, name="spoold-" + name)
        spoold.list(members=members, **settings)
        return peer, spoold

    def send(self, spoold, text):
        with smtplib.SMTP("127.0.0.1", spoold.port, local_hostname="client.example", timeout=60 * harness.SLOW) as client:
            client.sendmail("poster@example.net", ["test@lists.example"], text.encode(), mail_options=["BODY=8BITMIME"])

    def copies(self, peer, wanted, stuffed=False):
        """address -> the octets of its copy."""
        harness.wait_until(lambda: len(harness.Judge(peer.log).deliveries()) == wanted, 60, f"{wanted} copies")
        judge = peer.judge()
        self.assertEqual(judge.duplicates(), {})
        found = {}
        for message in judge.messages:
            octets = pathlib.Path(message["file"]).read_bytes()
            [address] = message["rcpts"]
            found[address] = octets.replace(b"\r\n..", b"\r\n.") if stuffed else octets
        return found

    def personal(self, name, *options, body="Hello, all.\r\n", headers="", members=MEMBERS + NAMES):
        peer, spoold = self.hop(name, *options, members=members, personalize="full", footer=FOOTER)
        self.send(spoold, f"From: poster@example.net\r\nTo: test@lists.example\r\nSubject: x\r\nMessage-ID: <p@example.net>\r\n{headers}\r\n{body}")
        found = self.copies(peer, len(members), stuffed="--no-chunking" in options)
        sizes = sorted(int(re.search(r"SIZE=(\d+)", c["line"])[1]) for c in peer.judge().commands(verb="MAIL"))
        self.assertEqual(sizes, sorted(len(octets) for octets in found.values()))
        for member in members:
            named, _, address = member.rpartition(" <")
            address = address.rstrip(">")
            message = email.message_from_bytes(found[address], policy=email.policy.SMTP)
            text = message.get_content() if not message.is_multipart() else list(message.iter_parts())[-1].get_content()
            # No value begins with a dot, which would have to be stuffed.
            self.assertEqual(text.splitlines()[-1].replace(":  .", ": ."), f"test: {named} <{address}>, as {address}")
            for other in found:
                self.assertEqual(other.encode() in found[address], other == address, f"{other} in the copy of {address}")
        return peer, spoold, found

    def test_each_member_has_his_own_values_over_chunking(self):
        self.personal("chunking")

    def test_each_member_has_his_own_values_over_data(self):
        self.personal("data", "--no-chunking")

    def test_each_member_has_his_own_values_one_command_at_a_time(self):
        self.personal("alone", "--no-chunking", "--no-pipelining", members=MEMBERS[:6])

    def test_each_member_has_his_own_values_in_a_post_that_is_streamed(self):
        body = ("." + "x" * 70 + "\r\n") * 20_000
        for name, *options in (("large",), ("large-data", "--no-chunking")):
            with self.subTest(name):
                _, _, found = self.personal(name, *options, members=MEMBERS[:5], body=body)
                for octets in found.values():
                    self.assertIn(body.encode(), octets)

    def test_each_member_has_his_own_values_beside_html(self):
        self.personal("html", headers="MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n", body="<p>Grüße</p>\r\n")

    def test_a_copy_with_a_name_that_is_not_ascii_is_converted_for_a_hop_without_8bitmime(self):
        _, spoold, found = self.personal("seven", "--no-8bitmime", members=MEMBERS[:3] + NAMES)
        for octets in found.values():
            self.assertTrue(octets.isascii())
        self.assertEqual(len(spoold.lines("converted")), 1)  # that of Jörg

    def test_cook_prints_what_the_member_gets(self):
        peer, spoold = self.hop("cook", members=MEMBERS[:3], personalize="full", footer=FOOTER, header="About $description\n",
                                subject_prefix="[Test %d] ", reply_to="list", remove_headers="X-Spam-*, Organization",
                                description="All tests", sender_header="true")
        text = ("From: Poster <poster@example.net>\r\nReply-To: Home <home@example.net>\r\nTo: test@lists.example\r\nSubject: Re: x\r\n"
                "Date: Mon, 01 Jun 2026 10:00:00 +0000\r\nMessage-ID: <c@example.net>\r\n"
                "X-Spam-Score: 1\r\nOrganization: none\r\n\r\nHello\r\n")
        shown = spoold.run("cook", "test@lists.example", "--member", "m1@d1.example", input=text)
        self.send(spoold, text)
        got = self.copies(peer, 3)["m1@d1.example"].decode()
        got = got[got.index("\r\nFrom: ") + 2:]  # without Received
        self.assertEqual(shown.stdout.replace("\r\n", "\n"), got.replace("\r\n", "\n"))
        message = email.message_from_string(got, policy=email.policy.SMTP)
        self.assertEqual(message["Subject"], "Re: [Test 1] x")
        self.assertEqual(message["Reply-To"], "test@lists.example, Home <home@example.net>, Poster <poster@example.net>")
        self.assertEqual(message["From"], "Poster via Test <test@lists.example>")
        self.assertEqual(message["Sender"], "test-bounces@lists.example")
        self.assertIsNone(message["X-Spam-Score"])
        self.assertEqual(message.get_content(), "About All tests\r\nHello\r\n-- \r\ntest: Member Nr. 1 <m1@d1.example>, as m1@d1.example\r\n")
        steps = spoold.ctl("cook", "test@lists.example", "--member", "m1@d1.example", "--explain", input=text)
        self.assertEqual([step["setting"] for step in steps["steps"]],
                         ["subject_prefix", "reply_to", "remove_headers", "sender_header", "header", "footer", "dmarc"])
        self.assertEqual(steps["envelope_sender"], "test-bounces+m1=d1.example@lists.example")
        self.assertEqual(steps["recipient"], "m1@d1.example")
        restored = spoold.run("--json", "cook", "test@lists.example", "--restore", input=text)
        self.assertEqual(json.loads(restored.stdout), {"identical": True})
        refused = spoold.run("cook", "test@lists.example", "--member", "nobody@d1.example", input=text)
        self.assertEqual((refused.returncode, refused.stdout), (1, ""))

    def test_an_anonymous_list_names_its_author_nowhere(self):
        peer, spoold = self.hop("anonymous", members=MEMBERS[:2], anonymous="true", description="Confessions", footer="bye\n")
        self.send(spoold, "Received: from anna.example by example.net; Mon, 1 Jun 2026 10:00:00 +0000\r\nFrom: Anna <anna@example.net>\r\n"
                  "Sender: anna@example.net\r\nReply-To: anna@example.net\r\nTo: test@lists.example\r\nSubject: x\r\nX-Mailer: anna\r\n"
                  "User-Agent: anna\r\nMessage-ID: <anna@example.net>\r\nDKIM-Signature: d=anna.example\r\n\r\nHello\r\n")
        for octets in self.copies(peer, 2).values():
            self.assertNotIn(b"anna", octets)
            self.assertNotIn(b"client.example", octets)
            message = email.message_from_bytes(octets, policy=email.policy.SMTP)
            self.assertEqual(message["From"], "Confessions <test@lists.example>")
            self.assertEqual(message["Reply-To"], "test@lists.example")

    def test_what_list_set_refuses_says_why(self):
        _, spoold = self.hop("refused", members=[])
        for words, why in (("footer=$usr_name", "did you mean $user_name"), ("footer=a\x01", "control character"),
                           ("subject_prefix=a\nb", "one line"), ("reply_to=nobody", "poster, list, an address"),
                           ("remove_headers=From", "which a message needs"), ("remove_headers=D*", "which a message needs"),
                           ("header=" + "x" * 999, "can be longer"), ("personalize=fully", "none, individual, full")):
            done = spoold.run("list", "set", "test@lists.example", words)
            self.assertEqual(done.returncode, 2, words)
            self.assertIn(why, done.stderr)


if __name__ == "__main__":
    harness.main()
