/* revocation/catchup.c: the store is read first, since it says when each revocation ends; of a key that only the cache
 * has, that must be asked for. The store's are ticked off while the cache's keys come by. When all are, nothing is to
 * be put back, as at nearly every start; else the store is read once more, which costs no memory. */
#include "revocation/catchup.h"
#include "base/hex.h"
#include "base/wall_clock.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "revocation/inside.h"
#include "revocation/store_pages.h"
#include "revocation/shared_rules.h"
#include "revocation/write_back.h"
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum {
    READ_BATCH = 5000, /* revocations read at once: of more, a database needs longer again for each */
    PUSH_BATCH = 1000, /* put into the cache at once */
};

static const struct str key_prefix = { "revoked:", REVOCATION_PREFIX_LEN };

static int64_t catchup_now_s(void)
{
    return (int64_t)time(NULL);
}

struct str revocation_key(const unsigned char hash[32], char to[REVOCATION_KEY_LEN + 1])
{
    memcpy(to, key_prefix.at, key_prefix.len);
    hex_write(hash, 32, to + key_prefix.len);
    return (struct str){ to, REVOCATION_KEY_LEN };
}

/* --- where this instance stands ---------------------------------------------------------------------------------- */

struct catchup {
    pthread_mutex_t reading; /* held by the thread that reads on from there, during calls of the store: two would hinder
                                each other */
    pthread_mutex_t lock;    /* of what follows */
    struct sequence sequence; /* its epoch is 0 before the first page was read */
    int64_t position;         /* of that sequence, all up to there are in memory */
};

struct catchup *catchup_new(void)
{
    struct catchup *catchup = mem_alloc(sizeof *catchup);
    *catchup = (struct catchup){ .position = 0 };
    pthread_mutex_init(&catchup->reading, NULL);
    pthread_mutex_init(&catchup->lock, NULL);
    return catchup;
}

void catchup_free(struct catchup *catchup)
{
    if (!catchup)
        return;
    pthread_mutex_destroy(&catchup->reading);
    pthread_mutex_destroy(&catchup->lock);
    free(catchup);
}

int64_t catchup_position(struct catchup *catchup, struct sequence *sequence)
{
    pthread_mutex_lock(&catchup->lock);
    *sequence = catchup->sequence;
    int64_t position = catchup->position;
    pthread_mutex_unlock(&catchup->lock);
    return position;
}

/* `anew`: regardless of what was known before. Otherwise only a later position in the same sequence counts: two threads
 * may be reading. */
static void catchup_stand_at(struct catchup *catchup, const struct sequence *sequence, int64_t position, bool anew)
{
    pthread_mutex_lock(&catchup->lock);
    if (anew || catchup->sequence.epoch == 0) {
        catchup->sequence = *sequence;
        catchup->position = position;
    } else if (catchup->sequence.epoch == sequence->epoch) {
        if (catchup->sequence.last < sequence->last)
            catchup->sequence.last = sequence->last;
        if (catchup->position < position)
            catchup->position = position;
    }
    pthread_mutex_unlock(&catchup->lock);
}

/* --- which of the store's tokens the cache has -------------------------------------------------------------------- */

static const int64_t ticked = UINT32_MAX; /* instead of an expiry, which a set keeps no later one than */

static struct hash_value catchup_unticked(const struct revocation *found)
{
    return (struct hash_value){ .expires_at = found->expires_at < ticked ? found->expires_at : ticked - 1 };
}

/* False when it was never added. */
static bool catchup_tick(struct hash_set *tally, const unsigned char hash[32])
{
    bool is_there = hash_set_has(tally, hash);
    if (is_there)
        hash_set_add(tally, hash, (struct hash_value){ .expires_at = ticked });
    return is_there;
}

/* Whether anything was not ticked off that has not ended. Afterwards the tally has what was. */
static bool catchup_is_open(struct hash_set *tally)
{
    (void)hash_set_purge(tally, wall_clock_by_all_s(catchup_now_s()) + 1);
    return hash_set_purge(tally, ticked) > 0;
}

/* --- the store --------------------------------------------------------------------------------------------------- */

/* Reads the store's revocations. */
struct reader {
    struct store_pages pages; /* whose context is this */
    struct revocations *revocations;
    struct hash_set *tally;  /* of tokens; NULL: nothing is kept */
    struct hash_set *stored; /* where `note` puts rules */
    struct arena kept;
    struct revocation *rules; /* in it; where `learn` does */
    size_t rules_count, rules_room;
    size_t restored;
};

