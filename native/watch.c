#include "watch.h"

#include <stdlib.h>
#include <uv.h>

/*
 * Two things keep a watch in memory: the uv handle until it is closed, and the function that ends the
 * watch, which may be called at any time, until it is collected.
 */
struct watch {
  uv_poll_t poll;
  napi_env env;
  napi_ref callback;
  napi_async_cleanup_hook_handle hook;
  int holders;
};

static void release(struct watch *watch) {
  if (--watch->holders == 0) free(watch);
}

static void on_closed(uv_handle_t *handle) {
  struct watch *watch = handle->data;
  napi_remove_async_cleanup_hook(watch->hook);
  release(watch);
}

static void end(struct watch *watch) {
  if (uv_is_closing((uv_handle_t *)&watch->poll)) return;
  napi_delete_reference(watch->env, watch->callback);
  uv_close((uv_handle_t *)&watch->poll, on_closed);
}

static void on_cleanup(napi_async_cleanup_hook_handle hook, void *data) {
  (void)hook;
  end(data);
}

static void on_ready(uv_poll_t *poll, int status, int events) {
  (void)events;
  struct watch *watch = poll->data;
  napi_env env = watch->env;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value callback, global, ignored;
  if (napi_get_reference_value(env, watch->callback, &callback) == napi_ok && napi_get_global(env, &global) == napi_ok)
    report_thrown(env, napi_make_callback(env, NULL, global, callback, 0, NULL, &ignored));
  napi_close_handle_scope(env, scope);
  /* An error is readable: the owner's receive said what it is. libuv stops at POLLERR, a netlink socket that
     only lost something (ENOBUFS) goes on. */
  if (status < 0 && !uv_is_closing((uv_handle_t *)poll)) uv_poll_start(poll, UV_READABLE | UV_DISCONNECT, on_ready);
}

static napi_value on_end(napi_env env, napi_callback_info info) {
  void *watch;
  if (napi_get_cb_info(env, info, NULL, NULL, NULL, &watch) == napi_ok) end(watch);
  return NULL;
}

static void on_collected(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  release(data);
}

/* A descriptor that epoll refuses or that is watched already is the caller's mistake, so this throws. */
static napi_value refuse(napi_env env, struct watch *watch, int failed) {
  free(watch);
  napi_throw_error(env, uv_err_name(failed), uv_strerror(failed));
  return NULL;
}

napi_value watch(napi_env env, napi_callback_info info) {
  int fd;
  napi_value callback, ending;
  uv_loop_t *loop;
  if (!read_arguments(env, info, "if", &fd, &callback)) return NULL;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return NULL;
  struct watch *watch = calloc(1, sizeof *watch);
  if (watch == NULL) return refuse(env, watch, UV_ENOMEM);
  int failed = uv_poll_init(loop, &watch->poll, fd);
  if (failed != 0) return refuse(env, watch, failed);
  watch->env = env;
  watch->poll.data = watch;
  watch->holders = 2;
  napi_create_reference(env, callback, 1, &watch->callback);
  napi_add_async_cleanup_hook(env, on_cleanup, watch, &watch->hook);
  napi_create_function(env, "end", NAPI_AUTO_LENGTH, on_end, watch, &ending);
  napi_add_finalizer(env, ending, watch, on_collected, NULL, NULL);
  uv_poll_start(&watch->poll, UV_READABLE | UV_DISCONNECT, on_ready);
  return ending;
}
