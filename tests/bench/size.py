"""Rows of size: what spoold costs at rest, with a million recipients, over many next hops; and how little one list disturbs
the others."""
import contextlib
import pathlib
import socket
import statistics
import subprocess
import threading
import time

import harness
from bench import BOUNCES, LOADER, Bench, Cost, exactly_once, family, load, memory, post, written
from table import SPOOLD, Budget, Row

LARGE = {"spool": {"max_size": "16GiB"}}


def waiting(port, connections):
    """Connections that have said EHLO."""
    opened = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    for one in opened:
        one.recv(200)
        one.sendall(b"EHLO bench.example\r\n")
    for one in opened:
        one.recv(500)
    return opened


def idle(connections=2000):
    with Bench() as bench:
        spoold = bench.spoold(f"smtp://127.0.0.1:{harness.free_port()}", {"smtp": {"max_connections": connections + 10, "max_connections_per_host": connections + 10}})
        pid = spoold.process.pid
        alone, all_of_it = memory(pid), memory(pid, "VmRSS")
        opened = waiting(spoold.port, connections)
        with_them = memory(pid)
        for one in opened:
            one.close()
        time.sleep(1)
        return {"MB idle": all_of_it, "own MB": alone, "KB a connection": (with_them - alone) * 1024 / connections, "own MB when they left": memory(pid)}


def idle_postfix(connections=90):
    def pss(pid):
        total = 0
        for one in family(pid):
            with contextlib.suppress(OSError):
                total += int(pathlib.Path(f"/proc/{one}/smaps_rollup").read_text().split("Pss:")[1].split()[0])
        return total / 1024

    with Bench() as bench:
        postfix = bench.postfix(harness.free_port())
        alone = pss(postfix.pid)
        opened = waiting(postfix.port, connections)
        with_them = pss(postfix.pid)
        for one in opened:
            one.close()
        return {"MB idle": alone, "KB a connection": (with_them - alone) * 1024 / connections}


