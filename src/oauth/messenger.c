/* oauth/messenger.c: one outbox after the other, and then a pause. */
#include "oauth/messenger.h"
#include "base/background.h"
#include "base/clock.h"
#include "base/mem.h"
#include "oauth/backchannel.h"
#include "service/events.h"
#include "service/service.h"
#include <stdlib.h>

enum { STACK_BYTES = 512 * 1024 };

static const int64_t pause_ns = 1000000000, turn_ns = 10000000000; /* turn: of one outbox, until it is the other's */

struct messenger {
    struct service *service;
    struct background background;
};

static void messenger_run(void *context)
{
    struct messenger *messenger = context;
    while (background_wait(&messenger->background, clock_ns() + pause_ns, NULL)) {
        (void)backchannel_round(messenger->service, clock_ns() + turn_ns);
        const struct err err = events_round_now(messenger->service->events, clock_ns() + turn_ns);
        (void)err; /* counted and logged there; what is left is for the next round */
    }
}

struct err messenger_start(struct service *service, struct messenger **out)
{
    struct messenger *messenger = mem_alloc(sizeof *messenger);
    messenger->service = service;
    background_init(&messenger->background);
    *out = messenger;
    return background_start(&messenger->background, "messenger", STACK_BYTES, messenger_run, messenger);
}

void messenger_stop(struct messenger *messenger)
{
    if (!messenger)
        return;
    background_stop(&messenger->background);
    free(messenger);
}
