"""DKIM signatures of our own: keys made by spoolctl, mail signed by it and on its way out, verified by three programs of others."""
import json
import os
import pathlib
import re
import smtplib
import stat
import subprocess

import harness
from peers import dkim_oracles

DOMAIN = "lists.example"
LATER = {"delivery": {"retry": ["1h"]}}  # nobody is tried again before the test says so
MAIL = (b"From: Anne Person <anne@north.example>\r\nTo: test@lists.example\r\nSubject:  Two  blanks,\r\n  folded \r\n"
        b"Date: Sun, 22 Nov 2026 10:31:07 +0000\r\nMessage-ID: <1@north.example>\r\n\r\n"
        b"Hello  Bart, \r\n.dots\r\n\r\nthis is the body.\r\n\r\n\r\n")


class Case(harness.Case):
    def stopped(self, smarthost=None, name="spoold", settings=None):
        """A daemon that is configured, and not started."""
        daemon = harness.Spoold(self.folder, smarthost, settings, start=False, name=name)
        self.daemons.append(daemon)
        daemon.configure()
        return daemon

    def keys(self, spoold, domain=DOMAIN, selector="s1", *words):
        """Makes keys for a domain; their tables for spoold.toml and their records for the DNS."""
        folder = self.folder / f"keys-{spoold.name}"
        made = spoold.ctl("dkim", "create", domain, "--selector", selector, "--folder", folder, *words)["keys"]
        tables = [{"domain": domain, "selector": key["selector"], "key": key["file"]} for key in made]
        return tables, {key["record"]["name"]: key["record"]["value"] for key in made}

    def verified(self, mail, records, selectors):
        """By all four verifiers."""
        good = {selector: "pass" for selector in selectors}
        self.assertEqual(dkim_oracles.signatures(mail), selectors, mail[:2000])
        self.assertEqual(dkim_oracles.python(mail, records), good)
        self.assertEqual(dkim_oracles.opendkim(mail, records), good)
        rsa = {s: r for s, r in dkim_oracles.perl(mail, records).items() if "unsupported algorithm ed25519" not in r}
        self.assertEqual(rsa, {s: "pass" for s in selectors if "ed25519" not in s})
        self.assertEqual(self.ours(mail, records), [(s, "pass", None) for s in selectors])

    def ours(self, mail, records):
        zone = self.folder / "zone"
        zone.write_text("".join(f"{name}. TXT ( " + " ".join(f'"{value[i:i + 255]}"' for i in range(0, len(value), 255)) + " )\n"
                                for name, value in records.items()))
        done = subprocess.run([str(harness.BUILD / "spoolctl"), "--json", "dkim", "verify", "--dns", str(zone)], input=mail, capture_output=True,
                              timeout=60 * harness.SLOW, env={**os.environ, "SPOOLD_CONFIG": ""})
        self.assertEqual(done.returncode, 0, done.stderr)
        return [(one["selector"], one["result"], one["reason"]) for one in json.loads(done.stdout)]


