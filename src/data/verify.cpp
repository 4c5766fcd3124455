#include "data/verify.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "base/timer.hpp"
#include "io/retry.hpp"
#include "io/shard_checksum.hpp"

namespace trireme {

namespace {

std::int64_t without_checksums(const DataSet& data) {
  return std::ranges::count_if(data.shards(), [](const ShardInfo& shard) { return !shard.has_checksums && shard.rows > 0; });
}

void verify_dealt(const Communicator& comm, const DataSet& data) {
  const auto& shards = data.shards();
  for (auto s = static_cast<std::size_t>(comm.rank()); s < shards.size(); s += static_cast<std::size_t>(comm.size()))
    with_retries(usual_retries, [&] { verify_shard(shards[s].path, data.names()); });
}

}  // namespace

void verify_data(const Communicator& comm, IoThread& io, const std::string& when, const std::vector<const DataSet*>& sets) {
  if (when == "never") return;
  std::int64_t lacking = 0, all = 0;
  for (const DataSet* data : sets) {
    lacking += without_checksums(*data);
    all += std::ssize(data->shards());
  }
  if (lacking > 0) log::info("data: {} of {} shard(s) have no checksums, so changed values there are not detected", lacking, all);
  if (when != "first_epoch" || lacking == all) return;
  const Timer timer;
  comm.together([&] {
    io.run([&] {
      for (const DataSet* data : sets) verify_dealt(comm, *data);
    });
  });
  log::info("data: the values of {} shard(s) match their checksums ({})", all - lacking, human_seconds(timer.seconds()));
}

}  // namespace trireme
