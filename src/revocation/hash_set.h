/* revocation/hash_set.h: hashes and when each expires, all in memory: revoked tokens, rules, and what is known to be
 * stored elsewhere. Readers take no lock and never wait, while others add and purge. */
#ifndef REVOCATION_HASH_SET_H
#define REVOCATION_HASH_SET_H

#include "base/mem.h"

struct hash_set;

/* How much of a hash tells it from others, how much is kept of it, and with how many numbers. */
enum hash_set_shape {
    HASH_SET_TOKENS,       /* 16 bytes, expiry: 20 bytes an entry before free room, at most 54 */
    HASH_SET_WHOLE_TOKENS, /* the same, and all of the hash is kept, for hash_set_list(): 36, at most 96 */
    HASH_SET_RULES,        /* 32 bytes, all numbers: 44, at most 118 */
    HASH_SET_TALLY, /* 8 bytes, expiry: 12, at most 32. For the time of one catching up, where taking one token for
                     * another would cost whoever wants it 2^64 signed tokens, and mean no more than a key too few */
};

/* Times are in seconds since 1970; what is beyond 2^32 - 1 is kept as that, and compared as that. */
struct hash_value {
    int64_t expires_at;
    int64_t before; /* of a rule: what was issued until then is refused; else 0 */
    unsigned kind;  /* of a rule: the caller's, and nothing here depends on it; 0: not known, or as it was */
};

struct hash_set *hash_set_new(enum hash_set_shape shape);
void hash_set_free(struct hash_set *set); /* NULL allowed */

/* Adds or extends: of each number the higher one stays. */
void hash_set_add(struct hash_set *set, const unsigned char hash[32], struct hash_value value);
/* Whether the hash is there. An entry past its expiry may still be; that does no harm, what it refused has expired. */
bool hash_set_has(struct hash_set *set, const unsigned char hash[32]);
/* Whether any of the hashes is there, with these times or later ones. */
bool hash_set_holds(struct hash_set *set, const unsigned char (*hashes)[32], size_t count, int64_t expires_at,
                    int64_t before);
/* Drops what expired before `now_s`; returns how many. */
size_t hash_set_purge(struct hash_set *set, int64_t now_s);

struct hash_entry {
    unsigned char hash[32];
    struct hash_value value;
};
struct hash_set_cursor { /* zero: the beginning */
    size_t shard, place;
};
/* The next entries of a walk through all that end after `now_s`, at most `max` (at least 1); 0 when there are no more.
 * An entry that is added during the walk, or moved by an addition, may be left out or come twice. Not for a set that
 * does not keep whole hashes. */
size_t hash_set_list(struct hash_set *set, struct hash_set_cursor *cursor, int64_t now_s, struct hash_entry *out,
                     size_t max);
size_t hash_set_count(struct hash_set *set); /* an atomic load or some; of rules, one */
size_t hash_set_bytes(struct hash_set *set); /* memory held */

#endif
