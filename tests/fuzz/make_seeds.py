"""Writes the scripts in corpus/worker_messages and corpus/coordinator_messages,
from messages as processes send them. An order's number is that in the target's
source.

    /usr/bin/python3 tests/fuzz/make_seeds.py
"""

import importlib
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PROTO = HERE.parents[1] / "proto"


def import_messages():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["protoc", "-I", PROTO, f"--python_out={folder}",
             *(PROTO / f"tandem/v1/{name}.proto"
               for name in ("types", "chat", "generation", "worker"))], check=True)
        sys.path.insert(0, folder)
        return (importlib.import_module("tandem.v1.generation_pb2"),
                importlib.import_module("tandem.v1.worker_pb2"))


generation, worker = import_messages()


def piece(message):
    data = message if isinstance(message, bytes) else (
        message.SerializeToString())
    return len(data).to_bytes(2, "big") + data


# To a worker: for the stream `stream`, 0 or 1.

def request(stream=0, **fields):
    return bytes([stream]) + piece(worker.DecodeRequest(**fields))


def opening(tokens=(1, 3, 4, 5), tokens_max=60, **fields):
    options = {"seed": 7, "temperature": 0.7, "ignore_eos": True}
    options.update(fields.pop("options", {}))
    return {"open": worker.OpenSequence(
        session_id="session", turn=1, model_id="model",
        fingerprint="fingerprint", tokens=tokens, generated_from=len(tokens),
        tokens_max=tokens_max, options=options, tenant="tenant",
        queue_timeout_ms=1000, **fields)}


def verify(position, tokens, draft=()):
    return {"verify": worker.VerifyTokens(position=position, tokens=tokens,
                                          draft=draft)}


def propose(position, tokens, draft_length=4):
    return {"propose": worker.ProposeTokens(position=position, tokens=tokens,
                                            draft_length=draft_length)}


HALF_CLOSE, STOP_READING, READ = bytes([6]), bytes([8]), bytes([10])
DRAFT, TARGET = bytes([0]), bytes([1])

WORKER = {
    "target_turn": TARGET + request(**opening()) + request(
        **verify(3, [5])) + request(**verify(3, [5], [6, 7, 8])) + HALF_CLOSE,
    "target_logprobs": TARGET + request(**opening(
        options={"logprobs": 5, "top_k": 4, "min_p": 0.1,
                 "repetition_penalty": 1.2, "stop_strings": ["ab"],
                 "stop_token_ids": [9]})) + request(**verify(3, [5])),
    "draft_turn": DRAFT + request(**opening()) + request(
        **propose(3, [5])) + request(**propose(4, [6], 16)) + HALF_CLOSE,
    "grammar": DRAFT + request(**opening(options={
        "response_format": {"regex": "[abc]{6}e"}, "min_tokens": 2})) + request(
            **propose(3, [5], 8)) + request(**propose(4, [6], 16)) + HALF_CLOSE,
    "grammar_is_none": TARGET + request(**opening(options={
        "response_format": {"json_schema": "{"}})) + request(**verify(3, [5])),
    "pipelined": TARGET + STOP_READING + request(**opening()) + 4 * request(
        **verify(3, [5], [6])) + READ + request(**verify(3, [5])),
    "two_streams": TARGET + request(**opening(tokens_max=150)) + request(
        stream=1, **opening(tokens_max=190)) + request(
            stream=1, **verify(3, [5])) + request(**verify(3, [5])),
    "rollback": TARGET + request(**opening(list(range(1, 20)))) + request(
        **verify(18, [19], [3, 4, 5])) + request(
            **verify(10, [1, 2, 3])) + request(**verify(0, [1])),
    "scores": TARGET + request(**opening(
        list(range(1, 23)), score_from=3, score_alternatives=5)) + request(
            **verify(21, [22], [3])) + HALF_CLOSE,
    "scores_of_a_draft": DRAFT + request(**opening(score_from=1)),
    "scores_outside": TARGET + request(**opening(score_from=4)),
    "wrong_role": DRAFT + request(**opening()) + request(**verify(3, [5])),
    "no_open": TARGET + request(**verify(3, [5])),
    "two_opens": TARGET + request(**opening()) + request(**opening()),
    "no_room": TARGET + request(**opening(tokens_max=201)),
    "no_tokens": TARGET + request(**opening(tokens=())),
    "ids_outside": TARGET + request(**opening()) + request(
        **verify(3, [24], [-1])),
    "ends_outside": TARGET + request(**opening(tokens_max=5)) + request(
        **verify(3, [5] * 40)),
    "garbage": TARGET + bytes([0]) + piece(b"\xff" * 20),
    "empty_message": TARGET + bytes([0]) + piece(b""),
    "made": TARGET + bytes([2, 4, 1, 3, 4, 5, 0, 40, 0, 0, 0, 64, 1, 2, 9, 0,
                            0, 4, 3, 1, 5, 2, 6, 7]),
}


