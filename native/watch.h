#ifndef WATCH_H
#define WATCH_H

#include "arguments.h"

/* Binding.watch: calls a function from the event loop whenever a descriptor is readable or hung up. */
napi_value watch(napi_env env, napi_callback_info info);

/* Binding.unwatch. */
napi_value unwatch(napi_env env, napi_callback_info info);

/* Ends the watch of this thread's environment, if there is one; before the descriptor is closed. */
void watch_end(int fd);

#endif
