/* tests/fuzz/memory.h: a store and a signer in memory, so that a fuzz target can run the whole service some thousand
 * times a second, without a file. Two clients: "agent" (no privileged scope) and "admin" (all); both with the secret
 * "secret". */
#ifndef MEMORY_H
#define MEMORY_H

#include "fuzz.h"
#include "keys/signer.h"

#define AGENT_SCOPES "token:issue token:verify token:introspect api"
#define ADMIN_SCOPES                                                                                                   \
    AGENT_SCOPES " token:issue:any token:issue:privileged token:revoke:any keys:rotate clients:read clients:write"

struct memory_store {
    struct store store;
    struct key key;
};

static inline struct err memory_find_client(struct store *store, struct arena *arena, struct str id, struct client *out)
{
    static const char *const names[] = { "agent", "admin", "public", "disabled" };
    (void)store;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!str_eq(id, str_of(names[i])))
            continue;
        *out = (struct client){ .id = arena_copy(arena, id),
                                .name = STR("A client"),
                                .is_public = i == 2,
                                .is_active = i != 3,
                                .scopes = i == 1 ? STR(ADMIN_SCOPES) : STR(AGENT_SCOPES),
                                .created_at = 1,
                                .metadata = STR("{\"redirect_uris\":[\"https://app.test/cb\",1],\"jwks\":{}}"),
                                .version = 1 };
        if (i != 2)
            sha256(STR("secret"), out->secret_hash);
        return OK;
    }
    return failed(ERR_NOT_FOUND, "there is no such client");
}

static inline struct err memory_list_clients(struct store *store, struct arena *arena, struct str after, size_t max,
                                             struct client **out, size_t *count)
{
    static const char *const names[] = { "admin", "agent", "disabled", "public" };
    *out = arena_alloc(arena, sizeof names / sizeof *names * sizeof **out);
    *count = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names && *count < max; i++)
        if (after.len == 0 || strncmp(names[i], after.at, after.len) > 0)
            PROMISE(!memory_find_client(store, arena, str_of(names[i]), &(*out)[(*count)++]).code);
    return OK;
}

/* Nothing is kept: what would be written is looked at here. */
static inline struct err memory_write_client(struct store *store, const struct client *client)
{
    struct arena arena;
    const struct json *metadata;
    (void)store;
    arena_init(&arena, NULL, 0);
    PROMISE(client->id.len > 0 && utf8_valid(client->name) && utf8_valid(client->scopes));
    PROMISE(!json_parse(&arena, client->metadata, &metadata).code && metadata->kind == JSON_OBJECT);
    arena_release(&arena);
    return OK;
}

static inline struct err memory_add_client(struct store *store, const struct client *client)
{
    struct arena arena;
    struct client known;
    arena_init(&arena, NULL, 0);
    struct err err = memory_find_client(store, &arena, client->id, &known);
    arena_release(&arena);
    return err.code ? memory_write_client(store, client) : failed(ERR_CONFLICT, "there is already such a client");
}

static inline struct err memory_change_client(struct store *store, const struct client *client, int64_t version)
{
    PROMISE(version == 1);
    return memory_write_client(store, client);
}

static inline struct err memory_delete_client(struct store *store, struct str id)
{
    (void)store;
    (void)id;
    return OK;
}

static inline struct err memory_list_keys(struct store *store, struct arena *arena, struct key **out, size_t *count)
{
    struct memory_store *self = (struct memory_store *)store;
    *count = self->key.kid.len > 0;
    *out = arena_alloc(arena, sizeof **out);
    **out = self->key;
    return OK;
}

static inline struct err memory_add_first_key(struct store *store, const struct key *key)
{
    ((struct memory_store *)store)->key = *key; /* its views lie in the arena given to keyring_open, which stays */
    return OK;
}

/* What a rotation asks of a store whose one key has no successor (memory_create makes none): enough for every answer
 * but a rotation that is done. */
