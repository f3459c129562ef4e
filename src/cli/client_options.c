/* cli/client_options.c: the options of `clients` as an object. */
#include "cli/client_options.h"
#include "service/client_body.h"

enum { BODY_MAX = 64 * 1024 };

static struct err client_options_check(const struct client_options *options)
{
    const char *const texts[] = { options->id, options->name, options->scope, options->auth_method, options->jwks_uri };
    if (options->id && !client_body_id_is_fit(str_of(options->id)))
        return failed(ERR_INVALID_REQUEST, "--id takes 1 to 255 visible ASCII characters");
    if (options->scope && !client_body_scopes_are_fit(str_of(options->scope)))
        return failed(ERR_INVALID_REQUEST, "--scope takes space-separated scopes without quotes and backslashes");
    if (options->is_public && options->auth_method)
        return failed(ERR_INVALID_REQUEST, "--public and --auth-method exclude each other: a public client has none");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i] && !utf8_valid(str_of(texts[i])))
            return failed(ERR_INVALID_REQUEST, "--name and the other options take UTF-8");
    return OK;
}

static void client_options_put_text(struct buf *body, const char *name, const char *value)
{
    if (value)
        json_write_text(body, str_of(name), str_of(value));
}

static void client_options_put_texts(struct buf *body, const char *name, const struct option_texts *texts)
{
    if (texts->count == 0)
        return;
    json_write_name(body, str_of(name));
    buf_add_char(body, '[');
    for (size_t i = 0; i < texts->count; i++) {
        buf_add(body, i > 0 ? STR(",") : STR(""));
        json_write_str(body, str_of(texts->at[i]));
    }
    buf_add_char(body, ']');
}

static void client_options_put_seconds(struct buf *body, const char *name, int64_t seconds)
{
    if (seconds != 0)
        json_write_int(body, str_of(name), seconds);
}

/* What the flags say. */
static struct err client_options_read_flags(const struct client_options *options, struct arena *arena,
                                            const struct json **out)
{
    struct buf body;
    buf_init(&body, arena, 1024, BODY_MAX);
    buf_add_char(&body, '{');
    client_options_put_text(&body, "client_id", options->id);
    client_options_put_text(&body, "client_name", options->name && options->name[0] ? options->name : NULL);
    client_options_put_text(&body, "scope", options->scope);
    client_options_put_seconds(&body, "access_token_ttl", options->access_ttl_s);
    client_options_put_seconds(&body, "refresh_token_ttl", options->refresh_ttl_s);
    client_options_put_seconds(&body, "id_token_ttl", options->id_ttl_s);
    client_options_put_text(&body, "token_endpoint_auth_method", options->is_public ? "none" : options->auth_method);
    client_options_put_texts(&body, "grant_types", &options->grants);
    client_options_put_texts(&body, "redirect_uris", &options->redirect_uris);
    client_options_put_texts(&body, "post_logout_redirect_uris", &options->post_logout_redirect_uris);
    client_options_put_text(&body, "jwks_uri", options->jwks_uri);
    if (options->drops_old_secret)
        buf_add(&body, body.len > 1 ? STR(",\"old_secret_until\":null") : STR("\"old_secret_until\":null"));
    buf_add_char(&body, '}');
    if (body.overflowed)
        return failed(ERR_INVALID_REQUEST, "the options are too long");
    return json_parse(arena, buf_str(&body), out);
}

/* What the file says, if there is one. */
static struct err client_options_read_metadata(const char *path, struct arena *arena, const struct json **out)
{
    struct str text;
    *out = NULL;
    if (!path)
        return OK;
    if (strcmp(path, "-") == 0 ? !read_stdin(arena, &text) : !read_file(arena, path, &text))
        return failed(ERR_INVALID_REQUEST, "--metadata names no file that can be read, or one of more than 64 KB");
    if (json_parse(arena, text, out).code || (*out)->kind != JSON_OBJECT)
        return failed(ERR_INVALID_REQUEST, "--metadata takes a JSON object, such as {\"contacts\": [\"a@b.example\"]}");
    return OK;
}

/* Flags come before the file. Both may have members that are null, which a merge would drop: so members are listed. */
struct err client_options_read(const struct client_options *options, struct arena *arena, const struct json **out)
{
    const struct json *flags, *file;
    struct buf body;
    TRY(client_options_check(options));
    TRY(client_options_read_flags(options, arena, &flags));
    TRY(client_options_read_metadata(options->metadata, arena, &file));
    buf_init(&body, arena, 1024, 2 * BODY_MAX);
    json_write(&body, flags);
    body.len--; /* the brace */
    for (const struct json *member = file ? file->child : NULL; member; member = member->next) {
        if (json_member(flags, member->name))
            continue;
        buf_add(&body, body.len > 1 ? STR(",") : STR(""));
        json_write_str(&body, member->name);
        buf_add_char(&body, ':');
        json_write(&body, member);
    }
    buf_add_char(&body, '}');
    return json_parse(arena, buf_str(&body), out);
}
