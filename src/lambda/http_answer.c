/* lambda/http_answer.c: the fields once, in the form that the kind has. */
#include "lambda/http_answer.h"
#include "base/json.h"
#include "jose/b64.h"
#include "wire/reason.h"

enum { FIELDS_MAX = RESPONSE_HEADERS_MAX + 3 };

/* What is to be sent: the response's fields and the front's own. */
struct fields {
    struct header at[FIELDS_MAX];
    size_t count;
};

static void http_answer_add(struct fields *fields, struct str name, struct str value)
{
    if (value.len > 0)
        fields->at[fields->count++] = (struct header){ name, value };
}

static void http_answer_collect(const struct request *request, const struct response *response, struct fields *fields)
{
    fields->count = 0;
    http_answer_add(fields, STR("Content-Type"), response->content_type);
    http_answer_add(fields, STR("Cache-Control"), response->cache_control);
    http_answer_add(fields, STR("X-Request-Id"), request->id);
    for (size_t i = 0; i < response->header_count; i++)
        http_answer_add(fields, response->headers[i].name, response->headers[i].value);
}

static bool http_answer_is_cookie(const struct header *field)
{
    return str_eq_nocase(field->name, STR("Set-Cookie"));
}

/* Whether it is the first of its name. */
static bool http_answer_is_first(const struct fields *fields, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (str_eq_nocase(fields->at[i].name, fields->at[at].name))
            return false;
    return true;
}

static void http_answer_write_lists(const struct fields *fields, struct buf *out)
{
    json_write_name(out, STR("multiValueHeaders"));
    buf_add_char(out, '{');
    for (size_t i = 0; i < fields->count; i++) {
        if (!http_answer_is_first(fields, i))
            continue;
        json_write_name(out, fields->at[i].name);
        buf_add_char(out, '[');
        for (size_t j = i; j < fields->count; j++)
            if (str_eq_nocase(fields->at[i].name, fields->at[j].name)) {
                buf_add(out, j > i ? STR(",") : STR(""));
                json_write_str(out, fields->at[j].value);
            }
        buf_add_char(out, ']');
    }
    buf_add_char(out, '}');
}

/* All values of a name, from the first on, as one (RFC 9110 section 5.3). */
static void http_answer_write_joined(const struct fields *fields, size_t first, struct arena *arena, struct buf *out)
{
    struct buf all;
    buf_init(&all, arena, 256, SIZE_MAX);
    for (size_t i = first; i < fields->count; i++)
        if (str_eq_nocase(fields->at[first].name, fields->at[i].name)) {
            buf_add(&all, all.len > 0 ? STR(", ") : STR(""));
            buf_add(&all, fields->at[i].value);
        }
    json_write_text(out, fields->at[first].name, buf_str(&all));
}

/* "Set-Cookie", "set-Cookie", "SEt-Cookie", …: the same name to everybody but the load balancer's map. */
static void http_answer_write_spelling(size_t which, struct buf *out)
{
    char name[] = "Set-Cookie";
    for (size_t i = 0, bit = 0; name[i]; i++)
        if (name[i] != '-')
            name[i] = (char)(name[i] ^ (which >> bit++ & 1 ? 0x20 : 0));
    json_write_name(out, str_of(name));
}

/* Single values, without cookies; with them where there is no other place. */
static void http_answer_write_singles(const struct fields *fields, bool has_cookies, struct arena *arena,
                                      struct buf *out)
{
    size_t cookies = 0;
    json_write_name(out, STR("headers"));
    buf_add_char(out, '{');
    for (size_t i = 0; i < fields->count; i++) {
        const bool is_cookie = http_answer_is_cookie(&fields->at[i]);
        if (!is_cookie && http_answer_is_first(fields, i))
            http_answer_write_joined(fields, i, arena, out);
        if (is_cookie && has_cookies) {
            http_answer_write_spelling(cookies++, out);
            json_write_str(out, fields->at[i].value);
        }
    }
    buf_add_char(out, '}');
}

static void http_answer_write_cookies(const struct fields *fields, struct buf *out)
{
    bool has_any = false;
    for (size_t i = 0; i < fields->count; i++) {
        if (!http_answer_is_cookie(&fields->at[i]))
            continue;
        if (!has_any)
            json_write_name(out, STR("cookies"));
        buf_add(out, has_any ? STR(",") : STR("["));
        json_write_str(out, fields->at[i].value);
        has_any = true;
    }
    if (has_any)
        buf_add_char(out, ']');
}

/* --- the body ---------------------------------------------------------------------------------------------------- */

static void http_answer_write_body(struct str body, struct buf *out)
{
    const bool is_text = utf8_valid(body);
    json_write_bool(out, STR("isBase64Encoded"), !is_text);
    json_write_name(out, STR("body"));
    if (is_text) {
        json_write_str(out, body);
        return;
    }
    buf_add_char(out, '"');
    b64_add(out, body);
    buf_add_char(out, '"');
}

/* --- the answer -------------------------------------------------------------------------------------------------- */

static bool http_answer_is_json(const struct fields *fields)
{
    for (size_t i = 0; i < fields->count; i++)
        if (!utf8_valid(fields->at[i].value))
            return false;
    return true;
}

/* "404 Not Found", which a load balancer sends as it stands. */
static void http_answer_write_description(int status, struct buf *out)
{
    json_write_name(out, STR("statusDescription"));
    buf_add_char(out, '"');
    buf_add_int(out, status);
    buf_add_char(out, ' ');
    buf_add(out, wire_reason(status));
    buf_add_char(out, '"');
}

static void http_answer_write_fields(const struct event *event, const struct fields *fields, struct arena *arena,
                                     struct buf *out)
{
    const bool has_format_2 = event->kind == EVENT_HTTP || event->kind == EVENT_FUNCTION_URL;
    if (event->kind == EVENT_REST || event->has_lists) /* REST takes lists whatever it gave */
        http_answer_write_lists(fields, out);
    else
        http_answer_write_singles(fields, !has_format_2, arena, out);
    if (has_format_2)
        http_answer_write_cookies(fields, out);
}

void http_answer_write(const struct event *event, const struct request *request, const struct response *response,
                       struct buf *out)
{
    struct fields fields;
    const size_t begin = out->len;
    const bool has_body = request->method != METHOD_HEAD && response->status != 204 && response->status != 304;
    http_answer_collect(request, response, &fields);
    buf_add(out, STR("{\"statusCode\":"));
    buf_add_int(out, response->status);
    if (event->kind == EVENT_ALB)
        http_answer_write_description(response->status, out);
    http_answer_write_fields(event, &fields, request->arena, out);
    http_answer_write_body(has_body ? buf_str(&response->body) : STR(""), out);
    buf_add_char(out, '}');
    if (http_answer_is_json(&fields) && !out->overflowed)
        return;
    out->len = begin;
    out->overflowed = false;
    http_answer_write_refusal(request->arena, failed(ERR_INTERNAL, "the response can't be sent"), out);
}

void http_answer_write_refusal(struct arena *arena, struct err err, struct buf *out)
{
    struct response response;
    response_init(&response, arena);
    response_fail(&response, arena, err);
    buf_add(out, STR("{\"statusCode\":"));
    buf_add_int(out, response.status);
    buf_add(out, STR(",\"headers\":{\"Content-Type\":\"application/json\",\"Cache-Control\":\"no-store\"}"));
    http_answer_write_body(buf_str(&response.body), out);
    buf_add_char(out, '}');
}
