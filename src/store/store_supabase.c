/* store/store_supabase.c: the platform's tables over PostgREST, as Supabase offers it: each operation is one POST to
 * /rest/v1/rpc/token_service_call, which calls the function it names: one transaction. */
#include "base/clock.h"
#include "base/sentence.h"
#include "net/client.h"
#include "observe/log.h"
#include "store/platform.h"
#include <stdlib.h>

enum { PAUSE_MS = 200 };

struct store_supabase {
    struct platform platform; /* first */
    struct net_client *client;
    char *url; /* of the one function that is called */
    int64_t timeout_ms;
    struct net_header headers[4];
    size_t header_count;
    char *bearer; /* "Bearer <key>", of a legacy key */
};

/* PostgREST's error: {"code", "message", "details", "hint"}. All but the code may hold a row's values, and are dropped.
 */
static struct str store_supabase_code_of(struct arena *arena, struct str body)
{
    const struct json *error = NULL;
    if (json_parse(arena, body, &error).code)
        return STR("");
    struct str code = platform_str(error, "code");
    return code.len < 16 ? code : STR("");
}

/* By the code where there is one, else by the status. */
static enum platform_outcome store_supabase_outcome_of(int status, struct str code)
{
    if (code.len > 0 && (status != 401 && status != 403))
        return platform_outcome_of(code);
    if (status == 401 || status == 403)
        return PLATFORM_DENIED;
    return status == 404 ? PLATFORM_UNMIGRATED : PLATFORM_TROUBLED;
}

/* What a gateway answers when it is busy or can't reach the database: it is not known what became of the call. */
static bool store_supabase_may_pass(int status)
{
    return status == 429 || status == 502 || status == 503 || status == 504 ||
           (status >= 520 && status <= 530); /* Cloudflare's, which stands before Supabase */
}

/* A sentence about a refusal, for operators. NULL: the outcome says enough. */
static const char *store_supabase_sentence_for(const struct store_supabase *self, enum platform_outcome outcome,
                                               int status, struct str code)
{
    if (outcome == PLATFORM_DENIED)
        return sentence_keep("the database refuses this service",
                             "SUPABASE_URL (%s): it refuses SUPABASE_SERVICE_KEY (HTTP %d)", self->url, status);
    if (outcome == PLATFORM_UNMIGRATED && code.len == 0)
        return sentence_keep("the database can't be reached; try again later",
                             "SUPABASE_URL (%s): there is no PostgREST (HTTP %d)", self->url, status);
    if (outcome == PLATFORM_TROUBLED || outcome == PLATFORM_LOST)
        return sentence_keep("the database is busy, or can't be reached; try again later",
                             "SUPABASE_URL (%s): it answered HTTP %d%s%.*s", self->url, status,
                             code.len > 0 ? ", " : "", (int)code.len, code.at);
    return NULL;
}

static enum platform_outcome store_supabase_send_once(struct store_supabase *self, struct arena *arena,
                                                      const char *function, const struct net_request *request,
                                                      struct str *answer, bool *passes, const char **why)
{
    struct net_answer got;
    *passes = true;
    struct err err = net_send(self->client, arena, request, &got);
    if (err.code) {
        *why = sentence_keep("the database can't be reached; try again later", "SUPABASE_URL, %s", err.why);
        return PLATFORM_LOST;
    }
    if (got.status == 200) {
        *answer = got.body;
        return PLATFORM_OK;
    }
    struct str code = store_supabase_code_of(arena, got.body);
    enum platform_outcome outcome = store_supabase_outcome_of(got.status, code);
    LOG(LOG_WARN, "supabase_refused", LOG_TEXT_("function", function), LOG_INT("status", got.status),
        LOG_STR("code", code));
    *passes = (store_supabase_may_pass(got.status) || outcome == PLATFORM_LOST) && got.retry_after_s <= 1;
    if (store_supabase_may_pass(got.status)) {
        outcome = PLATFORM_LOST;
        clock_sleep_ms(PAUSE_MS); /* it is busy: not at once again */
    }
    *why = store_supabase_sentence_for(self, outcome, got.status, code);
    return outcome;
}

