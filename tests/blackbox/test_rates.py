"""Rates and greylisting: who must come again later, what he is told, and who need not."""
import smtplib

import harness
from peers.name_server import NameServer

WORKING = {"2.0.0.127.bl.example": {"A": ["127.0.0.2"]}, "2.0.0.127.wl.example": {"A": ["127.0.0.2"]}}


class Test(harness.Case):
    def house(self, zone=(), **settings):
        self.dns = NameServer({"good.example": {"TXT": ["v=spf1 ip4:127.0.0.0/8 -all"]}, **dict(zone)})
        self.addCleanup(self.dns.stop)
        self.hop = self.peer()
        spoold = self.spoold(self.hop.url, settings=harness.merge(
            {"smtp": {"trusted_networks": ["127.0.0.9"]}, "resolver": {"forward": [self.dns.address], "trust_anchor": "none"}}, settings))
        spoold.list(members=["anne@far.example"])
        return spoold

    def send(self, spoold, sender="x@plain.example", source="127.0.0.1", recipients=("test@lists.example",)):
        """The first reply that is a refusal, else that to the end of the data."""
        with smtplib.SMTP("127.0.0.1", spoold.port, source_address=(source, 0), local_hostname="c.example", timeout=60 * harness.SLOW) as client:
            client.ehlo()
            for code, text in (client.mail(sender), *(client.rcpt(one) for one in recipients)):
                if code != 250:
                    return f"{code} {text.decode()}"
            code, text = client.data(f"From: {sender}\r\nSubject: x\r\n\r\nHello\r\n".encode())
            return f"{code} {text.decode()}"

    def test_messages_and_recipients_of_a_host(self):
        spoold = self.house(smtp={"messages_per_host": "3/h", "recipients_per_host": "4/h"})
        for _ in range(3):
            self.assertTrue(self.send(spoold).startswith("250 "))
        said = self.send(spoold)
        self.assertRegex(said, r"^450 4\.7\.28 too many messages from 127\.0\.0\.1 for now; try again in 1[12]\d\d s, or ask postmaster@mx\.lists\.example$")
        self.assertTrue(self.send(spoold, source="127.0.0.2", recipients=["test@lists.example", "nobody@lists.example"]).startswith("550 "))
        self.assertTrue(self.send(spoold, source="127.0.0.2").startswith("250 "))
        said = self.send(spoold, source="127.0.0.2", recipients=["test@lists.example", "postmaster@lists.example", "abuse@lists.example"])
        self.assertRegex(said, r"^450 4\.7\.28 too many recipients from 127\.0\.0\.2 for now; ")
        for _ in range(5):
            self.assertTrue(self.send(spoold, source="127.0.0.9").startswith("250 "))  # trusted
        self.assertEqual(spoold.ctl("stats")["rate_refused"], 2)

    def test_a_stranger_must_come_again_and_is_known_then(self):
        spoold = self.house(smtp={"greylist": "1s"})
        said = self.send(spoold)
        self.assertRegex(said, r"^451 4\.7\.1 greylisted: mail of 127\.0\.0\.0/24 is not known here yet; try again in 1 s, as mail servers do$")
        harness.wait_until(lambda: self.send(spoold).startswith("250 "), 20, "the second time", every=0.3)
        self.assertTrue(self.send(spoold, sender="y@other.example", source="127.0.0.3").startswith("250 "))
        self.assertTrue(self.send(spoold, source="127.0.1.1").startswith("451 "))
        self.assertTrue(self.send(spoold, source="127.0.0.9").startswith("250 "))
        self.assertGreaterEqual(spoold.ctl("stats")["greylisted"], 2)

    def test_a_domain_that_spf_vouches_for_is_one_wherever_it_sends_from(self):
        spoold = self.house(smtp={"greylist": "1s", "spf": "mark", "dmarc": "mark"})
        self.assertIn("mail of good.example is not known", self.send(spoold, sender="x@good.example"))
        harness.wait_until(lambda: self.send(spoold, sender="x@good.example", source="127.0.5.1").startswith("250 "), 20, "the second time", every=0.3)
        self.assertTrue(self.send(spoold, sender="y@good.example", source="127.0.7.1").startswith("250 "))
        self.assertTrue(self.send(spoold, source="127.0.5.1").startswith("451 "))

    def test_lists_are_weighed_and_good_ones_outweigh(self):
        entry = {"A": ["127.0.0.3"]}
        zone = {**WORKING, "3.0.0.127.bl.example": entry, "4.0.0.127.bl.example": entry, "4.0.0.127.wl.example": entry, "5.0.0.127.wl.example": entry}
        spoold = self.house(zone, smtp={"greylist": "1h", "dnsbl_threshold": 2}, dnsbl=[
            {"zone": "bl.example", "action": "weigh", "weight": 2}, {"zone": "wl.example", "action": "weigh", "weight": -3}])
        harness.wait_until(lambda: len([x for x in spoold.lines("dnsbl") if "works" in x]) == 2, 20, "the tests of the lists")
        self.assertTrue(self.send(spoold, source="127.0.0.3").startswith("550 5.7.1 127.0.0.3 is on these DNS lists: bl.example; "))
        self.assertTrue(self.send(spoold, source="127.0.0.4").startswith("250 "))
        self.assertTrue(self.send(spoold, source="127.0.0.5").startswith("250 "))
        self.assertTrue(self.send(spoold, source="127.0.0.6").startswith("451 "))


if __name__ == "__main__":
    harness.main()
