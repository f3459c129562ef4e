/* service/client_admin.c: administration of clients, on the store. */
#include "service/client_admin.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/settings.h"
#include "jose/b64.h"
#include "jose/jws.h"
#include "service/authority.h"
#include "service/client_body.h"
#include "service/client_metadata.h"
#include "service/clients.h"
#include "service/pairwise.h"
#include "service/service.h"

/* A secret is 256 random bits in base64url, and a NUL. */
enum { SECRET_BYTES = 32, SECRET_SIZE = 44, CHANGES_TRIED = 5, OBJECT_MAX = 8 * CLIENT_METADATA_MAX };

static const struct err no_client = { ERR_NOT_FOUND, "there is no client with this id" };

static void client_admin_make_secret(char secret[SECRET_SIZE], unsigned char hash[32])
{
    char random[SECRET_BYTES];
    random_bytes(random, sizeof random);
    b64url_encode((struct str){ random, sizeof random }, secret);
    secret[SECRET_SIZE - 1] = '\0';
    mem_wipe(random, sizeof random);
    sha256(str_of(secret), hash);
}

static bool client_admin_is_set(const unsigned char hash[32])
{
    static const unsigned char none[32] = { 0 };
    return memcmp(hash, none, sizeof none) != 0;
}

/* Clients in memory are read again, where there are any: the store reports only other processes' changes. */
static void client_admin_put_in_force(struct service *service)
{
    if (service->clients)
        clients_refresh(service->clients, clock_coarse_s());
}

/* --- what a client knows its users by ----------------------------------------------------------------------------- */

static bool client_admin_has_same_sector(const struct client_metadata *one, const struct client_metadata *other)
{
    const struct client_texts *these = &one->redirect_uris, *those = &other->redirect_uris;
    bool is_same = one->subject == other->subject && these->count == those->count &&
                   str_eq(one->sector_identifier_uri, other->sector_identifier_uri);
    for (size_t i = 0; is_same && i < these->count; i++)
        is_same = str_eq(these->at[i], those->at[i]);
    return is_same;
}

/* OpenID Connect Core section 8.1: asked when a client is registered, and when what it asks of has changed. Else a
 * client could not be disabled while its own server is away. */
static struct err client_admin_check_sector(const struct service *service, struct arena *arena,
                                            const struct client *before, const struct client *client)
{
    struct client_metadata was, is;
    client_metadata_read(arena, client->metadata, client->is_public, &is);
    if (before) {
        client_metadata_read(arena, before->metadata, before->is_public, &was);
        if (client_admin_has_same_sector(&was, &is))
            return OK;
    }
    if (is.subject == SUBJECT_PAIRWISE && !pairwise_is_offered(service->settings))
        return failed(ERR_CLIENT_METADATA,
                      "the member \"subject_type\" is refused: pairwise is not offered without TOKEN_PAIRWISE_SALT");
    if (is.sector_identifier_uri.len == 0)
        return OK;
    return service->check_sector ? service->check_sector(service, arena, &is)
                                 : failed(ERR_CLIENT_METADATA,
                                          "the member \"sector_identifier_uri\" is refused: it can't be fetched here");
}

/* --- what it is signed with --------------------------------------------------------------------------------------- */

/* OpenID Connect Dynamic Client Registration 1.0 section 2: what the metadata names. Where that is not RS256, a client
 * that says nothing has RS256 all the same, as the standard's default; and one that was taken before stays, since the
 * operator may have changed what is signed with. */
static bool client_admin_may_have_alg(const struct service *service, enum jwa usual, enum jwa before, enum jwa asked)
{
    return asked == usual || asked == before || (int64_t)asked == service->settings->signing_alg;
}

static struct err client_admin_check_algs(const struct service *service, struct arena *arena,
                                          const struct client *before, const struct client *client)
{
    struct client_metadata usual, was, is;
    client_metadata_read(arena, STR(""), client->is_public, &usual);
    client_metadata_read(arena, before ? before->metadata : STR(""), client->is_public, &was);
    client_metadata_read(arena, client->metadata, client->is_public, &is);
    const bool is_good = client_admin_may_have_alg(service, usual.id_token_alg, was.id_token_alg, is.id_token_alg);
    return is_good && client_admin_may_have_alg(service, usual.userinfo_alg, was.userinfo_alg, is.userinfo_alg)
               ? OK
               : failed(ERR_CLIENT_METADATA,
                        arena_printf(arena, "the member \"%s\" is refused: it is not what this service signs with",
                                     is_good ? "userinfo_signed_response_alg" : "id_token_signed_response_alg")
                            .at);
}

/* --- adding and looking ------------------------------------------------------------------------------------------ */

static struct err client_admin_insert(struct service *service, const struct client *client)
{
    struct err err = service->store->ops->add_client(service->store, client);
    return err.code == ERR_CONFLICT ? failed(ERR_CONFLICT, "there is already a client with this id") : err;
}

struct err client_admin_add(struct service *service, struct arena *arena, const struct caller *caller,
                            const struct json *wanted, int64_t now_s, struct str *id, struct buf *out)
{
    char secret[SECRET_SIZE] = "";
    struct client client;
    TRY(client_body_describe(arena, wanted, now_s, &client));
    TRY(authority_check_client(caller, client.scopes));
    TRY(client_admin_check_sector(service, arena, NULL, &client));
    TRY(client_admin_check_algs(service, arena, NULL, &client));
    if (client_body_has_secret(arena, &client))
        client_admin_make_secret(secret, client.secret_hash);
    struct err err = client_admin_insert(service, &client);
    if (!err.code)
        client_body_write(arena, &client, secret, out);
    mem_wipe(secret, sizeof secret);
    *id = client.id;
    return err;
}

