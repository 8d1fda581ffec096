#include "arguments.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool read_int(napi_env env, napi_value value, int *into) {
  return napi_get_value_int32(env, value, into) == napi_ok;
}

static bool read_bytes(napi_env env, napi_value value, struct bytes *into) {
  napi_typedarray_type type;
  void *data = NULL;
  if (napi_get_typedarray_info(env, value, &type, &into->length, &data, NULL, NULL) != napi_ok) return false;
  into->data = data;
  return type == napi_uint8_array;
}

static bool read_text(napi_env env, napi_value value, struct text *into) {
  size_t whole;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &whole) != napi_ok || whole >= sizeof into->chars) return false;
  if (napi_get_value_string_utf8(env, value, into->chars, sizeof into->chars, &into->length) != napi_ok) return false;
  return memchr(into->chars, 0, into->length) == NULL;
}

static bool read_function(napi_env env, napi_value value, napi_value *into) {
  napi_valuetype type;
  *into = value;
  return napi_typeof(env, value, &type) == napi_ok && type == napi_function;
}

static bool read_array(napi_env env, napi_value value, napi_value *into) {
  bool is_array = false;
  *into = value;
  return napi_is_array(env, value, &is_array) == napi_ok && is_array;
}

static const char *read_argument(napi_env env, char letter, napi_value value, void *into) {
  switch (letter) {
    case 'i': return read_int(env, value, into) ? NULL : "a number";
    case 'b': return read_bytes(env, value, into) ? NULL : "a Uint8Array";
    case 's': return read_text(env, value, into) ? NULL : "a string without NUL, shorter than 4096 bytes";
    case 'f': return read_function(env, value, into) ? NULL : "a function";
    default: return read_array(env, value, into) ? NULL : "an array";
  }
}

bool read_arguments(napi_env env, napi_callback_info info, const char *format, ...) {
  napi_value values[4];
  size_t count = sizeof values / sizeof *values;
  if (napi_get_cb_info(env, info, &count, values, NULL, NULL) != napi_ok) return false;
  va_list into;
  va_start(into, format);
  const char *wanted = NULL;
  size_t index = 0;
  for (; format[index] != 0 && wanted == NULL; index++)
    wanted = read_argument(env, format[index], values[index], va_arg(into, void *));
  va_end(into);
  if (wanted == NULL) return true;
  char message[96];
  snprintf(message, sizeof message, "argument %zu must be %s", index, wanted);
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message);
  return false;
}

napi_value answer(napi_env env, int64_t result) {
  napi_value value = NULL;
  napi_create_int64(env, result, &value);
  return value;
}

void report_thrown(napi_env env, napi_status status) {
  if (status != napi_pending_exception) return;
  napi_value thrown;
  if (napi_get_and_clear_last_exception(env, &thrown) == napi_ok) napi_fatal_exception(env, thrown);
}
