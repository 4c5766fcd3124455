// What of a data set's samples this rank's part of the network takes: its pixels of the input on a pipeline's first stage, its pixels of the targets on
// the last. Nothing else is read from files where it need not be.
#pragma once

#include "network/network.hpp"
#include "train/batch_stager.hpp"

namespace trireme {

template <class T>
StagedPart staged_part(const Network<T>& network, bool augments) {
  return {network.input_box(), network.output_box(), network.place().first_stage(), network.place().last_stage(), augments};
}

/// Tells a stream to read this part alone. `augments`: for training, whose samples may be flipped and cropped before a part of them is taken.
template <class T>
void read_part(BatchStream::Options& options, const Deck& deck, const Network<T>& network, const DataSet& data, bool augments);

/// Samples [first, first + count) of a batch.
HostBatch part_of(const HostBatch& batch, std::int64_t first, std::int64_t count);

}  // namespace trireme
