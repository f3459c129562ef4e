/* service/housekeeping.c: a round a second, or when one is asked for; each task has its own interval. */
#include "service/housekeeping.h"
#include "base/background.h"
#include "base/clock.h"
#include "base/settings.h"
#include "base/wall_clock.h"
#include "keys/keyring.h"
#include "keys/rotation.h"
#include "observe/emf.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "revocation/revocations.h"
#include "service/clients.h"
#include "service/clock_step.h"
#include "service/emf_flush.h"
#include "service/give_back.h"
#include "service/purge.h"
#include "service/service.h"
#include "service/usage.h"
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    ROUND_NS = 1000000000,
    CHECK_INTERVAL_S = 5,
    BACKGROUND_NICE = 10,
    KEYS_GRACE_S = 1,       /* from the start until the first key is made: the first answers need the processor */
    USAGE_BATCHES_MAX = 10, /* a round */
};

struct housekeeping {
    struct service *service;
    struct background background; /* under its lock: */
    bool wanted;                  /* a round, at once */
    bool nudged;                  /* which looks at everything */

    pthread_mutex_t working; /* held during a round; of all that follows */
    int64_t began_ns;        /* this round */
    int64_t until_ns;        /* of this round: after that nothing is begun */
    bool pauses;             /* between the steps of a purge: this is our thread, and others are at work */
    struct purge purge;
    bool has_more; /* something was due that was not begun, or not ended */
    struct wall_clock wall;
    struct give_back memory;
    struct metrics_totals *totals;
    uint64_t put_off;                                                    /* requests, until the last round */
    bool clock_is_off;                                                   /* from the store's, and that was said */
    int64_t check_at, refresh_at, forget_at, purge_at, usage_at, emf_at; /* clock_coarse_s() */
    int64_t keys_at; /* clock_coarse_s(); keys are not moved before that */
};

/* A time of day that stepped is told, and deletes nothing and moves no key before it is believed (wall_clock.h). */
static void housekeeping_look_at_clock(struct housekeeping *housekeeping)
{
    struct service *service = housekeeping->service;
    int64_t wall_ms, boot_ms;
    wall_clock_read(&wall_ms, &boot_ms);
    int64_t step_ms = wall_clock_look(&housekeeping->wall, wall_ms, boot_ms);
    atomic_store(&service->state.clock_ahead_s, housekeeping->wall.ahead_ms / 1000);
    if (step_ms == 0)
        return;
    metrics_count(COUNT_CLOCK_STEPS, 1);
    atomic_store(&service->state.clock_step_s, step_ms / 1000);
    clock_step_note(service->settings, housekeeping->wall.wall_ms / 1000, step_ms);
    LOG(LOG_WARN, "clock_stepped", LOG_INT("step_ms", step_ms),
        LOG_TEXT_("why",
                  "the system's clock was set; because of that, nothing is deleted and no key changes its state"));
}

/* The clock of a store that instances share is believed before this machine's. */
static void housekeeping_compare_clocks(struct housekeeping *housekeeping)
{
    struct service *service = housekeeping->service;
    const int64_t tolerance_ms = service->settings->clock_skew_s * 1000;
    int64_t shared_ms;
    if (!service->store->ops->now || service->store->ops->now(service->store, &shared_ms).code)
        return;
    housekeeping_look_at_clock(housekeeping);
    wall_clock_compare(&housekeeping->wall, shared_ms, tolerance_ms);
    const int64_t ahead_ms = housekeeping->wall.wall_ms - shared_ms;
    const bool is_off = ahead_ms > tolerance_ms || ahead_ms < -tolerance_ms;
    if (is_off && !housekeeping->clock_is_off)
        LOG(LOG_WARN, "clock_wrong", LOG_INT("ahead_ms", ahead_ms),
            LOG_TEXT_("why", "this machine's clock and the database's differ by more than TOKEN_CLOCK_SKEW"));
    housekeeping->clock_is_off = is_off;
    atomic_store(&service->state.clock_difference_ms, ahead_ms);
    atomic_store(&service->state.clock_ahead_s, housekeeping->wall.ahead_ms / 1000);
}