def edit(people=100000):
    """Process start included."""
    with Bench() as bench:
        spoold = bench.spoold(f"smtp://127.0.0.1:{harness.free_port()}")
        everybody = harness.members(people, domains=100)
        spoold.list(members=everybody)
        post(spoold.port)
        [message] = spoold.queue()
        took = []
        for address in everybody[500:people:people // 9]:
            began = time.perf_counter()
            done = spoold.run("edit-recipients", message["id"], "--remove", address)
            took.append((time.perf_counter() - began) * 1000)
            if done.returncode != 0:
                raise SystemExit(f"edit-recipients: {done.stderr}")
        return {"edit ms": statistics.median(took), "slowest ms": max(took)}


def million(people=1000000):
    """What others feel of its expansion, memory, and its delivery after a restart."""
    with Bench() as bench:
        dead = f"127.0.0.1:{harness.free_port()}"
        spoold = bench.spoold("smtp://" + dead, LARGE)
        spoold.list(members=harness.members(people, domains=1000))
        others = {}
        beside = threading.Thread(target=lambda: others.update(load("--to", spoold.address, "--messages", 2000, "--pipelining")))
        beside.start()
        time.sleep(0.2)
        took = post(spoold.port)[1]
        beside.join()
        queued = memory(spoold.process.pid)
        spoold.stop(60)
        sink = bench.sink(listen=dead, verp=BOUNCES)
        spoold.start()
        cost = Cost(bench.folder, spoold.process.pid)
        wrote = disk(spoold)
        began = time.time()
        spoold.ctl("wake", "relay")  # it was down: without this its clock waits up to a minute
        sink.wait(people + 2000, 600)
        seen = exactly_once(sink, people + 2000)
        wrote = disk(spoold) - wrote
        costs = cost.end(people + 2000)
        return {"250 ms": took * 1000, "neighbour max ms": others["max_ms"], "MB queued": queued, "first copy ms": (seen["first"] - began) * 1000,
                "recipients/s": (people + 2000) / (seen["last"] - seen["first"]), "written B": wrote / (people + 2000)} | costs


def next_hops(hops, port):
    """[[domain]]s d0.example, d1.example, ... each at a loopback address of its own."""
    return [{"name": f"d{i}.example", "deliver_to": f"smtp://127.{1 + i // 62500}.{i // 250 % 250}.{1 + i % 250}:{port}"} for i in range(hops)]


def disk(spoold):
    """Bytes it has written; log lines not."""
    return written(spoold.process) - spoold.log.stat().st_size


def bytes_written(people=100000, destinations=100):
    """Acceptance included; log lines not."""
    with Bench() as bench:
        port = harness.free_port()
        sink = bench.sink(listen=f"0.0.0.0:{port}", sender=None, verp=BOUNCES)
        spoold = bench.spoold("smtp://127.0.0.1:1", {"domain": next_hops(destinations, port)})
        spoold.list(members=harness.members(people, domains=destinations))
        before = disk(spoold)
        cost = Cost(bench.folder, spoold.process.pid)
        post(spoold.port)
        sink.wait(people, 300)
        harness.wait_until(lambda: not spoold.queue(), 60, "an empty queue")
        time.sleep(1)
        after = disk(spoold)
        exactly_once(sink, people)
        return {"written B": (after - before) / people} | cost.end(people)


def paced(address, word, rate=500, seconds=3):
    """Latency counts from when each message was due: what senders feel is delay and not their own haste."""
    count = rate * seconds
    return load("--to", address, "--sessions", 20, "--messages", count, "--rate", rate, "--pipelining", "--run", word, "--rcpt", word + "%n@other.example"), count


def felt(quiet, busy):
    return {"p99 ms quiet": quiet["p99_ms"], "p99 ms busy": busy["p99_ms"], "busy / quiet": busy["p99_ms"] / quiet["p99_ms"],
            "p50 ms quiet": quiet["p50_ms"], "p50 ms busy": busy["p50_ms"], "max ms busy": busy["max_ms"]}


def fairness_raw():
    """The same senders to a sink that does nothing but answer; beside them another generator and sink at full speed, the generator
    with the priority of our deliveries. What full processors alone do to senders, without any server."""
    with Bench() as bench:
        sink, other = bench.sink(), bench.sink()
        quiet, _ = paced(sink.address, "quiet")
        crowd = subprocess.Popen(["nice", "-n", "5", harness.BUILD / "smtp_load", "--to", other.address, "--sessions", "20", "--messages", "2000000", "--chain", "--rcpt", "u%n@far.example"],
                                 stdout=subprocess.DEVNULL)
        try:
            time.sleep(0.2)
            busy, _ = paced(sink.address, "busy")
            if crowd.poll() is not None:
                raise SystemExit("the crowd was through before the measurement was")
        finally:
            crowd.kill()
            crowd.wait()
        return felt(quiet, busy)


def fairness(people=1000000):
    """Other senders, first without the post to many, then from before its dot until long after its 250."""
    few_senders = "few-bounces@lists.example"
    with Bench() as bench:
        log = bench.folder / "arrivals"
        sink = bench.sink("--log", log, sender=[LOADER], verp=[BOUNCES, few_senders])
        spoold = bench.spoold(sink.url, LARGE)
        spoold.list(members=harness.members(people, domains=1000))
        spoold.list("few@lists.example", members=["a@few.example", "b@few.example", "c@few.example"])

        quiet, count = paced(spoold.address, "quiet")
        sink.wait(count, 60)
        busy = {}
        beside = threading.Thread(target=lambda: busy.update(paced(spoold.address, "busy")[0]))
        many = threading.Thread(target=post, args=(spoold.port,))
        beside.start()
        time.sleep(0.2)
        many.start()
        sent = []
        for _ in range(5):
            sent.append(post(spoold.port, "few@lists.example")[0])
            time.sleep(0.5)
        beside.join()
        many.join()
        total = people + 2 * count + 3 * len(sent)
        left = total - sink.summary()["recipients"]
        if left < people // 50:
            raise SystemExit(f"the post to many was through before the measurement was: {left} left")
        sink.wait(total, 600)
        exactly_once(sink, total)
        arrived = {}
        with open(log) as lines:
            for line in lines:
                if "@few.example " in line:
                    words = line.split()
                    arrived.setdefault(words[5], []).append(float(words[0]))
        last = sorted(max(times) for times in arrived.values())
        slowest = max(there - dot for there, dot in zip(last, sent))
        return {"post to 3 ms": slowest * 1000} | felt(quiet, busy)


def many_destinations(hops=5000, people=10, posts=20):
    """A queue that was filled while one next hop held the only connection; then a restart with everything alive."""
    port, total = harness.free_port(), hops * people * posts
    with Bench() as bench:
        silent = socket.socket()
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")  # all of 127.0.0.0/8, and no more
        silent.bind(("0.0.0.0", port))
        silent.listen(1)
        spoold = bench.spoold("smtp://127.0.0.1:1", {"domain": next_hops(hops, port), "delivery": {"max_connections": 1}})
        spoold.list(members=harness.members(hops * people, domains=hops), verp="never")
        for _ in range(posts):
            post(spoold.port, size=1000)
        queued = memory(spoold.process.pid)
        spoold.stop()
        silent.close()
        sink = bench.sink(listen=f"0.0.0.0:{port}", sender=BOUNCES)
        spoold.configure(delivery={"max_connections": 500})
        began = time.time()
        spoold.start()
        cost = Cost(bench.folder, spoold.process.pid)
        sink.wait(total, 600)
        seen = exactly_once(sink, total)
        harness.wait_until(lambda: not spoold.queue(), 60, "an empty queue")
        costs = cost.end(total)
        return {"MB queued": queued, "MB after": memory(spoold.process.pid), "first ms": (seen["first"] - began) * 1000,
                "recipients/s": total / (seen["last"] - seen["first"]), "connections": seen["connections"]} | costs


ROWS = {
    "idle": Row("an idle daemon; 2,000 idle connections (Postfix: 90)", {SPOOLD: idle, "Postfix": idle_postfix},
                [Budget("MB idle", most=20), Budget("KB a connection", most=8), Budget("KB a connection", "Postfix")]),
    "edit-100k": Row("one recipient out of a message of 100,000, start of spoolctl included", {SPOOLD: edit}, [Budget("edit ms", most=20)]),
    "bytes": Row("written for a VERP recipient over its whole life, 100 next hops", {SPOOLD: bytes_written}, [Budget("written B", most=200)]),
    "million": Row("a post to 1,000,000: 250, neighbours, then delivered after a restart", {SPOOLD: million},
                   [Budget("250 ms", most=600), Budget("neighbour max ms", most=30), Budget("MB queued", most=64), Budget("own MB", most=64), Budget("first copy ms", most=1000)]),
    "fairness": Row("a post to 3, and senders of 500 messages/s, while a post to 1,000,000 is expanded and delivered", {SPOOLD: fairness, "raw": fairness_raw},
                    [Budget("post to 3 ms", most=1000), Budget("busy / quiet", most=2), Budget("busy / quiet", "raw")]),
    "many-destinations": Row("1,000,000 recipients over 5,000 next hops, delivered after a restart", {SPOOLD: many_destinations},
                             [Budget("own MB", most=100), Budget("first ms", most=1000)]),
}
