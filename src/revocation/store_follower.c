/* revocation/store_follower.c: the store is read on each second, or four times in a lease when that is shorter. A
 * thread of its own, since housekeeping may be busy with keys for longer than a lease. One failure ends nothing: the
 * lease goes on until its end, and another try may come before. */
#include "revocation/store_follower.h"
#include "base/clock.h"
#include "base/condition.h"
#include "revocation/catchup.h"
#include "revocation/inside.h"
#include "revocation/lease.h"
#include <pthread.h>
#include <stdlib.h>

enum { INTERVAL_MS = 1000, TRIES_A_LEASE = 4 };

struct store_follower {
    struct revocations *revocations;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool stopping; /* under the lock */
    bool is_known; /* what was logged last */
};

static void store_follower_tell(struct store_follower *follower)
{
    struct revocations *revocations = follower->revocations;
    bool is_known = clock_ms() <= atomic_load(&revocations->known_until_ms);
    if (is_known == follower->is_known)
        return;
    follower->is_known = is_known;
    if (is_known)
        lease_log_current(revocations);
    else
        lease_log_unknown(revocations, "the store could not be read for the length of a lease");
}

struct err store_follower_round(struct store_follower *follower)
{
    int64_t began_ms = clock_ms();
    struct err err = catchup_store(follower->revocations);
    if (!err.code)
        lease_renew(follower->revocations, began_ms);
    store_follower_tell(follower);
    return err;
}

/* Under the lock. */
static void store_follower_pause_until(struct store_follower *follower, int64_t at_ms)
{
    while (!follower->stopping && condition_wait_until(&follower->ended, &follower->lock, at_ms * 1000000))
        ;
}

static void *store_follower_run(void *arg)
{
    struct store_follower *follower = arg;
    int64_t share_ms = lease_ms(follower->revocations) / TRIES_A_LEASE;
    pthread_setname_np(pthread_self(), "revocations");
    pthread_mutex_lock(&follower->lock);
    while (!follower->stopping) {
        pthread_mutex_unlock(&follower->lock);
        (void)store_follower_round(follower);
        pthread_mutex_lock(&follower->lock);
        store_follower_pause_until(follower, clock_ms() + (share_ms < INTERVAL_MS ? share_ms : INTERVAL_MS));
    }
    pthread_mutex_unlock(&follower->lock);
    return NULL;
}

static void store_follower_release(struct store_follower *follower)
{
    pthread_cond_destroy(&follower->ended);
    pthread_mutex_destroy(&follower->lock);
    free(follower);
}

struct err store_follower_open(struct revocations *revocations, struct store_follower **out)
{
    struct store_follower *follower = mem_alloc(sizeof *follower);
    *follower = (struct store_follower){ .revocations = revocations };
    lease_begin(revocations);
    pthread_mutex_init(&follower->lock, NULL);
    condition_init(&follower->ended);
    if (!revocations->by_rounds && pthread_create(&follower->thread, NULL, store_follower_run, follower) != 0) {
        store_follower_release(follower);
        return failed(ERR_INTERNAL, "the thread that follows revocations could not be started");
    }
    *out = follower;
    return OK;
}

void store_follower_close(struct store_follower *follower)
{
    if (!follower)
        return;
    pthread_mutex_lock(&follower->lock);
    follower->stopping = true;
    pthread_cond_signal(&follower->ended);
    pthread_mutex_unlock(&follower->lock);
    if (!follower->revocations->by_rounds)
        pthread_join(follower->thread, NULL);
    store_follower_release(follower);
}
