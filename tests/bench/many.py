"""Many next hops at once (scripts/bench many-destinations)."""
import socket
import time

import harness
from bench import Bench, exactly_once, post


def anonymous(pid):
    """MiB of memory that no file backs (the store's map is shared with the page cache)."""
    with open(f"/proc/{pid}/status") as status:
        return int(next(line for line in status if line.startswith("RssAnon")).split()[1]) / 1024


def many_destinations(hops=5000, people=10, posts=20):
    """A queue that was filled while one next hop held the only connection; then a restart with everything alive."""
    port = harness.free_port()
    domains = [{"name": f"d{i}.example", "deliver_to": f"smtp://127.{1 + i // 62500}.{i // 250 % 250}.{1 + i % 250}:{port}"} for i in range(hops)]
    total = hops * people * posts
    with Bench() as bench:
        silent = socket.socket()
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")  # all of 127.0.0.0/8, and no more
        silent.bind(("0.0.0.0", port))
        silent.listen(1)
        spoold = bench.spoold("smtp://127.0.0.1:1", {"domain": domains, "delivery": {"max_connections": 1}})
        spoold.list(members=harness.members(hops * people, domains=hops), verp="never")
        for _ in range(posts):
            post(spoold.port, size=1000)
        queued = anonymous(spoold.process.pid)
        spoold.stop()
        silent.close()
        sink = bench.sink(listen=f"0.0.0.0:{port}")
        spoold.configure(delivery={"max_connections": 500})
        began = time.time()
        spoold.start()
        most = 0

        def all_there():
            nonlocal most
            most = max(most, anonymous(spoold.process.pid))
            return sink.summary()["recipients"] >= total
        harness.wait_until(all_there, 600, f"{total} recipients at the sink", every=0.2)
        seen = sink.summary()
        exactly_once(sink, total)
        harness.wait_until(lambda: not spoold.queue(), 60, "an empty queue")
        after = anonymous(spoold.process.pid)
        spoold.stop()
        return {"anonymous MiB queued": queued, "at most MiB": most, "after MiB": after, "restart to first delivery s": seen["first"] - began,
                "recipients/s": total / (seen["last"] - seen["first"]), "connections": seen["connections"]}
