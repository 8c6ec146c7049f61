"""Makes a tiny random model of one architecture, and what it must give.

Usage: make_architecture_model.py CASE FOLDER

Writes FOLDER/CASE.gguf, CASE.json (the prompt, the greedy continuation, the
context to run in) and CASE.logits (float64, a row after every token). The
forward pass here is a plain one in double precision over the whole sequence,
written from the models' papers and published code, with nothing but numpy: no
cache, no blocks, no kernels.
"""

import json
import math
import os
import pathlib
import struct
import sys

# Several of these run at once, each on small matrices.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
import numpy as np

PROMPT_TOKENS = 60
GREEDY_TOKENS = 64
VOCAB = 300
# A greedy text is only clear where the best two logits are further apart than
# float32 can put wrong, as a share of the row's norm: 3 times the tolerance of
# the test.
MARGIN_MIN = 1e-4

# Every field of a model, and what most of them have.
DEFAULTS = dict(
    arch="llama", layers=3, width=64, ffn=96, heads=4, kv_heads=2, head_dim=16,
    context=256, run_context=256, eps=1e-5, tied=True,
    # RoPE
    rotary=16, base=10000.0, half_split=False, linear=1.0, freq_factors=None,
    yarn=None, magnitude=1.0, local_base=None,
    # attention
    window=0, window_period=0, attention_scale=None, attention_cap=0.0,
    # features
    biases=False, head_norms=False, post_norms=False, fused=False, gelu=False,
    # multipliers
    embedding_scale=1.0, residual_scale=1.0, logit_divisor=1.0, logit_cap=0.0,
    # more metadata and tensors of the file
    keys={}, tensors={},
)


def llama3_factors(pairs, base):
    """The factors of Llama 3.1 (factor 8, low 1, high 4), with an original
    context of 64 so that a head of 16 dimensions has all three kinds."""
    factor, low, high, original = 8.0, 1.0, 4.0, 64.0
    factors = []
    for i in range(pairs):
        wavelength = 2 * math.pi * base ** (i / pairs)
        if wavelength < original / high:
            factors.append(1.0)
        elif wavelength > original / low:
            factors.append(factor)
        else:
            smooth = (original / wavelength - low) / (high - low)
            factors.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(factors, np.float32)


LONG = np.linspace(1.1, 9.5, 6).astype(np.float32)
SHORT = np.linspace(1.0, 1.4, 6).astype(np.float32)
LLAMA3 = llama3_factors(8, 500000.0)
PHI3 = dict(
    arch="phi3", half_split=True, rotary=12, fused=True, tied=False,
    heads=4, kv_heads=1)
PHI3_LONG = dict(
    PHI3, magnitude=float(np.float32(1.19)),
    keys={"rope.scaling.attn_factor": 1.19,
          "rope.scaling.original_context_length": 160},
    tensors={"rope_factors_long.weight": LONG,
             "rope_factors_short.weight": SHORT})
YARN = dict(
    yarn=dict(factor=4.0, original=40),
    keys={"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0,
          "rope.scaling.original_context_length": 40})

