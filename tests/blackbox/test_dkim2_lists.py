"""A list with dkim2 = true: each copy verifies and leads back to the post; what earlier hops ask is obeyed; DKIM2 at reception.

Verified by spoolctl and by peers/dkim2_draft.py, which was written from the draft alone.
"""
import base64
import email
import json
import os
import pathlib
import re
import smtplib
import subprocess
import time

import harness
from peers import dkim2_draft as draft
from peers.name_server import NameServer

MEMBERS = ["Bart <bart@east.example>", "Cris Doe <cris@west.example>", "Dirk D\u00e4 <dirk@south.example>"]
ADDRESSES = ["bart@east.example", "cris@west.example", "dirk@south.example"]
POST = (b"Received: from here\r\nFrom: Anne <anne@north.example>\r\nTo: test@lists.example\r\nSubject: Hello  World\r\nDate: Sat, 28 Nov 2026 10:00:00 +0000\r\n"
        b"Message-ID: <1@north.example>\r\nReply-To: anne@north.example\r\nPrecedence: bulk\r\nX-Mailer: any\r\n\r\nline one\r\n.line two\r\n\r\nline four\r\n\r\n\r\n")
UTF8 = (b"From: Anne <anne@north.example>\r\nTo: test@lists.example\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n\xc3\xa4\r\n")


def first_hop(post=POST, at=None, **more):
    """The post as its author's server signs it."""
    return draft.signed(draft.instance(post, 1), 1, 1, "north.example", "anne@north.example", ["test@lists.example"], at=at or int(time.time()), **more)


