"""Does the cost of one grow with the number of all? Acceptance, expansion, VERP fan-out, a queue that waits, next hops,
connections, each at sizes of a decade apart: processor and time for each, most anonymous memory (scripts/bench growth)."""
import dataclasses
import resource
import statistics
import sys
import time
import typing

import harness
from bench import BOUNCES, Bench, Cost, exactly_once, load, post
from size import LARGE, next_hops
from table import SPOOLD, columns, shown, spread

FLAT = 1.5  # no size may cost more for each than the smallest by this factor


@dataclasses.dataclass
class Growth:
    title: str
    unit: str
    sizes: list
    run: typing.Callable  # of a size; its figures
    flat: tuple = ("CPU us", "wall us")  # what must not grow (to more next hops each needs more of a connection)
    files: int = 0  # open files that the largest size needs, for each of it

    def possible(self, size):
        """Open files are raised as far as it goes; says so when that is not enough."""
        need = 1000 + self.files * size
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        for limits in ((max(soft, need), max(hard, need)), (max(soft, min(need, hard)), hard)):
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
                break
            except (ValueError, OSError):
                continue
        if (most := resource.getrlimit(resource.RLIMIT_NOFILE)[0]) < need:
            print(f"  {size:,} {self.unit} left out: they need {need} open files, and no more than {most} can be had (ulimit -Hn)", file=sys.stderr)
            return False
        return True

    def measure(self, name, report):
        """All sizes in turn, as often as the report says."""
        figures = {}
        for n in range(report.runs):
            for size in filter(self.possible, self.sizes):
                for threads in report.threads:
                    Bench.threads = threads
                    who = SPOOLD if len(report.threads) == 1 else f"{SPOOLD} {threads}t"
                    one = self.run(size)
                    figures.setdefault(who, {}).setdefault(size, []).append(one)
                    report.note(row=name, title=self.title, who=who, size=size, unit=self.unit, run=n + 1, threads=threads, time=round(time.time(), 1), figures=one)
        for who, sizes in figures.items():
            self.show(name, who, sizes, report)

    def show(self, name, who, sizes, report):
        print(f"\n{name}: {self.title}" + ("" if who == SPOOLD else f"; {who}"))
        keys = list(next(iter(sizes.values()))[0])
        print("\n".join(columns([self.unit, *keys], [[f"{size:,}", *(shown(statistics.median(run[key] for run in runs)) for key in keys)] for size, runs in sizes.items()])))
        lines = []
        for key in self.flat:
            costs_of = [[run[key] for run in runs] for runs in sizes.values()]
            ratios = [max(costs) / costs[0] for costs in zip(*costs_of)]  # run by run, so that all sizes are of the same minutes
            says = f"{key}: most / smallest size ≤ {FLAT}"
            lines.append([says, spread(ratios), report.judge(name, who, says, ratios, statistics.median(ratios) <= FLAT)])
        if lines:
            print("\n".join(columns(["budget", "median (least-most)", ""], lines)), flush=True)


def accept(people):
    """Messages of 1 KB for one recipient each; they stay, for the next hop is dead."""
    with Bench() as bench:
        spoold = bench.spoold(f"smtp://127.0.0.1:{harness.free_port()}", LARGE)
        load("--to", spoold.address, "--sessions", 20, "--messages", 500, "--size", 1000, "--pipelining", "--run", "warm")
        cost = Cost(bench.folder, spoold.process.pid)
        report = load("--to", spoold.address, "--sessions", 20, "--messages", people, "--size", 1000, "--pipelining")
        return each(cost, people, report["seconds"]) | {"p99 ms": report["p99_ms"]}


def each(cost, count, seconds):
    figures = cost.end(count)
    return {"CPU us": figures["CPU us"], "wall us": seconds / count * 1e6, "own MB": figures["own MB"]}


def roster(spoold, people, domains=100):
    """A list, and a daemon that has forgotten the work of its import."""
    spoold.list(members=harness.members(people, domains=domains), verp="always")
    spoold.stop()
    spoold.start()


