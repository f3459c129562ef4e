/* service/failures.c: leaky buckets for what failed lately, in a table of fixed size. Those that share a slot displace
 * each other by emptiness: the fuller bucket stays, so an attacker can't wash out a full one with a few failures from
 * elsewhere; nor aim at one, since what shares a slot with it depends on random bytes. */
#include "service/failures.h"
#include "base/random.h"
#include "jose/jws.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { SLOTS = 8192, WAYS = 4, MINUTE_MS = 60000, KEY_BYTES = 16 };

/* What a bucket counts. BUCKET_RESERVE: failures of an address beyond its limit, with names that had none. */
enum bucket { BUCKET_ADDRESS, BUCKET_RESERVE, BUCKET_NAME };

struct slot {
    unsigned char key[KEY_BYTES];
    int64_t level; /* failures times MINUTE_MS, as of `at_ms`; it drains by limit units a millisecond */
    int64_t at_ms;
};

struct failures {
    int64_t limit;
    unsigned char seed[KEY_BYTES];
    atomic_bool any; /* spares callers the lock while no authentication has failed yet */
    pthread_mutex_t lock;
    struct slot slots[SLOTS];
};

struct failures *failures_new(int64_t limit)
{
    struct failures *failures = calloc(1, sizeof *failures);
    if (!failures)
        abort();
    failures->limit = limit;
    random_bytes(failures->seed, sizeof failures->seed);
    pthread_mutex_init(&failures->lock, NULL);
    return failures;
}

void failures_free(struct failures *failures)
{
    if (!failures)
        return;
    pthread_mutex_destroy(&failures->lock);
    free(failures);
}

/* The address in 16 bytes: IPv4 as it is, IPv6 by its first 64 bits (a caller has them all). */
static void failures_address_bytes(struct str address, char to[KEY_BYTES])
{
    char text[INET6_ADDRSTRLEN + 1] = { 0 };
    memset(to, 0, KEY_BYTES);
    if (address.len < sizeof text)
        memcpy(text, address.at, address.len);
    if (inet_pton(AF_INET, text, to + 12) == 1)
        to[0] = 4;
    else if (inet_pton(AF_INET6, text, to) == 1)
        memset(to + 8, 0, 8);
}

static void failures_make_key(const struct failures *failures, enum bucket bucket, struct str what,
                              unsigned char key[KEY_BYTES])
{
    unsigned char hash[32];
    const char kind = (char)bucket;
    const struct str parts[] = { { (const char *)failures->seed, KEY_BYTES }, { &kind, 1 }, what };
    sha256_parts(parts, sizeof parts / sizeof *parts, hash);
    memcpy(key, hash, KEY_BYTES);
}

/* Keys of the buckets that a caller's failures are in, by enum bucket. */
struct keys {
    unsigned char of[3][KEY_BYTES];
};

static void failures_make_keys(const struct failures *failures, struct str address, struct str name, struct keys *keys)
{
    char bytes[KEY_BYTES];
    const struct str from = { bytes, sizeof bytes };
    failures_address_bytes(address, bytes);
    failures_make_key(failures, BUCKET_ADDRESS, from, keys->of[BUCKET_ADDRESS]);
    failures_make_key(failures, BUCKET_RESERVE, from, keys->of[BUCKET_RESERVE]);
    failures_make_key(failures, BUCKET_NAME, name, keys->of[BUCKET_NAME]);
}

static int64_t failures_level_of(const struct failures *failures, const struct slot *slot, int64_t now_ms)
{
    int64_t passed = now_ms > slot->at_ms ? now_ms - slot->at_ms : 0;
    if (passed > 2 * (int64_t)MINUTE_MS)
        return 0;
    int64_t level = slot->level - passed * failures->limit;
    return level > 0 ? level : 0;
}

/* Under the lock: the key's slot, or, with `take`, the emptiest of its ways made its own. */
static struct slot *failures_slot_of(struct failures *failures, const unsigned char key[KEY_BYTES], int64_t now_ms,
                                     bool take)
{
    uint64_t hash; /* a key is one already */
    memcpy(&hash, key, sizeof hash);
    struct slot *set = &failures->slots[hash % (SLOTS / WAYS) * WAYS], *emptiest = set;
    for (size_t i = 0; i < WAYS; i++) {
        if (memcmp(set[i].key, key, KEY_BYTES) == 0)
            return &set[i];
        if (failures_level_of(failures, &set[i], now_ms) < failures_level_of(failures, emptiest, now_ms))
            emptiest = &set[i];
    }
    if (!take)
        return NULL;
    *emptiest = (struct slot){ .at_ms = now_ms };
    memcpy(emptiest->key, key, KEY_BYTES);
    return emptiest;
}

/* Under the lock, like the next two. */
static int64_t failures_level_now(struct failures *failures, const unsigned char key[KEY_BYTES], int64_t now_ms)
{
    const struct slot *slot = failures_slot_of(failures, key, now_ms, false);
    return slot ? failures_level_of(failures, slot, now_ms) : 0;
}

/* Milliseconds until a bucket has room for one more failure; 0: now. */
static int64_t failures_wait_ms(const struct failures *failures, int64_t level)
{
    int64_t over = level - (failures->limit - 1) * MINUTE_MS;
    return over > 0 ? over / failures->limit + 1 : 0;
}

