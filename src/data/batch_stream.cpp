#include "data/batch_stream.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <vector>

#include "base/error.hpp"
#include "base/timer.hpp"
#include "data/row_loader.hpp"
#include "data/window_plan.hpp"

namespace trireme {

namespace {

constexpr std::int64_t usual_chunk_bytes = 1 << 20, usual_window_bytes = 32 << 20;
/// Rows of a window lie scattered for a batch: their first bytes are asked for some rows ahead of the copy.
constexpr std::size_t prefetch_rows = 4;
constexpr std::int64_t prefetch_bytes = 1024;
/// A smaller share than this is copied together by next() itself: waking another thread costs as much.
constexpr std::int64_t least_ahead_bytes = 256 << 10;

Planner make_planner(const DataSet& data, const BatchStream::Options& o, bool cached) {
  if (o.batch <= 0 || o.ranks <= 0 || o.rank < 0 || o.rank >= o.ranks || o.slots <= 0)
    throw internal_error("BatchStream: batch {}, rank {} of {}, {} slots", o.batch, o.rank, o.ranks, o.slots);
  const std::int64_t row_bytes = std::max<std::int64_t>(1, data.feature_bytes() + data.label_bytes());
  // A power of two, because chunks of files mostly are: then few of these are read twice.
  const auto usual_chunk = static_cast<std::int64_t>(
      std::bit_floor(static_cast<std::uint64_t>(std::max<std::int64_t>(1, usual_chunk_bytes / row_bytes))));
  std::int64_t chunk = o.chunk > 0 ? o.chunk : usual_chunk;
  std::int64_t window = o.window > 0 ? o.window : std::max<std::int64_t>(1, usual_window_bytes / row_bytes);
  if (cached) window = chunk = data.size();  // one window: a full shuffle
  if (!o.shuffle) return Planner(data.size(), o.batch, window, o.rank, o.ranks);
  const auto draw = cached ? Sampler::Draw::freely : Sampler::Draw::from_strata;
  return Planner(Sampler(data.starts(), o.batch, chunk, window, o.seed, draw), data.size(), o.batch, o.rank, o.ranks);
}

}  // namespace

struct BatchStream::Impl {
  struct Slot {
    RowBlock rows;
    HostBatch batch;
  };
  struct Place {  // of a batch in the run of epochs
    std::int64_t epoch = 0, index = 0;
    bool operator==(const Place&) const = default;
  };
  using Lock = std::unique_lock<std::mutex>;

  Impl(const DataSet& data_set, IoThread& io_thread, const Options& options)
      : data(data_set),
        io(io_thread),
        feature_bytes(data.feature_bytes()),
        label_bytes(data.label_bytes()),
        cached(data.size() * (feature_bytes + label_bytes) <= options.cache_bytes),
        planner(make_planner(data, options, cached)),
        loader(data),
        ahead(planner.largest_share() * feature_bytes >= least_ahead_bytes),
        slots(static_cast<std::size_t>(options.slots)) {}

  const DataSet& data;
  IoThread& io;
  const std::int64_t feature_bytes, label_bytes;
  const bool cached;  // all rows of planner.reach() are kept in memory, and windows are plans only

  // Touched by whoever has the work in hand (`loading`, `gathering`), one thread at a time. Window number w, counted
  // from the last seek, lies in plans[w % 2] and blocks[w % 2]; cached, blocks[0] holds all rows.
  Planner planner;
  RowLoader loader;
  const bool ahead;  // the I/O thread makes batches, too
  std::array<WindowPlan, 2> plans;
  std::array<RowBlock, 2> blocks;
  bool window_begun = false;  // the rows of the window that is loaded are being read
  bool cache_begun = false, cache_filled = false;

  // All below: under the mutex. Batch number b, counted from the last seek, lies in slots[b % slots.size()].
  std::mutex mutex;
  std::condition_variable changed;
  bool halt = false;         // no new work: seek() or the end
  bool queued = false;       // a pump() is in the I/O thread's queue
  bool loading = false;      // the I/O thread reads or plans
  bool gathering = false;    // some thread copies a batch together
  std::exception_ptr error;  // of the I/O thread