def expand(people):
    with Bench() as bench:
        spoold = bench.spoold(f"smtp://127.0.0.1:{harness.free_port()}", LARGE)
        roster(spoold, people)
        cost = Cost(bench.folder, spoold.process.pid)
        _, took = post(spoold.port)
        return each(cost, people, took) | {"250 ms": took * 1000}


def fan_out(people):
    with Bench() as bench:
        sink = bench.sink(sender=None, verp=BOUNCES)
        spoold = bench.spoold(sink.url, LARGE)
        roster(spoold, people)
        cost = Cost(bench.folder, spoold.process.pid)
        at, _ = post(spoold.port)
        sink.wait(people, 600)
        harness.wait_until(lambda: not spoold.queue(), 60, "an empty queue")
        seconds = exactly_once(sink, people)["last"] - at
        return each(cost, people, seconds) | {"recipients/s": people / seconds}


def queue(waiting, messages=10000):
    """Messages in and out, beside a queue whose next hop is dead: ten recipients a message."""
    with Bench() as bench:
        sink = bench.sink()
        spoold = bench.spoold(f"smtp://127.0.0.1:{harness.free_port()}", LARGE | {"domain": [{"name": "alive.example", "deliver_to": sink.url}]})
        load("--to", spoold.address, "--sessions", 20, "--messages", waiting // 10, "--recipients", 10, "--size", 1000, "--pipelining", "--run", "waiting")
        cost = Cost(bench.folder, spoold.process.pid)
        began = time.time()
        report = load("--to", spoold.address, "--sessions", 20, "--messages", messages, "--pipelining", "--rcpt", "u%n@alive.example")
        sink.wait(messages, 300)
        return each(cost, messages, exactly_once(sink, messages)["last"] - began) | {"accept p99 ms": report["p99_ms"]}


def destinations(hops, people=100000):
    with Bench() as bench:
        port = harness.free_port()
        sink = bench.sink(listen=f"0.0.0.0:{port}", sender=None, verp=BOUNCES)
        spoold = bench.spoold("smtp://127.0.0.1:1", LARGE | {"domain": next_hops(hops, port)})
        roster(spoold, people, hops)
        cost = Cost(bench.folder, spoold.process.pid)
        at, _ = post(spoold.port)
        sink.wait(people, 600)
        harness.wait_until(lambda: not spoold.queue(), 60, "an empty queue")
        seen = exactly_once(sink, people)
        return each(cost, people, seen["last"] - at) | {"recipients/s": people / (seen["last"] - at), "connections": seen["connections"]}


def connections(sessions):
    with Bench() as bench:
        messages = max(20000, 5 * sessions)
        spoold = bench.spoold(f"smtp://127.0.0.1:{harness.free_port()}", LARGE | {"smtp": {"max_connections": sessions + 10, "max_connections_per_host": sessions + 10}})
        cost = Cost(bench.folder, spoold.process.pid)
        report = load("--to", spoold.address, "--sessions", sessions, "--messages", messages, "--size", 1000, "--pipelining")
        return each(cost, messages, report["seconds"]) | {"p99 ms": report["p99_ms"]}


DECADES = [1000, 10000, 100000, 1000000]
ROWS = {
    "growth-accept": Growth("acceptance of 1 KB for one recipient, 20 sessions, nothing leaves", "messages", DECADES, accept),
    "growth-expand": Growth("a post of 4 KB to a list, from the dot to the 250, nothing leaves", "members", DECADES, expand),
    "growth-fanout": Growth("VERP fan-out of one post of 4 KB, from the dot to the last copy", "members", DECADES, fan_out),
    "growth-queue": Growth("10,000 messages of 4 KB in and out while others wait for a dead next hop", "recipients waiting", DECADES[1:], queue),
    "growth-hops": Growth("VERP fan-out of one post of 4 KB to 100,000 over next hops", "next hops", [1, 10, 100, 1000, 5000], destinations, flat=(), files=1),
    "growth-connections": Growth("acceptance of 1 KB, at least 20,000 and 5 a session; connecting included", "sessions", [10, 100, 1000, 10000], connections, files=1),
}
