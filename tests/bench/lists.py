"""What a list makes of its posts: footers, values of single members, a signature for each copy, large posts."""
import json
import os
import re
import subprocess
import time

import harness
from bench import BOUNCES, Bench
from rows import fanned_out
from table import SPOOLD, Budget, Row

PEOPLE = 10000
FOOTER = "$list_name: a list of $domain\nLeave it: $unsubscribe_address"
OWN_FOOTER = FOOTER + "\nThis copy is for $user_address."


def key_of(folder, kind):
    """A [[dkim]] table with a key of its own."""
    file = folder / f"{kind}.pem"
    words = {"rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "ed25519": ["-algorithm", "ed25519"]}[kind]
    subprocess.run(["openssl", "genpkey", *words, "-out", str(file)], check=True, capture_output=True)
    file.chmod(0o600)
    return {"domain": "lists.example", "selector": "bench", "key": str(file)}


def posted(settings, key=None):
    """Figures of one VERP post, each copy signed where there is a key."""
    return fanned_out(PEOPLE, {"sender": None, "verp": BOUNCES}, lambda folder: {"dkim": [key_of(folder, key)]} if key else {}, verp="always", **settings)


def footers():
    return Row(f"VERP fan-out of one post of 4 KB to {PEOPLE:,} with a footer",
               {SPOOLD: lambda: posted({"footer": FOOTER}), "no footer": lambda: posted({})}, [Budget("recipients/s", "no footer")])


def personal():
    return Row(f"the same with values of each member in the footer (personalize = full)",
               {SPOOLD: lambda: posted({"footer": OWN_FOOTER, "personalize": "full"}), "no footer": lambda: posted({})},
               [Budget("recipients/s", "no footer")])


def openssl_signatures(kind):
    """Signatures a second of `openssl speed` on all processors."""
    done = subprocess.run(["openssl", "speed", "-mr", "-seconds", "2", "-multi", str(os.cpu_count()), {"rsa": "rsa2048", "ed25519": "ed25519"}[kind]],
                          capture_output=True, text=True, timeout=60)
    lines = re.findall(r"^\+F[26]:\d+:\d+:(?:Ed25519:)?([0-9.]+):", done.stdout, re.M)
    if not lines:
        raise SystemExit(f"openssl speed: {done.stdout}{done.stderr}")
    return float(lines[-1])


def signed(kind, least):
    """Each copy has octets of its own, and so a signature of its own. `allowed`: the time of the same fan-out without signatures and that of
    as many signatures by openssl's own speed test on all processors, one after the other."""
    own = {"footer": OWN_FOOTER, "personalize": "full"}

    def allowed():
        plain = posted(own)["recipients/s"]
        signatures = openssl_signatures(kind)
        return {"recipients/s": 1 / (1 / plain + 1 / signatures), "openssl/s": signatures}

    budgets = [Budget("recipients/s", "allowed", least=0.9)] + ([Budget("recipients/s", least=least)] if least else [])
    return Row(f"the same with one {kind} signature a copy", {SPOOLD: lambda: posted(own, kind), "allowed": allowed}, budgets)


def cooked_20mb():
    """spoolctl cook of a post of 20 MB, with and without a footer: what the footer costs beyond reading and writing it."""
    def cook(**settings):
        with Bench() as bench:
            daemon = bench.spoold("smtp://127.0.0.1:9")
            daemon.list(members=["a@b.example"], **settings)
            line = b"x" * 76 + b"\r\n"
            mail = (b"From: <a@b.example>\r\nTo: <" + harness.LIST.encode() + b">\r\nSubject: big\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n"
                    b"Message-ID: <big@b.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
                    b"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\nContent-Type: application/octet-stream\r\n"
                    b"Content-Transfer-Encoding: base64\r\n\r\n" + line * (20_000_000 // len(line)) + b"--b--\r\n")
            file = bench.folder / "mail"
            file.write_bytes(mail)
            took = []
            for _ in range(5):
                with open(file, "rb") as source:
                    began = time.perf_counter()
                    subprocess.run([harness.BUILD / "spoolctl", "--config", daemon.config, "cook", harness.LIST], stdin=source, stdout=subprocess.DEVNULL, check=True)
                    took.append((time.perf_counter() - began) * 1000)
            return {"ms": sorted(took)[2]}

    def all_options():
        ours, plain = cook(footer=FOOTER, subject_prefix="[Test]", personalize="full"), cook()
        return ours | {"beyond ms": ours["ms"] - plain["ms"]}

    return Row("a post of 20 MB through prefix and footer (spoolctl cook)", {SPOOLD: all_options}, [Budget("beyond ms", most=50)])


def life(part, *budgets):
    """By list_bench: without a daemon."""
    def run():
        with Bench() as bench:
            done = subprocess.run([harness.BUILD / "list_bench", part, bench.folder / "store"], capture_output=True, text=True, timeout=900)
            if done.returncode != 0:
                raise SystemExit(f"list_bench {part}: exit {done.returncode}\n{done.stderr}")
            return json.loads(done.stdout)

    titles = {"rules": "a post judged by 10,000 header rules, 10,000 bans and 10,000 senders",
              "bounces": "100,000 bounces of as many members: read, scored, committed",
              "digest": "a digest of 20 posts for 100,000 members: made, accepted, expanded",
              "year": "a year of a list of 10,000 under a clock of its own: 365 posts, each copy settled, 1 % of the members dead"}
    return Row(titles[part], {SPOOLD: run}, list(budgets))


ROWS = {
    "fanout-footer": footers(), "fanout-personal": personal(), "fanout-rsa": signed("rsa", None), "fanout-ed25519": signed("ed25519", 10000),
    "cook-20mb": cooked_20mb(),
    "list-rules": life("rules", Budget("us a post", most=1000)), "list-bounces": life("bounces", Budget("100,000 s", most=3600)),
    "list-digest": life("digest"), "list-year": life("year"),
}
