// The table of keys, and the search in it.
#include "config/detail/keys.hpp"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/text.hpp"

namespace trireme {

namespace {

using Type = KeySpec::Type;

struct Range {
  double low = -1e300, high = 1e300;
  bool open_low = false, open_high = false;
};
Range at_least(double low) { return {.low = low}; }
Range above(double low) { return {.low = low, .open_low = true}; }
Range between(double low, double high) { return {.low = low, .high = high}; }
Range from_to_below(double low, double high) { return {.low = low, .high = high, .open_high = true}; }

KeySpec key(const char* name, Type type, const char* fallback, const char* help) {
  KeySpec spec{.name = name, .type = type, .fallback = fallback, .choices = {}, .help = help};
  return spec;
}
KeySpec number(const char* name, Type type, const char* fallback, const Range& range, const char* help) {
  KeySpec spec = key(name, type, fallback, help);
  spec.low = range.low, spec.high = range.high, spec.open_low = range.open_low, spec.open_high = range.open_high;
  return spec;
}
KeySpec choice(const char* name, std::vector<std::string> choices, const char* help) {  // the first is the default
  KeySpec spec = key(name, Type::choice, choices.front().c_str(), help);
  spec.choices = std::move(choices);
  return spec;
}
KeySpec filled(KeySpec spec) {
  spec.filled = true;
  return spec;
}
KeySpec required(KeySpec spec) {
  spec.required = true;
  return spec;
}

std::vector<KeySpec> make_keys() {
  constexpr Type integer = Type::integer, real = Type::real, boolean = Type::boolean, text = Type::text,
                 list = Type::list;
  return {
      filled(key("run.name", text, "run", "Name of the run, used in messages and for its directory.")),
      number("run.seed", integer, "1", at_least(0),
             "Seed of all random numbers: initial parameters, order of the samples, augmentation, dropout."),
      number("run.stream", integer, "0", at_least(0),
             "Which of the seed's streams order, augmentation and dropout are drawn from: runs of one seed and several streams start from the same "
             "parameters and see the samples in other orders."),
      key("run.output", text, "",
          "Run directory, which receives everything that a run writes; empty: runs/ and the run's name."),
      number("run.hang_timeout", real, "1800", at_least(0),
             "Seconds that a rank waits for others, or for its data, in training before the watchdog says who has not arrived and where, and ends the job with "
             "code 7; 0: for ever."),
      number("run.io_retries", integer, "4", {.low = 0, .high = 20},
             "How often reading a shard or writing a checkpoint is tried again after an error that may pass (EIO, ESTALE, ETIMEDOUT, EAGAIN, EBUSY), after 0.2 s, "
             "0.4 s, 0.8 s..."),
      number("run.time_limit", real, "0", at_least(0),
             "Seconds that a process may run before it stops with a checkpoint and exit code 75, from its start; 0: no limit. Where SLURM_JOB_END_TIME is set, the "
             "earlier of the two counts."),
      number("run.time_margin", real, "30", at_least(0),
             "Seconds of the time limit to leave untouched: the run stops when no more is left than these and twice the time of a checkpoint and a step (the longest "
             "measured)."),

      key("data.train", text, "", "Training data: a directory, a glob or a comma-separated list of HDF5 files."),
      key("data.test", text, "", "Test data, given as for train; empty: nothing to evaluate on."),
      filled(key("data.features", text, "/x", "HDF5 data set with the features, of shape (n, ...) for n samples.")),
      key("data.labels", text, "/y",
          "HDF5 data set with the labels, integers (n) or numbers (n, ...); empty: there are no labels."),
      choice("data.target", {"labels", "features"},
             "What the network's output is compared with: the labels, or the features themselves, normalised, flipped and cropped, before "
             "data.noise is added."),
      number("data.batch", integer, "32", at_least(1), "Samples a step, over all ranks together."),
      number("data.test_batch", integer, "0", at_least(0),
             "Samples a batch in evaluation, over all ranks together; 0: as batch."),
      number("data.lanes", integer, "0", between(0, 1e6),
             "Equal slices of each batch, which are worked on one by one and summed in one fixed order: bits then do not depend on how many ranks (at most so "
             "many) divide the batch. batch_norm takes its moments of a lane. 0: each rank works on its share at once."),
      number("data.scale", real, "1", {}, "Factor applied to every feature; may be a fraction such as 1/255."),
      number("data.mean", list, "", {},
             "Mean subtracted after scaling, as (x * scale - mean) / std: one number a channel, or one for all; empty: "
             "0."),
      number(
          "data.std", list, "", above(0),
          "Standard deviation divided by after subtracting the mean: one number a channel, or one for all; empty: 1."),
      key("data.flip", text, "",
          "Axes along which training samples are turned round with probability 1/2: x (the last), y, z, separated by commas; "
          "empty: none. Labels with the samples' pixels are turned round too."),
      number("data.crop", integer, "0", between(0, 1e6),
             "Zeros put around training samples before a part of their shape is cut out at random; 0: none. Labels with the samples' pixels "
             "are cropped too."),
      number("data.noise", real, "0", at_least(0),
             "Standard deviation of normal noise added to training samples after they are normalised, and where data.target = features to evaluated ones too, "
             "drawn by run.seed and row; predict adds none; 0: none."),
      key("data.shuffle", boolean, "true", "Whether each epoch visits the training samples in a new random order."),
      number("data.chunk", integer, "0", at_least(0),
             "Rows that are read and shuffled together as one block; 0: about 1 MiB of rows."),
      number("data.window", integer, "0", at_least(0),
             "Rows within which single rows are shuffled; 0: about 32 MiB of rows."),
      number("data.cache", integer, "64", between(0, 1e9),
             "MiB up to which a data set is kept in each rank's memory and shuffled row by row; 0: always read from "
             "the files."),
      key("data.allow_unwritten", boolean, "false",
          "Whether rows may be fill values: parts of an HDF5 data set that were never written, and virtual data sets whose source files are missing. false: "
          "these are errors that name the rows."),
      key("data.allow_external", boolean, "false",
          "Whether the external raw storage of an HDF5 data set may lie outside the folder of the file that names it. false: such a file is refused, since it "
          "could name any file of yours as data."),

      required(key("model.input", Type::shape, "", "Shape of one sample, channels first, as in 1x28x28.")),

      choice("loss.kind", {"cross_entropy", "mse", "mae", "bce", "bce_with_logits"},
             "Loss, averaged over the batch; cross_entropy takes class labels, the others numbers."),
      number("loss.label_smoothing", real, "0", between(0, 1),
             "Share of each label that cross_entropy spreads evenly over all classes."),

      choice("optimizer.kind", {"sgd", "adam", "adamw", "rmsprop", "lars", "lamb"},
             "Rule that updates the parameters, as PyTorch defines it; lars (You et al. 2017) and lamb (You et al. 2020) as "
             "their papers do."),
      number("optimizer.lr", real, "0.01", at_least(0), "Learning rate at the schedule's full height."),
      number("optimizer.momentum", real, "0", between(0, 1), "Momentum of sgd, rmsprop and lars."),
      number("optimizer.dampening", real, "0", between(0, 1), "Dampening of sgd's momentum."),
      key("optimizer.nesterov", boolean, "false", "Whether sgd uses Nesterov's momentum."),
      number(
          "optimizer.weight_decay", real, "0", at_least(0),
          "Weight decay: an L2 term in the gradient of sgd, adam, rmsprop and lars, decoupled in adamw and lamb; 0 for every "
          "kind unless given (PyTorch's AdamW has 0.01)."),
      key("optimizer.decay_biases", boolean, "true",
          "Whether parameters of one dimension, such as biases and the scales of norms, decay too; where not, lars and lamb "
          "move them by the plain learning rate."),
      number("optimizer.beta1", real, "0.9", from_to_below(0, 1),
             "Decay of the running mean of gradients in adam, adamw and lamb."),
      number("optimizer.beta2", real, "0.999", from_to_below(0, 1),
             "Decay of the running mean of squared gradients in adam, adamw and lamb."),
      number("optimizer.alpha", real, "0.99", from_to_below(0, 1),
             "Decay of the running mean of squared gradients in rmsprop."),
      key("optimizer.centered", boolean, "false",
          "Whether rmsprop subtracts the square of the mean gradient from the mean square."),
      number("optimizer.trust", real, "0.001", above(0),
             "Trust coefficient of lars: its step is this share of a parameter's norm, times lr."),
      number("optimizer.epsilon", real, "1e-8", at_least(0), "Added to the denominator in adam, adamw, rmsprop, lars and lamb."),
      number("optimizer.clip_norm", real, "0", at_least(0),
             "Largest Euclidean norm of the whole gradient, which is scaled down to it; 0: no clipping."),
      key("optimizer.shard", boolean, "false",
          "Whether each data-parallel rank keeps the optimizer's state of its share of the parameters only (ZeRO's stage 1), updates these and hands them round: "
          "less memory for about the same communication."),

      choice("schedule.kind", {"constant", "step", "cosine", "linear"}, "How the learning rate changes over the run."),
      number("schedule.warmup", real, "0", at_least(0),
             "Epochs, also parts of one, in which the learning rate rises linearly from 0."),
      number("schedule.every", integer, "1", at_least(1), "Epochs between two reductions in the step schedule."),
      number("schedule.gamma", real, "0.1", above(0), "Factor of each reduction in the step schedule."),
      number("schedule.final", real, "0", between(0, 1),
             "Learning rate at the end of the cosine and linear schedules, as a share of lr."),

      number("train.epochs", integer, "1", at_least(0), "Epochs to train: passes over the training data."),
      number("train.steps", integer, "0", at_least(0),
             "Steps after which training stops, counted over all restarts; 0: no limit."),
      number("train.log_every", integer, "50", at_least(1), "Steps between two reports of loss and speed."),
      number("train.evaluate_every", integer, "1", at_least(0),
             "Epochs between two evaluations on the test data; 0: never."),
      number("train.accumulate", integer, "1", at_least(1),
             "Batches a step: their gradients are averaged over all their samples, as of one batch so many times as large."),
      number("train.ema", real, "0", from_to_below(0, 1),
             "Decay a step of the moving average of the parameters, on which the network is then evaluated, by train as by "
             "evaluate and predict; 0: none."),
      choice("train.precision", {"fp32", "tf32", "bf16", "fp64"},
             "Arithmetic of parameters, activations and gradients: 32 bits, or 64 (fp64). With tf32 and bf16, linear and conv "
             "layers round what they multiply to that format and still sum in fp32: on GPUs that have tensor cores it is fast."),
      key("train.graph", boolean, "false",
          "Whether a CUDA device's forward and backward passes are recorded once and replayed, where they are the same in every "
          "step: on one rank, without dropout."),
      key("train.profile", boolean, "false",
          "Whether the run ends with a table of where the time of a step goes, layer by layer, beside what this machine's arithmetic and memory allow. "
          "Waits after each layer, so it is a little slower."),
      key("train.trace", boolean, "false",
          "Whether the run writes trace.json, a time line of each rank's phases in Chrome's format."),

      number("parallel.data", integer, "0", at_least(0), "Ranks among which the batch is divided; 0: those that the other axes leave over."),
      number("parallel.tensor", integer, "1", between(1, 1e6),
             "Ranks among which channels and features of layers are divided, with their parameters."),
      filled(key("parallel.spatial", text, "1",
                 "Ranks among which each sample's pixels are divided, one number a spatial dimension as in 2x2x1; one number alone: the first dimension.")),
      number("parallel.pipeline", integer, "1", between(1, 1e6), "Stages of consecutive layers, one rank after the other."),
      number("parallel.micro_batches", integer, "0", at_least(0),
             "Parts into which each rank's share of a batch is cut, that pass one after the other and whose gradients are summed; 0: four a pipeline's stage, one "
             "without a pipeline."),
      number("parallel.bucket", real, "0", {.low = 0, .high = 1024},
             "MiB of gradients that are reduced together while backward goes on; 0: as the speed of sums, measured when the run starts, makes best."),
      choice("parallel.wire", {"full", "bf16"},
             "How gradients travel between ranks: as they are, or rounded to bf16, half the bytes, with what rounding takes added to the next step's."),
      choice("parallel.reduce", {"auto", "flat", "hierarchical"},
             "How gradients are summed: over all ranks at once (flat), or within each node and then between nodes (hierarchical); auto takes what is faster."),

      choice("parallel.balance", {"even", "measured"},
             "How a batch is divided among the ranks of the data axis: evenly, or in shares that follow each rank's measured speed, so that slow ranks are not "
             "waited for."),
      number("parallel.balance_limit", real, "2", {.low = 1, .high = 1e6},
             "Under balance = measured the most samples that a rank gets, as a multiple of the even share: memory for so many is set aside."),

      choice("task.mode", {"none", "independent", "average", "tournament"},
             "none: one run; independent: a queue of runs, each with changes of its own; average: runs whose parameters become their mean every few steps; "
             "tournament: runs that meet in pairs every few steps and keep the better one's parameters."),
      number("task.groups", integer, "0", at_least(0),
             "Groups of equal size that the ranks are cut into, each of which does one task at a time; 0: as many as there are tasks, or as fit."),
      key("task.sweep", text, "",
          "Tasks as all combinations of values of keys, the last key's changing fastest: KEY: VALUE, VALUE...; KEY: FIRST..LAST (integers)."),
      key("task.table", text, "",
          "Tasks as a CSV file: a line of keys, then one line of values a task; an empty field leaves the deck's value. Instead of task.sweep."),
      number("task.every", integer, "32", at_least(1), "Steps between two exchanges of average or tournament."),
      number("task.start", integer, "0", at_least(0),
             "Steps in which average exchanges after each, before it does so every task.every steps (post-local SGD); tournament: steps before the first."),
      number("task.weights", list, "", at_least(0),
             "Weights of average, one a task, divided by their sum; empty: the samples that each task has seen since the last exchange."),
      key("task.held_out", text, "", "Data on which tournament compares parameters, given as for data.train; neither training nor test data."),

      choice("numerics.on_nonfinite", {"stop", "skip", "rollback"},
             "What a step means whose loss is not finite (skip and rollback: or a gradient): the run ends with code 5; no rank updates anything in that step; or "
             "the run goes back to its newest checkpoint and on with a lower learning rate."),
      number("numerics.rollback_lr", real, "0.5", {.low = 0, .high = 1, .open_low = true},
             "Factor of the learning rate after each rollback, to the end of the run; it is kept in checkpoints."),
      number("numerics.tries", integer, "10", at_least(1), "Skips in a row, or rollbacks of one process, after which the run ends with code 5."),

      number("checkpoint.every", integer, "0", at_least(0), "Steps between two checkpoints; 0: only at the end."),
      key("checkpoint.async", boolean, "true",
          "Whether a thread writes checkpoints while training goes on, from a copy (memory: the state once, divided among the ranks that hold the same)."),
      choice("checkpoint.on_error", {"stop", "continue"},
             "What a checkpoint that cannot be written means (disk full, quota, read-only, folder removed): the run ends with code 4, or says so and goes on; "
             "the last one must be written in any case. Earlier checkpoints stand."),
      number("checkpoint.keep", integer, "2", at_least(1), "Newest checkpoints that are kept; older ones are removed."),
      filled(key(
          "checkpoint.resume", text, "auto",
          "auto: continue from the newest whole checkpoint of the run directory, if any; never: start anew; else the "
          "checkpoint to start from.")),
  };
}

}  // namespace

const std::vector<KeySpec>& deck_keys() {
  static const std::vector<KeySpec> keys = make_keys();
  return keys;
}

namespace detail {

std::string_view section_of(std::string_view key) {
  const auto dot = key.find('.');
  return dot == key.npos ? std::string_view{} : key.substr(0, dot);
}

std::string_view name_in_section(std::string_view key) {
  const auto dot = key.find('.');
  return dot == key.npos ? key : key.substr(dot + 1);
}

const std::vector<std::string>& deck_sections() {
  static const std::vector<std::string> sections = [] {
    std::vector<std::string> found;
    for (const KeySpec& spec : deck_keys())
      if (found.empty() || found.back() != section_of(spec.name)) found.emplace_back(section_of(spec.name));
    return found;
  }();
  return sections;
}

void check_section(std::string_view section, const std::string& where) {
  const auto& sections = deck_sections();
  if (std::ranges::find(sections, section) == sections.end())
    throw usage_error("{}: there is no section [{}]. Hint: did you mean [{}]? Sections are {} and [block NAME]", where,
                      section, nearest(section, sections), fmt::join(sections, ", "));
}

const KeySpec* find_key(std::string_view key) {
  const auto at = std::ranges::find(deck_keys(), key, &KeySpec::name);
  return at == deck_keys().end() ? nullptr : &*at;
}

Error unknown_key(std::string_view key, const std::string& where) {
  std::vector<std::string> all{std::string(layer_key)}, of_section;
  for (const KeySpec& spec : deck_keys()) all.push_back(spec.name);
  const std::string_view section = section_of(key), name = name_in_section(key);
  // The right name in a wrong section, or in none, is more often meant than a similar one.
  const auto elsewhere =
      std::ranges::find_if(all, [&](const std::string& k) { return k == name || name_in_section(k) == name; });
  if (section.empty())
    return usage_error(
        "{}: '{}' names no section. Expected section.key, or key below its [section]. Hint: did you mean '{}'?", where,
        key, elsewhere != all.end() ? *elsewhere : nearest(key, all));
  check_section(section, where);
  for (const std::string& k : all)
    if (section_of(k) == section) of_section.emplace_back(name_in_section(k));
  const std::string meant =
      elsewhere != all.end() ? *elsewhere : fmt::format("{}.{}", section, nearest(name, of_section));
  return usage_error("{}: [{}] has no key '{}'. Hint: did you mean '{}'? Keys of [{}] are {}", where, section, name,
                     meant, section, fmt::join(of_section, ", "));
}

}  // namespace detail

}  // namespace trireme
