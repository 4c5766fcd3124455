#include "commands/shard.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <boost/program_options.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <sstream>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "base/timer.hpp"
#include "commands/shard_job.hpp"
#include "io/importers/cifar10.hpp"
#include "io/importers/csv.hpp"
#include "io/importers/digits.hpp"
#include "io/importers/fields.hpp"
#include "io/importers/idx.hpp"

namespace trireme {

namespace {

namespace fs = std::filesystem;
namespace po = boost::program_options;

using Values = po::variables_map;

// A kind of source: its options, and how to open it.
struct Kind {
  std::string name;
  std::string source;  // what SOURCE is; empty: the kind takes none
  std::string about;
  std::function<void(po::options_description&)> add_options;
  std::function<std::unique_ptr<SampleSource>(const fs::path& source, const Values&)> open;
};

constexpr std::int64_t most_shards = 1'000'000, most_columns = 1'000'000;
constexpr std::int64_t most_samples = 1'000'000'000'000;  // made ones: numbers of test samples begin behind those of train samples
constexpr std::int64_t most_seed = 9'000'000'000'000'000'000;

std::int64_t between(const Values& values, const std::string& option, std::int64_t least, std::int64_t most) {
  const auto value = values[option].as<std::int64_t>();
  if (value < least || value > most) throw usage_error("--{} {}: expected {} to {}", option, value, least, most);
  return value;
}

std::uint64_t seed_of(const Values& values) { return static_cast<std::uint64_t>(between(values, "seed", 0, most_seed)); }

std::unique_ptr<SampleSource> open_csv(const fs::path& source, const Values& values) {
  CsvOptions options;
  options.classes = values.count("classes") > 0;
  options.standardize = values.count("standardize") > 0;
  options.standardize_targets = values.count("standardize-targets") > 0;
  options.float64 = values.count("float64") > 0;
  options.targets = between(values, "targets", 1, most_columns);
  options.test_fraction = values["test"].as<double>();
  options.seed = seed_of(values);
  if (options.classes && !values["targets"].defaulted())
    throw usage_error(
        "--classes and --targets exclude each other: the last column is a class, or the last columns are float "
        "targets");
  if (options.classes && options.standardize_targets)
    throw usage_error("--classes and --standardize-targets exclude each other: classes stay as they are");
  if (!(options.test_fraction >= 0 && options.test_fraction < 1))
    throw usage_error("--test {}: expected a share of the rows, 0 or more and less than 1", options.test_fraction);
  const std::vector<std::string> legal{"auto", "yes", "no"};
  const auto header = values["header"].as<std::string>();
  const auto at = std::ranges::find(legal, header);
  if (at == legal.end())
    throw usage_error("--header {}: expected auto, yes or no. Hint: did you mean '{}'?", header,
                      nearest(header, legal));
  options.header = static_cast<CsvOptions::Header>(at - legal.begin());
  return std::make_unique<CsvSource>(source, options);
}

std::unique_ptr<SampleSource> open_fields(const fs::path&, const Values& values) {
  const std::int64_t train = between(values, "train", 1, most_samples), test = between(values, "test", 0, most_samples);
  const std::int64_t size = values["size"].as<std::int64_t>(), channels = values["channels"].as<std::int64_t>();
  if (size < 4 || size > 512 || !std::has_single_bit(static_cast<std::uint64_t>(size)))
    throw usage_error("--size {}: expected a power of two from 4 to 512", size);
  if (channels < 1 || channels > 64) throw usage_error("--channels {}: expected 1 to 64", channels);
  return std::make_unique<FieldSource>(seed_of(values), train, test, size, channels);
}

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> list{
      {"digits", "", "synthetic 28x28 glyphs of the digits 0 to 9",
       [](po::options_description& options) {
         options.add_options()("train", po::value<std::int64_t>()->default_value(20000), "train samples")(
             "test", po::value<std::int64_t>()->default_value(4000), "test samples")(
             "seed", po::value<std::int64_t>()->default_value(1), "all samples are a function of it");
       },
       [](const fs::path&, const Values& values) {
         return std::make_unique<DigitSource>(seed_of(values), between(values, "train", 1, most_samples),
                                              between(values, "test", 0, most_samples));
       }},
      {"fields", "", "synthetic 3-D Gaussian random fields; targets: spectral index and amplitude",
       [](po::options_description& options) {
         options.add_options()("train", po::value<std::int64_t>()->default_value(1024), "train samples")(
             "test", po::value<std::int64_t>()->default_value(256), "test samples")(
             "size", po::value<std::int64_t>()->default_value(32), "points along each side, a power of two")(
             "channels", po::value<std::int64_t>()->default_value(4), "independent fields in a sample")(
             "seed", po::value<std::int64_t>()->default_value(1), "all samples are a function of it");
       },
       open_fields},
      {"idx", "folder with train-images-idx3-ubyte[.gz] and its fellows, or one file of features",
       "IDX files, the format of MNIST", [](po::options_description&) {},
       [](const fs::path& source, const Values&) { return std::make_unique<IdxSource>(find_idx_files(source)); }},
      {"cifar10", "folder or archive with data_batch_1.bin to data_batch_5.bin and test_batch.bin",
       "CIFAR-10, the binary version", [](po::options_description&) {},
       [](const fs::path& source, const Values&) { return std::make_unique<Cifar10Source>(source); }},
      {"csv", "text file of numbers, separated by , ; tab or blanks; .gz or not", "tables as text",
       [](po::options_description& options) {
         options.add_options()("targets", po::value<std::int64_t>()->default_value(1),
                               "so many of the last columns are float targets")(
             "classes", "the last column is a class instead: 0, 1, ...")(
             "test", po::value<double>()->default_value(0.2, "0.2"),
             "share of the rows for DIR/test, chosen by a hash of (seed, row)")(
             "seed", po::value<std::int64_t>()->default_value(1), "chooses the rows for DIR/test")(
             "header", po::value<std::string>()->default_value("auto"),
             "is the first row one of names: auto, yes or no")("float64", "keep double precision (default: float32)")(
             "standardize", "features to mean 0, deviation 1 over the train part; both are kept as attributes of /x")(
             "standardize-targets", "the same for the targets, kept with /y");
       },
       open_csv}};
  return list;
}

std::vector<std::string> kind_names() {
  std::vector<std::string> names;
  for (const auto& kind : kinds()) names.push_back(kind.name);
  return names;
}

const Kind& find_kind(const std::string& name) {
  for (const auto& kind : kinds())
    if (kind.name == name) return kind;
  throw usage_error("shard: unknown kind '{}'; expected {}. Hint: did you mean '{}'?", name,
                    fmt::join(kind_names(), ", "), nearest(name, kind_names()));
}

po::options_description options_of(const Kind& kind) {
  po::options_description options("Options", 120);
  options.add_options()("out", po::value<std::string>(), "folder for DIR/train and DIR/test (required)")(
      "shards", po::value<std::int64_t>()->default_value(1), "files in DIR/train")(
      "test-shards", po::value<std::int64_t>(), "files in DIR/test (default: a quarter of --shards)")(
      "gzip", po::value<std::int64_t>()->default_value(0), "compress: 0 (not at all) to 9")(
      "contiguous", "no chunks: faster to read (by some 0.5 s a GB), but values that change on the disk are noticed only by inspect --full and data.verify = "
      "first_epoch, not by each reading")(
      "force", "replace shards that stand in DIR")("help", "print this");
  kind.add_options(options);
  return options;
}

std::string help() {
  std::string text =
      "trireme shard KIND [SOURCE] --out DIR --shards N [options]: make the shards of a data set\n\nKIND\n";
  for (const auto& kind : kinds()) text += fmt::format("  {:8} {}\n", kind.name, kind.about);
  return text + "\ntrireme shard KIND --help tells the options of a kind.";
}

std::string help(const Kind& kind) {
  std::ostringstream text;
  text << "trireme shard " << kind.name << (kind.source.empty() ? "" : " SOURCE")
       << " --out DIR --shards N [options]: " << kind.about << "\n";
  if (!kind.source.empty()) text << "SOURCE: " << kind.source << "\n";
  text << "\n" << options_of(kind);
  return text.str();
}

Values parse(const Kind& kind, const std::vector<std::string>& arguments) {
  po::options_description options = options_of(kind);
  std::vector<std::string> legal;
  for (const auto& option : options.options()) legal.push_back("--" + option->long_name());
  options.add_options()("source", po::value<std::vector<std::string>>());
  po::positional_options_description positions;
  positions.add("source", -1);
  constexpr int style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
  Values values;
  try {
    po::store(po::command_line_parser(arguments).options(options).positional(positions).style(style).run(), values);
  } catch (const po::unknown_option& error) {
    const std::string found = error.get_option_name();
    throw usage_error("shard {}: unknown option '{}'. Hint: did you mean '{}'? trireme shard {} --help lists all.",
                      kind.name, found, nearest(found, legal), kind.name);
  } catch (const po::error& error) {
    throw usage_error("shard {}: {}. Hint: trireme shard {} --help", kind.name, error.what(), kind.name);
  }
  return values;
}

fs::path source_of(const Kind& kind, const Values& values) {
  const auto sources =
      values.count("source") ? values["source"].as<std::vector<std::string>>() : std::vector<std::string>{};
  if (kind.source.empty()) {
    if (!sources.empty())
      throw usage_error("shard {}: '{}' is not expected: this kind has no SOURCE", kind.name, sources.front());
    return {};
  }
  if (sources.size() != 1)
    throw usage_error("shard {}: {} SOURCE(s) given; expected one: {}", kind.name, sources.size(), kind.source);
  std::error_code error;
  if (!fs::exists(sources.front(), error))
    throw data_error("shard {}: SOURCE '{}' {}. Expected: {}", kind.name, sources.front(),
                     error ? "cannot be reached: " + error.message() : "does not exist", kind.source);
  return sources.front();
}

ShardJob job_of(const Kind& kind, const fs::path& source, const Values& values) {
  if (values.count("out") == 0 || values["out"].as<std::string>().empty())
    throw usage_error("shard {}: --out DIR is missing: the folder for DIR/train and DIR/test", kind.name);
  ShardJob job;
  job.out = values["out"].as<std::string>();
  const std::string file = source.filename().string();
  job.name = kind.name == "csv" && !file.starts_with('.') ? file.substr(0, file.find('.')) : kind.name;
  job.shards[Part::train] = between(values, "shards", 1, most_shards);
  job.shards[Part::test] = values.count("test-shards") ? between(values, "test-shards", 1, most_shards)
                                                       : std::max<std::int64_t>(1, job.shards[Part::train] / 4);
  job.gzip = static_cast<int>(between(values, "gzip", 0, 9));
  job.contiguous = values.count("contiguous") > 0;
  if (job.contiguous && job.gzip > 0) throw usage_error("--contiguous and --gzip exclude each other: what is compressed lies in chunks");
  job.force = values.count("force") > 0;
  return job;
}

}  // namespace

