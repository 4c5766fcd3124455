// The binary version of CIFAR-10 (Krizhevsky, "Learning multiple layers of features from tiny images", 2009): six files of 10,000 records. A record
// is a label byte, then 32x32 bytes each of red, green and blue.
#pragma once

#include <filesystem>

#include "io/importers/byte_stream.hpp"
#include "io/importers/sample_source.hpp"

namespace trireme {

class Cifar10Source : public SampleSource {
 public:
  static constexpr std::int64_t published_records = 10'000;

  /// `source`: the folder with data_batch_1.bin to data_batch_5.bin and test_batch.bin (or its parent), the archive, or a folder with this archive
  /// and no other. The order of samples is the order of the files: by name in a folder, as stored in an archive.
  explicit Cifar10Source(std::filesystem::path source, std::int64_t records_a_file = published_records);
  const SampleLayout& layout() const override { return layout_; }
  std::int64_t count(Part part) const override { return (part == Part::train ? 5 : 1) * records_; }
  void stream(const PerPart<SampleRange>& wanted, const SampleSink& sink) const override;

 private:
  void stream_file(ByteStream& file, Part part, std::int64_t first_sample, SampleRange wanted, const SampleSink& sink) const;
  void stream_folder(const PerPart<SampleRange>& wanted, const SampleSink& sink) const;
  void stream_archive(const PerPart<SampleRange>& wanted, const SampleSink& sink) const;

  std::filesystem::path source_;
  bool is_folder_ = false;
  std::int64_t records_;
  SampleLayout layout_;
};

}  // namespace trireme
