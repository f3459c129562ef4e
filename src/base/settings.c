/* base/settings.c: every setting, a row each. A new one is a row here and a member in settings.h; reading, checking,
 * --help, the man page and the documentation follow from the row. The value chosen for a row (flag before environment
 * before default) is read once, by its kind; what several settings must agree on comes after. */
#include "base/settings.h"
#include "base/json.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

enum kind { KIND_TEXT, KIND_WORD, KIND_NUMBER, KIND_SECONDS, KIND_BYTES };
enum section { SECTION_SERVER, SECTION_TOKENS, SECTION_CHECKS, SECTION_CALLERS, SECTION_LIMITS, SECTION_OBSERVE };

static const char *const section_names[] = { "Server", "Issuing", "Checking", "Callers", "Limits", "Log and metrics" };

/* What a word stands for is its place in the list, from `min` of its row on. */
static const char *const algorithms[] = { "RS256", "PS256", "ES256", "EdDSA", NULL }; /* enum jwa, from 1 */
static const char *const records[] = { "all", "grants", NULL };
static const char *const accesses[] = { "loopback", "any", "off", NULL };
static const char *const levels[] = { "error", "warn", "info", "debug", NULL };
static const char *const formats[] = { "auto", "json", "text", NULL };

/* What is wrong with a text, or NULL; static. */
static const char *fault_of_listen(struct str text);
static const char *fault_of_issuer(struct str text);
static const char *fault_of_list(struct str text);
static const char *fault_of_audience(struct str text);
static const char *fault_of_origins(struct str text);

struct row {
    const char *name; /* the variable; its flag is made from it */
    enum section section;
    enum kind kind;
    size_t offset;            /* in struct settings: of an int64_t, or for KIND_TEXT of a const char * */
    const char *preset;       /* the default, written as a user would */
    int64_t min, max;         /* of a number, or of a text's length in bytes */
    const char *const *words; /* KIND_WORD */
    const char *(*fault_of)(struct str text);
    const char *form; /* KIND_TEXT: what is allowed, in words */
    const char *help;
};

#define TEXT(member, preset, min, max, fault_of, form)                                                                 \
    KIND_TEXT, offsetof(struct settings, member), preset, min, max, NULL, fault_of, form
#define WORD(member, preset, first, words)                                                                             \
    KIND_WORD, offsetof(struct settings, member), preset, first, 0, words, NULL, NULL
#define NUMBER(member, preset, min, max)                                                                               \
    KIND_NUMBER, offsetof(struct settings, member), preset, min, max, NULL, NULL, NULL
#define SECONDS(member, preset, min, max)                                                                              \
    KIND_SECONDS, offsetof(struct settings, member), preset, min, max, NULL, NULL, NULL
#define BYTES(member, preset, min, max)                                                                                \
    KIND_BYTES, offsetof(struct settings, member), preset, min, max, NULL, NULL, NULL

