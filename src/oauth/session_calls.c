/* oauth/session_calls.c: /admin/sessions: who is signed in, and ending that (session_end.h): one session, or all of a
 * user's. */
#include "base/hex.h"
#include "oauth/operations.h"
#include "oauth/session.h"
#include "oauth/session_end.h"
#include "service/call.h"
#include "service/service.h"

enum { LIMIT = 50, PAGE_BYTES = 512 * 1024, ENDED_AT_ONCE = 32, OF_ONE_SID = 4 };

static const struct err no_session = { ERR_NOT_FOUND, "there is no such session" };

/* --- asking ------------------------------------------------------------------------------------------------------- */

/* A name without a value is a script's mistake, and must not stand for all users. */
static struct err session_calls_read_subject(const struct form *parameters, struct str *out)
{
    *out = form_value(parameters, STR("subject"));
    if (!out->at && form_count(parameters, STR("subject")) > 0)
        return failed(ERR_INVALID_REQUEST, "subject has no value");
    if (out->len > ITEM_TEXT_MAX)
        return failed(ERR_INVALID_REQUEST, "subject is longer than any that there is");
    return OK;
}

/* ?subject=<sub>&after=<next of the page before>&limit=<number>, all optional. */
static struct err session_calls_read_query(const struct request *request, struct item_query *query)
{
    struct form parameters = { .count = 0 };
    int64_t limit = LIMIT;
    TRY(form_read(request->arena, request->query, &parameters));
    const struct str wanted = form_value(&parameters, STR("limit")), after = form_value(&parameters, STR("after"));
    TRY(session_calls_read_subject(&parameters, &query->subject));
    if (wanted.at && (!str_number(wanted, ITEMS_LISTED_MAX, &limit) || limit == 0))
        return failed(ERR_INVALID_REQUEST, "limit is not a whole number from 1 to 100");
    if (after.at && !hex_read(after, query->after, sizeof query->after))
        return failed(ERR_INVALID_REQUEST, "after is not the next of a page");
    query->max = (size_t)limit;
    return OK;
}

static struct err session_calls_list(const struct call *call, const struct item_query *query, struct item **items,
                                     size_t *count)
{
    struct store *store = call->service->store;
    return store->ops->list_items(store, call->request->arena, query, items, count);
}

/* --- showing ------------------------------------------------------------------------------------------------------ */

/* Not what the login has said of the user: that is for the clients that may ask for it. */
static void session_calls_write(struct buf *body, const struct session *session)
{
    const struct granted *login = &session->login;
    buf_add_char(body, '{');
    json_write_optional(body, STR("sid"), login->sid);
    json_write_optional(body, STR("sub"), login->sub);
    json_write_int(body, STR("begun_at"), session->begun_at);
    if (login->auth_time >= 0)
        json_write_int(body, STR("auth_time"), login->auth_time);
    json_write_int(body, STR("expires_at"), session->item.expires_at);
    if (session->idle_expires_at > 0 && session->idle_expires_at < session->item.expires_at)
        json_write_int(body, STR("idle_expires_at"), session->idle_expires_at);
    json_write_optional(body, STR("acr"), login->acr);
    json_write_texts(body, STR("amr"), login->amr, login->amr_count);
    json_write_texts(body, STR("clients"), session->clients, session->client_count);
    buf_add_char(body, '}');
}

/* Those of a page that have not ended, until it is long enough: *shown says how many were looked at. */
static struct err session_calls_write_page(const struct call *call, const struct item *items, size_t count,
                                           struct buf *body, size_t *shown)
{
    struct session session;
    bool is_first = true;
    buf_add(body, STR("{\"sessions\":["));
    for (*shown = 0; *shown < count && body->len < PAGE_BYTES; (*shown)++) {
        TRY(session_read(call->request->arena, &items[*shown], &session));
        if (session_is_over(call, &session))
            continue;
        buf_add(body, is_first ? STR("") : STR(","));
        session_calls_write(body, &session);
        is_first = false;
    }
    buf_add_char(body, ']');
    return OK;
}

