// trireme predict CHECKPOINT | --ensemble CHECKPOINT,... [--data WHERE] --out FILE.h5 [--force] [--section.key=value ...]: writes the
// network's output for every row, in the order of the rows.
#include <algorithm>
#include <optional>

#include "base/log.hpp"
#include "base/text.hpp"
#include "base/timer.hpp"
#include "commands/arguments.hpp"
#include "commands/checkpoint_argument.hpp"
#include "commands/commands.hpp"
#include "io/prediction_file.hpp"
#include "kokkos_kernels/elementwise.hpp"
#include "kokkos_kernels/metrics.hpp"
#include "layers/spatial.hpp"
#include "losses/loss_function.hpp"
#include "train/arrays.hpp"
#include "train/ensemble.hpp"
#include "train/reading.hpp"
#include "train/rollout.hpp"
#include "train/standardization.hpp"
#include "train/target_units.hpp"

namespace trireme {

namespace {

constexpr std::int64_t most_time_steps = 100000;

/// Runs the batches of one rank through the network, or networks, and writes the outputs to the file.
template <class T>
class Predictor {
 public:
  /// `steps`: time steps of a rollout; 0: the output of one pass.
  Predictor(Ensemble<T>& ensemble, BatchStream& stream, PredictionRows& rows, bool classes, std::int64_t steps)
      : ensemble_(ensemble),
        units_(output_normalization(ensemble.deck(), ensemble.network().output_shape()), ensemble.network().output_shape()[0]),
        steps_(std::max<std::int64_t>(1, steps)),
        shape_(ensemble.network().output_shape()),
        stream_(stream),
        rows_(rows),
        output_("trireme::predict::output", static_cast<std::size_t>(ensemble.network().largest_batch() * steps_ * shape_.size())),
        class_("trireme::predict::class", classes ? static_cast<std::size_t>(ensemble.network().largest_batch()) : 0),
        host_output_(Kokkos::create_mirror_view(output_)),
        host_class_(Kokkos::create_mirror_view(class_)) {
    if (steps == 0) return;
    rollout_.emplace(ensemble.deck(), ensemble.network());
    joined_ = Buffer<T>("trireme::predict::time_steps", output_.size());
  }

  /// Computes the next batch. Does nothing if this rank has no more rows.
  void step(const Execution& exec) {
    const HostBatch& batch = stream_.next();
    if (batch.count == 0) return;
    const Pass pass{.exec = exec, .samples = batch.count, .training = false};
    const Span<const T> output = rollout_ ? run_rollout(pass, batch) : in_file_units(exec, batch.count, ensemble_.run(pass, batch));
    channels_first<T>(exec, batch.count, pixels_of(shape_), steps_ * channels_of(shape_), output, output_);
    Kokkos::deep_copy(exec, host_output_, output_);
    if (class_.size() > 0) {
      largest_class<T>(exec, batch.count, shape_.size(), output, class_);
      Kokkos::deep_copy(exec, host_class_, class_);
    }
    exec.fence("trireme::predict: the batch's output to the host");
    const auto count = static_cast<std::size_t>(batch.count);
    if (class_.size() > 0) undefined_ += std::count(host_class_.data(), host_class_.data() + count, -1);
    rows_.write(batch.first_row, std::as_bytes(std::span<const T>(host_output_.data(), count * static_cast<std::size_t>(steps_ * shape_.size()))),
                std::span<const std::int32_t>(host_class_.data(), class_.size() > 0 ? count : 0));
  }

  /// Rows so far with NaN among their scores: their class is -1.
  std::int64_t undefined() const { return undefined_; }

 private:
  Span<const T> in_file_units(const Execution& exec, std::int64_t samples, Span<const T> output) {
    return units_.changes() ? units_.in_file_units(exec, samples * pixels_of(shape_), output, 0) : output;
  }

  /// All time steps, joined along the channels.
  Span<const T> run_rollout(const Pass& pass, const HostBatch& batch) {
    Network<T>& network = ensemble_.network();
    ensemble_.load(pass, batch);
    rollout_->begin(pass.exec, batch.count, network.input());
    const std::int64_t channels = channels_of(shape_), rows = batch.count * pixels_of(shape_);
    for (std::int64_t step = 0; step < steps_; ++step) {
      network.forward(pass);
      const Span<const T> output = network.output();
      copy_columns<T>(pass.exec, rows, channels, in_file_units(pass.exec, batch.count, output), channels, 0, joined_, steps_ * channels, step * channels);
      if (step + 1 < steps_) rollout_->advance(pass.exec, batch.count, output, network.input());
    }
    return joined_;
  }

