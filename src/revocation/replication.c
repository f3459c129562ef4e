/* revocation/replication.c: why no acknowledged revocation is lost.
 *
 * Revoking goes: memory here -> key in Redis -> item in the log -> record in the store -> answer. A crash or failure
 *   - before the key is set: nothing has happened, and nobody was told otherwise;
 *   - before the item is appended: others learn of the key with their next full read alone; the caller hears 503 or
 *     nothing, and a repetition does all of it again;
 *   - before the record is durable: the token is refused everywhere for as long as Redis keeps it; again nobody was
 * told;
 *   - after that: both hold it.
 *
 * Redis may lose what it held: restarted empty, flushed, or failed over to a replica that was behind. Then the store's
 * revocations are pushed into it again by the instance that has them. Each such event is one more in the `epoch`: a
 * server that has not been talked to before (cache generation), or a gap in the log. The epoch grows before the store
 * is read. So of a revocation that was announced in one epoch, either its record became durable before the epoch ended,
 * and the push finds it in the store; or revocations_confirm() sees another epoch, and the caller hears 503 instead of
 * a promise: repeating it announces it once more.
 *
 * In between others may take the token: from when they have read everything from the new server until it was pushed
 * there. They read the store as well, so where they share it, that takes a commit that was still under way then; where
 * each has its own, it ends when the instance that has the record finds the new server. To WAIT for replicas would
 * shorten it, for a round trip more to each revocation and no word on which replica will follow: with a shared store it
 * isn't worth that.
 *
 * Following goes: append a mark to the log; read the store, and all keys; push what the store has beside them
 * (catchup.c); read the log on from the mark. What was revoked before the mark has its key already, since keys are set
 * before items are appended; what comes after it is in the log. A rule (shared_rules.h) goes the same way, in the same
 * log; its key holds times that can only be raised, so it says at least what the last of several revocations promised,
 * in whichever order they came. Each read of the log proves that it still holds the item where this instance stands
 * (cache/cache.c), so nothing can be trimmed or lost between two reads unseen: that is a gap, and everything is read
 * again.
 *
 * A master that stood still while it was replaced takes writes afterwards, for seconds, from whoever stood still with
 * it. So after the item is appended the Sentinels are asked who the master is (cache_confirm()).
 *
 * How long an instance may go on by what it has read is a lease (lease.h), and it counts from a write that Redis
 * took before the read: see replication_prove().
 *
 * Where instances share a store, nobody has to wait for the keys: whatever was acknowledged before the mark was durable
 * before it, so the store has it; what was announced before the mark and is acknowledged after the store was read is in
 * the log, which is read from its beginning, and keeps more than can be under way. The keys are compared with the store
 * afterwards, on a thread of its own (restorer.c), for those who read them instead of asking. */
#include "revocation/replication.h"
#include "base/background.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/hex.h"
#include "base/random.h"
#include "base/wall_clock.h"
#include "observe/log.h"
#include "revocation/catchup.h"
#include "revocation/eviction.h"
#include "revocation/inside.h"
#include "revocation/lease.h"
#include "revocation/restorer.h"
#include "revocation/shared_rules.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    BATCH = 1000,    /* items read at once */
    LISTEN_MS = 100, /* one wait for the log's next item: how often an idle instance hears that Redis is there */
    PAUSE_MS = 50,   /* after a failure; twice that after the next one, and so on */
    PAUSE_MAX_MS = 500,
    AT_ONCE_MAX = 3, /* in a row, of what is done once more without a pause */
    NAME_LEN = 16,   /* of this instance */
    PROOF_MS = 250,  /* from one write to the next: a quarter of the shortest lease */
    LEASE_KEY_S = 60,
};

static const struct str lease_key = STR_INIT("token-service:{revocations}:lease");

const struct str replication_log = STR_INIT("token-service:{revocations}:log");

struct replication {
    struct revocations *revocations;
    struct cache *cache;
    struct background background;
    bool has_tried;                 /* under its lock: a first round has ended, well or not */
    struct cache_position position; /* "": to be found */
    uint64_t generation;            /* of the cache, when everything was read last */
    bool reads_again;               /* somebody has put back what Redis had lost */
    struct restorer *restorer;
    char name[NAME_LEN + 1];
    int64_t proved_ms; /* clock_ms() when the last write began that Redis took */
    atomic_ullong gaps;
};

/* --- items ---------------------------------------------------------------------------------------------------------
 */

/* "revoked <hex> <until>", "rule …" (shared_rules.h), "restored <instance>", "mark <instance>"; what is none of them is
 * passed over. */
