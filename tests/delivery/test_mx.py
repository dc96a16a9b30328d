# ctest: slow
"""Delivery by MX: knot answers, scripted peers on loopback addresses take the mail."""
import socket
import time

import harness
from peers.knot import Knot


class Test(harness.Case):
    def house(self, zones, settings=None, signed=None, broken=(), anchors_but=(), **more):
        self.dns = Knot(self.folder, zones, signed, broken)
        self.addCleanup(self.dns.stop)
        anchor = self.dns.anchors(anchors_but) if signed else "none"
        return self.spoold(settings=harness.merge({
            "resolver": {"forward": [self.dns.address], "trust_anchor": anchor},
            "destination": [{"match": "mx:*", "port": self.port}]}, settings or {}), **more)

    def setUp(self):
        super().setUp()
        self.port = harness.free_port()

    def peer_at(self, last, *options):
        return self.peer(*options, listen=f"127.0.0.{last}:{self.port}", name=f"peer{last}")

    def outcome(self, spoold, address, states=("delivered", "failed", "expired"), seconds=20):
        """The row of `show` of a recipient of the last message, once it is in one of these states."""
        def row():
            one = spoold.recipients(spoold.last_id)[address]
            return one if one["state"] in states else None
        try:
            return harness.wait_until(row, seconds, f"{address} is {states}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{spoold.tail()}") from None

    def test_routes_and_verdicts(self):
        first, second = self.peer_at(2), self.peer_at(3)
        spoold = self.house({
            "x.test": f"@ MX 20 mx2\n@ MX 10 mx1\nmx1 A 127.0.0.2\nmx2 A 127.0.0.3\nimplicit A 127.0.0.3\nalias CNAME x.test.\n"
                      "null MX 0 .\nnull A 127.0.0.2\nnothing TXT no\nhostless MX 10 nowhere\nloop MX 5 mx.lists.example.\nloop MX 10 mx1\n"
                      "later MX 10 mx1\nlater MX 20 mx.lists.example.\ndown MX 10 dead\ndown MX 20 mx2\ndead A 127.0.0.4\n"
                      "\\_odd A 127.0.0.2\nodd MX 10 \\_odd\n"},
            broken=["fail.test"], settings={"delivery": {"retry": ["1h"]}, "destination": [
                {"match": "mx:*", "port": self.port}, {"match": "implicit.x.test", "port": self.port}, {"match": "127.0.0.3", "port": self.port}]})
        anywhere = ["a@x.test", "b@X.Test", "i@implicit.x.test", "c@alias.x.test", "n@null.x.test", "t@nothing.x.test", "h@hostless.x.test",
                    "f@gone.x.test", "l@loop.x.test", "m@later.x.test", "d@down.x.test", "o@odd.x.test", "e@fail.test", "v@[127.0.0.3]"]
        post = spoold.post("a@x.test", rcpts=anywhere)
        rows = {a: self.outcome(spoold, a) for a in anywhere if a not in ("b@X.Test", "e@fail.test")}
        for a in ("a@x.test", "c@alias.x.test", "m@later.x.test", "o@odd.x.test"):
            self.assertEqual(rows[a]["state"], "delivered", rows[a])
            self.assertIn(f"[127.0.0.2]:{self.port}", rows[a]["last_reply"]["remote"])
        for a in ("i@implicit.x.test", "d@down.x.test", "v@[127.0.0.3]"):
            self.assertEqual(rows[a]["state"], "delivered", rows[a])
            self.assertIn(f"[127.0.0.3]:{self.port}", rows[a]["last_reply"]["remote"])
        for a, status in (("n@null.x.test", "5.1.10"), ("t@nothing.x.test", "5.1.2"), ("h@hostless.x.test", "5.4.4"), ("f@gone.x.test", "5.1.2"),
                          ("l@loop.x.test", "5.4.6")):
            self.assertEqual((rows[a]["state"], rows[a]["last_reply"]["enhanced"], rows[a]["last_reply"]["stage"]), ("failed", status, "DNS"), rows[a])
            self.assertTrue(rows[a]["last_reply"]["text"].startswith("DNS: "))
        fail = spoold.recipients(spoold.last_id)["e@fail.test"]
        self.assertEqual((fail["state"], fail["attempts"]), ("queued", 0), "SERVFAIL moves the host's clock, nobody's")
        self.assertTrue([x for x in spoold.lines("unreachable") if "relay=fail.test" in x and "4.4.3" in x])
        self.assertEqual(first.judge().deliveries(post)["a@x.test"], 1)
        self.assertEqual(second.judge().deliveries(post)["d@down.x.test"], 1)
        self.assertEqual({m["sender"] for m in first.judge().messages}, {"poster@example.net"})
        for message in first.judge().messages:
            self.assertEqual(len({r.split("@")[1].lower() for r in message["rcpts"]}), 1, "one domain a transaction")
        spoold.check()

    def test_a_domain_whose_hosts_all_take_no_mail(self):
        """RFC 7504: 521 of every MX host is final; any other word of one of them, and the domain is tried again."""
        domains = ("x", "single", "y", "z", "dead", "partly")  # no two of them with the same hosts: groups of their own
        first = self.peer_at(2, "--at", "banner=521 mx1.x.test does not accept mail")
        second = self.peer_at(3, "--at", "banner=521 5.3.2 nor does mx2.x.test")
        other, good = self.peer_at(4, "--at", "banner=554 5.3.2 not here"), self.peer_at(5)
        spoold = self.house({
            "x.test": "@ MX 10 mx1\n@ MX 20 mx2\nmx1 A 127.0.0.2\nmx2 A 127.0.0.3\nmx3 A 127.0.0.4\nmx4 A 127.0.0.5\nmx5 A 127.0.0.6\n",
            "single.test": "@ MX 10 mx1.x.test.\n", "y.test": "@ MX 10 mx1.x.test.\n@ MX 20 mx3.x.test.\n",
            "z.test": "@ MX 10 mx1.x.test.\n@ MX 20 mx4.x.test.\n", "dead.test": "@ MX 10 mx1.x.test.\n@ MX 20 mx5.x.test.\n",
            "partly.test": "@ MX 10 mx2.x.test.\n@ MX 20 mx.fail.test.\n"}, broken=["fail.test"], settings={
                "delivery": {"retry": ["1h"]}, "destination": [{"match": f"{d}.test", "port": self.port} for d in domains]})
        spoold.post("a@x.test", rcpts=[f"a@{d}.test" for d in domains])
        for address, text in (("a@x.test", "nor does mx2.x.test"), ("a@single.test", "mx1.x.test does not accept mail")):
            row = self.outcome(spoold, address)
            last = row["last_reply"]
            self.assertEqual((row["state"], last["code"], last["enhanced"], last["text"], last["stage"]), ("failed", 521, "5.3.2", text, "GREETING"), row)
        self.assertEqual(self.outcome(spoold, "a@z.test")["state"], "delivered")
        self.assertEqual(good.judge().deliveries()["a@z.test"], 1)
        waits = {"y.test", "dead.test", "partly.test"}
        harness.wait_until(lambda: {r["destination"] for r in spoold.ctl("destinations") if r["health"] == "waiting"} == waits, 30, "the others wait")
        rows = spoold.recipients(spoold.last_id)
        for domain in ("y", "dead", "partly"):
            self.assertEqual((rows[f"a@{domain}.test"]["state"], rows[f"a@{domain}.test"]["attempts"]), ("queued", 0))
        self.assertEqual([peer.judge().connections for peer in (first, second, other)], [5, 2, 1], "each host is asked once for each of its domains")

    def test_lanes_that_wait_for_a_probe_learn_that_it_was_answered_521(self):
        """Domains with the same hosts, which were down and now take no mail."""
        down = self.peer_at(2, "--at", "banner=421 4.3.2 not now")
        spoold = self.hoster(retry=["1h"])
        spoold.post("a@v0.hosted.test", rcpts=[f"a@{d}" for d in self.VANITY])
        harness.wait_until(lambda: len([r for r in spoold.ctl("destinations") if r["health"] == "waiting"]) == 50, 60, "all wait for the host")
        down.stop()
        self.peer("--at", "banner=521 no mail here", listen=f"127.0.0.2:{self.port}", name="no-mail")
        spoold.ctl("wake", "*")
        for address, row in harness.wait_until(lambda: (lambda rows: rows if all(r["state"] == "failed" for r in rows.values()) else None)(
                spoold.recipients(spoold.last_id)), 40, "all have failed").items():
            self.assertEqual(row["last_reply"]["enhanced"], "5.3.2", address)

    def test_retry_of_a_message_clears_the_clocks_of_its_own_hosts_only(self):
        peers = {"x": self.peer_at(2, "--at", "banner=421 4.3.2 not now"), "y": self.peer_at(3, "--at", "banner=421 4.3.2 not now")}
        spoold = self.house({"x.test": "@ MX 10 mx1\nmx1 A 127.0.0.2\n", "y.test": "@ MX 10 mx1\nmx1 A 127.0.0.3\n"}, settings={
            "delivery": {"retry": ["1h"]}, "destination": [{"match": f"{d}.test", "port": self.port} for d in peers]})

        def until():
            """When each host may be asked again, once both wait."""
            rows = {r["destination"]: r["until"] for r in spoold.ctl("destinations") if r["health"] == "waiting" and r["until"]}
            return rows if len(rows) == 2 else None
        spoold.post("a@y.test")
        spoold.post("a@x.test")
        def asked():
            return {name: peer.judge().connections for name, peer in peers.items()}
        before = harness.wait_until(lambda: min(asked().values()) > 0 and until(), 120, "both hosts were asked, and wait")
        counts = asked()
        spoold.ctl("retry", spoold.last_id)
        after = harness.wait_until(lambda: asked()["x"] > counts["x"] and until(), 30, "its host was asked again, and waits again")
        self.assertEqual(asked()["y"], counts["y"])
        self.assertEqual(after["y.test"], before["y.test"])
        self.assertNotEqual(after["x.test"], before["x.test"])

    def test_dnssec(self):
        good = self.peer_at(2)
        zone = "@ MX 10 mx1\nmx1 A 127.0.0.2\n"
        spoold = self.house({"plain.test": zone}, signed={"secure.test": zone, "bogus.test": zone}, anchors_but=["bogus.test"],
                            settings={"delivery": {"retry": ["1h"]}})
        spoold.post("a@secure.test", rcpts=["a@secure.test", "b@plain.test", "c@bogus.test"])
        for address in ("a@secure.test", "b@plain.test"):
            self.assertEqual(self.outcome(spoold, address)["state"], "delivered")
        said = harness.wait_until(lambda: [x for x in spoold.lines("unreachable") if "relay=bogus.test" in x], 30, "bogus.test is said to be bogus")
        self.assertIn("stage=DNS", said[0])
        self.assertIn("4.7.0 DNS: the signature of MX of bogus.test is not valid (DNSSEC)", said[0])
        self.assertEqual(spoold.recipients(spoold.last_id)["c@bogus.test"]["state"], "queued")
        self.assertEqual(set(good.judge().deliveries()), {"a@secure.test", "b@plain.test"})

    def test_name_servers_that_never_answer(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
            mute.bind(("127.0.0.1", 0))
            spoold = self.spoold(settings={"resolver": {"forward": [f"127.0.0.1:{mute.getsockname()[1]}"], "trust_anchor": "none"}})
            began = time.monotonic()
            spoold.post("a@silent.test")
            said = harness.wait_until(lambda: spoold.lines("unreachable"), 90, "event=unreachable")
            print(f"given up after {time.monotonic() - began:.1f} s: {said[0]}")
            self.assertIn("4.4.3 DNS: MX of silent.test", said[0])
            self.assertEqual(spoold.recipients(spoold.last_id)["a@silent.test"]["state"], "queued")
            began = time.monotonic()
            spoold.post("a@silent2.test")
            self.assertEqual(spoold.stop(), 0)
            self.assertLess(time.monotonic() - began, 6 * harness.SLOW, "a lookup does not hold up the end")

    def test_next_hops_are_tried_in_order(self):
        refusing = self.peer("--at", "banner=554 5.3.2 not here", name="refusing")
        busy = self.peer("--at", "banner=421 4.3.2 not now", name="busy")
        good = self.peer(name="good")
        dead = f"smtp://127.0.0.1:{harness.free_port()}"
        spoold = self.spoold(settings={"relay": {"smarthost": [dead, refusing.url, busy.url, good.url]}})
        spoold.post("a@x.test")
        row = self.outcome(spoold, "a@x.test")
        self.assertEqual(row["state"], "delivered")
        self.assertIn(good.address.rsplit(":", 1)[1], row["last_reply"]["remote"])
        self.assertEqual((refusing.judge().connections, busy.judge().connections), (1, 1))
        self.assertEqual(spoold.lines("unreachable"), [])

    def test_names_of_next_hops_and_of_the_hosts_file(self):
        sink = self.peer(name="named")
        spoold = self.spoold(settings={"relay": {"smarthost": f"smtp://localhost:{sink.port}"}, "resolver": {"forward": [
            f"127.0.0.1:{harness.free_port()}"], "trust_anchor": "none"}})
        spoold.post("a@x.test")
        self.assertEqual(self.outcome(spoold, "a@x.test")["state"], "delivered")

    def test_source_addresses_in_turn(self):
        """Two domains, so two connections; the host's IPv6 address is not tried: no source of that family."""
        here = {"x.test": "@ MX 10 mx1\nmx1 A 127.0.0.3\nmx1 AAAA ::1\n", "y.test": "@ MX 10 mx1.x.test.\n"}
        spoold = self.house(here, settings={"delivery": {"source": ["127.0.0.11", "127.0.0.12"]}})
        with socket.create_server(("127.0.0.3", self.port)) as server:
            server.settimeout(20 * harness.SLOW)
            spoold.post("a@x.test", rcpts=["a@x.test", "a@y.test"])
            connections = [server.accept() for _ in range(2)]
            self.assertEqual({remote[0] for _, remote in connections}, {"127.0.0.11", "127.0.0.12"})
            for connection, _ in connections:
                connection.close()

    def most_open(self, peer, spoold, domains):
        """Posts to one recipient of each domain; how many connections were open at once till all had theirs."""
        spoold.post(f"a@{domains[0]}", rcpts=[f"a@{d}" for d in domains])
        harness.wait_until(lambda: len(peer.judge().deliveries()) == len(domains), 60, "all are delivered")
        open_ = most = 0
        for event in peer.judge().events:
            open_ += {"connect": 1, "close": -1}.get(event["e"], 0)
            most = max(most, open_)
        return most

    def test_a_group_shares_its_connections(self):
        peer = self.peer_at(2, "--at", "mail=stall:0.3")
        domains = [f"d{i}.test" for i in range(12)]
        spoold = self.house({d: "@ MX 10 mx.host.d0.test.\n" + ("mx.host A 127.0.0.2\n" if d == "d0.test" else "") for d in domains},
                            settings={"server": {"threads": 2}, "destination": [{"match": "mx:*.d0.test", "connections": 2, "port": self.port}]})
        self.assertEqual(self.most_open(peer, spoold, domains), 2)

    VANITY = [f"v{i}.hosted.test" for i in range(50)]

    def hoster(self, *destinations, **delivery):
        """Fifty vanity domains with the same two MX hosts; in no pattern unless it is given."""
        zone = "mx1 A 127.0.0.2\nmx2 A 127.0.0.2\n" + "".join(
            f"v{i} MX {10 + 10 * (i % 2)} mx1\nv{i} MX {20 - 10 * (i % 2)} mx2\n" for i in range(50))
        return self.house({"hosted.test": zone}, settings={
            "server": {"threads": 2}, "delivery": delivery,
            "destination": list(destinations) or [{"match": d, "port": self.port} for d in self.VANITY]})

    def test_domains_with_the_same_mx_hosts_share_their_connections(self):
        """The connections of one destination; whoever waits for one is called, not kept waiting by an idle one."""
        peer = self.peer_at(2, "--at", "mail=stall:0.1")
        spoold = self.hoster(connections_per_destination=3)
        began = time.monotonic()
        self.assertEqual(self.most_open(peer, spoold, self.VANITY), 3)
        self.assertLess(time.monotonic() - began, 15 * harness.SLOW)

    def test_a_host_that_is_down_is_probed_by_one_domain_for_all(self):
        """Fifty domains; what counts is how often the host was bothered."""
        down = self.peer_at(2, "--at", "banner=421 4.3.2 not now")
        spoold = self.hoster(retry=["1h"])
        spoold.post("a@v0.hosted.test", rcpts=[f"a@{d}" for d in self.VANITY])

        def waiting():
            rows = [r for r in spoold.ctl("destinations") if r["destination"] in self.VANITY and r["health"] == "waiting" and r["until"]]
            return rows if len(rows) == 50 else None
        rows = harness.wait_until(waiting, 60, "all wait for the host")
        first = down.judge().connections
        self.assertLessEqual(first, 10, "five at once before anything is known, each to both of its hosts")
        self.assertEqual({r["group"] for r in rows}, {"mx:mx1.hosted.test,mx2.hosted.test"})
        self.assertTrue([r for r in rows if "421 4.3.2 not now" in (r["last_error"] or "")], "others wait for their turn")
        for row in spoold.recipients(spoold.last_id).values():
            self.assertEqual((row["state"], row["attempts"]), ("queued", 0))

        spoold.ctl("wake", "*")
        harness.wait_until(lambda: down.judge().connections > first and waiting(), 60, "one has probed, and all wait again")
        self.assertLessEqual(down.judge().connections, first + 4, "one probe for each thread at most, of two hosts")

        down.stop()
        good = self.peer("--at", "mail=stall:0.1", listen=f"127.0.0.2:{self.port}", name="repaired")
        spoold.ctl("wake", "*")
        harness.wait_until(lambda: len(good.judge().deliveries()) == 50, 100, "all are delivered, at the latest when the host's time has come")
        self.assertEqual(set(good.judge().deliveries().values()), {1})
        spoold.check()

    def test_a_hoster_that_takes_two_connections_has_two(self):
        peer = self.peer_at(2, "--max-connections", "2", "--at", "mail=stall:0.1")
        spoold = self.hoster()
        spoold.post("a@v0.hosted.test", rcpts=[f"a@{d}" for d in self.VANITY])
        harness.wait_until(lambda: len(peer.judge().deliveries()) >= 40, 60, "most are delivered")
        judge = peer.judge()
        self.assertLessEqual(judge.connections - len(judge.deliveries()), 12, "few were refused")

    def test_a_hoster_far_away_that_takes_two_connections_stops_nobody_for_a_minute(self):
        """The refusals of three arrive before the other two connections have said EHLO: they were too many, it is no fault of the hosts."""
        peer = self.peer_at(2, "--max-connections", "2", "--at", "ehlo=stall:0.5")
        spoold = self.hoster()
        began = time.monotonic()
        spoold.post("a@v0.hosted.test", rcpts=[f"a@{d}" for d in self.VANITY])
        harness.wait_until(lambda: len(peer.judge().deliveries()) >= 40, 60, "most are delivered")
        self.assertLess(time.monotonic() - began, 15 * harness.SLOW)  # it was over three minutes
        spoold.check()

    def test_a_rate_of_mx_hosts_holds_for_all_their_domains_together(self):
        peer = self.peer_at(2)
        spoold = self.hoster({"match": "mx:*.hosted.test", "port": self.port, "rate": "10/s"})
        spoold.post("a@v0.hosted.test", rcpts=[f"a@{d}" for d in self.VANITY])
        harness.wait_until(lambda: len(peer.judge().deliveries()) == 50, 60, "all are delivered")
        times = [m["t"] for m in peer.judge().events if m["e"] == "message"]
        self.assertGreater(max(times) - min(times), 3.5)
        for i, t in enumerate(times[22:]):
            self.assertGreater(t - times[i], 1.0, "never more than a second's worth and a second's bucket in a second")

    def test_expiry_of_a_domain_that_never_answers(self):
        spoold = self.house({"x.test": "@ MX 10 mx1\nmx1 A 127.0.0.9\n"}, settings={"delivery": {"lifetime": "2s", "retry": ["1s"]}})
        spoold.post("a@x.test")
        harness.wait_until(lambda: spoold.lines("unreachable"), 10, "the host is down")
        time.sleep(2.5)
        spoold.ctl("retry", spoold.last_id)
        row = self.outcome(spoold, "a@x.test")
        self.assertEqual((row["state"], row["last_reply"]["stage"]), ("expired", "CONNECT"))


if __name__ == "__main__":
    harness.main()
