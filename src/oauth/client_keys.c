/* oauth/client_keys.c: a chained table under one lock, which is not held while a set is fetched or a signature is
 * compared. Sets are counted, so one that is replaced lives until its last reader is done. An entry that somebody
 * fetches for, or waits at, stays in the table. */
#include "oauth/client_keys.h"
#include "base/clock.h"
#include "base/condition.h"
#include "jose/jwk_set.h"
#include "net/fetch.h"
#include <pthread.h>
#include <stdlib.h>

enum { BUCKETS = 256, SOURCE = 32 };

/* A set in use, or in the table. */
struct held {
    struct jwk_set *set;
    size_t holders; /* under the lock */
};

struct entry {
    struct entry *next;
    unsigned char source[SOURCE]; /* SHA-256 of the client and of where its keys are */
    struct held *held;            /* NULL: none could be had yet */
    int64_t fetched_ms;           /* when */
    int64_t fresh_until_ms;
    int64_t tried_ms; /* when a fetch was last begun, whatever came of it */
    bool is_tried, is_fetching;
    size_t waiting;
    int64_t used_ms;
};

struct client_keys {
    struct client_keys_way way;
    size_t waiting_max;
    pthread_mutex_t lock;
    pthread_cond_t fetched; /* some fetch has ended */
    size_t waiting, count;
    struct entry *buckets[BUCKETS];
};

/* --- the table, under the lock ----------------------------------------------------------------------------------- */

struct client_keys *client_keys_new(struct client_keys_way way, size_t waiting_max)
{
    struct client_keys *keys = mem_alloc(sizeof *keys);
    *keys = (struct client_keys){ .way = way, .waiting_max = waiting_max };
    pthread_mutex_init(&keys->lock, NULL);
    condition_init(&keys->fetched);
    return keys;
}

static void client_keys_let_go(struct held *held)
{
    if (!held || --held->holders > 0)
        return;
    jwk_set_free(held->set);
    free(held);
}

static void client_keys_drop(struct client_keys *keys, struct entry **place)
{
    struct entry *entry = *place;
    *place = entry->next;
    keys->count--;
    client_keys_let_go(entry->held);
    free(entry);
}

void client_keys_free(struct client_keys *keys)
{
    if (!keys)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        while (keys->buckets[i])
            client_keys_drop(keys, &keys->buckets[i]);
    pthread_cond_destroy(&keys->fetched);
    pthread_mutex_destroy(&keys->lock);
    free(keys);
}

/* Room for one more: what was not used for longest goes, unless somebody is at it. */
static void client_keys_drop_oldest(struct client_keys *keys)
{
    struct entry **oldest = NULL;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct entry **place = &keys->buckets[i]; *place; place = &(*place)->next)
            if (!(*place)->is_fetching && (*place)->waiting == 0 && (!oldest || (*place)->used_ms < (*oldest)->used_ms))
                oldest = place;
    if (oldest)
        client_keys_drop(keys, oldest);
}

/* Where a client's keys are is part of the name: after a change in its registration the old ones are not found. */
static void client_keys_name(const struct client_keys_source *source, unsigned char out[SOURCE])
{
    const bool is_registered = source->jwks.len > 0;
    const struct str parts[] = { is_registered ? STR("jwks\n") : STR("jwks_uri\n"), source->client_id, STR("\n"),
                                 is_registered ? source->jwks : source->jwks_uri };
    sha256_parts(parts, sizeof parts / sizeof *parts, out);
}

static struct entry *client_keys_entry_of(struct client_keys *keys, const unsigned char source[SOURCE], int64_t now_ms)
{
    struct entry **bucket = &keys->buckets[source[0] % BUCKETS], *entry = *bucket;
    while (entry && memcmp(entry->source, source, SOURCE) != 0)
        entry = entry->next;
    if (!entry) {
        if (keys->count >= CLIENT_KEYS_MAX)
            client_keys_drop_oldest(keys);
        entry = mem_alloc(sizeof *entry);
        *entry = (struct entry){ .next = *bucket };
        memcpy(entry->source, source, SOURCE);
        *bucket = entry;
        keys->count++;
    }
    entry->used_ms = now_ms;
    return entry;
}

/* --- having a set ------------------------------------------------------------------------------------------------ */

/* Without the lock. */
static struct err client_keys_load(const struct client_keys *keys, struct arena *arena,
                                   const struct client_keys_source *source, struct jwk_set **out, int64_t *lifetime_s)
{
    struct fetched fetched = { source->jwks, FETCH_LIFETIME_MAX_S };
    if (source->jwks.len == 0)
        TRY(keys->way.fetch(keys->way.arg, arena, source->jwks_uri, &fetched));
    *lifetime_s = fetched.lifetime_s;
    return jwk_set_parse(arena, fetched.body, out);
}

/* With the lock, which is given up meanwhile. */
static void client_keys_fetch(struct client_keys *keys, struct arena *arena, const struct client_keys_source *source,
                              struct entry *entry, int64_t now_ms)
{
    struct jwk_set *set = NULL;
    int64_t lifetime_s = 0;
    entry->is_fetching = entry->is_tried = true;
    entry->tried_ms = now_ms;
    pthread_mutex_unlock(&keys->lock);
    const struct err err = client_keys_load(keys, arena, source, &set, &lifetime_s);
    pthread_mutex_lock(&keys->lock);
    entry->is_fetching = false;
    if (!err.code) {
        client_keys_let_go(entry->held);
        entry->held = mem_alloc(sizeof *entry->held);
        *entry->held = (struct held){ set, 1 };
        entry->fetched_ms = now_ms;
        entry->fresh_until_ms = now_ms + lifetime_s * 1000;
    }
    pthread_cond_broadcast(&keys->fetched);
}

