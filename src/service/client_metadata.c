/* service/client_metadata.c: what a client has registered: one table of members, by which they are read and written. */
#include "service/client_metadata.h"
#include "service/client_rules.h"
#include "service/client_uri.h"
#include "store/store.h"
#include <stddef.h>

enum { TEXT_MAX = 255, GRACE_MAX_S = 3600 };

enum form {
    FORM_URIS,    /* struct client_texts */
    FORM_TEXTS,   /* the same, for people */
    FORM_URI,     /* struct str */
    FORM_WORD,    /* an enum: one of the words, by its number */
    FORM_WORDS,   /* unsigned: some of the words, a bit each */
    FORM_ALG,     /* enum jwa: of what is signed here */
    FORM_OWN_ALG, /* the same of what the client signs, which may have another name (jwk.h) */
    FORM_FLAG,    /* bool */
    FORM_SECONDS, /* int64_t */
    FORM_KEYS,    /* struct str: an object as it stands */
};

struct row {
    const char *name;
    enum form form;
    size_t offset;
    bool is_always_written; /* also as a default: those that the RFCs give one */
    enum client_uri uri;    /* FORM_URIS, FORM_URI */
    int64_t least, most;    /* FORM_SECONDS; FORM_WORD: the first word that may be asked for */
    const char *const *words;
    const char *why; /* of FORM_WORD and FORM_WORDS, what may stand there */
};

static const char *const applications[] = { "web", "native", NULL };
static const char *const subjects[] = { "unsupported", "public", "pairwise", NULL }; /* nobody can ask for the first */
static const char *const audiences[] = { "issuer", "token_endpoint", NULL };
static const char *const responses[] = { "code", NULL };
static const char *const grants[] = { "authorization_code", "refresh_token", "client_credentials", NULL };
static const char *const auths[] = { "unsupported", /* no way to come in, and nobody can ask for it */
                                     "client_secret_basic", "client_secret_post", "private_key_jwt", "none", NULL };

#define AT(member) offsetof(struct client_metadata, member)
#define URI(name, member, kind)                                                                                        \
    {                                                                                                                  \
        name, FORM_URI, AT(member), false, kind, 0, 0, NULL, NULL                                                      \
    }
#define URIS(name, member, is_always, kind)                                                                            \
    {                                                                                                                  \
        name, FORM_URIS, AT(member), is_always, kind, 0, 0, NULL, NULL                                                 \
    }
#define PLAIN(name, form, member, is_always)                                                                           \
    {                                                                                                                  \
        name, form, AT(member), is_always, CLIENT_URI_PAGE, 0, 0, NULL, NULL                                           \
    }
#define WORD(name, member, is_always, words, first, why)                                                               \
    {                                                                                                                  \
        name, FORM_WORD, AT(member), is_always, CLIENT_URI_PAGE, first, 0, words, why                                  \
    }
#define WORDS(name, member, words, why)                                                                                \
    {                                                                                                                  \
        name, FORM_WORDS, AT(member), true, CLIENT_URI_PAGE, 0, 0, words, why                                          \
    }
#define SECONDS(name, member, least, most)                                                                             \
    {                                                                                                                  \
        name, FORM_SECONDS, AT(member), false, CLIENT_URI_PAGE, least, most, NULL, NULL                                \
    }

