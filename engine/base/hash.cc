#include "engine/base/hash.h"

#include <openssl/evp.h>

#include <array>

#include "absl/strings/escaping.h"
#include "engine/base/check.h"

namespace tandem {

namespace {

class DigestContext {
 public:
  DigestContext() {
    TANDEM_CHECK(evp_ != nullptr);
    TANDEM_CHECK(EVP_DigestInit_ex(evp_, EVP_sha256(), nullptr) == 1);
  }
  ~DigestContext() { EVP_MD_CTX_free(evp_); }
  DigestContext(const DigestContext&) = delete;
  DigestContext& operator=(const DigestContext&) = delete;

  void Update(const void* data, size_t size) {
    TANDEM_CHECK(EVP_DigestUpdate(evp_, data, size) == 1);
  }

  std::string Finish() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    unsigned int size = 0;
    TANDEM_CHECK(EVP_DigestFinal_ex(evp_, digest.data(), &size) == 1);
    return absl::BytesToHexString(
        absl::string_view(reinterpret_cast<const char*>(digest.data()), size));
  }

 private:
  EVP_MD_CTX* const evp_ = EVP_MD_CTX_new();
};

}  // namespace

struct Sha256::Context : DigestContext {};

Sha256::Sha256() : context_(std::make_unique<Context>()) {}

Sha256::~Sha256() = default;

void Sha256::AddBytes(absl::Span<const uint8_t> bytes) {
  AddNumber(bytes.size());
  AddUnframed(bytes);
}

void Sha256::AddString(absl::string_view text) {
  AddNumber(text.size());
  context_->Update(text.data(), text.size());
}

void Sha256::AddNumber(uint64_t number) {
  std::array<uint8_t, 8> bytes;
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<uint8_t>(number >> (8 * i));
  }
  context_->Update(bytes.data(), bytes.size());
}

void Sha256::AddUnframed(absl::Span<const uint8_t> bytes) {
  context_->Update(bytes.data(), bytes.size());
}

std::string Sha256::HexDigest() { return context_->Finish(); }

std::string Sha256OfBytes(absl::Span<const uint8_t> bytes) {
  DigestContext context;
  context.Update(bytes.data(), bytes.size());
  return context.Finish();
}

}  // namespace tandem
