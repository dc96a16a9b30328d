# ctest: serial
"""Next hops that misbehave, each on a domain of its own: everybody gets one copy, what waits says why in the words of the hop,
and a well-behaved next hop beside them is served at once. The peers' own logs are the judge."""
import datetime
import time

import harness

MODES = {"chunk": [], "data": ["--no-chunking"], "lockstep": ["--no-pipelining", "--no-chunking"]}
PROMPT = 1.5  # seconds for a post to the well-behaved next hop
# What a failure is called: last_reply's stage, and the words in its text.
STAGES = {"banner": ("GREETING", "greeting"), "ehlo": ("EHLO", "EHLO"), "mail": ("MAIL", "MAIL FROM"), "rcpt": ("RCPT", "RCPT TO"), "data": ("DATA", "DATA"),
          "dot": ("DOT", "end of data")}
LAST_REPLY = 1010  # characters of a reply that are kept, at most


class Hop:
    def __init__(self, case, name, *options, verp="never", members=20, plan=None):
        self.domain, self.list = f"{name}.example", f"{name}@lists.example"
        self.members = [f"m{i:03d}@{self.domain}" for i in range(members)]
        self.peer, self.verp = case.peer(*options, name=name, plan=plan), verp

    def delivered(self):
        return harness.Judge(self.peer.log).deliveries()


