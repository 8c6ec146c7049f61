// Zeroed memory for what is large and read from end to end, weights and the KV
// cache, on huge pages where the system has them: with 4 KiB pages address
// translation costs a fifth of the memory's speed (weights: 22.5 against 28.2
// GB/s a thread). Movable, not copyable.

#ifndef TANDEM_ENGINE_BASE_HUGE_PAGE_BUFFER_H_
#define TANDEM_ENGINE_BASE_HUGE_PAGE_BUFFER_H_

#include <cstddef>
#include <cstdint>

namespace tandem {

class HugePageBuffer {
 public:
  HugePageBuffer() = default;
  // `size` zero bytes, aligned to a page. The system gives the memory when it
  // is first written. Throws std::bad_alloc when address space is out; sizes
  // that come from a file are checked against the file's size before.
  explicit HugePageBuffer(size_t size);
  HugePageBuffer(HugePageBuffer&& other) noexcept;
  HugePageBuffer& operator=(HugePageBuffer&& other) noexcept;
  ~HugePageBuffer();

  uint8_t* data() { return data_; }
  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_BASE_HUGE_PAGE_BUFFER_H_
