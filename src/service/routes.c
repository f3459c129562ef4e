/* service/routes.c: the table of routes, and the way of every call through it: route, method, body, caller, operation.
 * A row says who may call and whether the operation may wait; shared steps belong here, so no operation can forget one.
 */
#include "base/settings.h"
#include "keys/signer.h"
#include "observe/log.h"
#include "service/authn.h"
#include "service/call.h"
#include "service/operations.h"
#include "service/service.h"
#include "wire/fields.h"

enum access {
    OPEN,
    METRICS,
    CALLER,
    ANY_CLIENT /* a CALLER, or a public client: it has no secret, and names itself */
};
enum cors { CORS_NONE, CORS_ANY, CORS_SETTING };

struct route {
    const char *path;
    unsigned methods;
    enum operation operation;
    enum access access;
    const char *scope; /* that a CALLER needs; NULL: the operation decides */
    enum cors cors;
    bool waits; /* runs on a worker */
    struct err (*run)(struct call *, struct response *);
};

#define GET_ONLY (METHOD_GET | METHOD_HEAD)
#define WITH_BODY (METHOD_POST | METHOD_PUT | METHOD_PATCH)
static const struct route routes[] = {
    { "/token/introspect", METHOD_POST, OP_INTROSPECT, CALLER, "token:introspect", CORS_NONE, false, introspect_token },
    { "/token/verify", METHOD_POST, OP_VERIFY, CALLER, "token:verify", CORS_NONE, false, verify_token },
    { "/token", METHOD_POST, OP_ISSUE, CALLER, NULL, CORS_SETTING, true, issue_token },
    { "/token/revoke", METHOD_POST, OP_REVOKE, ANY_CLIENT, NULL, CORS_SETTING, true, revoke_token },
    { "/admin/revocations", METHOD_POST, OP_REVOKE_RULE, CALLER, "token:revoke:any", CORS_NONE, true, revoke_by_rule },
    { "/admin/rotate-keys", METHOD_POST, OP_ROTATE, CALLER, "keys:rotate", CORS_NONE, true, rotate_keys },
    { "/.well-known/jwks.json", GET_ONLY, OP_JWKS, OPEN, NULL, CORS_ANY, false, publish_jwks },
    { "/revocations", GET_ONLY, OP_FEED, OPEN, NULL, CORS_ANY, false, publish_revocations },
    { "/health/live", GET_ONLY, OP_HEALTH, OPEN, NULL, CORS_NONE, false, health_live },
    { "/health/ready", GET_ONLY, OP_HEALTH, OPEN, NULL, CORS_NONE, false, health_ready },
    { "/", GET_ONLY, OP_INDEX, OPEN, NULL, CORS_NONE, false, publish_index },
    { "/metrics", GET_ONLY, OP_METRICS, METRICS, NULL, CORS_NONE, false, publish_metrics },
};

/* The row of the path that knows the method, else its first one, for what is answered to any method; NULL: nothing is
 * at this path. */
static const struct route *routes_route_of_path(struct str path, enum method method)
{
    const struct route *first = NULL;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (!str_eq(path, str_of(routes[i].path)))
            continue;
        if (routes[i].methods & method)
            return &routes[i];
        first = first ? first : &routes[i];
    }
    return first;
}

/* Every path is also known behind the prefix of the settings, which is compared as it stands. Without that setting no
 * path has another name: what a proxy refuses by its path must not be had by another one. */
