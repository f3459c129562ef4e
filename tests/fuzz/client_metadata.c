/* fuzz/client_metadata.c: what a client registers: what is taken is written, and taken again, the same; it has no URI
 * that a client may not register; and of whatever a store has, something comes that can be written. Merging a patch
 * twice is merging it once. What stands before the first line break is a store's text, what follows a patch. */
#include "fuzz.h"
#include "base/merge_patch.h"
#include "service/client_metadata.h"
#include "service/client_uri.h"

static struct str written(struct arena *arena, const struct client_metadata *metadata)
{
    struct buf out;
    buf_init(&out, arena, 512, 8 * 1024 * 1024); /* of a store's, more than may be registered */
    buf_add_char(&out, '{');
    client_metadata_write(metadata, &out);
    buf_add_char(&out, '}');
    PROMISE(!out.overflowed);
    return buf_str(&out);
}

static void check_uris(const struct client_texts *texts, enum client_uri kind)
{
    PROMISE(texts->count <= CLIENT_LIST_MAX);
    for (size_t i = 0; i < texts->count; i++) {
        PROMISE(!client_uri_fault(texts->at[i], kind) && texts->at[i].len <= CLIENT_URI_MAX);
        PROMISE(kind == CLIENT_URI_RESOURCE || !memmem(texts->at[i].at, texts->at[i].len, "#", 1));
    }
}

static void check_sound(const struct client_metadata *metadata)
{
    const enum client_uri kind = metadata->application == APPLICATION_NATIVE ? CLIENT_URI_NATIVE : CLIENT_URI_REDIRECT;
    check_uris(&metadata->redirect_uris, kind);
    check_uris(&metadata->post_logout_redirect_uris, kind);
    check_uris(&metadata->resources, CLIENT_URI_RESOURCE);
    PROMISE(metadata->grants <= 7 && metadata->responses <= RESPONSE_CODE && metadata->auth <= CLIENT_AUTH_NONE);
    PROMISE(metadata->id_token_alg >= JWA_RS256 && metadata->id_token_alg <= JWA_EDDSA);
    PROMISE(metadata->userinfo_alg <= JWA_EDDSA && metadata->request_object_alg <= JWA_EDDSA);
    PROMISE(metadata->jwks.len == 0 || metadata->jwks_uri.len == 0);
    PROMISE(metadata->require_pkce || metadata->auth != CLIENT_AUTH_NONE);
    PROMISE(metadata->refresh_token_grace_s >= -1 && metadata->refresh_token_grace_s <= 3600);
}

static void check_stored(struct arena *arena, struct str text, bool is_public)
{
    struct client_metadata metadata, again;
    client_metadata_read(arena, text, is_public, &metadata);
    check_sound(&metadata);
    PROMISE((metadata.auth == CLIENT_AUTH_NONE) == is_public);
    struct str first = written(arena, &metadata);
    client_metadata_read(arena, first, is_public, &again);
    check_sound(&again);
    PROMISE(str_eq(written(arena, &again), first));
}

static void check_taken(struct arena *arena, const struct json *object)
{
    struct client_metadata metadata, again;
    const struct json *parsed;
    struct err err = client_metadata_take(arena, object, &metadata);
    PROMISE(!err.code == !err.why);
    PROMISE(!err.code || err.code == ERR_REDIRECT_URI || err.code == ERR_CLIENT_METADATA);
    if (err.code)
        return;
    check_sound(&metadata);
    PROMISE(metadata.auth != CLIENT_AUTH_UNSUPPORTED);
    PROMISE(!(metadata.grants & GRANT_AUTHORIZATION_CODE) == (metadata.redirect_uris.count == 0));
    PROMISE(metadata.auth != CLIENT_AUTH_NONE || !(metadata.grants & GRANT_CLIENT_CREDENTIALS));
    struct str text = written(arena, &metadata);
    PROMISE(text.len <= CLIENT_METADATA_MAX + 2 && !json_parse(arena, text, &parsed).code);
    PROMISE(!client_metadata_take(arena, parsed, &again).code && str_eq(written(arena, &again), text));
    client_metadata_read(arena, text, metadata.auth == CLIENT_AUTH_NONE, &again);
    PROMISE(str_eq(written(arena, &again), text));
}

static void check_merged(struct arena *arena, const struct json *target, const struct json *patch)
{
    const struct json *parsed;
    struct buf once, twice;
    buf_init(&once, arena, 512, 8 * 1024 * 1024);
    buf_init(&twice, arena, 512, 8 * 1024 * 1024);
    merge_patch_write(&once, target, patch);
    if (json_parse(arena, buf_str(&once), &parsed).code)
        return; /* together they have more members than JSON may have here */
    merge_patch_write(&twice, parsed, patch);
    PROMISE(str_eq(buf_str(&once), buf_str(&twice)));
    check_taken(arena, parsed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct str patch = input_of(data, size), stored = { 0, 0 };
    const struct json *of_patch = NULL, *of_stored = NULL;
    arena_init(&arena, NULL, 0);
    (void)str_cut(&patch, '\n', &stored);
    check_stored(&arena, stored, false);
    check_stored(&arena, stored, true);
    (void)client_uri_host(patch);
    if (!json_parse(&arena, patch, &of_patch).code) {
        check_taken(&arena, of_patch);
        check_merged(&arena, NULL, of_patch);
        if (!json_parse(&arena, stored, &of_stored).code)
            check_merged(&arena, of_stored, of_patch);
    }
    arena_release(&arena);
    return 0;
}