/* `next`: there may be more. It is the hash of a secret, and says nothing. */
struct err list_sessions(struct call *call, struct response *response)
{
    struct item_query query = { .kind = ITEM_SESSION };
    struct buf *body = &response->body;
    struct item *items = NULL;
    size_t count = 0, shown;
    char digits[65];
    TRY(session_calls_read_query(call->request, &query));
    TRY(session_calls_list(call, &query, &items, &count));
    TRY(session_calls_write_page(call, items, count, body, &shown));
    if (shown > 0 && (shown < count || count == query.max))
        json_write_optional(body, STR("next"), hex_write(items[shown - 1].id, sizeof items->id, digits));
    buf_add_char(body, '}');
    return OK;
}

/* The items of the session that the path names: one, unless somebody has put others there. */
static struct err session_calls_find(const struct call *call, struct item **items, size_t *count)
{
    const struct item_query query = { .kind = ITEM_SESSION, .sid = call->path_value, .max = OF_ONE_SID };
    *count = 0;
    if (call->path_value.len == 0 || call->path_value.len > ITEM_TEXT_MAX)
        return no_session;
    TRY(session_calls_list(call, &query, items, count));
    return *count > 0 ? OK : no_session;
}

struct err show_session(struct call *call, struct response *response)
{
    struct item *items = NULL;
    struct session session;
    size_t count;
    TRY(session_calls_find(call, &items, &count));
    for (size_t i = 0; i < count; i++) {
        TRY(session_read(call->request->arena, &items[i], &session));
        if (session_is_over(call, &session))
            continue;
        session_calls_write(&response->body, &session);
        return OK;
    }
    return no_session;
}

/* --- ending ------------------------------------------------------------------------------------------------------- */

/* Other instances are told of each; what they are relied upon to know must be of one time (revocations_confirm()). */
static struct err session_calls_end_one(struct call *call, const struct session *session, struct response *response)
{
    const uint64_t before = response->announced;
    TRY(session_end(call, session, SESSION_ENDED, &response->records, &response->announced));
    return before == 0 || before == response->announced
               ? OK
               : failed(ERR_UNAVAILABLE, "Redis changed while sessions were ended; try again");
}

/* As many as one list of records can have; *ended says how many. Those that are over go as well: tokens of them may be
 * good still. */
static struct err session_calls_end(struct call *call, const struct item *items, size_t count,
                                    struct response *response, size_t *ended)
{
    struct session session;
    size_t changes = 0;
    for (*ended = 0; *ended < count && *ended < ENDED_AT_ONCE; (*ended)++) {
        TRY(session_read(call->request->arena, &items[*ended], &session));
        changes += 1 + session.client_count;
        if (changes > ITEMS_TOGETHER_MAX)
            return OK;
        TRY(session_calls_end_one(call, &session, response));
    }
    return OK;
}

struct err end_session(struct call *call, struct response *response)
{
    struct item *items = NULL;
    size_t count, ended;
    TRY(session_calls_find(call, &items, &count));
    TRY(session_calls_end(call, items, count, response, &ended));
    response_empty(response, 204);
    return OK;
}

/* `more`: there were too many for one call. */
struct err end_sessions(struct call *call, struct response *response)
{
    struct item_query query = { .kind = ITEM_SESSION, .max = ENDED_AT_ONCE + 1 };
    struct form parameters = { .count = 0 };
    struct item *items = NULL;
    size_t count = 0, ended;
    TRY(form_read(call->request->arena, call->request->query, &parameters));
    TRY(session_calls_read_subject(&parameters, &query.subject));
    if (!query.subject.at)
        return failed(ERR_INVALID_REQUEST, "say whose sessions: the parameter subject is missing");
    TRY(session_calls_list(call, &query, &items, &count));
    TRY(session_calls_end(call, items, count, response, &ended));
    buf_add(&response->body, STR("{\"ended\":"));
    buf_add_int(&response->body, (int64_t)ended);
    buf_add(&response->body, ended < count ? STR(",\"more\":true}") : STR(",\"more\":false}"));
    return OK;
}
