"""What the measurements share: a folder with programs for one run, load, posts, what it cost, and the count that each run
ends with."""
import contextlib
import json
import os
import pathlib
import shutil
import smtplib
import statistics
import subprocess
import tempfile
import threading
import time

import harness
from peers.postfix import Postfix, relaying
from peers.real import Exim

ROOT = harness.SOURCE
LOADER = "load@sender.example"  # the envelope sender of smtp_load
BOUNCES = "test-bounces@lists.example"  # of posts to harness.LIST


class Bench(contextlib.ExitStack):
    """A folder, programs and a daemon for one run."""
    threads = 0  # network threads of spoold; 0: its default

    def __init__(self):
        super().__init__()
        (ROOT / "var").mkdir(exist_ok=True)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT / "var"))
        self.callback(self._remove)

    def _remove(self):
        end = time.monotonic() + 5
        while self.folder.exists() and time.monotonic() < end:
            shutil.rmtree(self.folder, ignore_errors=True)  # an Exim's last deliveries still write their log
            time.sleep(0.1 if self.folder.exists() else 0)

    def sink(self, *options, sender=LOADER, verp=None, **keys):
        """A sink that knows the right envelope senders (one or more)."""
        for option, addresses in (("--sender", sender), ("--verp", verp)):
            for address in [addresses] if isinstance(addresses, str) else addresses or []:
                options += (option, address)
        sink = harness.Sink(self.folder, *options, log=False, **keys)
        self.callback(lambda: sink.process.poll() is None and sink.stop())
        return sink

    def proxy(self, to, delay):
        proxy = harness.Program([harness.BUILD / "delay_proxy", "--listen", "127.0.0.1:0", "--to", to, "--delay", delay], self.folder, "proxy")
        self.callback(lambda: proxy.process.poll() is None and proxy.stop())
        return proxy

    def postfix(self, relay_port, **settings):
        # Without in_flow_delay: its second of pause when more comes in than goes out would be most of what we measure.
        postfix = Postfix(self.folder, relaying(relay_port) | {"in_flow_delay": "0"} | settings)
        self.callback(postfix.stop)
        return postfix

    def exim(self, relay_port, verp=None):
        exim = Exim(self.folder, relay_port, verp)
        self.callback(exim.stop)
        return exim

    def spoold(self, smarthost, settings=None):
        base = {"log": {"level": "info"}, "delivery": {"retry": ["1h"]}, "server": {"threads": Bench.threads}}
        daemon = harness.Spoold(self.folder, smarthost, harness.merge(base, settings or {}))
        self.callback(daemon.kill)
        return daemon


def load(*options, seconds=600):
    done = subprocess.run([harness.BUILD / "smtp_load", *map(str, options)], capture_output=True, text=True, timeout=seconds)
    report = json.loads(done.stdout) if done.stdout else {"accepted": done.stderr, "messages": 0}
    if report["accepted"] != report["messages"]:
        raise SystemExit(f"smtp_load {options}: {report}")
    return report


def exactly_once(sink, recipients):
    """Each recipient once, each copy with the right envelope sender; the summary."""
    seen = sink.summary()
    if (seen["recipients"], seen["distinct_deliveries"], seen["duplicates"]) != (recipients, recipients, 0):
        raise SystemExit(f"expected {recipients} recipients once each, the sink has {seen}")
    if seen["wrong_senders"]:
        raise SystemExit(f"{seen['wrong_senders']} copies with a wrong envelope sender, first: {seen['first_wrong']}")
    return seen


def disk_commit(folder, size=16384, times=200):
    """Milliseconds of a pwrite of `size` and an fdatasync, the median: the floor of any durable acceptance."""
    fd = os.open(folder / "commit", os.O_CREAT | os.O_WRONLY)
    os.pwrite(fd, b"x" * size * times, 0)
    os.fsync(fd)
    took = []
    for n in range(times):
        began = time.perf_counter()
        os.pwrite(fd, b"y" * size, n * size)
        os.fdatasync(fd)
        took.append((time.perf_counter() - began) * 1000)
    os.close(fd)
    return statistics.median(took)


