/* revocation/revoked.h: the set of revoked tokens that have not expired: hash -> expiry, all of it in memory. A
 * look-up takes no lock and waits for nothing. 20 bytes an entry before free room, at most 54; where whole hashes are
 * kept 36, at most 96. */
#ifndef REVOCATION_REVOKED_H
#define REVOCATION_REVOKED_H

#include "base/mem.h"

struct revoked;

/* `keeps_whole`: the whole hashes too, for revoked_list(); else their first 16 bytes. */
struct revoked *revoked_new(bool keeps_whole);
void revoked_free(struct revoked *set); /* NULL allowed */

/* Adds or extends: the later expiry stays. `expires_at` in seconds since 1970. The first 16 bytes of a hash tell it
 * from others. */
void revoked_add(struct revoked *set, const unsigned char hash[32], int64_t expires_at);
/* Whether the hash is there. An entry past its expiry may still be; that does no harm, its token has expired. */
bool revoked_has(struct revoked *set, const unsigned char hash[32]);
/* Drops what expired before `now_s`; returns how many. One shard is locked at a time. */
size_t revoked_purge(struct revoked *set, int64_t now_s);

struct revoked_token {
    unsigned char hash[32];
    int64_t expires_at; /* s */
};
struct revoked_cursor { /* zero: the beginning */
    size_t shard, place;
};
/* The next ones of a walk through all that end after `now_s`, at most `max` (at least 1); 0: there are no more. One
 * that is added meanwhile, or moved by an addition, may be left out or come twice. Nothing where whole hashes are not
 * kept. */
size_t revoked_list(struct revoked *set, struct revoked_cursor *cursor, int64_t now_s, struct revoked_token *out,
                    size_t max);
size_t revoked_count(struct revoked *set);
size_t revoked_bytes(struct revoked *set); /* memory held */

#endif
