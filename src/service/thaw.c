/* service/thaw.c: one lock, which is held while others are asked: so of many calls at once one asks for all that came
 * before it began. */
#include "service/thaw.h"
#include "base/clock.h"
#include "base/settings.h"
#include "base/wall_clock.h"
#include "keys/keyring.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "revocation/revocations.h"
#include "service/clients.h"
#include "service/housekeeping.h"
#include "service/service.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { KEYS_GOOD_MS = 1000, QUICK_NS = 200000000 };

struct thaw {
    struct service *service;
    pthread_mutex_t looking;
    int64_t wall_ms, clock_ms; /* at the last look; under `looking` */
    atomic_bool has_stopped;   /* and nothing was read since */
    pthread_mutex_t lock;
    int64_t heard_ns; /* clock_ns() when the last reading of revocations began; of all that follows, under the lock */
    int64_t keys_ms;  /* clock_ms() when that of the keys began */
};

struct thaw *thaw_new(struct service *service)
{
    struct thaw *thaw = mem_alloc(sizeof *thaw);
    *thaw = (struct thaw){ .service = service,
                           .wall_ms = wall_clock_day_ms(),
                           .clock_ms = clock_ms(),
                           .heard_ns = INT64_MIN,
                           .keys_ms = clock_ms() };
    pthread_mutex_init(&thaw->looking, NULL);
    pthread_mutex_init(&thaw->lock, NULL);
    return thaw;
}

void thaw_free(struct thaw *thaw)
{
    if (!thaw)
        return;
    pthread_mutex_destroy(&thaw->lock);
    pthread_mutex_destroy(&thaw->looking);
    free(thaw);
}

/* Where the monotonic clock stands still with a frozen machine, the time of day shows it. A time of day that was set
 * ahead looks the same, and costs one reading. */
void thaw_look_at_clock(struct thaw *thaw)
{
    pthread_mutex_lock(&thaw->looking);
    const int64_t wall = wall_clock_day_ms(), clock = clock_ms();
    const int64_t stopped_ms = thaw_stopped_ms(wall - thaw->wall_ms, clock - thaw->clock_ms);
    clock_add_pause(stopped_ms);
    thaw->wall_ms = wall;
    thaw->clock_ms = clock + stopped_ms;
    pthread_mutex_unlock(&thaw->looking);
    if (stopped_ms == 0)
        return;
    atomic_store(&thaw->has_stopped, true);
    housekeeping_nudge(thaw->service->housekeeping);
    metrics_count(COUNT_CLOCK_STOPS, 1);
    LOG(LOG_INFO, "clock_stood_still", LOG_INT("ms", stopped_ms));
}

static bool thaw_needs_revocations(const struct thaw *thaw)
{
    const struct settings *settings = thaw->service->settings;
    const struct revocations_state state = revocations_state(thaw->service->revocations);
    if (!state.follows)
        return false;
    return settings->revocation_policy == POLICY_STRICT || !state.is_known ||
           state.staleness_s * 2 >= (double)settings->revocation_staleness_s;
}

/* What fails is logged where it fails, and shows in the lease. */
static void thaw_read_revocations(struct thaw *thaw)
{
    int64_t began_ns = clock_ns();
    struct err err = revocations_catch_up(thaw->service->revocations);
    if (err.code && clock_ns() - began_ns < QUICK_NS) { /* a connection that broke while nobody looked, perhaps */
        began_ns = clock_ns();
        err = revocations_catch_up(thaw->service->revocations);
    }
    if (!err.code)
        thaw->heard_ns = began_ns;
}

void thaw_catch_up(struct thaw *thaw, bool needs_revocations)
{
    struct service *service = thaw->service;
    const int64_t came_ns = clock_ns();
    pthread_mutex_lock(&thaw->lock);
    const bool has_stopped = atomic_exchange(&thaw->has_stopped, false);
    if (has_stopped)
        revocations_doubt(service->revocations);
    if (has_stopped || (needs_revocations && thaw->heard_ns < came_ns && thaw_needs_revocations(thaw)))
        thaw_read_revocations(thaw);
    if (has_stopped || clock_ms() - thaw->keys_ms >= KEYS_GOOD_MS) {
        thaw->keys_ms = clock_ms();
        const struct err err = keyring_reload(service->keyring);
        (void)err; /* the keys that are known stay in force, and the log says why */
    }
    if (has_stopped)
        clients_refresh(service->clients, clock_coarse_s());
    pthread_mutex_unlock(&thaw->lock);
}