static const struct route *routes_route_find(const struct service *service, struct str path, enum method method)
{
    const struct str prefix = str_of(service->settings->path_prefix);
    const struct route *route = routes_route_of_path(path, method);
    if (route || prefix.len == 0 || !str_has_prefix(path, prefix))
        return route;
    const struct str rest = { path.at + prefix.len, path.len - prefix.len };
    return routes_route_of_path(rest.len > 0 ? rest : STR("/"), method);
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
static struct str routes_allow_of(struct arena *arena, const char *path)
{
    unsigned methods = METHOD_OPTIONS;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (!path || strcmp(path, routes[i].path) == 0)
            methods |= routes[i].methods;
    return methods_list(arena, methods);
}

static void routes_answer_options(const struct request *request, const char *path, struct response *response)
{
    response_empty(response, 204);
    response_add_header(response, STR("Allow"), routes_allow_of(request->arena, path));
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
        routes_answer_options(request, NULL, response);
        return true;
    }
    if (!route) {
        response_fail(response, arena, failed(ERR_NOT_FOUND, "there is nothing at this path"));
        return true;
    }
    response->operation = route->operation;
    routes_add_cors(request, routes_cors_allowed(service, route, request_header(request, STR("Origin"))), response);
    if (request->method == METHOD_OPTIONS) {
        routes_answer_options(request, route->path, response);
        return true;
    }
    if (!(route->methods & request->method)) {
        response_fail(response, arena, failed(ERR_METHOD_NOT_ALLOWED, "method not allowed for this path"));
        response_add_header(response, STR("Allow"), routes_allow_of(arena, route->path));
        return true;
    }
    if (request->method & WITH_BODY && routes_is_coded(request_header(request, STR("Content-Encoding")))) {
        response_fail(response, arena, failed(ERR_MEDIA_TYPE, "the body must not have a Content-Encoding"));
        response_add_header(response, STR("Accept-Encoding"), STR("identity")); /* RFC 9110 section 15.5.16 */
        return true;
    }
    return false;
}

static struct err routes_check_access(struct call *call, const struct route *route, struct response *response)
{
    switch (route->access) {
    case OPEN:
        return OK;
    case METRICS:
        return may_see_inside(call) ? OK : failed(ERR_NOT_FOUND, "there is nothing at this path");
    case CALLER:
    case ANY_CLIENT:
        break;
    }
    if (request_is_form(call->request))
        TRY(form_read(call->request->arena, call->request->body, &call->form));
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

static struct err routes_answer_call(struct call *call, const struct route *route, struct response *response)
{
    TRY(routes_check_access(call, route, response));
    if (call->is_first)
        return failed(ERR_NEEDS_WORKER, "the operation may have to wait");
    TRY(route->run(call, response));
    if (response->is_unfit)
        return failed(ERR_INTERNAL, "the response has a header that can't be sent");
    return response->body.overflowed ? failed(ERR_INTERNAL, "the response is too large") : OK;
}

enum err_code service_answer(struct service *service, const struct request *request, bool may_wait,
                             struct response *response)
{
    const struct route *route = routes_route_find(service, request->path, request->method);
    response_init(response, request->arena);
    if (routes_answer_early(service, request, route, response))
        return ERR_OK;
    struct call call = { .service = service,
                         .request = request,
                         .takes_public = route->access == ANY_CLIENT,
                         .may_wait = may_wait,
                         .is_first = route->waits && !may_wait }; /* strangers shall not fill the workers' queue */
    const struct err err = routes_answer_call(&call, route, response);
    if (!may_wait && (err.code == ERR_NEEDS_WORKER || err.code == ERR_NEEDS_LOOKUP))
        return err.code;
    if (err.code == ERR_UNAVAILABLE && may_wait && response->retry_after_s == 0)
        response->retry_after_s = service_retry_after_s(service);
    if (err.code)
        response_fail(response, request->arena, err);
    return ERR_OK;
}

void service_account(const struct request *request, const struct response *response, int64_t duration_ns)
{
    metrics_request(response->operation, response->outcome, duration_ns);
    /* a 503 is info: the code that finds a dependency failing warns once, and a full queue must not fill the log as
     * well */
    enum log_level level = response->outcome == ERR_INTERNAL ? LOG_WARN
                           : response->status >= 400         ? LOG_INFO
                                                             : LOG_DEBUG;
    if (!log_wants(level))
        return;
    struct str path = request->path;
    if (path.len > 128)
        path.len = 128;
    LOG(level, "request", LOG_STR("request_id", request->id),
        LOG_TEXT_("operation", operation_name(response->operation)), LOG_STR("path", path),
        LOG_INT("status", response->status), LOG_TEXT_("outcome", err_label(response->outcome)),
        LOG_STR("client_id", response->client_id.at ? response->client_id : STR("")), LOG_STR("peer", request->peer),
        LOG_TEXT_("scheme", request->is_https ? "https" : "http"), LOG_INT("duration_us", duration_ns / 1000));
}
