# ctest: slow
"""2007: a remote closed the connection on one RCPT, and the list manager put the whole message to sleep.

The acceptance bar of protocol/delivery/isolation.md over real sockets: culprits are drawn from seeds the daemon never sees; each scenario has a
next hop (domain) of its own; the peers' own logs are the judge.
"""
import random

import harness

N = 100
INNOCENT_ROUNDS = 30  # seconds until all innocents must be delivered


MODES = {"CHUNKING": [], "PIPELINING": ["--no-chunking"], "lock-step": ["--no-pipelining", "--no-chunking"]}

# As Postfix answers for one recipient: its status alone would speak of the host.
ACTIONS = {"421 named": "421:4.7.0 <{}>: Recipient address rejected: go away"}


class Scenario:
    def __init__(self, case, number, k, how, mode, verp, seed, replies="group"):
        self.number, self.k, self.how, self.verp = number, k, how, verp
        # A server that is only slow takes the content that stood behind its RCPT: then nobody can know who has a copy.
        self.may_doubt = how == "mute" and verp and mode == "CHUNKING"
        self.name = f"s{number}: k={k} {how} {mode} {'VERP' if verp else 'bulk'} replies={replies} seed={seed}"
        # where even the reply to MAIL is lost, the first drop is ambiguous and costs one connection more (isolation.md section 2)
        self.spare = 1 if replies == "lose" else 0
        self.domain = f"s{number}.example"
        self.list = f"l{number}@lists.example"
        rng = random.Random(seed)
        self.members = [f"m{i:03d}@{self.domain}" for i in range(N)]
        self.culprits = set(rng.sample(self.members, k))
        options = ["--replies", replies] + MODES[mode]
        self.peer = case.peer(*options, name=f"s{number}", plan={"rcpt": [f"{c}={ACTIONS.get(how, how).format(c)}" for c in self.culprits]})

    def done(self):
        judge = harness.Judge(self.peer.log)
        return len([r for r in judge.deliveries() if r not in self.culprits]) == N - self.k

    def verdict(self, rows, named):
        """What went wrong, as text; nothing when the bar is met. `rows`: spoolctl's recipients of the post; `named`: in doubt, by the log."""
        judge, wrong = self.peer.judge(), []
        delivered = judge.deliveries()
        innocents = set(self.members) - self.culprits
        missing = innocents - set(delivered)
        if missing:
            wrong.append(f"{len(missing)} innocents not delivered, such as {sorted(missing)[0]}")
        doubtful = named if self.may_doubt else set()
        twice = [r for r, n in delivered.items() if n > 1 + (r in doubtful)]
        if twice or judge.in_doubt:
            wrong.append(f"delivered twice: {twice[:3]}; in doubt: {len(judge.in_doubt)}")
        if set(delivered) & self.culprits - doubtful:
            wrong.append(f"a culprit was delivered: {sorted(set(delivered) & self.culprits - doubtful)}")
        last_innocent = max((e["t"] for e in judge.messages), default=0)
        until_then = [e for e in judge.events if e["t"] <= last_innocent]
        connections = len({e["c"] for e in until_then if e["e"] == "cmd" and e["line"][:4].upper() == "MAIL"})
        if not self.verp and connections > self.k + 2 + self.spare:
            wrong.append(f"{connections} connections until the last innocent, more than {self.k + 2 + self.spare}")
        if self.verp and len({e["c"] for e in until_then if e["e"] == "close" and e["by"] == "us" and e.get("how") != "quit"}) > 2 * self.k:
            wrong.append("more drops than culprits explain")
        if not self.verp and self.k == 1 and connections > 3 + self.spare:
            wrong.append(f"{connections} connections for one culprit")
        for address, row in rows.items():
            if address in doubtful:  # an innocent of ten minutes' patience
                if (row["state"], row["attempts"], row.get("possible_duplicate"), row.get("suspect")) != ("deferred", 0, True, None):
                    wrong.append(f"in doubt {address}: {row}")
            elif address in innocents and (row["state"] != "delivered" or row["attempts"] > 1 or row.get("suspect")):
                wrong.append(f"innocent {address}: {row}")
                break
            if address in self.culprits - doubtful:
                if row["state"] != "deferred":
                    wrong.append(f"culprit {address} is {row['state']}")
                elif "RCPT" not in str((row.get("last_reply") or {}).get("stage")) + str((row.get("suspect") or {}).get("stage")):
                    wrong.append(f"the stage is missing: {row}")
        if judge.violations:
            wrong.append(f"pipelined to a peer that does not offer it: {judge.violations[0]}")
        return wrong


