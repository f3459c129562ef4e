/* service/clients.c: a chained table of counted, immutable readings under one reader-writer lock. Bounded: when it is
 * full, a new client takes the place of the oldest reading. */
#include "service/clients.h"
#include "base/clock.h"
#include "service/client_metadata.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { BUCKETS = 1024, CLIENTS_MAX = 8192 };

struct entry {
    struct entry *next;
    struct client client; /* its strings lie in the arena below, and what it has registered here */
    struct client_metadata registered;
    int64_t read_at;  /* s; under the lock */
    atomic_uint refs; /* the table's own, and one for each arena with views into it */
    struct arena arena;
};

struct clients {
    struct store *store;
    int64_t ttl_s, staleness_s;
    atomic_bool store_is_away; /* as it showed last */
    pthread_rwlock_t lock;
    size_t count;
    struct entry *buckets[BUCKETS];
};

static size_t clients_bucket_of(struct str id)
{
    uint64_t hash = UINT64_C(
        14695981039346656037); /* FNV-1a: only clients that exist are kept, so nobody can flood it */
    for (size_t i = 0; i < id.len; i++)
        hash = (hash ^ (unsigned char)id.at[i]) * UINT64_C(1099511628211);
    return (size_t)(hash % BUCKETS);
}

/* With the table's reference. What reading the metadata needs beside its result is not kept. */
static struct entry *clients_entry_new(const struct client *client, int64_t now_s)
{
    AUTO(arena_release) struct arena reading = { 0 };
    struct client_metadata registered;
    struct entry *entry = mem_alloc(sizeof *entry);
    *entry = (struct entry){ .client = *client, .read_at = now_s };
    atomic_init(&entry->refs, 1);
    arena_init(&entry->arena, NULL, 0);
    entry->client.id = arena_copy(&entry->arena, client->id);
    entry->client.name = arena_copy(&entry->arena, client->name);
    entry->client.scopes = arena_copy(&entry->arena, client->scopes);
    entry->client.metadata = arena_copy(&entry->arena, client->metadata);
    client_metadata_read(&reading, client->metadata, client->is_public, &registered);
    client_metadata_copy(&entry->arena, &registered, &entry->registered);
    entry->client.registered = &entry->registered;
    return entry;
}

static void clients_entry_release(void *held)
{
    struct entry *entry = held;
    if (atomic_fetch_sub(&entry->refs, 1) != 1)
        return;
    arena_release(&entry->arena);
    free(entry);
}

struct clients *clients_new(struct store *store, int64_t ttl_s, int64_t staleness_s)
{
    struct clients *clients = mem_alloc(sizeof *clients);
    *clients = (struct clients){ .store = store, .ttl_s = ttl_s, .staleness_s = staleness_s };
    pthread_rwlock_init(&clients->lock, NULL);
    return clients;
}

void clients_free(struct clients *clients)
{
    if (!clients)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        while (clients->buckets[i]) {
            struct entry *entry = clients->buckets[i];
            clients->buckets[i] = entry->next;
            clients_entry_release(entry);
        }
    pthread_rwlock_destroy(&clients->lock);
    free(clients);
}

/* Under the lock: the link that points to the client's entry, or to the NULL at the end of its chain. */
static struct entry **clients_place_of(struct clients *clients, struct str id)
{
    struct entry **place = &clients->buckets[clients_bucket_of(id)];
    while (*place && !str_eq((*place)->client.id, id))
        place = &(*place)->next;
    return place;
}

/* Under the lock; NULL: it is not there, or too old. While a client's state can't be read, it keeps its last known
 * state, for a time. */
static struct entry *clients_good_one(struct clients *clients, struct str id, int64_t now_s)
{
    int64_t good_s = clients->ttl_s;
    if (atomic_load(&clients->store_is_away) && good_s < clients->staleness_s)
        good_s = clients->staleness_s;
    struct entry *entry = *clients_place_of(clients, id);
    return entry && now_s - entry->read_at < good_s ? entry : NULL;
}

bool clients_get(struct clients *clients, struct arena *arena, struct str id, int64_t now_s, struct client *out)
{
    pthread_rwlock_rdlock(&clients->lock);
    struct entry *entry = clients_good_one(clients, id, now_s);
    if (entry)
        atomic_fetch_add_explicit(&entry->refs, 1, memory_order_relaxed);
    pthread_rwlock_unlock(&clients->lock);
    if (!entry)
        return false;
    arena_hold(arena, clients_entry_release, entry);
    *out = entry->client;
    return true;
}

bool clients_still_has(struct clients *clients, const struct client *client, int64_t now_s)
{
    pthread_rwlock_rdlock(&clients->lock);
    const struct entry *entry = clients_good_one(clients, client->id, now_s);
    const bool has = entry && entry->client.registered == client->registered;
    pthread_rwlock_unlock(&clients->lock);
    return has;
}

