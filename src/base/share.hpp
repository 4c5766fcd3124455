// Division of n items into parts, even or in given proportions.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace trireme {

struct Share {
  std::int64_t first, count;
};

/// The contiguous share of `n` items that part `r` of `parts` owns: [first, first + count). Sizes differ by at most one.
inline Share share_of(std::int64_t n, int r, int parts) {
  const std::int64_t each = n / parts, over = n % parts;
  return {r * each + std::min<std::int64_t>(r, over), each + (r < over ? 1 : 0)};
}

/// Contiguous shares of batches. By counts: part r owns counts[r] of the sum(counts) items of a full batch; of a smaller batch, the nearest whole
/// numbers to that proportion, at most counts[r]. By virtual ranks: a batch is divided into even slices, and each part owns an even share of the
/// slices. By neither: even shares.
class Shares {
 public:
  explicit Shares(int parts) : parts_(parts) {}
  explicit Shares(std::vector<std::int64_t> counts) : parts_(static_cast<int>(counts.size())), counts_(std::move(counts)) {}

  static Shares of_virtual_ranks(std::int64_t count, int parts) {
    Shares shares(parts);
    shares.virtual_ranks_ = count;
    return shares;
  }

  int parts() const { return parts_; }
  /// Share of `n` items, at most a full batch.
  Share of(std::int64_t n, int r) const {
    if (virtual_ranks_ > 0) {
      const Share own = share_of(virtual_ranks_, r, parts_);
      const auto begin = [&](std::int64_t lane) { return share_of(n, static_cast<int>(lane), static_cast<int>(virtual_ranks_)).first; };
      return {begin(own.first), begin(own.first + own.count) - begin(own.first)};
    }
    if (counts_.empty()) return share_of(n, r, parts_);
    const std::int64_t whole = std::accumulate(counts_.begin(), counts_.end(), std::int64_t{0}),
                       before = std::accumulate(counts_.begin(), counts_.begin() + r, std::int64_t{0});
    // floor(n b / whole), whose differences are at most ceil(n counts[r] / whole) <= counts[r].
    const auto cut = [&](std::int64_t b) { return n / whole * b + n % whole * b / whole; };
    return {cut(before), cut(before + counts_[static_cast<std::size_t>(r)]) - cut(before)};
  }

 private:
  int parts_;
  std::int64_t virtual_ranks_ = 0;
  std::vector<std::int64_t> counts_;
};

}  // namespace trireme