static void housekeeping_check_dependencies(struct service *service)
{
    struct err store = service->store->ops->check(service->store);
    struct err signer = service->signer->ops->check(service->signer);
    if (signer.code && !keyring_reload(service->keyring).code) /* perhaps a key was revoked a moment ago */
        signer = service->signer->ops->check(service->signer);
    atomic_store(&service->state.store_why, store.code ? store.why : NULL);
    bool was_ok = atomic_exchange(&service->state.store_ok, !store.code);
    if (was_ok != !store.code)
        LOG(store.code ? LOG_ERROR : LOG_INFO, store.code ? "store_failing" : "store_recovered",
            LOG_TEXT_("why", store.code ? store.why : "it answers again"));
    atomic_store(&service->state.keys_why, signer.code ? signer.why : NULL);
    was_ok = atomic_exchange(&service->state.keys_ok, !signer.code);
    if (was_ok != !signer.code)
        LOG(signer.code ? LOG_ERROR : LOG_INFO, signer.code ? "signer_failing" : "signer_recovered",
            LOG_TEXT_("signer", service->signer->ops->name),
            LOG_TEXT_("why", signer.code ? signer.why : "it answers again"));
}

/* Whether there is time for what is due; else it stays due. */
static bool housekeeping_may_begin(struct housekeeping *housekeeping)
{
    if (clock_ns() < housekeeping->until_ns)
        return true;
    housekeeping->has_more = true;
    return false;
}

/* What is due to the keys, and at once in force here. */
static void housekeeping_move_keys(struct housekeeping *housekeeping, int64_t now)
{
    struct service *service = housekeeping->service;
    bool changed = false;
    if (!atomic_load(&service->moves_keys) || now < housekeeping->keys_at || wall_clock_is_ahead(&housekeeping->wall) ||
        !housekeeping_may_begin(housekeeping))
        return;
    rotation_round(service->rotation, wall_clock_settled_s(&housekeeping->wall), &changed);
    if (changed && keyring_reload(service->keyring).code)
        housekeeping->check_at = now;
}

static bool housekeeping_is_due(struct housekeeping *housekeeping, int64_t *at, int64_t now, int64_t interval)
{
    if (now < *at || !housekeeping_may_begin(housekeeping))
        return false;
    *at = now + interval;
    return true;
}

/* What was not done to the end is due at once. */
static void housekeeping_go_on(struct housekeeping *housekeeping, int64_t *at, int64_t now)
{
    *at = now;
    housekeeping->has_more = true;
}

static int64_t housekeeping_now_ns(void *context)
{
    (void)context;
    return clock_ns();
}

/* Not to the end when something else is wanted. */
static bool housekeeping_pause(void *context, int64_t ns)
{
    struct housekeeping *housekeeping = context;
    if (!housekeeping->pauses)
        return true;
    const int64_t until_ns = clock_ns() + ns;
    return background_wait(&housekeeping->background, until_ns, &housekeeping->wanted) && clock_ns() >= until_ns;
}

/* For the rest of this round. Where many rows expire, those of a second go each second, and no work piles up. */
static void housekeeping_purge(struct housekeeping *housekeeping, int64_t now)
{
    const int64_t end_ns = housekeeping->began_ns + ROUND_NS;
    const enum purge_end end = purge_run(&housekeeping->purge, wall_clock_settled_s(&housekeeping->wall),
                                         end_ns < housekeeping->until_ns ? end_ns : housekeeping->until_ns);
    if (end == PURGE_UNFINISHED)
        housekeeping_go_on(housekeeping, &housekeeping->purge_at, now);
    else if (end == PURGE_BUSY)
        housekeeping->purge_at = now + 1;
}

