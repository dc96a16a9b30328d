"""What the measurements share: a folder with programs for one run, load, posts, and the count that each run ends with."""
import contextlib
import json
import os
import pathlib
import shutil
import smtplib
import statistics
import subprocess
import tempfile
import time

import harness
from peers.postfix import Postfix, relaying
from peers.real import Exim

ROOT = harness.SOURCE


class Bench(contextlib.ExitStack):
    """A folder, programs and a daemon for one run."""
    with_peers = False

    def __init__(self):
        super().__init__()
        (ROOT / "var").mkdir(exist_ok=True)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT / "var"))
        self.callback(shutil.rmtree, self.folder, ignore_errors=True)

    def sink(self, *options, **keys):
        sink = harness.Sink(self.folder, *options, log=False, **keys)
        self.callback(lambda: sink.process.poll() is None and sink.stop())
        return sink

    def proxy(self, to, delay):
        proxy = harness.Program([harness.BUILD / "delay_proxy", "--listen", "127.0.0.1:0", "--to", to, "--delay", delay], self.folder, "proxy")
        self.callback(lambda: proxy.process.poll() is None and proxy.stop())
        return proxy

    def postfix(self, relay_port, **settings):
        postfix = Postfix(self.folder, relaying(relay_port) | settings)
        self.callback(postfix.stop)
        return postfix

    def exim(self, relay_port):
        exim = Exim(self.folder, relay_port)
        self.callback(exim.stop)
        return exim

    def spoold(self, smarthost, settings=None):
        daemon = harness.Spoold(self.folder, smarthost, harness.merge({"log": {"level": "info"}, "delivery": {"retry": ["1h"]}}, settings or {}))
        self.callback(daemon.kill)
        return daemon


def load(*options):
    done = subprocess.run([harness.BUILD / "smtp_load", *map(str, options)], capture_output=True, text=True, timeout=300)
    report = json.loads(done.stdout)
    if report["accepted"] != report["messages"]:
        raise SystemExit(f"smtp_load {options}: {report}")
    return report


def exactly_once(sink, recipients):
    seen = sink.summary()
    if (seen["recipients"], seen["distinct_deliveries"], seen["duplicates"]) != (recipients, recipients, 0):
        raise SystemExit(f"expected {recipients} recipients once each, the sink has {seen}")


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


def post(port, address=harness.LIST, size=4096):
    """One post; (time of the dot, seconds from the dot to the 250)."""
    text = (f"From: <poster@example.net>\r\nTo: {address}\r\nSubject: bench\r\nMessage-ID: <{time.time_ns()}@bench.example>\r\n"
            "Date: Sun, 22 Nov 2026 10:00:00 +0000\r\n\r\n").encode()
    text += (b"x" * 76 + b"\r\n") * ((size - len(text)) // 78)
    with smtplib.SMTP("127.0.0.1", port, local_hostname="bench.example", timeout=300) as client:
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


def post_to_all(port, recipients, verp):
    """One message with all of them as RCPTs, VERP by Postfix's XVERP; (time of the dot, seconds from the dot to the 250)."""
    with smtplib.SMTP("127.0.0.1", port, local_hostname="bench.example", timeout=300) as client:
        client.ehlo()
        client.docmd("MAIL FROM:<test-bounces@lists.example>" + (" XVERP" if verp else ""))
        for start in range(0, len(recipients), 500):
            part = recipients[start:start + 500]
            client.send("".join(f"RCPT TO:<{r}>\r\n" for r in part))
            for _ in part:
                client.getreply()
        client.docmd("DATA")
        began, at = time.perf_counter(), time.time()
        client.send(f"From: <a@example.net>\r\nMessage-ID: <{time.time_ns()}@bench.example>\r\n\r\n" + ("x" * 76 + "\r\n") * 50 + ".\r\n")
        client.getreply()
        return at, time.perf_counter() - began


def memory(process, key="RssAnon"):
    """MB of a process, from its status."""
    for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"no {key} in the status of {process.pid}")


def processor(process):
    """Seconds of processor that it and its threads have used."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def written(process):
    """Bytes it has given to write(2), files and sockets."""
    return int(pathlib.Path(f"/proc/{process.pid}/io").read_text().split("wchar:")[1].split()[0])
