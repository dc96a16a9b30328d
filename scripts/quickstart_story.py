"""The story of scripts/quickstart: a list of four, a next hop that hangs up at the RCPT of one of them, and what becomes of
the other three. Every figure it names is checked; the exit code is 0 only when all went as it says."""
import argparse
import collections
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
HOME = pathlib.Path("var/quickstart")
LIST = "test@lists.example"
MEMBERS = {"Bart": "bart@east.example", "Anne": "anne@north.example", "Dirk": "dirk@south.example", "Cris": "cris@west.example"}
DIRK = MEMBERS["Dirk"]


class Failed(Exception):
    pass


def chapter(number, text):
    print(f"\n{number}/6  {text}", flush=True)


def say(text=""):
    print(f"     {text}" if text else "", flush=True)


def ours(pid, name):
    """Whether the process is the one we started (its command line names our folder)."""
    try:
        return name in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
    except OSError:
        return False


def stop_earlier():
    stopped = False
    for name, mark in (("spoold", "var/quickstart/spoold.toml"), ("next-hop", "var/quickstart/next-hop.log")):
        file = HOME / f"{name}.pid"
        if not file.exists():
            continue
        pid = int(file.read_text())
        if ours(pid, mark):
            os.kill(pid, signal.SIGTERM)
            for _ in range(150):
                if not ours(pid, mark):
                    break
                time.sleep(0.1)
            stopped = True
        file.unlink()
    return stopped


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(condition, seconds, what):
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise Failed(f"after {seconds} s still not: {what}")
        time.sleep(0.05)
    return value