int shard_command(const Communicator& comm, const std::vector<std::string>& arguments) {
  const bool asks_help = std::ranges::count(arguments, "--help") > 0;
  if (arguments.empty())
    throw usage_error("shard: no KIND given; expected {}. Hint: trireme shard --help", fmt::join(kind_names(), ", "));
  if (asks_help) {
    log::info("{}", arguments.front().starts_with('-') ? help() : help(find_kind(arguments.front())));
    return static_cast<int>(ExitCode::done);
  }
  const Kind& kind = find_kind(arguments.front());
  const Values values = parse(kind, {arguments.begin() + 1, arguments.end()});
  const Timer timer;
  ShardJob job;
  std::unique_ptr<SampleSource> source;
  fs::path path;
  comm.together([&] {
    path = source_of(kind, values);
    job = job_of(kind, path, values);
  });
  require_free(comm, job);
  comm.together([&] {
    source = kind.open(path, values);
    for (const auto& [part, option] : {std::pair{Part::train, "shards"}, std::pair{Part::test, "test-shards"}})
      if (const std::int64_t most = std::max<std::int64_t>(source->count(part), 1000); job.shards[part] > most)
        throw usage_error("--{} {}: the source has {} samples for them, so most shards would be empty. Expected at most {}", option, job.shards[part],
                          source->count(part), most);
  });
  log::info("shard {}: {} train and {} test samples of shape {} ({}) to {}", kind.name, source->count(Part::train),
            source->count(Part::test), source->layout().sample.tuple(), name_of(source->layout().feature_type),
            job.out.string());
  const ShardReport report = write_shards(comm, *source, job);
  log::info("made {} train samples in {} shard(s), {} test samples in {} shard(s): {} in {}",
            report.samples[Part::train], report.shards[Part::train], report.samples[Part::test],
            report.shards[Part::test], human_bytes(static_cast<double>(report.bytes)), human_seconds(timer.seconds()));
  return static_cast<int>(ExitCode::done);
}

}  // namespace trireme