  Place load_at;              // first batch of the window that is loaded next
  std::int64_t loaded = 0;    // windows
  Place gather_at;            // batch that is gathered next
  std::int64_t emptied = 0;   // windows of which all batches were gathered
  std::int64_t gathered = 0;  // batches
  std::int64_t returned = 0;  // batches whose slot may be used again
  std::vector<Slot> slots;

  // The caller's thread only.
  bool sought = false;
  Place give_at;           // batch that next() gives
  std::int64_t given = 0;  // batches
  HostBatch nothing;       // what follows the end of a sequential stream
  double waited = 0;

  bool ended(const Place& at) const { return planner.sequential() && at.index >= planner.batches(); }
  Place after(Place at, std::int64_t batches) const {
    at.index += batches;
    if (planner.sequential()) return at;
    return {at.epoch + at.index / planner.batches(), at.index % planner.batches()};
  }

  bool can_load() const { return !halt && !error && !loading && !ended(load_at) && loaded < emptied + 2; }
  bool can_gather() const {
    return !halt && !gathering && emptied < loaded && gathered - returned < static_cast<std::int64_t>(slots.size());
  }

  void queue_work() {
    if (queued || !(can_load() || (ahead && can_gather()))) return;
    queued = true;
    io.submit([this] { pump(); });
  }

  /// One piece of work on the I/O thread.
  void pump() {
    Lock lock(mutex);
    queued = false;
    if (ahead && can_gather())
      gather(lock);
    else if (can_load())
      load(lock);
    queue_work();
    changed.notify_all();
  }

  void load(Lock& lock) {
    loading = true;
    lock.unlock();
    bool done = false;
    std::exception_ptr caught;
    try {
      done = load_piece();
    } catch (...) {
      caught = std::current_exception();
    }
    lock.lock();
    loading = false;
    if (caught) error = caught;
    if (!done) return;
    window_begun = false;
    load_at = after(load_at, plans[loaded % 2].batches);
    ++loaded;
  }

  /// True when window number `loaded` is whole.
  bool load_piece() {
    if (cached && !cache_filled && !fill_cache_piece()) return false;
    WindowPlan& plan = plans[loaded % 2];
    RowBlock& block = blocks[loaded % 2];
    if (!window_begun) {
      planner.plan(load_at.epoch, load_at.index / planner.batches_per_window(), cached, plan);
      if (cached) return true;
      if (!block.features) block = loader.allocate_to_read(planner.most_rows());
      loader.start(plan.runs, block);
      window_begun = true;
    }
    return loader.step();
  }

  bool fill_cache_piece() {
    if (!cache_begun) {
      blocks[0] = loader.allocate_to_read(planner.reach().count);
      loader.start(planner.reach_as_runs(), blocks[0]);
      cache_begun = true;
    }
    if (!loader.step()) return false;
    loader.close();
    cache_filled = true;
    return true;
  }

  /// Copies the next batch into its slot. Called and left with the lock held.
  void gather(Lock& lock) {
    gathering = true;
    Slot& slot = slots[static_cast<std::size_t>(gathered) % slots.size()];
    const WindowPlan& plan = plans[emptied % 2];
    const RowBlock& from = blocks[cached ? 0 : emptied % 2];
    const Place at = gather_at;
    lock.unlock();
    fill(slot, plan, from, at);
    lock.lock();
    gathering = false;
    ++gathered;
    gather_at = after(at, 1);
    if (at.index + 1 == plan.window * planner.batches_per_window() + plan.batches) ++emptied;
  }