# To a coordinator: for the client `client`, 0 .. 3.

def send(client=0, **fields):
    return bytes([client * 16]) + piece(generation.ConverseRequest(**fields))


def start(text="w1 w2", max_tokens=20, **fields):
    options = {"max_tokens": max_tokens, "seed": 1}
    options.update(fields.pop("options", {}))
    prompt = fields if "tokens" in fields or "messages" in fields else {
        "text": text, **fields}
    return {"start": generation.TurnRequest(options=options, **prompt)}


def resume(tokens, text_bytes=0, turn=1):
    return {"resume": generation.ResumeRequest(
        session_id="*", turn=turn, tokens_received=tokens,
        text_bytes_received=text_bytes)}


def score(**fields):
    return bytes([14]) + piece(generation.ScoreRequest(**fields))


def scored(position, *logprobs):
    return {"scored": worker.ScoredTokens(
        position=position, is_greedy=[True] * len(logprobs),
        logprobs=[{"logprob": logprob} for logprob in logprobs])}


def answer(stream, **fields):
    return bytes([6, stream]) + piece(worker.DecodeResponse(**fields))


def decoded(position, ids, **fields):
    return {"decoded": worker.DecodedTokens(
        position=position, token_ids=ids, compute_us=1000, served_us=2000,
        **fields)}


def report(number, **fields):
    return bytes([9, number]) + piece(worker.WatchResponse(
        models=[worker.ModelLoad(
            model_id="fake", streams_open=2, streams_queued=1,
            requests_pending=2, kv_pages_total=64, kv_pages_free=40,
            kv_pages_cached=3, kv_page_tokens=32, sequences_per_step=1.5,
            step_costs=[worker.StepCost(rows=rows, step_us=900 + 10 * rows)
                        for rows in (1, 2, 4, 32)])], **fields))


def chat(*contents):
    return {"messages": generation.ChatMessages(messages=[
        generation.ChatMessage(role=role, content=content)
        for role, content in contents])}


CANCEL = {"cancel": generation.CancelRequest()}
END, GONE, NEW_CLIENT, PAUSE = (bytes([n]) for n in (2, 3, 4, 5))
DRAIN, STOP = bytes([12]), bytes([13])
CANCEL_SCORE = bytes([15])


def wait(power):
    """2 ** power milliseconds."""
    return bytes([10, power])


def close(stream, code):
    return bytes([8, stream, code])


def silence(number):
    return bytes([11, number])