/* application_type stands before the redirect URIs that it allows. */
static const struct row rows[] = {
    WORD("application_type", application, true, applications, 0, "it is web or native"),
    URIS("redirect_uris", redirect_uris, true, CLIENT_URI_REDIRECT),
    URIS("post_logout_redirect_uris", post_logout_redirect_uris, false, CLIENT_URI_REDIRECT),
    WORDS("grant_types", grants, grants, "it is a list of authorization_code, refresh_token and client_credentials"),
    WORDS("response_types", responses, responses, "it is a list of code, which is all that is offered"),
    WORD("token_endpoint_auth_method", auth, true, auths, 1,
         "it is client_secret_basic, client_secret_post, private_key_jwt or none"),
    PLAIN("token_endpoint_auth_signing_alg", FORM_OWN_ALG, auth_alg, false),
    PLAIN("jwks", FORM_KEYS, jwks, false),
    URI("jwks_uri", jwks_uri, CLIENT_URI_FETCHED),
    WORD("subject_type", subject, true, subjects, 1, "it is public or pairwise"),
    URI("sector_identifier_uri", sector_identifier_uri, CLIENT_URI_FETCHED),
    PLAIN("id_token_signed_response_alg", FORM_ALG, id_token_alg, true),
    PLAIN("userinfo_signed_response_alg", FORM_ALG, userinfo_alg, false),
    PLAIN("request_object_signing_alg", FORM_OWN_ALG, request_object_alg, false),
    PLAIN("require_pkce", FORM_FLAG, require_pkce, true),
    PLAIN("require_auth_time", FORM_FLAG, require_auth_time, false),
    SECONDS("default_max_age", default_max_age_s, 0, INT32_MAX),
    URI("backchannel_logout_uri", backchannel_logout_uri, CLIENT_URI_FETCHED),
    PLAIN("backchannel_logout_session_required", FORM_FLAG, backchannel_logout_session_required, false),
    URI("initiate_login_uri", initiate_login_uri, CLIENT_URI_PAGE),
    URI("client_uri", client_uri, CLIENT_URI_PAGE),
    URI("logo_uri", logo_uri, CLIENT_URI_PAGE),
    URI("policy_uri", policy_uri, CLIENT_URI_PAGE),
    URI("tos_uri", tos_uri, CLIENT_URI_PAGE),
    PLAIN("contacts", FORM_TEXTS, contacts, false),
    URIS("resources", resources, false, CLIENT_URI_RESOURCE),
    PLAIN("refresh_token_rotation", FORM_FLAG, refresh_token_rotation, false),
    SECONDS("refresh_token_grace", refresh_token_grace_s, 0, GRACE_MAX_S),
    SECONDS("refresh_token_idle", refresh_token_idle_s, 1, INT32_MAX),
    PLAIN("skip_consent", FORM_FLAG, skip_consent, false),
    WORD("assertion_audience", assertion_audience, false, audiences, 0, "it is issuer or token_endpoint"),
};
enum { ROWS = sizeof rows / sizeof *rows };
/* Words are read and written by their numbers. */
_Static_assert(sizeof(enum client_auth) == sizeof(unsigned) && sizeof(enum client_application) == sizeof(unsigned),
               "an enum is an unsigned here");

static const struct client_metadata defaults = { .auth = CLIENT_AUTH_BASIC,
                                                 .subject = SUBJECT_PUBLIC,
                                                 .id_token_alg = JWA_RS256,
                                                 .require_pkce = true,
                                                 .default_max_age_s = -1,
                                                 .refresh_token_rotation = true,
                                                 .refresh_token_grace_s = -1,
                                                 .refresh_token_idle_s = -1 };

bool client_metadata_knows(struct str name)
{
    for (size_t i = 0; i < ROWS; i++)
        if (str_eq(name, str_of(rows[i].name)))
            return true;
    return false;
}

/* --- reading: each returns NULL, or what is wrong ---------------------------------------------------------------- */

struct reading {
    struct arena *arena;
    struct client_metadata *to;
    bool is_strict; /* what is to be registered, and not what a store has */
};

static const char *client_metadata_read_text(const struct reading *reading, const struct row *row,
                                             const struct json *value, struct str *out)
{
    if (value->kind != JSON_STRING)
        return "it is not a string";
    const enum client_uri kind = row->uri == CLIENT_URI_REDIRECT && reading->to->application == APPLICATION_NATIVE
                                     ? CLIENT_URI_NATIVE
                                     : row->uri;
    const char *fault = NULL;
    if (row->form != FORM_TEXTS)
        fault = client_uri_fault(value->text, kind);
    else if (value->text.len == 0 || value->text.len > TEXT_MAX)
        fault = "it is empty, or longer than 255 bytes";
    if (!fault)
        *out = value->text;
    return fault;
}