static enum platform_outcome store_supabase_ask(struct platform *platform, struct arena *arena, const char *function,
                                                struct str args, bool is_repeatable, struct str *answer,
                                                const char **why)
{
    struct store_supabase *self = (struct store_supabase *)platform;
    struct buf body;
    bool passes = false;
    buf_init(&body, arena, args.len + args.len / 4 + 128, 2 * args.len + 128);
    buf_add(&body, STR("{\"function\":"));
    json_write_str(&body, str_of(function + strlen("token_service_")));
    buf_add(&body, STR(",\"args\":"));
    json_write_str(&body, args);
    buf_add_char(&body, '}');
    if (body.overflowed)
        return PLATFORM_FAILED;
    const struct net_request request = { .method = "POST",
                                         .url = self->url,
                                         .headers = self->headers,
                                         .header_count = self->header_count,
                                         .body = buf_str(&body),
                                         .timeout_ms = self->timeout_ms,
                                         .answer_max = PLATFORM_ANSWER_MAX,
                                         .is_unique = !is_repeatable };
    enum platform_outcome outcome = store_supabase_send_once(self, arena, function, &request, answer, &passes, why);
    if (outcome == PLATFORM_LOST && passes && is_repeatable)
        outcome = store_supabase_send_once(self, arena, function, &request, answer, &passes, why);
    return outcome;
}

static void store_supabase_close_supabase(struct store *store)
{
    struct store_supabase *self = (struct store_supabase *)store;
    net_close(self->client);
    if (self->bearer)
        mem_wipe(self->bearer, strlen(self->bearer));
    free(self->bearer);
    free(self->url);
    free(self);
}

static const struct store_ops ops = {
    .name = "supabase", .is_costly = true, PLATFORM_OPERATIONS, .close = store_supabase_close_supabase
};

static void store_supabase_add_header(struct store_supabase *self, const char *name, const char *value)
{
    self->headers[self->header_count++] = (struct net_header){ name, value };
}

/* A legacy key is a JWT, and is also sent as a bearer token; a new one (sb_secret_…) must not be: it is not a JWT. */
static void store_supabase_prepare_headers(struct store_supabase *self, const char *key)
{
    store_supabase_add_header(self, "Content-Type", "application/json");
    store_supabase_add_header(self, "apikey", key);
    if (!str_has_prefix(str_of(key), STR("eyJ")))
        return;
    size_t room = strlen(key) + sizeof "Bearer ";
    self->bearer = mem_alloc(room);
    memcpy(self->bearer, "Bearer ", 7);
    memcpy(self->bearer + 7, key, room - 7);
    store_supabase_add_header(self, "Authorization", self->bearer);
}

/* Without slashes at its end. */
static struct str store_supabase_without_slashes(struct str text)
{
    while (text.len > 0 && text.at[text.len - 1] == '/')
        text.len--;
    return text;
}

/* Some write PostgREST's own path behind the project's URL. */
static char *store_supabase_url_of(const char *project)
{
    static const char path[] = "/rest/v1/rpc/token_service_call";
    static const struct str rest = STR_INIT("/rest/v1");
    struct str base = store_supabase_without_slashes(str_of(project));
    if (base.len > rest.len && memcmp(base.at + base.len - rest.len, rest.at, rest.len) == 0)
        base = store_supabase_without_slashes((struct str){ base.at, base.len - rest.len });
    const size_t len = base.len;
    char *url = mem_alloc(len + sizeof path);
    memcpy(url, project, len);
    memcpy(url + len, path, sizeof path);
    return url;
}

struct err store_supabase_open(const struct settings *settings, struct store **out)
{
    struct net_client *client = NULL;
    TRY(net_open(NULL, &client));
    struct store_supabase *self = mem_alloc(sizeof *self);
    *self = (struct store_supabase){ .client = client, .timeout_ms = settings->store_timeout_s * 1000 };
    self->url = store_supabase_url_of(settings->supabase_url);
    platform_init(&self->platform, &ops, store_supabase_ask);
    store_supabase_prepare_headers(self, settings->supabase_service_key);
    struct err err = platform_check_keys(&self->platform.store, settings->data_dir);
    if (err.code) {
        store_supabase_close_supabase(&self->platform.store);
        return err;
    }
    *out = &self->platform.store;
    return OK;
}
