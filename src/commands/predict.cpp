// trireme predict CHECKPOINT | --ensemble CHECKPOINT,... [--data WHERE] --out FILE.h5 [--section.key=value ...]: the network's output for every
// row, in the rows' order.
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
#include "train/ensemble.hpp"
#include "train/loss_function.hpp"
#include "train/shard_names.hpp"

namespace trireme {

namespace {

/// Batches of one rank through the network, or networks, and into the file.
template <class T>
class Predictor {
 public:
  Predictor(Ensemble<T>& ensemble, BatchStream& stream, PredictionRows& rows, bool classes)
      : ensemble_(ensemble),
        shape_(ensemble.network().output_shape()),
        stream_(stream),
        rows_(rows),
        output_("trireme::predict::output", static_cast<std::size_t>(ensemble.network().largest_batch() * shape_.size())),
        class_("trireme::predict::class", classes ? static_cast<std::size_t>(ensemble.network().largest_batch()) : 0),
        host_output_(Kokkos::create_mirror_view(output_)),
        host_class_(Kokkos::create_mirror_view(class_)) {}

  /// The next batch; nothing when this rank has no more rows.
  void step(const Execution& exec) {
    const HostBatch& batch = stream_.next();
    if (batch.count == 0) return;
    const Pass pass{.exec = exec, .samples = batch.count, .training = false};
    const Span<const T> output = ensemble_.run(pass, batch);
    channels_first<T>(exec, batch.count, pixels_of(shape_), channels_of(shape_), output, output_);
    Kokkos::deep_copy(exec, host_output_, output_);
    if (class_.size() > 0) {
      largest_class<T>(exec, batch.count, shape_.size(), output, class_);
      Kokkos::deep_copy(exec, host_class_, class_);
    }
    exec.fence("trireme::predict: the batch's output to the host");
    const auto count = static_cast<std::size_t>(batch.count);
    rows_.write(batch.first_row,
                std::as_bytes(std::span<const T>(host_output_.data(), count * static_cast<std::size_t>(shape_.size()))),
                std::span<const std::int32_t>(host_class_.data(), class_.size() > 0 ? count : 0));
  }

