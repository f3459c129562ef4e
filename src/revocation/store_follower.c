/* revocation/store_follower.c: the store is read on each second, or four times in a lease when that is shorter. A
 * thread of its own, since housekeeping may be busy with keys for longer than a lease. One failure ends nothing: the
 * lease goes on until its end, and another try may come before. */
#include "revocation/store_follower.h"
#include "base/background.h"
#include "base/clock.h"
#include "revocation/catchup.h"
#include "revocation/inside.h"
#include "revocation/lease.h"
#include <stdlib.h>

enum { INTERVAL_MS = 1000, TRIES_A_LEASE = 4 };

struct store_follower {
    struct revocations *revocations;
    struct background background;
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

static void store_follower_run(void *context)
{
    struct store_follower *follower = context;
    const int64_t share_ms = lease_ms(follower->revocations) / TRIES_A_LEASE;
    const int64_t pause_ns = (share_ms < INTERVAL_MS ? share_ms : INTERVAL_MS) * 1000000;
    for (int64_t at_ns = 0; background_wait(&follower->background, at_ns, NULL); at_ns = clock_ns() + pause_ns)
        (void)store_follower_round(follower);
}

struct err store_follower_open(struct revocations *revocations, struct store_follower **out)
{
    struct store_follower *follower = mem_alloc(sizeof *follower);
    *follower = (struct store_follower){ .revocations = revocations };
    lease_begin(revocations);
    background_init(&follower->background);
    *out = follower;
    return revocations->by_rounds
               ? OK
               : background_start(&follower->background, "revocations", 0, store_follower_run, follower);
}

void store_follower_close(struct store_follower *follower)
{
    if (!follower)
        return;
    background_stop(&follower->background);
    free(follower);
}
