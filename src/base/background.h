/* base/background.h: a thread that works in the background until it is stopped. What wakes it are flags under its lock,
 * so nothing that is raised while it works is missed. */
#ifndef BASE_BACKGROUND_H
#define BASE_BACKGROUND_H

#include "base/err.h"
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* To lie in the struct of whoever works in it. Those who need other conditions than flags use `lock` and `changed`. */
struct background {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* waits by the monotonic clock (condition.h) */
    bool stopping;          /* under the lock */
    bool has_thread;
    pthread_t thread;
    const char *name;
    void (*run)(void *context);
    void *context;
};

/* Without a thread: one may be started, and everything else works without it. */
void background_init(struct background *background);
/* Starts the thread, which is called `name` (static, 15 characters at most) and ends when `run` returns.
 * stack_bytes 0: as usual. ERR_INTERNAL. */
MUST_USE struct err background_start(struct background *background, const char *name, size_t stack_bytes,
                                     void (*run)(void *context), void *context);
/* Waits until `until_ns` of clock_ns(), or until *wanted (NULL: nothing else), or until it is to stop: then false. */
bool background_wait(struct background *background, int64_t until_ns, const bool *wanted);
/* Sets a flag, and ends what waits for it. Never waits itself. */
void background_raise(struct background *background, bool *flag);
/* What a flag was; now it is false. */
bool background_take(struct background *background, bool *flag);
/* Ends all waiting, waits for the thread, and releases what background_init() made. */
void background_stop(struct background *background);

#endif
