/*
 * driver NETNS PROGRAM < jobs: starts the program once a job inside a network namespace, all at the same time, and
 * times each as a container runtime sees it: from before the fork until its output is read and it has been collected.
 *
 * A job is its environment, each variable ended by a NUL and the last one followed by another, then its standard input,
 * ended by a NUL. For each job, in order, comes a line `nanoseconds microseconds-of-CPU exit-status length`, and that
 * many bytes of output. CPU time includes that of the program's own children (wait4(2)).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_JOBS = 256, MOST_VARIABLES = 64, SETTLE_US = 5000 };

struct job {
  char *env[MOST_VARIABLES + 1];
  char *input;
  pid_t pid;
  int from;
  long long started, took;
  struct rusage used;
  int status;
  char *output;
  size_t length, room;
};

static struct job jobs[MOST_JOBS];
static int count;

static void die(const char *what) {
  fprintf(stderr, "driver: %s: %s\n", what, strerror(errno));
  exit(125);
}

static long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static char *read_all(size_t *length) {
  size_t room = 1 << 20;
  char *text = malloc(room);
  *length = 0;
  for (;;) {
    if (text == NULL) die("malloc");
    ssize_t got = read(0, text + *length, room - *length);
    if (got < 0) die("read");
    if (got == 0) return text;
    *length += (size_t)got;
    if (*length == room) text = realloc(text, room *= 2);
  }
}

static void parse(char *at, char *end) {
  while (at < end) {
    if (count == MOST_JOBS) die("too many jobs");
    struct job *job = &jobs[count++];
    int variables = 0;
    for (; at < end && *at != 0; at += strlen(at) + 1) {
      if (variables == MOST_VARIABLES) die("too many variables");
      job->env[variables++] = at;
    }
    job->input = ++at;
    at += strlen(at) + 1;
    job->room = 16384;
    job->output = malloc(job->room);
    if (job->output == NULL) die("malloc");
  }
}

static void start(struct job *job, char *program) {
  int to[2], from[2];
  char *argv[] = {program, NULL};
  job->started = now();
  if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC)) die("pipe");
  job->pid = vfork();
  if (job->pid < 0) die("vfork");
  if (job->pid == 0) {
    dup2(to[0], 0);
    dup2(from[1], 1);
    execve(program, argv, job->env);
    _exit(127);
  }
  close(to[0]);
  close(from[1]);
  size_t length = strlen(job->input); /* a pipe takes 64 KiB without anybody reading */
  if (write(to[1], job->input, length) != (ssize_t)length && errno != EPIPE) die("write");
  close(to[1]);
  job->from = from[0];
}

/* Reads what is there; at the end the process is collected, and the clock stops. */
static int finish(struct job *job) {
  if (job->room - job->length < 4096) {
    job->output = realloc(job->output, job->room *= 2);
    if (job->output == NULL) die("realloc");
  }
  ssize_t got = read(job->from, job->output + job->length, job->room - job->length);
  if (got < 0 && errno != EINTR) die("read");
  if (got > 0) job->length += (size_t)got;
  if (got != 0) return 0;
  close(job->from);
  if (wait4(job->pid, &job->status, 0, &job->used) < 0) die("wait4");
  job->took = now() - job->started;
  return 1;
}

static void wait_for_all(void) {
  struct pollfd ends[MOST_JOBS];
  for (int i = 0; i < count; i++) ends[i] = (struct pollfd){jobs[i].from, POLLIN, 0};
  for (int left = count; left > 0;) {
    if (poll(ends, (nfds_t)count, -1) < 0 && errno != EINTR) die("poll");
    for (int i = 0; i < count; i++) {
      if (ends[i].fd < 0 || ends[i].revents == 0 || !finish(&jobs[i])) continue;
      ends[i].fd = -1;
      left--;
    }
  }
}

static long long microseconds(struct timeval time) { return time.tv_sec * 1000000LL + time.tv_usec; }

int main(int argc, char **argv) {
  if (argc != 3) die("usage: driver NETNS PROGRAM < jobs");
  signal(SIGPIPE, SIG_IGN);
  size_t length;
  char *text = read_all(&length);
  parse(text, text + length);
  int netns = open(argv[1], O_RDONLY | O_CLOEXEC);
  if (netns < 0 || setns(netns, CLONE_NEWNET)) die(argv[1]);
  usleep(SETTLE_US); /* what started us is still tidying up, on our cores */
  for (int i = 0; i < count; i++) start(&jobs[i], argv[2]);
  wait_for_all();
  for (int i = 0; i < count; i++) {
    struct job *job = &jobs[i];
    int code = WIFEXITED(job->status) ? WEXITSTATUS(job->status) : 128 + WTERMSIG(job->status);
    long long cpu = microseconds(job->used.ru_utime) + microseconds(job->used.ru_stime);
    printf("%lld %lld %d %zu\n", job->took, cpu, code, job->length);
    fwrite(job->output, 1, job->length, stdout);
  }
  return 0;
}