static bool client_metadata_has(const struct client_texts *texts, struct str text)
{
    for (size_t i = 0; i < texts->count; i++)
        if (str_eq(texts->at[i], text))
            return true;
    return false;
}

static const char *client_metadata_read_texts(const struct reading *reading, const struct row *row,
                                              const struct json *value, struct client_texts *out)
{
    struct str *items = arena_alloc(reading->arena, CLIENT_LIST_MAX * sizeof *items);
    if (value->kind != JSON_ARRAY)
        return "it is not a list of strings";
    *out = (struct client_texts){ items, 0 };
    for (const struct json *each = value->child; each; each = each->next) {
        struct str text = { 0, 0 };
        const char *fault = client_metadata_read_text(reading, row, each, &text);
        if (!fault && client_metadata_has(out, text))
            fault = "the same stands in it twice";
        else if (!fault && out->count == CLIENT_LIST_MAX)
            fault = "it has more than 32 entries";
        if (fault && reading->is_strict)
            return fault;
        if (!fault)
            items[out->count++] = text;
    }
    return NULL;
}

/* What a store has may be a way to authenticate, or a type of subject, that is not known here. Then it is the first
 * word: "unsupported", and not the default. */
static const char *client_metadata_read_word(const struct row *row, const struct json *value, unsigned *out)
{
    *out = 0;
    for (unsigned i = (unsigned)row->least; row->words[i]; i++)
        if (value->kind == JSON_STRING && str_eq(value->text, str_of(row->words[i]))) {
            *out = i;
            return NULL;
        }
    return row->why;
}

static const char *client_metadata_read_words(const struct reading *reading, const struct row *row,
                                              const struct json *value, unsigned *out)
{
    if (value->kind != JSON_ARRAY)
        return row->why;
    for (const struct json *each = value->child; each; each = each->next) {
        unsigned i = 0;
        while (row->words[i] && !(each->kind == JSON_STRING && str_eq(each->text, str_of(row->words[i]))))
            i++;
        if (!row->words[i] && reading->is_strict)
            return row->why;
        *out |= row->words[i] ? 1u << i : 0;
    }
    return NULL;
}

static const char *client_metadata_read_value(const struct reading *reading, const struct row *row,
                                              const struct json *value)
{
    void *at = (char *)reading->to + row->offset;
    switch (row->form) {
    case FORM_URIS:
    case FORM_TEXTS:
        return client_metadata_read_texts(reading, row, value, at);
    case FORM_URI:
        return client_metadata_read_text(reading, row, value, at);
    case FORM_WORD:
        return client_metadata_read_word(row, value, at);
    case FORM_WORDS:
        return client_metadata_read_words(reading, row, value, at);
    case FORM_ALG:
        return value->kind == JSON_STRING && jwa_find(value->text, at) ? NULL : "it is RS256, PS256, ES256 or EdDSA";
    case FORM_OWN_ALG:
        return value->kind == JSON_STRING && jwa_find(jwa_usual_name(value->text), at)
                   ? NULL
                   : "it is RS256, PS256, ES256, EdDSA or Ed25519";
    case FORM_FLAG:
        if (value->kind != JSON_TRUE && value->kind != JSON_FALSE)
            return "it is neither true nor false";
        *(bool *)at = value->kind == JSON_TRUE;
        return NULL;
    case FORM_SECONDS:
        return json_int(value, row->least, row->most, at) ? NULL : "it is no number of seconds, or out of range";
    case FORM_KEYS:
        if (value->kind != JSON_OBJECT || value->text.len > CLIENT_JWKS_MAX)
            return "it is not an object of at most 8 KB";
        *(struct str *)at = value->text;
        return NULL;
    }
    return "it has no form";
}