/* Of a flood, one line a round and not one for each request. */
static void housekeeping_tell_overload(struct housekeeping *housekeeping)
{
    static const enum counter counters[] = { COUNT_QUEUE_FULL, COUNT_QUEUE_SLOW, COUNT_MEMORY_FULL,
                                             COUNT_CONNECTIONS_REFUSED };
    const uint64_t before = housekeeping->put_off;
    metrics_totals_take(housekeeping->totals);
    housekeeping->put_off = 0;
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        housekeeping->put_off += metrics_totals_counter(housekeeping->totals, counters[i]);
    if (housekeeping->put_off > before)
        LOG(LOG_WARN, "overloaded", LOG_INT("refused", (int64_t)(housekeeping->put_off - before)),
            LOG_TEXT_("why", "more was asked than can be done in time, so these requests or connections were refused"));
}

static void housekeeping_give_back(struct housekeeping *housekeeping)
{
    if (!give_back_is_due(&housekeeping->memory, mem_unused()))
        return;
    mem_give_back();
    give_back_done(&housekeeping->memory, mem_unused());
}

static void housekeeping_round_of_work(struct housekeeping *housekeeping, bool nudged)
{
    struct service *service = housekeeping->service;
    const struct settings *settings = service->settings;
    int64_t now = clock_coarse_s();
    housekeeping->has_more = false;
    if (nudged)
        housekeeping->check_at = housekeeping->refresh_at = now;
    housekeeping_look_at_clock(housekeeping);
    housekeeping_tell_overload(housekeeping);
    housekeeping_give_back(housekeeping);
    struct err caught_up = revocations_round(service->revocations);
    if (caught_up.code || keyring_reload(service->keyring).code || !atomic_load(&service->state.store_ok))
        housekeeping->check_at = now; /* the store failed, or did: find out what to tell */
    housekeeping_move_keys(housekeeping, now);
    if (housekeeping_is_due(housekeeping, &housekeeping->check_at, now, CHECK_INTERVAL_S)) {
        housekeeping_check_dependencies(service);
        housekeeping_compare_clocks(housekeeping);
    }
    if (service->store->ops->has_changed(service->store)) /* perhaps a client was disabled */
        housekeeping->refresh_at = now;
    if (housekeeping_is_due(housekeeping, &housekeeping->refresh_at, now, settings->client_cache_s / 3))
        clients_refresh(service->clients, now);
    if (housekeeping_is_due(housekeeping, &housekeeping->forget_at, now, settings->purge_interval_s))
        revocations_purge(service->revocations, wall_clock_settled_s(&housekeeping->wall));
    if (service->uses && housekeeping_is_due(housekeeping, &housekeeping->usage_at, now, settings->usage_interval_s) &&
        usage_write(service, USAGE_BATCHES_MAX))
        housekeeping_go_on(housekeeping, &housekeeping->usage_at, now);
    if (emf_is_open() && housekeeping_is_due(housekeeping, &housekeeping->emf_at, now, settings->emf_interval_s))
        emf_flush(service);
    if (housekeeping_is_due(housekeeping, &housekeeping->purge_at, now, settings->purge_interval_s))
        housekeeping_purge(housekeeping, now); /* last: it takes the time that is left */
}

/* Whoever holds `working`. True: there is more that is due. */
static bool housekeeping_one_round(struct housekeeping *housekeeping, int64_t until_ns)
{
    background_take(&housekeeping->background, &housekeeping->wanted);
    housekeeping->began_ns = clock_ns();
    housekeeping->until_ns = until_ns;
    housekeeping_round_of_work(housekeeping, background_take(&housekeeping->background, &housekeeping->nudged));
    return housekeeping->has_more;
}

bool housekeeping_round_now(struct housekeeping *housekeeping, int64_t until_ns)
{
    if (pthread_mutex_trylock(&housekeeping->working) != 0)
        return true;
    bool has_more = housekeeping_one_round(housekeeping, until_ns);
    while (has_more && clock_ns() < until_ns)
        has_more = housekeeping_one_round(housekeeping, until_ns);
    pthread_mutex_unlock(&housekeeping->working);
    return has_more;
}

