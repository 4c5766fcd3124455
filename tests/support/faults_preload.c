/* Makes system calls on files fail, for tests of what a run does about it. Loaded through LD_PRELOAD; says nothing and costs nothing without TRIREME_FAULTS.

   TRIREME_FAULTS = RULE;RULE...    RULE = CALL@MATCH:FIELD:FIELD...
     CALL    open, read, write, fsync or rename: the family (open64, openat, pread, pwrite, fdatasync, renameat...); or any of these;
             list: a folder is opened to be listed
     MATCH   a part of the file's path (rename: of either path)
     FIELD   an errno by name (ENOSPC, EIO, ESTALE, EROFS, EDQUOT, EACCES, ENOENT): the call fails so
             short        the call writes or reads half of what was asked, and says so
             delay=MS     the call takes that much longer
             kill, stop   the process sends itself SIGKILL, or SIGSTOP
             flip         a write's bytes go to the disk with one bit changed, and the call succeeds
             nth=N        from the N-th matching call of this process on (default 1)
             count=N      for so many calls (default: for ever)
             rank=R       only in the process whose PMI_RANK (PMIX_RANK, SLURM_PROCID, OMPI_COMM_WORLD_RANK) is R
             file=PATH    only while a file stands under PATH
   Several processes count each for itself. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum { most_rules = 16 };
enum call { call_open = 1, call_read = 2, call_write = 4, call_fsync = 8, call_rename = 16, call_list = 32 };

struct rule {
  int calls, number, half, kills, flips;
  long nth, count, seen, delay;
  char match[256], file[256];
};

static struct rule rules[most_rules];
static int rule_count = -1;

static int errno_of(const char* name) {
  static const struct {
    const char* name;
    int number;
  } known[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO}, {"ESTALE", ESTALE}, {"EROFS", EROFS}, {"EDQUOT", EDQUOT}, {"EACCES", EACCES}, {"ENOENT", ENOENT}};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; ++i)
    if (strcmp(known[i].name, name) == 0) return known[i].number;
  return 0;
}

static int my_rank(void) {
  static const char* const names[] = {"PMI_RANK", "PMIX_RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
    const char* const value = getenv(names[i]);
    if (value) return atoi(value);
  }
  return 0;
}

static void parse(char* text) {
  rule_count = 0;
  char *rest = NULL, *inner = NULL;
  for (char* word = strtok_r(text, ";", &rest); word && rule_count < most_rules; word = strtok_r(NULL, ";", &rest)) {
    struct rule* const rule = &rules[rule_count];
    memset(rule, 0, sizeof *rule);
    rule->nth = 1, rule->count = -1;
    char* const head = strtok_r(word, ":", &inner);
    char* const at = head ? strchr(head, '@') : NULL;
    int here = 1;
    if (!at) {
      fprintf(stderr, "faults: '%s' is no rule\n", word);
      abort();
    }
    *at = 0;
    snprintf(rule->match, sizeof rule->match, "%s", at + 1);
    static const struct {
      const char* name;
      int calls;
    } known[] = {{"open", call_open}, {"read", call_read}, {"write", call_write}, {"fsync", call_fsync}, {"rename", call_rename},
                 {"list", call_list}, {"any", 31}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; ++i)
      if (strcmp(known[i].name, head) == 0) rule->calls = known[i].calls;
    for (char* field = strtok_r(NULL, ":", &inner); field; field = strtok_r(NULL, ":", &inner)) {
      if (strcmp(field, "short") == 0)
        rule->half = 1;
      else if (strcmp(field, "kill") == 0)
        rule->kills = SIGKILL;
      else if (strcmp(field, "stop") == 0)
        rule->kills = SIGSTOP;
      else if (strcmp(field, "flip") == 0)
        rule->flips = 1;
      else if (strncmp(field, "nth=", 4) == 0)
        rule->nth = atol(field + 4);
      else if (strncmp(field, "count=", 6) == 0)
        rule->count = atol(field + 6);
      else if (strncmp(field, "delay=", 6) == 0)
        rule->delay = atol(field + 6);
      else if (strncmp(field, "rank=", 5) == 0)
        here = atoi(field + 5) == my_rank();
      else if (strncmp(field, "file=", 5) == 0)
        snprintf(rule->file, sizeof rule->file, "%s", field + 5);
      else if ((rule->number = errno_of(field)) == 0) {
        fprintf(stderr, "faults: '%s' is no field\n", field);
        abort();
      }
    }
    if (here) ++rule_count;
  }
}

/* What shall happen to this call: NULL, or the rule. Kills and delays are done here. */
static const struct rule* strike(int call, const char* path, const char* other) {
  if (rule_count < 0) {
    const char* const text = getenv("TRIREME_FAULTS");
    parse(strdup(text ? text : ""));
  }
  for (int i = 0; i < rule_count; ++i) {
    struct rule* const rule = &rules[i];
    if (!(rule->calls & call)) continue;
    if (!strstr(path, rule->match) && !(other && strstr(other, rule->match))) continue;
    if (rule->file[0] && access(rule->file, F_OK) != 0) continue;
    const long seen = __atomic_add_fetch(&rule->seen, 1, __ATOMIC_SEQ_CST);
    if (seen < rule->nth || (rule->count >= 0 && seen >= rule->nth + rule->count)) continue;
    if (rule->delay > 0) {
      const struct timespec time = {rule->delay / 1000, rule->delay % 1000 * 1000000};
      nanosleep(&time, NULL);
    }
    if (rule->kills) kill(getpid(), rule->kills);
    if (rule->number || rule->half || rule->flips) return rule;
  }
  return NULL;
}

