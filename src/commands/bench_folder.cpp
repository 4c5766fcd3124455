#include "commands/bench_folder.hpp"

#include <cerrno>
#include <cstdlib>

#include "base/error.hpp"
#include "base/text.hpp"

namespace trireme {

namespace fs = std::filesystem;

BenchFolder::BenchFolder(const Communicator& comm, const fs::path& parent, std::int64_t bytes_needed) {
  std::string made;
  comm.together([&] {
    if (comm.rank() != 0) return;
    std::error_code error;
    const auto space = fs::space(parent, error);
    if (error) throw usage_error("folder '{}': {}. Hint: name a folder that exists: trireme bench io DIR", parent.string(), error.message());
    if (static_cast<double>(space.available) < 1.05 * static_cast<double>(bytes_needed))
      throw usage_error("folder '{}' has {} free, but this benchmark writes up to {}. Hint: set a smaller --size and --state, or use another folder",
                        parent.string(), human_bytes(static_cast<double>(space.available)), human_bytes(static_cast<double>(bytes_needed)));
    made = (parent / "trireme-bench-XXXXXX").string();
    if (::mkdtemp(made.data()) == nullptr) throw usage_error("folder '{}' cannot be written: {}", parent.string(), std::generic_category().message(errno));
  });
  path_ = comm.broadcast(made);
  mine_ = comm.rank() == 0;
}

BenchFolder::~BenchFolder() {
  std::error_code ignored;
  if (mine_) fs::remove_all(path_, ignored);
}

}  // namespace trireme
