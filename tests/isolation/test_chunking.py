# ctest: serial
"""Whole transactions in flight (RFC 3030 with RFC 2920), over sockets: what is refused, lost and in doubt in the midst of them."""
import pathlib
import time

import harness

SETTINGS = {"delivery": {"connections_per_destination": 1, "isolation_waits": ["100ms", "200ms", "400ms"]}}


class Chunking(harness.Case):
    def fan_out(self, peer, members):
        spoold = self.spoold(peer.url, settings=SETTINGS, name=peer.name + "-d")
        spoold.list(members=members, verp="always", bounce_guard="off")
        spoold.post()
        return spoold

    def delivered(self, peer):
        return harness.Judge(peer.log).deliveries()

    def chunks(self, judge):
        return [e for e in judge.events if e["e"] == "chunk"]

    def test_many_transactions_before_any_reply(self):
        members = harness.members(300, 1)
        peer = self.peer()
        spoold = self.fan_out(peer, members)
        harness.wait_until(lambda: len(self.delivered(peer)) == 300, 30, "everybody delivered")
        judge = peer.judge()
        self.assertEqual(set(judge.deliveries().values()), {1})
        self.assertEqual(len(self.chunks(judge)), 300)
        self.assertGreater(max(e["unanswered"] for e in self.chunks(judge)), 10, "transactions one by one")
        self.assertEqual(judge.commands(verb="DATA"), [])
        spoold.check()

    def test_dead_addresses_in_the_midst(self):
        """The server keeps the refused transaction open: the next copy must not go out under its sender."""
        members = harness.members(200, 1)
        dead = members[7::20]
        peer = self.peer("--bdat-keeps", plan={"rcpt": [f"{r}=550 5.1.1 no such user" for r in dead]})
        spoold = self.fan_out(peer, members)
        harness.wait_until(lambda: len(self.delivered(peer)) == len(members) - len(dead), 30, "everybody delivered")
        harness.wait_until(lambda: not spoold.queue(), 10, "an empty queue")
        judge = peer.judge()
        self.assertEqual(set(judge.deliveries().values()), {1})
        self.assertEqual(judge.drops, [])
        self.assertEqual([c for c in judge.commands(verb="MAIL") if c["reply"][0] != "2"], [])
        self.assertGreater(max(e["unanswered"] for e in self.chunks(judge)), 10, "refusals must not end the overlapping")
        for address, senders in judge.senders().items():
            self.assertEqual(senders, {f"test-bounces+{address.replace('@', '=')}@lists.example"})
        self.assertEqual(len(spoold.lines("failed")), len(dead))
        spoold.check()

    def test_cut_behind_a_content(self):
        """What was written whole and not answered is in doubt, by name; nobody else is, and nobody gets it twice."""
        members = harness.members(100, 1)
        for how in ("close", "rst", "fin"):
            peer = self.peer("--at", f"bdat:30@1={how}", name=how)
            spoold = self.fan_out(peer, members)
            doubtful = harness.wait_until(lambda: spoold.lines("indoubt"), 20, "somebody in doubt")
            named = {word[3:] for line in doubtful for word in line.split() if word.startswith("to=")}
            harness.wait_until(lambda: len(self.delivered(peer)) + len(named) >= len(members), 30, "the others delivered")
            judge = peer.judge()
            self.assertEqual(set(judge.deliveries().values()), {1})
            self.assertIn(judge.in_doubt[0]["rcpts"][0], named)
            self.assertLess(len(named), 33)
            rows = spoold.recipients(spoold.queue()[0]["id"])
            for address, row in rows.items():
                self.assertEqual((row["state"], row["attempts"]), ("deferred", 0) if address in named else ("delivered", 1), row)
                self.assertFalse(row.get("suspect"), row)
            spoold.check()
            self.daemons[-1].kill()

    def test_bdat_refused_as_a_command(self):
        """CHUNKING was offered by mistake: all goes by DATA then, and nothing was refused."""
        members = harness.members(30, 1)
        for reply in ("500 5.5.1 what?", "502 5.5.1 not here", "503 5.5.1 not now"):
            peer = self.peer("--at", f"bdat={reply}", name="p" + reply[:3])
            spoold = self.fan_out(peer, members)
            # 503 may have been a matter of order, and the BDAT behind it is taken: that one is in doubt.
            doubtful = 1 if reply.startswith("503") else 0
            harness.wait_until(lambda: len(self.delivered(peer)) == len(members) - doubtful, 30, "everybody delivered")
            harness.wait_until(lambda: len(spoold.queue()) == doubtful, 10, "an empty queue")
            self.assertEqual(len(spoold.lines("indoubt")), doubtful)
            self.assertEqual(set(peer.judge().deliveries().values()), {1})
            self.assertEqual(spoold.lines("failed"), [])
            self.daemons[-1].kill()

    def test_the_content_arrives_as_it_is(self):
        """With lines that begin with a dot, small and streamed in slices; by BDAT as they are, by DATA with dots stuffed."""
        for lines in (10, 40_000):
            got = {}
            for mode in ([], ["--no-chunking"]):
                folder = pathlib.Path(self.folder) / f"content{lines}{len(mode)}"
                folder.mkdir()
                peer = self.peer("--content", folder, *mode, name=f"p{lines}{len(mode)}")
                body = "".join(f".{'.' * (n % 3)} line {n} that begins with a dot\r\n" for n in range(lines))
                spoold = self.spoold(peer.url, settings=SETTINGS, name=peer.name + "-d")
                spoold.list(members=["anne@example.com", "bart@example.com"], verp="always")
                spoold.post(body=body, message_id="<dots@example.net>")
                harness.wait_until(lambda: len(self.delivered(peer)) == 2, 30, "two copies")
                time.sleep(0.1)
                judge = peer.judge()
                self.assertEqual(bool(self.chunks(judge)), not mode)
                texts = {pathlib.Path(m["file"]).read_bytes().partition(b"\r\n\r\n")[2] for m in judge.messages}
                self.assertEqual(len(texts), 1)
                got[len(mode)] = texts.pop()
                self.daemons[-1].kill()
            self.assertEqual(got[0].decode(), body)
            self.assertEqual(("\r\n" + body).replace("\r\n.", "\r\n..")[2:].encode(), got[1])  # as it was on the wire


if __name__ == "__main__":
    harness.main()