static void replication_apply_item(struct replication *replication, struct str item)
{
    struct str rest = item, kind, hash_text;
    unsigned char hash[32];
    int64_t until;
    if (!str_cut(&rest, ' ', &kind))
        return;
    if (str_eq(kind, STR("restored")) && !str_eq(rest, str_of(replication->name)))
        replication->reads_again = true;
    if (str_eq(kind, STR("rule")))
        shared_rules_apply(replication->revocations->rules, rest);
    if (str_eq(kind, STR("revoked")) && str_cut(&rest, ' ', &hash_text) && hex_read(hash_text, hash, 32) &&
        str_number(rest, CACHE_MARK_MAX, &until) && until > wall_clock_by_all_s((int64_t)time(NULL)))
        hash_set_add(replication->revocations->revoked, hash, (struct hash_value){ .expires_at = until });
}

/* --- what this instance knows --------------------------------------------------------------------------------------
 */

/* Everything that was acknowledged before the last proof is known here: what was read came after it. */
static void replication_now_known(struct replication *replication)
{
    lease_renew(replication->revocations, replication->proved_ms);
    if (!atomic_exchange(&replication->revocations->cache_ok, true))
        lease_log_current(replication->revocations);
}

/* From now on things may be revoked elsewhere without this instance hearing of it. */
static void replication_no_longer_known(struct replication *replication, const char *why)
{
    struct revocations *revocations = replication->revocations;
    if (revocations->settings->revocation_policy == POLICY_STRICT)
        atomic_store(&revocations->known_until_ms, 0);
    if (atomic_exchange(&revocations->cache_ok, false))
        lease_log_unknown(revocations, why);
}

static void replication_add_gap(struct replication *replication, const char *why)
{
    atomic_fetch_add(&replication->gaps, 1);
    replication->position.text[0] = '\0';
    replication_no_longer_known(replication, why);
}

/* A read doesn't show whether the server that answers is the master still: on the lesser side of a divided network it
 * reads as ever, while others revoke at the new one. Sentinels show it; and a write does, where Redis is told to take
 * none without its replicas (min-replicas-to-write). One to the server that has the log: the key's {tag} is the log's.
 * A few a second are enough for a lease of seconds. */
static struct err replication_prove(struct replication *replication)
{
    int64_t began_ms = clock_ms();
    const struct cache_entry mark = { lease_key, str_of(replication->name), LEASE_KEY_S };
    if (began_ms - replication->proved_ms < PROOF_MS)
        return OK;
    TRY(cache_put(replication->cache, &mark, 1));
    TRY(cache_confirm(replication->cache));
    replication->proved_ms = began_ms;
    return OK;
}

/* --- reading everything --------------------------------------------------------------------------------------------
 */

static bool replication_shares_store(const struct replication *replication)
{
    return replication->revocations->store->ops->is_shared;
}

/* The keys too, and what Redis lacks is put back: by this thread, since nobody else's store has what this one has. */
static struct err replication_read_both(struct replication *replication, const struct cache_position *mark)
{
    TRY(replication_restore(replication->revocations, replication->name));
    replication->position = *mark;
    return OK;
}

/* Items that are there, from where this instance stands; the last ones read are known when there are no more. */
static struct err replication_read_items(struct replication *replication, int64_t wait_ms, size_t *count)
{
    struct cache *cache = replication->cache;
    struct cache_item *items = NULL;
    AUTO(arena_release) struct arena arena;
    arena_init(&arena, NULL, 0);
    TRY(cache_read(cache, &arena, replication_log, &replication->position, wait_ms, BATCH, &items, count));
    for (size_t i = 0; i < *count; i++)
        replication_apply_item(replication, items[i].text);
    if (*count > 0)
        replication->position = items[*count - 1].position;
    return OK;
}

/* The store, and all of the log: it ends behind the mark. */
static struct err replication_read_store_and_log(struct replication *replication)
{
    TRY(catchup_store(replication->revocations));
    for (size_t count = BATCH; count == BATCH;)
        TRY(replication_read_items(replication, 0, &count));
    restorer_wake(replication->restorer);
    return OK;
}

/* Whatever Redis has lost, or this instance has missed. Others are told when they may have missed something too. */
static struct err replication_resync(struct replication *replication)
{
    struct cache *cache = replication->cache;
    struct cache_position mark;
    char text[32];
    replication->position.text[0] = '\0';
    /* first: a connection shows which server it is, and all that is read after that counts for it */
    TRY(cache_check(cache));
    eviction_look(replication->revocations);
    uint64_t generation = cache_generation(cache);
    int64_t began_ms = clock_ms();
    int len = snprintf(text, sizeof text, "mark %s", replication->name);
    TRY(cache_append(cache, replication_log, (struct str){ text, (size_t)len }, &mark));
    TRY(cache_confirm(cache));
    struct err err = replication_shares_store(replication) ? replication_read_store_and_log(replication)
                                                           : replication_read_both(replication, &mark);
    if (!err.code && generation != cache_generation(cache))
        err = failed(ERR_CONFLICT, "Redis changed while revocations were read");
    if (err.code) {
        replication->position.text[0] = '\0';
        return err;
    }
    replication->reads_again = false; /* only now: a read that failed is still to be done */
    replication->generation = generation;
    replication->proved_ms = began_ms; /* by the mark */
    replication_now_known(replication);
    return OK;
}