class House(harness.Case):
    def house(self, *options, settings=None, members=MEMBERS, domains=("lists.example",), algorithm=None, name="", **of_list):
        folder = self.folder / f"mail{name}"
        folder.mkdir()
        self.dns = NameServer({f"{s}._domainkey.north.example": {"TXT": [key.record]} for s, key in draft.KEYS.items()})
        self.addCleanup(self.dns.stop)
        self.hop = self.peer("--content", folder, *options, name="peer" + name)
        base = {"smtp": {"dmarc": "mark"}, "resolver": {"forward": [self.dns.address], "trust_anchor": "none"}}
        spoold = harness.Spoold(self.folder, self.hop.url, harness.merge(base, settings or {}), start=False, name="spoold" + name)
        self.daemons.append(spoold)
        spoold.configure()
        tables, self.records = [], {}
        for domain in domains:
            made = spoold.ctl("dkim", "create", domain, "--selector", "s1", "--folder", self.folder / f"keys{name}", *(("--algorithm", algorithm) if algorithm else ()))
            tables += [{"domain": domain, "selector": key["selector"], "key": key["file"]} for key in made["keys"]]
            self.records |= {key["record"]["name"]: key["record"]["value"] for key in made["keys"]}
        self.zone = self.folder / f"zone{name}"
        known = {**self.records, **{f"{s}._domainkey.north.example": key.record for s, key in draft.KEYS.items()}}
        self.zone.write_text("".join(f"{name}. TXT ( " + " ".join(f'"{value[i:i + 255]}"' for i in range(0, len(value), 255)) + " )\n"
                                     for name, value in known.items()))
        spoold.configure(dkim=tables)
        spoold.start()
        spoold.list(members=members, dkim2="true", **of_list)
        return spoold

    def send(self, spoold, mail=POST, to="test@lists.example", sender="anne@north.example"):
        with smtplib.SMTP("127.0.0.1", spoold.port, local_hostname="client.example", timeout=60 * harness.SLOW) as client:
            client.sendmail(sender, [to], mail, mail_options=["BODY=8BITMIME"])

    def refused(self, spoold, mail, **how):
        with self.assertRaises(smtplib.SMTPDataError) as refusal:
            self.send(spoold, mail, **how)
        return refusal.exception.smtp_code, refusal.exception.smtp_error.decode()

    def copies(self, wanted=3):
        """recipient -> (envelope sender, octets)"""
        of_members = lambda: [m for m in harness.Judge(self.hop.log).messages if m["rcpts"][0] in ADDRESSES]
        harness.wait_until(lambda: len(of_members()) >= wanted, 60, f"{wanted} messages")
        messages = of_members()
        self.assertEqual([len(m["rcpts"]) for m in messages], [1] * wanted)
        return {m["rcpts"][0]: (m["sender"], pathlib.Path(m["file"]).read_bytes()) for m in messages}

    def ctl(self, *words, mail):
        return subprocess.run([str(harness.BUILD / "spoolctl"), *words], input=mail, capture_output=True, timeout=60 * harness.SLOW,
                              env={**os.environ, "SPOOLD_CONFIG": ""})

    def verdict(self, mail, sender, rcpt, *words):
        done = self.ctl("--json", "dkim2", "verify", "--dns", str(self.zone), "--mail-from", sender, "--rcpt-to", rcpt, *words, mail=mail)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        found = json.loads(done.stdout)
        return found["result"], found["reason"]

    def holds(self, mail, sender, rcpt):
        """The copy verifies for this envelope alone, by both implementations; its last signature."""
        self.assertEqual(self.verdict(mail, sender, rcpt), ("pass", None), mail[:3000])
        self.assertEqual(self.verdict(mail, sender, "eve@east.example")[0], "permerror")
        _, signatures = draft.dkim2_fields(mail)
        last = draft.tags(signatures[-1])
        name = f"{last['s'].split(':')[0]}._domainkey.{last['d']}"
        self.assertEqual(draft.judged(mail, self.records[name]), (True, True))
        self.assertEqual([base64.b64decode(last[tag]).decode() for tag in ("mf", "rt")], [f"<{sender}>", f"<{rcpt}>"])
        self.assertEqual((last["d"], last["f"]), ("lists.example", "exploded"))
        return last

    def leads_back(self, mail, post, instance):
        """By both implementations."""
        done = self.ctl("dkim2", "undo", str(instance), mail=mail)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual(draft.hashes_of(done.stdout), draft.hashes_of(post))
        instances, _ = draft.dkim2_fields(mail)
        recipes = json.loads(base64.b64decode(draft.tags(instances[-1]).get("r", b"e30=")))
        self.assertEqual(draft.hashes_of(draft.undone(*draft.fields_of(mail), recipes)), draft.hashes_of(post))

    def names_nobody_else(self, found):
        """Nor in what is encoded."""
        for rcpt, (_, mail) in found.items():
            texts = [mail, *(base64.b64decode(text[:len(text) // 4 * 4])
                             for field in draft.fields_of(mail)[0] for text in re.findall(rb"[A-Za-z0-9+/]{8,}", re.sub(rb"[\r\n\t ]", b"", field)))]
            texts.append(email.message_from_bytes(mail).get_payload(decode=True) or b"")
            for other in ADDRESSES:
                if other != rcpt:
                    for text in texts:
                        self.assertNotIn(other.split("@")[0].encode(), text.lower(), (rcpt, other))


class Copies(House):
    def test_each_copy_verifies_and_leads_back_to_the_post(self):
        more = {"subject_prefix": "[Test]", "header": "top\n", "footer": "-- \nfooter\n", "reply_to": "list", "sender_header": "true"}
        for name, of_list in (("plain", {}), ("edited", more), ("click", {"one_click": "true"}),
                              ("full", {**more, "personalize": "full", "footer": "for $user_name <$user_address>\n"}), ("wrap", {"dmarc": "wrap"}),
                              ("opaque", {"verp_format": "opaque"}), ("transparent", {"transparent": "true", "dmarc": "accept"})):
            for post, before in ((POST, 0), (first_hop(), 1)):
                with self.subTest(name, signed=before):
                    spoold = self.house(name=f"{name}{before}", **of_list)
                    self.send(spoold, post)
                    found = self.copies()
                    self.assertEqual(sorted(found), ADDRESSES)
                    for rcpt, (sender, mail) in found.items():
                        last = self.holds(mail, sender, rcpt)
                        self.assertEqual((last["i"], last["m"]), (str(before + 1), str(before + 1)))
                        self.assertEqual(last["s"].split(":")[:2], ["s1-ed25519", "ed25519-sha256"])
                        self.leads_back(mail, post, before)
                        # DKIM as without DKIM2; no line is too long.
                        self.assertEqual(len(re.findall(rb"\bd=lists\.example;\s+s=s1-", mail)), 2)
                        self.assertLessEqual(max(map(len, re.split(rb"\r\n", mail.split(b"\r\n\r\n")[0]))), 998)
                    self.names_nobody_else(found)
                    spoold.stop()

    def test_large_posts_8_bit_ones_and_a_hop_that_takes_seven_bits(self):
        large = POST + (b"y" * 70 + b"\r\n") * 30_000
        for name, post, options, of_list in (("large", large, ("--no-chunking",), {"footer": "bye\n"}),
                                             ("large-full", large, (), {"footer": "for $user_address\n", "personalize": "full"}),
                                             ("utf8", UTF8, (), {"header": "f\u00fcr $user_name\n", "personalize": "full"}),
                                             ("rsa", POST, (), {})):
            with self.subTest(name):
                spoold = self.house(*options, name=name, algorithm="rsa" if name == "rsa" else None, **of_list)
                self.send(spoold, post)
                for rcpt, (sender, mail) in self.copies().items():
                    mail = mail.replace(b"\r\n..", b"\r\n.") if options else mail
                    self.holds(mail, sender, rcpt)
                    self.leads_back(mail, post, 0)
        for name, post in (("seven", UTF8), ("seven-signed", first_hop(UTF8))):
            with self.subTest(name):
                spoold = self.house("--no-8bitmime", name=name, footer="x\n")
                self.send(spoold, post)
                for rcpt, (sender, mail) in self.copies().items():
                    self.assertTrue(mail.isascii())
                    self.assertEqual(self.holds(mail, sender, rcpt)["i"], "1")

    def test_what_members_must_not_have_is_in_no_recipe(self):
        secret = POST.replace(b"X-Mailer", b"Bcc: hidden@else.example\r\nX-Mailer")
        for name, post, of_list in (("bcc", secret, {}), ("bcc-signed", first_hop(secret), {}), ("anonymous", first_hop(), {"anonymous": "true"}),
                                    ("filter", first_hop(UTF8.replace(b"text/plain", b"multipart/mixed; boundary=b").replace(
                                        b"\xc3\xa4\r\n", b"--b\r\nContent-Type: text/plain\r\n\r\nstays\r\n--b\r\nContent-Type: image/png\r\n\r\nSECRET\r\n--b--\r\n")),
                                     {"filter_types": "image/*"})):
            with self.subTest(name):
                spoold = self.house(name=name, **of_list)
                self.send(spoold, post)
                for rcpt, (sender, mail) in self.copies().items():
                    last = self.holds(mail, sender, rcpt)
                    self.assertEqual(last["i"], "2" if name == "filter" else "1")
                    instances, signatures = draft.dkim2_fields(mail)
                    texts = [mail] + [base64.b64decode(draft.tags(one).get("r", "")) for one in instances] + [base64.b64decode(draft.tags(s)["mf"]) for s in signatures]
                    for word in {"bcc": [b"hidden"], "anonymous": [b"anne", b"Anne"], "filter": [b"SECRET"]}[name.split("-")[0]]:
                        for text in texts:
                            self.assertNotIn(word, text)
                    if name == "bcc":
                        self.leads_back(mail, POST, 0)

    def test_a_chain_that_cannot_go_on_is_replaced(self):
        now = int(time.time())
        broken = first_hop().replace(b"line one", b"line 1")
        elsewhere = draft.signed(draft.instance(POST, 1), 1, 1, "north.example", "anne@north.example", ["test@else.example"], at=now)
        for name, post in (("broken", broken), ("elsewhere", elsewhere), ("old", first_hop(at=now - 10 * 86400)), ("gap", first_hop().replace(b"i=1", b"i=2"))):
            with self.subTest(name):
                spoold = self.house(name=name)
                self.send(spoold, post)
                for rcpt, (sender, mail) in self.copies().items():
                    self.assertEqual(self.holds(mail, sender, rcpt)["i"], "1")
                    self.leads_back(mail, post, 0)

    def test_a_restart_and_a_changed_setting_between_two_copies(self):
        spoold = self.house(footer="one\n", settings={"delivery": {"retry": ["1h"]}})  # nobody is tried again before the test says so
        self.hop.plan(rcpt=["bart@east.example=451 4.2.1 later"])
        self.send(spoold, first_hop())
        harness.wait_until(lambda: len(self.hop.judge().messages) == 2, 60, "two copies")
        [qid] = [m["id"] for m in spoold.queue()]
        harness.wait_until(lambda: spoold.recipients(qid)["bart@east.example"]["state"] == "deferred", 60, "a copy that waits")
        time.sleep(1.1)  # t= is not the time of the attempt
        spoold.ctl("list", "set", harness.LIST, "dkim2=false", "footer=two")
        spoold.stop()
        spoold.start()
        self.hop.plan()
        spoold.ctl("retry", qid)
        found = self.copies()
        fields = {}
        for rcpt, (sender, mail) in found.items():
            last = self.holds(mail, sender, rcpt)
            self.leads_back(mail, first_hop(), 1)
            instances, _ = draft.dkim2_fields(mail)
            fields[rcpt] = (last["t"], instances, [f for f in draft.fields_of(mail)[0] if draft.name_of(f) == "dkim-signature"], draft.fields_of(mail)[1])
        self.assertEqual(fields[ADDRESSES[0]], fields[ADDRESSES[1]])

    def test_held_posts_and_digests(self):
        spoold = self.house(member_moderation="hold", nonmembers="hold", members=MEMBERS)
        spoold.ctl("member", "set", harness.LIST, "dirk@south.example", "delivery=digest")
        self.send(spoold, first_hop())
        [held] = spoold.ctl("held")
        time.sleep(1.1)
        released = int(time.time())
        spoold.ctl("accept", held["id"])
        for rcpt, (sender, mail) in self.copies(2).items():
            self.assertGreaterEqual(int(self.holds(mail, sender, rcpt)["t"]), released)
            self.leads_back(mail, first_hop(), 1)
        spoold.ctl("digest", harness.LIST)
        sender, mail = self.copies(3)["dirk@south.example"]
        self.assertEqual(self.holds(mail, sender, "dirk@south.example")["m"], "1")


class Verbs(House):
    def test_the_setting_is_refused_where_the_list_cannot_have_it(self):
        spoold = self.house(verp="personalized", personalize="individual")
        for words, why in ((["verp=never"], "verp=always"), (["verp=every:3", "personalize=none"], "verp=always"), (["personalize=none"], "envelope sender of its own"),
                           (["dkim2=perhaps"], "neither true nor false")):
            done = spoold.run("list", "set", harness.LIST, *words)
            self.assertEqual((done.returncode, why in done.stderr), (2, True), done.stderr)
        spoold.ctl("list", "set", harness.LIST, "verp=never", "dkim2=false")
        spoold.ctl("list", "create", "other@else.example", "--owner", "me@else.example")
        done = spoold.run("list", "set", "other@else.example", "dkim2=true")
        self.assertEqual((done.returncode, "there is no [[dkim]] table of else.example" in done.stderr), (2, True), done.stderr)
        self.assertIn("dkim2", spoold.run("list", "set", "--help").stdout)

    def test_cook_shows_what_a_member_gets(self):
        spoold = self.house(footer="bye\n")
        words = ("--config", str(spoold.config), "cook", harness.LIST, "--member", "bart@east.example", "--now", "2026-11-28T09:00:00Z")
        done = self.ctl(*words, mail=first_hop(at=draft.NOW))
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        shown = json.loads(self.ctl("--json", *words, mail=first_hop(at=draft.NOW)).stdout)
        self.assertEqual(self.verdict(done.stdout, shown["envelope_sender"], "bart@east.example", "--now", "2026-11-28T09:00:00Z"), ("pass", None))
        self.assertEqual((shown["size"], [s.split(":")[0] for s in shown["signatures"]]),
                         (len(done.stdout), ["DKIM-Signature", "DKIM-Signature", "DKIM2-Signature", "Message-Instance", "DKIM2-Signature", "Message-Instance"][:len(shown["signatures"])]))
        self.leads_back(done.stdout, first_hop(at=draft.NOW), 1)
        self.assertEqual(done.stdout, self.ctl(*words, mail=first_hop(at=draft.NOW)).stdout)
        self.assertIn("t=1795856400;", shown["signatures"][2])
        # Without a member there is no envelope, so nothing but DKIM.
        nobody = self.ctl("--config", str(spoold.config), "cook", harness.LIST, mail=POST).stdout
        self.assertEqual((nobody.count(b"DKIM-Signature:"), nobody.count(b"DKIM2-Signature:")), (2, 0))


class Requests(House):
    def test_what_earlier_hops_ask_is_obeyed(self):
        spoold = self.house(member_moderation="hold")
        judged = lambda to, mail: json.loads(self.ctl("--config", str(spoold.config), "--json", "judge", to, "--mail-from", "anne@north.example", mail=mail).stdout)
        spoold.list("open@lists.example", members=MEMBERS, transparent="true", dmarc="accept", dkim2="true")
        for flag, to, taken, why in (("donotexplode", "test@lists.example", False, "goes to one recipient"), ("donotexplode", "open@lists.example", False, "is a list"),
                                     ("donotmodify", "test@lists.example", False, "asks that it is not changed"), ("donotmodify", "open@lists.example", True, None),
                                     ("feedback", "test@lists.example", True, None)):
            mail = draft.signed(draft.instance(POST, 1), 1, 1, "north.example", "anne@north.example", [to], at=int(time.time()), more=f" f={flag};")
            with self.subTest(flag, to=to):
                found = judged(to, mail)
                if taken:
                    self.assertEqual(found["outcome"], "accept")
                    self.send(spoold, mail, to=to)
                    continue
                self.assertEqual((found["outcome"], found["rule"]), ("reject", flag))
                self.assertIn(why, found["reply"])
                code, text = self.refused(spoold, mail, to=to)
                self.assertEqual((code, why in text), (550, True), text)
        for rcpt, (sender, mail) in self.copies(6).items():
            self.assertIn(self.verdict(mail, sender, rcpt), [("pass", None)])


class Bounces(House):
    def report(self, about, returned, kind="text/rfc822-headers"):
        return (f"From: MAILER-DAEMON@east.example\r\nTo: {about}\r\nSubject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n"
                "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nYour mail could not be delivered.\r\n"
                "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; east.example\r\n\r\n"
                "Final-Recipient: rfc822; bart@east.example\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user\r\n\r\n"
                f"--b\r\nContent-Type: {kind}\r\n\r\n").encode() + returned + b"\r\n--b--\r\n"

    def test_a_returned_copy_proves_the_bounce_or_its_forgery(self):
        spoold = self.house()
        self.send(spoold, first_hop())
        found = self.copies()
        said = lambda: [e["detail"] for e in spoold.ctl("bounces", harness.LIST, "bart@east.example", ok=(0, 3)).get("events", [])]
        sender, mail = found["bart@east.example"]
        header = mail.split(b"\r\n\r\n")[0] + b"\r\n"
        other_sender, other = found["cris@west.example"]
        other = other.split(b"\r\n\r\n")[0] + b"\r\n"
        for returned, why in ((header.replace(b"f=exploded", b"f=feedback"), "does not hold"), (other, "sent by another address"),
                              (header.replace(b"m=2; t=", b"m=2; t=1"), "does not hold")):
            code, text = self.refused(spoold, self.report(sender, returned), to=sender, sender="")
            self.assertEqual((code, why in text), (550, True), text)
        self.assertEqual(spoold.ctl("bounces", harness.LIST, ok=(0, 3)) or [], [])
        self.send(spoold, self.report(sender, header), to=sender, sender="")
        [row] = spoold.ctl("bounces", harness.LIST)
        self.assertEqual((row["address"], row["score"]), ("bart@east.example", 1.0))
        self.assertTrue(any("authentic: it returns our DKIM2 signature" in line for line in said()), said())
        # To the address that all copies have: the signature says whose copy it is. Without one, or by a key that is not ours any more, nothing is known.
        self.send(spoold, self.report(other_sender, other, "message/rfc822").replace(b"bart@", b"cris@"), to=other_sender, sender="")
        self.send(spoold, self.report(found["dirk@south.example"][0], b"Subject: x\r\n").replace(b"bart@east", b"dirk@south"), to=found["dirk@south.example"][0], sender="")
        self.assertEqual(sorted(r["address"] for r in spoold.ctl("bounces", harness.LIST)), ADDRESSES)
        self.assertFalse(any("authentic" in e["detail"] for e in spoold.ctl("bounces", harness.LIST, "dirk@south.example")["events"]))


class Reports(House):
    def test_a_report_of_signed_mail_is_signed_for_the_envelope_it_has(self):
        spoold = self.house("--rcpt", "nobody@far.example=550 5.1.1 no such user", domains=("lists.example", "mx.test.example"),
                            settings={"hostname": "mx.test.example", "smtp": {"trusted_networks": ["127.0.0.1"]}})
        mail = draft.signed(draft.instance(POST, 1), 1, 1, "north.example", "anne@north.example", ["nobody@far.example"], at=int(time.time()))
        self.send(spoold, mail, to="nobody@far.example")
        self.send(spoold, POST, to="nobody@far.example")
        reports = lambda: [m for m in harness.Judge(self.hop.log).messages if m["rcpts"] == ["anne@north.example"]]
        harness.wait_until(lambda: len(reports()) == 2, 60, "two reports")
        found = [(pathlib.Path(m["file"]).read_bytes(), m["sender"]) for m in reports()]
        signed = [octets for octets, _ in found if octets.startswith(b"DKIM2-Signature") or b"\r\nDKIM2-Signature:" in octets.split(b"\r\n\r\n")[0]]
        self.assertEqual(([sender for _, sender in found], len(signed)), (["", ""], 1))
        self.assertEqual(self.verdict(signed[0], "", "anne@north.example"), ("pass", None), signed[0])
        self.assertEqual(self.verdict(signed[0], "", "eve@north.example")[0], "permerror")
        _, [signature] = draft.dkim2_fields(signed[0])
        last = draft.tags(signature)
        self.assertEqual(draft.judged(signed[0], self.records[f"{last['s'].split(':')[0]}._domainkey.mx.test.example"]), (True, True))
        self.assertEqual((last["d"], "f" in last, base64.b64decode(last["mf"])), ("mx.test.example", False, b"<>"))


class Reception(House):
    def strangers(self, **smtp):
        return self.house(settings={"smtp": {"trusted_networks": [], "spf": "off", "dmarc": "mark", **smtp}, "domain": []}, name=f"-{smtp.get('dkim2', 'mark')}")

    def test_marked_and_refused(self):
        self_signed = first_hop()
        changed = self_signed.replace(b"line one", b"line 1")
        for dkim2 in ("mark", "reject"):
            spoold = self.strangers(dkim2=dkim2)
            self.dns.zone["ed._domainkey.south.example"] = "servfail"
            slow = draft.signed(draft.instance(POST, 1), 1, 1, "south.example", "anne@south.example", ["test@lists.example"], at=int(time.time()))
            self.send(spoold, self_signed)
            self.send(spoold, POST)
            cases = ((changed, "anne@north.example", "fail", 550, "DKIM2: Message Instance m=1 body hash sha256 mismatch"),
                     (self_signed, "eve@north.example", "permerror", 550, "MAIL FROM <eve@north.example> did not match"),
                     (slow, "anne@south.example", "temperror", 451, "4.7.5"))
            for mail, sender, result, code, why in cases:
                with self.subTest(dkim2, result=result):
                    if dkim2 == "reject":
                        said, text = self.refused(spoold, mail, sender=sender)
                        self.assertEqual((said, why in text), (code, True), text)
                    else:
                        self.send(spoold, mail, sender=sender)
            harness.wait_until(lambda: len(self.hop.judge().messages) >= (15 if dkim2 == "mark" else 6), 60, "the copies")
            results = [re.search(r"dkim2=\w+", line) for line in spoold.lines("accepted")]
            self.assertEqual([r and r[0] for r in results], ["dkim2=pass", None] + (["dkim2=fail", "dkim2=permerror", "dkim2=temperror"] if dkim2 == "mark" else []))
            fields = [pathlib.Path(m["file"]).read_bytes() for m in self.hop.judge().messages]
            self.assertTrue(any(re.search(rb"Authentication-Results: [^\0]*?;\r\n dkim2=pass header.d=north.example header.i=1;", f) for f in fields), fields[0])
            self.assertEqual(spoold.ctl("stats")["dkim2_refused"], 3 if dkim2 == "reject" else 0)
            spoold.stop()


if __name__ == "__main__":
    harness.main()
