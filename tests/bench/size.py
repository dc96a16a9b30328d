"""Measurements of size: what spoold costs at rest, with a million recipients, and how little one list disturbs the others."""
import statistics
import subprocess
import threading
import time

import harness
from bench import Bench, exactly_once, load, memory, post, processor, written


def relay(each, messages):
    """Messages through spoold to the next hop, 20 sessions in, kept or one a message."""
    options = ["--sessions", 20, "--messages", messages, "--pipelining", *(["--connection-per-message"] if each else [])]
    with Bench() as bench:
        sink = bench.sink(name="raw")
        raw = load("--to", sink.address, *options)
        sink.stop()

        def through(port, sink):
            began = time.time()
            load("--to", f"127.0.0.1:{port}", *options)
            sink.wait(messages, 120)
            exactly_once(sink, messages)
            return messages / (sink.summary()["last"] - began)
        sink = bench.sink()
        spoold = bench.spoold(sink.url)
        rate = through(spoold.port, sink)
        spoold.stop()
        figures = {"messages/s": rate, "raw messages/s": raw["messages_per_second"], "of raw": rate / raw["messages_per_second"]}
        if bench.with_peers:
            options[3] = messages = min(messages, 1000)
            beside = bench.sink(name="beside")
            figures["Postfix messages/s"] = through(bench.postfix(beside.port).port, beside)
        return figures


def idle(connections=2000):
    with Bench() as bench:
        spoold = bench.spoold(f"smtp://127.0.0.1:{harness.free_port()}", {"smtp": {"max_connections": connections + 10, "max_connections_per_host": connections + 10}})
        alone, all_of_it = memory(spoold.process), memory(spoold.process, "VmRSS")
        open_ones = [harness.socket.create_connection(("127.0.0.1", spoold.port)) for _ in range(connections)]
        for one in open_ones:
            one.recv(200)
            one.sendall(b"EHLO bench.example\r\n")
        for one in open_ones:
            one.recv(500)
        with_them = memory(spoold.process)
        for one in open_ones:
            one.close()
        time.sleep(1)
        return {"resident MB": all_of_it, "of it its own MB": alone, "KB a connection": (with_them - alone) * 1024 / connections, "own MB when they left": memory(spoold.process)}


def edit(people=100000):
    """spoolctl edit-recipients on a message of 100,000, the start of the process included."""
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
    """A post to a million: what others feel, memory, and its delivery after a restart."""
    with Bench() as bench:
        dead = f"127.0.0.1:{harness.free_port()}"
        spoold = bench.spoold("smtp://" + dead, {"spool": {"max_size": "16GiB"}})
        spoold.list(members=harness.members(people, domains=1000))
        others = {}

        def neighbour():
            others.update(load("--to", spoold.address, "--messages", 2000, "--pipelining"))
        beside = threading.Thread(target=neighbour)
        beside.start()
        time.sleep(0.2)
        took = post(spoold.port)[1]
        beside.join()
        queued = memory(spoold.process)
        spoold.stop(60)
        sink = bench.sink(listen=dead)
        spoold.start()
        began = time.time()
        spoold.ctl("wake", "relay")  # it was down: without this its clock waits up to a minute
        sink.wait(1, 60)
        first = sink.summary()["first"] - began
        most, used, wrote = 0.0, processor(spoold.process), written(spoold.process)
        all_of_them = people + 2000
        while (seen := sink.summary())["recipients"] < all_of_them:
            most = max(most, memory(spoold.process))
            if time.time() - began > 600:
                raise SystemExit(f"after 600 s the sink has {seen}")
            time.sleep(0.2)
        exactly_once(sink, all_of_them)
        used, wrote = processor(spoold.process) - used, written(spoold.process) - wrote
        return {"dot to 250 ms": took * 1000, "neighbour's slowest ms": others["max_ms"], "own MB queued": queued, "own MB delivering": most,
                "wake to first copy ms": first * 1000, "recipients/s": all_of_them / (seen["last"] - seen["first"]), "CPU us a recipient": used / all_of_them * 1e6,
                "bytes written a recipient": wrote / all_of_them}


def bytes_written(people=20000, destinations=20):
    """What VERP recipients cost the disk over their whole life, to many next hops at once, acceptance included; log lines not."""
    with Bench() as bench:
        sinks = [bench.sink(name=f"sink{n}") for n in range(destinations)]
        spoold = bench.spoold(sinks[0].url, {"domain": [{"name": f"d{n}.example", "deliver_to": s.url} for n, s in enumerate(sinks)]})
        spoold.list(members=harness.members(people, domains=destinations))
        before = written(spoold.process) - spoold.log.stat().st_size
        post(spoold.port, size=4096)
        for sink in sinks:
            sink.wait(people // destinations, 120)
        harness.wait_until(lambda: not spoold.queue(), 30, "an empty queue")
        time.sleep(1)
        after = written(spoold.process) - spoold.log.stat().st_size
        for sink in sinks:
            exactly_once(sink, people // destinations)
        return {"bytes a recipient": (after - before) / people}


def fairness(people=300000):
    """While a post to many is delivered: a post to three on the same lane, and what other senders feel."""
    with Bench() as bench:
        sink = bench.sink("--log", bench.folder / "arrivals")
        spoold = bench.spoold(sink.url, {"spool": {"max_size": "16GiB"}})
        spoold.list(members=harness.members(people, domains=1000))
        spoold.list("few@lists.example", members=["a@few.example", "b@few.example", "c@few.example"])
        quiet = load("--to", spoold.address, "--sessions", 20, "--messages", 20000, "--pipelining", "--rcpt", "q%n@quiet.example")
        sink.wait(20000, 60)
        at, _ = post(spoold.port)
        time.sleep(1)
        sent = []
        for _ in range(3):
            sent.append(post(spoold.port, "few@lists.example")[0])
            time.sleep(0.5)
        busy = load("--to", spoold.address, "--sessions", 20, "--messages", 10000, "--pipelining", "--rcpt", "b%n@busy.example")
        still = people + 30009 - sink.summary()["recipients"]
        if still < 10000:
            raise SystemExit("the post to many was through before the measurement was")
        sink.wait(people + 30009, 300)
        exactly_once(sink, people + 30009)
        lines = (line.split() for line in (bench.folder / "arrivals").read_text().splitlines() if "@few.example " in line)
        arrived = sorted(float(words[0]) for words in lines)
        return {"post to 3 slowest ms": max(max(arrived[3 * n:3 * n + 3]) - sent[n] for n in range(3)) * 1000, "inbound p99 ms": busy["p99_ms"],
                "p99 ms without": quiet["p99_ms"], "ratio": busy["p99_ms"] / quiet["p99_ms"]}


MEASUREMENTS = {
    "relay-kept": lambda: relay(False, 20000), "relay-each": lambda: relay(True, 5000), "idle": idle, "edit-100k": edit, "bytes": bytes_written, "fairness": fairness,
    "million": million,
}
