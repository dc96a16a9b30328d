"""An SMTP client for tests that leave one in the middle of something."""
import socket

import harness


class Client:
    """An SMTP client that may be left waiting in the middle."""

    def __init__(self, spoold, seconds=60):
        self.socket = socket.create_connection(("127.0.0.1", spoold.port), timeout=seconds * harness.SLOW)
        self.lines = self.socket.makefile("rb")
        self.greeting = self.reply()

    def reply(self):
        """The last line of a reply; empty: the connection has ended."""
        while True:
            try:
                line = self.lines.readline()
            except ConnectionError:
                return b""
            if line[3:4] != b"-":
                return line

    def say(self, *lines):
        self.socket.sendall("".join(line + "\r\n" for line in lines).encode())

    def ask(self, *lines):
        for line in lines:
            self.say(line)
            last = self.reply()
        return last

    def close(self):
        self.lines.close()
        self.socket.close()
