"""What black-box tests share: a spoold of their own, spoolctl, sinks, misbehaving peers, load. Standard library only.

Everything runs on loopback in a temporary folder, is bounded in time, and is ended by process id; children die with the
test (PR_SET_PDEATHSIG). The folder of a failed test is kept when SPOOLD_KEEP is set. See tests/README.md.

    class Test(harness.Case):
        def test_something(self):
            sink = self.sink()
            spoold = self.spoold(smarthost=sink.url)
            spoold.list("test@lists.example", members=["anne@example.com"])
            spoold.post("test@lists.example")
            sink.wait(1)
"""
import collections
import contextlib
import ctypes
import email.utils
import json
import os
import pathlib
import random
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
import time
import unittest

from peers.judge import Judge

BUILD = pathlib.Path(os.environ.get("SPOOLD_BUILD") or pathlib.Path(__file__).resolve().parent.parent / "build")
SOURCE = pathlib.Path(os.environ.get("SPOOLD_SOURCE") or pathlib.Path(__file__).resolve().parent.parent)
PYTHON = "/usr/bin/python3"
_cache = BUILD / "CMakeCache.txt"
SANITIZED = "SPOOLD_SANITIZE:STRING=\n" not in _cache.read_text() + "\n" if _cache.exists() else False
SLOW = 4 if SANITIZED else 1  # what a time limit is multiplied with
LIST = "test@lists.example"
OWNER = "olga@people.example"


def _die_with_parent():
    ctypes.CDLL("libc.so.6").prctl(1, signal.SIGKILL)


def free_port():
    """None that the kernel gives to clients: one could have it before it is used here."""
    while True:
        port = random.SystemRandom().randrange(10000, 32768)
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port


def wait_until(condition, seconds=10, what="the condition", every=0.01):
    """Polls until condition() is true and returns its value; fails naming what did not happen."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds * SLOW:g} s still not: {what}")
        time.sleep(every)


def toml(settings):
    """TOML text of nested dictionaries: a dict is a table, a list of dicts an array of tables."""
    def value(v):
        if isinstance(v, bool):
            return "true" if v else "false"
        if isinstance(v, (int, float)):
            return str(v)
        if isinstance(v, dict):
            return "{ " + ", ".join(f"{k} = {value(x)}" for k, x in v.items()) + " }"
        if isinstance(v, (list, tuple)):
            return "[" + ", ".join(map(value, v)) + "]"
        return json.dumps(str(v))

    lines = [f"{k} = {value(v)}" for k, v in settings.items() if not isinstance(v, dict) and not (isinstance(v, list) and v and isinstance(v[0], dict))]
    for name, table in settings.items():
        for one in table if isinstance(table, list) and table and isinstance(table[0], dict) else [table] if isinstance(table, dict) else []:
            lines.append(f"\n[[{name}]]" if isinstance(table, list) else f"\n[{name}]")
            lines += [f"{json.dumps(k) if not k.replace('_', '').isalnum() else k} = {value(v)}" for k, v in one.items()]
    return "\n".join(lines) + "\n"


def merge(base, over):
    for key, v in over.items():
        if isinstance(v, dict) and isinstance(base.get(key), dict):
            merge(base[key], v)
        else:
            base[key] = v
    return base


class Program:
    """A child process that prints one JSON line when it listens."""

    def __init__(self, words, folder, name):
        self.words, self.name = [str(w) for w in words], name
        self.errors = open(pathlib.Path(folder) / f"{name}.stderr", "ab")
        self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors, text=True,
                                        preexec_fn=_die_with_parent)
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"{name} did not start: {pathlib.Path(self.errors.name).read_text()}")
        self.address = json.loads(line)["listen"]

    @property
    def url(self):
        return ("smtp+unix:" + self.address[5:]) if self.address.startswith("unix:") else "smtp://" + self.address

    @property
    def lmtp_url(self):
        return ("lmtp+unix:" + self.address[5:]) if self.address.startswith("unix:") else "lmtp://" + self.address

    @property
    def port(self):
        return int(self.address.rsplit(":", 1)[1])

    def stop(self, number=signal.SIGTERM, seconds=20):
        """Ends it and returns what it had printed since."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            said, _ = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            said, _ = self.process.communicate()
        self.errors.close()
        return said


Arrival = collections.namedtuple("Arrival", "time connection transaction sender recipient message_id")


class Sink(Program):
    """tests/bench/smtp_sink with a log of every recipient."""

    def __init__(self, folder, *options, listen="127.0.0.1:0", name="sink", log=True):
        self.log = pathlib.Path(folder) / f"{name}.log"
        super().__init__([BUILD / "smtp_sink", "--listen", listen, *(["--log", self.log] if log else []), *options], folder, name)

    def summary(self):
        """What it has seen so far."""
        self.process.send_signal(signal.SIGUSR1)
        return json.loads(self.process.stdout.readline())

    def wait(self, recipients, seconds=30):
        seen = {}

        def enough():
            seen.update(self.summary())
            return seen["recipients"] >= recipients
        try:
            wait_until(enough, seconds, f"{recipients} recipients at {self.name}", every=0.05)
        except AssertionError as e:
            raise AssertionError(f"{e}; it has {seen}") from None
        return seen

    def finish(self):
        """Ends it; its summary."""
        return json.loads(self.stop().splitlines()[-1])

    def arrivals(self):
        self.summary() if self.process.poll() is None else None
        return [Arrival(float(w[0]), int(w[1]), int(w[2]), "" if w[3] == "<>" else w[3], w[4], w[5])
                for w in (line.split(" ", 5) for line in self.log.read_text().splitlines())]