/* Of a token, its kind is 0, and so is `before`. */
static struct hash_value catchup_value_of(const struct revocation *found)
{
    return (struct hash_value){ found->expires_at, found->before, found->kind };
}

/* In memory, whichever kind it is. */
static void catchup_hold(struct revocations *revocations, const struct revocation *found)
{
    if (found->kind == REVOKED_TOKEN)
        hash_set_add(revocations->revoked, found->hash, catchup_value_of(found));
    else
        rules_add(revocations->rules, found->hash, catchup_value_of(found));
}

static void catchup_keep_rule(struct reader *reader, const struct revocation *rule)
{
    if (reader->rules_count == reader->rules_room) {
        reader->rules_room = reader->rules_room ? 2 * reader->rules_room : 16;
        struct revocation *larger = arena_alloc(&reader->kept, reader->rules_room * sizeof *larger);
        if (reader->rules_count > 0)
            memcpy(larger, reader->rules, reader->rules_count * sizeof *larger);
        reader->rules = larger;
    }
    reader->rules[reader->rules_count] = *rule;
    reader->rules[reader->rules_count++].reason = arena_copy(&reader->kept, rule->reason);
}

static struct err catchup_learn(void *context, struct arena *arena, const struct revocation *found, size_t count)
{
    struct reader *reader = context;
    (void)arena;
    for (size_t i = 0; i < count; i++) {
        catchup_hold(reader->revocations, &found[i]);
        if (reader->tally && found[i].kind != REVOKED_TOKEN)
            catchup_keep_rule(reader, &found[i]);
        else if (reader->tally)
            hash_set_add(reader->tally, found[i].hash, catchup_unticked(&found[i]));
    }
    return OK;
}

static void catchup_begin(struct reader *reader, struct revocations *revocations,
                          struct err (*take)(void *, struct arena *, const struct revocation *, size_t))
{
    *reader = (struct reader){ .pages = { .store = revocations->store, .take = take, .context = reader },
                               .revocations = revocations };
    arena_init(&reader->kept, NULL, 0);
}

static struct err catchup_read_on(struct revocations *revocations)
{
    struct reader reader;
    catchup_begin(&reader, revocations, catchup_learn);
    reader.pages.in_parts = true; /* nothing is kept but in memory, where threads may meet */
    int64_t position = catchup_position(revocations->catchup, &reader.pages.sequence);
    struct err err = store_pages_read(&reader.pages, READ_BATCH, &position);
    if (reader.pages.sequence.epoch != 0)
        catchup_stand_at(revocations->catchup, &reader.pages.sequence, position, false);
    return err;
}

/* Also notes what is there. */
static struct err catchup_note(void *context, struct arena *arena, const struct revocation *found, size_t count)
{
    struct reader *reader = context;
    (void)arena;
    for (size_t i = 0; i < count; i++) {
        catchup_hold(reader->revocations, &found[i]);
        hash_set_add(found[i].kind == REVOKED_TOKEN ? reader->tally : reader->stored, found[i].hash,
                     catchup_value_of(&found[i]));
    }
    return OK;
}

/* All of a store that is another one than before, and gives it what it lacks of what is known here: it was acknowledged
 * by the one before. Only then this instance stands there; until then all of it is done again. */
static struct err catchup_read_anew(struct revocations *revocations)
{
    struct reader reader;
    int64_t position = 0;
    size_t written = 0;
    catchup_begin(&reader, revocations, catchup_note);
    reader.pages.in_parts = true; /* as above */
    reader.tally = hash_set_new(HASH_SET_TALLY);
    reader.stored = hash_set_new(HASH_SET_RULES);
    struct err err = store_pages_read(&reader.pages, READ_BATCH, &position);
    if (!err.code)
        err = write_back(revocations, reader.tally, reader.stored, catchup_now_s(), &written);
    if (!err.code) {
        catchup_stand_at(revocations->catchup, &reader.pages.sequence, position, true);
        metrics_count(COUNT_STORE_EPOCHS, 1);
        LOG(LOG_WARN, "store_began_anew", LOG_INT("written_back", (int64_t)written),
            LOG_TEXT_("why", "the database is another server, or an older state of it: the revocations that it lacked "
                             "were written back"));
    }
    hash_set_free(reader.stored);
    hash_set_free(reader.tally);
    return err;
}

struct err catchup_store(struct revocations *revocations)
{
    pthread_mutex_lock(&revocations->catchup->reading);
    struct err err = catchup_read_on(revocations);
    if (err.code == ERR_CONFLICT)
        err = catchup_read_anew(revocations);
    pthread_mutex_unlock(&revocations->catchup->reading);
    return err;
}

