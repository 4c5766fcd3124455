#include <fmt/ranges.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <filesystem>
#include <map>
#include <memory>
#include <sstream>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "base/timer.hpp"
#include "commands/commands.hpp"
#include "commands/shard_job.hpp"
#include "io/importers/importer.hpp"

namespace trireme {

namespace {

namespace fs = std::filesystem;
namespace po = boost::program_options;

using Values = po::variables_map;

constexpr std::int64_t most_shards = 1'000'000;

std::int64_t between(const Values& values, const std::string& option, std::int64_t least, std::int64_t most) {
  const auto value = values[option].as<std::int64_t>();
  if (value < least || value > most) throw usage_error("--{} {} is out of range. Expected {} to {}", option, value, least, most);
  return value;
}

std::vector<std::string> kind_names() {
  std::vector<std::string> names;
  for (const auto& kind : importer_kinds()) names.push_back(kind.name);
  return names;
}

const ImporterKind& find_kind(const std::string& name) {
  for (const auto& kind : importer_kinds())
    if (kind.name == name) return kind;
  throw usage_error("shard: unknown kind '{}'. Expected {}{}", name, fmt::join(kind_names(), ", "), near_hint(name, kind_names()));
}

po::options_description options_of(const ImporterKind& kind) {
  po::options_description options("Options", 120);
  options.add_options()("out", po::value<std::string>(), "output folder; the shards go to DIR/train and DIR/test (required)")(
      "shards", po::value<std::int64_t>()->default_value(1), "number of files in DIR/train")("test-shards", po::value<std::int64_t>(),
                                                                                             "number of files in DIR/test (default: a quarter of --shards)")(
      "gzip", po::value<std::int64_t>()->default_value(0), "gzip compression level, 0 (no compression) to 9")(
      "contiguous",
      "store datasets without chunks; reading is faster (about 0.5 s per GB), but only inspect --full and data.verify = first_epoch detect "
      "values that have changed on disk, not every read")("force", "replace existing shards in DIR")("help", "print this help");
  for (const ImporterOption& option : kind.options) {
    using enum ImporterOption::Type;
    if (option.type == flag)
      options.add_options()(option.name.c_str(), option.help.c_str());
    else
      options.add_options()(option.name.c_str(), po::value<std::string>()->default_value(option.fallback), option.help.c_str());
  }
  return options;
}

std::string help() {
  std::string text = "trireme shard KIND [SOURCE] --out DIR --shards N [options]: convert or generate data as HDF5 shards\n\nKIND\n";
  for (const auto& kind : importer_kinds()) text += fmt::format("  {:8} {}\n", kind.name, kind.help);
  return text + "\nFor the options of a kind, run trireme shard KIND --help.";
}

std::string help(const ImporterKind& kind) {
  std::ostringstream text;
  text << "trireme shard " << kind.name << (kind.source.empty() ? "" : " SOURCE") << " --out DIR --shards N [options]: " << kind.help << "\n";
  if (!kind.source.empty()) text << "SOURCE: " << kind.source << "\n";
  text << "\n" << options_of(kind);
  return text.str();
}

Values parse(const ImporterKind& kind, const std::vector<std::string>& arguments) {
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
    throw usage_error("shard {}: unknown option '{}'. Hint: {}For all options, run trireme shard {} --help", kind.name, found, did_you_mean(found, legal),
                      kind.name);
  } catch (const po::error& error) {
    throw usage_error("shard {}: {}. Hint: run trireme shard {} --help", kind.name, error.what(), kind.name);
  }
  return values;
}

ImporterOptions options_of(const ImporterKind& kind, const Values& values) {
  std::map<std::string, std::string> given;
  for (const ImporterOption& option : kind.options) {
    if (values.count(option.name) == 0 || values[option.name].defaulted()) continue;
    given[option.name] = option.type == ImporterOption::Type::flag ? "" : values[option.name].as<std::string>();
  }
  return {kind.options, std::move(given)};
}

fs::path source_of(const ImporterKind& kind, const Values& values) {
  const auto sources = values.count("source") ? values["source"].as<std::vector<std::string>>() : std::vector<std::string>{};
  if (kind.source.empty()) {
    if (!sources.empty()) throw usage_error("shard {}: unexpected argument '{}': this kind has no SOURCE", kind.name, sources.front());
    return {};
  }
  if (sources.size() != 1) throw usage_error("shard {}: {} SOURCE(s) given. Expected one: {}", kind.name, sources.size(), kind.source);
  std::error_code error;
  if (!fs::exists(sources.front(), error))
    throw data_error("shard {}: SOURCE '{}' {}. Expected: {}", kind.name, sources.front(), error ? "cannot be reached: " + error.message() : "does not exist",
                     kind.source);
  return sources.front();
}

ShardJob job_of(const ImporterKind& kind, const fs::path& source, const Values& values) {
  if (values.count("out") == 0 || values["out"].as<std::string>().empty())
    throw usage_error("shard {}: --out DIR is missing. Expected the folder for DIR/train and DIR/test", kind.name);
  ShardJob job;
  job.out = values["out"].as<std::string>();
  const std::string file = source.filename().string();
  job.name = kind.name == "csv" && !file.starts_with('.') ? file.substr(0, file.find('.')) : kind.name;
  job.shards[Part::train] = between(values, "shards", 1, most_shards);
  job.shards[Part::test] =
      values.count("test-shards") ? between(values, "test-shards", 1, most_shards) : std::max<std::int64_t>(1, job.shards[Part::train] / 4);
  job.gzip = static_cast<int>(between(values, "gzip", 0, 9));
  job.contiguous = values.count("contiguous") > 0;
  if (job.contiguous && job.gzip > 0) throw usage_error("--contiguous and --gzip exclude each other: HDF5 compresses only chunked datasets");
  job.force = values.count("force") > 0;
  return job;
}

// A source that lays out its files itself decides how many there are.
void require_no_shards(const ImporterKind& kind, const Values& values, const SampleSource& source) {
  const auto& files = dynamic_cast<const FileSource&>(source);
  for (const char* option : {"shards", "test-shards", "contiguous"})
    if (values.count(option) > 0 && !values[option].defaulted())
      throw usage_error("shard {}: --{} does not apply: this kind decides its files itself ({} for training, {} for tests). Hint: leave it out", kind.name,
                        option, files.files(Part::train), files.files(Part::test));
}

int run_shard(const Communicator& comm, const std::vector<std::string>& arguments) {
  const bool asks_help = std::ranges::count(arguments, "--help") > 0;
  if (arguments.empty()) throw usage_error("shard: KIND is missing. Expected {}. Hint: run trireme shard --help", fmt::join(kind_names(), ", "));
  if (asks_help) {
    log::info("{}", arguments.front().starts_with('-') ? help() : help(find_kind(arguments.front())));
    return static_cast<int>(ExitCode::done);
  }
  const ImporterKind& kind = find_kind(arguments.front());
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
    source = kind.open(path, options_of(kind, values));
    if (dynamic_cast<const FileSource*>(source.get()) != nullptr) {
      require_no_shards(kind, values, *source);
      return;
    }
    for (const auto& [part, option] : {std::pair{Part::train, "shards"}, std::pair{Part::test, "test-shards"}})
      if (const std::int64_t most = std::max<std::int64_t>(source->count(part), 1000); job.shards[part] > most)
        throw usage_error("--{} {} is too large: the source has {} samples, so most shards would be empty. Expected at most {}", option, job.shards[part],
                          source->count(part), most);
  });
  log::info("shard {}: writing {} training and {} test samples of shape {} ({}) to {}", kind.name, source->count(Part::train), source->count(Part::test),
            source->layout().sample.tuple(), name_of(source->layout().feature_type), job.out.string());
  const ShardReport report = write_shards(comm, *source, job);
  log::info("wrote {} training samples in {} shard(s), {} test samples in {} shard(s): {} in {}", report.samples[Part::train], report.shards[Part::train],
            report.samples[Part::test], report.shards[Part::test], human_bytes(static_cast<double>(report.bytes)), human_seconds(timer.seconds()));
  return static_cast<int>(ExitCode::done);
}

}  // namespace

TRIREME_COMMAND(shard) {
  std::string names;
  for (const auto& kind : importer_kinds()) names += (names.empty() ? "" : "|") + kind.name;
  return {.operands = names + " [SOURCE] --out DIR --shards N",
          .help = "Makes a sharded HDF5 data set of files of other formats, or a synthetic one.",
          .place = 4,
          .run_words = run_shard};
}

}  // namespace trireme
