/* oauth/cookie.c */
#include "oauth/cookie.h"
#include "service/message.h"

static const struct str names[] = { [COOKIE_SESSION] = STR_INIT("__Host-token-service-session"),
                                    [COOKIE_BROWSER] = STR_INIT("__Host-token-service-browser") };
static const struct str prefix = STR_INIT("__Host-");

static struct str cookie_name(enum cookie cookie, bool is_secure)
{
    const struct str name = names[cookie];
    return is_secure ? name : (struct str){ name.at + prefix.len, name.len - prefix.len };
}

bool cookie_is_secure(const struct request *request, struct str issuer)
{
    return request->is_https || !str_has_prefix(issuer, STR("http://"));
}

/* RFC 6265 section 4.2.1: pairs divided by semicolons. A pair without "=" is a value without a name. */
bool cookie_find(struct str header, struct str name, struct str *value)
{
    struct str pair, before;
    size_t found = 0;
    while (str_next_item(&header, ';', &pair)) {
        struct str rest = pair;
        if (!str_cut(&rest, '=', &before) || !str_eq(str_trim(before), name))
            continue;
        *value = str_trim(rest);
        found++;
    }
    return found == 1;
}

static bool cookie_value_is_fit(struct str value)
{
    return value.len > 0 && value.len <= COOKIE_VALUE_MAX && str_has_only(value, STR("-_"));
}

struct str cookie_value(const struct request *request, enum cookie cookie, bool is_secure)
{
    struct str value;
    const struct str header = request_header(request, STR("Cookie"));
    const bool is_there = cookie_find(header, cookie_name(cookie, is_secure), &value) && cookie_value_is_fit(value);
    return is_there ? value : (struct str){ 0, 0 };
}

/* `age`: "" or "; Max-Age=…". */
static void cookie_add(struct response *response, struct arena *arena, struct str name, struct str value,
                       bool is_secure, struct str age)
{
    struct buf line;
    buf_init(&line, arena, 256, 512);
    buf_add(&line, name);
    buf_add_char(&line, '=');
    buf_add(&line, value);
    buf_add(&line, STR("; Path=/; HttpOnly; SameSite=Lax"));
    buf_add(&line, is_secure ? STR("; Secure") : STR(""));
    buf_add(&line, age);
    response_add_header(response, STR("Set-Cookie"), buf_str(&line));
}

void cookie_set(struct response *response, struct arena *arena, enum cookie cookie, bool is_secure, struct str value,
                int64_t max_age_s)
{
    if (!cookie_value_is_fit(value)) {
        response->is_unfit = true;
        return;
    }
    const struct str age = max_age_s > 0 ? arena_printf(arena, "; Max-Age=%lld", (long long)max_age_s) : STR("");
    cookie_add(response, arena, cookie_name(cookie, is_secure), value, is_secure, age);
}

void cookie_forget(struct response *response, struct arena *arena, enum cookie cookie, bool is_secure)
{
    cookie_add(response, arena, cookie_name(cookie, is_secure), STR(""), is_secure, STR("; Max-Age=0"));
}
