"""The measurements of scripts/bench. Each is a function that makes one run and returns figures; the table shows medians.

  accept-1, accept-20, accept-100   durable acceptance of 4 KB messages for one recipient, 1, 20, 100 kept sessions
  relay-kept, relay-each            through spoold to the next hop, 20 sessions, kept or one a message
  fanout-verp, fanout-bulk          one post to a list of 10,000, from the dot to the last copy at the next hop
  fanout-verp-1k, fanout-verp-100k  the same to 1,000 and 100,000
  dot-10k, dot-100k                 final dot to 250 of a post to a list of 10,000 and 100,000
  many-destinations                 1,000,000 recipients over 5,000 next hops: memory, restart to first delivery, rate
  rtt-verp, rtt-verp-chunking       VERP copies to 200 over a line of 50 ms round trip, one connection: round trips a copy; the next
                                    hop offers PIPELINING, and CHUNKING too
  idle                              memory of an idle daemon and of 2,000 idle inbound connections
  edit-100k                         spoolctl edit-recipients on a message of 100,000, start of the process included
  bytes                             written for a VERP recipient over its whole life, 20 next hops
  fairness                          a post to three and other senders while a post to 300,000 is delivered
  million                           a post to 1,000,000: 250, neighbours, memory, delivery after a restart

`raw` is the same work between smtp_load and smtp_sink without spoold: what the machine gives just then.
"""
import argparse
import json
import os
import pathlib
import statistics
import sys

import harness
import many
import size
from bench import Bench, disk_commit, exactly_once, load, post, post_to_all
from peers.postfix import available

def accept(sessions, messages):
    options = ["--sessions", sessions, "--messages", messages, "--pipelining"]
    with Bench() as bench:
        sink = bench.sink(name="raw")
        raw = load("--to", sink.address, *options)
        sink.stop()
        dead = f"127.0.0.1:{harness.free_port()}"  # nothing is delivered while acceptance is measured
        spoold = bench.spoold("smtp://" + dead)
        ours = load("--to", spoold.address, *options)
        late = bench.sink(listen=dead, name="late")
        spoold.ctl("retry", "--all", ok=(0, 1))
        late.wait(messages, 120)
        exactly_once(late, messages)
        figures = {"messages/s": ours["messages_per_second"], "p50 ms": ours["p50_ms"], "p99 ms": ours["p99_ms"], "raw messages/s": raw["messages_per_second"],
                "of raw": ours["messages_per_second"] / raw["messages_per_second"], "fdatasync ms": disk_commit(bench.folder)}
        spoold.stop()
        if bench.with_peers:
            postfix = bench.postfix(late.port)
            theirs = load("--to", f"127.0.0.1:{postfix.port}", "--sessions", sessions, "--messages", min(messages, 2000), "--pipelining", "--run", "postfix")
            figures |= {"Postfix messages/s": theirs["messages_per_second"], "Postfix p99 ms": theirs["p99_ms"]}
        return figures


def fan_out(verp, people=10000):
    with Bench() as bench:
        sink = bench.sink(name="raw")
        raw = load("--to", sink.address, "--sessions", 20, "--messages", people if verp else people // 100, "--recipients", 1 if verp else 100,
                   *(["--chain"] if verp else ["--pipelining"]))
        sink.stop()
        sink = bench.sink()
        spoold = bench.spoold(sink.url)
        spoold.list(members=harness.members(people, domains=100), verp="always" if verp else "never")
        at, took = post(spoold.port)
        sink.wait(people, 120)
        last = sink.summary()["last"]
        harness.wait_until(lambda: not spoold.queue(), 30, "an empty queue")
        exactly_once(sink, people)
        rate, raw_rate = people / (last - at), raw["accepted_recipients"] / raw["seconds"]
        figures = {"recipients/s": rate, "250 after ms": took * 1000, "last copy after ms": (last - at) * 1000, "raw recipients/s": raw_rate, "of raw": rate / raw_rate,
                   "connections": sink.summary()["connections"]}
        spoold.stop()
        if bench.with_peers and people <= 10000:
            sink.stop()
            everybody = harness.members(people, domains=100)
            for name, peer in (("Postfix", bench.postfix), *([] if verp else [("Exim", bench.exim)])):
                sink = bench.sink(name=f"beside-{name}")
                at, took = post_to_all(peer(sink.port).port, everybody, verp)
                sink.wait(people, 300)
                figures |= {f"{name} recipients/s": people / (sink.summary()["last"] - at), f"{name} 250 after ms": took * 1000}
        return figures


