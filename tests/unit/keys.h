/* tests/unit/keys.h: a key ring over the real store and the real signer in a folder of the test's own, with an active
 * ES256 key; and keys that change their states as a rotation by another instance would change them: in the store. */
#ifndef KEYS_H
#define KEYS_H

#include "keys/keyring.h"
#include "folder.h"
#include "observe/log.h"
#include <sqlite3.h>

static struct settings settings;
static struct store *store;
static struct signer *signer;
static struct keyring *ring;

static inline int keys_begin(void **state)
{
    (void)folder_begin(state);
    settings = (struct settings){ .data_dir = folder, .signing_alg = JWA_ES256 };
    log_configure(LOG_ERROR, LOG_JSON);
    if (store_sqlite_open(&settings, &store).code || signer_local_open(&settings, &signer).code ||
        keyring_open(store, signer, JWA_ES256, 1000, &arena, &ring).code)
        return -1;
    return 0;
}

static inline int keys_finish(void **state)
{
    keyring_close(ring);
    signer->ops->close(signer);
    store_closep(&store);
    return folder_finish(state);
}

/* Changes the store as another process does. */
static inline void sql(const char *format, struct str kid)
{
    sqlite3 *db = NULL;
    char *message = NULL;
    struct str text = arena_printf(&arena, "%s '%.*s'", format, (int)kid.len, kid.at);
    assert_int_equal(sqlite3_open_v2(in_folder("token-service.db"), &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    if (sqlite3_exec(db, text.at, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", text.at, message);
    sqlite3_close(db);
}

/* A new key pair whose row says that it is pending; keyring_reload() makes it known. */
static inline struct key pending(enum jwa alg)
{
    struct key key = { 0 };
    assert_ok(signer->ops->create(signer, &arena, alg, &key));
    struct str text =
        arena_printf(&arena,
                     "INSERT INTO oauth_jwks(alg, public_key, private_key_ref, state, created_at, activated_at, "
                     "retired_at, kid) SELECT '%s', '%.*s', '%.*s', 1, 2000, 0, 0, ",
                     jwa_name(alg), (int)key.public_jwk.len, key.public_jwk.at, (int)key.private_ref.len,
                     key.private_ref.at);
    sql(text.at, key.kid);
    return key;
}

static inline void set_state(struct str kid, enum key_state state)
{
    sql(arena_printf(&arena, "UPDATE oauth_jwks SET state = %d WHERE kid =", (int)state).at, kid);
}

/* Holds the view in force until the end of the scope. */
#define ACQUIRE(view) AUTO(keyring_releasep) const struct keyring_view *view = keyring_acquire(ring)

#endif
