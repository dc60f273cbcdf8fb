#include "staging.h"

#include <fmt/format.h>

#include <exception>
#include <stdexcept>

namespace warpbert {

Staging::~Staging() {
  for (int i = 0; i < buffers; i++) {
    if (!ring_[size_t(i)].host) continue;
    try {
      copier_->wait(i);
    } catch (const std::exception&) {  // already reported where it happened
    }
    copier_->free(ring_[size_t(i)].host);
  }
}

char* Staging::next(size_t bytes) {
  current_ = (current_ + 1) % buffers;
  Buffer& b = ring_[size_t(current_)];
  copier_->wait(current_);
  if (b.size < bytes) {
    if (b.host) copier_->free(b.host);
    b = {};
    const size_t size = bytes * 5 / 4;
    if (!(b.host = copier_->allocate(size)))
      throw std::runtime_error(fmt::format(
          "out of host memory for copies to the device: {:.1f} MiB were asked for", double(size) / 1048576));
    b.size = size;
  }
  return b.host;
}

}  // namespace warpbert
