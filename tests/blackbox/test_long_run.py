# ctest: slow serial
"""Many destinations of which some are dead and some hang up on somebody: the living ones finish as if they were alone.

LONG_RUN=recipients,destinations makes it larger (100000,1000 is the size of the acceptance bar)."""
import os

import harness

RECIPIENTS, HOPS = map(int, os.environ.get("LONG_RUN", "10000,200" if harness.SANITIZED else "40000,400").split(","))


def hop(i, port):
    return f"smtp://127.{1 + i // 62500}.{i // 250 % 250}.{1 + i % 250}:{port}"


class Test(harness.Case):
    def run_once(self, name, dead, hanging):
        """Seconds until the living ones have everything, and where; dead and hanging: sets of destinations."""
        port, closed = harness.free_port(), harness.free_port()
        culprits = [f"member{i:06d}@d{i}.example" for i in hanging]  # the first member of each
        peer = self.peer(*[word for c in culprits for word in ("--rcpt", c + "=fin")], listen="0.0.0.0:0", name=f"{name}-peer")
        sink = self.sink(listen=f"0.0.0.0:{port}", name=f"{name}-sink")
        hops = [{"name": f"d{i}.example", "deliver_to": hop(i, closed if i in dead else peer.port if i in hanging else port)} for i in range(HOPS)]
        spoold = self.spoold("smtp://127.0.0.1:1", {"domain": hops}, name=name)
        everybody = harness.members(RECIPIENTS, domains=HOPS)
        spoold.list(members=[m for i, m in enumerate(everybody) if name == "mixed" or i % HOPS not in dead | hanging], verp="never")
        living = [m for i, m in enumerate(everybody) if i % HOPS not in dead | hanging]
        began = harness.time.time()
        spoold.post()
        sink.wait(len(living), 300)
        took = sink.summary()["last"] - began
        return spoold, sink, peer, culprits, living, took

    def test_the_living_do_not_notice(self):
        dead = set(range(0, HOPS, 10))
        hanging = set(range(5, HOPS, 100))
        *_, alone = self.run_once("alone", dead, hanging)
        self.daemons[-1].stop()
        spoold, sink, peer, culprits, living, took = self.run_once("mixed", dead, hanging)
        print(f"{len(living)} recipients at {HOPS - len(dead) - len(hanging)} living destinations: {alone:.2f} s alone, {took:.2f} s beside "
              f"{len(dead)} dead ones and {len(hanging)} that hang up: ratio {took / alone:.2f}", flush=True)
        seen = sink.summary()
        self.assertEqual((seen["recipients"], seen["distinct_deliveries"], seen["duplicates"]), (len(living), len(living), 0))
        # Those that hang up take everybody but their culprit; the dead ones charge nobody.
        bystanders = sum(1 for i in range(RECIPIENTS) if i % HOPS in hanging) - len(culprits)
        copies = harness.wait_until(lambda: (c := peer.judge().deliveries()) and len(c) >= bystanders and c, 120, f"{bystanders} at the peer that hangs up", every=0.5)
        self.assertEqual((len(copies), set(copies.values())), (bystanders, {1}))
        qid = spoold.queue()[0]["id"]
        for address, recipient in spoold.recipients(qid).items():
            i = int(address[6:12])
            if i % HOPS in dead:
                self.assertEqual((recipient["state"], recipient["attempts"]), ("queued", 0), address)
            elif address in culprits:
                self.assertEqual(recipient["state"], "deferred", address)
            else:
                self.assertEqual(recipient["state"], "delivered", address)
        health = {row["destination"]: row["health"] for row in spoold.ctl("destinations")}
        self.assertEqual(sum(1 for h in health.values() if h == "waiting"), len(dead))
        spoold.check()


if __name__ == "__main__":
    harness.main()