def final_dot(people):
    with Bench() as bench:
        raw_sink = bench.sink(name="raw")
        raw = post(raw_sink.port)[1]
        raw_sink.stop()
        dead = f"127.0.0.1:{harness.free_port()}"
        spoold = bench.spoold("smtp://" + dead)
        spoold.list(members=harness.members(people, domains=100))
        took = post(spoold.port)[1]
        sink = bench.sink(listen=dead)
        spoold.ctl("retry", "--all", ok=(0, 1))
        sink.wait(people, 120)
        exactly_once(sink, people)
        return {"dot to 250 ms": took * 1000, "raw ms": raw * 1000, "fdatasync ms": disk_commit(bench.folder)}


def round_trips(chunking, people=200, delay=25):
    def trips(sink, copies):
        seen = sink.summary()
        return (seen["last"] - seen["first"]) / (2 * delay / 1000) / (copies - 1)

    with Bench() as bench:
        offers = [] if chunking else ["--no-chunking"]
        sink = bench.sink(*offers)
        line = bench.proxy(sink.address, delay)
        spoold = bench.spoold(line.url, {"delivery": {"connections_per_destination": 1}})
        spoold.list(members=harness.members(people))
        post(spoold.port)
        sink.wait(people, 300)
        exactly_once(sink, people)
        figures = {"round trips a copy": trips(sink, people), "connections": sink.summary()["connections"]}
        spoold.stop()
        if bench.with_peers:
            sink = bench.sink(*offers, name="beside")
            line = bench.proxy(sink.address, delay)
            postfix = bench.postfix(line.port, smtp_destination_concurrency_limit=1)
            few = 40
            post_to_all(postfix.port, harness.members(few), True)
            sink.wait(few, 120)
            figures |= {"Postfix round trips a copy": trips(sink, few), "Postfix connections": sink.summary()["connections"]}
        return figures


MEASUREMENTS = {
    "accept-1": lambda: accept(1, 1500), "accept-20": lambda: accept(20, 20000), "accept-100": lambda: accept(100, 30000),
    "fanout-verp": lambda: fan_out(True), "fanout-bulk": lambda: fan_out(False),
    "dot-10k": lambda: final_dot(10000), "dot-100k": lambda: final_dot(100000), "rtt-verp": lambda: round_trips(False), "rtt-verp-chunking": lambda: round_trips(True),
    "many-destinations": many.many_destinations,
    "fanout-verp-1k": lambda: fan_out(True, 1000), "fanout-verp-100k": lambda: fan_out(True, 100000), **size.MEASUREMENTS,
}


def shown(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}" if value < 10 else f"{value:.1f}"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--json", help="also write every run to this file")
    options.add_argument("--no-build", action="store_true", help="measure the build there is")
    options.add_argument("--peers", action="store_true", help="measure a Postfix and an Exim of their own beside it (as root; the system's are not touched)")
    options.add_argument("names", nargs="*", metavar="NAME")
    options = options.parse_args()
    unknown = [n for n in options.names if n not in MEASUREMENTS]
    if unknown:
        print(f"no such measurement: {unknown[0]}; there are {', '.join(MEASUREMENTS)}", file=sys.stderr)
        return 2
    if harness.SANITIZED:
        print("this build has sanitizers; its figures mean nothing", file=sys.stderr)
        return 2
    if options.peers and not available():
        print("--peers needs root, and what scripts/install test installs", file=sys.stderr)
        return 2
    Bench.with_peers = options.peers
    everything = {}
    print(f"medians of {options.runs}; {os.cpu_count()} cores, load before {os.getloadavg()[0]:.1f}")
    for name in options.names or MEASUREMENTS:
        runs = [MEASUREMENTS[name]() for _ in range(options.runs)]
        everything[name] = runs
        medians = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        print(f"| {name:<12} | " + " | ".join(f"{key} {shown(value)}" for key, value in medians.items()) + " |", flush=True)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(everything, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
