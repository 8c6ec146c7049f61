#include "engine/base/huge_page_buffer.h"

#include <sys/mman.h>
#include <unistd.h>

#include <new>
#include <utility>

#include "engine/base/check.h"

namespace tandem {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20;

size_t RoundUp(size_t value, size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

size_t MappedBytes(size_t size) {
  return RoundUp(size, static_cast<size_t>(sysconf(_SC_PAGESIZE)));
}

void Unmap(uint8_t* data, size_t size) {
  if (size != 0) TANDEM_CHECK(munmap(data, size) == 0);
}

}  // namespace

HugePageBuffer::HugePageBuffer(size_t size) : size_(size) {
  if (size == 0) return;
  // A huge page is aligned to its own size: map more and give back the ends.
  const size_t mapped = MappedBytes(size);
  const size_t slack = mapped >= kHugePageBytes ? kHugePageBytes : 0;
  void* const memory = mmap(nullptr, mapped + slack, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  uint8_t* const first = static_cast<uint8_t*>(memory);
  data_ = first;
  if (slack == 0) return;
  const uintptr_t address = reinterpret_cast<uintptr_t>(first);
  const size_t head = RoundUp(address, kHugePageBytes) - address;
  data_ = first + head;
  Unmap(first, head);
  Unmap(data_ + mapped, slack - head);
  // A system without huge pages refuses; then it works with small ones.
  (void)madvise(data_, mapped, MADV_HUGEPAGE);
}

HugePageBuffer::HugePageBuffer(HugePageBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

HugePageBuffer& HugePageBuffer::operator=(HugePageBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

HugePageBuffer::~HugePageBuffer() {
  if (data_ != nullptr) Unmap(data_, MappedBytes(size_));
}

}  // namespace tandem