 private:
  Ensemble<T>& ensemble_;
  const Shape shape_;
  BatchStream& stream_;
  PredictionRows& rows_;
  Buffer<T> output_;  // channels first
  Buffer<std::int32_t> class_;
  HostMirror<T> host_output_;
  HostMirror<std::int32_t> host_class_;
};

/// Writing over what is being read would destroy it.
void require_other_file(const Communicator& comm, const std::filesystem::path& out,
                        const std::filesystem::path& checkpoint, const DataSet& data) {
  comm.together([&] {
    if (comm.rank() != 0) return;
    std::error_code ignored;
    if (std::filesystem::is_directory(out, ignored))
      throw usage_error("--out '{}' is a folder; expected the name of a file, as predictions.h5", out.string());
    const auto same = [&](const std::filesystem::path& other) {
      return std::filesystem::equivalent(out, other, ignored) && !ignored;
    };
    if (same(checkpoint))
      throw usage_error("--out '{}' is the checkpoint itself. Hint: give the predictions a name of their own",
                        out.string());
    for (const ShardInfo& shard : data.shards())
      if (same(shard.path))
        throw usage_error("--out '{}' is a shard of the data. Hint: give the predictions a name of their own",
                          out.string());
  });
}

template <class T>
int predict(const std::vector<std::filesystem::path>& files, const std::vector<std::string>& overrides, bool combine, const Communicator& comm,
            const std::string& where, const std::filesystem::path& out) {
  Ensemble<T> ensemble(comm, files, overrides, combine);
  const Deck& deck = ensemble.deck();
  Network<T>& network = ensemble.network();
  const std::int64_t batch = ensemble.batch();
  const DataSet data(comm, where, shard_names(deck, false), network.input_shape(), {});
  for (const auto& file : files) require_other_file(comm, out, file, data);
  ensemble.read_from(data);
  const Progress progress = ensemble.members().front().progress;

  PredictionLayout layout;
  layout.rows = data.size();
  layout.output = network.output_shape();
  layout.is_double = std::is_same_v<T, double>;
  layout.classes = loss_kind(deck) == LossKind::cross_entropy && network.output_shape().rank() == 1;
  std::string names, digests;
  for (const auto& member : ensemble.members()) {
    names += fmt::format("{}{}", names.empty() ? "" : ",", member.file.string());
    digests += fmt::format("{}{}", digests.empty() ? "" : ",", parameters_sha256(*member.network));
  }
  layout.texts = {{"checkpoint", names}, {"data", where}, {"parameters_sha256", digests}};
  layout.integers = {{"step", progress.step}, {"epoch", progress.epoch}};
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
  {
    BatchStream stream(data, io, {.batch = batch, .rank = comm.rank(), .ranks = comm.size(), .order = BatchStream::Order::blocks});
    const Execution exec;
    Predictor<T> predictor(ensemble, stream, *rows, layout.classes);
    stream.seek(0, 0);
    // Ranks look at each other now and then, so that an error on one soon stops all.
    const std::int64_t batches = stream.batches(), group = std::max<std::int64_t>(batches / 100, 1);
    Timer since_word;
    for (std::int64_t done = 0; done < batches; done += group) {
      comm.together([&] {
        for (std::int64_t b = done; b < std::min(done + group, batches); ++b) predictor.step(exec);
      });
      const std::int64_t so_far = std::min(done + group, batches);
      if (since_word.seconds() < 5 || so_far == batches) continue;
      const double part = static_cast<double>(so_far) / static_cast<double>(batches), spent = timer.seconds();
      log::info("{:.0f} %  {:.0f} samples/s  {} left", 100 * part, part * static_cast<double>(data.size()) / spent,
                human_seconds(spent / part - spent));
      since_word.reset();
    }
    comm.together([&] { rows->finish(); });
  }
  comm.together([&] {
    if (comm.rank() == 0) io.run([&] { whole->finish(); });
  });
  const double seconds = timer.seconds();
  if (combine)
    log::info("ensemble of {}: {}", files.size(), ensemble.probabilities() ? "mean of the members' softmax probabilities" : "mean of the members' outputs");
  log::info("checkpoint {} (step {}), data {}: {} samples in {} ({:.0f} samples/s)", names, progress.step, where, data.size(), human_seconds(seconds),
            static_cast<double>(data.size()) / seconds);
  log::info("predictions: {}  /output {} {}{}", out.string(), network.output_shape().with_first(data.size()).tuple(),
            layout.is_double ? "float64" : "float32",
            layout.classes ? fmt::format(", /class ({},) int32", data.size()) : "");
  return 0;
}

}  // namespace

int predict_command(const Communicator& comm, const std::vector<std::string>& words) {
  const std::string usage = "trireme predict CHECKPOINT | --ensemble CHECKPOINT,... [--data WHERE] --out FILE.h5 [--section.key=value ...]";
  const Arguments arguments(words, usage, {"data", "out", "ensemble"}, {}, true);
  const std::string out = arguments.option("out");
  if (out.empty()) throw usage_error("--out is missing: where shall the predictions go? Usage: {}", usage);
  const bool combine = arguments.flag("ensemble");
  const std::size_t expected = combine ? 0 : 1;
  if (arguments.positionals() > expected)
    throw usage_error("unexpected word '{}'. Usage: {}", arguments.positional(expected, ""), usage);
  const auto files = combine ? ensemble_argument(comm, arguments.option("ensemble"))
                             : std::vector{checkpoint_argument(comm, arguments.positional(0, "the checkpoint or run directory"))};
  const Deck saved = checkpoint_deck(comm, files.front());
  const Deck deck(saved.resolved(), saved.origin(), arguments.overrides());
  const std::string where = arguments.option("data", deck.text("data.test"));
  if (where.empty())
    throw usage_error("no data: the deck inside '{}' names no data.test. Hint: give --data WHERE. Usage: {}",
                      files.front().string(), usage);
  return deck.text("train.precision") == "fp64" ? predict<double>(files, arguments.overrides(), combine, comm, where, out)
                                                : predict<float>(files, arguments.overrides(), combine, comm, where, out);
}

}  // namespace trireme
