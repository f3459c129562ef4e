/* redis/url.c: strict: what is not understood is refused, so that no password ends in a host's name. */
#include "redis/url.h"
#include "base/hex.h"
#include "base/settings_rows.h"

/* Percent-decodes into `to`, with a NUL; false when it is malformed, holds control characters or does not fit. */
static bool url_decode(struct str in, char *to, size_t room)
{
    size_t len = 0;
    for (size_t i = 0; i < in.len; i++) {
        int c = (unsigned char)in.at[i];
        if (c == '%') {
            c = hex_percent(in, i);
            i += 2;
        }
        if (c < 0x20 || c == 0x7f || len + 1 >= room)
            return false;
        to[len++] = (char)c;
    }
    to[len] = '\0';
    return true;
}

static bool url_is_host(struct str host, bool bracketed)
{
    return host.len > 0 && host.len < REDIS_HOST_ROOM && str_has_only(host, bracketed ? STR(":.%") : STR("-._"));
}

bool redis_address_parse(struct str text, uint16_t port, struct redis_address *out)
{
    struct str host = text, rest = { 0, 0 };
    bool bracketed = text.len > 0 && text.at[0] == '[';
    int64_t number = port;
    if (bracketed) {
        struct str inner = { text.at + 1, text.len - 1 };
        if (!str_cut(&inner, ']', &host) || (inner.len > 0 && inner.at[0] != ':'))
            return false;
        rest = inner.len > 0 ? (struct str){ inner.at + 1, inner.len - 1 } : rest;
    } else {
        /* Redis names IPv6 addresses without brackets, so the last colon divides where a port must follow */
        const char *colon = text.len > 0 ? memrchr(text.at, ':', text.len) : NULL;
        if (colon) {
            host = (struct str){ text.at, (size_t)(colon - text.at) };
            rest = (struct str){ colon + 1, text.len - host.len - 1 };
            bracketed = port == 0 && str_has(host, ':');
        }
    }
    if (rest.at ? !settings_number(rest, 1, 65535, &number) : number == 0)
        return false;
    if (!url_is_host(host, bracketed))
        return false;
    memcpy(out->host, host.at, host.len);
    out->host[host.len] = '\0';
    out->port = (uint16_t)number;
    return true;
}

static const char *url_read_scheme(struct str *rest, struct redis_url *out)
{
    static const struct {
        struct str text;
        bool is_tls, is_sentinel;
    } schemes[] = { { STR_INIT("redis://"), false, false },
                    { STR_INIT("rediss://"), true, false },
                    { STR_INIT("redis+sentinel://"), false, true },
                    { STR_INIT("rediss+sentinel://"), true, true } };
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (str_has_prefix(*rest, schemes[i].text)) {
            out->is_tls = schemes[i].is_tls;
            out->is_sentinel = schemes[i].is_sentinel;
            *rest = (struct str){ rest->at + schemes[i].text.len, rest->len - schemes[i].text.len };
            return NULL;
        }
    return "it does not begin with redis://, rediss://, redis+sentinel:// or rediss+sentinel://";
}

static const char *url_read_login(struct str *rest, struct redis_url *out)
{
    struct str login, user, password;
    if (!str_cut(rest, '@', &login))
        return NULL;
    if (str_has(*rest, '@'))
        return "it has two @: write %40 in a password";
    password = login;
    if (!str_cut(&password, ':', &user))
        return "its password has no colon before it";
    if (!url_decode(user, out->user, sizeof out->user) || !url_decode(password, out->password, sizeof out->password))
        return "its user or password is too long or malformed";
    return password.len > 0 ? NULL : "its password is empty";
}

static const char *url_read_hosts(struct str hosts, struct redis_url *out)
{
    struct str one;
    uint16_t port = out->is_sentinel ? 26379 : 6379;
    if (hosts.len > 0 && hosts.at[hosts.len - 1] == ',')
        return "a host or port is malformed";
    while (str_next_item(&hosts, ',', &one)) {
        if (out->hosts_count == REDIS_HOSTS_MAX)
            return "it has too many hosts";
        if (!redis_address_parse(one, port, &out->hosts[out->hosts_count++]))
            return "a host or port is malformed";
    }
    return out->hosts_count > 0 ? NULL : "it has no host";
}

const char *redis_url_parse(struct str text, struct redis_url *out)
{
    struct str rest = text, hosts, master = { 0, 0 };
    int64_t db = 0;
    *out = (struct redis_url){ 0 };
    const char *fault = url_read_scheme(&rest, out);
    if (!fault && (str_has(rest, '?') || str_has(rest, '#')))
        fault = "it has a query or a fragment";
    if (!fault)
        fault = url_read_login(&rest, out);
    if (fault)
        return fault;
    if (!str_cut(&rest, '/', &hosts)) {
        hosts = rest;
        rest = (struct str){ 0, 0 };
    }
    fault = url_read_hosts(hosts, out);
    if (!fault && out->is_sentinel) {
        if (!str_cut(&rest, '/', &master)) {
            master = rest;
            rest = (struct str){ 0, 0 };
        }
        if (master.len == 0 || !url_decode(master, out->master, sizeof out->master))
            fault = "it does not name the Sentinels' group: write /NAME after the hosts";
    }
    if (!fault && rest.len > 0 && !settings_number(rest, 0, REDIS_DB_MAX, &db))
        fault = "its database is not a number";
    out->db = (int)db;
    return fault;
}

const char *settings_fault_of_redis_url(struct str text)
{
    struct redis_url url;
    const char *fault = redis_url_parse(text, &url);
    mem_wipe(&url, sizeof url);
    return fault;
}
