"""spoolctl dkim2 verify and undo, against an implementation of the draft (draft-ietf-dkim-dkim2-spec-06) of these tests (peers/dkim2_draft.py)."""
import base64
import json
import os
import pathlib
import subprocess
import tempfile
import time
import unittest

import harness
from peers.dkim2_draft import FIRST, KEYS, NOW, b64, fields_of, hashes_of, instance, originated, revised, signed

INTEROP = pathlib.Path(__file__).parent / "dkim2_interop"


class Dkim2(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.zone = pathlib.Path(cls.folder.name) / "zone"
        lines = []
        for domain in ("north.example", "lists.example", "east.example"):
            for selector, key in KEYS.items():
                parts = " ".join(f'"{key.record[i:i + 255]}"' for i in range(0, len(key.record), 255))
                lines.append(f"{selector}._domainkey.{domain}. TXT ( {parts} )")
        lines += ['$TIMEOUT ed._domainkey.slow.example.', 'ed._domainkey.gone.example. TXT "v=DKIM1; k=ed25519; p="',
                  f'ed._domainkey.two.example. TXT "{KEYS["ed"].record}"', 'ed._domainkey.two.example. TXT "x"',
                  f'ed._domainkey.other.example. TXT "v=DKIM1; k=rsa; p=AAAA"', 'ed._domainkey.bad.example. TXT "p"']
        cls.zone.write_text("\n".join(lines) + "\n")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_verb(self, *words, mail):
        return subprocess.run([str(harness.BUILD / "spoolctl"), *words], input=mail, capture_output=True, timeout=60 * harness.SLOW,
                              env={**os.environ, "SPOOLD_CONFIG": ""})

    def test_messages_of_another_implementation(self):
        for name, sender, to, instances in (("simple-rsa", "sender@test1.dkim2.com", ["recipient@example.com"], 1), ("trailing-blank", "sender@test3.dkim2.com", ["recipient@example.com"], 1),
                                            ("multi-recipient", "sender@test5.dkim2.com", ["alice@example.com", "charlie@example.com"], 1),
                                            ("header-add", "relay@test2.dkim2.com", ["recipient@example.com"], 2), ("header-replace", "relay@test3.dkim2.com", ["recipient@example.com"], 2),
                                            ("body-footer", "relay@test2.dkim2.com", ["recipient@example.com"], 2), ("dup-headers", "mx@test3.dkim2.com", ["recipient@example.com"], 3)):
            mail = (INTEROP / f"{name}.eml").read_bytes().replace(b"\n", b"\r\n")
            with self.subTest(name):
                done = self.run_verb("--json", "dkim2", "verify", "--dns", str(INTEROP / "keys.zone"), "--now", "2025-02-20T00:00:00Z", "--mail-from", sender,
                                     *[word for rcpt in to for word in ("--rcpt-to", rcpt)], mail=mail)
                self.assertEqual([(v["result"], v["reason"], len(v["signatures"])) for v in [json.loads(done.stdout)]], [("pass", None, instances)])
                if instances == 2:
                    before = self.run_verb("dkim2", "undo", "1", mail=mail).stdout
                    self.assertEqual(hashes_of(before), "sha256:SLtzk6LO68CCaX4edrJ6yfpWbp3hwgvI8IdMBRLDk+Y=:SgG5fNGEg1x24MwItCUYGDHQkWKng06W1/IvTGBdwzU=")

    def judged(self, mail, mail_from="test-bounces+b=x@lists.example", rcpts=("bart@east.example",), now="2026-11-28T09:00:00Z"):
        done = self.run_verb("--json", "dkim2", "verify", "--dns", str(self.zone), "--now", now, "--mail-from", mail_from,
                             *[word for rcpt in rcpts for word in ("--rcpt-to", rcpt)], mail=mail)
        self.assertEqual((done.returncode, done.stderr), (0, b""), done)
        return json.loads(done.stdout)

    def outcome(self, *words, **keys):
        verdict = self.judged(*words, **keys)
        return verdict["result"], verdict["reason"]

    def test_an_original_and_a_revised_message_verify(self):
        first = self.judged(originated(selectors=("ed", "rsa")), "anne@north.example", ["test@lists.example"])
        self.assertEqual((first["result"], first["reason"]), ("pass", None))
        self.assertEqual([(s["i"], s["m"], s["domain"], s["selector"], s["algorithm"], s["result"]) for s in first["signatures"]],
                         [(1, 1, "north.example", "ed", "ed25519-sha256", "pass"), (1, 1, "north.example", "rsa", "rsa-sha256", "pass")])
        second = self.judged(revised(more=" f=exploded;"))
        self.assertEqual((second["result"], [s["result"] for s in second["signatures"]]), ("pass", ["pass", "pass"]), second)
        self.assertEqual(self.outcome(FIRST), ("none", None))
        both = signed(instance(FIRST, 1, names=("sha512", "sha256")), 1, 1, "north.example", "anne@north.example", ["test@lists.example"])
        self.assertEqual(self.outcome(both, "anne@north.example", ["test@lists.example"]), ("pass", None))
        # What is not signed may change on the way.
        self.assertEqual(self.outcome(b"Received: by us\r\nX-Spam: no\r\nReceived-SPF: pass\r\nDKIM-Signature: v=1\r\n" + revised().replace(b"any", b"other")),
                         ("pass", None))

    def test_undo_restores_what_the_list_received(self):
        mail = revised()
        done = self.run_verb("dkim2", "undo", "1", mail=mail)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual(hashes_of(done.stdout), hashes_of(FIRST))
        self.assertEqual(fields_of(done.stdout)[1], fields_of(FIRST)[1])
        self.assertEqual(self.judged(done.stdout, "anne@north.example", ["test@lists.example"])["result"], "pass")
        self.assertEqual(self.run_verb("dkim2", "undo", "2", mail=mail).stdout, mail)
        for words, code, why in ((("3",), 1, "Message-Instance m=3 missing"), (("x",), 2, "is not the number")):
            done = self.run_verb("dkim2", "undo", *words, mail=revised())
            self.assertEqual((done.returncode, why.encode() in done.stderr), (code, True), done)

    def test_any_change_is_seen_and_named(self):
        mail = revised()
        for old, new, why in ((b"footer", b"FOOTER", "Message Instance m=2 body hash sha256 mismatch"),
                              (b"[Test]", b"[Best]", "Message Instance m=2 header hash sha256 mismatch"),
                              (b"From: Anne", b"From: Eve", "Message Instance m=2 header hash sha256 mismatch"),
                              (b"Subject:", b"Bcc: x@y.example\r\nSubject:", "Message Instance m=2 header hash sha256 mismatch"),
                              (b"t=1795852800; d=lists", b"t=1795852801; d=lists", "DKIM2-Signature i=2 ed incorrect signature"),
                              (b"t=1795852800; d=north", b"t=1795852801; d=north", "DKIM2-Signature i=2 ed incorrect signature")):
            self.assertIn(old, mail)
            self.assertEqual(self.outcome(mail.replace(old, new)), ("fail", why))
        # A list that lies about what it changed: its own signature holds, the former instance does not.
        lie = originated().replace(b"line one", b"line 1")
        lie = signed(instance(lie, 2, {"b": [{"c": [1, 6]}]}), 2, 2, "lists.example", "b@lists.example", ["bart@east.example"])
        verdict = self.judged(lie, "b@lists.example")
        self.assertEqual((verdict["result"], verdict["reason"]), ("fail", "Message Instance m=1 body hash sha256 mismatch"))
        self.assertEqual([s["result"] for s in verdict["signatures"]], ["pass", "fail"])

    def test_a_body_that_cannot_be_restored(self):
        mail = originated().replace(b"line one", b"line 1")
        mail = signed(instance(mail, 2, {"b": None}), 2, 2, "lists.example", "b@lists.example", ["bart@east.example"])
        self.assertEqual(self.outcome(mail, "b@lists.example"), ("pass", None))
        done = self.run_verb("dkim2", "undo", "1", mail=mail)
        self.assertEqual((done.returncode, b"cannot be restored" in done.stderr), (1, True))

    def test_the_envelope_and_the_way(self):
        mail = revised()
        self.assertEqual(self.outcome(mail, "other@lists.example")[1], "DKIM2-Signature i=2 MAIL FROM <other@lists.example> did not match")
        self.assertEqual(self.outcome(mail, rcpts=["eve@east.example"])[1], "DKIM2-Signature i=2 RCPT TO <eve@east.example> did not match")
        self.assertEqual(self.outcome(mail, "test-bounces+b=x@LISTS.example", ["bart@EAST.example"])[0], "pass")
        self.assertEqual(self.outcome(mail, "TEST-bounces+b=x@lists.example")[0], "permerror")
        self.assertEqual(self.outcome(mail, now="2026-12-12T07:59:00Z")[0], "pass")
        self.assertEqual(self.outcome(mail, now="2026-12-12T08:00:01Z"), ("permerror", "DKIM2-Signature i=2 signature expired"))
        foreign = signed(instance(FIRST, 1), 1, 1, "north.example", "anne@else.example", ["test@lists.example"])
        self.assertEqual(self.outcome(foreign, "anne@else.example", ["test@lists.example"])[1], "DKIM2-Signature i=1 MAIL FROM and d= do not match")
        below = signed(instance(FIRST, 1), 1, 1, "north.example", "anne@mail.north.example", ["test@lists.example"])
        self.assertEqual(self.outcome(below, "anne@mail.north.example", ["test@lists.example"])[0], "pass")
        broken = signed(originated(), 2, 1, "east.example", "x@east.example", ["bart@east.example"])
        self.assertEqual(self.outcome(broken, "x@east.example")[1], "DKIM2-Signature i=2 MAIL FROM <x@east.example> did not match")
        bridged = signed(originated(), 2, 1, "lists.example", None, "east.example")
        self.assertEqual(self.outcome(bridged)[1], "DKIM2-Signature i=2 unexpected nd= tag")
        self.assertEqual(self.outcome(signed(bridged, 3, 1, "east.example", "x@east.example", ["bart@east.example"]), "x@east.example")[0], "pass")
        self.assertEqual(self.outcome(signed(bridged, 3, 1, "north.example", "x@north.example", ["bart@east.example"]), "x@north.example")[1],
                         "DKIM2-Signature i=2 MAIL nd= does not match")
        null = signed(instance(FIRST, 1), 1, 1, "north.example", "", ["test@lists.example"])
        self.assertEqual(self.outcome(null, "<>", ["test@lists.example"])[0], "pass")

    def test_requests_of_the_author(self):
        for flag, result in (("donotmodify", ("fail", "Message has been modified despite a donotmodify request")), ("feedback", ("pass", None))):
            self.assertEqual(self.outcome(revised(originated(more=f" f={flag};"))), result)
        self.assertEqual(self.outcome(revised(originated(more=" f=donotexplode , x;"), more=" f=exploded;")),
                         ("fail", "Message has been exploded despite a donotexplode request"))
        only_added = originated(more=" f=donotmodify;").replace(b"X-Mailer", b"List-Id: <x.lists.example>\r\nX-Mailer")
        only_added = signed(instance(only_added, 2, {"h": {"list-id": []}}), 2, 2, "lists.example", "b@lists.example", ["bart@east.example"])
        self.assertEqual(self.outcome(only_added, "b@lists.example"), ("pass", None))

    def test_keys(self):
        for domain, result, why in (("slow", "temperror", "could not be fetched"), ("gone", "permerror", "has been revoked"), ("none", "permerror", "does not exist"),
                                    ("two", "permerror", "has multiple records"), ("other", "permerror", "algorithm mismatch"), ("bad", "permerror", "has a syntax error")):
            mail = signed(instance(FIRST, 1), 1, 1, f"{domain}.example", f"a@{domain}.example", ["test@lists.example"])
            self.assertEqual(self.outcome(mail, f"a@{domain}.example", ["test@lists.example"]),
                             (result, f"DKIM2-Signature i=1 public key ed._domainkey.{domain}.example {why}"))

    def test_fields_that_are_wrong(self):
        mail = originated()
        top, hop = mail.index(b"DKIM2-Signature"), mail.index(b"Message-Instance")
        signature, one = mail[top:hop], mail[hop:mail.index(b"Received:")]
        rest = FIRST
        sentence = lambda text: self.outcome(text, "anne@north.example", ["test@lists.example"])
        for text, why in ((signature + rest, "Message-Instance m=1 missing"), (one + rest, "DKIM2-Signature i=1 missing"),
                          (signature + one + one + rest, "Message-Instance m=1 syntax error"),
                          (signature + one + one.replace(b"m=1", b"m=2") + rest, "Message-Instance m=2 is not signed"),
                          (signature + one + one.replace(b"m=1", b"m=3") + rest, "Message-Instance m=2 missing"),
                          (signature.replace(b"i=1", b"i=2") + one + rest, "DKIM2-Signature i=1 missing"),
                          (signature.replace(b"d=north.example;", b"") + one + rest, "DKIM2-Signature i=1 tag=d missing"),
                          (signature.replace(b"d=north", b"nd=a.example; d=north") + one + rest, "DKIM2-Signature i=1 tag=mf was unexpected"),
                          (signature.replace(b"s=ed", b"s=ed:ed25519-sha256:AAAA,ed") + one + rest, "DKIM2-Signature i=1 has a duplicate selector"),
                          (signature.replace(b"s=ed", b"s=a:ed25519-sha256:AAAA,b:ed25519-sha256:AAAA,ed") + one + rest,
                           "DKIM2-Signature i=1 has more selectors than allowed"),
                          (signature.replace(b" t=", b" n=" + b"x" * 65 + b"; t=") + one + rest, "DKIM2-Signature i=1 syntax error"),
                          (signature + one.replace(b"h=sha256", b"h=sha256:AAAA:AAAA,sha256") + rest, "Message-Instance m=1 has a duplicate hash algorithm"),
                          (signature + one.replace(b"h=", b"r=" + base64.b64encode(b'{"b":[{"c":[2,1]}]}') + b"; h=") + rest, "Message-Instance m=1 contains invalid JSON"),
                          (signature + one.replace(b"h=", b"x=") + rest, "Message-Instance m=1 tag=h missing"),
                          (signature.replace(b"i=1", b"i=1; i=1") + one + rest, "DKIM2-Signature i=? syntax error")):
            self.assertEqual(sentence(text), ("permerror", why))
        # A recipe that names what is not there.
        beyond = signed(instance(originated(), 2, {"b": [{"c": [1, 99]}]}), 2, 2, "lists.example", "b@lists.example", ["bart@east.example"])
        self.assertEqual(self.outcome(beyond, "b@lists.example"), ("permerror", "Message-Instance m=2 names line 99, which is not there"))
        self.assertEqual(self.outcome(originated(selectors=("ed",)).replace(b"ed25519-sha256", b"rot13"), "anne@north.example", ["test@lists.example"]),
                         ("permerror", "DKIM2-Signature i=1 has no signature of a known algorithm"))

    def test_a_bomb_of_copies_is_refused_in_no_time(self):
        body = b"x" * 1000 + b"\r\n"
        mail = instance(FIRST + body * 2000, 1)
        mail = signed(mail, 1, 1, "north.example", "anne@north.example", ["test@lists.example"])
        recipes = {"b": [{"c": [1, 2000]}] + [{"d": ["y"]}] * 1000}
        mail = signed(instance(mail, 2, recipes), 2, 2, "lists.example", "b@lists.example", ["bart@east.example"])
        begin = time.monotonic()
        self.assertEqual(self.outcome(mail, "b@lists.example")[0], "fail")
        self.assertLess(time.monotonic() - begin, 20 * harness.SLOW)


if __name__ == "__main__":
    harness.main()
