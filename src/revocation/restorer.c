/* revocation/restorer.c: a comparison of all when it was woken, and between that one of some keys each second; after
 * failures less and less often. */
#include "revocation/restorer.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/condition.h"
#include "observe/log.h"
#include "revocation/comparison.h"
#include "revocation/eviction.h"
#include "revocation/inside.h"
#include "revocation/replication.h"
#include <pthread.h>
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
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool wanted, stopping; /* under the lock */
    struct comparison comparison;
    unsigned failures, rounds; /* failures in a row */
};

/* How long after the last round the next one begins. */
static int64_t restorer_pause_ms(const struct restorer *restorer)
{
    const bool is_costly = restorer->revocations->store->ops->is_costly;
    return backoff(is_costly ? COSTLY_ROUND_MS : ROUND_MS, PAUSE_MAX_MS, 1 + (uint64_t)restorer->failures);
}

/* Under the lock: until it is time, or, unless the last round failed, somebody wakes it. False at the end. */
static bool restorer_await(struct restorer *restorer)
{
    int64_t until_ns = clock_ns() + restorer_pause_ms(restorer) * 1000000;
    while (!restorer->stopping && !(restorer->wanted && restorer->failures == 0) &&
           condition_wait_until(&restorer->woken, &restorer->lock, until_ns))
        ;
    return !restorer->stopping;
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

/* Under the lock, which is not held meanwhile. */
static void restorer_work(struct restorer *restorer)
{
    bool is_wanted = restorer->wanted;
    restorer->wanted = false;
    pthread_mutex_unlock(&restorer->lock);
    struct err err = is_wanted ? replication_restore(restorer->revocations, restorer->name)
                               : restorer_compare_some(restorer);
    if (err.code && restorer->failures == 0)
        LOG(LOG_WARN, "revocations_not_restored", LOG_TEXT_("why", err.why));
    restorer->failures = err.code ? restorer->failures + 1 : 0;
    pthread_mutex_lock(&restorer->lock);
    restorer->wanted = restorer->wanted || (is_wanted && err.code);
}

void restorer_round(struct restorer *restorer)
{
    pthread_mutex_lock(&restorer->lock);
    restorer_work(restorer);
    pthread_mutex_unlock(&restorer->lock);
}

static void *restorer_run(void *arg)
{
    struct restorer *restorer = arg;
    pthread_setname_np(pthread_self(), "restorer");
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), BACKGROUND_NICE);
    pthread_mutex_lock(&restorer->lock);
    while (restorer_await(restorer))
        restorer_work(restorer);
    pthread_mutex_unlock(&restorer->lock);
    return NULL;
}

static void restorer_release(struct restorer *restorer)
{
    pthread_cond_destroy(&restorer->woken);
    pthread_mutex_destroy(&restorer->lock);
    free(restorer);
}

struct err restorer_open(struct revocations *revocations, const char *name, struct restorer **out)
{
    struct restorer *restorer = mem_alloc(sizeof *restorer);
    *restorer = (struct restorer){ .revocations = revocations, .name = name };
    pthread_mutex_init(&restorer->lock, NULL);
    condition_init(&restorer->woken);
    if (!revocations->by_rounds && pthread_create(&restorer->thread, NULL, restorer_run, restorer) != 0) {
        restorer_release(restorer);
        return failed(ERR_INTERNAL, "the thread that restores revocations could not be started");
    }
    *out = restorer;
    return OK;
}

void restorer_wake(struct restorer *restorer)
{
    pthread_mutex_lock(&restorer->lock);
    restorer->wanted = true;
    pthread_cond_signal(&restorer->woken);
    pthread_mutex_unlock(&restorer->lock);
}

void restorer_close(struct restorer *restorer)
{
    if (!restorer)
        return;
    pthread_mutex_lock(&restorer->lock);
    restorer->stopping = true;
    pthread_cond_signal(&restorer->woken);
    pthread_mutex_unlock(&restorer->lock);
    if (!restorer->revocations->by_rounds)
        pthread_join(restorer->thread, NULL);
    restorer_release(restorer);
}
