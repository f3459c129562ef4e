/* service/routes.c: the table of routes, and the way of every call through it: route, method, body, caller, operation.
 * A row says who may call and whether the operation may wait; shared steps belong here, so no operation can forget one.
 */
#include "base/settings.h"
#include "keys/signer.h"
#include "observe/log.h"
#include "service/authn.h"
#include "service/call.h"
#include "service/operations.h"
#include "service/route.h"
#include "service/service.h"
#include "store/store.h"
#include "wire/fields.h"
#include <stdio.h>

#define GET_ONLY (METHOD_GET | METHOD_HEAD)
#define WITH_BODY (METHOD_POST | METHOD_PUT | METHOD_PATCH)
static const struct route rows[] = {
    { STR_INIT("/token/introspect"), METHOD_POST, OP_INTROSPECT, CALLER, .scope = "token:introspect",
      .run = introspect_token },
    { STR_INIT("/token/verify"), METHOD_POST, OP_VERIFY, CALLER, .scope = "token:verify", .run = verify_token },
    { STR_INIT("/token"), METHOD_POST, OP_ISSUE, CALLER, .cors = CORS_SETTING, .waits = true, .run = issue_token,
      .only_signs = issue_only_signs },
    { STR_INIT("/token/revoke"), METHOD_POST, OP_REVOKE, ANY_CLIENT, .cors = CORS_SETTING, .waits = true,
      .run = revoke_token },
    { STR_INIT("/admin/revocations"), METHOD_POST, OP_REVOKE_RULE, CALLER, .scope = "token:revoke:any", .waits = true,
      .run = revoke_by_rule },
    { STR_INIT("/admin/rotate-keys"), METHOD_POST, OP_ROTATE, CALLER, .scope = "keys:rotate", .waits = true,
      .run = rotate_keys },
    { STR_INIT("/admin/clients"), GET_ONLY, OP_CLIENTS, CALLER, .scope = "clients:read", .waits = true,
      .run = list_clients },
    { STR_INIT("/admin/clients"), METHOD_POST, OP_CLIENTS, CALLER, .scope = "clients:write", .waits = true,
      .run = add_client },
    { STR_INIT("/admin/clients/{}"), GET_ONLY, OP_CLIENTS, CALLER, .scope = "clients:read", .is_open = true,
      .waits = true, .run = show_client },
    { STR_INIT("/admin/clients/{}"), METHOD_PATCH, OP_CLIENTS, CALLER, .scope = "clients:write", .is_open = true,
      .waits = true, .run = change_client },
    { STR_INIT("/admin/clients/{}"), METHOD_DELETE, OP_CLIENTS, CALLER, .scope = "clients:write", .is_open = true,
      .waits = true, .run = delete_client },
    { STR_INIT("/admin/clients/{}/secret"), METHOD_POST, OP_CLIENTS, CALLER, .scope = "clients:write", .is_open = true,
      .waits = true, .run = renew_client_secret },
    { STR_INIT("/.well-known/jwks.json"), GET_ONLY, OP_JWKS, OPEN, .cors = CORS_ANY, .run = publish_jwks },
    { STR_INIT("/revocations"), GET_ONLY, OP_FEED, OPEN, .cors = CORS_ANY, .run = publish_revocations },
    { STR_INIT("/health/live"), GET_ONLY, OP_HEALTH, OPEN, .run = health_live },
    { STR_INIT("/health/ready"), GET_ONLY, OP_HEALTH, OPEN, .run = health_ready },
    { STR_INIT("/"), GET_ONLY, OP_INDEX, OPEN, .run = publish_index },
    { STR_INIT("/metrics"), GET_ONLY, OP_METRICS, METRICS, .run = publish_metrics },
};
const struct routes service_routes = { rows, sizeof rows / sizeof *rows, NULL };

static bool routes_has_suffix(struct str text, struct str suffix)
{
    return text.len >= suffix.len && memcmp(text.at + text.len - suffix.len, suffix.at, suffix.len) == 0;
}

/* Whether `path` is the row's: *value is what is there in place of its open part, as it stands. */
static bool routes_path_is(const struct route *row, struct str path, struct str *value)
{
    struct str before, after = row->path;
    *value = (struct str){ 0, 0 };
    if (!row->is_open)
        return str_eq(row->path, path);
    const bool is_below = routes_has_suffix(after, STR("/*"));
    if (!str_cut(&after, is_below ? '*' : '{', &before) || !str_has_prefix(path, before))
        return false;
    const struct str end = is_below ? after : (struct str){ after.at + 1, after.len - 1 }; /* after the brace */
    const struct str rest = { path.at + before.len, path.len - before.len };
    if (rest.len <= end.len || !routes_has_suffix(rest, end))
        return false;
    *value = (struct str){ rest.at, rest.len - end.len };
    return is_below || !str_has(*value, '/');
}

