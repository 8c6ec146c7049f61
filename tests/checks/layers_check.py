"""Includes go down only, and what is banned does not come back."""

import re

import check

TEXT = ("engine/base", "engine/gguf", "engine/grammar", "engine/sampling",
        "engine/template", "engine/tokenizer", "engine/reply",
        "engine/speculation")
ENGINE = TEXT + ("engine/kernels", "engine/model", "engine/session",
                 "engine/engine.h")
COMMON = ("services/common", "services/identity", "services/access", "tandem/v1")
WORKER = ENGINE + COMMON
COORDINATOR = TEXT + COMMON + ("engine/session/turn.h",)

# Folder -> what its files may include of the project; a folder may always
# include itself. A file that needs a rule of its own stands by its path.
ALLOWED = {
    "engine/base": (),
    "engine/gguf": ("engine/base",),
    "engine/grammar/automaton": ("engine/base",),
    "engine/grammar/syntax": ("engine/base", "engine/grammar/automaton"),
    "engine/grammar/json": ("engine/base", "engine/grammar/automaton",
                            "engine/grammar/syntax"),
    "engine/grammar": ("engine/base", "engine/grammar"),
    "engine/kernels": ("engine/base",),
    "engine/sampling": ("engine/base", "engine/grammar"),
    "engine/template": ("engine/base",),
    "engine/template/chat": ("engine/base", "engine/template"),
    "engine/tokenizer": ("engine/base", "engine/gguf", "engine/grammar",
                         "engine/sampling", "engine/template"),
    "engine/reply": ("engine/base", "engine/grammar", "engine/template",
                     "engine/tokenizer"),
    "engine/speculation": ("engine/base", "engine/sampling"),
    "engine/model": TEXT + ("engine/kernels",),
    "engine/session": ENGINE,
    "engine/session/turn.h": TEXT,
    "engine/session/turn.cc": TEXT + ("engine/session/turn.h",),
    "engine": ENGINE,
    "services/common": TEXT + ("engine/session/turn.h", "tandem/v1",
                               "google/rpc"),
    "services/common/sandbox": TEXT + ("services/common",),
    "services/common/listen": TEXT + ("services/common",),
    # What a request in OpenAI's JSON says, for the gateway and the command line.
    "services/common/openai": ("engine/base", "services/common", "tandem/v1"),
    # Man pages, of every program; server_flags.cc uses it.
    "services/common/manual": (),
    # Certificates and the names in them; services/common knows none of it.
    "services/identity": TEXT + ("services/common",),
    "services/access": TEXT + ("services/common", "services/identity",
                               "grpc/health"),
    # A client of the service: no model, no session of its own.
    "services/client": ("engine/base",) + COMMON + ("grpc/health",),
    "services/client/example": ("services/client/client.h",),
    "services/worker/schedule": WORKER,
    "services/worker/models": WORKER + ("services/worker/schedule",),
    "services/worker/server": WORKER + ("services/worker/schedule",
                                        "services/worker/models"),
    # No gRPC, and nothing of a coordinator: values, and the databases.
    "services/coordinator/store": ("engine/base", "engine/session/turn.h"),
    "services/coordinator/turn": COORDINATOR,
    "services/coordinator/workers": COORDINATOR + (
        "services/coordinator/turn",),
    "services/coordinator/routing": COORDINATOR + (
        "services/coordinator/turn", "services/coordinator/workers"),
    # What a turn asks for, as values of the engine.
    "services/coordinator/prompt": COORDINATOR,
    "services/coordinator/client": COORDINATOR + (
        "services/coordinator/prompt", "services/coordinator/turn", "services/coordinator/workers",
        "services/coordinator/routing",
        "services/coordinator/store/state_store.h"),
    "services/coordinator/score": COORDINATOR + (
        "services/coordinator/turn", "services/coordinator/workers",
        "services/coordinator/routing", "services/coordinator/client"),
    "services/coordinator/append": COORDINATOR + (
        "services/coordinator/turn", "services/coordinator/workers",
        "services/coordinator/routing", "services/coordinator/client"),
    "services/coordinator/server": COORDINATOR + (
        "services/coordinator/turn", "services/coordinator/workers",
        "services/coordinator/routing", "services/coordinator/client",
        "services/coordinator/score", "services/coordinator/append",
        "services/coordinator/store"),
    # HTTP in front of a coordinator. The server knows nothing of its requests,
    # and the API's objects know no server but HTTP's values, and no client but
    # what it makes of events.
    "services/gateway/http": ("engine/base",) + COMMON,
    "services/gateway/openai": ("engine/base",) + COMMON + (
        "services/client/joined_reply.h",
        "services/gateway/http/http_message.h"),
    "services/gateway/server": ("engine/base",) + COMMON + (
        "services/client", "services/gateway/http",
        "services/gateway/openai"),
    "tools/bench": ENGINE,
    "tools/cost_worker": ENGINE + COMMON + ("services/worker",),
    # What all commands share; tools/tandem itself is above tools/load.
    "tools/tandem/base": TEXT + COMMON + ("services/client",),
    "tools/tandem/base/health_check.h": ("grpc/health",),
    "tools/tandem/base/health_check.cc": COMMON + ("grpc/health",
                                                   "tools/tandem/base"),
    # The processes of `tandem up`; what a model is stands above.
    "tools/tandem/up": TEXT + COMMON + ("services/client",
                                       "tools/tandem/base"),
    # Turns of a service that are run again, or by the thousands.
    "tools/tandem/turns": TEXT + ("services/client", "services/common",
                                  "tandem/v1", "tools/tandem/base"),
    "tools/load": TEXT + ("services/client", "services/common", "tandem/v1",
                          "tools/tandem/base"),
    "tools/tandem": TEXT + ("services/access", "services/client",
                            "services/common", "tandem/v1"),
    "tools/tandem/chat": TEXT + ("services/client", "services/common",
                                 "tandem/v1", "tools/tandem/base"),
    "tools/tandem/score": TEXT + ("services/client", "services/common",
                                  "tandem/v1", "tools/tandem/base"),
    # What a tensor takes in memory; and the quantiser, which runs in the
    # command's own process, as the benchmarks do.
    "tools/tandem/inspect.cc": ENGINE + ("services/common", "tools/tandem"),
    # What stands before the weights of a model's file.
    "tools/tandem/model_files.h": ENGINE,
    "tools/tandem/model_files.cc": ENGINE + ("tools/tandem",),
    "tools/tandem/up.cc": ENGINE + ("services/common", "tandem/v1",
                                    "tools/tandem"),
    # A model in the command's own process.
    "tools/tandem/run.cc": ENGINE + ("services/common", "tandem/v1",
                                     "tools/tandem"),
    "tools/tandem/quantize.cc": TEXT + ("engine/model", "services/common",
                                        "tools/tandem"),
    "tools/tandem/bench.cc": TEXT + ("engine/kernels", "services/common",
                                     "tools/bench", "tools/load/serve.h",
                                     "tools/tandem"),
}
OURS = re.compile(r"^(engine|services|tools|tests|tandem|google/rpc|grpc/health)/")

