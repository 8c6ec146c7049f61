"""The protocol keeps its style and its promises.

Style: the rules of buf's STANDARD set that apply here (buf.build/docs/lint/
rules), and a comment on every message, field, enum, value, service and rpc.
Promises: nothing that tests/data/proto_v1.binpb, the descriptor set of the
published protocol, holds is taken away or changed. tests/checks/
update_proto_baseline.py writes that file anew after an addition.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

from google.protobuf import descriptor_pb2

import check

BASELINE = "tests/data/proto_v1.binpb"
F = descriptor_pb2.FieldDescriptorProto


def proto_files(root):
    folder = pathlib.Path(root) / "proto"
    return sorted(str(p.relative_to(folder))
                  for p in (folder / "tandem").rglob("*.proto"))


def descriptor_set(root):
    """The FileDescriptorSet of our files, with comments."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "set.binpb"
        subprocess.run(
            ["protoc", "-I", str(pathlib.Path(root) / "proto"),
             "--include_source_info", f"--descriptor_set_out={out}",
             *proto_files(root)], check=True)
        files = descriptor_pb2.FileDescriptorSet()
        files.ParseFromString(out.read_bytes())
    return files


def upper_snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()


def is_pascal(name):
    return re.fullmatch(r"([A-Z][a-z0-9]*)+", name) is not None


def is_snake(name):
    return re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) is not None


class Lint:
    """Style findings of one file."""

    def __init__(self, file):
        self.file = file
        self.found = []
        self.comments = {tuple(l.path): (l.leading_comments or
                                         l.trailing_comments)
                         for l in file.source_code_info.location}
        self.lines = {tuple(l.path): l.span[0] + 1
                      for l in file.source_code_info.location}

    def add(self, path, what):
        line = self.lines.get(tuple(path), 1)
        self.found.append(f"proto/{self.file.name}:{line}: {what}")

    def want_comment(self, path, name):
        if not self.comments.get(tuple(path), "").strip():
            self.add(path, f"{name} has no comment")

    def run(self):
        self.package()
        for index, message in enumerate(self.file.message_type):
            self.message(message, [4, index])
        for index, enum in enumerate(self.file.enum_type):
            self.enum(enum, [5, index])
        for index, service in enumerate(self.file.service):
            self.service(service, [6, index])
        return self.found

    def package(self):
        folder = "/".join(self.file.package.split("."))
        if not re.search(r"\.v[1-9][0-9]*$", self.file.package):
            self.add([], f"package {self.file.package} has no version")
        if str(pathlib.PurePosixPath(self.file.name).parent) != folder:
            self.add([], f"package {self.file.package} is not in {folder}/")
        if self.file.syntax != "proto3":
            self.add([], "is not proto3")
        stem = pathlib.PurePosixPath(self.file.name).stem
        if not is_snake(stem):
            self.add([], f"file name {stem} is not lower_snake_case")

    def message(self, message, path):
        self.want_comment(path, message.name)
        if not is_pascal(message.name):
            self.add(path, f"{message.name} is not PascalCase")
        for index, field in enumerate(message.field):
            at = path + [2, index]
            self.want_comment(at, f"{message.name}.{field.name}")
            if not is_snake(field.name):
                self.add(at, f"{message.name}.{field.name} is not "
                         "lower_snake_case")
        for index, nested in enumerate(message.nested_type):
            if not nested.options.map_entry:
                self.message(nested, path + [3, index])
        for index, enum in enumerate(message.enum_type):
            self.enum(enum, path + [4, index])

    def enum(self, enum, path):
        self.want_comment(path, enum.name)
        prefix = upper_snake(enum.name) + "_"
        for index, value in enumerate(enum.value):
            at = path + [2, index]
            self.want_comment(at, value.name)
            if not value.name.startswith(prefix):
                self.add(at, f"{value.name} does not begin with {prefix}")
            if value.number == 0 and value.name != prefix + "UNSPECIFIED":
                self.add(at, f"{value.name} should be {prefix}UNSPECIFIED")

    def service(self, service, path):
        self.want_comment(path, service.name)
        if not service.name.endswith("Service"):
            self.add(path, f"{service.name} does not end with Service")
        for index, method in enumerate(service.method):
            at = path + [2, index]
            self.want_comment(at, f"{service.name}.{method.name}")
            if not is_pascal(method.name):
                self.add(at, f"{method.name} is not PascalCase")
            for kind, type_name in (("Request", method.input_type),
                                    ("Response", method.output_type)):
                want = f".{self.file.package}.{method.name}{kind}"
                if type_name != want:
                    self.add(at, f"{method.name} takes or gives {type_name}, "
                             f"not {want}")


def lint_findings(files):
    found = []
    for file in files.file:
        found += Lint(file).run()
    uses = {}
    for file in files.file:
        for service in file.service:
            for method in service.method:
                for name in (method.input_type, method.output_type):
                    uses.setdefault(name, []).append(method.name)
    return found + [f"{name} is used by {', '.join(methods)}"
                    for name, methods in uses.items() if len(methods) > 1]


def flatten(files):
    """Everything that a peer may rely on: name -> what must stay."""
    kept = {}

    def add_enum(prefix, enum):
        for value in enum.value:
            kept[f"{prefix}{enum.name}.{value.name}"] = f"= {value.number}"

    def add_message(prefix, message):
        full = prefix + message.name
        kept[full] = "message"
        for field in message.field:
            oneof = ""
            if field.HasField("oneof_index") and not field.proto3_optional:
                oneof = message.oneof_decl[field.oneof_index].name
            kept[f"{full}.{field.name}"] = (
                f"= {field.number}, {F.Type.Name(field.type)} "
                f"{field.type_name}, {F.Label.Name(field.label)}"
                f"{', optional' if field.proto3_optional else ''}"
                f"{', in oneof ' + oneof if oneof else ''}, json "
                f"{field.json_name}")
        for nested in message.nested_type:
            add_message(full + ".", nested)
        for enum in message.enum_type:
            add_enum(full + ".", enum)

    for file in files.file:
        for message in file.message_type:
            add_message(file.package + ".", message)
        for enum in file.enum_type:
            add_enum(file.package + ".", enum)
        for service in file.service:
            for method in service.method:
                kept[f"{file.package}.{service.name}.{method.name}"] = (
                    f"({'stream ' * method.client_streaming}"
                    f"{method.input_type}) returns "
                    f"({'stream ' * method.server_streaming}"
                    f"{method.output_type})")
    return kept


def breaking_findings(baseline, files):
    now = flatten(files)
    found = []
    for name, promise in flatten(baseline).items():
        if name not in now:
            found.append(f"{name} was taken away")
        elif now[name] != promise:
            found.append(f"{name} was \"{promise}\", is \"{now[name]}\"")
    return found


def missing_findings(baseline, files):
    """Additions that the baseline does not promise yet."""
    promised = flatten(baseline)
    return [f"{name} is not in {BASELINE}: run tests/checks/"
            "update_proto_baseline.py" for name in flatten(files)
            if name not in promised]


def read_baseline(root):
    baseline = descriptor_pb2.FileDescriptorSet()
    baseline.ParseFromString((pathlib.Path(root) / BASELINE).read_bytes())
    return baseline


if __name__ == "__main__":
    tree = check.source_root()
    if not (tree / BASELINE).exists():
        sys.exit(f"proto_check: no {BASELINE}")
    current = descriptor_set(tree)
    published = read_baseline(tree)
    check.finish(lint_findings(current) +
                 breaking_findings(published, current) +
                 missing_findings(published, current))