static inline struct err memory_list_past_keys(struct store *store, struct arena *arena, bool undisposed, size_t max,
                                               struct key **out, size_t *count)
{
    (void)store;
    (void)undisposed;
    (void)max;
    *out = arena_alloc(arena, sizeof **out);
    *count = 0;
    return OK;
}

static inline struct err memory_find_key(struct store *store, struct arena *arena, struct str kid, struct key *out)
{
    struct memory_store *self = (struct memory_store *)store;
    (void)arena;
    if (!str_eq(self->key.kid, kid))
        return failed(ERR_NOT_FOUND, "there is no such key");
    *out = self->key;
    return OK;
}

/* One entry of each kind, up to the second page. */
static inline struct err memory_revocations_since(struct store *store, struct arena *arena, int64_t after,
                                                  int64_t now_s, size_t max, struct revocation **out, size_t *count,
                                                  struct sequence *sequence)
{
    (void)store;
    *sequence = (struct sequence){ 1, INT64_MAX };
    *out = arena_zalloc(arena, REVOCATION_KINDS * sizeof **out);
    *count = 0;
    for (size_t i = 0; i < REVOCATION_KINDS && *count < max; i++) {
        int64_t position = 1 + (int64_t)i * 1024;
        if (position > after)
            (*out)[(*count)++] = (struct revocation){
                .position = position, .kind = (enum revocation_kind)i, .before = now_s, .expires_at = now_s + 9
            };
    }
    return OK;
}

static const struct store_ops memory_store_ops = {
    .name = "memory",
    .find_client = memory_find_client,
    .list_clients = memory_list_clients,
    .add_client = memory_add_client,
    .change_client = memory_change_client,
    .delete_client = memory_delete_client,
    .list_keys = memory_list_keys,
    .list_past_keys = memory_list_past_keys,
    .find_key = memory_find_key,
    .add_first_key = memory_add_first_key,
    .revocations_since = memory_revocations_since,
};

struct memory_signer {
    struct signer signer;
    struct jwk *key;
};

static inline struct err memory_adopt(struct signer *signer, struct arena *arena, enum jwa alg, const struct key *known,
                                      size_t count, struct key *out)
{
    (void)signer;
    (void)arena;
    (void)alg;
    (void)known;
    (void)count;
    (void)out;
    return failed(ERR_NOT_FOUND, "nothing was left behind");
}

static inline struct err memory_create(struct signer *signer, struct arena *arena, enum jwa alg, struct key *out)
{
    struct memory_signer *self = (struct memory_signer *)signer;
    struct buf public;
    if (self->key)
        return failed(ERR_NOT_FOUND, "there is no further key");
    TRY(jwk_generate(alg, &self->key));
    buf_init(&public, arena, 512, 4096);
    jwk_write_public(self->key, &public);
    out->kid = str_of(self->key->kid);
    out->alg = str_of(jwa_name(alg));
    out->public_jwk = buf_str(&public);
    return OK;
}

static inline struct err memory_load(struct signer *signer, struct arena *arena, const struct key *key)
{
    (void)signer;
    (void)arena;
    (void)key;
    return OK;
}

static inline struct err memory_sign(struct signer *signer, struct str kid, enum jwa alg, enum sign_priority priority,
                                     struct str input, char *out, size_t *len)
{
    (void)priority;
    struct memory_signer *self = (struct memory_signer *)signer;
    (void)priority;
    PROMISE(str_eq(kid, str_of(self->key->kid)) && alg == self->key->alg);
    return jws_sign(self->key, input, out, len);
}

static inline void memory_unload(struct signer *signer, struct str kid)
{
    (void)signer;
    (void)kid;
}

static const struct signer_ops memory_signer_ops = {
    .name = "memory",
    .create = memory_create,
    .adopt = memory_adopt,
    .load = memory_load,
    .sign = memory_sign,
    .unload = memory_unload,
};

#endif
