/* service/message.c: request bodies in (JSON members by a table, forms), responses out. */
#include "service/message.h"
#include "base/hex.h"
#include "base/sentence.h"
#include "jose/claims.h"
#include "wire/fields.h"
#include "wire/lines.h"
#include <time.h>

struct str request_header(const struct request *request, struct str name)
{
    return headers_value(request->headers, request->arena, name);
}

bool request_id_is_harmless(struct str id)
{
    enum { REQUEST_ID_MAX = 64 };
    return id.len > 0 && id.len <= REQUEST_ID_MAX && str_has_only(id, STR("-_."));
}

static const struct {
    struct str name;
    enum method method;
} methods[] = { { STR_INIT("GET"), METHOD_GET },        { STR_INIT("HEAD"), METHOD_HEAD },
                { STR_INIT("POST"), METHOD_POST },      { STR_INIT("PUT"), METHOD_PUT },
                { STR_INIT("PATCH"), METHOD_PATCH },    { STR_INIT("DELETE"), METHOD_DELETE },
                { STR_INIT("OPTIONS"), METHOD_OPTIONS } };

enum method method_named(struct str name)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (str_eq(name, methods[i].name))
            return methods[i].method;
    return METHOD_OTHER;
}

struct str methods_list(struct arena *arena, unsigned wanted)
{
    struct buf list;
    buf_init(&list, arena, 64, 64);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (wanted & methods[i].method) {
            buf_add(&list, list.len > 0 ? STR(", ") : STR(""));
            buf_add(&list, methods[i].name);
        }
    return buf_str(&list);
}

/* --- JSON bodies ------------------------------------------------------------------------------------------------- */

static struct err message_field_wrong(struct arena *arena, const char *name, const char *what)
{
    return failed(ERR_INVALID_REQUEST, arena_printf(arena, "the member \"%s\" %s", name, what).at);
}

static struct err message_read_text(struct arena *arena, const struct field *field, const struct json *value, void *at)
{
    if (value->kind != JSON_STRING)
        return message_field_wrong(arena, field->name, "is not a string");
    if (field->kind == FIELD_STR && value->text.len == 0)
        return message_field_wrong(arena, field->name, "is empty");
    if (field->max && value->text.len > (size_t)field->max)
        return message_field_wrong(arena, field->name, "is too long");
    *(struct str *)at = value->text;
    return OK;
}

static struct err message_read_strings(struct arena *arena, const struct field *field, const struct json *value,
                                       void *at)
{
    const struct json *each = value->kind == JSON_ARRAY ? value->child : value;
    const int64_t most = field->min ? field->min : CLAIMS_AUD_MAX;
    if (value->kind == JSON_ARRAY && value->count == 0)
        return message_field_wrong(arena, field->name, "is an empty list");
    if (value->kind == JSON_ARRAY && value->count > most)
        return message_field_wrong(arena, field->name, "has too many entries");
    for (; each; each = value->kind == JSON_ARRAY ? each->next : NULL) {
        if (each->kind != JSON_STRING || each->text.len == 0)
            return message_field_wrong(arena, field->name, "must be a string, or a list of strings that are not empty");
        if (field->max && each->text.len > (size_t)field->max)
            return message_field_wrong(arena, field->name, "is too long");
    }
    *(const struct json **)at = value;
    return OK;
}

static struct err message_field_read(struct arena *arena, const struct field *field, const struct json *value, void *at)
{
    switch (field->kind) {
    case FIELD_STR:
    case FIELD_TEXT:
        return message_read_text(arena, field, value, at);
    case FIELD_STRINGS:
        return message_read_strings(arena, field, value, at);
    case FIELD_INT:
        if (!json_int(value, field->min, field->max, at))
            return message_field_wrong(arena, field->name,
                                       arena_printf(arena, "is not a whole number from %lld to %lld",
                                                    (long long)field->min, (long long)field->max)
                                           .at);
        return OK;
    case FIELD_BOOL:
        if (value->kind != JSON_TRUE && value->kind != JSON_FALSE)
            return message_field_wrong(arena, field->name, "is neither true nor false");
        *(bool *)at = value->kind == JSON_TRUE;
        return OK;
    case FIELD_OBJECT:
        if (value->kind != JSON_OBJECT)
            return message_field_wrong(arena, field->name, "is not an object");
        *(const struct json **)at = value;
        return OK;
    }
    return failed(ERR_INTERNAL, "a row of a body's table is wrong");
}

static const struct field *message_field_named(const struct field *fields, size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(str_of(fields[i].name), name))
            return &fields[i];
    return NULL;
}

