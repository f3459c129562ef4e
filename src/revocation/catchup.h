/* revocation/catchup.h: reading all revocations, of the store and of the shared cache, into memory; and putting back
 * into the cache what it has lost. May wait, and do so for seconds when there are a million. */
#ifndef REVOCATION_CATCHUP_H
#define REVOCATION_CATCHUP_H

#include "base/mem.h"

struct revocations;
struct sequence;

/* What the shared cache calls a revoked token: `revoked:<sha256 hex>`. */
enum { REVOCATION_PREFIX_LEN = 8, REVOCATION_KEY_LEN = REVOCATION_PREFIX_LEN + 64 };
struct str revocation_key(const unsigned char hash[32], char to[REVOCATION_KEY_LEN + 1]);

/* Where this instance stands among the store's revocations. */
struct catchup;
struct catchup *catchup_new(void);
void catchup_free(struct catchup *catchup); /* NULL allowed */
/* The position up to which all revocations are in memory, with its epoch, which is 0 before anything was read. Never
 * waits. */
int64_t catchup_position(struct catchup *catchup, struct sequence *sequence);

/* Reads the store's revocations from this instance's position on. When the positions have started over (a standby that
 * lagged has taken over, or a backup was restored), reads all of them, and records in the store those that it lacks. */
MUST_USE struct err catchup_store(struct revocations *revocations);
/* All that the cache has. */
MUST_USE struct err catchup_keys(struct revocations *revocations);
/* All that the store has, then all that the cache has; what the cache lacks of the store's is put there, and *restored
 * says how many. */
MUST_USE struct err catchup_all(struct revocations *revocations, size_t *restored);

#endif