/* With the lock, which is given up meanwhile: until the fetch that is under way has ended. */
static void client_keys_wait(struct client_keys *keys, struct entry *entry)
{
    entry->waiting++;
    while (entry->is_fetching)
        pthread_cond_wait(&keys->fetched, &keys->lock);
    entry->waiting--;
}

/* A set that fits, other than `unfit`: fresh if it can be had. Each turn of the loop but the last is a fetch or a wait
 * for one, and neither comes twice: after a fetch, none may follow within CLIENT_KEYS_COOL_MS of `now_ms`. */
static struct err client_keys_find(struct client_keys *keys, struct arena *arena,
                                   const struct client_keys_source *source, struct entry *entry,
                                   const struct held *unfit, int64_t now_ms)
{
    for (bool has_waited = false;;) {
        const bool has = entry->held && entry->held != unfit && now_ms - entry->fetched_ms < CLIENT_KEYS_STALE_MS;
        const bool may_fetch = !entry->is_fetching &&
                               (!entry->is_tried || now_ms - entry->tried_ms >= CLIENT_KEYS_COOL_MS);
        const bool must_wait = entry->is_fetching && !has && !has_waited;
        if ((has && now_ms < entry->fresh_until_ms) || (!may_fetch && !must_wait))
            return has ? OK
                       : failed(ERR_TOKEN_KEY, unfit ? "the client has no key that fits"
                                                     : "the client's key set could not be had, or is none");
        if (source->jwks.len == 0 && keys->waiting >= keys->waiting_max)
            return has ? OK : failed(ERR_UNAVAILABLE, "too many clients' keys are being fetched; try again later");
        keys->waiting++;
        if (may_fetch)
            client_keys_fetch(keys, arena, source, entry, now_ms);
        else
            client_keys_wait(keys, entry);
        keys->waiting--;
        has_waited = true;
    }
}

/* --- verifying --------------------------------------------------------------------------------------------------- */

static bool client_keys_may_fit(const struct jwk_of_set *each, enum jwa alg, struct str kid)
{
    return each->key->alg == alg && (!kid.at || !each->kid.at || str_eq(each->kid, kid));
}

static struct err client_keys_try(const struct jwk_set *set, enum jwa alg, const struct jws_parts *parts,
                                  const struct jws_header *header)
{
    struct err err = failed(ERR_TOKEN_KEY, "the client has no key of the header's kid and alg");
    for (size_t i = 0, tried = 0; i < set->count && tried < CLIENT_KEYS_TRIED_MAX; i++) {
        if (!client_keys_may_fit(&set->of[i], alg, header->kid))
            continue;
        err = jws_verify(set->of[i].key, parts, header);
        if (!err.code)
            return OK;
        tried++;
    }
    return err;
}

/* A set other than `unfit`, which stays until it is let go. */
static struct err client_keys_hold(struct client_keys *keys, struct arena *arena,
                                   const struct client_keys_source *source, const struct held *unfit, int64_t now_ms,
                                   struct held **out)
{
    unsigned char name[SOURCE];
    client_keys_name(source, name);
    pthread_mutex_lock(&keys->lock);
    struct entry *entry = client_keys_entry_of(keys, name, now_ms);
    const struct err err = client_keys_find(keys, arena, source, entry, unfit, now_ms);
    if (!err.code) {
        entry->held->holders++;
        *out = entry->held;
    }
    pthread_mutex_unlock(&keys->lock);
    return err;
}

static void client_keys_release(struct client_keys *keys, struct held *held)
{
    pthread_mutex_lock(&keys->lock);
    client_keys_let_go(held);
    pthread_mutex_unlock(&keys->lock);
}

/* With the set that is there, and once more with a newer one. */
struct err client_keys_verify(struct client_keys *keys, struct arena *arena, const struct client_keys_source *source,
                              const struct jws_parts *parts, const struct jws_header *header, int64_t now_ms)
{
    struct held *first = NULL, *newer = NULL;
    enum jwa alg;
    if (!jwa_find(header->alg, &alg))
        return failed(ERR_TOKEN_ALGORITHM, "the header's alg is not supported");
    if (source->jwks.len == 0 && source->jwks_uri.len == 0)
        return failed(ERR_TOKEN_KEY, "the client has no keys");
    TRY(client_keys_hold(keys, arena, source, NULL, now_ms, &first));
    struct err verdict = client_keys_try(first->set, alg, parts, header);
    struct err again = verdict;
    if (verdict.code == ERR_TOKEN_KEY || verdict.code == ERR_TOKEN_SIGNATURE)
        again = client_keys_hold(keys, arena, source, first, now_ms, &newer);
    client_keys_release(keys, first);
    if (!newer)
        return again.code == ERR_UNAVAILABLE ? again : verdict;
    verdict = client_keys_try(newer->set, alg, parts, header);
    client_keys_release(keys, newer);
    return verdict;
}
