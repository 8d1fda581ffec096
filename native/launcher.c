/*
 * The CNI executable. It hands the request to the running flanneld, or else becomes the stand-alone
 * program: the same verbs, in a process of their own. docs/launcher-protocol.md tells the rules.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "connection.h"
#include "request.h"
#include "runtime.h"
#include "sysctls.h"

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

/* How a conversation with the daemon ended. */
enum outcome {
  NOT_STARTED, /* nothing has happened: the stand-alone program may do it all */
  UNKNOWN,     /* GO was sent and no reply came */
  REPLIED,
};

/* Prints a reply and sets the exit status; false: it is no reply. */
static bool print_reply(const struct frame *frame, int *status) {
  if (frame->length < 8) return false;
  uint32_t exit_status = get_u32(frame->payload), output = get_u32(frame->payload + 4);
  const uint8_t *text = frame->payload + 8;
  uint32_t rest = frame->length - 8;
  if (output > rest) return false;
  *status = exit_status > 255 ? 1 : (int)exit_status;
  write_all(STDERR_FILENO, text + output, rest - output);
  if (!write_all(STDOUT_FILENO, text, output)) *status = 1;
  return true;
}

static bool write_sysctls(struct connection *connection, const struct frame *frame, int netns) {
  uint8_t *outcomes = malloc(frame->length + 1);
  int count = outcomes == NULL ? -1 : sysctls_write(frame, netns, outcomes);
  bool sent = count >= 0 && connection_send_frame(connection, SYSCTLS_DONE, outcomes, 4 * (uint32_t)count);
  free(outcomes);
  if (count < 0) snprintf(connection->why, sizeof connection->why, "it sent a list of sysctls that makes no sense");
  return sent;
}

static bool send_request(struct connection *connection, const struct request *request) {
  int doors[] = {request->netns, request->netlink};
  return connection_send(connection, request->frame, request->length, doors, request->netlink >= 0 ? 2 : 0);
}

static void note(struct connection *connection, const char *what, const uint8_t *text) {
  snprintf(connection->why, sizeof connection->why, "%s%s", what, (const char *)text);
}

static enum outcome converse(struct connection *connection, const struct request *request, int work_timeout, int *status) {
  enum outcome outcome = NOT_STARTED;
  bool talking = send_request(connection, request);
  while (talking) {
    struct frame frame;
    if (!connection_receive(connection, &frame)) break;
    bool gone = outcome == UNKNOWN;
    talking = false;
    if (frame.type == REPLY && print_reply(&frame, status)) {
      outcome = REPLIED;
    } else if (frame.type == NOT_MINE && !gone) {
      note(connection, "it answered: not mine: ", frame.payload);
    } else if (frame.type == ACCEPTED && !gone) {
      connection_limit(connection, work_timeout);
      talking = connection_send_frame(connection, GO, NULL, 0);
      if (talking) outcome = UNKNOWN;
    } else if (frame.type == SYSCTLS && gone) {
      talking = write_sysctls(connection, &frame, request->netns);
    } else {
      note(connection, "it sent a frame that makes no sense here", (const uint8_t *)"");
    }
    free(frame.payload);
  }
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
             "%s; and node with flannel.cjs, to do it without the daemon, is neither in %s: start flanneld, or install "
             "the directory flannelette in one of these places",
             why, runtime.looked);
    return cni_error(FLANNEL_RUNTIME_MISSING, "flannel can reach no daemon and has no runtime of its own", details);
  }
  int failed = prepare_input(request);
  char *arguments[] = {NULL, NULL, NULL, NULL, NULL};
  if (failed == 0) failed = runtime_exec(&runtime, arguments);
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
