"""A program in a terminal of its own, and what the terminal shows."""

import os

import pexpect
import pyte

import processes


class _Feed:
    """Takes what pexpect reads to the screen."""

    def __init__(self, stream):
        self._stream = stream
        self.raw = ""

    def write(self, text):
        self.raw += text
        self._stream.feed(text)

    def flush(self):
        pass


class Terminal:
    """Runs `tandem ARGUMENTS` from the start to the end of a with block."""

    def __init__(self, *arguments, environment=None, rows=24, columns=80):
        self._screen = pyte.Screen(columns, rows)
        self._feed = _Feed(pyte.Stream(self._screen))
        settings = {**os.environ, "TERM": "xterm-256color", "EDITRC": "/none",
                    **(environment or {})}
        settings.pop("NO_COLOR", None)
        settings.update(environment or {})
        self.child = pexpect.spawn(
            str(processes.BIN / "tandem"), [str(a) for a in arguments],
            env=settings, encoding="utf-8", codec_errors="replace",
            timeout=processes.LIMIT_SECONDS, dimensions=(rows, columns))
        self.child.delaybeforesend = None
        self.child.logfile_read = self._feed

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.close(force=True)

    def send(self, keys):
        self.child.send(keys)

    def expect(self, text):
        """Until `text` has been written, literally, after what the last call
        has found."""
        try:
            self.child.expect_exact(text)
        except (pexpect.TIMEOUT, pexpect.EOF) as error:
            raise AssertionError(
                f"waited in vain for {text!r}; the screen:\n"
                f"{self.screen()}\n{self.raw[-2000:]!r}") from error

    def wait(self):
        """The exit code, once the program has ended."""
        self.child.expect(pexpect.EOF)
        self.child.close()
        return self.child.exitstatus

    def resize(self, rows, columns):
        self._screen.resize(rows, columns)
        self.child.setwinsize(rows, columns)

    @property
    def raw(self):
        """Everything that was written."""
        return self._feed.raw

    def lines(self):
        """What the screen shows, without the spaces at the ends of lines."""
        return [line.rstrip() for line in self._screen.display]

    def screen(self):
        return "\n".join(self.lines()).rstrip()
