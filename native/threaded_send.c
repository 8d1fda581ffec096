#define _GNU_SOURCE
#include "threaded_send.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
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
  pthread_mutex_t lock;
  pthread_cond_t work;
  struct queue waiting, done;
  pthread_t threads[MAX_THREADS];
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

static void *run(void *argument) {
  struct pool *pool = argument;
  pthread_mutex_lock(&pool->lock);
  while (!pool->stopping) {
    struct job *job = take(&pool->waiting);
    if (job == NULL) {
      pool->idle++;
      pthread_cond_wait(&pool->work, &pool->lock);
      pool->idle--;
      continue;
    }
    pthread_mutex_unlock(&pool->lock);
    perform(job);
    pthread_mutex_lock(&pool->lock);
    put(&pool->done, job);
    uv_async_send(&pool->async);
  }
  pool->running--;
  uv_async_send(&pool->async);
  pthread_mutex_unlock(&pool->lock);
  return NULL;
}

/* Signals belong to the event loop's thread, so that no send is interrupted by one. */
static int start_thread(struct pool *pool) {
  pthread_attr_t attributes;
  sigset_t all, before;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int failed = pthread_create(&pool->threads[pool->started], &attributes, run, pool);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  if (failed != 0) return -failed;
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
  pthread_cond_destroy(&pool->work);
  pthread_mutex_destroy(&pool->lock);
  free(pool);
  napi_remove_async_cleanup_hook(hook);
}

/* The environment is ending: the last thread is out of the kernel, nobody is told any more. */
static void finish(struct pool *pool) {
  for (int i = 0; i < pool->started; i++) pthread_join(pool->threads[i], NULL);
  for (struct job *job; (job = take(&pool->waiting)) != NULL;) forget(pool, job);
  for (struct job *job; (job = take(&pool->done)) != NULL;) forget(pool, job);
  uv_close((uv_handle_t *)&pool->async, on_closed);
}

static void on_async(uv_async_t *async) {
  struct pool *pool = async->data;
  for (;;) {
    pthread_mutex_lock(&pool->lock);
    bool stopping = pool->stopping, ended = stopping && pool->running == 0;
    struct job *job = stopping ? NULL : take(&pool->done);
    pthread_mutex_unlock(&pool->lock);
    if (ended && !uv_is_closing((uv_handle_t *)async)) finish(pool);
    if (job == NULL) return;
    if (--pool->outstanding == 0) uv_unref((uv_handle_t *)async);
    deliver(pool, job);
  }
}

static void on_cleanup(napi_async_cleanup_hook_handle hook, void *data) {
  (void)hook;
  struct pool *pool = data;
  pthread_mutex_lock(&pool->lock);
  pool->stopping = true;
  pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->lock);
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
  pthread_mutex_init(&pool->lock, NULL);
  pthread_cond_init(&pool->work, NULL);
  napi_set_instance_data(env, pool, NULL, NULL);
  napi_add_async_cleanup_hook(env, on_cleanup, pool, &pool->hook);
  return pool;
}

static void submit(struct pool *pool, struct job *job) {
  if (pool->outstanding++ == 0) uv_ref((uv_handle_t *)&pool->async);
  pthread_mutex_lock(&pool->lock);
  put(&pool->waiting, job);
  pthread_cond_signal(&pool->work);
  int failed = pool->waiting.length > pool->idle && pool->started < MAX_THREADS ? start_thread(pool) : 0;
  if (failed < 0 && pool->started == 0) {
    job = take(&pool->waiting);
    job->result = failed;
    put(&pool->done, job);
    uv_async_send(&pool->async);
  }
  pthread_mutex_unlock(&pool->lock);
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