static struct err client_admin_find(struct service *service, struct arena *arena, struct str id, struct client *out)
{
    struct err err = service->store->ops->find_client(service->store, arena, id, out);
    return err.code == ERR_NOT_FOUND ? no_client : err;
}

struct err client_admin_show(struct service *service, struct arena *arena, struct str id, struct buf *out)
{
    struct client client;
    TRY(client_admin_find(service, arena, id, &client));
    client_body_write(arena, &client, NULL, out);
    return OK;
}

struct err client_admin_list(struct service *service, struct arena *arena, struct str after, size_t max,
                             client_admin_each *each, void *context)
{
    struct client *clients = NULL;
    size_t count = 0;
    bool wants_more = true;
    TRY(service->store->ops->list_clients(service->store, arena, after, max, &clients, &count));
    for (size_t i = 0; i < count && wants_more; i++) {
        struct buf object;
        buf_init(&object, arena, 1024, OBJECT_MAX);
        client_body_write(arena, &clients[i], NULL, &object);
        wants_more = each(context, clients[i].id, buf_str(&object));
    }
    return OK;
}

/* --- changing ---------------------------------------------------------------------------------------------------- */

/* One change, which is made to the client as it is found; again, if somebody was faster. */
struct change {
    struct err (*make)(struct arena *, const struct change *, struct client *);
    const struct json *patch;
    const unsigned char *secret_hash;
    int64_t old_secret_until; /* s; 0: the secret before this one ends now */
};

static struct err client_admin_find_own(struct service *service, struct arena *arena, const struct caller *caller,
                                        struct str id, struct client *out)
{
    TRY(client_admin_find(service, arena, id, out));
    struct err err = authority_check_client(caller, out->scopes);
    return err.code == ERR_INVALID_SCOPE
               ? failed(ERR_INSUFFICIENT_SCOPE, "the client has a scope that the caller can't pass on")
               : err;
}

static struct err client_admin_try(struct service *service, struct arena *arena, const struct caller *caller,
                                   struct str id, const struct change *change, struct client *out)
{
    TRY(client_admin_find_own(service, arena, caller, id, out));
    const struct client before = *out;
    TRY(change->make(arena, change, out));
    TRY(authority_check_client(caller, out->scopes));
    TRY(client_admin_check_sector(service, arena, &before, out));
    TRY(client_admin_check_algs(service, arena, &before, out));
    TRY(service->store->ops->change_client(service->store, out, before.version));
    out->version = before.version + 1;
    return OK;
}

static struct err client_admin_make_change(struct service *service, struct arena *arena, const struct caller *caller,
                                           struct str id, const struct change *change, struct client *out)
{
    for (int i = 0; i < CHANGES_TRIED; i++) {
        struct err err = client_admin_try(service, arena, caller, id, change, out);
        if (err.code == ERR_CONFLICT)
            continue;
        TRY(err);
        client_admin_put_in_force(service);
        return OK;
    }
    return failed(ERR_UNAVAILABLE, "others are changing this client: nothing was done");
}

static struct err client_admin_apply_patch(struct arena *arena, const struct change *change, struct client *client)
{
    return client_body_apply(arena, change->patch, client);
}

struct err client_admin_change(struct service *service, struct arena *arena, const struct caller *caller, struct str id,
                               const struct json *patch, struct buf *out)
{
    const struct change change = { .make = client_admin_apply_patch, .patch = patch };
    struct client client;
    TRY(client_admin_make_change(service, arena, caller, id, &change, &client));
    client_body_write(arena, &client, NULL, out);
    return OK;
}

/* When the row has the new secret already, its answer was lost: the old one is not what is there now. */
static struct err client_admin_apply_secret(struct arena *arena, const struct change *change, struct client *client)
{
    if (!client_body_has_secret(arena, client))
        return failed(ERR_NOT_FOUND, client->is_public ? "the client is public: it has no secret"
                                                       : "the client authenticates with a key: it has no secret");
    if (memcmp(client->secret_hash, change->secret_hash, sizeof client->secret_hash) == 0)
        return OK;
    client_body_drop_old_secret(client);
    if (change->old_secret_until > 0 && client_admin_is_set(client->secret_hash)) {
        memcpy(client->old_secret_hash, client->secret_hash, sizeof client->old_secret_hash);
        client->old_secret_until = change->old_secret_until;
    }
    memcpy(client->secret_hash, change->secret_hash, sizeof client->secret_hash);
    return OK;
}

struct err client_admin_renew_secret(struct service *service, struct arena *arena, const struct caller *caller,
                                     struct str id, int64_t overlap_s, int64_t now_s, struct buf *out)
{
    char secret[SECRET_SIZE];
    unsigned char hash[32];
    struct client client;
    client_admin_make_secret(secret, hash);
    const struct change change = { .make = client_admin_apply_secret,
                                   .secret_hash = hash,
                                   .old_secret_until = overlap_s > 0 ? now_s + overlap_s : 0 };
    struct err err = client_admin_make_change(service, arena, caller, id, &change, &client);
    if (!err.code)
        client_body_write(arena, &client, secret, out);
    mem_wipe(secret, sizeof secret);
    return err;
}

struct err client_admin_delete(struct service *service, struct arena *arena, const struct caller *caller, struct str id)
{
    struct client client;
    TRY(client_admin_find_own(service, arena, caller, id, &client));
    struct err err = service->store->ops->delete_client(service->store, id);
    if (err.code == ERR_NOT_FOUND)
        return no_client;
    TRY(err);
    client_admin_put_in_force(service);
    return OK;
}
