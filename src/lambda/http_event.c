/* lambda/http_event.c: a member after the other. Where kinds differ, it is said which one. */
#include "lambda/http_event.h"
#include "base/hex.h"
#include "jose/b64.h"
#include "wire/fields.h"
#include "wire/lines.h"
#include "wire/target.h"

enum { HEADERS_MAX = 128, QUERY_FIRST = 256 };

static const struct err malformed = { ERR_INVALID_REQUEST, "the event is not one that AWS makes of a request" };

/* Two of one of these would have two meanings. */
static const struct str once[] = { STR_INIT("Host"), STR_INIT("Content-Type"), STR_INIT("Authorization"),
                                   STR_INIT("Origin") };

static bool http_event_has_format_2(const struct event *event)
{
    return event->kind == EVENT_HTTP || event->kind == EVENT_FUNCTION_URL;
}

/* --- encoding ---------------------------------------------------------------------------------------------------- */

/* All but unreserved characters and those of `also`; a percent sign stays where it begins an encoding, if `is_raw`. */
static void http_event_encode(struct buf *out, struct str text, struct str also, bool is_raw)
{
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.at[i];
        if (hex_is_unreserved(c) || str_has(also, c) || (is_raw && hex_percent(text, i) >= 0))
            buf_add_char(out, c);
        else
            hex_add_percent(out, (unsigned char)c);
    }
}

/* --- the path ---------------------------------------------------------------------------------------------------- */

/* The template of a route ("/admin/clients/{id}", "/{proxy+}") with what its parameters matched, which is the path
 * inside the API. False: it is none. */
static bool http_event_fill_template(struct str template, const struct json *parameters, struct buf *out)
{
    struct str before, name;
    while (str_cut(&template, '{', &before)) {
        buf_add(out, before);
        if (!str_cut(&template, '}', &name))
            return false;
        if (name.len > 0 && name.at[name.len - 1] == '+')
            name.len--;
        const struct json *value = json_member(parameters, name);
        if (!value || value->kind != JSON_STRING)
            return false;
        buf_add(out, value->text);
    }
    buf_add(out, template);
    return out->len > 0 && out->at[0] == '/' && !out->overflowed;
}

/* The route's template: "resource" of REST, what stands behind the method in "routeKey". Empty: a catch-all without
 * one, "$default". */
static struct str http_event_template(const struct event *event)
{
    struct str method, key = http_event_has_format_2(event) ? event_text(event, STR("routeKey"), STR(""), STR(""))
                                                            : event_text(event, STR("resource"), STR(""), STR(""));
    if (http_event_has_format_2(event) && !str_cut(&key, ' ', &method))
        return STR("");
    return str_has_prefix(key, STR("/")) ? key : STR("");
}

static struct str http_event_behind(struct str path, size_t prefix)
{
    return path.len > prefix ? (struct str){ path.at + prefix, path.len - prefix } : STR("/");
}

/* /stage/token -> /token, where no route tells: once, and only a whole segment. */
static struct str http_event_without_stage(const struct event *event, struct str path)
{
    const struct str stage = event_text(event, STR("requestContext"), STR("stage"), STR(""));
    const struct str rest = http_event_behind(path, 1 + stage.len);
    if (stage.len == 0 || str_eq(stage, STR("$default")) || path.len < 1 + stage.len || path.at[0] != '/' ||
        memcmp(path.at + 1, stage.at, stage.len) != 0 || rest.at[0] != '/')
        return path;
    return rest;
}

static struct str http_event_inner_path(const struct event *event, struct arena *arena, struct str path)
{
    const struct str template = http_event_template(event);
    struct buf inner;
    buf_init(&inner, arena, 256, path.len + template.len + 1);
    if (event->kind == EVENT_ALB)
        return path;
    if (template.len == 0)
        return http_event_without_stage(event, path);
    if (str_eq(template, STR("/")))
        return template;
    if (!http_event_fill_template(template, event_part(event, STR("pathParameters"), STR("")), &inner) ||
        inner.len > path.len || memcmp(path.at + path.len - inner.len, inner.at, inner.len) != 0)
        return path;
    return http_event_behind(path, path.len - inner.len);
}

static struct err http_event_read_path(const struct event *event, const struct http_rules *rules, struct request *out)
{
    const struct str path = event_text(event, http_event_has_format_2(event) ? STR("rawPath") : STR("path"), STR(""),
                                       STR(""));
    struct buf encoded;
    if (!path.at)
        return malformed;
    if (path.len > rules->head_max)
        return failed(ERR_TARGET_TOO_LONG, "the request's path is too long");
    buf_init(&encoded, out->arena, path.len + 16, 3 * path.len + 1);
    http_event_encode(&encoded, http_event_inner_path(event, out->arena, path), STR("/!$&'()*+,;=:@"), true);
    out->path = buf_str(&encoded);
    return OK;
}

/* --- the query --------------------------------------------------------------------------------------------------- */

