#include "io/importers/cifar10.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "base/error.hpp"
#include "io/importers/importer.hpp"

namespace trireme {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t pixel_bytes = 3 * 32 * 32;
constexpr std::int64_t record_bytes = 1 + pixel_bytes;
constexpr const char* expected_files = "data_batch_1.bin to data_batch_5.bin and test_batch.bin";

std::vector<std::string> names_of(Part part) {
  if (part == Part::test) return {"test_batch.bin"};
  return {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"};
}

std::optional<Part> part_of(const std::string& name) {
  for (const Part part : all_parts)
    if (std::ranges::count(names_of(part), name) > 0) return part;
  return std::nullopt;
}

/// The only archive in a folder; empty when there is none, or more than one.
fs::path only_archive(const fs::path& folder) {
  fs::path found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(".tgz") && !name.ends_with(".zip") && name.find(".tar") == name.npos) continue;
    if (!found.empty()) return {};
    found = entry.path();
  }
  return found;
}

}  // namespace

Cifar10Source::Cifar10Source(fs::path source, std::int64_t records_a_file)
    : source_(std::move(source)), is_folder_(fs::is_directory(source_)), records_(records_a_file) {
  layout_.sample = Shape{3, 32, 32};
  if (!is_folder_) return;
  const fs::path below = source_ / "cifar-10-batches-bin";
  if (!fs::exists(source_ / names_of(Part::test).front())) {
    if (fs::is_directory(below)) {
      source_ = below;
    } else if (const fs::path archive = only_archive(source_); !archive.empty()) {
      source_ = archive;
      is_folder_ = false;
      return;
    }
  }
  for (const Part part : all_parts)
    for (const auto& name : names_of(part))
      if (!fs::exists(source_ / name))
        throw data_error(
            "folder '{}': no file '{}'. Expected {}. Hint: use the binary version of CIFAR-10 (the Python version "
            "has no .bin files)",
            source_.string(), name, expected_files);
}

void Cifar10Source::stream_file(ByteStream& file, Part part, std::int64_t first_sample, SampleRange wanted, const SampleSink& sink) const {
  constexpr std::int64_t block = 256;
  const std::int64_t first = std::max(wanted.first - first_sample, std::int64_t{0});
  const std::int64_t end = std::min(wanted.end - first_sample, records_);
  const auto wrong_size = [&](const std::string& found) {
    return data_error("'{}': {}; expected {} records of {} bytes, {} in total. Hint: the file is damaged; download it again", file.name(), found, records_,
                      record_bytes, records_ * record_bytes);
  };
  std::int64_t seen = file.skip(first * record_bytes);
  std::vector<std::uint8_t> records, pixels;
  std::vector<std::int64_t> labels;
  for (std::int64_t at = first; at < end; at += block) {
    const auto n = static_cast<std::size_t>(std::min(block, end - at));
    records.resize(n * record_bytes);
    pixels.resize(n * pixel_bytes);
    labels.resize(n);
    const std::size_t got = file.read(std::as_writable_bytes(std::span(records)));
    seen += static_cast<std::int64_t>(got);
    if (got < records.size()) throw wrong_size(fmt::format("it ends after {} bytes", seen));
    for (std::size_t i = 0; i < n; ++i) {
      const std::uint8_t* const record = records.data() + i * record_bytes;
      if (*record > 9)
        throw data_error("'{}': record {} has the label {}; expected 0 to 9. Hint: the file is damaged, or is not CIFAR-10", file.name(),
                         at + static_cast<std::int64_t>(i), *record);
      labels[i] = *record;
      std::copy_n(record + 1, pixel_bytes, pixels.data() + i * pixel_bytes);
    }
    sink(part, static_cast<std::int64_t>(n), std::as_bytes(std::span(pixels)), std::as_bytes(std::span(labels)));
  }
  if (end == records_ && file.skip(1) > 0) throw wrong_size("it continues after the last record");
}

void Cifar10Source::stream_folder(const PerPart<SampleRange>& wanted, const SampleSink& sink) const {
  for (const Part part : all_parts) {
    std::int64_t first_sample = 0;
    for (const auto& name : names_of(part)) {
      if (wanted[part].first < first_sample + records_ && first_sample < wanted[part].end) {
        ByteStream file = ByteStream::of_file(source_ / name);
        stream_file(file, part, first_sample, wanted[part], sink);
      }
      first_sample += records_;
    }
  }
}

void Cifar10Source::stream_archive(const PerPart<SampleRange>& wanted, const SampleSink& sink) const {
  ByteStream archive = ByteStream::of_archive(source_);
  PerPart<std::int64_t> seen{0, 0};
  const auto done = [&] { return std::ranges::all_of(all_parts, [&](Part part) { return seen[part] >= wanted[part].end; }); };
  std::string others;
  while (!done() && archive.next_member()) {
    const auto part = part_of(fs::path(archive.member()).filename().string());
    if (!part) {
      if (others.size() < 200) others += (others.empty() ? "" : ", ") + archive.member();
      continue;
    }
    const std::int64_t first_sample = seen[*part];
    seen[*part] += records_;
    if (seen[*part] > count(*part)) throw data_error("'{}' is in the archive more than once", archive.name());
    if (wanted[*part].first < seen[*part] && first_sample < wanted[*part].end) stream_file(archive, *part, first_sample, wanted[*part], sink);
  }
  if (!done())
    throw data_error(
        "archive '{}': {} train and {} test files of CIFAR-10 found, expected {}; other members: {}. Hint: use the "
        "binary version of CIFAR-10 (the Python version has no .bin files)",
        source_.string(), seen[Part::train] / records_, seen[Part::test] / records_, expected_files, others.empty() ? "none" : others);
  archive.finish();
}

void Cifar10Source::stream(const PerPart<SampleRange>& wanted, const SampleSink& sink) const {
  if (is_folder_)
    stream_folder(wanted, sink);
  else
    stream_archive(wanted, sink);
}

TRIREME_IMPORTER(cifar10) {
  return {.source = "a folder or an archive with data_batch_1.bin to data_batch_5.bin and test_batch.bin",
          .help = "CIFAR-10 (binary version)",
          .open = [](const std::filesystem::path& source, const ImporterOptions&) { return std::make_unique<Cifar10Source>(source); }};
}

}  // namespace trireme
