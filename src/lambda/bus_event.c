/* lambda/bus_event.c: the types of events, a row each. */
#include "lambda/bus_event.h"

enum { ID_MAX = 256 };

static const struct str sources[] = { STR_INIT("storytailor.idp"), STR_INIT("storytailor.auth") };

static const struct {
    struct str type, path;
    enum method method;
    bool is_once;
} types[] = {
    { STR_INIT("GENERATE_TOKEN"), STR_INIT("/token"), METHOD_POST, true },
    { STR_INIT("VERIFY_TOKEN"), STR_INIT("/token/verify"), METHOD_POST, false },
    { STR_INIT("INTROSPECT_TOKEN"), STR_INIT("/token/introspect"), METHOD_POST, false },
    { STR_INIT("REVOKE_TOKEN"), STR_INIT("/token/revoke"), METHOD_POST, true },
    { STR_INIT("ROTATE_KEYS"), STR_INIT("/admin/rotate-keys"), METHOD_POST, true },
    { STR_INIT("GET_JWKS"), STR_INIT("/.well-known/jwks.json"), METHOD_GET, false },
};

/* The detail as it stood; JSON of a request's body. */
static struct str bus_event_body(const struct event *event, struct arena *arena, size_t max)
{
    const struct json *detail = event_part(event, STR("detail"), STR(""));
    struct buf body;
    if (!detail || detail->kind != JSON_OBJECT)
        return (struct str){ 0, 0 };
    buf_init(&body, arena, 512, max);
    json_write(&body, detail);
    return body.overflowed ? (struct str){ 0, 0 } : buf_str(&body);
}

struct err bus_event_read(const struct event *event, struct bus_event *bus, struct request *out)
{
    enum { DETAIL_MAX = 256 * 1024 }; /* of an event on a bus, all in all */
    static const struct header json_type = { STR_INIT("Content-Type"), STR_INIT("application/json") };
    const struct str type = event_text(event, STR("detail-type"), STR(""), STR(""));
    const struct str source = event_text(event, STR("source"), STR(""), STR(""));
    bus->id = event_text(event, STR("id"), STR(""), STR(""));
    out->peer = STR("event");
    out->path = STR("");
    if (!STR_IS_AMONG(source, sources))
        return failed(ERR_INVALID_REQUEST, "events of this source are not taken");
    if (bus->id.len == 0 || bus->id.len > ID_MAX)
        return failed(ERR_INVALID_REQUEST, "the event has no id");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (!str_eq(type, types[i].type))
            continue;
        out->method = types[i].method;
        out->path = types[i].path;
        out->vouched_client = source;
        bus->is_once = types[i].is_once;
        if (out->method != METHOD_POST)
            return OK;
        out->headers = (struct headers){ &json_type, 1 };
        out->body = bus_event_body(event, out->arena, DETAIL_MAX);
        return out->body.at ? OK : failed(ERR_INVALID_REQUEST, "the event's detail is not an object, or too large");
    }
    return failed(ERR_INVALID_REQUEST, "events of this type are not known here");
}

bool bus_event_may_come_again(const struct response *response)
{
    return response->status == 503 || response->status == 429;
}

void bus_event_answer(const struct response *response, struct buf *out)
{
    const struct str body = buf_str(&response->body);
    buf_add(out, STR("{\"statusCode\":"));
    buf_add_int(out, response->status);
    if (response->status >= 400 && body.len > 2) { /* an error's object: its members, beside the status */
        buf_add_char(out, ',');
        buf_add(out, (struct str){ body.at + 1, body.len - 2 });
    } else if (body.len > 0) { /* always JSON */
        buf_add(out, STR(",\"body\":"));
        buf_add(out, body);
    }
    buf_add_char(out, '}');
}