static void http_event_add_pair(struct buf *query, struct str name, struct str value, bool is_raw)
{
    /* what a load balancer gives stands as it was sent: only what would begin another pair can't have been there */
    const struct str also = is_raw ? STR("/!$'()*+,;:@?") : STR("");
    if (query->len > 0)
        buf_add_char(query, '&');
    http_event_encode(query, name, also, is_raw);
    buf_add_char(query, '=');
    http_event_encode(query, value, is_raw ? STR("/!$'()*+,;:@?=") : STR(""), is_raw);
}

static struct err http_event_add_parameter(struct buf *query, const struct json *parameter, bool is_raw)
{
    const struct json *each = parameter->kind == JSON_ARRAY ? parameter->child : parameter;
    for (; each; each = parameter->kind == JSON_ARRAY ? each->next : NULL) {
        if (each->kind != JSON_STRING)
            return malformed;
        http_event_add_pair(query, parameter->name, each->text, is_raw);
    }
    return OK;
}

/* Of lists, or of single values where there are no lists. */
static struct err http_event_read_parameters(const struct event *event, struct buf *query, bool *has_query)
{
    const struct json *parameters = event_part(event, STR("multiValueQueryStringParameters"), STR(""));
    if (!parameters)
        parameters = event_part(event, STR("queryStringParameters"), STR(""));
    *has_query = parameters && parameters->kind == JSON_OBJECT && parameters->child;
    for (const struct json *each = *has_query ? parameters->child : NULL; each; each = each->next)
        TRY(http_event_add_parameter(query, each, event->kind == EVENT_ALB));
    return OK;
}

static struct err http_event_read_query(const struct event *event, const struct http_rules *rules, struct request *out)
{
    static const struct err too_long = { ERR_TARGET_TOO_LONG, "the request's query is too long" };
    const struct str raw = event_text(event, STR("rawQueryString"), STR(""), STR(""));
    struct buf query;
    bool has_query = raw.len > 0;
    if (raw.len > rules->head_max)
        return too_long;
    buf_init(&query, out->arena, QUERY_FIRST, rules->head_max);
    if (http_event_has_format_2(event))
        http_event_encode(&query, raw, STR("/!$&'()*+,;=:@?\"<>[\\]^`{|}"), true);
    else
        TRY(http_event_read_parameters(event, &query, &has_query));
    if (query.overflowed)
        return too_long;
    if (has_query)
        out->query = query.len > 0 ? buf_str(&query) : STR("");
    return OK;
}

/* --- headers ----------------------------------------------------------------------------------------------------- */

struct head_list {
    struct header at[HEADERS_MAX];
    size_t count, bytes;
};

static struct err http_event_add_header(struct head_list *list, const struct http_rules *rules, struct str name,
                                        const struct json *value)
{
    if (value->kind != JSON_STRING)
        return malformed;
    const struct str text = str_trim(value->text);
    if (!wire_is_token(name) || !wire_is_value(text))
        return failed(ERR_INVALID_REQUEST, "a header of the request is malformed");
    list->bytes += name.len + text.len;
    if (list->count == HEADERS_MAX || list->bytes > rules->head_max)
        return failed(ERR_HEADERS_TOO_LARGE, "the request has too many headers, or too large ones");
    list->at[list->count++] = (struct header){ name, text };
    return OK;
}

/* Format 2.0 has cookies apart, one each. */
static struct err http_event_read_cookies(const struct event *event, const struct http_rules *rules,
                                          struct head_list *list)
{
    const struct json *cookies = event_part(event, STR("cookies"), STR(""));
    if (!cookies || cookies->kind != JSON_ARRAY || !http_event_has_format_2(event))
        return OK;
    size_t kept = 0; /* of the headers: what says the same again is dropped */
    for (size_t i = 0; i < list->count; i++)
        if (!str_eq_nocase(list->at[i].name, STR("Cookie")))
            list->at[kept++] = list->at[i];
    list->count = kept;
    for (const struct json *each = cookies->child; each; each = each->next)
        TRY(http_event_add_header(list, rules, STR("Cookie"), each));
    return OK;
}

static struct err http_event_read_headers(const struct event *event, const struct http_rules *rules,
                                          struct request *out)
{
    struct head_list *list = arena_alloc(out->arena, sizeof *list);
    const struct json *headers = event_part(event, event->has_lists ? STR("multiValueHeaders") : STR("headers"),
                                            STR(""));
    list->count = list->bytes = 0;
    for (const struct json *each = headers && headers->kind == JSON_OBJECT ? headers->child : NULL; each;
         each = each->next) {
        const struct json *value = each->kind == JSON_ARRAY ? each->child : each;
        for (; value; value = each->kind == JSON_ARRAY ? value->next : NULL)
            TRY(http_event_add_header(list, rules, each->name, value));
    }
    TRY(http_event_read_cookies(event, rules, list));
    out->headers = (struct headers){ list->at, list->count };
    for (size_t i = 0; i < sizeof once / sizeof *once; i++)
        if (headers_count(out->headers, once[i]) > 1)
            return failed(ERR_INVALID_REQUEST, "a header that may occur only once occurs twice");
    return OK;
}