# (paths, what is banned in their includes, why)
BANNED_INCLUDES = (
    (re.compile(r"^engine/"), re.compile(r"^(grpc|google/|spdlog|CLI/)"),
     "engine/ has no RPC, no protobuf, no logging, no flags"),
    (re.compile(r"^(engine|services|tools)/"), re.compile(r"^(gtest|gmock)/"),
     "test libraries belong in tests/"),
    # The linker may keep an inline function from a file that was compiled for
    # AVX; the program then dies on an older processor.
    (re.compile(r"^engine/kernels/[^/]*(avx|vnni)[^/]*\.(cc|h)$"),
     re.compile(r"^(?!immintrin\.h$|cstdint$|cstddef$|engine/kernels/)"),
     "files compiled for AVX include intrinsics and kernel headers only"),
)

# (paths, pattern, why)
BANNED_TEXT = (
    (re.compile(r"(CMakeLists\.txt|\.cmake|CMakePresets\.json)$"),
     re.compile(r"-march=native|-ffast-math"),
     "binaries run on other machines, and bits must not change"),
    (re.compile(r"^(engine|services|tools|tests)/.*\.(cc|h)$"),
     re.compile(r"\b(TODO|FIXME|XXX)\b"),
     "finish it, or leave it out"),
    # clang checks what ABSL_GUARDED_BY says of absl::Mutex alone.
    (re.compile(r"^(engine|services|tools)/.*\.(cc|h)$"),
     re.compile(r"\bstd::(mutex|lock_guard|unique_lock|condition_variable)\b"),
     "absl::Mutex is the lock of the project"),
)


def allowed_for(name):
    """The rule for a file: its own, or its folder's; None where there is
    none."""
    if name in ALLOWED:
        return ALLOWED[name]
    folder = name.rsplit("/", 1)[0]
    if folder not in ALLOWED:
        return None
    return ALLOWED[folder] + (folder,)


def may_include(name, path):
    rule = allowed_for(name)
    return any(path == a or path.startswith(a + "/") for a in rule)


def layer_findings(root):
    found = []
    for name in check.source_files(root, ("engine", "services", "tools")):
        if allowed_for(name) is None:
            found.append(f"{name}: its folder has no rule in layers_check.py")
            continue
        for line, path in check.includes(check.read(root, name)):
            if OURS.match(path) and not may_include(name, path):
                found.append(f"{name}:{line}: may not include {path}")
    return found


def banned_findings(root):
    found = []
    for name in check.tree_files(root):
        texts = [b for b in BANNED_TEXT if b[0].search(name)]
        paths = [b for b in BANNED_INCLUDES if b[0].search(name)]
        if not texts and not paths:
            continue
        text = check.read(root, name)
        for _, pattern, why in texts:
            for number, line in enumerate(text.splitlines(), 1):
                if pattern.search(line):
                    found.append(f"{name}:{number}: {line.strip()}: {why}")
        for _, pattern, why in paths:
            for number, path in check.includes(text):
                if pattern.search(path):
                    found.append(f"{name}:{number}: includes {path}: {why}")
    return found


if __name__ == "__main__":
    tree = check.source_root()
    check.finish(layer_findings(tree) + banned_findings(tree))
