#!/usr/bin/env python3
"""spoolctl spf, dmarc, dkim verify and auth: no daemon, no store, no configuration, and a master file in the place of the DNS.

The signatures are made by python3-dkim, the keys by openssl: what is verified is not our own work.
"""
import base64
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import dkim
import nacl.signing

import harness

MAIL = (b"From: Anne Person <anne@news.example.com>\r\nTo: bart@example.net\r\nSubject:  Two  blanks\r\n"
        b"Date: Sun, 22 Nov 2026 10:31:07 +0000\r\nMessage-ID: <1@example.com>\r\n\r\n"
        b"Hello  Bart, \r\n\r\nthis is the body.\r\n\r\n\r\n")
ZONE = """
example.com.            TXT "v=spf1 ip4:192.0.2.1 -all exp=why.example.com"
why.example.com.        TXT "%{i} is not one of ours"
_dmarc.example.com.     TXT "v=DMARC1; p=reject; sp=quarantine; adkim=r"
news.example.com.       A   192.0.2.1
slow.example.com.       TXT "v=spf1 include:broken.example.com -all"
$SERVFAIL broken.example.com.
"""


def rsa_key(bits):
    key = subprocess.run(["openssl", "genrsa", "-traditional", str(bits)], capture_output=True, check=True).stdout
    public = subprocess.run(["openssl", "rsa", "-pubout", "-outform", "DER"], input=key, capture_output=True, check=True).stdout
    return key, base64.b64encode(public).decode()


