/* service/client_calls.c: /admin/clients: clients listed, added, shown, changed and deleted, and their secrets renewed
 * (client_admin.h). A secret is in the one response that makes it, and nowhere else. */
#include "observe/log.h"
#include "service/call.h"
#include "service/client_admin.h"
#include "service/operations.h"
#include "service/service.h"
#include "wire/fields.h"
#include <stddef.h>

enum { LIMIT = 100, LIMIT_MAX = 200, PAGE_BYTES = 512 * 1024 };

static void client_calls_tell(const struct call *call, const char *event, struct str client_id)
{
    LOG(LOG_INFO, event, LOG_STR("request_id", call->request->id), LOG_STR("caller", call->caller.client_id),
        LOG_STR("client", client_id));
}

/* --- all of them ------------------------------------------------------------------------------------------------- */

/* ?after=<client_id>&limit=<number>, either or none. */
static struct err client_calls_read_query(const struct request *request, struct str *after, int64_t *limit)
{
    struct form query = { .count = 0 };
    TRY(form_read(request->arena, request->query, &query));
    const struct str wanted = form_value(&query, STR("limit"));
    *after = form_value(&query, STR("after"));
    *limit = LIMIT;
    if (wanted.at && (!str_number(wanted, LIMIT_MAX, limit) || *limit == 0))
        return failed(ERR_INVALID_REQUEST, "limit is not a whole number from 1 to 200");
    return OK;
}

struct page {
    struct buf *body;
    int64_t count, limit;
    struct str last; /* of those that are on it */
    bool has_more;
};

static bool client_calls_put(void *context, struct str id, struct str object)
{
    struct page *page = context;
    page->has_more = page->count == page->limit || page->body->len >= PAGE_BYTES;
    if (page->has_more)
        return false;
    buf_add(page->body, page->count++ > 0 ? STR(",") : STR(""));
    buf_add(page->body, object);
    page->last = id;
    return true;
}

/* `next` is the last one's id, when there are more. */
struct err list_clients(struct call *call, struct response *response)
{
    struct page page = { .body = &response->body };
    struct str after;
    TRY(client_calls_read_query(call->request, &after, &page.limit));
    buf_add(page.body, STR("{\"clients\":["));
    TRY(client_admin_list(call->service, call->request->arena, after, (size_t)page.limit + 1, client_calls_put, &page));
    buf_add_char(page.body, ']');
    if (page.has_more)
        json_write_text(page.body, STR("next"), page.last);
    buf_add_char(page.body, '}');
    return OK;
}

struct err add_client(struct call *call, struct response *response)
{
    const struct request *request = call->request;
    const struct json *wanted;
    struct str id;
    TRY(request_json(request, &wanted));
    TRY(client_admin_add(call->service, request->arena, &call->caller, wanted, request->now_s, &id, &response->body));
    client_calls_tell(call, "client_added", id);
    response->status = 201;
    return OK;
}

/* --- one of them ------------------------------------------------------------------------------------------------- */

struct err show_client(struct call *call, struct response *response)
{
    return client_admin_show(call->service, call->request->arena, call->path_value, &response->body);
}

/* RFC 7396 section 4 has a media type of its own. */
static struct err client_calls_read_patch(const struct request *request, const struct json **out)
{
    const struct str type = request_header(request, STR("Content-Type"));
    if (request->body.len > 0 && field_is_type(type, STR("application/merge-patch+json")))
        return json_parse(request->arena, request->body, out);
    return request_json(request, out);
}

struct err change_client(struct call *call, struct response *response)
{
    const struct json *patch;
    TRY(client_calls_read_patch(call->request, &patch));
    TRY(client_admin_change(call->service, call->request->arena, &call->caller, call->path_value, patch,
                            &response->body));
    client_calls_tell(call, "client_changed", call->path_value);
    return OK;
}

struct err delete_client(struct call *call, struct response *response)
{
    TRY(client_admin_delete(call->service, call->request->arena, &call->caller, call->path_value));
    client_calls_tell(call, "client_deleted", call->path_value);
    response_empty(response, 204);
    return OK;
}

struct secret_body {
    int64_t overlap_s;
};

static const struct field secret_fields[] = {
    { "overlap", FIELD_INT, false, offsetof(struct secret_body, overlap_s), 0, CLIENT_OVERLAP_MAX_S },
};

struct err renew_client_secret(struct call *call, struct response *response)
{
    const struct request *request = call->request;
    struct secret_body body = { .overlap_s = 0 };
    if (request->body.len > 0) /* it is optional */
        TRY(request_fields(request, secret_fields, sizeof secret_fields / sizeof *secret_fields, &body));
    TRY(client_admin_renew_secret(call->service, request->arena, &call->caller, call->path_value, body.overlap_s,
                                  request->now_s, &response->body));
    client_calls_tell(call, "client_secret_renewed", call->path_value);
    return OK;
}