static const struct row rows[] = {
    { "TOKEN_LISTEN", SECTION_SERVER,
      TEXT(listen, "127.0.0.1:8080", 1, 300, fault_of_listen, "host:port, [IPv6]:port or :port"),
      "Where to listen. Port 0 takes a free one and the log names it; without a host: every address." },
    { "TOKEN_DATA_DIR", SECTION_SERVER, TEXT(data_dir, "data", 1, 3072, NULL, "a path"),
      "Directory of the database and the key files; made with mode 0700 when it is missing." },
    { "TOKEN_TLS_CERT", SECTION_SERVER, TEXT(tls_cert, "", 0, 3072, NULL, "a path, or nothing"),
      "PEM file of the certificate and its chain. Together with TOKEN_TLS_KEY: HTTPS instead of HTTP." },
    { "TOKEN_TLS_KEY", SECTION_SERVER, TEXT(tls_key, "", 0, 3072, NULL, "a path, or nothing"),
      "PEM file of the certificate's private key; refused when everybody can read it." },
    { "TOKEN_LOOPS", SECTION_SERVER, NUMBER(loops, "0", 0, 64),
      "Event loops, a thread each, for what needs no waiting. 0: one a core." },
    { "TOKEN_WORKERS", SECTION_SERVER, NUMBER(workers, "0", 0, 256),
      "Threads for signatures and for whatever waits. 0: one a core." },
    { "TOKEN_QUEUE", SECTION_SERVER, NUMBER(queue, "1024", 1, 65536),
      "Requests that may wait for a worker; the next is answered 503 at once." },
    { "TOKEN_DRAIN_TIMEOUT", SECTION_SERVER, SECONDS(drain_timeout_s, "20", 0, 600),
      "How long a stop waits for the requests in flight." },
    { "TOKEN_PURGE_INTERVAL", SECTION_SERVER, SECONDS(purge_interval_s, "60", 1, 86400),
      "How often expired rows are deleted from the store." },
    { "TOKEN_CORS_ORIGINS", SECTION_SERVER,
      TEXT(cors_origins, "", 0, 4096, fault_of_origins, "*, or scheme://host[:port] divided by commas"),
      "Origins whose scripts may call the token and revocation endpoints. Keys and metadata are open to all." },

    { "TOKEN_ISSUER", SECTION_TOKENS,
      TEXT(issuer, "https://auth.storytailor.ai", 1, 512, fault_of_issuer,
           "an https or http URL without query and fragment"),
      "The iss of every token (RFC 8414 section 2)." },
    { "TOKEN_AUDIENCE", SECTION_TOKENS,
      TEXT(audience, "", 0, 4096, fault_of_audience, "at most 15 names divided by commas"),
      "What the aud of an access token holds beside its client." },
    { "TOKEN_SIGNING_ALG", SECTION_TOKENS, WORD(signing_alg, "RS256", 1, algorithms),
      "Algorithm of the signing key. A change makes a new key; the old one goes on verifying its tokens." },
    { "TOKEN_ACCESS_TTL", SECTION_TOKENS, SECONDS(access_ttl_s, "3600", 1, 31536000),
      "Lifetime of an access token, unless its client has one of its own." },
    { "TOKEN_ACCESS_TTL_MAX", SECTION_TOKENS, SECONDS(access_ttl_max_s, "86400", 1, 31536000),
      "The longest lifetime of an access token that a request may ask for." },
    { "TOKEN_REFRESH_TTL", SECTION_TOKENS, SECONDS(refresh_ttl_s, "2592000", 1, 315360000),
      "Lifetime of a refresh token, unless its client has one of its own." },
    { "TOKEN_REFRESH_TTL_MAX", SECTION_TOKENS, SECONDS(refresh_ttl_max_s, "31536000", 1, 315360000),
      "The longest lifetime of a refresh token that a request may ask for." },
    { "TOKEN_ID_TTL", SECTION_TOKENS, SECONDS(id_ttl_s, "3600", 1, 31536000),
      "Lifetime of an ID token, unless its client has one of its own." },
    { "TOKEN_ID_TTL_MAX", SECTION_TOKENS, SECONDS(id_ttl_max_s, "86400", 1, 31536000),
      "The longest lifetime of an ID token that a request may ask for." },
    { "TOKEN_PRIVILEGED_CLAIMS", SECTION_TOKENS,
      TEXT(privileged_claims, "", 0, 4096, fault_of_list, "names of claims divided by commas"),
      "Claims that, like role, only a caller with the scope token:issue:privileged may set." },
    { "TOKEN_RECORDS", SECTION_TOKENS, WORD(records, "all", RECORDS_ALL, records),
      "What is recorded of issued tokens. all: a row for each; grants: none for access tokens." },

    { "TOKEN_CLOCK_SKEW", SECTION_CHECKS, SECONDS(clock_skew_s, "30", 0, 300),
      "How far nbf and iat may lie ahead: other machines' clocks. exp is exact." },
    { "TOKEN_CLOCK_TOLERANCE_MAX", SECTION_CHECKS, SECONDS(clock_tolerance_max_s, "300", 0, 3600),
      "The largest clockTolerance that a verification may ask for." },
    { "TOKEN_VERIFIED_CACHE", SECTION_CHECKS, NUMBER(verified_cache, "1536", 0, 1048576),
      "Verified tokens kept in memory, so that a second check costs a hash alone. 0: none." },
    { "TOKEN_JWKS_MAX_AGE", SECTION_CHECKS, SECONDS(jwks_max_age_s, "300", 0, 86400),
      "How long others may keep the published keys (max-age of the JWKS)." },

    { "TOKEN_FAILURE_LIMIT", SECTION_CALLERS, NUMBER(failure_limit, "10", 0, 1000000),
      "Failed authentications a minute from one address before it has to wait. 0: no limit." },
    { "TOKEN_CLIENT_CACHE_TTL", SECTION_CALLERS, SECONDS(client_cache_s, "60", 3, 3600),
      "How long a client's data is kept in memory; a disabled client is refused after that at the latest." },

    { "TOKEN_MAX_BYTES", SECTION_LIMITS, BYTES(token_max_bytes, "16384", 1024, 65536),
      "A longer token is neither issued nor looked at." },
    { "TOKEN_BODY_MAX", SECTION_LIMITS, BYTES(body_max_bytes, "65536", 1024, 16777216),
      "Largest request body; a larger one is answered 413." },
    { "TOKEN_HEADER_MAX", SECTION_LIMITS, BYTES(header_max_bytes, "8192", 1024, 262144),
      "Largest request line and headers together; larger ones are answered 431." },
    { "TOKEN_CONNECTIONS", SECTION_LIMITS, NUMBER(connections, "4096", 1, 1048576),
      "Connections open at once, over all loops." },
    { "TOKEN_IDLE_TIMEOUT", SECTION_LIMITS, SECONDS(idle_timeout_s, "60", 1, 3600),
      "How long a connection may stay open between two requests." },
    { "TOKEN_REQUEST_TIMEOUT", SECTION_LIMITS, SECONDS(request_timeout_s, "10", 1, 300),
      "How long a request may take to arrive in full." },

    { "TOKEN_METRICS", SECTION_OBSERVE, WORD(metrics, "loopback", METRICS_LOOPBACK, accesses),
      "Who may read /metrics. loopback: whoever connects from this machine, a proxy on it included." },
    { "TOKEN_LOG_LEVEL", SECTION_OBSERVE, WORD(log_level, "info", LOG_ERROR, levels),
      "The least important lines that are logged. debug has a line for each request." },
    { "TOKEN_LOG_FORMAT", SECTION_OBSERVE, WORD(log_format, "auto", LOG_AUTO, formats),
      "auto: text when standard error is a terminal, else a JSON object a line." },
};
enum { ROWS = sizeof rows / sizeof *rows, FLAG_ROOM = 40 };
_Static_assert(SETTINGS_AUDIENCE_MAX == 15, "the row of TOKEN_AUDIENCE says this number");
_Static_assert(ROWS <= 64, "struct settings notes the origin of each row in the bits of a uint64_t");

