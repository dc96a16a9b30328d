"""A filter of a test (milter protocol, version 6), which answers as told and logs every command.

    filter = Milter({"R": Milter.reply("550 5.7.1 no"), "E": [Milter.field("X-Spam", "yes"), CONTINUE]})
    filter.address, filter.commands(), filter.plan["M"] = CLOSE, filter.stop()

plan: what is sent for a command, by its letter (C H M R T L N B E, O for the negotiation): frames, or a list of them, or a function of
(connection, data) that answers with frames. No entry: "continue", and nothing for D, A and Q. CLOSE closes the connection without an answer; SILENT
answers nothing. commands(): "C H M R ..." of all connections, without macros; log: (connection, letter, data).
"""
import pathlib
import socket
import struct
import threading

CLOSE, SILENT = object(), b""
EDIT_ALL = 0x1FF


def frame(letter, data=b""):
    return struct.pack(">I", len(data) + 1) + letter.encode() + data


CONTINUE, ACCEPT, REJECT, TEMPFAIL, DISCARD, PROGRESS, SKIP = (frame(letter) for letter in "cartdps")


class Milter:
    def __init__(self, plan=None, actions=EDIT_ALL, steps=0, macros=None, path=None, version=6):
        self.plan, self.log, self.connections, self.ended = dict(plan or {}), [], 0, False
        self.negotiation = struct.pack(">III", version, actions, steps) + b"".join(
            struct.pack(">I", stage) + words.encode() + b"\0" for stage, words in (macros or {}).items())
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if path:
            pathlib.Path(path).unlink(missing_ok=True)
        self.listener.bind(str(path) if path else ("127.0.0.1", 0))
        self.listener.listen(128)
        self.address = f"unix:{path}" if path else "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.open = set()
        threading.Thread(target=self.serve, daemon=True).start()

    # What a filter sends.
    @staticmethod
    def reply(text):
        return frame("y", text.encode() + b"\0")

    @staticmethod
    def field(name, value):
        return frame("h", name.encode() + b"\0" + value.encode() + b"\0")

    @staticmethod
    def insert(index, name, value):
        return frame("i", struct.pack(">I", index) + name.encode() + b"\0" + value.encode() + b"\0")

    @staticmethod
    def change(index, name, value):
        return frame("m", struct.pack(">I", index) + name.encode() + b"\0" + value.encode() + b"\0")

    @staticmethod
    def envelope(letter, *words):
        return frame(letter, b"".join(word.encode() + b"\0" for word in words))

    @staticmethod
    def body(octets):
        return b"".join(frame("b", octets[i:i + 65535]) for i in range(0, len(octets), 65535))

    def commands(self, connection=None, all=False):
        return " ".join(letter for number, letter, _ in self.log if (all or letter not in "OD") and connection in (None, number))

    def data(self, letter):
        return [data for _, one, data in self.log if one == letter]

    def macros(self, command):
        """Those of the last such command."""
        for _, letter, data in reversed(self.log):
            if letter == "D" and data[:1] == command.encode():
                words = data[1:].split(b"\0")[:-1]
                return {words[i].decode(): words[i + 1].decode() for i in range(0, len(words), 2)}
        return {}

    def stop(self):
        if self.ended:
            return
        self.ended = True
        self.listener.shutdown(socket.SHUT_RDWR)  # ends the accept() that waits
        self.listener.close()
        for connection in list(self.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def serve(self):
        while not self.ended:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            if self.ended:
                return connection.close()
            self.connections += 1
            threading.Thread(target=self.talk, args=(connection, self.connections), daemon=True).start()

    def talk(self, connection, number):
        self.open.add(connection)
        try:
            with connection, connection.makefile("rb") as commands:
                while head := commands.read(4):
                    data = commands.read(struct.unpack(">I", head)[0])
                    letter = chr(data[0])
                    self.log.append((number, letter, data[1:]))
                    answer = self.plan.get(letter)
                    if callable(answer):
                        answer = answer(connection, data[1:])
                    if answer is None:
                        answer = frame("O", self.negotiation) if letter == "O" else b"" if letter in "DAQ" else CONTINUE
                    if isinstance(answer, list):
                        answer = b"".join(answer)
                    if answer is CLOSE:
                        return
                    connection.sendall(answer)
        except OSError:
            pass
        finally:
            self.open.discard(connection)