/* The row of the path that takes the method and the kind of body; else one that takes the method, else its first one,
 * for what is answered to any method; NULL: nothing is at this path. *value: of its open segment. */
static const struct route *routes_route_of_path(const struct service *service, const struct request *request,
                                                struct str path, struct str *value)
{
    const struct route *best = NULL;
    struct str open;
    for (const struct routes *routes = service->routes; routes; routes = routes->next)
        for (size_t i = 0; i < routes->count; i++) {
            const struct route *row = &routes->rows[i];
            if (!routes_path_is(row, path, &open))
                continue;
            const bool has_method = row->methods & request->method;
            const bool takes = has_method && (!row->form_only || request_is_form(request));
            if (takes || !best || (has_method && !(best->methods & request->method))) {
                *value = open;
                best = row;
            }
            if (takes)
                return row;
        }
    return best;
}

/* Every path is also known behind the prefix of the settings, which is compared as it stands. Without that setting no
 * path has another name: what a proxy refuses by its path must not be had by another one. */
static const struct route *routes_route_find(const struct service *service, const struct request *request,
                                             struct str *value)
{
    const struct str path = request->path, prefix = str_of(service->settings->path_prefix);
    const struct route *route = routes_route_of_path(service, request, path, value);
    if (route || prefix.len == 0 || !str_has_prefix(path, prefix))
        return route;
    const struct str rest = { path.at + prefix.len, path.len - prefix.len };
    return routes_route_of_path(service, request, rest.len > 0 ? rest : STR("/"), value);
}

/* The origin to be allowed: for open documents any; else only one of the settings, or "*" when they ask for it. */
static struct str routes_cors_allowed(const struct service *service, const struct route *route, struct str origin)
{
    struct str rest = str_of(service->settings->cors_origins), one;
    if (route->cors == CORS_ANY)
        return STR("*"); /* for every caller, with an Origin or without: the response may be in a shared cache */
    if (route->cors == CORS_NONE || !origin.at)
        return (struct str){ 0, 0 };
    while (str_next_item(&rest, ',', &one)) {
        one = str_trim(one);
        if (str_eq(one, STR("*")) || str_eq(one, origin))
            return one;
    }
    return (struct str){ 0, 0 };
}

/* Of all rows of a path, or of all that there are (NULL). */
static struct str routes_allow_of(const struct service *service, struct arena *arena, const struct route *route)
{
    unsigned methods = METHOD_OPTIONS;
    for (const struct routes *routes = service->routes; routes; routes = routes->next)
        for (size_t i = 0; i < routes->count; i++)
            if (!route || str_eq(route->path, routes->rows[i].path))
                methods |= routes->rows[i].methods;
    return methods_list(arena, methods);
}

static void routes_answer_options(const struct service *service, const struct request *request,
                                  const struct route *route, struct response *response)
{
    response_empty(response, 204);
    response_add_header(response, STR("Allow"), routes_allow_of(service, request->arena, route));
}

/* What a browser is told, whatever becomes of the call (WHATWG Fetch, "CORS protocol"). */
static void routes_add_cors(const struct request *request, struct str origin, struct response *response)
{
    if (origin.len == 0)
        return;
    response_add_header(response, STR("Access-Control-Allow-Origin"), origin);
    if (!str_eq(origin, STR("*")))
        response_add_header(response, STR("Vary"), STR("Origin"));
    if (request->method == METHOD_OPTIONS) {
        response_add_header(response, STR("Access-Control-Allow-Methods"), STR("GET, POST, OPTIONS"));
        response_add_header(response, STR("Access-Control-Allow-Headers"), STR("Content-Type, Authorization"));
        response_add_header(response, STR("Access-Control-Max-Age"), STR("600"));
    }
    response->lasting_count = response->header_count;
}

/* Whether a Content-Encoding names a coding; "identity" is none (RFC 9110 section 12.5.3). */
static bool routes_is_coded(struct str content_encoding)
{
    struct str coding;
    while (field_next(&content_encoding, &coding))
        if (!str_eq_nocase(coding, STR("identity")))
            return true;
    return false;
}