/* TOKEN_DATA_DIR -> --data-dir */
static const char *flag_of(const struct row *row, char to[FLAG_ROOM])
{
    const char *name = row->name + strlen("TOKEN_");
    size_t len = 2;
    memcpy(to, "--", 2);
    for (; *name && len < FLAG_ROOM - 1; name++)
        to[len++] = *name == '_' ? '-' : (char)tolower((unsigned char)*name);
    to[len] = '\0';
    return to;
}

/* "1 to 86400 seconds", "all, grants" */
static const char *allowed_of(const struct row *row, char to[128])
{
    static const char *const units[] = { [KIND_NUMBER] = "", [KIND_SECONDS] = " seconds", [KIND_BYTES] = " bytes" };
    size_t len = 0;
    if (row->kind == KIND_TEXT) {
        snprintf(to, 128, "%s", row->form);
    } else if (row->kind == KIND_WORD) {
        for (size_t i = 0; row->words[i] && len < 100; i++)
            len += (size_t)snprintf(to + len, 128 - len, "%s%s", i > 0 ? ", " : "", row->words[i]);
    } else {
        snprintf(to, 128, "%lld to %lld%s", (long long)row->min, (long long)row->max, units[row->kind]);
    }
    return to;
}

/* --- errors ------------------------------------------------------------------------------------------------------ */

__attribute__((format(printf, 1, 2))) static struct err refuse(const char *format, ...)
{
    static char sentence[640]; /* until the next call, as the header says */
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    return failed(ERR_INVALID_REQUEST, sentence);
}

static bool is_printable(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i], next = i + 1 < text.len ? (unsigned char)text.at[i + 1] : 0;
        if (c < 0x20 || c == 0x7f || (c == 0xc2 && next >= 0x80 && next < 0xa0)) /* C0, DEL, C1 in UTF-8 */
            return false;
    }
    return utf8_valid(text);
}

static struct err refuse_value(const struct row *row, struct str value, const char *fault)
{
    char allowed[128];
    if (value.len > 80 || !is_printable(value))
        return refuse("%s is not usable: %s (allowed: %s)", row->name, fault, allowed_of(row, allowed));
    return refuse("%s is \"%.*s\": %s (allowed: %s)", row->name, (int)value.len, value.at, fault,
                  allowed_of(row, allowed));
}

