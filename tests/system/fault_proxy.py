"""A link that has faults: a TCP proxy that passes bytes on late, slowly, or not
at all, and that cuts connections off.

It runs in a thread of its own; any thread may call it. Bytes are never changed,
lost or put in another order, as TCP sees to it, whatever the network does.
"""

import asyncio
import random
import socket
import struct
import threading

PIECE_BYTES = 65536
# A link that is slow passes on pieces of that time.
PIECE_SECONDS = 0.02
# Between reading from one side and writing to the other: what a network holds.
PIECES_ON_THE_WAY = 64
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST


class Quality:
    """What each connection is subject to, from now on."""

    def __init__(self, delay_ms=0, jitter_ms=0, bytes_per_second=None):
        self.delay_ms = delay_ms  # one way
        self.jitter_ms = jitter_ms  # up to that much more, by chance
        self.bytes_per_second = bytes_per_second  # of each direction


class Connection:
    """Of a client and its way on. Used by the event loop alone."""

    def __init__(self, proxy, streams, target_streams):
        self._proxy = proxy
        self._client, self._target = streams, target_streams
        self._flows = {"up": asyncio.Event(), "down": asyncio.Event()}
        self.go_on()

    async def run(self):
        (client_in, client_out), (target_in, target_out) = (self._client,
                                                            self._target)
        try:
            await asyncio.gather(self._pass("up", client_in, target_out),
                                 self._pass("down", target_in, client_out))
        except OSError:
            self.reset()  # as the side did that is gone
        finally:
            for writer in (client_out, target_out):
                writer.transport.abort()

    def go_silent(self, directions):
        for direction in directions:
            self._flows[direction].clear()

    def go_on(self):
        for flow in self._flows.values():
            flow.set()

    def reset(self):
        for _, writer in (self._client, self._target):
            end = writer.get_extra_info("socket")
            if end.family != socket.AF_UNIX and end.fileno() >= 0:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()

    async def _pass(self, direction, reader, writer):
        queue = asyncio.Queue(PIECES_ON_THE_WAY)
        sender = asyncio.create_task(self._send(direction, queue, writer))
        try:
            data = True
            while data:
                # What stands at a silent link is not taken off the sender.
                await self._flows[direction].wait()
                quality = self._proxy.quality
                size = PIECE_BYTES
                if quality.bytes_per_second:
                    size = max(1, int(quality.bytes_per_second *
                                      PIECE_SECONDS))
                data = await reader.read(size)
                late_ms = quality.delay_ms + random.uniform(
                    0, quality.jitter_ms)
                await queue.put((asyncio.get_running_loop().time() +
                                 late_ms / 1000, data))
            await sender
        finally:
            sender.cancel()

    async def _send(self, direction, queue, writer):
        while True:
            when, data = await queue.get()
            await asyncio.sleep(when - asyncio.get_running_loop().time())
            await self._flows[direction].wait()
            if not data:
                writer.write_eof()
                return
            writer.write(data)
            await writer.drain()
            rate = self._proxy.quality.bytes_per_second
            if rate:
                await asyncio.sleep(len(data) / rate)


class FaultProxy:
    """Listens at `address` in the place of `target`, HOST:PORT or unix:PATH,
    until it is closed; also by a with block."""

    def __init__(self, target, **quality):
        self._target = target
        self.quality = Quality(**quality)
        self._connections = set()
        self._tasks = set()
        self._is_silent = False
        self._ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run,
                                        args=(self._serve(),))
        self._thread.start()
        self._ready.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def set_quality(self, **quality):
        """See Quality; without arguments there are no faults."""
        self.quality = Quality(**quality)

    def cut(self):
        """Connections end by RST at both sides. New ones are taken."""
        self._do(lambda: [c.reset() for c in list(self._connections)])

    def half_open(self, directions=("up", "down")):
        """The connections that there are pass nothing on, and nobody learns of
        it. New ones are as always. Up is from client to target."""
        self._do(lambda: [c.go_silent(directions) for c in self._connections])

    def part(self):
        """The same, and new ones too."""
        def silence():
            self._is_silent = True
            for connection in self._connections:
                connection.go_silent(("up", "down"))

        self._do(silence)

    def heal(self):
        """What stood still goes on."""
        def go_on():
            self._is_silent = False
            for connection in self._connections:
                connection.go_on()

        self._do(go_on)

    def _do(self, function):
        """In the loop, before this returns."""
        done = threading.Event()

        def call():
            function()
            done.set()

        self._loop.call_soon_threadsafe(call)
        done.wait()

    async def _serve(self):
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.address = "127.0.0.1:%d" % server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connect(self):
        if self._target.startswith("unix:"):
            return await asyncio.open_unix_connection(
                self._target.removeprefix("unix:"))
        host, port = self._target.rsplit(":", 1)
        return await asyncio.open_connection(host, int(port))

    async def _accept(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # TCP's handshake is a round trip as well; this machine has made the
        # connection at once.
        await asyncio.sleep(2 * self.quality.delay_ms / 1000)
        try:
            target = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        connection = Connection(self, (reader, writer), target)
        if self._is_silent:
            connection.go_silent(("up", "down"))
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)
