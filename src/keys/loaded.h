/* keys/loaded.h: the keys that a signer has ready, by kid. Thread-safe. A thread that signs holds the key while it
 * does, so unloading neither waits for a signature nor makes it fail: the key is wiped and freed with its last holder.
 */
#ifndef KEYS_LOADED_H
#define KEYS_LOADED_H

#include "keys/signer.h"

enum { LOADED_MAX = 64 };

struct loaded_key {
    struct jwk *jwk; /* kms: the public half; else with its private half */
    struct str ref;  /* where the signer has it: a file's name, a KMS key's ARN (envelope: the one that wraps it) */
};

struct loaded *loaded_new(void);
void loaded_free(struct loaded *loaded); /* wipes; nobody may hold a key any more */

/* Takes the key and copies `ref`; if the kid is loaded already, the key is freed. */
void loaded_keep(struct loaded *loaded, struct jwk *jwk, struct str ref);
bool loaded_has(struct loaded *loaded, struct str kid);

/* NULL when it is not loaded, or pinned to another algorithm. Give it back with loaded_release. */
const struct loaded_key *loaded_hold(struct loaded *loaded, struct str kid, enum jwa alg);
/* All of them, at most LOADED_MAX; each to be released. */
size_t loaded_hold_all(struct loaded *loaded, const struct loaded_key *out[LOADED_MAX]);
void loaded_release(const struct loaded_key *key);

/* Operations of signers: signing with a loaded private key, which never has to wait for its turn; and unload. */
MUST_USE struct err loaded_sign(struct signer *signer, struct str kid, enum jwa alg, enum sign_priority priority,
                                struct str input, char *out, size_t *len);
int64_t loaded_wait_s(struct signer *signer, size_t ahead);
void loaded_unload(struct signer *signer, struct str kid);

#endif
