"""One of a hundred recipients kills the connection at its RCPT (scripts/bench hangup): what becomes of the other 99,
and how soon."""
import time

import harness
from bench import Bench, post, post_to_all
from table import SPOOLD, Budget, Row

EVERYBODY = harness.members(100, domains=1)
KILLER = EVERYBODY[50]


def outcome(bench, start, patience):
    """`patience`: seconds without another delivery after which nothing more is expected; retries of five minutes are not."""
    peer = harness.Peer(bench.folder, "--rcpt", f"{KILLER}=fin", "--no-chunking")
    bench.callback(lambda: peer.process.poll() is None and peer.stop())
    start(peer.port)
    began = last = time.time()
    seen = 0
    while seen < 99 and time.time() - last < patience:
        judge = peer.judge()
        if len(judge.deliveries()) > seen:
            seen, last = len(judge.deliveries()), time.time()
    judge = peer.judge()
    if not judge.drops:
        raise SystemExit("the connection was never dropped: nothing was measured")
    return {"delivered of 99": len(judge.deliveries()), "twice": len(judge.duplicates()), "ms": (last - began) * 1000,
            "connections": max((m["c"] for m in judge.messages), default=judge.connections)}


def spoold():
    with Bench() as bench:
        def start(port):
            daemon = bench.spoold(f"smtp://127.0.0.1:{port}", {"delivery": {"isolation_waits": ["5s", "30s", "2m"]}})
            daemon.list(members=EVERYBODY, verp="never")
            post(daemon.port)
        return outcome(bench, start, 20)


def postfix():
    with Bench() as bench:
        return outcome(bench, lambda port: post_to_all(bench.postfix(port).port, EVERYBODY), 5)


def exim():
    with Bench() as bench:
        return outcome(bench, lambda port: post_to_all(bench.exim(port).port, EVERYBODY), 5)


ROWS = {"hangup": Row("one of 100 recipients of a message kills the connection at its RCPT; up to 5 s after the last delivery",
                      {SPOOLD: spoold, "Postfix": postfix, "Exim": exim}, [Budget("delivered of 99", least=99), Budget("twice", most=0), Budget("connections", most=3)])}