/* What needs no caller: the path, the method, a preflight. True when that was all. */
static bool routes_answer_early(const struct service *service, const struct request *request, const struct route *route,
                                struct response *response)
{
    struct arena *arena = request->arena;
    if (request->method == METHOD_OPTIONS && str_eq(request->path, STR("*"))) { /* RFC 9110 section 9.3.7 */
        routes_answer_options(service, request, NULL, response);
        return true;
    }
    if (!route) {
        response_fail(response, arena, failed(ERR_NOT_FOUND, "there is nothing at this path"));
        return true;
    }
    response->operation = route->operation;
    routes_add_cors(request, routes_cors_allowed(service, route, request_header(request, STR("Origin"))), response);
    if (request->method == METHOD_OPTIONS) {
        routes_answer_options(service, request, route, response);
        return true;
    }
    if (!(route->methods & request->method)) {
        response_fail(response, arena, failed(ERR_METHOD_NOT_ALLOWED, "method not allowed for this path"));
        response_add_header(response, STR("Allow"), routes_allow_of(service, arena, route));
        return true;
    }
    if (request->method & WITH_BODY && routes_is_coded(request_header(request, STR("Content-Encoding")))) {
        response_fail(response, arena, failed(ERR_MEDIA_TYPE, "the body must not have a Content-Encoding"));
        response_add_header(response, STR("Accept-Encoding"), STR("identity")); /* RFC 9110 section 15.5.16 */
        return true;
    }
    return false;
}

/* Each parameter once (RFC 6749 section 3.2), but for `resource` (RFC 8707 section 2). */
static struct err routes_read_parameters(struct call *call)
{
    struct form *form = &call->form;
    TRY(form_read_all(call->request->arena, call->request->body, form));
    for (size_t i = 0; i < form->count; i++)
        if (form_count(form, form->name[i]) > 1 && !str_eq(form->name[i], STR("resource")))
            return failed(ERR_INVALID_REQUEST, "the form has the same parameter more than once");
    return OK;
}

/* Of those that may name their caller in a form, and those that are for forms alone. */
static struct err routes_read_form(struct call *call, const struct route *route)
{
    const bool may_name_caller = route->access == CALLER || route->access == ANY_CLIENT;
    if (route->form_only)
        return routes_read_parameters(call);
    if (!may_name_caller || !request_is_form(call->request))
        return OK;
    if (!request_is_form(call->request))
        return failed(ERR_MEDIA_TYPE, "the Content-Type must be application/x-www-form-urlencoded");
    return form_read(call->request->arena, call->request->body, &call->form);
}

static struct err routes_check_access(struct call *call, struct response *response)
{
    const struct route *route = call->route;
    TRY(routes_read_form(call, route));
    switch (route->access) {
    case OPEN:
        return OK;
    case METRICS:
        return may_see_inside(call) ? OK : failed(ERR_NOT_FOUND, "there is nothing at this path");
    case CALLER:
    case ANY_CLIENT:
        break;
    }
    TRY(authenticate(call, &response->retry_after_s));
    response->client_id = call->caller.client_id;
    if (route->scope && !caller_may(&call->caller, str_of(route->scope)))
        return failed(ERR_INSUFFICIENT_SCOPE,
                      arena_printf(call->request->arena, "the call needs the scope %s", route->scope).at);
    return OK;
}

int64_t service_retry_after_s(const struct service *service)
{
    enum { LEAST_S = 1, MOST_S = 60 };
    int64_t wait_s = service->signer->ops->wait_s(service->signer, atomic_load(&service->state.jobs_waiting));
    return wait_s < LEAST_S ? LEAST_S : wait_s > MOST_S ? MOST_S : wait_s;
}

static struct err routes_run(struct call *call, struct response *response)
{
    TRY(call->route->run(call, response));
    if (response->is_unfit)
        return failed(ERR_INTERNAL, "the response has a header that can't be sent");
    return response->body.overflowed ? failed(ERR_INTERNAL, "the response is too large") : OK;
}

static struct err routes_answer_call(struct call *call, struct str path_value, struct response *response)
{
    if (path_value.at)
        TRY(path_decode(call->request->arena, path_value, &call->path_value));
    TRY(routes_check_access(call, response));
    if (!call->is_first)
        return routes_run(call, response);
    return call->route->only_signs && call->route->only_signs(call)
               ? failed(ERR_NEEDS_TURN, "the operation takes its time")
               : failed(ERR_NEEDS_WORKER, "the operation may have to wait");
}

void call_record_always(struct call *call, struct record *record)
{
    record->next = call->always;
    call->always = record;
}

