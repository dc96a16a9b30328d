"""Next hops that answer as the large providers do: what happens to the recipient, to the post, to the lane, and that no member's score
moves. The table of replies (conf/replies.toml) is the rule; an own table stands before it."""
import datetime
import signal

import harness

# What each provider is told to answer, and how many members a list has there.
PROVIDERS = {
    "busy": (6, "--rcpt", "r1@busy.example=550 5.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages"),
    "rate": (6, "--at", "dot:2=421:4.7.28 Gmail has detected an unusual rate of mail originating from your IP address"),
    "same": (6, "--at", "dot@1-2=421:4.7.28 This message exceeded its quota for sending messages with the same Message-ID"),
    "yahoo": (6, "--at", "mail=421:4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints"),
    "slow": (6, "--at", "mail=451 4.7.651 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation (RP-001)"),
    "block": (6, "--at", "mail=550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent, part of their network is on our block list (S3150)"),
    "auth": (6, "--at", "dot=550 5.7.515 Access denied, sending domain LISTS.EXAMPLE does not meet the required authentication level"),
    "spam": (60, "--at", "dot=550 5.7.1 Our system has detected that this message is likely unsolicited mail"),
    "short": (9, "--at", "mail:3=450 4.7.0 too many messages in this connection"),
    "once": (1, "--at", "dot@1=421:4.7.28 Gmail has detected an unusual rate of mail originating from your IP address"),
    "good": (6,),
}


def seconds_until(time):
    at = datetime.datetime.fromisoformat(time.replace("Z", "+00:00"))
    return (at - datetime.datetime.now(datetime.timezone.utc)).total_seconds()