void client_metadata_read(struct arena *arena, struct str text, bool is_public, struct client_metadata *out)
{
    const struct json *object = NULL, *value;
    *out = defaults;
    const struct reading reading = { arena, out, false };
    if (text.len > 0 && json_parse(arena, text, &object).code)
        object = NULL;
    for (size_t i = 0; i < ROWS; i++)
        if ((value = json_member(object, str_of(rows[i].name))))
            (void)client_metadata_read_value(&reading, &rows[i], value);
    if (is_public)
        out->auth = CLIENT_AUTH_NONE;
    else if (out->auth == CLIENT_AUTH_NONE)
        out->auth = CLIENT_AUTH_UNSUPPORTED;
    if (is_public)
        out->require_pkce = true;
    if (out->jwks.len > 0)
        out->jwks_uri = STR("");
}

const struct client_metadata *client_metadata_of(struct arena *arena, const struct client *client)
{
    if (client->registered)
        return client->registered;
    struct client_metadata *read = arena_alloc(arena, sizeof *read);
    client_metadata_read(arena, client->metadata, client->is_public, read);
    return read;
}

static struct client_texts client_metadata_copy_texts(struct arena *arena, const struct client_texts *from)
{
    struct str *items = arena_alloc(arena, from->count * sizeof *items);
    for (size_t i = 0; i < from->count; i++)
        items[i] = arena_copy(arena, from->at[i]);
    return (struct client_texts){ items, from->count };
}

void client_metadata_copy(struct arena *arena, const struct client_metadata *from, struct client_metadata *out)
{
    *out = *from;
    for (size_t i = 0; i < ROWS; i++) {
        void *at = (char *)out + rows[i].offset;
        switch (rows[i].form) {
        case FORM_URIS:
        case FORM_TEXTS:
            *(struct client_texts *)at = client_metadata_copy_texts(arena, at);
            break;
        case FORM_URI:
        case FORM_KEYS:
            *(struct str *)at = arena_copy(arena, *(struct str *)at);
            break;
        case FORM_WORD:
        case FORM_WORDS:
        case FORM_ALG:
        case FORM_OWN_ALG:
        case FORM_FLAG:
        case FORM_SECONDS:
            break;
        }
    }
}

/* --- what is to be registered ------------------------------------------------------------------------------------ */

static struct err client_metadata_refuse(struct arena *arena, const char *member, const char *why)
{
    return failed(strcmp(member, "redirect_uris") == 0 ? ERR_REDIRECT_URI : ERR_CLIENT_METADATA,
                  arena_printf(arena, "the member \"%s\" is refused: %s", member, why).at);
}

/* RFC 7591 section 2; but where nothing is redirected to, there is nothing to grant by it either. What the grants say
 * of responses is what is registered (section 2.1 has the table). */
static void client_metadata_give_defaults(const struct json *object, struct client_metadata *metadata)
{
    const struct json *given = json_member(object, STR("grant_types"));
    if ((!given || given->kind == JSON_NULL) && metadata->redirect_uris.count > 0)
        metadata->grants = GRANT_AUTHORIZATION_CODE;
    metadata->responses = metadata->grants & GRANT_AUTHORIZATION_CODE ? RESPONSE_CODE : 0;
}

static struct err client_metadata_check_size(struct arena *arena, const struct client_metadata *metadata)
{
    struct buf text;
    buf_init(&text, arena, 1024, CLIENT_METADATA_MAX);
    client_metadata_write(metadata, &text);
    return text.overflowed ? failed(ERR_CLIENT_METADATA, "all of it together is longer than 32 KB") : OK;
}

