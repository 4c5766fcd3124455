#include "train/quality.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "base/error.hpp"
#include "base/text.hpp"
#include "config/key_spec.hpp"
#include "optim/schedule.hpp"

namespace trireme {

namespace {

const bool keys_are_known = add_deck_keys(
    {key("train.best", KeySpec::Type::text, "",
         "Metric whose best value, over the evaluations at the ends of epochs, decides which checkpoint is kept as checkpoints/best.h5: loss, accuracy, mae, "
         "r2... "
         "(docs/metrics.md). Lower is better for loss and errors, higher for the others; min:NAME and max:NAME say it. It is taken on data.validation, or on "
         "data.test without it. checkpoint.keep never removes best.h5. Empty: off."),
     number("train.patience", KeySpec::Type::integer, "0", at_least(0),
            "Early stopping: the run ends, with exit code 0, when this many evaluations in a row have not improved train.best. 0: off."),
     key("train.target", KeySpec::Type::text, "",
         "METRIC>=VALUE or METRIC<=VALUE: the run ends, with exit code 0, at the first evaluation that meets it, and prints the seconds, steps and samples "
         "until then (time to quality). Example: accuracy>=0.97. Empty: off.")});

constexpr auto lower_names =
    std::to_array<std::string_view>({"loss", "mae", "mse", "rmse", "error", "nll", "relative_l2", "relative_h1", "perplexity", "crps"});
constexpr auto higher_names =
    std::to_array<std::string_view>({"accuracy", "top5", "precision", "recall", "f1", "r2", "auroc", "iou", "mean_iou", "dice", "acc", "psnr", "ssim"});

/// NaN: the metric has no value. NAME.METRIC is a metric of one of several losses. Usage error if the evaluation does not report the metric.
double number_of(const nlohmann::json& metrics, const std::string& name) {
  const auto dot = name.find('.');
  const auto found = metrics.find(name.substr(0, dot));
  if (found == metrics.end()) throw usage_error("evaluations report no metric '{}' (train.best, train.target). Hint: they are {}", name, metrics.dump());
  if (dot != name.npos && found->is_object()) return number_of(*found, name.substr(dot + 1));
  return found->is_number() ? found->get<double>() : std::nan("");
}

}  // namespace

QualityMetric QualityMetric::parse(const std::string& text, const std::string& what) {
  const bool least = text.starts_with("min:"), most = text.starts_with("max:");
  const std::string name(trim(std::string_view(text).substr(least || most ? 4 : 0)));
  if (name.empty()) throw usage_error("{} = {}: expected the name of a metric, such as loss or accuracy", what, text);
  if (least || most) return {name, most};
  const std::string kind = name.substr(name.rfind('.') + 1);  // of one of several losses: NAME.METRIC
  if (std::ranges::find(lower_names, kind) != lower_names.end()) return {name, false};
  if (std::ranges::find(higher_names, kind) != higher_names.end()) return {name, true};
  throw usage_error("{} = {}: it is not known whether more of this metric is better. Hint: write max:{} or min:{}", what, text, name, name);
}

Quality::Quality(const Deck& deck, bool validates, bool tests) : source_(validates ? "validation" : "test"), patience_(deck.integer("train.patience")) {
  const std::string &best = deck.text("train.best"), &target = deck.text("train.target");
  if (!best.empty()) best_ = QualityMetric::parse(best, "train.best");
  if (patience_ > 0 && !best_)
    throw usage_error("train.patience = {} needs train.best, which is empty. Hint: name the metric that must improve, such as train.best = loss", patience_);
  if (!target.empty()) {
    const auto at = std::min(target.find(">="), target.find("<="));
    if (at == target.npos || trim(target.substr(0, at)).empty())
      throw usage_error("train.target = {}: expected METRIC>=VALUE or METRIC<=VALUE, as in accuracy>=0.97 or loss<=0.1", target);
    target_ = std::string(trim(target.substr(0, at)));
    target_at_least_ = target[at] == '>';
    target_value_ = parse_real(std::string(trim(target.substr(at + 2))), "train.target");
  }
  if (schedule_kind(deck).follows_evaluations) {
    plateau_ = best_ ? *best_ : QualityMetric{"loss", false};
    tolerated_ = deck.integer("schedule.patience");
    cooldown_ = deck.integer("schedule.cooldown");
    threshold_ = deck.real("schedule.threshold");
    gamma_ = deck.real("schedule.gamma");
    least_ = deck.real("schedule.final");
    if (gamma_ >= 1) throw usage_error("schedule.kind = plateau needs schedule.gamma < 1; found {}", gamma_);
  }
  if (!wanted()) return;
  const char* const asker = best_ ? "train.best" : target_ ? "train.target" : "schedule.kind = plateau";
  if (!validates && !tests)
    throw usage_error(
        "{} needs evaluations, and the deck has none. Hint: set data.validation (a folder, files, or a fraction of data.train such as 0.1), and "
        "train.evaluate_every above 0",
        asker);
  const std::string& mode = deck.text("task.mode");
  if ((patience_ > 0 || target_) && (mode == "average" || mode == "tournament"))
    throw usage_error("{} and task.mode = {} exclude each other: a task that ends early would not meet the others again. Hint: use task.mode = independent",
                      patience_ > 0 ? "train.patience" : "train.target", mode);
}

void Quality::require_metrics(const std::vector<std::string>& names) const {
  const auto require = [&](const std::string& name, const char* what) {
    if (std::ranges::find(names, name) == names.end())
      throw usage_error("{}: evaluations of this network and loss have no metric '{}'. Hint: {}they have {}", what, name, did_you_mean(name, names),
                        fmt::join(names, ", "));
  };
  if (best_) require(best_->name, "train.best");
  if (target_) require(*target_, "train.target");
}

Quality::Verdict Quality::observe(const nlohmann::json& metrics, std::int64_t step, QualityState& state) const {
  Verdict verdict;
  if (!wanted() || state.evaluated_step >= step) return verdict;
  state.evaluated_step = step;
  if (best_) {
    const double value = number_of(metrics, best_->name);
    verdict.improved = std::isfinite(value) && (state.best_step < 0 || best_->better(value, state.best));
    if (verdict.improved)
      state.best = value, state.best_step = step, state.without = 0;
    else
      ++state.without;
  }
  if (target_ && (state.target_step < 0 || !meets_target(state.target))) {
    const double value = number_of(metrics, *target_);
    verdict.reached = meets_target(value);
    if (verdict.reached) state.target = value, state.target_step = step;
  }
  if (plateau_) verdict.reduced = observe_plateau(number_of(metrics, plateau_->name), state);
  return verdict;
}

// As ReduceLROnPlateau.step with threshold_mode = rel.
bool Quality::observe_plateau(double value, QualityState& state) const {
  const double bound = plateau_->higher ? state.plateau_best * (1 + threshold_) : state.plateau_best * (1 - threshold_);
  if (std::isfinite(value) && (state.plateau_seen == 0 || plateau_->better(value, bound)))
    state.plateau_best = value, state.plateau_seen = 1, state.plateau_bad = 0;
  else
    ++state.plateau_bad;
  if (state.plateau_cooldown > 0) --state.plateau_cooldown, state.plateau_bad = 0;
  if (state.plateau_bad <= tolerated_) return false;
  const double before = state.plateau_factor;
  state.plateau_factor = std::max(before * gamma_, std::min(before, least_));
  state.plateau_cooldown = cooldown_;
  state.plateau_bad = 0;
  return state.plateau_factor != before;
}

std::string Quality::end_reason(const QualityState& state) const {
  if (target_ && state.target_step >= 0 && meets_target(state.target)) return "target reached: " + target_text(state);
  if (best_ && patience_ > 0 && state.without >= patience_)
    return fmt::format("stopped early: {} evaluation(s) did not improve {}{}", state.without, best_text(state),
                       state.best_step >= 0 ? fmt::format(" of step {}", state.best_step) : "");
  return {};
}

std::string Quality::best_text(const QualityState& state) const {
  return state.best_step < 0 ? fmt::format("{} {}", source_, best_->name) : fmt::format("{} {} {:.6g}", source_, best_->name, state.best);
}

std::string Quality::target_text(const QualityState& state) const {
  return fmt::format("{} {} {:.6g} {} {:.6g}", source_, *target_, state.target, target_at_least_ ? ">=" : "<=", target_value_);
}

nlohmann::json Quality::target_json(const QualityState& state) const {
  return {{"data", source_}, {"metric", *target_}, {"value", state.target}, {"wanted", target_value_}};
}

nlohmann::json Quality::best_json(const QualityState& state) const {
  return {{"data", source_}, {"metric", best_->name}, {"value", state.best}, {"step", state.best_step}};
}

std::string Quality::warning() const {
  if (source_ != "test" || !(best_ || plateau_)) return {};
  return fmt::format("{} decides by data.test, so the test results are no longer independent. Hint: set data.validation, such as 0.1 for a tenth of data.train",
                     best_ ? "train.best" : "schedule.kind = plateau");
}

}  // namespace trireme
