"""Who connects: DNS lists, reverse DNS, HELO and early talkers, with a name server of the test."""
import pathlib
import smtplib
import socket
import time

import harness
from peers.name_server import NameServer

WORKING = {"2.0.0.127.bl.example": {"A": ["127.0.0.2"]}, "3.0.0.127.bl.example": {"A": ["127.0.0.4"], "TXT": ["see https://bl.example/3"]}}
LISTED = "127.0.0.3"


class Test(harness.Case):
    def house(self, zone=(), lists=("bl.example",), action="reject", **smtp):
        self.dns = NameServer({"good.example": {"TXT": ["v=spf1 ip4:127.0.0.0/8 -all"]}, **dict(zone or WORKING)})
        self.addCleanup(self.dns.stop)
        (self.folder / "copies").mkdir()
        self.hop = self.peer("--content", self.folder / "copies")
        spoold = self.spoold(self.hop.url, settings={
            "smtp": {"trusted_networks": [], "spf": "mark", "dmarc": "off", **smtp},
            "resolver": {"forward": [self.dns.address], "trust_anchor": "none"},
            **({"dnsbl": [{"zone": one, "action": action} for one in lists]} if lists else {})})
        spoold.list(members=["anne@far.example"])
        return spoold

    def verdict_on(self, spoold, zone="bl.example"):
        """What the log says of the test of a list."""
        def line():
            return [x for x in spoold.lines("dnsbl") if f"zone={zone} " in x]
        return harness.wait_until(line, 20, f"the test of {zone}")[0]

    def rcpt(self, spoold, to="test@lists.example", source="127.0.0.1", helo="client.example.net", data=False):
        with smtplib.SMTP("127.0.0.1", spoold.port, local_hostname=helo, source_address=(source, 0), timeout=60 * harness.SLOW) as client:
            client.ehlo()
            client.mail("x@good.example")
            code, text = client.rcpt(to)
            if data and code == 250:
                code, text = client.data(b"From: x@good.example\r\nSubject: x\r\n\r\nHello\r\n")
            return f"{code} {text.decode()}"

    def test_who_is_on_a_list_is_refused_at_rcpt_and_can_ask_the_postmaster(self):
        spoold = self.house()
        self.assertIn("the list works", self.verdict_on(spoold))
        said = self.rcpt(spoold, source=LISTED)
        self.assertTrue(said.startswith("550 5.7.1 127.0.0.3 is on the DNS list bl.example: see https://bl.example/3; "), said)
        for to in ("postmaster@lists.example", "abuse@lists.example", "postmaster"):
            self.assertTrue(self.rcpt(spoold, to, LISTED).startswith("250 "), to)
        self.assertTrue(self.rcpt(spoold, source="127.0.0.4").startswith("250 "))
        self.assertEqual(spoold.ctl("stats")["dnsbl_refused"], 1)
        self.assertEqual(len([x for x in spoold.lines("refused") if "bl.example" in x]), 1)

    def test_a_mark_stands_in_the_header_and_in_the_log(self):
        spoold = self.house(action="mark")
        self.verdict_on(spoold)
        self.assertTrue(self.rcpt(spoold, source=LISTED, data=True).startswith("250 "))
        harness.wait_until(lambda: self.hop.judge().messages, 20, "the copy")
        copy = pathlib.Path(self.hop.judge().messages[0]["file"]).read_text()
        self.assertTrue(copy.startswith("Authentication-Results: mx.lists.example;\n spf=pass smtp.mailfrom=good.example;\n"
                                        " x-dnsbl=listed dns.zone=bl.example\n"), copy[:300])
        self.assertIn('auth="spf=pass dnsbl=bl.example"', spoold.lines("accepted")[0])
        self.assertEqual(spoold.ctl("stats")["dnsbl_refused"], 0)

    def test_a_mark_stands_there_also_where_neither_spf_nor_dmarc_is_asked(self):
        spoold = self.house(action="mark", spf="off", dmarc="off")
        self.verdict_on(spoold)
        self.assertTrue(self.rcpt(spoold, source=LISTED, data=True).startswith("250 "))
        harness.wait_until(lambda: self.hop.judge().messages, 20, "the copy")
        copy = pathlib.Path(self.hop.judge().messages[0]["file"]).read_text()
        self.assertTrue(copy.startswith("Authentication-Results: mx.lists.example;\n x-dnsbl=listed dns.zone=bl.example\n"), copy[:300])
        self.assertIn('auth="dnsbl=bl.example"', spoold.lines("accepted")[0])

    def test_lists_that_are_lost_refuse_nobody(self):
        everybody = {f"{i}.0.0.127.lost.example": {"A": ["127.0.0.2"]} for i in range(1, 5)}
        quota = {f"{i}.0.0.127.quota.example": {"A": ["127.255.255.254"]} for i in range(1, 5)}
        spoold = self.house({**everybody, **quota, "2.0.0.127.gone.example": "servfail", "1.0.0.127.gone.example": "servfail"},
                            ["lost.example", "quota.example", "gone.example", "empty.example"])
        for zone, why in (("lost.example", "the list has every address"), ("quota.example", "127.255.255.254, which is no listing"),
                          ("gone.example", "SERVFAIL"), ("empty.example", "the list has no address")):
            line = self.verdict_on(spoold, zone)
            self.assertIn("warning event=dnsbl", line)
            self.assertIn(why, line)
        asked = len(self.dns.questions)
        self.assertTrue(self.rcpt(spoold, source=LISTED).startswith("250 "))
        self.assertEqual([name for name, _ in self.dns.questions[asked:] if name.startswith("3.0.0.127.")], [])
        self.assertEqual(spoold.ctl("stats")["dnsbl_refused"], 0)

    def test_a_list_that_stops_to_answer_is_waited_for_a_bounded_time_and_refuses_nobody(self):
        spoold = self.house({**WORKING, "5.0.0.127.bl.example": "silent", "6.0.0.127.bl.example": {"A": ["127.255.255.255"]}})
        self.verdict_on(spoold)
        began = time.monotonic()
        self.assertTrue(self.rcpt(spoold, source="127.0.0.5").startswith("250 "))
        self.assertLess(time.monotonic() - began, 6 + 2 * harness.SLOW)
        self.assertTrue(self.rcpt(spoold, source="127.0.0.6").startswith("250 "))
        alarms = [x for x in spoold.lines("dnsbl") if "nobody is refused for it" in x]
        self.assertEqual(len(alarms), 1)  # one an hour
        # Its names are silent for one client; others do not wait.
        began = time.monotonic()
        self.assertTrue(self.rcpt(spoold, source="127.0.0.4").startswith("250 "))
        self.assertLess(time.monotonic() - began, 1 * harness.SLOW)

    def test_trusted_clients_are_not_asked_about(self):
        spoold = self.house(trusted_networks=["127.0.0.0/8"], fcrdns="reject", helo="reject", greeting_delay="3s")
        self.verdict_on(spoold)
        asked = len(self.dns.questions)
        began = time.monotonic()
        self.assertTrue(self.rcpt(spoold, source=LISTED, helo="x").startswith("250 "))
        self.assertLess(time.monotonic() - began, 2 * harness.SLOW)
        self.assertEqual(len(self.dns.questions), asked)

    def test_a_reload_brings_a_list_and_takes_it_away(self):
        spoold = self.house(lists=())
        self.assertTrue(self.rcpt(spoold, source=LISTED).startswith("250 "))
        spoold.configure(dnsbl=[{"zone": "bl.example"}])
        spoold.process.send_signal(1)
        self.verdict_on(spoold)
        self.assertTrue(self.rcpt(spoold, source=LISTED).startswith("550 5.7.1 "))
        del spoold.settings["dnsbl"]
        spoold.configure()
        spoold.process.send_signal(1)
        harness.wait_until(lambda: self.rcpt(spoold, source=LISTED).startswith("250 "), 20, "the list is gone")

    def test_who_speaks_before_the_greeting_is_refused(self):
        spoold = self.house(lists=(), greeting_delay="1s")
        with socket.create_connection(("127.0.0.1", spoold.port), 30 * harness.SLOW) as early:
            early.sendall(b"EHLO x\r\n")
            said = early.makefile("rb").read().decode()
        self.assertEqual(said, "554 5.5.0 you sent something before you were greeted; wait for the greeting\r\n")
        began = time.monotonic()
        self.assertTrue(self.rcpt(spoold).startswith("250 "))
        self.assertGreater(time.monotonic() - began, 0.9)
        socket.create_connection(("127.0.0.1", spoold.port)).close()  # leaves while it waits
        harness.wait_until(lambda: spoold.ctl("stats")["open_in"] == 0, 20, "all sessions have ended")
        self.assertEqual(spoold.ctl("stats")["early_talkers"], 1)

    def test_helo_that_is_no_name_or_ours(self):
        spoold = self.house(lists=(), helo="reject")
        for helo, why in (("localhost", "localhost is not a full domain name"), ("mx.lists.example", "is the name of this server"),
                          ("[127.0.0.9]", "[127.0.0.9] is not your address"), ("127.0.0.1", "is not a full domain name")):
            said = self.rcpt(spoold, helo=helo)
            self.assertTrue(said.startswith("550 5.5.4 HELO: ") and why in said, said)
            self.assertTrue(self.rcpt(spoold, "postmaster@lists.example", helo=helo).startswith("250 "))
        for helo in ("client.example.net", "[127.0.0.1]", "Client.Example.Net."):
            self.assertTrue(self.rcpt(spoold, helo=helo).startswith("250 "), helo)
        self.assertEqual(spoold.ctl("stats")["helo_refused"], 4)

    def test_reverse_dns(self):
        # libunbound has 127.0.0.1 and localhost of its own, and no other name there.
        spoold = self.house(lists=(), fcrdns="reject")
        self.assertTrue(self.rcpt(spoold).startswith("250 "))
        self.assertEqual(self.rcpt(spoold, source=LISTED), "550 5.7.25 reverse DNS: 127.0.0.3 has no name (PTR); "
                         "a mail server needs a PTR record whose name has its address")
        self.assertEqual(spoold.ctl("stats")["fcrdns_refused"], 1)
        spoold.settings["smtp"]["fcrdns"] = "mark"
        spoold.configure()
        spoold.process.send_signal(1)
        harness.wait_until(lambda: spoold.lines("reload"), 20, "the reload")
        self.assertTrue(self.rcpt(spoold, source=LISTED, data=True).startswith("250 "))
        self.assertIn('auth="spf=pass iprev=fail"', spoold.lines("accepted")[0])


if __name__ == "__main__":
    harness.main()
