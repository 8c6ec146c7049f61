// A heap array aligned for SIMD loads and for cache lines. Owned by whoever
// holds it; movable, not copyable.

#ifndef TANDEM_ENGINE_BASE_ALIGNED_BUFFER_H_
#define TANDEM_ENGINE_BASE_ALIGNED_BUFFER_H_

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>

namespace tandem {

inline constexpr size_t kBufferAlignment = 64;  // bytes

template <typename T>
class AlignedBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  AlignedBuffer() = default;

  // `size` elements, all zero. Throws std::bad_alloc when memory is out; sizes
  // that come from a file are checked against the file's size before.
  explicit AlignedBuffer(size_t size) : size_(size) {
    if (size == 0) return;
    data_.reset(static_cast<T*>(
        ::operator new (size * sizeof(T), std::align_val_t{kBufferAlignment})));
    std::memset(static_cast<void*>(data_.get()), 0, size * sizeof(T));
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_.get()[i]; }
  const T& operator[](size_t i) const { return data_.get()[i]; }
  T* begin() { return data(); }
  T* end() { return data() + size_; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }

 private:
  struct Free {
    void operator()(T* pointer) const {
      ::operator delete (pointer, std::align_val_t{kBufferAlignment});
    }
  };

  std::unique_ptr<T, Free> data_;
  size_t size_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_BASE_ALIGNED_BUFFER_H_
