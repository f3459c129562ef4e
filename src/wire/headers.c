/* wire/headers.c: a list is short, so it is searched from its beginning. */
#include "wire/headers.h"

static bool headers_is_named(const struct header *header, struct str name)
{
    return header->name.len == name.len && (str_eq(header->name, name) || str_eq_nocase(header->name, name));
}

size_t headers_count(struct headers headers, struct str name)
{
    size_t count = 0;
    for (size_t i = 0; i < headers.count; i++)
        count += headers_is_named(&headers.at[i], name);
    return count;
}

static struct str headers_join(struct headers headers, struct arena *arena, struct str name)
{
    const struct str divider = str_eq_nocase(name, STR("Cookie")) ? STR("; ") : STR(", ");
    struct buf all;
    buf_init(&all, arena, 256, SIZE_MAX); /* of lines that are in memory already */
    for (size_t i = 0; i < headers.count; i++)
        if (headers_is_named(&headers.at[i], name)) {
            buf_add(&all, all.len > 0 ? divider : STR(""));
            buf_add(&all, headers.at[i].value);
        }
    return buf_str(&all);
}

struct str headers_value(struct headers headers, struct arena *arena, struct str name)
{
    const struct header *found = NULL;
    for (size_t i = 0; i < headers.count; i++)
        if (headers_is_named(&headers.at[i], name)) {
            if (found)
                return headers_join(headers, arena, name);
            found = &headers.at[i];
        }
    return found ? found->value : (struct str){ 0, 0 };
}
