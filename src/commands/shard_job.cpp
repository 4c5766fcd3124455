#include "commands/shard_job.hpp"

#include <algorithm>
#include <bit>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "commands/shard_progress.hpp"
#include "io/importers/shard_attributes.hpp"
#include "io/shard.hpp"

namespace trireme {

namespace {

namespace fs = std::filesystem;

std::string folder_name(Part part) { return part == Part::train ? "train" : "test"; }
fs::path final_folder(const ShardJob& job, Part part) { return job.out / folder_name(part); }
fs::path staging_folder(const ShardJob& job, Part part) { return job.out / fmt::format(".{}.partial", folder_name(part)); }

fs::path partial_summary(const ShardJob& job, const fs::path& name) { return staging_folder(job, Part::train) / (name.string() + ".partial"); }

void require(const std::error_code& error, const char* what, const fs::path& path) {
  if (error) throw data_error("'{}' cannot be {}: {}", path.string(), what, error.message());
}

std::int64_t size_of_file(const fs::path& path) {
  std::error_code error;
  const auto bytes = static_cast<std::int64_t>(fs::file_size(path, error));
  require(error, "measured", path);
  return bytes;
}

std::vector<fs::path> shards_in(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  if (!fs::exists(folder, error)) return found;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (it->path().extension() == ".h5" || it->path().extension() == ".hdf5") found.push_back(it->path());
  require(error, "read", folder);
  return found;
}

// The folder in which the shards are written. It is removed at the end unless the shards have been published.
class Staging {
 public:
  /// On rank 0 only.
  explicit Staging(const ShardJob& job) : job_(job) {
    for (const Part part : all_parts) {
      const fs::path folder = staging_folder(job_, part);
      std::error_code error;
      fs::remove_all(folder, error);  // of a run that was killed
      require(error, "removed", folder);
      fs::create_directories(folder, error);
      require(error, "created", folder);
    }
  }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  ~Staging() {
    std::error_code ignored;
    for (const Part part : all_parts) fs::remove_all(staging_folder(job_, part), ignored);
  }

  void publish(const fs::path& summary) const {
    if (!summary.empty()) {
      std::error_code error;
      fs::rename(partial_summary(job_, summary), job_.out / summary, error);
      require(error, "moved into place", job_.out / summary);
    }
    for (const Part part : all_parts) {
      const fs::path from = staging_folder(job_, part), to = final_folder(job_, part);
      for (const auto& old : shards_in(to)) {
        std::error_code error;
        fs::remove(old, error);
        require(error, "removed", old);
      }
      const auto made = shards_in(from);
      std::error_code error;
      if (made.empty()) continue;
      if (!fs::exists(to, error)) {  // the whole folder at once
        fs::rename(from, to, error);
        require(error, "moved into place", to);
        continue;
      }
      for (const auto& shard : made) {
        fs::rename(shard, to / shard.filename(), error);
        require(error, "moved into place", to / shard.filename());
      }
    }
  }

 private:
  const ShardJob& job_;
};

std::int64_t first_of(std::int64_t item, std::int64_t items, std::int64_t n) {
  // n * item / items without overflow for any n
  return n / items * item + n % items * item / items;
}

std::string shard_name(const ShardJob& job, std::int64_t index, std::int64_t count) {
  const auto digits = std::max<std::size_t>(4, std::to_string(count - 1).size());
  return fmt::format("{}-{:0{}}.h5", job.name, index, digits);
}

// Writes the shards [first, end) of one part as the samples arrive.
class PartWriter {
 public:
  PartWriter(const ShardJob& job, Part part, const SampleSource& source, std::int64_t first, std::int64_t end)
      : job_(job), part_(part), source_(source), next_(first), end_(end), shards_(job.shards[part]) {}

  SampleRange samples() const { return {begin_of(next_), begin_of(end_)}; }

  void take(std::int64_t count, std::span<const std::byte> features, std::span<const std::byte> labels) {
    const std::size_t feature_bytes = source_.layout().feature_bytes(), label_bytes = source_.layout().label_bytes();
    while (count > 0) {
      if (!writer_) open();
      const std::int64_t n = std::min(count, missing_);
      const auto rows = static_cast<std::size_t>(n);
      writer_->append(features.first(rows * feature_bytes), labels.first(rows * label_bytes));
      features = features.subspan(rows * feature_bytes);
      labels = labels.subspan(rows * label_bytes);
      count -= n;
      missing_ -= n;
      if (missing_ == 0) close();
    }
  }

  /// Writes the remaining shards, which have no samples. Returns the bytes of all files.
  std::int64_t finish() {
    while (next_ < end_) {
      open();
      if (missing_ > 0) throw internal_error("shard '{}': {} samples are missing", path_.string(), missing_);
      close();
    }
    return bytes_;
  }

 private:
  std::int64_t begin_of(std::int64_t shard) const { return first_of(shard, shards_, source_.count(part_)); }

