/* service/failures.c: a leaky bucket for each address that failed lately, in a table of fixed size. Addresses that
 * share a slot displace each other by emptiness: the fuller bucket stays, so an attacker can't wash out a full one with
 * a few failures from elsewhere. */
#include "service/failures.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { SLOTS = 4096, WAYS = 4, MINUTE_MS = 60000 };

struct slot {
    unsigned char address[16];
    int64_t level; /* failures times MINUTE_MS, as of `at_ms`; it drains by limit units a millisecond */
    int64_t at_ms;
};

struct failures {
    int64_t limit;
    atomic_bool any; /* spares the good callers the lock while nobody has ever failed */
    pthread_mutex_t lock;
    struct slot slots[SLOTS];
};

struct failures *failures_new(int64_t limit)
{
    struct failures *failures = calloc(1, sizeof *failures);
    if (!failures)
        abort();
    failures->limit = limit;
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
static void address_key(struct str address, unsigned char key[16])
{
    char text[INET6_ADDRSTRLEN + 1] = { 0 };
    memset(key, 0, 16);
    if (address.len < sizeof text)
        memcpy(text, address.at, address.len);
    if (inet_pton(AF_INET, text, key + 12) == 1)
        key[0] = 4;
    else if (inet_pton(AF_INET6, text, key) == 1)
        memset(key + 8, 0, 8);
}

static int64_t level_now(const struct failures *failures, const struct slot *slot, int64_t now_ms)
{
    int64_t passed = now_ms > slot->at_ms ? now_ms - slot->at_ms : 0;
    if (passed > 2 * (int64_t)MINUTE_MS)
        return 0;
    int64_t level = slot->level - passed * failures->limit;
    return level > 0 ? level : 0;
}

/* Under the lock: the address's slot, or, with `take`, the emptiest of its ways made its own. */
static struct slot *slot_of(struct failures *failures, const unsigned char key[16], int64_t now_ms, bool take)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < 16; i++)
        hash = (hash ^ key[i]) * UINT64_C(1099511628211);
    struct slot *set = &failures->slots[hash % (SLOTS / WAYS) * WAYS], *emptiest = set;
    for (size_t i = 0; i < WAYS; i++) {
        if (memcmp(set[i].address, key, 16) == 0)
            return &set[i];
        if (level_now(failures, &set[i], now_ms) < level_now(failures, emptiest, now_ms))
            emptiest = &set[i];
    }
    if (!take)
        return NULL;
    *emptiest = (struct slot){ .at_ms = now_ms };
    memcpy(emptiest->address, key, 16);
    return emptiest;
}

int64_t failures_wait_s(struct failures *failures, struct str address, int64_t now_ms)
{
    if (failures->limit == 0 || !atomic_load_explicit(&failures->any, memory_order_relaxed))
        return 0;
    unsigned char key[16];
    address_key(address, key);
    pthread_mutex_lock(&failures->lock);
    const struct slot *slot = slot_of(failures, key, now_ms, false);
    int64_t over = slot ? level_now(failures, slot, now_ms) - (failures->limit - 1) * MINUTE_MS : 0;
    pthread_mutex_unlock(&failures->lock);
    if (over <= 0)
        return 0;
    int64_t wait_ms = over / failures->limit;
    return wait_ms / 1000 + 1;
}

void failures_count(struct failures *failures, struct str address, int64_t now_ms)
{
    if (failures->limit == 0)
        return;
    unsigned char key[16];
    address_key(address, key);
    atomic_store_explicit(&failures->any, true, memory_order_relaxed);
    pthread_mutex_lock(&failures->lock);
    struct slot *slot = slot_of(failures, key, now_ms, true);
    slot->level = level_now(failures, slot, now_ms) + MINUTE_MS;
    slot->at_ms = now_ms;
    if (slot->level > failures->limit * MINUTE_MS)
        slot->level = failures->limit * MINUTE_MS; /* parallel tries must not lock an address out for longer */
    pthread_mutex_unlock(&failures->lock);
}
