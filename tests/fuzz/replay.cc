// Runs every file of the given folders through a fuzz target once: the corpus
// as a test, without a fuzzer. Exit code 1 where a folder is missing or no
// file is there.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
  int files = 0;
  for (int i = 1; i < argc; ++i) {
    if (!std::filesystem::is_directory(argv[i])) {
      std::cerr << argv[i] << " is not a folder" << std::endl;
      return 1;
    }
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(argv[i])) {
      if (!entry.is_regular_file()) continue;
      std::ifstream stream(entry.path(), std::ios::binary);
      std::stringstream content;
      content << stream.rdbuf();
      const std::string bytes = content.str();
      // Named before it runs, so that a crash tells the file.
      std::cout << entry.path().string() << std::endl;
      LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()),
                             bytes.size());
      ++files;
    }
  }
  std::cout << files << " files" << std::endl;
  return files > 0 ? 0 : 1;
}