static const struct rule* strike_descriptor(int call, int descriptor) {
  if (rule_count == 0) return NULL;
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0) return NULL;
  path[size] = 0;
  return strike(call, path, NULL);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL(rule)                \
  if ((rule) && (rule)->number) { \
    errno = (rule)->number;       \
    return -1;                    \
  }

static size_t cut(const struct rule* rule, size_t size) { return rule && rule->half && size > 1 ? size / 2 : size; }

#define READ(name, arguments, ...)                                    \
  ssize_t name arguments {                                            \
    const struct rule* const rule = strike_descriptor(call_read, fd); \
    FAIL(rule)                                                        \
    size = cut(rule, size);                                           \
    return NEXT(name)(__VA_ARGS__);                                   \
  }
READ(read, (int fd, void* data, size_t size), fd, data, size)
READ(pread, (int fd, void* data, size_t size, off_t at), fd, data, size, at)
READ(pread64, (int fd, void* data, size_t size, off64_t at), fd, data, size, at)

#define WRITE(name, arguments, ...)                                    \
  ssize_t name arguments {                                             \
    const struct rule* const rule = strike_descriptor(call_write, fd); \
    FAIL(rule)                                                         \
    size = cut(rule, size);                                            \
    char* changed = NULL;                                              \
    if (rule && rule->flips && size > 0) {                             \
      changed = malloc(size);                                          \
      memcpy(changed, data, size);                                     \
      changed[size / 2] ^= 4;                                          \
      data = changed;                                                  \
    }                                                                  \
    const ssize_t put = NEXT(name)(__VA_ARGS__);                       \
    free(changed);                                                     \
    return put;                                                        \
  }
WRITE(write, (int fd, const void* data, size_t size), fd, data, size)
WRITE(pwrite, (int fd, const void* data, size_t size, off_t at), fd, data, size, at)
WRITE(pwrite64, (int fd, const void* data, size_t size, off64_t at), fd, data, size, at)

#define SYNC(name)                                                     \
  int name(int fd) {                                                   \
    const struct rule* const rule = strike_descriptor(call_fsync, fd); \
    FAIL(rule)                                                         \
    return NEXT(name)(fd);                                             \
  }
SYNC(fsync)
SYNC(fdatasync)

#define OPEN(name, parameters, before, path)                                                      \
  int name parameters {                                                                           \
    mode_t mode = 0;                                                                              \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                          \
      va_list list;                                                                               \
      va_start(list, flags);                                                                      \
      mode = va_arg(list, mode_t);                                                                \
      va_end(list);                                                                               \
    }                                                                                             \
    const struct rule* const rule = strike(call_open, path, NULL);                                \
    FAIL(rule)                                                                                    \
    const struct rule* const listed = flags & O_DIRECTORY ? strike(call_list, path, NULL) : NULL; \
    FAIL(listed)                                                                                  \
    return NEXT(name)(before path, flags, mode);                                                  \
  }
#define FOLDER folder,
OPEN(open, (const char* path, int flags, ...), , path)
OPEN(open64, (const char* path, int flags, ...), , path)
OPEN(openat, (int folder, const char* path, int flags, ...), FOLDER, path)
OPEN(openat64, (int folder, const char* path, int flags, ...), FOLDER, path)

DIR* opendir(const char* path) {
  const struct rule* const rule = strike(call_list, path, NULL);
  if (rule && rule->number) {
    errno = rule->number;
    return NULL;
  }
  return NEXT(opendir)(path);
}

int rename(const char* from, const char* to) {
  const struct rule* const rule = strike(call_rename, from, to);
  FAIL(rule)
  return NEXT(rename)(from, to);
}
int renameat(int from_folder, const char* from, int to_folder, const char* to) {
  const struct rule* const rule = strike(call_rename, from, to);
  FAIL(rule)
  return NEXT(renameat)(from_folder, from, to_folder, to);
}
