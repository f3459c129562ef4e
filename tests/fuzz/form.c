/* fuzz/form.c: what a form gives is text without NUL, each name once, and the same again when every byte of it is
 * encoded. */
#include "fuzz.h"
#include "service/message.h"

static void check_form(struct arena *arena, const struct form *form)
{
    struct form again;
    struct buf text;
    buf_init(&text, arena, 1024, 1 << 22);
    PROMISE(form->count <= FORM_PAIRS_MAX);
    for (size_t i = 0; i < form->count; i++) {
        PROMISE(utf8_valid(form->name[i]) && !str_has(form->name[i], '\0'));
        PROMISE(utf8_valid(form->value[i]) && !str_has(form->value[i], '\0'));
        for (size_t j = 0; j < i; j++)
            PROMISE(!str_eq(form->name[i], form->name[j]));
        struct str value = form_value(form, form->name[i]);
        PROMISE(form->value[i].len ? str_eq(value, form->value[i]) : value.at == NULL);
        buf_add(&text, percent_encoded(arena, form->name[i]));
        buf_add_char(&text, '=');
        buf_add(&text, percent_encoded(arena, form->value[i]));
        buf_add_char(&text, '&');
    }
    PROMISE(!form_read(arena, buf_str(&text), &again).code);
    PROMISE(again.count == form->count);
    for (size_t i = 0; i < form->count; i++)
        PROMISE(str_eq(again.name[i], form->name[i]) && str_eq(again.value[i], form->value[i]));
}

/* What was refused and can be read all the same has a name that comes twice. */
static void check_repeated(const struct form *form)
{
    size_t repeated = 0;
    PROMISE(form->count <= FORM_PAIRS_MAX);
    for (size_t i = 0; i < form->count; i++)
        repeated += form_count(form, form->name[i]) > 1;
    PROMISE(repeated >= 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str in = input_of(data, size);
    struct arena arena;
    struct form form;
    struct str out;
    arena_init(&arena, NULL, 0);
    struct err err = form_read(&arena, in, &form);
    PROMISE(!err.code || err.code == ERR_INVALID_REQUEST);
    if (!err.code)
        check_form(&arena, &form);
    else if (!form_read_all(&arena, in, &form).code)
        check_repeated(&form);
    err = form_decode(&arena, percent_encoded(&arena, in), &out);
    PROMISE((err.code == ERR_OK) == (utf8_valid(in) && !str_has(in, '\0')));
    PROMISE(err.code || str_eq(out, in));
    arena_release(&arena);
    return 0;
}
