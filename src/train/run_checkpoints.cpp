#include "train/run_checkpoints.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/log.hpp"
#include "train/standardization.hpp"

namespace trireme {

template <class T>
Snapshot<T> RunCheckpoints<T>::snapshot() {
  auto taken = with_moments(parts_.state.snapshot(), parts_.loader.data().names());
  const Fingerprint& fingerprint = parts_.restore.fingerprint();
  taken.content.integers.insert(fingerprint.begin(), fingerprint.end());
  return taken;
}

template <class T>
void RunCheckpoints<T>::prepare() {
  parts_.files.checkpoints().prepare(snapshot().arrays);
}

template <class T>
void RunCheckpoints<T>::write() {
  CheckpointManager& writer = parts_.files.checkpoints();
  const std::int64_t step = parts_.state.progress().step;
  parts_.stop.checkpoint_began();
  if (last_step_ == step) {
    // If a run was killed between a checkpoint and this call, one checkpoint too many is left.
    if (parts_.run.is_root()) writer.remove_old(step);
    return;
  }
  const Timer timer;
  {
    const Trace::Phase phase = parts_.profiler.phase(RunPhase::checkpoint);
    const auto taken = snapshot();
    writer.write(step, taken.arrays, taken.fill, taken.content, timer);
  }
  last_step_ = step;
  parts_.recorder.count_pause(timer.seconds());
  parts_.stop.checkpoint_took(std::max(timer.seconds(), writer.last_seconds()));  // until the file has its final name, not only the copy
}

template <class T>
void RunCheckpoints<T>::write_best() {
  write();
  const Timer timer;
  parts_.files.checkpoints().finish(false);
  if (parts_.run.is_root()) parts_.files.checkpoints().keep_as_best(parts_.state.progress().step);
  parts_.recorder.count_pause(timer.seconds());
}

template <class T>
void RunCheckpoints<T>::write_after_error() {
  try {
    write();
    finish();
  } catch (const Error& error) {
    if (parts_.run.is_root()) log::warn("{}", error.what());
  }
}

template class RunCheckpoints<float>;
template class RunCheckpoints<double>;

}  // namespace trireme