struct err fields_read(struct arena *arena, const struct json *object, const struct field *fields, size_t count,
                       void *target)
{
    if (object->kind != JSON_OBJECT)
        return failed(ERR_INVALID_REQUEST, "the body is not a JSON object");
    for (const struct json *member = object->child; member; member = member->next) {
        const struct field *field = message_field_named(fields, count, member->name);
        if (!field)
            return failed(ERR_INVALID_REQUEST, "the body has a member that is not known here");
        if (member->kind == JSON_NULL && !field->required)
            continue; /* as if it were not there */
        TRY(message_field_read(arena, field, member, (char *)target + field->offset));
    }
    for (size_t i = 0; i < count; i++)
        if (fields[i].required && !json_member(object, str_of(fields[i].name)))
            return message_field_wrong(arena, fields[i].name, "is missing");
    return OK;
}

bool request_is_json(const struct request *request)
{
    return field_is_type(request_header(request, STR("Content-Type")), STR("application/json"));
}

bool request_is_form(const struct request *request)
{
    return field_is_type(request_header(request, STR("Content-Type")), STR("application/x-www-form-urlencoded"));
}

struct err request_json(const struct request *request, const struct json **out)
{
    if (!request_is_json(request))
        return failed(ERR_MEDIA_TYPE, "the Content-Type must be application/json");
    if (request->body.len == 0)
        return failed(ERR_INVALID_REQUEST, "the body is empty");
    return json_parse(request->arena, request->body, out);
}

struct err request_fields(const struct request *request, const struct field *fields, size_t count, void *target)
{
    const struct json *json;
    TRY(request_json(request, &json));
    return fields_read(request->arena, json, fields, count, target);
}

/* --- forms ------------------------------------------------------------------------------------------------------- */

/* Whether there is nothing to decode, as in most values, and tokens above all. Looks at every byte without leaving
 * early, so that the compiler can take many at once. */
static bool message_is_plain(struct str in)
{
    unsigned char found = 0;
    for (size_t i = 0; i < in.len; i++) {
        unsigned char c = (unsigned char)in.at[i];
        found |= c == '%' || c == '+' || c == '\0' || c >= 0x80; /* as gcc likes it best */
    }
    return found == 0;
}

/* RFC 3986 section 2.1; in a form a plus is a space as well. */
static struct err message_decode(struct arena *arena, struct str in, bool is_form, struct str *out)
{
    if (message_is_plain(in)) {
        *out = in;
        return OK;
    }
    char *to = arena_alloc(arena, in.len);
    size_t len = 0;
    for (size_t i = 0; i < in.len; i++) {
        char c = in.at[i];
        if (c == '%') {
            const int code = hex_percent(in, i);
            if (code < 0)
                return failed(ERR_INVALID_REQUEST, "the request has a percent sign without two hexadecimal digits");
            c = (char)code;
            i += 2;
        } else if (c == '+' && is_form) {
            c = ' ';
        }
        if (c == '\0')
            return failed(ERR_INVALID_REQUEST, "the request has a NUL character");
        to[len++] = c;
    }
    if (!utf8_valid((struct str){ to, len }))
        return failed(ERR_INVALID_REQUEST, "the request is not valid UTF-8");
    *out = (struct str){ to, len };
    return OK;
}

struct err form_decode(struct arena *arena, struct str in, struct str *out)
{
    return message_decode(arena, in, true, out);
}

struct err path_decode(struct arena *arena, struct str in, struct str *out)
{
    return message_decode(arena, in, false, out);
}

struct err form_read_all(struct arena *arena, struct str body, struct form *out)
{
    out->count = 0;
    struct str pair, name;
    while (str_next_item(&body, '&', &pair)) {
        if (pair.len == 0)
            continue;
        struct str value = pair;
        if (!str_cut(&value, '=', &name)) {
            name = pair;
            value = (struct str){ 0, 0 };
        }
        TRY(form_decode(arena, name, &name));
        TRY(form_decode(arena, value, &value));
        if (out->count == FORM_PAIRS_MAX)
            return failed(ERR_INVALID_REQUEST, "the form has too many parameters");
        out->name[out->count] = name;
        out->value[out->count++] = value;
    }
    return OK;
}

size_t form_count(const struct form *form, struct str name)
{
    size_t count = 0;
    for (size_t i = 0; i < form->count; i++)
        count += str_eq(form->name[i], name);
    return count;
}