class Misbehaving(harness.Case):
    def hops(self, name, *options, modes=MODES, **keys):
        """A hop for each mode, for bulk and for VERP."""
        return [Hop(self, f"{name}-{mode}-{verp}", *MODES[mode], *options, verp=verp, **keys) for mode in modes for verp in ("never", "always")]

    def post(self, hops, **delivery):
        """Posts to the list of each hop, and to the well-behaved one beside them."""
        self.good = self.sink(name="good")
        self.spool = self.spoold(f"smtp://127.0.0.1:{harness.free_port()}", {
            "domain": [{"name": h.domain, "deliver_to": h.peer.url} for h in hops] + [{"name": "good.example", "deliver_to": self.good.url}],
            "delivery": {"isolation_waits": ["100ms", "200ms", "400ms"], **delivery}})
        for h in hops:
            self.spool.list(h.list, h.members, verp=h.verp)
        for h in hops:
            self.spool.post(h.list)
            h.id = self.spool.last_id
        self.others_are_served(1)

    def others_are_served(self, number):
        began = time.monotonic()
        self.spool.post("anne@good.example")
        self.good.wait(number, 10)
        self.assertLess(time.monotonic() - began, PROMPT * harness.SLOW, "the well-behaved next hop had to wait")

    def rows(self, hop):
        return self.spool.recipients(hop.id)

    def all_delivered(self, hops, attempts=1, seconds=15):
        for h in hops:
            harness.wait_until(lambda: len(h.delivered()) >= len(h.members), seconds, f"{h.domain} delivered", every=0.1)
        harness.wait_until(lambda: not self.spool.queue(), 10, "an empty queue", every=0.1)
        for h in hops:
            judge = h.peer.judge()
            self.assertEqual(judge.deliveries(), {m: 1 for m in h.members}, h.domain)
            self.assertEqual((judge.in_doubt, judge.violations), ([], []), h.domain)
            self.assertEqual({(r["state"], r["attempts"], "suspect" in r) for r in self.rows(h).values()}, {("delivered", attempts, False)}, h.domain)
        self.assertEqual(self.spool.lines("suspect"), [])
        self.ends_well()

    def all_deferred(self, hop, seconds=20):
        """Its rows once everybody waits for a next attempt, with a reason."""
        def deferred():
            rows = self.rows(hop)
            return rows if all(r["state"] == "deferred" and r["last_reply"] for r in rows.values()) else None
        return harness.wait_until(deferred, seconds, f"{hop.domain} deferred", every=0.2)

    def ends_well(self):
        self.others_are_served(2)
        self.spool.check()
        self.assertEqual(self.spool.stop(), 0)

    def test_greylisting(self):
        hops = self.hops("grey", "--greylist", "0.05")
        self.post(hops)
        self.all_delivered(hops, attempts=2)
        for h in hops:
            self.assertEqual(h.peer.judge().rcpt_tries(), {m: 2 for m in h.members}, h.domain)

    def test_replies_in_pieces(self):
        """Octet by octet, in packets of 7 octets, and of many lines: a reply is whole when its last line is."""
        lines = lambda reply: f"{reply[:3]}-first{chr(13)}{chr(10)}{reply[:3]}-{chr(13)}{chr(10)}{reply}"
        plan = {"at": [f"{stage}={lines(reply)}" for stage, reply in {"banner": "220 peer.example", "mail": "250 2.1.0 ok", "rcpt": "250 2.1.5 ok",
                                                                      "data": "354 go on", "dot": "250 2.0.0 taken", "bdat": "250 2.0.0 taken"}.items()]}
        hops = self.hops("drip", "--replies", "drip", modes=["chunk", "data"]) + self.hops("split", "--replies", "split", modes=["lockstep"])
        hops += self.hops("lines", "--replies", "split", plan=plan)
        self.post(hops)
        self.all_delivered(hops)

    def test_late_replies(self):
        """Slower than anybody else, and within the limits."""
        hops = [h for stage in ("banner", "ehlo", "mail:1", "rcpt:1", "data:1", "dot:1")
                for h in self.hops("late-" + stage[:4].strip(":"), "--at", f"{stage}=stall:1", modes=["data"], members=5)]
        hops += self.hops("late-bdat", "--at", "bdat:1=stall:1", modes=["chunk"], members=5)
        self.post(hops)
        self.all_delivered(hops)

    def health(self, hop):
        """Its row of `spoolctl destinations`."""
        return next((row for row in self.spool.ctl("destinations") if row["destination"] == hop.peer.url), {})

    def waits(self, hop, words, seconds=20, messages=1):
        """Nobody is to blame: the next hop as a whole waits, and says why."""
        row = harness.wait_until(lambda: self.health(hop) if self.health(hop).get("last_error") and self.health(hop)["health"] == "waiting" else None,
                                 seconds, f"{hop.domain} waits", every=0.1)
        self.assertIn(words, row["last_error"], hop.domain)
        self.assertEqual((row["suspects"], row["recipients"]), (0, messages * len(hop.members)), row)
        self.assertEqual({(r["state"], r["attempts"]) for r in self.rows(hop).values()}, {("queued", 0)}, hop.domain)

    def its_message_waits(self, hop, words, seconds=20):
        """Lost at MAIL three times, whether by garbage, silence or the end: that is evidence against this message, which waits.
        The next hop does not: it is offered another message at once. When that one fares alike, it is the next hop."""
        def drops():
            return [line for line in self.spool.lines("dropped") if f":{hop.peer.port} " in line and "stage=MAIL" in line]
        harness.wait_until(lambda: len(drops()) == 3, seconds, f"{hop.domain}: the message was tried three times", every=0.1)
        row = self.health(hop)
        self.assertIn(words, row["last_error"], hop.domain)
        self.assertNotEqual(row["health"], "waiting", "one message alone must not stop the others")
        self.assertEqual({(r["state"], r["attempts"]) for r in self.rows(hop).values()}, {("queued", 0)}, hop.domain)
        self.spool.post(hop.list)
        self.waits(hop, words, messages=2)
        self.assertEqual(len(drops()), 4, "the first message was not due, and the second was tried once")

    def test_busy_greeting(self):
        """421 instead of a greeting: the host waits, no recipient is charged an attempt, `wake` tries at once."""
        hops = self.hops("busy", "--at", "banner@1=421:4.3.2 busy, come back later", modes=["data"])
        self.post(hops)
        for h in hops:
            self.waits(h, "4.3.2 busy, come back later")
            self.assertEqual(len(h.peer.judge().drops), 1, "greeted again before its time")
            self.spool.ctl("wake", h.peer.url)
        self.all_delivered(hops)

    def test_old_server(self):
        """EHLO unknown, HELO known."""
        for_ehlo = "ehlo:1=502 5.5.1 what is EHLO?"
        hops = self.hops("old", "--at", for_ehlo, modes=["lockstep"])
        self.post(hops)
        self.all_delivered(hops)
        for h in hops:
            self.assertTrue(h.peer.judge().commands(verb="HELO"), h.domain)

    def test_rotation(self):
        """A hop that closes after every 10th message is no reason to suspect anybody."""
        hops = [Hop(self, f"rotate-{mode}", *MODES[mode], "--close-after", "messages:10", verp="always", members=60) for mode in MODES]
        self.post(hops, connections_per_destination=1)
        self.all_delivered(hops)

    def without_a_reply(self, action, words, stages=tuple(STAGES), members=2, verp="never", **delivery):
        """No sense in the replies to one stage: nothing is delivered and nothing lost, and the text names the stage."""
        hops = {stage: Hop(self, f"{action}-{stage}", "--at", f"{stage}={action}", *MODES["data"], members=members, verp=verp) for stage in stages}
        self.post(list(hops.values()), retry=["1h"], **delivery)
        for stage, h in hops.items():
            label, name = STAGES[stage]
            if stage in ("rcpt", "data", "dot"):
                for row in self.all_deferred(h).values():
                    self.assertEqual(row["last_reply"]["stage"], label)
                    self.assertIn(words, row["last_reply"]["text"])
                    self.assertIn(name, row["last_reply"]["text"])
            else:
                self.its_message_waits(h, words) if stage == "mail" else self.waits(h, words)
                self.assertIn(name, self.health(h)["last_error"])
            self.assertEqual((h.delivered(), bool(h.peer.judge().in_doubt)), ({}, stage == "dot"))
        self.ends_well()

    def test_no_reply_ever(self):
        limit = f"{harness.SLOW}s"
        self.without_a_reply("silence", "timed out", members=1, timeouts={k: limit for k in ("greeting", "mail", "rcpt", "data", "dot")})

    def test_garbage(self):
        self.without_a_reply("garbage", "not an SMTP reply")

    def test_garbage_with_verp(self):
        self.without_a_reply("garbage", "not an SMTP reply", verp="always")

    def test_half_a_reply_then_closed(self):
        """What came of it is no reply, whatever it begins with."""
        self.without_a_reply("half", "connection closed")

    def test_replies_of_100_kilobytes(self):
        lines = lambda code, n: "\r\n".join([f"{code}-" + "x" * 76] * n + [f"{code} that was long"])
        taken = [Hop(self, f"long-{verp}", *MODES["data"], verp=verp, members=5, plan={"at": ["dot=" + lines("250", 1280)]}) for verp in ("never", "always")]
        later = Hop(self, "long-later", *MODES["data"], members=5, plan={"at": ["rcpt=" + lines("451", 90)]})
        self.post([*taken, later], retry=["1h"])
        for h in taken:  # it is a 250, whatever its length
            harness.wait_until(lambda: {r["state"] for r in self.rows(h).values()} == {"delivered"}, 15, f"{h.domain} delivered")
            self.assertEqual(h.peer.judge().duplicates(), {}, h.domain)
        texts = [r["last_reply"]["text"] for r in self.all_deferred(later).values()]
        self.assertIn("xxxxxxxx", texts[0])
        self.assertLess(max(map(len, texts)), LAST_REPLY)
        self.ends_well()

    def test_no_reply_to_the_content(self):
        """Closed behind the final dot: it may have arrived, so nobody is offered it again by itself for a while, and then one alone."""
        hops = [Hop(self, f"doubt-{verp}", "--at", "dot:1@1=close", *MODES["data"], verp=verp, members=5) for verp in ("never", "always")]
        self.post(hops)
        for h in hops:
            harness.wait_until(lambda: [line for line in self.spool.lines("indoubt") if h.id in line], 10, "in doubt")
            [lost] = h.peer.judge().in_doubt
            self.assertEqual(len(lost["rcpts"]), 5 if h.verp == "never" else 1)
            harness.wait_until(lambda: len(h.delivered()) == 5 - len(lost["rcpts"]), 10, "the others delivered")
            for address in lost["rcpts"]:
                row = harness.wait_until(lambda: (lambda r: r if r["state"] == "deferred" else None)(self.rows(h)[address]), 10, "held back")
                self.assertEqual((row["attempts"], row["last_reply"]["stage"], "suspect" in row), (0, "DOT", False), row)
                self.assertIn("closed while waiting for the reply to end of data", row["last_reply"]["text"])
                wait = datetime.datetime.fromisoformat(row["next_attempt"]) - datetime.datetime.now(datetime.timezone.utc)
                self.assertGreater(wait.total_seconds(), 300, "offered again too soon")
            self.spool.ctl("retry", h.id)
            harness.wait_until(lambda: len(h.delivered()) == 5, 15, "everybody delivered")
            judge = h.peer.judge()
            self.assertEqual((judge.deliveries(), len(judge.in_doubt)), ({m: 1 for m in h.members}, 1))  # at most one more copy
            again = next(m for m in judge.messages if set(m["rcpts"]) & set(lost["rcpts"]))
            self.assertEqual(len(again["rcpts"]), 1, "the first behind a doubt goes alone")
        self.ends_well()


if __name__ == "__main__":
    harness.main()
