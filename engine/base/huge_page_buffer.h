// Zeroed memory for what is large: weights and the KV cache, which are read
// from end to end, and tables that are as long as a context. On huge pages
// where the system has them: with 4 KiB pages address translation costs a fifth
// of the memory's speed (weights: 22.5 against 28.2 GB/s a thread). Only what
// is written takes memory. Movable, not copyable.

#ifndef TANDEM_ENGINE_BASE_HUGE_PAGE_BUFFER_H_
#define TANDEM_ENGINE_BASE_HUGE_PAGE_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <type_traits>

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

// An array in such memory: zero, and none of it taken before it is written.
template <typename T>
class HugePageArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  HugePageArray() = default;
  explicit HugePageArray(size_t size) : buffer_(size * sizeof(T)) {}

  T* data() { return reinterpret_cast<T*>(buffer_.data()); }
  const T* data() const { return reinterpret_cast<const T*>(buffer_.data()); }
  size_t size() const { return buffer_.size() / sizeof(T); }
  T& operator[](size_t i) { return data()[i]; }
  const T& operator[](size_t i) const { return data()[i]; }

 private:
  HugePageBuffer buffer_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_BASE_HUGE_PAGE_BUFFER_H_
