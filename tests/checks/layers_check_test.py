import unittest

import layers_check
from sample_tree import SampleTree


class LayersCheckTest(SampleTree):

    def test_down_is_allowed(self):
        self.write("engine/gguf/a.cc", '#include "engine/gguf/a.h"\n'
                   '#include "engine/base/status.h"\n#include <vector>\n')
        self.write("services/worker/server/b.cc", '#include "engine/engine.h"\n'
                   '#include "services/common/c.h"\n')
        self.write("engine/session/turn.cc",
                   '#include "engine/session/turn.h"\n')
        self.assert_findings(layers_check.layer_findings(self.root))

    def test_up_and_sideways_are_not(self):
        for name, path in (
                ("engine/base/a.h", "engine/gguf/gguf_file.h"),
                ("engine/gguf/a.h", "engine/kernels/linear.h"),
                ("engine/model/a.cc", "engine/engine.h"),
                ("engine/session/turn.cc", "engine/model/model.h"),
                ("engine/session/turn.h", "engine/session/generate.h"),
                ("engine/engine.cc", "services/common/channel.h"),
                ("services/common/a.h", "engine/model/model.h"),
                ("services/coordinator/turn/a.cc", "engine/kernels/linear.h"),
                ("services/coordinator/turn/a.cc", "engine/engine.h"),
                ("services/coordinator/turn/a.cc",
                 "services/worker/server/worker_server.h"),
                ("services/coordinator/turn/a.cc",
                 "services/coordinator/client/session.h"),
                ("services/worker/schedule/a.cc",
                 "services/worker/models/model_set.h"),
                ("services/worker/server/a.cc",
                 "services/coordinator/client/session.h"),
                ("tools/tandem/a.cc", "engine/model/model.h"),
                ("engine/base/b.h", "tests/x.h")):
            with self.subTest(name=name, path=path):
                self.setUp()
                self.write(name, f'\n#include "{path}"\n')
                self.assert_findings(layers_check.layer_findings(self.root),
                                     f"{name}:2: may not include {path}")

    def test_a_folder_without_rule_is_found(self):
        self.write("services/new/a.cc", "")
        self.assert_findings(layers_check.layer_findings(self.root),
                             "has no rule")

    def test_banned_includes(self):
        self.write("engine/base/a.cc", "#include <grpcpp/channel.h>\n"
                   "#include <spdlog/spdlog.h>\n"
                   "#include <google/protobuf/message.h>\n")
        self.write("engine/kernels/avx2.cc", "#include <immintrin.h>\n"
                   '#include "engine/kernels/block.h"\n#include <cstdint>\n')
        self.assert_findings(layers_check.banned_findings(self.root),
                             "grpcpp", "spdlog", "protobuf")

    def test_banned_in_files_for_avx(self):
        self.write("engine/kernels/avx512_vnni.cc", "#include <vector>\n"
                   '#include "absl/types/span.h"\n'
                   '#include "engine/base/status.h"\n')
        self.assert_findings(layers_check.banned_findings(self.root),
                             "vector", "absl", "engine/base")

    def test_banned_text(self):
        self.write("CMakeLists.txt", "add_compile_options(-march=native)\n")
        # In two parts: this file is checked too.
        self.write("engine/base/a.h", "// TO" "DO later\n")
        self.write("tools/load/b.h", "std::mutex mutex_;\n")
        self.assert_findings(layers_check.banned_findings(self.root),
                             "-march", "later", "absl::Mutex")


if __name__ == "__main__":
    unittest.main()