  Ensemble<T>& ensemble_;
  TargetUnits<T> units_;
  std::int64_t steps_;
  std::optional<Rollout<T>> rollout_;
  Buffer<T> joined_;  // (samples, pixels, time steps * channels)
  const Shape shape_;
  BatchStream& stream_;
  PredictionRows& rows_;
  Buffer<T> output_;  // channels first
  Buffer<std::int32_t> class_;
  HostMirror<T> host_output_;
  HostMirror<std::int32_t> host_class_;
  std::int64_t undefined_ = 0;
};

/// Refuses to overwrite a file that predict reads, and any other file unless --force is given.
void require_other_file(const Communicator& comm, const std::filesystem::path& out, const std::filesystem::path& checkpoint, const DataSet& data, bool force) {
  comm.together([&] {
    if (comm.rank() != 0) return;
    std::error_code ignored;
    if (std::filesystem::is_directory(out, ignored))
      throw usage_error("--out '{}' is a folder. Expected the name of a file, such as predictions.h5", out.string());
    const auto same = [&](const std::filesystem::path& other) { return std::filesystem::equivalent(out, other, ignored) && !ignored; };
    if (same(checkpoint)) throw usage_error("--out '{}' is the checkpoint itself. Hint: choose another file name", out.string());
    for (const ShardInfo& shard : data.shards())
      if (same(ShardPath(shard.path).file)) throw usage_error("--out '{}' is a shard of the data. Hint: choose another file name", out.string());
    const auto found = std::filesystem::status(out, ignored);
    if (std::filesystem::exists(found) && !std::filesystem::is_regular_file(found))
      throw usage_error("--out '{}' is a device or a pipe. Expected the name of a file, such as predictions.h5", out.string());
    if (!force && std::filesystem::exists(std::filesystem::symlink_status(out, ignored)))
      throw usage_error("--out '{}' already exists. Hint: choose another file name, or use --force to replace it", out.string());
  });
}

template <class T>
int predict(const std::vector<std::filesystem::path>& files, const std::vector<std::string>& overrides, bool combine, const Communicator& comm,
            const std::string& where, const std::filesystem::path& out, bool force, std::int64_t steps) {
  Ensemble<T> ensemble(comm, files, overrides, combine);
  const Deck& deck = ensemble.deck();
  Network<T>& network = ensemble.network();
  const std::int64_t batch = ensemble.batch();
  ShardNames names = shard_names(deck, false);
  names.rows = rows_for(deck, where);
  ask_for_moments_of(comm, files.front(), names);
  const DataSet data(comm, where, names, network.input_shape(), {});
  tell_of_moments(data, names);
  tell_of_type(comm, files.front(), data);
  for (const auto& file : files) require_other_file(comm, out, file, data, force);
  ensemble.read_from(data);
  const Progress progress = ensemble.members().front().progress;

  PredictionLayout layout;
  layout.rows = data.size();
  layout.output = network.output_shape();
  layout.output[0] *= std::max<std::int64_t>(1, steps);
  layout.is_double = std::is_same_v<T, double>;
  layout.classes = !has_loss_terms(deck) && loss_targets(deck, network.output_shape()).classes > 0 && network.output_shape().rank() == 1;
  std::string members, digests;
  for (const auto& member : ensemble.members()) {
    members += fmt::format("{}{}", members.empty() ? "" : ",", member.file.string());
    digests += fmt::format("{}{}", digests.empty() ? "" : ",", parameters_sha256(*member.network));
  }
  layout.texts = {{"checkpoint", members}, {"data", where}, {"parameters_sha256", digests}};
  layout.integers = {{"step", progress.step}, {"epoch", progress.epoch}};
  if (names.label_moments) layout.numbers = {{"target_mean", names.label_moments->mean}, {"target_deviation", names.label_moments->deviation}};
  if (steps > 0) layout.integers["time_steps"] = steps;
  if (combine) layout.integers["members"] = static_cast<std::int64_t>(files.size());

  IoThread io;
  std::optional<PredictionFile> whole;
  std::optional<PredictionRows> rows;
  PredictionPlaces places;
  comm.together([&] {
    if (comm.rank() == 0) io.run([&] { places = whole.emplace(out, layout).places(); });
  });
  comm.broadcast(std::span(&places.output, 1));
  comm.broadcast(std::span(&places.classes, 1));
  comm.together([&] { rows.emplace(out, layout, places); });

  const Timer timer;
  std::int64_t undefined = 0;
  {
    BatchStream stream(data, io,
                       {.batch = batch,
                        .rank = comm.rank(),
                        .ranks = comm.size(),
                        .order = BatchStream::Order::blocks,
                        .feature_rule = feature_rule(deck, network.input_shape(), data.labels(), std::is_same_v<T, float>)});
    const Execution exec;
    Predictor<T> predictor(ensemble, stream, *rows, layout.classes, steps);
    stream.seek(0, 0);
    // The ranks synchronize now and then, so that an error on one rank soon stops all.
    const std::int64_t batches = stream.batches(), group = std::max<std::int64_t>(batches / 100, 1);
    Timer since_word;
    for (std::int64_t done = 0; done < batches; done += group) {
      comm.together([&] {
        for (std::int64_t b = done; b < std::min(done + group, batches); ++b) predictor.step(exec);
      });
      const std::int64_t so_far = std::min(done + group, batches);
      if (since_word.seconds() < 5 || so_far == batches) continue;
      const double part = static_cast<double>(so_far) / static_cast<double>(batches), spent = timer.seconds();
      log::info("{:.0f} %  {:.0f} samples/s  {} left", 100 * part, part * static_cast<double>(data.size()) / spent, human_seconds(spent / part - spent));
      since_word.reset();
    }
    comm.together([&] { rows->finish(); });
    undefined = comm.all_reduce(predictor.undefined());
  }
  comm.together([&] {
    if (comm.rank() == 0) io.run([&] { whole->finish(); });
  });
  const double seconds = timer.seconds();
  if (combine)
    log::info("ensemble of {}: {}", files.size(), ensemble.probabilities() ? "mean of the members' softmax probabilities" : "mean of the members' outputs");
  log::info("checkpoint {} (step {}), data {}: {} samples in {} ({:.0f} samples/s)", members, progress.step, where, data.size(), human_seconds(seconds),
            static_cast<double>(data.size()) / seconds);
  log::info("predictions: {}  /output {} {}{}", out.string(), layout.output.with_first(data.size()).tuple(), layout.is_double ? "float64" : "float32",
            layout.classes ? fmt::format(", /class ({},) int32", data.size()) : "");
  if (undefined > 0 && comm.rank() == 0) log::warn("the output of {} sample(s) contains NaN; their /class is -1", undefined);
  if (names.label_moments)
    log::info("/output contains standardized targets. To get a target, compute output * target_deviation + target_mean; both are attributes of the file");
  return 0;
}

int run_predict(const Communicator& comm, const Arguments& arguments) {
  const std::string out = arguments.option("out");
  if (out == "-")
    throw usage_error("--out - is not possible: an HDF5 file cannot be written to standard output. Expected the name of a file, such as predictions.h5");
  if (out.empty()) throw usage_error("--out is missing. Expected the name of the file for the predictions. Usage: {}", arguments.usage());
  const bool combine = arguments.flag("ensemble");
  if (combine && arguments.operands() > 0)
    throw usage_error("'{}' is one word too many: --ensemble names the checkpoints. Usage: {}", arguments.operand(0, ""), arguments.usage());
  if (combine && arguments.flag("best")) throw usage_error("--best and --ensemble exclude each other. Usage: {}", arguments.usage());
  const auto files = combine ? ensemble_argument(comm, arguments.option("ensemble"))
                             : std::vector{checkpoint_argument(comm, arguments.operand(0, "the checkpoint or run directory"), arguments.flag("best"))};
  const Deck saved = checkpoint_deck(comm, files.front());
  const Deck deck(saved.resolved(), saved.origin(), arguments.overrides());
  const std::string where = arguments.option("data", deck.text("data.test"));
  if (where.empty())
    throw usage_error("no data: the deck in '{}' has no data.test. Hint: give --data WHERE. Usage: {}", files.front().string(), arguments.usage());
  const std::int64_t steps = arguments.option("rollout").empty() ? 0 : parse_integer(arguments.option("rollout"), "--rollout");
  if (steps < 0 || steps > most_time_steps || (steps == 0 && !arguments.option("rollout").empty()))
    throw usage_error("--rollout {} is out of range. Expected the number of time steps, 1 to {}", steps, most_time_steps);
  if (steps > 0 && combine) throw usage_error("--rollout and --ensemble exclude each other. Hint: predict with one member at a time");
  const auto run = [&](auto zero) { return predict<decltype(zero)>(files, arguments.overrides(), combine, comm, where, out, arguments.flag("force"), steps); };
  return deck.text("train.precision") == "fp64" ? run(double{}) : run(float{});
}

}  // namespace

TRIREME_COMMAND(predict) {
  return {.operands = "CHECKPOINT",
          .help = "Writes the network's output for every sample to an HDF5 file, in the order of the samples.",
          .options = {{"ensemble", "CHECKPOINT,...", "instead of CHECKPOINT: write the mean of several (a run directory of tasks: the newest of each)"},
                      {"best", "", "the checkpoint with the best validation, of a run directory with train.best, instead of the newest"},
                      {"data", "WHERE", "a directory, a glob or a list of HDF5 files (default: data.test of the deck inside the checkpoint)"},
                      {"rollout", "K", "predict K time steps, each from the one before (docs/data.md, Arrays): /output has K times the channels"},
                      {"out", "FILE.h5", "the file to write (required)"},
                      {"force", "", "replace FILE.h5 where it exists"}},
          .overrides = true,
          .place = 3,
          .run = run_predict};
}

}  // namespace trireme
