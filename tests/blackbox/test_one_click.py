"""one_click: each member has an address of his own in List-Unsubscribe, and a mail to it ends his membership without a question."""
import email
import email.policy
import pathlib
import re
import smtplib
import urllib.parse

import harness

MEMBERS = ["anne@north.example", "Bart B. <bart@east.example>", "cris@west.example"]
# What the button of a mail program sends: an empty subject, a fixed text.
BUTTON = "From: {}\r\nTo: {}\r\nSubject: \r\n\r\nThis message was automatically generated.\r\n"


class OneClick(harness.Case):
    def hop(self, name="x", members=MEMBERS, list_address=harness.LIST, **settings):
        folder = self.folder / name
        folder.mkdir()
        peer = self.peer("--content", folder, name="peer-" + name)
        spoold = self.spoold(peer.url, name="spoold-" + name, settings={"smtp": {"trusted_networks": []}})
        spoold.list(list_address, members=members, **{"one_click": "true", **settings})
        return peer, spoold

    def send(self, spoold, to, text, sender="eve@else.example"):
        """The reply to RCPT, or to the end of the data."""
        with smtplib.SMTP("127.0.0.1", spoold.port, local_hostname="client.example", timeout=60 * harness.SLOW) as client:
            client.ehlo()
            client.mail(sender)
            code, said = client.rcpt(to)
            if code == 250:
                code, said = client.data(text.encode())
        return code, said.decode()

    def copies(self, peer, wanted):
        harness.wait_until(lambda: len(harness.Judge(peer.log).messages) >= wanted, 60, f"{wanted} copies")
        found = {}
        for message in peer.judge().messages:
            [address] = message["rcpts"]
            found[address] = email.message_from_bytes(pathlib.Path(message["file"]).read_bytes(), policy=email.policy.SMTP)
        return found

    def address(self, copy):
        [url] = re.fullmatch(r"<mailto:(.*)>", copy["List-Unsubscribe"]).groups()
        return urllib.parse.unquote(url)

    def members(self, spoold, address=harness.LIST):
        return {m["address"] for m in spoold.ctl("members", address)}

    def test_the_address_alone_takes_a_member_off(self):
        peer, spoold = self.hop()
        spoold.post()
        copies = self.copies(peer, 3)
        addresses = {who: self.address(copy) for who, copy in copies.items()}
        self.assertEqual(len(set(addresses.values())), 3)
        for copy in copies.values():
            self.assertIsNone(copy["List-Unsubscribe-Post"])  # until there is a web page for it
        bart = addresses["bart@east.example"]
        self.assertRegex(bart, r"^test-leave\+[a-z2-7]{28}@lists\.example$")
        for _ in range(2):  # idempotent
            self.assertEqual(self.send(spoold, bart.upper(), BUTTON.format("somebody@else.example", bart))[0], 250)
            self.assertEqual(self.members(spoold), {"anne@north.example", "cris@west.example"})
        # Nobody is asked. He is told once, by whose mail, and an answer asks to join again.
        goodbye = self.copies(peer, 4)["bart@east.example"]
        self.assertEqual(goodbye["Subject"], "You have left test@lists.example")
        self.assertEqual(goodbye["From"], "test-join@lists.example")
        self.assertIn("A message from eve@else.example", goodbye.get_content())
        self.assertEqual(goodbye["Auto-Submitted"], "auto-replied")
        harness.wait_until(lambda: spoold.queue() == [], 30, "an empty queue")
        spoold.post(subject="two")
        self.assertEqual(set(self.copies(peer, 6)), set(addresses))
        self.assertEqual(len(peer.judge().messages), 6)
        answer = "From: bart@east.example\r\nTo: test-join@lists.example\r\nSubject: Re: You have left\r\n\r\nI did not want this.\r\n"
        self.assertEqual(self.send(spoold, "test-join@lists.example", answer, "bart@east.example")[0], 250)
        self.assertIn("test-confirm+", self.copies(peer, 7)["bart@east.example"]["From"])

    def test_the_goodbye_is_in_the_language_of_the_list(self):
        peer, spoold = self.hop(language="de")
        spoold.post()
        bart = self.address(self.copies(peer, 3)["bart@east.example"])
        self.assertEqual(self.send(spoold, bart, "\r\n", sender="")[0], 250)
        text = self.copies(peer, 4)["bart@east.example"].get_content()
        self.assertIn("Nachricht von <> an die Austrittsadresse", text)

    def test_forged_addresses_are_refused_and_nobody_leaves(self):
        peer, spoold = self.hop()
        spoold.post()
        bart = self.address(self.copies(peer, 3)["bart@east.example"])
        forged = bart[:12] + ("a" if bart[12] != "a" else "b") + bart[13:]
        for to in (forged, "test-leave+bart=east.example@lists.example", bart.replace("test-", "other-"), bart.replace("lists.", "list.")):
            self.assertIn(self.send(spoold, to, BUTTON.format("bart@east.example", to))[0], (550, 551), to)
        self.assertEqual(len(self.members(spoold)), 3)

    def test_a_long_name_of_a_list(self):
        name = "a" * 40 + "@lists.example"
        peer, spoold = self.hop("long", list_address=name)
        spoold.post(to=name)
        address = self.address(self.copies(peer, 3)["cris@west.example"])
        self.assertRegex(address, r"^leave\+[a-z2-7]{28}@lists\.example$")
        self.assertEqual(self.send(spoold, address, "\r\n")[0], 250)
        self.assertEqual(self.members(spoold, name), {"anne@north.example", "bart@east.example"})

    def test_a_list_in_bulk_gives_each_member_his_own_and_without_the_setting_nothing_changes(self):
        peer, spoold = self.hop("bulk", verp="never")
        spoold.post()
        self.assertEqual(len({self.address(c) for c in self.copies(peer, 3).values()}), 3)
        self.assertEqual({m["sender"] for m in peer.judge().messages}, {"test-bounces@lists.example"})
        peer, spoold = self.hop("off", one_click="false")
        spoold.post()
        self.assertEqual({c["List-Unsubscribe"] for c in self.copies(peer, 3).values()}, {"<mailto:test-leave@lists.example>"})

    def test_cook_shows_the_members_address(self):
        peer, spoold = self.hop()
        spoold.post()
        text = "From: poster@example.net\r\nTo: test@lists.example\r\nSubject: x\r\nMessage-ID: <c@example.net>\r\n\r\nHello\r\n"
        shown = spoold.run("cook", harness.LIST, "--member", "bart@east.example", input=text).stdout
        copy = email.message_from_string(shown, policy=email.policy.default)
        self.assertEqual(copy["List-Unsubscribe"], self.copies(peer, 3)["bart@east.example"]["List-Unsubscribe"])
        steps = spoold.ctl("cook", harness.LIST, "--explain", input=text)["steps"]
        self.assertEqual([s["setting"] for s in steps], ["one_click", "dmarc"])  # nothing is known of the author
        self.assertIn('"identical":true', spoold.run("--json", "cook", harness.LIST, "--restore", input=text).stdout)


if __name__ == "__main__":
    harness.main()