  // Opens the next shard. Closes the shards before it that contain no sample.
  void open() {
    while (true) {
      missing_ = begin_of(next_ + 1) - begin_of(next_);
      path_ = staging_folder(job_, part_) / shard_name(job_, next_, shards_);
      const SampleLayout& layout = source_.layout();
      ShardWriter::Options options;
      options.sample = layout.sample;
      options.feature_type = layout.feature_type;
      options.label = layout.label;
      options.label_type = layout.label_type;
      options.gzip = job_.gzip;
      // Small enough to read a shuffled window efficiently, large enough to compress well.
      constexpr std::int64_t chunk_bytes = std::int64_t{1} << 17;
      // A power of two, like the blocks of rows that training reads, so that few chunks are read twice.
      options.chunk_rows = static_cast<std::int64_t>(
          std::bit_floor(static_cast<std::uint64_t>(std::clamp<std::int64_t>(chunk_bytes / static_cast<std::int64_t>(layout.feature_bytes()), 1, 1024))));
      options.label_chunk_rows = chunk_bytes / 8 / static_cast<std::int64_t>(layout.label_bytes());
      if (job_.contiguous) options.chunk_rows = options.label_chunk_rows = 0;
      writer_.emplace(path_, missing_, options);
      if (missing_ > 0 || next_ + 1 == end_) return;
      close();
    }
  }

  void close() {
    writer_->finish();
    writer_.reset();
    write_attributes(path_, ShardNames{}, source_.attributes());
    bytes_ += size_of_file(path_);
    ++next_;
  }

  const ShardJob& job_;
  Part part_;
  const SampleSource& source_;
  std::int64_t next_, end_, shards_;
  std::int64_t missing_ = 0;  // samples that the open shard still needs
  std::int64_t bytes_ = 0;
  fs::path path_;
  std::optional<ShardWriter> writer_;
};

// Streams this rank's samples into this rank's shards; returns their bytes.
std::int64_t write_own_shards(const Communicator& comm, const SampleSource& source, const ShardJob& job, ShardProgress& progress) {
  const auto writer_of = [&](Part part) {
    const std::int64_t shards = source.count(part) > 0 ? job.shards[part] : 0;
    return PartWriter(job, part, source, first_of(comm.rank(), comm.size(), shards), first_of(comm.rank() + 1, comm.size(), shards));
  };
  PartWriter train = writer_of(Part::train), test = writer_of(Part::test);
  source.stream({train.samples(), test.samples()}, [&](Part part, std::int64_t count, std::span<const std::byte> features, std::span<const std::byte> labels) {
    (part == Part::train ? train : test).take(count, features, labels);
    progress.add(count);
  });
  return train.finish() + test.finish();
}

// Writes this rank's share of the files of a source that lays them out itself; returns their bytes. `numbers`: where those of the training files go.
std::int64_t write_own_files(const Communicator& comm, const FileSource& source, const ShardJob& job, ShardProgress& progress, std::vector<double>& numbers) {
  std::int64_t bytes = 0;
  for (const Part part : all_parts) {
    const std::int64_t files = source.files(part);
    for (std::int64_t file = first_of(comm.rank(), comm.size(), files); file < first_of(comm.rank() + 1, comm.size(), files); ++file) {
      const fs::path path = staging_folder(job, part) / source.file_name(part, file);
      const std::vector<double> found = source.write(part, file, path, job.gzip);
      if (part == Part::train) std::ranges::copy(found, numbers.begin() + file * static_cast<std::int64_t>(source.summary_numbers()));
      bytes += size_of_file(path);
      progress.add(source.count(part) / files);
    }
  }
  return bytes;
}

}  // namespace

void require_free(const Communicator& comm, const ShardJob& job) {
  comm.together([&] {
    if (job.force || comm.rank() != 0) return;
    for (const Part part : all_parts) {
      const auto found = shards_in(final_folder(job, part));
      if (!found.empty())
        throw usage_error("--out {}: '{}' already contains {} shard(s). Hint: choose another folder, or use --force to replace them", job.out.string(),
                          final_folder(job, part).string(), found.size());
    }
  });
}

ShardReport write_shards(const Communicator& comm, const SampleSource& source, const ShardJob& job) {
  const std::int64_t total = source.count(Part::train) + source.count(Part::test);
  if (total == 0) throw data_error("the source contains no samples");
  require_free(comm, job);
  std::optional<Staging> staging;
  comm.together([&] {
    if (comm.rank() == 0) staging.emplace(job);
  });
  ShardReport report;
  ShardProgress progress(comm, total);
  const auto* const own_files = dynamic_cast<const FileSource*>(&source);
  std::vector<double> numbers;  // of the training files, for the summary
  comm.together([&] {
    try {
      if (own_files != nullptr) {
        numbers.resize(static_cast<std::size_t>(own_files->files(Part::train)) * own_files->summary_numbers());
        report.bytes = write_own_files(comm, *own_files, job, progress, numbers);
      } else {
        report.bytes = write_own_shards(comm, source, job, progress);
      }
    } catch (const ShardProgress::Stopped&) {
      progress.finish(false);
      return;
    } catch (const Error&) {
      progress.finish(true);
      throw;
    }
    progress.finish(false);
  });
  report.bytes = comm.all_reduce(report.bytes);
  // Each number is of one rank and 0 on the others, so the sums are exact on any number of ranks.
  if (!numbers.empty()) comm.all_reduce(std::span(numbers));
  const std::string summary = own_files != nullptr ? own_files->summary_name() : "";
  comm.together([&] {
    if (!staging) return;
    if (!summary.empty()) own_files->write_summary(partial_summary(job, summary), numbers);
    staging->publish(summary);
  });
  for (const Part part : all_parts) {
    report.samples[part] = source.count(part);
    report.shards[part] = own_files != nullptr ? own_files->files(part) : report.samples[part] > 0 ? job.shards[part] : 0;
  }
  return report;
}

}  // namespace trireme