class Judging(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.key, cls.public = rsa_key(2048)
        cls.small, small_public = rsa_key(512)
        cls.ed = nacl.signing.SigningKey.generate()
        cls.folder = tempfile.TemporaryDirectory()
        cls.zone = pathlib.Path(cls.folder.name) / "zone"
        half = len(cls.public) // 2
        cls.zone.write_text(ZONE + f"""
rsa._domainkey.example.com.     TXT ( "v=DKIM1; k=rsa; p={cls.public[:half]}"  ; two strings
                                      "{cls.public[half:]}" )
small._domainkey.example.com.   TXT "v=DKIM1; p={small_public}"
ed._domainkey.example.com.      TXT "v=DKIM1; k=ed25519; p={base64.b64encode(bytes(cls.ed.verify_key)).decode()}"
revoked._domainkey.example.com. TXT "v=DKIM1; p="
test._domainkey.example.com.    TXT "v=DKIM1; t=y; p={cls.public}"
$TIMEOUT slow._domainkey.example.com.
""")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_verb(self, *words, mail=b"", dns=True):
        environment = {**os.environ, "HOME": "/nonexistent"}
        environment.pop("SPOOLD_CONFIG", None)
        return subprocess.run([str(harness.BUILD / "spoolctl"), *words, *(["--dns", str(self.zone)] if dns else [])], input=mail,
                              capture_output=True, env=environment, timeout=20 * harness.SLOW)

    def judged(self, *words, mail=b""):
        done = self.run_verb("--json", *words, mail=mail)
        self.assertEqual((done.returncode, done.stderr), (0, b""), done)
        return json.loads(done.stdout)

    def sign(self, mail=MAIL, selector="rsa", key=None, canonical=(b"relaxed", b"relaxed"), **more):
        algorithm = b"ed25519-sha256" if selector == "ed" else b"rsa-sha256"
        key = base64.b64encode(bytes(self.ed)) if selector == "ed" else key or self.key
        return dkim.sign(mail, selector.encode(), b"example.com", key, canonicalize=canonical, signature_algorithm=algorithm,
                         include_headers=[b"from", b"to", b"subject", b"date"], **more) + mail

    def verify(self, mail, *words):
        return [(one["result"], one["reason"]) for one in self.judged("dkim", "verify", *words, mail=mail)]

    def test_spf(self):
        answer = self.judged("spf", "192.0.2.9", "mx.example.net", "anne@example.com")
        self.assertEqual((answer["result"], answer["mechanism"], answer["explanation"]), ("fail", "all", "192.0.2.9 is not one of ours"))
        self.assertEqual((answer["lookups"], answer["void_lookups"]), (0, 0))
        self.assertEqual(self.judged("spf", "::ffff:192.0.2.1", "x.example", "<anne@example.com>")["mechanism"], "ip4:192.0.2.1")
        self.assertEqual(self.judged("spf", "192.0.2.1", "example.com", "")["result"], "pass")
        self.assertEqual(self.judged("spf", "2001:db8::1", "[192.0.2.1]", "<>")["result"], "none")
        slow = self.judged("spf", "192.0.2.1", "x.example", "a@slow.example.com")
        self.assertEqual((slow["result"], slow["mechanism"]), ("temperror", None))
        text = self.run_verb("spf", "192.0.2.1", "example.com", "a@example.com")
        self.assertIn(b"pass", text.stdout)

    def test_dmarc(self):
        answer = self.judged("dmarc", "News.example.com.")
        self.assertEqual({name: answer[name] for name in ("domain", "organizational_domain", "record_domain", "policy", "adkim", "aspf")},
                         {"domain": "news.example.com", "organizational_domain": "example.com", "record_domain": "example.com",
                          "policy": "quarantine", "adkim": "r", "aspf": "r"})
        self.assertEqual(answer["walk"], ["_dmarc.news.example.com", "_dmarc.example.com", "_dmarc.com"])
        self.assertEqual((answer["result"], answer["disposition"]), ("fail", "quarantine"))
        passed = self.judged("dmarc", "--spf", "example.net=pass", "--dkim", "example.com=pass", "news.example.com")
        self.assertEqual((passed["result"], passed["disposition"]), ("pass", "none"))
        self.assertEqual(self.judged("dmarc", "example.com", "--dkim", "example.com=fail")["disposition"], "reject")
        self.assertEqual(self.judged("dmarc", "example.net")["result"], "none")

    def test_dkim_signatures_of_another_program(self):
        for header in (b"simple", b"relaxed"):
            for body in (b"simple", b"relaxed"):
                signed = self.sign(canonical=(header, body))
                self.assertEqual(self.verify(signed), [("pass", None)], (header, body))
                self.assertEqual(self.verify(signed.replace(b"\r\n", b"\n")), [("pass", None)])
                self.assertEqual(self.verify(signed + b"\r\n\r\n"), [("pass", None)])
                self.assertEqual(self.verify(signed + b"more\r\n"), [("fail", "the body hash does not match")])
                self.assertEqual(self.verify(signed.replace(b"Two  blanks", b"Three blanks")), [("fail", "the signature does not match")])
                loose = "pass" if header == b"relaxed" else "fail"
                self.assertEqual(self.verify(signed.replace(b"Subject:  Two  blanks", b"SUBJECT: Two\r\n blanks"))[0][0], loose)
                loose = "pass" if body == b"relaxed" else "fail"
                self.assertEqual(self.verify(signed.replace(b"Hello  Bart, ", b"Hello Bart,"))[0][0], loose)
        self.assertEqual(self.verify(self.sign(selector="ed")), [("pass", None)])
        self.assertEqual(self.verify(self.sign(length=True) + b"a footer\r\n"), [("pass", None)])
        self.assertEqual(self.verify(MAIL), [])
        both = self.sign(self.sign(selector="ed"), selector="rsa")
        self.assertEqual([(one["selector"], one["algorithm"], one["result"]) for one in self.judged("dkim", "verify", mail=both)],
                         [("rsa", "rsa-sha256", "pass"), ("ed", "ed25519-sha256", "pass")])

    def test_dkim_keys_that_do_not_serve(self):
        def result(selector, **more):
            return self.verify(self.sign(selector=selector, **more))[0][0]
        self.assertEqual(result("nobody"), "permerror")
        self.assertEqual(result("revoked"), "permerror")
        self.assertEqual(result("slow"), "temperror")
        self.assertEqual(result("small", key=self.small), "policy")
        self.assertEqual(result("small"), "policy")
        self.assertTrue(self.judged("dkim", "verify", mail=self.sign(selector="test"))[0]["testing"])
        sha1 = dkim.sign(MAIL, b"rsa", b"example.com", self.key, signature_algorithm=b"rsa-sha1") + MAIL
        self.assertEqual(self.verify(sha1)[0][0], "permerror")

    def test_dkim_at_another_time(self):
        signed = self.sign().replace(b" bh=", b" x=1900000000; bh=")
        self.assertEqual(self.verify(signed, "--now", "2031-01-01T00:00:00Z")[0][0], "policy")
        self.assertEqual(self.verify(signed, "--now", "2029-01-01T00:00:00.5+01:00")[0][0], "fail")  # x= was not signed

    def test_auth(self):
        words = ("auth", "--client", "192.0.2.1", "--helo", "mx.example.com", "--mail-from", "bounce@example.com", "--rcpt", "b@example.net")
        answer = self.judged(*words, mail=self.sign())
        self.assertEqual((answer["spf"]["result"], answer["dkim"][0]["result"], answer["dmarc"]["result"]), ("pass", "pass", "pass"))
        self.assertRegex(answer["header"], r"^Authentication-Results: \S+; spf=pass smtp.mailfrom=example.com; "
                         r"dkim=pass header.d=example.com header.s=rsa header.a=rsa-sha256 header.b=\S+; "
                         r"dmarc=pass header.from=news.example.com polrec.p=quarantine polrec.domain=example.com$")
        forged = self.judged("auth", "--client", "192.0.2.9", "--helo", "mx.example.net", mail=MAIL)
        self.assertEqual((forged["spf"]["result"], forged["dkim"], forged["dmarc"]["disposition"]), ("none", [], "quarantine"))
        self.assertIn("; spf=none reason=", forged["header"])
        self.assertIn("smtp.helo=mx.example.net; dkim=none; dmarc=fail", forged["header"])
        two = MAIL.replace(b"From: ", b"From: x@example.org, ")
        self.assertEqual(self.judged(*words, mail=two)["dmarc"]["result"], "none")

    def test_dnsbl(self):
        folder = pathlib.Path(self.folder.name)
        config = folder / "spoold.toml"
        config.write_text('hostname = "mx.example.org"\n[[dnsbl]]\nzone = "one.example"\n[[dnsbl]]\nzone = "Two.example"\nanswers = ["127.0.0.2", "127.0.1.0-127.0.1.255"]\n'
                          'action = "mark"\n[[dnsbl]]\nzone = "slow.example"\n[[dnsbl]]\nzone = "lost.example"\n')
        zone = folder / "lists"
        zone.write_text("9.2.0.192.one.example. A 127.0.0.4\n9.2.0.192.one.example. TXT \"spam \\027[31m\"\n9.2.0.192.two.example. A 127.0.0.3\n"
                        "8.2.0.192.two.example. A 127.0.1.7\n$TIMEOUT 9.2.0.192.slow.example.\n*.lost.example. A 127.0.0.2\n"
                        "2.0.0.127.one.example. A 127.0.0.2\n2.0.0.127.two.example. A 127.0.0.2\n2.0.0.127.slow.example. A 127.0.0.2\n")

        def listed(*words):
            done = subprocess.run([str(harness.BUILD / "spoolctl"), "--config", str(config), "--json", "dnsbl", *words, "--dns", str(zone)],
                                  capture_output=True, check=True, timeout=60 * harness.SLOW)
            return {one["zone"]: one for one in json.loads(done.stdout)}
        lists = listed("192.0.2.9")
        self.assertEqual(lists["one.example"], {"zone": "one.example", "listed": True, "answers": ["127.0.0.4"], "text": "spam ?[31m",
                                                "error": None, "action": "reject"})
        self.assertEqual((lists["two.example"]["listed"], lists["two.example"]["action"]), (False, "mark"))
        self.assertIn("127.0.0.3", lists["two.example"]["error"])
        self.assertEqual(lists["slow.example"]["error"], "DNS: no answer in time")
        self.assertEqual([name for name, one in listed("::ffff:192.0.2.8").items() if one["listed"]], ["two.example", "lost.example"])
        tested = listed("192.0.2.8", "--self-test")
        self.assertEqual([name for name, one in tested.items() if one["listed"]], ["two.example"])
        self.assertIn("every address", tested["lost.example"]["error"])
        self.assertIsNone(tested["one.example"]["error"])
        self.assertEqual(self.judged("dnsbl", "192.0.2.9"), [])

    def test_usage(self):
        for words, status, why in ((("spf", "nowhere", "x", "y"), 2, b"not an IP address"), (("spf", "192.0.2.1"), 2, b"HELO"),
                                   (("dmarc", "example.com", "--spf", "x"), 2, b"DOMAIN=RESULT"), (("auth",), 2, b"--client"),
                                   (("spf", "192.0.2.1", "x", "y", "--now", "today"), 2, b"--now")):
            done = self.run_verb(*words)
            self.assertEqual(done.returncode, status, done)
            self.assertIn(why, done.stderr)
        broken = pathlib.Path(self.folder.name) / "broken"
        broken.write_text("a. A 192.0.2.1\nb. A nonsense\n")
        done = self.run_verb("spf", "192.0.2.1", "x", "a@b.example", "--dns", str(broken), dns=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"broken:2: this is not a record of its type", done.stderr)


if __name__ == "__main__":
    harness.main()