class Verbs(Case):
    def signed(self, spoold, mail, *words):
        done = subprocess.run([str(harness.BUILD / "spoolctl"), "--config", str(spoold.config), "dkim", "sign", DOMAIN, *words], input=mail,
                              capture_output=True, timeout=60 * harness.SLOW)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return done.stdout

    def configured(self):
        spoold = self.stopped()
        tables, records = self.keys(spoold)
        spoold.configure(dkim=tables)
        return spoold, tables, records

    def test_what_is_signed_verifies_everywhere_and_any_change_is_seen(self):
        spoold, _, records = self.configured()
        mail = self.signed(spoold, MAIL, "--now", "2026-11-28T08:00:00Z")
        self.assertTrue(mail.endswith(MAIL))
        self.assertEqual(mail, self.signed(spoold, MAIL.replace(b"\r\n", b"\n"), "--now", "2026-11-28T08:00:00Z"))
        selectors = ["s1-rsa", "s1-ed25519"]
        self.verified(mail, records, selectors)
        header = mail[:-len(MAIL)]
        self.assertLessEqual(max(map(len, header.splitlines())), 78)
        self.assertEqual(re.findall(rb"\bt=(\d+);", header), [b"1795852800"] * 2)
        for old, new in ((b"body.", b"Body."), (b"Subject:", b"Subject: more\r\nSubject:"), (b"Two", b"too"),
                         (b"To: test", b"Cc: eve@evil.example\r\nTo: test"), (b"\r\n\r\nHello", b"\r\nContent-Type: text/html\r\n\r\nHello")):
            changed = mail.replace(old, new, 1)
            for verifier in (dkim_oracles.python, dkim_oracles.opendkim, dkim_oracles.perl):
                self.assertNotIn("pass", verifier(changed, records).values(), (verifier, old))
            self.assertNotIn("pass", [result for _, result, _ in self.ours(changed, records)], old)
        # What mailing lists and mail programs do to a message that is still the author's.
        for old, new in ((b"Two  blanks", b"Two blanks"), (b"Subject:", b"SUBJECT:"), (b"MIME", b"MIME"), (b"body.\r\n\r\n\r\n", b"body.\r\n")):
            self.verified(mail.replace(old, new), records, selectors)
        self.verified(mail.replace(b"From: Anne", b"List-Id: <a.b.example>\r\nReply-To: a@b.example\r\nFrom: Anne"), records, selectors)

    def test_odd_mails(self):
        spoold, _, records = self.configured()
        long = b"From: a@b.example\r\nX-Long: " + b"x" * 900 + b"\r\nSubject: " + b"=?utf-8?q?=C3=A4?= " * 40 + b"\r\n\r\n"
        for mail in (b"From: a@b.example\r\n\r\n", b"From: a@b.example\r\n\r\n\r\n\r\n", b"From: a@b.example\r\n\r\nno end", long + b"\t \r\n a\tb \r\n",
                     b"From: \xc3\xa4 <a@b.example>\r\nSubject: \xff\xfe\r\n\r\n\xe4\xff\r\n",
                     b"From: a@b.example\r\nTo: a@b.example\r\nTo: c@d.example\r\nCc:\r\n\r\n" + b"x" * 3_000_000 + b"\r\n"):
            signed = self.signed(spoold, mail)
            with self.subTest(mail[:60]):
                self.assertEqual([result for _, result, _ in self.ours(signed, records)], ["pass", "pass"])
                self.assertEqual(set(dkim_oracles.python(signed, records).values()), {"pass"})

    def test_keys_are_made_listed_shown_and_rotated(self):
        spoold, tables, records = self.configured()
        self.assertEqual([pathlib.Path(t["key"]).name for t in tables], ["s1-rsa.lists.example.pem", "s1-ed25519.lists.example.pem"])
        for table in tables:
            self.assertEqual(stat.S_IMODE(os.stat(table["key"]).st_mode), 0o600)
        listed = spoold.ctl("dkim", "list")
        self.assertEqual([(k["selector"], k["algorithm"], k["bits"], k["problem"]) for k in listed],
                         [("s1-rsa", "rsa", 2048, None), ("s1-ed25519", "ed25519", 256, None)])
        self.assertEqual({k["record"]["name"]: k["record"]["value"] for k in spoold.ctl("dkim", "show", DOMAIN)["keys"]}, records)
        shown = spoold.run("dkim", "show", DOMAIN)
        strings = re.findall(r'"([^"]*)"', shown.stdout.split("In the configuration")[0])
        self.assertEqual([len(s) <= 255 for s in strings], [True] * 3)
        self.assertEqual("".join(strings), "".join(records.values()))
        # What it shows to put into the file is what the file has.
        self.assertEqual(shown.stdout.count("[[dkim]]"), 2)
        for table in tables:
            self.assertIn(f'selector = "{table["selector"]}"\nkey = "{table["key"]}"\n', shown.stdout)
        # Nothing is overwritten, nothing is made where it is only asked.
        folder = pathlib.Path(tables[0]["key"]).parent
        before = {p: p.read_bytes() for p in folder.iterdir()}
        again = spoold.run("dkim", "create", DOMAIN, "--selector", "s1", "--folder", folder)
        self.assertEqual(again.returncode, 1)
        self.assertIn("exists already", again.stderr)
        dry = spoold.ctl("dkim", "create", DOMAIN, "--folder", folder, "--algorithm", "rsa", "--now", "2026-11-28T00:00:00Z", "--dry-run")
        self.assertEqual([k["selector"] for k in dry["keys"]], ["s20261128"])
        self.assertEqual({p: p.read_bytes() for p in folder.iterdir()}, before)
        rotated = spoold.ctl("dkim", "rotate", DOMAIN, "--folder", folder, "--selector", "s2")
        self.assertEqual([(k["selector"], k["algorithm"]) for k in rotated["keys"]], [("s2-rsa", "rsa"), ("s2-ed25519", "ed25519")])
        self.assertEqual([k["selector"] for k in rotated["replaces"]], ["s1-rsa", "s1-ed25519"])
        self.assertNotEqual(rotated["keys"][0]["record"]["value"], records["s1-rsa._domainkey.lists.example"])
        for words, code, why in ((("show", "other.example"), 3, "no [[dkim]] of"), (("rotate", "other.example", "--folder", str(folder)), 3, "no [[dkim]] of"),
                                 (("create", "not a domain"), 2, "is not a domain"), (("create", DOMAIN, "--algorithm", "dsa"), 2, "neither rsa nor"),
                                 (("create", DOMAIN, "--selector", "a_b"), 2, "cannot be a selector"), (("list", "other.example"), 3, "nothing matched"),
                                 (("sign", "other.example"), 3, "no [[dkim]] of")):
            done = spoold.run("dkim", *words, input="")
            self.assertEqual((done.returncode, why in done.stderr), (code, True), (words, done.stderr))

    def test_check_and_the_start_refuse_bad_keys(self):
        spoold, tables, _ = self.configured()
        check = lambda: subprocess.run([str(harness.BUILD / "spoold"), "--config", str(spoold.config), "--check"], capture_output=True, text=True,
                                       timeout=60 * harness.SLOW)
        self.assertEqual(check().returncode, 0)
        os.chmod(tables[1]["key"], 0o644)
        done = check()
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, r"spoold\.toml:\d+:\d+: '.*s1-ed25519.*' has mode 0644: others have access to the key")
        self.assertEqual(spoold.ctl("dkim", "list")[1]["problem"][-12:], "(chmod 0600)")
        spoold.start(wait=False)
        self.assertEqual(spoold.process.wait(60 * harness.SLOW), 1)
        self.assertIn("others have access to the key", spoold.tail())
        spoold.process = None
        os.chmod(tables[1]["key"], 0o600)
        subprocess.run(["openssl", "genrsa", "-out", tables[0]["key"], "1024"], capture_output=True, check=True)
        weak = check()
        self.assertEqual(weak.returncode, 0)
        self.assertRegex(weak.stderr, r"spoold\.toml:\d+:\d+: warning: .* is an RSA key of 1024 bits")


