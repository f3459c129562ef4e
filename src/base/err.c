/* base/err.c: one row for each error: its HTTP status, the standards' code, and the label that metrics and log use. */
#include "base/err.h"

static const struct {
    int status;
    const char *name, *label;
} rows[] = {
    [ERR_OK] = { 200, "", "ok" },
    [ERR_INVALID_REQUEST] = { 400, "invalid_request", "invalid_request" },
    [ERR_INVALID_SCOPE] = { 400, "invalid_scope", "invalid_scope" },
    [ERR_INVALID_TARGET] = { 400, "invalid_target", "invalid_target" },
    [ERR_UNSUPPORTED_GRANT_TYPE] = { 400, "unsupported_grant_type", "unsupported_grant_type" },
    [ERR_INVALID_GRANT] = { 400, "invalid_grant", "invalid_grant" },
    [ERR_UNAUTHORIZED_CLIENT] = { 400, "unauthorized_client", "unauthorized_client" },
    [ERR_REDIRECT_URI] = { 400, "invalid_redirect_uri", "invalid_redirect_uri" },
    [ERR_CLIENT_METADATA] = { 400, "invalid_client_metadata", "invalid_client_metadata" },
    [ERR_INVALID_CLIENT] = { 401, "invalid_client", "invalid_client" },
    [ERR_TOKEN_MISSING] = { 401, "invalid_token", "missing" },
    [ERR_TOKEN_MALFORMED] = { 401, "invalid_token", "malformed" },
    [ERR_TOKEN_ALGORITHM] = { 401, "invalid_token", "algorithm" },
    [ERR_TOKEN_KEY] = { 401, "invalid_token", "unknown_key" },
    [ERR_TOKEN_SIGNATURE] = { 401, "invalid_token", "signature" },
    [ERR_TOKEN_KIND] = { 401, "invalid_token", "wrong_kind" },
    [ERR_TOKEN_CLAIM] = { 401, "invalid_token", "claim" },
    [ERR_TOKEN_EXPIRED] = { 401, "invalid_token", "expired" },
    [ERR_TOKEN_NOT_YET] = { 401, "invalid_token", "not_yet_valid" },
    [ERR_TOKEN_REVOKED] = { 401, "invalid_token", "revoked" },
    [ERR_INSUFFICIENT_SCOPE] = { 403, "insufficient_scope", "insufficient_scope" },
    [ERR_NOT_FOUND] = { 404, "not_found", "not_found" },
    [ERR_METHOD_NOT_ALLOWED] = { 405, "method_not_allowed", "method_not_allowed" },
    [ERR_TIMEOUT] = { 408, "request_timeout", "request_timeout" },
    [ERR_CONFLICT] = { 409, "conflict", "conflict" },
    [ERR_TOO_LARGE] = { 413, "request_too_large", "request_too_large" },
    [ERR_TARGET_TOO_LONG] = { 414, "uri_too_long", "uri_too_long" },
    [ERR_HEADERS_TOO_LARGE] = { 431, "request_header_fields_too_large", "request_header_fields_too_large" },
    [ERR_MEDIA_TYPE] = { 415, "unsupported_media_type", "unsupported_media_type" },
    [ERR_TOO_MANY_REQUESTS] = { 429, "too_many_requests", "too_many_requests" },
    [ERR_VERSION] = { 505, "http_version_not_supported", "http_version_not_supported" },
    [ERR_UNAVAILABLE] = { 503, "temporarily_unavailable", "temporarily_unavailable" },
    [ERR_INTERNAL] = { 500, "server_error", "server_error" },
    [ERR_NEEDS_TURN] = { 500, "server_error", "needs_turn" }, /* never answered, nor are the next two */
    [ERR_NEEDS_WORKER] = { 500, "server_error", "needs_worker" },
    [ERR_NEEDS_LOOKUP] = { 500, "server_error", "needs_lookup" },
};
_Static_assert(sizeof rows / sizeof *rows == ERR_CODE_COUNT, "every error needs a row");

int err_status(enum err_code code)
{
    return rows[code].status;
}

const char *err_name(enum err_code code)
{
    return rows[code].name;
}

const char *err_label(enum err_code code)
{
    return rows[code].label;
}
