/* service/client_admin.c: administration of clients, on the store. */
#include "service/client_admin.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/random.h"
#include "jose/b64.h"
#include "jose/jws.h"
#include "service/clients.h"
#include "service/service.h"

enum { SECRET_BYTES = 32 };

static const struct err no_client = { ERR_NOT_FOUND, "there is no client with this id" };

/* client_id is %x20-7E; scope-token is %x21 / %x23-5B / %x5D-7E. */
static bool client_admin_is_visible(struct str text, bool is_scope)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < 0x20 || text.at[i] > 0x7e || (is_scope && (text.at[i] == '"' || text.at[i] == '\\')))
            return false;
    return true;
}

bool client_admin_id_is_fit(struct str id)
{
    return id.len > 0 && id.len <= 255 && client_admin_is_visible(id, false);
}

bool client_admin_scopes_are_fit(struct str scopes)
{
    return scopes.len <= 2048 && client_admin_is_visible(scopes, true);
}

static void client_admin_make_secret(char secret[CLIENT_SECRET_SIZE], unsigned char hash[32])
{
    char random[SECRET_BYTES];
    random_bytes(random, sizeof random);
    b64url_encode((struct str){ random, sizeof random }, secret);
    secret[CLIENT_SECRET_SIZE - 1] = '\0';
    mem_wipe(random, sizeof random);
    sha256(str_of(secret), hash);
}

/* Clients in memory are read again, where there are any: the store reports only other processes' changes. */
static void client_admin_put_in_force(struct service *service)
{
    if (service->clients)
        clients_refresh(service->clients, clock_coarse_s());
}

static struct client_entry client_admin_entry_of(const struct client *client)
{
    return (struct client_entry){ .id = client->id,
                                  .name = client->name,
                                  .scopes = client->scopes,
                                  .access_ttl_s = client->access_ttl_s,
                                  .refresh_ttl_s = client->refresh_ttl_s,
                                  .id_ttl_s = client->id_ttl_s,
                                  .created_at = client->created_at,
                                  .is_public = client->is_public,
                                  .is_active = client->is_active };
}

struct err client_admin_add(struct service *service, const struct client_entry *wanted, char secret[CLIENT_SECRET_SIZE])
{
    struct client client = { .id = wanted->id,
                             .name = wanted->name,
                             .is_public = wanted->is_public,
                             .scopes = wanted->scopes,
                             .access_ttl_s = wanted->access_ttl_s,
                             .refresh_ttl_s = wanted->refresh_ttl_s,
                             .id_ttl_s = wanted->id_ttl_s,
                             .is_active = wanted->is_active,
                             .created_at = wanted->created_at };
    if (!client_admin_id_is_fit(client.id) || !client_admin_scopes_are_fit(client.scopes) || !utf8_valid(client.name))
        return failed(ERR_INVALID_REQUEST, "the client's id, scopes or name have characters that are not allowed");
    if (!client.is_public)
        client_admin_make_secret(secret, client.secret_hash);
    struct err err = service->store->ops->add_client(service->store, &client);
    return err.code == ERR_CONFLICT ? failed(ERR_CONFLICT, "there is already a client with this id") : err;
}

struct err client_admin_list(struct service *service, struct arena *arena, size_t max, struct client_entry **out,
                             size_t *count)
{
    struct client *clients = NULL;
    TRY(service->store->ops->list_clients(service->store, arena, max, &clients, count));
    *out = arena_alloc(arena, *count * sizeof **out);
    for (size_t i = 0; i < *count; i++)
        (*out)[i] = client_admin_entry_of(&clients[i]);
    return OK;
}

struct err client_admin_renew_secret(struct service *service, struct arena *arena, struct str id,
                                     struct client_entry *out, char secret[CLIENT_SECRET_SIZE])
{
    struct store *store = service->store;
    unsigned char hash[32];
    struct client client;
    struct err err = store->ops->find_client(store, arena, id, &client);
    if (err.code == ERR_NOT_FOUND)
        return no_client;
    TRY(err);
    if (client.is_public)
        return failed(ERR_NOT_FOUND, "the client is public: it has no secret");
    client_admin_make_secret(secret, hash);
    TRY(store->ops->set_client_secret(store, client.id, hash));
    client_admin_put_in_force(service);
    *out = client_admin_entry_of(&client);
    return OK;
}

struct err client_admin_set_active(struct service *service, struct str id, bool is_active)
{
    struct err err = service->store->ops->set_client_active(service->store, id, is_active);
    if (err.code == ERR_NOT_FOUND)
        return no_client;
    TRY(err);
    client_admin_put_in_force(service);
    return OK;
}
