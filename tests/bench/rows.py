"""The rows of the design's table of budgets that have peers: acceptance, relaying, fan-out, the final dot, long lines."""
import json
import subprocess
import time

import harness
from bench import BOUNCES, Bench, Cost, disk_commit, exactly_once, load, post, post_to_all
from table import SPOOLD, Budget, Row


def speed(report):
    return {"messages/s": report["messages_per_second"], "p50 ms": report["p50_ms"], "p99 ms": report["p99_ms"]}


def durable_accept(sessions, messages, few):
    """`few`: what a Postfix gets, who needs longer for each. spoold's next hop is dead meanwhile; a Postfix delivers as it always
    does, or, held, does nothing else either. Afterwards everything arrives."""
    def options(count, run="0"):
        return ["--sessions", sessions, "--messages", count, "--pipelining", "--run", run]

    def raw(durable):
        with Bench() as bench:
            sink = bench.sink(*(["--durable", bench.folder / "durable"] if durable else []))
            report = load("--to", sink.address, *options(messages))
            exactly_once(sink, messages)
            return speed(report)

    def spoold():
        with Bench() as bench:
            dead = f"127.0.0.1:{harness.free_port()}"
            daemon = bench.spoold("smtp://" + dead)
            load("--to", daemon.address, *options(sessions, "warm"))
            cost = Cost(bench.folder, daemon.process.pid)
            report = load("--to", daemon.address, *options(messages))
            figures = speed(report) | cost.end(messages)
            late = bench.sink(listen=dead)
            daemon.ctl("retry", "--all", ok=(0, 1))
            late.wait(messages + sessions, 120)
            exactly_once(late, messages + sessions)
            return figures | {"fdatasync ms": disk_commit(bench.folder)}

    def postfix(held):
        with Bench() as bench:
            sink = bench.sink()
            theirs = bench.postfix(sink.port, **({"smtpd_client_restrictions": "check_client_access static:HOLD"} if held else {}))
            to = f"127.0.0.1:{theirs.port}"
            load("--to", to, *options(sessions, "warm"))
            cost = Cost(bench.folder, theirs.pid)
            report = load("--to", to, *options(few))
            figures = speed(report) | cost.end(few)
            del figures["own MB"]  # of its master alone
            if held:
                theirs.super("-H", "ALL")
                theirs.run("flush")
            sink.wait(few + sessions, 300)
            exactly_once(sink, few + sessions)
            return figures

    def commit():
        with Bench() as bench:
            done = subprocess.run([harness.BUILD / "store_bench", bench.folder / "alone", "commits"], capture_output=True, text=True, timeout=120, check=True)
            alone = json.loads(done.stdout)
            return {"p50 ms": alone["p50_ms"], "p99 ms": alone["p99_ms"]}

    title = f"durable acceptance of 4 KB, 1 recipient, {sessions} kept session{'s' if sessions > 1 else ''}"
    raws = {"raw": lambda: raw(False), "raw durable": lambda: raw(True)}
    peers = {"Postfix": lambda: postfix(False), "Postfix held": lambda: postfix(True)}
    if sessions == 1:
        return Row(title, {SPOOLD: spoold, "commit": commit, **raws, **peers},
                   [Budget("p50 ms", "commit", most=1.5), Budget("messages/s", "Postfix"), Budget("messages/s", "Postfix held")])
    return Row(title, {SPOOLD: spoold, **raws, **peers},
               [Budget("messages/s", "raw", least=0.15 if sessions == 20 else 0.3), Budget("messages/s", "Postfix", least=15 if sessions == 20 else 30),
                Budget("messages/s", "raw durable"), Budget("p99 ms", "Postfix", most=1 / 3), Budget("CPU us", "Postfix"),
                Budget("messages/s", "Postfix held")])