def post(port, address=harness.LIST, size=4096, seconds=300):
    """One post; (time of the dot, seconds from the dot to the 250)."""
    text = (f"From: <poster@example.net>\r\nTo: {address}\r\nSubject: bench\r\nMessage-ID: <{time.time_ns()}@bench.example>\r\n"
            "Date: Sun, 22 Nov 2026 10:00:00 +0000\r\n\r\n").encode()
    text += (b"x" * 76 + b"\r\n") * ((size - len(text)) // 78)
    with smtplib.SMTP("127.0.0.1", port, local_hostname="bench.example", timeout=seconds) as client:
        client.ehlo()
        client.mail("poster@example.net")
        client.rcpt(address)
        client.docmd("DATA")
        began, at = time.perf_counter(), time.time()
        client.send(text + b".\r\n")
        code, said = client.getreply()
        took = time.perf_counter() - began
        if code != 250:
            raise SystemExit(f"post refused: {code} {said}")
    return at, took


def post_to_all(port, recipients, xverp=False):
    """One message with all of them as RCPTs, VERP by Postfix's XVERP; (time of the dot, seconds from the dot to the 250)."""
    with smtplib.SMTP("127.0.0.1", port, local_hostname="bench.example", timeout=300) as client:
        client.ehlo()
        client.docmd(f"MAIL FROM:<{BOUNCES}>" + (" XVERP" if xverp else ""))
        for start in range(0, len(recipients), 500):
            part = recipients[start:start + 500]
            client.send("".join(f"RCPT TO:<{r}>\r\n" for r in part))
            for _ in part:
                client.getreply()
        client.docmd("DATA")
        began, at = time.perf_counter(), time.time()
        client.send(f"From: <a@example.net>\r\nMessage-ID: <{time.time_ns()}@bench.example>\r\n\r\n" + ("x" * 76 + "\r\n") * 50 + ".\r\n")
        code, said = client.getreply()
        if code != 250:
            raise SystemExit(f"post refused: {code} {said}")
        return at, time.perf_counter() - began


# What it cost. `pid` is that of a daemon; what it forked, and what of that has ended, counts with it.

def family(pid):
    """The pid and those of its living descendants."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(int(pathlib.Path("/proc", name, "stat").read_text().rsplit(")", 1)[1].split()[1]), []).append(int(name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def memory(pid, key="RssAnon"):
    """MB of a process, from its status."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"no {key} in the status of {pid}")


def processor(pid):
    """Seconds of processor that it, its threads and its children have used; of the living ones to the nanosecond."""
    total = 0
    for one in family(pid):
        with contextlib.suppress(OSError):
            ended = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()[13:15]
            total += sum(int(ticks) for ticks in ended) / os.sysconf("SC_CLK_TCK")
            total += sum(int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{one}/task").iterdir()) / 1e9
    return total


def processor_of_writer(pid):
    """Seconds of processor of spoold's one writer thread; None where there is none of that name."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text() == "writer\n":
            return int((task / "schedstat").read_text().split()[0]) / 1e9
    return None


def written(process):
    """Bytes it has given to write(2): files, and pipes where there are any; spoold's sockets not (it uses sendmsg)."""
    return int(pathlib.Path(f"/proc/{process.pid}/io").read_text().split("wchar:")[1].split()[0])


def disk_bytes(folder):
    """Bytes that the disk below `folder` has written, whoever wrote them; None where the system does not tell."""
    number = os.stat(folder).st_dev
    stat = pathlib.Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/stat")
    if not stat.exists():
        return None
    os.sync()
    return int(stat.read_text().split()[6]) * 512


class Cost:
    """From here on: processor, octets on the disk, most memory of its own. The memory is sampled, that of one process."""

    def __init__(self, folder, pid):
        self.folder, self.pid, self.most, self.over = folder, pid, 0.0, threading.Event()
        self.disk, self.cpu, self.writer = disk_bytes(folder), processor(pid), processor_of_writer(pid)
        self.sampler = threading.Thread(target=self._sample, daemon=True)
        self.sampler.start()

    def _sample(self):
        while True:
            with contextlib.suppress(OSError, SystemExit):
                self.most = max(self.most, memory(self.pid))
            if self.over.wait(0.05):
                return

    def end(self, count):
        """Figures for each of `count`."""
        cpu, writer = processor(self.pid) - self.cpu, processor_of_writer(self.pid)
        self.over.set()
        self.sampler.join()
        figures = {"CPU us": cpu / count * 1e6, "own MB": self.most}
        if writer is not None:
            figures["writer us"] = (writer - self.writer) / count * 1e6
        if self.disk is not None:
            figures["disk B"] = (disk_bytes(self.folder) - self.disk) / count
        return figures
