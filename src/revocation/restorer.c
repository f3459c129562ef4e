/* revocation/restorer.c: a comparison of all when it was woken, and between that one of some keys each second; after
 * failures less and less often. */
#include "revocation/restorer.h"
#include "base/background.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "observe/log.h"
#include "revocation/comparison.h"
#include "revocation/eviction.h"
#include "revocation/inside.h"
#include "revocation/replication.h"
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    ROUND_MS = 1000,
    COSTLY_ROUND_MS = 5000, /* where a look into the store is costly */
    PAUSE_MAX_MS = 30000,
    LOOK_ROUNDS = 5, /* from one look at how Redis evicts to the next */
    BACKGROUND_NICE = 10,
};

struct restorer {
    struct revocations *revocations;
    const char *name;
    struct background background;
    bool wanted; /* under its lock */
    struct comparison comparison;
    unsigned failures, rounds; /* failures in a row */
};

/* How long after the last round the next one begins. */
static int64_t restorer_pause_ms(const struct restorer *restorer)
{
    const bool is_costly = restorer->revocations->store->ops->is_costly;
    return backoff(is_costly ? COSTLY_ROUND_MS : ROUND_MS, PAUSE_MAX_MS, 1 + (uint64_t)restorer->failures);
}

/* Until it is time, or, unless the last round failed, somebody wakes it. False at the end. */
static bool restorer_await(struct restorer *restorer)
{
    return background_wait(&restorer->background, clock_ns() + restorer_pause_ms(restorer) * 1000000,
                           restorer->failures == 0 ? &restorer->wanted : NULL);
}

static struct err restorer_compare_some(struct restorer *restorer)
{
    size_t restored = 0;
    struct err err = comparison_round(restorer->revocations, &restorer->comparison, &restored);
    if (restored > 0)
        LOG(LOG_WARN, "revocations_restored", LOG_INT("entries", (int64_t)restored));
    if (restorer->rounds++ % LOOK_ROUNDS == 0)
        eviction_look(restorer->revocations);
    return err;
}

void restorer_round(struct restorer *restorer)
{
    const bool is_wanted = background_take(&restorer->background, &restorer->wanted);
    struct err err = is_wanted ? replication_restore(restorer->revocations, restorer->name)
                               : restorer_compare_some(restorer);
    if (err.code && restorer->failures == 0)
        LOG(LOG_WARN, "revocations_not_restored", LOG_TEXT_("why", err.why));
    restorer->failures = err.code ? restorer->failures + 1 : 0;
    if (is_wanted && err.code)
        background_raise(&restorer->background, &restorer->wanted);
}

static void restorer_run(void *context)
{
    struct restorer *restorer = context;
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), BACKGROUND_NICE);
    while (restorer_await(restorer))
        restorer_round(restorer);
}

struct err restorer_open(struct revocations *revocations, const char *name, struct restorer **out)
{
    struct restorer *restorer = mem_alloc(sizeof *restorer);
    *restorer = (struct restorer){ .revocations = revocations, .name = name };
    background_init(&restorer->background);
    *out = restorer;
    return revocations->by_rounds ? OK : background_start(&restorer->background, "restorer", 0, restorer_run, restorer);
}

void restorer_wake(struct restorer *restorer)
{
    background_raise(&restorer->background, &restorer->wanted);
}

void restorer_close(struct restorer *restorer)
{
    if (!restorer)
        return;
    background_stop(&restorer->background);
    free(restorer);
}
