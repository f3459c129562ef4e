/* fuzz/fields.c: field values as strangers send them, by what must hold of every one: elements are parts of their list,
 * and put together again they are the same list; an entity tag that is found stands there; a quality is one.
 *
 * An input is the value. */
#include "fuzz.h"
#include "wire/fields.h"

static void check_list(struct arena *arena, struct str value)
{
    struct str rest = value, element, again;
    struct buf joined;
    size_t count = 0;
    buf_init(&joined, arena, 64, 2 * value.len + 64);
    while (field_next(&rest, &element)) {
        PROMISE(element.len > 0 && element.at >= value.at && element.at + element.len <= value.at + value.len);
        PROMISE(str_eq(str_trim(element), element));
        buf_add(&joined, count++ > 0 ? STR(", ") : STR(""));
        buf_add(&joined, element);
    }
    PROMISE(rest.len == 0 && count <= value.len);
    rest = buf_str(&joined);
    for (struct str first = value; field_next(&first, &element); count--)
        PROMISE(field_next(&rest, &again) && (str_eq(again, element) || str_has(value, '"')));
    PROMISE(count == 0 || str_has(value, '"')); /* a quote that had no end may find one */
}

static void check_accept(struct str value)
{
    const struct preference got = field_preference(value, STR("application/json"));
    PROMISE(got.quality >= 0 && got.quality <= 1000 && got.specificity >= 0 && got.specificity <= 3);
    PROMISE(got.specificity > 0 || got.quality == 0);
    PROMISE(got.specificity == 0 || str_has(value, '/'));
}

static void check_type(struct arena *arena, struct str value)
{
    struct buf more;
    bool is_json = field_is_type(value, STR("application/json"));
    PROMISE(!is_json || str_eq_nocase((struct str){ value.at, 16 }, STR("application/json")));
    buf_init(&more, arena, 64, value.len + 64); /* one more parameter changes nothing */
    buf_add(&more, value);
    buf_add(&more, STR(" ;charset=\"a;\\\"b\";"));
    PROMISE(field_is_type(buf_str(&more), STR("application/json")) == is_json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    const struct str value = input_of(data, size);
    arena_init(&arena, NULL, 0);
    check_list(&arena, value);
    check_accept(value);
    check_type(&arena, value);
    int64_t seconds = 0;
    if (field_max_age(value, &seconds))
        PROMISE(seconds >= 0 && str_has(value, '='));
    if (field_has_etag(value, STR("\"x\"")))
        PROMISE(str_eq(str_trim(value), STR("*")) || memmem(value.at, value.len, "\"x\"", 3));
    arena_release(&arena);
    return 0;
}
