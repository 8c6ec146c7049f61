"""tandem chat in a terminal, against real processes."""

import json
import os
import pathlib
import signal
import socket
import tempfile
import threading
import unittest

import chat_test
import processes
import terminal

LEFT, UP, HOME = "\x1b[D", "\x1b[A", "\x1b[H"
CTRL_C, CTRL_D = "\x03", "\x04"
LONG = ("--ignore-eos", "--max-tokens", "900", "--seed", "7")


class CutLink:
    """A TCP proxy whose connections can be cut; it goes on taking new ones."""

    def __init__(self, target):
        host, port = target.rsplit(":", 1)
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                ours, _ = self._listener.accept()
            except OSError:
                return
            theirs = socket.create_connection(self._target)
            with self._lock:
                self._open += [ours, theirs]
            for ends in ((ours, theirs), (theirs, ours)):
                threading.Thread(target=self._pump, args=ends,
                                 daemon=True).start()

    @staticmethod
    def _pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        with self._lock:
            ends, self._open = self._open, []
        for end in ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        # A thread that waits in accept() would take one more.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()


class TerminalChatTest(processes.ClusterTest):

    @classmethod
    def setUpClass(cls):
        cls.cluster = chat_test.ChatCluster()

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="tandem-chat.")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def chat(self, *arguments, coordinator=None, environment=None, **size):
        chat = terminal.Terminal(
            "chat", "--coordinator", coordinator or self.cluster.coordinator,
            *arguments, environment={"XDG_STATE_HOME": str(self.folder),
                                     **(environment or {})}, **size)
        chat.expect("Ctrl-D leaves)")
        chat.expect("> ")
        return chat

    def saved(self, chat):
        """The conversation as JSON."""
        path = self.folder / "saved.json"
        chat.send(f"/save! {path}\r")
        chat.expect("(saved in ")
        chat.expect("> ")
        return json.loads(path.read_text())

    def prompts(self, chat):
        return [turn["prompt"] for turn in self.saved(chat)["turns"]]

    def say(self, chat, keys):
        chat.send(keys + "\r")
        chat.expect("tokens/s")
        chat.expect("> ")

    def test_a_line_is_edited_and_comes_from_the_history_again(self):
        with self.chat("--max-tokens", "4") as chat:
            self.say(chat, "Helo" + LEFT + "l" + HOME + "Oh, \u732b ")
            self.say(chat, UP + "!")
            self.assertEqual(self.prompts(chat),
                             ["Oh, \u732b Hello", "Oh, \u732b Hello!"])
            self.assertIn("> Oh, \u732b Hello!", chat.screen().replace(
                "\u732b  ", "\u732b "))
            chat.send(CTRL_D)
            self.assertEqual(chat.wait(), 0)
        path = self.folder / "tandem/history"
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        with self.chat("--max-tokens", "4") as chat:
            # Before it stands the command that has saved the conversation.
            self.say(chat, UP + UP)
            self.assertEqual(self.prompts(chat), ["Oh, \u732b Hello!"])
        before = path.read_bytes()
        with self.chat("--max-tokens", "4", "--no-history") as chat:
            self.say(chat, UP + "a new one")
            self.assertEqual(self.prompts(chat), ["a new one"])
        self.assertEqual(path.read_bytes(), before)

    def test_a_message_of_several_lines(self):
        with self.chat("--max-tokens", "4") as chat:
            chat.send("one\\\r")
            chat.expect(". ")
            self.say(chat, "two")
            self.say(chat, "\x1b[200~three\rfour\x1b[201~ five")
            self.assertEqual(self.prompts(chat),
                             ["one\ntwo", "three\nfour five"])

    def test_ctrl_c_ends_a_reply_and_keeps_the_session(self):
        with self.chat(*LONG, "--draft-length", "0") as chat:
            chat.send("Tell me a story\r")
            chat.expect("story\r\n")
            chat.child.expect("[a-z]+ [a-z]+")
            chat.send(CTRL_C)
            chat.expect("(cancelled)")
            chat.expect("> ")
            chat.send("/set max-tokens 4\r")
            chat.expect("> ")
            self.say(chat, "Go on")
            turns = self.saved(chat)["turns"]
            self.assertEqual([turn["finish_reason"] for turn in turns],
                             ["cancelled", "length"])
            self.assertEqual(turns[0]["session_id"], turns[1]["session_id"])
            self.assertEqual([turn["turn"] for turn in turns], [1, 2])

    def test_ctrl_c_clears_the_line_and_twice_leaves(self):
        with self.chat("--max-tokens", "4") as chat:
            chat.send("something wrong" + CTRL_C)
            chat.expect("(Ctrl-C again or Ctrl-D leaves)")
            chat.expect("> ")
            self.say(chat, "right")
            self.assertEqual(self.prompts(chat), ["right"])
            chat.send(CTRL_C)
            chat.expect("leaves)")
            chat.expect("> ")
            chat.send(CTRL_C)
            self.assertEqual(chat.wait(), 0)

    def test_sigterm_leaves_the_terminal_as_it_was(self):
        with self.chat(*LONG) as chat:
            chat.send("unfinished")
            chat.expect("unfinished")
            os.kill(chat.child.pid, signal.SIGTERM)
            self.assertEqual(chat.wait(), 130)
            self.assertIn("\x1b[?2004l", chat.raw)

    def test_a_cut_connection_costs_no_text(self):
        # Templates tell the day, so both turns get the same one.
        day = ("--template-option", "date=2026-11-28")
        whole = json.loads(self.cluster.tandem(
            "generate", "Tell me a story", "--chat", *LONG, *day,
            "--json").stdout)["text"]
        link = CutLink(self.cluster.coordinator)
        self.addCleanup(link.close)
        with self.chat(*LONG, *day, "--draft-length", "0",
                       coordinator=link.address) as chat:
            chat.send("Tell me a story\r")
            chat.expect("story\r\n")
            chat.child.expect("[a-z]+ [a-z]+")
            link.cut()
            chat.expect("(the connection is lost: trying to go on)")
            chat.expect("tokens/s")
            chat.expect("> ")
            self.assertEqual(self.saved(chat)["turns"][0]["text"], whole)

    def test_a_coordinator_that_is_gone_leaves_the_conversation(self):
        link = CutLink(self.cluster.coordinator)
        with self.chat("--max-tokens", "4", coordinator=link.address) as chat:
            self.say(chat, "Hello")
            link.close()
            chat.send("And now?\r")
            chat.expect("tandem: ")
            chat.expect("/save FILE keeps the")
            chat.expect("> ")
            self.assertEqual(self.prompts(chat), ["Hello"])

    def test_a_new_width(self):
        line = "a line that is longer than the terminal will be wide"
        with self.chat("--max-tokens", "4") as chat:
            chat.send(line)
            chat.expect("wide")
            chat.resize(24, 30)
            self.say(chat, " soon")
            self.assertEqual(self.prompts(chat), [line + " soon"])
            self.assertTrue(all(len(shown) <= 30 for shown in chat.lines()))

    def test_drafted_text_is_shaded_unless_it_is_off(self):
        flags = ("--max-tokens", "60", "--draft-length", "4", "--seed", "7")
        with self.chat(*flags) as chat:
            self.say(chat, "Once upon a time")
            self.assertIn("(shaded: drafted and accepted", chat.raw)
            reply = chat.raw.split("Once upon a time", 1)[1]
            self.assertIn("\x1b[2m", reply.split("(shaded")[0][:-4])
            chat.send("/set shade off\r")
            chat.expect("> ")
            self.say(chat, "And then?")
            last = chat.raw.rsplit("And then?", 1)[1].split("\x1b[2m(")[0]
            self.assertNotIn("\x1b[2m", last)

    def test_no_colour_where_it_is_not_wanted(self):
        for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            with self.subTest(environment), self.chat(
                    "--max-tokens", "40", "--draft-length", "4",
                    environment=environment) as chat:
                self.say(chat, "Hello")
                self.assertNotIn("\x1b[2m", chat.raw)
                self.assertNotIn("\x1b[0m", chat.raw)
                if "TERM" in environment:
                    self.assertNotIn("\x1b", chat.raw)

    def test_commands(self):
        with self.chat("--max-tokens", "4", rows=60) as chat:
            for command, part in (
                    ("/help", "/retry [SEED]"),
                    ("/set temperature 200", "temperature: "),
                    ("/set", "repetition-penalty"),
                    ("/model", "target workers: 1"),
                    ("/hlep", "did you mean /help?"),
                    ("/stats", "there is no turn yet"),
                    ("/save a.txt", "(.md)")):
                with self.subTest(command):
                    chat.send(command + "\r")
                    chat.expect(part)
                    chat.expect("> ")
            self.say(chat, "Hello")
            chat.send("/stats\r")
            chat.expect("conversation: 1 turns, 4 tokens")
            chat.expect("> ")
            first = self.saved(chat)["turns"]
            self.say(chat, f"/retry {first[0]['seed']}")
            self.assertEqual(self.saved(chat)["turns"][0]["token_ids"],
                             first[0]["token_ids"])
            chat.send("/quit\r")
            self.assertEqual(chat.wait(), 0)


