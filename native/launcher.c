/*
 * The CNI executable. It hands the request to the running flanneld, or else becomes the stand-alone
 * program: the same verbs, in a process of their own. docs/launcher-protocol.md tells the rules.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "connection.h"
#include "request.h"
#include "runtime.h"
#include "work.h"

enum { ACCEPT_MS = 5000, WORK_MS = 60000 };

/* CNI specification 1.1.0, section "Error"; 100 and above are the plugin's own. */
enum { CNI_IO_FAILURE = 5, CNI_TRY_AGAIN_LATER = 11, FLANNEL_RUNTIME_MISSING = 100 };

static void print_string(const char *text) {
  putchar('"');
  for (; *text != 0; text++) {
    unsigned char c = (unsigned char)*text;
    if (c == '"' || c == '\\') printf("\\%c", c);
    else if (c < 0x20 || c > 0x7e) printf("\\u%04x", c);
    else putchar(c);
  }
  putchar('"');
}

/* The error as CNI wants it: JSON on standard output. Answers the exit status. */
static int cni_error(int code, const char *message, const char *details) {
  printf("{\"cniVersion\":\"1.1.0\",\"code\":%d,\"msg\":", code);
  print_string(message);
  printf(",\"details\":");
  print_string(details);
  printf("}\n");
  return 1;
}

static bool write_all(int fd, const uint8_t *data, size_t length) {
  while (length > 0) {
    ssize_t written = write(fd, data, length);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    data += written;
    length -= (size_t)written;
  }
  return true;
}

/* How far a conversation with the daemon got. */
enum outcome {
  UNDECIDED,
  NOT_STARTED, /* nothing has happened and nothing will: the stand-alone program may do it all */
  UNKNOWN,     /* the daemon has begun and no reply came */
  REPLIED,
};

/* Where the daemon has not begun by now it never will: who reads the claim first has it. */
static void decide(struct connection *connection, const struct request *request, int work_timeout, enum outcome *outcome) {
  uint64_t claim;
  if (*outcome != UNDECIDED) return;
  *outcome = read(request->claim, &claim, sizeof claim) == sizeof claim ? NOT_STARTED : UNKNOWN;
  /* No new beginning: what is not done by then the daemon may take for left behind. */
  if (*outcome == UNKNOWN) connection_extend(connection, work_timeout);
}

/* Prints a reply and sets the exit status; false: it is no reply. */
static bool print_reply(const uint8_t *reply, size_t length, int *status) {
  if (length < 8) return false;
  uint32_t exit_status = get_u32(reply), output = get_u32(reply + 4);
  const uint8_t *text = reply + 8;
  size_t rest = length - 8;
  if (output > rest) return false;
  *status = exit_status > 255 ? 1 : (int)exit_status;
  write_all(STDERR_FILENO, text + output, rest - output);
  if (!write_all(STDOUT_FILENO, text, output)) *status = 1;
  return true;
}

/* The CPUs that this process was given; only once it has left one of them. */
static cpu_set_t given;
static bool left;

/*
 * What comes ahead comes from a daemon that works on meanwhile. The kernel may wake this process on that very CPU although others
 * sleep: in a virtual machine it takes those for busy. Then it is time to go elsewhere.
 */
static void leave_to_daemon(int cpu) {
  if (left || sched_getcpu() != cpu || sched_getaffinity(0, sizeof given, &given) != 0 || CPU_COUNT(&given) < 2) return;
  cpu_set_t others = given;
  CPU_CLR(cpu, &others);
  left = sched_setaffinity(0, sizeof others, &others) == 0;
}

static void return_to_given_cpus(void) {
  if (left) sched_setaffinity(0, sizeof given, &given);
}

static bool send_request(struct connection *connection, const struct request *request) {
  const int doors[MAX_DESCRIPTORS] = {request->claim, request->netlink};
  return connection_send(connection, request->frame, request->length, doors, request->netlink >= 0 ? 2 : 1);
}

static void note(struct connection *connection, const char *what) {
  snprintf(connection->why, sizeof connection->why, "%s", what);
}

static void note_not_mine(struct connection *connection, const struct frame *frame) {
  int most = frame->length > sizeof connection->why ? (int)sizeof connection->why : (int)frame->length;
  snprintf(connection->why, sizeof connection->why, "it answered: not mine: %.*s", most, (const char *)frame->payload);
}

/*
 * Does what is left and prints the reply that came with it, if any; only then is the daemon told, which undoes what nobody
 * was told of. False: there is nothing more to hear, and the outcome says how it ended.
 */
static bool finish(struct connection *connection, struct worker *worker, const struct frame *frame, int *status,
                   enum outcome *outcome) {
  struct work work;
  if (!work_read(frame->payload, frame->length, &work) || !work_do(worker, work.script, connection)) {
    note(connection, "it sent work that makes no sense");
    return false;
  }
  struct done done = work_done(worker);
  bool printed = done.whole && work.reply.length > 0 && print_reply(work.reply.bytes, work.reply.length, status);
  if (printed) *outcome = REPLIED;
  bool told = (printed && *status != 0) || connection_send(connection, done.frame, done.length, NULL, 0);
  return told && !printed;
}