static void failures_add_one(struct failures *failures, const unsigned char key[KEY_BYTES], int64_t now_ms)
{
    struct slot *slot = failures_slot_of(failures, key, now_ms, true);
    slot->level = failures_level_of(failures, slot, now_ms) + MINUTE_MS;
    slot->at_ms = now_ms;
    if (slot->level > failures->limit * MINUTE_MS)
        slot->level = failures->limit * MINUTE_MS; /* parallel tries must not make anybody wait for longer */
}

static void failures_take_one(struct failures *failures, const unsigned char key[KEY_BYTES], int64_t now_ms)
{
    struct slot *slot = failures_slot_of(failures, key, now_ms, false);
    if (!slot)
        return;
    slot->level = failures_level_of(failures, slot, now_ms) - MINUTE_MS;
    slot->at_ms = now_ms;
    if (slot->level < 0)
        slot->level = 0;
}

static int64_t failures_seconds(int64_t wait_ms)
{
    return (wait_ms + 999) / 1000;
}

static int64_t failures_longest_wait_s(struct failures *failures, const struct keys *keys, int64_t now_ms)
{
    const int64_t named = failures_level_now(failures, keys->of[BUCKET_NAME], now_ms);
    int64_t of_address = failures_wait_ms(failures, failures_level_now(failures, keys->of[BUCKET_ADDRESS], now_ms));
    const int64_t of_reserve = failures_wait_ms(failures,
                                                failures_level_now(failures, keys->of[BUCKET_RESERVE], now_ms));
    if (named == 0 && of_reserve < of_address)
        of_address = of_reserve;
    const int64_t of_name = failures_wait_ms(failures, named);
    return failures_seconds(of_name > of_address ? of_name : of_address);
}

/* Whether the address was over its limit, so that its reserve has it. */
static bool failures_count_keys(struct failures *failures, const struct keys *keys, int64_t now_ms)
{
    const int64_t level = failures_level_now(failures, keys->of[BUCKET_ADDRESS], now_ms);
    const bool is_over = failures_wait_ms(failures, level) > 0;
    failures_add_one(failures, keys->of[is_over ? BUCKET_RESERVE : BUCKET_ADDRESS], now_ms);
    failures_add_one(failures, keys->of[BUCKET_NAME], now_ms);
    return is_over;
}

int64_t failures_wait_s(struct failures *failures, struct str address, struct str name, int64_t now_ms)
{
    if (failures->limit == 0 || !atomic_load_explicit(&failures->any, memory_order_relaxed))
        return 0;
    struct keys keys = { { { 0 } } };
    failures_make_keys(failures, address, name, &keys);
    pthread_mutex_lock(&failures->lock);
    const int64_t wait_s = failures_longest_wait_s(failures, &keys, now_ms);
    pthread_mutex_unlock(&failures->lock);
    return wait_s;
}

void failures_count(struct failures *failures, struct str address, struct str name, int64_t now_ms)
{
    if (failures->limit == 0)
        return;
    struct keys keys = { { { 0 } } };
    failures_make_keys(failures, address, name, &keys);
    atomic_store_explicit(&failures->any, true, memory_order_relaxed);
    pthread_mutex_lock(&failures->lock);
    (void)failures_count_keys(failures, &keys, now_ms);
    pthread_mutex_unlock(&failures->lock);
}

int64_t failures_begin(struct failures *failures, struct str address, struct str name, int64_t now_ms, bool *is_over)
{
    *is_over = false;
    if (failures->limit == 0)
        return 0;
    struct keys keys = { { { 0 } } };
    failures_make_keys(failures, address, name, &keys);
    atomic_store_explicit(&failures->any, true, memory_order_relaxed);
    pthread_mutex_lock(&failures->lock);
    const int64_t wait_s = failures_longest_wait_s(failures, &keys, now_ms);
    if (wait_s == 0)
        *is_over = failures_count_keys(failures, &keys, now_ms);
    pthread_mutex_unlock(&failures->lock);
    return wait_s;
}

void failures_take_back(struct failures *failures, struct str address, struct str name, int64_t now_ms, bool is_over)
{
    if (failures->limit == 0)
        return;
    struct keys keys = { { { 0 } } };
    failures_make_keys(failures, address, name, &keys);
    pthread_mutex_lock(&failures->lock);
    failures_take_one(failures, keys.of[is_over ? BUCKET_RESERVE : BUCKET_ADDRESS], now_ms);
    failures_take_one(failures, keys.of[BUCKET_NAME], now_ms);
    pthread_mutex_unlock(&failures->lock);
}

int64_t failures_admit(struct failures *failures, struct str address, int64_t now_ms)
{
    char bytes[KEY_BYTES];
    unsigned char key[KEY_BYTES];
    if (failures->limit == 0)
        return 0;
    failures_address_bytes(address, bytes);
    failures_make_key(failures, BUCKET_ADDRESS, (struct str){ bytes, sizeof bytes }, key);
    pthread_mutex_lock(&failures->lock);
    const int64_t wait_ms = failures_wait_ms(failures, failures_level_now(failures, key, now_ms));
    if (wait_ms == 0)
        failures_add_one(failures, key, now_ms);
    pthread_mutex_unlock(&failures->lock);
    return failures_seconds(wait_ms);
}
