#include "commands/data_scan.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/share.hpp"
#include "data/row_loader.hpp"
#include "train/reading.hpp"

namespace trireme {

namespace {

constexpr std::int64_t block_bytes = 32 << 20;
constexpr std::size_t most_named = 20;  // largest number of faults that a rank reports

}  // namespace

void scan_data(const Communicator& comm, const Deck& deck, const DataSet& data, const Shape& input, bool single, IoThread& io) {
  std::vector<std::string> faults;
  std::int64_t count = 0;
  comm.together([&] {
    RowPart part;
    part.retries = static_cast<int>(deck.integer("run.io_retries"));
    part.feature_rule = feature_rule(deck, input, data.labels(), single);
    part.label_rule = label_rule(deck, data.labels(), single);
    part.report = [&](const std::string& fault) {
      if (++count; faults.size() < most_named) faults.push_back(fault);
    };
    RowLoader loader(data, part);
    const Share own = share_of(data.size(), comm.rank(), comm.size());
    const std::int64_t rows = std::max<std::int64_t>(1, block_bytes / std::max<std::int64_t>(1, loader.feature_bytes() + loader.label_bytes()));
    RowBlock block = loader.allocate_to_read(std::min(rows, own.count));
    io.run([&] {
      for (std::int64_t first = own.first; first < own.first + own.count; first += rows) {
        const RowRun run{first, std::min(rows, own.first + own.count - first)};
        loader.start(std::span(&run, 1), block);
        while (!loader.step()) {
        }
      }
      loader.close();
    });
  });
  count = comm.all_reduce(count);
  std::string mine;
  for (const std::string& fault : faults) mine += fault + '\n';
  std::string message;
  std::size_t named = 0;
  for (const std::string& text : comm.gather(mine))
    for (std::size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos && named < most_named; at = end + 1, ++named) {
      if (named > 0) message += '\n';
      message.append(text, at, end - at);
    }
  message = comm.broadcast(message);
  if (count > 1)
    message = fmt::format("data {}: {} rows are not usable{}:\n{}", data.where(), count,
                          count > static_cast<std::int64_t>(most_named) ? "; the first ones are" : "", message);
  if (count > 0) throw Error(ExitCode::data, message);
  log::info("data {}: all values of all {} rows are usable", data.where(), data.size());
}

}  // namespace trireme
