/*
 * Stands in a CNI plugin's place, runs the real one (.recorded/<name> beside itself) and appends one line of JSON a
 * call to the file that CNI_RECORD names: what was asked, what was answered, and how long it took from outside.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct text {
  char *bytes;
  size_t length;
};

static void append(struct text *text, const char *bytes, size_t length) {
  text->bytes = realloc(text->bytes, text->length + length + 1);
  if (text->bytes == NULL) _exit(125);
  memcpy(text->bytes + text->length, bytes, length);
  text->length += length;
  text->bytes[text->length] = 0;
}

/* Reads what is there; returns 0 at the end. */
static int take(int fd, struct text *text) {
  char buffer[65536];
  ssize_t length = read(fd, buffer, sizeof buffer);
  if (length < 0 && errno == EINTR) return 1;
  if (length <= 0) return 0;
  append(text, buffer, (size_t)length);
  return 1;
}

static void append_string(struct text *to, const char *key, const struct text *value) {
  char escape[8];
  append(to, ",\"", 2);
  append(to, key, strlen(key));
  append(to, "\":\"", 3);
  for (size_t i = 0; i < value->length; i++) {
    unsigned char c = (unsigned char)value->bytes[i];
    if (c < 0x20 || c == '"' || c == '\\') {
      snprintf(escape, sizeof escape, "\\u%04x", c);
      append(to, escape, 6);
    } else {
      append(to, (const char *)&c, 1);
    }
  }
  append(to, "\"", 1);
}

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void run(const char *program, char **argv, struct text *in, struct text *out, struct text *err, int *status) {
  int to[2], from[2], errors[2];
  if (pipe(to) || pipe(from) || pipe(errors)) _exit(125);
  pid_t child = fork();
  if (child == 0) {
    dup2(to[0], 0);
    dup2(from[1], 1);
    dup2(errors[1], 2);
    for (int fd = 3; fd < 32; fd++) close(fd);
    execv(program, argv);
    _exit(127);
  }
  close(to[0]);
  close(from[1]);
  close(errors[1]);
  for (size_t done = 0; done < in->length;) {
    ssize_t length = write(to[1], in->bytes + done, in->length - done);
    if (length < 0) break; /* a plugin that does not read its input */
    done += (size_t)length;
  }
  close(to[1]);
  struct pollfd ends[2] = {{from[0], POLLIN, 0}, {errors[0], POLLIN, 0}};
  while (ends[0].fd >= 0 || ends[1].fd >= 0) {
    if (poll(ends, 2, -1) < 0) continue;
    if (ends[0].revents && !take(from[0], out)) ends[0].fd = -1;
    if (ends[1].revents && !take(errors[0], err)) ends[1].fd = -1;
  }
  waitpid(child, status, 0);
}

int main(int argc, char **argv) {
  (void)argc;
  signal(SIGPIPE, SIG_IGN);
  char self[4096] = {0}, program[8192], head[256];
  if (readlink("/proc/self/exe", self, sizeof self - 1) < 0) return 125;
  const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
  *strrchr(self, '/') = 0;
  snprintf(program, sizeof program, "%s/.recorded/%s", self, name);

  struct text in = {0}, out = {0}, err = {0}, line = {0};
  while (take(0, &in)) {
  }
  double start = now_ms();
  int status = 0;
  run(program, argv, &in, &out, &err, &status);
  int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  snprintf(head, sizeof head, "{\"startMs\":%.3f,\"tookMs\":%.3f,\"exit\":%d", start, now_ms() - start, code);
  append(&line, head, strlen(head));
  struct text plugin = {(char *)name, strlen(name)};
  append_string(&line, "plugin", &plugin);
  static const char *keys[] = {"CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    char *value = getenv(keys[i]);
    struct text text = {value, value == NULL ? 0 : strlen(value)};
    append_string(&line, keys[i], &text);
  }
  append_string(&line, "stdin", &in);
  append_string(&line, "stdout", &out);
  append_string(&line, "stderr", &err);
  append(&line, "}\n", 2);
  const char *log = getenv("CNI_RECORD");
  int fd = log == NULL ? -1 : open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd >= 0 && write(fd, line.bytes, line.length) < 0) perror("recorder");
  if (err.length > 0 && write(2, err.bytes, err.length) < 0) return 125;
  if (out.length > 0 && write(1, out.bytes, out.length) < 0) return 125;
  return code;
}