CASES = {
    "llama": dict(),
    "llama3": dict(
        base=500000.0, tied=False, freq_factors=LLAMA3,
        tensors={"rope_freqs.weight": LLAMA3}),
    "llama_linear": dict(
        rotary=8, linear=4.0,
        keys={"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}),
    "llama_yarn": dict(YARN),
    "mistral": dict(window=21, keys={"attention.sliding_window": 21}),
    "granite": dict(
        arch="granite", embedding_scale=12.0, residual_scale=0.25,
        attention_scale=0.125, logit_divisor=8.0,
        keys={"embedding_scale": 12.0, "residual_scale": 0.25,
              "attention.scale": 0.125, "logit_scale": 8.0}),
    "qwen2": dict(arch="qwen2", half_split=True, biases=True, base=1e6),
    "qwen2_yarn": dict(YARN, arch="qwen2", half_split=True, biases=True),
    "qwen3": dict(
        arch="qwen3", half_split=True, head_norms=True, head_dim=24, rotary=24,
        base=1e6, tied=False),
    "gemma": dict(
        arch="gemma", half_split=True, gelu=True, embedding_scale=8.0,
        kv_heads=1),
    "gemma2": dict(
        arch="gemma2", layers=4, half_split=True, gelu=True, post_norms=True,
        embedding_scale=8.0, window=24, window_period=2, attention_cap=4.0,
        logit_cap=6.0,
        keys={"attention.sliding_window": 24, "attn_logit_softcapping": 4.0,
              "final_logit_softcapping": 6.0}),
    "gemma3": dict(
        arch="gemma3", layers=7, half_split=True, gelu=True, post_norms=True,
        head_norms=True, embedding_scale=8.0, window=24, window_period=6,
        base=1e6, local_base=10000.0, linear=8.0,
        keys={"attention.sliding_window": 24, "rope.scaling.type": "linear",
              "rope.scaling.factor": 8.0}),
    "phi3": dict(
        PHI3, window=19,
        keys={"attention.sliding_window": 19,
              "rope.scaling.original_context_length": 256}),
    # The same file in a context above and below its original one.
    "phi3_long": dict(PHI3_LONG, freq_factors=LONG),
    "phi3_short": dict(PHI3_LONG, freq_factors=SHORT, run_context=160),
}


class Model:
    """Weights by the names of GGUF files, and the forward pass."""

    def __init__(self, spec, seed):
        self.spec = spec
        self.random = np.random.default_rng(seed)
        self.tensors = {}
        self.make_tensors()
        self.tensors.update(spec["tensors"])

    def matrix(self, name, outputs, inputs, gain=1.5):
        # Of variance gain^2 / inputs: activations keep their size, and scores
        # are large enough for attention to choose.
        scale = gain * math.sqrt(3 / inputs)
        values = self.random.uniform(-scale, scale, (outputs, inputs))
        self.tensors[name + ".weight"] = values.astype(np.float32)

    def vector(self, name, size, around):
        values = around + self.random.uniform(-0.25, 0.25, size)
        self.tensors[name] = values.astype(np.float32)

    def make_tensors(self):
        s = self.spec
        width, ffn, head_dim = s["width"], s["ffn"], s["head_dim"]
        query, kv = s["heads"] * head_dim, s["kv_heads"] * head_dim
        # Small where it is scaled up, or every token would repeat itself.
        self.matrix("token_embd", VOCAB, width, 1.5 / s["embedding_scale"])
        if not s["tied"]:
            self.matrix("output", VOCAB, width)
        self.vector("output_norm.weight", width, 1)
        for i in range(s["layers"]):
            blk = f"blk.{i}."
            self.vector(blk + "attn_norm.weight", width, 1)
            if s["fused"]:
                self.matrix(blk + "attn_qkv", query + 2 * kv, width)
                self.matrix(blk + "ffn_up", 2 * ffn, width)
            else:
                self.matrix(blk + "attn_q", query, width)
                self.matrix(blk + "attn_k", kv, width)
                self.matrix(blk + "attn_v", kv, width)
                self.matrix(blk + "ffn_gate", ffn, width)
                self.matrix(blk + "ffn_up", ffn, width)
            if s["biases"]:
                self.vector(blk + "attn_q.bias", query, 0)
                self.vector(blk + "attn_k.bias", kv, 0)
                self.vector(blk + "attn_v.bias", kv, 0)
            if s["head_norms"]:
                self.vector(blk + "attn_q_norm.weight", head_dim, 1)
                self.vector(blk + "attn_k_norm.weight", head_dim, 1)
            self.matrix(blk + "attn_output", width, query)
            self.vector(blk + "ffn_norm.weight", width, 1)
            self.matrix(blk + "ffn_down", width, ffn)
            if s["post_norms"]:
                self.vector(blk + "post_attention_norm.weight", width, 1)
                self.vector(blk + "post_ffw_norm.weight", width, 1)

    def get(self, name):
        return self.tensors[name].astype(np.float64)

    def norm(self, x, name):
        mean = np.mean(x * x, axis=-1, keepdims=True)
        return x / np.sqrt(mean + self.spec["eps"]) * self.get(name)

    def is_local(self, layer):
        s = self.spec
        if s["window"] == 0:
            return False
        period = s["window_period"]
        return period == 0 or layer % period < period - 1

    def frequencies(self, local):
        """Radians a position of each pair, and the magnitude."""
        s = self.spec
        pairs = s["rotary"] // 2
        exponents = np.arange(pairs) / pairs
        if local and s["local_base"]:
            return s["local_base"] ** -exponents, 1.0
        frequencies = s["base"] ** -exponents
        if s["freq_factors"] is not None:
            frequencies = frequencies / s["freq_factors"].astype(np.float64)
        if not s["yarn"]:
            return frequencies / s["linear"], s["magnitude"]
        factor, original = s["yarn"]["factor"], s["yarn"]["original"]

        def pair_of(turns):
            return (s["rotary"] * math.log(original / (turns * 2 * math.pi)) /
                    (2 * math.log(s["base"])))
        low = max(math.floor(pair_of(32)), 0)
        high = min(math.ceil(pair_of(1)), s["rotary"] - 1)
        ramp = np.clip(
            (np.arange(pairs) - low) / max(high - low, 0.001), 0, 1)
        mixed = frequencies / factor * ramp + frequencies * (1 - ramp)
        return mixed, 1 + 0.1 * math.log(factor)

    def rotate(self, x, local):
        """x [tokens, heads, head_dim]."""
        frequencies, magnitude = self.frequencies(local)
        angles = np.outer(np.arange(x.shape[0]), frequencies)[:, None, :]
        cos, sin = np.cos(angles) * magnitude, np.sin(angles) * magnitude
        dims = self.spec["rotary"]
        out = x.copy()
        if self.spec["half_split"]:
            first, second = slice(0, dims // 2), slice(dims // 2, dims)
        else:
            first, second = slice(0, dims, 2), slice(1, dims, 2)
        a, b = x[..., first], x[..., second]
        out[..., first] = a * cos - b * sin
        out[..., second] = a * sin + b * cos
        return out

    def qkv(self, normed, blk):
        s = self.spec
        query, kv = s["heads"] * s["head_dim"], s["kv_heads"] * s["head_dim"]
        if s["fused"]:
            both = normed @ self.get(blk + "attn_qkv.weight").T
            return np.split(both, [query, query + kv], axis=1)
        parts = []
        for name in ("attn_q", "attn_k", "attn_v"):
            part = normed @ self.get(blk + name + ".weight").T
            if s["biases"]:
                part = part + self.get(blk + name + ".bias")
            parts.append(part)
        return parts

    def attention(self, x, layer):
        s = self.spec
        blk = f"blk.{layer}."
        tokens, head_dim = x.shape[0], s["head_dim"]
        query, key, value = (
            part.reshape(tokens, -1, head_dim)
            for part in self.qkv(self.norm(x, blk + "attn_norm.weight"), blk))
        if s["head_norms"]:
            query = self.norm(query, blk + "attn_q_norm.weight")
            key = self.norm(key, blk + "attn_k_norm.weight")
        local = self.is_local(layer)
        query, key = self.rotate(query, local), self.rotate(key, local)
        groups = s["heads"] // s["kv_heads"]
        key, value = np.repeat(key, groups, 1), np.repeat(value, groups, 1)
        scale = s["attention_scale"] or 1 / math.sqrt(head_dim)
        scores = np.einsum("thd,shd->hts", query, key) * scale
        if s["attention_cap"]:
            scores = s["attention_cap"] * np.tanh(scores / s["attention_cap"])
        distance = np.arange(tokens)[:, None] - np.arange(tokens)[None, :]
        seen = distance >= 0
        if local:
            seen &= distance < s["window"]
        scores = np.where(seen, scores, -np.inf)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        out = np.einsum("hts,shd->thd", weights, value).reshape(tokens, -1)
        out = out @ self.get(blk + "attn_output.weight").T
        if s["post_norms"]:
            out = self.norm(out, blk + "post_attention_norm.weight")
        return out

    def feed_forward(self, x, layer):
        s = self.spec
        blk = f"blk.{layer}."
        normed = self.norm(x, blk + "ffn_norm.weight")
        up = normed @ self.get(blk + "ffn_up.weight").T
        if s["fused"]:
            gate, up = np.split(up, 2, axis=1)
        else:
            gate = normed @ self.get(blk + "ffn_gate.weight").T
        if s["gelu"]:
            inner = math.sqrt(2 / math.pi) * (gate + 0.044715 * gate ** 3)
            gate = 0.5 * gate * (1 + np.tanh(inner))
        else:
            gate = gate / (1 + np.exp(-gate))
        out = (gate * up) @ self.get(blk + "ffn_down.weight").T
        if s["post_norms"]:
            out = self.norm(out, blk + "post_ffw_norm.weight")
        return out

    def logits(self, tokens):
        """[tokens, VOCAB], the row after each token."""
        s = self.spec
        x = self.get("token_embd.weight")[tokens] * s["embedding_scale"]
        for layer in range(s["layers"]):
            x = x + self.attention(x, layer) * s["residual_scale"]
            x = x + self.feed_forward(x, layer) * s["residual_scale"]
        head = "token_embd" if s["tied"] else "output"
        out = self.norm(x, "output_norm.weight") @ self.get(head + ".weight").T
        out = out / s["logit_divisor"]
        if s["logit_cap"]:
            out = s["logit_cap"] * np.tanh(out / s["logit_cap"])
        return out

    def greedy(self, prompt):
        """The continuation; nothing where it is not clear."""
        tokens = list(prompt)
        for _ in range(GREEDY_TOKENS):
            row = self.logits(tokens)[-1]
            best = np.argsort(row)[::-1]
            margin = (row[best[0]] - row[best[1]]) / np.linalg.norm(row)
            if margin < MARGIN_MIN:
                return None
            tokens.append(int(best[0]))
        return tokens[len(prompt):]


def metadata(spec):
    keys = {
        "block_count": spec["layers"],
        "embedding_length": spec["width"],
        "feed_forward_length": spec["ffn"],
        "context_length": spec["context"],
        "attention.head_count": spec["heads"],
        "attention.head_count_kv": spec["kv_heads"],
        "attention.key_length": spec["head_dim"],
        "attention.value_length": spec["head_dim"],
        "attention.layer_norm_rms_epsilon": spec["eps"],
        "rope.dimension_count": spec["rotary"],
        "rope.freq_base": spec["base"],
    }
    keys.update(spec["keys"])
    return {f"{spec['arch']}.{key}": value for key, value in keys.items()}


def vocabulary():
    pieces = ["<unk>", "<s>", "</s>"]
    pieces += [f"<0x{byte:02X}>" for byte in range(256)]
    pieces += ["\u2581"] + [chr(ord("a") + i) for i in range(26)]
    pieces += [f"\u2581{i:03d}" for i in range(VOCAB - len(pieces))]
    types = [2, 3, 3] + [6] * 256 + [1] * (VOCAB - 259)
    return pieces, types


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def entry(key, value):
    """One metadata entry: int is u32, float f32; lists hold what they hold."""
    if isinstance(value, bool):
        return text(key) + struct.pack("<IB", 7, value)
    if isinstance(value, int):
        return text(key) + struct.pack("<II", 4, value)
    if isinstance(value, float):
        return text(key) + struct.pack("<If", 6, value)
    if isinstance(value, str):
        return text(key) + struct.pack("<I", 8) + text(value)
    kind, pack = {
        int: (5, lambda v: struct.pack("<i", v)),
        float: (6, lambda v: struct.pack("<f", v)),
        str: (8, text),
    }[type(value[0])]
    return (text(key) + struct.pack("<IIQ", 9, kind, len(value)) +
            b"".join(pack(v) for v in value))


def write_gguf(path, spec, tensors):
    alignment = 32
    pieces, types = vocabulary()
    keys = {"general.architecture": spec["arch"], "general.name": "tiny"}
    keys.update(metadata(spec))
    keys.update({
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": pieces,
        "tokenizer.ggml.scores": [float(-i) for i in range(VOCAB)],
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.add_bos_token": True,
    })
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    head += b"".join(entry(key, value) for key, value in keys.items())
    data = b""
    for name, values in tensors.items():
        head += text(name) + struct.pack("<I", values.ndim)
        head += b"".join(struct.pack("<Q", n) for n in reversed(values.shape))
        head += struct.pack("<IQ", 0, len(data))
        data += values.astype("<f4").tobytes()
        data += bytes(-len(data) % alignment)
    path.write_bytes(head + bytes(-len(head) % alignment) + data)


def main():
    name, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    spec = dict(DEFAULTS, **CASES[name])
    model = Model(spec, seed=sum(name.encode()))
    for seed in range(100):
        random = np.random.default_rng(seed)
        prompt = [1] + random.integers(3, VOCAB, PROMPT_TOKENS - 1).tolist()
        greedy = model.greedy(prompt)
        if greedy:
            break
    else:
        sys.exit("no prompt of 100 has a clear text")
    folder.mkdir(parents=True, exist_ok=True)
    write_gguf(folder / f"{name}.gguf", spec, model.tensors)
    logits = model.logits(prompt + greedy)
    logits.astype("<f8").tofile(folder / f"{name}.logits")
    (folder / f"{name}.json").write_text(json.dumps({
        "prompt": prompt, "greedy": greedy, "layers": spec["layers"],
        "context_max": spec["run_context"]}))


if __name__ == "__main__":
    main()
