#include "watch.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <uv.h>

enum { EVENTS_AT_ONCE = 16 };

/* Who is called for a descriptor; NULL: it is not watched. */
struct watched {
  napi_ref callback;
  /* Which watch it is: the number may be another file's by now. */
  uint32_t turn;
};

/*
 * What one environment (main thread or worker) watches: an epoll set of our own, which libuv watches as one descriptor. A
 * watch of libuv's takes five system calls to begin, and its memory is freed in a later turn of the loop; one here takes one.
 */
struct watches {
  uv_poll_t poll;
  napi_env env;
  napi_async_cleanup_hook_handle hook;
  int epoll;
  struct watched *of;
  int size;
  int count;
  uint32_t turns;
};

/* An environment never leaves its thread. */
static _Thread_local struct watches *mine;

static void on_closed(uv_handle_t *handle) {
  struct watches *watches = handle->data;
  close(watches->epoll);
  napi_remove_async_cleanup_hook(watches->hook);
  free(watches->of);
  free(watches);
}

static void on_cleanup(napi_async_cleanup_hook_handle hook, void *data) {
  (void)hook;
  struct watches *watches = data;
  for (int fd = 0; fd < watches->size; fd++)
    if (watches->of[fd].callback != NULL) napi_delete_reference(watches->env, watches->of[fd].callback);
  mine = NULL;
  uv_close((uv_handle_t *)&watches->poll, on_closed);
}

static void call(napi_env env, napi_ref reference) {
  napi_handle_scope scope;
  napi_value callback, global, ignored;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  if (napi_get_reference_value(env, reference, &callback) == napi_ok && napi_get_global(env, &global) == napi_ok)
    report_thrown(env, napi_make_callback(env, NULL, global, callback, 0, NULL, &ignored));
  napi_close_handle_scope(env, scope);
}

static void on_ready(uv_poll_t *poll, int status, int events) {
  (void)status;
  (void)events;
  struct watches *watches = poll->data;
  struct epoll_event ready[EVENTS_AT_ONCE];
  int count = epoll_wait(watches->epoll, ready, EVENTS_AT_ONCE, 0);
  for (int i = 0; i < count; i++) {
    /* A callback before this one may have ended the watch, and begun another one of that number. */
    const struct watched *watched = &watches->of[(uint32_t)ready[i].data.u64];
    if (watched->callback != NULL && watched->turn == ready[i].data.u64 >> 32) call(watches->env, watched->callback);
  }
}

/* 0 or -errno. */
static int start(struct watches *watches, napi_env env) {
  uv_loop_t *loop;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return -EINVAL;
  watches->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (watches->epoll < 0) return -errno;
  int failed = uv_poll_init(loop, &watches->poll, watches->epoll);
  if (failed != 0) {
    close(watches->epoll);
    return failed;
  }
  watches->env = env;
  watches->poll.data = watches;
  uv_poll_start(&watches->poll, UV_READABLE, on_ready);
  uv_unref((uv_handle_t *)&watches->poll);
  napi_add_async_cleanup_hook(env, on_cleanup, watches, &watches->hook);
  return 0;
}

static int ensure_started(napi_env env) {
  if (mine != NULL) return 0;
  struct watches *watches = calloc(1, sizeof *watches);
  if (watches == NULL) return -ENOMEM;
  int failed = start(watches, env);
  if (failed != 0) free(watches);
  else mine = watches;
  return failed;
}

static int make_room(int fd) {
  if (fd < mine->size) return 0;
  int size = 2 * fd + 16;
  struct watched *of = realloc(mine->of, (size_t)size * sizeof *of);
  if (of == NULL) return -ENOMEM;
  for (int i = mine->size; i < size; i++) of[i] = (struct watched){0};
  mine->of = of;
  mine->size = size;
  return 0;
}

static int begin(napi_env env, int fd, napi_value callback) {
  int failed = ensure_started(env);
  if (failed != 0) return failed;
  uint32_t turn = ++mine->turns;
  struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.u64 = (uint64_t)turn << 32 | (uint32_t)fd};
  if (epoll_ctl(mine->epoll, EPOLL_CTL_ADD, fd, &event) != 0) return -errno;
  if ((failed = make_room(fd)) != 0) {
    epoll_ctl(mine->epoll, EPOLL_CTL_DEL, fd, NULL);
    return failed;
  }
  mine->of[fd].turn = turn;
  napi_create_reference(env, callback, 1, &mine->of[fd].callback);
  if (mine->count++ == 0) uv_ref((uv_handle_t *)&mine->poll);
  return 0;
}

void watch_end(int fd) {
  if (mine == NULL || fd < 0 || fd >= mine->size || mine->of[fd].callback == NULL) return;
  epoll_ctl(mine->epoll, EPOLL_CTL_DEL, fd, NULL);
  napi_delete_reference(mine->env, mine->of[fd].callback);
  mine->of[fd].callback = NULL;
  if (--mine->count == 0) uv_unref((uv_handle_t *)&mine->poll);
}

/* A descriptor that epoll refuses or that is watched already is the caller's mistake, so this throws. */
napi_value watch(napi_env env, napi_callback_info info) {
  int fd;
  napi_value callback;
  if (!read_arguments(env, info, "if", &fd, &callback)) return NULL;
  int failed = begin(env, fd, callback);
  if (failed != 0) napi_throw_error(env, uv_err_name(failed), uv_strerror(failed));
  return NULL;
}

napi_value unwatch(napi_env env, napi_callback_info info) {
  int fd;
  if (!read_arguments(env, info, "i", &fd)) return NULL;
  watch_end(fd);
  return NULL;
}