/* --- the body ---------------------------------------------------------------------------------------------------- */

static struct err http_event_read_body(const struct event *event, const struct http_rules *rules, struct request *out)
{
    static const struct err too_large = { ERR_TOO_LARGE, "the body is too large" };
    const struct json *coded = json_member(event->json, STR("isBase64Encoded"));
    const struct str text = event_text(event, STR("body"), STR(""), STR(""));
    const bool is_coded = coded && coded->kind == JSON_TRUE;
    if (text.len > (is_coded ? (rules->body_max + 2) / 3 * 4 : rules->body_max))
        return too_large;
    out->body = text.at ? text : STR("");
    if (!is_coded || text.len == 0)
        return OK;
    char *bytes = arena_alloc(out->arena, text.len);
    size_t len = 0;
    if (!b64_decode(text, bytes, &len))
        return failed(ERR_INVALID_REQUEST, "the event's body is not base64");
    out->body = (struct str){ bytes, len };
    return len > rules->body_max ? too_large : OK;
}

/* --- the caller -------------------------------------------------------------------------------------------------- */

/* A load balancer adds at the right of X-Forwarded-For whom it was called by, and leaves what stands before that; so
 * the last one is its own word, and the rest what came with the request. */
static struct str http_event_last_hop(struct str *forwarded_for)
{
    struct str last = *forwarded_for;
    for (size_t i = last.len; i > 0; i--)
        if (last.at[i - 1] == ',') {
            *forwarded_for = (struct str){ last.at, i - 1 };
            return str_trim((struct str){ last.at + i, last.len - i });
        }
    *forwarded_for = (struct str){ 0, 0 };
    return str_trim(last);
}

/* The request's headers with another X-Forwarded-For, or none. */
static struct headers http_event_replace_forwarded_for(struct arena *arena, struct headers headers, struct str value)
{
    struct header *list = arena_alloc(arena, (headers.count + 1) * sizeof *list);
    size_t count = 0;
    for (size_t i = 0; i < headers.count; i++)
        if (!str_eq_nocase(headers.at[i].name, STR("X-Forwarded-For")))
            list[count++] = headers.at[i];
    if (value.at)
        list[count++] = (struct header){ STR("X-Forwarded-For"), value };
    return (struct headers){ list, count };
}

static void http_event_find_caller(const struct event *event, const struct http_rules *rules, struct request *out)
{
    struct headers headers = out->headers;
    struct peer peer = { .is_https = true };
    if (event->kind == EVENT_ALB) {
        struct str hops = headers_value(headers, out->arena, STR("X-Forwarded-For"));
        struct str schemes = headers_value(headers, out->arena, STR("X-Forwarded-Proto"));
        peer.address = http_event_last_hop(&hops);
        peer.is_https = str_eq_nocase(http_event_last_hop(&schemes), STR("https"));
        headers = http_event_replace_forwarded_for(out->arena, headers, hops);
    } else {
        peer.address = event_text(event, STR("requestContext"),
                                  http_event_has_format_2(event) ? STR("http") : STR("identity"), STR("sourceIp"));
    }
    struct address address;
    char text[INET6_ADDRSTRLEN];
    /* a load balancer adds the caller's port, if it is told to; of the console's tests: "test-invoke-source-ip" */
    const bool is_known = forwarded_read_node(peer.address, &address) && address_write(&address, text);
    peer.address = is_known ? arena_copy(out->arena, str_of(text)) : STR("unknown");
    peer = peer_find(&peer, headers, rules->trusted, out->arena);
    out->peer = peer.address;
    out->is_https = peer.is_https;
    out->is_on_this_machine = false;
}

struct err http_event_read(const struct event *event, const struct http_rules *rules, struct request *out)
{
    const struct str method = http_event_has_format_2(event)
                                  ? event_text(event, STR("requestContext"), STR("http"), STR("method"))
                                  : event_text(event, STR("httpMethod"), STR(""), STR(""));
    struct target target;
    out->method = method_named(method);
    out->path = STR("");
    out->peer = STR("unknown");
    TRY(http_event_read_headers(event, rules, out));
    http_event_find_caller(event, rules, out);
    if (!wire_is_token(method))
        return malformed;
    TRY(http_event_read_path(event, rules, out));
    TRY(http_event_read_query(event, rules, out));
    if (!target_read(method, out->path, &target) || !str_eq(target.path, out->path) ||
        (out->query.len > 0 && (!wire_is_visible(out->query) || str_has(out->query, '#'))))
        return failed(ERR_INVALID_REQUEST, "the request's target is not a path");
    return http_event_read_body(event, rules, out);
}
