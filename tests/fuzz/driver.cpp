// Reads inputs as the program does, many in one process: "KIND<TAB>PATH" lines come on the standard input, and one line
// goes out for each:
//
//   ok <what was read: counts, types, shapes and SHA-256 of the values>
//   error CODE MESSAGE
//
// KIND make-shard and make-checkpoint write the file instead, which inputs are then made from.
//
// tests/fuzz/fuzz.py damages the inputs and judges the answers. Built with sanitizers, whatever they find ends the
// process.
#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <iostream>
#include <map>
#include <string>

#include "base/error.hpp"
#include "base/random.hpp"
#include "base/sha256.hpp"
#include "config/deck.hpp"
#include "io/checkpoint_file.hpp"
#include "io/importers/cifar10.hpp"
#include "io/importers/csv.hpp"
#include "io/importers/idx.hpp"
#include "io/shard.hpp"
#include "io/shard_checksum.hpp"
#include "unit/io/checkpoints.hpp"

namespace {

using namespace trireme;

constexpr std::int64_t largest_data = std::int64_t{64} << 20;
constexpr std::int64_t cifar10_records = 3;  // a file: small inputs are many inputs
constexpr unsigned most_seconds = 20;        // for one input; SIGALRM then ends the process

std::string digest(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}

std::string described(ElementType type, const Shape& row, std::span<const std::byte> bytes) {
  return fmt::format("{} {} {}", name_of(type), row.tuple(), digest(bytes));
}

std::string read_shard(const std::string& path) {
  const ShardNames names;
  const ShardInfo info = describe_shard(path, names);
  verify_shard(info.path, names);
  ShardReader reader(info, names);
  const auto bytes_of = [&](const Shape& row, ElementType type) {
    const double bytes = static_cast<double>(info.rows) * static_cast<double>(row.size()) * static_cast<double>(size_of(type));
    if (bytes > static_cast<double>(largest_data)) throw data_error("shard '{}' holds more than a test reads", path);
    return std::vector<std::byte>(static_cast<std::size_t>(bytes));
  };
  std::vector<std::byte> features = bytes_of(info.sample, info.feature_type), labels = bytes_of(info.label, info.label_type);
  reader.read_features(0, info.rows, features);
  reader.read_labels(0, info.rows, labels);
  return fmt::format("{} {} {} {}", info.rows, info.has_checksums ? "checksums" : "plain", described(info.feature_type, info.sample, features),
                     described(info.label_type, info.label, labels));
}

std::string read_checkpoint(const std::string& path) {
  const CheckpointReader reader(path);
  if (const auto damaged = reader.verify(); !damaged.empty()) throw checkpoint_error("checkpoint '{}': array '{}' is damaged", path, damaged.front());
  std::string all = digest(std::as_bytes(std::span(reader.content().deck)));
  for (const auto& [name, value] : reader.content().integers) all += fmt::format(" {}={}", name, value);
  for (const auto& [name, value] : reader.content().reals) all += fmt::format(" {}={}", name, value);
  for (const auto& array : reader.arrays()) {
    if (array.bytes > largest_data) throw checkpoint_error("checkpoint '{}' holds more than a test reads", path);
    std::vector<double> values(static_cast<std::size_t>(array.shape.size()));
    reader.read(array.name, values.data(), array.shape.size());
    all += fmt::format(" {} {} {}", array.name, array.shape.tuple(), digest(std::as_bytes(std::span(values))));
  }
  return all;
}

std::string read_source(const SampleSource& source) {
  PerPart<std::vector<std::byte>> features, labels;
  PerPart<std::int64_t> count{0, 0};
  const SampleLayout& layout = source.layout();
  source.stream({SampleRange{0, source.count(Part::train)}, SampleRange{0, source.count(Part::test)}},
                [&](Part part, std::int64_t n, std::span<const std::byte> x, std::span<const std::byte> y) {
                  if (static_cast<std::int64_t>(features[part].size()) > largest_data) throw data_error("more than a test reads");
                  count[part] += n;
                  features[part].insert(features[part].end(), x.begin(), x.end());
                  labels[part].insert(labels[part].end(), y.begin(), y.end());
                });
  std::string all;
  for (const Part part : all_parts)
    if (count[part] > 0 || part == Part::train)
      all += fmt::format("{}{} {} {}", all.empty() ? "" : " ", count[part], described(layout.feature_type, layout.sample, features[part]),
                         described(layout.label_type, layout.label, labels[part]));
  return all;
}

std::string read_deck(const std::string& path) {
  const Deck deck = Deck::read(path);
  const std::string resolved = deck.resolved();
  if (Deck(resolved, path).resolved() != resolved) throw internal_error("deck '{}' resolves to another deck than itself", path);
  return digest(std::as_bytes(std::span(resolved)));
}

/// "gzip" in the name: compressed; "contiguous": without chunks; "plain": without checksums.
std::string make_shard(const std::string& path) {
  RandomStream random(41);
  ShardWriter::Options options;
  options.sample = Shape{2, 5, 7};
  options.feature_type = ElementType::f32;
  options.chunk_rows = 8;
  options.gzip = path.find("gzip") != std::string::npos ? 4 : 0;
  if (path.find("contiguous") != std::string::npos) options.chunk_rows = 0;
  options.checksums = path.find("plain") == std::string::npos;
  constexpr std::size_t rows = 37;
  std::vector<float> features(rows * static_cast<std::size_t>(options.sample.size()));
  std::vector<std::int64_t> labels(rows);
  for (float& value : features) value = static_cast<float>(random.below(100));
  for (std::int64_t& label : labels) label = static_cast<std::int64_t>(random.below(10));
  ShardWriter writer(path, rows, options);
  writer.append(std::as_bytes(std::span(features)), std::as_bytes(std::span(labels)));
  writer.finish();
  return "made";
}

std::string make_checkpoint(const std::string& path) {
  const test::State state = test::random_state(42, 12);
  write_checkpoint(path, state.arrays, state.content, MPI_COMM_SELF);
  return "made";
}

const std::map<std::string, std::function<std::string(const std::string&)>> kinds{
    {"shard", read_shard},
    {"checkpoint", read_checkpoint},
    {"idx", [](const std::string& path) { return read_source(IdxSource(find_idx_files(path))); }},
    {"cifar10", [](const std::string& path) { return read_source(Cifar10Source(path, cifar10_records)); }},
    {"csv", [](const std::string& path) { return read_source(CsvSource(path, {.test_fraction = 0})); }},
    {"deck", read_deck},
    {"make-shard", make_shard},
    {"make-checkpoint", make_checkpoint}};

/// One line of it.
std::string line_of(std::string text) {
  for (char& c : text)
    if (c == '\n' || c == '\r') c = ' ';
  return text;
}

std::string answer(const std::string& kind, const std::string& path) {
  try {
    return "ok " + kinds.at(kind)(path);
  } catch (const Error& error) {
    return fmt::format("error {} {}", static_cast<int>(error.code()), error.what());
  } catch (const std::exception& error) {
    return fmt::format("error 1 std::exception {}", error.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  for (std::string line; std::getline(std::cin, line);) {
    const std::size_t tab = line.find('\t');
    if (tab == std::string::npos) return 2;
    ::alarm(most_seconds);
    std::printf("%s\n", line_of(answer(line.substr(0, tab), line.substr(tab + 1))).c_str());
    std::fflush(stdout);
    ::alarm(0);
  }
  MPI_Finalize();
}