/* --- one value --------------------------------------------------------------------------------------------------- */

/* Digits alone: no sign, space, leading zero or unit; 18 of them can't overflow. */
static bool is_number(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
    return text.len > 0 && (text.at[0] != '0' || text.len == 1);
}

static bool read_number(struct str text, int64_t min, int64_t max, int64_t *out)
{
    int64_t value = 0;
    if (!is_number(text) || text.len > 18)
        return false;
    for (size_t i = 0; i < text.len; i++)
        value = value * 10 + (text.at[i] - '0');
    *out = value;
    return value >= min && value <= max;
}

static bool find_word(const struct row *row, struct str text, int64_t *out)
{
    for (size_t i = 0; row->words[i]; i++)
        if (str_eq(text, str_of(row->words[i]))) {
            *out = row->min + (int64_t)i;
            return true;
        }
    return false;
}

static const char *fault_of_text(const struct row *row, struct str text)
{
    if (!is_printable(text))
        return "it holds control characters or is not UTF-8";
    if (text.len < (size_t)row->min)
        return "it is empty";
    if (text.len > (size_t)row->max)
        return "it is too long";
    return text.len > 0 && row->fault_of ? row->fault_of(text) : NULL;
}

/* Writes the row's member. A text goes to *room, which moves on. */
static struct err read_value(const struct row *row, struct str text, struct settings *settings, char **room)
{
    char *member = (char *)settings + row->offset;
    const char *fault = NULL;
    int64_t number = 0;
    switch (row->kind) {
    case KIND_TEXT:
        fault = fault_of_text(row, text);
        memcpy(*room, text.at, text.len);
        (*room)[text.len] = '\0';
        memcpy(member, room, sizeof *room);
        *room += text.len + 1;
        break;
    case KIND_WORD:
        fault = find_word(row, text, &number) ? NULL : "there is no such choice";
        memcpy(member, &number, sizeof number);
        break;
    case KIND_NUMBER:
    case KIND_SECONDS:
    case KIND_BYTES:
        if (!read_number(text, row->min, row->max, &number))
            fault = is_number(text) ? "it is out of range" : "it is no whole number";
        memcpy(member, &number, sizeof number);
        break;
    }
    return fault ? refuse_value(row, text, fault) : OK;
}

/* --- the forms of texts ------------------------------------------------------------------------------------------ */

/* host[:port] with an IPv6 address in brackets; *port has at == NULL when there is none. */
static bool split_authority(struct str text, struct str *host, struct str *port)
{
    const char *colon = text.len > 0 ? memrchr(text.at, ':', text.len) : NULL;
    *host = text;
    *port = (struct str){ 0, 0 };
    if (colon && !memchr(colon, ']', text.len - (size_t)(colon - text.at))) {
        *host = (struct str){ text.at, (size_t)(colon - text.at) };
        *port = (struct str){ colon + 1, text.len - host->len - 1 };
    }
    bool bracketed = host->len > 2 && host->at[0] == '[' && host->at[host->len - 1] == ']';
    struct str inner = bracketed ? (struct str){ host->at + 1, host->len - 2 } : *host;
    for (size_t i = 0; i < inner.len; i++)
        if (!isalnum((unsigned char)inner.at[i]) && !strchr(bracketed ? ":.%" : "-._", inner.at[i]))
            return false;
    return inner.len < 256 && (!bracketed || str_has(inner, ':'));
}

static const char *fault_of_listen(struct str text)
{
    struct str host, port;
    int64_t number;
    if (!split_authority(text, &host, &port))
        return "its host is no name or address";
    if (!port.at)
        return "it has no port";
    return read_number(port, 0, 65535, &number) ? NULL : "its port is no number from 0 to 65535";
}

/* After "scheme://" and before a path. */
static bool is_authority(struct str text, struct str *port)
{
    struct str host;
    int64_t number;
    return split_authority(text, &host, port) && host.len > 0 && (!port->at || read_number(*port, 1, 65535, &number));
}

