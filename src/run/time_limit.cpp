#include "run/time_limit.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>

#include "base/error.hpp"
#include "base/log.hpp"

namespace trireme {

namespace {

double wall_clock() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

const double process_start = TimeLimit::now();
// The scheduler's limit refers to the wall clock, which may be changed during a run: read it only once.
const double wall_clock_at_start = wall_clock();

std::optional<double> end_of_job() {
  const char* text = std::getenv("SLURM_JOB_END_TIME");
  if (text == nullptr || *text == '\0') return {};
  char* end = nullptr;
  const double when = std::strtod(text, &end);
  if (*end != '\0' || !std::isfinite(when)) {
    log::warn("SLURM_JOB_END_TIME = '{}' is not a number of seconds since 1970: the end of this job is unknown", text);
    return {};
  }
  if (when <= wall_clock_at_start) {  // a shell that outlived the job in which it was started
    log::warn("SLURM_JOB_END_TIME = {} had passed before this run started; it is ignored", text);
    return {};
  }
  return process_start + (when - wall_clock_at_start);
}

/// Seconds between start and end of the job, if the scheduler provides both.
std::optional<double> length_of_job() {
  const char* const begin = std::getenv("SLURM_JOB_START_TIME");
  const char* const end = std::getenv("SLURM_JOB_END_TIME");
  if (begin == nullptr || end == nullptr || *begin == '\0' || *end == '\0') return {};
  char *begin_rest = nullptr, *end_rest = nullptr;
  const double length = std::strtod(end, &end_rest) - std::strtod(begin, &begin_rest);
  if (*begin_rest != '\0' || *end_rest != '\0' || !std::isfinite(length) || length <= 0) return {};
  return length;
}

}  // namespace

double TimeLimit::now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

TimeLimit::TimeLimit(double limit, double margin, double guess) : margin_(margin), checkpoint_(guess), end_(end_of_job()) {
  if (limit > 0 && limit <= margin)
    throw usage_error(
        "run.time_limit = {} is not larger than run.time_margin = {}, so each start would make one step and stop. Hint: set a longer limit or "
        "a smaller margin",
        limit, margin);
  const auto length = length_of_job();
  if (length && *length <= margin)
    throw usage_error(
        "this job lasts {:.0f} s (SLURM_JOB_START_TIME to SLURM_JOB_END_TIME), not longer than run.time_margin = {}, so each start would make "
        "one step and stop. Hint: request a longer job, or set a smaller run.time_margin",
        *length, margin);
  if (limit > 0) end_ = std::min(process_start + limit, end_.value_or(process_start + limit));
}

bool TimeLimit::near(double now) {
  if (looked_) longest_ = std::max(longest_, now - *looked_);
  looked_ = now;
  near_ = near_ || (end_ && left(now) <= needed());
  return near_;
}

void TimeLimit::checkpoint_took(double seconds) {
  checkpoint_ = measured_ ? std::max(checkpoint_, seconds) : seconds;
  measured_ = true;
}

}  // namespace trireme