class Peer(Program):
    """tests/peers/peer.py: misbehaves as told; plan() changes its mind while it runs."""

    def __init__(self, folder, *options, listen="127.0.0.1:0", name="peer", plan=None):
        self.log, self.plan_file = pathlib.Path(folder) / f"{name}.log", pathlib.Path(folder) / f"{name}.plan"
        self.plan_file.write_text(json.dumps(plan or {}))
        super().__init__([PYTHON, "-B", SOURCE / "tests/peers/peer.py", "--listen", listen, "--log", self.log, "--plan", self.plan_file, *options],
                         folder, name)

    def plan(self, **keys):
        self.plan_file.write_text(json.dumps(keys))
        self.process.send_signal(signal.SIGHUP)
        time.sleep(0.1)

    def judge(self):
        time.sleep(0.12)  # its log is written every 50 ms
        return Judge(self.log)


class Spoold:
    """A daemon with a store of its own. `settings` are laid over those of `base`; strings name keys as in spoold.toml."""

    def __init__(self, folder, smarthost=None, settings=None, name="spoold", start=True, wrap=()):
        self.folder, self.name, self.wrap = pathlib.Path(folder), name, list(wrap)
        self.port = free_port()
        self.config, self.log = self.folder / f"{name}.toml", self.folder / f"{name}.log"
        self.socket = self.folder / f"{name}.sock"
        self.settings = merge({
            "hostname": "mx.lists.example",
            "server": {"grace": "5s"},
            "spool": {"path": str(self.folder / f"{name}.store"), "max_size": "4GiB", "reserve": "1MiB"},
            "listen": [{"address": f"127.0.0.1:{self.port}", "protocol": "smtp"}],
            "smtp": {"max_connections_per_host": 1000, "trusted_networks": ["127.0.0.0/8"], "spf": "off", "dmarc": "off"},
            "delivery": {"retry": ["1s", "2s", "5s"], "isolation_waits": ["200ms", "500ms", "1s"]},
            "control": {"socket": str(self.socket)},
        }, settings or {})
        if smarthost:
            merge(self.settings, {"relay": {"smarthost": smarthost}})
        self.process = None
        if start:
            self.start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def configure(self, **over):
        merge(self.settings, over)
        self.config.write_text(toml(self.settings))

    def start(self, wait=True):
        (self.folder / f"{self.name}.store").mkdir(exist_ok=True)
        self.configure()
        self.log_from = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, "ab") as errors:
            self.process = subprocess.Popen([*self.wrap, str(BUILD / "spoold"), "--config", str(self.config)], stdin=subprocess.DEVNULL,
                                            stdout=errors, stderr=errors, preexec_fn=_die_with_parent)
        if wait:
            self.wait_ready()

    def wait_ready(self, seconds=20):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"spoold ended with {self.process.returncode}:\n{self.tail()}")
            return any("event=ready" in line for line in self.lines())
        wait_until(ready, seconds, "event=ready")

    def lines(self, event=None, whole=False):
        """Lines of its log since it was started last (or ever), all or those of one event."""
        if event not in (None, "ready") and self.process is not None and self.process.poll() is None:
            time.sleep(0.15)  # what is no warning waits up to 50 ms for its company
        data = self.log.read_bytes()[0 if whole else self.log_from:].decode("utf-8", "replace").splitlines()
        return [line for line in data if event is None or f"event={event} " in line + " "]

    def possible_duplicates(self):
        """The upper bound of duplicates that the log states at its last start."""
        return int(re.search(r"possible_duplicates=(\d+)", self.lines("ready")[0])[1])

    def tail(self, n=30):
        return "\n".join(self.lines(whole=True)[-n:])

    def stop(self, seconds=30):
        """SIGTERM, and its exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"spoold did not end within {seconds * SLOW} s of SIGTERM:\n{self.tail()}") from None
        self.process = None
        return code

    def kill(self):
        """SIGKILL: the crash."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def run(self, *words, input=None, timeout=60):
        """spoolctl, as it is: a CompletedProcess."""
        return subprocess.run([str(BUILD / "spoolctl"), "--config", str(self.config), *map(str, words)], input=input, capture_output=True,
                              text=True, timeout=timeout * SLOW)

    def ctl(self, *words, input=None, ok=(0,)):
        """spoolctl --json, its answer parsed; another exit code than expected fails."""
        done = self.run("--json", *words, input=input)
        if done.returncode not in ok:
            raise AssertionError(f"spoolctl {' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def ask(self, **request):
        """What spoolctl asks the running daemon, without a process for each question; its answer."""
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(30 * SLOW)
            door.connect(str(self.socket))
            door.sendall(json.dumps(request).encode() + b"\n")
            with door.makefile("rb") as answer:
                return json.loads(answer.readline())

    def list(self, address=LIST, members=(), **settings):
        """Creates a list whose owner is OWNER and imports members."""
        self.ctl("list", "create", address, "--owner", OWNER)
        settings = {"nonmembers": "accept", **settings}
        self.ctl("list", "set", address, *[f"{k}={v}" for k, v in settings.items()])
        if members:
            file = self.folder / "members.txt"
            file.write_text("".join(m + "\n" for m in members))
            self.ctl("member", "import", address, file)

    def post(self, to=LIST, sender="poster@example.net", subject="hello", message_id=None, body="Hello, world.\r\n", rcpts=None):
        """One message over SMTP; returns its Message-ID."""
        message_id = message_id or email.utils.make_msgid(domain="poster.example")
        text = (f"From: <{sender}>\r\nTo: <{to}>\r\nSubject: {subject}\r\nDate: {email.utils.formatdate()}\r\nMessage-ID: {message_id}\r\n\r\n{body}")
        with smtplib.SMTP("127.0.0.1", self.port, local_hostname="client.example", timeout=60 * SLOW) as client:
            client.ehlo()
            client.mail(sender)
            for rcpt in rcpts or [to]:
                code, said = client.rcpt(rcpt)
                if code != 250:
                    raise AssertionError(f"refused at RCPT: {code} {said}")
            code, said = client.data(text.encode())
        if code != 250:
            raise AssertionError(f"refused: {code} {said}")
        self.last_id = said.decode().split()[-1]  # the queue id that the 250 names
        return message_id

    def queue(self, *filters):
        """Messages that are not finished."""
        return [m for m in self.ctl("queue", *filters, ok=(0, 3)) or [] if m.get("state") != "finished"]

    def show(self, qid):
        answer = self.ctl("show", qid)
        return answer[0] if isinstance(answer, list) else answer

    def recipients(self, qid):
        """address -> its row of show."""
        return {r["address"]: r for r in self.show(qid)["recipients"]}

    def check(self):
        """spoolctl check: the invariants of the store. Fails with what it says."""
        done = self.run("check")
        if done.returncode != 0:
            raise AssertionError(f"spoolctl check: exit {done.returncode}\n{done.stdout}{done.stderr}")


class Case(unittest.TestCase):
    """A test with a folder and programs that end with it."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="spoold-"))
        self.daemons, self.programs = [], []
        self.addCleanup(self._clean)

    def _clean(self):
        outcome = getattr(self, "_outcome", None)
        failed = outcome is not None and any(error for _, error in getattr(outcome.result, "failures", []) + getattr(outcome.result, "errors", [])
                                             if error and self.id() in str(_))
        races = []
        for daemon in self.daemons:
            daemon.kill()
            if daemon.log.exists() and b"WARNING: ThreadSanitizer" in daemon.log.read_bytes():
                races.append(daemon)
                print(daemon.log.read_text(errors="replace"), flush=True)
            if failed and daemon.log.exists():
                print(f"--- the end of {daemon.log.name} of {self.id()}\n{daemon.tail()}", flush=True)
        self.end_programs()
        if not (failed and os.environ.get("SPOOLD_KEEP")):
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            print(f"--- kept: {self.folder}", flush=True)
        if races:
            raise AssertionError("ThreadSanitizer found something; its report is above")

    def end_programs(self):
        """Ends sinks and peers, in the midst of a test too."""
        for program in self.programs:
            if program.process.poll() is None:
                program.stop(signal.SIGKILL)
        self.programs.clear()

    def _program(self, program):
        self.programs.append(program)
        return program

    def sink(self, *options, **keys):
        return self._program(Sink(self.folder, *options, **keys))

    def peer(self, *options, **keys):
        return self._program(Peer(self.folder, *options, **keys))

    def proxy(self, to, delay):
        return self._program(Program([BUILD / "delay_proxy", "--listen", "127.0.0.1:0", "--to", to, "--delay", delay], self.folder, "proxy"))

    def spoold(self, smarthost=None, settings=None, **keys):
        daemon = Spoold(self.folder, smarthost, settings, start=False, **keys)
        self.daemons.append(daemon)
        daemon.start()
        return daemon

    def load(self, *options, timeout=300):
        """tests/bench/smtp_load; its summary."""
        done = subprocess.run([str(BUILD / "smtp_load"), *map(str, options)], capture_output=True, text=True, timeout=timeout * SLOW)
        if not done.stdout:
            raise AssertionError(f"smtp_load: {done.stderr}")
        return json.loads(done.stdout)

    def load_in_background(self, *options):
        process = subprocess.Popen([str(BUILD / "smtp_load"), *map(str, options)], stdout=subprocess.PIPE, text=True, preexec_fn=_die_with_parent)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        return process


def members(n, domains=7):
    return [f"member{i:06d}@d{i % domains}.example" for i in range(n)]


def main():
    unittest.main(verbosity=2, warnings="ignore")
