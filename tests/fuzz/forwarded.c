/* fuzz/forwarded.c: what a stranger sends as Forwarded and X-Forwarded-For, and a trusted proxy's own word behind it.
 * Whatever came before, the caller is whom the proxy names, or, by Forwarded, whose quotes may swallow that, nobody.
 *
 * An input is two lines: of the one field, and of the other. */
#include "fuzz.h"
#include "wire/forwarded.h"

static struct networks trusted;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    PROMISE(!networks_read(STR("10.0.0.0/8, 127.0.0.1, 2001:db8:1::/48"), &trusted));
    return 0;
}

/* Of any input: who is known is no proxy, unless there are only proxies; and is read back as it is written. */
static void check_caller(const struct forwarded *got)
{
    char text[INET6_ADDRSTRLEN];
    struct address again;
    if (!got->is_known)
        return;
    PROMISE(address_write(&got->client, text) && address_read(str_of(text), &again));
    PROMISE(memcmp(&again, &got->client, sizeof again) == 0);
}

static bool names(const struct forwarded *got, const char *address)
{
    char text[INET6_ADDRSTRLEN];
    return got->is_known && strcmp(address_write(&got->client, text), address) == 0;
}

static struct str with(struct arena *arena, struct str before, struct str last)
{
    struct buf all;
    buf_init(&all, arena, before.len + last.len + 2, before.len + last.len + 2);
    buf_add(&all, before);
    buf_add(&all, STR(", "));
    buf_add(&all, last);
    return buf_str(&all);
}

static struct forwarded read_both(struct str standard, struct str x_for)
{
    const struct forwarded_fields fields = { standard, x_for, { 0, 0 } };
    const struct forwarded got = forwarded_read(&fields, &trusted);
    check_caller(&got);
    return got;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct str none = { 0, 0 };
    struct arena arena;
    struct str x_for = input_of(data, size), standard;
    struct forwarded got;
    arena_init(&arena, NULL, 0);
    if (!str_cut(&x_for, '\n', &standard))
        standard = x_for;
    (void)read_both(standard, x_for);
    got = read_both(none, with(&arena, x_for, STR("203.0.113.9, 10.1.2.3")));
    PROMISE(names(&got, "203.0.113.9"));
    got = read_both(none, with(&arena, x_for, STR("2001:db8::7")));
    PROMISE(names(&got, "2001:db8::7"));
    got = read_both(with(&arena, standard, STR("for=203.0.113.9;proto=https, for=10.1.2.3")), none);
    PROMISE(!got.is_known || names(&got, "203.0.113.9"));
    got = read_both(with(&arena, standard, STR("for=\"[2001:db8::7]:4711\"")), none);
    PROMISE(!got.is_known || names(&got, "2001:db8::7"));
    got = read_both(with(&arena, standard, STR("for=203.0.113.9")), with(&arena, x_for, STR("203.0.113.9")));
    PROMISE(!got.is_known || names(&got, "203.0.113.9"));
    arena_release(&arena);
    return 0;
}