class WithoutTemplateCluster(processes.Cluster):

    def worker(self, role, model):
        # It has no template, and no draft model is needed.
        return super().worker(role, processes.DRAFT_MODEL)


class WithoutTemplateTest(processes.ClusterTest):

    @classmethod
    def setUpClass(cls):
        cls.cluster = WithoutTemplateCluster(drafts=0)

    def test_messages_are_refused(self):
        refused = self.cluster.tandem("generate", "Once", "--chat")
        self.assertEqual(refused.returncode, 1)
        self.assertIn(b"--chat and --system: the model's file has no chat "
                      b"template", refused.stderr)

    def test_the_plain_form_goes_on_from_texts(self):
        refused = self.cluster.tandem("chat", input=b"Once\n")
        self.assertEqual(refused.returncode, 1)
        self.assertIn(b"--plain", refused.stderr)
        flags = ("--max-tokens", "8", "--seed", "7")
        piped = self.cluster.tandem("chat", "--plain", *flags,
                                    input=b"Once upon a time\n")
        self.assertEqual(piped.returncode, 0, piped.stderr)
        self.assertEqual(piped.stderr, b"")
        generated = self.cluster.tandem("generate", "Once upon a time", *flags)
        self.assertEqual(piped.stdout, generated.stdout)


if __name__ == "__main__":
    processes.main()