  void fill(Slot& slot, const WindowPlan& plan, const RowBlock& from, const Place& at) const {
    const auto places = plan.places_of(at.index - plan.window * planner.batches_per_window());
    const RowBlock& to = slot.rows;
    for (std::size_t i = 0, end; i < places.size(); i = end) {
      for (end = i + 1; end < places.size() && places[end] == places[end - 1] + 1;) ++end;
      if (end == i + 1 && i + prefetch_rows < places.size()) {
        const std::byte* row = from.features.get() + places[i + prefetch_rows] * feature_bytes;
        for (std::int64_t b = 0; b < std::min(feature_bytes, prefetch_bytes); b += 64) __builtin_prefetch(row + b);
      }
      const auto n = static_cast<std::int64_t>(end - i), at_row = static_cast<std::int64_t>(i);
      const auto copy = [&](std::byte* into, const std::byte* rows, std::int64_t bytes) {
        std::memcpy(into + at_row * bytes, rows + places[i] * bytes, static_cast<std::size_t>(n * bytes));
      };
      copy(to.features.get(), from.features.get(), feature_bytes);
      if (to.classes) std::copy_n(from.classes.get() + places[i], n, to.classes.get() + i);
      if (to.values) copy(to.values.get(), from.values.get(), label_bytes);
    }
    describe(slot.batch, at);
    const auto count = places.size();
    slot.batch.features = {to.features.get(), count * static_cast<std::size_t>(feature_bytes)};
    if (to.classes) slot.batch.classes = {to.classes.get(), count};
    if (to.values) slot.batch.values = {to.values.get(), count * static_cast<std::size_t>(label_bytes)};
  }

  void describe(HostBatch& batch, const Place& at) const {
    const Planner::Size size = planner.size_of_batch(at.index);
    batch.epoch = at.epoch;
    batch.index = at.index;
    batch.global_count = size.global_count;
    batch.first = size.first;
    batch.count = size.count;
    if (planner.sequential()) batch.first_row = planner.reach().first + at.index * planner.rows_per_batch();
  }

  void seek(const Place& asked) {
    const Place to = after(asked, 0);
    Lock lock(mutex);
    if (sought && to == give_at && !error) return;
    halt = true;
    changed.wait(lock, [&] { return !loading && !gathering; });
    const std::int64_t per_window = planner.batches_per_window();
    load_at = {to.epoch, to.index / per_window * per_window};
    gather_at = give_at = to;
    loaded = emptied = gathered = given = returned = 0;
    window_begun = false;
    cache_begun = cache_filled;
    error = nullptr;
    for (Slot& slot : slots)
      if (!slot.rows.features) slot.rows = loader.allocate(planner.largest_share());
    halt = false;
    sought = true;
    queue_work();
  }

  const HostBatch& next() {
    if (!sought) throw internal_error("BatchStream::next() before seek()");
    Lock lock(mutex);
    returned = given;
    if (ended(give_at)) {
      describe(nothing, give_at);
      give_at = after(give_at, 1);
      return nothing;
    }
    while (gathered == given) {
      if (can_gather()) {
        gather(lock);
        continue;
      }
      if (error && !gathering) std::rethrow_exception(error);
      queue_work();
      const Timer timer;
      changed.wait(lock);
      waited += timer.seconds();
    }
    const HostBatch& batch = slots[static_cast<std::size_t>(given) % slots.size()].batch;
    ++given;
    give_at = after(give_at, 1);
    queue_work();
    return batch;
  }

  /// Ends the work on the I/O thread, and closes files there: HDF5 belongs to it.
  void end() {
    {
      Lock lock(mutex);
      halt = true;
      changed.wait(lock, [&] { return !loading && !gathering; });
    }
    io.run([this] { loader.close(); });
  }
};

BatchStream::BatchStream(const DataSet& data, IoThread& io, const Options& options)
    : impl_(std::make_unique<Impl>(data, io, options)) {}
BatchStream::~BatchStream() { impl_->end(); }

std::int64_t BatchStream::batches() const { return impl_->planner.batches(); }
std::int64_t BatchStream::largest_share() const { return impl_->planner.largest_share(); }
void BatchStream::seek(std::int64_t epoch, std::int64_t index) { impl_->seek({epoch, index}); }
const HostBatch& BatchStream::next() { return impl_->next(); }
double BatchStream::waited() const { return impl_->waited; }
std::int64_t BatchStream::bytes_read() const { return impl_->loader.bytes_read(); }

}  // namespace trireme
