/* What the addon's calls share: reading arguments, making answers. */
#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#define NAPI_VERSION 8
#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>

struct bytes {
  uint8_t *data;
  size_t length;
};

/* A string without NUL characters, as the kernel wants it. */
struct text {
  char chars[4096];
  size_t length;
};

/*
 * Reads the arguments of a call as `format` says, one letter each, into the pointers that follow:
 * i int, b struct bytes (a Uint8Array), s struct text, f napi_value (a function), a napi_value (an array).
 * False: a TypeError is pending, and the call returns NULL.
 */
bool read_arguments(napi_env env, napi_callback_info info, const char *format, ...);

/* The answer of a call: a value >= 0, or -errno. */
napi_value answer(napi_env env, int64_t result);

/* Turns what a callback threw into an ordinary uncaughtException; `status` is what napi_make_callback said. */
void report_thrown(napi_env env, napi_status status);

#endif
