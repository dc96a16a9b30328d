#!/usr/bin/env python3
"""A link whose way back can be cut, as by a firewall that forgot its state: commands arrive, replies are lost. A connection that was
cut once stays cut; SIGUSR1: cut those that are open; SIGUSR2: new connections are whole again.

  oneway.py PORT

When it listens it prints {"listen": "HOST:PORT"}; it ends at SIGTERM. Standard library only."""
import asyncio
import json
import signal
import sys

cut = False


async def forward(reader, writer, lost=lambda: False):
    try:
        while data := await reader.read(65536):
            if not lost():
                writer.write(data)
                await writer.drain()
    except OSError:
        pass
    if not lost():
        try:
            writer.write_eof()
        except OSError:
            pass


async def link(reader, writer, port):
    there, back = await asyncio.open_connection("127.0.0.1", port)
    dead = cut

    def lost():
        nonlocal dead
        dead = dead or cut
        return dead
    await asyncio.gather(forward(reader, back), forward(there, writer, lost))
    for side in (writer, back):
        side.close()


async def serve(port):
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    server = await asyncio.start_server(lambda r, w: link(r, w, port), "127.0.0.1", 0, backlog=1000)

    def switch(value):
        global cut
        cut = value
    loop.add_signal_handler(signal.SIGUSR1, switch, True)
    loop.add_signal_handler(signal.SIGUSR2, switch, False)
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    print(json.dumps({"listen": "127.0.0.1:%d" % server.sockets[0].getsockname()[1]}), flush=True)
    await stop.wait()


asyncio.run(serve(int(sys.argv[1])))
