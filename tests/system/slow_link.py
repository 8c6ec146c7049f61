"""A link with a round trip of some milliseconds: a TCP proxy that passes each
byte on late."""

import asyncio
import threading


class SlowLink:
    """Runs in a thread of its own from the start to the end of a with block;
    `address` is where to connect instead of to `target`."""

    def __init__(self, target, round_trip_ms):
        self._host, port = target.rsplit(":", 1)
        self._port = int(port)
        self._one_way = round_trip_ms / 2000
        self._ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run,
                                        args=(self._serve(),))

    def __enter__(self):
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self):
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._calls = set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.address = "127.0.0.1:%d" % server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    async def _accept(self, reader, writer):
        self._calls.add(asyncio.current_task())
        # The handshake of TCP is a round trip as well; the connection is made
        # by this machine at once.
        await asyncio.sleep(2 * self._one_way)
        other_reader, other_writer = await asyncio.open_connection(
            self._host, self._port)
        await asyncio.gather(self._pump(reader, other_writer),
                             self._pump(other_reader, writer),
                             return_exceptions=True)

    async def _pump(self, reader, writer):
        queue = asyncio.Queue()
        sender = asyncio.ensure_future(self._send(queue, writer))
        self._calls.add(sender)
        data = True
        while data:
            try:
                data = await reader.read(65536)
            except ConnectionError:
                data = b""
            queue.put_nowait((self._loop.time() + self._one_way, data))
        await sender

    async def _send(self, queue, writer):
        while True:
            when, data = await queue.get()
            await asyncio.sleep(max(0, when - self._loop.time()))
            if not data:
                writer.close()
                return
            writer.write(data)
            await writer.drain()
