#!/usr/bin/env python3
"""A next hop that misbehaves as told, and keeps a log of every command: the judge of the tests. Standard library only.

  peer.py --listen 127.0.0.1:0 --log peer.log --rcpt dirk@example.com=fin

When it listens it prints {"listen": "HOST:PORT"}. It ends at SIGTERM. SIGHUP reads --plan again (what a postmaster
does when he repairs his server). `peer.py --help` lists everything; judge.py beside it reads the log.

ACTION, for --rcpt ADDRESS=ACTION and --at STAGE=ACTION:
  fin           answer nothing, close our half, read on until the client closes
  close         answer nothing, close the socket (later bytes of the client are answered by a reset)
  rst           answer nothing, reset the connection
  421[:TEXT]    answer "421 TEXT" and close
  half          answer with the beginning of the right reply, and close
  close:REPLY   answer REPLY and close ("reject and hang up")
  silence       never answer anything again on this connection, and take nothing more either
  mute          never answer anything again on this connection, but work through whatever comes: a server whose replies are lost
  stall:SECONDS wait, then go on as if nothing had been, also when the client has gone meanwhile: what it wrote is worked through
  garbage       answer with bytes that are no reply, and go on
  huge          answer with a reply of 100 KB in many lines, otherwise right
  REPLY         answer this: "550 5.1.1 no such user"
STAGE: banner ehlo mail rcpt data dot bdat rset quit; `STAGE:N` only the Nth of a connection, `STAGE@C` or `STAGE@C-D`
only on these connections (counted from 1).
"""
import argparse
import asyncio
import json
import os
import re
import signal
import socket
import struct
import sys
import time

from plan import Log, Plan

HUGE = b"".join(b"250-%s\r\n" % (b"x" * 76) for _ in range(1280))
PIECES = {"drip": 1, "split": 7}  # --replies: octets of a packet
MESSAGE_ID = re.compile(rb"^message-id:\s*([^\r\n]*)", re.I | re.M)
PATH = re.compile(r"<((?:\"(?:\\.|[^\"\\])*\"|[^>\"])*)>")


