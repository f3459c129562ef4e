/* oauth/messenger.c: one thread, one condition. */
#include "oauth/messenger.h"
#include "base/clock.h"
#include "base/condition.h"
#include "base/mem.h"
#include "oauth/backchannel.h"
#include "service/events.h"
#include "service/service.h"
#include <pthread.h>
#include <stdlib.h>

enum { PAUSE_MS = 1000, STACK_BYTES = 512 * 1024 };

static const int64_t turn_ns = INT64_C(10000000000); /* of one outbox, until it is the other's turn */

struct messenger {
    struct service *service;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
};

/* False: it is to stop. */
static bool messenger_wait(struct messenger *messenger)
{
    const int64_t until_ns = clock_ns() + PAUSE_MS * INT64_C(1000000);
    pthread_mutex_lock(&messenger->lock);
    while (!messenger->stopping && condition_wait_until(&messenger->wake, &messenger->lock, until_ns))
        ;
    const bool goes_on = !messenger->stopping;
    pthread_mutex_unlock(&messenger->lock);
    return goes_on;
}

static void *messenger_run(void *arg)
{
    struct messenger *messenger = arg;
    pthread_setname_np(pthread_self(), "messenger");
    while (messenger_wait(messenger)) {
        (void)backchannel_round(messenger->service, clock_ns() + turn_ns);
        const struct err err = events_round_now(messenger->service->events, clock_ns() + turn_ns);
        (void)err; /* counted and logged there; what is left is for the next round */
    }
    return NULL;
}

static void messenger_release(struct messenger *messenger)
{
    pthread_cond_destroy(&messenger->wake);
    pthread_mutex_destroy(&messenger->lock);
    free(messenger);
}

struct err messenger_start(struct service *service, struct messenger **out)
{
    struct messenger *messenger = mem_alloc(sizeof *messenger);
    pthread_attr_t attributes;
    *messenger = (struct messenger){ .service = service };
    pthread_mutex_init(&messenger->lock, NULL);
    condition_init(&messenger->wake);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    const bool started = pthread_create(&messenger->thread, &attributes, messenger_run, messenger) == 0;
    pthread_attr_destroy(&attributes);
    if (!started) {
        messenger_release(messenger);
        return failed(ERR_INTERNAL, "the thread that tells others of logouts and events could not be started");
    }
    *out = messenger;
    return OK;
}

void messenger_stop(struct messenger *messenger)
{
    if (!messenger)
        return;
    pthread_mutex_lock(&messenger->lock);
    messenger->stopping = true;
    pthread_cond_signal(&messenger->wake);
    pthread_mutex_unlock(&messenger->lock);
    pthread_join(messenger->thread, NULL);
    messenger_release(messenger);
}
