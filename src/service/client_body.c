/* service/client_body.c: a client as a JSON object: what is not metadata by a table of fields, the rest by that of
 * client_metadata.c. */
#include "service/client_body.h"
#include "base/merge_patch.h"
#include "base/random.h"
#include "jose/b64.h"
#include "service/client_metadata.h"
#include "service/message.h"
#include "store/store.h"
#include <stddef.h>

/* A row that others wrote may have more than can be registered. */
enum { ID_BYTES = 16, NAME_MAX_BYTES = 1024, TEXT_MAX = 8 * CLIENT_METADATA_MAX };

/* client_id is %x20-7E; scope-token is %x21 / %x23-5B / %x5D-7E. */
static bool client_body_is_visible(struct str text, bool is_scope)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < 0x20 || text.at[i] > 0x7e || (is_scope && (text.at[i] == '"' || text.at[i] == '\\')))
            return false;
    return true;
}

bool client_body_id_is_fit(struct str id)
{
    return id.len > 0 && id.len <= 255 && client_body_is_visible(id, false);
}

bool client_body_scopes_are_fit(struct str scopes)
{
    return scopes.len <= 2048 && client_body_is_visible(scopes, true);
}

void client_body_drop_old_secret(struct client *client)
{
    memset(client->old_secret_hash, 0, sizeof client->old_secret_hash);
    client->old_secret_until = 0;
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

/* The first one is for a new client alone. */
static const struct field fields[] = {
    { "client_id", FIELD_STR, false, offsetof(struct client, id), 0, 255 },
    { "client_name", FIELD_TEXT, false, offsetof(struct client, name), 0, NAME_MAX_BYTES },
    { "scope", FIELD_TEXT, false, offsetof(struct client, scopes), 0, 2048 },
    { "access_token_ttl", FIELD_INT, false, offsetof(struct client, access_ttl_s), 1, INT32_MAX },
    { "refresh_token_ttl", FIELD_INT, false, offsetof(struct client, refresh_ttl_s), 1, INT32_MAX },
    { "id_token_ttl", FIELD_INT, false, offsetof(struct client, id_ttl_s), 1, INT32_MAX },
    { "is_active", FIELD_BOOL, false, offsetof(struct client, is_active), 0, 0 },
};
enum { FIELDS = sizeof fields / sizeof *fields };
static const struct str old_secret_until = STR_INIT("old_secret_until");

/* Which part of a body a member belongs to. */
enum part { PART_FIELDS, PART_METADATA, PART_DROPPED };

static enum part client_body_part_of(const struct json *member)
{
    if (str_eq(member->name, old_secret_until) && member->kind == JSON_NULL)
        return PART_DROPPED; /* there is nothing else to say of it */
    return client_metadata_knows(member->name) ? PART_METADATA : PART_FIELDS;
}

/* The members of that part: an object of copies. */
static const struct json *client_body_members(struct arena *arena, const struct json *object, enum part part)
{
    struct json *members = arena_zalloc(arena, sizeof *members);
    const struct json **tail = &members->child;
    members->kind = JSON_OBJECT;
    for (const struct json *member = object->child; member; member = member->next) {
        if (client_body_part_of(member) != part)
            continue;
        struct json *copy = arena_alloc(arena, sizeof *copy);
        *copy = *member;
        copy->next = NULL;
        *tail = copy;
        tail = &copy->next;
        members->count++;
    }
    return members;
}

/* A member that is null goes (RFC 7396 section 1). */
static void client_body_clear(const struct json *object, struct client *client)
{
    static const struct str gone[] = { STR_INIT("access_token_ttl"), STR_INIT("refresh_token_ttl"),
                                       STR_INIT("id_token_ttl") };
    int64_t *const lifetimes[] = { &client->access_ttl_s, &client->refresh_ttl_s, &client->id_ttl_s };
    for (const struct json *member = object->child; member; member = member->next) {
        if (member->kind != JSON_NULL)
            continue;
        for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
            if (str_eq(member->name, gone[i]))
                *lifetimes[i] = 0;
        if (str_eq(member->name, STR("client_name")))
            client->name = STR("");
        else if (str_eq(member->name, STR("scope")))
            client->scopes = STR("");
        else if (str_eq(member->name, old_secret_until))
            client_body_drop_old_secret(client);
    }
}

/* `first` of the fields are left out. */
static struct err client_body_read_fields(struct arena *arena, const struct json *object, size_t first,
                                          struct client *client)
{
    client_body_clear(object, client);
    const struct json *part = client_body_members(arena, object, PART_FIELDS);
    TRY(fields_read(arena, part, fields + first, FIELDS - first, client));
    return !json_member(part, STR("scope")) || client_body_scopes_are_fit(client->scopes)
               ? OK
               : failed(ERR_INVALID_REQUEST, "scope takes space-separated scopes without quotes and backslashes");
}

static struct str client_body_metadata_text(struct arena *arena, const struct client_metadata *metadata)
{
    struct buf text;
    buf_init(&text, arena, 1024, TEXT_MAX);
    buf_add_char(&text, '{');
    client_metadata_write(metadata, &text);
    buf_add_char(&text, '}');
    return buf_str(&text);
}

/* What becomes of the metadata `before` ("": of a new client) by the body. */
static struct err client_body_merge(struct arena *arena, struct str before, const struct json *object,
                                    struct client_metadata *out)
{
    const struct json *old = NULL, *merged = NULL;
    struct buf text;
    if (before.len > 0)
        TRY(json_parse(arena, before, &old));
    buf_init(&text, arena, 1024, TEXT_MAX);
    merge_patch_write(&text, old, client_body_members(arena, object, PART_METADATA));
    if (text.overflowed)
        return failed(ERR_CLIENT_METADATA, "the metadata is longer than 32 KB");
    TRY(json_parse(arena, buf_str(&text), &merged));
    return client_metadata_take(arena, merged, out);
}

static struct err client_body_take_metadata(struct arena *arena, const struct json *object, struct client *client)
{
    struct client_metadata now, next;
    client_metadata_read(arena, client->metadata, client->is_public, &now);
    TRY(client_body_merge(arena, client_body_metadata_text(arena, &now), object, &next));
    if ((next.auth == CLIENT_AUTH_NONE) != client->is_public)
        return failed(ERR_CLIENT_METADATA, "whether a client is public can't be changed: add another one");
    if (next.auth == CLIENT_AUTH_KEY) {
        memset(client->secret_hash, 0, sizeof client->secret_hash);
        client_body_drop_old_secret(client);
    }
    client->metadata = client_body_metadata_text(arena, &next);
    return OK;
}

static struct str client_body_make_id(struct arena *arena)
{
    char random[ID_BYTES], *text = arena_alloc(arena, b64url_encoded_len(ID_BYTES) + 1);
    random_bytes(random, sizeof random);
    b64url_encode((struct str){ random, sizeof random }, text);
    return (struct str){ text, b64url_encoded_len(ID_BYTES) };
}

struct err client_body_describe(struct arena *arena, const struct json *wanted, int64_t now_s, struct client *out)
{
    struct client_metadata metadata;
    *out = (struct client){ .id = client_body_make_id(arena), .is_active = true, .created_at = now_s, .version = 1 };
    if (wanted->kind != JSON_OBJECT)
        return failed(ERR_INVALID_REQUEST, "the body is not a JSON object");
    TRY(client_body_read_fields(arena, wanted, 0, out));
    if (!client_body_id_is_fit(out->id))
        return failed(ERR_INVALID_REQUEST, "client_id takes 1 to 255 visible ASCII characters");
    TRY(client_body_merge(arena, STR(""), wanted, &metadata));
    out->name = out->name.len > 0 ? out->name : out->id;
    out->is_public = metadata.auth == CLIENT_AUTH_NONE;
    out->metadata = client_body_metadata_text(arena, &metadata);
    return OK;
}

struct err client_body_apply(struct arena *arena, const struct json *patch, struct client *client)
{
    if (patch->kind != JSON_OBJECT)
        return failed(ERR_INVALID_REQUEST, "the body is not a JSON object");
    TRY(client_body_read_fields(arena, patch, 1, client));
    return client_body_members(arena, patch, PART_METADATA)->count > 0
               ? client_body_take_metadata(arena, patch, client)
               : OK; /* as it is: the platform may have written what could not be registered here */
}

bool client_body_has_secret(struct arena *arena, const struct client *client)
{
    struct client_metadata metadata;
    client_metadata_read(arena, client->metadata, client->is_public, &metadata);
    return metadata.auth != CLIENT_AUTH_NONE && metadata.auth != CLIENT_AUTH_KEY;
}

/* --- writing ----------------------------------------------------------------------------------------------------- */

/* 0: there is none. */
static void client_body_write_int(struct buf *out, struct str name, int64_t value)
{
    if (value != 0)
        json_write_int(out, name, value);
}

void client_body_write(struct arena *arena, const struct client *client, const char *secret, struct buf *out)
{
    struct client_metadata metadata;
    client_metadata_read(arena, client->metadata, client->is_public, &metadata);
    buf_add_char(out, '{');
    json_write_text(out, STR("client_id"), client->id);
    if (secret && secret[0]) {
        json_write_text(out, STR("client_secret"), str_of(secret));
        json_write_int(out, STR("client_secret_expires_at"), 0); /* never: RFC 7591 section 3.2.1 */
    }
    json_write_text(out, STR("client_name"), client->name);
    json_write_text(out, STR("client_type"), client->is_public ? STR("public") : STR("confidential"));
    json_write_text(out, STR("scope"), client->scopes);
    json_write_bool(out, STR("is_active"), client->is_active);
    json_write_int(out, STR("created_at"), client->created_at);
    client_body_write_int(out, STR("access_token_ttl"), client->access_ttl_s);
    client_body_write_int(out, STR("refresh_token_ttl"), client->refresh_ttl_s);
    client_body_write_int(out, STR("id_token_ttl"), client->id_ttl_s);
    client_body_write_int(out, old_secret_until, client->old_secret_until);
    client_metadata_write(&metadata, out);
    buf_add_char(out, '}');
}