struct err form_read(struct arena *arena, struct str body, struct form *out)
{
    TRY(form_read_all(arena, body, out));
    for (size_t i = 0; i < out->count; i++)
        if (form_count(out, out->name[i]) > 1)
            return failed(ERR_INVALID_REQUEST, "the form has the same parameter more than once");
    return OK;
}

struct str form_value(const struct form *form, struct str name)
{
    for (size_t i = 0; i < form->count; i++)
        if (str_eq(form->name[i], name) && form->value[i].len > 0)
            return form->value[i];
    return (struct str){ 0, 0 };
}

/* --- answers ----------------------------------------------------------------------------------------------------- */

enum { BODY_FIRST = 1024, BODY_MAX = 1024 * 1024 };

void response_init(struct response *response, struct arena *arena)
{
    *response = (struct response){
        .status = 200, .operation = OP_OTHER, .content_type = STR("application/json"), .cache_control = STR("no-store")
    };
    buf_init(&response->body, arena, BODY_FIRST, BODY_MAX);
}

void response_add_header(struct response *response, struct str name, struct str value)
{
    if (response->header_count == RESPONSE_HEADERS_MAX || value.len == 0 || !wire_is_value(value))
        response->is_unfit = true;
    else
        response->headers[response->header_count++] = (struct header){ name, value };
}

void response_empty(struct response *response, int status)
{
    response->status = status;
    response->content_type = (struct str){ 0, 0 };
    response->body.len = 0;
}

/* RFC 6750 section 3, RFC 6749 section 5.2. Who sent no token has made no error yet (RFC 6750 section 3.1). */
static struct str message_challenge_of(struct arena *arena, enum err_code code)
{
    if (code == ERR_INVALID_CLIENT)
        return STR("Basic realm=\"token-service\", charset=\"UTF-8\"");
    if (code == ERR_TOKEN_MISSING)
        return STR("Bearer realm=\"token-service\"");
    return arena_printf(arena, "Bearer realm=\"token-service\", error=\"%s\"", err_name(code));
}

void response_fail(struct response *response, struct arena *arena, struct err err)
{
    response->status = err_status(err.code);
    response->outcome = err.code;
    response->content_type = STR("application/json");
    response->cache_control = STR("no-store");
    response->header_count = response->lasting_count;
    response->records = NULL;
    response->body.len = 0;
    struct buf *body = &response->body;
    buf_add(body, STR("{"));
    json_write_text(body, STR("error"), str_of(err_name(err.code)));
    json_write_text(body, STR("error_description"), str_of(sentence_for_callers(err.why)));
    buf_add(body, STR("}"));
    if (response->status == 401 || response->status == 403 || (response->status == 400 && response->wants_bearer))
        response_add_header(response, STR("WWW-Authenticate"), message_challenge_of(arena, err.code));
    if (response->status == 503 || response->status == 429) {
        const int64_t wait_s = response->retry_after_s > 0 ? response->retry_after_s : 1;
        response_add_header(response, STR("Retry-After"), arena_printf(arena, "%lld", (long long)wait_s));
    }
}

static void message_add_directive(struct buf *out, struct str name, int64_t seconds)
{
    if (seconds <= 0)
        return;
    buf_add(out, name);
    buf_add_int(out, seconds);
}

void response_may_be_kept(struct response *response, struct arena *arena, int64_t max_age_s,
                          int64_t stale_while_revalidate_s, int64_t stale_if_error_s)
{
    struct buf out;
    buf_init(&out, arena, 128, 128);
    buf_add(&out, STR("public, max-age="));
    buf_add_int(&out, max_age_s);
    message_add_directive(&out, STR(", stale-while-revalidate="), stale_while_revalidate_s);
    message_add_directive(&out, STR(", stale-if-error="), stale_if_error_s);
    response->cache_control = buf_str(&out);
}

bool response_unchanged(struct response *response, const struct request *request, struct str etag)
{
    response_add_header(response, STR("ETag"), arena_copy(request->arena, etag));
    if (!field_has_etag(request_header(request, STR("If-None-Match")), etag))
        return false;
    response_empty(response, 304);
    return true;
}

void write_time_ms(struct buf *body, int64_t at_ms)
{
    struct tm tm;
    time_t at_s = (time_t)(at_ms / 1000);
    char text[40];
    gmtime_r(&at_s, &tm);
    size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    buf_add_char(body, '"');
    buf_add(body, (struct str){ text, len });
    int ms = (int)(at_ms % 1000);
    const char tail[] = { '.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10), 'Z', '"' };
    buf_add(body, (struct str){ tail, sizeof tail });
}