void housekeeping_settle(struct housekeeping *housekeeping, int64_t until_ns)
{
    struct service *service = housekeeping->service;
    const int64_t now = clock_coarse_s();
    if (!service->uses || pthread_mutex_trylock(&housekeeping->working) != 0)
        return;
    housekeeping->until_ns = until_ns;
    if (housekeeping_is_due(housekeeping, &housekeeping->usage_at, now, service->settings->usage_interval_s) &&
        usage_write(service, USAGE_BATCHES_MAX))
        housekeeping->usage_at = now;
    pthread_mutex_unlock(&housekeeping->working);
}

static void housekeeping_run(void *context)
{
    struct housekeeping *housekeeping = context;
    int64_t next_ns;
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), BACKGROUND_NICE); /* making an RSA key takes a while */
    do {
        pthread_mutex_lock(&housekeeping->working);
        housekeeping->pauses = true;
        const bool has_more = housekeeping_one_round(housekeeping, INT64_MAX);
        next_ns = (has_more ? housekeeping->began_ns : clock_ns()) + ROUND_NS;
        housekeeping->pauses = false;
        pthread_mutex_unlock(&housekeeping->working);
    } while (background_wait(&housekeeping->background, next_ns, &housekeeping->wanted));
}

/* Its thread has ended. */
static void housekeeping_release(struct housekeeping *housekeeping)
{
    pthread_mutex_destroy(&housekeeping->working);
    free(housekeeping->totals);
    free(housekeeping);
}

struct err housekeeping_open(struct service *service, struct housekeeping **out)
{
    struct housekeeping *housekeeping = mem_alloc(sizeof *housekeeping);
    int64_t wall_ms, boot_ms;
    wall_clock_read(&wall_ms, &boot_ms);
    *housekeeping = (struct housekeeping){ .service = service, .wall = wall_clock_begin(wall_ms, boot_ms) };
    housekeeping->purge = purge_begin(service->store,
                                      (struct purge_clock){ housekeeping_now_ns, housekeeping_pause, housekeeping });
    housekeeping->totals = metrics_totals_new();
    background_init(&housekeeping->background);
    pthread_mutex_init(&housekeeping->working, NULL);
    struct err err = revocations_read(service->revocations);
    if (err.code) {
        background_stop(&housekeeping->background);
        housekeeping_release(housekeeping);
        return err;
    }
    atomic_store(&service->state.store_ok, true); /* so that the first check logs only what fails */
    atomic_store(&service->state.keys_ok, true);
    housekeeping_check_dependencies(service);
    housekeeping_compare_clocks(housekeeping);
    housekeeping->check_at = clock_coarse_s() + CHECK_INTERVAL_S;
    *out = housekeeping;
    return OK;
}

struct err housekeeping_start(struct housekeeping *housekeeping)
{
    housekeeping->keys_at = clock_coarse_s() + KEYS_GRACE_S;
    return background_start(&housekeeping->background, "housekeeping", 0, housekeeping_run, housekeeping);
}

void housekeeping_nudge(struct housekeeping *housekeeping)
{
    background_raise(&housekeeping->background, &housekeeping->nudged);
    background_raise(&housekeeping->background, &housekeeping->wanted);
}

void housekeeping_unknown_kid(struct service *service)
{
    const int64_t now_s = clock_coarse_s();
    long long last = atomic_load(&service->unknown_kid_at);
    if (service->housekeeping && now_s >= last + UNKNOWN_KID_INTERVAL_S &&
        atomic_compare_exchange_strong(&service->unknown_kid_at, &last, now_s))
        background_raise(&service->housekeeping->background,
                         &service->housekeeping->wanted); /* keys are read in each round */
}

void housekeeping_close(struct housekeeping *housekeeping)
{
    if (!housekeeping)
        return;
    background_stop(&housekeeping->background);
    if (housekeeping->service->uses) /* no thread notes uses any more */
        (void)usage_write(housekeeping->service, USES_MAX / USES_BATCH + 1);
    housekeeping_release(housekeeping);
}
