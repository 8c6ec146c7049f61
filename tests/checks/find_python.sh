#!/bin/sh
# Prints the first python3 that can import what the tests need: protobuf, gRPC,
# Jinja, YAML, NumPy, pexpect and pyte. The first one on PATH may be another than Debian's,
# which has them by tools/setup.

for python in python3 /usr/bin/python3; do
  if path=$(command -v "$python") &&
    "$path" -c 'import google.protobuf, grpc, jinja2, numpy, pexpect, pyte
import yaml' 2>/dev/null; then
    echo "$path"
    exit 0
  fi
done
echo "no python3 here imports google.protobuf, grpc, jinja2, numpy, pexpect, pyte and" \
  "yaml:" \
  "run tools/setup, or install python3-protobuf, python3-grpcio," \
  "python3-jinja2, python3-numpy, python3-pexpect, python3-pyte and" \
  "python3-yaml" >&2
exit 1