static const char *fault_of_issuer(struct str text)
{
    const struct str schemes[] = { STR("https://"), STR("http://") };
    struct str rest = { 0, 0 }, authority, port;
    for (size_t i = 0; i < 2 && !rest.at; i++)
        if (str_has_prefix(text, schemes[i]))
            rest = (struct str){ text.at + schemes[i].len, text.len - schemes[i].len };
    if (!rest.at)
        return "it does not begin with https:// or http://";
    for (size_t i = 0; i < rest.len; i++)
        if (rest.at[i] <= ' ' || rest.at[i] > '~' || strchr("\"<>\\^`{|}", rest.at[i])) /* RFC 3986 section 2 */
            return "it holds characters that no URL has";
    if (str_has(rest, '?') || str_has(rest, '#'))
        return "it has a query or a fragment";
    if (!str_cut(&rest, '/', &authority))
        authority = rest;
    return is_authority(authority, &port) ? NULL : "its host or port is malformed";
}

static const char *fault_of_list(struct str text)
{
    struct str one;
    if (text.at[text.len - 1] == ',')
        return "an item of the list is empty";
    while (str_next_item(&text, ',', &one))
        if (str_trim(one).len == 0)
            return "an item of the list is empty";
    return NULL;
}

static const char *fault_of_audience(struct str text)
{
    size_t commas = 0;
    for (size_t i = 0; i < text.len; i++)
        commas += text.at[i] == ',';
    return commas >= SETTINGS_AUDIENCE_MAX ? "the list is too long" : fault_of_list(text);
}

/* As a browser sends it (RFC 6454 section 6.2): lower case, the scheme's own port left out, no path. They are compared
 * as texts, so any other form would never match and nobody would be told. */
static const char *fault_of_origin(struct str origin)
{
    const char *end = memmem(origin.at, origin.len, "://", 3);
    struct str port;
    if (str_eq(origin, STR("*")))
        return NULL;
    if (!end || end == origin.at)
        return "an origin has no scheme";
    struct str scheme = { origin.at, (size_t)(end - origin.at) };
    struct str authority = { end + 3, origin.len - scheme.len - 3 };
    for (size_t i = 0; i < origin.len; i++)
        if (isupper((unsigned char)origin.at[i]))
            return "an origin is not in lower case";
    for (size_t i = 0; i < scheme.len; i++)
        if (!islower((unsigned char)scheme.at[i]) &&
            (i == 0 || !(isdigit((unsigned char)scheme.at[i]) || strchr("+-.", scheme.at[i]))))
            return "an origin's scheme is malformed";
    if (!is_authority(authority, &port))
        return "an origin's host or port is malformed, or it has a path";
    if ((str_eq(scheme, STR("https")) && str_eq(port, STR("443"))) ||
        (str_eq(scheme, STR("http")) && str_eq(port, STR("80"))))
        return "an origin names its scheme's own port, which browsers leave out";
    return NULL;
}

