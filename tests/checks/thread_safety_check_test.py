import json
import unittest

import thread_safety_check
from sample_tree import SampleTree

GUARDED = """#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
class Counter {
 public:
  void Add() {
    %s
    ++count_;
  }

 private:
  absl::Mutex mutex_;
  int count_ ABSL_GUARDED_BY(mutex_) = 0;
};
void Use() { Counter().Add(); }
"""


class ThreadSafetyCheckTest(SampleTree):

    def findings(self, body):
        name = "engine/base/a.cc"
        self.write(name, GUARDED % body)
        command = f"/usr/bin/ccache g++ -std=c++20 -o a.o -c {self.root / name}"
        self.write("build/compile_commands.json", json.dumps(
            [{"directory": str(self.root), "file": name, "command": command}]))
        return thread_safety_check.thread_safety_findings(
            self.root, self.root / "build", thread_safety_check.clang())

    def test_a_member_under_its_lock_is_right(self):
        self.assert_findings(self.findings("absl::MutexLock lock(&mutex_);"))

    def test_a_member_without_its_lock_is_found(self):
        self.assert_findings(self.findings(""), "requires holding mutex")


if __name__ == "__main__":
    unittest.main()
