/* fuzz/redis_url.c: REDIS_URL: whatever is taken keeps its bounds, and reads the same when it is written again. */
#include "redis/url.h"
#include "base/settings_rows.h"
#include "fuzz.h"

static void add_host(struct buf *out, const struct redis_address *address)
{
    bool is_v6 = strchr(address->host, ':') != NULL || strchr(address->host, '%') != NULL;
    buf_add(out, is_v6 ? STR("[") : STR(""));
    buf_add(out, str_of(address->host));
    buf_add(out, is_v6 ? STR("]:") : STR(":"));
    buf_add_int(out, address->port);
}

static struct str written(struct arena *arena, const struct redis_url *url)
{
    struct buf out;
    buf_init(&out, arena, 256, 65536);
    buf_add(&out, url->is_tls ? STR("rediss") : STR("redis"));
    buf_add(&out, url->is_sentinel ? STR("+sentinel://") : STR("://"));
    if (url->password[0]) {
        buf_add(&out, percent_encoded(arena, str_of(url->user)));
        buf_add_char(&out, ':');
        buf_add(&out, percent_encoded(arena, str_of(url->password)));
        buf_add_char(&out, '@');
    }
    for (size_t i = 0; i < url->hosts_count; i++) {
        buf_add(&out, i > 0 ? STR(",") : STR(""));
        add_host(&out, &url->hosts[i]);
    }
    buf_add_char(&out, '/');
    if (url->is_sentinel) {
        buf_add(&out, percent_encoded(arena, str_of(url->master)));
        buf_add_char(&out, '/');
    }
    buf_add_int(&out, url->db);
    return buf_str(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct redis_url url, again;
    struct arena arena;
    const struct str input = input_of(data, size);
    const char *fault = redis_url_parse(input, &url);
    PROMISE((fault == NULL) == (settings_fault_of_redis_url(input) == NULL));
    if (fault)
        return 0;
    PROMISE(url.hosts_count >= 1 && url.hosts_count <= REDIS_HOSTS_MAX && url.db >= 0 && url.db <= REDIS_DB_MAX);
    PROMISE(url.is_sentinel == (url.master[0] != '\0'));
    for (size_t i = 0; i < url.hosts_count; i++)
        PROMISE(url.hosts[i].port > 0 && url.hosts[i].host[0] && !strchr(url.hosts[i].host, '@'));
    arena_init(&arena, NULL, 0);
    const struct str text = written(&arena, &url);
    PROMISE(redis_url_parse(text, &again) == NULL);
    PROMISE(str_eq(text, written(&arena, &again)));
    arena_release(&arena);
    return 0;
}
