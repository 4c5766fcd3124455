#include "support/counted_mpi.hpp"

#include <mpi.h>

namespace {

bool counting = false;
std::map<std::pair<std::string, std::string>, trireme::test::CountedMpi::Count> counts;

void count(MPI_Comm comm, const char* call, std::int64_t elements, MPI_Datatype type) {
  if (!counting) return;
  char name[MPI_MAX_OBJECT_NAME] = "";
  int length = 0, size = 0;
  PMPI_Comm_get_name(comm, name, &length);
  PMPI_Type_size(type, &size);
  auto& counted = counts[{name, call}];
  ++counted.calls;
  counted.bytes += elements * size;
}

int rank_in(MPI_Comm comm) {
  int rank = 0;
  PMPI_Comm_rank(comm, &rank);
  return rank;
}

std::int64_t of_ranks(MPI_Comm comm, const int* each, bool others_only) {
  int size = 0;
  PMPI_Comm_size(comm, &size);
  std::int64_t total = 0;
  for (int r = 0; r < size; ++r)
    if (!others_only || r != rank_in(comm)) total += each[r];
  return total;
}

}  // namespace

extern "C" {

int MPI_Send(const void* b, int n, MPI_Datatype t, int to, int tag, MPI_Comm c) {
  count(c, "Send", n, t);
  return PMPI_Send(b, n, t, to, tag, c);
}
int MPI_Isend(const void* b, int n, MPI_Datatype t, int to, int tag, MPI_Comm c, MPI_Request* r) {
  count(c, "Isend", n, t);
  return PMPI_Isend(b, n, t, to, tag, c, r);
}
int MPI_Irecv(void* b, int n, MPI_Datatype t, int from, int tag, MPI_Comm c, MPI_Request* r) {
  count(c, "Irecv", n, t);
  return PMPI_Irecv(b, n, t, from, tag, c, r);
}
int MPI_Allreduce(const void* s, void* b, int n, MPI_Datatype t, MPI_Op o, MPI_Comm c) {
  count(c, "Allreduce", n, t);
  return PMPI_Allreduce(s, b, n, t, o, c);
}
int MPI_Iallreduce(const void* s, void* b, int n, MPI_Datatype t, MPI_Op o, MPI_Comm c, MPI_Request* r) {
  count(c, "Iallreduce", n, t);
  return PMPI_Iallreduce(s, b, n, t, o, c, r);
}
int MPI_Ireduce(const void* s, void* b, int n, MPI_Datatype t, MPI_Op o, int root, MPI_Comm c, MPI_Request* r) {
  count(c, "Ireduce", n, t);
  return PMPI_Ireduce(s, b, n, t, o, root, c, r);
}
int MPI_Reduce_scatter(const void* s, void* b, const int* n, MPI_Datatype t, MPI_Op o, MPI_Comm c) {
  count(c, "Reduce_scatter", of_ranks(c, n, false), t);
  return PMPI_Reduce_scatter(s, b, n, t, o, c);
}
int MPI_Ireduce_scatter(const void* s, void* b, const int* n, MPI_Datatype t, MPI_Op o, MPI_Comm c, MPI_Request* r) {
  count(c, "Ireduce_scatter", of_ranks(c, n, false), t);
  return PMPI_Ireduce_scatter(s, b, n, t, o, c, r);
}
int MPI_Bcast(void* b, int n, MPI_Datatype t, int root, MPI_Comm c) {
  count(c, "Bcast", rank_in(c) == root ? n : 0, t);
  return PMPI_Bcast(b, n, t, root, c);
}
int MPI_Ibcast(void* b, int n, MPI_Datatype t, int root, MPI_Comm c, MPI_Request* r) {
  count(c, "Ibcast", rank_in(c) == root ? n : 0, t);
  return PMPI_Ibcast(b, n, t, root, c, r);
}
int MPI_Allgather(const void* s, int n, MPI_Datatype t, void* b, int m, MPI_Datatype u, MPI_Comm c) {
  count(c, "Allgather", m, u);
  return PMPI_Allgather(s, n, t, b, m, u, c);
}
int MPI_Allgatherv(const void* s, int n, MPI_Datatype t, void* b, const int* m, const int* d, MPI_Datatype u, MPI_Comm c) {
  count(c, "Allgatherv", m[rank_in(c)], u);
  return PMPI_Allgatherv(s, n, t, b, m, d, u, c);
}
int MPI_Iallgatherv(const void* s, int n, MPI_Datatype t, void* b, const int* m, const int* d, MPI_Datatype u, MPI_Comm c, MPI_Request* r) {
  count(c, "Iallgatherv", m[rank_in(c)], u);
  return PMPI_Iallgatherv(s, n, t, b, m, d, u, c, r);
}
int MPI_Alltoall(const void* s, int n, MPI_Datatype t, void* b, int m, MPI_Datatype u, MPI_Comm c) {
  int size = 0;
  PMPI_Comm_size(c, &size);
  count(c, "Alltoall", static_cast<std::int64_t>(m) * (size - 1), u);
  return PMPI_Alltoall(s, n, t, b, m, u, c);
}
int MPI_Alltoallv(const void* s, const int* n, const int* d, MPI_Datatype t, void* b, const int* m, const int* e, MPI_Datatype u, MPI_Comm c) {
  count(c, "Alltoallv", of_ranks(c, n, true), t);
  return PMPI_Alltoallv(s, n, d, t, b, m, e, u, c);
}
int MPI_Ialltoallv(const void* s, const int* n, const int* d, MPI_Datatype t, void* b, const int* m, const int* e, MPI_Datatype u, MPI_Comm c, MPI_Request* r) {
  count(c, "Ialltoallv", of_ranks(c, n, true), t);
  return PMPI_Ialltoallv(s, n, d, t, b, m, e, u, c, r);
}

}  // extern "C"

namespace trireme::test {

CountedMpi::CountedMpi() {
  reset();
  counting = true;
}
CountedMpi::~CountedMpi() { counting = false; }

CountedMpi::Count CountedMpi::of(const std::string& communicator, const std::string& call) const {
  const auto found = counts.find({communicator, call});
  return found == counts.end() ? Count{} : found->second;
}
const std::map<std::pair<std::string, std::string>, CountedMpi::Count>& CountedMpi::all() const { return counts; }
void CountedMpi::reset() { counts.clear(); }

}  // namespace trireme::test
