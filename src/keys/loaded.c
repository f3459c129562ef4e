/* keys/loaded.c: the keys that a signer has ready. */
#include "keys/loaded.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct entry {
    struct loaded_key key; /* first: holders know its address */
    struct entry *next;
    atomic_uint refs; /* the list's own, and one for each holder */
    char ref[];
};

struct loaded {
    pthread_rwlock_t lock; /* of the list; never held while signing */
    struct entry *first;
};

struct loaded *loaded_new(void)
{
    struct loaded *loaded = mem_alloc(sizeof *loaded);
    *loaded = (struct loaded){ .first = NULL };
    pthread_rwlock_init(&loaded->lock, NULL);
    return loaded;
}

void loaded_release(const struct loaded_key *key)
{
    struct entry *entry = (struct entry *)(uintptr_t)key;
    if (atomic_fetch_sub(&entry->refs, 1) != 1)
        return;
    jwk_free(entry->key.jwk);
    free(entry);
}

void loaded_free(struct loaded *loaded)
{
    while (loaded->first) {
        struct entry *gone = loaded->first;
        loaded->first = gone->next;
        loaded_release(&gone->key);
    }
    pthread_rwlock_destroy(&loaded->lock);
    free(loaded);
}

/* Under the lock. The place of that key in the list, or of the list's end. */
static struct entry **loaded_find(struct loaded *loaded, struct str kid)
{
    struct entry **place = &loaded->first;
    while (*place && !str_eq(str_of((*place)->key.jwk->kid), kid))
        place = &(*place)->next;
    return place;
}

void loaded_keep(struct loaded *loaded, struct jwk *jwk, struct str ref)
{
    pthread_rwlock_wrlock(&loaded->lock);
    struct entry **place = loaded_find(loaded, str_of(jwk->kid));
    if (*place) {
        jwk_free(jwk);
    } else {
        struct entry *entry = mem_alloc(sizeof *entry + ref.len + 1);
        memcpy(entry->ref, ref.at, ref.len);
        entry->ref[ref.len] = '\0';
        entry->key = (struct loaded_key){ jwk, { entry->ref, ref.len } };
        entry->next = NULL;
        atomic_init(&entry->refs, 1);
        *place = entry;
    }
    pthread_rwlock_unlock(&loaded->lock);
}

bool loaded_has(struct loaded *loaded, struct str kid)
{
    pthread_rwlock_rdlock(&loaded->lock);
    bool has = *loaded_find(loaded, kid) != NULL;
    pthread_rwlock_unlock(&loaded->lock);
    return has;
}

const struct loaded_key *loaded_hold(struct loaded *loaded, struct str kid, enum jwa alg)
{
    pthread_rwlock_rdlock(&loaded->lock);
    struct entry *entry = *loaded_find(loaded, kid);
    if (entry && entry->key.jwk->alg != alg)
        entry = NULL;
    if (entry)
        atomic_fetch_add(&entry->refs, 1);
    pthread_rwlock_unlock(&loaded->lock);
    return entry ? &entry->key : NULL;
}

size_t loaded_hold_all(struct loaded *loaded, const struct loaded_key *out[LOADED_MAX])
{
    size_t count = 0;
    pthread_rwlock_rdlock(&loaded->lock);
    for (struct entry *each = loaded->first; each && count < LOADED_MAX; each = each->next) {
        atomic_fetch_add(&each->refs, 1);
        out[count++] = &each->key;
    }
    pthread_rwlock_unlock(&loaded->lock);
    return count;
}

struct err loaded_sign(struct signer *signer, struct str kid, enum jwa alg, enum sign_priority priority,
                       struct str input, char *out, size_t *len)
{
    (void)priority;
    const struct loaded_key *key = loaded_hold(signer->keys, kid, alg);
    if (!key)
        return failed(ERR_UNAVAILABLE, "the signing key is not loaded");
    struct err err = jws_sign(key->jwk, input, out, len);
    loaded_release(key);
    return err;
}

int64_t loaded_wait_s(struct signer *signer, size_t ahead)
{
    (void)signer;
    (void)ahead;
    return 0;
}

void loaded_unload(struct signer *signer, struct str kid)
{
    struct loaded *loaded = signer->keys;
    pthread_rwlock_wrlock(&loaded->lock);
    struct entry **place = loaded_find(loaded, kid), *gone = *place;
    if (gone)
        *place = gone->next;
    pthread_rwlock_unlock(&loaded->lock);
    if (gone)
        loaded_release(&gone->key);
}