struct err client_metadata_take(struct arena *arena, const struct json *object, struct client_metadata *out)
{
    *out = defaults;
    const struct reading reading = { arena, out, true };
    if (object->kind != JSON_OBJECT)
        return failed(ERR_CLIENT_METADATA, "the metadata is not a JSON object");
    for (const struct json *member = object->child; member; member = member->next)
        if (!client_metadata_knows(member->name))
            return failed(ERR_CLIENT_METADATA, "the metadata has a member that is not known here");
    for (size_t i = 0; i < ROWS; i++) {
        const struct json *value = json_member(object, str_of(rows[i].name));
        const char *fault = value && value->kind != JSON_NULL ? client_metadata_read_value(&reading, &rows[i], value)
                                                              : NULL;
        if (fault)
            return client_metadata_refuse(arena, rows[i].name, fault);
    }
    client_metadata_give_defaults(object, out);
    const struct client_fault fault = client_rules_fault(arena, out);
    return fault.why ? client_metadata_refuse(arena, fault.member, fault.why) : client_metadata_check_size(arena, out);
}

/* --- writing ----------------------------------------------------------------------------------------------------- */

static void client_metadata_write_texts(struct buf *out, const struct client_texts *texts)
{
    buf_add_char(out, '[');
    for (size_t i = 0; i < texts->count; i++) {
        buf_add(out, i > 0 ? STR(",") : STR(""));
        json_write_str(out, texts->at[i]);
    }
    buf_add_char(out, ']');
}

static void client_metadata_write_words(const struct row *row, unsigned bits, struct buf *out)
{
    size_t written = 0;
    buf_add_char(out, '[');
    for (unsigned i = 0; row->words[i]; i++)
        if (bits & 1u << i) {
            buf_add(out, written++ > 0 ? STR(",") : STR(""));
            json_write_str(out, str_of(row->words[i]));
        }
    buf_add_char(out, ']');
}

/* Whether it says anything: a default of ours is left out. */
static bool client_metadata_is_written(const struct row *row, const void *at)
{
    const void *preset = (const char *)&defaults + row->offset;
    switch (row->form) {
    case FORM_URIS:
    case FORM_TEXTS:
        return row->is_always_written || ((const struct client_texts *)at)->count > 0;
    case FORM_URI:
    case FORM_KEYS:
        return ((const struct str *)at)->len > 0;
    case FORM_ALG:
    case FORM_OWN_ALG:
        return *(const enum jwa *)at != 0;
    case FORM_WORD:
        return row->is_always_written || *(const unsigned *)at != 0;
    case FORM_FLAG:
        return row->is_always_written || *(const bool *)at != *(const bool *)preset;
    case FORM_SECONDS:
        return *(const int64_t *)at != *(const int64_t *)preset;
    case FORM_WORDS:
        break;
    }
    return true;
}

static void client_metadata_write_value(const struct row *row, const void *at, struct buf *out)
{
    switch (row->form) {
    case FORM_URIS:
    case FORM_TEXTS:
        client_metadata_write_texts(out, at);
        break;
    case FORM_URI:
        json_write_str(out, *(const struct str *)at);
        break;
    case FORM_WORD:
        json_write_str(out, str_of(row->words[*(const unsigned *)at]));
        break;
    case FORM_WORDS:
        client_metadata_write_words(row, *(const unsigned *)at, out);
        break;
    case FORM_ALG:
    case FORM_OWN_ALG:
        json_write_str(out, str_of(jwa_name(*(const enum jwa *)at)));
        break;
    case FORM_FLAG:
        buf_add(out, *(const bool *)at ? STR("true") : STR("false"));
        break;
    case FORM_SECONDS:
        buf_add_int(out, *(const int64_t *)at);
        break;
    case FORM_KEYS:
        buf_add(out, *(const struct str *)at);
        break;
    }
}

void client_metadata_write(const struct client_metadata *metadata, struct buf *out)
{
    for (size_t i = 0; i < ROWS; i++) {
        const void *at = (const char *)metadata + rows[i].offset;
        if (!client_metadata_is_written(&rows[i], at))
            continue;
        json_write_name(out, str_of(rows[i].name));
        client_metadata_write_value(&rows[i], at, out);
    }
}