def relayed(each, messages, few, fewest):
    """From the first byte in to the last message out, 20 sessions. `few` by Postfix, `fewest` by Exim."""
    def options(count):
        return ["--sessions", 20, "--messages", count, "--pipelining", *(["--connection-per-message"] if each else [])]

    def raw():
        with Bench() as bench:
            sink = bench.sink()
            report = load("--to", sink.address, *options(messages))
            exactly_once(sink, messages)
            return {"messages/s": report["messages_per_second"]}

    def through(bench, sink, daemon, pid, count):
        cost = Cost(bench.folder, pid)
        began = time.time()
        load("--to", f"127.0.0.1:{daemon.port}", *options(count))
        sink.wait(count, 300)
        last = exactly_once(sink, count)["last"]
        return {"messages/s": count / (last - began)} | cost.end(count)

    def spoold():
        with Bench() as bench:
            sink = bench.sink()
            daemon = bench.spoold(sink.url)
            return through(bench, sink, daemon, daemon.process.pid, messages)

    def postfix():
        with Bench() as bench:
            sink = bench.sink()
            theirs = bench.postfix(sink.port)
            figures = through(bench, sink, theirs, theirs.pid, few)
            del figures["own MB"]
            return figures

    def exim():
        with Bench() as bench:
            sink = bench.sink()
            theirs = bench.exim(sink.port)
            figures = through(bench, sink, theirs, theirs.process.pid, fewest)
            return {key: figures[key] for key in ("messages/s", "disk B")}  # its children leave its family

    return Row(f"through to the next hop, 20 sessions, {'a connection a message' if each else 'kept'}", {SPOOLD: spoold, "raw": raw, "Postfix": postfix, "Exim": exim},
               [Budget("messages/s", "raw"), Budget("messages/s", "Postfix", least=8 if each else 15), Budget("messages/s", "Exim")])


def fanned_out(people, senders, config=lambda folder: {}, **settings):
    """Figures of one post by spoold, from its dot to the last copy. `settings`: of the list."""
    with Bench() as bench:
        sink = bench.sink(**senders)
        daemon = bench.spoold(sink.url, {"spool": {"max_size": "16GiB"}} | config(bench.folder))
        daemon.list(members=harness.members(people, domains=100), **settings)
        cost = Cost(bench.folder, daemon.process.pid)
        at, took = post(daemon.port)
        sink.wait(people, 600)
        harness.wait_until(lambda: not daemon.queue(), 60, "an empty queue")
        costs = cost.end(people)
        last = exactly_once(sink, people)["last"]
        return {"recipients/s": people / (last - at), "250 ms": took * 1000, "last ms": (last - at) * 1000} | costs


def fan_out(verp, people, with_peers=False, most_ms=None):
    """From the dot of one post to the last copy. Peers get the members as RCPTs."""
    senders = {"sender": None, "verp": BOUNCES} if verp else {"sender": BOUNCES}

    def raw():
        with Bench() as bench:
            sink = bench.sink()
            report = load("--to", sink.address, "--sessions", 20, "--messages", people if verp else people // 100, "--recipients", 1 if verp else 100,
                          "--chain" if verp else "--pipelining")
            exactly_once(sink, people)
            return {"recipients/s": people / report["seconds"]}

    def spoold():
        return fanned_out(people, senders, verp="always" if verp else "never")

    def peer(start, pid):
        with Bench() as bench:
            sink = bench.sink(**senders)
            theirs = start(bench, sink.port)
            everybody = harness.members(people, domains=100)
            cost = Cost(bench.folder, pid(theirs))
            at, took = post_to_all(theirs.port, everybody, verp and start is postfix)
            sink.wait(people, 600)
            last = exactly_once(sink, people)["last"]
            figures = cost.end(people)
            for key in ["own MB"] if start is postfix else ["own MB", "CPU us"]:  # of one process of many; of those that left
                del figures[key]
            return {"recipients/s": people / (last - at), "250 ms": took * 1000, "last ms": (last - at) * 1000} | figures

    def postfix(bench, port):
        return bench.postfix(port)

    def exim(bench, port):
        return bench.exim(port, BOUNCES if verp else None)

    contestants = {SPOOLD: spoold, "raw": raw}
    budgets = [Budget("recipients/s", "raw", least=0.8 if verp else None)]
    if with_peers:
        contestants |= {"Postfix": lambda: peer(postfix, lambda one: one.pid), "Exim": lambda: peer(exim, lambda one: one.process.pid)}
        budgets += [Budget("recipients/s", "Postfix", least=40 if verp else None), Budget("recipients/s", "Exim", least=None if verp else 2)]
    if most_ms:
        budgets.append(Budget("250 ms", most=most_ms))
    return Row(f"{'VERP' if verp else 'bulk'} fan-out of one post of 4 KB to {people:,}", contestants, budgets)