class Quickstart:
    def __init__(self, programs, keep):
        self.programs, self.keep = pathlib.Path(programs), keep
        self.children = []

    # running things

    def start(self, name, words, ready):
        log = open(HOME / f"{name}.out", "wb")
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.children.append(process)
        (HOME / f"{name}.pid").write_text(str(process.pid))

        def is_ready():
            text = (HOME / f"{name}.out").read_text()
            if process.poll() is not None:
                raise Failed(f"{name} ended at its start:\n{text}")
            return text if ready in text else None
        return wait_until(is_ready, 20, f"{name} is ready")

    def stop(self):
        for process in reversed(self.children):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def ctl(self, *words):
        """spoolctl --json, parsed."""
        done = subprocess.run([self.programs / "spoolctl", "--json", *words], capture_output=True, text=True)
        if done.returncode not in (0, 3):
            raise Failed(f"spoolctl {' '.join(words)}: {done.stderr or done.stdout}")
        return json.loads(done.stdout) if done.stdout.strip() else []

    def shown(self, *words):
        """The command as a person types it, and what it prints."""
        print(f"\n     $ spoolctl {' '.join(words)}", flush=True)
        done = subprocess.run([self.programs / "spoolctl", *words], capture_output=True, text=True)
        for line in (done.stdout + done.stderr).splitlines():
            print("       " + line)
        if done.returncode not in (0, 3):
            raise Failed(f"spoolctl {' '.join(words)} failed")

    # the story

    def set_up(self):
        chapter(3, "start: spoold, and a next hop that hangs up at the RCPT of Dirk")
        hop = self.start("next-hop", [sys.executable, "-B", str(ROOT / "tests/peers/peer.py"), "--listen", "127.0.0.1:0", "--log",
                                      str(HOME / "next-hop.log"), "--rcpt", f"{DIRK}=close"], "listen")
        hop = json.loads(hop.splitlines()[0])["listen"]
        self.port = free_port()
        config = HOME / "spoold.toml"
        control = HOME.resolve() / "control.sock"
        if len(str(control)) > 100:  # a socket's path has room for 107 bytes
            control = pathlib.Path(f"/tmp/spoold-quickstart-{os.getpid()}.sock")
        config.write_text(f'''# Written by scripts/quickstart. conf/README.md explains every key.
hostname = "mx.lists.example"

[spool]
path = "{HOME.resolve()}/store"
max_size = "1GiB"
reserve = "1MiB"

[[listen]]
address = "127.0.0.1:{self.port}"
protocol = "smtp"

[relay]
smarthost = "smtp://{hop}"

[control]
socket = "{control}"
''')
        (HOME / "store").mkdir(mode=0o700)
        os.environ["SPOOLD_CONFIG"] = str(config)
        self.start("spoold", [str(self.programs / "spoold"), "--config", str(config)], "event=ready")
        say(f"spoold takes mail at 127.0.0.1:{self.port} and hands it to the next hop at {hop}.")
        say(f"Configuration, store, logs: {HOME}/")
        chapter(4, f"the list {LIST} with Anne, Bart, Cris and Dirk, all behind that next hop")
        self.shown("list", "create", LIST, "--owner", MEMBERS["Anne"])
        self.shown("member", "add", LIST, *MEMBERS.values())

    def post(self, subject):
        """One post with curl; its queue id."""
        known = {m["id"] for m in self.ctl("queue")}
        message = HOME / f"{subject.split()[0].lower()}.eml"
        message.write_text(f"From: Anne <{MEMBERS['Anne']}>\r\nTo: {LIST}\r\nSubject: {subject}\r\nMessage-ID: <{subject.split()[0].lower()}@north.example>\r\n"
                           f"Date: {time.strftime('%a, %d %b %Y %H:%M:%S +0000', time.gmtime())}\r\n\r\nHello, all four.\r\n", newline="")
        words = ["curl", "--silent", "--show-error", "--url", f"smtp://127.0.0.1:{self.port}/north.example", "--mail-from", MEMBERS["Anne"],
                 "--mail-rcpt", LIST, "--upload-file", str(message)]
        print(f"\n     $ {' '.join(words)}", flush=True)
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise Failed(f"curl could not post: {done.stderr}")
        new = [m["id"] for m in self.ctl("queue") if m["id"] not in known]
        if len(new) != 1:
            raise Failed(f"one new message in the queue expected, found {new}")
        return new[0]

    def settled(self, qid):
        """Waits until three are delivered and Dirk is deferred with a reason."""
        def look():
            rows = {r["address"]: r for r in self.ctl("show", qid)["recipients"]}
            states = {address: r["state"] for address, r in rows.items()}
            good = all(states.get(a) == "delivered" for a in MEMBERS.values() if a != DIRK)
            return good and states.get(DIRK) == "deferred" and (rows[DIRK].get("last_reply") or rows[DIRK].get("suspect"))
        wait_until(look, 60, "three recipients delivered and Dirk deferred, with the reason")
        self.shown("show", qid)

    def tell(self):
        chapter(5, "two posts; the connection is lost at Dirk, and it is Dirk who waits, nobody else")
        say("First in bulk (verp = never): all four recipients in one transaction. Most mail servers put the whole")
        say("message to sleep when the connection breaks there, and try the same four again, until all of them bounce.")
        self.ctl("list", "set", LIST, "verp=never")
        bulk = self.post("Bulk post")
        self.settled(bulk)
        say()
        say("The same with VERP, the default: every member has an envelope of his own, so that bounces name the member.")
        self.ctl("list", "set", LIST, "verp=always")
        verp = self.post("Verp post")
        self.settled(verp)
        self.next_hop_log()
        return bulk, verp

    def next_hop_log(self):
        time.sleep(0.2)  # it writes its log every 50 ms
        events = [json.loads(line) for line in open(HOME / "next-hop.log")]
        print(f"\n     What the next hop saw ({HOME}/next-hop.log):")
        copies = collections.Counter()
        for e in events:
            if e["e"] == "cmd" and e["line"][:4].upper() in ("MAIL", "RCPT"):
                print(f"       connection {e['c']}: {e['line']:<66.66} {e['reply'] or '(hung up)'}")
            if e["e"] == "message":
                print(f"       connection {e['c']}: message {e['id']} for {', '.join(e['rcpts'])}")
                copies.update((r, e["id"]) for r in e["rcpts"])
        wanted = {(a, f"<{p}@north.example>"): 1 for a in MEMBERS.values() if a != DIRK for p in ("bulk", "verp")}
        if dict(copies) != wanted:
            raise Failed(f"expected three copies of each post and none twice, the next hop has {dict(copies)}")
        say()
        say("Three copies of each post, none twice.")

    def finish(self, messages):
        chapter(6, "take Dirk off, while the daemon runs")
        self.shown("queue")
        for qid in messages:
            self.shown("edit-recipients", qid, "--remove", DIRK)
        wait_until(lambda: not [m for m in self.ctl("queue") if m.get("state") != "finished"], 20, "the queue is empty")
        self.shown("queue")
        say()
        say("The queue is empty. Nothing was lost, nothing sent twice, and nobody waited for Dirk.")

    def run(self):
        HOME.mkdir(parents=True)
        try:
            self.set_up()
            self.finish(self.tell())
        except Failed as e:
            print(f"\nquickstart: {e}\nThe end of spoold's log ({HOME}/spoold.out):", file=sys.stderr)
            log = HOME / "spoold.out"
            print("\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.exists() else "(none)", file=sys.stderr)
            self.stop()
            return 1
        print("\nHow to go on:")
        if self.keep:
            print(f"     It is running: mail to 127.0.0.1:{self.port}; scripts/quickstart --stop ends it.")
        else:
            self.stop()
            print("     scripts/quickstart --keep       the same, and leaves it running")
        print(f"     export SPOOLD_CONFIG={HOME}/spoold.toml; {self.programs}/spoolctl --help")
        print("     conf/spoold.toml                the sample configuration; conf/README.md explains every key")
        print("     README.md                       behind a mail server, towards a smarthost; what is not there yet")
        return 0


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--programs", default="build")
    options.add_argument("--keep", action="store_true")
    options.add_argument("--stop", action="store_true")
    options = options.parse_args()
    stopped = stop_earlier()
    if options.stop:
        print("stopped." if stopped else "nothing was running.")
        return 0
    shutil.rmtree(HOME, ignore_errors=True)
    return Quickstart(options.programs, options.keep).run()


if __name__ == "__main__":
    sys.exit(main())