class Test(harness.Case):
    def house(self, providers, **delivery):
        self.hops, domains = {}, []
        for name in providers:
            self.hops[name] = self.peer("--no-chunking", *PROVIDERS[name][1:], name=name)
            domains.append({"name": f"{name}.example", "deliver_to": self.hops[name].url})
        spoold = self.spoold("smtp://127.0.0.1:1", {"domain": domains, "delivery": {"retry": ["1h"], **delivery}})
        spoold.list(members=[f"r{i}@{name}.example" for name in providers for i in range(PROVIDERS[name][0])], verp="always")
        return spoold

    def of(self, spoold, qid, name):
        return [r for r in spoold.show(qid)["recipients"] if r["address"].endswith(f"@{name}.example")]

    def states(self, spoold, qid, name):
        count = {}
        for recipient in self.of(spoold, qid, name):
            count[recipient["state"]] = count.get(recipient["state"], 0) + 1
        return count

    def health(self, spoold, name):
        return {row["destination"]: row for row in spoold.ctl("destinations")}[self.hops[name].url]

    def commands(self, name, verb):
        return [line for line in self.hops[name].log.read_text().splitlines() if f'"line": "{verb}' in line]

    def test_each_provider_and_nobody_is_scored(self):
        spoold = self.house([name for name in PROVIDERS if name != "once"])
        spoold.post(subject="one")
        first = spoold.last_id
        spoold.post(subject="two")
        second = spoold.last_id
        spoold.ctl("list", "create", "more@lists.example", "--owner", harness.OWNER)
        spoold.ctl("list", "set", "more@lists.example", "nonmembers=accept")
        spoold.ctl("member", "add", "more@lists.example", "s@block.example", "s@auth.example")
        for n in range(5):
            spoold.post(to="more@lists.example", subject=f"more {n}")

        def settled():
            return all(r["state"] not in ("queued", "active") or r.get("waits_for") or r["attempts"] or
                       r["address"].split("@")[1] in ("rate.example", "yahoo.example", "slow.example", "block.example", "auth.example")
                       for qid in (first, second) for r in spoold.show(qid)["recipients"])
        harness.wait_until(settled, 60, "each recipient has an outcome, or waits for his host", every=0.2)
        harness.wait_until(lambda: all(self.health(spoold, n)["health"] == "waiting" for n in ("rate", "yahoo", "block", "auth")), 60,
                           "lanes that keep silence", every=0.2)

        for qid in (first, second):
            self.assertEqual(self.states(spoold, qid, "good"), {"delivered": 6})
            # Gmail: one mailbox gets too much. He waits half an hour, although the reply is 550; the others have theirs.
            self.assertEqual(self.states(spoold, qid, "busy"), {"delivered": 5, "deferred": 1})
            [him] = [r for r in self.of(spoold, qid, "busy") if r["state"] == "deferred"]
            self.assertEqual(him["last_reply"]["code"], 550)
            self.assertTrue(26 * 60 < seconds_until(him["next_attempt"]) < 34 * 60, him["next_attempt"])
            # Too many messages in this connection: at once on the next one.
            self.assertEqual(self.states(spoold, qid, "short"), {"delivered": 9})
            # Refused as spam: some copies were tried, the rest of the post failed without.
            self.assertEqual(self.states(spoold, qid, "spam"), {"failed": 60})
            self.assertEqual(self.states(spoold, qid, "yahoo").get("failed", 0), 0)
            self.assertEqual(self.states(spoold, qid, "rate").get("failed", 0), 0)
            self.assertEqual(self.states(spoold, qid, "slow").get("failed", 0), 0)
            self.assertEqual(self.states(spoold, qid, "same").get("failed", 0), 0)
        self.assertLess(len(self.commands("spam", "MAIL FROM")), 60)

        # Gmail's rate: ten minutes of silence. Yahoo's: two hours.
        self.assertTrue(8.5 * 60 < seconds_until(self.health(spoold, "rate")["until"]) < 11.5 * 60)
        self.assertTrue(105 * 60 < seconds_until(self.health(spoold, "yahoo")["until"]) < 135 * 60)
        self.assertLessEqual(len(self.commands("yahoo", "MAIL FROM")), 5)  # no more than the connections that were open
        # Microsoft's reputation: the lane is slow, one transaction a minute.
        self.assertEqual(self.health(spoold, "slow")["health"], "slow")
        # Gmail's same Message-ID: these posts wait at this lane, which is well: other mail goes.
        self.assertIn("deferred", self.states(spoold, first, "same"))
        self.assertEqual(self.health(spoold, "same")["health"], "up")
        spoold.post(to="other@same.example", sender="poster@example.net")
        other = spoold.last_id
        harness.wait_until(lambda: spoold.show(other)["recipients"][0]["state"] == "delivered", 30, "other mail to the same host")

        # We are refused (S3150, 5.7.515): held, with an alarm each. Of all copies few have failed, the rest waits for the operator.
        for name in ("block", "auth"):
            [alarm] = [line for line in spoold.lines("alarm") if f"to={self.hops[name].url}" in line]
            self.assertIn("rule=" + {"block": "microsoft-block", "auth": "authentication"}[name], alarm)
            failed = sum(self.states(spoold, qid, name).get("failed", 0) for qid in (first, second))
            self.assertLessEqual(failed, 4)
            self.assertTrue(26 * 60 < seconds_until(self.health(spoold, name)["until"]) < 34 * 60)
        self.assertEqual(spoold.ctl("stats")["lanes_held"], 2)
        self.assertEqual(spoold.ctl("bounces", harness.LIST), [], "a member's score moved")
        self.assertEqual(spoold.ctl("bounces", "more@lists.example"), [])

        # A restart forgets none of it; `wake` ends a silence.
        was = {name: self.health(spoold, name)["until"] for name in ("rate", "yahoo", "block")}
        spoold.kill()
        spoold.start()
        self.assertEqual({name: self.health(spoold, name)["until"] for name in was}, was)
        self.assertGreater(spoold.ctl("wake", self.hops["rate"].url)["recipients"], 0)
        harness.wait_until(lambda: self.health(spoold, "rate")["until"] != was["rate"], 30, "the lane looks again")
        spoold.check()

    def test_own_rows_are_asked_first_and_read_again(self):
        own = self.folder / "own.toml"
        own.write_text('[[reply]]\nrule = "ours-is-short"\ntext = ["unusual rate of mail"]\naction = "lane_wait"\nwait = "1s"\n')
        spoold = self.house(["once"], replies=str(own))
        spoold.post()
        harness.wait_until(lambda: not spoold.queue(), 60, "the lane goes on after a second", every=0.2)
        self.assertEqual(len(self.commands("once", "MAIL FROM")), 2)
        # A file with faults changes nothing, and all of them are named.
        own.write_text('[[reply]]\nrule = "a"\naction = "wait"\n[[reply]]\nrule = "b"\ncode = ["5x"]\naction = "ours"\nmxx = 1\n')
        done = spoold.run("list", "show", harness.LIST)
        self.assertEqual(done.returncode, 1)
        for place in ("own.toml:3:10: ", "own.toml:6:9: ", "own.toml:8:1: unknown key 'mxx' of a reply; did you mean 'mx'?"):
            self.assertIn(place, done.stdout + done.stderr)
        own.write_text('[[reply]]\nrule = "fails"\ntext = ["unusual rate of mail"]\naction = "score"\n')
        self.hops["once"].plan(at=["dot=550 5.7.1 unusual rate of mail"])
        spoold.process.send_signal(signal.SIGHUP)
        harness.wait_until(lambda: any("was read again" in line for line in spoold.lines("reload")), 20, "the new table")
        spoold.post()
        harness.wait_until(lambda: not spoold.queue(), 60, "the post has an outcome for each recipient", every=0.2)
        self.assertEqual({row["cause"] for row in spoold.ctl("bounces", harness.LIST)}, {"fails"})


if __name__ == "__main__":
    harness.main()