static const char *fault_of_origins(struct str text)
{
    struct str one;
    const char *fault = fault_of_list(text);
    while (!fault && str_next_item(&text, ',', &one))
        fault = fault_of_origin(str_trim(one));
    return fault;
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

/* What was chosen for each row. */
struct choice {
    const char *values[ROWS];
    uint64_t environment, flags; /* a bit a row */
};

static void choose_environment(struct choice *choice)
{
    for (size_t i = 0; i < ROWS; i++) {
        const char *value = getenv(rows[i].name);
        bool is_set = value && value[0]; /* an empty variable counts as absent */
        choice->values[i] = is_set ? value : rows[i].preset;
        if (is_set)
            choice->environment |= UINT64_C(1) << i;
    }
}

/* The row whose flag `arg` is; *value: what stands after '=', or NULL. ROWS when there is none. */
static size_t find_flag(const char *arg, const char **value)
{
    char flag[FLAG_ROOM];
    for (size_t i = 0; i < ROWS; i++) {
        size_t len = strlen(flag_of(&rows[i], flag));
        if (strncmp(arg, flag, len) != 0 || (arg[len] && arg[len] != '='))
            continue;
        *value = arg[len] ? arg + len + 1 : NULL;
        return i;
    }
    return ROWS;
}

static struct err choose_flags(int argc, char **argv, int *next, struct choice *choice)
{
    while (*next < argc) {
        const char *value = NULL;
        size_t at = find_flag(argv[*next], &value);
        if (at == ROWS)
            break;
        if (!value && *next + 1 == argc) {
            char allowed[128];
            return refuse("%s: the flag %s needs a value (allowed: %s)", rows[at].name, argv[*next],
                          allowed_of(&rows[at], allowed));
        }
        choice->values[at] = value ? value : argv[++*next];
        choice->flags |= UINT64_C(1) << at;
        ++*next;
    }
    return OK;
}

static struct err check_ttl(const char *name, int64_t ttl_s, int64_t max_s)
{
    if (ttl_s <= max_s)
        return OK;
    return refuse("%s is \"%lld\": it is above %s_MAX (allowed: 1 to %lld seconds, or raise %s_MAX)", name,
                  (long long)ttl_s, name, (long long)max_s, name);
}

static struct err check_together(const struct settings *settings)
{
    TRY(check_ttl("TOKEN_ACCESS_TTL", settings->access_ttl_s, settings->access_ttl_max_s));
    TRY(check_ttl("TOKEN_REFRESH_TTL", settings->refresh_ttl_s, settings->refresh_ttl_max_s));
    TRY(check_ttl("TOKEN_ID_TTL", settings->id_ttl_s, settings->id_ttl_max_s));
    if (!settings->tls_cert[0] && settings->tls_key[0])
        return refuse("TOKEN_TLS_CERT is missing: TOKEN_TLS_KEY is set (allowed: both or none)");
    if (settings->tls_cert[0] && !settings->tls_key[0])
        return refuse("TOKEN_TLS_KEY is missing: TOKEN_TLS_CERT is set (allowed: both or none)");
    return OK;
}

static struct err read_all(const struct choice *choice, struct settings *settings)
{
    char *room = settings->owned;
    for (size_t i = 0; i < ROWS; i++)
        TRY(read_value(&rows[i], str_of(choice->values[i]), settings, &room));
    return check_together(settings);
}

struct err settings_read(int argc, char **argv, int *next, struct settings *out)
{
    struct choice choice = { 0 };
    size_t size = 0;
    int at = *next;
    choose_environment(&choice);
    TRY(choose_flags(argc, argv, &at, &choice));
    for (size_t i = 0; i < ROWS; i++)
        size += rows[i].kind == KIND_TEXT ? strlen(choice.values[i]) + 1 : 0;
    struct settings settings = { .from_environment = choice.environment & ~choice.flags, .from_flags = choice.flags };
    settings.owned = mem_alloc(size);
    struct err err = read_all(&choice, &settings);
    if (err.code) {
        settings_release(&settings);
        return err;
    }
    *out = settings;
    *next = at;
    return OK;
}

void settings_release(struct settings *settings)
{
    free(settings->owned);
    *settings = (struct settings){ 0 };
}

/* --- variables that nobody reads --------------------------------------------------------------------------------- */

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Levenshtein's distance: insertions, deletions and replacements. */
static size_t distance(struct str a, struct str b)
{
    size_t row[64];
    if (a.len >= 64 || b.len >= 64)
        return SIZE_MAX;
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t above_left = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t above = row[j];
            row[j] = smallest(above + 1, row[j - 1] + 1, above_left + (a.at[i - 1] != b.at[j - 1]));
            above_left = above;
        }
    }
    return row[b.len];
}

static void warn_if_unknown(struct str name, FILE *out)
{
    const char *nearest = NULL;
    size_t least = 3; /* two slips are a typo, more are another word */
    for (size_t i = 0; i < ROWS; i++) {
        size_t apart = distance(name, str_of(rows[i].name));
        if (apart == 0)
            return;
        if (apart < least) {
            least = apart;
            nearest = rows[i].name;
        }
    }
    fputs("token-service: ", out);
    for (size_t i = 0; i < name.len && i < 64; i++)
        fputc(name.at[i] > ' ' && name.at[i] <= '~' ? name.at[i] : '?', out);
    if (nearest)
        fprintf(out, " is no setting; did you mean %s?\n", nearest);
    else
        fputs(" is no setting\n", out);
}

void settings_warn_unknown(FILE *out)
{
    static const char *const later[][2] = {
        { "KMS_KEY_ID", "signs with a key file" },
        { "SUPABASE_URL", "keeps its records in SQLite" },
        { "REDIS_URL", "keeps its caches in memory" },
        { "EVENT_BUS_NAME", "sends no events" },
    };
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
        const char *value = getenv(later[i][0]);
        if (value && value[0])
            fprintf(out,
                    "token-service: %s is set, but this version does not use it yet: it runs on the embedded "
                    "default and %s\n",
                    later[i][0], later[i][1]);
    }
    for (char **at = environ; at && *at; at++) {
        struct str rest = str_of(*at), name;
        if (str_cut(&rest, '=', &name) && rest.len > 0 && str_has_prefix(name, STR("TOKEN_")))
            warn_if_unknown(name, out);
    }
}

