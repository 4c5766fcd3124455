/* Gives the core away while MPI waits: for tests with more ranks than cores, never for timings.

   MPICH over UCX polls without end. Where ranks share a core, the one that has work waits until the scheduler takes the core
   from those that have none: tens of milliseconds a collective. Loaded through LD_PRELOAD, this file's ucp_worker_progress
   stands before UCX's own: a poll that found nothing to do is counted, and after some such polls in a row the thread yields,
   later sleeps a moment. With an MPI that does not use UCX nothing calls it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sched.h>
#include <time.h>

enum { polls_before_yield = 50, polls_before_sleep = 5000, sleep_nanoseconds = 20000 };

typedef unsigned (*progress_function)(void* worker);

unsigned ucp_worker_progress(void* worker) {
  static _Thread_local progress_function next;
  static _Thread_local unsigned idle;
  if (!next) *(void**)&next = dlsym(RTLD_NEXT, "ucp_worker_progress");

  const unsigned events = next(worker);
  if (events != 0) {
    idle = 0;
  } else if (++idle > polls_before_sleep) {
    const struct timespec moment = {0, sleep_nanoseconds};
    nanosleep(&moment, NULL);
  } else if (idle > polls_before_yield) {
    sched_yield();
  }
  return events;
}
