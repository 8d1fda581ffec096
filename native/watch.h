#ifndef WATCH_H
#define WATCH_H

#include "arguments.h"

/* Binding.watch: calls a function from the event loop whenever a descriptor is readable or hung up. */
napi_value watch(napi_env env, napi_callback_info info);

#endif