static void routes_append_always(struct call *call, struct response *response)
{
    response->records = records_join(call->always, response->records);
    if (call->announced)
        response->announced = call->announced;
}

/* The response is what became of the call. */
static void routes_finish(struct call *call, struct err err, struct response *response)
{
    authenticate_count(call);
    if (err.code == ERR_UNAVAILABLE && (call->may_wait || call->route->waits) && response->retry_after_s == 0)
        response->retry_after_s = service_retry_after_s(call->service);
    if (err.code)
        response_fail(response, call->request->arena, err);
    routes_append_always(call, response);
}

static struct call *routes_keep(const struct call *call)
{
    struct call *kept = arena_alloc(call->request->arena, sizeof *kept);
    *kept = *call;
    return kept;
}

static bool routes_needs_more(enum err_code code)
{
    return code == ERR_NEEDS_TURN || code == ERR_NEEDS_WORKER || code == ERR_NEEDS_LOOKUP;
}

enum err_code service_answer(struct service *service, const struct request *request, bool may_wait,
                             struct response *response)
{
    struct str path_value;
    const struct route *route = routes_route_find(service, request, &path_value);
    response_init(response, request->arena);
    if (routes_answer_early(service, request, route, response))
        return ERR_OK;
    struct call call = { .service = service,
                         .request = request,
                         .route = route,
                         .takes_public = route->access == ANY_CLIENT,
                         .may_wait = may_wait,
                         .is_first = route->waits && !may_wait }; /* strangers shall not fill the queues */
    const struct err err = routes_answer_call(&call, path_value, response);
    if (!may_wait && routes_needs_more(err.code)) {
        response->begun = call.is_first && err.code != ERR_NEEDS_LOOKUP ? routes_keep(&call) : NULL;
        return err.code;
    }
    routes_finish(&call, err, response);
    return ERR_OK;
}

enum err_code service_go_on(struct service *service, const struct request *request, bool may_wait,
                            struct response *response)
{
    struct call *call = response->begun;
    response->begun = NULL;
    if (!call || !authenticated_still(call))
        return may_wait ? service_answer(service, request, true, response) : ERR_NEEDS_WORKER;
    call->may_wait = may_wait;
    call->is_first = false;
    const struct err err = routes_run(call, response);
    if (!may_wait && routes_needs_more(err.code))
        return ERR_NEEDS_WORKER;
    routes_finish(call, err, response);
    return ERR_OK;
}

enum { PATH_SHOWN = 128, SEGMENT_SHOWN = 36, SEGMENT_BEGIN = 8 };

/* A path as the log has it. A segment longer than a UUID may be what lets its holder go on with a login, or a secret
 * that somebody has put there: only its beginning is shown. */
static struct str routes_path_to_log(struct str path, char room[PATH_SHOWN])
{
    struct str segment;
    size_t len = 0;
    for (bool has_more = path.len > 0; has_more && len < PATH_SHOWN;) {
        has_more = str_cut(&path, '/', &segment);
        segment = has_more ? segment : path;
        const bool is_long = segment.len > SEGMENT_SHOWN;
        const int got = snprintf(room + len, PATH_SHOWN - len, "%.*s%s%s", (int)(is_long ? SEGMENT_BEGIN : segment.len),
                                 segment.at, is_long ? "..." : "", has_more ? "/" : "");
        len += got > 0 ? (size_t)got : 0;
    }
    return (struct str){ room, len < PATH_SHOWN ? len : PATH_SHOWN - 1 };
}

void service_account(const struct request *request, const struct response *response, int64_t duration_ns)
{
    metrics_request(response->operation, response->outcome, duration_ns);
    /* a 503 is info: the code that finds a dependency failing warns once */
    enum log_level level = response->outcome == ERR_INTERNAL ? LOG_WARN
                           : response->status >= 400         ? LOG_INFO
                                                             : LOG_DEBUG;
    if (response->is_put_off || !log_wants(level))
        return;
    char path[PATH_SHOWN];
    LOG(level, "request", LOG_STR("request_id", request->id),
        LOG_TEXT_("operation", operation_name(response->operation)),
        LOG_STR("path", routes_path_to_log(request->path, path)), LOG_INT("status", response->status),
        LOG_TEXT_("outcome", err_label(response->outcome)), LOG_STR("client_id", response->client_id),
        LOG_STR("peer", request->peer), LOG_TEXT_("scheme", request->is_https ? "https" : "http"),
        LOG_INT("duration_us", duration_ns / 1000));
}