def final_dot(people, most_ms, with_peers=False):
    def spoold():
        with Bench() as bench:
            dead = f"127.0.0.1:{harness.free_port()}"
            daemon = bench.spoold("smtp://" + dead)
            daemon.list(members=harness.members(people, domains=100))
            took = post(daemon.port)[1]
            sink = bench.sink(listen=dead, sender=None, verp=BOUNCES)
            daemon.ctl("retry", "--all", ok=(0, 1))
            sink.wait(people, 120)
            exactly_once(sink, people)
            return {"250 ms": took * 1000, "fdatasync ms": disk_commit(bench.folder)}

    def raw():
        with Bench() as bench:
            return {"250 ms": post(bench.sink(sender="poster@example.net").port)[1] * 1000}

    def postfix():
        """The RCPTs are heard before the dot; what it owes after it is the end of its queue file."""
        with Bench() as bench:
            theirs = bench.postfix(harness.free_port(), smtpd_client_restrictions="check_client_access static:HOLD")
            began = time.perf_counter()
            _, took = post_to_all(theirs.port, harness.members(people, domains=100))
            return {"250 ms": took * 1000, "MAIL to 250 ms": (time.perf_counter() - began) * 1000}

    contestants = {SPOOLD: spoold, "raw": raw} | ({"Postfix": postfix} if with_peers else {})
    return Row(f"final dot to 250 of a post to {people:,} members of a list (Postfix: as RCPTs)", contestants, [Budget("250 ms", most=most_ms)])


def round_trips(chunking, people=200, few=40, delay=25):
    def trips(seen):
        copies = seen["recipients"]
        return {"round trips": (seen["last"] - seen["first"]) / (2 * delay / 1000) / (copies - 1), "connections": seen["connections"]}

    def through(bench, start, count):
        sink = bench.sink(*([] if chunking else ["--no-chunking"]), sender=None, verp=BOUNCES)
        start(bench.proxy(sink.address, delay))
        sink.wait(count, 300)
        return trips(exactly_once(sink, count))

    def spoold():
        with Bench() as bench:
            def start(line):
                daemon = bench.spoold(line.url, {"delivery": {"connections_per_destination": 1}})
                daemon.list(members=harness.members(people))
                post(daemon.port)
            return through(bench, start, people)

    def postfix():
        with Bench() as bench:
            return through(bench, lambda line: post_to_all(bench.postfix(line.port, smtp_destination_concurrency_limit=1).port, harness.members(few), True), few)

    return Row(f"round trips a VERP copy on a line of 50 ms, one connection, next hop with {'CHUNKING' if chunking else 'PIPELINING'}", {SPOOLD: spoold, "Postfix": postfix},
               [Budget("round trips", most=0.1 if chunking else 1.1), Budget("round trips", "Postfix")])


ROWS = {
    "accept-1": durable_accept(1, 1500, 500), "accept-20": durable_accept(20, 20000, 2000), "accept-100": durable_accept(100, 30000, 3000),
    "relay-kept": relayed(False, 20000, 2000, 500), "relay-each": relayed(True, 5000, 2000, 500),
    "fanout-bulk": fan_out(False, 10000, with_peers=True, most_ms=10), "fanout-verp": fan_out(True, 10000, with_peers=True),
    "fanout-verp-100k": fan_out(True, 100000), "fanout-verp-1m": fan_out(True, 1000000),
    "dot-10k": final_dot(10000, None), "dot-100k": final_dot(100000, 60, with_peers=True),
    "rtt-verp": round_trips(False), "rtt-verp-chunking": round_trips(True),
}
