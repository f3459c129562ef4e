/* cache/verified.h: tokens whose signature has been checked: SHA-256 of the token -> its claims. Bounded in entries and
 * in bytes an entry. An entry holds only what stays true of a token: this key signed these claims, of this kind. Time,
 * revocation, the key's state, and all that a caller asks for are checked on every use (service/verify.c). */
#ifndef CACHE_VERIFIED_H
#define CACHE_VERIFIED_H

#include "cache/uses.h"

enum {
    VERIFIED_ENTRY_MAX = 8192, /* bytes; a larger entry is handed out but not kept */
    VERIFIED_RULES = 8,        /* rules that may be about one token, or its parent (revocation/rule.h) */
};

/* Immutable once put, but for what is atomic. Everything it points to lies in its own memory. */
struct verified {
    unsigned char hash[32]; /* SHA-256 of the token's text */
    uint64_t key_serial;    /* of the struct jwk that verified it */
    enum token_kind kind;
    struct claims claims;
    bool has_parent; /* the hash of the token that it was issued with: */
    unsigned char parent[32];
    const unsigned char (*sealed_rules)[32]; /* the hashes in the claim of that name; NULL: there is none, */
    bool is_sealed_for_others;               /* or it can't be opened here */
    struct str introspection; /* the RFC 7662 response for this token while it is active, ready to send */
    struct arena arena;       /* what the above lies in */
    struct use *use;          /* counts its uses; the entry holds a reference; NULL: they are not counted */
    unsigned char rule_hashes[VERIFIED_RULES][32]; /* once they are needed: */
    unsigned rule_state;                           /* atomic, revocation/rule.c's */
    unsigned refs;                                 /* atomic */
    size_t bytes;                                  /* memory it holds */
};

struct verified_cache;

/* `entries` 0: nothing is kept. */
struct verified_cache *verified_cache_new(size_t entries);
void verified_cache_free(struct verified_cache *cache); /* NULL allowed */

/* The entry of that hash with a reference for the caller, or NULL. Never waits but for a shard's short lock. */
struct verified *verified_get(struct verified_cache *cache, const unsigned char hash[32]);
/* An empty entry of the caller's, with one reference, its arena beginning with room for `size` bytes. */
struct verified *verified_new(size_t size);
/* Keeps a filled entry (adds the cache's own reference), pushing out the least recently used of its set. */
void verified_put(struct verified_cache *cache, struct verified *entry);
/* Gives a reference back. */
void verified_release(struct verified *entry);
static inline void verified_releasep(struct verified **entry)
{
    if (*entry)
        verified_release(*entry);
}

#endif
