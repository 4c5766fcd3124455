// The table of deck keys and the lookup in it.
#include "config/detail/keys.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <config/kind_names.hpp>  // written by CMake
#include <map>

#include "base/error.hpp"
#include "base/text.hpp"
#include "config/key_spec.hpp"

namespace trireme {

namespace {

using Type = KeySpec::Type;

constexpr double most_of_seeds = 9e18;  // a seed plus the number of a task still fits in 64 bits
constexpr double most_of_steps = 1e15;
constexpr double most_of_rows = 1e15;
constexpr double most_of_seconds = 1e9;  // 31 years

KeySpec filled(KeySpec spec) {
  spec.filled = true;
  return spec;
}
KeySpec required(KeySpec spec) {
  spec.required = true;
  return spec;
}

}  // namespace

std::vector<KeySpec> detail::make_keys() {
  constexpr Type integer = Type::integer, real = Type::real, boolean = Type::boolean, text = Type::text, list = Type::list;
  return {
      filled(key("run.name", text, "run", "Name of the run. Messages and the default run directory use it.")),
      number("run.seed", integer, "1", between(0, most_of_seeds), "Seed of all random numbers: initial parameters, sample order, augmentation and dropout."),
      number("run.stream", integer, "0", between(0, most_of_seeds),
             "Random stream for sample order, augmentation and dropout. Runs with the same seed and different streams start from the same parameters and see "
             "the samples in different orders."),
      key("run.output", text, "", "Run directory. The run writes all its files there. Empty: runs/ followed by run.name."),
      number("run.hang_timeout", real, "1800", between(0, most_of_seconds),
             "Seconds that a rank waits for other ranks or for its data during training. After that the watchdog prints which ranks are missing and where they "
             "are, and ends the job with exit code 7. 0: wait forever."),
      number("run.io_retries", integer, "4", {.low = 0, .high = 20},
             "Number of retries after a transient I/O error (EIO, ESTALE, ETIMEDOUT, EAGAIN, EBUSY) while reading a shard or writing a checkpoint. The waits "
             "before the retries are 0.2 s, 0.4 s, 0.8 s and so on. 0: no retry."),
      number("run.time_limit", real, "0", between(0, most_of_seconds),
             "Time limit in seconds, counted from the start of the process. At the limit the run writes a checkpoint and exits with code 75. 0: no limit. "
             "If SLURM_JOB_END_TIME is set, the earlier of the two limits applies."),
      number("run.time_margin", real, "30", between(0, most_of_seconds),
             "Safety margin in seconds. The run stops when the remaining time is at most margin + 2 x (longest checkpoint + longest step). 0: no extra "
             "margin."),

      key("data.train", text, "",
          "Training data: a directory, a glob pattern, or a comma-separated list of HDF5 files. FILE:/GROUP means a group inside the file, as in "
          "scans.h5:/train; the names of datasets are then relative to the group."),
      key("data.test", text, "", "Test data, in the same form as data.train. Empty: no evaluation."),
      key("data.train_rows", text, "",
          "Rows of each training file to use, as FIRST:END in Python: 0:200, or :-365 for all but the last 365. In files that are one sequence of time steps, "
          "these are the time steps. Empty: all."),
      key("data.test_rows", text, "", "Rows of each test file to use, in the same form. Empty: all."),
      filled(key("data.features", text, "/x",
                 "HDF5 dataset that holds the features, of shape (n, ...) for n samples. Or several datasets, and parts of them, in the form of "
                 "[array NAME] data.")),
      key("data.labels", text, "/y",
          "HDF5 dataset that holds the labels: class indices of shape (n) or numbers of shape (n, ...), in the same form. Empty: the data has no labels."),
      key("data.axes", text, "",
          "Order of a sample's axes in the files, slowest axis first, separated by commas: channel, z, y (or lat), x (or lon). Example: y, x, channel for "
          "channels-last images. Trireme transposes the samples to the model's order while it reads them. Empty: channel, z, y, x."),
      key("data.label_axes", text, "", "Order of a label's axes, in the same form as data.axes, for labels that have the shape of the network's output."),
      key("data.netcdf", boolean, "true",
          "Apply the netCDF attributes of a dataset. scale_factor and add_offset rescale the values. A value is missing if it equals _FillValue or "
          "missing_value, or lies outside valid_min, valid_max or valid_range. false: use the stored numbers unchanged."),
      choice("data.missing", {"error", "mean"},
             "What to do with a missing feature (marked by the netCDF attributes, or NaN). error: stop and name the row. mean: replace the feature by "
             "data.mean, or by the mean of [array features]. A missing label is an error, unless loss.ignore = nan leaves it out."),
      number("data.stride", integer, "1", between(1, most_of_rows),
             "Time steps between two samples of one sequence, for arrays with an axis of time. 1: every time step begins a sample."),
      choice("data.target", {"labels", "features"},
             "What the loss compares the network's output with. labels: the labels. features: the input features after normalization and augmentation, before "
             "data.erase and data.noise (autoencoders, denoising)."),
      number("data.batch", integer, "32", at_least(1),
             "Global batch size: samples per step over all ranks (with train.accumulate, per accumulated batch). PyTorch's DataLoader defaults to 1 per "
             "process."),
      number("data.test_batch", integer, "0", at_least(0), "Global batch size in evaluation. 0: the same as data.batch."),
      number("data.virtual_ranks", integer, "0", between(0, 1e6),
             "Number of virtual ranks per batch. Each is computed separately and reduced in a fixed tree, so results are bitwise identical on any number of "
             "data-parallel ranks up to this one. batch_norm uses the statistics of one virtual rank. 0: off."),
      number("data.scale", real, "1", {}, "Factor that multiplies every feature. It may be a fraction such as 1/255."),
      number("data.mean", list, "", {},
             "Mean to subtract after scaling: (x * scale - mean) / std. One number per channel, or one number for all channels. Empty: 0."),
      number("data.std", list, "", above(0),
             "Standard deviation to divide by: (x * scale - mean) / std. One number per channel, or one number for all channels. Empty: 1."),
      key("data.flip", text, "",
          "Random flip: axes along which each training sample is reversed with probability 1/2, separated by commas: x (the last axis), y, z. Labels "
          "with one value per pixel are flipped with their sample. Empty: off."),
      number("data.crop", integer, "0", between(0, 1e6),
             "Random crop: pad each side of a training sample with this many pixels, then crop back to the original size at a random offset. Labels with one "
             "value per pixel are cropped with their sample. 0: off."),
      choice("data.crop_fill", {"zero", "mean", "edge"},
             "Value of the padding that data.crop adds. zero: 0 in the units of the file, before data.scale, data.mean and data.std. mean: data.mean, which is "
             "0 after normalization. edge: the nearest pixel of the sample."),
      key("data.shift", text, "",
          "Random periodic shift: axes along which each training sample is rolled by a random number of pixels, separated by commas, as in x for longitude. "
          "Labels with one value per pixel are shifted with their sample. Empty: off."),
      key("data.rotate", text, "",
          "Random rotation: planes in which each training sample is turned by 0, 90, 180 or 270 degrees, separated by commas: y-x, z-x, z-y. Both axes of a "
          "plane "
          "must have as many pixels. Labels with one value per pixel are rotated with their sample; components of vectors keep their directions. Empty: off."),
      number("data.brightness", real, "0", at_least(0),
             "Largest change of brightness: a random number of at most this size is added to each normalized training sample. 0: off."),
      number("data.contrast", real, "0", between(0, 1),
             "Largest change of contrast: each normalized training sample is multiplied by a random factor between 1 - contrast and 1 + contrast. 0: off."),
      number("data.erase", real, "0", between(0, 1),
             "Random erasing: probability that a random box of a training sample is set to 0 after normalization. Labels, and features that are the target, "
             "are not "
             "erased. 0: off."),
      number("data.erase_size", real, "0.5", {.low = 0, .high = 1, .open_low = true},
             "Longest side of the erased box as a fraction of the sample's extent, along each axis. The sides are uniform between 1 pixel and this."),
      number("data.mixup", real, "0", between(0, 1e6),
             "Mixup: both parameters of the beta distribution from which the share of a sample in its mixture with another one is drawn. Targets are mixed "
             "likewise, so "
             "they must be numbers, not classes. Partners are samples of the same virtual rank, which has one share per step. 0: off."),
      number("data.noise", real, "0", at_least(0),
             "Standard deviation of the Gaussian noise that is added to normalized training samples, and to evaluated samples if data.target = features. "
             "run.seed determines the noise. predict adds none. 0: off."),
      key("data.shuffle", boolean, "true",
          "Visit the training samples in a new random order in each epoch. false: file order. PyTorch's DataLoader defaults to false."),
      number("data.chunk", integer, "0", between(0, most_of_rows),
             "Rows per block: the loader reads and shuffles the rows of a block together. 0: about 1 MiB of rows. If data.window is also 0, a data set of at "
             "most 64 MiB is shuffled row by row as a whole."),
      number("data.window", integer, "0", between(0, most_of_rows),
             "Size of the shuffle buffer in rows: single rows are shuffled within it. 0: about 32 MiB of rows, or the whole data set if it has at most 64 MiB "
             "(see data.chunk)."),
      number("data.cache", integer, "64", between(0, 1e9),
             "Largest data set, in MiB, that each rank keeps in memory. 0: always read from the files. The sample order does not depend on this key."),
      key("data.allow_unwritten", boolean, "false",
          "Accept rows that contain HDF5 fill values: parts of a dataset that were never written, and virtual datasets whose source files are missing. false: "
          "such rows are an error, and the message names them."),
      key("data.allow_external", boolean, "false",
          "Accept HDF5 external raw storage outside the folder of the file that refers to it. false: refuse such a file, because it could present any of your "
          "files as data."),

      choice("data.verify", {"open", "first_epoch", "never"},
             "When to verify the checksums that trireme shard wrote. open: verify each chunk when it is read (HDF5's Fletcher32). first_epoch: also read every "
             "data set once before the first step and verify its checksums; the ranks share this work. never: do not verify, which reads faster. Shards "
             "without checksums are read without verification."),

      required(key("model.input", Type::shape, "", "Shape of one sample, channels first, as in 1x28x28.")),

      choice("loss.kind", loss_names(), "cross_entropy",
             "Loss function, averaged over the batch. cross_entropy needs class indices; the others need numbers. bce and bce_with_logits need targets in [0, "
             "1]; bce also needs outputs in [0, 1]. docs/metrics.md lists the metrics for each loss."),
      key("loss.ignore", text, "",
          "Targets of this value count for nothing, in the loss and in metrics, as PyTorch's ignore_index: pixels or samples without a known class, or "
          "missing numbers (nan). The mean is over the targets that count. Empty: all targets count."),
      number(
          "loss.class_weights", Type::list, "", at_least(0),
          "Weight of each class, as weight= of torch.nn.CrossEntropyLoss: the mean is over the weights of the targets of the batch. Empty: all weights are 1."),
      choice("loss.targets", {"auto", "classes", "probabilities"},
             "Form of the labels of losses that take classes. classes: class numbers, one per sample or per pixel. probabilities: a number from 0 to 1 for "
             "each class (one-hot labels too), in the shape of the output. auto: classes; for dice and focal with one output channel, probabilities."),
      choice(
          "loss.reduction_weights", {"none", "latitude", "latitude_poles"},
          "Weights of the outputs in the mean of mse and mae, and in the latitude-weighted metrics. latitude: cosine of the latitude along y, divided by its "
          "mean, for rows that are the centers of equal bands from pole to pole. latitude_poles: the first and last row are the poles. none: equal weights."),
      number("loss.label_smoothing", real, "0", between(0, 1),
             "Label smoothing of cross_entropy: fraction of each label that is distributed uniformly over all classes. 0: off. 1: uniform targets."),

      choice("optimizer.kind", optimizer_names(), "sgd",
             "Optimizer. sgd, adam, adamw and rmsprop follow PyTorch; lars (You et al. 2017) and lamb (You et al. 2020) follow their papers, with two "
             "safeguards. For a parameter whose root mean square is below 1e-6, the trust ratio tends to 1 as the parameter tends to 0. In lamb's trust ratio "
             "the root mean square of the update counts as at least 1e-3."),
      number("optimizer.lr", real, "0.01", at_least(0),
             "Base (peak) learning rate. In PyTorch the default is 0.01 for RMSprop, and 0.001 for SGD, Adam and "
             "AdamW."),
      number("optimizer.momentum", real, "0", between(0, 1), "Momentum of sgd, rmsprop and lars. 0: off."),
      number("optimizer.dampening", real, "0", between(0, 1), "Dampening of sgd's momentum. 0: off."),
      key("optimizer.nesterov", boolean, "false", "Use Nesterov momentum in sgd."),
      number("optimizer.weight_decay", real, "0", at_least(0),
             "Weight decay. sgd, adam, rmsprop and lars add it to the gradient (L2 penalty); adamw and lamb decouple it from the gradient. 0: off. PyTorch's "
             "AdamW defaults to 0.01."),
      key("optimizer.decay_biases", boolean, "true",
          "Apply weight decay to one-dimensional parameters too, such as biases and normalization weights. false: exclude them; lars and lamb then update them "
          "with the learning rate alone, without a trust ratio."),
      number("optimizer.beta1", real, "0.9", from_to_below(0, 1), "Decay rate of the moving average of gradients in adam, adamw and lamb. 0: no average."),
      number("optimizer.beta2", real, "0.999", from_to_below(0, 1),
             "Decay rate of the moving average of squared gradients in adam, adamw and lamb. 0: no average."),
      number("optimizer.alpha", real, "0.99", from_to_below(0, 1), "Decay rate of the moving average of squared gradients in rmsprop. 0: no average."),
      key("optimizer.centered", boolean, "false", "Centered rmsprop: normalize the gradient by an estimate of its variance instead of its mean square."),
      number("optimizer.trust", real, "0.001", above(0),
             "Trust coefficient of lars. The norm of a step is this fraction of the parameter's norm, times the learning rate (without momentum)."),
      number("optimizer.epsilon", real, "1e-8", at_least(0), "Small number added to the denominator in adam, adamw, rmsprop, lars and lamb."),
      number("optimizer.clip_norm", real, "0", at_least(0),
             "Gradient clipping: largest Euclidean norm of the whole gradient. A larger gradient is scaled down to this norm. 0: off."),
      key("optimizer.shard", boolean, "false",
          "ZeRO stage 1: partition the optimizer state over the data-parallel ranks. Each rank updates its part of the parameters, then all ranks gather the "
          "parameters. It needs less memory and about the same communication volume."),

      choice("schedule.kind", schedule_names(), "constant",
             "Learning-rate schedule after the warmup. constant: optimizer.lr. step: multiply by schedule.gamma "
             "every schedule.every epochs. cosine, linear, polynomial: decay to schedule.final x optimizer.lr at the end of "
             "the run. `trireme help KIND` gives the formula of each."),
      number("schedule.warmup", real, "0", at_least(0), "Linear warmup from 0, in epochs; fractions are allowed. 0: off."),
      number("schedule.every", integer, "1", at_least(1), "Epochs between two reductions of the learning rate in the step schedule."),
      number("schedule.gamma", real, "0.1", above(0), "Factor by which the step schedule multiplies the learning rate at each reduction."),
      number("schedule.final", real, "0", between(0, 1),
             "Learning rate at the end of the cosine and linear schedules, as a fraction of optimizer.lr. 0: decay to zero. 1: constant."),

      number("train.epochs", integer, "1", at_least(0), "Number of epochs (passes over the training data). 0: no training."),
      number("train.steps", integer, "0", between(0, most_of_steps), "Maximum number of steps, counted over all restarts. 0: no maximum."),
      number("train.log_every", integer, "50", at_least(1), "Steps between two log lines with loss and throughput."),
      number("train.evaluate_every", integer, "1", at_least(0), "Epochs between two evaluations on the test data. 0: never evaluate."),
      number("train.accumulate", integer, "1", at_least(1),
             "Gradient accumulation: batches per step. The step uses the gradient averaged over all their samples. batch_norm normalizes each batch with its "
             "own statistics and updates its running statistics once per step with their mean (PyTorch updates them with each batch). 1: off."),
      number("train.ema", real, "0", from_to_below(0, 1),
             "Exponential moving average (EMA) of the parameters: decay per step. Evaluation in train, evaluate and predict uses the averaged parameters. 0: "
             "off."),
      choice("train.precision", {"fp32", "tf32", "bf16", "fp64"},
             "Number format of parameters, activations and gradients: fp64 uses 64 bits, the others 32 bits. With tf32 and bf16, linear and conv layers round "
             "the operands of their products to that format and accumulate in fp32; this is fast on GPUs with tensor cores. PyTorch allows tf32 in cuDNN "
             "convolutions by default."),
      filled(key("train.recompute", text, "none",
                 "Activation checkpointing: the layers of a rank form this many segments of consecutive layers. The forward pass keeps only values that cross "
                 "the end of a segment, and the backward pass recomputes a segment before its gradients. It computes the same bits in less memory, for at most "
                 "one more forward pass per step. auto: the segments with the smallest memory. none: keep all activations.")),
      key("train.graph", boolean, "false",
          "Record the forward and backward pass once as a CUDA graph and replay it. It needs a CUDA device, one rank, and a network without dropout."),
      key("train.profile", boolean, "false",
          "Print a profile at the end of the run: the time per layer, next to the limits that the machine's peak arithmetic and memory bandwidth set. Training "
          "is a little slower, because the profile synchronizes after each layer."),
      key("train.trace", boolean, "false", "Write trace.json: a timeline of each rank's phases in the Chrome trace format."),

      number("parallel.data", integer, "0", between(0, 1e6),
             "Data parallelism: number of ranks that divide the batch. 0: all ranks that the other axes leave."),
      number("parallel.tensor", integer, "1", between(1, 1e6),
             "Tensor parallelism: number of ranks that divide the channels and features of layers, and their parameters. 1: off."),
      filled(key("parallel.spatial", text, "1",
                 "Spatial parallelism: number of ranks that divide the pixels of each sample, one number per spatial dimension, as in 2x2x1. A single number "
                 "divides the first dimension. 1: off.")),
      number("parallel.pipeline", integer, "1", between(1, 1e6), "Pipeline parallelism: number of stages. A stage is a group of consecutive layers. 1: off."),
      number("parallel.micro_batches", integer, "0", between(0, 1e6),
             "Number of micro-batches per rank and batch. They are computed one after the other, and their gradients are summed. At most the samples of the "
             "largest share of a batch: of a rank, or of a virtual rank. 0: four per pipeline stage, or one without a pipeline."),
      number("parallel.bucket", real, "0", {.low = 0, .high = 1024},
             "Size of a gradient bucket in MiB. A bucket is reduced while the backward pass continues. 0: choose the size from an all-reduce benchmark at the "
             "start of the run. PyTorch's DistributedDataParallel defaults to 25."),
      choice("parallel.reduce_dtype", {"full", "bf16"},
             "Gradient compression: number format of gradients in the reduction. full: no compression. bf16: round to bf16, which halves the bytes; the "
             "rounding error is added to the next step's gradient (error feedback)."),
      choice("parallel.reduce", {"auto", "flat", "hierarchical"},
             "Algorithm of the gradient all-reduce. flat: one all-reduce over all ranks. hierarchical: reduce within each node, then between nodes. auto: "
             "the faster of the two."),

      choice("parallel.balance", {"even", "measured"},
             "Load balance over the data-parallel ranks. even: equal shares of each batch. measured: shares in proportion to the measured speed of each rank, "
             "so that fast ranks do not wait for slow ones."),
      number("parallel.balance_limit", real, "2", {.low = 1, .high = 1e6},
             "With balance = measured, the largest number of samples per rank, as a multiple of the even share. Every rank allocates memory for this many. 1: "
             "even shares."),

      choice("task.mode", {"none", "independent", "average", "tournament"},
             "Tasks: runs of one job. none: a single run. independent: a queue of runs, each with its own changes to the deck. average: runs that average "
             "their parameters every few steps (local SGD). tournament: runs that meet in pairs every few steps; the parameters of the better run replace "
             "those of the other."),
      number("task.groups", integer, "0", between(0, 1e6),
             "Number of equal groups that the ranks are divided into. A group runs one task at a time. 0: one group per task, or as many as the ranks allow."),
      key("task.sweep", text, "", "Tasks as a grid over deck keys; the last key changes fastest. Format: KEY: VALUE, VALUE...; KEY: FIRST..LAST (integers)."),
      key("task.table", text, "",
          "Tasks as a CSV file: a header line of keys, then one line of values per task. An empty field keeps the deck's value. Use it instead of task.sweep."),
      number("task.every", integer, "32", at_least(1), "Steps between two exchanges in average and tournament."),
      number("task.start", integer, "0", at_least(0),
             "average: number of first steps with an exchange after every step, before the exchanges follow task.every (post-local SGD). tournament: number of "
             "steps before the first exchange."),
      number("task.weights", list, "", at_least(0),
             "Weights of the mean in average, one per task; they are divided by their sum. Empty: weight each task by the samples that it has seen since the "
             "last exchange."),
      key("task.held_out", text, "",
          "Data on which tournament compares the parameters, in the same form as data.train. It must be neither the training nor the test data."),

      choice("numerics.on_nonfinite", {"stop", "skip", "rollback"},
             "What to do when the loss is NaN or infinite (skip and rollback: or a gradient). stop: exit with code 5. skip: discard the step on all ranks. "
             "rollback: restore the newest checkpoint and lower the learning rate."),
      number("numerics.rollback_lr", real, "0.5", {.low = 0, .high = 1, .open_low = true},
             "Factor that multiplies the learning rate at each rollback, for the rest of the run. Checkpoints store it. 1: keep the learning rate."),
      number("numerics.tries", integer, "10", at_least(1),
             "Number of consecutive skips, or of rollbacks in one process, after which the run gives up and exits with code 5."),

      number("checkpoint.every", integer, "0", at_least(0), "Steps between two checkpoints. 0: no checkpoint by step count."),
      number("checkpoint.minutes", real, "10", at_least(0),
             "Minutes between two checkpoints: a killed run loses at most this much work. The end of a run always writes a checkpoint. 0: no checkpoint by "
             "time."),
      key("checkpoint.async", boolean, "true",
          "Write checkpoints in a background thread while training continues. It needs memory for one copy of the state, divided over the ranks that hold the "
          "same state."),
      choice("checkpoint.on_error", {"stop", "continue"},
             "What to do when a checkpoint cannot be written (disk full, quota, read-only file system, folder removed). stop: exit with code 4. continue: "
             "print a warning and train on. The last checkpoint of a run must be written in both cases. Earlier checkpoints remain."),
      number("checkpoint.keep", integer, "2", at_least(1), "Number of newest checkpoints to keep. Older ones are deleted."),
      filled(key("checkpoint.resume", text, "auto",
                 "auto: resume from the newest intact checkpoint of the run directory, if there is one. never: start from scratch. Any other value: path of "
                 "the checkpoint to start from.")),
      choice("checkpoint.resume_order", {"continue", "restart_epoch"},
             "What to do when a run resumes in the middle of an epoch and the sample order has changed (another seed, batch size, data set...). continue: "
             "refuse to start. restart_epoch: restart the epoch in the new order. Without such a change the run always continues at the next batch."),
      key("checkpoint.allow_changes", text, "",
          "Keys that may differ from the checkpoint's deck although they change the meaning of its parameters or optimizer state, separated by commas. "
          "model.layer stands for the layers, all for every key. Empty: refuse to start after such a change. State that the checkpoint lacks begins anew: the "
          "optimizer's (optimizer.kind, momentum, centered) at 0, the moving average (train.ema) as the parameters."),
  };
}

}  // namespace trireme