class Peer(asyncio.Protocol):
    """One connection."""
    made = 0
    open = 0
    seen = {}  # greylisting: (sender, recipient) -> time of the first try

    def __init__(self, plan, log):
        self.plan, self.log = plan, log
        Peer.made += 1
        self.number = Peer.made
        self.buffer = b""
        self.out = []
        self.over = self.silent = self.stalled = self.in_data = self.mute = self.gone = False
        self.sender, self.rcpts = None, []
        self.chunk, self.chunk_left, self.chunk_last, self.chunked = b"", None, False, False
        self.counts = {}
        self.rejects = self.messages = self.rcpts_in_transaction = 0
        self.late = None
        self.due, self.dripping = b"", False

    # connection

    def connection_made(self, transport):
        Peer.open += 1
        self.transport = transport
        sock = transport.get_extra_info("socket")
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.note("connect")
        if "seconds" in self.plan.close_after:
            asyncio.get_running_loop().call_later(self.plan.close_after["seconds"], self.close_as, self.plan.how, "seconds")
        if self.plan.max_connections and Peer.open > self.plan.max_connections:
            self.answer("421 4.7.0 too many connections")
            return self.close_as("close", "max-connections")
        self.step("banner", "", "220 peer.example ESMTP" if not self.plan.lmtp else "220 peer.example LMTP")
        self.end_of_read()

    def connection_lost(self, error):
        Peer.open -= 1
        self.left(str(error) if error else None)

    def eof_received(self):
        self.left()
        return self.stalled and not self.over

    def left(self, error=None):
        """The client has closed. A stalled server finds that out when it has worked through what it had read."""
        if self.over or self.gone:
            return
        self.note("close", by="them", error=error)
        if self.stalled and not self.silent:
            self.gone = self.mute = True
        else:
            self.over = True

    def close_as(self, how, why):
        """Ends the connection from our side; replies already due go out first (unless they are to be lost)."""
        if self.over:
            return
        if how == "421":
            self.answer("421 peer.example closing connection")
            how = "close"
        if self.plan.replies == "lose":
            self.out = []
        self.write(last=True)
        self.note("close", by="us", how=how, why=why, mid=self.sender is not None)
        self.over = True
        if how == "rst":
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        elif how == "fin":
            self.transport.write_eof()
            asyncio.get_running_loop().call_later(3, self.transport.abort)
        else:
            self.transport.close()

    # replies

    def note(self, event, **more):
        self.log.add({"t": round(time.time(), 6), "c": self.number, "e": event, **more})

    def answer(self, reply):
        if self.silent or self.over or self.mute:
            return
        if isinstance(reply, str):
            reply = reply.encode() + b"\r\n"
        self.out.append(reply)
        if self.plan.replies == "each":
            self.write()

    def write(self, last=False):
        if self.out and not self.over:
            self.due += b"".join(self.out)
        self.out = []
        if self.plan.replies not in PIECES or last:
            self.transport.write(self.due)
            self.due = b""
        elif self.due and not self.dripping:
            self.drip()

    def drip(self):
        """One piece of the replies that are due, each a packet of its own."""
        size = PIECES.get(self.plan.replies, len(self.due))
        self.transport.write(self.due[:size])
        self.due = self.due[size:]
        self.dripping = bool(self.due) and not self.over
        if self.dripping:
            asyncio.get_running_loop().call_later(0.001, self.drip)

    def end_of_read(self):
        """All commands that came in one read have been worked through."""
        if self.plan.replies in ("late", "lose"):
            if self.late:
                self.late.cancel()
            self.late = asyncio.get_running_loop().call_later(0.02, self.write)
        else:
            self.write()

    # the dialog

    def data_received(self, data):
        if self.over or self.silent:
            return
        self.buffer += data
        if not self.stalled:
            self.work()

    def work(self):
        while self.buffer and not self.over and not self.silent and not self.stalled:
            if self.chunk_left is not None:
                piece, self.buffer = self.buffer[:self.chunk_left], self.buffer[self.chunk_left:]
                self.chunk += piece
                self.chunk_left -= len(piece)
                if self.chunk_left:
                    break
                self.end_of_chunk()
                continue
            if self.in_data:
                if self.buffer.startswith(b".\r\n"):
                    content, rest = b"", self.buffer[3:]
                else:
                    end = self.buffer.find(b"\r\n.\r\n", self.searched)
                    if end < 0:
                        self.searched = max(0, len(self.buffer) - 4)
                        break
                    content, rest = self.buffer[:end + 2], self.buffer[end + 5:]
                self.buffer = rest
                self.in_data = False
                self.end_of_content(content, "dot")
                continue
            line, eol, rest = self.buffer.partition(b"\n")
            if not eol:
                break
            self.buffer = rest
            if rest and not self.plan.pipelining:
                self.note("violation", what="PIPELINING not offered", line=line.decode("utf-8", "replace"))
            self.command(line.rstrip(b"\r").decode("utf-8", "surrogateescape"))
        if not self.over:
            self.end_of_read()

    def step(self, stage, line, reply, then=None, action=None):
        """Answers one command: as planned, or else with `reply`. Calls `then` when that was the normal reply. Returns the reply."""
        self.counts[stage] = self.counts.get(stage, 0) + 1
        action = action or self.plan.action_at(stage, self.counts[stage], self.number)
        if action and action.startswith("stall:"):
            self.stalled = True

            def go_on():
                self.stalled = False
                if not self.over:
                    self.finish(stage, line, reply, then)
                    self.work()
                if self.gone and not self.stalled:
                    self.over = True
                    self.transport.close()
                elif not self.over:
                    self.end_of_read()
            asyncio.get_running_loop().call_later(float(action[6:]), go_on)
            return None
        if not action:
            return self.finish(stage, line, reply, then)
        if action == "silence":
            self.note("cmd", line=line, reply=None, silence=True)
            self.write()
            self.silent = True
        elif action == "mute":
            self.write()
            self.mute = True
            return self.finish(stage, line, reply, then)
        elif action in ("fin", "close", "rst"):
            self.note("cmd", line=line, reply=None)
            self.close_as(action, line or stage)
        elif action == "421" or action.startswith("421:"):
            text = action if action == "421" else "421 " + action[4:]
            text = "421 peer.example closing connection" if text == "421" else text
            self.note("cmd", line=line, reply=text)
            self.answer(text)
            self.close_as("close", line or stage)
        elif action.startswith("close:"):
            self.finish(stage, line, action[6:], None)
            self.close_as("close", line or stage)
        elif action == "half":
            self.note("cmd", line=line, reply=None)
            self.answer(reply.encode()[:len(reply) * 2 // 3])
            self.close_as("close", line or stage)
        elif action == "garbage":
            self.note("cmd", line=line, reply="(garbage)")
            self.answer(b"\x00\xff this is no reply \r\n2x0 nor this\r\n")
        elif action == "huge":
            self.answer(HUGE)
            self.finish(stage, line, reply, then)
        else:
            return self.finish(stage, line, action, then if action[0] in "23" else None)
        return None

    def finish(self, stage, line, reply, then):
        if line or stage == "banner":
            self.note("cmd", line=line or "(connected)", reply=reply)
        self.answer(reply)
        if then and reply[0] in "23":
            then()
        if reply[0] in "45" and stage in ("mail", "rcpt", "data", "dot"):
            self.rejects += 1
            if self.rejects == self.plan.close_after.get("rejects"):
                self.close_as(self.plan.how, "rejects")
        return reply

    def command(self, line):
        verb = line[:4].upper()
        if verb == "RCPT":
            self.rcpt(line)
        elif verb == "MAIL":
            if self.sender is not None:
                return self.step("mail", line, "503 5.5.1 nested MAIL")

            def begin():
                found = PATH.search(line)
                self.sender, self.rcpts, self.rcpts_in_transaction = found[1] if found else "", [], 0
            self.step("mail", line, "250 2.1.0 ok", begin)
        elif verb == "DATA":
            if self.sender is None or self.chunked:
                return self.step("data", line, "503 5.5.1 MAIL first")
            if not self.rcpts and not self.plan.lone_dot:
                return self.step("data", line, "554 5.5.1 no valid recipients", action=None)

            def go():
                self.in_data, self.searched = True, 0
            self.step("data", line, "354 go on", go)
        elif verb == "BDAT":
            words = line.split()
            self.chunk_left, self.chunk_last = int(words[1]), len(words) > 2
            self.note("chunk", octets=self.chunk_left, unanswered=len(self.out))
            self.bdat_line = line
            self.chunked = True
            if self.chunk_left == 0:
                self.end_of_chunk()
        elif verb in ("EHLO", "LHLO", "HELO"):
            self.forget()
            words = ["peer.example"] + (["PIPELINING"] if self.plan.pipelining else []) + (["CHUNKING"] if self.plan.chunking else [])
            words += self.plan.keyword + (["8BITMIME"] if self.plan.eight_bit else [])
            words += (["SMTPUTF8"] if self.plan.eight_bit and self.plan.smtputf8 else []) + ["SIZE 0", "ENHANCEDSTATUSCODES"]
            self.step("ehlo", line, "\r\n".join("250" + (" " if w is words[-1] else "-") + w for w in words))
        elif verb == "RSET":
            self.forget()
            self.step("rset", line, "250 2.0.0 ok")
        elif verb == "NOOP":
            self.step("noop", line, "250 2.0.0 ok")
        elif verb == "QUIT":
            self.step("quit", line, "221 2.0.0 bye")
            if not self.over:
                self.write(last=True)
                self.note("close", by="us", how="quit")
                self.over = True
                self.transport.close()
        else:
            self.step("unknown", line, "500 5.5.2 unknown command")

    def rcpt(self, line):
        if self.sender is None:
            return self.step("rcpt", line, "503 5.5.1 MAIL first")
        found = PATH.search(line)
        address = found[1] if found else ""
        action = self.plan.rcpt.get(address.lower())
        if not action and self.plan.greylist is not None:
            first = Peer.seen.setdefault((self.sender, address), time.time())
            if time.time() - first < self.plan.greylist or first == time.time():
                action = "451 4.7.1 greylisted, come back later"
        self.rcpts_in_transaction += 1
        self.step("rcpt", line, "250 2.1.5 ok", lambda: self.rcpts.append(address), action=action)
        if self.rcpts_in_transaction == self.plan.close_after.get("rcpt"):
            self.close_as(self.plan.how, "rcpt limit")

    def forget(self):
        self.sender, self.rcpts, self.chunk, self.chunked = None, [], b"", False

    def end_of_chunk(self):
        self.chunk_left = None
        if self.sender is None or not self.rcpts:
            self.step("bdat", self.bdat_line, "503 5.5.1 no valid recipients")
            if not self.plan.bdat_keeps:
                self.forget()
            self.chunk, self.chunked = b"", False
        elif self.chunk_last:
            self.end_of_content(self.chunk, "bdat")
        else:
            self.step("bdat", self.bdat_line, "250 2.0.0 chunk")

    def end_of_content(self, content, stage):
        sender, rcpts = self.sender, self.rcpts
        self.forget()
        found = MESSAGE_ID.search(content[:65536])
        seen = {"sender": sender, "rcpts": rcpts, "id": found[1].decode("utf-8", "replace").strip() if found else None, "bytes": len(content)}
        if self.plan.content and rcpts:
            seen["file"] = os.path.join(self.plan.content, f"{self.number}-{self.messages + 1}.eml")
            with open(seen["file"], "wb") as f:
                f.write(content)
        if not rcpts:
            self.step(stage, "", "554 5.5.1 no valid recipients")
        elif self.plan.lmtp:
            return self.lmtp_end(seen)
        else:
            self.counted = False

            def commit():
                self.note("message", **seen, reply="250")
                self.counted = True
            before = self.over
            reply = self.step(stage, "", "250 2.0.0 accepted", commit)
            if not self.counted and not self.stalled:
                self.note("message", **seen, reply=reply)  # refused, or never answered: in doubt
            if before or not self.counted:
                return
        self.messages += 1
        if self.messages == self.plan.close_after.get("messages"):
            self.close_as(self.plan.how, "messages")

    def lmtp_end(self, seen):
        rcpts = seen.pop("rcpts")
        for n, address in enumerate(rcpts):
            if self.plan.lmtp_cut is not None and n == self.plan.lmtp_cut:
                self.note("message", **seen, rcpts=rcpts[n:], reply=None)
                return self.close_as(self.plan.how, "lmtp cut")
            reply = self.plan.lmtp_reply.get(address.lower()) or self.plan.action_at("dot", n + 1, self.number) or "250 2.1.5 delivered"
            self.answer(reply)
            self.note("message", **seen, rcpts=[address], reply=reply)
        self.messages += 1
        if self.messages == self.plan.close_after.get("messages"):
            self.close_as(self.plan.how, "messages")


def parse(arguments):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--listen", required=True, help="HOST:PORT (port 0 chooses one) or unix:PATH")
    p.add_argument("--log", help="JSON lines: connect, cmd, message, close, violation")
    p.add_argument("--plan", help="JSON object with option names as keys; read again at SIGHUP")
    p.add_argument("--content", help="folder for the content of every message")
    p.add_argument("--rcpt", action="append", default=[], metavar="ADDRESS=ACTION")
    p.add_argument("--at", action="append", default=[], metavar="STAGE=ACTION")
    p.add_argument("--close-after", action="append", default=[], metavar="WHAT:N", help="rcpt:N of a transaction (the Nth is answered), rejects:N, messages:N, seconds:S of a connection")
    p.add_argument("--how", choices=["fin", "close", "rst", "421"], default="close", help="how --close-after closes")
    p.add_argument("--replies", choices=["group", "each", "late", "lose", *PIECES], default="group",
                   help="group: one write for the commands of one read; each: one write a reply; late: held for 20 ms, flushed at a close; lose: held, and lost at a close; drip: octet by octet; split: in packets of 7 octets")
    p.add_argument("--greylist", type=float, metavar="SECONDS", help="451 for a (sender, recipient) until SECONDS after its first try")
    p.add_argument("--max-connections", type=int, help="421 4.7.0 to more than these at a time")
    p.add_argument("--lmtp", action="store_true")
    p.add_argument("--lmtp-reply", action="append", default=[], metavar="ADDRESS=REPLY", help="after the dot")
    p.add_argument("--lmtp-cut", type=int, metavar="N", help="close after N of the replies that follow the dot")
    p.add_argument("--no-pipelining", dest="pipelining", action="store_false")
    p.add_argument("--no-chunking", dest="chunking", action="store_false")
    p.add_argument("--no-8bitmime", dest="eight_bit", action="store_false")
    p.add_argument("--no-smtputf8", dest="smtputf8", action="store_false")
    p.add_argument("--bdat-keeps", action="store_true", help="a BDAT refused for want of recipients leaves the transaction open, as Exchange does")
    p.add_argument("--keyword", action="append", default=[], help="one more line of the EHLO reply: LIMITS RCPTMAX=10")
    p.add_argument("--lone-dot", action="store_true", help="354 to DATA although every RCPT was refused")
    return p.parse_args(arguments)


async def serve(options):
    plan, log = Plan(options), Log(options.log)
    loop = asyncio.get_running_loop()
    make = lambda: Peer(plan, log)
    if options.listen.startswith("unix:"):
        server = await loop.create_unix_server(make, options.listen[5:], backlog=1000)
        shown = options.listen
    else:
        host, _, port = options.listen.rpartition(":")
        listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if host == "0.0.0.0":  # all of 127.0.0.0/8, and no more
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        listener.bind((host.strip("[]"), int(port)))
        server = await loop.create_server(make, sock=listener, backlog=1000)
        shown = "%s:%d" % (host, server.sockets[0].getsockname()[1])
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, plan.reload)
    print(json.dumps({"listen": shown}), flush=True)
    while not stop.is_set():
        log.flush()
        try:
            await asyncio.wait_for(stop.wait(), 0.05)
        except asyncio.TimeoutError:
            pass
    server.close()
    log.flush()


if __name__ == "__main__":
    asyncio.run(serve(parse(sys.argv[1:])))