/* --- the cache --------------------------------------------------------------------------------------------------- */

struct listener {
    struct revocations *revocations;
    struct hash_set *tally; /* NULL: none is kept */
};

static bool catchup_read_key(struct str key, unsigned char hash[32])
{
    return hex_read((struct str){ key.at + key_prefix.len, key.len - key_prefix.len }, hash, 32);
}

/* A key's life matters only where it isn't known already. */
static bool catchup_wants_key(void *context, struct str key)
{
    const struct listener *listener = context;
    unsigned char hash[32];
    return catchup_read_key(key, hash) && !(listener->tally && catchup_tick(listener->tally, hash)) &&
           !hash_set_has(listener->revocations->revoked, hash);
}

static void catchup_add_key(void *context, struct str key, int64_t ttl_s)
{
    const struct listener *listener = context;
    unsigned char hash[32];
    if (catchup_read_key(key, hash))
        hash_set_add(listener->revocations->revoked, hash,
                     (struct hash_value){ .expires_at = wall_clock_by_all_s(catchup_now_s()) + cache_ttl_s(ttl_s) });
}

/* Every key; the rules among them also into `seen`. */
static struct err catchup_read_cache(struct revocations *revocations, struct hash_set *tally, struct hash_set *seen)
{
    struct listener listener = { revocations, tally };
    struct rules_reading rules = { revocations->rules, seen };
    const struct cache_visitor visitors[] = {
        { .prefix = key_prefix, .context = &listener, .wants = catchup_wants_key, .each = catchup_add_key },
        shared_rules_visitor(&rules),
    };
    metrics_count(COUNT_REVOCATIONS_RESYNCS, 1);
    return cache_scan(revocations->cache, visitors, 2);
}

struct err catchup_keys(struct revocations *revocations)
{
    struct hash_set *seen = hash_set_new(HASH_SET_RULES);
    struct err err = catchup_read_cache(revocations, NULL, seen);
    hash_set_free(seen);
    return err;
}

/* --- both -------------------------------------------------------------------------------------------------------- */

/* Tokens that were not ticked off go into the cache; also one that came into the store in between. */
static struct err catchup_push(void *context, struct arena *arena, const struct revocation *found, size_t count)
{
    struct reader *reader = context;
    struct cache *cache = reader->revocations->cache;
    struct cache_entry *entries = arena_alloc(arena, (count + 1) * sizeof *entries);
    size_t lacking = 0, added = 0;
    int64_t now = wall_clock_by_all_s(catchup_now_s());
    for (size_t i = 0; i < count; i++) {
        catchup_hold(reader->revocations, &found[i]);
        if (found[i].kind != REVOKED_TOKEN || found[i].expires_at <= now || hash_set_has(reader->tally, found[i].hash))
            continue;
        char *key = arena_alloc(arena, REVOCATION_KEY_LEN + 1);
        entries[lacking++] = (struct cache_entry){ .key = revocation_key(found[i].hash, key),
                                                   .value = found[i].reason.len > 0 ? found[i].reason : STR("revoked"),
                                                   .ttl_s = found[i].expires_at - now };
    }
    TRY(cache_add(cache, entries, lacking, &added));
    reader->restored += added;
    return OK;
}

static struct err catchup_catch_up(struct reader *reader, struct hash_set *seen)
{
    struct revocations *revocations = reader->revocations;
    int64_t position = 0;
    TRY(store_pages_read(&reader->pages, READ_BATCH, &position));
    catchup_stand_at(revocations->catchup, &reader->pages.sequence, position, false);
    TRY(catchup_read_cache(revocations, reader->tally, seen));
    TRY(shared_rules_push(revocations->cache, seen, reader->rules, reader->rules_count,
                          wall_clock_by_all_s(catchup_now_s()), &reader->restored));
    if (!catchup_is_open(reader->tally))
        return OK;
    reader->pages.take = catchup_push;
    position = 0;
    return store_pages_read(&reader->pages, PUSH_BATCH, &position);
}

struct err catchup_all(struct revocations *revocations, size_t *restored)
{
    struct reader reader;
    struct hash_set *seen = hash_set_new(HASH_SET_RULES);
    catchup_begin(&reader, revocations, catchup_learn);
    reader.tally = hash_set_new(HASH_SET_TALLY);
    struct err err = catchup_catch_up(&reader, seen);
    hash_set_free(seen);
    hash_set_free(reader.tally);
    arena_release(&reader.kept);
    *restored = reader.restored;
    return err;
}
