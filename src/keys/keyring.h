/* keys/keyring.h: the keys in force. Readers hold an immutable view: the public keys by kid, the one that signs now,
 * and the JWKS already rendered. A reload builds a new view and swaps it; the old one dies with its last reader.
 * Nothing here waits except keyring_open and keyring_reload. */
#ifndef KEYS_KEYRING_H
#define KEYS_KEYRING_H

#include "jose/jws.h"
#include "keys/lifecycle.h"
#include "keys/signer.h"

enum { KEYRING_MAX = KEYS_LIVE_MAX };

struct keyring_key {
    struct jwk *jwk; /* the public half, pinned to its algorithm */
    struct str kid;
    enum key_state state;
    int64_t created_at, activated_at; /* s */
};

struct keyring_view {
    struct keyring_key keys[KEYRING_MAX];
    size_t count;
    const struct keyring_key *active; /* never NULL */
    bool signing_waits;               /* the active key is in no memory of ours: AWS KMS signs */
    const struct key *records;        /* the same keys, in the same order, as the store has them */
    struct str jwks, etag;            /* the JWKS document, and its quoted entity tag (RFC 9110 section 8.8.3) */
};

struct keyring;

/* Reads the store's keys and has the signer load the active one; makes the first key when there is none (and accepts
 * another instance's key if that was faster). A pending key that can't be loaded is logged; that is not a failure.
 * Store and signer must outlive the ring. An error's sentence may lie in `arena`. */
MUST_USE struct err keyring_open(struct store *store, struct signer *signer, enum jwa alg, int64_t now_s,
                                 struct arena *arena, struct keyring **out);
/* Reads the store again and swaps the view when something changed; when it can't, the view stays, and the log says why.
 * But a key that was revoked or retired goes in any case: when the new active key can't be loaded, the view names it
 * all the same, signing fails, and each further reload tries to load it. May wait. */
MUST_USE struct err keyring_reload(struct keyring *ring);
void keyring_close(struct keyring *ring); /* NULL allowed */

/* The view in force. Give it back with keyring_release; a request holds one for its own time only. */
const struct keyring_view *keyring_acquire(struct keyring *ring);
void keyring_release(const struct keyring_view *view);
static inline void keyring_releasep(const struct keyring_view **view)
{
    if (*view)
        keyring_release(*view);
}

/* The key of that kid if it may verify (pending, active, retiring), else NULL. */
const struct keyring_key *keyring_find(const struct keyring_view *view, struct str kid);

/* Signs `payload` with the view's active key: the whole compact token, appended to `out`. May wait, if the view says
 * so. */
MUST_USE struct err keyring_sign(struct keyring *ring, const struct keyring_view *view, enum sign_priority priority,
                                 struct str typ, struct str payload, struct buf *out);

#endif