/* Under the write lock. */
static void clients_drop(struct clients *clients, struct entry **place)
{
    struct entry *entry = *place;
    *place = entry->next;
    clients->count--;
    clients_entry_release(entry);
}

/* Under the write lock: room for one more. */
static void clients_drop_oldest(struct clients *clients)
{
    struct entry **oldest = NULL;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct entry **place = &clients->buckets[i]; *place; place = &(*place)->next)
            if (!oldest || (*place)->read_at < (*oldest)->read_at)
                oldest = place;
    if (oldest)
        clients_drop(clients, oldest);
}

static bool clients_is_same(const struct client *a, const struct client *b)
{
    return str_eq(a->id, b->id) && str_eq(a->name, b->name) && a->is_public == b->is_public &&
           memcmp(a->secret_hash, b->secret_hash, sizeof a->secret_hash) == 0 &&
           memcmp(a->old_secret_hash, b->old_secret_hash, sizeof a->old_secret_hash) == 0 &&
           a->old_secret_until == b->old_secret_until && str_eq(a->scopes, b->scopes) &&
           a->access_ttl_s == b->access_ttl_s && a->refresh_ttl_s == b->refresh_ttl_s && a->id_ttl_s == b->id_ttl_s &&
           a->is_active == b->is_active && a->created_at == b->created_at && str_eq(a->metadata, b->metadata) &&
           a->version == b->version;
}

/* True: it was read before, and hasn't changed. */
static bool clients_renew(struct clients *clients, const struct client *client, int64_t now_s)
{
    pthread_rwlock_wrlock(&clients->lock);
    struct entry *entry = *clients_place_of(clients, client->id);
    const bool is_same = entry && clients_is_same(&entry->client, client);
    if (is_same)
        entry->read_at = now_s;
    pthread_rwlock_unlock(&clients->lock);
    return is_same;
}

static void clients_keep(struct clients *clients, const struct client *client, int64_t now_s)
{
    if (clients_renew(clients, client, now_s))
        return;
    struct entry *entry = clients_entry_new(client, now_s);
    pthread_rwlock_wrlock(&clients->lock);
    struct entry **place = clients_place_of(clients, client->id);
    if (*place) {
        clients_drop(clients, place);
    } else if (clients->count >= CLIENTS_MAX) {
        clients_drop_oldest(clients);
        place = clients_place_of(clients, client->id);
    }
    entry->next = *place;
    *place = entry;
    clients->count++;
    pthread_rwlock_unlock(&clients->lock);
}

static void clients_forget(struct clients *clients, struct str id)
{
    pthread_rwlock_wrlock(&clients->lock);
    struct entry **place = clients_place_of(clients, id);
    if (*place)
        clients_drop(clients, place);
    pthread_rwlock_unlock(&clients->lock);
}

/* From the store, and kept. */
static struct err clients_read(struct clients *clients, struct arena *arena, struct str id, int64_t now_s,
                               struct client *out)
{
    const struct err err = clients->store->ops->find_client(clients->store, arena, id, out);
    atomic_store(&clients->store_is_away, err.code == ERR_UNAVAILABLE);
    if (!err.code)
        clients_keep(clients, out, now_s);
    else if (err.code == ERR_NOT_FOUND)
        clients_forget(clients, id);
    return err;
}

struct err clients_find(struct clients *clients, struct arena *arena, struct str id, int64_t now_s, struct client *out)
{
    const struct err err = clients_read(clients, arena, id, now_s, out);
    return err.code == ERR_UNAVAILABLE && clients_get(clients, arena, id, now_s, out) ? OK : err;
}

struct err clients_find_active(struct clients *clients, struct arena *arena, struct str id, struct client *out)
{
    const int64_t now_s = clock_coarse_s();
    if (!clients_get(clients, arena, id, now_s, out))
        TRY(clients_find(clients, arena, id, now_s, out));
    return out->is_active ? OK : failed(ERR_NOT_FOUND, "the client is disabled");
}

void clients_refresh(struct clients *clients, int64_t now_s)
{
    char room[4096];
    struct arena arena;
    arena_init(&arena, room, sizeof room);
    pthread_rwlock_rdlock(&clients->lock);
    size_t count = 0;
    struct str *ids = arena_alloc(&arena, (clients->count + 1) * sizeof *ids);
    for (size_t i = 0; i < BUCKETS; i++)
        for (const struct entry *entry = clients->buckets[i]; entry; entry = entry->next)
            ids[count++] = arena_copy(&arena, entry->client.id);
    pthread_rwlock_unlock(&clients->lock);
    for (size_t i = 0; i < count; i++) {
        struct client client;
        if (clients_read(clients, &arena, ids[i], now_s, &client).code == ERR_UNAVAILABLE)
            break; /* what is known stays good until its time is up */
    }
    arena_release(&arena);
}

size_t clients_count(struct clients *clients)
{
    pthread_rwlock_rdlock(&clients->lock);
    size_t count = clients->count;
    pthread_rwlock_unlock(&clients->lock);
    return count;
}
