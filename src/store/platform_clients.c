/* store/platform_clients.c: clients in the platform's table. */
#include "base/hex.h"
#include "store/platform.h"

enum { PAGE = 100 };

static const char no_client[] = "there is no such client";

/* --- reading ----------------------------------------------------------------------------------------------------- */

static bool platform_clients_is_true(const struct json *object, const char *name)
{
    const struct json *member = json_member(object, str_of(name));
    return member && member->kind == JSON_TRUE;
}

/* Zeros where there is none: no secret hashes to them. */
static void platform_clients_read_hash(const struct json *row, const char *name, unsigned char hash[32])
{
    if (!hex_read(platform_str(row, name), hash, 32))
        memset(hash, 0, 32);
}

static struct client platform_clients_client_of(const struct json *row)
{
    struct client client = { .id = platform_str(row, "id"),
                             .name = platform_str(row, "name"),
                             .is_public = platform_clients_is_true(row, "is_public"),
                             .scopes = platform_str(row, "scopes"),
                             .access_ttl_s = store_seconds(platform_int(row, "access_ttl_s")),
                             .refresh_ttl_s = store_seconds(platform_int(row, "refresh_ttl_s")),
                             .id_ttl_s = store_seconds(platform_int(row, "id_ttl_s")),
                             .is_active = platform_clients_is_true(row, "is_active"),
                             .created_at = store_seconds(platform_int(row, "created_at")),
                             .old_secret_until = store_seconds(platform_int(row, "old_secret_until")),
                             .metadata = platform_str(row, "metadata"),
                             .version = platform_int(row, "version") };
    platform_clients_read_hash(row, "secret_hash", client.secret_hash);
    platform_clients_read_hash(row, "old_secret_hash", client.old_secret_hash);
    return client;
}

struct err platform_find_client(struct store *store, struct arena *arena, struct str id, struct client *out)
{
    const struct json *answer = NULL;
    struct buf args;
    if (!platform_can_hold(id))
        return failed(ERR_NOT_FOUND, no_client);
    platform_begin(&args, arena);
    platform_put_str(&args, "id", id);
    TRY(platform_do(store, arena, "token_service_find_client", &args, PLATFORM_REPEATABLE, no_client, &answer));
    *out = platform_clients_client_of(answer);
    return OK;
}

/* One page: appended to `clients`. *more: it was a full one. */
static struct err platform_clients_read_page(struct store *store, struct arena *arena, struct str after, size_t max,
                                             struct client *clients, size_t *count, bool *more)
{
    const struct json *answer = NULL, *row = NULL;
    struct str rest, line;
    struct buf args;
    size_t page = 0;
    platform_begin(&args, arena);
    platform_put_int(&args, "max", (int64_t)max);
    platform_put_str(&args, "after", after);
    TRY(platform_do(store, arena, "token_service_list_clients", &args, PLATFORM_REPEATABLE, no_client, &answer));
    for (rest = platform_rows(answer); page < max && platform_next_row(&rest, &line); page++) {
        TRY(json_parse(arena, line, &row));
        clients[(*count)++] = platform_clients_client_of(row);
    }
    *more = page == max;
    return OK;
}

struct err platform_list_clients(struct store *store, struct arena *arena, struct str after, size_t max,
                                 struct client **out, size_t *count)
{
    size_t room = PAGE, found = 0;
    struct client *clients = arena_alloc(arena, room * sizeof *clients);
    for (bool more = true; more && found < max;) {
        if (found == room) {
            struct client *larger = arena_alloc(arena, 2 * room * sizeof *larger);
            memcpy(larger, clients, found * sizeof *larger);
            clients = larger;
            room *= 2;
        }
        size_t page = room - found < max - found ? room - found : max - found;
        TRY(platform_clients_read_page(store, arena, found > 0 ? clients[found - 1].id : after,
                                       page < PAGE ? page : PAGE, clients, &found, &more));
    }
    *out = clients;
    *count = found;
    return OK;
}

/* --- writing ----------------------------------------------------------------------------------------------------- */

static void platform_clients_put_hash(struct buf *args, const char *name, const unsigned char hash[32])
{
    static const unsigned char none[32] = { 0 };
    char hex[65];
    platform_put_str(args, name, memcmp(hash, none, sizeof none) == 0 ? STR("") : hex_write(hash, 32, hex));
}

/* All of a client as arguments. */
static struct err platform_clients_begin(struct buf *args, struct arena *arena, const struct client *client)
{
    if (!platform_can_hold(client->id) || !platform_can_hold(client->name) || !platform_can_hold(client->scopes) ||
        !platform_can_hold(client->metadata))
        return failed(ERR_INVALID_REQUEST, "a client's texts must be UTF-8 without NUL");
    platform_begin(args, arena);
    platform_put_str(args, "id", client->id);
    platform_put_str(args, "name", client->name);
    platform_put_bool(args, "is_public", client->is_public);
    platform_clients_put_hash(args, "secret_hash", client->secret_hash);
    platform_clients_put_hash(args, "old_secret_hash", client->old_secret_hash);
    platform_put_int(args, "old_secret_until", client->old_secret_until);
    platform_put_str(args, "scopes", client->scopes);
    platform_put_int(args, "access_ttl_s", client->access_ttl_s);
    platform_put_int(args, "refresh_ttl_s", client->refresh_ttl_s);
    platform_put_int(args, "id_ttl_s", client->id_ttl_s);
    platform_put_bool(args, "is_active", client->is_active);
    platform_put_int(args, "created_at", client->created_at);
    platform_put_str(args, "metadata", client->metadata.len > 0 ? client->metadata : STR("{}"));
    return OK;
}

struct err platform_add_client(struct store *store, const struct client *client)
{
    AUTO(arena_release) struct arena arena = { 0 };
    struct buf args;
    TRY(platform_clients_begin(&args, &arena, client));
    return platform_do(store, &arena, "token_service_add_client", &args, PLATFORM_ONCE,
                       "there is already such a client", NULL);
}

static struct err platform_clients_explain(struct err err)
{
    return err.code == ERR_NOT_FOUND ? failed(ERR_NOT_FOUND, no_client) : err;
}

/* Twice does no harm: the second time it is a conflict. */
struct err platform_change_client(struct store *store, const struct client *client, int64_t version)
{
    AUTO(arena_release) struct arena arena = { 0 };
    struct buf args;
    if (!platform_can_hold(client->id))
        return failed(ERR_NOT_FOUND, no_client);
    TRY(platform_clients_begin(&args, &arena, client));
    platform_put_int(&args, "version", version);
    return platform_clients_explain(platform_do(store, &arena, "token_service_change_client", &args,
                                                PLATFORM_REPEATABLE, "the client was changed meanwhile", NULL));
}

/* Once: the second time it would not be found, and that is no answer to the first. */
struct err platform_delete_client(struct store *store, struct str id)
{
    AUTO(arena_release) struct arena arena = { 0 };
    struct buf args;
    if (!platform_can_hold(id))
        return failed(ERR_NOT_FOUND, no_client);
    platform_begin(&args, &arena);
    platform_put_str(&args, "id", id);
    return platform_clients_explain(platform_do(store, &arena, "token_service_delete_client", &args, PLATFORM_ONCE,
                                                "something refers to the client in the database: disable it instead",
                                                NULL));
}
