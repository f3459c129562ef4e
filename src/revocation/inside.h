/* revocation/inside.h: what the parts of this room share; for its own files, and for tests of them. */
#ifndef REVOCATION_INSIDE_H
#define REVOCATION_INSIDE_H

#include "cache/cache.h"
#include "revocation/hash_set.h"
#include "revocation/revocations.h"
#include "revocation/rules.h"
#include "store/store.h"
#include <pthread.h>
#include <stdatomic.h>

struct catchup;
struct replication;
struct store_follower;

struct revocations {
    const struct settings *settings;
    struct store *store;
    struct cache *cache; /* the Redis of all instances; NULL: nothing is announced, asked or read there */
    struct keyring *keyring;
    struct hash_set *revoked; /* tokens; whole hashes where they can be written back somewhere */
    struct rules *rules;
    struct catchup *catchup;               /* up to where the store's are in memory (catchup.h) */
    struct replication *replication;       /* follows Redis; NULL without one, and in a command */
    struct store_follower *store_follower; /* without a shared cache but with a shared store; else NULL */
    struct feed *feed;                     /* NULL: there is none, or this is a command */
    bool by_rounds;                        /* following has no thread: it is done in revocations_round() */
    pthread_mutex_t round;                 /* held by who does that, or revocations_catch_up() */

    /* The lease (lease.h), on clock_coarse_ms(): until then this instance knows of all revocations; INT64_MAX: there is
     * no other instance, or this is a command. And when it knew last. */
    atomic_llong known_until_ms, known_ms;
    atomic_bool cache_ok;     /* Redis answered last; replication.c's */
    atomic_bool cache_evicts; /* Redis may drop keys before their end; eviction.c's */
};

#endif