/* Does a script that comes ahead of others. False: it makes no sense. */
static bool begin(struct connection *connection, struct worker *worker, const struct frame *frame) {
  enum { CPU = 4 };
  if (frame->length >= CPU) {
    leave_to_daemon((int)get_u32(frame->payload));
    if (work_do(worker, (struct section){frame->payload + CPU, frame->length - CPU}, connection)) return true;
  }
  note(connection, "it sent work that makes no sense");
  return false;
}

static enum outcome converse(struct connection *connection, const struct request *request, int work_timeout, int *status) {
  enum outcome outcome = UNDECIDED;
  struct worker worker = work_begin(request->home, request->netns, request->netlink);
  bool talking = send_request(connection, request);
  while (talking) {
    struct frame frame;
    bool received = connection_receive(connection, &frame);
    bool first_wait = !received && connection->late && outcome == UNDECIDED;
    if (received && frame.type == REPLY && print_reply(frame.payload, frame.length, status)) return REPLIED;
    decide(connection, request, work_timeout, &outcome);
    talking = false;
    if (!received) {
      talking = first_wait && outcome == UNKNOWN;
    } else if (frame.type == NOT_MINE && outcome == NOT_STARTED) {
      note_not_mine(connection, &frame);
    } else if (frame.type == WORK && outcome == UNKNOWN) {
      talking = finish(connection, &worker, &frame, status, &outcome);
    } else if (frame.type == AHEAD && outcome == UNKNOWN) {
      talking = begin(connection, &worker, &frame);
    } else {
      note(connection, "it sent a frame that makes no sense here");
    }
  }
  work_end(&worker);
  decide(connection, request, work_timeout, &outcome);
  return outcome;
}

static int prepare_input(const struct request *request) {
  int fd = memfd_create("cni-stdin", 0);
  if (fd < 0) return -errno;
  if (!write_all(fd, request->frame + request->input, request->length - request->input)) return -errno;
  if (lseek(fd, 0, SEEK_SET) != 0 || dup2(fd, STDIN_FILENO) < 0) return -errno;
  if (fd != STDIN_FILENO) close(fd);
  return 0;
}

/* Becomes the stand-alone program; comes back only with an error. `why`: what kept the daemon from doing it. */
static int run_alone(const struct request *request, const char *why) {
  static struct runtime runtime;
  static char details[sizeof runtime.looked + 1024];
  if (!runtime_find(&runtime, "flannel")) {
    snprintf(details, sizeof details,
             "%s; and node with flannel.js and flannel.cjs, to do it without the daemon, is neither in %s: start flanneld, or install "
             "the directory flannelette in one of these places",
             why, runtime.looked);
    return cni_error(FLANNEL_RUNTIME_MISSING, "flannel can reach no daemon and has no runtime of its own", details);
  }
  return_to_given_cpus();
  int failed = prepare_input(request);
  char *arguments[RUNTIME_PLACES + 1] = {NULL};
  if (failed == 0) failed = runtime_exec(&runtime, runtime_for_short, arguments);
  snprintf(details, sizeof details, "%s; and running %s without the daemon failed: %s", why, runtime.node, strerror(-failed));
  return cni_error(FLANNEL_RUNTIME_MISSING, "flannel can reach no daemon and cannot run its own runtime", details);
}

/* FLANNELD_TIMEOUT_MS stands in for both time-outs; tests need that. */
static int timeout_or(int usual) {
  const char *text = getenv("FLANNELD_TIMEOUT_MS");
  int milliseconds = text == NULL ? 0 : atoi(text);
  return milliseconds > 0 ? milliseconds : usual;
}

int main(void) {
  struct request request;
  int failed = request_collect(&request);
  if (failed == -EFBIG)
    return cni_error(CNI_IO_FAILURE, "error reading from stdin: the network configuration is longer than 16 MiB", "");
  if (failed != 0) return cni_error(CNI_IO_FAILURE, "error reading from stdin", strerror(-failed));

  const char *path = getenv("FLANNELD_SOCKET");
  if (path == NULL || *path == 0) path = "/run/flannel/flanneld.sock";
  struct connection connection;
  enum outcome outcome = NOT_STARTED;
  int status = 1;
  if (connection_open(&connection, path, timeout_or(ACCEPT_MS)))
    outcome = converse(&connection, &request, timeout_or(WORK_MS), &status);
  connection_close(&connection);
  if (outcome == REPLIED) return status;

  char why[512];
  snprintf(why, sizeof why, "flanneld at %s: %s", path, connection.why);
  const char *command = getenv("CNI_COMMAND");
  bool repeatable = command != NULL && strcmp(command, "DEL") == 0;
  if (outcome == NOT_STARTED || repeatable) return run_alone(&request, why);
  return cni_error(CNI_TRY_AGAIN_LATER, "flanneld took the request and did not finish it: try again", why);
}
