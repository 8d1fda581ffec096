#ifndef THREADED_SEND_H
#define THREADED_SEND_H

#include "arguments.h"

/* Binding.sendThreaded: send(2) on a thread of the addon's own, the result on the event loop. */
napi_value send_threaded(napi_env env, napi_callback_info info);

#endif