class Delivery(Case):
    def hop(self, name, *options, domains=(DOMAIN,), members=("bart@east.example", "cris@west.example"), settings=None, **of_list):
        folder = self.folder / f"mail-{name}"
        folder.mkdir()
        peer = self.peer("--content", folder, *options, name="peer-" + name)
        spoold = self.stopped(peer.url, "spoold-" + name, settings)
        tables, records = [], {}
        for domain in domains:
            more, values = self.keys(spoold, domain)
            tables += more
            records |= values
        spoold.configure(dkim=tables)
        spoold.start()
        spoold.list(members=members, **of_list)
        return peer, spoold, records

    def send(self, spoold, mail=MAIL, to="test@lists.example", sender="anne@north.example"):
        with smtplib.SMTP("127.0.0.1", spoold.port, local_hostname="client.example", timeout=60 * harness.SLOW) as client:
            client.sendmail(sender, [to], mail, mail_options=["BODY=8BITMIME"])

    def copies(self, peer, wanted, stuffed=False):
        """rcpts -> octets, and no size that was stated is another than what came."""
        harness.wait_until(lambda: len(harness.Judge(peer.log).messages) >= wanted, 60, f"{wanted} messages")
        judge = peer.judge()
        self.assertEqual(len(judge.messages), wanted)
        found = {}
        for message in judge.messages:
            octets = pathlib.Path(message["file"]).read_bytes()
            found[tuple(message["rcpts"])] = octets.replace(b"\r\n..", b"\r\n.") if stuffed else octets
        sizes = sorted(int(re.search(r"SIZE=(\d+)", c["line"])[1]) for c in judge.commands(verb="MAIL"))
        self.assertEqual(sizes, sorted(map(len, found.values())))
        return found

    selectors = ["s1-rsa", "s1-ed25519"]

    def test_a_post_is_signed_for_the_domain_of_its_list_the_same_in_each_copy(self):
        for name, *options in (("bdat",), ("data", "--no-chunking"), ("alone", "--no-chunking", "--no-pipelining")):
            with self.subTest(name):
                peer, spoold, records = self.hop(name, *options, footer="-- \nfooter\n")
                self.send(spoold)
                found = self.copies(peer, 2, stuffed="--no-chunking" in options)
                one, two = found.values()
                self.assertEqual(one, two)
                self.verified(one, records, self.selectors)
                self.assertIn(b"d=lists.example;", one)
                self.assertTrue(one.startswith(b"DKIM-Signature: "))

    def test_a_bulk_transaction_carries_the_signatures_once(self):
        peer, spoold, records = self.hop("bulk", verp="never")
        self.send(spoold)
        [(rcpts, octets)] = self.copies(peer, 1).items()
        self.assertEqual(len(rcpts), 2)
        self.verified(octets, records, self.selectors)

    def test_copies_that_differ_have_signatures_of_their_own(self):
        members = [f"Member Nr. {i} <m{i}@d{i % 3}.example>" for i in range(20)]
        for name, settings in (("click", {"one_click": "true"}), ("full", {"personalize": "full", "footer": "for $user_name <$user_address>\n"}),
                               ("large", {"one_click": "true", "footer": "the same\n"})):
            with self.subTest(name):
                peer, spoold, records = self.hop(name, members=members, **settings)
                self.send(spoold, MAIL + (b"x" * 70 + b"\r\n") * (30_000 if name == "large" else 0))
                found = self.copies(peer, 20)
                self.assertEqual(len(set(found.values())), 20)
                for octets in found.values():
                    self.assertEqual(set(dkim_oracles.python(octets, records).values()), {"pass"})
                self.verified(next(iter(found.values())), records, self.selectors)

    def test_connections_that_end_while_the_next_copies_are_signed(self):
        members = [f"m{i}@east.example" for i in range(60)]
        ends = [option for at in ("mail:4@1", "mail:9@2", "mail:14@3-5") for option in ("--at", f"{at}=rst")]
        peer, spoold, records = self.hop("ends", *ends, members=members, personalize="full", footer="for $user_address\n",
                                         settings={"delivery": {"connections_per_destination": 2}})
        self.send(spoold)
        harness.wait_until(lambda: not spoold.queue(), 60, "an empty queue")
        judge = peer.judge()
        self.assertEqual(sorted(message["rcpts"] for message in judge.messages), sorted([member] for member in members))
        for message in judge.messages:
            octets = pathlib.Path(message["file"]).read_bytes().replace(b"\r\n..", b"\r\n.")  # by DATA, where one was in doubt
            self.assertIn(b"for " + message["rcpts"][0].encode(), octets)
            self.assertEqual(set(dkim_oracles.python(octets, records).values()), {"pass"})

    def test_a_large_post_is_signed_while_it_is_streamed(self):
        peer, spoold, records = self.hop("stream", "--no-chunking", footer="bye\n")
        self.send(spoold, MAIL + (b"." + b"y" * 70 + b"\r\n") * 60_000)
        for octets in self.copies(peer, 2, stuffed=True).values():
            self.assertEqual(set(dkim_oracles.python(octets, records).values()), {"pass"})

    def test_the_converted_form_is_what_is_signed_for_a_hop_without_8bitmime(self):
        mail = MAIL.replace(b"\r\n\r\nHello", b"\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
                            b"\r\nGr\xc3\xbc\xc3\x9fe")
        for name, settings in (("seven", {}), ("seven-each", {"one_click": "true"})):
            with self.subTest(name):
                peer, spoold, records = self.hop(name, "--no-8bitmime", **settings)
                self.send(spoold, mail)
                for octets in self.copies(peer, 2).values():
                    self.assertTrue(octets.isascii())
                    self.verified(octets, records, self.selectors)

    def test_mail_of_others_is_signed_only_where_it_is_ours_to_sign(self):
        peer, spoold, records = self.hop("relay", domains=(DOMAIN, "north.example", "mx.lists.example"), settings={"domain": [{"name": "north.example"}]})
        self.send(spoold, to="bart@east.example")  # a trusted network, From of a domain with keys
        [octets] = self.copies(peer, 1).values()
        self.verified(octets, {n: v for n, v in records.items() if "north" in n}, self.selectors)
        self.assertIn(b"d=north.example;", octets)
        self.send(spoold, MAIL.replace(b"anne@north.example>", b"eve@else.example>"), to="cris@west.example")
        self.assertEqual(dkim_oracles.signatures(self.copies(peer, 2)["cris@west.example",]), [])
        # A report of ours: a recipient that is refused.
        peer.plan(rcpt=["nobody@east.example=550 5.1.1 no such user"])
        self.send(spoold, to="nobody@east.example")
        found = harness.wait_until(lambda: [m for m in harness.Judge(peer.log).messages if m["rcpts"] == ["anne@north.example"]], 90, "the report")
        report = pathlib.Path(found[0]["file"]).read_bytes()
        self.assertIn(b"d=mx.lists.example;", report)
        self.verified(report, {n: v for n, v in records.items() if "mx.lists" in n}, self.selectors)

    def test_what_a_stranger_sends_is_not_signed_whatever_it_says_in_from(self):
        peer, spoold, _ = self.hop("stranger", domains=("north.example",),
                                   settings={"domain": [{"name": "north.example"}], "smtp": {"trusted_networks": []}})
        self.send(spoold, to="boss@north.example")
        [octets] = self.copies(peer, 1).values()
        self.assertEqual(dkim_oracles.signatures(octets), [])

    def test_the_same_octets_come_after_a_restart_and_a_key_file_is_read_at_the_start_only(self):
        peer, spoold, records = self.hop("restart", settings=LATER)
        peer.plan(rcpt=["bart@east.example=451 4.2.1 later"])
        self.send(spoold)
        harness.wait_until(lambda: peer.judge().messages, 60, "the copy of Cris")
        [qid] = [m["id"] for m in spoold.queue()]
        key = pathlib.Path(spoold.settings["dkim"][0]["key"])
        hidden = key.rename(key.with_suffix(".hidden"))
        spoold.ctl("retry", qid)
        harness.wait_until(lambda: spoold.recipients(qid)["bart@east.example"]["attempts"] >= 2, 60, "another attempt")
        spoold.stop()
        spoold.start(wait=False)
        self.assertEqual(spoold.process.wait(60 * harness.SLOW), 1)
        self.assertIn("cannot be read: No such file", spoold.tail())
        hidden.rename(key)
        spoold.start()
        peer.plan()
        spoold.ctl("retry", qid)
        harness.wait_until(lambda: len(peer.judge().messages) == 2, 60, "the copy of Bart")
        cris, bart = (pathlib.Path(m["file"]).read_bytes() for m in peer.judge().messages)
        self.assertEqual(cris, bart)
        self.verified(bart, records, self.selectors)

    def test_keys_that_are_rotated_between_acceptance_and_delivery(self):
        peer, spoold, records = self.hop("rotate", settings=LATER)
        peer.plan(rcpt=["bart@east.example=451 4.2.1 later"])
        self.send(spoold)
        harness.wait_until(lambda: peer.judge().messages, 60, "the copy of Cris")
        [qid] = [m["id"] for m in spoold.queue()]
        tables, more = self.keys(spoold, DOMAIN, "s2-ed25519", "--algorithm", "ed25519")
        spoold.configure(dkim=tables)
        spoold.process.send_signal(1)
        harness.wait_until(lambda: any("was read again" in line for line in spoold.lines("reload")), 30, "the reload")
        peer.plan()
        spoold.ctl("retry", qid)
        harness.wait_until(lambda: len(peer.judge().messages) == 2, 60, "the copy of Bart")
        bart = [pathlib.Path(m["file"]).read_bytes() for m in peer.judge().messages if m["rcpts"] == ["bart@east.example"]][0]
        self.verified(bart, {**records, **more}, ["s2-ed25519"])
        # A domain that has lost its tables: the mail goes out without a signature, and the log says so.
        peer.plan(at=["mail=451 4.3.2 later"])
        self.send(spoold, MAIL.replace(b"<1@", b"<2@"))
        del spoold.settings["dkim"]
        spoold.configure()
        spoold.process.send_signal(1)
        harness.wait_until(lambda: sum("was read again" in line for line in spoold.lines("reload")) == 2, 30, "the second reload")
        peer.plan()
        spoold.ctl("retry", "--all")
        harness.wait_until(lambda: len(peer.judge().messages) == 4, 60, "two copies more")
        last = pathlib.Path(peer.judge().messages[-1]["file"]).read_bytes()
        self.assertEqual(dkim_oracles.signatures(last), [])
        self.assertEqual(len(spoold.lines("unsigned")), 1)


if __name__ == "__main__":
    harness.main()
