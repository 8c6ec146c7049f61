// A file descriptor that closes itself.

#ifndef TANDEM_ENGINE_BASE_DESCRIPTOR_H_
#define TANDEM_ENGINE_BASE_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace tandem {

class Descriptor {
 public:
  // Takes `number`; below 0: none.
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept
      : number_(std::exchange(other.number_, -1)) {}
  ~Descriptor() {
    if (number_ >= 0) (void)close(number_);
  }
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int number() const { return number_; }
  bool is_open() const { return number_ >= 0; }
  // For an owner that takes a number; it is not closed here any more.
  int Release() { return std::exchange(number_, -1); }

 private:
  int number_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_BASE_DESCRIPTOR_H_
