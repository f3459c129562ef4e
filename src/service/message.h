/* service/message.h: a request and its response, whichever way they came: HTTP, Lambda, command line. All fronts fill a
 * struct request, call service_answer() (service.h) and render the struct response. */
#ifndef SERVICE_MESSAGE_H
#define SERVICE_MESSAGE_H

#include "base/json.h"
#include "observe/metrics.h"
#include "wire/headers.h"

struct call;
struct record;

enum method {
    METHOD_OTHER = 0,
    METHOD_GET = 1,
    METHOD_HEAD = 2,
    METHOD_POST = 4,
    METHOD_PUT = 8,
    METHOD_PATCH = 16,
    METHOD_DELETE = 32,
    METHOD_OPTIONS = 64,
};

/* Views live as long as the request. */
struct request {
    struct arena *arena;
    enum method method;
    struct str path;        /* without query, as sent */
    struct str query;       /* what follows the '?'; at == NULL: there is none */
    struct headers headers; /* all that came: request_header() */
    struct str body;
    struct str peer;           /* the caller's address as text; "" for the command line */
    bool is_on_this_machine;   /* the caller, not a proxy between */
    bool is_https;             /* how the caller spoke: to us, or to the proxy that says so */
    bool is_local_operator;    /* the command line: may do everything */
    struct str vouched_client; /* the client that calls, which its front has made sure of; at == NULL: it has not */
    int64_t now_s, now_ms;     /* wall clock when the request was read */
    struct str id;             /* request id, for the log and X-Request-Id */
};

enum { RESPONSE_HEADERS_MAX = 16 };

/* All of it is to be sent; a front adds only what belongs to its connection: Date, Content-Length, Connection, and the
 * request's id. Views live as long as the request's arena, or are static. */
struct response {
    int status;
    enum err_code outcome;                       /* for metrics and the log */
    enum operation operation;                    /* likewise */
    struct str client_id;                        /* who called, once known; for the log */
    struct str content_type, cache_control;      /* texts of ours; len 0: none */
    struct header headers[RESPONSE_HEADERS_MAX]; /* all others: response_add_header() */
    size_t header_count;
    size_t lasting_count; /* the first ones of them stay when the response becomes an error's */
    bool is_unfit;        /* a header could not be added, so the response must not go out */
    bool wants_bearer; /* it is of a call for bearer tokens alone, whose every refusal says so (RFC 6750 section 3) */
    bool is_put_off;   /* there was too much to do: not logged one by one, but counted */
    struct buf body;
    int64_t retry_after_s;  /* for an error's Retry-After; 0: a second, where it has one */
    uint64_t announced;     /* when the records were announced to other instances (replication.c): its epoch; 0: not */
    struct record *records; /* must be durable before this response goes out; NULL: nothing */
    struct call *begun;     /* what service_answer() has found for service_go_on(); NULL: nothing */
};

/* The value of a header of any name; at == NULL: it did not come. headers_value() says what of several lines becomes.
 */
struct str request_header(const struct request *request, struct str name);

/* Whether an id that a caller gave its request may stand in our log and answer: so one id follows a request through the
 * platform. */
bool request_id_is_harmless(struct str id);

/* A method by its name, which has a case (RFC 9110 section 9.1); METHOD_OTHER: none of ours. */
enum method method_named(struct str name);
/* The names of several methods, as Allow has them. */
struct str methods_list(struct arena *arena, unsigned methods);

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
    int64_t min, max; /* FIELD_INT: its range; strings: max bytes when not 0; FIELD_STRINGS: min entries at most, when
                       * not 0, else CLAIMS_AUD_MAX */
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
/* The same as an object, read by its rows (fields_read()). */
MUST_USE struct err request_fields(const struct request *request, const struct field *fields, size_t count,
                                   void *target);

/* --- forms (RFC 6749 appendix B) --------------------------------------------------------------------------------- */

enum { FORM_PAIRS_MAX = 32 };
struct form {
    struct str name[FORM_PAIRS_MAX], value[FORM_PAIRS_MAX];
    size_t count;
};
/* Decodes a form body. ERR_INVALID_REQUEST for a bad percent code, a NUL, invalid UTF-8, too many pairs, or a name that
 * comes twice (RFC 6749 section 3.2). Unknown names are kept; readers ignore them. Fuzzed: tests/fuzz/form.c. */
MUST_USE struct err form_read(struct arena *arena, struct str body, struct form *out);
/* The same, but a name may come several times: for those who tell a client of it in another way, or read a parameter of
 * which there may be several (RFC 8707 section 2). */
MUST_USE struct err form_read_all(struct arena *arena, struct str body, struct form *out);
/* The value of `name`, or {NULL, 0}; an empty value counts as absent (section 3.1). Of several the first. */
struct str form_value(const struct form *form, struct str name);
/* How often a name comes, with or without a value. */
size_t form_count(const struct form *form, struct str name);
/* One form-encoded value decoded into the arena (percent codes and +). */
MUST_USE struct err form_decode(struct arena *arena, struct str in, struct str *out);
/* One segment of a path likewise, in which a plus is a plus (RFC 3986 section 2.1). */
MUST_USE struct err path_decode(struct arena *arena, struct str in, struct str *out);

/* --- answers ----------------------------------------------------------------------------------------------------- */

/* An empty 200, no-store, JSON. */
void response_init(struct response *response, struct arena *arena);
/* One more header, perhaps of a name that is there already (Set-Cookie). A value that is empty, or could end its line
 * (CR, LF, NUL and other control characters: RFC 9110 section 5.5), is not added, nor is one more than there is room
 * for: the response is unfit then, and service_answer() makes a 500 of it. */
void response_add_header(struct response *response, struct str name, struct str value);
static inline struct headers response_headers(const struct response *response)
{
    return (struct headers){ response->headers, response->header_count };
}
/* Only the status, without a body. */
void response_empty(struct response *response, int status);
/* Replaces the response by the error's: {"error", "error_description"}, status, challenge, Retry-After. */
void response_fail(struct response *response, struct arena *arena, struct err err);
/* How long any cache may keep the response (RFC 9111 section 5.2.2), and how much longer it may use it when it is
 * stale, while it fetches another one or when it can't (RFC 5861). In seconds; 0: not at all. */
void response_may_be_kept(struct response *response, struct arena *arena, int64_t max_age_s,
                          int64_t stale_while_revalidate_s, int64_t stale_if_error_s);
/* Gives the response a quoted entity tag; true, and the response is 304, when the caller has that version
 * (If-None-Match). */
bool response_unchanged(struct response *response, const struct request *request, struct str etag);
/* RFC 3339 with milliseconds and Z, into the body as a JSON string. */
void write_time_ms(struct buf *body, int64_t at_ms);

#endif
