// Evaluates a run on its test data, or on its validation data.
//
// Owns the data set, the evaluator and the latest metrics. Without data.test or data.validation, or with train.evaluate_every = 0, nothing is evaluated.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/data_set.hpp"
#include "train/evaluator.hpp"
#include "train/run_context.hpp"
#include "train/train_state.hpp"

namespace trireme {

/// Samples per global batch in evaluation: data.test_batch, or the maximum of one pass if that is smaller.
template <class T>
std::int64_t evaluation_batch(const RunContext& run, const Network<T>& network);

/// The rule of a fraction in data.validation; nothing if it names files or is empty. Usage error if the fraction is not between 0 and 1.
std::optional<HeldOut> held_out_rows(const Deck& deck);

template <class T>
class TestEvaluation {
 public:
  /// Opens the data, and warns if they contain rows of the training data. `what`: "test" or "validation". `run` and `state` must outlive the object.
  /// Collective; throws data errors.
  TestEvaluation(RunContext& run, TrainState<T>& state, const DataSet& training, const std::string& what = "test");

  bool exists() const { return evaluator_.has_value(); }
  const std::optional<DataSet>& data() const { return data_; }
  std::int64_t memory() const { return evaluator_ ? evaluator_->data_memory() : 0; }  // maximum bytes of rows
  /// Whether an evaluation is due after epoch number `epoch`, counted from 1; `last`: the run ends there.
  bool is_due(std::int64_t epoch, bool last) const { return evaluator_ && (epoch % every_ == 0 || last); }
  /// Whether `epoch` is the first epoch with a periodic evaluation.
  bool is_first(std::int64_t epoch) const { return epoch == every_; }

  /// Evaluates the average of the parameters if there is one, else the parameters. Returns nothing if `stop` returns true on any rank between two batches.
  /// Collective; throws data errors, and then leaves the parameters unchanged.
  const std::optional<Metrics>& run(const std::function<bool()>& stop);
  /// Names of the metrics that run() reports, as far as they are known before.
  std::vector<std::string> metric_names() const;
  /// The result of the last run().
  const std::optional<Metrics>& metrics() const { return metrics_; }
  /// The reason why the loss in metrics() is not finite; empty if it is finite or nothing was evaluated.
  std::string fault() const { return metrics_ ? evaluator_->fault_of(*metrics_) : std::string(); }
  /// Whether metrics() belong to the current parameters.
  bool is_current() const { return measured_step_ == state_.progress().step; }

 private:
  RunContext& run_;
  TrainState<T>& state_;
  std::string what_;
  std::int64_t every_;  // epochs between evaluations
  std::optional<DataSet> data_;
  std::optional<Evaluator<T>> evaluator_;
  std::optional<Metrics> metrics_;
  std::int64_t measured_step_ = -1;
};

}  // namespace trireme