COORDINATOR = {
    "turn_text": send(**start()) + wait(8) + END,
    "turn_tokens": send(**start(tokens={"ids": [1, 270, 280]})) + wait(8),
    "turn_chat": send(**start(
        **chat((1, "w1"), (2, "w2"), (3, "w3"), (2, "w4")),
        template_options={"mood": generation.TemplateOption(
            text_value="w5")})) + wait(8),
    "turn_options": send(**start(max_tokens=300, options={
        "temperature": 0.5, "top_k": 3, "logprobs": 3,
        "stop_strings": ["w7", "\u00e4"], "stop_token_ids": [270],
        "logit_bias": [{"token_id": 271, "bias": -5}], "draft_length": 4,
        "ignore_eos": True}, timeout_ms=5000)) + wait(12),
    "two_turns": send(**start()) + wait(8) + send(
        **start(session_id="*")) + wait(8) + END,
    "cancelled": send(**start(max_tokens=5000)) + send(**CANCEL) + wait(8),
    "resumed": send(**start(max_tokens=5000)) + NEW_CLIENT + send(
        1, **resume(0)) + wait(6) + send(1, **CANCEL) + wait(6),
    "resumed_later": send(**start(max_tokens=5000)) + GONE + wait(
        10) + NEW_CLIENT + send(1, **resume(3)) + wait(8),
    "slow_reader": PAUSE + send(**start(max_tokens=5000)) + wait(
        10) + PAUSE + wait(6) + GONE,
    "long_text": send(**start(text="w1 " * 800)) + wait(10),
    "lookup": send(**start(tokens={"ids": [0, 270, 271, 272, 273, 274, 275,
                                           276]},
                           options={"draft_sources": 2})) + wait(8),
    "grammar": send(**start(
        tokens={"ids": [0, 260, 261, 263, 266, 267, 270]}, max_tokens=40,
        options={"response_format": {"regex": "(w1w2w4w7w8w11){3}"},
                 "draft_length": 4})) + wait(10),
    "grammar_is_none": send(**start(options={
        "response_format": {"choices": {"texts": [""]}}})) + wait(4),
    "worker_answers": send(**start(max_tokens=100)) + answer(
        0, opened={"fingerprint": "fp", "cached_tokens": 2,
                   "queued_us": 5}) + answer(0, **decoded(4, [270])) + answer(
                       1, **decoded(4, [270, 271])) + wait(6),
    "worker_ids": send(**start(max_tokens=100)) + answer(
        0, **decoded(3, [-1, 1 << 30])) + answer(
            1, **decoded(-5, list(range(60)))) + wait(6),
    "worker_logprobs": send(**start(options={"logprobs": 2})) + answer(
        0, **decoded(4, [270], logprobs=[{
            "logprob": -0.5, "alternatives": [
                {"token_id": 270, "logprob": -0.5}]}])) + wait(6),
    "worker_other_model": send(**start()) + answer(
        0, opened={"fingerprint": "other"}) + wait(12),
    "worker_dies": send(**start(max_tokens=5000)) + close(0, 14) + wait(
        6) + close(0, 8) + wait(6) + close(0, 3) + wait(6),
    "scores": score(text="w1 w2", continuations=[
        {"text": " w3"}, {"tokens": {"ids": [7, 8]}}]) + wait(6) + score(
            tokens={"ids": [5] * 40}, continuations=20 * [
                {"tokens": {"ids": [6, 7, 8, 9, 10]}}]) + wait(1) + close(
                    0, 14) + wait(13) + CANCEL_SCORE,
    "scores_cancelled": score(text="w1 " * 900, continuations=[
        {"text": "w3"}]) + CANCEL_SCORE + wait(4),
    "scores_refused": score(text="w1") + wait(2) + score(
        tokens={"ids": [5]}, continuations=[{"text": "w"}]) + wait(2),
    "scores_not_asked_for": send(**start(max_tokens=100)) + answer(
        0, **scored(4, -1)) + wait(4) + score(
            tokens={"ids": [5]}, continuations=[{"tokens": {"ids": [6]}}]
            ) + answer(1, **scored(1, -1, -2)) + answer(
                1, **scored(1, 0.5)) + wait(13),
    "worker_silent": silence(2) + send(**start(max_tokens=50)) + wait(
        13) + silence(0) + silence(1) + wait(16),
    "reports": report(0) + report(1, takes_turns=True) + report(
        2) + send(**start(max_tokens=100)) + report(0) + wait(8),
    "drained": send(**start(max_tokens=5000)) + DRAIN + wait(
        4) + STOP + NEW_CLIENT + send(1, **start()) + wait(4),
    "too_many_turns": 3 * NEW_CLIENT + b"".join(
        send(client, **start(max_tokens=5000)) for client in range(4)) + wait(
            6),
    "appended": send(append={"text": "w1 " * 50}) + wait(6) + send(
        append={"text": "w2 w3 " * 30}) + wait(6) + send(**start("w4")) + wait(
            8),
    "appended_tokens": send(append={"tokens": {"ids": [5] * 70}}) + wait(
        15) + send(append={"tokens": {"ids": [6] * 40}}) + close(0, 14) + send(
            append={"tokens": {"ids": [7] * 40}}) + silence(0) + send(
                **start(tokens={"ids": [8]})) + wait(8),
    "appended_wrong": send(append={"text": "w1"}) + send(
        append={"tokens": {"ids": [5]}}) + NEW_CLIENT + send(
            1, append={"text": "w1 " * 60}) + send(1, **CANCEL) + send(
                1, append={"text": "w2", "session_id": "*"}) + wait(4),
    "wrong_order": send(**start(max_tokens=5000)) + send(**start()) + wait(4),
    "resume_of_nothing": send(**resume(0)),
    "garbage": bytes([0]) + piece(b"\xff" * 20),
    "empty_message": bytes([0]) + piece(b""),
    "not_utf8": bytes([0]) + piece(
        generation.ConverseRequest(**start(text="abcd")).SerializeToString()
        .replace(b"abcd", b"ab\xff\xfe")),
}


def main():
    for target, scripts in (("worker_messages", WORKER),
                            ("coordinator_messages", COORDINATOR)):
        folder = HERE / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, script in scripts.items():
            (folder / name).write_bytes(script)


if __name__ == "__main__":
    main()