class Isolation(harness.Case):
    def run_scenarios(self, scenarios):
        # A peer is slow on a busy machine: only where silence is the matter may it count as silent soon.
        silence = "2s" if any(s.how == "mute" for s in scenarios) else "60s"
        spoold = self.spoold(f"smtp://127.0.0.1:{harness.free_port()}", name=f"spoold{scenarios[0].number}", settings={
            "domain": [{"name": s.domain, "deliver_to": s.peer.url} for s in scenarios],
            # So long that no culprit has his second try before the last innocent, also on a busy machine: it would be a connection more.
            "delivery": {"isolation_waits": [f"{n * harness.SLOW}s" for n in (5, 10, 20)],
                         "timeouts": {"rcpt": silence, "mail": silence, "data": silence, "dot": "60s"}}})
        for s in scenarios:
            spoold.list(s.list, s.members, verp="always" if s.verp else "never")
        for s in scenarios:
            spoold.post(s.list)
        ids = {m["list"]: m["id"] for m in spoold.ctl("queue")}
        try:
            harness.wait_until(lambda: all(s.done() for s in scenarios), INNOCENT_ROUNDS, "all innocents delivered", every=0.2)
        except AssertionError:
            pass  # the verdicts say more
        wrong = []
        for s in scenarios:
            if s.k == 0:
                rows = {}
            else:
                self.assertIn(s.list, ids, s.name + ": a message with a culprit must still be queued")
                # Parked ones stay in hand until their connection has nothing else to do.
                def settled(s=s):
                    rows = spoold.recipients(ids[s.list])
                    return rows if all(rows[c]["state"] == "deferred" for c in s.culprits) else None
                try:
                    rows = harness.wait_until(settled, 60, "culprits deferred", every=0.3)
                except AssertionError:
                    rows = spoold.recipients(ids[s.list])
            named = {word[3:] for line in spoold.lines("indoubt") for word in line.split() if word.startswith("to=")}
            wrong += [f"{s.name}: {what}" for what in s.verdict(rows, named)]
        spoold.check()
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def matrix(self, how):
        scenarios, number = [], 0
        for k in (0, 1, 2, 3, 10):
            for mode in MODES:
                for verp in (False, True):
                    number += 1
                    scenarios.append(Scenario(self, number, k, how, mode, verp, seed=f"{how}{number}"))
        self.run_scenarios(scenarios)

    def test_fin(self):
        self.matrix("fin")

    def test_rst(self):
        self.matrix("rst")

    def test_421(self):
        self.matrix("421")

    def test_421_that_names_its_recipient(self):
        self.matrix("421 named")

    def test_close(self):
        self.matrix("close")

    def test_silence(self):
        self.matrix("mute")

    def test_replies_held_back(self):
        scenarios = [Scenario(self, 10 * n + k, k, how, "PIPELINING", False, f"{n}{k}{how}", replies=replies)
                     for n, (replies, how) in enumerate([("late", "fin"), ("each", "close"), ("lose", "fin"), ("lose", "rst")]) for k in (1, 3)]
        self.run_scenarios(scenarios)

    def test_seeds(self):
        """Bulk and VERP, one to three culprits at random places, in many drawings."""
        for start in range(0, 100, 20):
            with self.subTest(seeds=f"{start}-{start + 19}"):
                hows = ["fin", "rst", "421", "close"]
                self.run_scenarios([Scenario(self, 1000 + seed, 1 + seed % 3, hows[seed // 3 % 4], list(MODES)[seed % 5 % 3], seed % 2 == 1, seed)
                                    for seed in range(start, start + 20)])
                for daemon in self.daemons:
                    daemon.kill()
                self.end_programs()


class TheOperator(harness.Case):
    def test_the_one_address_can_be_taken_out(self):
        """What the operator could not do in 2007."""
        peer = self.peer("--rcpt", "dirk@example.com=close")
        spoold = self.spoold(peer.url)
        spoold.list(members=["anne@example.com", "bart@example.com", "cris@example.com", "dirk@example.com"], verp="never")
        post = spoold.post()
        harness.wait_until(lambda: len(harness.Judge(peer.log).deliveries()) == 3, 20, "three copies")
        [message] = spoold.queue()
        spoold.ctl("edit-recipients", message["id"], "--remove", "dirk@example.com")
        harness.wait_until(lambda: not spoold.queue(), 5, "an empty queue")
        harness.time.sleep(1.5)  # beyond the first retries: nothing comes
        judge = peer.judge()
        self.assertEqual(dict(judge.deliveries(post)), {f"{n}@example.com": 1 for n in ("anne", "bart", "cris")})
        spoold.check()

    def test_replies_heard_before_the_drop_are_kept(self):
        """I1: a 5xx that was answered before the connection broke is that recipient's outcome."""
        peer = self.peer("--rcpt", "a1@example.com=550 5.1.1 no such user", "--rcpt", "a5@example.com=rst")
        spoold = self.spoold(peer.url)
        spoold.list(members=[f"a{i}@example.com" for i in range(10)], verp="never")
        spoold.post()
        harness.wait_until(lambda: len(harness.Judge(peer.log).deliveries()) == 8, 20, "eight copies")
        rows = harness.wait_until(lambda: (r := spoold.recipients(spoold.queue()[0]["id"])) and r["a1@example.com"]["state"] == "failed" and r, 5, "a1 failed")
        self.assertEqual(rows["a1@example.com"]["last_reply"]["code"], 550)
        self.assertEqual(peer.judge().rcpt_tries()["a1@example.com"], 1)


if __name__ == "__main__":
    harness.main()
