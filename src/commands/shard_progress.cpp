#include "commands/shard_progress.hpp"

#include <algorithm>
#include <numeric>

#include "base/log.hpp"
#include "base/text.hpp"

namespace trireme {

namespace {
constexpr double seconds_between_reports = 0.5;
// The longer the command runs, the fewer lines it prints.
double seconds_between_lines(double elapsed) { return std::max(1.0, 0.05 * elapsed); }
}  // namespace

ShardProgress::ShardProgress(const Communicator& comm, std::int64_t total)
    : comm_(comm.duplicate()), total_(total), done_(static_cast<std::size_t>(comm.size()), 0), answered_(done_.size(), 0) {
  answered_[0] = 1;
}

void ShardProgress::add(std::int64_t samples) {
  mine_ += samples;
  if (since_report_.seconds() < seconds_between_reports) return;
  since_report_.reset();
  if (comm_.rank() == 0) {
    done_[0] = mine_;
    hear(false);
    if (stopping_) throw Stopped{};
    show();
    return;
  }
  TRIREME_MPI(MPI_Send(&mine_, 1, MPI_INT64_T, 0, working, comm_.handle()));
  int waiting = 0;
  TRIREME_MPI(MPI_Iprobe(0, verdict, comm_.handle(), &waiting, MPI_STATUS_IGNORE));
  if (!waiting) return;
  TRIREME_MPI(MPI_Recv(nullptr, 0, MPI_BYTE, 0, verdict, comm_.handle(), MPI_STATUS_IGNORE));
  heard_verdict_ = true;
  throw Stopped{};
}

// Rank 0: receives the reports of the other ranks. With `wait`, it waits for one message.
void ShardProgress::hear(bool wait) {
  while (true) {
    int waiting = 1;
    MPI_Status status;
    if (wait)
      TRIREME_MPI(MPI_Probe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm_.handle(), &status));
    else
      TRIREME_MPI(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm_.handle(), &waiting, &status));
    if (!waiting) return;
    wait = false;
    TRIREME_MPI(
        MPI_Recv(&done_[static_cast<std::size_t>(status.MPI_SOURCE)], 1, MPI_INT64_T, status.MPI_SOURCE, status.MPI_TAG, comm_.handle(), MPI_STATUS_IGNORE));
    if (status.MPI_TAG != working) ++ended_;
    if (status.MPI_TAG == failing) send_verdict(true);
  }
}

void ShardProgress::send_verdict(bool stop) {
  stopping_ = stopping_ || stop;
  for (std::size_t rank = 0; rank < answered_.size(); ++rank) {
    if (answered_[rank]) continue;
    TRIREME_MPI(MPI_Send(nullptr, 0, MPI_BYTE, static_cast<int>(rank), verdict, comm_.handle()));
    answered_[rank] = 1;
  }
}

void ShardProgress::finish(bool failed) {
  if (comm_.rank() != 0) {
    TRIREME_MPI(MPI_Send(&mine_, 1, MPI_INT64_T, 0, failed ? failing : succeeded, comm_.handle()));
    if (!heard_verdict_) TRIREME_MPI(MPI_Recv(nullptr, 0, MPI_BYTE, 0, verdict, comm_.handle(), MPI_STATUS_IGNORE));
    return;
  }
  done_[0] = mine_;
  if (failed) send_verdict(true);
  while (ended_ < comm_.size() - 1) {
    hear(true);
    if (since_report_.seconds() < seconds_between_reports) continue;
    since_report_.reset();
    if (!stopping_) show();
  }
  send_verdict(false);
}

void ShardProgress::show() {
  if (since_line_.seconds() < seconds_between_lines(since_start_.seconds())) return;
  since_line_.reset();
  const std::int64_t done = std::accumulate(done_.begin(), done_.end(), std::int64_t{0});
  if (done == 0) {
    log::info("  reading the source");
    return;
  }
  const double rate = static_cast<double>(done) / since_start_.seconds();
  log::info("  {:3.0f} %  {} of {} samples, {:.0f} samples/s, {} left", 100.0 * static_cast<double>(done) / static_cast<double>(total_), done, total_, rate,
            human_seconds(static_cast<double>(total_ - done) / rate));
}

}  // namespace trireme