struct err replication_restore(struct revocations *revocations, const char *name)
{
    struct cache *cache = revocations->cache;
    struct cache_position ignored;
    size_t restored = 0;
    char text[32];
    TRY(catchup_all(revocations, &restored));
    if (restored == 0)
        return OK;
    LOG(LOG_WARN, "revocations_restored", LOG_INT("entries", (int64_t)restored));
    int len = snprintf(text, sizeof text, "restored %s", name);
    return cache_append(cache, replication_log, (struct str){ text, (size_t)len }, &ignored);
}

/* Somebody else has put back what Redis had lost. */
static struct err replication_read_again(struct replication *replication)
{
    TRY(replication_shares_store(replication) ? catchup_store(replication->revocations)
                                              : catchup_keys(replication->revocations));
    replication->reads_again = false;
    return OK;
}

/* --- following -----------------------------------------------------------------------------------------------------
 */

/* Waits so long for something new. *more: there is more to read than was read at once. */
static struct err replication_follow(struct replication *replication, int64_t wait_ms, bool *more)
{
    struct cache *cache = replication->cache;
    size_t count = 0;
    *more = false;
    if (!replication->position.text[0] || replication->generation != cache_generation(cache))
        TRY(replication_resync(replication));
    TRY(replication_prove(replication));
    struct err err = replication_read_items(replication, wait_ms, &count);
    if (err.code == ERR_NOT_FOUND)
        replication_add_gap(replication, "the log no longer has the position of this instance");
    TRY(err);
    if (replication->reads_again)
        TRY(replication_read_again(replication));
    *more = count == BATCH;
    if (!*more && replication->generation == cache_generation(cache))
        replication_now_known(replication);
    return OK;
}

/* The same, and tells of a failure unless it shall be tried *again at once: after a gap, or when servers were met for
 * the first time. *failures: in a row. */
static struct err replication_try_to_follow(struct replication *replication, int64_t wait_ms, unsigned *failures,
                                            bool *again)
{
    bool more = false;
    struct err err = replication_follow(replication, wait_ms, &more);
    *failures = err.code ? *failures + 1 : 0;
    *again = more || ((err.code == ERR_NOT_FOUND || err.code == ERR_CONFLICT) && *failures <= AT_ONCE_MAX);
    if (err.code && !*again)
        replication_no_longer_known(replication, err.why);
    return err;
}

struct err replication_catch_up(struct replication *replication)
{
    struct err err = OK;
    unsigned failures = 0;
    for (bool again = true; again;)
        err = replication_try_to_follow(replication, 0, &failures, &again);
    return err;
}

void replication_round(struct replication *replication)
{
    const struct err err = replication_catch_up(replication);
    (void)err; /* it has been logged, and shows in the lease */
    restorer_round(replication->restorer);
}

void replication_doubt(struct replication *replication)
{
    replication->proved_ms = INT64_MIN / 2;
}

static void replication_run(void *context)
{
    struct replication *replication = context;
    struct background *background = &replication->background;
    unsigned failures = 0; /* in a row */
    int64_t pause_ms = 0;
    while (background_wait(background, clock_ns() + pause_ms * 1000000, NULL)) {
        bool again = false;
        struct err err = replication_try_to_follow(replication, LISTEN_MS, &failures, &again);
        if (!again)
            background_raise(background, &replication->has_tried);
        pause_ms = err.code && !again ? backoff(PAUSE_MS, PAUSE_MAX_MS, failures) : 0;
    }
}

/* --- life ----------------------------------------------------------------------------------------------------------
 */

struct err replication_open(struct revocations *revocations, struct replication **out)
{
    struct replication *replication = mem_alloc(sizeof *replication);
    *replication = (struct replication){ .revocations = revocations, .cache = revocations->cache };
    snprintf(replication->name, sizeof replication->name, "%016llx", (unsigned long long)random_number());
    atomic_store(&revocations->cache_ok, false);
    lease_begin(revocations);
    background_init(&replication->background);
    *out = replication;
    TRY(restorer_open(revocations, replication->name, &replication->restorer));
    return revocations->by_rounds
               ? OK
               : background_start(&replication->background, "revocations", 0, replication_run, replication);
}

void replication_close(struct replication *replication)
{
    if (!replication)
        return;
    background_stop(&replication->background);
    restorer_close(replication->restorer);
    free(replication);
}

void replication_wait(struct replication *replication)
{
    (void)background_wait(&replication->background, INT64_MAX, &replication->has_tried);
}

uint64_t replication_epoch(const struct revocations *revocations)
{
    uint64_t generation = cache_generation(revocations->cache);
    return 1 + generation + (revocations->replication ? atomic_load(&revocations->replication->gaps) : 0);
}
