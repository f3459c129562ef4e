/* service/message.h: a request and its response, whichever way they came: HTTP, Lambda, command line. All fronts fill a
 * struct request, call service_answer() (routes.h) and render the struct response. */
#ifndef SERVICE_MESSAGE_H
#define SERVICE_MESSAGE_H

#include "base/json.h"
#include "observe/metrics.h"
#include "store/store.h"
#include "wire/headers.h"

enum method { METHOD_OTHER = 0, METHOD_GET = 1, METHOD_HEAD = 2, METHOD_POST = 4, METHOD_OPTIONS = 8 };

/* Views live as long as the request. */
struct request {
    struct arena *arena;
    enum method method;
    struct str path;        /* without query, as sent */
    struct str query;       /* what follows the '?'; at == NULL: there is none */
    struct headers headers; /* all that came: request_header() */
    struct str body;
    struct str peer;         /* the caller's address as text; "" for the command line */
    bool is_on_this_machine; /* the caller, not a proxy between */
    bool is_https;           /* how the caller spoke: to us, or to the proxy that says so */
    bool is_local_operator;  /* the command line: may do everything */
    int64_t now_s, now_ms;   /* wall clock when the request was read */
    struct str id;           /* request id, for the log and X-Request-Id */
};

enum content { CONTENT_JSON = 0, CONTENT_JWKS, CONTENT_FEED, CONTENT_PROMETHEUS, CONTENT_NONE };

struct response {
    int status;
    enum err_code outcome;    /* for metrics and the log */
    enum operation operation; /* likewise */
    struct str client_id;     /* who called, once known; for the log */
    enum content content;
    struct buf body;
    struct str etag;                                    /* "" : none */
    int64_t max_age_s;                                  /* >= 0: public, max-age; -1: no-store; -2: no Cache-Control */
    int64_t stale_while_revalidate_s, stale_if_error_s; /* RFC 5861, beside a max-age; 0: none */
    struct str allow;                                   /* 405 and 204; "" : none */
    struct str accept_encoding;                         /* 415 (RFC 9110 section 15.5.16); "" : none */
    bool varies_by_accept;                              /* Vary: Accept */
    struct str challenge;                               /* WWW-Authenticate; "" : none */
    int64_t retry_after_s;                              /* 0: none */
    struct str cors_origin;                             /* Access-Control-Allow-Origin: "*" or one origin; "" : none */
    bool cors_preflight;                                /* with the methods and headers that are allowed */
    bool close;                                         /* the connection is not fit for another request */
    uint64_t announced; /* when the records were announced to other instances (replication.c): its epoch; 0: not */
    const struct record *records; /* must be durable before this response goes out; NULL: nothing */
};

/* The value of a header of any name; at == NULL: it did not come. headers_value() says what of several lines becomes.
 */
struct str request_header(const struct request *request, struct str name);

/* --- bodies ------------------------------------------------------------------------------------------------------ */

/* A member of a JSON body. What a row names is written at `offset` of the target; optional ones that are absent, or
 * null, leave it as is. */
enum field_kind {
    FIELD_STR,     /* struct str: a non-empty string */
    FIELD_TEXT,    /* struct str: a string, may be empty */
    FIELD_BOOL,    /* bool */
    FIELD_INT,     /* int64_t within [min, max] */
    FIELD_OBJECT,  /* const struct json *: an object */
    FIELD_STRINGS, /* const struct json *: a string or a list of strings, none empty */
};
struct field {
    const char *name;
    enum field_kind kind;
    bool required;
    size_t offset;
    int64_t min, max; /* FIELD_INT: its range; strings: max bytes when not 0 */
};

/* Reads a JSON object by its rows. ERR_INVALID_REQUEST, with a sentence that names the member: not an object, a member
 * that no row names, a required one absent, a wrong type or range. */
MUST_USE struct err fields_read(struct arena *arena, const struct json *object, const struct field *fields,
                                size_t count, void *target);

/* Whether the body is application/json / application/x-www-form-urlencoded. Parameters say nothing: a body is UTF-8,
 * whatever charset names (RFC 8259 section 11, RFC 6749 appendix B). */
bool request_is_json(const struct request *request);
bool request_is_form(const struct request *request);

/* The body as JSON; ERR_MEDIA_TYPE unless it says so. An empty body is ERR_INVALID_REQUEST. */
MUST_USE struct err request_json(const struct request *request, const struct json **out);

/* --- forms (RFC 6749 appendix B) --------------------------------------------------------------------------------- */

enum { FORM_PAIRS_MAX = 32 };
struct form {
    struct str name[FORM_PAIRS_MAX], value[FORM_PAIRS_MAX];
    size_t count;
};
/* Decodes a form body. ERR_INVALID_REQUEST for a bad percent code, a NUL, invalid UTF-8, too many pairs, or a name that
 * comes twice (RFC 6749 section 3.2). Unknown names are kept: they are ignored by whoever reads.
 * Fuzzed: tests/fuzz/form.c. */
MUST_USE struct err form_read(struct arena *arena, struct str body, struct form *out);
/* The value of `name`, or {NULL, 0}; an empty value counts as absent (section 3.1). */
struct str form_value(const struct form *form, struct str name);
/* One form-encoded value decoded into the arena (percent codes and +). */
MUST_USE struct err form_decode(struct arena *arena, struct str in, struct str *out);

/* --- answers ----------------------------------------------------------------------------------------------------- */

/* An empty 200, no-store, JSON. */
void response_init(struct response *response, struct arena *arena);
/* Replaces what was there by the error's answer: {"error", "error_description"}, status, challenge. */
void response_fail(struct response *response, struct arena *arena, struct err err);
/* Gives the response a quoted entity tag; true, with the answer 304, when the caller has that version (If-None-Match).
 */
bool response_unchanged(struct response *response, const struct request *request, struct str etag);
/* RFC 3339 with milliseconds and Z, into the body as a JSON string. */
void write_time_ms(struct buf *body, int64_t at_ms);

#endif
