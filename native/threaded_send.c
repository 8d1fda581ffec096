#define _GNU_SOURCE
#include "threaded_send.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <uv.h>

enum { MAX_THREADS = 16, STACK_BYTES = 256 * 1024 };

struct job {
  struct job *next;
  napi_ref callback;
  ssize_t result;
  int fd;
  size_t length;
  uint8_t bytes[];
};

struct queue {
  struct job *first;
  struct job **last;
  int length;
};

/*
 * One for every environment (main thread or worker) that sends. Threads start when more jobs
 * wait than threads idle, and stay until the environment ends. `outstanding` belongs to the event loop,
 * all below the lock to whoever holds it.
 */
struct pool {
  uv_async_t async;
  napi_env env;
  napi_async_cleanup_hook_handle hook;
  int outstanding;
  uv_mutex_t lock;
  uv_cond_t work;
  struct queue waiting, done;
  uv_thread_t threads[MAX_THREADS];
  int started, idle, running;
  bool stopping;
};

static void put(struct queue *queue, struct job *job) {
  job->next = NULL;
  *queue->last = job;
  queue->last = &job->next;
  queue->length++;
}

static struct job *take(struct queue *queue) {
  struct job *job = queue->first;
  if (job == NULL) return NULL;
  queue->first = job->next;
  if (queue->first == NULL) queue->last = &queue->first;
  queue->length--;
  return job;
}

static void perform(struct job *job) {
  do job->result = send(job->fd, job->bytes, job->length, MSG_NOSIGNAL);
  while (job->result < 0 && errno == EINTR);
  if (job->result < 0) job->result = -errno;
}

static void run(void *argument) {
  struct pool *pool = argument;
  prctl(PR_SET_NAME, "flannel-send");
  uv_mutex_lock(&pool->lock);
  while (!pool->stopping) {
    struct job *job = take(&pool->waiting);
    if (job == NULL) {
      pool->idle++;
      uv_cond_wait(&pool->work, &pool->lock);
      pool->idle--;
      continue;
    }
    uv_mutex_unlock(&pool->lock);
    perform(job);
    uv_mutex_lock(&pool->lock);
    put(&pool->done, job);
    uv_async_send(&pool->async);
  }
  pool->running--;
  uv_async_send(&pool->async);
  uv_mutex_unlock(&pool->lock);
}

/*
 * Signals belong to the event loop's thread, so that no send is interrupted by one. The mask of sigprocmask(2)
 * is this thread's on Linux, and a new thread inherits it.
 */
static int start_thread(struct pool *pool) {
  uv_thread_options_t options = {.flags = UV_THREAD_HAS_STACK_SIZE, .stack_size = STACK_BYTES};
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  int failed = uv_thread_create_ex(&pool->threads[pool->started], &options, run, pool);
  sigprocmask(SIG_SETMASK, &before, NULL);
  if (failed != 0) return failed;
  pool->started++;
  pool->running++;
  return 0;
}

static void forget(struct pool *pool, struct job *job) {
  napi_delete_reference(pool->env, job->callback);
  free(job);
}

static void deliver(struct pool *pool, struct job *job) {
  napi_env env = pool->env;
  napi_handle_scope scope;
  napi_value callback, global, ignored;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_get_reference_value(env, job->callback, &callback);
  napi_value result = answer(env, job->result);
  forget(pool, job);
  if (napi_get_global(env, &global) == napi_ok)
    report_thrown(env, napi_make_callback(env, NULL, global, callback, 1, &result, &ignored));
  napi_close_handle_scope(env, scope);
}

static void on_closed(uv_handle_t *handle) {
  struct pool *pool = handle->data;
  napi_async_cleanup_hook_handle hook = pool->hook;
  uv_cond_destroy(&pool->work);
  uv_mutex_destroy(&pool->lock);
  free(pool);
  napi_remove_async_cleanup_hook(hook);
}

/* The environment is ending: the last thread is out of the kernel, nobody is told any more. */
static void finish(struct pool *pool) {
  for (int i = 0; i < pool->started; i++) uv_thread_join(&pool->threads[i]);
  for (struct job *job; (job = take(&pool->waiting)) != NULL;) forget(pool, job);
  for (struct job *job; (job = take(&pool->done)) != NULL;) forget(pool, job);
  uv_close((uv_handle_t *)&pool->async, on_closed);
}

static void on_async(uv_async_t *async) {
  struct pool *pool = async->data;
  for (;;) {
    uv_mutex_lock(&pool->lock);
    bool stopping = pool->stopping, ended = stopping && pool->running == 0;
    struct job *job = stopping ? NULL : take(&pool->done);
    uv_mutex_unlock(&pool->lock);
    if (ended && !uv_is_closing((uv_handle_t *)async)) finish(pool);
    if (job == NULL) return;
    if (--pool->outstanding == 0) uv_unref((uv_handle_t *)async);
    deliver(pool, job);
  }
}

static void on_cleanup(napi_async_cleanup_hook_handle hook, void *data) {
  (void)hook;
  struct pool *pool = data;
  uv_mutex_lock(&pool->lock);
  pool->stopping = true;
  uv_cond_broadcast(&pool->work);
  uv_mutex_unlock(&pool->lock);
  uv_ref((uv_handle_t *)&pool->async);
  uv_async_send(&pool->async);
}

static struct pool *pool_of(napi_env env) {
  struct pool *pool = NULL;
  if (napi_get_instance_data(env, (void **)&pool) != napi_ok || pool != NULL) return pool;
  uv_loop_t *loop;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok || (pool = calloc(1, sizeof *pool)) == NULL) return NULL;
  if (uv_async_init(loop, &pool->async, on_async) != 0) {
    free(pool);
    return NULL;
  }
  uv_unref((uv_handle_t *)&pool->async);
  pool->async.data = pool;
  pool->env = env;
  pool->waiting.last = &pool->waiting.first;
  pool->done.last = &pool->done.first;
  uv_mutex_init(&pool->lock);
  uv_cond_init(&pool->work);
  napi_set_instance_data(env, pool, NULL, NULL);
  napi_add_async_cleanup_hook(env, on_cleanup, pool, &pool->hook);
  return pool;
}

static void submit(struct pool *pool, struct job *job) {
  if (pool->outstanding++ == 0) uv_ref((uv_handle_t *)&pool->async);
  uv_mutex_lock(&pool->lock);
  put(&pool->waiting, job);
  uv_cond_signal(&pool->work);
  int failed = pool->waiting.length > pool->idle && pool->started < MAX_THREADS ? start_thread(pool) : 0;
  /* Without a single thread nobody would ever take it. */
  while (failed < 0 && pool->started == 0 && (job = take(&pool->waiting)) != NULL) {
    job->result = failed;
    put(&pool->done, job);
    uv_async_send(&pool->async);
  }
  uv_mutex_unlock(&pool->lock);
}

napi_value send_threaded(napi_env env, napi_callback_info info) {
  int fd;
  struct bytes bytes;
  napi_value callback;
  if (!read_arguments(env, info, "ibf", &fd, &bytes, &callback)) return NULL;
  struct pool *pool = pool_of(env);
  struct job *job = pool == NULL ? NULL : malloc(sizeof *job + bytes.length);
  if (job == NULL) {
    napi_throw_error(env, "ENOMEM", "no memory for a send on a thread");
    return NULL;
  }
  job->fd = fd;
  job->length = bytes.length;
  if (bytes.length > 0) memcpy(job->bytes, bytes.data, bytes.length);
  napi_create_reference(env, callback, 1, &job->callback);
  submit(pool, job);
  return NULL;
}