/* --- printing ---------------------------------------------------------------------------------------------------- */

/* Words of `text`, in lines of at most `width` columns that begin at column `indent`, where the cursor stands. */
static void print_wrapped(FILE *out, const char *text, size_t indent, size_t width)
{
    struct str rest = str_of(text), word;
    size_t column = indent;
    for (bool first = true; str_next_word(&rest, &word); first = false) {
        if (!first && column + 1 + word.len > width) {
            fprintf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (!first) {
            fputc(' ', out);
            column++;
        }
        fwrite(word.at, 1, word.len, out);
        column += word.len;
    }
    fputc('\n', out);
}

static bool opens_section(size_t i)
{
    return i == 0 || rows[i].section != rows[i - 1].section;
}

void settings_print_help(FILE *out)
{
    enum { INDENT = 30, WIDTH = 100 };
    char flag[FLAG_ROOM], allowed[128], about[384];
    fputs("settings of every command (each is an environment variable too: --data-dir is TOKEN_DATA_DIR):\n", out);
    for (size_t i = 0; i < ROWS; i++) {
        if (opens_section(i))
            fprintf(out, "\n%s:\n", section_names[rows[i].section]);
        fprintf(out, "  %-*s", INDENT - 2, flag_of(&rows[i], flag));
        snprintf(about, sizeof about, "%s [%s; default %s]", rows[i].help, allowed_of(&rows[i], allowed),
                 rows[i].preset[0] ? rows[i].preset : "none");
        print_wrapped(out, about, INDENT, WIDTH);
    }
}

void roff_print(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text; text++) {
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
    }
}

void settings_print_man(FILE *out)
{
    char flag[FLAG_ROOM], allowed[128];
    for (size_t i = 0; i < ROWS; i++) {
        if (opens_section(i))
            fprintf(out, ".SS %s\n", section_names[rows[i].section]);
        fputs(".TP\n.BI ", out);
        roff_print(out, flag_of(&rows[i], flag));
        fputs(" \" value\" \", \" ", out);
        fprintf(out, "%s\n", rows[i].name);
        roff_print(out, rows[i].help);
        fputs("\n.br\nAllowed: ", out);
        roff_print(out, allowed_of(&rows[i], allowed));
        fputs(". Default: ", out);
        roff_print(out, rows[i].preset[0] ? rows[i].preset : "none");
        fputs(".\n", out);
    }
}

/* A pipe would end the table's cell. */
static void print_cell(FILE *out, const char *text)
{
    for (; *text; text++)
        fprintf(out, *text == '|' ? "\\%c" : "%c", *text);
}

void settings_print_markdown(FILE *out)
{
    char flag[FLAG_ROOM] = "", allowed[128] = "";
    for (size_t i = 0; i < ROWS; i++) {
        const char *tick = rows[i].preset[0] ? "`" : "";
        if (opens_section(i))
            fprintf(out, "%s## %s\n\n| variable | flag | default | allowed | meaning |\n|---|---|---|---|---|\n",
                    i > 0 ? "\n" : "", section_names[rows[i].section]);
        fprintf(out, "| `%s` | `%s` | %s%s%s | ", rows[i].name, flag_of(&rows[i], flag), tick, rows[i].preset, tick);
        print_cell(out, allowed_of(&rows[i], allowed));
        fputs(" | ", out);
        print_cell(out, rows[i].help);
        fputs(" |\n", out);
    }
}

void settings_print_values(const struct settings *settings, FILE *out)
{
    for (size_t i = 0; i < ROWS; i++) {
        const char *member = (const char *)settings + rows[i].offset, *text = "";
        const uint64_t bit = UINT64_C(1) << i;
        int64_t number = 0;
        fprintf(out, "%s=", rows[i].name);
        if (rows[i].kind == KIND_TEXT) {
            memcpy(&text, member, sizeof text);
            fputs(text, out);
        } else {
            memcpy(&number, member, sizeof number);
            if (rows[i].kind == KIND_WORD)
                fputs(rows[i].words[number - rows[i].min], out);
            else
                fprintf(out, "%lld", (long long)number);
        }
        fprintf(out, "  # %s\n",
                settings->from_flags & bit         ? "flag"
                : settings->from_environment & bit ? "environment"
                                                   : "default");
    }
}
